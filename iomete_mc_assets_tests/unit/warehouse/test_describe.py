from collections.abc import Sequence

import pytest

from iomete_mc_assets.records import Column, SurveyedState, TableId
from iomete_mc_assets.warehouse.describe import (
    read_description,
    with_fields,
    with_snapshot,
    without_fields,
)
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
    assert described.nested
    assert entry.state == SurveyedState(snapshot_id=42)


@pytest.mark.parametrize(
    "text",
    [
        "[current-snapshot-id=none,x=current-snapshot-id=7]",
        "[a=1,current-snapshot-id=7,current-snapshot-id=8]",
        "[a=1,current-snapshot-id=7,iomete.governance.index=false]",
        "[a=1]",
        "[current-snapshot-id=7x]",
        "",
    ],
)
def test_properties_that_can_be_misread_are_asked_for_one_by_one(text: str) -> None:
    described = read_description(TABLE, answer(*COLUMNS, *DETAILS, ("Table Properties", text)))
    assert not described.certain
    entry = with_snapshot(described.entry, {"current-snapshot-id": "7", "x": "a,b=c"})
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


CREATED = (
    "CREATE TABLE lake.a.t (\n  `# Partitioning` INT NOT NULL,\n  s STRUCT<`a:int,b`: STRING COMMENT 'it\\'s, x', "
    "City: STRING NOT NULL COMMENT 'y', g: ARRAY<STRUCT<`z``z`: DECIMAL(38,10) COMMENT 'deep'>>> COMMENT 'own\\'s',\n"
    "  m MAP<STRING, STRUCT<v: INT COMMENT 'value'>>)\nUSING iceberg\nTBLPROPERTIES (\n  'x' = '1')\n"
)
PRINTED = (
    ("# Partitioning", "int", None),
    ("s", "struct<a:int,b:string,City:string,g:array<struct<z`z:decimal(38,10)>>>", "own's"),
    ("m", "map<string,struct<v:int>>", None),
)


def created(statement: str) -> Sequence[Row]:
    return [{"createtab_stmt": statement}]


def test_a_create_statement_tells_nested_names_comments_and_not_null() -> None:
    described = read_description(TABLE, answer(*PRINTED, *DETAILS, PROPERTIES))
    assert described.nested
    entry = with_fields(described, created(CREATED))
    assert entry is not None
    assert entry.columns == (
        Column(name="# Partitioning", type="INT", required=True),
        Column(
            name="s",
            type="STRUCT<`a:int,b`: STRING, City: STRING, g: ARRAY<STRUCT<`z``z`: DECIMAL(38,10)>>>",
            required=False,
            comment="own's",
            field_comments=(("`a:int,b`", "it's, x"), ("City", "y"), ("g.element.`z``z`", "deep")),
        ),
        Column(
            name="m",
            type="MAP<STRING, STRUCT<v: INT>>",
            required=False,
            field_comments=(("value.v", "value"),),
        ),
    )


@pytest.mark.parametrize(
    ("was", "said"),
    [
        ("`a:int,b`: STRING", "a: INT"),  # another table by now
        ("COMMENT 'y'", "COMMENT 'y"),
        ("COMMENT 'own\\'s'", "COMMENT 'own\\'s' COMMENT ''"),
        ("`# Partitioning` INT NOT NULL,\n  ", ""),
        ("COMMENT 'own\\'s'", "COMMENT 'other'"),
        (" COMMENT 'own\\'s'", ""),
        (")\nUSING", ",\n  x INT)\nUSING"),
        ("CREATE TABLE lake.a.t (", "CREATE VIEW"),
    ],
)
def test_a_create_statement_of_something_else_leaves_nested_types_as_printed(
    was: str, said: str
) -> None:
    assert was in CREATED
    described = read_description(TABLE, answer(*PRINTED, *DETAILS, PROPERTIES))
    assert with_fields(described, created(CREATED.replace(was, said))) is None
    entry = without_fields(described)
    assert [(one.name, one.type, one.required) for one in entry.columns] == [
        ("# Partitioning", "INT", None),
        ("s", PRINTED[1][1], None),
        ("m", PRINTED[2][1], None),
    ]
