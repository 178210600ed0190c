"""Named bytes under one root, on local disk or any fsspec filesystem: read, write, create, list, remove.

What the bytes mean lives in ``store`` and ``receipts``; nothing here retries, caches or guesses.
"""

import contextlib
import os
import secrets
import shutil
import threading
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from iomete_mc_assets.errors import SettingsError

_CREATING_IN_MEMORY = threading.Lock()
"""fsspec's memory filesystem looks first and writes then; all of a process share its one store."""


# s3fs otherwise asks for an object's size before it reads it, which doubles the requests
_ONE_REQUEST_A_READ: Mapping[str, object] = {"max_concurrency": 1}
_OPTIONS = {"s3": _ONE_REQUEST_A_READ, "s3a": _ONE_REQUEST_A_READ}


class Filesystem(Protocol):
    """What is used of fsspec, which ships no types.

    Its ``exists``, ``glob``, ``find``, ``walk`` and ``isfile`` turn a denied request into "nothing
    there" on object stores, which would mean "send everything again"; so they are not here.
    """

    def cat_file(self, path: str) -> bytes:
        """The whole object."""
        ...

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite") -> object:
        """Replace the whole object, or with ``mode="create"`` make it exclusively."""
        ...

    def ls(self, path: str, detail: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - fsspec's
        """Addresses of a folder's children, or of the file itself; with ``detail`` a mapping of each."""
        ...

    def rm_file(self, path: str) -> object:
        """Remove one object."""
        ...

    def unstrip_protocol(self, name: str) -> str:
        """The full address of a path; asks nobody."""
        ...


class Storage:
    """Whole objects by relative path (``a/b/c.json``), on an object store or in memory.

    Safe for use by several threads. A path has no leading slash and no ``..``; names that begin
    with a dot are this class's own.

    Attributes:
        root: the full address, for people: ``/data/manifests`` or ``s3://bucket/prefix``.
    """

    def __init__(self, filesystem: Filesystem, *, base: str, root: str) -> None:
        """Use ``Storage.open``."""
        self._filesystem = filesystem
        self._base = base
        self.root = root

    @staticmethod
    def open(root: str) -> "Storage":
        """The storage at a local path or an fsspec address; touches nothing yet.

        Raises:
            SettingsError: no such protocol, its client is not installed, or a cache in front.
        """
        if "::" in root:
            msg = (
                f"Manifest store {root!r}: chained fsspec addresses keep caches, and a cached answer "
                "would have things sent twice. Name the store itself, e.g. s3://bucket/prefix."
            )
            raise SettingsError(msg)
        options = _OPTIONS.get(root.partition("://")[0], {})
        try:
            # s3fs keeps listings per process: a receipt written by another one was missed
            opened = cast(
                "tuple[object, str]",
                fsspec.url_to_fs(root, use_listings_cache=False, **options),  # pyright: ignore[reportUnknownMemberType] - no types
            )
        except (ValueError, ImportError) as error:
            msg = (
                f"Manifest store {root!r} cannot be opened: {error}. Set IOMETE_MC_MANIFESTS to a "
                "folder or an fsspec address and install the client it needs."
            )
            raise SettingsError(msg) from error
        filesystem, base = opened
        if isinstance(filesystem, LocalFileSystem):
            return _LocalStorage(cast("Filesystem", filesystem), base=base, root=base)
        remote = cast("Filesystem", filesystem)
        kind = _MemoryStorage if isinstance(filesystem, MemoryFileSystem) else Storage
        return kind(remote, base=base, root=remote.unstrip_protocol(base))

    def read(self, path: str) -> bytes:
        """The whole object.

        Raises:
            FileNotFoundError: it is absent; never raised for anything else.
            OSError: anything else, a denied permission included.
        """
        with _only_os_errors():
            return self._filesystem.cat_file(self._full(path))

    def write(self, path: str, data: bytes) -> None:
        """Make or replace the whole object; a crash leaves the old one or the new one.

        Raises:
            OSError: not written, or nobody knows.
        """
        with _only_os_errors():
            self._filesystem.pipe_file(self._full(path), data)

    def create(self, path: str, data: bytes) -> bool:
        """Make the object unless it exists; a crash leaves nothing or all of it.

        Returns:
            True when these very bytes now lie there. A lost answer makes a client's own retry
            report "exists" for one's own object, so what lies there is compared. What serves as a
            lock must therefore hold a nonce. False when others lie there.

        Raises:
            OSError: not created, and nothing lies there.
        """
        try:
            self._create(self._full(path), data)
        except OSError:
            # Servers word "exists" differently (412 as EINVAL, 409); what lies there is the answer.
            try:
                return self.read(path) == data
            except FileNotFoundError:
                pass
            raise
        return True

    def names(self, folder: str) -> list[str]:
        """Names of a folder's immediate children, sorted; empty when it is absent.

        Raises:
            OSError: it could not be listed, a denied permission included.
        """
        full = self._full(folder)
        try:
            with _only_os_errors():
                listed: list[str] = self._filesystem.ls(full, detail=False)
        except FileNotFoundError:
            return []
        prefix = full.strip("/") + "/"
        addresses = (address.strip("/") for address in listed)
        names = {
            address.removeprefix(prefix).split("/")[0]
            for address in addresses
            if address.startswith(prefix)
        }
        return sorted(name for name in names if not name.startswith("."))

    def versions(self, folder: str) -> dict[str, str]:
        """What tells whether a folder's files have changed, by name: their size and when they were written.

        Empty when the folder is absent; folders in it are left out.

        Raises:
            OSError: it could not be listed, a denied permission included.
        """
        full = self._full(folder)
        try:
            with _only_os_errors():
                listed: list[Mapping[str, object]] = self._filesystem.ls(full, detail=True)
        except FileNotFoundError:
            return {}
        found: dict[str, str] = {}
        for child in listed:
            written = _written_at(child)
            name = str(child["name"]).rpartition("/")[2]
            if written is not None and not name.startswith("."):
                found[name] = f"{child.get('size')}-{written.timestamp():.6f}"
        return dict(sorted(found.items()))

    def last_written(self, folder: str) -> datetime | None:
        """When the youngest of a folder's files was written, half-written ones included.

        None when nobody knows: no files, a folder among them, or a filesystem that keeps no times.

        Raises:
            OSError: it could not be listed, a denied permission included.
        """
        try:
            with _only_os_errors():
                listed: list[Mapping[str, object]] = self._filesystem.ls(
                    self._full(folder), detail=True
                )
        except FileNotFoundError:
            return None
        instants: list[datetime] = []
        for child in listed:
            instant = _written_at(child)
            if instant is None:
                return None
            instants.append(instant)
        return max(instants, default=None)

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all it holds; absent is fine. Not atomic.

        Raises:
            OSError: something could not be removed.
        """
        children = self.names(path)
        for name in children:
            self.remove(f"{path}/{name}")
        if not children:
            with contextlib.suppress(FileNotFoundError), _only_os_errors():
                self._filesystem.rm_file(self._full(path))

    def _full(self, path: str) -> str:
        return f"{self._base}/{path}"

    def _create(self, full: str, data: bytes) -> None:
        with _only_os_errors():
            self._filesystem.pipe_file(full, data, mode="create")


@contextlib.contextmanager
def _only_os_errors() -> Generator[None]:
    """What a client raises of its own kind (botocore: no endpoint, no credentials) is an OSError too."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        msg = f"{type(error).__name__}: {error}"
        raise OSError(msg) from error


def written_at_s(version: str) -> float:
    """The epoch second in a text of ``versions``."""
    return float(version.rpartition("-")[2])


def _written_at(child: Mapping[str, object]) -> datetime | None:
    """A file's instant as the local disk, S3 or memory word it; None for a folder."""
    if child.get("type") != "file":
        return None
    for name in ("mtime", "LastModified", "created"):
        instant = child.get(name)
        if isinstance(instant, datetime):
            return instant
        if isinstance(instant, float):
            return datetime.fromtimestamp(instant, UTC)
    return None


class _MemoryStorage(Storage):
    """fsspec's memory filesystem, whose exclusive create is none between threads."""

    def _create(self, full: str, data: bytes) -> None:
        with _CREATING_IN_MEMORY:
            super()._create(full, data)


class Unwritten(Storage):
    """Another storage as it would be after what is written here, of which nothing reaches it.

    For looking ahead: what was written is kept in memory. Nothing can be removed.
    """

    def __init__(self, below: Storage) -> None:
        """Above a storage that others may write to meanwhile."""
        self.root = below.root
        self._below = below
        self._written: dict[str, bytes] = {}

    def read(self, path: str) -> bytes:
        """As ``Storage.read``."""
        written = self._written.get(path)
        return self._below.read(path) if written is None else written

    def write(self, path: str, data: bytes) -> None:
        """As ``Storage.write``, but that it is lost with this object."""
        self._written[path] = data

    def create(self, path: str, data: bytes) -> bool:
        """As ``Storage.create``, but that it is lost with this object."""
        try:
            return self.read(path) == data
        except FileNotFoundError:
            self.write(path, data)
            return True

    def names(self, folder: str) -> list[str]:
        """As ``Storage.names``."""
        prefix = f"{folder}/"
        inside = (path.removeprefix(prefix) for path in self._written if path.startswith(prefix))
        return sorted({*self._below.names(folder), *(path.split("/")[0] for path in inside)})

    def remove(self, path: str) -> None:
        """Refused: whoever looks ahead takes nothing away."""
        msg = f"{self.root}/{path} is only looked at, so it is not removed."
        raise PermissionError(msg)

    def versions(self, folder: str) -> dict[str, str]:
        """Of what lies below; what was written here has no instant."""
        return self._below.versions(folder)

    def last_written(self, folder: str) -> datetime | None:
        """Of what lies below; what was written here has no instant."""
        return self._below.last_written(folder)


class _LocalStorage(Storage):
    """The local disk, where a killed plain write leaves half a file."""

    def read(self, path: str) -> bytes:
        """As ``Storage.read``."""
        return Path(self._full(path)).read_bytes()

    def names(self, folder: str) -> list[str]:
        """As ``Storage.names``."""
        full = self._full(folder)
        try:
            found = os.listdir(full)
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            Path(full).stat()  # a file has no children; one on the way to the folder is an error
            return []
        return sorted(name for name in found if not name.startswith("."))

    def write(self, path: str, data: bytes) -> None:
        """As ``Storage.write``; on return the bytes are on the disk, not only in its cache."""
        target = self._full(path)
        with _written_beside(target, data) as temporary:
            os.replace(temporary, target)
        _sync_folder(_folder_of(target))

    def remove(self, path: str) -> None:
        """As ``Storage.remove``."""
        full = Path(self._full(path))
        try:
            shutil.rmtree(full)
        except FileNotFoundError:
            pass
        except NotADirectoryError:
            full.unlink(missing_ok=True)

    def _create(self, full: str, data: bytes) -> None:
        with _written_beside(full, data) as temporary:
            os.link(temporary, full)
            os.unlink(temporary)
        _sync_folder(_folder_of(full))


# Text and plain calls here: a ``Path`` and a buffered file cost a third of writing a receipt.


def _folder_of(file: str) -> str:
    return file.rpartition("/")[0] or "/"


@contextlib.contextmanager
def _written_beside(target: str, data: bytes) -> Generator[str]:
    """A synced temporary file in the target's folder, to be renamed or unlinked; gone if that fails."""
    folder = _folder_of(target)
    temporary = f"{folder}/.tmp-{secrets.token_hex(8)}"
    try:
        descriptor = os.open(temporary, _NEW_FILE, 0o666)
    except FileNotFoundError:
        _make_folder(Path(folder))
        descriptor = os.open(temporary, _NEW_FILE, 0o666)
    try:
        try:
            written = 0
            while written < len(data):  # a full disk writes what fits, and says so the next time
                written += os.write(descriptor, memoryview(data)[written:])
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield temporary
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def _make_folder(folder: Path) -> None:
    """Like ``mkdir -p``, with each new entry synced."""
    try:
        folder.mkdir()
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
    _sync_folder(str(folder.parent))


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
