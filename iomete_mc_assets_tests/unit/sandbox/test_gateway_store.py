"""What the gateway's log keeps over restarts and tells about what it accepted."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.sandbox.gateway_records import (
    ENDPOINTS,
    Endpoint,
    Request,
    as_json,
    counts_from,
    event_from,
    measured_from,
    request_from,
)
from iomete_mc_assets.sandbox.gateway_store import REQUESTS_FILE, Store

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
WAREHOUSE = "0b6f1c9e-9d5c-4d9e-8a37-0f4f5f1a2b3c"


def kept(
    store: Store,
    endpoint: Endpoint,
    *events: dict[str, Any],
    at: datetime = NOON,
    accepted: bool = True,
) -> Request:
    body = json.dumps({"resource": {"uuid": WAREHOUSE}, "events": events}).encode()
    number = store.next_number
    request = Request(
        number=number,
        method="POST",
        path=f"/ingest/v1/{endpoint}",
        endpoint=endpoint,
        headers={"x-mcd-id": "k"},
        arrived_at=at,
        body_bytes=len(body),
        in_flight=1 + number % 3,
        status=202 if accepted else 400,
        manner="whole",
        invocation_id=f"invocation-{number}" if accepted else None,
        events=len(events) if accepted else 0,
        resource_uuids=(WAREHOUSE,) if accepted else (),
    )
    store.add(request, body)
    return request


def asset(name: str, **blocks: object) -> dict[str, Any]:
    named = {"name": name, "database": "sales", "schema": "default"}
    return {"relational_asset": {"type": "TABLE", "metadata": named, **blocks}}


def query(query_id: str) -> dict[str, Any]:
    return {"query_id": query_id}


def test_a_reopened_store_knows_every_request_body_and_event(tmp_path: Path) -> None:
    first = Store.in_folder(tmp_path)
    kept(first, "querylogs", query("a"), query("b"))
    kept(first, "querylogs", query("c"), accepted=False)
    before = (first.requests(), first.body(2), list(first.events()))
    first.close()
    second = Store.in_folder(tmp_path)
    assert (second.requests(), second.body(2), list(second.events())) == before
    assert kept(second, "querylogs", query("d")).number == 3
    assert [event.content["query_id"] for event in second.events()] == ["a", "b", "d"]
    second.close()


def test_a_line_that_was_not_finished_is_forgotten(tmp_path: Path) -> None:
    first = Store.in_folder(tmp_path)
    kept(first, "querylogs", query("a"))
    kept(first, "querylogs", query("b"))
    first.close()
    path = tmp_path / REQUESTS_FILE
    path.write_bytes(path.read_bytes()[:-5])
    second = Store.in_folder(tmp_path)
    kept(second, "querylogs", query("c"))
    assert [event.content["query_id"] for event in second.events()] == ["a", "c"]
    second.close()
    third = Store.in_folder(tmp_path)
    assert [event.content["query_id"] for event in third.events()] == ["a", "c"]
    third.close()


@given(bodies=st.lists(st.binary(max_size=30), max_size=8))
def test_bodies_come_back_byte_for_byte(bodies: list[bytes]) -> None:
    store = Store.passing()
    template = kept(store, "metadata", accepted=False)
    for number, body in enumerate(bodies, start=2):
        values = {**as_json(template), "number": number, "body_bytes": len(body)}
        store.add(request_from(values), body)
    assert [store.body(number) for number in range(2, len(bodies) + 2)] == bodies
    store.close()


def test_events_are_found_by_endpoint_and_by_invocation() -> None:
    store = Store.passing()
    kept(store, "metadata", asset("orders"))
    kept(store, "querylogs", query("a"))
    kept(store, "querylogs", query("b"))
    assert [event.content for event in store.events("metadata")] == [asset("orders")]
    found = list(store.events(invocation_id="invocation-3"))
    assert [(event.request, event.content) for event in found] == [(3, query("b"))]
    store.close()


def test_figures_count_requests_events_statuses_and_the_busiest_moment() -> None:
    store = Store.passing()
    kept(store, "metadata", asset("a"), asset("b"))
    kept(store, "querylogs", query("a"), accepted=False)
    counts = store.counts(redirect_hits=4)
    assert counts.requests == 2
    none = dict.fromkeys(ENDPOINTS, 0)
    assert counts.accepted == {**none, "metadata": 1}
    assert counts.events == {**none, "metadata": 2}
    assert counts.statuses == {"202": 1, "400": 1}
    assert (counts.highest_in_flight, counts.redirect_hits) == (3, 4)
    assert counts_from(json.loads(json.dumps(as_json(counts)))) == counts
    store.close()


def test_measurements_are_counted_per_table_and_clock_hour_of_receipt() -> None:
    store = Store.passing()
    both = asset("orders", volume={"row_count": 0}, freshness={})
    kept(store, "metadata", both, asset("silent", fields=[]), at=NOON)
    kept(store, "metadata", asset("orders", volume={}), at=NOON + timedelta(minutes=59))
    kept(store, "metadata", both, at=NOON + timedelta(minutes=60))
    measured = store.measured()
    assert [(m.full_table_id, m.clock_hour.hour, m.volume, m.freshness) for m in measured] == [
        ("sales:default.orders", 12, 2, 1),
        ("sales:default.orders", 13, 1, 1),
    ]
    assert measured_from(json.loads(json.dumps(as_json(measured[0])))) == measured[0]
    store.close()


def test_only_query_ids_accepted_twice_are_duplicates() -> None:
    store = Store.passing()
    kept(store, "querylogs", query("a"), query("b"), {"query_text": "no id"})
    kept(store, "querylogs", query("b"), {"query_text": "no id"})
    kept(store, "querylogs", query("a"), accepted=False)
    assert store.duplicate_query_ids() == {"b": 2}
    store.close()


def test_a_table_keeps_what_a_later_event_leaves_out() -> None:
    store = Store.passing()
    full = asset("orders", freshness={"last_update_time": "2026-11-21T10:00:00Z"})
    full["relational_asset"]["metadata"]["description"] = "all orders"
    kept(store, "metadata", full)
    first = store.tables()
    kept(store, "metadata", asset("orders", volume={"row_count": 1}), at=NOON + timedelta(hours=1))
    (table,) = store.tables()
    assert first[0].invocation_id == "invocation-1"
    assert table.invocation_id == "invocation-2"
    assert table.metadata["description"] == "all orders"
    assert table.last_update_time == "2026-11-21T10:00:00Z"
    assert (table.first_received, table.last_received) == (NOON, NOON + timedelta(hours=1))
    store.close()


def test_the_same_name_as_table_and_as_view_is_two_assets() -> None:
    store = Store.passing()
    view = asset("orders")
    view["relational_asset"]["type"] = "VIEW"
    kept(store, "metadata", asset("orders"), view)
    assert [table.type for table in store.tables()] == ["TABLE", "VIEW"]
    store.close()


def test_an_event_says_whether_it_measures() -> None:
    store = Store.passing()
    kept(store, "metadata", asset("a", fields=[]), asset("a", volume={}), asset("a", freshness={}))
    events = list(store.events())
    assert [event.measures for event in events] == [False, True, True]
    assert event_from(json.loads(json.dumps(as_json(events[0])))) == events[0]
    store.close()
