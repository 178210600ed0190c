"""Freshness and volume of every Iceberg table as of each hour's end: what one hour says, table by table.

Rows are understood in ``history``, and ``observation_reads`` decides which tables are read at all.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from iomete_mc_assets.collectors import catalog_snapshot
from iomete_mc_assets.collectors.catalog_snapshot import CatalogConfig
from iomete_mc_assets.collectors.exclusions import Exclusions
from iomete_mc_assets.collectors.history import (
    Existed,
    Gap,
    History,
    MetadataLog,
    NotYet,
    Unknown,
    exact_deletes,
    last_data_change,
    place_at,
    row_count,
    without_rows,
)
from iomete_mc_assets.collectors.history_reading import Failed, Gone, HistoryReader
from iomete_mc_assets.collectors.limits import Asker, too_many, unanswered
from iomete_mc_assets.collectors.observation_memory import (
    EarlierInput,
    Memory,
    Remembered,
    shown,
    within,
)
from iomete_mc_assets.collectors.observation_reads import (
    CatalogInput,
    Reading,
    read,
    snapshot_shown,
    sweeps,
    without_reading,
)
from iomete_mc_assets.collectors.row_counting import RowCounter
from iomete_mc_assets.errors import HourFailed, IometeMcError
from iomete_mc_assets.manifests.model import Collector, Draft, JsonValue, Verdict
from iomete_mc_assets.records import Observation, Omission, OmissionKind, TableEntry, TableId
from iomete_mc_assets.warehouse.rows import Warehouse
from iomete_mc_assets.windows import HOUR, HourWindow

__all__ = [
    "COLLECTOR",
    "SWEPT",
    "CatalogInput",
    "EarlierInput",
    "ObservationConfig",
    "collect",
    "own_survey",
]

COLLECTOR = Collector(name="observations", version="1")
SWEPT = "swept"
"""Key of the collector's state: the newest hour that trusted no earlier one."""
AS_BEFORE = "as collected before"
"""Count of tables that an earlier manifest of the hour knew and that are gone or expired since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationConfig:
    """How to read.

    Attributes:
        unreadable_percent: 0 to 100; an hour fails above it (three tables are always tolerated).
        batch_tables: tables a statement, at least 1; about 10 was the fastest where it was measured.
        sweep_hours: hours, at least 1, after which all tables are read, whether they look unchanged or not.
        count_deadline_s: seconds that counting one table's rows may take where they cannot be known
            otherwise; None counts nothing.
        exclusions: what is left out of stored catalogs too, which were listed under settings of their day.
    """

    unreadable_percent: float = 5
    batch_tables: int = 10
    sweep_hours: int = 24
    count_deadline_s: float | None = None
    exclusions: Exclusions = field(default_factory=Exclusions)


def own_survey(warehouse: Warehouse, *, config: CatalogConfig, now: datetime) -> CatalogInput:
    """The catalogs as they are now, for hours without a known catalog.

    Raises:
        HourFailed: a catalog cannot be listed, or too many tables are unreadable.
        LakehouseError: the lakehouse cannot be asked any more.
    """
    found = catalog_snapshot.survey(warehouse, config)
    return CatalogInput(
        manifest_id=None,
        window=None,
        collected_at=now,
        entries=found.entries,
        omissions=found.omissions,
    )


def collect(
    windows: Iterable[HourWindow],
    warehouse: Warehouse,
    *,
    config: ObservationConfig,
    catalog_for: Callable[[HourWindow], CatalogInput | None],
    earlier: EarlierInput | None,
    own: Callable[[HourWindow], EarlierInput | None],
    survey: Callable[[], CatalogInput],
    now: datetime,
) -> Iterator[tuple[HourWindow, Draft | IometeMcError]]:
    """Each hour's observations, oldest first; each table's history is read once for all hours.

    Args:
        windows: any order.
        warehouse: asked for histories.
        config: how to read.
        catalog_for: the nearest known catalog of an hour; None without one.
        earlier: the newest known observations before the first hour; None without.
        own: an hour's own known manifest, evidence for what has been expired since; None without.
        survey: lists the catalogs; called at most once, when some hour has no known catalog.
        now: the run's instant.
    """
    ordered = sorted(set(windows))
    closed = [window for window in ordered if window.end <= now]
    asker = Asker(warehouse)
    scope = config.exclusions
    memory = Memory.of(within(scope, earlier))
    try:
        catalogs = _catalogs(closed, catalog_for, survey, scope)
        swept = sweeps(
            closed,
            swept=None if earlier is None else earlier.swept or earlier.window,
            every_hours=config.sweep_hours,
        )
        reader = HistoryReader(asker, batch_tables=config.batch_tables)
        sweeping = {window for window in closed if swept[window] == window}
        reading = read(reader, catalogs, memory, sweeping=sweeping) if catalogs else None
    except IometeMcError as error:
        yield from (
            (window, error if window in closed else _too_soon(window)) for window in ordered
        )
        return
    counter = None
    if config.count_deadline_s is not None:
        counter = RowCounter(asker, deadline_s=config.count_deadline_s)
    known = memory
    for window in ordered:
        if reading is None or window not in catalogs:
            yield window, _too_soon(window)
            continue
        hour = _Hour(
            window,
            catalogs[window],
            _Shared(reading=reading, known=known, counter=counter),
            memory=memory,
            own=within(scope, own(window)),
            swept=swept[window],
        )
        try:
            hour.decide()
        except IometeMcError as error:
            yield window, error
            continue
        yield window, _answer(hour, earlier, config=config, now=now, statements=asker.statements)
        asker.statements = 0  # the range's statements stand with its first hour
        memory = hour.memory_after()


def _too_soon(window: HourWindow) -> HourFailed:
    return HourFailed(
        f"The hour {window.key} has not ended, so its end has no state yet. Ask again after "
        f"{window.end:%Y-%m-%d %H:%M} UTC."
    )


def _catalogs(
    windows: Iterable[HourWindow],
    catalog_for: Callable[[HourWindow], CatalogInput | None],
    survey: Callable[[], CatalogInput],
    scope: Exclusions,
) -> dict[HourWindow, CatalogInput]:
    surveyed: CatalogInput | None = None
    catalogs: dict[HourWindow, CatalogInput] = {}
    for window in windows:
        catalog = catalog_for(window)
        if catalog is None:
            surveyed = surveyed or survey()
            catalog = surveyed
        catalogs[window] = catalog.within(scope)
    return catalogs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What all hours of one run share.

    Attributes:
        known: the states known before the first hour, by which it was decided what to read.
        counter: None where rows are not to be counted.
    """

    reading: Reading
    known: Memory
    counter: RowCounter | None


class _Hour:
    """One hour while its tables are being decided."""

    def __init__(
        self,
        window: HourWindow,
        catalog: CatalogInput,
        shared: _Shared,
        *,
        memory: Memory,
        own: EarlierInput | None,
        swept: HourWindow,
    ) -> None:
        self.window = window
        self.catalog = catalog
        self.own = own
        self.swept = swept
        self._reading = shared.reading
        self._known = shared.known
        self._counter = shared.counter
        self._memory = memory
        self._own = Memory.of(own)
        self._listed = shown(catalog.entries)
        self._origins: dict[TableId, str] = {}
        self.observed: dict[TableId, Observation] = {}
        self.carried: dict[TableId, Observation] = {}
        self.omissions: list[Omission] = list(catalog.omissions)
        self.counts: Counter[str] = Counter(f"excluded: {kind}" for kind in catalog.excluded)
        self.failures: list[Omission] = []

    def decide(self) -> None:
        """Every table of the catalog, then those that are known and no longer listed."""
        recalled: set[TableId] = set()
        for entry in self.catalog.iceberg:
            before = self._memory.of_table(entry, listed=self._listed)
            if before is not None:
                recalled.add(before.observation.table)
            self._decide(entry, before)
        still = {*self._listed} | {
            own.observation.table
            for entry in self.catalog.entries
            if (own := self._own.of_table(entry, listed=self._listed)) is not None
        }
        for remembered in self._own:
            observation = remembered.observation
            if observation.carried_from is None and observation.table not in still:
                self._observe_own(observation)
        for remembered in self._memory:
            if remembered.observation.table not in recalled:
                self._no_longer_listed(remembered)

    def memory_after(self) -> Memory:
        """What the next hour starts from."""
        return Memory(
            Remembered(observation=observation, manifest_id=self._origins.get(table))
            for table, observation in {**self.carried, **self.observed}.items()
        )

    def _decide(self, entry: TableEntry, before: Remembered | None) -> None:
        known = self._known.of_table(entry, listed=self._listed)
        told = without_reading(
            entry,
            known,
            listed_at=self.catalog.collected_at,
            instant=self.window.end,
            sweeping=self.swept == self.window,
        )
        if told is not None:
            self.counts["unchanged"] += 1
            if known is not None and known.manifest_id is not None:
                self._origins[entry.table] = known.manifest_id
            self._observe(self._surveyed(told, entry))
            return
        answer = self._from_history(entry, before)
        own = self._own_state(entry)
        if isinstance(answer, Observation):
            self.counts["read"] += 1
            self._observe(self._surveyed(_completed(answer, own), entry))
        elif own is not None and not isinstance(answer, NotYet):
            if isinstance(answer, Failed):
                self._fail(entry.table, answer.reason)
            self._observe_own(own)
        else:
            self._without_observation(entry, answer, before)

    def _from_history(
        self, entry: TableEntry, before: Remembered | None
    ) -> Observation | NotYet | Unknown | Failed | Gone:
        newest = self._reading.newest[entry.table]
        history = self._reading.histories[entry.table]
        if _uuid(newest) != _uuid(entry) and None not in (_uuid(newest), _uuid(entry)):
            return Gone()
        if not isinstance(history, History):
            return history
        place = place_at(history, self.window.end)
        if place is None:
            return self._before_first_row(entry)
        gap = history.gaps.get(place)
        log = self._reading.logs.get(entry.table)
        if isinstance(log, MetadataLog) and gap is not None and gap.since < self.window.end:
            return _in_gap(entry, gap, self.window.end, log)
        sweeping = self.swept == self.window
        observation = _observation(entry, history, place, None if sweeping else before)
        if sweeping:
            observation = _completed(observation, _observation(entry, history, place, before))
        return observation

    def _before_first_row(
        self, entry: TableEntry
    ) -> Observation | NotYet | Unknown | Failed | Gone:
        log = self._reading.logs[entry.table]
        if not isinstance(log, MetadataLog):
            return log
        created_at = None if entry.state is None else entry.state.created_at
        found = without_rows(replace(log, created_at=created_at), self.window.end)
        if isinstance(found, Existed):
            return Observation(
                table=entry.table, uuid=_uuid(entry), row_count=0, exact_deletes=True
            )
        return found

    def _surveyed(self, observation: Observation, entry: TableEntry) -> Observation:
        """With the survey it stands beside, unless the next hour may not lean on that.

        Between this hour's end and the survey a write and its rollback leave the survey unchanged. The history
        shows them as rows; only so much of it was read that a survey long after the hour is no proof either.
        """
        state = entry.state
        late = self.catalog.collected_at > self.window.end + HOUR
        if state is None or late or self._changed_since(entry.table):
            return replace(observation, surveyed_snapshot_id=None, metadata_location=None)
        return replace(
            observation,
            surveyed_snapshot_id=snapshot_shown(state),
            metadata_location=state.metadata_location,
        )

    def _changed_since(self, table: TableId) -> bool:
        """Whether the table's history, where it was read, has a row after the hour."""
        history = self._reading.histories.get(table)
        return isinstance(history, History) and any(
            row.at >= self.window.end for row in history.rows
        )

    def _own_state(self, entry: TableEntry) -> Observation | None:
        """What the hour's own earlier manifest observed of this very table."""
        remembered = self._own.of_table(entry, listed=self._listed)
        if remembered is None or remembered.observation.carried_from is not None:
            return None
        return remembered.observation

    def _observe(self, observation: Observation) -> None:
        if observation.row_count is None:
            observation = self._counted(observation)
        self.observed[observation.table] = observation
        if observation.state_at is not None and observation.last_data_change is None:
            self.counts["freshness unknown"] += 1
            reason = "only rewrites of existing data are left in its history"
            if observation.snapshot_id is None:
                reason = "it was replaced by an empty table, and Iceberg does not record when"
            self._omit(observation.table, "freshness", "unknowable", reason)

    def _counted(self, observation: Observation) -> Observation:
        """With its rows counted, where that is asked for and the state is still there."""
        why = _why_no_rows(observation)
        if self._counter is not None and observation.snapshot_id is not None:
            rows = self._counter.rows(observation.table, observation.snapshot_id)
            if isinstance(rows, int):
                self.counts["rows counted"] += 1
                return replace(observation, row_count=rows)
            why = f"{why}; counting them: {rows.reason}"
        self.counts["row count unknown"] += 1
        self._omit(observation.table, "row count", "unknowable", why)
        return observation

    def _without_observation(
        self,
        entry: TableEntry,
        answer: NotYet | Unknown | Failed | Gone,
        before: Remembered | None,
    ) -> None:
        match answer:
            case NotYet():
                self.counts["not yet created"] += 1
                return
            case Gone():
                self._dropped(entry.table)
                return
            case Failed(reason):
                self._fail(entry.table, reason)
                self.omissions.append(self.failures[-1])
            case Unknown(reason):
                self.counts["unknown"] += 1
                self._omit(entry.table, "history", "unknowable", reason)
        if before is not None:
            self._carry(before)

    def _no_longer_listed(self, remembered: Remembered) -> None:
        """Dropped, if the listing was whole where the table was; else carried."""
        table = remembered.observation.table
        if any(_covers(omission.scope, table) for omission in self.catalog.omissions):
            self._carry(remembered)
        elif table not in self.observed:
            self._dropped(table)

    def _observe_own(self, observation: Observation) -> None:
        """An hour never gets worse: what it knew of tables that nothing can be read of now."""
        if self.own is not None:
            self._origins[observation.table] = self.own.manifest_id
        self.counts[AS_BEFORE] += 1
        self._observe(observation)

    def _carry(self, remembered: Remembered) -> None:
        carried = remembered.carried()
        if carried is not None and remembered.manifest_id is not None:
            self.carried[carried.table] = carried
            self._origins[carried.table] = remembered.manifest_id

    def _dropped(self, table: TableId) -> None:
        self.counts["dropped"] += 1
        reason = "it was dropped since it was last observed, and its history went with it"
        self._omit(table, "history", "unknowable", reason)

    def _fail(self, table: TableId, reason: str) -> None:
        self.failures.append(
            Omission(scope=table.shown, question="history", kind="unreadable", reason=reason)
        )

    def _omit(self, table: TableId, question: str, kind: OmissionKind, reason: str) -> None:
        self.omissions.append(
            Omission(scope=table.shown, question=question, kind=kind, reason=reason)
        )


def _in_gap(
    entry: TableEntry, gap: Gap, instant: datetime, log: MetadataLog
) -> Observation | Unknown:
    """Without data, or nobody can tell."""
    if gap.leaves_open(instant):
        since = f"{gap.since:%Y-%m-%d %H:%M} UTC"
        return log.unknown(
            f"it may have been replaced by an empty table after {since}, which Iceberg does not record"
        )
    return Observation(
        table=entry.table,
        uuid=_uuid(entry),
        state_at=gap.empty_from,
        row_count=0,
        last_data_change=gap.emptied_at,
        exact_deletes=True,
    )


def _observation(
    entry: TableEntry, history: History, place: int, before: Remembered | None
) -> Observation:
    """The state at a row of the history."""
    earlier = None if before is None else before.observation
    row = history.rows[place]
    snapshot = history.snapshots[row.snapshot_id]
    exact = exact_deletes(history.snapshots, row.snapshot_id, earlier=earlier)
    return Observation(
        table=entry.table,
        uuid=_uuid(entry),
        snapshot_id=row.snapshot_id,
        state_at=row.at,
        row_count=row_count(snapshot, exact=exact),
        byte_count=snapshot.total_bytes,
        total_records=snapshot.total_records,
        position_deletes=snapshot.position_deletes,
        equality_deletes=snapshot.equality_deletes,
        last_data_change=last_data_change(history, place, earlier=earlier),
        exact_deletes=exact,
    )


def _completed(observation: Observation, own: Observation | None) -> Observation:
    """With what was known before of the same state."""
    if own is None or own.snapshot_id != observation.snapshot_id:
        return observation
    change, rows, exact = (
        observation.last_data_change,
        observation.row_count,
        observation.exact_deletes,
    )
    return replace(
        observation,
        last_data_change=own.last_data_change if change is None else change,
        row_count=own.row_count if rows is None else rows,
        exact_deletes=own.exact_deletes if exact is None else exact,
    )


def _why_no_rows(observation: Observation) -> str:
    if observation.total_records is None:
        return "its snapshot's summary has no total-records"
    if observation.equality_deletes:
        return "it has equality deletes, which do not tell how many rows they hit"
    if observation.exact_deletes is False:
        return "files were rewritten under its position deletes, so total-records less those is not its rows"
    return "whether its position deletes can be subtracted stood in snapshots that were expired"


def _uuid(entry: TableEntry) -> str | None:
    return None if entry.state is None else entry.state.uuid


def _table(observation: Observation) -> TableId:
    return observation.table


def _covers(scope: str, table: TableId) -> bool:
    return f"{table.shown}.".startswith(f"{scope}.")


def _answer(
    hour: _Hour,
    earlier: EarlierInput | None,
    *,
    config: ObservationConfig,
    now: datetime,
    statements: int,
) -> Draft | HourFailed:
    asked = sum(1 for _ in hour.catalog.iceberg)
    failed = len(hour.failures)
    nothing_read = bool(failed) and not hour.observed
    if nothing_read or too_many(failed, asked=asked, percent=config.unreadable_percent):
        first = hour.failures[0]
        return HourFailed(
            f"The history of {failed} of {asked} tables could not be read for the hour {hour.window.key}, "
            f"which is more than {config.unreadable_percent:g} % (IOMETE_UNREADABLE_PERCENT); the first is "
            f"{first.scope}: {first.reason} Collect the hour again once they can be read."
        )
    verdict = _verdict(hour, statements)
    records = sorted([*hour.observed.values(), *hour.carried.values()], key=_table)
    inputs: dict[str, str] = {}
    if hour.catalog.manifest_id is not None:
        inputs["catalog_from"] = hour.catalog.manifest_id
    if earlier is not None:
        inputs["carried_from"] = earlier.manifest_id
    return Draft(
        flow="observations",
        window=hour.window,
        collected_at=now,
        collector=COLLECTOR,
        records=[] if verdict.state == "unknown" else records,
        verdict=lambda: verdict,
        inputs=inputs,
    )


def _verdict(hour: _Hour, statements: int) -> Verdict:
    kinds = Counter(entry.kind for entry in hour.catalog.entries)
    iceberg = sum(1 for _ in hour.catalog.iceberg)
    counts = {
        "tables observed": len(hour.observed),
        "carried": len(hour.carried),
        **{name: hour.counts[name] for name in ("read", "unchanged", "unknown", AS_BEFORE)},
        "views skipped": kinds["view"],
        "other tables skipped": kinds["table"] - iceberg,
        **dict(sorted(hour.counts.items())),
        "statements": statements,
    }
    state: dict[str, JsonValue] = {SWEPT: hour.swept.key}
    if not hour.omissions:
        return Verdict(state="complete", counts=counts, collector_state=state)
    unknown = not hour.observed and bool(hour.counts["unknown"] or hour.counts["dropped"])
    return Verdict(
        state="unknown" if unknown else "partial",
        reason=unanswered(hour.omissions),
        counts=counts,
        omissions=tuple(hour.omissions),
        collector_state=state,
    )
