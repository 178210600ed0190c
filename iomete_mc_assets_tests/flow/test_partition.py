"""What a collected partition shows: the event that Dagster's storage holds after a run wrote its manifest."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from iomete_mc_assets.manifests.model import Verdict
from iomete_mc_assets.records import Observation, Omission, QueryRecord, TableId
from iomete_mc_assets_tests.collecting import HOUR, Collecting

AT = HOUR.start + timedelta(minutes=30)


@pytest.fixture
def collecting(tmp_path: Path, instance: dg.DagsterInstance) -> Collecting:
    return Collecting(tmp_path, instance)


def seen(name: str, rows: int | None, at: datetime | None = AT) -> Observation:
    table = TableId("lake", ("shop",), name)
    return Observation(table=table, row_count=rows, byte_count=10, last_data_change=at)


def query(number: int, **fields: object) -> QueryRecord:
    ended = HOUR.start + timedelta(minutes=number)
    record = QueryRecord(
        query_id=str(number),
        text="SELECT 1",
        started_at=ended - timedelta(seconds=90),
        ended_at=ended,
    )
    return replace(record, **fields)  # pyright: ignore[reportArgumentType] - fields of QueryRecord


def rows_of(table: object) -> list[list[str]]:
    """Cells of a Markdown table, without its head."""
    lines = [line for line in str(table).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_an_hour_of_observations_has_a_point_in_every_plot(collecting: Collecting) -> None:
    old = HOUR.start - timedelta(seconds=1)
    collecting.collect(
        "observations",
        [seen("a", 5), seen("b", None, old), replace(seen("c", 7), carried_from="m0")],
    )
    collecting.collect("observations", [], HOUR.next)
    keys = ("rows in all", "bytes in all", "row count unknown", "tables changed in the hour")
    shown = collecting.shown("observations", HOUR)
    assert [shown[key] for key in keys] == [12, 30, 1, 1]
    shown = collecting.shown("observations", HOUR.next)
    assert [shown[key] for key in keys] == [0, 0, 0, 0]


def test_an_hour_of_queries_has_a_point_in_every_plot(collecting: Collecting) -> None:
    collecting.collect("query_logs", [query(10), query(40, status="failed"), query(20)])
    shown = collecting.shown("query_logs", HOUR)
    assert (shown["failed"], shown["query seconds"]) == (1, 270)
    assert shown["newest end before the hour's end (s)"] == 20 * 60
    assert shown["newest query ended at"] == (HOUR.start + timedelta(minutes=40)).timestamp()


def test_what_nobody_tells_is_no_zero(collecting: Collecting) -> None:
    collecting.collect("query_logs", [query(1), query(2, status=None)])
    assert "failed" not in collecting.shown("query_logs", HOUR)
    unknown = Verdict(state="unknown", reason="its history was expired")
    collecting.collect("observations", [], HOUR, unknown)
    assert "rows in all" not in collecting.shown("observations", HOUR)


def test_a_collectors_own_count_stands_before_the_stores(collecting: Collecting) -> None:
    told = Verdict(state="complete", counts={"rows in all": 99, "read": 1})
    collecting.collect("observations", [seen("a", 5)], HOUR, told)
    shown = collecting.shown("observations", HOUR)
    assert (shown["rows in all"], shown["read"]) == (99, 1)


def test_the_lag_behind_the_hours_end_is_a_number(collecting: Collecting) -> None:
    collecting.collect("observations", [seen("a", 5)])
    assert collecting.shown("observations", HOUR)["collected after the hour's end (min)"] == 5


@pytest.mark.parametrize("in_one_run", [True, False])
def test_the_most_changed_tables_are_told_against_the_hour_before(
    collecting: Collecting, in_one_run: bool
) -> None:
    before = [seen("a", 5), seen("b", 1000), seen("same", 3), seen("unknown", None)]
    after = [seen("a", 25), seen("b", 0), seen("same", 3), seen("unknown", 4), seen("new", 9)]
    if in_one_run:
        collecting.collect_range("observations", {HOUR: before, HOUR.next: after})
    else:
        collecting.collect("observations", before)
        collecting.collect("observations", after, HOUR.next)
    shown = collecting.shown("observations", HOUR.next)["most changed tables"]
    assert rows_of(shown) == [
        ["lake.shop.b", "-1,000", "1000", "0"],
        ["lake.shop.a", "+20", "5", "25"],
    ]
    first = collecting.shown("observations", HOUR)["most changed tables"]
    assert first == "nothing is known of the hour before, 2026-11-21-08:00"


def test_the_only_catalog_and_empty_columns_take_no_room_on_the_page(
    collecting: Collecting,
) -> None:
    table = TableId("spark_catalog", ("shop",), "a")
    collecting.collect("observations", [replace(seen("a", 5), table=table)])
    shown = str(collecting.shown("observations", HOUR)["preview"]).splitlines()
    assert shown[0] == "| table | rows | bytes | last data change (UTC) |"
    assert shown[2] == "| shop.a | 5 | 10 | 2026-11-21 09:30:00 |"
    carried = replace(seen("a", 5), table=table, carried_from="m0")
    collecting.collect("observations", [carried], HOUR.next)
    shown = str(collecting.shown("observations", HOUR.next)["preview"]).splitlines()
    assert shown[0] == "| table | rows | bytes | last data change (UTC) | carried from |"


def test_an_hour_before_that_cannot_be_read_is_named_and_fails_nothing(
    collecting: Collecting, tmp_path: Path
) -> None:
    collecting.collect("observations", [seen("a", 5)])
    [part] = tmp_path.glob("observations/*/*/part-*")
    part.unlink()
    collecting.collect("observations", [seen("a", 6)], HOUR.next)
    shown = str(collecting.shown("observations", HOUR.next)["most changed tables"])
    assert shown.startswith("the hour before, 2026-11-21-09:00, cannot be read")
    assert part.name in shown


def test_the_stalest_tables_come_first_and_never_written_ones_not_at_all(
    collecting: Collecting,
) -> None:
    ages = {f"t{hours:02}": HOUR.end - timedelta(hours=hours) for hours in range(1, 13)}
    tables = [seen(name, 1, at) for name, at in ages.items()]
    collecting.collect("observations", [seen("never", 0, None), *tables])
    shown = rows_of(collecting.shown("observations", HOUR)["stalest tables"])
    assert [row[0] for row in shown] == [f"lake.shop.t{hours:02}" for hours in range(12, 2, -1)]
    assert shown[0][1:] == ["2026-11-20 22:00:00", "12.0 hours", "1"]


def test_omissions_are_told_by_reason_with_examples(collecting: Collecting) -> None:
    expired = [
        Omission(scope=name, question="history", kind="unknowable", reason="it was expired")
        for name in ("a", "b", "c", "d")
    ]
    gone = [
        Omission(scope=name, question="columns", kind="unreadable", reason=f"{name} is gone.")
        for name in ("lake.x", "lake.y")
    ]
    more = [
        Omission(scope=str(n), question="row count", kind="unknowable", reason="deletes")
        for n in range(50)
    ]
    verdict = Verdict(state="partial", reason="some", omissions=(*expired, *gone, *more))
    collecting.collect("observations", [seen("a", 5)], HOUR, verdict)
    shown = collecting.shown("observations", HOUR)
    assert shown["omissions"] == 56
    assert rows_of(shown["omissions by reason"]) == [
        ["44", "row count unknowable: deletes", "0, 1, 2"],
        ["4", "history unknowable: it was expired", "a, b, c"],
        ["2", "columns unreadable: … is gone.", "lake.x, lake.y"],
    ]
    assert "of the 50 that the manifest lists; there are 56" in str(shown["omissions by reason"])


def test_a_partition_of_three_thousand_tables_stays_small(collecting: Collecting) -> None:
    tables = [seen(f"t{number:04}" + "x" * 200, number) for number in range(3_000)]
    grown = [replace(table, row_count=(table.row_count or 0) + 1) for table in tables]
    collecting.collect_range("observations", {HOUR: tables, HOUR.next: grown})
    shown = collecting.shown("observations", HOUR.next)
    assert len(rows_of(shown["most changed tables"])) == 10
    assert "and 2990 more" in str(shown["most changed tables"])
    assert sum(len(str(value)) for value in shown.values()) < 6_000
