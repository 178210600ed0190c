from collections.abc import Sequence

import pytest

from iomete_mc_assets.records import Column, SurveyedState, TableId
from iomete_mc_assets.warehouse.describe import read_description, with_properties
from iomete_mc_assets.warehouse.rows import Row
from iomete_mc_assets.warehouse.schema import described_type

TABLE = TableId("lake", ("a", "b c"), "Odd-Name 1")


def answer(*rows: tuple[str, str] | tuple[str, str, str | None]) -> Sequence[Row]:
    return [
        {"col_name": row[0], "data_type": row[1], "comment": row[2] if len(row) > 2 else ""}
        for row in rows
    ]


COLUMNS = (
    ("# Partitioning", "int", None),
    ("", "string", None),
    ("City", "struct<Zip:string,geo:array<decimal(38,10)>>", "where"),
)
PARTITIONS = (
    ("# Partition Information", ""),
    ("# col_name", "data_type", "comment"),
    ("City", "string", None),
    ("", ""),
    ("# Metadata Columns", ""),
    ("_file", "string"),
    ("", ""),
)
DETAILS = (
    ("# Detailed Table Information", ""),
    ("Name", "lake.a.b c.Odd-Name 1"),
    ("Type", "MANAGED"),
    ("Comment", "odd\n# Detailed View Information"),
    ("Provider", "iceberg"),
    ("Owner", "ana"),
)
PROPERTIES = (
    "Table Properties",
    "[current-snapshot-id=42,format=iceberg/parquet,format-version=2,x=a b]",
)


def test_columns_end_where_a_row_has_no_type_whatever_their_names() -> None:
    described = read_description(TABLE, answer(*COLUMNS, *PARTITIONS, *DETAILS, PROPERTIES))
    assert described.certain
    entry = described.entry
    assert entry.columns == (
        Column(name="# Partitioning", type="INT"),
        Column(name="", type="STRING"),
        Column(
            name="City", type="STRUCT<Zip: STRING, geo: ARRAY<DECIMAL(38,10)>>", comment="where"
        ),
    )
    assert (entry.kind, entry.format, entry.owner) == ("table", "iceberg", "ana")
    assert entry.comment == "odd\n# Detailed View Information"
    assert entry.properties == (("x", "a b"),)
    assert entry.state == SurveyedState(snapshot_id=42)


@pytest.mark.parametrize(
    "text",
    [
        "[current-snapshot-id=none,x=current-snapshot-id=7]",
        "[a=1,current-snapshot-id=7,current-snapshot-id=8]",
        "[a=1,current-snapshot-id=7,iomete.governance.index=false]",
        "[a=1]",
        "",
    ],
)
def test_properties_that_can_be_misread_are_asked_for_one_by_one(text: str) -> None:
    described = read_description(TABLE, answer(*COLUMNS, *DETAILS, ("Table Properties", text)))
    assert not described.certain
    entry = with_properties(
        described.entry,
        [{"key": "current-snapshot-id", "value": "7"}, {"key": "x", "value": "a,b=c"}],
    )
    assert entry.properties == (("x", "a,b=c"),)
    assert entry.state == SurveyedState(snapshot_id=7)


def test_a_table_without_snapshot_says_none() -> None:
    details = answer(*COLUMNS, *DETAILS, ("Table Properties", "[current-snapshot-id=none]"))
    assert read_description(TABLE, details).entry.state == SurveyedState(snapshot_id=None)


def test_a_view_has_its_text_and_no_state() -> None:
    rows = answer(
        ("id", "bigint", "key"),
        ("", ""),
        ("# Detailed Table Information", ""),
        ("Database", "db"),
        ("Type", "VIEW"),
        ("View Text", "SELECT 1,\n 2"),
        ("Table Properties", "[table_type=ICEBERG-VIEW]"),
    )
    entry = read_description(TABLE, rows).entry
    assert (entry.kind, entry.view_text, entry.state) == ("view", "SELECT 1,\n 2", None)


def test_an_ordinary_table_has_no_state() -> None:
    rows = answer(
        ("id", "int", "x"),
        ("", ""),
        ("# Detailed Table Information", ""),
        ("Database", "db"),
        ("Type", "MANAGED"),
        ("Provider", "parquet"),
    )
    entry = read_description(TABLE, rows).entry
    assert (entry.kind, entry.format, entry.state) == ("table", "other", None)


def test_an_answer_without_details_is_none_of_sparks() -> None:
    with pytest.raises(ValueError, match="no details"):
        read_description(TABLE, answer(*COLUMNS))


def test_an_iceberg_table_may_have_no_columns() -> None:
    rows = answer(("", ""), ("# Metadata Columns", ""), ("_file", "string"), ("", ""), *DETAILS)
    described = read_description(TABLE, rows)
    assert (described.entry.columns, described.entry.format) == ((), "iceberg")


@pytest.mark.parametrize(
    ("described", "sql"),
    [
        ("bigint", "BIGINT"),
        ("timestamp_ntz", "TIMESTAMP_NTZ"),
        ("interval day to second", "INTERVAL DAY TO SECOND"),
        ("varchar(10)", "VARCHAR(10)"),
        ("map<string,array<decimal(38,10)>>", "MAP<STRING, ARRAY<DECIMAL(38,10)>>"),
        ("struct<City:string,a b:struct<>>", "STRUCT<City: STRING, `a b`: STRUCT<>>"),
        ("struct<a,b:string>", "struct<a,b:string>"),
    ],
)
def test_types_are_spelt_as_sql_with_field_names_kept(described: str, sql: str) -> None:
    assert described_type(described) == sql
