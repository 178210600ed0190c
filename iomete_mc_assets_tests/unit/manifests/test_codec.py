"""Canonical JSON there and back, and everything that is refused by name."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.errors import ManifestDamaged, UnknownSchemaVersion
from iomete_mc_assets.manifests import codec
from iomete_mc_assets.manifests.model import (
    SCHEMA_VERSION,
    Changes,
    Collector,
    Flow,
    Header,
    JsonValue,
    Omissions,
    Part,
    Source,
)
from iomete_mc_assets.records import (
    Change,
    ChangeKind,
    Column,
    Observation,
    PlannedEdges,
    QueryRecord,
    Record,
    SurveyedState,
    TableEntry,
    TableId,
)
from iomete_mc_assets_tests.record_strategies import (
    flows_with_records,
    instants,
    omissions,
    query_records,
    texts,
    windows,
)

AT = datetime(2026, 11, 21, 5, 0, 0, 123456, tzinfo=UTC)
QUERY = QueryRecord(query_id="q1", text="SELECT 1", started_at=AT, ended_at=AT)
ENTRY = TableEntry(
    table=TableId("spark_catalog", ("raw", "in"), "Orders"),
    kind="table",
    format="iceberg",
    columns=(
        Column(name="id", type="STRUCT<x: INT>", required=True, field_comments=(("x", "axis"),)),
    ),
    state=SurveyedState(snapshot_id=7, snapshot_at=AT),
)


def json_values() -> st.SearchStrategy[JsonValue]:
    leaves: st.SearchStrategy[JsonValue] = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | texts()
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
        max_leaves=8,
    )


def headers() -> st.SearchStrategy[Header]:
    parts = st.builds(Part, file=texts(), records=st.integers(1, 10_000), sha256=texts())
    counts = st.fixed_dictionaries({"unreadable": st.integers(0), "unknowable": st.integers(0)})
    return st.builds(
        Header,
        schema_version=st.just(SCHEMA_VERSION),
        flow=st.sampled_from(("catalog_snapshot", "observations", "query_logs", "lineage")),
        window=windows(),
        manifest_id=texts(),
        state=st.sampled_from(("complete", "partial", "unknown")),
        reason=st.none() | texts(),
        collected_at=instants(),
        collector=st.builds(Collector, name=texts(), version=texts()),
        source=st.builds(Source, host=texts(), catalogs=st.lists(texts(), max_size=3).map(tuple)),
        counts=st.dictionaries(texts(), st.integers(), max_size=3),
        omissions=st.builds(
            Omissions, counts=counts, sample=st.lists(omissions(), max_size=3).map(tuple)
        ),
        parts=st.lists(parts, max_size=3).map(tuple),
        content_digest=texts(),
        inputs=st.dictionaries(texts(), texts(), max_size=2),
        collector_state=st.dictionaries(texts(), json_values(), max_size=3),
        changes=st.none() | changes(),
    )


def changes() -> st.SearchStrategy[Changes]:
    kinds: tuple[ChangeKind, ...] = get_args(ChangeKind)
    some = st.none() | texts()
    sample = st.builds(Change, kind=st.sampled_from(kinds), scope=texts(), before=some, after=some)
    return st.builds(
        Changes,
        since=st.none() | windows(),
        reason=some,
        counts=st.dictionaries(st.sampled_from(kinds), st.integers(0), max_size=3),
        sample=st.lists(sample, max_size=3).map(tuple),
    )


HEADER = Header(
    schema_version=SCHEMA_VERSION,
    flow="query_logs",
    window=codec.HourWindow(AT.replace(microsecond=0)),
    manifest_id="m1",
    state="partial",
    reason="not settled",
    collected_at=AT,
    collector=Collector(name="sql table", version="1"),
    source=Source(host="lake.example", catalogs=("spark_catalog",)),
    counts={"queries": 1},
    omissions=Omissions(counts={"unreadable": 0, "unknowable": 0}, sample=()),
    parts=(Part(file="part-00000.jsonl.gz", records=1, sha256="00"),),
    content_digest="00",
    inputs={},
    collector_state={},
    changes=None,
)


@given(flows_with_records())
def test_decoding_an_encoded_record_gives_the_record(drawn: tuple[Flow, list[Record]]) -> None:
    flow, records = drawn
    for record in records:
        assert codec.decode_record(flow, codec.encode_record(flow, record), where="f") == record


@given(flows_with_records())
def test_encoding_again_gives_the_same_bytes(drawn: tuple[Flow, list[Record]]) -> None:
    flow, records = drawn
    for record in records:
        line = codec.encode_record(flow, record)
        assert codec.encode_record(flow, codec.decode_record(flow, line, where="f")) == line


@given(flows_with_records())
def test_a_line_is_the_canonical_json_of_its_values(drawn: tuple[Flow, list[Record]]) -> None:
    """What any other program would write with sorted keys and no spaces."""
    flow, records = drawn
    for record in records:
        line = codec.encode_record(flow, record)
        values: dict[str, Any] = json.loads(line)
        assert json.dumps(values, sort_keys=True, separators=(",", ":")).encode() == line
        empty: dict[str, object] = {"extra": {}, "plan": None}
        left_out = {name for name, nothing in empty.items() if getattr(record, name, ()) == nothing}
        assert values.keys() == {field.name for field in fields(record)} - left_out
        assert line.isascii()
        assert b"\n" not in line


@given(headers())
def test_decoding_an_encoded_header_gives_the_header(header: Header) -> None:
    data = codec.HEADER.encode(header)
    assert codec.HEADER.decode(data, where="f") == header
    assert codec.HEADER.encode(codec.HEADER.decode(data, where="f")) == data


@given(headers())
def test_a_file_is_what_any_other_program_would_write_indented(header: Header) -> None:
    data = codec.HEADER.encode(header)
    assert json.dumps(json.loads(data), indent=2, sort_keys=True).encode() + b"\n" == data


def test_an_entry_looks_as_documented() -> None:
    assert codec.encode_record("catalog_snapshot", ENTRY).decode() == (
        '{"columns":[{"comment":null,"field_comments":[["x","axis"]],"name":"id","required":true,'
        '"type":"STRUCT<x: INT>"}],"comment":null,"format":"iceberg","kind":"table","owner":null,'
        '"state":{"created_at":null,"equality_deletes":null,"metadata_location":null,'
        '"position_deletes":null,"snapshot_at":"2026-11-21T05:00:00.123456Z","snapshot_count":null,'
        '"snapshot_id":7,"total_bytes":null,"total_records":null,"uuid":null},'
        '"table":{"catalog":"spark_catalog","namespace":["raw","in"],"table":"Orders"},'
        '"view_text":null}'
    )


def test_zero_and_none_stay_apart() -> None:
    table = TableId("c", ("d",), "t")
    lines = {
        codec.encode_record("observations", Observation(table=table, row_count=count))
        for count in (0, None)
    }
    assert len(lines) == 2


def test_an_instant_of_another_zone_is_the_same_bytes_as_in_utc() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    moved = replace(QUERY, started_at=elsewhere, ended_at=elsewhere)
    assert codec.encode_record("query_logs", moved) == codec.encode_record("query_logs", QUERY)


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        codec.encode_record("query_logs", replace(QUERY, ended_at=AT.replace(tzinfo=None)))


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("\ud800", "\ufffd"),
        ("a\udc00b", "a\ufffdb"),
        ("\udc00\ud800", "\ufffd\ufffd"),
        ("\ud800\ud800\udc00", "\ufffd\U00010000"),
        ("\ud83d\ude00", "😀"),
        ("😀", "😀"),
        ("\\ud800", "\\ud800"),
        ("\\\ud800", "\\\ufffd"),
        ("\\\\ud800", "\\\\ud800"),
    ],
)
def test_half_a_character_is_replaced_and_nothing_else_is(text: str, stored: str) -> None:
    line = codec.encode_record("query_logs", replace(QUERY, text=text))
    read = codec.decode_record("query_logs", line, where="f")
    assert isinstance(read, QueryRecord)
    assert read.text == stored
    assert codec.encode_record("query_logs", read) == line


@given(st.text(st.characters(codec=None, categories=["Cs", "Lu", "Po"]), max_size=12))
def test_surrogates_are_replaced_as_utf_16_would(text: str) -> None:
    line = codec.encode_record("query_logs", replace(QUERY, text=text))
    read = codec.decode_record("query_logs", line, where="f")
    assert isinstance(read, QueryRecord)
    assert read.text == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_nan_is_refused_in_both_directions() -> None:
    with pytest.raises(ValueError, match="JSON"):
        codec.HEADER.encode(replace(HEADER, collector_state={"share": float("nan")}))
    data = codec.HEADER.encode(replace(HEADER, collector_state={"share": 0.5}))
    with pytest.raises(ManifestDamaged, match="NaN is no number"):
        codec.HEADER.decode(data.replace(b"0.5", b"NaN"), where="f")


def test_a_record_of_another_flow_is_refused() -> None:
    with pytest.raises(TypeError, match="observations is made of Observation, not of QueryRecord"):
        codec.encode_record("observations", QUERY)


def test_what_only_looks_like_a_number_is_refused() -> None:
    """A driver hands over Decimals; their text may be 1E+3."""
    wrong = replace(QUERY, returned_rows=cast("int", Decimal("1E+3")))
    with pytest.raises(TypeError):
        codec.encode_record("query_logs", wrong)


def test_none_where_a_value_is_required_is_refused() -> None:
    with pytest.raises(TypeError):
        codec.encode_record("query_logs", replace(QUERY, text=cast("str", None)))


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    values: dict[str, Any] = json.loads(codec.encode_record("catalog_snapshot", ENTRY))
    change(values)
    return json.dumps(values).encode()


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        (b"", "no JSON"),
        (b'{"columns":[', "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", r"\[\] is no dict"),
        (changed(lambda v: v.pop("owner")), "TableEntry without owner"),
        (changed(lambda v: v.update(tags=[])), "TableEntry with unknown tags"),
        (changed(lambda v: v["state"].pop("uuid")), "state: SurveyedState without uuid"),
        (changed(lambda v: v["columns"][0].update(x=1)), "columns: Column with unknown x"),
        (changed(lambda v: v.update(kind="stream")), "kind: 'stream' is none of table, view"),
        (changed(lambda v: v.update(owner=3)), "owner: 3 is no str"),
        (changed(lambda v: v.update(table=None)), "table: None is no dict"),
        (
            changed(lambda v: v["columns"][0].update(field_comments=[["a"]])),
            "field_comments: .* has not 2 items",
        ),
        (changed(lambda v: v["columns"][0].pop("field_comments")), "without field_comments"),
        (changed(lambda v: v["columns"][0].update(required=1)), "required: 1 is no bool"),
        (changed(lambda v: v["state"].update(snapshot_id=True)), "snapshot_id: True is no int"),
        (changed(lambda v: v["state"].update(snapshot_id=1.0)), "snapshot_id: 1.0 is no int"),
        (changed(lambda v: v["state"].update(snapshot_at="2026-11-21")), "snapshot_at: .* instant"),
        (changed(lambda v: v["state"].update(snapshot_at="x" * 26 + "Z")), "snapshot_at: "),
        (changed(lambda v: v.update(comment={"a": "b" * 500})), r"comment: \{'a': 'b{1,80}\.\.\."),
    ],
)
def test_a_damaged_line_is_refused_with_file_field_and_next_step(line: bytes, verdict: str) -> None:
    with pytest.raises(ManifestDamaged, match=verdict) as refused:
        codec.decode_record("catalog_snapshot", line, where="root/part-00000")
    assert str(refused.value).startswith("root/part-00000 is damaged: ")
    assert "collect the hour again" in str(refused.value)
    assert len(str(refused.value)) < 500


def with_rows(rows: str) -> bytes:
    line = codec.encode_record("query_logs", replace(QUERY, returned_rows=7))
    return line.replace(b'"returned_rows":7', f'"returned_rows":{rows}'.encode())


@pytest.mark.parametrize(
    ("rows", "read"),
    [
        ("18446744073709551616", 2**64),
        (str(-(10**30)), -(10**30)),
        ("-0", 0),
        ('3,"returned_rows":4', 4),
    ],
)
def test_a_line_is_read_as_pythons_parser_reads_it(rows: str, read: int) -> None:
    """The fast parser makes floats of integers beyond 64 bits."""
    record = codec.decode_record("query_logs", with_rows(rows), where="f")
    assert isinstance(record, QueryRecord)
    assert record.returned_rows == read
    assert type(record.returned_rows) is int


def test_a_half_character_in_a_line_is_read_as_pythons_parser_reads_it() -> None:
    line = codec.encode_record("query_logs", QUERY).replace(b"SELECT 1", b"\\ud83d")
    record = codec.decode_record("query_logs", line, where="f")
    assert isinstance(record, QueryRecord)
    assert record.text == "\ud83d"


@pytest.mark.parametrize("rows", ["NaN", "Infinity", "1e2", "1.0", "01", "1,", "{}"])
def test_what_is_no_integer_in_a_line_is_refused(rows: str) -> None:
    with pytest.raises(
        ManifestDamaged, match=r"root/part-00000 is damaged: (no JSON|returned_rows)"
    ):
        codec.decode_record("query_logs", with_rows(rows), where="root/part-00000")


@given(query_records())
def test_a_line_of_another_flow_is_refused(query: QueryRecord) -> None:
    line = codec.encode_record("query_logs", query)
    with pytest.raises(ManifestDamaged, match="Observation without byte_count"):
        codec.decode_record("observations", line, where="f")


@pytest.mark.parametrize("version", [0, 5, 99])
def test_an_unknown_schema_version_is_refused_before_anything_else_is_read(version: int) -> None:
    data = json.dumps({"schema_version": version, "of": "another world"}).encode()
    with pytest.raises(UnknownSchemaVersion, match=f"schema_version {version}, .* knows 4"):
        codec.HEADER.decode(data, where="f")


def test_a_header_of_version_1_is_read_as_one_that_names_no_changes() -> None:
    values: dict[str, Any] = json.loads(codec.HEADER.encode(HEADER))
    del values["changes"]
    data = json.dumps(values | {"schema_version": 1}).encode()
    assert codec.HEADER.decode(data, where="f") == replace(HEADER, schema_version=1)
    with pytest.raises(ManifestDamaged, match="without changes"):
        codec.HEADER.decode(json.dumps(values).encode(), where="f")


def test_a_query_without_a_plan_is_the_same_bytes_as_before_there_were_plans() -> None:
    line = codec.encode_record("query_logs", QUERY)
    assert b"plan" not in line
    assert codec.decode_record("query_logs", line, where="f", version=3) == QUERY
    planned = replace(QUERY, plan=PlannedEdges(tables=((("c", "d", "a"), ("c", "d", "b")),)))
    assert codec.encode_record("query_logs", planned) == line.replace(
        b'"query_id"',
        b'"plan":{"columns_known":true,"direct":[],"indirect":[],'
        b'"tables":[[["c","d","a"],["c","d","b"]]]},"query_id"',
    )


def test_a_header_of_version_3_is_read() -> None:
    values: dict[str, Any] = json.loads(codec.HEADER.encode(HEADER))
    data = json.dumps(values | {"schema_version": 3}).encode()
    assert codec.HEADER.decode(data, where="f") == replace(HEADER, schema_version=3)


def as_of_version_2(line: bytes) -> bytes:
    """Entries had their user's properties, and columns no comments of fields."""
    values: dict[str, Any] = json.loads(line)
    values["properties"] = [["team", "sales"]]
    for column in values["columns"]:
        del column["field_comments"]
    return json.dumps(values).encode()


def test_an_entry_of_version_2_is_read_without_properties_and_field_comments() -> None:
    line = as_of_version_2(codec.encode_record("catalog_snapshot", ENTRY))
    [column] = ENTRY.columns
    read = codec.decode_record("catalog_snapshot", line, where="f", version=2)
    assert read == replace(ENTRY, columns=(replace(column, field_comments=()),))
    with pytest.raises(ManifestDamaged, match="with unknown properties"):
        codec.decode_record("catalog_snapshot", line, where="f")


@pytest.mark.parametrize("version", ["1", None, [1]])
def test_a_schema_version_that_is_no_number_is_damage(version: object) -> None:
    values: dict[str, Any] = json.loads(codec.HEADER.encode(HEADER))
    with pytest.raises(ManifestDamaged, match="schema_version"):
        codec.HEADER.decode(json.dumps(values | {"schema_version": version}).encode(), where="f")


def test_a_window_that_is_no_hour_is_damage() -> None:
    data = codec.HEADER.encode(HEADER)
    for wrong in (b"2026-11-21T07:00:00.000000Z", b"2026-11-21T06:30:00.000000Z"):
        with pytest.raises(ManifestDamaged, match="window"):
            codec.HEADER.decode(data.replace(b"2026-11-21T06:00:00.000000Z", wrong), where="f")
    with pytest.raises(ManifestDamaged, match="window: an hour starts on the hour"):
        codec.HEADER.decode(data.replace(b"T05:00:00.000000Z", b"T05:30:00.000000Z"), where="f")
