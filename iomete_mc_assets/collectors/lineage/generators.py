"""The columns that a generator gives (explode and its like), as far as its words tell them. Resolves nothing."""

from collections.abc import Callable, Sequence

from sqlglot import exp

from iomete_mc_assets.collectors.lineage.datatypes import element, is_map, struct_fields
from iomete_mc_assets.collectors.lineage.model import UNKNOWN, Items, Output

Node = exp.Expr
TypeOf = Callable[[Node], str | None]
Columns = list[tuple[str, str | None]]

_EXPLODES = frozenset({"explode", "explode_outer", "posexplode", "posexplode_outer"})
_INLINES = frozenset({"inline", "inline_outer"})
_MAPS = (exp.Map, exp.VarMap, exp.MapFromEntries)
_ARRAYS = (exp.Array, exp.Split, exp.GenerateSeries, exp.RegexpExtractAll, exp.MapKeys)
ID: tuple[str, str | None] = ("id", None)
"""The column of ``range(..)``."""


def name_of(node: Node) -> str:
    """The function's name, lower case."""
    if isinstance(node, exp.Anonymous):
        return node.name.casefold()
    kind = type(node)
    return _CLASSES.get(kind.__name__.lstrip("_"), kind.__name__.casefold())


_CLASSES = {
    "ExplodeOuter": "explode_outer",
    "PosexplodeOuter": "posexplode_outer",
    "ExplodingGenerateSeries": "sequence",
}


def columns(node: Node, type_of: TypeOf) -> Columns | None:
    """Names and types of its columns; empty where they cannot be listed, None for no generator."""
    name = name_of(node)
    if name in _EXPLODES:
        return _exploded(name, node.this, type_of) if isinstance(node.this, exp.Expr) else []
    if name in _INLINES:
        return _inlined(node.this if isinstance(node.this, exp.Expr) else None, type_of)
    if name == "stack":
        return _stacked(node)
    if name == "json_tuple":
        return [(f"c{at}", None) for at in range(len(node.expressions) - 1)]
    return None


def items(made: Columns, behind: Output) -> Items:
    """Columns that all depend on the same."""
    if not made:
        return (UNKNOWN,)
    return tuple(Output(name, behind.direct, behind.indirect, kind) for name, kind in made)


def possible(node: Node, behind: Output) -> Sequence[Output]:
    """Columns that can be named where they cannot be listed: of an array, or of a map."""
    name = name_of(node)
    if name not in _EXPLODES:
        return ()
    names = ("col", "key", "value", *(("pos",) if name.startswith("pos") else ()))
    return [behind.called(one) for one in names]


def is_range(node: Node) -> bool:
    """``range(..)``: one column, id."""
    return name_of(node) == "range"


def _exploded(name: str, argument: Node, type_of: TypeOf) -> Columns:
    told = type_of(argument)
    of = element(told)
    if isinstance(argument, _MAPS) or is_map(told):
        made: Columns = [("key", None), ("value", None)]
    elif isinstance(argument, _ARRAYS) or of is not None:
        made = [("col", of)]
    else:
        return []
    return [("pos", None), *made] if name.startswith("pos") else made


def _inlined(argument: Node | None, type_of: TypeOf) -> Columns:
    if argument is None:
        return []
    fields = struct_fields(element(type_of(argument)))
    if fields is not None:
        return [(name, kind) for name, kind in fields]
    first = (
        argument.expressions[0]
        if isinstance(argument, exp.Array) and argument.expressions
        else None
    )
    if not isinstance(first, exp.Struct):
        return []
    made: Columns = []
    for at, one in enumerate(first.expressions):
        named = one.this if isinstance(one, exp.PropertyEQ) else one
        made.append((named.name.casefold() or f"col{at + 1}", None))
    return made


def _stacked(node: Node) -> Columns:
    rows = node.this
    if not isinstance(rows, exp.Literal) or not rows.name.isdigit() or int(rows.name) < 1:
        return []
    width = -(-len(node.expressions) // int(rows.name))
    return [(f"col{at}", None) for at in range(width)]
