"""The survey and DESCRIBE of a real Spark, about tables that were made to be misread."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from iomete_mc_assets.collectors.exclusions import Exclusions
from iomete_mc_assets.collectors.surveying import Survey, survey_catalogs
from iomete_mc_assets.records import TableEntry, TableId
from iomete_mc_assets.warehouse import statements
from iomete_mc_assets.warehouse.connection import Lakehouse, LakehouseConfig
from iomete_mc_assets.warehouse.describe import read_description
from iomete_mc_assets.warehouse.properties import MARKERS, REDACTED
from iomete_mc_assets.warehouse.statements import literal
from iomete_mc_assets.warehouse.survey import Surveyed, read_block

DATABASE = "surveyed"
COLUMNS = (
    "Id BIGINT NOT NULL COMMENT 'a, uuid=5 key', at TIMESTAMP, naive TIMESTAMP_NTZ, "
    "s STRUCT<City: STRING COMMENT 'x', geo: ARRAY<DOUBLE>>, m MAP<STRING, DECIMAL(38,10)>, b BINARY"
)
TYPES = [
    "BIGINT",
    "TIMESTAMP",
    "TIMESTAMP_NTZ",
    "STRUCT<City: STRING, geo: ARRAY<DOUBLE>>",
    "MAP<STRING, DECIMAL(38,10)>",
    "BINARY",
]
HOSTILE = {
    "a": "current-snapshot-id=1, uuid=evil, x={}",
    "m": 'b=c]\nTable Properties: [table_type=ICEBERG-VIEW, current-schema={"fields":[]}',
    "zz": "]\nStatistics: 5 bytes\nSchema: root\n |-- no: int (nullable = true)",
}
TEXTS = [
    ", ".join(f"{marker}=7" for marker in MARKERS),
    "]\n" + ", ".join(f"{marker}=x" for marker in reversed(MARKERS)),
    'current-schema={"type":"struct","fields":[]}, current-snapshot-summary={"total-records":"9"}',
    'x, current-schema={"type":"struct","fields":[{"id":1,"name":"no","required":false,"type":"int"}]',
    "x\nOwner: eve\nType: VIEW\nTable Properties: [table_type=ICEBERG-VIEW, uuid=evil]",
    "x\nTable Properties: [metadata_location=file:/no, snapshot-count=0, table_type=ICEBERG, uuid=no]",
    "x\nStatistics: 5 bytes, 9 rows\nSchema: root\n |-- no: int (nullable = true)\n",
    "View Text: SELECT 1\nView Original Text: SELECT 1",
    '{"a": [1, {"b": "}]"}], "c": "\\""}, [[{{',
    "'it''s' \"so\" `tick` \\ ${x} %s ü 😀",
    REDACTED,
]
"""Each is a property, the table's comment and a column's comment of a table of its own."""


@pytest.fixture(scope="module")
def lakehouse(lakehouse_config: LakehouseConfig) -> Iterator[Lakehouse]:
    """A session, with a database of this module's own."""
    with Lakehouse.connect(lakehouse_config) as connected:
        connected.ask(f"CREATE DATABASE {DATABASE}")
        for statement in (
            f"CREATE TABLE {DATABASE}.plain ({COLUMNS}) USING iceberg COMMENT 'two\nlines'",
            f"CREATE TABLE {DATABASE}.hostile ({COLUMNS}) USING iceberg TBLPROPERTIES ("
            + ", ".join(f"{literal(key)} = {literal(value)}" for key, value in HOSTILE.items())
            + ")",
            f"CREATE TABLE {DATABASE}.hidden (url STRING NOT NULL, Id INT) USING iceberg",
            f"CREATE TABLE {DATABASE}.parquet (a INT COMMENT 'x', b STRING) USING parquet PARTITIONED BY (b)",
            f"CREATE VIEW {DATABASE}.v AS SELECT Id,\n at FROM {DATABASE}.plain",
            f"CREATE TABLE {DATABASE}.opted (a INT) USING iceberg TBLPROPERTIES ('iomete.governance.index'='false')",
            f"INSERT INTO {DATABASE}.hidden VALUES ('x', 1)",
            "CREATE TEMPORARY VIEW passing AS SELECT 1 AS a",
        ):
            connected.ask(statement)
        for number, text in enumerate(TEXTS):
            said = literal(text)
            connected.ask(
                f"CREATE TABLE {DATABASE}.said_{number} (Id BIGINT NOT NULL COMMENT {said}, "
                f"s STRUCT<City: STRING COMMENT {said}>) USING iceberg COMMENT {said} "
                f"TBLPROPERTIES ('a' = {said}, 'm' = {said}, 'zz' = {said})"
            )
            connected.ask(
                f"INSERT INTO {DATABASE}.said_{number} VALUES (1, named_struct('City', 'x'))"
            )
        yield connected
        connected.ask(f"DROP DATABASE spark_catalog.{DATABASE} CASCADE")


@pytest.fixture(scope="module")
def survey(lakehouse: Lakehouse) -> Survey:
    return survey_catalogs(lakehouse, catalogs=("spark_catalog", "lake"), exclusions=Exclusions())


@pytest.fixture(scope="module")
def entries(survey: Survey) -> Mapping[str, TableEntry]:
    """Our own database's entries by name."""
    return {
        entry.table.table: entry for entry in survey.entries if entry.table.namespace == (DATABASE,)
    }


def test_every_table_is_there_once_and_what_opted_out_is_counted(
    survey: Survey, entries: Mapping[str, TableEntry]
) -> None:
    said = [f"said_{number}" for number in range(len(TEXTS))]
    assert sorted(entries) == sorted(["hidden", "hostile", "parquet", "plain", *said, "v"])
    assert survey.omissions == ()
    assert survey.counts["excluded: opted out"] >= 1
    assert survey.counts["excluded: temporary view"] == 1


def test_hostile_properties_change_neither_columns_nor_state(
    entries: Mapping[str, TableEntry],
) -> None:
    plain, hostile = entries["plain"], entries["hostile"]
    assert [column.type for column in plain.columns] == TYPES
    assert plain.columns[0].required is True
    assert plain.columns[0].comment == "a, uuid=5 key"
    assert [replace(column, required=None) for column in plain.columns] == list(hostile.columns)
    assert hostile.state is not None
    assert (hostile.kind, hostile.format, hostile.state.snapshot_id) == ("table", "iceberg", None)
    assert dict(hostile.properties).items() >= HOSTILE.items()
    assert plain.comment == "two\nlines"


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_what_people_write_into_properties_and_comments_changes_nothing(
    lakehouse: Lakehouse, entries: Mapping[str, TableEntry], number: int
) -> None:
    said = entries[f"said_{number}"]
    assert [(one.name, one.type, one.comment) for one in said.columns] == [
        ("Id", "BIGINT", TEXTS[number]),
        ("s", "STRUCT<City: STRING>", None),
    ]
    assert (said.kind, said.format) == ("table", "iceberg")
    assert said.comment == TEXTS[number]
    assert dict(said.properties).items() >= dict.fromkeys(("a", "m", "zz"), TEXTS[number]).items()
    [snapshot] = lakehouse.ask(
        f"SELECT snapshot_id FROM spark_catalog.{DATABASE}.said_{number}.snapshots"
    )
    state = said.state
    assert state is not None
    assert state.snapshot_id == snapshot["snapshot_id"]
    # DESCRIBE, where the block was not believed, tells no figures: None, but nobody's 9
    assert state.total_records in (1, None)
    assert state.snapshot_count in (1, None)
    assert state.uuid is None or uuid.UUID(state.uuid)


def test_patterns_bring_every_table_of_a_database(lakehouse: Lakehouse) -> None:
    listed = {
        str(row["tableName"])
        for row in lakehouse.ask(statements.show_tables("spark_catalog", (DATABASE,)))
        if not row["isTemporary"]
    }
    patterns = statements.name_patterns(listed, at_most=3)
    assert len(patterns) > 4
    brought = {
        str(row["tableName"])
        for pattern in patterns
        for row in lakehouse.ask(
            statements.show_table_extended("spark_catalog", (DATABASE,), pattern=pattern)
        )
        if not row["isTemporary"]
    }
    assert brought == listed


def test_a_column_named_url_hides_the_schema_and_costs_one_describe(
    entries: Mapping[str, TableEntry],
) -> None:
    hidden = entries["hidden"]
    assert [column.name for column in hidden.columns] == ["url", "Id"]
    assert hidden.state is not None
    assert hidden.state.total_records == 1
    assert hidden.state.uuid is not None


def test_ordinary_tables_and_views_are_described_with_their_comments(
    entries: Mapping[str, TableEntry],
) -> None:
    parquet, view = entries["parquet"], entries["v"]
    assert [(one.name, one.type, one.comment) for one in parquet.columns] == [
        ("a", "INT", "x"),
        ("b", "STRING", None),
    ]
    assert (parquet.format, parquet.state) == ("other", None)
    assert (view.kind, view.state) == ("view", None)
    assert view.view_text == f"SELECT Id,\n at FROM {DATABASE}.plain"
    assert [column.name for column in view.columns] == ["Id", "at"]


def test_survey_and_describe_agree_on_every_iceberg_table_of_the_shop(lakehouse: Lakehouse) -> None:
    agreed = 0
    for row in lakehouse.ask(statements.show_namespaces("spark_catalog")):
        namespace = (str(row["namespace"]),)
        for listed in lakehouse.ask(statements.show_table_extended("spark_catalog", namespace)):
            table = TableId("spark_catalog", namespace, str(listed["tableName"]))
            surveyed = read_block(table, str(listed["information"]))
            if not isinstance(surveyed, Surveyed) or surveyed.entry.kind == "view":
                continue
            described = read_description(table, lakehouse.ask(statements.describe_table(table)))
            state = surveyed.entry.state
            assert state is not None
            if described.certain and described.entry.state is not None:
                assert described.entry.state.snapshot_id == state.snapshot_id
            if not surveyed.lacks_columns:
                assert described.entry.columns == tuple(
                    replace(column, required=None) for column in surveyed.entry.columns
                )
                agreed += 1
    assert agreed > 5


def test_tables_and_views_without_columns_are_entries(lakehouse: Lakehouse) -> None:
    """Iceberg has such tables; Spark makes no others of them."""
    ours = f"spark_catalog.{DATABASE}"
    made = (f"{ours}.bare", f"{ours}.stripped", f"lake.{DATABASE}.bare")
    lakehouse.ask(f"CREATE NAMESPACE lake.{DATABASE}")
    lakehouse.ask(f"CREATE TABLE {made[0]} USING iceberg")
    lakehouse.ask(f"CREATE TABLE {made[1]} (id INT) USING iceberg")
    lakehouse.ask(f"ALTER TABLE {made[1]} DROP COLUMN id")
    lakehouse.ask(f"CREATE TABLE {made[2]} USING iceberg")
    lakehouse.ask(f"CREATE VIEW {ours}.bare_view AS SELECT * FROM {made[0]}")
    try:
        whole = survey_catalogs(
            lakehouse, catalogs=("spark_catalog", "lake"), exclusions=Exclusions()
        )
    finally:
        lakehouse.ask(f"DROP VIEW {ours}.bare_view")
        for name in made:
            lakehouse.ask(f"DROP TABLE {name}")
        lakehouse.ask(f"DROP NAMESPACE lake.{DATABASE}")
    bare = {
        (entry.table.catalog, entry.table.table): (entry.kind, entry.format)
        for entry in whole.entries
        if entry.table.namespace == (DATABASE,) and not entry.columns
    }
    assert whole.omissions == ()
    assert bare == {
        ("spark_catalog", "bare"): ("table", "iceberg"),
        ("spark_catalog", "stripped"): ("table", "iceberg"),
        ("spark_catalog", "bare_view"): ("view", "other"),
        ("lake", "bare"): ("table", "iceberg"),
    }
