"""What reading one text has found so far, and the session as it is now; and how edges get into it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from iomete_mc_assets.collectors.lineage.model import (
    Doubt,
    Edges,
    Items,
    Origin,
    Output,
    Reading,
    Session,
    Skip,
    Star,
    TableKey,
    View,
)
from iomete_mc_assets.collectors.lineage.queries import Scope
from iomete_mc_assets.collectors.lineage.tables import Catalog, Tables


@dataclass(slots=True)
class State:
    """Mutable while one text is read; ``reading`` is what remains."""

    session: Session
    tables_only: bool
    views: dict[str, View]
    known: Tables
    tables: set[tuple[TableKey, TableKey]] = field(default_factory=set[tuple[TableKey, TableKey]])
    direct: set[tuple[Origin, Origin]] = field(default_factory=set[tuple[Origin, Origin]])
    indirect: set[tuple[Origin, Origin]] = field(default_factory=set[tuple[Origin, Origin]])
    doubts: Counter[Doubt] = field(default_factory=Counter[Doubt])
    skipped: Counter[Skip] = field(default_factory=Counter[Skip])
    statements: int = 0

    @classmethod
    def begin(cls, session: Session, catalog: Catalog, *, tables_only: bool) -> "State":
        """Nothing found yet."""
        known = Tables(catalog, session.columns)
        return cls(session, tables_only, dict(session.views), known)

    @property
    def reading(self) -> Reading:
        """What the text says."""
        indirect = frozenset(self.indirect - self.direct)
        session = self.session
        return Reading(
            edges=Edges(frozenset(self.tables), frozenset(self.direct), indirect),
            session=Session(session.place, self.views, self.known.made, session.quoted_names),
            statements=self.statements,
            skipped=dict(self.skipped),
            doubts=dict(self.doubts),
        )

    def scope(self) -> Scope:
        """What one statement's queries are read in."""
        return Scope(
            self.session.place,
            self.views,
            self.known,
            tables_only=self.tables_only,
            doubts=self.doubts,
        )

    def key_of(self, parts: Sequence[str]) -> TableKey | None:
        """The table that a name means; None where the current database would have to be known."""
        named = self.scope().named(parts)
        return None if named is None else named.key

    def feed(self, scope: Scope, key: TableKey | None) -> bool:
        """Note the tables that were read for a table; whether its columns are asked for."""
        if key is None:
            self.doubts["current database unknown"] += 1
            return False
        self.tables.update((source, key) for source in scope.reads if source != key)
        return not self.tables_only

    def feed_column(self, output: Output, key: TableKey, name: str) -> None:
        """Note what is behind one column of a table."""
        target = (key, name)
        self.direct.update((origin, target) for origin in output.direct if origin[0] != key)
        deciding = output.indirect - output.direct
        self.indirect.update((origin, target) for origin in deciding if origin[0] != key)

    def feed_by_name(self, items: Items, key: TableKey) -> None:
        """Each column of a query goes into the one of its name."""
        for item in items:
            if isinstance(item, Star):
                if item.table is not None or item.sources is None:
                    self.doubts["columns of the source unknown"] += 1
            elif item.name is not None:
                self.feed_column(item, key, item.name)
            elif item.direct or item.indirect:
                self.doubts["column without a name"] += 1

    def feed_by_position(self, items: Items, key: TableKey, names: Sequence[str] | None) -> None:
        """The i-th column of a query goes into the i-th name."""
        if names is None:
            self.doubts["columns of the target unknown"] += 1
            return
        known = next((at for at, item in enumerate(items) if isinstance(item, Star)), None)
        if known is not None:
            self.doubts["columns of the source unknown"] += 1
        elif len(items) != len(names):
            self.doubts["columns do not fit the target"] += 1
            return
        for item, name in zip(items[:known], names, strict=False):
            if isinstance(item, Output):
                self.feed_column(item, key, name)
