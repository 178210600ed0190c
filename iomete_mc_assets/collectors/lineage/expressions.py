"""Which parts of an expression its value is made of, and which only decide. Resolves no names."""

from collections.abc import Callable, Iterable, Mapping

from sqlglot import exp

from iomete_mc_assets.collectors.lineage.frames import Frame
from iomete_mc_assets.collectors.lineage.trees import Node, arg, folded, is_star, nodes

Parts = tuple[Iterable[Node], Iterable[Node], Iterable[Node]]
"""Of an expression: what its value is made of, what decides, what is only read for its tables."""


def _window(node: Node, frame: Frame) -> Parts:
    deciding: list[Node] = []
    window: Node | None = node
    seen = set[str]()
    while window is not None:
        deciding += nodes(window, "partition_by")
        deciding += [order] if (order := arg(window, "order")) is not None else []
        named = window.args.get("alias")
        name = "" if named is None else folded(named)
        window = None if name in seen else frame.windows.get(name)
        seen.add(name)
    return [node.this], deciding, ()


def _case(node: Node, _frame: Frame) -> Parts:
    branches = nodes(node, "ifs")
    values = [branch.args["true"] for branch in branches]
    values += [default] if (default := arg(node, "default")) is not None else []
    deciding = [branch.this for branch in branches]
    deciding += [operand] if (operand := arg(node, "this")) is not None else []
    return values, deciding, ()


def _if(node: Node, _frame: Frame) -> Parts:
    values = [one for name in ("true", "false") if (one := arg(node, name)) is not None]
    return values, [node.this], ()


def _nullif(node: Node, _frame: Frame) -> Parts:
    return [node.this], [node.this, node.expression], ()


def _decode(node: Node, _frame: Frame) -> Parts:
    """``decode(x, a, first, b, second, otherwise)``."""
    operand, *rest = nodes(node, "expressions")
    pairs = len(rest) // 2
    values = [rest[2 * at + 1] for at in range(pairs)] + rest[2 * pairs :]
    return values, [operand, *(rest[2 * at] for at in range(pairs))], ()


def _filter(node: Node, _frame: Frame) -> Parts:
    return [node.this], [node.expression], ()


def _call(node: Node, _frame: Frame) -> Parts:
    """A function that sqlglot has no class for."""
    arguments = nodes(node, "expressions")
    if node.name.casefold() == "map_filter":
        return arguments[:1], arguments[1:], ()
    if node.name.casefold() == "iff":
        return arguments[1:], arguments[:1], ()
    return arguments, (), ()


def _in(node: Node, _frame: Frame) -> Parts:
    """A membership in a query has no value of any column; one in a list has."""
    query = arg(node, "query")
    if query is not None:
        return (), (), [node.this, query]
    return [node.this, *nodes(node, "expressions")], (), ()


def _exists(node: Node, _frame: Frame) -> Parts:
    """A predicate over a query, or the function over an array."""
    if isinstance(node.this, exp.Query):
        return (), (), [node.this]
    return list(node.iter_expressions()), (), ()


def _compared(node: Node, _frame: Frame) -> Parts:
    return (), (), [node]


def _count(node: Node, _frame: Frame) -> Parts:
    counted = [one for one in node.iter_expressions() if not is_star(one)]
    return counted, (), ()


def _lambda(node: Node, _frame: Frame) -> Parts:
    """Sqlglot has made plain identifiers of the parameters in the body."""
    return [node.this], (), ()


SCALAR = frozenset[type]({exp.Subquery, exp.Select, exp.Union, exp.Except, exp.Intersect})
PARTS: Mapping[type, Callable[[Node, Frame], Parts]] = {
    exp.Window: _window,
    exp.Case: _case,
    exp.If: _if,
    exp.Nvl2: _if,
    exp.Nullif: _nullif,
    exp.DecodeCase: _decode,
    exp.Filter: _filter,
    exp.ArrayFilter: _filter,
    exp.Anonymous: _call,
    exp.In: _in,
    exp.Exists: _exists,
    exp.All: _compared,
    exp.Any: _compared,
    exp.Count: _count,
    exp.Lambda: _lambda,
}
