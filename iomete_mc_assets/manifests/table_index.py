"""`tables.json`: the newest word on a limited number of tables, small enough to be read when Dagster loads.

A view made from manifests, never an input of a collector or a push: losing it loses nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase

from iomete_mc_assets.manifests.codec import JsonFile
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.records import (
    Column,
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
class TableIndex:
    """All of them, by name.

    Attributes:
        listed: the catalog's hour that they are from; None before the first.
        observed: the newest hour of observations in it; None before the first.
        total: tables and views of that catalog, chosen or not.
    """

    format: int = 1
    listed: HourWindow | None = None
    observed: HourWindow | None = None
    total: int = 0
    tables: tuple[IndexedTable, ...] = field(default=())

    def with_catalog(
        self, window: HourWindow, entries: Iterable[TableEntry], choice: TableChoice
    ) -> "TableIndex":
        """As a catalog lists them; what was observed of a table stays with its name."""
        known = {one.table.folded: one for one in self.tables}
        everything = list(entries)
        tables = tuple(_indexed(entry, known) for entry in choice.of(everything))
        return replace(self, listed=window, total=len(everything), tables=tables)

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


_FILE = JsonFile(TableIndex, version_field="format")


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
    return _FILE.decode(data, where=f"{storage.root}/{PATH}")


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
