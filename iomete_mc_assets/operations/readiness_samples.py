"""Receipts of observations into the days of ``manifests.samples``, and those days as one row of samples a table. Judges nothing."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from iomete_mc_assets.manifests import samples
from iomete_mc_assets.manifests.samples import Told
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.operations.accepted import batches, records
from iomete_mc_assets.push.config import Destination
from iomete_mc_assets.records import Observation
from iomete_mc_assets.windows import HOUR

KEPT = timedelta(days=42)
"""The longest time a detector learns from; records are never pruned within it."""
LOOK_BACK = timedelta(days=2)
"""Before the newest day known: an hour's observations are sent within a day of its end or never."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One accepted observation.

    Attributes:
        at: the clock hour in which it was accepted, as an instant.
        changed_at: last change of data; None where none was told.
        rows: None where they were not told.
        volume: whether rows or bytes were told.
    """

    at: datetime
    changed_at: datetime | None
    rows: int | None
    volume: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """One table's.

    Attributes:
        every: by time.
        again: clock hours in which more than one was accepted.
    """

    every: tuple[Sample, ...] = ()
    again: tuple[datetime, ...] = ()


def take_in(
    store: ManifestStore, destination: Destination, naming: Naming, *, now: datetime
) -> int:
    """Bring the days up to date with the receipts; how many requests were new.

    Raises:
        ManifestError: a file is damaged, or a newer version wrote it.
    """
    known = samples.known_days(store.storage, destination.id)
    since = now - KEPT
    if known:
        since = max(since, _midnight(known[-1]) - LOOK_BACK)
    of_day: defaultdict[date, list[tuple[str, int, list[Told]]]] = defaultdict(list)
    days: dict[date, samples.Day] = {}
    for batch in batches(store, "observations", destination.id, since=since):
        at = batch.receipt.accepted_at.astimezone(UTC)
        day = at.date()
        if day not in days:
            days[day] = samples.read_day(store.storage, destination.id, day)
        if batch.receipt.invocation_id not in days[day].requests:
            every = [_told(one, naming) for _, one in records(store, batch)]
            of_day[day].append((batch.receipt.invocation_id, at.hour, every))
    for day, requests in of_day.items():
        content = days[day].with_requests(requests)
        samples.write_day(store.storage, destination.id, day, content)
    return sum(map(len, of_day.values()))


def _told(record: object, naming: Naming) -> Told:
    if not isinstance(record, Observation):
        msg = f"observations hold observations, not {type(record).__name__}"
        raise TypeError(msg)
    return Told(
        key=naming.of(record.table).key,
        changed_at=record.last_data_change,
        rows=record.row_count,
        volume=record.row_count is not None or record.byte_count is not None,
    )


def samples_of(
    store: ManifestStore, destination: Destination, *, now: datetime
) -> Mapping[str, Samples]:
    """By table, what was accepted in the last 42 days.

    Raises:
        ManifestError: a file is damaged, or a newer version wrote it.
    """
    since = now - KEPT
    every: defaultdict[str, list[Sample]] = defaultdict(list)
    again: defaultdict[str, list[datetime]] = defaultdict(list)
    for day in samples.known_days(store.storage, destination.id):
        midnight = _midnight(day)
        if midnight < since - timedelta(days=1):
            continue
        for table in samples.read_day(store.storage, destination.id, day).tables:
            every[table.key] += [
                Sample(midnight + hour * HOUR, value.changed_at, value.rows, value.volume)
                for value in table.values
                for hour in value.hours
                if midnight + hour * HOUR >= since
            ]
            again[table.key] += [midnight + hour * HOUR for hour in table.again]
    return {
        key: Samples(
            every=tuple(sorted(found, key=_when)),
            again=tuple(one for one in again[key] if one >= since),
        )
        for key, found in every.items()
    }


def _when(sample: Sample) -> tuple[datetime, datetime]:
    return sample.at, sample.changed_at or sample.at


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
