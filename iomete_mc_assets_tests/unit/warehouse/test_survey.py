import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.records import Column, SurveyedState, TableEntry, TableId
from iomete_mc_assets.warehouse.properties import REDACTED, namespace_opted_out, opted_out
from iomete_mc_assets.warehouse.schema import columns_of
from iomete_mc_assets.warehouse.survey import NotReadable, Surveyed, created_at, read_block

TABLE = TableId("spark_catalog", ("db",), "t")
SCHEMA = {
    "type": "struct",
    "schema-id": 0,
    "fields": [
        {"id": 1, "name": "Id", "required": True, "type": "long", "doc": "the, uuid=5 key"},
        {"id": 2, "name": "at", "required": False, "type": "timestamptz"},
        {
            "id": 3,
            "name": "s",
            "required": False,
            "type": {
                "type": "struct",
                "fields": [
                    {"id": 4, "name": "City", "required": False, "type": "string", "doc": "x"},
                    {
                        "id": 5,
                        "name": "geo loc",
                        "required": False,
                        "type": {
                            "type": "list",
                            "element-id": 6,
                            "element": "double",
                            "element-required": False,
                        },
                    },
                ],
            },
        },
    ],
}
SUMMARY = {
    "added-records": "100",
    "total-records": "1400",
    "total-files-size": "10005",
    "total-position-deletes": "3",
    "total-equality-deletes": "0",
}
EMPTY = {
    "current-schema": json.dumps(SCHEMA, separators=(",", ":")),
    "metadata_location": "file:/w/db/t/metadata/00000-a.metadata.json",
    "owner": "ana",
    "snapshot-count": "0",
    "table_type": "ICEBERG",
    "transient_lastDdlTime": "1795255234",
    "uuid": "1a47fb63-0000-0000-0000-000000000000",
}
WRITTEN = {
    **EMPTY,
    "current-snapshot-id": "2366263013382558017",
    "current-snapshot-summary": json.dumps(SUMMARY, separators=(",", ":")),
    "current-snapshot-timestamp-ms": "1795244625898",
    "previous_metadata_location": "file:/w/db/t/metadata/00000-a.metadata.json",
    "snapshot-count": "5",
}


def block(properties: Mapping[str, str], *, comment: str | None = "a table") -> str:
    """The block as Spark 3.5.8 prints it for an Iceberg table of the session catalog."""
    shown = ", ".join(f"{name}={value}" for name, value in sorted(properties.items()))
    return "\n".join(
        (
            "Catalog: spark_catalog",
            "Database: db",
            "Table: t",
            "Owner: ana",
            "Created Time: Sat Nov 21 07:03:43 UTC 2026",
            "Last Access: UNKNOWN",
            "Created By: Spark 2.2 or prior",
            "Type: EXTERNAL",
            "Provider: hive",
            *(() if comment is None else (f"Comment: {comment}",)),
            f"Table Properties: [{shown}]",
            "Statistics: 10005 bytes, 1400 rows",
            "Location: file:/w/db/t",
            "Serde Library: org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
            "InputFormat: org.apache.hadoop.mapred.FileInputFormat",
            "OutputFormat: org.apache.hadoop.mapred.FileOutputFormat",
            "Partition Provider: Catalog",
            "Schema: root",
            " |-- id: long (nullable = true)",
            " |-- at: timestamp (nullable = true)",
            " |-- s: struct (nullable = true)",
            " |    |-- City: string (nullable = true)",
            " |    |-- geo loc: array (nullable = true)",
            " |    |    |-- element: double (containsNull = true)",
            "",
            "",
        )
    )


def entry(properties: Mapping[str, str], *, comment: str | None = "a table") -> TableEntry:
    surveyed = read_block(TABLE, block(properties, comment=comment))
    assert isinstance(surveyed, Surveyed), surveyed
    return surveyed.entry


def test_an_iceberg_tables_block_tells_columns_comment_owner_and_state() -> None:
    assert entry({**WRITTEN, "x": "a,b=c]"}) == TableEntry(
        table=TABLE,
        kind="table",
        format="iceberg",
        columns=(
            Column(name="Id", type="BIGINT", required=True, comment="the, uuid=5 key"),
            Column(name="at", type="TIMESTAMP", required=False),
            Column(name="s", type="STRUCT<City: STRING, `geo loc`: ARRAY<DOUBLE>>", required=False),
        ),
        comment="a table",
        owner="ana",
        properties=(("x", "a,b=c]"),),
        state=SurveyedState(
            uuid="1a47fb63-0000-0000-0000-000000000000",
            metadata_location="file:/w/db/t/metadata/00000-a.metadata.json",
            snapshot_id=2366263013382558017,
            snapshot_count=5,
            snapshot_at=datetime(2026, 11, 21, 7, 3, 45, 898_000, tzinfo=UTC),
            total_records=1400,
            total_bytes=10005,
            position_deletes=3,
            equality_deletes=0,
            created_at=datetime(2026, 11, 21, 7, 3, 43, tzinfo=UTC),
        ),
    )


def test_a_table_never_written_has_no_snapshot_and_no_figures() -> None:
    state = entry(EMPTY).state
    assert state is not None
    assert (state.snapshot_id, state.snapshot_count, state.total_records) == (None, 0, None)


def test_a_schema_left_out_for_its_length_or_hidden_costs_the_columns_only() -> None:
    without = {name: value for name, value in WRITTEN.items() if name != "current-schema"}
    for properties in (without, {**WRITTEN, "current-schema": REDACTED}):
        surveyed = read_block(TABLE, block(properties))
        assert isinstance(surveyed, Surveyed)
        assert surveyed.lacks_columns
        assert surveyed.entry.state == entry(WRITTEN).state


def test_a_hidden_metadata_location_is_no_location() -> None:
    """Spark hides it where the path mentions a url or token; equal masks are not equal files."""
    state = entry({**WRITTEN, "metadata_location": REDACTED}).state
    assert state is not None
    assert state.metadata_location is None


def test_a_comment_may_span_lines() -> None:
    assert entry(WRITTEN, comment="one\n\ntwo: three").comment == "one\n\ntwo: three"


@pytest.mark.parametrize(
    "comment",
    [
        "x\nTable Properties: [table_type=ICEBERG]",
        "x\nOwner: eve",
        "x\nView Text: SELECT 1",
        "x\nSchema: root\n",
    ],
)
def test_a_comment_that_imitates_the_block_is_not_guessed_at(comment: str) -> None:
    assert isinstance(read_block(TABLE, block(WRITTEN, comment=comment)), NotReadable)


def test_a_property_that_ends_the_properties_in_a_line_of_its_own_hides_nothing() -> None:
    """Without statistics of its own, a block cut here would still look whole, and lack its uuid."""
    cut = block({**EMPTY, "tz": "]\nStatistics: 5 bytes"})
    cut = cut.replace("Statistics: 10005 bytes, 1400 rows\n", "")
    assert isinstance(read_block(TABLE, cut), NotReadable)


def test_a_property_that_mentions_the_opt_out_is_to_be_asked_for() -> None:
    surveyed = read_block(TABLE, block({**WRITTEN, "e": "x, iomete.governance.index=false"}))
    assert isinstance(surveyed, Surveyed)
    assert surveyed.names_opt_out


def test_an_ordinary_table_is_described_instead() -> None:
    found = read_block(TABLE, block({"transient_lastDdlTime": "1"}))
    assert found == NotReadable("it is no Iceberg table's")


def test_a_views_type_is_never_taken_for_a_tables() -> None:
    view = block({**EMPTY, "table_type": "ICEBERG-VIEW"}, comment=None)
    view = view.replace("Type: EXTERNAL\nProvider: hive\n", "Type: VIEW\n").replace(
        "Table Properties",
        "View Text: SELECT 1,\n 2\nView Original Text: SELECT 1,\n 2\nTable Properties",
    )
    surveyed = read_block(TABLE, view)
    assert isinstance(surveyed, Surveyed)
    assert (surveyed.entry.kind, surveyed.entry.state) == ("view", None)
    assert surveyed.entry.view_text == "SELECT 1,\n 2"
    assert [column.name for column in surveyed.entry.columns] == ["Id", "at", "s"]


def test_a_view_text_that_imitates_its_own_lines_is_not_guessed_at() -> None:
    sql = "SELECT 1 --\nView Original Text: SELECT 1 --"
    view = block({**EMPTY, "table_type": "ICEBERG-VIEW"}, comment=None)
    view = view.replace("Type: EXTERNAL\nProvider: hive\n", "Type: VIEW\n").replace(
        "Table Properties", f"View Text: {sql}\nView Original Text: {sql}\nTable Properties"
    )
    surveyed = read_block(TABLE, view)
    assert isinstance(surveyed, NotReadable) or surveyed.entry.view_text == sql


MARKS = [
    "current-snapshot-id=1", "current-snapshot-timestamp-ms=1", 'current-snapshot-summary={"total-records":"0"}',
    'current-schema={"fields":[]}', "snapshot-count=0", "uuid=evil", "table_type=ICEBERG-VIEW", "table_type=ICEBERG",
    "metadata_location=file:/evil", ", ", ",", "=", "[", "]", "{", "}", '"', "\n", "\\", "'", "Type: VIEW", "x",
    "Comment: ", "View Text: ", "View Original Text: ", "Schema: root", " |-- a: int (nullable = true)", "Owner: eve",
    "Statistics: 5 bytes", "Location: file:/evil", "Table Properties: [", REDACTED,
]  # fmt: skip
hostile = st.lists(st.sampled_from(MARKS), max_size=6).map("".join)
names = st.sampled_from(
    ["a", "current-a", "m", "my-uuid", "zz", "my table_type", "snapshot-count2", "A"]
)


@given(
    base=st.sampled_from([EMPTY, WRITTEN]),
    user=st.dictionaries(names, hostile, max_size=3),
    comment=st.none() | hostile,
)
def test_hostile_properties_and_comments_change_nothing_or_cost_a_describe(
    base: Mapping[str, str], user: dict[str, str], comment: str | None
) -> None:
    surveyed = read_block(TABLE, block({**base, **user}, comment=comment))
    if isinstance(surveyed, NotReadable):
        return
    harmless = entry(base)
    found = surveyed.entry
    assert (found.kind, found.format, found.owner) == ("table", "iceberg", "ana")
    assert found.columns == harmless.columns
    assert found.state == harmless.state
    assert (found.comment or "") == (comment or "")


@given(user=st.dictionaries(names, hostile, max_size=3))
def test_hostile_properties_never_stand_in_for_a_schema_that_is_missing(
    user: dict[str, str],
) -> None:
    base = {name: value for name, value in WRITTEN.items() if name != "current-schema"}
    surveyed = read_block(TABLE, block({**base, **user}))
    assert isinstance(surveyed, NotReadable) or (
        surveyed.lacks_columns and surveyed.entry.state == entry(WRITTEN).state
    )


@given(user=st.dictionaries(names, hostile, max_size=3), comment=st.none() | hostile)
def test_hostile_properties_never_make_an_iceberg_table_of_another(
    user: dict[str, str], comment: str | None
) -> None:
    assert isinstance(
        read_block(TABLE, block({"transient_lastDdlTime": "1", **user}, comment=comment)),
        NotReadable,
    )


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("Sat Nov 21 07:03:43 UTC 2026", datetime(2026, 11, 21, 7, 3, 43, tzinfo=UTC)),
        ("Sat Nov 21 07:03:43 GMT+02:00 2026", datetime(2026, 11, 21, 5, 3, 43, tzinfo=UTC)),
        ("Sat Nov 21 07:03:43 IST 2026", None),
        ("UNKNOWN", None),
        (None, None),
    ],
)
def test_creation_times_keep_their_zone_or_are_unknown(
    text: str | None, instant: datetime | None
) -> None:
    assert created_at(text) == instant


def test_the_opt_out_is_read_from_tables_and_namespaces() -> None:
    assert opted_out([("iomete.governance.index", "FALSE")])
    assert not opted_out([("iomete.governance.index", "true")])
    assert namespace_opted_out("((a,b), (iomete.governance.index,false))")
    assert not namespace_opted_out("((a,b))")


@pytest.mark.parametrize(
    ("iceberg", "spark"),
    [
        ("timestamptz", "TIMESTAMP"),
        ("timestamp", "TIMESTAMP_NTZ"),
        ("int", "INT"),
        ("uuid", "STRING"),
        ("fixed[16]", "BINARY"),
        ("decimal(38, 10)", "DECIMAL(38,10)"),
        (
            {"type": "map", "key": "string", "value": {"type": "list", "element": "date"}},
            "MAP<STRING, ARRAY<DATE>>",
        ),
    ],
)
def test_iceberg_types_are_spelt_as_sparks(iceberg: object, spark: str) -> None:
    [column] = columns_of({"fields": [{"name": "c", "required": False, "type": iceberg}]})
    assert column.type == spark


@pytest.mark.parametrize("kind", ["geometry", 7, {"type": "tree"}, {"type": "list"}])
def test_a_type_nobody_knows_is_refused(kind: object) -> None:
    with pytest.raises(ValueError, match=r"type|lacks"):
        columns_of({"fields": [{"name": "c", "required": False, "type": kind}]})


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("current-snapshot-id", None),
        ("current-snapshot-summary", None),
        ("current-snapshot-id", "x"),
        ("snapshot-count", "0"),
        ("snapshot-count", None),
        ("metadata_location", None),
        ("current-schema", "{broken"),
        ("current-schema", '{"fields":[]}'),
    ],
)
def test_an_iceberg_block_that_contradicts_itself_is_not_guessed_at(
    change: str, value: str | None
) -> None:
    changed = {name: text for name, text in WRITTEN.items() if name != change}
    if value is not None:
        changed[change] = value
    assert isinstance(read_block(TABLE, block(changed)), NotReadable)
