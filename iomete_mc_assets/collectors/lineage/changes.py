"""Statements that change rows: MERGE, UPDATE, DELETE."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from iomete_mc_assets.collectors.lineage.frames import Frame
from iomete_mc_assets.collectors.lineage.model import Output, TableKey
from iomete_mc_assets.collectors.lineage.queries import Ctes, Resolver
from iomete_mc_assets.collectors.lineage.state import State
from iomete_mc_assets.collectors.lineage.trees import Node, column_parts, nodes, table_parts


@dataclass(slots=True)
class _Change:
    """A table whose rows are changed.

    Attributes:
        columns: its columns; None where they are not known.
        using: what a MERGE sees of its source alone.
        both: what is seen of the table and of the source.
    """

    key: TableKey
    columns: Sequence[str] | None
    using: Frame
    both: Frame
    resolver: Resolver
    ctes: Ctes
    state: State

    def assign(self, assignments: Sequence[Node], frame: Frame) -> None:
        """Edges of ``column = value``."""
        for one in assignments:
            if isinstance(one, exp.Star):
                self.assign_all()
            elif isinstance(one, exp.EQ):
                direct, indirect = self.resolver.sources(one.expression, frame, self.ctes)
                value = Output(None, frozenset(direct), frozenset(indirect))
                self.state.feed_column(value, self.key, self._column(column_parts(one.this)))

    def _column(self, parts: Sequence[str]) -> str:
        """The top-level column of ``alias.column.field``."""
        if self.columns is not None and parts[0] in self.columns and len(parts) == 1:
            return parts[0]
        for length in range(len(parts) - 1, 0, -1):
            qualified = tuple(parts[:length]) in self.both.by_qualifier
            if qualified and (self.columns is None or parts[length] in self.columns):
                return parts[length]
        return parts[0]

    def assign_all(self) -> None:
        """``UPDATE SET *`` and ``INSERT *``: by name, and the source has every column of the table."""
        if self.columns is None:
            self.state.doubts["columns of the target unknown"] += 1
            return
        for name in self.columns:
            found = self.using.reference([name])
            if isinstance(found, Output):
                self.state.feed_column(found, self.key, name)
            else:
                self.state.doubts[found] += 1


def merge(node: Node, state: State) -> None:
    """MERGE: every table read is a source, columns flow by assignment."""
    scope = state.scope()
    resolver = Resolver(scope)
    ctes = resolver.with_ctes(node, {})
    using = resolver.frame(exp.Select(from_=exp.From(this=node.args["using"])), ctes)
    whens = nodes(node.args["whens"], "expressions")
    for condition in (node.args.get("on"), *(when.args.get("condition") for when in whens)):
        if isinstance(condition, exp.Expr):
            resolver.subqueries(condition, using, ctes)
    key = state.key_of(table_parts(node.this))
    if key is None or state.tables_only:
        state.feed(scope, key)
        return
    both = _target_frame(node.this, key, resolver)
    both.join(using)
    change = _Change(key, state.known.names(key), using, both, resolver, ctes, state)
    for when in whens:
        then = when.args.get("then")
        if isinstance(then, exp.Update):
            change.assign(nodes(then, "expressions"), both)
        elif isinstance(then, exp.Insert):
            _inserted(then, change)
    state.feed(scope, key)


def _inserted(then: Node, change: _Change) -> None:
    """``INSERT *``, or ``INSERT (..) VALUES (..)`` as assignments from the source alone."""
    columns, values = then.this, then.args.get("expression")
    if not isinstance(columns, exp.Tuple) or not isinstance(values, exp.Tuple):
        change.assign_all()
        return
    pairs = zip(columns.expressions, values.expressions, strict=False)
    change.assign([exp.EQ(this=column, expression=value) for column, value in pairs], change.using)


def update(node: Node, state: State) -> None:
    """UPDATE: what is read for a value is a source, what only the condition reads is none."""
    scope = state.scope()
    resolver = Resolver(scope)
    ctes = resolver.with_ctes(node, {})
    key = state.key_of(table_parts(node.this))
    if key is not None:
        frame = _target_frame(node.this, key, resolver)
        change = _Change(key, state.known.names(key), Frame(), frame, resolver, ctes, state)
        change.assign(nodes(node, "expressions"), frame)
    state.feed(scope, key)


def delete(_node: Node, _state: State) -> None:
    """What a condition reads is no source."""


def _target_frame(target: Node, key: TableKey, resolver: Resolver) -> Frame:
    """The names of the table that is changed, under its alias."""
    frame = Frame()
    source = resolver.scope.source(key)
    alias = target.alias.casefold()
    frame.add(source.under((alias,)) if alias else source)
    return frame
