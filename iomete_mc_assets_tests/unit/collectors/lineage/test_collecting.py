"""The collector over the real parsing process: counting, sessions, shapes, and texts that kill the parser."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from iomete_mc_assets.collectors.lineage.collecting import LineageCollector
from iomete_mc_assets.collectors.lineage.edges import Spelling
from iomete_mc_assets.collectors.lineage.model import Edges, Reading, Session
from iomete_mc_assets.collectors.lineage.plans import PlanReading
from iomete_mc_assets.collectors.lineage.requests import Request
from iomete_mc_assets.collectors.lineage.tables import Catalog
from iomete_mc_assets.collectors.lineage.workers import ParsingProcess
from iomete_mc_assets.collectors.query_text import WITHHELD
from iomete_mc_assets.records import (
    Column,
    LineageEdge,
    QueryRecord,
    QueryStatus,
    TableEntry,
    TableId,
)
from iomete_mc_assets_tests import lineage_texts

AT = datetime(2026, 11, 21, 5, 10, tzinfo=UTC)
ENTRIES = [
    TableEntry(
        table=TableId("spark_catalog", (database,), name),
        kind="table",
        format="iceberg",
        columns=(Column(name="Id", type="BIGINT"), Column(name="name", type="STRING")),
    )
    for database, name in (("raw", "Src"), ("raw", "two"), ("dw", "dst"))
]
VIEW = TableEntry(
    table=TableId("spark_catalog", ("dw",), "v"),
    kind="view",
    format="other",
    columns=(Column(name="key", type="BIGINT"),),
    view_text="SELECT Id FROM raw.Src",
)


@pytest.fixture(scope="module")
def process() -> Iterator[ParsingProcess]:
    with ParsingProcess(Catalog.of([*ENTRIES, VIEW], catalogs=()), deadline_s=20) as running:
        yield running


def query(
    text: str,
    *,
    minutes: int = 0,
    session: str | None = None,
    database: str | None = "raw",
    status: QueryStatus | None = "succeeded",
) -> QueryRecord:
    ended = AT + timedelta(minutes=minutes)
    return QueryRecord(
        query_id=text,
        text=text,
        started_at=AT,
        ended_at=ended,
        session_id=session,
        database=database,
        status=status,
    )


def collected(
    process: ParsingProcess, *queries: QueryRecord
) -> tuple[list[LineageEdge], LineageCollector]:
    collector = LineageCollector(process, Spelling([*ENTRIES, VIEW]))
    for one in queries:
        collector.add(one)
    return list(collector.records()), collector


def short(edge: LineageEdge) -> str:
    source, target = edge.source.shown, edge.target.shown
    if edge.kind == "table":
        return f"{source} > {target}"
    return f"{edge.kind} {source}.{edge.source_column} > {target}.{edge.target_column}"


def test_an_edge_is_spelled_as_the_catalog_spells_it_and_says_how_often_and_when(
    process: ParsingProcess,
) -> None:
    text = "INSERT INTO DW.DST SELECT ID, CASE WHEN Id > {} THEN 'x' END FROM src /* {} */"
    edges, collector = collected(
        process, *(query(text.format(at, at), minutes=at) for at in (3, 7, 5))
    )
    assert [short(edge) for edge in edges] == [
        "direct spark_catalog.raw.Src.Id > spark_catalog.dw.dst.Id",
        "indirect spark_catalog.raw.Src.Id > spark_catalog.dw.dst.name",
        "spark_catalog.raw.Src > spark_catalog.dw.dst",
    ]
    assert {edge.times_seen for edge in edges} == {3}
    assert {edge.last_seen for edge in edges} == {AT + timedelta(minutes=7)}
    assert {edge.found_in for edge in edges} == {"sql"}
    assert collector.counts() == {"edges": 3, "of a known shape": 2, "parsed": 1, "queries": 3}


def test_a_view_is_told_by_its_text(process: ParsingProcess) -> None:
    collector = LineageCollector(process, Spelling([*ENTRIES, VIEW]))
    collector.add_view(VIEW, seen_at=AT)
    edges = {short(one): one for one in collector.records()}
    column = edges["direct spark_catalog.raw.Src.Id > spark_catalog.dw.v.key"]
    assert (column.found_in, column.times_seen, column.last_seen) == ("view text", 1, AT)


def test_what_a_plan_and_the_text_both_show_is_counted_once_and_as_the_plans(
    process: ParsingProcess,
) -> None:
    """The first plan knows its columns, the second leaves them to the text; the third query has none."""
    collector = LineageCollector(process, Spelling([*ENTRIES, VIEW]))
    text = query("INSERT INTO dw.dst SELECT id, name FROM raw.src")
    source, target = ("spark_catalog", "raw", "src"), ("spark_catalog", "dw", "dst")
    other = ("spark_catalog", "raw", "two")
    table = frozenset({(source, target)})
    column = frozenset({((source, "id"), (target, "id"))})
    collector.add(
        replace(text, plan=PlanReading(Edges(table, column), columns_known=True).record())
    )
    tables_only = PlanReading(Edges(table | {(other, target)}), columns_known=False)
    collector.add(replace(text, plan=tables_only.record()))
    collector.add(text)
    seen = {short(edge): (edge.found_in, edge.times_seen) for edge in collector.records()}
    assert seen == {
        "spark_catalog.raw.Src > spark_catalog.dw.dst": ("plan", 3),
        "spark_catalog.raw.two > spark_catalog.dw.dst": ("plan", 1),
        "direct spark_catalog.raw.Src.Id > spark_catalog.dw.dst.Id": ("plan", 3),
        "direct spark_catalog.raw.Src.name > spark_catalog.dw.dst.name": ("sql", 2),
    }


def test_a_plan_without_columns_still_is_the_surer_evidence(process: ParsingProcess) -> None:
    collector = LineageCollector(process, Spelling([*ENTRIES, VIEW]))
    table = frozenset({(("spark_catalog", "raw", "src"), ("spark_catalog", "dw", "dst"))})
    text = query("INSERT INTO dw.dst SELECT id, name FROM raw.src")
    plan = PlanReading(Edges(table), columns_known=False).record()
    collector.add(replace(text, plan=plan))
    found = {edge.kind: (edge.found_in, edge.times_seen) for edge in collector.records()}
    assert found == {"table": ("plan", 1), "direct": ("sql", 1)}


@pytest.mark.parametrize(
    "text", [WITHHELD, "INSERT INTO dw.dst VALUES (" + "(" * 300, "x" * 300_000]
)
def test_a_plan_speaks_for_a_text_that_is_withheld_or_given_up(
    process: ParsingProcess, text: str
) -> None:
    source, target = ("spark_catalog", "raw", "src"), ("spark_catalog", "dw", "dst")
    plan = PlanReading(
        Edges(frozenset({(source, target)}), frozenset({((source, "id"), (target, "id"))})),
        columns_known=True,
    ).record()
    edges, collector = collected(process, replace(query(text), plan=plan))
    assert [(edge.kind, edge.found_in, edge.times_seen) for edge in edges] == [
        ("direct", "plan", 1), ("table", "plan", 1),
    ]  # fmt: skip
    assert collector.counts() == {"edges": 2, "plans": 1, "queries": 1}


def test_a_shape_means_something_else_where_the_session_is_another(process: ParsingProcess) -> None:
    """The same text in two sessions with views of one name, and in one without."""
    use = "INSERT INTO dw.dst SELECT id, name FROM src"
    edges, _ = collected(
        process,
        query("CREATE TEMP VIEW src AS SELECT * FROM raw.two", session="1"),
        query(use, session="1"),
        query("CREATE TEMP VIEW src AS SELECT 1 AS id, 'x' AS name", session="2"),
        query(use, session="2"),
        query(use, session="3"),
        query("DROP VIEW src", session="1"),
        query(use, session="1"),
        query(use, database="dw"),
    )
    tables = {short(edge): edge.times_seen for edge in edges if edge.kind == "table"}
    assert tables == {
        "spark_catalog.raw.two > spark_catalog.dw.dst": 1,
        "spark_catalog.raw.Src > spark_catalog.dw.dst": 2,
        "spark_catalog.dw.src > spark_catalog.dw.dst": 1,
    }


def test_a_table_made_by_one_session_is_known_to_the_next(process: ParsingProcess) -> None:
    edges, _ = collected(
        process,
        query("CREATE TABLE dw.fresh (a BIGINT, b STRING)", session="1"),
        query("INSERT INTO dw.fresh SELECT * FROM src", session="2"),
    )
    assert "direct spark_catalog.raw.Src.Id > spark_catalog.dw.fresh.a" in map(short, edges)


def test_what_failed_or_only_reads_is_counted_and_not_parsed(process: ParsingProcess) -> None:
    insert = "INSERT INTO dw.dst SELECT * FROM src"
    edges, collector = collected(
        process,
        query(insert, status="failed"),
        query(insert, status="cancelled"),
        query("SELECT * FROM src"),
        query("SHOW TABLES"),
        query(f"{insert} -- {'x' * 300_000}"),
        query(f"INSERT INTO dw.dst SELECT {'(' * 300}1{')' * 300}, 'x' FROM src"),
        query("INSERT INTO dw.dst SELECT FROM WHERE"),
        query("INSERT INTO dw.dst SELECT id FROM src"),
        query(f"INSERT INTO dw.dst SELECT id, name FROM src -- {'x' * 70_000}"),
        query(insert, database=None),
    )
    assert [short(edge) for edge in edges] == ["spark_catalog.raw.Src > spark_catalog.dw.dst"]
    assert collector.counts() == {
        "edges": 1,
        "not succeeded": 2,
        "parsed": 3,
        "queries": 10,
        "reads only": 1,
        "skipped: nested too deeply": 1,
        "skipped: not understood": 1,
        "skipped: too large": 1,
        "tables only": 1,
        "unresolved: columns do not fit the target": 1,
        "unresolved: columns of the source unknown": 1,
        "unresolved: current database unknown": 1,
        "without lineage": 1,
    }


def test_a_text_that_outlives_the_deadline_is_quarantined_and_the_next_one_is_read() -> None:
    """``array<`` 3,000 deep takes the parser minutes; the guard that would stop it is not asked here."""
    bomb = Request(text=lineage_texts.nested(20_000)["types"], session=Session())
    fine = Request(text="INSERT INTO dw.dst SELECT Id, name FROM raw.src", session=Session())
    with ParsingProcess(Catalog.of(ENTRIES, catalogs=()), deadline_s=1) as process:
        assert process.read(bomb) in {"timed out", "crashed the parser"}
        assert process.read(bomb) == "quarantined"
        started = process.started
        process_again = process.read(fine)
        while not isinstance(process_again, Reading):  # a busy machine may take a second for it
            process.quarantined.clear()
            process_again = process.read(fine)
        assert len(process_again.edges.direct) == 2
        assert process.started > started


@pytest.mark.parametrize("depth", [20, 400, 20_000])
def test_no_nesting_takes_this_process_down(depth: int) -> None:
    """Handed to the parser past all guards: each text has an outcome, and the last one is read."""
    with ParsingProcess(Catalog.of(ENTRIES, catalogs=()), deadline_s=1) as process:
        for text in lineage_texts.nested(depth).values():
            assert process.read(Request(text=text, session=Session())) is not None
