"""How a table is called at Monte Carlo: one function for metadata, lineage and look-ups. Sends nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

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
        catalogs: those surveyed; one only under a strategy that drops the catalog.

    Raises:
        SettingsError: several catalogs under ``guide`` or ``hive``: their tables would share names.
    """

    strategy: Strategy
    catalogs: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse what would merge two catalogs into one."""
        if self.strategy != "databricks" and len(set(self.catalogs)) > 1:
            msg = (
                f"MCD_NAMING={self.strategy} drops the catalog, but IOMETE_CATALOGS names "
                f"{', '.join(self.catalogs)}: equal names in two catalogs would become one table. "
                "Set MCD_NAMING=databricks, or survey one catalog."
            )
            raise SettingsError(msg)

    def of(self, table: TableId) -> AssetName:
        """The name of a table or view."""
        database = ".".join(table.namespace)
        match self.strategy:
            case "guide":
                return AssetName(database=database, schema="default", name=table.table)
            case "hive":
                return AssetName(database=database, schema=database, name=table.table)
            case "databricks":
                return AssetName(database=table.catalog, schema=database, name=table.table)

    def holders(self, tables: Iterable[TableId]) -> dict[str, TableId]:
        """Who gets each name: of tables whose names are equal after folding case, the first in sorted order."""
        holders: dict[str, TableId] = {}
        for table in tables:
            key = self.of(table).key
            holder = holders.get(key)
            if holder is None or table < holder:
                holders[key] = table
        return holders
