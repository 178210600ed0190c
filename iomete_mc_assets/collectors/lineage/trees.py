"""Small readers of sqlglot's trees: arguments, names, aliases. Means nothing by itself."""

from typing import NamedTuple, cast

from sqlglot import exp

from iomete_mc_assets.collectors.lineage.syntax import NotUnderstood

Node = exp.Expr


class Aliased(NamedTuple):
    """The alias of a FROM item, folded; no words without one."""

    name: str | None
    columns: tuple[str, ...]


def unaliased(node: Node) -> Node:
    """The expression under an alias."""
    return node.this if isinstance(node, exp.Alias) else node


def row_of(node: Node) -> list[Node]:
    """The values of a row in parentheses, or the one value."""
    return nodes(node, "expressions") if isinstance(node, exp.Tuple) else [node]


def is_star(node: Node) -> bool:
    """Whether it is ``*``."""
    return isinstance(node, exp.Star)


def qualifier_of(node: Node) -> tuple[str, ...]:
    """What a FROM item is called by its alias."""
    name = alias_of(node).name
    return () if name is None else (name,)


def alias_of(node: Node) -> Aliased:
    """The alias of a FROM item or of an expression."""
    alias = node.args.get("alias")
    if alias is None:
        return Aliased(None, ())
    if not isinstance(alias, exp.TableAlias):
        return Aliased(folded(alias), ())
    named = alias.args.get("this")
    columns = tuple(folded(column) for column in nodes(alias, "columns"))
    return Aliased(None if named is None else folded(named), columns)


def parts_of(node: Node) -> list[Node]:
    """The parts of a table's or a column's name, outermost first."""
    outer = [node.args.get(name) for name in ("catalog", "db", "table")]
    found = [one for one in outer if isinstance(one, exp.Expr)]
    # a table's name of more than three parts
    last = list(node.this.flatten()) if isinstance(node.this, exp.Dot) else [node.this]
    return [*found, *last]


def folded(node: Node | str) -> str:
    """A name as names are compared."""
    return (node if isinstance(node, str) else node.name).casefold()


def arg(node: Node, name: str) -> Node | None:
    """One argument of a node, if it is a node."""
    value = node.args.get(name)
    return value if isinstance(value, exp.Expr) else None


def nodes(node: Node, name: str) -> list[Node]:
    """One argument of a node that is a list."""
    value = node.args.get(name)
    return cast("list[Node]", value) if isinstance(value, list) else []


def table_parts(table: Node) -> list[str]:
    """The folded parts of a table's name.

    Raises:
        NotUnderstood: a computed name.
    """
    if not isinstance(table, exp.Table):
        raise NotUnderstood
    named = [part for part in table.parts if isinstance(part, exp.Identifier)]
    if len(named) != len(table.parts):
        raise NotUnderstood
    return [part.name.casefold() for part in named]


def column_parts(node: Node) -> list[str]:
    """The folded parts of a column's name and of the field in it."""
    fields: list[str] = []
    while isinstance(node, exp.Dot):
        fields.insert(0, node.expression.name.casefold())
        node = node.this
    outer = node.parts if isinstance(node, exp.Column) else [node]
    return [*(part.name.casefold() for part in outer), *fields]
