"""Receipts against a gateway that shows what was really pushed: seen, not yet, missing, different."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result

from iomete_mc_assets import clock as real_clock
from iomete_mc_assets.cli.main import main
from iomete_mc_assets.errors import ControlPlaneError, SettingsError
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.montecarlo import documents
from iomete_mc_assets.montecarlo.control_plane import ApiConfig, ControlPlane
from iomete_mc_assets.operations.verify import Finding, Verifier, receipts_of
from iomete_mc_assets.records import Observation, Record
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_connection import Key
from iomete_mc_assets.sandbox.gateway_faults import answers
from iomete_mc_assets.sandbox.gateway_graphql import GRAPHQL_PATH
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.push_bench import (
    HOUR,
    Bench,
    column_edge,
    entries,
    queries,
    table,
    table_edge,
    table_entry,
)

MINUTE = timedelta(minutes=1)
CHANGED_AT = HOUR.start + 5 * MINUTE


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Gateway and pusher live at the same instant."""
    with Bench.under_one_clock(str(tmp_path)) as made:
        yield made


def measured(count: int) -> list[Record]:
    return [
        Observation(
            table=table(f"t{number:03d}"),
            row_count=number,
            byte_count=10,
            last_data_change=CHANGED_AT,
        )
        for number in range(count)
    ]


def push_all(bench: Bench, tables: int = 12, *, window: HourWindow = HOUR) -> None:
    """Two batches of each flow, queries of the hour three."""
    given: dict[Flow, list[Record]] = {
        "catalog_snapshot": entries(tables),
        "observations": measured(tables),
        "query_logs": queries(25, window=window),
    }
    for flow, records in given.items():
        bench.collect(flow, records, window=window)
        bench.push_one(flow, window=window)


def api_of(gateway: Gateway, *, max_calls: int = 100) -> ControlPlane:
    config = ApiConfig(
        endpoint=f"{gateway.url}{GRAPHQL_PATH}",
        key_id=gateway.connection.api_id,
        key_secret=gateway.connection.api_token,
        max_calls=max_calls,
    )
    return ControlPlane(config)


def verified(
    bench: Bench, *, gateway: Gateway | None = None, sample: int = 2, max_calls: int = 100
) -> list[Finding]:
    now, destination = bench.clock.now(), bench.config.destination
    receipts = receipts_of(
        bench.store,
        destination,
        bench.config.naming,
        since=now - timedelta(hours=26),
        sample=sample,
    )
    api = api_of(gateway or bench.gateway, max_calls=max_calls)
    verifier = Verifier(api, bench.store, destination.resource_uuid, now=now)
    return list(verifier.findings(receipts, sample=sample))


def counts(findings: list[Finding]) -> dict[tuple[str, str], int]:
    told = [(finding.subject, finding.verdict) for finding in findings]
    return {key: told.count(key) for key in sorted(set(told))}


def wrong(findings: list[Finding]) -> list[tuple[str, str, str, str]]:
    return [
        (one.subject, one.about, one.verdict, one.difference or "")
        for one in findings
        if one.verdict != "seen"
    ]


def altered(bench: Bench, nth: int, document: documents.Document, change: Any) -> None:
    """The nth question is answered otherwise: ``change`` edits the honest answer to ``document``."""
    uuid = bench.gateway.resource_uuid
    data = dict(api_of(bench.gateway).ask(document, dw=uuid))
    change(data)
    text = json.dumps({"data": data})
    bench.gateway.rule(answers(200, text), path=GRAPHQL_PATH, nth=nth)


def test_everything_that_was_pushed_is_seen_for_few_questions(bench: Bench) -> None:
    push_all(bench)
    asked_before = len(bench.gateway.requests)
    assert counts(verified(bench)) == {
        ("fields", "seen"): 2,
        ("freshness", "seen"): 2,
        ("push events", "seen"): 2,
        ("query", "seen"): 2,
        ("table", "seen"): 12,
        ("volume", "seen"): 2,
    }
    warehouses, tables, details, looked_up = 1, 1, 2 * 2, 2
    asked = len(bench.gateway.requests) - asked_before
    assert asked == warehouses + tables + details + looked_up


def test_rule_41_what_never_arrived_is_not_yet_and_then_missing(bench: Bench) -> None:
    push_all(bench)
    uuid = bench.gateway.resource_uuid
    key = Key(id="k", secret="s", scope="Ingestion", warehouse_uuids=(uuid,))
    with Gateway(keys=[key]) as empty:
        told: dict[int, dict[tuple[str, str], int]] = {}
        for minutes in (5, 10, 50):
            bench.clock.advance(minutes=minutes)
            told[minutes] = counts(verified(bench, gateway=empty))
    late = {("push events", "missing"): 1, ("push events", "not yet"): 1}
    assert told[5] == {
        ("push events", "not yet"): 2,
        ("query", "not yet"): 2,
        ("table", "not yet"): 12,
    }
    assert told[10] == {**late, ("query", "not yet"): 2, ("table", "missing"): 12}
    assert told[50] == {
        ("push events", "missing"): 2,
        ("query", "missing"): 2,
        ("table", "missing"): 12,
    }


def test_a_table_that_somebody_deleted_there_is_missing_alone(bench: Bench) -> None:
    push_all(bench)
    bench.clock.advance(minutes=20)
    (gone,) = [
        edge["node"]["mcon"]
        for edge in tables_of(bench)["edges"]
        if edge["node"]["fullTableId"] == "sales:default.t003"
    ]
    api_of(bench.gateway).ask(documents.DROP_TABLES, m=[gone])
    ((subject, about, verdict, difference),) = wrong(verified(bench))
    assert (subject, about, verdict) == ("table", "sales:default.t003", "missing")
    invocation = bench.gateway.events("metadata")[3].invocation_id
    assert difference == f"accepted 2026-11-21 10:20:00 as {invocation}, not shown"


def tables_of(bench: Bench) -> Any:
    uuid = bench.gateway.resource_uuid
    return api_of(bench.gateway).ask(documents.TABLES, dw=uuid)["getTables"]


def test_a_table_that_somebody_else_pushed_since_is_different(bench: Bench) -> None:
    push_all(bench)
    bench.clock.advance(minutes=20)
    metadata = {"name": "t001", "database": "sales", "schema": "default"}
    resource = {"uuid": bench.gateway.resource_uuid, "resource_type": "spark"}
    answer = requests.post(
        f"{bench.gateway.url}/ingest/v1/metadata",
        json={
            "event_type": "METADATA",
            "resource": resource,
            "events": [{"relational_asset": {"type": "TABLE", "metadata": metadata}}],
        },
        headers={"x-mcd-id": bench.gateway.key_id, "x-mcd-token": bench.gateway.key_secret},
        timeout=10,
    )
    ((subject, about, verdict, difference),) = wrong(verified(bench))
    assert (subject, about, verdict) == ("table", "sales:default.t001", "different")
    assert difference.endswith(f"shown with {answer.json()['invocation_id']}")


def test_a_table_is_seen_where_its_invocation_finds_it_whatever_id_it_shows(bench: Bench) -> None:
    push_all(bench)
    bench.collect("catalog_snapshot", entries(12, comment="new"), window=HOUR.next)
    bench.clock.advance(hours=1)
    bench.push_one("catalog_snapshot", window=HOUR.next)

    def forget(data: Any) -> None:
        for edge in data["getTables"]["edges"]:
            edge["node"]["ingestInvocationId"] = None

    altered(bench, 2, documents.TABLES, forget)
    bench.clock.advance(minutes=30)
    found = verified(bench, sample=0)
    assert counts(found)[("table", "seen")] == 12
    assert wrong(found) == []


def test_a_dropped_table_need_not_be_seen(bench: Bench) -> None:
    push_all(bench)
    bench.clock.advance(hours=1)
    bench.collect("catalog_snapshot", entries(11), window=HOUR.next)
    assert counts(verified(bench, sample=0))[("table", "seen")] == 11


SHOWN_FIELDS = {
    "getTable": {
        "versions": {
            "edges": [
                {
                    "node": {
                        "versionId": "v",
                        "timestamp": "2026-11-21T10:00:00Z",
                        "fields": {
                            "edges": [
                                {"node": {"name": "ID", "fieldType": "string"}},
                                {"node": {"name": "extra", "fieldType": "INT"}},
                            ]
                        },
                    }
                }
            ]
        }
    }
}
POINT = {"value": 7.0, "measurementTimestamp": "2026-11-21T10:20:00Z"}


@pytest.mark.parametrize(
    ("nth", "data", "says"),
    [
        (
            3,
            SHOWN_FIELDS,
            ("fields", "different", "not pushed: extra; id is string, pushed bigint"),
        ),
        (3, {"getTable": None}, ("fields", "missing", "no fields are shown")),
        (
            4,
            {"getMetricsV4": {"metrics": [POINT]}},
            ("volume", "different", "shown 7 since"),
        ),
        (4, {"getMetricsV4": {"metrics": []}}, ("volume", "missing", "nothing shown since")),
        (5, {"getQueryById": None}, ("query", "missing", "not found")),
    ],
)
def test_what_differs_in_detail_is_told(
    bench: Bench, nth: int, data: object, says: tuple[str, str, str]
) -> None:
    push_all(bench)
    bench.clock.advance(hours=2)
    bench.gateway.rule(answers(200, json.dumps({"data": data})), path=GRAPHQL_PATH, nth=nth)
    ((subject, _, verdict, difference),) = wrong(verified(bench, sample=1))
    assert (subject, verdict) == says[:2]
    assert difference.endswith(says[2])


@pytest.mark.parametrize(
    ("shown", "verdict"), [(None, "missing"), ("2026-11-21T09:04:59Z", "different")]
)
def test_an_older_freshness_is_told(bench: Bench, shown: str | None, verdict: str) -> None:
    push_all(bench)

    def change(data: Any) -> None:
        data["getTables"]["edges"][0]["node"]["lastUpdatedOn"] = shown

    altered(bench, 2, documents.TABLES, change)
    bench.clock.advance(hours=2)
    ((subject, about, told, _),) = wrong(verified(bench, sample=1))
    assert (subject, about, told) == ("freshness", "sales:default.t000", verdict)


def test_kinds_of_push_whose_last_receipt_is_older_are_different(bench: Bench) -> None:
    push_all(bench)

    def change(data: Any) -> None:
        for event in data["getWarehouses"][0]["pushEvents"]:
            event |= {"lastReceived": "2026-11-20T00:00:00+00:00", "lastInvocationId": "other"}

    data = dict(api_of(bench.gateway).ask(documents.WAREHOUSES))
    change(data)
    text = json.dumps({"data": data})
    bench.gateway.rule(answers(200, text), path=GRAPHQL_PATH, nth=1)
    bench.clock.advance(hours=2)
    found = wrong(verified(bench))
    assert [(one[0], one[1], one[2]) for one in found] == [
        ("push events", "METADATA", "different"),
        ("push events", "QUERY_LOGS", "different"),
    ]


def test_rule_41_the_budget_of_calls_is_kept(bench: Bench) -> None:
    push_all(bench)
    before = len(bench.gateway.requests)
    with pytest.raises(ControlPlaneError, match="3 calls are the budget"):
        verified(bench, max_calls=3)
    assert len(bench.gateway.requests) == before + 3


def test_a_warehouse_that_the_key_does_not_see_is_named(bench: Bench) -> None:
    push_all(bench)
    with (
        Gateway() as other,
        pytest.raises(SettingsError, match=f"shows no warehouse {bench.gateway.resource_uuid}"),
    ):
        verified(bench, gateway=other)


def test_a_field_that_is_gone_from_an_answer_is_an_error_and_no_absence(bench: Bench) -> None:
    push_all(bench)
    bench.gateway.rule(answers(200, '{"data": {"getWarehouses": [{}]}}'), path=GRAPHQL_PATH)
    with pytest.raises(ControlPlaneError, match="Warehouses has no isDeleted"):
        verified(bench)


@pytest.fixture
def command(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """A bench in the present, and an environment that leads to it."""
    for name, value in {
        "MCD_ID": bench.gateway.connection.api_id,
        "MCD_TOKEN": bench.gateway.connection.api_token,
        "MCD_GRAPHQL_ENDPOINT": f"{bench.gateway.url}{GRAPHQL_PATH}",
        "MCD_INGEST_ENDPOINT": bench.gateway.url,
        "MCD_RESOURCE_UUID": bench.gateway.resource_uuid,
        "IOMETE_MC_MANIFESTS": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    bench.clock.instant = real_clock.now()
    return bench


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["verify", *words])


def test_the_command_ends_with_0_when_all_is_seen_and_tells_programs_everything(
    command: Bench,
) -> None:
    push_all(command, window=HourWindow.newest_closed(command.clock.now()))
    result = run()
    assert result.exit_code == 0, result.output
    assert "3 calls are the budget" in run("--max-calls", "3").output
    told = json.loads(run("--json").stdout)
    assert {one["verdict"] for one in told} == {"seen"}
    assert sum(one["subject"] == "table" for one in told) == 12


SPENT = answers(429, '{"errors": [{"message": "slow down"}]}', retry_after=40)


@pytest.mark.parametrize("how", ["budget", "429"])
def test_what_was_found_before_it_broke_off_is_told_and_what_was_not_asked(
    command: Bench, how: str
) -> None:
    command.clock.advance(minutes=-30)
    push_all(command, window=HourWindow.newest_closed(command.clock.now()))
    mcons = [edge["node"]["mcon"] for edge in tables_of(command)["edges"]]
    api_of(command.gateway).ask(documents.DROP_TABLES, m=mcons[:1])
    words = ("--max-calls", "3") if how == "budget" else ()
    for form in ((), ("--json",)):
        if how == "429":
            command.gateway.rule(SPENT, path=GRAPHQL_PATH, nth=4)
        result = run(*words, *form)
        assert result.exit_code == 1
        left = "not all fields, volume and freshness of sampled tables, and not at all: queries"
        assert left in result.stderr
        reason = "3 calls are the budget" if how == "budget" else "Ask again in 40 s, as it says"
        assert reason in result.stderr
        if form:
            told = json.loads(result.stdout)
            assert sum(one["subject"] == "table" for one in told) == 12
        else:
            assert "missing: table sales:default.t000" in result.stdout


def test_the_command_ends_with_3_while_something_is_not_there_yet(
    command: Bench,
) -> None:
    push_all(command, window=HourWindow.newest_closed(command.clock.now()))
    mcons = [edge["node"]["mcon"] for edge in tables_of(command)["edges"]]
    api_of(command.gateway).ask(documents.DROP_TABLES, m=mcons[:1])
    early = run()
    assert early.exit_code == 3, early.output
    assert "not yet: table sales:default.t000: accepted" in early.output


def test_the_command_ends_with_1_when_something_is_missing(command: Bench) -> None:
    command.clock.advance(minutes=-30)
    push_all(command, window=HourWindow.newest_closed(command.clock.now()))
    mcons = [edge["node"]["mcon"] for edge in tables_of(command)["edges"]]
    api_of(command.gateway).ask(documents.DROP_TABLES, m=mcons[:1])
    late = run()
    assert late.exit_code == 1, late.output
    assert "missing: table sales:default.t000" in late.output


def test_where_nothing_was_accepted_there_is_nothing_to_verify(command: Bench) -> None:
    result = run()
    assert result.exit_code == 1
    assert "so there is nothing to verify" in result.output
    assert command.gateway.requests == ()


def push_lineage(bench: Bench) -> None:
    """Two tables feed ``facts``, one of them column by column; accepted at 10:35."""
    bench.know("orders", "users", "facts")
    edges: list[Record] = [
        table_edge("users", "facts"),
        column_edge("orders", "id", "facts", "order_id"),
        column_edge("orders", "id", "facts", "first_id"),
    ]
    bench.collect("lineage", edges)
    assert bench.push_one("lineage").counts == {"accepted": 3}


def of_lineage(findings: list[Finding]) -> list[tuple[str, str, str, str]]:
    return [
        (one.subject, one.about, one.verdict, one.difference or "")
        for one in findings
        if "lineage" in one.subject or one.about == "LINEAGE"
    ]


FACTS, ORDERS_ID = "sales:default.facts", "sales:default.orders.id"


def test_lineage_that_was_pushed_is_seen_for_a_call_a_table_and_a_column(bench: Bench) -> None:
    push_lineage(bench)
    found = verified(bench, sample=0)
    assert of_lineage(found) == [("push events", "LINEAGE", "seen", "")]
    before = len(bench.gateway.requests)
    assert of_lineage(verified(bench, sample=3)) == [
        ("push events", "LINEAGE", "seen", ""),
        ("lineage", FACTS, "seen", ""),
        ("column lineage", ORDERS_ID, "seen", ""),
    ]
    warehouses, tables, fields, edges = 1, 1, 3, 2
    assert len(bench.gateway.requests) - before == warehouses + tables + fields + edges


@pytest.mark.parametrize("minutes", [14, 15])
def test_lineage_that_is_not_shown_is_not_yet_and_then_missing(bench: Bench, minutes: int) -> None:
    push_lineage(bench)
    nothing = '{"data": {"getTableLineage": {"connectedNodes": [], "flattenedEdges": []}}}'
    none_fed = (
        '{"data": {"getDerivedTablesPartialLineage": '
        '{"destinations": [], "isLastPage": true, "cursor": null}}}'
    )
    bench.clock.advance(minutes=minutes)
    bench.gateway.rule(answers(200, nothing), path=GRAPHQL_PATH, nth=4)
    bench.gateway.rule(answers(200, none_fed), path=GRAPHQL_PATH, nth=5)
    verdict = "missing" if minutes == 15 else "not yet"
    assert of_lineage(verified(bench, sample=1))[1:] == [
        (
            "lineage",
            FACTS,
            verdict,
            "accepted 2026-11-21 10:35:00, not upstream: sales:default.orders, sales:default.users",
        ),
        (
            "column lineage",
            ORDERS_ID,
            verdict,
            "accepted 2026-11-21 10:35:00, not fed: sales:default.facts.first_id, sales:default.facts.order_id",
        ),
    ]


def test_lineage_of_which_a_part_is_shown_is_different(bench: Bench) -> None:
    push_lineage(bench)
    mcons = {
        edge["node"]["fullTableId"]: edge["node"]["mcon"] for edge in tables_of(bench)["edges"]
    }

    def without_users(data: Any) -> None:
        nodes = data["getTableLineage"]["connectedNodes"]
        data["getTableLineage"]["connectedNodes"] = [
            node for node in nodes if node["mcon"] != mcons["sales:default.users"]
        ]

    data: Any = dict(api_of(bench.gateway).ask(documents.LINEAGE, m=mcons[FACTS]))
    without_users(data)
    bench.clock.advance(minutes=15)
    bench.gateway.rule(answers(200, json.dumps({"data": data})), path=GRAPHQL_PATH, nth=4)
    told = of_lineage(verified(bench, sample=1))
    assert told[1] == (
        "lineage",
        FACTS,
        "different",
        "accepted 2026-11-21 10:35:00, not upstream: sales:default.users",
    )
    assert told[2][2] == "seen"


def test_an_edge_that_a_later_hour_brought_along_is_verified_as_its_own(bench: Bench) -> None:
    bench.collect("lineage", [column_edge("orders", "id", "facts", "order_id")])
    assert bench.push_one("lineage").counts == {"pending": 1}
    bench.know("orders", "facts")
    bench.clock.advance(hours=1)
    bench.collect("lineage", [], window=HOUR.next)
    assert bench.push_one("lineage", window=HOUR.next).invocation_ids
    assert of_lineage(verified(bench, sample=1))[1:] == [
        ("lineage", FACTS, "seen", ""),
        ("column lineage", ORDERS_ID, "seen", ""),
    ]


def test_lineage_of_a_dropped_table_need_not_be_seen(bench: Bench) -> None:
    push_lineage(bench)
    bench.collect(
        "catalog_snapshot", [table_entry("orders"), table_entry("facts")], window=HOUR.next
    )
    api_of(bench.gateway).ask(
        documents.DROP_TABLES,
        m=[
            edge["node"]["mcon"]
            for edge in tables_of(bench)["edges"]
            if edge["node"]["fullTableId"] == "sales:default.users"
        ],
    )
    bench.clock.advance(hours=1)
    assert wrong(verified(bench, sample=3)) == []
