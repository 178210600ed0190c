"""`tables.json`: the newest word on a limited number of tables, small enough to be read when Dagster loads.

A view made from manifests, never an input of a collector or a push: when it is lost, the next catalog makes it anew.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from iomete_mc_assets.manifests.codec import JsonFile
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.records import (
    Column,
    LineageEdge,
    Observation,
    TableEntry,
    TableFormat,
    TableId,
    TableKind,
)
from iomete_mc_assets.windows import HourWindow

PATH = "tables.json"
MAX_COLUMNS = 500
"""Of a table, in the index: the catalog's manifest has all."""
KEPT = timedelta(days=30)
"""How long before the newest edge one may have been seen last."""
MAX_FEEDS = 2_000
"""Pairs of tables: with ten columns each they are some 3 MB. Those that were seen last stay."""
VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChoice:
    """Which tables are in the index.

    Attributes:
        patterns: globs over ``catalog.database.table``, compared without case; ``*`` is all.
        limit: at most so many, the first by name.
    """

    patterns: tuple[str, ...]
    limit: int

    def of(self, entries: Iterable[TableEntry]) -> list[TableEntry]:
        """The chosen ones, by name."""
        chosen = sorted(
            (entry for entry in entries if self._matches(entry.table)), key=lambda one: one.table
        )
        return chosen[: self.limit]

    def _matches(self, table: TableId) -> bool:
        shown = table.shown.casefold()
        return any(fnmatchcase(shown, pattern.casefold()) for pattern in self.patterns)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedTable:
    """One table or view.

    Attributes:
        columns: the first 500.
        row_count, last_data_change: as last known; None where never known.
    """

    table: TableId
    kind: TableKind
    format: TableFormat
    comment: str | None
    owner: str | None
    columns: tuple[Column, ...]
    row_count: int | None = None
    last_data_change: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FedColumn:
    """A column whose values are made of another's.

    Attributes:
        seen: when a query last showed it.
    """

    source: str
    target: str
    seen: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A table of the index that feeds another one of it.

    Attributes:
        seen: when a query last showed it.
        columns: by name; none where only the tables are known.
    """

    source: TableId
    target: TableId
    seen: datetime
    columns: tuple[FedColumn, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TableIndex:
    """All of them, by name.

    Attributes:
        listed: the catalog's hour that they are from; None before the first.
        observed: the newest hour of observations in it; None before the first.
        total: tables and views of that catalog, chosen or not.
        feeds: between them, by name.
    """

    format: int = VERSION
    listed: HourWindow | None = None
    observed: HourWindow | None = None
    total: int = 0
    tables: tuple[IndexedTable, ...] = field(default=())
    feeds: tuple[Feed, ...] = field(default=())

    def with_catalog(
        self, window: HourWindow, entries: Iterable[TableEntry], choice: TableChoice
    ) -> "TableIndex":
        """As a catalog lists them; what was observed of a table, and what feeds it, stays with its name."""
        known = {one.table.folded: one for one in self.tables}
        everything = list(entries)
        tables = tuple(_indexed(entry, known) for entry in choice.of(everything))
        listed = replace(self, listed=window, total=len(everything), tables=tables)
        return listed.with_lineage(())

    def with_observations(
        self, window: HourWindow, observations: Iterable[Observation]
    ) -> tuple["TableIndex", tuple[IndexedTable, ...]]:
        """With newer figures, and the tables of which a figure is another than before.

        What an hour does not know (an unknown row count) leaves the figure as it was.
        """
        seen = {one.table.folded: one for one in observations}
        tables = tuple(_observed(one, seen.get(one.table.folded)) for one in self.tables)
        changed = tuple(
            now for before, now in zip(self.tables, tables, strict=True) if now != before
        )
        return replace(self, observed=window, tables=tables), changed

    def with_lineage(self, edges: Iterable[LineageEdge]) -> "TableIndex":
        """With edges of any hour, of which those between tables of the index stay; see ``KEPT``."""
        names = {one.table.folded: one.table for one in self.tables}
        seen: dict[_Pair, _Seen] = {}
        for feed in self.feeds:
            columns = {(one.source, one.target): one.seen for one in feed.columns}
            seen[feed.source.folded, feed.target.folded] = {None: feed.seen, **columns}
        for edge in edges:
            if edge.kind != "indirect":
                _take(seen.setdefault((edge.source.folded, edge.target.folded), {}), edge)
        here = {pair: times for pair, times in seen.items() if names.keys() >= set(pair)}
        newest = sorted(here, key=lambda pair: here[pair][None], reverse=True)[:MAX_FEEDS]
        if not newest:
            return replace(self, feeds=())
        oldest = here[newest[0]][None] - KEPT
        feeds = (
            _feed(names[source], names[target], here[source, target], oldest)
            for source, target in sorted(newest)
        )
        return replace(self, feeds=tuple(one for one in feeds if one.seen >= oldest))


_Pair = tuple[tuple[str, ...], tuple[str, ...]]
_Seen = dict[tuple[str, str] | None, datetime]
"""When columns of a pair of tables were seen last, and under None the tables."""


def _take(seen: _Seen, edge: LineageEdge) -> None:
    columns = (edge.source_column or "", edge.target_column or "")
    for key in {None, None if edge.kind == "table" else columns}:
        seen[key] = max(seen.get(key, edge.last_seen), edge.last_seen)


def _feed(source: TableId, target: TableId, seen: _Seen, oldest: datetime) -> Feed:
    columns = sorted((key, at) for key, at in seen.items() if key is not None and at >= oldest)
    return Feed(
        source=source,
        target=target,
        seen=seen[None],
        columns=tuple(FedColumn(source=a, target=b, seen=at) for (a, b), at in columns),
    )


_FILE = JsonFile(TableIndex, version_field="format", version=VERSION, older={1: {"feeds": []}})


def read_index(storage: Storage) -> TableIndex | None:
    """The index; None where none was written yet.

    Raises:
        ManifestDamaged, UnknownSchemaVersion: it is not what this version writes.
        OSError: the storage does not answer.
    """
    try:
        data = storage.read(PATH)
    except FileNotFoundError:
        return None
    return replace(_FILE.decode(data, where=f"{storage.root}/{PATH}"), format=VERSION)


def write_index(storage: Storage, index: TableIndex) -> None:
    """Replace it; of two writers at once the later one stays, until the next hour."""
    storage.write(PATH, _FILE.encode(index))


def _indexed(entry: TableEntry, known: Mapping[tuple[str, ...], IndexedTable]) -> IndexedTable:
    before = known.get(entry.table.folded)
    return IndexedTable(
        table=entry.table,
        kind=entry.kind,
        format=entry.format,
        comment=entry.comment,
        owner=entry.owner,
        columns=entry.columns[:MAX_COLUMNS],
        row_count=None if before is None else before.row_count,
        last_data_change=None if before is None else before.last_data_change,
    )


def _observed(table: IndexedTable, seen: Observation | None) -> IndexedTable:
    if seen is None or seen.carried_from is not None:
        return table
    rows = table.row_count if seen.row_count is None else seen.row_count
    changed_at = seen.last_data_change or table.last_data_change
    return replace(table, row_count=rows, last_data_change=changed_at)
