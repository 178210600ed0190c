"""The half-open UTC hour ``[start, end)`` and its three spellings. Knows no Dagster and no clock."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

HOUR = timedelta(hours=1)
KEY_FORMAT = "%Y-%m-%d-%H:%M"
"""Dagster's spelling of an hourly partition key, e.g. ``2026-11-21-05:00``."""
FOLDER_FORMAT = "%Y-%m-%d-%H"
"""The store's spelling: no colon, which object stores and file systems dislike."""


@dataclass(frozen=True, slots=True, order=True)
class HourWindow:
    """One UTC hour, start included, end excluded.

    Attributes:
        start: a whole hour, aware, in UTC.

    Raises:
        ValueError: the start is naive, not UTC, or not a whole hour.
    """

    start: datetime

    def __post_init__(self) -> None:
        """Refuse anything but a whole hour in UTC."""
        if self.start.utcoffset() != timedelta(0):
            msg = f"an hour starts at an aware UTC instant, not {self.start.isoformat()}"
            raise ValueError(msg)
        if (self.start.minute, self.start.second, self.start.microsecond) != (0, 0, 0):
            msg = f"an hour starts on the hour, not at {self.start.isoformat()}"
            raise ValueError(msg)

    @classmethod
    def holding(cls, instant: datetime) -> "HourWindow":
        """The hour an aware instant falls into."""
        utc = instant.astimezone(UTC)
        return cls(utc.replace(minute=0, second=0, microsecond=0))

    @classmethod
    def newest_closed(cls, now: datetime) -> "HourWindow":
        """The newest hour that has ended at ``now``."""
        return cls.holding(now).previous

    @classmethod
    def from_key(cls, key: str) -> "HourWindow":
        """From a partition key such as ``2026-11-21-05:00``; ValueError when it is none."""
        return cls(datetime.strptime(key, KEY_FORMAT).replace(tzinfo=UTC))

    @classmethod
    def from_folder(cls, name: str) -> "HourWindow":
        """From a folder name such as ``2026-11-21-05``; ValueError when it is none."""
        return cls(datetime.strptime(name, FOLDER_FORMAT).replace(tzinfo=UTC))

    @property
    def end(self) -> datetime:
        """The first instant that is no longer in the hour."""
        return self.start + HOUR

    @property
    def end_ms(self) -> int:
        """``end`` in milliseconds since the epoch."""
        return round(self.end.timestamp()) * 1000

    @property
    def start_ms(self) -> int:
        """``start`` in milliseconds since the epoch."""
        return round(self.start.timestamp()) * 1000

    @property
    def key(self) -> str:
        """The partition key."""
        return self.start.strftime(KEY_FORMAT)

    @property
    def folder(self) -> str:
        """The folder name in the manifest store."""
        return self.start.strftime(FOLDER_FORMAT)

    @property
    def previous(self) -> "HourWindow":
        """The hour before."""
        return HourWindow(self.start - HOUR)

    @property
    def next(self) -> "HourWindow":
        """The hour after."""
        return HourWindow(self.end)

    def holds(self, instant: datetime) -> bool:
        """Whether an aware instant lies in the hour."""
        return self.start <= instant < self.end


def contiguous(windows: Iterable[HourWindow], *, at_most: int) -> Iterator[list[HourWindow]]:
    """Cut hours into runs of neighbours, oldest first, each of at most ``at_most`` (>= 1) hours."""
    run: list[HourWindow] = []
    for window in sorted(set(windows)):
        if run and (window.start != run[-1].end or len(run) == at_most):
            yield run
            run = []
        run.append(window)
    if run:
        yield run
