"""The collectors against real Iceberg: Spark's own time travel and the seed's own log are the judges."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from iomete_mc_assets import clock
from iomete_mc_assets.collectors.catalog_snapshot import CatalogConfig
from iomete_mc_assets.collectors.history_reading import NO_SNAPSHOT
from iomete_mc_assets.collectors.limits import Asker
from iomete_mc_assets.collectors.observations import (
    CatalogInput,
    EarlierInput,
    ObservationConfig,
    collect,
    own_survey,
)
from iomete_mc_assets.collectors.row_counting import RowCounter
from iomete_mc_assets.manifests.model import Draft, Verdict
from iomete_mc_assets.records import Observation, TableId
from iomete_mc_assets.sandbox.seed_log import SeedLog
from iomete_mc_assets.warehouse.connection import Lakehouse, LakehouseConfig
from iomete_mc_assets.warehouse.statements import quoted
from iomete_mc_assets.windows import HourWindow

CATALOGS = CatalogConfig(catalogs=("spark_catalog", "lake"))
MINUTES_LATER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """What one hour said."""

    observed: Mapping[TableId, Observation]
    verdict: Verdict


@pytest.fixture(scope="module")
def lakehouse(lakehouse_config: LakehouseConfig) -> Iterator[Lakehouse]:
    with Lakehouse.connect(lakehouse_config) as connected:
        yield connected


@pytest.fixture(scope="module")
def listing(lakehouse: Lakehouse, shop_hour: HourWindow) -> CatalogInput:
    """The shop as it is listed five minutes after its newest hour."""
    return own_survey(lakehouse, config=CATALOGS, now=shop_hour.end + MINUTES_LATER)


@pytest.fixture(scope="module")
def day(
    lakehouse: Lakehouse, listing: CatalogInput, shop_log: SeedLog
) -> Mapping[HourWindow, Hour]:
    """Every seeded hour, collected as one range."""
    windows = [shop_log.window]
    while len(windows) < shop_log.hours:
        windows.append(windows[-1].previous)
    return gathered(lakehouse, listing, windows)


def gathered(
    lakehouse: Lakehouse,
    listing: CatalogInput,
    windows: list[HourWindow],
    *,
    earlier: EarlierInput | None = None,
    config: ObservationConfig | None = None,
) -> dict[HourWindow, Hour]:
    hours: dict[HourWindow, Hour] = {}
    for window, draft in collect(
        windows,
        lakehouse,
        config=config or ObservationConfig(),
        catalog_for=lambda _: listing,
        earlier=earlier,
        own=lambda _: None,
        survey=lambda: listing,
        now=max(windows).end + MINUTES_LATER,
    ):
        assert isinstance(draft, Draft), draft
        records = [record for record in draft.records if isinstance(record, Observation)]
        hours[window] = Hour(
            observed={record.table: record for record in records}, verdict=draft.verdict()
        )
    return hours


def shop_of(listing: CatalogInput, shop_log: SeedLog) -> set[TableId]:
    """The seed's tables that are still listed."""
    return {entry.table for entry in listing.iceberg} & set(shop_log.tables)


def test_rows_are_what_the_seed_wrote_or_honestly_unknown(
    day: Mapping[HourWindow, Hour], listing: CatalogInput, shop_log: SeedLog
) -> None:
    compared = 0
    for window, hour in day.items():
        for table in shop_of(listing, shop_log):
            seen, rows = hour.observed.get(table), shop_log.rows_as_of(table, window.end)
            if seen is None:
                begins = shop_log.history_begins(table)
                expired = begins is not None and window.end <= begins
                assert rows is None or expired, (table.shown, window.key, rows)
            elif seen.row_count is not None:
                assert seen.row_count == rows, (table.shown, window.key)
                compared += 1
            else:
                assert seen.position_deletes or seen.equality_deletes, (table.shown, window.key)
    assert compared > 100


def test_last_changes_are_what_the_seed_did_or_honestly_unknown(
    day: Mapping[HourWindow, Hour], listing: CatalogInput, shop_log: SeedLog
) -> None:
    compared = 0
    for window, hour in day.items():
        for table in shop_of(listing, shop_log):
            seen = hour.observed.get(table)
            if seen is None or (
                seen.last_data_change is None and shop_log.history_begins(table) is not None
            ):
                continue
            assert seen.last_data_change == shop_log.last_change_as_of(table, window.end), (
                table.shown,
                window.key,
            )
            compared += 1
    assert compared > 100


def test_rows_equal_sparks_own_time_travel_without_row_level_deletes(
    lakehouse: Lakehouse, day: Mapping[HourWindow, Hour]
) -> None:
    newest: dict[tuple[TableId, int], tuple[Observation, datetime]] = {
        (seen.table, seen.snapshot_id): (seen, window.end)
        for window, hour in day.items()
        for seen in hour.observed.values()
        if seen.snapshot_id is not None and not seen.position_deletes and not seen.equality_deletes
    }
    states = list(newest.values())
    for start in range(0, len(states), 25):
        batch = states[start : start + 25]
        counted = lakehouse.ask(
            "\nUNION ALL\n".join(
                f"SELECT {number} AS n, count(*) AS c FROM {name(seen.table)} TIMESTAMP AS OF "
                f"timestamp_millis({round(end.timestamp() * 1000) - 1})"
                for number, (seen, end) in enumerate(batch)
            )
        )
        assert {row["n"]: row["c"] for row in counted} == {
            number: seen.row_count for number, (seen, _) in enumerate(batch)
        }
    assert len(states) > 30


def test_compacted_row_level_deletes_are_14_of_17_rows_unknown_or_counted_as_of_the_hour(
    lakehouse: Lakehouse,
    day: Mapping[HourWindow, Hour],
    listing: CatalogInput,
    shop_hour: HourWindow,
) -> None:
    returns = TableId("spark_catalog", ("raw",), "returns")
    before = [window for window, hour in day.items() if _rows(hour, returns) == (20, 20, 0)]
    deleted = [window for window, hour in day.items() if _rows(hour, returns) == (17, 20, 3)]
    compacted = [window for window, hour in day.items() if _rows(hour, returns) == (None, 17, 3)]
    assert before[-1] < deleted[0] <= deleted[-1] < compacted[0]
    assert compacted[-1] == shop_hour
    hours = [deleted[-1], *compacted]
    counted = gathered(lakehouse, listing, hours, config=ObservationConfig(count_deadline_s=60))
    assert [_rows(counted[window], returns) for window in hours] == [
        (17, 20, 3),
        *[(17, 17, 3)] * len(compacted),
    ]
    assert counted[shop_hour].verdict.counts["rows counted"] == 1
    older = day[before[-1]].observed[returns].snapshot_id
    assert older is not None
    assert RowCounter(Asker(lakehouse), deadline_s=60).rows(returns, older) == 20


def _rows(hour: Hour, table: TableId) -> tuple[int | None, int | None, int | None]:
    """Rows beside the raw totals."""
    seen = hour.observed[table]
    return seen.row_count, seen.total_records, seen.position_deletes


def test_views_and_tables_that_are_not_iceberg_are_counted_and_not_observed(
    day: Mapping[HourWindow, Hour], listing: CatalogInput, shop_hour: HourWindow
) -> None:
    counts = day[shop_hour].verdict.counts
    assert (counts["views skipped"], counts["other tables skipped"]) == (2, 1)
    others = {entry.table for entry in listing.entries if entry.format == "other"}
    assert len(others) == 3
    assert others & day[shop_hour].observed.keys() == set()


def test_a_second_look_at_an_unchanged_hour_reads_no_history(
    lakehouse: Lakehouse,
    day: Mapping[HourWindow, Hour],
    listing: CatalogInput,
    shop_hour: HourWindow,
) -> None:
    earlier = EarlierInput(
        manifest_id="m", window=shop_hour, observations=tuple(day[shop_hour].observed.values())
    )
    later = CatalogInput(
        manifest_id=None,
        window=None,
        collected_at=shop_hour.next.end + MINUTES_LATER,
        entries=listing.entries,
    )
    [hour] = gathered(lakehouse, later, [shop_hour.next], earlier=earlier).values()
    known = day[shop_hour].observed
    settled = {
        table
        for table, seen in known.items()
        if (NO_SNAPSHOT if seen.snapshot_id is None else seen.snapshot_id)
        == seen.surveyed_snapshot_id
    }
    read = set(hour.observed) - settled
    assert hour.verdict.counts["read"] <= len(read)
    assert len(settled) > 15
    assert {one: hour.observed[one] for one in settled} == {one: known[one] for one in settled}


@pytest.fixture
def unwritten(lakehouse: Lakehouse) -> Iterator[TableId]:
    """A table without a snapshot in a catalog that shows no metadata files."""
    table = TableId("lake", ("unwritten",), "t")
    lakehouse.ask("CREATE NAMESPACE lake.unwritten")
    lakehouse.ask(f"CREATE TABLE {name(table)} (id BIGINT) USING iceberg")
    yield table
    lakehouse.ask(f"DROP TABLE {name(table)}")
    lakehouse.ask("DROP NAMESPACE lake.unwritten")


def test_a_table_never_written_is_read_once_also_where_no_metadata_file_is_shown(
    lakehouse: Lakehouse, unwritten: TableId
) -> None:
    hour = HourWindow.holding(clock.now())
    config = CatalogConfig(catalogs=("lake",))
    whole = own_survey(lakehouse, config=config, now=hour.end + MINUTES_LATER)
    entries = tuple(entry for entry in whole.entries if entry.table == unwritten)
    listing = replace(whole, entries=entries)
    [first] = gathered(lakehouse, listing, [hour]).values()
    earlier = EarlierInput(
        manifest_id="m", window=hour, observations=tuple(first.observed.values())
    )
    later = replace(listing, collected_at=hour.next.end + MINUTES_LATER)
    [then] = gathered(lakehouse, later, [hour.next], earlier=earlier).values()
    reads = first.verdict.counts["read"], then.verdict.counts["read"]
    assert (reads, then.verdict.counts["statements"]) == ((1, 0), 0)
    assert [one.observed[unwritten].row_count for one in (first, then)] == [0, 0]


def name(table: TableId) -> str:
    return quoted(table.catalog, *table.namespace, table.table)
