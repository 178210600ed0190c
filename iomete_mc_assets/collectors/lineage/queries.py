"""From a query's tree to its columns and what is behind them, as Spark's analyzer would resolve it. Writes no edges.

Every relation is a tuple of items, made bottom-up once; set operations, CTE chains and long expressions
are loops. Conditions are walked for their subqueries only: they decide rows, not values.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from iomete_mc_assets.collectors.lineage import generators, names
from iomete_mc_assets.collectors.lineage.datatypes import struct_fields
from iomete_mc_assets.collectors.lineage.expressions import PARTS, SCALAR
from iomete_mc_assets.collectors.lineage.frames import Frame, Kept, Source
from iomete_mc_assets.collectors.lineage.model import (
    FOREIGN,
    GLOBAL_TEMP,
    UNKNOWN,
    Doubt,
    Item,
    Items,
    Origin,
    Output,
    Place,
    Star,
    TableKey,
    View,
)
from iomete_mc_assets.collectors.lineage.tables import Tables
from iomete_mc_assets.collectors.lineage.trees import (
    Aliased,
    Node,
    alias_of,
    arg,
    folded,
    nodes,
    parts_of,
    qualifier_of,
    row_of,
    unaliased,
)

MAX_COLUMNS = 2_000
"""Columns that one SELECT gives; of a wider one only the tables are told. ``SELECT *, *`` of itself doubles."""

_CONDITIONS = (
    *("where", "having", "qualify", "group", "order", "sort", "cluster", "distribute", "limit"),
    "offset",
)
_ONLY_LEFT = frozenset({"SEMI", "ANTI"})


@dataclass(slots=True)
class Scope:
    """What a statement's queries are read in.

    Attributes:
        views: temporary views, by name.
        tables: what is known of tables.
        reads: every table read so far; files and temporary views are none.
        doubts: what could not be told, by reason.
        tables_only: columns are not asked for.
    """

    place: Place
    views: Mapping[str, View]
    tables: Tables
    tables_only: bool = False
    reads: set[TableKey] = field(default_factory=set[TableKey])
    doubts: Counter[Doubt] = field(default_factory=Counter[Doubt])

    def named(self, parts: Sequence[str]) -> names.Named | None:
        """The table that a name means."""
        return names.table_named(
            parts,
            self.place,
            catalogs=self.tables.catalog.catalogs,
            known=self.tables.knows,
        )

    def source(self, key: TableKey) -> Source:
        """A table's columns; a star of it where they are not known, or not asked for."""
        known = None if self.tables_only else self.tables.source(key)
        return Source(key, (Star(key),)) if known is None else known


Ctes = Mapping[str, View]


class Resolver:
    """Resolves the queries of one statement."""

    def __init__(self, scope: Scope) -> None:
        """``scope`` collects what is read and doubted."""
        self.scope = scope

    # queries

    def query(self, node: Node, ctes: Ctes, outer: Frame | None = None) -> Items:
        """A query's columns; what it reads is added to the scope."""
        while True:
            ctes = self.with_ctes(node, ctes, outer)
            if not isinstance(node, exp.Subquery) or node.args.get("pivots"):
                break
            node = node.this
        if isinstance(node, exp.Select):
            return self._select(node, ctes, outer)
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, ctes, outer)
        frame = Frame(outer)
        self._from_item(frame, node, ctes)
        return frame.star

    def with_ctes(self, node: Node, ctes: Ctes, outer: Frame | None = None) -> Ctes:
        """The common table expressions that a query sees: those around it and its own, in order."""
        own = arg(node, "with_")
        if own is None:
            return ctes
        seen = dict(ctes)
        for cte in nodes(own, "expressions"):
            alias = alias_of(cte)
            name = alias.name or ""
            if own.args.get("recursive"):
                seen[name] = View((UNKNOWN,))
            around, self.scope.reads = self.scope.reads, set[TableKey]()
            items = renamed(self.query(cte.this, seen, outer), alias.columns)
            seen[name] = View(items, frozenset(self.scope.reads))
            self.scope.reads = around
        return seen

    def _set_operation(self, node: Node, ctes: Ctes, outer: Frame | None) -> Items:
        rights: list[tuple[bool, Node]] = []
        while isinstance(node, exp.SetOperation) and (not rights or arg(node, "with_") is None):
            rights.append((isinstance(node, exp.Union), node.expression))
            node = node.this
        first = self.query(node, ctes, outer)
        known = _until_star(first)
        direct = [set(item.direct) for item in known]
        indirect = [set(item.indirect) for item in known]
        rest = first[len(known) :]
        for adds, right in reversed(rights):
            items = self.query(right, ctes, outer)
            if not adds:
                continue
            outputs = _until_star(items)
            if len(outputs) < len(known) and len(outputs) < len(items):
                rest = (UNKNOWN,)
                known = known[: len(outputs)]
            elif rest:
                rest = (UNKNOWN,)
            for at, output in enumerate(outputs[: len(known)]):
                direct[at] |= output.direct
                indirect[at] |= output.indirect
        made = (
            Output(item.name, frozenset(values), frozenset(deciding))
            for item, values, deciding in zip(known, direct, indirect, strict=False)
        )
        return (*made, *rest)

    def _select(self, node: Node, ctes: Ctes, outer: Frame | None) -> Items:
        frame = self.frame(node, ctes, outer)
        for name in _CONDITIONS:
            if (condition := arg(node, name)) is not None:
                self.subqueries(condition, frame, ctes)
        frame.windows = {window.this.name.casefold(): window for window in nodes(node, "windows")}
        return self.projected(nodes(node, "expressions"), frame, ctes)

    def frame(self, node: Node, ctes: Ctes, outer: Frame | None = None) -> Frame:
        """The names that a SELECT, or the branch of a multi-insert, sees."""
        frame = Frame(outer)
        if (from_ := arg(node, "from_")) is not None:
            self._from_item(frame, from_.this, ctes)
        for join in nodes(node, "joins"):
            frame = self._joined(frame, join, ctes)
        for lateral in nodes(node, "laterals"):
            self._from_item(frame, lateral, ctes)
        return frame

    def projected(self, projections: Sequence[Node], frame: Frame, ctes: Ctes) -> Items:
        """The columns of a SELECT list."""
        if len(projections) > MAX_COLUMNS and not self.scope.tables_only:
            self.scope.doubts["too many columns"] += 1
        if self.scope.tables_only or len(projections) > MAX_COLUMNS:
            for projection in projections:
                self.subqueries(projection, frame, ctes)
            return (UNKNOWN,)
        items: list[Item] = []
        for projection in projections:
            made = self._projection(projection, frame, ctes)
            items += made
            if len(items) > MAX_COLUMNS:
                self.scope.doubts["too many columns"] += 1
                return (UNKNOWN,)
            if isinstance(projection, exp.Alias) and isinstance(made[0], Output):
                frame.aliases[made[0].name or ""] = made[0]
        return tuple(items)

    def _projection(self, node: Node, frame: Frame, ctes: Ctes) -> Items:
        if isinstance(node, exp.Star):
            return self._replaced(node, frame.star, frame, ctes)
        if type(node) is exp.Column and isinstance(node.this, exp.Star):
            return self._qualified_star(node, frame, ctes)
        if isinstance(node, exp.Alias | exp.Aliases):
            behind = self._behind(node.this, frame, ctes)
            aliases = nodes(node, "expressions") or [node.args["alias"]]
            return tuple(behind.called(folded(alias)) for alias in aliases)
        made = generators.columns(node, self._type_of(frame))
        behind = self._behind(node, frame, ctes)
        if made is not None:
            return generators.items(made, behind)
        return (behind.called(_own_name(node)),)

    def _replaced(self, star: Node, items: Items, frame: Frame, ctes: Ctes) -> Items:
        """A star less its EXCEPT, with its REPLACE."""
        excluded = {folded(one) for one in nodes(star, "except_")}
        instead = {
            folded(one.args["alias"]): self._behind(one.this, frame, ctes)
            for one in nodes(star, "replace")
            if isinstance(one, exp.Alias)
        }
        if not excluded and not instead:
            return items
        made: list[Item] = []
        for item in items:
            if isinstance(item, Star):
                made.append(item.without(frozenset(excluded)) if not instead else UNKNOWN)
            elif item.name not in excluded:
                made.append(instead[item.name].called(item.name) if item.name in instead else item)
        return tuple(made)

    def _qualified_star(self, node: Node, frame: Frame, ctes: Ctes) -> Items:
        parts = [folded(part) for part in parts_of(node)[:-1]]
        source = frame.qualified(parts)
        if source is not None:
            return self._replaced(node.this, source.items, frame, ctes)
        found = frame.reference(parts)
        if not isinstance(found, Output):
            self.scope.doubts[found] += 1
            return (UNKNOWN,)
        fields = struct_fields(found.type)
        if fields is None:
            return (Star(sources=found),)
        return tuple(Output(name, found.direct, found.indirect, kind) for name, kind in fields)

    def _column(self, node: Node, frame: Frame) -> Output:
        parts = [folded(part) for part in parts_of(node)]
        found = frame.reference(parts)
        if isinstance(found, Output):
            return found if found.name == parts[-1] else found.called(parts[-1])
        self.scope.doubts[found] += 1
        return Output(parts[-1])

    def _behind(self, node: Node, frame: Frame, ctes: Ctes) -> Output:
        """What is behind an expression; a plain column keeps its type."""
        if type(node) is exp.Column and not isinstance(node.this, exp.Star):
            return self._column(node, frame)
        direct, indirect = self.sources(node, frame, ctes)
        return Output(None, frozenset(direct), frozenset(indirect))

    # FROM

    def _joined(self, frame: Frame, join: Node, ctes: Ctes) -> Frame:
        side, kind = (str(join.args.get(name) or "").upper() for name in ("side", "kind"))
        if (condition := arg(join, "on")) is not None:
            self.subqueries(condition, frame, ctes)
        if kind in _ONLY_LEFT:
            self._from_item(Frame(frame), join.this, ctes)
            return frame
        using = [folded(one) for one in nodes(join, "using")]
        natural = join.args.get("method") == "NATURAL"
        if using or natural:
            kept: Kept = {"RIGHT": "right", "FULL": "both"}.get(side, "left")  # pyright: ignore[reportAssignmentType]
            beside = Frame(frame)
            self._from_item(beside, join.this, ctes)
            frame.join_merged(beside, None if natural else using, kept)
        else:
            self._from_item(frame, join.this, ctes)
        if pivots := nodes(join, "pivots"):
            frame = self._pivoted_frame(frame, pivots, ctes)
        return frame

    def _pivoted_frame(self, frame: Frame, pivots: Sequence[Node], ctes: Ctes) -> Frame:
        """A PIVOT behind a join takes the whole join."""
        pivoted = Frame(frame.outer)
        items, alias = self._pivoted(frame.star, pivots, ctes)
        pivoted.add(Source(() if alias is None else (alias,), items))
        return pivoted

    def _from_item(self, frame: Frame, node: Node, ctes: Ctes) -> None:
        """Add one item of FROM, with what hangs on it, to the names that a query sees."""
        if isinstance(node, exp.Table):
            source = self._table(node, ctes, frame)
        elif isinstance(node, exp.Lateral):
            source = self._lateral(node, frame, ctes)
        elif isinstance(node, exp.Values):
            source = self._values(node, frame, ctes)
        elif isinstance(node, exp.Subquery) and self._parenthesised(frame, node, ctes):
            return
        else:
            source = Source(qualifier_of(node), self._subquery(node, ctes, frame.outer))
        if pivots := nodes(node, "pivots"):
            items, alias = self._pivoted(source.items, pivots, ctes)
            source = Source(source.qualifier if alias is None else (alias,), items)
        frame.add(source)
        for join in nodes(node, "joins"):
            if self._joined(frame, join, ctes) is not frame:
                frame.blur()
        for lateral in nodes(node, "laterals"):
            self._from_item(frame, lateral, ctes)

    def _parenthesised(self, frame: Frame, node: Node, ctes: Ctes) -> bool:
        """A join in parentheses without an alias: its tables keep their names outside."""
        inner = node.this
        if not isinstance(inner, exp.Table) or alias_of(node).name is not None:
            return False
        if nodes(node, "pivots"):
            return False
        self._from_item(frame, inner, ctes)
        return True

    def _subquery(self, node: Node, ctes: Ctes, outer: Frame | None) -> Items:
        ctes = self.with_ctes(node, ctes, outer)
        inner = node.this if isinstance(node, exp.Subquery) else node
        return renamed(self.query(inner, ctes, outer), alias_of(node).columns)

    def _table(self, node: Node, ctes: Ctes, frame: Frame) -> Source:
        alias = alias_of(node)
        if not isinstance(node.this, exp.Identifier | exp.Dot):
            return self._function(node.this, alias, frame, ctes)
        parts = [folded(part) for part in parts_of(node)]
        view = self._view(parts, ctes)
        if view is not None:
            self.scope.reads |= view.reads
            source = Source((parts[-1],), view.items)
        else:
            source = self._base_table(parts)
        qualifier = source.qualifier if alias.name is None else (alias.name,)
        if alias.columns:
            return Source(qualifier, renamed(source.items, alias.columns))
        return source.under(qualifier)

    def _view(self, parts: Sequence[str], ctes: Ctes) -> View | None:
        """What a name means that is no table: a CTE first, then a temporary view."""
        if len(parts) == 1:
            return ctes.get(parts[0]) or self.scope.views.get(parts[0])
        if parts[0] == GLOBAL_TEMP:
            return self.scope.views.get(".".join(parts)) or View((UNKNOWN,))
        return None

    def _base_table(self, parts: Sequence[str]) -> Source:
        named = self.scope.named(parts)
        if named is None:
            self.scope.doubts["current database unknown"] += 1
            return Source(tuple(parts), (UNKNOWN,))
        if names.is_file(parts) and not self.scope.tables.knows(named.key):
            return Source(tuple(parts), (FOREIGN,))
        self.scope.reads.add(named.key)
        if named.metadata:
            return Source(tuple(parts), (FOREIGN,))
        source = self.scope.source(named.key)
        # a branch is called by its own name
        return source if parts[-1] == named.key[-1] else source.under(tuple(parts))

    def _values(self, node: Node, frame: Frame, ctes: Ctes) -> Source:
        rows = nodes(node, "expressions")
        alias = alias_of(node)
        width = len(row_of(rows[0])) if rows else 0
        direct = [set[Origin]() for _ in range(width)]
        indirect = [set[Origin]() for _ in range(width)]
        for row in rows if node.find(exp.Select) is not None else ():
            for at, value in enumerate(row_of(row)[:width]):
                found = self.sources(value, frame, ctes)
                direct[at] |= found[0]
                indirect[at] |= found[1]
        items = tuple(
            Output(f"col{at + 1}", frozenset(direct[at]), frozenset(indirect[at]))
            for at in range(width)
        )
        return Source(() if alias.name is None else (alias.name,), renamed(items, alias.columns))

    def _lateral(self, node: Node, frame: Frame, ctes: Ctes) -> Source:
        alias = alias_of(node)
        if isinstance(node.this, exp.Subquery):
            items = renamed(self.query(node.this, ctes, frame), alias.columns)
            return Source(() if alias.name is None else (alias.name,), items)
        return self._function(node.this, alias, frame, ctes)

    def _function(self, node: Node, alias: Aliased, frame: Frame, ctes: Ctes) -> Source:
        """A table-valued function: each column depends on all arguments."""
        qualifier = () if alias.name is None else (alias.name,)
        behind = self._behind(node, frame, ctes)
        if alias.columns:
            return Source(qualifier, tuple(behind.called(name) for name in alias.columns))
        made = generators.columns(node, self._type_of(frame))
        if made is None and generators.is_range(node):
            made = [generators.ID]
        if made is None:
            if generators.name_of(node) == "identifier":
                self.scope.doubts["name is computed"] += 1
                return Source(qualifier, (UNKNOWN,))
            return Source(qualifier, (Star(sources=behind),))
        if made:
            return Source(qualifier, generators.items(made, behind))
        return Source(qualifier, (UNKNOWN,), generators.possible(node, behind))

    def _type_of(self, frame: Frame) -> Callable[[Node], str | None]:
        def told(node: Node) -> str | None:
            if type(node) is not exp.Column or isinstance(node.this, exp.Star):
                return None
            found = frame.reference([folded(part) for part in parts_of(node)])
            return found.type if isinstance(found, Output) else None

        return told

    # PIVOT

    def _pivoted(
        self, items: Items, pivots: Sequence[Node], ctes: Ctes
    ) -> tuple[Items, str | None]:
        alias: str | None = None
        for pivot in pivots:
            frame = Frame()
            frame.add(Source((), items))
            unpivots = bool(pivot.args.get("unpivot"))
            items = (self._unpivot if unpivots else self._pivot)(pivot, items, frame, ctes)
            called = alias_of(pivot)
            alias = called.name or alias
            items = renamed(items, called.columns)
        return items, alias

    def _pivot(self, pivot: Node, items: Items, frame: Frame, ctes: Ctes) -> Items:
        """The columns that are neither aggregated nor pivoted, then one a value and aggregate."""
        aggregates = nodes(pivot, "expressions")
        fields = nodes(pivot, "fields")
        deciding = set[Origin]()
        used = {
            folded(parts_of(column)[-1])
            for node in (*aggregates, *(field.this for field in fields))
            for column in node.find_all(exp.Column)
        }
        for one in fields:
            found = self.sources(one.this, frame, ctes)
            deciding |= found[0] | found[1]
        kept: list[Item] = [
            item.without(frozenset(used)) if isinstance(item, Star) else item
            for item in items
            if isinstance(item, Star) or item.name not in used
        ]
        columns: list[Item] = []
        for value in (value for one in fields for value in nodes(one, "expressions")):
            for aggregate in aggregates:
                behind = self._behind(unaliased(aggregate), frame, ctes)
                name = _pivot_name(value, aggregate, alone=len(aggregates) == 1)
                indirect = (behind.indirect | deciding) - behind.direct
                columns.append(Output(name, behind.direct, frozenset(indirect)))
        return (*kept, *columns)

    def _unpivot(self, pivot: Node, items: Items, frame: Frame, ctes: Ctes) -> Items:
        """The columns that are not unpivoted, the names' column, the values' columns."""
        one = nodes(pivot, "fields")[0]
        groups = [row_of(unaliased(value)) for value in nodes(one, "expressions")]
        used = frozenset(folded(parts_of(column)[-1]) for group in groups for column in group)
        kept = tuple(
            item.without(used) if isinstance(item, Star) else item
            for item in items
            if isinstance(item, Star) or item.name not in used
        )
        targets = [folded(value) for row in nodes(pivot, "expressions") for value in row_of(row)]
        values: list[Item] = []
        for at, name in enumerate(targets):
            direct, indirect = set[Origin](), set[Origin]()
            for group in groups:
                found = self.sources(group[at], frame, ctes) if at < len(group) else ((), ())
                direct.update(found[0])
                indirect.update(found[1])
            values.append(Output(name, frozenset(direct), frozenset(indirect)))
        return (*kept, Output(folded(one.this)), *values)

    # expressions

    def sources(self, root: Node, frame: Frame, ctes: Ctes) -> tuple[set[Origin], set[Origin]]:
        """Origins behind an expression: those that its value is made of, those that only decide."""
        values, deciding = set[Origin](), set[Origin]()
        stack: list[tuple[Node, bool]] = [(root, False)]
        while stack:
            node, decides = stack.pop()
            kind = type(node)
            if kind is exp.Column or kind is exp.Star:
                outputs = self._outputs(node, frame)
            elif kind in SCALAR:
                outputs = self.query(node, ctes, frame)[:1]
            elif kind is exp.Dot:
                outputs = self._field(node, frame, stack, decides=decides)
            else:
                handler = PARTS.get(kind)
                if handler is None:
                    stack.extend((child, decides) for child in node.iter_expressions())
                    continue
                direct, indirect, unread = handler(node, frame)
                stack.extend((child, decides) for child in direct)
                stack.extend((child, True) for child in indirect)
                for query in unread:
                    self.subqueries(query, frame, ctes)
                continue
            for output in outputs:
                behind = output.sources if isinstance(output, Star) else output
                if behind is None:
                    self.scope.doubts["columns of the source unknown"] += 1
                    continue
                (deciding if decides else values).update(behind.direct)
                deciding.update(behind.indirect)
        deciding -= values
        return values, deciding

    def _outputs(self, node: Node, frame: Frame) -> Sequence[Item]:
        """What a column means, or a star among a function's arguments."""
        if isinstance(node, exp.Star):
            return frame.star
        if isinstance(node.this, exp.Star):
            return self._qualified_star(node, frame, {})
        return (self._column(node, frame),)

    def _field(
        self, node: Node, frame: Frame, stack: list[tuple[Node, bool]], *, decides: bool
    ) -> Sequence[Output]:
        """A field of a column; of anything else its sources, which go onto the stack."""
        fields: list[Node] = []
        while isinstance(node, exp.Dot):
            fields.append(node.expression)
            node = node.this
        if type(node) is exp.Column and not isinstance(node.this, exp.Star):
            return (self._column(node, frame),)
        stack.append((node, decides))
        stack.extend((one, decides) for one in fields if not isinstance(one, exp.Identifier))
        return ()

    def subqueries(self, root: Node, frame: Frame, ctes: Ctes) -> None:
        """Read the tables of the queries that hang in an expression whose columns do not matter."""
        asked, self.scope.tables_only = self.scope.tables_only, True
        stack = [root]
        while stack:
            node = stack.pop()
            if isinstance(node, exp.Query):
                self.query(node, ctes, frame)
            else:
                stack.extend(node.iter_expressions())
        self.scope.tables_only = asked


def renamed(items: Items, columns: Sequence[str]) -> Items:
    """The items under other names, by position as far as positions are known."""
    if not columns:
        return items
    known = _until_star(items)
    made = tuple(item.called(name) for item, name in zip(known, columns, strict=False))
    if len(known) < len(items):
        return (*made, UNKNOWN)
    return made if len(items) == len(columns) else (UNKNOWN,)


def _until_star(items: Items) -> list[Output]:
    """The columns whose positions are known."""
    known: list[Output] = []
    for item in items:
        if isinstance(item, Star):
            break
        known.append(item)
    return known


def _own_name(node: Node) -> str | None:
    """The name that Spark gives to an expression without alias, where it is a simple one."""
    if isinstance(node, exp.Dot):
        return folded(node.expression) if isinstance(node.expression, exp.Identifier) else None
    if isinstance(node, exp.Cast | exp.Paren):
        return _own_name(node.this)
    return folded(parts_of(node)[-1]) if type(node) is exp.Column else None


def _pivot_name(value: Node, aggregate: Node, *, alone: bool) -> str | None:
    named = value.args.get("alias")
    if named is not None:
        first = folded(named)
    elif isinstance(value, exp.Literal):
        first = value.name.casefold()
    else:
        return None
    if alone:
        return first
    return (
        f"{first}_{folded(aggregate.args['alias'])}" if isinstance(aggregate, exp.Alias) else None
    )
