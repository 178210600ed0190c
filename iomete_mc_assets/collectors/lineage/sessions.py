"""Statements that change what later ones mean: USE, SET, CACHE, DROP, ALTER TABLE. Makes no edges."""

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from iomete_mc_assets.collectors.lineage import names, syntax
from iomete_mc_assets.collectors.lineage.model import View
from iomete_mc_assets.collectors.lineage.queries import Resolver, renamed
from iomete_mc_assets.collectors.lineage.state import State
from iomete_mc_assets.collectors.lineage.syntax import NotUnderstood, Tokens
from iomete_mc_assets.collectors.lineage.trees import Node, table_parts

_ANSI_NAMES = "SPARK.SQL.ANSI.DOUBLEQUOTEDIDENTIFIERS"
_NAMESPACE = frozenset({"SCHEMA", "DATABASE", "NAMESPACE"})


def set_(tokens: Tokens, text: str, state: State) -> None:
    """``SET CATALOG x``, and the one setting that changes what a text means."""
    _, second, third = syntax.words(tokens, 3)
    if second == "CATALOG" and third not in {"", "="}:
        use(tokens[1:], state)
    said = text[tokens[0].start : tokens[-1].end + 1].upper()
    if _ANSI_NAMES in said:
        state.session = replace(state.session, quoted_names=said.endswith("TRUE"))


def use(tokens: Tokens, state: State) -> None:
    """``USE x`` and ``USE SCHEMA x``; the second never means a catalog."""
    namespace = len(tokens) > 2 and tokens[1].text.upper() in _NAMESPACE  # noqa: PLR2004 - and a name
    parts = _dotted(tokens[2 if namespace else 1 :])
    if not parts:
        raise NotUnderstood
    place = state.session.place
    if namespace:
        place = replace(place, namespace=tuple(parts))
    else:
        place = names.used(parts, place, state.known.catalog.catalogs)
    state.session = replace(state.session, place=place)


def cache(node: Node, state: State) -> None:
    """``CACHE TABLE x AS ..`` leaves a temporary view."""
    query = node.args.get("expression")
    if isinstance(query, exp.Expr):
        state.views[node.this.name.casefold()] = view(query, state)


def view(query: Node, state: State, columns: Sequence[str] = ()) -> View:
    """What a temporary view stands for, in the names of this moment."""
    scope = state.scope()
    items = Resolver(scope).query(query, {})
    return View(renamed(items, columns), frozenset(scope.reads))


def drop(node: Node, state: State) -> None:
    """A dropped table's columns are not known any more; a temporary view is dropped before a table."""
    for table in node.args.get("tables") or [node.this]:
        parts = table_parts(table)
        if state.views.pop(".".join(parts), None) is None:
            key = state.key_of(parts)
            if key is not None:
                state.known.made[key] = None


def alter_table(tokens: Tokens, state: State) -> None:
    """A rename takes the columns along; any other change of columns makes them unknown."""
    words = [token.text.upper() for token in tokens]
    renames = "RENAME" in words and "TO" in words and not {"COLUMN", "PARTITION"} & set(words)
    if not renames and {"COLUMN", "COLUMNS"}.isdisjoint(words):
        return
    key = state.key_of(_dotted(tokens[2:]))
    if key is None:
        return
    if renames:
        to = state.key_of(_dotted(tokens[words.index("TO") + 1 :]))
        if to is not None:
            state.known.made[to] = state.known.names(key)
    state.known.made[key] = None


def _dotted(tokens: Tokens) -> list[str]:
    """The name that tokens begin with."""
    parts = [token.text.casefold() for token in tokens[:1]]
    for dot, token in zip(tokens[1::2], tokens[2::2], strict=False):
        if dot.text != ".":
            break
        parts.append(token.text.casefold())
    return parts
