"""The demo's proof, event by event: real manifests and pushes, a real gateway, and what is then done to them."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from iomete_mc_assets.cli.demo_events import EventProof, compare
from iomete_mc_assets.cli.demo_manifests import manifests_of
from iomete_mc_assets.cli.demo_proof import Proof
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.records import Record
from iomete_mc_assets.sandbox.gateway_records import Endpoint
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.push_bench import (
    HOUR,
    Bench,
    column_edge,
    edges,
    entries,
    observed,
    queries,
    table_edge,
    table_entry,
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Pushes and gateway under one clock."""
    with Bench.under_one_clock(str(tmp_path)) as made:
        yield made


def proof(bench: Bench, root: Path, flow: Flow, *windows: HourWindow) -> EventProof:
    endpoints: dict[Flow, Endpoint] = {"query_logs": "querylogs", "lineage": "lineage"}
    events = bench.gateway.events(endpoints.get(flow, "metadata"))
    mine = [e for e in events if e.measures == (flow == "observations")]
    kinds = {f"spark_catalog.sales.{name}": "table" for name in ("t000", "t001", "t002", "sink")}
    return compare(manifests_of(root, flow), windows or (HOUR,), mine, kinds=kinds)


def journey(bench: Bench, window: HourWindow = HOUR) -> None:
    """One hour of all flows, settled."""
    bench.configure(edge_delay_minutes=0)
    bench.collect("catalog_snapshot", [*entries(3), table_entry("sink")], window=window)
    bench.collect("observations", observed(3), window=window)
    bench.collect("query_logs", queries(12, window=window), window=window)
    decides = replace(column_edge("t000", "id", "sink", "id"), kind="indirect")
    edges_of = [*edges(3), decides, table_edge("t000", "unknown")]
    bench.collect("lineage", edges_of, window=window)
    for flow in FLOWS:
        bench.push(flow)


FLOWS: tuple[Flow, ...] = get_args(Flow)


def test_every_event_of_every_flow_agrees_with_its_record(bench: Bench, tmp_path: Path) -> None:
    journey(bench)
    assert [proof(bench, tmp_path, flow) for flow in FLOWS] == [
        EventProof(compared=4, unsent={}, differences=()),
        EventProof(compared=3, unsent={}, differences=()),
        EventProof(compared=12, unsent={}, differences=()),
        EventProof(compared=3, unsent={"indirect": 1, "pending": 1}, differences=()),
    ]


def test_a_push_that_crossed_the_hour_leaves_the_next_hour_without_points_and_that_is_proved(
    bench: Bench, tmp_path: Path
) -> None:
    """A demo of hour 9 begins at 10:59 and pushes at 11:01; hour 10's demo at 11:10 may not measure again."""
    bench.clock.advance(minutes=41)
    journey(bench)
    bench.clock.advance(minutes=9)
    both: dict[Flow, list[Record]] = {
        "catalog_snapshot": entries(3),
        "observations": observed(3, rows=7),
    }
    for flow, records in both.items():
        bench.collect(flow, records, window=HOUR.next)
        bench.push(flow)
    told = {flow: proof(bench, tmp_path, flow, HOUR, HOUR.next) for flow in FLOWS[:2]}
    assert told == {
        "catalog_snapshot": EventProof(compared=4, unsent={"accepted_before": 3}, differences=()),
        "observations": EventProof(compared=3, unsent={"clock_hour_taken": 3}, differences=()),
    }


def test_a_reason_that_the_gateway_does_not_bear_out_is_a_difference(
    bench: Bench, tmp_path: Path
) -> None:
    """The ledger says that the clock hour is taken, and nothing was measured in it."""
    bench.clock.advance(minutes=41)
    journey(bench)
    bench.clock.advance(minutes=9)
    bench.collect("observations", observed(3, rows=7), window=HOUR.next)
    bench.push("observations")
    (plan,) = (tmp_path / "observations" / HOUR.next.folder).rglob("plan.json")
    change(plan, planned_at="2026-11-21T12:00:00.000000Z")
    (_, _, _) = differences = proof(bench, tmp_path, "observations", HOUR.next).differences
    assert all("was not sent as clock_hour_taken, which is not so" in one for one in differences)


def test_older_hours_are_superseded_by_a_newer_manifest_that_exists(
    bench: Bench, tmp_path: Path
) -> None:
    bench.collect("catalog_snapshot", entries(2))
    bench.clock.advance(hours=1)
    bench.collect("catalog_snapshot", entries(3), window=HOUR.next)
    bench.push("catalog_snapshot")
    told = proof(bench, tmp_path, "catalog_snapshot", HOUR, HOUR.next)
    assert told == EventProof(compared=3, unsent={"superseded": 2}, differences=())
    (settled,) = (tmp_path / "catalog_snapshot" / HOUR.folder).rglob("settled.json")
    newer = json.loads(settled.read_text())["superseded_by"]
    change(settled, superseded_by={**newer, "manifest_id": "m999"})
    (first, second) = proof(bench, tmp_path, "catalog_snapshot").differences
    assert "was not sent as superseded, which is not so" in first
    assert "was not sent as superseded, which is not so" in second


def test_an_observation_too_old_to_be_now_is_not_missed(bench: Bench, tmp_path: Path) -> None:
    bench.collect("catalog_snapshot", entries(3))
    bench.push("catalog_snapshot")
    bench.collect("observations", observed(3))
    bench.clock.advance(hours=3)
    bench.push("observations")
    told = proof(bench, tmp_path, "observations")
    assert told == EventProof(compared=0, unsent={"too_old": 3}, differences=())
    proved = Proof()
    proved.compared("observations", told.compared, told.differences)
    assert not proved.holds
    assert proved.lines[-1] == "    nothing was compared, so nothing is proved"


def test_a_record_that_says_something_else_than_its_event_is_a_difference(
    bench: Bench, tmp_path: Path
) -> None:
    journey(bench)
    changes: dict[Flow, tuple[str, object]] = {
        "catalog_snapshot": ("comment", "another"),
        "observations": ("row_count", 999),
        "query_logs": ("text", "SELECT 'another'"),
        "lineage": ("target", {"catalog": "spark_catalog", "namespace": ["x"], "table": "another"}),
    }
    for flow, (key, value) in changes.items():
        (part,) = (tmp_path / flow / HOUR.folder).rglob("*.gz")
        first, *others = gzip.decompress(part.read_bytes()).splitlines()
        changed = json.dumps({**json.loads(first), key: value}).encode()
        part.write_bytes(gzip.compress(b"\n".join((changed, *others))))
        (difference,) = proof(bench, tmp_path, flow).differences
        assert "another" in difference or str(value) in difference


def test_an_event_without_a_receipt_and_a_receipt_without_an_event_are_differences(
    bench: Bench, tmp_path: Path
) -> None:
    journey(bench)
    (first, _) = sorted((tmp_path / "query_logs" / HOUR.folder).rglob("0*-0*.json"))
    lost = json.loads(first.read_text())["invocation_id"]
    change(first, invocation_id="11111111-2222-3333-4444-555555555555")
    (invented, unknown) = proof(bench, tmp_path, "query_logs").differences
    assert "the receipt of 11111111" in invented
    assert unknown == f"request {lost}: 10 events at the gateway, 0 receipts"


def test_a_record_without_receipt_or_reason_is_a_difference(bench: Bench, tmp_path: Path) -> None:
    journey(bench)
    for receipt in (tmp_path / "query_logs" / HOUR.folder).rglob("000000010-*.json"):
        receipt.unlink()
    (counts, unknown) = proof(bench, tmp_path, "query_logs").differences
    assert "12 records, and the ledger counts {'accepted': 12}" in counts
    assert unknown.endswith("2 events at the gateway, 0 receipts")


def test_an_hour_of_the_demo_that_is_not_settled_or_not_there_is_a_difference(
    bench: Bench, tmp_path: Path
) -> None:
    bench.collect("query_logs", queries(3))
    (unsettled, absent) = proof(bench, tmp_path, "query_logs", HOUR, HOUR.next).differences
    assert unsettled.endswith("the ledger says nothing final of it")
    assert absent == f"{HOUR.next.key}: no manifest"


def test_a_freshness_may_be_missing_only_where_the_gateway_knows_a_later_one(
    bench: Bench, tmp_path: Path
) -> None:
    """A rollback moves a table's last change back, and Monte Carlo's never goes back."""
    bench.collect("catalog_snapshot", entries(1))
    bench.push("catalog_snapshot")
    for window, minutes in ((HOUR, 50), (HOUR.next, 10)):
        (table,) = observed(1)
        changed_at = HOUR.start + timedelta(minutes=minutes)
        bench.collect("observations", [fresh(table, changed_at)], window=window)
        bench.push("observations")
        bench.clock.advance(hours=1)
    assert proof(bench, tmp_path, "observations", HOUR, HOUR.next).differences == ()
    events = [event for event in bench.gateway.events("metadata") if event.measures]
    assert ["freshness" in event.content["relational_asset"] for event in events] == [True, False]
    alone = compare(manifests_of(tmp_path, "observations")[1:], (), events[1:])
    assert len(alone.differences) == 1


def fresh(observation: Any, changed_at: object) -> Any:
    return replace(observation, last_data_change=changed_at)


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_edges_that_an_hour_carries_and_reasons_that_are_not_true_are_compared_too(
    bench: Bench, tmp_path: Path
) -> None:
    journey(bench)
    bench.clock.advance(hours=1)
    bench.know("t000", "t001", "t002", "sink", "unknown", window=HOUR.next)
    bench.collect("lineage", edges(2), window=HOUR.next)
    bench.push("lineage", HOUR.next)
    known = {f"spark_catalog.sales.{name}": "table" for name in ("t000", "t001", "t002", "sink")}
    manifests, events = manifests_of(tmp_path, "lineage"), bench.gateway.events("lineage")
    told = compare(manifests, (HOUR,), events, kinds=known)
    assert (told.compared, told.unsent["accepted_before"]) == (4, 2)
    (of_unknown_type,) = told.differences
    assert f"{HOUR.next.key} m006 record 2" in of_unknown_type
    everything = {**known, "spark_catalog.sales.unknown": "table"}
    (not_pending,) = compare(manifests, (HOUR,), events, kinds=everything).differences
    assert "was not sent as pending, which is not so" in not_pending
