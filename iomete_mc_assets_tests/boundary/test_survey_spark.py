"""The survey and DESCRIBE of a real Spark, about tables that were made to be misread."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from iomete_mc_assets.collectors.exclusions import Exclusions
from iomete_mc_assets.collectors.surveying import Survey, survey_catalogs
from iomete_mc_assets.records import Column, SurveyedState, TableEntry, TableId
from iomete_mc_assets.warehouse import statements
from iomete_mc_assets.warehouse.connection import Lakehouse, LakehouseConfig
from iomete_mc_assets.warehouse.describe import read_description, with_fields
from iomete_mc_assets.warehouse.properties import OWN, REDACTED, read_properties
from iomete_mc_assets.warehouse.statements import literal
from iomete_mc_assets.warehouse.survey import Surveyed, read_block, with_present_state
from iomete_mc_assets_tests.printed_properties import hidden, printed

DATABASE = "surveyed"
ODD = "surveyed_odd"
"""Of databases where Spark gives up listing, for a nested field's name or many of them."""
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
MARKERS = (
    "current-schema",
    "current-snapshot-id",
    "current-snapshot-summary",
    "current-snapshot-timestamp-ms",
    "metadata_location",
    "snapshot-count",
    "table_type",
    "uuid",
)
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
            f"CREATE TABLE {DATABASE}.silent (a INT COMMENT '') USING iceberg COMMENT ''",
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


def newest_metadata_file(
    lakehouse: Lakehouse, table: str, catalog: str = "spark_catalog"
) -> object:
    rows = lakehouse.ask(f"SELECT file FROM {catalog}.{DATABASE}.{table}.metadata_log_entries")
    return rows[-1]["file"]


def test_every_table_is_there_once_and_what_opted_out_is_counted(
    survey: Survey, entries: Mapping[str, TableEntry]
) -> None:
    said = [f"said_{number}" for number in range(len(TEXTS))]
    assert sorted(entries) == sorted(
        ["hidden", "hostile", "parquet", "plain", *said, "silent", "v"]
    )
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
    assert plain.columns == hostile.columns
    assert hostile.state is not None
    assert (hostile.kind, hostile.format, hostile.state.snapshot_id) == ("table", "iceberg", None)
    assert plain.comment == "two\nlines"


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_what_people_write_into_properties_and_comments_changes_nothing(
    lakehouse: Lakehouse, entries: Mapping[str, TableEntry], number: int
) -> None:
    said = entries[f"said_{number}"]
    assert said.columns == (
        Column(name="Id", type="BIGINT", required=True, comment=TEXTS[number]),
        Column(
            name="s",
            type="STRUCT<City: STRING>",
            required=False,
            field_comments=(("City", TEXTS[number]),),
        ),
    )
    assert (said.kind, said.format) == ("table", "iceberg")
    assert said.comment == TEXTS[number]
    [snapshot] = lakehouse.ask(
        f"SELECT snapshot_id FROM spark_catalog.{DATABASE}.said_{number}.snapshots"
    )
    state = said.state
    assert state is not None
    assert state.snapshot_id == snapshot["snapshot_id"]
    assert (state.total_records, state.snapshot_count) == (1, 1)
    assert state.metadata_location == newest_metadata_file(lakehouse, f"said_{number}")
    assert state.uuid is not None
    assert uuid.UUID(state.uuid)
    assert state.created_at is not None


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
                    replace(column, required=None, field_comments=())
                    for column in surveyed.entry.columns
                )
                created = lakehouse.ask(statements.show_create_table(table))
                entry = with_fields(described, created)
                assert entry is not None
                assert entry.columns == surveyed.entry.columns
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


FORGED_SNAPSHOT = (
    'current-snapshot-id=5, current-snapshot-summary={"total-records":"9"}, '
    "current-snapshot-timestamp-ms=1"
)
FORGED = {
    "value": {"current-sd": f"x, {FORGED_SNAPSHOT}"},
    "name": {FORGED_SNAPSHOT.replace('{"total-records":"9"}', "{}") + ", zz": "x"},
    "own": {
        "TRANSLATED_TO_EXTERNAL": f"true, {FORGED_SNAPSHOT}",
        "DO_NOT_UPDATE_STATS": f"true, {FORGED_SNAPSHOT}",
        "current-schema": "evil",
        "default-sort-order": "evil",
        "snapshot-count": "9",
        "metadata_location": "evil",
        "table_type": "evil",
        "uuid": "evil",
    },
    "lines": {"two\nlines": "x", f"x\nOwner: eve, {FORGED_SNAPSHOT}": "y"},
    "split": {"a": "1, bb=2", "iomete.governance.indices": "x, iomete.governance.index=false"},
}
"""What a user can write that would pass for Iceberg's own, where Iceberg itself writes no snapshot or schema."""
WIDE = ", ".join(
    f"column_with_a_long_name_{number} STRUCT<one_long_field_name: STRING COMMENT 'x', two: INT>"
    for number in range(200)
)
FORGED_SCHEMA = '{"type":"struct","schema-id":0,"fields":[]}'


def properties(pairs: Mapping[str, str]) -> str:
    return ", ".join(f"{literal(name)} = {literal(value)}" for name, value in pairs.items())


ENDING = ["", "\\", "ends with \\", "it's \\", "\\'", "', b: INT COMMENT ", "', `f1`: INT>"]
"""Comments of fields that SHOW CREATE TABLE does not escape so that their end is plain."""
COMMENTED = (
    "CREATE TABLE lake.surveyed.Commented (Id BIGINT NOT NULL COMMENT '', s STRUCT<"
    + ", ".join(f"f{n}: INT COMMENT {literal(said)}" for n, said in enumerate(ENDING + TEXTS))
    + "> COMMENT 'ends with \\\\') USING iceberg"
)
HEADER = (
    f"CREATE TABLE spark_catalog.{ODD}.header (Id BIGINT NOT NULL COMMENT 'k', "
    "h STRUCT<`user-agent`: STRING COMMENT 'which'>) USING iceberg COMMENT 'odd'"
)
VIEW = (
    f"CREATE VIEW spark_catalog.{ODD}.v (a COMMENT 'c') TBLPROPERTIES ('a'='1, b=2') "
    f"AS SELECT Id FROM spark_catalog.{ODD}.header"
)


@pytest.fixture(scope="module")
def odd(lakehouse: Lakehouse) -> Iterator[Survey]:
    """What is found of tables that were made to be misread, or that Spark cannot list."""
    lakehouse.ask(f"CREATE DATABASE spark_catalog.{ODD}")
    lakehouse.ask("CREATE NAMESPACE lake.surveyed")
    made: list[str] = []
    for name, forged in FORGED.items():
        table = f"spark_catalog.{ODD}.{name}"
        made += [
            f"CREATE TABLE {table} (a INT NOT NULL) USING iceberg TBLPROPERTIES ({properties(forged)})",
            f"ALTER TABLE {table} CREATE BRANCH b",
            f"INSERT INTO {table}.branch_b VALUES (1)",
        ]
    wide = properties({"current-sc": f"x, current-schema={FORGED_SCHEMA}"})
    made += [
        f"CREATE TABLE spark_catalog.{ODD}.wide ({WIDE}) USING iceberg TBLPROPERTIES ({wide})",
        HEADER,
        VIEW,
        "CREATE TABLE lake.surveyed.Orders (s STRUCT<`a:int,b`: STRING COMMENT 'x'>) USING iceberg",
        "CREATE TABLE lake.surveyed.orders (id INT) USING iceberg",
        COMMENTED,
    ]
    for statement in made:
        lakehouse.ask(statement)
    scope = Exclusions(("spark_catalog.raw.*", "spark_catalog.staging.*", "spark_catalog.marts.*"))
    yield survey_catalogs(lakehouse, catalogs=("spark_catalog", "lake"), exclusions=scope)
    lakehouse.ask(f"DROP DATABASE spark_catalog.{ODD} CASCADE")
    for name in ("Orders", "orders", "Commented"):
        lakehouse.ask(f"DROP TABLE lake.surveyed.{name}")
    lakehouse.ask("DROP NAMESPACE lake.surveyed")


def found(survey: Survey, name: str, database: str = ODD) -> TableEntry:
    [entry] = [
        entry
        for entry in survey.entries
        if (entry.table.namespace, entry.table.table) == ((database,), name)
    ]
    return entry


@pytest.mark.parametrize("name", FORGED)
def test_what_a_user_writes_never_passes_for_what_iceberg_writes(
    lakehouse: Lakehouse, odd: Survey, name: str
) -> None:
    entry = found(odd, name)
    assert entry.columns == (Column(name="a", type="INT", required=True),)
    state = entry.state
    assert state is not None
    [count] = lakehouse.ask(f"SELECT count(*) AS n FROM spark_catalog.{ODD}.{name}.snapshots")
    assert (state.snapshot_id, state.total_records) == (None, None)
    assert state.snapshot_count == count["n"] != 0
    rows = lakehouse.ask(f"SELECT file FROM spark_catalog.{ODD}.{name}.metadata_log_entries")
    assert state.metadata_location == rows[-1]["file"]
    assert state.uuid is not None
    assert uuid.UUID(state.uuid)


def test_properties_are_printed_as_the_tests_of_the_parser_have_them(
    lakehouse: Lakehouse, odd: Survey
) -> None:
    compared = 0
    user_properties = {(ODD, name): forged for name, forged in FORGED.items()}
    user_properties |= {
        (DATABASE, f"said_{n}"): dict.fromkeys(("a", "m", "zz"), TEXTS[n])
        for n in range(len(TEXTS))
    }
    for (database, name), user in user_properties.items():
        [row] = lakehouse.ask(
            statements.show_table_extended("spark_catalog", (database,), pattern=name)
        )
        _, _, below = str(row["information"]).rpartition("\nTable Properties: ")
        text, _, _ = below.partition("\nLocation: ")
        text = text.partition("\nStatistics: ")[0]
        read = read_properties(text, told=hidden(user))
        assert read is not None
        shown = {key: value for key, value in user.items() if key not in OWN}
        assert text == printed({**read.values, **shown})
        compared += 1
    assert compared == len(FORGED) + len(TEXTS)
    assert odd.unreadable == 0


def test_a_schema_too_long_to_be_listed_is_never_replaced_by_a_users(odd: Survey) -> None:
    entry = found(odd, "wide")
    assert len(entry.columns) == 200
    assert entry.columns[7] == Column(
        name="column_with_a_long_name_7",
        type="STRUCT<one_long_field_name: STRING, two: INT>",
        required=False,
        field_comments=(("one_long_field_name", "x"),),
    )
    assert entry.state is not None
    assert entry.state.uuid is not None


def test_a_table_that_spark_cannot_list_takes_no_other_along_and_tells_what_it_can(
    lakehouse: Lakehouse, odd: Survey
) -> None:
    entry = found(odd, "header")
    assert entry.columns == (
        Column(name="Id", type="BIGINT", required=True, comment="k"),
        Column(
            name="h",
            type="STRUCT<`user-agent`: STRING>",
            required=False,
            field_comments=(("`user-agent`", "which"),),
        ),
    )
    assert entry.comment == "odd"
    [row] = lakehouse.ask(f"SELECT file FROM spark_catalog.{ODD}.header.metadata_log_entries")
    assert entry.state == SurveyedState(metadata_location=str(row["file"]), snapshot_count=0)
    [omission] = [one for one in odd.omissions if one.question == "uuid"]
    assert (omission.scope, omission.kind) == (f"spark_catalog.{ODD}.header", "unknowable")
    assert "CANNOT_RECOGNIZE_HIVE_TYPE" in omission.reason


def test_a_table_tells_of_itself_what_its_block_does_but_for_uuid_and_creation(
    lakehouse: Lakehouse, survey: Survey
) -> None:
    compared = 0
    for entry in survey.entries:
        if entry.table.catalog == "spark_catalog" and entry.state is not None:
            rows = lakehouse.ask(statements.present_state(entry.table))
            told = with_present_state(SurveyedState(snapshot_id=1), rows)
            assert told == replace(entry.state, uuid=None, created_at=None)
            compared += entry.state.snapshot_id is not None
    assert compared > 10


def test_a_view_with_hostile_properties_keeps_its_schema(odd: Survey) -> None:
    entry = found(odd, "v")
    assert entry.columns == (Column(name="a", type="BIGINT", required=True, comment="c"),)
    assert entry.view_text == f"SELECT Id FROM spark_catalog.{ODD}.header"


def test_tables_of_a_v2_catalog_are_told_apart_by_case_and_their_fields_by_quotes(
    odd: Survey,
) -> None:
    upper, lower = found(odd, "Orders", "surveyed"), found(odd, "orders", "surveyed")
    assert upper.columns == (
        Column(
            name="s",
            type="STRUCT<`a:int,b`: STRING>",
            required=False,
            field_comments=(("`a:int,b`", "x"),),
        ),
    )
    assert [column.name for column in lower.columns] == ["id"]
    [omission] = [one for one in odd.omissions if one.question == "name"]
    assert (omission.scope, omission.kind) == ("lake.surveyed.orders", "unknowable")


def test_no_comment_inside_a_struct_costs_its_fields_or_another_comment(odd: Survey) -> None:
    said = ENDING + TEXTS
    fields = ", ".join(f"f{n}: INT" for n in range(len(said)))
    assert found(odd, "Commented", "surveyed").columns == (
        Column(name="Id", type="BIGINT", required=True),
        Column(
            name="s",
            type=f"STRUCT<{fields}>",
            required=False,
            comment="ends with \\",
            field_comments=tuple((f"f{n}", text) for n, text in enumerate(said) if text),
        ),
    )
    assert [one.scope for one in odd.omissions if one.question == "nested fields"] == []


def test_a_table_with_an_empty_comment_is_listed_as_any_other(
    survey: Survey, entries: Mapping[str, TableEntry]
) -> None:
    silent = entries["silent"]
    assert (silent.comment, silent.columns[0].comment) == (None, None)
    assert silent.state is not None
    assert silent.state.uuid is not None
    assert f"spark_catalog.{DATABASE}.silent" not in {one.scope for one in survey.omissions}


@pytest.mark.parametrize(
    ("written", "excluded", "doubted"),
    [
        ({"a": "b), (iomete.governance.index,false"}, False, False),
        ({"a": "b", "iomete.governance.index": "FALSE", "z": "1"}, True, False),
        ({"a), (iomete.governance.index,false), (b": "c"}, False, True),
        ({"iomete.governance.index": "true", "z": "(iomete.governance.index,false)"}, True, False),
    ],
)
def test_a_database_opts_out_by_a_property_of_its_own_only(
    lakehouse: Lakehouse, written: Mapping[str, str], excluded: bool, doubted: bool
) -> None:
    name = "surveyed_opting"
    lakehouse.ask(f"CREATE DATABASE spark_catalog.{name} WITH DBPROPERTIES ({properties(written)})")
    try:
        scope = Exclusions(("spark_catalog.[!s]*.*", f"*.{DATABASE}.*", "*.staging.*"))
        survey = survey_catalogs(lakehouse, catalogs=("spark_catalog",), exclusions=scope)
    finally:
        lakehouse.ask(f"DROP DATABASE spark_catalog.{name}")
    assert (survey.left_out.get(f"spark_catalog.{name}") == "opted out") is excluded
    doubts = [one.scope for one in survey.omissions if one.question == "opt-out"]
    assert doubts == ([f"spark_catalog.{name}"] if doubted else [])
