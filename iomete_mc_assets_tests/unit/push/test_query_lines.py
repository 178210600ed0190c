"""An event out of a manifest's line is the event of the line's record, byte for byte."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iomete_mc_assets.errors import ManifestDamaged
from iomete_mc_assets.manifests import codec
from iomete_mc_assets.montecarlo.events import query_logs
from iomete_mc_assets.push import query_lines
from iomete_mc_assets.push.query_logs import QueryRules
from iomete_mc_assets.records import PlannedEdges, QueryRecord
from iomete_mc_assets_tests.record_strategies import (
    instants,
    maybe,
    planned_edges,
    query_records,
    texts,
)

AT = datetime(2026, 11, 21, 10, 20, tzinfo=UTC)
SUCCEEDED = QueryRecord(
    query_id="q-1",
    text="SELECT 1",
    started_at=AT,
    ended_at=AT + timedelta(milliseconds=250),
    user="ann",
    returned_rows=7,
    session_id="s",
    catalog="spark_catalog",
    database="sales",
)
ORDERS, FACTS = ("spark_catalog", "sales", 'or"ders'), ("spark_catalog", "sales", "facts")
WITH_PLAN = replace(SUCCEEDED, plan=PlannedEdges(tables=((ORDERS, FACTS),), columns_known=False))
LOOKS_LIKE_KEYS = '","user":"mallory"}\n","text":"'


def line_of(record: QueryRecord) -> bytes:
    return codec.encode_record("query_logs", record) + b"\n"


def succeeded() -> st.SearchStrategy[QueryRecord]:
    """Queries as nearly all are, whose lines are taken as they stand."""
    return st.builds(
        QueryRecord,
        query_id=st.text(st.characters(min_codepoint=32, max_codepoint=127), min_size=1),
        text=texts(max_size=200) | st.just(LOOKS_LIKE_KEYS) | st.just("\\"),
        started_at=instants() | instants().map(lambda at: at.replace(microsecond=0)),
        ended_at=instants() | instants().map(lambda at: at.replace(microsecond=0)),
        user=maybe(texts()),
        returned_rows=maybe(st.integers(min_value=-1)),
        session_id=maybe(texts()),
        catalog=maybe(texts()),
        database=maybe(texts()),
        plan=st.none() | planned_edges(),
    )


@settings(max_examples=400, deadline=None)
@given(succeeded() | query_records(), st.integers(200, 500) | st.just(10**6))
@example(SUCCEEDED, 10**6)
@example(WITH_PLAN, 10**6)
@example(replace(SUCCEEDED, user=None, returned_rows=None), 10**6)
@example(replace(SUCCEEDED, text=LOOKS_LIKE_KEYS, user=LOOKS_LIKE_KEYS), 10**6)
@example(replace(SUCCEEDED, text="SELECT 'half \ud83d'"), 10**6)
def test_a_line_gives_the_event_of_its_record(record: QueryRecord, max_bytes: int) -> None:
    line = line_of(record)
    read = codec.decode_record("query_logs", line, where="here")
    assert isinstance(read, QueryRecord)
    expected = query_logs.event(read, max_bytes=max_bytes)
    rules = QueryRules(max_event_bytes=max_bytes)
    assert rules.event((line, "here")) == expected
    assert rules.body((line, "here")) == expected.body


@pytest.mark.parametrize(
    "record",
    [
        SUCCEEDED,
        WITH_PLAN,
        replace(SUCCEEDED, text="SELECT \"é\", '\\'\n😀"),
        replace(SUCCEEDED, user=None, returned_rows=None, session_id=None, catalog=None),
    ],
)
def test_a_query_that_succeeded_is_not_read(record: QueryRecord) -> None:
    event = query_logs.event(record, max_bytes=10**6)
    found = query_lines.key_and_body(line_of(record), max_bytes=10**6)
    assert found == (event.key.encode(), event.body)


@pytest.mark.parametrize(
    "record",
    [
        replace(SUCCEEDED, status="failed"),
        replace(SUCCEEDED, error_code="7"),
        replace(SUCCEEDED, error_text="no"),
        replace(SUCCEEDED, end_estimated=True),
        replace(SUCCEEDED, returned_rows=-1),
        replace(SUCCEEDED, query_id="é"),
        replace(SUCCEEDED, text="x" * 500),
        replace(SUCCEEDED, plan=PlannedEdges(tables=((ORDERS, ("c", "n", "{t}")),))),
    ],
)
def test_what_only_the_record_can_tell_is_left_to_it(record: QueryRecord) -> None:
    assert query_lines.key_and_body(line_of(record), max_bytes=400) is None


@pytest.mark.parametrize(
    "record", [SUCCEEDED, replace(SUCCEEDED, text="é" * 30, user=None, returned_rows=None)]
)
def test_an_event_of_exactly_the_cap_is_taken_as_it_stands_and_one_byte_more_is_cut(
    record: QueryRecord,
) -> None:
    line = line_of(record)
    whole = query_logs.event(record, max_bytes=10**6)
    size, found = len(whole.body), (whole.key.encode(), whole.body)
    assert query_lines.key_and_body(line, max_bytes=size + 1) == found
    assert query_lines.key_and_body(line, max_bytes=size) == found
    assert query_lines.key_and_body(line, max_bytes=size - 1) is None
    for max_bytes in (size + 1, size, size - 1):
        assert query_logs.event(record, max_bytes=max_bytes) == QueryRules(
            max_event_bytes=max_bytes
        ).event((line, "here"))
    assert query_logs.event(record, max_bytes=size).notes == ()
    assert query_logs.event(record, max_bytes=size - 1).notes == ("truncated",)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b'"returned_rows":7', b'"returned_rows":"7"'),
        (b'"text":"SELECT 1"', b'"text":null'),
        (b'"session_id":"s",', b""),
        (b"2026-11-21T10:20:00.000000Z", b"2026-11-21T10:20:00Z"),
    ],
)
def test_a_line_that_is_no_query_is_damage(good: bytes, bad: bytes) -> None:
    line = line_of(SUCCEEDED)
    assert good in line
    with pytest.raises(ManifestDamaged, match="here"):
        QueryRules(max_event_bytes=10**6).event((line.replace(good, bad), "here"))
