"""The demo's lineage against Spark itself: which tables each statement and each view reads and writes.

On purpose it shares no code with what it checks: Spark parses and resolves a statement for EXPLAIN, and what it prints of
that is read here. Columns are compared in the tests, where Spark's analyzer is at hand.
"""

import re
from collections.abc import Iterator, Sequence

from iomete_mc_assets.cli.demo_manifests import Json, Manifest, shown_name
from iomete_mc_assets.cli.demo_spark import CATALOG, Spark

Edge = tuple[str, str]

_WRITES = re.compile(r"\s*(?:INSERT|MERGE|CREATE|REPLACE|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
_ANALYZED = re.compile(r"== Analyzed Logical Plan ==\n(.*?)\n== Optimized", re.DOTALL)
_PART = r"(?:`(?:[^`]|``)+`|[^\s.`,\[\]()]+)"
_RELATION = re.compile(rf"(?:RelationV2\[.*?\]|Relation) (?P<name>{_PART}(?:\.{_PART})+)")
_VIEW = re.compile(rf"View \((?P<name>{_PART}(?:\.{_PART})+), ")
_CREATED = re.compile(r"'UnresolvedIdentifier \[(?P<parts>[^\]]*)\]")
_AS_WRITTEN = re.compile(r"'UnresolvedRelation \[(?P<parts>[^\]]*)\], \[(?P<options>[^\]]*)\]")


def table_edges(
    spark: Spark,
    lineage: Sequence[Manifest],
    query_logs: Sequence[Manifest],
    catalog: Manifest,
) -> tuple[int, list[str]]:
    """How many edges of tables Spark sees in these hours, and where the manifests differ."""
    asked: dict[str, frozenset[Edge]] = {}
    views = frozenset(edge for record in catalog.records for edge in _of_view(spark, record))
    logs = {manifest.window: manifest for manifest in query_logs}
    compared, differences = 0, list[str]()
    for manifest in lineage:
        queries = logs[manifest.window].records if manifest.window in logs else ()
        truth = set(views)
        for query in queries:
            text = str(query["text"])
            if query["status"] == "succeeded" and _WRITES.match(text):
                if text not in asked:
                    asked[text] = frozenset(_of_statement(spark, text))
                truth |= asked[text]
        told = {_told(record) for record in manifest.records if record["kind"] == "table"}
        compared += len(truth)
        differences += [f"{manifest.shown}: missing {a} > {b}" for a, b in sorted(truth - told)]
        differences += [f"{manifest.shown}: invented {a} > {b}" for a, b in sorted(told - truth)]
    return compared, differences


def _told(record: Json) -> Edge:
    source, target = (shown_name({"table": record[end]}).lower() for end in ("source", "target"))
    return source, target


def _of_view(spark: Spark, record: Json) -> Iterator[Edge]:
    if record["kind"] != "view":
        return
    table = record["table"]
    name = ".".join(
        "`" + part.replace("`", "``") + "`"
        for part in (table["catalog"], *table["namespace"], table["table"])
    )
    lines = _analyzed(_explained(spark, f"SELECT * FROM {name}")).splitlines()
    below = next((at + 1 for at, line in enumerate(lines) if _VIEW.search(line)), len(lines))
    for source in _read(lines[below:]):
        yield source, shown_name(record).lower()


def _of_statement(spark: Spark, text: str) -> Iterator[Edge]:
    """What Spark resolves; a statement that it cannot resolve in this shop it only parses.

    Loads read a landing zone, and columns, that are no part of the shop; the session catalog replaces no table.
    """
    plan = _explained(spark, text)
    first, _, others = _analyzed(plan).partition("\n")
    target = _RELATION.search(first)
    if target is not None:
        written = _plain(target["name"])
        sources = list(_read([first[target.end() :], *others.splitlines()]))
    else:
        named = [(one["parts"].split(", "), one["options"]) for one in _AS_WRITTEN.finditer(plan)]
        whole = [(_shown(parts), "privileges" in how) for parts, how in named if len(parts) > 1]
        created = _CREATED.search(plan)
        into = [_shown(created["parts"].split(", "))] if created is not None else []
        written = next(iter([*into, *(name for name, is_written in whole if is_written)]), None)
        sources = [name for name, is_written in whole if not is_written]
    for source in sources:
        if written is not None and source != written:
            yield source, written


def _explained(spark: Spark, text: str) -> str:
    return "\n".join(str(row[0]) for row in spark.ask(f"EXPLAIN EXTENDED {text}"))


def _analyzed(plan: str) -> str:
    found = _ANALYZED.search(plan)
    lines = found[1] if found and "AnalysisException" not in found[1] else ""
    # a query's columns stand before its tree
    return re.sub(r"\A[^\n]*: [^\n]*\n(?=[A-Z])", "", lines)


def _read(lines: Sequence[str]) -> Iterator[str]:
    """Names of relations; a view hides those behind it, which stand further in."""
    hidden_from: int | None = None
    for line in lines:
        depth = len(line) - len(line.lstrip(" :+-"))
        if hidden_from is not None and depth > hidden_from:
            continue
        hidden_from = None
        view = _VIEW.search(line)
        found = view or _RELATION.search(line)
        if found is not None:
            yield _plain(found["name"])
        if view is not None:
            hidden_from = depth


def _plain(name: str) -> str:
    return _shown([part.strip("`").replace("``", "`") for part in re.findall(_PART, name)])


def _shown(parts: Sequence[str]) -> str:
    whole = parts if len(parts) > 2 else (CATALOG, *parts)  # noqa: PLR2004 - database and name
    return ".".join(whole).lower()
