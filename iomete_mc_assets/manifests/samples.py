"""`samples/<destination>/<day>.json.gz`: what Monte Carlo accepted of each table's volume and freshness, clock hour by clock hour.

A view made from receipts, which outlives their records; how it is judged lives in ``operations.readiness``.
"""

import gzip
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from iomete_mc_assets.errors import ManifestDamaged
from iomete_mc_assets.manifests.codec import JsonFile
from iomete_mc_assets.manifests.storage import Storage

FOLDER = "samples"
SUFFIX = ".json.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What was told of a table, and when.

    Attributes:
        changed_at: last change of its data; None where none was told.
        rows: None where they were not told.
        volume: whether rows or bytes were told.
        hours: clock hours of the day (0 to 23, UTC) in which this was accepted, ascending.
    """

    changed_at: datetime | None
    rows: int | None
    volume: bool
    hours: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDay:
    """One table's day.

    Attributes:
        key: its full table id at Monte Carlo, lower-cased.
        again: clock hours in which more than one was accepted.
    """

    key: str
    values: tuple[Value, ...]
    again: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One accepted observation: a value, and nothing of when."""

    key: str
    changed_at: datetime | None
    rows: int | None
    volume: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What was accepted on one UTC day; the same whatever the order in which requests are taken in.

    Attributes:
        requests: invocation ids of those that are in it.
    """

    format: int = 1
    requests: tuple[str, ...] = ()
    tables: tuple[TableDay, ...] = ()

    def with_requests(self, requests: "Iterable[tuple[str, int, Sequence[Told]]]") -> "Day":
        """With accepted requests: invocation id, clock hour, observations. Those in it already change nothing."""
        known = set(self.requests)
        of_table: dict[str, _Hours] = {one.key: _Hours.of(one) for one in self.tables}
        for invocation_id, hour, every in requests:
            if invocation_id in known:
                continue
            known.add(invocation_id)
            for told in every:
                of_table.setdefault(told.key, _Hours()).take(told, hour)
        return Day(
            requests=tuple(sorted(known)),
            tables=tuple(of_table[key].frozen(key) for key in sorted(of_table)),
        )


_Said = tuple[datetime | None, int | None, bool]


class _Hours:
    """A table's day while requests are taken in."""

    def __init__(self) -> None:
        self._values: defaultdict[_Said, set[int]] = defaultdict(set)
        self._taken: set[int] = set()
        self._again: set[int] = set()

    @classmethod
    def of(cls, day: TableDay) -> "_Hours":
        made = cls()
        for value in day.values:
            made._values[value.changed_at, value.rows, value.volume].update(value.hours)
            made._taken.update(value.hours)
        made._again.update(day.again)
        return made

    def take(self, told: Told, hour: int) -> None:
        if hour in self._taken:
            self._again.add(hour)
        self._taken.add(hour)
        self._values[told.changed_at, told.rows, told.volume].add(hour)

    def frozen(self, key: str) -> TableDay:
        values = [
            Value(changed_at=changed_at, rows=rows, volume=volume, hours=tuple(sorted(hours)))
            for (changed_at, rows, volume), hours in self._values.items()
        ]
        return TableDay(
            key=key, values=tuple(sorted(values, key=_order)), again=tuple(sorted(self._again))
        )


def _order(value: Value) -> tuple[tuple[int, ...], str, bool, int, bool]:
    told = value.rows is not None
    return value.hours, str(value.changed_at), told, value.rows or 0, value.volume


_FILE = JsonFile(Day, version_field="format")


def known_days(storage: Storage, destination: str) -> list[date]:
    """Those that have a file, ascending."""
    names = storage.names(f"{FOLDER}/{destination}")
    return [date.fromisoformat(n.removesuffix(SUFFIX)) for n in names if n.endswith(SUFFIX)]


def read_day(storage: Storage, destination: str, day: date) -> Day:
    """One day; an empty one where none was written.

    Raises:
        ManifestDamaged, UnknownSchemaVersion: it is not what this version writes.
        OSError: the storage does not answer.
    """
    path = _path(destination, day)
    try:
        data = storage.read(path)
    except FileNotFoundError:
        return Day()
    where = f"{storage.root}/{path}"
    try:
        return _FILE.decode(gzip.decompress(data), where=where)
    except (EOFError, OSError, zlib.error, ManifestDamaged) as error:
        msg = (
            f"{where} is damaged ({error}). Delete the folder {FOLDER}/{destination} of the manifest store: "
            "it is made anew from the receipts of the last 42 days."
        )
        raise ManifestDamaged(msg) from error


def write_day(storage: Storage, destination: str, day: date, content: Day) -> None:
    """Replace it; of two writers at once the later one stays, and the next one takes in what is missing."""
    data = gzip.compress(_FILE.encode(content), compresslevel=6, mtime=0)
    storage.write(_path(destination, day), data)


def _path(destination: str, day: date) -> str:
    return f"{FOLDER}/{destination}/{day.isoformat()}{SUFFIX}"
