"""Plans as Spark 3.5.8 with Iceberg 1.9.2 logged them, against what their SQL says."""

import json

import pytest

from iomete_mc_assets.collectors.lineage.model import Place, Reading, Session
from iomete_mc_assets.collectors.lineage.plans import PlanReading, read_plan
from iomete_mc_assets.collectors.lineage.statements import read_text
from iomete_mc_assets.collectors.lineage.tables import Catalog
from iomete_mc_assets_tests.lineage_scoring import FOLDER, dotted

PLANS: dict[str, dict[str, str]] = json.loads((FOLDER / "plans.json").read_text())
PLAIN = (("id", "BIGINT"), ("name", "STRING"), ("value", "DOUBLE"))
CATALOG = Catalog(
    {
        ("spark_catalog", "raw", "src"): (
            *PLAIN,
            ("tags", "ARRAY<string>"),
            ("s", "STRUCT<a:int,b:string>"),
        ),
        ("spark_catalog", "raw", "two"): PLAIN,
        ("spark_catalog", "shop", "src"): (("id", "BIGINT"), ("amt", "DOUBLE")),
        ("spark_catalog", "raw", "v1"): PLAIN[:2],
        ("spark_catalog", "raw", "pv"): (("id", "BIGINT"), ("up", "STRING")),
        ("lake", "crm", "odd name"): PLAIN,
        ("spark_catalog", "dw", "dst"): PLAIN,
        ("spark_catalog", "dw", "dst_mor"): PLAIN,
        ("spark_catalog", "dw", "v1dst"): PLAIN[:2],
        ("spark_catalog", "dw", "part"): (("id", None), ("day", None), ("name", None)),
    },
    ["lake"],
)
LEFT_TO_SQL = {"ctas_v1", "temp_view", "update", "delete", "select", "quotes"}
TABLES_ONLY = {"merge", "merge_mor", "merge_insert_only", "wide", "pivot"}


def both(name: str) -> tuple[PlanReading | None, Reading]:
    sql = PLANS[name]["sql"]
    start = Session(Place("spark_catalog", ("default",)))
    made = (
        "CREATE TEMP VIEW tv AS SELECT id, upper(name) AS nm, value FROM raw.src; "
        "CREATE GLOBAL TEMP VIEW gv AS SELECT id g, amt FROM shop.src"
    )
    session = read_text(made, start, CATALOG).session
    return read_plan(PLANS[name]["plan"], sql), read_text(sql, session, CATALOG)


@pytest.mark.parametrize("name", sorted(set(PLANS) - LEFT_TO_SQL))
def test_a_plan_says_what_its_sql_says(name: str) -> None:
    plan, sql = both(name)
    assert plan is not None
    assert plan.edges.tables == sql.edges.tables
    assert plan.columns_known == (name not in TABLES_ONLY)
    if plan.columns_known:
        assert plan.edges == sql.edges
    record = plan.record()
    assert (None if record is None else PlanReading.of(record)) == (
        plan if plan.edges.tables else None
    )


@pytest.mark.parametrize("name", sorted(LEFT_TO_SQL))
def test_what_a_plan_does_not_tell_is_left_to_the_sql(name: str) -> None:
    assert both(name)[0] is None


def test_a_catalog_that_the_plan_does_not_name_is_that_of_the_statement() -> None:
    plan, _ = both("ctas_lake")
    assert plan is not None
    assert {dotted(target) for _, target in plan.edges.tables} == {"lake.crm.made"}


@pytest.mark.parametrize(
    "literal", ["'x#43'", "'\\n+- RelationV2[id#1] a.b.c a.b.c'", "'+- '", "'\\u000a:- '"]
)
def test_a_statement_whose_text_could_be_taken_for_a_plan_gives_nothing(literal: str) -> None:
    sql = PLANS["insert"]["sql"].replace("upper(name)", f"concat(name, {literal})")
    assert read_plan(PLANS["insert"]["plan"], sql) is None


@pytest.mark.parametrize("literal", ["'('", "'a, b'", "' AS '", "'WHEN'"])
def test_a_literal_that_could_be_a_piece_of_an_expression_leaves_the_columns_to_the_sql(
    literal: str,
) -> None:
    sql = PLANS["insert"]["sql"].replace("upper(name)", f"concat(name, {literal})")
    plan = read_plan(PLANS["insert"]["plan"], sql)
    assert plan is not None
    assert (plan.columns_known, plan.edges.direct) == (False, frozenset())


@pytest.mark.parametrize("name", sorted(set(PLANS) - LEFT_TO_SQL))
def test_a_plan_that_is_cut_gives_nothing(name: str) -> None:
    """At every tenth character: half a name would be another table."""
    plan, sql = PLANS[name]["plan"], PLANS[name]["sql"]
    assert all(read_plan(plan[:end], sql) is None for end in range(0, len(plan) - 2, 10))
