"""The half-open UTC hour and its spellings."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.windows import HourWindow, contiguous

whole_hours = st.integers(min_value=0, max_value=24 * 365 * 60).map(
    lambda n: HourWindow(datetime(1990, 1, 1, tzinfo=UTC) + timedelta(hours=n))
)
instants = st.datetimes(
    min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2090, 1, 1),  # noqa: DTZ001 - likewise
    timezones=st.just(UTC),
)


@given(whole_hours)
def test_key_and_folder_lead_back_to_the_hour(window: HourWindow) -> None:
    assert HourWindow.from_key(window.key) == window
    assert HourWindow.from_folder(window.folder) == window


@given(instants)
def test_an_instant_lies_in_exactly_one_of_three_neighbouring_hours(instant: datetime) -> None:
    window = HourWindow.holding(instant)
    assert [w.holds(instant) for w in (window.previous, window, window.next)] == [
        False,
        True,
        False,
    ]


@given(whole_hours)
def test_an_hour_includes_its_start_and_excludes_its_end(window: HourWindow) -> None:
    assert window.holds(window.start)
    assert not window.holds(window.end)
    assert window.holds(window.end - timedelta(microseconds=1))
    assert window.end == window.next.start
    assert (window.end_ms - window.start_ms) == 3_600_000


@given(instants)
def test_the_newest_closed_hour_has_ended_and_its_successor_has_not(now: datetime) -> None:
    window = HourWindow.newest_closed(now)
    assert window.end <= now < window.next.end


@given(st.sets(st.integers(0, 200)), st.integers(1, 24))
def test_runs_of_neighbours_hold_every_hour_once(offsets: set[int], at_most: int) -> None:
    start = HourWindow.from_key("2026-11-20-00:00").start
    windows = [HourWindow(start + timedelta(hours=n)) for n in offsets]
    runs = list(contiguous(windows, at_most=at_most))
    assert [w for run in runs for w in run] == sorted(windows)
    assert all(0 < len(run) <= at_most for run in runs)
    assert all(a.end == b.start for run in runs for a, b in pairwise(run))


@pytest.mark.parametrize(
    "start",
    [
        datetime(2026, 11, 20, 5),  # noqa: DTZ001 - naive on purpose
        datetime(2026, 11, 20, 5, tzinfo=timezone(timedelta(hours=1))),
        datetime(2026, 11, 20, 5, 30, tzinfo=UTC),
        datetime(2026, 11, 20, 5, 0, 0, 1, tzinfo=UTC),
    ],
)
def test_naive_foreign_and_broken_hours_are_refused(start: datetime) -> None:
    with pytest.raises(ValueError, match="an hour starts"):
        HourWindow(start)
