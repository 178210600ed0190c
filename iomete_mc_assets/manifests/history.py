"""`history/<flow>.json`: what was usual lately, small enough for a check to read; how that is judged lives in ``operations.usual``.

A view made from manifests as hours come, never an input of a collector or a push: losing it, checks learn anew.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from iomete_mc_assets.manifests.codec import JsonFile
from iomete_mc_assets.manifests.model import Flow, Header
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.records import Observation, Record, TableId
from iomete_mc_assets.windows import HourWindow

RecordsOf = Callable[[Header], Iterable[Record]]
KEPT_HOURS = timedelta(days=15)
KEPT_DAYS = 14
MAX_TABLES = 2_000
"""The first by name; at 14 days of change each the file has about 3 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How many records an hour had: queries, tables."""

    hour: HourWindow
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A UTC day on which a table was other than before.

    Attributes:
        day: its first hour.
        least, most: rows; None where they were never known in it.
        changes: how often its data was seen to have changed.
        longest_gap_s: between two changes of which the later was in this day; None without.
    """

    day: HourWindow
    least: int | None = None
    most: int | None = None
    changes: int = 0
    longest_gap_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableHistory:
    """One table.

    Attributes:
        since: the first hour that it is known from.
        row_count, last_data_change: as last known.
        days: the newest 14 on which it changed, oldest first.
    """

    table: TableId
    since: HourWindow
    row_count: int | None
    last_data_change: datetime | None
    days: tuple[Day, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is known of one flow.

    Attributes:
        through: the newest hour in ``tables``; None before the first.
        hours: of the last 15 days, oldest first; only those that had come to rest.
        tables: by name; observations only.
    """

    format: int = 1
    through: HourWindow | None = None
    hours: tuple[Sample, ...] = ()
    tables: tuple[TableHistory, ...] = ()

    def with_hour(self, window: HourWindow, records: int) -> "History":
        """With an hour's number of records, which may be a newer reading of the same hour."""
        samples = {one.hour: one for one in self.hours}
        samples[window] = Sample(hour=window, records=records)
        oldest = max(samples).start - KEPT_HOURS
        kept = sorted((one for one in samples.values() if one.hour.start >= oldest), key=_hour)
        return replace(self, hours=tuple(kept))

    def with_observations(
        self, window: HourWindow, observations: Iterable[Observation]
    ) -> "History":
        """With the tables of a newer hour. One that is no longer there is forgotten."""
        known = {one.table.folded: one for one in self.tables}
        seen = sorted(observations, key=lambda one: one.table)[:MAX_TABLES]
        tables = (_grown(known.get(one.table.folded), one, window) for one in seen)
        return replace(self, through=window, tables=tuple(one for one in tables if one))


def _hour(sample: Sample) -> HourWindow:
    return sample.hour


def _grown(
    before: TableHistory | None, seen: Observation, window: HourWindow
) -> TableHistory | None:
    """What was carried from an earlier hour says nothing new."""
    if seen.carried_from is not None:
        return before
    if before is None:
        known = _stretched(Day(day=_day(window)), seen.row_count)
        return TableHistory(
            table=seen.table,
            since=window,
            row_count=seen.row_count,
            last_data_change=seen.last_data_change,
            days=(known,),
        )
    rows = before.row_count if seen.row_count is None else seen.row_count
    changed_at = seen.last_data_change or before.last_data_change
    if (rows, changed_at) == (before.row_count, before.last_data_change):
        return before
    *earlier, last = before.days
    if last.day != _day(window):
        earlier, last = [*earlier, last], Day(day=_day(window))
    day = _stretched(_changed(last, before.last_data_change, changed_at), rows)
    return replace(
        before,
        row_count=rows,
        last_data_change=changed_at,
        days=(*earlier, day)[-KEPT_DAYS:],
    )


def _day(window: HourWindow) -> HourWindow:
    return HourWindow(window.start.replace(hour=0))


def _stretched(day: Day, rows: int | None) -> Day:
    if rows is None:
        return day
    return replace(
        day,
        least=rows if day.least is None else min(day.least, rows),
        most=rows if day.most is None else max(day.most, rows),
    )


def _changed(day: Day, before: datetime | None, at: datetime | None) -> Day:
    if at is None or at == before:
        return day
    gap = None if before is None else round((at - before).total_seconds())
    longest = max((one for one in (day.longest_gap_s, gap) if one is not None), default=None)
    return replace(day, changes=day.changes + 1, longest_gap_s=longest)


_FILE = JsonFile(History, version_field="format")


def read_history(storage: Storage, flow: Flow) -> History:
    """What is known; nothing where none was written yet.

    Raises:
        ManifestDamaged, UnknownSchemaVersion: it is not what this version writes.
        OSError: the storage does not answer.
    """
    try:
        data = storage.read(_path(flow))
    except FileNotFoundError:
        return History()
    return _FILE.decode(data, where=f"{storage.root}/{_path(flow)}")


def remember(storage: Storage, flow: Flow, headers: Iterable[Header], records: RecordsOf) -> None:
    """Take newly written manifests in; of two writers at once the later one stays, and an hour is missing.

    Tables learn from hours that are newer than the newest they have, so a backfill teaches them nothing.

    Raises:
        IometeMcError, OSError: the history or a manifest cannot be read or written.
    """
    before = history = read_history(storage, flow)
    for header in sorted(headers, key=lambda one: one.window):
        if not _at_rest(header):
            continue
        history = history.with_hour(header.window, header.records)
        newer = history.through is None or header.window > history.through
        if flow == "observations" and newer:
            seen = (one for one in records(header) if isinstance(one, Observation))
            history = history.with_observations(header.window, seen)
    if history != before:
        storage.write(_path(flow), _FILE.encode(history))


def _at_rest(header: Header) -> bool:
    """Known, and not collected before its source had come this far."""
    return header.known and (header.state == "complete" or header.omissions.total > 0)


def _path(flow: Flow) -> str:
    return f"history/{flow}.json"
