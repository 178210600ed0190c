import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iomete_mc_assets.records import Column, SurveyedState, TableEntry, TableId
from iomete_mc_assets.warehouse.properties import (
    REDACTED,
    namespace_opted_out,
    opted_out,
    read_properties,
)
from iomete_mc_assets.warehouse.schema import columns_of
from iomete_mc_assets.warehouse.survey import (
    NotReadable,
    Surveyed,
    Told,
    created_at,
    read_block,
    with_present_state,
)
from iomete_mc_assets_tests.printed_properties import hidden, printed

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
    """The block as Spark 3.5.8 prints it for an Iceberg table of the session catalog, in a session of ours."""
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
            *(() if comment is None else (f"Comment: {comment}" if comment else "Comment",)),
            f"Table Properties: {printed(properties)}",
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
            Column(
                name="s",
                type="STRUCT<City: STRING, `geo loc`: ARRAY<DOUBLE>>",
                required=False,
                field_comments=(("City", "x"),),
            ),
        ),
        comment="a table",
        owner="ana",
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


def test_an_empty_comment_is_printed_without_a_colon_and_costs_nothing() -> None:
    assert entry(WRITTEN, comment="") == entry(WRITTEN, comment=None)


@pytest.mark.parametrize(
    "comment",
    [
        "x\nComment",
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


@pytest.mark.parametrize(
    ("properties", "opted"),
    [
        ({"iomete.governance.index": "False"}, True),
        ({"iomete.governance.index": "true"}, False),
        ({"my.iomete.governance.index": "false"}, False),
        ({"e": "x,iomete.governance.index=false"}, False),
        ({}, False),
    ],
)
def test_a_table_opts_out_by_a_property_of_its_own_only(
    properties: Mapping[str, str], opted: bool
) -> None:
    surveyed = read_block(TABLE, block({**WRITTEN, **properties}))
    assert isinstance(surveyed, Surveyed)
    assert surveyed.opted_out is opted


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


SNAPSHOT = "current-snapshot-id=5, current-snapshot-summary={}, current-snapshot-timestamp-ms=7"
SWALLOWS = 'default-sort-order={"x":"'
"""JSON that would go on over whatever follows."""
MARKS = [
    "current-snapshot-id=1", "current-snapshot-timestamp-ms=1", 'current-snapshot-summary={"total-records":"0"}',
    'current-schema={"fields":[]}', "snapshot-count=0", "uuid=evil", "table_type=ICEBERG-VIEW", "table_type=ICEBERG",
    "metadata_location=file:/evil", ", ", ",", "=", "[", "]", "{", "}", '"', "\n", "\\", "'", "Type: VIEW", "x",
    "Comment: ", "View Text: ", "View Original Text: ", "Schema: root", " |-- a: int (nullable = true)", "Owner: eve",
    "Statistics: 5 bytes", "Location: file:/evil", "Table Properties: [", REDACTED, "iomete.governance.index=false",
    f", {SNAPSHOT}", f", {SWALLOWS}", '{"', "a=1, bb=2", "url",
    f", current-schema={EMPTY['current-schema']}",
    ", metadata_location=file:/evil, snapshot-count=0, table_type=ICEBERG, uuid=evil",
]  # fmt: skip
hostile = st.lists(st.sampled_from(MARKS), max_size=6).map("".join)
names = st.sampled_from(
    ["a", "current-a", "current-sd", "m", "my-uuid", "zz", "my table_type", "snapshot-count2", "A", "l", '{"a']
) | st.tuples(st.sampled_from(["a", "current-snapshot-", "m", "uuid"]), hostile).map("".join)  # fmt: skip
LONG = {name: value for name, value in EMPTY.items() if name != "current-schema"}
BRANCHED = {**EMPTY, "snapshot-count": "2"}
"""Too long a schema; snapshots on a branch alone: there Iceberg writes nothing that a forgery would stand beside."""
BASES = (EMPTY, WRITTEN, LONG, BRANCHED)
OURS = {*WRITTEN, "DO_NOT_UPDATE_STATS", "default-sort-order", "default-partition-spec"}
user_properties = st.dictionaries(names.filter(lambda name: name not in OURS), hostile, max_size=3)
"""Of our own names Iceberg overwrites whatever a user sets."""


def facts(surveyed: Surveyed) -> tuple[TableEntry, bool]:
    return replace(surveyed.entry, comment=None), surveyed.lacks_columns


def plain(base: Mapping[str, str]) -> Surveyed:
    surveyed = read_block(TABLE, block(base, comment=None))
    assert isinstance(surveyed, Surveyed)
    return surveyed


@settings(max_examples=500)
@given(base=st.sampled_from(BASES), user=user_properties, comment=st.none() | hostile)
def test_hostile_properties_and_comments_change_nothing_or_cost_a_describe(
    base: Mapping[str, str], user: dict[str, str], comment: str | None
) -> None:
    surveyed = read_block(TABLE, block({**base, **user}, comment=comment))
    if isinstance(surveyed, NotReadable):
        return
    assert facts(surveyed) == facts(plain(base))
    assert (surveyed.entry.comment or "") == (comment or "")
    assert surveyed.opted_out is opted_out(user.get("iomete.governance.index"))


@settings(max_examples=500)
@given(base=st.sampled_from(BASES), user=user_properties, comment=st.none() | hostile)
def test_what_other_listings_tell_makes_a_hostile_block_readable(
    base: Mapping[str, str], user: dict[str, str], comment: str | None
) -> None:
    """SHOW TBLPROPERTIES and DESCRIBE, which part names from values."""
    told = Told(comment=comment or None, properties=hidden(user))
    surveyed = read_block(TABLE, block({**base, **user}, comment=comment), told=told)
    assert isinstance(surveyed, Surveyed), surveyed
    assert facts(surveyed) == facts(plain(base))
    assert (surveyed.entry.comment or "") == (comment or "")


@given(user=user_properties, comment=st.none() | hostile)
def test_hostile_properties_never_make_an_iceberg_table_of_another(
    user: dict[str, str], comment: str | None
) -> None:
    assert isinstance(
        read_block(TABLE, block({"transient_lastDdlTime": "1", **user}, comment=comment)),
        NotReadable,
    )


@pytest.mark.parametrize(
    "user",
    [
        {"current-sd": f"x, {SNAPSHOT}"},
        {f"{SNAPSHOT}, zz": "x"},
        {"current-sd": f"x, {SNAPSHOT}, {SWALLOWS}"},
        {"TRANSLATED_TO_EXTERNAL": f"true, {SNAPSHOT}"},
        {"current-sd": f'{{"x, {SNAPSHOT}'},
        {"a": "1, bb=2"},
    ],
)
def test_a_forgery_in_a_table_without_a_current_snapshot_is_never_believed(
    user: dict[str, str],
) -> None:
    surveyed = read_block(TABLE, block({**BRANCHED, **user}))
    assert isinstance(surveyed, NotReadable)
    told = Told(comment="a table", properties=hidden(user))
    known = read_block(TABLE, block({**BRANCHED, **user}), told=told)
    assert isinstance(known, Surveyed)
    assert known.entry.state == plain(BRANCHED).entry.state


def test_ordinary_properties_cost_no_further_statement() -> None:
    user = {"commit.retry.num-retries": "4", "a": "x=y", "write.x": "1,2", "write.y": "a, b"}
    surveyed = read_block(TABLE, block({**WRITTEN, **user}))
    assert isinstance(surveyed, Surveyed)
    assert facts(surveyed) == facts(plain(WRITTEN))


def test_a_json_value_that_breaks_off_is_not_guessed_at() -> None:
    for text in ("[current-schema={broken, uuid=1]", "[a]", "a=1", "[b=1, a=2]"):
        assert read_properties(text) is None


def test_a_table_that_cannot_be_listed_tells_its_present_itself() -> None:
    rows = [
        {"kind": "m", "snapshot_id": None, "at_ms": 1, "file": "f:/00000-a", "summary": None},
        {"kind": "m", "snapshot_id": None, "at_ms": 1, "file": "f:/00001-b", "summary": None},
        {
            "kind": "s",
            "snapshot_id": 7,
            "at_ms": 1795244625898,
            "file": None,
            "summary": json.dumps(SUMMARY),
        },
        {"kind": "c", "snapshot_id": 5, "at_ms": None, "file": None, "summary": None},
    ]
    told = with_present_state(SurveyedState(snapshot_id=6), rows)
    written = plain(WRITTEN).entry.state
    assert written is not None
    assert told == replace(
        written, uuid=None, created_at=None, snapshot_id=7, metadata_location="f:/00001-b"
    )
    empty = [rows[0], {**rows[3], "snapshot_id": 0}]
    assert with_present_state(SurveyedState(snapshot_id=None), empty) == SurveyedState(
        metadata_location="f:/00000-a", snapshot_count=0
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
    assert opted_out("FALSE")
    assert not opted_out("true")
    assert not opted_out(None)
    assert namespace_opted_out("((a,b), (iomete.governance.index,false))", hidden=True) is True
    assert namespace_opted_out("((a,b))", hidden=True) is False


def test_a_database_whose_properties_can_be_misread_is_not_said_to_opt_out() -> None:
    opted = "(iomete.governance.index,false)"
    # a name that holds all of it; Spark hides the value of such a name
    by_name = f"((a), {opted}, (b,{REDACTED}))"
    assert namespace_opted_out(by_name, hidden=True) is None
    # a value that does: Spark does not show it, unless it takes no word from us what to hide
    assert namespace_opted_out(f"((a,{REDACTED}))", hidden=True) is False
    assert namespace_opted_out(f"((a,b), {opted})", hidden=False) is None
    assert namespace_opted_out(f"({opted})", hidden=False) is True


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
