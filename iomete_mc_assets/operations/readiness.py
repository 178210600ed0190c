"""Which tables have told Monte Carlo's detectors enough, what is missing, and when it will be there. Asks nobody; ``readiness_shown`` does.

Thresholds are Monte Carlo's, as its agent toolkit (skill push-ingestion, anomaly-detection.md) tells them;
where it says less than is needed here, the constant says so.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median, quantiles
from typing import Literal

from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.operations.readiness_samples import Sample, Samples, samples_of, take_in
from iomete_mc_assets.push.config import Destination
from iomete_mc_assets.records import TableEntry
from iomete_mc_assets.windows import HOUR, HourWindow

FRESHNESS_WINDOW = timedelta(days=35)
FRESHNESS_SAMPLES = 7
FRESHNESS_COVERED = timedelta(days=22)
FRESHNESS_COVERAGE = 0.15
FRESHNESS_COVERAGE_SLOW = 0.8
"""Instead of the seven samples, for tables that change slowly."""
FASTEST, SLOWEST = timedelta(minutes=5), timedelta(days=7.7)
SILENT_AFTER = timedelta(days=14)
GAP = timedelta(days=7)
GAP_MATTERS_BELOW = timedelta(hours=26.4)
VOLUME_WINDOW = timedelta(days=42)
VOLUME_COVERAGE = 0.3
VOLUME_AGE = timedelta(days=5)
VOLUME_REGULARITY = 0.2
"""Shortest quarter of the intervals against the longest; the source words it the other way round, which never fails."""
SUB_DAILY, DAILY, WEEKLY = 48, 10, 5
SUB_DAILY_BELOW, WEEKLY_FROM = timedelta(hours=16), timedelta(days=3.5)
"""Where one kind of table ends and the next begins; ours, as the source names the kinds only."""

NAMED = 10
"""Pauses, and hours with several pushes, that people are told."""

State = Literal["ready", "learning", "stopped", "never"]
"""``never``: at the present rhythm; another one may do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """How far one detector is for one table.

    Attributes:
        samples: changed values that Monte Carlo has accepted in the time the detector learns from.
        needed: of them at the present rhythm; None while there is no rhythm.
        every: median time between two changes; None while there are fewer than two.
        missing: what is missing, in words; empty when ready.
        ready_at: at the present rhythm, as of the look; None when ready, and where nobody can say.
    """

    state: State
    samples: int
    needed: int | None = None
    every: timedelta | None = None
    missing: tuple[str, ...] = ()
    ready_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Clock hours in which nothing of a table was accepted, end excluded."""

    start: datetime
    end: datetime

    @property
    def hours(self) -> int:
        """How many."""
        return round((self.end - self.start) / HOUR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """One table.

    Attributes:
        key: its full table id at Monte Carlo, lower-cased.
        since: the first clock hour known of it; None without any.
        pauses: since then.
        sub_hourly: clock hours in which more than one observation was accepted.
    """

    key: str
    since: datetime | None
    freshness: Detector
    volume: Detector
    pauses: tuple[Pause, ...]
    sub_hourly: tuple[datetime, ...]

    @property
    def ready(self) -> bool:
        """Whether both detectors are."""
        return self.freshness.state == self.volume.state == "ready"


def readiness(
    store: ManifestStore, destination: Destination, naming: Naming, *, now: datetime
) -> list[Readiness]:
    """Every Iceberg table of the newest catalog, by name; takes new receipts in first.

    Raises:
        ManifestError: a file is damaged, or a newer version wrote it.
    """
    take_in(store, destination, naming, now=now)
    found = samples_of(store, destination, now=now)
    return [judged(key, found.get(key, Samples()), now=now) for key in _present(store, naming)]


def _present(store: ManifestStore, naming: Naming) -> list[str]:
    newest = store.newest("catalog_snapshot")
    if newest is None:
        return []
    return sorted(
        {
            naming.of(one.table).key
            for one in store.records(newest)
            if isinstance(one, TableEntry) and one.kind == "table" and one.format == "iceberg"
        }
    )


def judged(key: str, samples: Samples, *, now: datetime) -> Readiness:
    """One table, by its samples."""
    hours = sorted({one.at for one in samples.every})
    return Readiness(
        key=key,
        since=hours[0] if hours else None,
        freshness=_freshness(samples.every, now=now),
        volume=_volume(samples.every, now=now),
        pauses=tuple(_pauses(hours, now=now)),
        sub_hourly=samples.again,
    )


def _pauses(hours: Sequence[datetime], *, now: datetime) -> Iterable[Pause]:
    """Between two accepted ones, and since the last one; the present hour and the one before may still come."""
    for before, after in pairwise(hours):
        if after - before > HOUR:
            yield Pause(start=before + HOUR, end=after)
    expected = HourWindow.newest_closed(now).start
    if hours and hours[-1] + HOUR < expected:
        yield Pause(start=hours[-1] + HOUR, end=expected)


def _freshness(every: Sequence[Sample], *, now: datetime) -> Detector:
    changes = _changes(one for one in every if one.at >= now - FRESHNESS_WINDOW)
    if len(changes) < 2:  # noqa: PLR2004 - an interval has two ends
        return _no_rhythm(len(changes), "last change of data")
    rhythm = timedelta(seconds=median((b - a).total_seconds() for a, b in pairwise(changes)))
    by_count = max(FRESHNESS_SAMPLES, _covering(FRESHNESS_COVERAGE, FRESHNESS_COVERED, rhythm))
    needed = min(by_count, max(2, _covering(FRESHNESS_COVERAGE_SLOW, FRESHNESS_COVERED, rhythm)))
    made = _counted(changes, rhythm, needed, window=FRESHNESS_WINDOW, now=now)
    if not FASTEST <= rhythm <= SLOWEST:
        why = f"changes every {shown(rhythm)}, and the detector takes 5 minutes to 7.7 days"
        return replace(made, state="never", missing=(*made.missing, why), ready_at=None)
    stopped = _stopped(changes, rhythm, now=now)
    if stopped:
        return replace(made, state="stopped", missing=(*made.missing, stopped), ready_at=None)
    return made


def _changes(every: Iterable[Sample]) -> list[datetime]:
    """Changed values in the order of their acceptance; what goes backwards is not sent as freshness."""
    changes: list[datetime] = []
    for one in every:
        if one.changed_at is not None and (not changes or one.changed_at > changes[-1]):
            changes.append(one.changed_at)
    return changes


def _stopped(changes: Sequence[datetime], rhythm: timedelta, *, now: datetime) -> str | None:
    silence = now - changes[-1]
    if silence > SILENT_AFTER:
        return f"no change for {shown(silence)}; 14 days turn it off"
    late = now - SILENT_AFTER
    gaps = [b - max(a, late) for a, b in pairwise((*changes, now)) if b > late]
    if rhythm <= GAP_MATTERS_BELOW and max(gaps) > GAP:
        return f"a pause of {shown(max(gaps))} in the last 14 days; 7 days turn it off"
    return None


def _volume(every: Sequence[Sample], *, now: datetime) -> Detector:
    told = [one for one in every if one.volume and one.at >= now - VOLUME_WINDOW]
    changes = {
        one.at: None  # two in one clock hour are one point
        for before, one in zip([None, *told], told, strict=False)
        if before is None or (one.changed_at, one.rows) != (before.changed_at, before.rows)
    }
    changed = list(changes)
    if len(changed) < 2:  # noqa: PLR2004 - as above
        return _no_rhythm(len(changed), "volume")
    seconds = [(b - a).total_seconds() for a, b in pairwise(changed)]
    rhythm = max(HOUR, timedelta(seconds=median(seconds)))
    least = SUB_DAILY if rhythm < SUB_DAILY_BELOW else WEEKLY if rhythm >= WEEKLY_FROM else DAILY
    needed = max(least, _covering(VOLUME_COVERAGE, VOLUME_WINDOW, rhythm))
    made = _counted(changed, rhythm, needed, window=VOLUME_WINDOW, now=now)
    old_enough_at = told[0].at + VOLUME_AGE
    if old_enough_at > now:
        age = f"known for {shown(now - told[0].at)} of 5 days"
        at = max(old_enough_at, made.ready_at or now)
        state: State = "learning" if made.state == "ready" else made.state
        made = replace(made, state=state, missing=(*made.missing, age))
        made = replace(made, ready_at=None if state == "never" else at)
    if _irregular(seconds):
        why = "irregular: its longer pauses are more than five times its shorter ones"
        made = replace(made, state="never", missing=(*made.missing, why), ready_at=None)
    return made


def _irregular(seconds: Sequence[float]) -> bool:
    if len(seconds) < 4:  # noqa: PLR2004 - quarters
        return False
    first, _, third = quantiles(seconds, n=4)
    return first / third < VOLUME_REGULARITY


def _covering(share: float, of: timedelta, rhythm: timedelta) -> int:
    """How many samples at a rhythm cover a share of a time."""
    return math.ceil(share * of / rhythm) if rhythm else 0


def _counted(
    changes: Sequence[datetime],
    rhythm: timedelta,
    needed: int,
    *,
    window: timedelta,
    now: datetime,
) -> Detector:
    """By the number of samples alone."""
    count = len(changes)
    if count >= needed:
        return Detector(state="ready", samples=count, needed=needed, every=rhythm)
    missing = (f"{needed - count} more changed values",)
    made = Detector(state="learning", samples=count, needed=needed, every=rhythm, missing=missing)
    if needed > window // rhythm + 1:
        why = f"changes every {shown(rhythm)}: {needed} values do not fit into {window.days} days"
        return replace(made, state="never", missing=(why,))
    return replace(made, ready_at=max(now, changes[-1] + (needed - count) * rhythm))


def _no_rhythm(count: int, what: str) -> Detector:
    missing = f"no {what} was accepted" if not count else f"one {what} so far, so no rhythm"
    return Detector(state="learning", samples=count, missing=(missing,))


def shown(span: timedelta) -> str:
    """For people."""
    seconds = span.total_seconds()
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def told_pauses(tables: Iterable[Readiness]) -> list[str]:
    """Hours without any push and hours with several, each once for all tables that have it; the widest ten of a kind."""
    pauses, several = Counter[Pause](), Counter[datetime]()
    for one in tables:
        pauses.update(one.pauses)
        several.update(one.sub_hourly)
    lines = [
        f"{pause.start:%Y-%m-%d %H:%M} to {pause.end:%Y-%m-%d %H:%M}: nothing accepted of {count} tables"
        for pause, count in pauses.most_common(NAMED)
    ]
    lines += [
        f"{hour:%Y-%m-%d %H:%M}: more than one observation of {count} tables in the clock hour; Monte Carlo wants one at most"
        for hour, count in several.most_common(NAMED)
    ]
    more = max(0, len(pauses) - NAMED) + max(0, len(several) - NAMED)
    return [*lines, f"and {more} more of these"] if more else lines
