"""What is left out of a catalog on purpose, and under which name it is counted. Asks nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from iomete_mc_assets.records import TableId

Exclusion = Literal[
    "temporary view",
    "system database",
    "database by pattern",
    "pattern",
    "opted out",
    "other catalog",
]
"""``other catalog``: of a catalog that was configured once and is not any more."""
SYSTEM_DATABASES = ("iomete_system_db", "global_temp", "information_schema", "sys*")
"""Left out in every catalog. Source: IOMETE's own collector."""


@dataclass(frozen=True, slots=True)
class Exclusions:
    """What the configuration and IOMETE's conventions leave out.

    Attributes:
        patterns: globs over ``catalog.database.table``, compared without case.
        catalogs: those configured; empty leaves none out.
    """

    patterns: tuple[str, ...] = ()
    catalogs: tuple[str, ...] = ()

    def has_catalog(self, catalog: str) -> bool:
        """Whether a catalog is a configured one, compared without case."""
        configured = {name.casefold() for name in self.catalogs}
        return not configured or catalog.casefold() in configured

    def of_namespace(self, catalog: str, namespace: Sequence[str]) -> Exclusion | None:
        """Why a namespace and everything below it is left out; None when it is not.

        A pattern that ends in ``.*`` leaves out whole databases, which then are not asked for anything.
        """
        outermost = namespace[0].casefold()
        if any(fnmatchcase(outermost, pattern) for pattern in SYSTEM_DATABASES):
            return "system database"
        shown = ".".join((catalog, *namespace)).casefold()
        whole = [one.casefold()[:-2] for one in self.patterns if one.endswith(".*")]
        return "database by pattern" if any(fnmatchcase(shown, one) for one in whole) else None

    def of_table(self, table: TableId) -> Exclusion | None:
        """Why a table or view is left out by its name; None when it is not."""
        if not self.has_catalog(table.catalog):
            return "other catalog"
        shown = table.shown.casefold()
        matched = any(fnmatchcase(shown, pattern.casefold()) for pattern in self.patterns)
        return "pattern" if matched else None
