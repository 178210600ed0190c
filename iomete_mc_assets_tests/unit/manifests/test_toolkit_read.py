"""What the reader makes of the six collectors' files, and how it refuses what they are not."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from iomete_mc_assets.collectors.query_judging import hashed_id
from iomete_mc_assets.errors import NotImportable
from iomete_mc_assets.manifests.toolkit_read import ReadMetadata, ReadQueries, read
from iomete_mc_assets.records import Column, Observation, TableId
from iomete_mc_assets.sandbox import other_collectors as samples
from iomete_mc_assets.sandbox.other_collectors import Document

AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
ORDERS = TableId("SALES", ("Public",), "orders")


def taken(document: Document) -> ReadMetadata | ReadQueries:
    return read(json.dumps(document).encode(), file="prod/m.json", hashed_id=hashed_id)


def metadata(document: Document) -> ReadMetadata:
    found = taken(document)
    assert isinstance(found, ReadMetadata)
    return found


def queries(document: Document) -> ReadQueries:
    found = taken(document)
    assert isinstance(found, ReadQueries)
    return found


@pytest.mark.parametrize("kind", samples.KINDS)
def test_each_kind_of_metadata_says_the_same_tables_and_keeps_zero_rows(kind: str) -> None:
    found = metadata(samples.metadata(kind, collected_at=AT))
    assert (found.resource_type, found.collected_at) == (samples.RESOURCE_TYPES[kind], AT)
    orders, empty = found.entries
    assert (orders.table, orders.kind, orders.comment) == (ORDERS, "table", "the orders")
    assert orders.columns == (
        Column(name="id", type="BIGINT", comment="key"),
        Column(name="Amount", type="DECIMAL(10,2)"),
    )
    assert empty.table.table == "empty"
    changed = AT - samples.CHANGED_BEFORE
    assert found.observations == (
        Observation(table=ORDERS, row_count=0, byte_count=4096, last_data_change=changed),
    )
    assert (found.omissions, found.ignored) == ((), ())


@pytest.mark.parametrize("kind", samples.KINDS)
def test_each_kind_of_query_log_says_the_same_queries_and_its_own_figures(kind: str) -> None:
    found = queries(samples.query_logs(kind, collected_at=AT, starts=(AT, AT)))
    assert found.log_type == samples.LOG_TYPES[kind]
    _, query = found.queries
    assert (query.query_id, query.text, query.user) == (f"{kind}-1", "SELECT 1 FROM orders", "ann")
    assert (query.started_at, query.ended_at) == (AT, AT + timedelta(seconds=1.5))
    assert query.returned_rows == (1 if kind in samples.ROWS else None)
    assert (query.status, query.extra) == (None, samples.SENT_EXTRAS[kind])
    assert (found.omissions, found.ignored) == ((), ())


def test_the_hourly_mode_without_fields_has_no_columns_and_leaves_the_schema_alone() -> None:
    document = samples.metadata("bigquery-iceberg", collected_at=AT)
    del document["assets"][0]["fields"], document["assets"][0]["description"]
    assert metadata(document).entries[0].columns == ()


def test_a_view_keeps_its_text_and_its_volume_is_left_out_with_the_reason() -> None:
    document = samples.metadata("snowflake", collected_at=AT)
    document["assets"][0] |= {"type": "VIEW", "view_query": "SELECT 1"}
    found = metadata(document)
    assert (found.entries[0].kind, found.entries[0].view_text) == ("view", "SELECT 1")
    assert found.observations == ()
    assert [one.scope for one in found.omissions] == [ORDERS.shown]


def test_queries_without_an_end_or_ending_before_their_start_are_left_out_and_named() -> None:
    document = samples.query_logs("bigquery", collected_at=AT, starts=(AT, AT, AT))
    document["queries"][0]["end_time"] = None
    document["queries"][1]["end_time"] = (AT - timedelta(seconds=1)).isoformat()
    found = queries(document)
    assert [query.query_id for query in found.queries] == ["bigquery-2"]
    assert [one.scope for one in found.omissions] == ["queries[0]", "queries[1]"]


def test_times_without_a_zone_are_utc_and_others_keep_their_instant() -> None:
    document = samples.query_logs("hive", collected_at=AT, starts=(AT, AT))
    document["queries"][0] |= {"start_time": "2026-11-21T09:30:00", "end_time": "2026-11-21 09:31"}
    there = timezone(timedelta(hours=5))
    document["queries"][1]["start_time"] = AT.astimezone(there).isoformat()
    first, second = queries(document).queries
    assert (first.started_at, first.ended_at) == (AT, AT + timedelta(minutes=1))
    assert second.started_at == AT


def test_a_query_without_an_id_gets_the_same_one_each_time() -> None:
    document = samples.query_logs("snowflake", collected_at=AT, starts=(AT,))
    document["queries"][0]["query_id"] = None
    (first,), (again,) = queries(document).queries, queries(document).queries
    assert first.query_id == again.query_id != ""


def test_keys_that_nobody_knows_are_named_not_dropped_in_silence() -> None:
    document = samples.metadata("snowflake", collected_at=AT)
    document["region"] = "eu"
    document["assets"][0]["owner"] = "ann"
    assert metadata(document).ignored == ("owner", "region")


GONE = object()


def change(document: Document, path: str, value: object) -> None:
    """Set what stands at a path such as ``assets.0.name``; ``+`` appends, GONE takes away."""
    *above, last = path.split(".")
    place: Any = document
    for step in above:
        place = place[int(step)] if step.isdigit() else place[step]
    if last == "+":
        place.append(value)
    elif value is GONE:
        del place[last]
    else:
        place[last] = value


TWICE = {"name": "ORDERS", "database": "sales", "schema": "public"}
"""The first table again, in other letters: one table to Monte Carlo."""


@pytest.mark.parametrize(
    ("path", "value", "place", "says"),
    [
        ("resource_type", GONE, "the whole file", "resource_type is missing"),
        ("collected_at", GONE, "the whole file", "collected_at is missing"),
        ("collected_at", "soon", "the whole file", "not an ISO 8601 time"),
        ("assets", {}, "the whole file", "assets is {}, not a list"),
        ("assets.+", 7, "assets[2]", "7 is no object"),
        ("assets.1.name", GONE, "assets[1]", "name or asset_name is missing"),
        ("assets.1.schema", "", "assets[1]", "schema is missing or empty"),
        ("assets.0.type", "MANAGE", "assets[0]", '"MANAGE" is none of TABLE'),
        ("assets.0.fields.1.type", None, "assets[0].fields[1]", "type is missing"),
        ("assets.0.volume.row_count", -1, "assets[0].volume", "row_count is -1, not a count"),
        ("assets.0.volume.row_count", True, "assets[0].volume", "row_count is true, not a count"),
        ("assets.0.row_count", 5, "assets[0]", "contradicts volume.row_count"),
        ("assets.0.last_modified", "2026-01-01T00:00:00Z", "assets[0]", "freshness contradicts"),
        ("assets.0.asset_name", "x", "assets[0]", "name and asset_name contradict"),
        ("assets.+", TWICE, "assets[2]", "stands twice"),
    ],
)
def test_metadata_that_is_not_as_documented_is_refused_with_file_place_and_next_step(
    path: str, value: object, place: str, says: str
) -> None:
    document = samples.metadata("snowflake", collected_at=AT)
    change(document, path, value)
    with pytest.raises(NotImportable) as refused:
        taken(document)
    told = str(refused.value)
    assert told.startswith(f"prod/m.json, {place}: ")
    assert says in told
    assert "The file stays where it is." in told


@pytest.mark.parametrize(
    ("path", "value", "place", "says"),
    [
        ("log_type", "hive", "the whole file", "is none of snowflake"),
        ("queries.0.start_time", GONE, "queries[0]", "start_time is missing"),
        ("queries.1.user", 5, "queries[1]", "user is 5, not a text"),
        ("queries.1.query", "other", "queries[1]", "query_text and query contradict"),
        ("queries.1.bytes_scanned", [1], "queries[1]", "neither a text nor a number"),
    ],
)
def test_a_query_log_that_is_not_as_documented_is_refused_too(
    path: str, value: object, place: str, says: str
) -> None:
    document = samples.query_logs("snowflake", collected_at=AT, starts=(AT, AT))
    change(document, path, value)
    with pytest.raises(NotImportable) as refused:
        taken(document)
    assert str(refused.value).startswith(f"prod/m.json, {place}: ")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"assets": [', "is no JSON"),
        (b'{"assets": [NaN]}', "NaN is no number"),
        (b"\xff\xfe", "is no JSON"),
        (b"[]", "is no object"),
        (b"{}", "none of assets, queries and entries"),
        (b'{"edges": []}', "lineage"),
        (b'{"events": [], "log_type": "databricks"}', "lineage"),
        (b'{"invocation_ids": []}', "result of a push"),
    ],
)
def test_what_is_no_manifest_says_what_it_is(data: bytes, says: str) -> None:
    with pytest.raises(NotImportable, match=r"prod/m\.json") as refused:
        read(data, file="prod/m.json", hashed_id=hashed_id)
    assert says in str(refused.value)
    assert "stays where it is" in str(refused.value)
