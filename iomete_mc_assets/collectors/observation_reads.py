"""Which tables' histories a range of hours needs, read once for all of them. What an hour says is ``observations``."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from iomete_mc_assets.collectors.exclusions import Exclusion, Exclusions
from iomete_mc_assets.collectors.history import (
    History,
    MetadataLog,
    Seen,
    files_in_doubt,
    in_doubt,
    is_first_metadata_file,
    last_data_change,
    missing_ancestor,
    place_at,
    with_gaps,
)
from iomete_mc_assets.collectors.history_reading import NO_SNAPSHOT, Failed, Gone, HistoryReader
from iomete_mc_assets.collectors.observation_memory import Memory, Remembered, shown
from iomete_mc_assets.records import Observation, Omission, SurveyedState, TableEntry, TableId
from iomete_mc_assets.warehouse.statements import HistoryRead
from iomete_mc_assets.windows import HOUR, HourWindow

LOOK_BACK = timedelta(hours=25)
"""How far before the first hour, or before its newest commit if that is older, a table is read at first of which
nothing is trusted: a nightly load is in it, also behind a compaction. See decision 0042."""
CLOCK_SKEW = timedelta(minutes=1)
"""By so much Iceberg lets a commit be stamped earlier than the one before it (``TableMetadata``), as writers' clocks differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogInput:
    """Which tables there are.

    Attributes:
        manifest_id: of the catalog's manifest; None for a survey of our own.
        window: that manifest's hour; None for a survey of our own.
        collected_at: when the catalogs were listed.
        omissions: what the listing could not tell.
        listed: catalogs that were listed; empty where those are the configured ones.
        excluded: why entries were left out afterwards, one each.
    """

    manifest_id: str | None
    window: HourWindow | None
    collected_at: datetime
    entries: tuple[TableEntry, ...]
    omissions: tuple[Omission, ...] = ()
    listed: tuple[str, ...] = ()
    excluded: tuple[Exclusion, ...] = ()

    @property
    def iceberg(self) -> Iterator[TableEntry]:
        """The tables that can be observed."""
        return (entry for entry in self.entries if entry.format == "iceberg" and entry.state)

    def within(self, scope: Exclusions) -> "CatalogInput":
        """The same under the settings of today, which may name other catalogs than those of its day."""
        kinds = {entry.table: scope.of_table(entry.table) for entry in self.entries}
        omissions = [one for one in self.omissions if scope.has_catalog(one.scope.split(".")[0])]
        listed = Exclusions(catalogs=self.listed)
        for catalog in scope.catalogs:
            if not listed.has_catalog(catalog):
                reason = "the catalog of that hour was listed before IOMETE_CATALOGS named it"
                omissions.append(
                    Omission(
                        scope=catalog, question="list tables", kind="unknowable", reason=reason
                    )
                )
        return replace(
            self,
            entries=tuple(entry for entry in self.entries if kinds[entry.table] is None),
            omissions=tuple(omissions),
            excluded=tuple(kind for kind in kinds.values() if kind is not None),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read for a range of hours.

    Attributes:
        histories: every table that some hour could not be told of without.
        logs: of those of them whose rows do not tell some hour.
        newest: each table as the newest of the range's catalogs lists it.
    """

    histories: Mapping[TableId, History | Failed | Gone]
    logs: Mapping[TableId, MetadataLog | Failed | Gone]
    newest: Mapping[TableId, TableEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Need:
    """What is known of a table that has to be read.

    Attributes:
        known: the newest earlier observation; None without one.
        trusted: the same; None also for an hour that trusts none.
    """

    known: Observation | None
    trusted: Observation | None


def without_reading(
    entry: TableEntry,
    before: Remembered | None,
    *,
    listed_at: datetime,
    instant: datetime,
    sweeping: bool = False,
) -> Observation | None:
    """The state just before ``instant`` where the survey alone tells it; None where the table must be read.

    It does where nothing was committed since an earlier observation that saw the newest state, and where
    nothing was done to the table but to create it. Only a listing made after the instant can show either.

    Args:
        entry: as listed.
        before: the state known before the run's first hour.
        listed_at: when it was listed.
        instant: the hour's end.
        sweeping: whether no earlier observation is to be trusted.
    """
    state = entry.state
    if state is None or listed_at < instant:
        return None
    if before is not None and not sweeping and _unchanged(entry, before.observation):
        return replace(before.observation, table=entry.table, uuid=state.uuid, carried_from=None)
    if _only_created(state) and state.created_at is not None and state.created_at < instant:
        return Observation(
            table=entry.table,
            uuid=state.uuid,
            row_count=0,
            exact_deletes=True,
            metadata_location=state.metadata_location,
        )
    return None


def _only_created(state: SurveyedState) -> bool:
    """A count of 0 alone may be what a replacement and an expiry left of a table that had data."""
    location = state.metadata_location
    return state.snapshot_count == 0 and location is not None and is_first_metadata_file(location)


def _unchanged(entry: TableEntry, before: Observation) -> bool:
    """Rule 4 of the ledger: the same metadata file, and its snapshot was the one observed.

    A v2 catalog shows no metadata file, and Spark hides a location that mentions a token or url; there the
    snapshot ids alone decide, which misses a write that was rolled back between two listings.
    """
    state = entry.state
    if state is None or before.surveyed_snapshot_id is None:
        return False
    observed = NO_SNAPSHOT if before.snapshot_id is None else before.snapshot_id
    same_snapshot = observed == before.surveyed_snapshot_id == snapshot_shown(state)
    return same_snapshot and state.metadata_location == before.metadata_location


def snapshot_shown(state: SurveyedState) -> int:
    """The current snapshot of a listing; also the absence of one is something that the next hour can lean on."""
    return NO_SNAPSHOT if state.snapshot_id is None else state.snapshot_id


def sweeps(
    windows: Sequence[HourWindow], *, swept: HourWindow | None, every_hours: int
) -> dict[HourWindow, HourWindow]:
    """For each hour the newest hour at or before it that trusts nothing known; that hour itself is among them.

    Args:
        windows: oldest first.
        swept: the newest such hour before them; None where it is not known.
        every_hours: from one to the next, at least 1.
    """
    newest: dict[HourWindow, HourWindow] = {}
    for window in windows:
        if swept is None or window.start - swept.start >= every_hours * HOUR:
            swept = window
        newest[window] = swept
    return newest


def read(
    reader: HistoryReader,
    catalogs: Mapping[HourWindow, CatalogInput],
    memory: Memory,
    *,
    sweeping: Collection[HourWindow] = (),
) -> Reading:
    """What the hours need, each table once.

    Args:
        reader: asks.
        catalogs: the hours (at least one, closed), oldest first, with their catalogs.
        memory: the states known before the first of them.
        sweeping: the hours that trust none of these.

    Raises:
        LakehouseError: the lakehouse cannot be asked any more.
    """
    hours = sorted(catalogs)
    ends = [hour.end for hour in hours]
    newest = {entry.table: entry for hour in hours for entry in catalogs[hour].iceberg}
    needed = _needed(catalogs, memory, sweeping)
    histories = _histories(reader, newest, needed, ends)
    current = _shown_after(catalogs, max(ends))
    logs = reader.logs(
        [
            table
            for table, history in histories.items()
            if isinstance(history, History)
            and (
                any(place_at(history, end) is None for end in ends)
                or in_doubt(history, ends, current=current.get(table))
            )
        ]
    )
    listed = shown(catalogs[hours[0]].entries)
    seen = {table: _seen(memory, newest[table], listed) for table in logs}
    for table in [*logs]:
        _settle(histories, logs, table, seen[table])
    files = {
        table: files_in_doubt(history, log, ends)
        for table, log in logs.items()
        if isinstance(history := histories[table], History) and isinstance(log, MetadataLog)
    }
    data = reader.have_data(sorted({file for some in files.values() for file in some}))
    for table, some in files.items():
        log = logs[table]
        if some and isinstance(log, MetadataLog):
            failed = [why.reason for file in some if isinstance(why := data[file], Failed)]
            logs[table] = log.having(
                {file: has for file in some if isinstance(has := data[file], bool)},
                unreadable=failed[-1] if failed else None,
            )
            _settle(histories, logs, table, seen[table])
    return Reading(histories=histories, logs=logs, newest=newest)


def _histories(
    reader: HistoryReader,
    newest: Mapping[TableId, TableEntry],
    needed: Mapping[TableId, _Need],
    ends: Sequence[datetime],
) -> dict[TableId, History | Failed | Gone]:
    """Bounded at first, then whole where the rows tell too little, or older snapshots alone where those do."""
    reads = [_first_read(newest[table], need, ends) for table, need in needed.items()]
    histories = reader.histories(reads)
    bounds = {one.table: one.since for one in reads if one.since is not None}
    again = [
        replace(one, since=None)
        for one in reads
        if one.table in bounds
        and _rows_tell_too_little(histories[one.table], needed[one.table], ends)
    ]
    histories.update(reader.histories(again))
    for one in again:
        del bounds[one.table]
    lacking = {
        table: history
        for table in bounds
        if isinstance(history := histories[table], History)
        and _lacks_ancestors(history, needed[table], ends)
    }
    histories.update(reader.with_older_snapshots(lacking, bounds))
    return histories


def _settle(
    histories: dict[TableId, History | Failed | Gone],
    logs: Mapping[TableId, MetadataLog | Failed | Gone],
    table: TableId,
    seen: Seen | None,
) -> None:
    """Let a table's history know what its metadata files say."""
    history, log = histories[table], logs[table]
    if isinstance(history, History):
        histories[table] = (
            with_gaps(history, log, seen=seen) if isinstance(log, MetadataLog) else log
        )


def _shown_after(
    catalogs: Mapping[HourWindow, CatalogInput], instant: datetime
) -> dict[TableId, int | None]:
    """The snapshot each table showed when it was listed after the instant."""
    return {
        entry.table: entry.state.snapshot_id
        for catalog in catalogs.values()
        if catalog.collected_at >= instant
        for entry in catalog.iceberg
        if entry.state is not None
    }


def _seen(memory: Memory, entry: TableEntry, listed: Mapping[TableId, str | None]) -> Seen | None:
    """The row that the newest known observation saw, also for a sweep: nothing else tells of such an hour."""
    before = memory.of_table(entry, listed=listed)
    if before is None or before.until is None:
        return None
    snapshot_id, at = before.observation.snapshot_id, before.observation.state_at
    if snapshot_id is None or at is None:
        return None
    return Seen(snapshot_id=snapshot_id, at=at, until=before.until)


def _needed(
    catalogs: Mapping[HourWindow, CatalogInput], memory: Memory, sweeping: Collection[HourWindow]
) -> dict[TableId, _Need]:
    """Tables that some hour cannot be told of without reading, and what is known of them."""
    needed: dict[TableId, _Need] = {}
    for hour, catalog in catalogs.items():
        listed = shown(catalog.entries)
        for entry in catalog.iceberg:
            before = memory.of_table(entry, listed=listed)
            told = without_reading(
                entry,
                before,
                listed_at=catalog.collected_at,
                instant=hour.end,
                sweeping=hour in sweeping,
            )
            if told is None:
                known = None if before is None else before.observation
                trusted = None if hour in sweeping else known
                if entry.table in needed and needed[entry.table].trusted is None:
                    trusted = None
                needed[entry.table] = _Need(known=known, trusted=trusted)
    return needed


def _first_read(entry: TableEntry, need: _Need, ends: Sequence[datetime]) -> HistoryRead:
    """From the state observed last; without one a bounded look back."""
    if need.trusted is not None:
        state_at = need.trusted.state_at
        since = None if state_at is None else state_at - CLOCK_SKEW
    else:
        written_at = None if entry.state is None else entry.state.snapshot_at
        newest = min(ends) if written_at is None else min(*ends, written_at)
        since = newest - LOOK_BACK
    return HistoryRead(table=entry.table, since=since, before=max(ends))


def _rows_tell_too_little(
    history: History | Failed | Gone, need: _Need, ends: Sequence[datetime]
) -> bool:
    """Whether older rows could answer what these do not."""
    if not isinstance(history, History):
        return False
    places = {place_at(history, end) for end in ends}
    return any(
        place
        is None  # also of a known table: its name may be another's by now, or its metadata restored
        or last_data_change(history, place, earlier=need.trusted) is None
        for place in places
    )


def _lacks_ancestors(history: History, need: _Need, ends: Sequence[datetime]) -> bool:
    """Whether older snapshots could tell what is known neither from these nor from any earlier hour.

    What a snapshot's ancestors did never changes, so there a sweep too takes an earlier hour's word.
    """
    places = {place_at(history, end) for end in ends} - {None}
    return any(
        missing_ancestor(history.snapshots, history.rows[place].snapshot_id, earlier=need.known)
        for place in places
        if place is not None
    )
