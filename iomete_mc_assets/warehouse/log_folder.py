"""Log files in a folder or below any fsspec address: listed, and read from an offset, unpacked.

What is in them is told by the collectors; nothing here is written, retried or remembered.
"""

import contextlib
import io
import zlib
from collections.abc import Generator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO, Protocol, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from iomete_mc_assets.errors import (
    AccessDenied,
    LakehouseError,
    LakehouseUnavailable,
    LogDamaged,
    SettingsError,
)
from iomete_mc_assets.warehouse.files import LogFile

BLOCK_BYTES = 1 << 20
REMOTE_BLOCK_BYTES = 8 << 20
"""Of one request to an object store: a request takes tens of milliseconds, whatever its size."""
_GZIP_WBITS = 31
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_UNREAD = {b"LZ4B": "lz4", b"\x82SNA": "snappy", b"ZV\x00\x00": "lzf", b"ZV\x01\x00": "lzf"}
"""Spark's other codecs by the beginning of their streams."""


class Filesystem(Protocol):
    """What is used of fsspec, which ships no types; see ``manifests.storage`` on what is not."""

    def ls(self, path: str, detail: bool = True) -> list[dict[str, Any]]:  # noqa: FBT001, FBT002 - fsspec's
        """A folder's children, or the file itself."""
        ...

    def open(self, path: str, mode: str = "rb", **options: object) -> BinaryIO:
        """A file that seeks."""
        ...

    def unstrip_protocol(self, name: str) -> str:
        """The full address of a path; asks nobody."""
        ...


class LogFolder:
    """The files of one folder."""

    def __init__(self, address: str) -> None:
        """Nothing is asked yet.

        Args:
            address: a local folder or an fsspec address; one file is a folder of its own.

        Raises:
            SettingsError: no such protocol, or its client is not installed.
        """
        try:
            filesystem, base = cast(
                "tuple[object, str]",
                fsspec.url_to_fs(address, use_listings_cache=False),  # pyright: ignore[reportUnknownMemberType] - no types
            )
        except (ValueError, ImportError) as error:
            msg = f"The log folder {address!r} cannot be opened: {error}. Name a folder or an fsspec address and install the client it needs."
            raise SettingsError(msg) from error
        self._filesystem = cast("Filesystem", filesystem)
        self._local = isinstance(filesystem, LocalFileSystem)
        self._base = base.rstrip("/")
        self._paths: dict[str, str] = {}
        self.shown = base if self._local else self._filesystem.unstrip_protocol(base)
        self.grows = self._local

    def listed(self, *, folders: str | None = None) -> Sequence[LogFile]:
        """As ``LogFiles.listed``."""
        found: list[LogFile] = []
        for child in self._children(self._base):
            name = str(child["name"]).rstrip("/").rpartition("/")[2]
            if child["type"] != "directory":
                found.append(self._file(child, name))
            elif folders is not None and name.startswith(folders):
                found += [
                    self._file(file, f"{name}/{str(file['name']).rpartition('/')[2]}")
                    for file in self._children(str(child["name"]))
                    if file["type"] != "directory"
                ]
        return sorted(found, key=lambda file: file.name)

    def blocks(self, name: str, *, skip: int = 0) -> Iterator[bytes]:
        """As ``LogFiles.blocks``."""
        with self._translated(f"The log file {name} of {self.shown} cannot be read"):
            options = {} if self._local else {"block_size": REMOTE_BLOCK_BYTES}
            path = self._paths.get(name, f"{self._base}/{name}")
            with self._filesystem.open(path, "rb", **options) as file:
                yield from _unpacked(file, skip, f"The log file {name} of {self.shown}")

    def _children(self, path: str) -> Sequence[dict[str, Any]]:
        """Hidden ones and, of an object store's folder, its own empty marker left out."""
        try:
            with self._translated(f"The log folder {self.shown} cannot be listed"):
                children = self._filesystem.ls(path, detail=True)
        except FileNotFoundError as error:
            msg = f"The log folder {self.shown} is not there ({error}). Check the setting that names it, and the rights."
            raise LakehouseUnavailable(msg) from error
        named = [(child, str(child["name"]).rstrip("/")) for child in children]
        return [
            child
            for child, name in named
            if name.strip("/") != path.strip("/") or (child["type"] == "file" and child["size"])
            if not name.rpartition("/")[2].startswith(".")
        ]

    def _file(self, child: dict[str, Any], name: str) -> LogFile:
        self._paths[name] = str(child["name"])
        return LogFile(name=name, size=int(child["size"] or 0), modified_at=_modified_at(child))

    @contextlib.contextmanager
    def _translated(self, what: str) -> Generator[None]:
        """A filesystem's errors in our words; clients raise some of their own kind (no credentials)."""
        try:
            yield
        except (LakehouseError, FileNotFoundError, GeneratorExit):
            raise
        except PermissionError as error:
            msg = f"{what}: {error}. Grant the right to list and to read it."
            raise AccessDenied(msg) from error
        except Exception as error:
            msg = f"{what}: {type(error).__name__}: {error}. Look whether its storage answers, and whether the credentials are those it wants."
            raise LakehouseUnavailable(msg) from error


def _modified_at(child: dict[str, Any]) -> datetime | None:
    for key in ("mtime", "LastModified", "created"):
        instant = child.get(key)
        if isinstance(instant, datetime):
            return instant
        if isinstance(instant, float):
            return datetime.fromtimestamp(instant, UTC)
    return None


def _unpacked(file: BinaryIO, skip: int, what: str) -> Iterator[bytes]:
    """The first bytes tell how a file is packed; names do not always."""
    magic = file.read(4)
    if magic[:2] == _GZIP:
        return _behind(skip, _gunzipped(_rest(file, magic), what))
    if magic == _ZSTD:
        file.seek(0)
        return _behind(skip, _unzstd(file, what))
    if magic in _UNREAD:
        msg = f"{what} is packed with {_UNREAD[magic]}, which is not read here. Set spark.eventLog.compression.codec to zstd, or unpack it."
        raise LogDamaged(msg)
    file.seek(skip)
    return _rest(file, b"")


def _rest(file: BinaryIO, begun: bytes) -> Iterator[bytes]:
    if begun:
        yield begun
    while block := file.read(BLOCK_BYTES):
        yield block


def _behind(skip: int, blocks: Iterator[bytes]) -> Iterator[bytes]:
    for block in blocks:
        if skip < len(block):
            yield block[skip:]
            skip = 0
        else:
            skip -= len(block)


def _gunzipped(packed: Iterator[bytes], what: str) -> Iterator[bytes]:
    """Members one behind the other; the last may be unfinished."""
    member = zlib.decompressobj(_GZIP_WBITS)
    try:
        for block in packed:
            left = block
            while left:
                if member.eof:
                    member = zlib.decompressobj(_GZIP_WBITS)
                unpacked = member.decompress(left, BLOCK_BYTES)
                if unpacked:
                    yield unpacked
                left = member.unused_data if member.eof else member.unconsumed_tail
    except zlib.error as error:
        raise LogDamaged(_damaged(what, error)) from error


def _unzstd(file: BinaryIO, what: str) -> Iterator[bytes]:
    """Spark closes a frame with each event it writes, so there are many; the last may be unfinished."""
    import zstandard  # noqa: PLC0415 - 12 MB of machine code, for packed logs only

    reader = zstandard.ZstdDecompressor().stream_reader(
        cast("io.BufferedReader", file), read_across_frames=True, closefd=False
    )
    try:
        while block := reader.read(BLOCK_BYTES):
            yield block
    except zstandard.ZstdError as error:
        raise LogDamaged(_damaged(what, error)) from error


def _damaged(what: str, error: Exception) -> str:
    return f"{what} cannot be unpacked to its end ({error}). Restore the file and collect the hours it is of again."
