"""Exports of a query history as a source of query logs: files of JSON lines or CSV, with fields mapped as columns are.

Where the files lie is told by ``warehouse.files``; what becomes of a row, by ``query_judging``.
"""

import codecs
import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from iomete_mc_assets.collectors.query_log_source import (
    ColumnMapping,
    Role,
    require,
    without_end,
)
from iomete_mc_assets.collectors.query_sources import Findings, Present, SourceHour, nothing_seen
from iomete_mc_assets.errors import HourFailed, LogDamaged, SettingsError
from iomete_mc_assets.records import Omission
from iomete_mc_assets.warehouse.files import LogFile, LogFiles
from iomete_mc_assets.warehouse.ordering import in_order
from iomete_mc_assets.warehouse.rows import Row
from iomete_mc_assets.windows import HourWindow

CLOCKS = timedelta(minutes=10)
"""How far the clocks of whoever exports and of the storage may be apart."""

_NAMES = re.compile(r".*\.(?P<form>ndjson|jsonl|json|csv)(?:\.(?:gz|zst|zstd))?", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_ZONED = re.compile(r"(?P<clock>.*\d) ?(?P<zone>[A-Za-z][A-Za-z_+\-/0-9]*|[+-]\d\d:?(?:\d\d)?)")
_TIMES: frozenset[Role] = frozenset({"start", "end", "duration_ms", "date"})
_LONGEST_FIELD = 2**31 - 1
"""Of CSV; Python's own limit is 128 KiB, and statements are longer."""

Fields = Mapping[str, object]


def _by_end(row: Row) -> tuple[int | str, ...]:
    """As a table's rows are ordered: lineage follows sessions from statement to statement."""
    times = [one if isinstance(one, int) else -1 for one in (row["ended_us"], row["started_us"])]
    return (*times, *(str(row.get(role) or "") for role in ("id", "user", "text")))


class QueryExports:
    """Exports in a folder, read hour by hour: every file that may hold the hour's queries, whole."""

    def __init__(self, files: LogFiles, mapping: ColumnMapping) -> None:
        """Nothing is asked yet."""
        self._files = files
        self._mapping = mapping

    @property
    def shown(self) -> str:
        """As ``QuerySource.shown``."""
        return f"the export folder {self._files.shown}"

    def present(self) -> Present:
        """As ``QueryFiles.present``."""
        found = [file for file in self._files.listed() if _NAMES.fullmatch(file.name)]
        written = [file.modified_at for file in found if file.modified_at is not None]
        return Present(count=len(found), youngest=max(written, default=None))

    def hour(self, window: HourWindow) -> SourceHour:
        """As ``QuerySource.hour``."""
        found = self._files.listed()
        reading = _Reading(self._files, window, self._mapping, self.shown)
        return SourceHour(rows=in_order(reading.rows(found), _by_end), findings=reading.findings)


@dataclass(slots=True)
class _Reading:
    """One hour while it is read.

    Attributes:
        bounds: earliest and latest end there is.
        unread: rows by why they could not be read.
    """

    files: LogFiles
    window: HourWindow
    mapping: ColumnMapping
    shown: str
    bounds: list[datetime] = field(default_factory=list[datetime])
    read: int = 0
    foreign: int = 0
    damaged: list[Omission] = field(default_factory=list[Omission])

    def rows(self, found: Sequence[LogFile]) -> Iterator[Row]:
        """What ended in the hour, file by file; rows without an end where they began in it."""
        for file in found:
            form = _NAMES.fullmatch(file.name)
            if form is None:
                self.foreign += 1
            elif file.modified_at and file.modified_at < self.window.start - CLOCKS:
                self._reach(file.modified_at)
            else:
                self.read += 1
                yield from self._rows_of(file, csv_form=form["form"].lower() == "csv")

    def _rows_of(self, file: LogFile, *, csv_form: bool) -> Iterator[Row]:
        export = _Export(f"{file.name} of {self.shown}", self.mapping)
        try:
            blocks = self.files.blocks(file.name)
            for fields in export.of_csv(blocks) if csv_form else export.of_json(blocks):
                row = export.row(fields)
                ended = cast("int | None", row["ended_us"])
                began = cast("int | None", row["started_us"])
                if ended is not None:
                    self._reach(_EPOCH + ended * _MICROSECOND)
                at = began if ended is None else ended
                if at is not None and self.window.holds(_EPOCH + at * _MICROSECOND):
                    yield row
            export.check()
        except LogDamaged as error:
            self._damaged(str(error))
        except FileNotFoundError as error:
            msg = f"Hour {self.window.key} of query_logs was not collected: {export.shown} went away while it was read. Collect the hour again."
            raise HourFailed(msg) from error
        if export.unread:
            self._damaged(
                f"{export.unread} rows of {export.shown} are no {'CSV' if csv_form else 'JSON objects'} of its form, or cut; held back"
            )

    def _damaged(self, reason: str) -> None:
        self.damaged.append(
            Omission(scope=self.shown, question="export", kind="unreadable", reason=reason)
        )

    def _reach(self, instant: datetime) -> None:
        known = (*self.bounds, instant)
        self.bounds[:] = min(known), max(known)

    def findings(self, seen: int) -> Findings:
        """What is known once everything was read."""
        counts = {"files read": self.read, "files that are no export": self.foreign}
        oldest, newest = self.bounds or (None, None)
        return Findings(
            shortfall=None
            if seen
            else nothing_seen(self.shown, self.window, oldest=oldest, newest=newest),
            counts={name: number for name, number in counts.items() if number},
            omissions=tuple(self.damaged),
        )


@dataclass(slots=True)
class _Export:
    """One file: its rows, with roles found by the names of their fields.

    Attributes:
        unread: rows that are none.
        ends: whether any row told its end.
        dates: whether any row told the date of its completion alone.
    """

    shown: str
    mapping: ColumnMapping
    unread: int = 0
    ends: bool = False
    dates: bool = False
    _known: dict[tuple[str, ...], dict[Role, str]] = field(
        default_factory=dict[tuple[str, ...], dict[Role, str]]
    )

    def of_json(self, blocks: Iterable[bytes]) -> Iterator[Fields]:
        """One object a line. A last line that is cut may still be written, and is left for later."""
        rest = b""
        for block in blocks:
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                if line.strip():
                    yield from self._object(line)
        if rest.strip() and rest.rstrip().endswith(b"}"):
            yield from self._object(rest)

    def _object(self, line: bytes) -> Iterator[Fields]:
        try:
            fields = orjson.loads(line)
        except ValueError:
            fields = None
        if isinstance(fields, dict):
            yield cast("Fields", fields)
        else:
            self.unread += 1

    def of_csv(self, blocks: Iterable[bytes]) -> Iterator[Fields]:
        """Its first row names the columns. A last row without a newline may be cut, and is held back."""
        csv.field_size_limit(_LONGEST_FIELD)
        lines = _Terminated(blocks)
        try:
            rows = csv.reader(lines, strict=True)
            names = next(rows, None)
            for values in rows:
                if names and len(values) == len(names):
                    yield dict(zip(names, values, strict=True))
                elif values:
                    self.unread += 1
        except (csv.Error, UnicodeDecodeError) as error:
            msg = f"{self.shown} is no CSV in UTF-8 ({error}). Its rows up to there are known."
            raise LogDamaged(msg) from error
        self.unread += lines.cut

    def row(self, fields: Fields) -> Row:
        """A row by roles."""
        names = tuple(fields)
        roles = self._known.get(names)
        if roles is None:
            roles = self._known[names] = self._roles(names)
        row: dict[str, object] = {
            role: _plain(fields[name]) for role, name in roles.items() if role not in _TIMES
        }
        if "rows" in row:
            row["rows"] = _whole(row["rows"])
        times: dict[Role, object] = {
            role: fields[name] for role, name in roles.items() if role in _TIMES
        }
        started = self._instant(times.get("start"), "start")
        row["started_us"] = None if started is None else (started - _EPOCH) // _MICROSECOND
        ended = None if started is None else self._ended(started, times)
        row["ended_us"] = None if ended is None else (ended - _EPOCH) // _MICROSECOND
        row["end_estimated"] = not {"end", "duration_ms"} & set(roles)
        return row

    def check(self) -> None:
        """Refuse a file none of whose rows told its end: it would read as an hour without queries."""
        if not self._known or self.ends:
            return
        names = sorted({name for names in self._known for name in names})
        columns: dict[Role, str] = {}
        for roles in self._known.values():
            columns |= roles
        require(columns, shown=self.shown, listed=", ".join(names))
        if self.dates and self.mapping.without_end == "refuse":
            raise without_end(self.shown)

    def _roles(self, names: Sequence[str]) -> dict[Role, str]:
        """JSON leaves out what is null, so what one row lacks another may have; text and start have all."""
        roles = self.mapping.roles(names)
        if not {"text", "start"} <= set(roles):
            require({**roles, "end": "any"}, shown=self.shown, listed=", ".join(names))
        self.ends = self.ends or bool({"end", "duration_ms"} & set(roles))
        self.dates = self.dates or "date" in roles
        return roles

    def _ended(self, started: datetime, times: Mapping[Role, object]) -> datetime | None:
        if "end" in times:
            return self._instant(times["end"], "end")
        if "duration_ms" in times:
            try:
                return started + float(str(times["duration_ms"])) * timedelta(milliseconds=1)
            except (ValueError, OverflowError):
                return None
        return None if "date" not in times else self._estimated(started, times["date"])

    def _estimated(self, started: datetime, said: object) -> datetime | None:
        """The start moved into the completion date, as a table's is."""
        try:
            day = date.fromisoformat(str(said)[:10])
        except ValueError:
            return None
        zone = ZoneInfo(self.mapping.timezone)
        begins = datetime.combine(day, time(), zone)
        ends = datetime.combine(day + timedelta(days=1), time(), zone)
        return max(started, begins).astimezone(UTC) if started < ends else None

    def _instant(self, said: object, role: str) -> datetime | None:
        if said is None or said == "":
            return None
        text = str(said).strip()
        if not isinstance(said, str) or _NUMBER.fullmatch(text):
            msg = (
                f"{self.shown} tells a query's {role} as {said!r}, a number whose unit nobody tells. Export it as text, "
                "such as 2026-11-21T05:00:00.123Z."
            )
            raise SettingsError(msg)
        return instant(text, self.mapping.timezone)


@dataclass(slots=True)
class _Terminated:
    """Decoded lines that end in a newline.

    Attributes:
        cut: 1 when something follows the last newline.
    """

    blocks: Iterable[bytes]
    cut: int = 0

    def __iter__(self) -> Iterator[str]:
        rest = ""
        for piece in codecs.iterdecode(self.blocks, "utf-8-sig"):
            *lines, rest = (rest + piece).split("\n")
            for line in lines:
                yield line + "\n"
        self.cut = int(bool(rest))


def instant(text: str, timezone: str) -> datetime | None:
    """A time as people write it, in UTC; without a zone of its own it is in ``timezone``; None for none."""
    zoned = _ZONED.fullmatch(text) if ":" in text else None
    try:
        if zoned is None:
            local = datetime.fromisoformat(text)
            return local.replace(tzinfo=ZoneInfo(timezone)).astimezone(UTC)
        zone = zoned["zone"]
        if zone[0] in "+-" or zone in {"Z", "z"}:
            return datetime.fromisoformat(zoned["clock"] + zone.upper()).astimezone(UTC)
        local = datetime.fromisoformat(zoned["clock"])
        return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    except (ValueError, OverflowError, ZoneInfoNotFoundError, OSError):
        return None


def _plain(value: object) -> object:
    """Objects and lists as JSON text."""
    return json.dumps(value) if isinstance(value, dict | list) else value


def _whole(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None
