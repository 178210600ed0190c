"""Log files on disk and in a bucket: listed, and read from an offset, whatever they are packed with."""

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.errors import AccessDenied, LakehouseUnavailable, LogDamaged, SettingsError
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.warehouse.log_folder import BLOCK_BYTES, LogFolder
from iomete_mc_assets_tests.event_logs import PACKERS
from iomete_mc_assets_tests.object_store import ObjectStore

AT = datetime(2026, 11, 21, 5, tzinfo=UTC)


def read(folder: LogFolder, name: str, *, skip: int = 0) -> bytes:
    return b"".join(folder.blocks(name, skip=skip))


@given(st.binary(max_size=400), st.integers(0, 500), st.sampled_from(list(PACKERS)))
def test_a_file_is_read_unpacked_from_any_offset(data: bytes, skip: int, packed: str) -> None:
    data = b"{" + data
    with TemporaryDirectory() as place:
        (Path(place) / "a").write_bytes(PACKERS[packed](data))
        assert read(LogFolder(place), "a", skip=skip) == data[skip:]


@pytest.mark.parametrize("packed", PACKERS)
def test_a_large_file_comes_in_blocks(tmp_path: Path, packed: str) -> None:
    data = os.urandom(1000) * 5_000 + b"\n" + bytes(3_000_000)
    (tmp_path / "a").write_bytes(PACKERS[packed](data))
    blocks = list(LogFolder(str(tmp_path)).blocks("a", skip=10))
    assert b"".join(blocks) == data[10:]
    assert max(map(len, blocks)) <= BLOCK_BYTES + 1


def test_gzip_members_one_behind_the_other_are_one_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    assert read(LogFolder(str(tmp_path)), "a") == b"one\ntwo\n"


@pytest.mark.parametrize("packed", [".gz", ".zstd"])
def test_an_unfinished_end_is_left_out_and_what_was_before_comes(
    tmp_path: Path, packed: str
) -> None:
    lines = b"".join(b"%d %s\n" % (n, os.urandom(20).hex().encode()) for n in range(2000))
    whole = PACKERS[packed](lines)
    found = 0
    for cut in (1, 9, len(whole) // 2):
        (tmp_path / "a").write_bytes(whole[:-cut])
        said = read(LogFolder(str(tmp_path)), "a")
        assert lines.startswith(said)
        found = len(said)
    assert found > len(lines) // 3


def test_a_damaged_file_says_so_with_its_name(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(os.urandom(5000)))
    packed[2000:2100] = bytes(100)
    (tmp_path / "a.gz").write_bytes(packed)
    with pytest.raises(LogDamaged, match=r"log file a.gz of .* cannot be unpacked to its end"):
        read(LogFolder(str(tmp_path)), "a.gz")


def test_a_listing_has_the_folders_files_and_those_of_the_wanted_subfolders(
    tmp_path: Path,
) -> None:
    for name in ("b", "a", "wanted_1/y", "wanted_1/x", "other/z", ".hidden", "wanted_1/deep/w"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"{12")
        os.utime(tmp_path / name, (AT.timestamp(), AT.timestamp()))
    listed = LogFolder(str(tmp_path)).listed(folders="wanted_")
    assert [file.name for file in listed] == ["a", "b", "wanted_1/x", "wanted_1/y"]
    assert {(file.size, file.modified_at) for file in listed} == {(3, AT)}
    assert [file.name for file in LogFolder(str(tmp_path)).listed()] == ["a", "b"]


def test_a_folder_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(LakehouseUnavailable, match="is not there"):
        LogFolder(str(tmp_path / "nowhere")).listed()


def test_a_file_that_has_gone_is_told_from_one_that_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(LogFolder(str(tmp_path)), "a")
    (tmp_path / "a").mkdir()
    with pytest.raises(LakehouseUnavailable, match=r"log file a of .* cannot be read"):
        read(LogFolder(str(tmp_path)), "a")


def test_an_unknown_protocol_is_refused_when_the_folder_is_named() -> None:
    with pytest.raises(SettingsError, match="nosuch://x"):
        LogFolder("nosuch://x")


def test_a_bucket_is_listed_and_read_as_a_disk_is(s3_root: str) -> None:
    bucket = Storage.open(s3_root)
    data = b"{" + os.urandom(1000) * 2_000
    bucket.write("a", data)
    bucket.write("wanted_1/x", PACKERS[".zstd"](data))
    folder = LogFolder(s3_root)
    assert not folder.grows
    assert [file.name for file in folder.listed(folders="wanted_")] == ["a", "wanted_1/x"]
    assert read(folder, "a", skip=77) == data[77:]
    assert read(folder, "wanted_1/x", skip=77) == data[77:]
    bucket.write("b", b"new")
    assert "b" in {file.name for file in folder.listed()}


def test_a_bucket_that_denies_is_no_empty_folder(s3_root: str, object_store: ObjectStore) -> None:
    Storage.open(s3_root).write("a", b"{}")
    object_store.denying = True
    try:
        with pytest.raises(AccessDenied, match="cannot be listed"):
            LogFolder(s3_root).listed()
        with pytest.raises(AccessDenied, match="cannot be read"):
            read(LogFolder(s3_root), "a")
    finally:
        object_store.denying = False
    with pytest.raises(LakehouseUnavailable, match="is not there"):
        LogFolder(f"{s3_root}-elsewhere").listed()
