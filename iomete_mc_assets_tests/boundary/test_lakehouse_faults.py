"""What each fault of the lakehouse costs, on real Spark and Iceberg: what the hour says, and that the next one heals.

The table in docs/operating.md ("When the lakehouse fails") says the same to people.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from iomete_mc_assets import clock
from iomete_mc_assets.collectors import catalog_snapshot, observations, query_logs
from iomete_mc_assets.collectors.catalog_snapshot import CatalogConfig
from iomete_mc_assets.collectors.observations import ObservationConfig
from iomete_mc_assets.collectors.query_judging import QueryLogRules
from iomete_mc_assets.collectors.query_log_source import QueryLogConfig
from iomete_mc_assets.collectors.query_log_table import QueryTable
from iomete_mc_assets.defs.stored_inputs import StoredInputs
from iomete_mc_assets.errors import IometeMcError
from iomete_mc_assets.manifests.model import Draft, Flow, Header, Source
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.records import Observation, Record, TableEntry
from iomete_mc_assets.sandbox import lakehouse as sandbox_lakehouse
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.warehouse.connection import Lakehouse, LakehouseConfig
from iomete_mc_assets.warehouse.rows import Warehouse
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.lakehouse_proxy import Break, Call, Instead, LakehouseProxy

MINUTES_LATER = timedelta(minutes=5)
OURS = ("spark_catalog.faulty", "spark_catalog.closed", "lake.faulty")
TABLES = (*(f"{OURS[0]}.t{number}" for number in range(3)), f"{OURS[1]}.c", f"{OURS[2]}.v")
ENDLESS = "SELECT count(*) FROM range(3000000) a, range(3000000) b WHERE a.id * b.id % 7 = 3"
LAST = "DESCRIBE TABLE EXTENDED `lake`.`faulty`"
"""The statement about the last table of the survey's second catalog."""
FLOWS: tuple[Flow, ...] = ("catalog_snapshot", "observations")
DENIED = "Permission denied: user [sandbox] does not have [SELECT] privilege on [closed/*]"


@dataclass
class Waits:
    """A clock that only waiting moves, and what happens while a lakehouse is waited for."""

    passed: Callable[[float], object] = lambda _: None
    now_s: float = 0

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.passed(self.now_s)

    def tick(self) -> float:
        return self.now_s


class Ticking(Waits):
    """A clock on which a second passes at each look."""

    def tick(self) -> float:
        self.now_s += 1
        return self.now_s


@dataclass(frozen=True, kw_only=True)
class Hour:
    """What the two metadata flows left of one hour: a header, or the error that makes it red."""

    catalog: Header | IometeMcError
    observed: Header | IometeMcError

    @property
    def states(self) -> tuple[str, str]:
        return _state(self.catalog), _state(self.observed)


def _state(answer: Header | IometeMcError) -> str:
    return answer.state if isinstance(answer, Header) else type(answer).__name__


@dataclass(kw_only=True)
class Site:
    """A store of the test's own, and the lakehouse behind a proxy."""

    proxy: LakehouseProxy
    store: ManifestStore
    config: LakehouseConfig
    catalogs: CatalogConfig
    waits: Waits = field(default_factory=Waits)
    attempts: Iterator[int] = field(default_factory=lambda: count(1))

    @contextmanager
    def session(self, **changes: float) -> Generator[Lakehouse, None, None]:
        config = replace(self.config, **changes)
        with Lakehouse.connect(config, wait=self.waits.wait, tick=self.waits.tick) as lakehouse:
            yield lakehouse

    def collect(self, window: HourWindow, **changes: float) -> Hour:
        """One hour of both flows, as one hourly run collects it, and written to the store."""
        with self.session(**changes) as lakehouse:
            return Hour(
                catalog=self._write(self._catalog(window, lakehouse)),
                observed=self._write(self._observations(window, lakehouse)),
            )

    def queries(
        self, window: HourWindow, warehouse: Warehouse, table: str
    ) -> Draft | IometeMcError:
        source = QueryTable(warehouse, QueryLogConfig(table=table))
        now = window.end + timedelta(hours=1)
        ((_, answer),) = query_logs.collect([window], source, rules=QueryLogRules(), now=now)
        return answer

    def records(self, header: Header | IometeMcError) -> dict[str, Record]:
        assert isinstance(header, Header), header
        return {_name(record): record for record in self.store.records(header)}

    def observations(self, hour: Hour) -> dict[str, Observation]:
        found = self.records(hour.observed)
        return {name: one for name, one in found.items() if isinstance(one, Observation)}

    def _catalog(self, window: HourWindow, warehouse: Warehouse) -> Draft | IometeMcError:
        ((_, answer),) = catalog_snapshot.collect(
            [window],
            warehouse,
            config=self.catalogs,
            newest_known=StoredInputs(self.store).newest_catalog_window(),
            now=window.end + MINUTES_LATER,
        )
        return answer

    def _observations(self, window: HourWindow, warehouse: Warehouse) -> Draft | IometeMcError:
        stored, now = StoredInputs(self.store), window.end + MINUTES_LATER
        ((_, answer),) = observations.collect(
            [window],
            warehouse,
            config=ObservationConfig(),
            catalog_for=stored.catalog_for,
            earlier=stored.observations_before(window),
            own=stored.observations_of,
            survey=lambda: observations.own_survey(warehouse, config=self.catalogs, now=now),
            now=now,
        )
        return answer

    def _write(self, answer: Draft | IometeMcError) -> Header | IometeMcError:
        if isinstance(answer, IometeMcError):
            return answer
        return self.store.write(answer, manifest_id=f"m{next(self.attempts)}").header


def _name(record: Record) -> str:
    assert isinstance(record, TableEntry | Observation)
    return record.table.shown


def omitted(answer: Header | IometeMcError) -> set[tuple[str, str]]:
    """Scope and question of what could not be read."""
    assert isinstance(answer, Header), answer
    return {(o.scope, o.question) for o in answer.omissions.sample if o.kind == "unreadable"}


def make(lakehouse: Lakehouse, tables: Sequence[str]) -> None:
    """Tables of one row each."""
    for table in tables:
        lakehouse.ask(f"CREATE DATABASE IF NOT EXISTS {table.rpartition('.')[0]}")
        lakehouse.ask(f"CREATE TABLE {table} (id BIGINT) USING iceberg")
        lakehouse.ask(f"INSERT INTO {table} VALUES (1)")


def clear(lakehouse: Lakehouse) -> None:
    """Remove what this module makes; a run that was killed leaves it in a kept sandbox."""
    for table in TABLES:
        lakehouse.ask(f"DROP TABLE IF EXISTS {table}")
    for database in OURS:
        lakehouse.ask(f"DROP DATABASE IF EXISTS {database}")


@pytest.fixture(scope="module")
def direct(lakehouse_config: LakehouseConfig) -> Iterator[Lakehouse]:
    """A session without a proxy, with three databases of this module's own."""
    with Lakehouse.connect(lakehouse_config) as connected:
        clear(connected)
        make(connected, TABLES)
        yield connected
    with Lakehouse.connect(lakehouse_config) as after_restarts:
        clear(after_restarts)


@pytest.fixture(scope="module")
def others(direct: Lakehouse) -> tuple[str, ...]:
    """Patterns that leave out everybody else's tables."""
    return tuple(
        f"{catalog}.{name}.*"
        for catalog in ("spark_catalog", "lake")
        for row in direct.ask(f"SHOW NAMESPACES IN {catalog}")
        if f"{catalog}.{(name := str(row['namespace']).strip('`'))}" not in OURS
    )


@contextmanager
def site_of(
    config: LakehouseConfig, root: Path, *, exclude: tuple[str, ...] = ()
) -> Generator[Site, None, None]:
    catalogs = ("spark_catalog", "lake")
    with LakehouseProxy(config.url) as proxy:
        source = Source(host=urlsplit(proxy.url).netloc, catalogs=catalogs)
        yield Site(
            proxy=proxy,
            store=ManifestStore.open(str(root), source=source),
            config=replace(config, url=proxy.url, startup_window_s=120),
            catalogs=CatalogConfig(catalogs=catalogs, exclude=exclude),
        )


@pytest.fixture
def site(
    lakehouse_config: LakehouseConfig, others: tuple[str, ...], tmp_path: Path
) -> Iterator[Site]:
    with site_of(lakehouse_config, tmp_path / "manifests", exclude=others) as made:
        yield made


@pytest.fixture(scope="module")
def first() -> HourWindow:
    """An hour whose end lies behind everything that this module commits."""
    return HourWindow.holding(clock.now()).next


def cancellations(sandbox: RunningLakehouse) -> int:
    """How many statements the server has cancelled, by its own event log."""
    logs = [path.read_text() for path in sandbox.events.iterdir()]
    return sum(log.count("SparkListenerThriftServerOperationCanceled") for log in logs)


def break_of(statement: str, chosen: Break, *, call: str, nth: int = 1) -> Callable[[Call], Break]:
    """Break a call for a statement that holds some text: the nth, or every one when ``nth`` is 0."""
    met = count(1)

    def chooses(made: Call) -> Break:
        if made.name != call or statement not in made.statement:
            return None
        return chosen if nth in (0, next(met)) else None

    return chooses


def test_a_table_without_its_metadata_file_is_left_out_and_carried_until_it_is_mended(
    site: Site, direct: Lakehouse, first: HourWindow
) -> None:
    before = site.collect(first)
    assert before.states == ("complete", "complete")
    broken, in_v2 = TABLES[0], TABLES[-1]
    for table in (broken, in_v2):
        direct.ask(f"INSERT INTO {table} VALUES (2)")
    known = site.observations(before)
    with without_metadata(direct, broken), without_metadata(direct, in_v2):
        hour = site.collect(first.next)
    assert hour.states == ("partial", "partial")
    # the metastore answers for its table by itself; a v2 catalog has to open the file
    assert omitted(hour.catalog) == {(in_v2, "columns")}
    assert omitted(hour.observed) == {(broken, "history"), (in_v2, "columns")}
    seen = site.observations(hour)
    assert {name: one.carried_from is not None for name, one in seen.items()} == {
        name: name in (broken, in_v2) for name in TABLES
    }
    assert [(seen[name].row_count) for name in TABLES] == [
        (known[name].row_count) for name in TABLES
    ]

    healed = site.collect(first.next.next)
    assert healed.states == ("complete", "complete")
    rows = {name: one.row_count for name, one in site.observations(healed).items()}
    assert rows == {name: 2 if name in (broken, in_v2) else 1 for name in TABLES}


@contextmanager
def without_metadata(direct: Lakehouse, table: str) -> Generator[None, None, None]:
    """While it lasts, the table's current metadata file is not there."""
    newest = f"SELECT file FROM {table}.metadata_log_entries ORDER BY timestamp DESC LIMIT 1"
    file = Path(str(direct.ask(newest)[0]["file"]).removeprefix("file:"))
    away = file.rename(file.with_suffix(".away"))
    direct.ask(f"REFRESH TABLE {table}")  # Spark keeps a table that it has read for 30 s
    yield
    away.rename(file)


def test_a_database_without_permission_is_left_out_and_its_tables_carried(
    site: Site, first: HourWindow
) -> None:
    assert site.collect(first).states == ("complete", "complete")
    denied = Instead(f"SELECT raise_error('{DENIED}')")
    site.proxy.breaks = break_of("`closed`", denied, call="ExecuteStatement", nth=0)
    hour = site.collect(first.next)
    assert hour.states == ("partial", "partial")
    asked = {(OURS[1], "opt-out"), (OURS[1], "list tables")}
    assert omitted(hour.catalog) == omitted(hour.observed) == asked
    assert isinstance(hour.catalog, Header)
    assert DENIED in str(hour.catalog.reason)
    assert sorted(site.records(hour.catalog)) == sorted(set(TABLES) - {TABLES[3]})
    seen = site.observations(hour)
    assert [name for name, one in seen.items() if one.carried_from] == [TABLES[3]]

    site.proxy.breaks = lambda _: None
    healed = site.collect(first.next.next)
    assert healed.states == ("complete", "complete")
    assert sorted(site.records(healed.catalog)) == sorted(TABLES)
    assert not any(one.carried_from for one in site.observations(healed).values())


def test_a_catalog_without_permission_makes_the_hour_red_and_nothing_is_written(
    site: Site, first: HourWindow
) -> None:
    denied = Instead(f"SELECT raise_error('{DENIED}')")
    site.proxy.breaks = break_of("USE `lake`", denied, call="ExecuteStatement", nth=0)
    hour = site.collect(first)
    assert hour.states == ("HourFailed", "HourFailed")
    assert str(hour.catalog).startswith("The catalog lake cannot be listed: Lakehouse ")
    assert DENIED in str(hour.catalog)
    assert [site.store.current(flow, first) for flow in FLOWS] == [None, None]

    site.proxy.breaks = lambda _: None
    assert site.collect(first.next).states == ("complete", "complete")


def test_a_databases_name_among_the_catalogs_makes_the_hour_red_and_not_an_empty_catalog(
    site: Site, first: HourWindow
) -> None:
    site.catalogs = CatalogConfig(catalogs=("spark_catalog", "closed"))
    hour = site.collect(first)
    assert hour.states == ("HourFailed", "HourFailed")
    assert "knows no catalog 'closed': that is a database of spark_catalog" in str(hour.catalog)


def test_a_statement_that_hangs_is_cancelled_at_the_server_and_its_table_left_out(
    site: Site, direct: Lakehouse, first: HourWindow, sandbox: RunningLakehouse
) -> None:
    assert site.collect(first).states == ("complete", "complete")
    hanging, neighbour = TABLES[0], TABLES[1]
    for table in (hanging, neighbour):
        direct.ask(f"INSERT OVERWRITE {table} VALUES (3), (4)")
    cancelled = cancellations(sandbox)
    # a pause of the server's own poll (5 s) is all that a deadline of 1 s can be kept to
    site.waits = Ticking()
    site.proxy.breaks = break_of("`t0`.`history`", Instead(ENDLESS), call="ExecuteStatement", nth=0)
    hour = site.collect(first.next, statement_deadline_s=1)
    assert hour.states == ("complete", "partial")
    assert omitted(hour.observed) == {(hanging, "history")}
    assert isinstance(hour.observed, Header)
    assert "within 1 s, so it was cancelled" in hour.observed.omissions.sample[0].reason
    seen = site.observations(hour)
    assert [name for name, one in seen.items() if one.carried_from] == [hanging]
    assert seen[neighbour].total_records == 2
    # once with its neighbour, once alone
    assert site.proxy.count("CancelOperation") == 2
    assert cancellations(sandbox) - cancelled == 2

    site.proxy.breaks = lambda _: None
    healed = site.collect(first.next.next)
    assert healed.states == ("complete", "complete")
    assert site.observations(healed)[hanging].carried_from is None


def test_a_connection_cut_in_a_fetch_costs_nothing(site: Site, first: HourWindow) -> None:
    """The second fetch of a survey brings no rows and is cut as easily as the first."""
    site.proxy.breaks = break_of(
        "IN `spark_catalog`.`faulty` LIKE", "cut the answer", call="FetchResults", nth=2
    )
    hour = site.collect(first)
    assert hour.states == ("complete", "complete")
    assert sorted(site.records(hour.catalog)) == sorted(TABLES)
    assert len(site.proxy.statements("SHOW TABLE EXTENDED IN `spark_catalog`.`faulty`")) == 2
    assert site.proxy.count("OpenSession") == 2


def test_a_connection_cut_again_and_again_makes_the_hour_red(site: Site, first: HourWindow) -> None:
    site.proxy.breaks = break_of(
        "IN `spark_catalog`.`faulty` LIKE", "cut the answer", call="FetchResults", nth=0
    )
    hour = site.collect(first)
    assert hour.states == ("LakehouseUnavailable", "LakehouseUnavailable")
    assert "cut the connection in the middle of an exchange" in str(hour.catalog)
    assert [site.store.current(flow, first) for flow in FLOWS] == [None, None]

    site.proxy.breaks = lambda _: None
    assert site.collect(first.next).states == ("complete", "complete")
    # and the red hour itself, asked again: its catalog is past, its tables' histories are not
    again = site.collect(first)
    assert again.states == ("unknown", "complete")


def test_a_stream_of_queries_cut_in_a_fetch_brings_each_query_once(
    site: Site, direct: Lakehouse, shop_hour: HourWindow
) -> None:
    def queries(warehouse: Warehouse) -> list[Record]:
        source = QueryTable(warehouse, QueryLogConfig(table="spark_catalog.ops.query_history"))
        rules = QueryLogRules(delay_minutes=0)
        ((_, draft),) = query_logs.collect([shop_hour], source, rules=rules, now=shop_hour.end)
        assert isinstance(draft, Draft), draft
        records = list(draft.records)
        assert draft.verdict().counts["queries"] == len(records)
        return records

    site.proxy.breaks = break_of("SELECT unix_micros", "cut the answer", call="FetchResults", nth=2)
    with site.session() as lakehouse:
        found = queries(lakehouse)
    assert len(site.proxy.statements("SELECT unix_micros")) == 2
    assert len(found) > 10
    assert found == queries(direct)


def test_a_lakehouse_away_for_a_minute_in_mid_survey_costs_the_hour_nothing(
    site: Site, first: HourWindow
) -> None:
    assert_a_restart_costs_nothing(
        site, first, TABLES, stop=site.proxy.refuse, start=site.proxy.accept
    )


def test_a_server_restarted_in_mid_survey_costs_the_hour_nothing(
    tmp_path: Path, first: HourWindow
) -> None:
    state = tmp_path / "lakehouse"
    running = sandbox_lakehouse.start(state, heap_gb=1)
    try:
        with Lakehouse.connect(running.config) as direct:
            make(direct, TABLES[-1:])
        with site_of(running.config, tmp_path / "manifests") as site:
            assert_a_restart_costs_nothing(
                site,
                first,
                TABLES[-1:],
                stop=lambda: sandbox_lakehouse.stop(state),
                start=lambda: sandbox_lakehouse.start(state, heap_gb=1),
            )
    finally:
        sandbox_lakehouse.stop(state)


def assert_a_restart_costs_nothing(
    site: Site,
    window: HourWindow,
    tables: Sequence[str],
    *,
    stop: Callable[[], object],
    start: Callable[[], object],
) -> None:
    """It is stopped over the survey's last statement, in the second catalog, and back after 55 s."""
    stopped = break_of(LAST, "cut", call="ExecuteStatement")

    def breaks(call: Call) -> Break:
        if (chosen := stopped(call)) is not None:
            stop()
        return chosen

    site.proxy.breaks = breaks
    site.waits.passed = lambda waited_s: start() if waited_s >= 55 else None
    hour = site.collect(window)
    assert hour.states == ("complete", "complete")
    assert sorted(site.records(hour.catalog)) == sorted(tables)
    assert sorted(site.observations(hour)) == sorted(tables)
    assert 55 <= site.waits.now_s <= 60
    # the new session stands in the catalog that was being listed, and only the lost statement went again
    asked = site.proxy.statements()
    lost = next(place for place, one in enumerate(asked) if one.startswith(LAST))
    assert asked[lost + 1 : lost + 4] == ["USE `default`", "USE `lake`", asked[lost]]
    assert asked.count("SHOW NAMESPACES IN `spark_catalog`") == 1


def test_a_lakehouse_that_stays_away_makes_the_hour_red_and_the_next_one_heals(
    site: Site, first: HourWindow
) -> None:
    def goes(call: Call) -> Break:
        if call.statement.startswith(LAST):
            site.proxy.refuse()
        return None

    site.proxy.breaks = goes
    hour = site.collect(first)
    assert hour.states == ("LakehouseUnavailable", "LakehouseUnavailable")
    assert "Connection refused" in str(hour.catalog)
    assert "It was tried again for 120 s." in str(hour.catalog)
    assert site.waits.now_s == 120  # the second flow does not wait once more
    assert [site.store.current(flow, first) for flow in FLOWS] == [None, None]

    site.proxy.breaks = lambda _: None
    site.proxy.accept()
    assert site.collect(first.next).states == ("complete", "complete")
