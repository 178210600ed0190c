"""What is known of tables while texts are read: the catalog snapshot's columns, and those of tables made since."""

from collections.abc import Iterable, Mapping

from iomete_mc_assets.collectors.lineage.frames import Source
from iomete_mc_assets.collectors.lineage.model import SESSION_CATALOG, Output, TableKey
from iomete_mc_assets.records import TableEntry

Columns = tuple[tuple[str, str | None], ...]
"""Folded names, and Spark's types where they are known; in order."""


class Catalog:
    """The nearest catalog snapshot, and each table of it as an item of FROM once it was asked for."""

    def __init__(
        self, tables: Mapping[TableKey, Columns], catalogs: Iterable[str] = (SESSION_CATALOG,)
    ) -> None:
        """``catalogs``: which first parts of a name are catalogs; Spark's own always is."""
        self.tables = tables
        self.catalogs = frozenset({SESSION_CATALOG, *catalogs})
        self._sources: dict[TableKey, Source] = {}

    @classmethod
    def of(cls, entries: Iterable[TableEntry], *, catalogs: Iterable[str]) -> "Catalog":
        """From a manifest's records and the catalogs that are configured."""
        tables = {
            entry.table.folded: tuple(
                (column.name.casefold(), column.type) for column in entry.columns
            )
            for entry in entries
        }
        named = {name.casefold() for name in catalogs}
        return cls(tables, named.union(key[0] for key in tables))

    def source(self, key: TableKey) -> Source | None:
        """The table; None where the snapshot does not have it."""
        if key not in self._sources and key in self.tables:
            self._sources[key] = _source(key, self.tables[key])
        return self._sources.get(key)


class Tables:
    """Columns by table; what was made since the snapshot wins."""

    def __init__(self, catalog: Catalog, made: Mapping[TableKey, tuple[str, ...] | None]) -> None:
        """``made``: None for a table whose columns are not known any more."""
        self.catalog = catalog
        self.made = dict(made)

    def knows(self, key: TableKey) -> bool:
        """Whether the columns are known."""
        return self.made[key] is not None if key in self.made else key in self.catalog.tables

    def names(self, key: TableKey | None) -> tuple[str, ...] | None:
        """The columns' names in order; None where they are not known."""
        if key is None:
            return None
        if key in self.made:
            return self.made[key]
        known = self.catalog.tables.get(key)
        return None if known is None else tuple(name for name, _ in known)

    def source(self, key: TableKey) -> Source | None:
        """The table as an item of FROM."""
        if key not in self.made:
            return self.catalog.source(key)
        names = self.made[key]
        return None if names is None else _source(key, tuple((name, None) for name in names))


def _source(key: TableKey, columns: Columns) -> Source:
    return Source(
        key,
        tuple(Output(name, frozenset(((key, name),)), type=kind) for name, kind in columns),
    )
