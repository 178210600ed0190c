"""What is usual, and what is not: rows, rhythms and numbers of records against the days before."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from iomete_mc_assets.manifests.history import History
from iomete_mc_assets.operations.usual import odd_hour, odd_volumes, overdue_tables
from iomete_mc_assets.records import Observation, TableId
from iomete_mc_assets.windows import HourWindow

START = HourWindow.from_key("2026-11-02-00:00")
"""A Monday."""
TABLE = TableId("lake", ("shop",), "orders")


def hour(number: int) -> HourWindow:
    return HourWindow(START.start + timedelta(hours=number))


def lived(
    rows: Callable[[int], int], *, hours: int, changes: Callable[[int], bool] = lambda _: True
) -> History:
    """A table observed every hour: its rows, and whether its data changed in that hour."""
    history = History()
    changed_at: datetime | None = None
    for number in range(hours):
        if changes(number):
            changed_at = hour(number).start
        seen = Observation(table=TABLE, row_count=rows(number), last_data_change=changed_at)
        history = history.with_observations(hour(number), [seen])
    return history


def counted(records: Callable[[int], int], *, hours: int) -> History:
    history = History()
    for number in range(hours):
        history = history.with_hour(hour(number), records(number))
    return history


@pytest.mark.parametrize("rows", [0, 400, 3_500])
def test_a_table_with_far_fewer_or_more_rows_is_odd(rows: int) -> None:
    usual = lived(lambda number: 1_000 if number < 240 else rows, hours=241)
    [odd] = odd_volumes(usual)
    assert (odd.name, odd.found, odd.usual) == ("lake.shop.orders", f"{rows:,}", "1,000 to 1,000")


@pytest.mark.parametrize("rows", [500, 2_000, 3_000])
def test_a_table_may_halve_double_and_grow_by_a_little_more(rows: int) -> None:
    assert not odd_volumes(lived(lambda number: 1_000 if number < 240 else rows, hours=241))


def test_a_table_that_never_changed_and_is_emptied_is_odd() -> None:
    history = lived(
        lambda number: 90 if number < 240 else 0,
        hours=241,
        changes=lambda number: number in (0, 240),
    )
    assert [odd.found for odd in odd_volumes(history)] == ["0"]


def test_a_table_is_judged_after_a_week() -> None:
    def emptied(at: int) -> History:
        return lived(lambda number: 1_000 if number < at else 0, hours=at + 1)

    assert not odd_volumes(emptied(167))
    assert odd_volumes(emptied(168))


def test_a_table_emptied_every_night_is_as_usual() -> None:
    assert not odd_volumes(lived(lambda number: 0 if number % 24 == 2 else 1_000, hours=24 * 9 + 3))


def test_one_odd_day_does_not_change_what_is_usual() -> None:
    def rows(number: int) -> int:
        return 0 if 24 * 5 <= number < 24 * 5 + 3 or number == 24 * 12 else 1_000

    assert odd_volumes(lived(rows, hours=24 * 12 + 1))


def test_what_is_odd_is_shown_for_at_least_a_day_and_then_is_usual() -> None:
    def emptied_for(hours: int) -> History:
        at = 24 * 3 + 23  # in a day's last hour, in a table's second week
        return lived(
            lambda number: 1_000 if number < 168 + at else 0,
            hours=168 + at + hours,
            changes=lambda number: number in (0, 168 + at),
        )

    assert odd_volumes(emptied_for(1))
    assert odd_volumes(emptied_for(25))
    assert not odd_volumes(emptied_for(50))


def test_a_table_that_misses_its_daily_load_is_overdue() -> None:
    def silent_since(last: int, hours: int) -> History:
        return lived(
            lambda _: 1, hours=hours, changes=lambda number: number % 24 == 6 and number <= last
        )

    loaded = 24 * 9 + 6
    assert not overdue_tables(silent_since(loaded, loaded + 36))
    [odd] = overdue_tables(silent_since(loaded, loaded + 38))
    assert (odd.name, odd.found, odd.usual) == (
        "lake.shop.orders",
        "38.0 hours",
        "at most 24.0 hours",
    )


def test_one_long_pause_does_not_change_a_rhythm() -> None:
    pause = range(24 * 8, 24 * 9 + 12)
    changes = lived(lambda _: 1, hours=24 * 12 + 5, changes=lambda number: number not in pause)
    assert not overdue_tables(changes)

    def stops(number: int) -> bool:
        return number not in pause and number < 24 * 12

    assert overdue_tables(lived(lambda _: 1, hours=24 * 12 + 5, changes=stops))


def test_a_table_that_rests_at_weekends_is_as_usual_on_its_second_sunday() -> None:
    def on_weekdays(number: int) -> bool:
        return number // 24 % 7 < 5 and number % 24 == 6

    two_sundays = 24 * 14 - 1
    assert not overdue_tables(lived(lambda _: 1, hours=two_sundays - 24 * 7, changes=on_weekdays))
    third = lived(lambda _: 1, hours=two_sundays + 24 * 7, changes=on_weekdays)
    assert not overdue_tables(third)


def test_a_table_that_changed_too_seldom_or_long_ago_is_not_judged() -> None:
    seldom = lived(lambda _: 1, hours=24 * 10, changes=lambda number: number in (0, 1, 2, 3, 4))
    assert not overdue_tables(seldom)
    once_more = lived(lambda _: 1, hours=24 * 10, changes=lambda number: number <= 5)
    assert overdue_tables(once_more)
    gone = lived(lambda _: 1, hours=24 * 15, changes=lambda number: number <= 5)
    assert not overdue_tables(gone)


@pytest.mark.parametrize(("records", "odd"), [(0, True), (49, True), (50, False), (301, True)])
def test_an_hour_is_compared_with_the_same_clock_hour(records: int, *, odd: bool) -> None:
    """Busy days and quiet nights: 100 queries at noon are usual, 100 at night would be too, by the slack."""
    noon = 24 * 9 + 12

    def queries(number: int) -> int:
        if number == noon:
            return records
        return 100 if 8 <= number % 24 < 18 else 0

    found = odd_hour(counted(queries, hours=noon + 1))
    assert (found is not None) is odd
    assert odd_hour(counted(queries, hours=noon)) is None


def test_hours_are_judged_after_a_week_and_nothing_is_known_of_nothing() -> None:
    def stopped(at: int) -> History:
        return counted(lambda number: 100 if number < at else 0, hours=at + 1)

    assert odd_hour(stopped(167)) is None
    assert odd_hour(stopped(168)) is not None
    assert odd_hour(History()) is None
    assert not odd_volumes(History())
    assert not overdue_tables(History())
