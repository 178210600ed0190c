"""Lineage on the wire: which edges go, when, how often, and under which names; over a real socket."""

# pycarlo's signatures say ``dict`` without saying of what
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, get_args

import pytest
from pycarlo.features.ingestion.models import (
    ColumnLineageField,
    ColumnLineageSourceField,
    LineageAssetRef,
    LineageEvent,
    build_lineage_payload,
)

from iomete_mc_assets.collectors.lineage.collecting import LineageCollector
from iomete_mc_assets.collectors.lineage.edges import Spelling
from iomete_mc_assets.collectors.lineage.tables import Catalog
from iomete_mc_assets.collectors.lineage.workers import ParsingProcess
from iomete_mc_assets.errors import IometeMcError
from iomete_mc_assets.montecarlo import documents
from iomete_mc_assets.montecarlo.control_plane import ApiConfig, ControlPlane
from iomete_mc_assets.montecarlo.documents import Document
from iomete_mc_assets.montecarlo.naming import Naming, Strategy
from iomete_mc_assets.records import LineageEdge, QueryRecord, QueryStatus, TableEntry, TableId
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_graphql import GRAPHQL_PATH
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.push_bench import (
    HOUR,
    SOURCE,
    Bench,
    column_edge,
    edges,
    observed,
    table,
    table_edge,
    table_entry,
)

Edge = tuple[str, str]
"""Source and target, each ``table`` or ``table.column``."""


@pytest.fixture
def bench(gateway: Gateway, store_root: str) -> Bench:
    return Bench(gateway, store_root)


def bodies(bench: Bench) -> list[Mapping[str, Any]]:
    """Of lineage, as they arrived."""
    paths = [request.path for request in bench.gateway.requests]
    pairs = zip(paths, bench.gateway.bodies, strict=True)
    return [json.loads(body) for path, body in pairs if path.endswith("/lineage")]


def arrived(bench: Bench) -> list[Edge]:
    """Every edge that was accepted, in order."""
    return [told(event.content) for event in bench.gateway.events("lineage")]


def told(event: Mapping[str, Any]) -> Edge:
    (source,) = event["sources"]
    ends = source["name"], event["destination"]["name"]
    if "fields" not in event:
        return ends
    (field,) = event["fields"]
    (fed,) = field["source_fields"]
    return f"{ends[0]}.{fed['field_name']}", f"{ends[1]}.{field['name']}"


def hours_later(window: HourWindow, hours: int) -> HourWindow:
    return HourWindow(window.start + timedelta(hours=hours))


def pushed(
    bench: Bench, records: Sequence[LineageEdge], *, window: HourWindow = HOUR, run: str = "run-1"
) -> Mapping[str, int]:
    """Collect an hour, push it, and tell its counts."""
    bench.collect("lineage", records, window=window)
    return bench.push_one("lineage", window=window, run=run).counts


def test_rule_1_lineage_that_arrives_is_byte_for_byte_that_of_pycarlo(bench: Bench) -> None:
    bench.know("orders", "facts")
    records = [table_edge("orders", "facts"), column_edge("orders", "id", "facts", "größe")]
    pushed(bench, records[:1])
    pushed(bench, records[1:], window=HOUR.next)

    def ref(name: str, *, with_id: bool) -> LineageAssetRef:
        asset_id = f"sales:default.{name}" if with_id else None
        return LineageAssetRef("TABLE", name, "sales", "default", asset_id=asset_id)

    source = ColumnLineageSourceField("sales:default.orders", "id")
    events = [
        LineageEvent(ref("facts", with_id=False), [ref("orders", with_id=False)]),
        LineageEvent(
            ref("facts", with_id=True),
            [ref("orders", with_id=True)],
            [ColumnLineageField("größe", [source])],
        ),
    ]
    uuid, kind = bench.gateway.resource_uuid, bench.config.resource_type
    expected = [json.dumps(build_lineage_payload(uuid, kind, [one])).encode() for one in events]
    assert list(bench.gateway.bodies)[-2:] == expected


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_rule_3_a_table_has_one_name_and_type_in_catalog_observations_and_lineage(
    bench: Bench, strategy: Strategy
) -> None:
    bench.configure(
        naming=Naming(strategy=strategy, catalogs=SOURCE.catalogs),
        destination=replace(bench.config.destination, naming=strategy),
    )
    bench.collect("catalog_snapshot", [table_entry("t000"), replace(table_entry("V"), kind="view")])
    bench.collect("observations", observed(1))
    bench.push_one("catalog_snapshot")
    bench.push_one("observations")
    bench.clock.advance(minutes=15)
    lower_case = column_edge("T000", "id", "v", "id")
    assert pushed(bench, [lower_case]) == {"accepted": 1}
    assets = [e.content["relational_asset"] for e in bench.gateway.events("metadata")]
    called = {
        (asset["type"], *(asset["metadata"][part] for part in ("database", "schema", "name")))
        for asset in assets
    }
    assert len(assets) == 3
    (event,) = [e.content for e in bench.gateway.events("lineage")]
    refs = {
        tuple(ref[part] for part in ("type", "database", "schema", "name"))
        for ref in (event["destination"], *event["sources"])
    }
    assert refs == called


def test_rule_5_no_request_holds_more_than_a_hundred_edges(bench: Bench) -> None:
    bench.configure(max_edges=100)
    bench.collect_some("lineage", 230)
    assert bench.push_one("lineage").counts == {"accepted": 230}
    assert sorted(len(body["events"]) for body in bodies(bench)) == [30, 100, 100]


def test_rule_22_a_failed_query_gives_no_lineage(bench: Bench) -> None:
    known = [table_entry(name) for name in ("orders", "facts", "drafts")]
    ends: dict[str, QueryStatus] = {"facts": "succeeded", "drafts": "failed"}
    with ParsingProcess(Catalog.of(known, catalogs=()), deadline_s=20) as process:
        collector = LineageCollector(process, Spelling(known))
        for target, status in ends.items():
            query = QueryRecord(
                query_id=target,
                text=f"INSERT INTO sales.{target} SELECT id FROM sales.orders",
                started_at=HOUR.start,
                ended_at=HOUR.start,
                status=status,
            )
            collector.add(query)
        records = list(collector.records())
    bench.know("orders", "facts", "drafts")
    counts = pushed(bench, records)
    assert counts["accepted"] >= 1
    assert {target.partition(".")[0] for _, target in arrived(bench)} == {"facts"}


def test_rule_31_column_lineage_waits_for_both_tables_to_be_accepted_and_taken_in(
    bench: Bench,
) -> None:
    edge = column_edge("orders", "id", "facts", "order_id")
    assert pushed(bench, [edge]) == {"pending": 1}
    bench.collect("catalog_snapshot", [table_entry("orders")])
    bench.push_one("catalog_snapshot")
    bench.clock.advance(minutes=30)
    assert pushed(bench, [edge], window=hours_later(HOUR, -1)) == {"pending": 1}
    bench.collect("catalog_snapshot", [table_entry("orders"), table_entry("facts")])
    bench.push_one("catalog_snapshot")
    bench.clock.advance(minutes=14)
    assert pushed(bench, [edge], window=hours_later(HOUR, -2)) == {"pending": 1}
    assert arrived(bench) == []
    bench.clock.advance(minutes=1)
    assert pushed(bench, [edge], window=hours_later(HOUR, -3)) == {"accepted": 1}
    assert arrived(bench) == [("orders.id", "facts.order_id")]


def day_of_pushes(bench: Bench, day: int) -> HourWindow:
    """The catalog's daily push, and one of an hour of lineage in which nothing was asked."""
    window = hours_later(HOUR, 24 * day)
    bench.clock.instant = window.end + timedelta(minutes=20)
    bench.know("orders", "facts", window=window)
    assert "pending" not in pushed(bench, [], window=window, run=f"run-{day}")
    return window


def test_rule_32_column_lineage_seen_within_a_month_goes_again_before_day_ten(
    bench: Bench,
) -> None:
    bench.know("orders", "facts")
    pushed(bench, [table_edge("orders", "facts"), column_edge("orders", "id", "facts", "id")])
    went: list[int] = []
    for day in range(1, 60):
        before = len(arrived(bench))
        day_of_pushes(bench, day)
        if (new := arrived(bench)[before:]) != []:
            assert new == [("orders.id", "facts.id")]
            went.append(day)
    gaps = [later - earlier for earlier, later in zip([0, *went], went, strict=False)]
    assert max(gaps) < 10
    assert 30 - 10 < went[-1] <= 30


def test_rule_33_every_source_column_is_of_a_table_among_the_sources(bench: Bench) -> None:
    bench.collect_some("lineage", 40)
    bench.push_one("lineage")
    events = [event for body in bodies(bench) for event in body["events"] if "fields" in event]
    assert len(events) == 20
    for event in events:
        ids = {source["asset_id"] for source in event["sources"]}
        fed = {one["asset_id"] for field in event["fields"] for one in field["source_fields"]}
        assert fed
        assert fed <= ids


# The ledger


def test_ledger_11_an_edge_of_an_unknown_table_is_pending_and_goes_with_a_later_hour(
    bench: Bench,
) -> None:
    bench.know("orders", "facts")
    edge = table_edge("orders", "mart")
    bench.collect("lineage", [table_edge("orders", "facts"), edge])
    outcome = bench.push_one("lineage")
    assert outcome.counts == {"accepted": 1, "pending": 1}
    bench.clock.advance(hours=1)
    bench.know("orders", "facts", "mart", window=HOUR.next)
    assert pushed(bench, [], window=HOUR.next, run="run-2") == {"accepted": 1}
    assert arrived(bench) == [("orders", "facts"), ("orders", "mart")]
    assert bench.push_one("lineage", window=HOUR, run="run-3").reused


def test_ledger_11_lineage_of_a_table_that_another_has_the_name_of_does_not_go(
    bench: Bench,
) -> None:
    bench.configure(
        naming=Naming(strategy="guide", catalogs=("spark_catalog", "lake"), prefixes={"lake": "x_"})
    )
    bench.know("orders", "facts")
    other = TableId("spark_catalog", ("x_sales",), "facts")
    named_alike = TableId("lake", ("sales",), "facts")
    bench.collect(
        "catalog_snapshot",
        [
            table_entry("orders"),
            *(replace(table_entry("x"), table=t) for t in (other, named_alike)),
        ],
    )
    bench.push_one("catalog_snapshot", run="run-2")
    bench.clock.advance(minutes=15)
    edges_of = [replace(table_edge("orders", "x"), target=t) for t in (named_alike, other)]
    assert pushed(bench, edges_of) == {"accepted": 1, "name_taken": 1}


def test_ledger_13_edges_go_once_in_whatever_order_hours_come(bench: Bench) -> None:
    bench.know("orders", "facts", "mart")
    by_hour = [
        [table_edge("orders", "facts"), column_edge("orders", "id", "facts", "id")],
        [table_edge("orders", "facts"), table_edge("facts", "mart")],
        [column_edge("orders", "id", "facts", "id"), column_edge("facts", "id", "mart", "id")],
    ]
    for place in (1, 2, 0):
        window = hours_later(HOUR, place - 2)
        pushed(bench, by_hour[place], window=window, run=f"run-{place}")
    assert sorted(arrived(bench)) == [
        ("facts", "mart"),
        ("facts.id", "mart.id"),
        ("orders", "facts"),
        ("orders.id", "facts.id"),
    ]
    again = [edge for of_hour in by_hour for edge in of_hour[:1]]
    assert pushed(bench, again[:2], window=HOUR.next, run="run-9") == {"accepted_before": 2}


def test_ledger_13_a_column_edge_of_long_ago_is_too_old_and_a_table_edge_never_is(
    bench: Bench,
) -> None:
    bench.know("orders", "facts")
    old = hours_later(HOUR, -24 * 32)
    records = [
        table_edge("orders", "facts", window=old),
        column_edge("orders", "id", "facts", "id", window=old),
    ]
    assert pushed(bench, records, window=old) == {"accepted": 1, "too_old": 1}
    seen_again = column_edge("orders", "id", "facts", "id")
    assert pushed(bench, [seen_again], run="run-2") == {"accepted": 1}


def test_ledger_13_a_column_edge_that_was_not_seen_for_a_month_and_is_goes_again_after_its_week(
    bench: Bench,
) -> None:
    """It was accepted three days ago, when it was nearly too old: Monte Carlo has not forgotten it."""
    bench.know("orders", "facts")
    old = hours_later(HOUR, -24 * 29)
    edge = column_edge("orders", "id", "facts", "id", window=old)
    assert pushed(bench, [edge], window=old) == {"accepted": 1}
    day_of_pushes(bench, 2)
    for day, answer in ((3, "accepted_before"), (8, "accepted")):
        window = hours_later(HOUR, 24 * day)
        bench.clock.instant = window.end + timedelta(minutes=20)
        seen = column_edge("orders", "id", "facts", "id", window=window)
        assert pushed(bench, [seen], window=window, run=f"run-again-{day}") == {answer: 1}


def test_ledger_13_an_edge_of_a_table_that_was_dropped_and_is_back_goes_when_it_is_seen_again(
    bench: Bench,
) -> None:
    bench.know("orders", "facts")
    pushed(bench, [table_edge("orders", "facts")])
    for hours, names in ((24, ["orders"]), (48, ["orders", "facts"])):
        window = hours_later(HOUR, hours)
        bench.clock.instant = window.end + timedelta(minutes=20)
        bench.know(*names, window=window)
        assert "accepted" not in pushed(bench, [], window=window, run=f"run-{hours}")
    window = hours_later(HOUR, 49)
    bench.clock.advance(hours=1)
    again = [table_edge("orders", "facts", window=window)]
    assert pushed(bench, again, window=window, run="run-9") == {"accepted": 1}
    assert arrived(bench) == [("orders", "facts")] * 2


def test_ledger_18_columns_that_only_decide_are_counted_and_not_sent(bench: Bench) -> None:
    bench.know("orders", "facts")
    decides = replace(column_edge("orders", "state", "facts", "id"), kind="indirect")
    records = [table_edge("orders", "facts"), decides]
    assert pushed(bench, records) == {"accepted": 1, "indirect": 1}
    assert arrived(bench) == [("orders", "facts")]


def test_ledger_22_another_hours_push_does_not_take_an_interrupted_ones_place(
    bench: Bench,
) -> None:
    bench.configure(max_edges=1)
    bench.know(*(f"t{number:03d}" for number in range(8)), "sink")
    bench.collect("lineage", edges(6))
    bench.collect("lineage", edges(8)[6:], window=HOUR.next)
    bench.gateway.rule(faults.answers(403), nth=len(bench.gateway.requests) + 2)
    assert bench.push("lineage", HOUR)[HOUR] is not None
    bench.gateway.clear()
    left = 6 - len(bench.gateway.events("lineage"))
    assert left > 0
    bench.clock.advance(hours=1)
    newer = bench.push_one("lineage", window=HOUR.next, run="run-2")
    older = bench.push_one("lineage", window=HOUR, run="run-3")
    assert newer.superseded_by is older.superseded_by is None
    assert sum(older.counts.values()) == 6
    assert set(older.counts) <= {"accepted", "accepted_before"}
    accepted = bench.accepted_keys()[9:]
    assert sorted(set(accepted)) == [f"t{number:03d}" for number in range(8)]
    assert len(accepted) == 8


def test_ledger_20_what_a_manifest_carries_is_chosen_once(bench: Bench) -> None:
    bench.know("orders", "facts")
    kept = column_edge("orders", "id", "facts", "id")
    pushed(bench, [kept])
    window = hours_later(HOUR, 24 * 8)
    bench.clock.instant = window.end + timedelta(minutes=20)
    bench.know("orders", "facts", window=window)
    manifest_id = bench.collect("lineage", [table_edge("orders", "facts")], window=window)
    bench.gateway.rule(faults.answers(503))
    bench.push("lineage", window, run="run-2")
    bench.gateway.clear()
    carried = bench.sent("lineage", manifest_id, window=window).carried()
    assert carried is not None
    assert [(edge.source_column, edge.times_seen) for edge in carried.edges] == [("id", 0)]
    outcome = bench.push_one("lineage", window=window, run="run-3")
    assert (outcome.counts, outcome.notes) == ({"accepted": 2}, {"from_earlier_hours": 1})
    assert arrived(bench)[1:] == [("orders", "facts"), ("orders.id", "facts.id")]


def test_ledger_19_forcing_all_sends_the_hours_own_edges_again_and_no_others(bench: Bench) -> None:
    bench.know("orders", "facts", "mart")
    pushed(bench, [column_edge("orders", "id", "facts", "id")])
    bench.collect("lineage", [table_edge("facts", "mart")], window=HOUR.next)
    for run in ("forced", "forced-again"):
        outcome = bench.push_one("lineage", window=HOUR.next, run=run, force="all")
        assert outcome.counts == {"accepted": 1}
    assert arrived(bench)[1:] == [("facts", "mart")] * 2


def test_ledger_19_an_edge_in_doubt_in_several_hours_goes_once_when_that_is_forced(
    bench: Bench,
) -> None:
    bench.know("orders", "facts")
    bench.gateway.rule(faults.answers(502))
    for window in (HOUR, HOUR.next):
        bench.collect("lineage", [table_edge("orders", "facts")], window=window)
        while isinstance(bench.push("lineage", window, run=window.folder)[window], IometeMcError):
            bench.clock.advance(minutes=5)
        assert bench.push_one("lineage", window=window).counts == {"in_doubt": 1}
    bench.gateway.clear()
    answers = bench.push("lineage", HOUR, HOUR.next, run="forced", force="in_doubt")
    counts = [getattr(answers[window], "counts", None) for window in (HOUR, HOUR.next)]
    assert sorted(map(str, counts)) == ["{'accepted': 1}", "{'accepted_before': 1}"]
    assert arrived(bench) == [("orders", "facts")]


def test_rule_40_a_dry_run_of_lineage_tells_the_sizes_and_writes_nothing(bench: Bench) -> None:
    bench.collect_some("lineage", 13)
    ((preview, _),) = bench.foretold("lineage").values()
    assert preview.counts == {"to_send": 13}


def test_rule_40_a_dry_run_of_several_hours_of_lineage_counts_an_edge_where_it_would_go(
    bench: Bench,
) -> None:
    """The newest hour goes first, and the others find its edges accepted; forced, each goes with its own hour."""
    bench.know(*(f"t{number:03d}" for number in range(13)), "sink")
    hours = (HOUR.previous, HOUR, HOUR.next)
    bench.clock.advance(hours=1)
    for window in hours:
        bench.collect("lineage", edges(13, window=window), window=window)
    plain = bench.foretold("lineage", *hours, run="plain")
    assert [len(told.requests) for told, _ in plain.values()] == [2, 0, 0]
    forced = bench.foretold("lineage", *hours, run="forced", force="all")
    assert [len(told.requests) for told, _ in forced.values()] == [2, 2, 2]


def test_ledger_13_the_kept_set_of_a_quiet_hour_is_not_written_again(bench: Bench) -> None:
    bench.know("orders", "facts")
    pushed(bench, [table_edge("orders", "facts")])
    entries_before = len(bench.log_kinds("lineage"))
    later = datetime.fromisoformat("2026-11-21T10:59:00+00:00")
    seen = replace(table_edge("orders", "facts"), last_seen=later)
    assert pushed(bench, [seen], window=HOUR.next, run="run-2") == {"accepted_before": 1}
    assert len(bench.log_kinds("lineage")) == entries_before


def test_a_catalog_ledger_of_an_earlier_version_lets_edges_wait_for_the_next_daily_push(
    bench: Bench,
) -> None:
    bench.know("orders", "facts")
    folder = f"catalog_snapshot/ledger/{bench.config.destination.id}"
    newest = max(bench.storage.names(folder))
    entry = json.loads(bench.storage.read(f"{folder}/{newest}"))
    for known in entry["accepted"].values():
        del known["type"], known["since"]
    bench.storage.write(f"{folder}/{newest}", json.dumps(entry).encode())
    edge = column_edge("orders", "id", "facts", "id")
    assert pushed(bench, [edge]) == {"pending": 1}
    window = hours_later(HOUR, 24)
    bench.clock.instant = window.end + timedelta(minutes=20)
    bench.know("orders", "facts", window=window)
    assert pushed(bench, [], window=window, run="run-2") == {"accepted": 1}


def test_a_table_is_spelled_as_its_catalog_entry_was(bench: Bench) -> None:
    entry: TableEntry = replace(table_entry("x"), table=table("OrdersOfToday"))
    bench.collect("catalog_snapshot", [entry, table_entry("facts")])
    bench.push_one("catalog_snapshot")
    bench.clock.advance(minutes=15)
    pushed(bench, [table_edge("ordersoftoday", "FACTS")])
    assert arrived(bench) == [("OrdersOfToday", "facts")]


# What Monte Carlo shows of it


def ask(bench: Bench, document: Document, **variables: object) -> Any:
    gateway = bench.gateway
    config = ApiConfig(
        endpoint=f"{gateway.url}{GRAPHQL_PATH}",
        key_id=gateway.connection.api_id,
        key_secret=gateway.connection.api_token,
    )
    (answer,) = ControlPlane(config).ask(document, **variables).values()
    return answer


def test_pushed_lineage_is_read_back_table_by_table_and_column_by_column(bench: Bench) -> None:
    bench.know("orders", "customers", "facts", "mart")
    pushed(
        bench,
        [
            table_edge("orders", "facts"),
            column_edge("customers", "id", "facts", "customer_id"),
            column_edge("customers", "id", "mart", "who"),
            column_edge("customers", "name", "mart", "name"),
        ],
    )
    tables = ask(bench, documents.TABLES, dw=bench.gateway.resource_uuid)
    mcons = {edge["node"]["fullTableId"]: edge["node"]["mcon"] for edge in tables["edges"]}
    facts, customers = mcons["sales:default.facts"], mcons["sales:default.customers"]
    lineage = ask(bench, documents.LINEAGE, m=facts)
    sources = [mcons["sales:default.customers"], mcons["sales:default.orders"]]
    assert lineage["flattenedEdges"] == [{"mcon": facts, "directlyConnectedMcons": sources}]
    assert [node["mcon"] for node in lineage["connectedNodes"]] == sources
    derived = ask(bench, documents.COLUMN_LINEAGE, m=customers, c="ID")
    told_of = {one["displayName"]: one["columns"] for one in derived["destinations"]}
    assert told_of == {
        "sales:default.facts": [{"columnName": "customer_id", "columnType": None}],
        "sales:default.mart": [{"columnName": "who", "columnType": None}],
    }
    assert derived["isLastPage"]
    assert ask(bench, documents.LINEAGE, m=customers)["flattenedEdges"] == []
