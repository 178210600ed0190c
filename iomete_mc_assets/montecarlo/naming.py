"""How a table is called at Monte Carlo: one function for metadata, lineage and look-ups. Sends nothing."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from iomete_mc_assets import settings
from iomete_mc_assets.errors import SettingsError
from iomete_mc_assets.records import TableId

Strategy = Literal["guide", "hive", "databricks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetName:
    """Monte Carlo's three parts of a table's name, case kept."""

    database: str
    schema: str
    name: str

    @property
    def key(self) -> str:
        """The full table id, lower-cased: identity in the ledger and the id of look-ups.

        Monte Carlo's own scripts lower-case it before a look-up; whether its gateway does is undocumented.
        """
        return f"{self.database}:{self.schema}.{self.name}".casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """One strategy for all flows.

    Attributes:
        strategy: ``guide`` (db, ``default``, table), ``hive`` (db, db, table), ``databricks``
            (catalog, db, table). Levels of a nested namespace are joined by dots.
        catalogs: those surveyed; several only where their tables cannot share names.
        prefixes: by catalog, what ``guide`` and ``hive`` put before its databases' names, e.g. ``lake_``.

    Raises:
        SettingsError: two catalogs under ``guide`` or ``hive`` with the same prefix or none, or a prefix
            that nothing can have.
    """

    strategy: Strategy
    catalogs: tuple[str, ...]
    prefixes: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        """Refuse what would merge two catalogs into one."""
        if self.strategy == "databricks":
            if self.prefixes:
                msg = (
                    "MCD_CATALOG_PREFIXES is set, but MCD_NAMING=databricks keeps the catalog and takes no "
                    "prefix. Unset one of them."
                )
                raise SettingsError(msg)
            return
        if unknown := sorted(set(self.prefixes) - set(self.catalogs)):
            msg = (
                f"MCD_CATALOG_PREFIXES names {', '.join(unknown)}, which IOMETE_CATALOGS does not. It takes "
                f"{settings.MCD_CATALOG_PREFIXES.takes}."
            )
            raise SettingsError(msg)
        prefixes = Counter(self.prefixes.get(one, "").casefold() for one in set(self.catalogs))
        if max(prefixes.values(), default=0) > 1:
            msg = (
                f"MCD_NAMING={self.strategy} drops the catalog, but IOMETE_CATALOGS names "
                f"{', '.join(self.catalogs)}: equal names in two catalogs would become one table. "
                "Set MCD_NAMING=databricks, or give all of them but one a prefix of its own in "
                "MCD_CATALOG_PREFIXES, or survey one catalog."
            )
            raise SettingsError(msg)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """From settings; SettingsError names what cannot be used."""
        return cls(
            strategy=settings.MCD_NAMING.read(environment),
            catalogs=settings.IOMETE_CATALOGS.read(environment),
            prefixes=settings.MCD_CATALOG_PREFIXES.read(environment),
        )

    def of(self, table: TableId) -> AssetName:
        """The name of a table or view."""
        database = self.prefixes.get(table.catalog, "") + ".".join(table.namespace)
        match self.strategy:
            case "guide":
                return AssetName(database=database, schema="default", name=table.table)
            case "hive":
                return AssetName(database=database, schema=database, name=table.table)
            case "databricks":
                return AssetName(database=table.catalog, schema=database, name=table.table)

    def tables_of(self, key: str) -> Iterator[TableId]:
        """Tables of the surveyed catalogs that may have that name, in lower case."""
        database, _, rest = key.partition(":")
        schema, _, name = rest.rpartition(".")
        for catalog in map(str.casefold, self.catalogs):
            if self.strategy == "databricks" and catalog != database:
                continue
            levels = schema if self.strategy == "databricks" else database
            prefix = self._prefix(catalog)
            if levels.startswith(prefix):
                yield TableId(catalog, tuple(levels.removeprefix(prefix).split(".")), name)

    def _prefix(self, catalog: str) -> str:
        return next(
            (text.casefold() for one, text in self.prefixes.items() if one.casefold() == catalog),
            "",
        )

    def holders(self, tables: Iterable[TableId]) -> dict[str, TableId]:
        """Who gets each name: of tables whose names are equal after folding case, the first in sorted order."""
        holders: dict[str, TableId] = {}
        for table in tables:
            key = self.of(table).key
            holder = holders.get(key)
            if holder is None or table < holder:
                holders[key] = table
        return holders
