"""How many statements observing costs, counted at the server, and what a batch does that holds a broken table."""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from iomete_mc_assets.collectors.catalog_snapshot import CatalogConfig
from iomete_mc_assets.collectors.observations import (
    CatalogInput,
    ObservationConfig,
    collect,
    own_survey,
)
from iomete_mc_assets.manifests.model import Draft, Verdict
from iomete_mc_assets.records import Observation
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.warehouse.connection import Lakehouse
from iomete_mc_assets.warehouse.statements import TAG, tagged
from iomete_mc_assets.windows import HourWindow

CATALOGS = CatalogConfig(catalogs=("spark_catalog", "lake"))
STARTED = (
    '{"Event":"org.apache.spark.sql.hive.thriftserver.ui.SparkListenerThriftServerOperationStart"'
)
TABLES = 10
"""One batch."""
BROKEN = "spark_catalog.broken"


@pytest.fixture(scope="module")
def lakehouse(sandbox: RunningLakehouse) -> Iterator[Lakehouse]:
    with Lakehouse.connect(sandbox.config) as connected:
        yield connected


def statements_during(
    running: RunningLakehouse, lakehouse: Lakehouse, work: Callable[[], object]
) -> list[str]:
    """Our statements that the server started meanwhile, by its own event log."""
    [log] = running.events.glob("*.inprogress")
    mark = uuid.uuid4().hex
    first, last = tagged(f"SELECT 'before {mark}'"), tagged(f"SELECT 'after {mark}'")
    lakehouse.ask(first)
    work()
    lakehouse.ask(last)
    started = _started(log)
    for _ in range(1_000):
        if last in started:
            break
        lakehouse.ask("SELECT 1")  # the log is written a little behind
        started = _started(log)
    return started[started.index(first) + 1 : started.index(last)]


def _started(log: Path) -> list[str]:
    whole = log.read_text().rpartition("\n")[0].splitlines()
    statements = [json.loads(line)["statement"] for line in whole if line.startswith(STARTED)]
    return [statement for statement in statements if statement.startswith(TAG)]


def observed(
    lakehouse: Lakehouse, listing: CatalogInput, windows: Sequence[HourWindow]
) -> dict[HourWindow, tuple[list[Observation], Verdict]]:
    hours: dict[HourWindow, tuple[list[Observation], Verdict]] = {}
    for window, draft in collect(
        windows,
        lakehouse,
        config=ObservationConfig(batch_tables=TABLES),
        catalog_for=lambda _: listing,
        earlier=None,
        own=lambda _: None,
        survey=lambda: listing,
        now=listing.collected_at,
    ):
        assert isinstance(draft, Draft), draft
        records = [record for record in draft.records if isinstance(record, Observation)]
        hours[window] = records, draft.verdict()
    return hours


def test_a_backfill_of_24_hours_costs_at_most_half_more_statements_than_one_hour(
    sandbox: RunningLakehouse, lakehouse: Lakehouse, shop_hour: HourWindow
) -> None:
    listing = own_survey(lakehouse, config=CATALOGS, now=shop_hour.end + timedelta(minutes=5))
    day = [shop_hour.previous]
    while len(day) < 24:
        day.append(day[-1].previous)
    older = day[12]
    one = statements_during(sandbox, lakehouse, lambda: observed(lakehouse, listing, [older]))
    hours: dict[HourWindow, tuple[list[Observation], Verdict]] = {}
    whole = statements_during(
        sandbox, lakehouse, lambda: hours.update(observed(lakehouse, listing, day))
    )
    assert len(hours[older][0]) > 10
    assert len(one) > 0
    assert len(whole) <= 1.5 * len(one), (len(whole), len(one))
    assert sum(verdict.counts["statements"] for _, verdict in hours.values()) == len(whole)


@pytest.fixture
def broken(
    sandbox: RunningLakehouse, lakehouse: Lakehouse, shop_hour: HourWindow
) -> Iterator[CatalogInput]:
    """A database of one batch of tables; the metadata file of the eighth is gone."""
    lakehouse.ask(f"CREATE DATABASE {BROKEN}")
    for number in range(TABLES):
        lakehouse.ask(f"CREATE TABLE {BROKEN}.t{number} USING iceberg AS SELECT {number} AS id")
    listing = own_survey(
        lakehouse,
        config=CatalogConfig(catalogs=("spark_catalog",)),
        now=shop_hour.end + timedelta(days=1),
    )
    entries = tuple(one for one in listing.entries if one.table.namespace == ("broken",))
    for file in (sandbox.state / "warehouse" / "broken.db" / "t7" / "metadata").glob("*.json"):
        file.unlink()
    yield CatalogInput(
        manifest_id=None, window=None, collected_at=listing.collected_at, entries=entries
    )
    lakehouse.ask(f"DROP DATABASE {BROKEN} CASCADE")


def test_a_batch_that_fails_is_halved_until_the_broken_table_stands_alone(
    sandbox: RunningLakehouse, broken: CatalogInput, shop_hour: HourWindow
) -> None:
    """A session of its own: another one would still know the table."""
    window = HourWindow.holding(broken.collected_at).previous
    with Lakehouse.connect(sandbox.config) as session:
        found: dict[HourWindow, tuple[list[Observation], Verdict]] = {}
        asked = statements_during(
            sandbox, session, lambda: found.update(observed(session, broken, [window]))
        )
    records, verdict = found[window]
    rows = {record.table.table: record.row_count for record in records}
    assert rows == {f"t{number}": 1 for number in range(TABLES) if number != 7}
    [omission] = verdict.omissions
    assert (omission.scope, omission.kind) == ("spark_catalog.broken.t7", "unreadable")
    reads = [statement for statement in asked if "`history`" in statement and "`t7`" in statement]
    tables = [statement.count("'h' AS kind") for statement in reads if "LIMIT 1" not in statement]
    assert tables[:1] == [TABLES]
    assert tables[-1] == 1
    assert len(tables) <= 5
