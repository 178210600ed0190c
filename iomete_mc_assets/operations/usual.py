"""Whether the newest hour is as usual: rows, rhythms and numbers of records against the days before. Reads nothing itself.

Robust in two ways: of enough days the most extreme one does not count, and what is usual lies between
half the least and twice the most, so that a table may grow and an hour may be quiet.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from iomete_mc_assets.manifests.history import Day, History, TableHistory
from iomete_mc_assets.windows import HourWindow

LEARNS = timedelta(days=7)
"""Judged is from then on: a weekend has been seen."""
STAYS = timedelta(days=1)
"""So long what is unusual does not count as usual, and goes on being shown."""
QUIET_AFTER = timedelta(days=14)
"""A table that is silent for longer has stopped for good, as Monte Carlo's own detector holds."""
ENOUGH = 5
"""Days from which on the most extreme one is left out; changes, and hours of the same clock time, to judge at all."""
SLACK_ROWS = 1_000
SLACK_RECORDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What is usual, from the second least of many to the second most."""

    low: int
    high: int

    @classmethod
    def of(cls, least: Iterable[int], most: Iterable[int]) -> "Range | None":
        """Of many days' extremes; None without any."""
        lows, highs = sorted(least), sorted(most, reverse=True)
        if not lows or not highs:
            return None
        return cls(low=_without_extreme(lows), high=_without_extreme(highs))

    def holds(self, value: int, *, slack: int) -> bool:
        """Whether a value is at least half the low and at most twice the high and a little."""
        return self.low <= 2 * value and value <= 2 * self.high + slack

    @property
    def shown(self) -> str:
        """For people."""
        return f"{self.low:,} to {self.high:,}"


def _without_extreme(ordered: Sequence[int]) -> int:
    return ordered[1 if len(ordered) >= ENOUGH else 0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """Something unusual, in words."""

    name: str
    found: str
    usual: str


def odd_hour(history: History) -> Odd | None:
    """The newest hour, where it has far fewer or more records than the same clock hour of the last days."""
    if not history.hours or history.hours[-1].hour.start - history.hours[0].hour.start < LEARNS:
        return None
    *earlier, newest = history.hours
    same = [one.records for one in earlier if one.hour.start.hour == newest.hour.start.hour]
    usual = Range.of(same, same) if len(same) >= ENOUGH else None
    if usual is None or usual.holds(newest.records, slack=SLACK_RECORDS):
        return None
    return Odd(name=newest.hour.key, found=f"{newest.records:,}", usual=usual.shown)


def odd_volumes(history: History) -> list[Odd]:
    """Tables whose rows are far fewer or more than on the days on which they changed; by name."""
    if history.through is None:
        return []
    judged = ((one, _usual_rows(one, history.through)) for one in history.tables)
    return [
        Odd(name=one.table.shown, found=f"{one.row_count:,}", usual=usual.shown)
        for one, usual in judged
        if one.row_count is not None
        and usual is not None
        and not usual.holds(one.row_count, slack=SLACK_ROWS)
    ]


def _usual_rows(one: TableHistory, hour: HourWindow) -> Range | None:
    if hour.start - one.since.start < LEARNS:
        return None
    earlier = [day for day in one.days if day.day.start + timedelta(days=1) <= hour.start - STAYS]
    return Range.of(_known(day.least for day in earlier), _known(day.most for day in earlier))


def _known(values: Iterable[int | None]) -> list[int]:
    return [value for value in values if value is not None]


def overdue_tables(history: History) -> list[Odd]:
    """Tables whose data has not changed for much longer than usual, as of the newest hour; by name."""
    if history.through is None:
        return []
    found = (_overdue(one, history.through) for one in history.tables)
    return [one for one in found if one is not None]


def _overdue(one: TableHistory, hour: HourWindow) -> Odd | None:
    if one.last_data_change is None or hour.start - one.since.start < LEARNS:
        return None
    age = hour.end - one.last_data_change
    usual = _usual_gap(one.days)
    if usual is None or age > QUIET_AFTER or age <= usual * 1.5 + timedelta(hours=1):
        return None
    return Odd(name=one.table.shown, found=_hours(age), usual=f"at most {_hours(usual)}")


def _usual_gap(days: Sequence[Day]) -> timedelta | None:
    """The longest time between two changes; of many days the second longest, and None of too few changes."""
    gaps = sorted(_known(day.longest_gap_s for day in days), reverse=True)
    if not gaps or sum(day.changes for day in days) < ENOUGH:
        return None
    return timedelta(seconds=_without_extreme(gaps))


def _hours(age: timedelta) -> str:
    return f"{age.total_seconds() / 3600:.1f} hours"
