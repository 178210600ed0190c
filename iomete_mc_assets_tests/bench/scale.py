"""What an hour costs on hundreds and on thousands of tables: time, memory, statements, and rows on the wire.

The tables are made by ``many_tables``. Hours follow each other by their number, without waiting: the collectors
take their instant as an argument, and every table was written before the first of them.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from iomete_mc_assets import clock
from iomete_mc_assets.collectors import catalog_snapshot, observations
from iomete_mc_assets.collectors.catalog_snapshot import CatalogConfig
from iomete_mc_assets.collectors.observations import CatalogInput, EarlierInput, ObservationConfig
from iomete_mc_assets.defs.stored_inputs import StoredInputs
from iomete_mc_assets.errors import IometeMcError
from iomete_mc_assets.manifests.model import Draft, Header, Source, Verdict
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.records import Observation, SurveyedState, TableEntry, TableId
from iomete_mc_assets.sandbox import lakehouse
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.warehouse.connection import Lakehouse
from iomete_mc_assets.warehouse.rows import Warehouse
from iomete_mc_assets.warehouse.statements import (
    describe_table,
    literal,
    quoted,
    show_table_extended,
)
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.bench import many_tables
from iomete_mc_assets_tests.bench.comparison import in_turn, ratio, seconds
from iomete_mc_assets_tests.bench.figures import Figure, all_of, at_least, at_most
from iomete_mc_assets_tests.bench.many_tables import Planned
from iomete_mc_assets_tests.bench.site import Site
from iomete_mc_assets_tests.bench.survey import BareSession, Recording

SESSION = "spark_catalog"
FEW = (5, 60)
MANY = (30, 100)
"""Databases, and tables in each. The few are the first of the many."""
FEW_ROUNDS, MANY_ROUNDS = 7, 3
USUAL_SHARE = 30
"""Tables read in the usual way between two surveys: a machine that is busy for a minute is busy for both."""
STAGED = FEW_ROUNDS + 1 + MANY_ROUNDS + 1
"""Changes of one table: one a round, the unmeasured ones too."""
STAGED_TABLES = 2
"""A database's first tables, which change: the first where the catalog has few tables, the other where many."""
DAY_HOURS = 24
LONG_SNAPSHOTS = 20_000
LONG = TableId(SESSION, ("long",), "history")
MEMORY_BYTES = 400_000_000
LINEAR = 1.5
"""Times the growth over the first half of the tables that the second half may take; by the square it were 2.4."""
CATALOG = CatalogConfig(catalogs=(SESSION,))
FOUND_AFTER = timedelta(minutes=5)
"""From an hour's end to its collection."""


def scale(site: Site) -> Iterator[Figure]:
    """300 tables, then 3,000 and 300 in a v2 catalog, on a server of their own."""
    running = lakehouse.start(site.scale_state, heap_gb=3)
    staged = iter(range(STAGED))
    try:
        many_tables.make(running, _planned(SESSION, *FEW))
        yield from all_of(
            (
                partial(_hours, running, site, "300", FEW, rounds=FEW_ROUNDS, staged=staged),
                partial(_usual_way, running, FEW),
                partial(_older_hours, running),
                partial(_more_tables, running),
                partial(_hours, running, site, "3000", MANY, rounds=MANY_ROUNDS, staged=staged),
                partial(_sessions, running),
                partial(_memory, running, site),
                partial(_long_history, running),
            )
        )
    finally:
        lakehouse.stop(site.scale_state)


def _more_tables(running: RunningLakehouse) -> Iterator[Figure]:
    """From the few to the many."""
    made = {one.table for one in _planned(SESSION, *FEW)}
    more = [one for one in _planned(SESSION, *MANY) if one.table not in made]
    took = seconds(lambda: many_tables.make(running, [*more, *_planned("lake", *FEW)]))
    yield Figure(name="scale_tables_making", value=took, unit="s")


def _planned(catalog: str, databases: int, tables: int) -> list[Planned]:
    """Written 2 to 51 hours ago, so that some hours of the last day change some tables."""
    now = clock.now()
    later = now + timedelta(hours=1)
    staged = tuple(later + timedelta(minutes=number) for number in range(STAGED))
    return [
        Planned(
            table=TableId(catalog, (_database(database),), f"table_{table:03}"),
            newest=now - timedelta(hours=2 + (database + table) % 50),
            staged=staged if table < STAGED_TABLES else (),
        )
        for database in range(databases)
        for table in range(tables)
    ]


def _database(number: int) -> str:
    return f"bench_{number:02}"


class Hours:
    """Hours that follow each other, collected into a store through the product's own parts.

    Attributes:
        headers: of the newest hour's two manifests.
        cpu_s: processor seconds of this process for the newest hour.
    """

    def __init__(self, warehouse: Warehouse, running: RunningLakehouse, root: Path) -> None:
        """Begin two hours from now, so that whatever is committed meanwhile lies before every hour's end."""
        self._warehouse = warehouse
        source = Source(host=running.url, catalogs=(SESSION,))
        self._store = ManifestStore.open(str(root), source=source)
        self._window = HourWindow.holding(clock.now() + timedelta(hours=2))
        self.headers: list[Header] = []
        self.cpu_s = 0.0

    def collect(self) -> float:
        """The next hour of both flows, from the first statement to the second manifest; its seconds."""
        self._window = self._window.next
        self.headers = []
        begun = time.process_time()
        taken = seconds(self._both)
        self.cpu_s = time.process_time() - begun
        return taken

    def begin(self) -> None:
        """An hour that was observed before the others; its observations are the plan's, and nothing is read."""
        window, now = self._window, self._window.end + FOUND_AFTER
        self._write(
            catalog_snapshot.collect(
                [window], self._warehouse, config=CATALOG, newest_known=None, now=now
            )
        )
        catalog = StoredInputs(self._store).catalog_for(window)
        observed = Verdict(state="complete")
        draft = Draft(
            flow="observations",
            window=window,
            collected_at=now,
            collector=observations.COLLECTOR,
            records=[_as_planned(entry) for entry in catalog.entries if entry.state]
            if catalog
            else [],
            verdict=lambda: observed,
        )
        self._write([(window, draft)])

    def _both(self) -> None:
        window, now = self._window, self._window.end + FOUND_AFTER
        stored = StoredInputs(self._store)
        self._write(
            catalog_snapshot.collect(
                [window],
                self._warehouse,
                config=CATALOG,
                newest_known=stored.newest_catalog_window(),
                before=stored.catalog_before,
                now=now,
            )
        )
        self._write(
            observations.collect(
                [window],
                self._warehouse,
                config=ObservationConfig(),
                catalog_for=stored.catalog_for,
                earlier=stored.observations_before(window),
                own=stored.observations_of,
                survey=_no_survey,
                now=now,
            )
        )

    def _write(self, answers: Iterable[tuple[HourWindow, Draft | IometeMcError]]) -> None:
        for window, answer in answers:
            if isinstance(answer, IometeMcError):
                raise answer
            name = f"{answer.flow}-{window.folder}"
            self.headers.append(self._store.write(answer, manifest_id=name).header)


def _as_planned(entry: TableEntry) -> Observation:
    """What reading the history of a table of appends would have said."""
    state = entry.state or SurveyedState()
    return Observation(
        table=entry.table,
        uuid=state.uuid,
        snapshot_id=state.snapshot_id,
        state_at=state.snapshot_at,
        row_count=state.total_records,
        byte_count=state.total_bytes,
        total_records=state.total_records,
        position_deletes=0,
        equality_deletes=0,
        last_data_change=state.snapshot_at,
        exact_deletes=True,
        surveyed_snapshot_id=state.snapshot_id,
        metadata_location=state.metadata_location,
    )


def _no_survey() -> CatalogInput:
    msg = "the hour's catalog was to be used, and it was not found"
    raise RuntimeError(msg)


def _hours(
    running: RunningLakehouse,
    site: Site,
    name: str,
    shape: tuple[int, int],
    *,
    rounds: int,
    staged: Iterator[int],
) -> Iterator[Figure]:
    """An unchanged hour and one with a changed table in a hundred, against the bare listings."""
    databases, tables = shape
    listings = [show_table_extended(SESSION, (_database(number),)) for number in range(databases)]
    # what changed among the few is no longer as planned among the many
    name_changed = f"table_{0 if shape == FEW else 1:03}"
    planned = [one for one in _planned(SESSION, *shape) if one.table.table == name_changed]
    changed = planned[: databases * tables // 100]
    with Lakehouse.connect(running.config) as warehouse:
        hours = Hours(warehouse, running, site.folder("scale") / f"manifests_{name}")
        hours.begin()
        bare = BareSession(running.config)
        spent: dict[str, list[float]] = {"listings": [], "unchanged": []}

        def listed() -> float:
            before = _cpu_s(running)
            taken = seconds(lambda: bare.rows_of(listings))
            spent["listings"].append(_cpu_s(running) - before)
            return taken

        def unchanged() -> float:
            before = _cpu_s(running)
            taken = hours.collect()
            spent["unchanged"].append(_cpu_s(running) - before)
            _must(hours, tables=databases * tables, read=0)
            return taken

        def with_changes() -> float:
            number = next(staged)
            for one in changed:
                _set_current(warehouse, one, one.snapshots + number)
            taken = hours.collect()
            _must(hours, tables=databases * tables, read=len(changed))
            return taken

        try:
            bare_s, same_s, new_s = in_turn([listed, unchanged, with_changes], rounds=rounds)
        finally:
            bare.close()
    for said, taken, bar in (("unchanged", same_s, 1.4), ("changed", new_s, 1.7)):
        yield Figure(
            name=f"scale_{name}_{said}_vs_listings",
            value=ratio(taken, bare_s),
            unit="ratio",
            bar=at_most(bar),
        )
        yield Figure(name=f"scale_{name}_{said}", value=statistics.median(taken), unit="s")
    yield Figure(name=f"scale_{name}_listings", value=statistics.median(bare_s), unit="s")
    yield Figure(
        name=f"scale_{name}_cpu_vs_listings",
        value=ratio(spent["unchanged"], spent["listings"]),
        unit="ratio",
    )
    yield Figure(name=f"scale_{name}_own_cpu", value=hours.cpu_s, unit="s")


def _cpu_s(running: RunningLakehouse) -> float:
    """Processor seconds of this process and of the server: what a busy machine does not change."""
    ours = time.process_time()
    stat = Path(f"/proc/{running.pid}/stat")
    if not stat.exists():  # no Linux
        return ours
    after_name = stat.read_text().rpartition(")")[2].split()
    return ours + sum(map(int, after_name[11:13])) / os.sysconf("SC_CLK_TCK")


def _set_current(warehouse: Warehouse, planned: Planned, number: int) -> None:
    """A change of the table's data that is one metadata file and nothing else."""
    name = literal(f"{planned.table.namespace[0]}.{planned.table.table}")
    warehouse.ask(
        f"CALL {SESSION}.system.set_current_snapshot(table => {name}, "
        f"snapshot_id => {planned.snapshot_id(number)})"
    )


def _must(hours: Hours, *, tables: int, read: int) -> None:
    """A figure of an hour that did something else would be worse than none."""
    catalog, observed = hours.headers
    found = (catalog.state, catalog.counts["tables"], observed.state, observed.counts["read"])
    if found != ("complete", tables, "complete", read):
        msg = (
            f"the hour says {found}, not {tables} tables and {read} of them read: "
            f"{catalog.reason} {observed.reason}"
        )
        raise RuntimeError(msg)


def _usual_way(running: RunningLakehouse, shape: tuple[int, int]) -> Iterator[Figure]:
    """Every table described and its snapshots read, one after the other; a survey before each share of them.

    On PyHive's session as it comes, which generates code (0018): so would a script. It has our connection
    kept alive and our way to poll, which make it faster than PyHive's own.
    """
    planned = _planned(SESSION, *shape)
    shares = [planned[start : start + USUAL_SHARE] for start in range(0, len(planned), USUAL_SHARE)]
    ours: list[Taken] = []
    usual: list[Taken] = []
    plain = BareSession(running.config, settings={})
    try:
        with Lakehouse.connect(running.config) as warehouse:
            for share in shares:
                ours.append(_taken(running, lambda: catalog_snapshot.survey(warehouse, CATALOG)))
                usual.append(_taken(running, partial(plain.rows_of, _usual(share))))
    finally:
        plain.close()
    for name, bar, part in (("way", at_least(10), 0), ("way_cpu", None, 1)):
        times = len(shares) * ratio([one[part] for one in usual], [one[part] for one in ours])
        yield Figure(name=f"scale_usual_{name}_vs_survey", value=times, unit="ratio", bar=bar)
    yield Figure(name="scale_usual_way", value=sum(one[0] for one in usual), unit="s")


def _usual(share: Sequence[Planned]) -> list[str]:
    """What is asked of each table."""
    return [
        statement
        for one in share
        for statement in (
            describe_table(one.table),
            f"SELECT * FROM {quoted(SESSION, *one.table.namespace, one.table.table, 'snapshots')}",
        )
    ]


Taken = tuple[float, float]
"""Seconds, and processor seconds as ``_cpu_s`` tells them."""


def _taken(running: RunningLakehouse, deed: Callable[[], object]) -> Taken:
    before = _cpu_s(running)
    return seconds(deed), _cpu_s(running) - before


def _sessions(running: RunningLakehouse) -> Iterator[Figure]:
    """What several sessions save in a v2 catalog, where every table is described."""
    catalog = CatalogConfig(catalogs=("lake",))
    one = replace(running.config, sessions=1)
    with Lakehouse.connect(one) as alone, Lakehouse.connect(running.config) as several:
        alone_s, several_s = in_turn(
            [
                lambda: seconds(lambda: catalog_snapshot.survey(alone, catalog)),
                lambda: seconds(lambda: catalog_snapshot.survey(several, catalog)),
            ],
            rounds=MANY_ROUNDS,
        )
    yield Figure(
        name="scale_v2_sessions_vs_one",
        value=ratio(several_s, alone_s),
        unit="ratio",
        bar=at_most(1),
    )
    yield Figure(name="scale_v2_300", value=statistics.median(several_s), unit="s")


def _older_hours(running: RunningLakehouse) -> Iterator[Figure]:
    """A day of older observation hours against one of them, by what they ask."""
    now = clock.now()
    newest = HourWindow.newest_closed(now).previous
    day = [newest]
    while len(day) < DAY_HOURS:
        day.append(day[-1].previous)
    with Lakehouse.connect(running.config) as warehouse:
        catalog = observations.own_survey(warehouse, config=CATALOG, now=now)
        one = _asked_by(warehouse, catalog, [newest], earlier=None)[0].statements
        many = _asked_by(warehouse, catalog, day, earlier=None)[0].statements
    yield Figure(
        name="scale_day_vs_hour", value=len(many) / len(one), unit="ratio", bar=at_most(1.5)
    )
    yield Figure(name="scale_day_statements", value=len(many), unit="statements")
    yield Figure(name="scale_hour_statements", value=len(one), unit="statements")


def _asked_by(
    warehouse: Warehouse,
    catalog: CatalogInput,
    windows: Sequence[HourWindow],
    *,
    earlier: EarlierInput | None,
) -> tuple[Recording, tuple[Observation, ...]]:
    """What older hours ask, and what the last of them says."""
    recorded = Recording(warehouse)
    said: tuple[Observation, ...] = ()
    for window, answer in observations.collect(
        windows,
        recorded,
        config=ObservationConfig(),
        catalog_for=lambda _: catalog,
        earlier=earlier,
        own=lambda _: None,
        survey=_no_survey,
        now=clock.now(),
    ):
        if isinstance(answer, IometeMcError):
            raise answer
        said = tuple(one for one in answer.records if isinstance(one, Observation))
        if not said:
            msg = f"the hour {window.key} observed nothing: {answer.verdict().reason}"
            raise RuntimeError(msg)
    return recorded, said


def _long_history(running: RunningLakehouse) -> Iterator[Figure]:
    """A table that is written every minute: an hour whose predecessor is known, and one without."""
    now = clock.now()
    written = Planned(table=LONG, newest=now, snapshots=LONG_SNAPSHOTS, every=timedelta(minutes=1))
    many_tables.make(running, [written])
    with Lakehouse.connect(running.config) as warehouse:
        whole = observations.own_survey(warehouse, config=CATALOG, now=now)
        entries = tuple(entry for entry in whole.entries if entry.table == LONG)
        catalog = replace(whole, entries=entries)
        hour = HourWindow.newest_closed(now)
        first, said = _asked_by(warehouse, catalog, [hour.previous], earlier=None)
        known = EarlierInput(manifest_id="before", window=hour.previous, observations=said)
        begun = time.perf_counter()
        then, _ = _asked_by(warehouse, catalog, [hour], earlier=known)
        taken = time.perf_counter() - begun
    # the hour's 60 commits, two rows before them (clocks may differ by a minute) and one after, in each of two tables
    yield Figure(name="scale_long_rows", value=then.rows, unit="rows", bar=at_most(2 * 63))
    yield Figure(name="scale_long_first_rows", value=first.rows, unit="rows")
    yield Figure(name="scale_long_hour", value=taken, unit="s")


def _memory(running: RunningLakehouse, site: Site) -> Iterator[Figure]:
    """At 300 tables, at 3,300 and half way between: twice the same growth is what is called linear."""
    peaks: dict[int, int] = {}
    for tables, databases, catalogs in (
        (300, 3, SESSION),
        (1_800, MANY[0] // 2, f"{SESSION},lake"),
        (3_300, MANY[0], f"{SESSION},lake"),
    ):
        said = _collected(running, site, tables, catalogs=catalogs, databases=databases)
        peak = peaks[tables] = int(said["peak"])
        yield Figure(
            name=f"scale_{tables}_memory", value=peak, unit="bytes", bar=at_most(MEMORY_BYTES)
        )
        yield Figure(name=f"scale_{tables}_first_hour", value=float(said["seconds"]), unit="s")
    few, half, many = peaks.values()
    growth = (many - few) / (3_300 - 300)
    yield Figure(name="scale_memory_a_table", value=growth, unit="bytes")
    yield Figure(
        name="scale_memory_second_half_vs_first",
        value=(many - half) / (half - few),
        unit="ratio",
        bar=at_most(LINEAR),
    )


def _collected(
    running: RunningLakehouse, site: Site, tables: int, *, catalogs: str, databases: int
) -> Mapping[str, float]:
    """What a process says of itself that collects an hour for the first time, Dagster included.

    Args:
        running: with many tables.
        site: where the manifests go.
        tables: how many must be listed.
        catalogs: as ``IOMETE_CATALOGS`` takes them.
        databases: of the session catalog that are not excluded, the first of all.
    """
    root = site.folder("scale") / f"memory_{tables}"
    excluded = [f"{SESSION}.{_database(number)}.*" for number in range(databases, MANY[0])]
    environment = {
        **site.environment(),
        "IOMETE_URL": running.url,
        "IOMETE_USER": running.user,
        "IOMETE_TOKEN": running.token,
        "IOMETE_CATALOGS": catalogs,
        "IOMETE_EXCLUDE": ",".join(excluded),
        "MCD_NAMING": "databricks",  # takes several catalogs
        "IOMETE_MC_MANIFESTS": str(root),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    ran = subprocess.run(
        [sys.executable, "-m", "iomete_mc_assets_tests.bench.collecting"],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    store = ManifestStore.open(str(root), source=None)
    listed = [
        header.counts["tables"]
        for window in store.hours("catalog_snapshot")
        if (header := store.current("catalog_snapshot", window)) is not None
    ]
    if listed != [tables]:
        msg = f"{listed} tables were listed instead of {tables}"
        raise RuntimeError(msg)
    return json.loads(ran.stdout)
