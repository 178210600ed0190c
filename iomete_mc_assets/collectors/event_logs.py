"""Spark event logs as a source of query logs: which files belong to a server, and what ended in an hour.

An hour is read from where the hour before left off, where that is known; else whole, from the first file on. What the
lines mean is told in ``spark_events``.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from iomete_mc_assets.collectors.query_sources import (
    Findings,
    Present,
    Shortfall,
    SourceHour,
    nothing_seen,
)
from iomete_mc_assets.collectors.session_places import Place
from iomete_mc_assets.collectors.spark_events import (
    UNSTARTED,
    Kind,
    Lines,
    Server,
    instant_of,
)
from iomete_mc_assets.errors import HourFailed, LogDamaged
from iomete_mc_assets.manifests.model import JsonValue
from iomete_mc_assets.records import Omission
from iomete_mc_assets.warehouse.files import LogFile, LogFiles
from iomete_mc_assets.warehouse.rows import Row
from iomete_mc_assets.windows import HourWindow

STATE = "event_logs"
"""Under this name the header's ``collector_state`` holds how far each server's log was read."""
OVERLAP_MS = 60_000
"""Events of many threads come slightly out of order, so reading goes on this far beyond the hour's end."""
CLOCKS = timedelta(minutes=10)
"""How far the clocks of a driver and of its storage may be apart."""
SILENT = timedelta(hours=48)
"""A log that was not written to for so long is taken for that of a server that was killed, and is let go of."""

_ROLLING = "eventlog_v2_"
_IN_PROGRESS = ".inprogress"
_PACKED = re.compile(r"\.(?:gz|zstd?|lz4|lzf|snappy)$")
_EVENTS = re.compile(r"events_(\d+)_[^.]*(?:\.(?!compact$)\w+)?(\.compact)?")
_BEGINS = b'{"Event":"'
_PLAN: Kind = "OperationParsed"

Earlier = Callable[[HourWindow], Mapping[str, JsonValue] | None]
"""The ``collector_state`` of the newest known hour before this one; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The event log of one server (Spark says application).

    Attributes:
        name: the same whether it is running, packed or compacted.
        files: in the order they were written; keys say which is which, also after a rename.
        running: nobody has closed it: its server runs, or was killed.
    """

    name: str
    files: Mapping[str, LogFile]
    running: bool

    @property
    def modified_at(self) -> datetime | None:
        """When the youngest file was written; None where nobody knows."""
        instants = [file.modified_at for file in self.files.values()]
        known = [instant for instant in instants if instant is not None]
        return max(known) if len(known) == len(instants) else None


def logs(listed: Sequence[LogFile]) -> list[Log]:
    """The servers' logs among a folder's files, by name; a compacted file stands for all before it."""
    plain: dict[str, Log] = {}
    rolling: dict[str, list[LogFile]] = {}
    for file in listed:
        folder, _, name = file.name.rpartition("/")
        if folder:
            rolling.setdefault(folder, []).append(file)
            continue
        running = name.endswith(_IN_PROGRESS)
        stem = _PACKED.sub("", name.removesuffix(_IN_PROGRESS))
        if not running or stem not in plain:  # a rename in an object store shows both for a moment
            plain[stem] = Log(name=stem, files={"": file}, running=running)
    found = [*plain.values(), *(_rolling(folder, files) for folder, files in rolling.items())]
    return sorted((log for log in found if log.files), key=lambda log: log.name)


def _rolling(folder: str, files: Sequence[LogFile]) -> Log:
    """As Spark's own reader orders them: by number, a compacted file behind the plain one of its number."""
    numbered: list[tuple[int, bool, LogFile]] = []
    running = False
    for file in files:
        name = file.name.rpartition("/")[2]
        running = running or (name.startswith("appstatus_") and name.endswith(_IN_PROGRESS))
        if said := _EVENTS.fullmatch(name):
            numbered.append((int(said[1]), said[2] is not None, file))
    numbered.sort(key=lambda one: one[:2])
    last = max((place for place, one in enumerate(numbered) if one[1]), default=0)
    return Log(
        name=folder,
        files={f"{n}{'c' if compact else ''}": file for n, compact, file in numbered[last:]},
        running=running,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An operation that was open, by the lines that told of it: each its file's key and its beginning.

    Attributes:
        at: of its start.
        plan_at: of its plan; None where none was wanted or reached.
        place: its session's, then.
    """

    at: tuple[str, int]
    plan_at: tuple[str, int] | None
    place: Place

    def to_json(self) -> list[JsonValue]:
        """Flat, as there may be many."""
        return [*self.at, self.place.catalog, self.place.database, *(self.plan_at or ())]

    @staticmethod
    def from_json(said: Any) -> "Begun":
        """Raises TypeError or ValueError for what is none."""
        file, offset, catalog, database, *plan = said
        return Begun(
            at=(str(file), int(offset)),
            plan_at=(str(plan[0]), int(plan[1])) if plan else None,
            place=Place(catalog, database),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a log was read, and what was open there: only names and numbers, no statement.

    Attributes:
        file, offset: of the first line that was not read.
        oldest_ms, newest_ms: instants of the first and of the latest event before.
        sessions: by id.
        operations: the open ones, by id.
    """

    file: str
    offset: int
    oldest_ms: int
    newest_ms: int
    sessions: Mapping[str, Place]
    operations: Mapping[str, Begun]

    def to_json(self) -> dict[str, JsonValue]:
        """For the header."""
        return {
            "file": self.file,
            "offset": self.offset,
            "oldest_ms": self.oldest_ms,
            "newest_ms": self.newest_ms,
            "sessions": {one: [at.catalog, at.database] for one, at in self.sessions.items()},
            "operations": {one: begun.to_json() for one, begun in self.operations.items()},
        }

    @staticmethod
    def from_json(said: Any) -> "Position":
        """Raises KeyError, TypeError or ValueError for what is none."""
        return Position(
            file=str(said["file"]),
            offset=int(said["offset"]),
            oldest_ms=int(said["oldest_ms"]),
            newest_ms=int(said["newest_ms"]),
            sessions={one: Place(*at) for one, at in said["sessions"].items()},
            operations={one: Begun.from_json(at) for one, at in said["operations"].items()},
        )


class EventLogs:
    """The event logs of a folder, read hour by hour."""

    def __init__(
        self,
        files: LogFiles,
        *,
        earlier: Earlier,
        catalogs: Sequence[str] = (),
    ) -> None:
        """Nothing is asked yet.

        Args:
            files: the folder.
            earlier: where hours before left off.
            catalogs: known ones; a USE whose plan was not logged is understood with them.
        """
        self._files = files
        self._earlier = earlier
        self._catalogs = frozenset(name.casefold() for name in (*catalogs, "spark_catalog"))

    @property
    def shown(self) -> str:
        """As ``QuerySource.shown``."""
        return f"the event log folder {self._files.shown}"

    def present(self) -> Present:
        """As ``QueryFiles.present``."""
        found = logs(self._files.listed(folders=_ROLLING))
        written = [at for log in found if (at := log.modified_at) is not None]
        return Present(count=len(found), youngest=max(written, default=None))

    def hour(self, window: HourWindow) -> SourceHour:
        """As ``QuerySource.hour``."""
        found = logs(self._files.listed(folders=_ROLLING))
        reading = _Reading(self._files, window, self._catalogs, self.shown)
        positions = self._positions(window)
        return SourceHour(
            rows=reading.rows(found, positions),
            findings=lambda seen: reading.findings(found, seen),
        )

    def _positions(self, window: HourWindow) -> Mapping[str, Position]:
        """Those of this folder. What is none of them, a later version's for instance, is read whole again."""
        said = cast("Any", (self._earlier(window) or {}).get(STATE))
        try:
            if said["folder"] != self._files.shown:
                return {}
            return {name: Position.from_json(one) for name, one in said["logs"].items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            return {}


@dataclass(slots=True)
class _Reading:
    """One hour of a folder while it is read.

    Attributes:
        positions: for the next hour: where each log stood at this hour's end.
        older: when logs were last written to that nobody had to open.
        passed: logs that go on beyond the hour's end.
        unstarted: operations that ended in the hour and began where nobody can read.
        foreign: files that are no event logs.
    """

    files: LogFiles
    window: HourWindow
    catalogs: frozenset[str]
    shown: str
    positions: dict[str, Position] = field(default_factory=dict[str, Position])
    older: list[datetime] = field(default_factory=list[datetime])
    passed: set[str] = field(default_factory=set[str])
    damaged: list[Omission] = field(default_factory=list[Omission])
    unstarted: int = 0
    unread_lines: int = 0
    foreign: int = 0

    def rows(self, found: Sequence[Log], before: Mapping[str, Position]) -> Iterator[Row]:
        """What ended in the hour, log by log; a log that nobody wrote to since is not opened."""
        for log in found:
            position, modified_at = before.get(log.name), log.modified_at
            if modified_at is None or modified_at >= self.window.start - CLOCKS:
                yield from self._rows_of(log, position)
                continue
            self.older.append(modified_at)
            if position is not None and modified_at >= self.window.start - SILENT:
                self.positions[log.name] = position

    def _rows_of(self, log: Log, before: Position | None) -> Iterator[Row]:
        server = Server(self.catalogs)
        if before is not None and not self._restored(log, server, before):
            server, before = Server(self.catalogs), None
        course = _Course(server, before)
        keys = list(log.files)
        for key in keys[keys.index(before.file) if before else 0 :]:
            offset = before.offset if before and key == before.file else 0
            lines = self._lines(log.files[key], offset)
            try:
                yield from self._rows_among(lines, key, course)
            except LogDamaged as error:
                self.damaged.append(_damaged(self.shown, error))
            if course.over:
                break
            course.reached = (key, lines.end)
        self.unread_lines += server.unread_lines
        if course.mark is not None:
            self.passed.add(log.name)
        if (position := course.mark or course.position(*course.reached)) is not None:
            self.positions[log.name] = position

    def _rows_among(self, lines: Lines, key: str, course: "_Course") -> Iterator[Row]:
        """The part of the hour that is in one file."""
        server, begins, ends = course.server, self.window.start_ms, self.window.end_ms
        for line in lines:
            event = server.read(line) if server.concerns(line) else None
            if event is None:
                continue
            if line.kind == _PLAN:
                server.plan(event, (key, line.at))
                continue
            instant_ms = instant_of(line.kind, event)
            if instant_ms >= ends:
                course.mark = course.mark or course.position(key, line.at)
                if instant_ms >= ends + OVERLAP_MS:
                    course.over = True
                    return
            course.saw(instant_ms)
            row = server.take(line.kind, event, (key, line.at))
            if row is None or not begins <= instant_ms < ends:
                continue
            if row == UNSTARTED:
                self.unstarted += 1
            else:
                yield row

    def _restored(self, log: Log, server: Server, before: Position) -> bool:
        """Put back what was open; False where the files are no longer those: then all is read from the start."""
        starts = {begun.at: begun.place for begun in before.operations.values()}
        plans = {begun.plan_at for begun in before.operations.values() if begun.plan_at}
        wanted = {*starts, *plans}
        if not {before.file, *(key for key, _ in wanted)} <= set(log.files):
            return False
        server.sessions.update(before.sessions)
        for key, file in log.files.items():
            offsets = {offset for one, offset in wanted if one == key}
            if offsets and not self._restored_from(key, file, server, offsets, starts):
                return False
        return True

    def _restored_from(
        self,
        key: str,
        file: LogFile,
        server: Server,
        offsets: set[int],
        starts: Mapping[tuple[str, int], Place],
    ) -> bool:
        for line in self._lines(file, min(offsets)):
            at = (key, line.at)
            if line.at in offsets and line.kind == ("OperationStart" if at in starts else _PLAN):
                event = server.read(line)
                if event is None:
                    return False
                if at in starts:
                    server.start(event, at, place=starts[at])
                elif str(event["id"]) in server.operations:
                    server.plan(event, at)
                offsets.remove(line.at)
            if not offsets:
                return True
        return False

    def _lines(self, file: LogFile, offset: int) -> Lines:
        return Lines(self._blocks(file, offset), end=offset)

    def _blocks(self, file: LogFile, offset: int) -> Iterator[bytes]:
        """A log may lose its suffix, and a file be compacted away, after it was listed."""
        try:
            first, blocks = _opened(self.files, file.name, offset)
            if offset == 0 and first and not first.startswith(_BEGINS):
                self.foreign += 1
                return
            yield first
            yield from blocks
        except FileNotFoundError as error:
            msg = (
                f"Hour {self.window.key} of query_logs was not collected: {file.name} of {self.shown} went away while "
                "it was read, as happens when Spark compacts a log. Nothing is lost; collect the hour again."
            )
            raise HourFailed(msg) from error

    def findings(self, found: Sequence[Log], seen: int) -> Findings:
        """What is known once everything was read."""
        counts = {
            "logs read": len(found) - len(self.older),
            "files that are no event log": self.foreign,
            "lines not understood": self.unread_lines,
            "held back: began in no file that is there": self.unstarted,
        }
        omissions = list(self.damaged)
        if self.unstarted:
            reason = (
                f"{self.unstarted} statements ended that began in no file that is there; held back"
            )
            omissions.append(
                Omission(scope=self.shown, question="query start", kind="unknowable", reason=reason)
            )
        positions: dict[str, JsonValue] = {
            name: position.to_json() for name, position in self.positions.items()
        }
        return Findings(
            shortfall=self._shortfall(found, seen),
            counts={name: number for name, number in counts.items() if number},
            omissions=tuple(omissions),
            state={STATE: {"folder": self.files.shown, "logs": positions}},
        )

    def _shortfall(self, found: Sequence[Log], seen: int) -> Shortfall | None:
        for log in found:
            if log.running and not self.files.grows and self._lags(log):
                reason = (
                    f"{self.shown} has not come this far: {log.name} is still being written, and an object store "
                    "shows a file only when it is closed"
                )
                return Shortfall("partial", reason)
        if seen:
            return None
        positions = self.positions.values()
        newest = [*self.older, *(_instant(position.newest_ms) for position in positions)]
        if self.passed or (self.files.grows and any(log.running for log in found)):
            newest.append(self.window.end)  # what a running server has not logged has not happened
        oldest = [*self.older, *(_instant(position.oldest_ms) for position in positions)]
        return nothing_seen(
            self.shown,
            self.window,
            oldest=min(oldest, default=None),
            newest=max(newest, default=None),
        )

    def _lags(self, log: Log) -> bool:
        modified_at = log.modified_at
        silent = modified_at is not None and modified_at < self.window.end - SILENT
        return not silent and log.name not in self.passed


@dataclass(slots=True)
class _Course:
    """How far one log has been read.

    Attributes:
        before: where it began; None at the log's beginning.
        reached: the end of the last file.
        mark: at the hour's end, once an event beyond it was met.
        over: what follows is of later hours.
    """

    server: Server
    before: Position | None
    reached: tuple[str, int] = ("", 0)
    mark: Position | None = None
    over: bool = False
    _instants_ms: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Go on with the instants that were known."""
        if self.before is not None:
            self._instants_ms = self.before.oldest_ms, self.before.newest_ms

    def saw(self, instant_ms: int) -> None:
        """Note an event's instant."""
        oldest, newest = self._instants_ms or (instant_ms, instant_ms)
        self._instants_ms = oldest, max(newest, instant_ms)

    def position(self, key: str, offset: int) -> Position | None:
        """What the next hour has to know, were it to begin here; None where there was no event yet."""
        if self._instants_ms is None:
            return None
        oldest_ms, newest_ms = self._instants_ms
        return Position(
            file=key,
            offset=offset,
            oldest_ms=oldest_ms,
            newest_ms=newest_ms,
            sessions=dict(self.server.sessions),
            operations={
                one.id: Begun(at=one.at, plan_at=one.plan_at, place=one.place)
                for one in self.server.operations.values()
            },
        )


def _opened(files: LogFiles, name: str, offset: int) -> tuple[bytes, Iterator[bytes]]:
    """The file's first block, and the others."""
    try:
        blocks = files.blocks(name, skip=offset)
        return next(blocks, b""), blocks
    except FileNotFoundError:
        if not name.endswith(_IN_PROGRESS):
            raise
        return _opened(files, name.removesuffix(_IN_PROGRESS), offset)


def _damaged(shown: str, error: LogDamaged) -> Omission:
    return Omission(scope=shown, question="event log", kind="unreadable", reason=str(error))


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
