from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iomete_mc_assets.records import TableId
from iomete_mc_assets.sandbox.shop import History, written
from iomete_mc_assets.sandbox.shop_tables import build_shop
from iomete_mc_assets.sandbox.workload import archives, build_workload
from iomete_mc_assets.windows import HOUR, HourWindow

START = datetime(2026, 11, 20, tzinfo=UTC)
TABLE = TableId("spark_catalog", ("raw",), "t")
windows = st.integers(0, 5_000).map(
    lambda n: HourWindow(datetime(2026, 1, 1, tzinfo=UTC) + n * HOUR)
)


def history() -> History:
    return History(
        TABLE,
        columns=[("id", "BIGINT", "id"), ("v", "INT", "1")],
        load="LOAD",
        user="u",
        created=START,
    )


def test_rows_are_counted_through_every_kind_of_change() -> None:
    table = history()
    table.append(START + 1 * HOUR, 10)
    table.merge(START + 2 * HOUR, updated=4, inserted=3)
    table.delete(START + 3 * HOUR, 5)
    table.compact(START + 4 * HOUR)
    table.branch(START + 5 * HOUR)
    table.write_to_branch(START + 6 * HOUR, 100)
    table.fast_forward(START + 7 * HOUR)
    table.roll_back(START + 8 * HOUR, to=0)
    table.overwrite(START + 9 * HOUR, 6)
    table.truncate(START + 10 * HOUR)
    assert [one.rows for one in table.done().operations] == [0, 10, 13, 8, 8, 8, 8, 108, 10, 6, 0]


def test_an_operation_that_does_not_come_after_the_last_one_is_refused() -> None:
    table = history()
    with pytest.raises(ValueError, match="does not come after"):
        table.append(START, 1)


def test_names_are_written_as_people_write_them() -> None:
    assert written(TABLE) == "raw.t"
    assert (
        written(TableId("lake", ("web-shop", "EU"), "Page Views"))
        == "lake.`web-shop`.EU.`Page Views`"
    )


@settings(max_examples=15, deadline=None)  # a whole shop takes up to 100 ms
@given(windows)
def test_every_hour_of_the_shop_has_commits_and_statements(window: HourWindow) -> None:
    shop = build_shop(window, hours=24)
    workload = build_workload(shop)
    hours = [HourWindow(window.end - (n + 1) * HOUR) for n in range(24)]
    commits = [one.at for table in shop.tables for one in table.operations]
    for hour in hours:
        assert sum(hour.holds(at) for at in commits) >= 2
        ended = [one for one in workload if one.ended_at and hour.holds(one.ended_at)]
        assert 15 <= len(ended) <= 60
        assert {one.role for one in ended} == {"query", "noise", "own"}
        assert any(one.started_at < hour.start for one in ended) or hour == hours[-1]


@settings(max_examples=15, deadline=None)  # a whole shop takes up to 100 ms
@given(windows)
def test_instants_are_whole_milliseconds_in_order_and_none_lies_after_the_seeded_hour(
    window: HourWindow,
) -> None:
    shop = build_shop(window, hours=24)
    for table in (*shop.tables, *archives(shop, build_workload(shop))):
        instants = [one.at for one in table.operations]
        assert instants == sorted(set(instants))
        assert all(at.microsecond % 1000 == 0 for at in instants)
        assert instants[-1] <= window.end


@settings(max_examples=15, deadline=None)  # a whole shop takes up to 100 ms
@given(windows)
def test_seeding_a_later_hour_repeats_the_analysts_statements_of_the_hours_they_share(
    window: HourWindow,
) -> None:
    def questions(newest: HourWindow) -> set[str]:
        return {
            one.query_id
            for one in build_workload(build_shop(newest, hours=24))
            if one.user != "svc_ingest"
            and one.status == "COMPLETED"
            and window.start - 20 * HOUR <= one.started_at < window.start - timedelta(minutes=5)
            and one.text.startswith(("SELECT", "WITH", "select"))
        }

    later = HourWindow(window.start + 2 * HOUR)
    assert questions(window) == questions(later) != set()


@settings(max_examples=15, deadline=None)  # a whole shop takes up to 100 ms
@given(windows, st.integers(1, 29))
def test_query_ids_are_unique_and_every_statement_is_archived_once(
    window: HourWindow, hours: int
) -> None:
    shop = build_shop(window, hours=hours)
    workload = build_workload(shop)
    assert len({one.query_id for one in workload}) == len(workload)
    for archive in archives(shop, workload):
        assert archive.operations[-1].rows == len(workload)
