"""Edges from the plan that Spark logged for a statement (``OperationParsed``): Spark has resolved every name there.

The text quotes nothing: literals and aliases stand in it as they are. So whatever is not surely read gives
no columns (those come from the SQL then), and a statement whose own text could be taken for a piece of a plan gives nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from iomete_mc_assets.collectors.lineage.model import (
    GLOBAL_TEMP,
    NOTHING,
    SESSION_CATALOG,
    Edges,
    Origin,
    Output,
    TableKey,
)
from iomete_mc_assets.collectors.lineage.names import METADATA_TABLES, REFERENCE, parts_of
from iomete_mc_assets.records import PlannedEdges

MAX_PLAN = 256 * 1024
"""Characters of the analyzed plan. A longer one is left to the text: this runs where nothing can kill it."""

_SECTION = re.compile(r"^== (Parsed|Analyzed|Optimized) Logical Plan ==$", re.MULTILINE)
_INDENT = re.compile(r"(?:[: ]  |[:+]- )*")
_MISLEADING = re.compile(r"#\d|[:+]- |\\n|\\u000a", re.IGNORECASE)
"""In a statement: what could be an attribute's id or a branch of the tree once it stands in the plan."""
_QUOTED = re.compile(
    r"""'(?:[^'\\]|\\.?+|'')*+(?:'|\Z)|"(?:[^"\\]|\\.?+|"")*+(?:"|\Z)|`(?:[^`]|``)*+(?:`|\Z)""",
    re.DOTALL,
)
_RISKY = re.compile(r"[()\[\]]|, |\b(?:AS|CASE|WHEN|THEN|ELSE|END|FILTER)\b", re.IGNORECASE)
"""In a literal or a quoted name: what could be a piece of an expression once the quotes are gone."""
_NAME = r"(?:`(?:[^`]|``)+`|[^\s.`,\[\]]+)"
_DOTTED = re.compile(rf"{_NAME}(?:\.{_NAME})*")
_ID = re.compile(r"#(\d+)")
_ATTRIBUTE_END = re.compile(r"#(\d+)L?(?:, ?|$)")
_ENDS_IN_ID = re.compile(r"^(?P<text>.*)#(?P<id>\d+)L?$", re.DOTALL)
_V2 = re.compile(r"RelationV2(?=\[)")
_V1 = re.compile(rf"Relation (?P<name>{_DOTTED.pattern})(?=\[)")
_VIEW = re.compile(rf"View \((?P<name>{_DOTTED.pattern}), (?=\[)")
_IDENTIFIER = re.compile(r"ResolvedIdentifier (?P<class>\S+)@\w+, (?P<name>.*)")
_UNRESOLVED = re.compile(r"'UnresolvedIdentifier \[(?P<parts>.*)\]")
_V1_TARGET = re.compile(rf", (?P<name>{_NAME}\.{_NAME}\.{_NAME}), .*(?=\[[^\[\]]*\]$)")
_APPENDS = ("AppendData ", "OverwriteByExpression ", "OverwritePartitionsDynamic ")
_MAKES = ("CreateTableAsSelect ", "ReplaceTableAsSelect ", "CreateIcebergView ")
_PASSING = (
    "SubqueryAlias ",
    "View ",
    "Filter ",
    "Sort ",
    "GlobalLimit ",
    "LocalLimit ",
    "Repartition",
)
_ONLY_LEFT = ("Join LeftSemi", "Join LeftAnti", "Except", "Intersect")
_UNSURE = re.compile(
    r"\b(?:nullif|nvl2|decode|lambdafunction|pivotfirst|grouping_id)\(|more fields"
)
_DECIDING = re.compile(
    r"\b(?:windowspecdefinition|rank|dense_rank|percent_rank)(?=\()|\bif (?=\()|FILTER (?=\(WHERE )"
)
_CASE = re.compile(r"\b(?:CASE|WHEN|THEN|ELSE|END)\b")


@dataclass(frozen=True, slots=True)
class PlanReading:
    """What a plan says.

    Attributes:
        columns_known: False where the columns have to come from the SQL.
    """

    edges: Edges
    columns_known: bool

    @classmethod
    def of(cls, plan: PlannedEdges) -> "PlanReading":
        """As it stood in a query's record."""
        direct, indirect = (
            frozenset((_origin(source), _origin(target)) for source, target in pairs)
            for pairs in (plan.direct, plan.indirect)
        )
        return cls(Edges(frozenset(plan.tables), direct, indirect), plan.columns_known)

    def record(self) -> PlannedEdges | None:
        """For the query's record; None where there is no edge to keep."""
        edges = self.edges
        if not edges.tables:
            return None
        direct, indirect = (
            tuple(
                sorted(
                    ((*source[0], source[1]), (*target[0], target[1])) for source, target in pairs
                )
            )
            for pairs in (edges.direct, edges.indirect)
        )
        return PlannedEdges(
            tables=tuple(sorted(edges.tables)),
            direct=direct,
            indirect=indirect,
            columns_known=self.columns_known,
        )


def _origin(parts: tuple[str, ...]) -> Origin:
    return parts[:-1], parts[-1]


@dataclass(slots=True)
class _Node:
    """A line of the tree; ``inner`` hang under its expressions."""

    text: str
    depth: int
    children: list["_Node"] = field(default_factory=list["_Node"])
    inner: list["_Node"] = field(default_factory=list["_Node"])


class _Unsure(Exception):
    """The columns cannot surely be read."""


def read_plan(plan: str, statement: str, *, catalog: str = SESSION_CATALOG) -> PlanReading | None:
    """The edges of a plan.

    Args:
        plan: ``executionPlan`` as it was logged.
        statement: its SQL.
        catalog: the session's current catalog: a plan of CREATE .. AS does not name it.

    Returns:
        None where the SQL tells more: no write, an UPDATE or DELETE, a kind of plan that is not known, or
        a statement whose text would mislead.
    """
    if _MISLEADING.search(statement) is not None:
        return None
    risky = any(_RISKY.search(one[0][1:-1]) for one in _QUOTED.finditer(statement))
    sections = _sections(plan)
    analyzed = sections.get("Analyzed", "")
    root = _tree(analyzed) if len(analyzed) <= MAX_PLAN else None
    if root is None:
        return None
    readings: list[PlanReading] = []
    for write in root.children if root.text.startswith("Union") else [root]:
        reading = _write(write, sections.get("Parsed", ""), catalog, risky=risky)
        if reading is None:
            return None
        readings.append(reading)
    edges = [reading.edges for reading in readings]
    return PlanReading(
        Edges(
            frozenset[tuple[TableKey, TableKey]]().union(*(one.tables for one in edges)),
            frozenset[tuple[Origin, Origin]]().union(*(one.direct for one in edges)),
            frozenset[tuple[Origin, Origin]]().union(*(one.indirect for one in edges)),
        ),
        all(reading.columns_known for reading in readings),
    )


def _sections(plan: str) -> Mapping[str, str]:
    """By name, each that another one follows: the last may be cut."""
    found = list(_SECTION.finditer(plan))
    return {one[1]: plan[one.end() : then.start()] for one, then in pairwise(found)}


def _tree(text: str) -> _Node | None:
    root: _Node | None = None
    path: list[_Node] = []
    for line in text.splitlines():
        if not line.strip():
            continue
        indent = _INDENT.match(line)
        end = 0 if indent is None else indent.end()
        node = _Node(line[end:], end // 3)
        while path and path[-1].depth >= node.depth:
            path.pop()
        if path:
            near = path[-1].depth + 1 == node.depth
            (path[-1].children if near else path[-1].inner).append(node)
        elif root is None:
            root = node
        else:
            return None  # two roots: a literal with a line break, or the columns of a SELECT
        path.append(node)
    return root


def _write(node: _Node, parsed: str, catalog: str, *, risky: bool) -> PlanReading | None:
    """The edges of one writing node."""
    if node.text.startswith("'") or "'UpdateTable" in parsed or "'DeleteFromTable" in parsed:
        return None
    try:
        target = _target(node, parsed, catalog)
        reads = frozenset[TableKey]() if target is None else frozenset(_reads(target[2]))
    except (_Unsure, LookupError, ValueError):
        return None
    if target is None:
        return None
    key, names, query = target
    tables = frozenset((source, key) for source in reads if source != key)
    by_sql = risky or "'MergeIntoTable" in parsed or query is node
    try:
        pairs = [] if by_sql else _columns(query, names)
    except (_Unsure, LookupError, ValueError, RecursionError):  # a form that was not seen before
        pairs, by_sql = [], True
    direct = {(one, (key, to)) for output, to in pairs for one in output.direct if one[0] != key}
    deciding = {
        (one, (key, to)) for output, to in pairs for one in output.indirect if one[0] != key
    }
    return PlanReading(
        Edges(tables, frozenset(direct), frozenset(deciding - direct)), columns_known=not by_sql
    )


def _columns(query: _Node, names: list[str] | None) -> list[tuple[Output, str]]:
    """What is behind each column that is written."""
    walk = _Walk()
    outputs = walk.outputs(query)
    if names is None:
        names = [walk.names.get(one) or "" for one in outputs]
    if len(names) != len(outputs) or not all(names):
        raise _Unsure
    return [(walk.behind[one], name.casefold()) for one, name in zip(outputs, names, strict=True)]


_Target = tuple[TableKey, list[str] | None, _Node]
"""What is written, its columns (None: as the query calls them), and what with."""


def _target(node: _Node, parsed: str, catalog: str) -> _Target | None:
    if node.text.startswith(_APPENDS) and len(node.children) == 1:
        relation = node.text.partition(" ")[2]
        found = _relation(relation)
        return (
            None if found is None else (found[0], [name for name, _ in found[1]], node.children[0])
        )
    if node.text.startswith(("ReplaceData ", "WriteDelta ")):
        found = _relation(node.text.partition(" ")[2])
        return None if found is None else (found[0], None, node)
    if node.text.startswith("InsertIntoHadoopFsRelationCommand ") and len(node.children) == 1:
        named = _V1_TARGET.search(node.text)
        listed = _list(node.text, node.text.rfind("["))
        return None if named is None else (_key(named["name"]), listed, node.children[0])
    if node.text.startswith(_MAKES):
        below = [*node.inner, *node.children]
        named = _IDENTIFIER.match(below[0].text) if len(below) == 2 else None  # noqa: PLR2004 - name and query
        return None if named is None else (_made(named, parsed, catalog), None, below[1])
    return None


def _made(named: re.Match[str], parsed: str, catalog: str) -> TableKey:
    """The name of what CREATE makes: the class of its catalog says only whether it is Spark's own."""
    parts = [part.casefold() for part in parts_of(named["name"])]
    if named["class"].endswith("SparkSessionCatalog"):
        return (SESSION_CATALOG, *parts)
    written = _UNRESOLVED.search(parsed)
    said = [] if written is None else written["parts"].casefold().split(", ")
    if said[1:] == parts:
        return (said[0], *parts)
    return (catalog, *parts)


def _key(name: str) -> TableKey:
    return tuple(part.casefold() for part in parts_of(name))


def _relation(text: str) -> tuple[TableKey, list[tuple[str, str]], bool] | None:
    """A table's key, its columns with their ids, and whether its rows are read (not its metadata)."""
    v1 = _V1.match(text)
    if v1 is not None:
        return _key(v1["name"]), _attributes(text, v1.end()), True
    if _V2.match(text) is None:
        return None
    end = _closing(text, text.index("["))
    named = _DOTTED.match(text, end + 2)
    if named is None:
        return None
    *base, last = _key(named[0])
    hangs = len(base) > len(("catalog", "namespace"))
    if hangs and last in METADATA_TABLES:
        return tuple(base), _attributes(text, text.index("[")), False
    whole = base if hangs and REFERENCE.fullmatch(last) else [*base, last]
    return tuple(whole), _attributes(text, text.index("[")), True


def _reads(node: _Node) -> Iterator[TableKey]:
    """Every table that a tree reads; a persistent view hides those behind it."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        found = _relation(one.text)
        if found is not None:
            yield found[0]
        view = _persistent_view(one)
        if view is not None:
            yield view
        else:
            waiting += [*one.children, *one.inner]


def _persistent_view(node: _Node) -> TableKey | None:
    view = _VIEW.match(node.text)
    key = () if view is None else _key(view["name"])
    return key if len(key) > 1 and key[:-1] != (GLOBAL_TEMP,) else None


class _Walk:
    """Follows attribute ids from the relations up."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.behind: dict[str, Output] = {}
        self.names: dict[str, str] = {}

    def outputs(self, node: _Node) -> list[str]:
        """The ids that a node gives, in order."""
        found = _relation(node.text)
        view = _persistent_view(node)
        if found is not None:
            key, attributes, rows = found
            return self._leaf(key, attributes, rows=rows)
        if view is not None:
            start = node.text.index("[")
            return self._leaf(view, _attributes(node.text, start), rows=True)
        below = [self.outputs(child) for child in node.children]
        self._subqueries(node)
        return self._inner(node, below)

    def _leaf(
        self, key: TableKey, attributes: Iterable[tuple[str, str]], *, rows: bool
    ) -> list[str]:
        ids: list[str] = []
        for name, one in attributes:
            origin = frozenset(((key, name.casefold()),)) if rows else NOTHING
            self.behind[one], self.names[one] = Output(None, origin), name
            ids.append(one)
        return ids

    def _subqueries(self, node: _Node) -> None:
        """A scalar subquery carries a value; one at a time can be told apart."""
        ids = re.findall(r"scalar-subquery#(\d+)", node.text)
        if len(set(ids)) > 1 or (ids and len(node.inner) != 1):
            raise _Unsure
        if ids:
            first = self.outputs(node.inner[0])[0]
            self.behind[ids[0]] = self.behind[first]

    def _inner(self, node: _Node, below: list[list[str]]) -> list[str]:
        """What a node gives that is no relation."""
        text = node.text
        if text.startswith((*_PASSING, *_ONLY_LEFT)):
            return below[0]
        if text.startswith("Join "):
            return [*below[0], *below[1]]
        if text.startswith("Union"):
            return self._united(below)
        if text.startswith(("LocalRelation ", "OneRowRelation")):
            return self._leaf((), _attributes(text, text.find("[")), rows=False)
        if text.startswith("Generate "):
            return [*below[0], *self._generated(text)]
        return self._listed(text, below)

    def _listed(self, text: str, below: list[list[str]]) -> list[str]:
        if text.startswith("Project ["):
            return self._items(text, text.index("["))
        if text.startswith("Window ["):
            return [*below[0], *self._items(text, text.index("["))]
        if not text.startswith("Aggregate ["):
            raise _Unsure
        grouped = _closing(text, text.index("["))
        return self._items(text, grouped + 3 if grouped + 3 < len(text) else text.index("["))

    def _united(self, below: list[list[str]]) -> list[str]:
        """Its columns are the first branch's, by position the others' too."""
        for other in below[1:]:
            for one, two in zip(below[0], other, strict=True):
                self.behind[one] = _both(self.behind[one], self.behind[two])
        return below[0]

    def _generated(self, text: str) -> list[str]:
        start = text.rfind(", [") + 2
        call = self._sources(text[: text.index("), ") + 1])
        ids: list[str] = []
        for name, one in _attributes(text, start):
            self.behind[one], self.names[one] = call, name
            ids.append(one)
        return ids

    def _items(self, text: str, start: int) -> list[str]:
        """``[a#1, f(b#2) AS c#3]``."""
        ids: list[str] = []
        for item in _list(text, start):
            ends = _ENDS_IN_ID.match(item)
            if ends is None:
                raise _Unsure
            alias = _alias_at(item)
            one = ends["id"]
            if alias is None:
                if one not in self.behind:
                    raise _Unsure
            else:
                self.behind[one] = self._sources(item[:alias])
                self.names[one] = ends["text"][alias + len(" AS ") :]
            ids.append(one)
        return ids

    def _sources(self, expression: str) -> Output:
        if _UNSURE.search(expression) is not None:
            raise _Unsure
        spans = [*_spans(expression), *_conditions(expression)]
        direct, indirect = set[Origin](), set[Origin]()
        for found in _ID.finditer(expression):
            word = expression[expression.rfind(" ", 0, found.start()) + 1 : found.start()]
            if word.rpartition("(")[2] in {"list", "exists"}:
                continue
            behind = self.behind.get(found[1])
            if behind is None:
                raise _Unsure
            decides = any(begin <= found.start() < end for begin, end in spans)
            (indirect if decides else direct).update(behind.direct)
            indirect.update(behind.indirect)
        return Output(None, frozenset(direct), frozenset(indirect - direct))


def _both(one: Output, other: Output) -> Output:
    direct = one.direct | other.direct
    return Output(None, direct, (one.indirect | other.indirect) - direct)


def _spans(expression: str) -> Iterator[tuple[int, int]]:
    """Brackets whose content only decides."""
    for found in _DECIDING.finditer(expression):
        yield found.end(), _closing(expression, found.end())


def _conditions(expression: str) -> Iterator[tuple[int, int]]:
    """From WHEN to THEN."""
    begun: list[int] = []
    for found in _CASE.finditer(expression):
        if found[0] == "CASE":
            begun.append(found.end())
        elif not begun:
            raise _Unsure
        elif found[0] == "WHEN":
            begun[-1] = found.end()
        elif found[0] == "THEN":
            yield begun[-1], found.start()
        elif found[0] == "END":
            begun.pop()
    if begun:
        raise _Unsure


def _closing(text: str, start: int) -> int:
    """Where the bracket that opens at ``start`` closes."""
    depth = 0
    for at in range(start, len(text)):
        if text[at] in "([":
            depth += 1
        elif text[at] in ")]":
            depth -= 1
            if depth == 0:
                return at
    raise _Unsure


def _list(text: str, start: int) -> list[str]:
    """The items between brackets; a comma inside of an alias or a literal belongs to its item."""
    end = _closing(text, start)
    items: list[str] = []
    depth, begun = 0, start + 1
    for at in range(start + 1, end + 1):
        if text[at] in "([":
            depth += 1
        elif text[at] in ")]" and at < end:
            depth -= 1
        elif depth == 0 and (at == end or text.startswith(", ", at)):
            items.append(text[begun:at])
            begun = at + 2
    return [one for one in items if one]


def _attributes(text: str, start: int) -> list[tuple[str, str]]:
    """Names and ids of ``[a#1, b#2L]``; v1 relations leave the space out."""
    if start < 0:
        return []
    inside = text[start + 1 : _closing(text, start)]
    ends = list(_ATTRIBUTE_END.finditer(inside))
    if "more fields" in inside or (inside and not ends):
        raise _Unsure
    begins = [0, *(one.end() for one in ends)]
    return [(inside[begin : one.start()], one[1]) for begin, one in zip(begins, ends, strict=False)]


def _alias_at(item: str) -> int | None:
    """Where an item's alias begins; None for a plain attribute."""
    depth = 0
    for at, letter in enumerate(item):
        if letter in "([":
            depth += 1
        elif letter in ")]":
            depth -= 1
        elif depth == 0 and item.startswith(" AS ", at):
            return at
    return None
