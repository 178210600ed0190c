"""Statements that fill a table with a query: INSERT in all its forms, CREATE .. AS, views. Changes rows of none."""

from collections.abc import Sequence

from sqlglot import exp

from iomete_mc_assets.collectors.lineage.model import (
    FOREIGN,
    GLOBAL_TEMP,
    Items,
    Output,
    Star,
    TableKey,
    View,
)
from iomete_mc_assets.collectors.lineage.queries import Ctes, Resolver, renamed
from iomete_mc_assets.collectors.lineage.sessions import view
from iomete_mc_assets.collectors.lineage.state import State
from iomete_mc_assets.collectors.lineage.syntax import NotUnderstood
from iomete_mc_assets.collectors.lineage.tables import Columns
from iomete_mc_assets.collectors.lineage.trees import Node, nodes, table_parts


def create(node: Node, state: State) -> None:
    """CREATE TABLE and CREATE VIEW, with or without a query; a temporary view changes the session alone."""
    table, columns = _target(node.this)
    query = node.args.get("expression")
    properties = node.args.get("properties")
    kinds: set[type[exp.Expr]] = set()
    if isinstance(properties, exp.Expr):
        kinds = {type(one) for one in nodes(properties, "expressions")}
    parts = table_parts(table)
    if node.args.get("kind") == "VIEW" and exp.TemporaryProperty in kinds:
        name = f"{GLOBAL_TEMP}.{parts[-1]}" if exp.GlobalProperty in kinds else parts[-1]
        of_files = View((FOREIGN,))
        state.views[name] = view(query, state, columns) if isinstance(query, exp.Expr) else of_files
        return
    key = state.key_of(parts)
    if isinstance(query, exp.Expr):
        items = fill(query, key, columns, state)
        if key is not None:
            state.known.made[key] = _listed(items)
    elif key is not None and not (node.args.get("exists") and state.known.knows(key)):
        state.known.made[key] = _defined(node, columns, state)


def fill(query: Node, key: TableKey | None, columns: Sequence[str], state: State) -> Items:
    """Edges into what a query makes: columns are called as listed, else as the query calls them."""
    scope = state.scope()
    items = Resolver(scope).query(query, {})
    if columns:
        items = renamed(items, columns)
    elif key is not None:
        items = _as_cataloged(items, state.known.catalog.tables.get(key))
    if state.feed(scope, key) and key is not None:
        state.feed_by_name(items, key)
    return items


def _as_cataloged(items: Items, known: Columns | None) -> Items:
    """With the catalog's names for columns that the query leaves without one."""
    if known is None or len(known) != len(items):
        return items
    pairs = list(zip(items, (name for name, _ in known), strict=True))
    if any(isinstance(item, Star) or item.name not in {None, name} for item, name in pairs):
        return items
    return tuple(item.called(name) for item, name in pairs if isinstance(item, Output))


def _defined(node: Node, columns: Sequence[str], state: State) -> tuple[str, ...] | None:
    """The columns of CREATE TABLE without a query."""
    like = node.find(exp.LikeProperty)
    if like is not None:
        return state.known.names(state.key_of(table_parts(like.this)))
    return tuple(columns) or None


def _listed(items: Items) -> tuple[str, ...] | None:
    """The names of columns, where each is known."""
    listed = [item.name for item in items if isinstance(item, Output) and item.name is not None]
    return tuple(listed) if len(listed) == len(items) else None


def insert(node: Node, state: State, source: Node | None = None, ctes: Ctes | None = None) -> None:
    """INSERT; ``source`` and ``ctes`` are those of the multi-insert that it is a branch of."""
    table, columns = _target(node.this)
    query = node.args.get("expression")
    parts = table_parts(table)
    if not isinstance(query, exp.Expr):
        raise NotUnderstood
    if ".".join(parts) in state.views or parts[0] == GLOBAL_TEMP:
        return
    key = state.key_of(parts)
    scope = state.scope()
    resolver = Resolver(scope)
    seen = resolver.with_ctes(node, ctes or {})
    if source is not None:
        query = _branch(query, source)
    items = resolver.query(query, seen)
    if not state.feed(scope, key) or key is None:
        return
    if node.args.get("by_name"):
        state.feed_by_name(items, key)
    else:
        state.feed_by_position(items, key, columns or _filled(key, _static(table, node), state))


def multi_insert(node: Node, state: State) -> None:
    """``FROM x INSERT .. SELECT .. INSERT .. SELECT ..``."""
    ctes = Resolver(state.scope()).with_ctes(node, {})
    for one in nodes(node, "expressions"):
        insert(one, state, node.args["source"], ctes)


def _branch(select: Node, source: Node) -> Node:
    """The SELECT of a branch with the FROM that stands before all of them."""
    whole = select.copy()
    whole.set("from_", exp.From(this=source.copy()))
    return whole


def _static(table: Node, node: Node) -> frozenset[str]:
    """Partition columns with a value of their own."""
    partition = table.args.get("partition") or node.args.get("partition")
    if not isinstance(partition, exp.Expr):
        return frozenset()
    fixed = (one.this for one in nodes(partition, "expressions") if isinstance(one, exp.EQ))
    return frozenset(column.name.casefold() for column in fixed)


def _filled(key: TableKey, static: frozenset[str], state: State) -> list[str] | None:
    """What an INSERT without a list fills; partition columns without a value keep their place."""
    known = state.known.names(key)
    return None if known is None else [name for name in known if name not in static]


def _target(node: Node) -> tuple[Node, list[str]]:
    """The table that is written, and its column list."""
    if not isinstance(node, exp.Schema):
        return node, []
    listed = (exp.ColumnDef, exp.Identifier, exp.Column)
    columns = [one for one in nodes(node, "expressions") if isinstance(one, listed)]
    return node.this, [one.name.casefold() for one in columns]
