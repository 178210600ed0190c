"""Now and then an hour trusts nothing known: tables that look unchanged are read too."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.collectors.observation_reads import sweeps
from iomete_mc_assets.collectors.observations import (
    SWEPT,
    EarlierInput,
    ObservationConfig,
    collect,
)
from iomete_mc_assets.manifests.model import Verdict
from iomete_mc_assets.records import Observation
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.unit.collectors.test_observations import (
    DELETING,
    HOUR,
    NOW,
    Commit,
    HistoryWarehouse,
    at,
    catalog,
    listed,
    never,
    no_survey,
    said,
    table,
    without_location,
)

WRITTEN = Commit(at=at("07:10"), rows=100)
HIDDEN = [
    WRITTEN,
    Commit(at=at("09:20"), rows=150),
    Commit(at=at("09:30"), rows=100, id=1),
]
"""A write and its rollback: the table shows the first snapshot again."""


def known() -> Observation:
    return Observation(
        table=table("t"), uuid="uuid-t", snapshot_id=1, state_at=at("07:10"), row_count=100,
        byte_count=1000, total_records=100, position_deletes=0, equality_deletes=0,
        last_data_change=at("07:10"), exact_deletes=True, surveyed_snapshot_id=1,
    )  # fmt: skip


def hour(
    warehouse: HistoryWarehouse,
    *,
    swept: HourWindow | None,
    windows: Sequence[HourWindow] = (HOUR,),
    listed_at: timedelta = timedelta(minutes=5),
) -> list[tuple[dict[str, Observation], Verdict]]:
    source = catalog(
        without_location(listed("t", WRITTEN)), collected_at=windows[-1].end + listed_at
    )
    before = EarlierInput(
        manifest_id="before", window=HOUR.previous, observations=(known(),), swept=swept
    )
    answers = collect(
        windows,
        warehouse,
        config=ObservationConfig(sweep_hours=24),
        catalog_for=lambda _: source,
        earlier=before,
        own=never,
        survey=no_survey,
        now=max(NOW, windows[-1].end),
    )
    return [said(answer) for _, answer in answers]


def hours_ago(number: int) -> HourWindow:
    return HourWindow(HOUR.start - timedelta(hours=number))


def test_between_two_sweeps_a_table_that_looks_unchanged_is_not_read() -> None:
    warehouse = HistoryWarehouse({"t": HIDDEN})
    [(observed, verdict)] = hour(warehouse, swept=hours_ago(23))
    assert (warehouse.asked, verdict.counts["unchanged"]) == ([], 1)
    assert observed["t"].last_data_change == at("07:10")
    assert verdict.collector_state == {SWEPT: hours_ago(23).key}


def test_a_sweep_finds_what_the_listing_does_not_show() -> None:
    warehouse = HistoryWarehouse({"t": HIDDEN})
    [(observed, verdict)] = hour(warehouse, swept=hours_ago(24))
    assert (len(warehouse.asked), verdict.counts["read"]) == (1, 1)
    assert observed["t"].last_data_change == at("09:30")
    assert verdict.collector_state == {SWEPT: HOUR.key}


def test_a_sweep_heals_what_an_earlier_manifest_says_wrongly() -> None:
    """Also of a table whose newest state it names: freshness, rows and whether those can be known at all."""
    commits = [WRITTEN, Commit(at=at("08:30"), operation="delete", rows=100, position=3)]
    wrong = replace(
        known(), snapshot_id=2, surveyed_snapshot_id=2, state_at=at("08:30"), row_count=7,
        last_data_change=at("04:00"), exact_deletes=False, position_deletes=3,
    )  # fmt: skip
    for swept, rows, change in ((23, 7, at("04:00")), (24, 97, at("08:30"))):
        answers = collect(
            [HOUR],
            HistoryWarehouse({"t": commits}),
            config=ObservationConfig(sweep_hours=24),
            catalog_for=lambda _: catalog(without_location(listed("t", commits[1], number=2))),
            earlier=EarlierInput(
                manifest_id="before",
                window=HOUR.previous,
                observations=(wrong,),
                swept=hours_ago(swept),
            ),
            own=never,
            survey=no_survey,
            now=NOW,
        )
        [(observed, _)] = [said(answer) for _, answer in answers]
        assert (observed["t"].row_count, observed["t"].last_data_change) == (rows, change)


def test_a_sweep_takes_from_an_earlier_manifest_what_no_history_tells() -> None:
    rewrite = Commit(at=at("08:30"), operation="replace", rows=100, id=1, parent=41)
    warehouse = HistoryWarehouse({"t": [rewrite]})
    seen = replace(known(), state_at=at("08:30"), last_data_change=at("04:00"))
    answers = collect(
        [HOUR],
        warehouse,
        config=ObservationConfig(sweep_hours=1),
        catalog_for=lambda _: catalog(without_location(listed("t", rewrite))),
        earlier=EarlierInput(manifest_id="m", window=HOUR.previous, observations=(seen,)),
        own=never,
        survey=no_survey,
        now=NOW,
    )
    [(observed, _)] = [said(answer) for _, answer in answers]
    assert observed["t"].last_data_change == at("04:00")


def test_a_sweep_reads_no_ancestors_of_which_an_earlier_manifest_tells() -> None:
    warehouse = HistoryWarehouse({"t": DELETING})
    seen = replace(
        known(), snapshot_id=2, surveyed_snapshot_id=2, state_at=DELETING[1].at, position_deletes=3
    )
    answers = collect(
        [HOUR],
        warehouse,
        config=ObservationConfig(sweep_hours=1),
        catalog_for=lambda _: catalog(listed("t", DELETING[2], number=3)),
        earlier=EarlierInput(manifest_id="m", window=HOUR.previous, observations=(seen,)),
        own=never,
        survey=no_survey,
        now=NOW,
    )
    [(observed, verdict)] = [said(answer) for _, answer in answers]
    told = observed["t"].row_count, observed["t"].last_data_change, len(warehouse.asked)
    assert told == (95, DELETING[2].at, 1)
    assert verdict.collector_state == {SWEPT: HOUR.key}


def test_an_hour_that_names_no_sweep_counts_as_one() -> None:
    warehouse = HistoryWarehouse({"t": HIDDEN})
    [(_, verdict)] = hour(warehouse, swept=None)
    assert warehouse.asked == []
    assert verdict.collector_state == {SWEPT: HOUR.previous.key}


def test_a_table_never_written_stays_unread_in_a_sweep() -> None:
    warehouse = HistoryWarehouse({"t": []})
    answers = collect(
        [HOUR],
        warehouse,
        config=ObservationConfig(sweep_hours=1),
        catalog_for=lambda _: catalog(listed("t", None)),
        earlier=EarlierInput(manifest_id="m", window=HOUR.previous, observations=()),
        own=never,
        survey=no_survey,
        now=NOW,
    )
    [(observed, _)] = [said(answer) for _, answer in answers]
    assert (observed["t"].row_count, warehouse.asked) == (0, [])


def test_a_range_over_a_listing_made_long_after_it_says_of_every_hour_what_was_known() -> None:
    """The first hour ended too long before the listing for the next run to lean on it; the range itself may."""
    warehouse = HistoryWarehouse({"t": [WRITTEN]})
    windows = [HOUR, HOUR.next, HOUR.next.next]
    answers = hour(warehouse, swept=hours_ago(1), windows=windows)
    assert [observed["t"].row_count for observed, _ in answers] == [100, 100, 100]
    assert warehouse.asked == []


@given(
    st.integers(1, 30),
    st.lists(st.integers(1, 5), min_size=1, max_size=40),
    st.none() | st.integers(1, 50),
)
def test_never_more_than_the_wanted_hours_lie_between_two_sweeps(
    every: int, steps: list[int], swept_before: int | None
) -> None:
    windows = [hours_ago(500 - sum(steps[:number])) for number in range(1, len(steps) + 1)]
    swept = None if swept_before is None else hours_ago(500 + swept_before)
    newest = sweeps(windows, swept=swept, every_hours=every)
    for window in windows:
        assert window.start - newest[window].start < timedelta(hours=every)
    sweeping = [window for window in windows if newest[window] == window]
    for one, other in pairwise(sweeping):
        assert other.start - one.start >= timedelta(hours=every)
