"""Spark's recorded event log in every layout Spark gives it: moved in time, cut, packed, rolled, compacted."""

import gzip
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import zstandard

RECORDED = Path(__file__).parent / "goldens" / "event_logs"
"""``local-1.inprogress`` while a statement ran, ``local-1`` after the server's end."""

_INSTANT = re.compile(rb'"((?:start|finish|close)Time|Timestamp|time)":(\d{13})\b')
_KIND = re.compile(rb'\{"Event":"[\w.]*?(?:ThriftServer|SparkListener)?(\w+)"')


def recorded(*, running: bool = False) -> list[bytes]:
    """The recorded lines, each with its newline."""
    name = "local-1.inprogress" if running else "local-1"
    return (RECORDED / name).read_bytes().splitlines(keepends=True)


def moved(lines: Sequence[bytes], instant: Callable[[int], int]) -> list[bytes]:
    """The lines with every instant (milliseconds since the epoch) replaced."""

    def new(found: re.Match[bytes]) -> bytes:
        return b'"%s":%d' % (found[1], instant(int(found[2])))

    return [_INSTANT.sub(new, line) for line in lines]


def instant_of(line: bytes) -> int | None:
    """When the line's event happened; None for one without an instant of its own."""
    if b"thriftserver" not in line[:80] and b"ListenerApplication" not in line[:40]:
        return None
    found = [said for _, said in _INSTANT.findall(line)]
    return int(found[-1]) if found else None


def zstd(data: bytes) -> bytes:
    """As Spark packs it: a frame for each flush, and it flushes after each event."""
    packer = zstandard.ZstdCompressor(level=1)
    return b"".join(packer.compress(line) for line in data.splitlines(keepends=True))


PACKERS: Mapping[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".zstd": zstd,
}
"""By the suffix of the file's name."""


def write_plain(
    folder: Path, lines: Sequence[bytes], *, name: str = "app-1", packed: str = "", running: bool
) -> Path:
    """One file; a running server's has the suffix ``.inprogress``."""
    folder.mkdir(parents=True, exist_ok=True)
    closed, opened = folder / f"{name}{packed}", folder / f"{name}{packed}.inprogress"
    (closed if running else opened).unlink(missing_ok=True)
    file = opened if running else closed
    file.write_bytes(PACKERS[packed](b"".join(lines)))
    return file


def write_rolling(
    folder: Path,
    files: Sequence[Sequence[bytes]],
    *,
    name: str = "app-1",
    packed: str = "",
    running: bool,
    compacted: int = 0,
) -> Path:
    """Files by number; the first ``compacted`` of them are one, as Spark's history server leaves it."""
    log = folder / f"eventlog_v2_{name}"
    log.mkdir(parents=True, exist_ok=True)
    for old in log.iterdir():
        old.unlink()
    (log / f"appstatus_{name}{'.inprogress' if running else ''}").touch()
    whole = [line for file in files[:compacted] for line in file]
    if compacted:
        (log / f"events_{compacted}_{name}{packed}.compact").write_bytes(
            PACKERS[packed](b"".join(whole))
        )
    for number, lines in enumerate(files[compacted:], start=compacted + 1):
        (log / f"events_{number}_{name}{packed}").write_bytes(PACKERS[packed](b"".join(lines)))
    return log
