"""The words of lineage: keys, columns with what is behind them, sessions, and what one text says. Reads no SQL.

Names are folded (``casefold``) throughout; the catalog's own spelling comes back in ``edges``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

TableKey = tuple[str, ...]
"""Catalog, namespace levels, table."""
Origin = tuple[TableKey, str]
"""A column of a table."""

SESSION_CATALOG = "spark_catalog"
GLOBAL_TEMP = "global_temp"

Skip = Literal[
    "not understood",
    "cannot be cut into tokens",
    "too large",
    "nested too deeply",
    "timed out",
    "crashed the parser",
    "quarantined",
]
"""Why a statement gives nothing at all."""
Doubt = Literal[
    "current database unknown",
    "name is computed",
    "columns of the source unknown",
    "columns of the target unknown",
    "columns do not fit the target",
    "column without a name",
    "column not found",
    "column is ambiguous",
    "too many columns",
]
"""Why a part of a statement that was understood gives no edge."""
NOTHING: frozenset[Origin] = frozenset()


@dataclass(frozen=True, slots=True)
class Output:
    """One column that a query gives.

    Attributes:
        name: None for an expression that nobody named.
        direct: its value is made of these.
        indirect: these only decide which value it is.
        type: Spark's spelling, where it is a table's column unchanged and the catalog knows it.
    """

    name: str | None
    direct: frozenset[Origin] = NOTHING
    indirect: frozenset[Origin] = NOTHING
    type: str | None = None

    def called(self, name: str | None) -> "Output":
        """The same under another name."""
        return Output(name, self.direct, self.indirect, self.type)


@dataclass(frozen=True, slots=True)
class Star:
    """Columns that nobody can list, in one place of a query's output.

    Attributes:
        table: they are this table's; None for others.
        sources: what is behind each of them where it is no table's column: nothing for a file's, all
            arguments for a generator's. None where that is not known.
        hidden: names that are not among them.
    """

    table: TableKey | None = None
    sources: Output | None = None
    hidden: frozenset[str] = frozenset()

    def column(self, name: str) -> Output | None:
        """The column of this name, which exists; None where nobody knows what is behind it."""
        if self.table is not None:
            return Output(name, frozenset(((self.table, name),)))
        return None if self.sources is None else self.sources.called(name)

    def without(self, names: frozenset[str]) -> "Star":
        """The same less some names."""
        return Star(self.table, self.sources, self.hidden | names)


Item = Output | Star
Items = tuple[Item, ...]

UNKNOWN = Star()
FOREIGN = Star(sources=Output(None))
"""Columns that come from no table: of files, of metadata tables, of functions."""


@dataclass(frozen=True, slots=True)
class View:
    """What a name stands for that is no asset: a temporary view, a cached query, a common table expression."""

    items: Items
    reads: frozenset[TableKey] = frozenset()


@dataclass(frozen=True, slots=True)
class Place:
    """Where unqualified names belong.

    Attributes:
        namespace: None where nobody saw the session's start: then one-part names mean nothing.
    """

    catalog: str = SESSION_CATALOG
    namespace: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """What earlier statements left behind.

    Attributes:
        views: temporary views by name, global ones as ``global_temp.name``.
        columns: of tables that were made or altered since the catalog snapshot; None where they are
            not known any more.
        quoted_names: whether ``"x"`` is a name, as ``spark.sql.ansi.doubleQuotedIdentifiers`` makes it.
    """

    place: Place = Place()
    views: Mapping[str, View] = field(default_factory=dict[str, View])
    columns: Mapping[TableKey, tuple[str, ...] | None] = field(
        default_factory=dict[TableKey, tuple[str, ...] | None]
    )
    quoted_names: bool = False


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges without self edges; an edge that is direct is not listed as indirect."""

    tables: frozenset[tuple[TableKey, TableKey]] = frozenset()
    direct: frozenset[tuple[Origin, Origin]] = frozenset()
    indirect: frozenset[tuple[Origin, Origin]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one text says, statement by statement in order.

    Attributes:
        statements: those that could write or change the session, and were understood.
        skipped: those that were not, by reason.
        doubts: parts that gave no edge, by reason.
        session: as the text leaves it.
    """

    edges: Edges
    session: Session
    statements: int = 0
    skipped: Mapping[Skip, int] = field(default_factory=dict[Skip, int])
    doubts: Mapping[Doubt, int] = field(default_factory=dict[Doubt, int])
