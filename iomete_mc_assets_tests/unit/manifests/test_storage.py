"""One contract over local disk, S3 and memory, and what each filesystem gets wrong by itself."""

import ast
import errno
import itertools
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest
from s3fs import S3FileSystem

import iomete_mc_assets
from iomete_mc_assets.errors import SettingsError
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets_tests.object_store import ObjectStore

_numbers = itertools.count()


@pytest.fixture(params=["local", "s3", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "local":
        yield Storage.open(str(tmp_path / "not" / "there" / "yet"))
    elif request.param == "s3":
        yield Storage.open(request.getfixturevalue("s3_root"))
    else:
        opened = Storage.open(f"memory://storage-{next(_numbers)}")
        yield opened
        for name in opened.names(""):
            opened.remove(name)


def test_what_was_written_is_read(storage: Storage) -> None:
    storage.write("a/b/c.json", b"one")
    assert storage.read("a/b/c.json") == b"one"


def test_writing_again_replaces_the_whole_object(storage: Storage) -> None:
    storage.write("a.json", b"a long one")
    storage.write("a.json", b"short")
    assert storage.read("a.json") == b"short"


def test_only_an_absent_object_is_file_not_found(storage: Storage) -> None:
    storage.write("a/b.json", b"")
    with pytest.raises(FileNotFoundError):
        storage.read("a/c.json")
    with pytest.raises(FileNotFoundError):
        storage.read("x/y/z.json")
    assert storage.read("a/b.json") == b""


def test_the_first_create_wins_and_the_second_changes_nothing(storage: Storage) -> None:
    assert storage.create("log/000001.json", b"mine")
    assert not storage.create("log/000001.json", b"yours")
    assert storage.read("log/000001.json") == b"mine"


def test_creating_the_same_bytes_again_counts_as_created(storage: Storage) -> None:
    assert storage.create("a.json", b"nonce 1")
    assert storage.create("a.json", b"nonce 1")


@pytest.fixture
def eager_switching() -> Iterator[None]:
    """Threads change places all the time, so that looking first and writing then is caught."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def test_of_many_threads_exactly_one_creates(storage: Storage, eager_switching: None) -> None:
    at_once = threading.Barrier(4)

    def create(path: str, number: int) -> bool:
        at_once.wait()
        return storage.create(path, f"owner {number}".encode())

    with ThreadPoolExecutor(4) as pool:
        for attempt in range(50):
            path = f"lock-{attempt}.json"
            won = list(pool.map(create, [path] * 4, range(4)))
            assert won.count(True) == 1
            assert storage.read(path) == f"owner {won.index(True)}".encode()


def test_a_reader_sees_the_old_object_or_the_new_one_and_nothing_between(
    storage: Storage, eager_switching: None
) -> None:
    old, new = b"o" * 300_000, b"n" * 300_000
    storage.write("a.json", old)
    done = threading.Event()

    def write() -> None:
        for number in range(40):
            storage.write("a.json", (new, old)[number % 2])
        done.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not done.is_set():
            assert storage.read("a.json") in {old, new}
        writing.result()


def test_names_are_the_immediate_children_sorted(storage: Storage) -> None:
    for path in ("f/b/x.json", "f/b/y.json", "f/a.json", "f/c/d/e.json", "other/z.json"):
        storage.write(path, b"")
    assert storage.names("f") == ["a.json", "b", "c"]
    assert storage.names("") == ["f", "other"]
    assert storage.names("f/b") == ["x.json", "y.json"]


def test_an_absent_folder_has_no_names(storage: Storage) -> None:
    assert storage.names("nowhere/at/all") == []


def test_a_name_that_begins_like_the_folder_is_not_its_child(storage: Storage) -> None:
    storage.write("hour/a.json", b"")
    storage.write("hour2/b.json", b"")
    assert storage.names("hour") == ["a.json"]


def test_removing_takes_a_folder_with_all_it_holds_and_nothing_beside(storage: Storage) -> None:
    for path in ("f/b/x.json", "f/b/c/y.json", "f/a.json"):
        storage.write(path, b"")
    storage.remove("f/b")
    assert storage.names("f") == ["a.json"]
    assert storage.names("f/b") == []
    storage.remove("f/a.json")
    assert storage.names("f") == []


def test_removing_what_is_absent_is_fine(storage: Storage) -> None:
    storage.remove("never/was")


def test_another_storage_of_the_same_root_sees_every_write_at_once(storage: Storage) -> None:
    other = Storage.open(storage.root)
    assert other.names("f") == []
    storage.write("f/a.json", b"1")
    assert other.names("f") == ["a.json"]
    assert other.read("f/a.json") == b"1"
    assert other.root == storage.root


def test_four_threads_write_and_list_without_losing_anything(storage: Storage) -> None:
    def work(thread: int) -> None:
        for number in range(20):
            storage.write(f"f/{thread}-{number:02}.json", b"x" * number)
            storage.names("f")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(storage.names("f")) == 80
    assert storage.read("f/3-19.json") == b"x" * 19


def test_a_denied_local_folder_is_an_error_and_never_nothing_there(tmp_path: Path) -> None:
    storage = Storage(_Denying(), base="bucket/prefix", root="s3://bucket/prefix")
    for ask in (storage.read, storage.names, storage.remove):
        with pytest.raises(PermissionError):
            ask("f")
    with pytest.raises(PermissionError):
        storage.create("f/a.json", b"")


def test_a_lost_answer_that_reports_exists_for_our_own_object_is_ours() -> None:
    """The client's own retry meets the object that its first try made."""
    storage = Storage(_LosingAnswers(FileExistsError()), base="b", root="s3://b")
    assert storage.create("a.json", b"mine")


def test_a_server_that_words_exists_as_an_invalid_argument_is_understood() -> None:
    """s3fs maps a 412 without the header's name to EINVAL."""
    filesystem = _LosingAnswers(OSError(errno.EINVAL, "PreconditionFailed"))
    filesystem.objects["b/a.json"] = b"yours"
    assert not Storage(filesystem, base="b", root="s3://b").create("a.json", b"mine")


def test_a_create_that_failed_and_left_nothing_raises_the_first_error() -> None:
    storage = Storage(_LosingAnswers(OSError(errno.EIO, "503"), lose_body=True), base="b", root="b")
    with pytest.raises(OSError, match="503"):
        storage.create("a.json", b"mine")


def test_ledger_24_a_bucket_is_asked_once_for_each_question(
    object_store: ObjectStore, s3_root: str
) -> None:
    storage = Storage.open(s3_root)
    storage.write("f/a.json", b"1")
    del object_store.asked[:]
    storage.write("f/a.json", b"2")
    assert storage.create("f/b.json", b"3")
    assert storage.read("f/a.json") == b"2"
    with pytest.raises(FileNotFoundError):
        storage.read("f/c.json")
    assert storage.names("f") == ["a.json", "b.json"]
    assert [method for method, _ in object_store.asked] == ["PUT", "PUT", "GET", "GET", "GET"]


def test_ledger_24_a_denied_bucket_is_an_error_and_never_nothing_there(
    object_store: ObjectStore, s3_root: str
) -> None:
    storage = Storage.open(s3_root)
    storage.write("f/a.json", b"1")
    object_store.denying = True
    try:
        for ask in (storage.read, storage.names, storage.remove, storage.last_written):
            with pytest.raises(PermissionError):
                ask("f/a.json")
        with pytest.raises(PermissionError):
            storage.create("f/b.json", b"")
        with pytest.raises(PermissionError):
            storage.write("f/b.json", b"")
    finally:
        object_store.denying = False
    assert storage.names("f") == ["a.json"]


def test_ledger_21_a_create_whose_answer_is_lost_is_ours_and_a_second_one_is_not(
    object_store: ObjectStore, s3_root: str
) -> None:
    storage = Storage.open(s3_root)
    object_store.losing.append("PUT")
    del object_store.asked[:]
    assert storage.create("log/000001.json", b"nonce 1")
    puts = [method for method, _ in object_store.asked if method == "PUT"]
    assert len(puts) == 2, "the client sent it again by itself, and was told that it exists"
    assert not storage.create("log/000001.json", b"nonce 2")


def test_a_bucket_that_cannot_be_reached_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore's own exceptions are none."""
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unheard.getsockname()[1]}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "tests")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        S3FileSystem.clear_instance_cache()
        storage = Storage.open("s3://unreachable/prefix")
        for ask in (storage.read, storage.names):
            with pytest.raises(OSError, match=r"127\.0\.0\.1"):
                ask("f")
        S3FileSystem.clear_instance_cache()


def test_an_object_store_is_opened_without_a_listings_cache() -> None:
    """s3fs keeps listings per process otherwise; opening asks nobody."""
    storage = Storage.open("s3://some-bucket/some/prefix")
    assert storage.root == "s3://some-bucket/some/prefix"
    assert not storage._filesystem.dircache.use_listings_cache  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


@pytest.mark.parametrize("root", ["simplecache::s3://b/p", "nosuch://b/p"])
def test_an_address_that_cannot_serve_is_refused_with_the_setting_to_change(root: str) -> None:
    with pytest.raises(SettingsError, match=root.split(":", maxsplit=1)[0]):
        Storage.open(root)


def test_a_local_root_is_absolute_and_shown_as_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Storage.open("./manifests").root == str(tmp_path / "manifests")
    assert Storage.open(f"file://{tmp_path}/m").root == str(tmp_path / "m")


def test_local_writes_leave_nothing_beside_and_obey_the_umask(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))
    storage.write("f/a.json", b"1")
    storage.create("f/b.json", b"2")
    storage.create("f/b.json", b"3")
    assert sorted(path.name for path in (tmp_path / "f").iterdir()) == ["a.json", "b.json"]
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    for name in ("a.json", "b.json"):
        mode = (tmp_path / "f" / name).stat().st_mode
        assert stat.S_IMODE(mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_temporary_file_left_by_a_killed_writer_is_not_listed(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))
    storage.write("f/a.json", b"1")
    (tmp_path / "f" / ".tmp-0123456789abcdef").write_bytes(b"hal")
    assert storage.names("f") == ["a.json"]
    storage.remove("f")
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_is_needed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    storage = Storage.open(str(tmp_path))
    with pytest.raises(NotADirectoryError):
        storage.write("f/a.json", b"1")
    with pytest.raises(NotADirectoryError):
        storage.create("f/a.json", b"1")


def test_a_local_folder_that_cannot_be_asked_is_an_error_and_never_nothing_there(
    tmp_path: Path,
) -> None:
    """A name that is too long is refused to root too, whom no permission stops."""
    storage = Storage.open(str(tmp_path))
    for ask in (storage.read, storage.names):
        with pytest.raises(OSError, match="too long"):
            ask("x" * 300)
    (tmp_path / "f").write_bytes(b"")
    assert storage.names("f") == []
    with pytest.raises(NotADirectoryError):
        storage.names("f/below")


def test_only_two_modules_import_fsspec_and_nothing_asks_it_a_question_that_lies() -> None:
    """Ledger rule 24."""
    package = Path(str(iomete_mc_assets.__file__)).parent
    importing = {Path("manifests/storage.py"), Path("warehouse/log_folder.py")}
    lying = {"exists", "glob", "find", "walk", "isfile", "isdir", "lexists", "expand_path"}
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {
            alias.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {
            str(node.module).split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
        }
        inside = path.relative_to(package)
        if inside not in importing:
            assert not imported & {"fsspec", "upath", "s3fs"}, inside
        if inside.parts[0] in {"manifests", "push"} or inside in importing:
            called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            assert not called & lying, inside


class _Denying:
    """An object store whose key may do nothing; the signatures are fsspec's."""

    def cat_file(self, path: str) -> bytes:
        raise PermissionError(path)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite") -> object:  # noqa: ARG002
        raise PermissionError(path)

    def ls(self, path: str, detail: bool = True) -> list[str]:  # noqa: ARG002
        raise PermissionError(path)

    def rm_file(self, path: str) -> object:
        raise PermissionError(path)

    def unstrip_protocol(self, name: str) -> str:
        return name


class _LosingAnswers(_Denying):
    """Takes what it is given unless something lies there, and always answers with an error."""

    def __init__(self, error: OSError, *, lose_body: bool = False) -> None:
        self.objects: dict[str, bytes] = {}
        self._error = error
        self._lose_body = lose_body

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite") -> object:
        assert mode == "create"
        if not self._lose_body:
            self.objects.setdefault(path, value)
        raise self._error

    def cat_file(self, path: str) -> bytes:
        if path not in self.objects:
            raise FileNotFoundError(path)
        return self.objects[path]


def test_fsspec_itself_is_the_one_measured() -> None:
    """Exclusive create by ``pipe_file(mode="create")`` is what the ledger's lock rests on."""
    memory = fsspec.filesystem("memory")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    memory.pipe_file("/measured/a", b"1", mode="create")
    with pytest.raises(FileExistsError):
        memory.pipe_file("/measured/a", b"2", mode="create")
    memory.rm_file("/measured/a")


def test_the_youngest_files_instant_is_told_and_a_folder_among_them_makes_it_unknown(
    storage: Storage,
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)  # a disk may count in whole seconds
    storage.write("a/one.gz", b"x")
    storage.write("a/two.gz", b"y")
    written = storage.last_written("a")
    assert written is not None
    assert before <= written <= datetime.now(UTC) + timedelta(seconds=2)
    assert storage.last_written("nothing") is None
    storage.write("a/sent/plan.json", b"z")
    assert storage.last_written("a") is None
