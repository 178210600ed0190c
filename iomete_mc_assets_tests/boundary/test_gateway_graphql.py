"""The gateway's GraphQL through real pycarlo: what was accepted comes back, what the sandbox lacks is named."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (the dicts that pycarlo takes and gives have no item types)
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import requests
from pycarlo.common.errors import GqlError
from pycarlo.core import Client, Session

from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_connection import Key
from iomete_mc_assets.sandbox.gateway_faults import answers
from iomete_mc_assets.sandbox.gateway_graphql import GRAPHQL_PATH
from iomete_mc_assets.sandbox.gateway_setup import STALE_AFTER

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
OTHER_WAREHOUSE = "11111111-2222-3333-4444-555555555555"
WAREHOUSES = """
query Warehouses{getWarehouses{uuid name connectionType
  pushEvents{eventType status firstReceived lastReceived lastInvocationId}}}"""
BY_INVOCATION = """
query ByInvocation($dw:UUID!,$inv:String!,$first:Int,$after:String){
  getTables(dwId:$dw,ingestInvocationId:$inv,isDeleted:false,first:$first,after:$after){
    edges{node{mcon fullTableId tableType ingestType ingestInvocationId}}
    pageInfo{hasNextPage endCursor}}}"""
BY_NAME = """
query ByName($id:String!,$dw:UUID!){getTables(dwId:$dw,fullTableId:$id,isDeleted:false,first:2){
  edges{node{mcon fullTableId friendlyName tableType isDeleted lastObserved lastUpdatedOn
             ingestType ingestInvocationId}}}}"""


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.instant = NOON

    def __call__(self) -> datetime:
        return self.instant


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gateway(clock: Clock) -> Iterator[Gateway]:
    other = Key(id="o", secret="s", scope="Ingestion", warehouse_uuids=(OTHER_WAREHOUSE,))
    with Gateway(keys=[other], now=clock) as running:
        yield running


def asked(gateway: Gateway, document: str, **variables: object) -> dict[str, Any]:
    """Data as pycarlo's client gives it, with its snake-case names."""
    session = Session(mcd_id=gateway.connection.api_id, mcd_token=gateway.connection.api_token)
    session.endpoint = f"{gateway.url}{GRAPHQL_PATH}"
    answer = Client(session)(document, variables)
    return cast("dict[str, Any]", cast("Any", answer).to_dict())


def posted(gateway: Gateway, content: object, **headers: str) -> requests.Response:
    keys = {"x-mcd-id": gateway.connection.api_id, "x-mcd-token": gateway.connection.api_token}
    return requests.post(
        f"{gateway.url}{GRAPHQL_PATH}",
        data=content if isinstance(content, bytes) else json.dumps(content),
        headers={**keys, **headers},
        timeout=10,
    )


def pushed(gateway: Gateway, *names: str, **blocks: dict[str, str | int]) -> str:
    """Push tables, and the invocation id."""
    events = [
        {
            "relational_asset": {
                "type": "TABLE",
                "metadata": {"name": name, "database": "Sales", "schema": "default"},
                **blocks,
            }
        }
        for name in names
    ]
    payload = {
        "event_type": "METADATA",
        "resource": {"uuid": gateway.resource_uuid, "resource_type": "spark"},
        "events": events,
    }
    answer = requests.post(
        f"{gateway.url}/ingest/v1/metadata",
        json=payload,
        headers={"x-mcd-id": gateway.key_id, "x-mcd-token": gateway.key_secret},
        timeout=10,
    )
    return answer.json()["invocation_id"]


def test_warehouses_tell_which_pushes_arrived_and_how_long_ago(
    gateway: Gateway, clock: Clock
) -> None:
    pushed(gateway, "orders")
    clock.instant = NOON + timedelta(hours=1)
    last = pushed(gateway, "orders")
    own, other = asked(gateway, WAREHOUSES)["get_warehouses"]
    assert (own["uuid"], other["uuid"]) == (gateway.resource_uuid, OTHER_WAREHOUSE)
    assert own["connection_type"] == "CUSTOM_INTEGRATION"
    assert own["push_events"][0] == {
        "event_type": "METADATA",
        "status": "ACTIVE",
        "first_received": NOON.isoformat(),
        "last_received": clock.instant.isoformat(),
        "last_invocation_id": last,
    }
    rest = [*own["push_events"][1:], *other["push_events"]]
    assert [event["event_type"] for event in own["push_events"]] == [
        "METADATA",
        "LINEAGE",
        "QUERY_LOGS",
    ]
    assert {event["status"] for event in rest} == {"NEVER_RECEIVED"}
    assert {event["last_invocation_id"] for event in rest} == {None}
    clock.instant += STALE_AFTER + timedelta(seconds=1)
    own, _ = asked(gateway, WAREHOUSES)["get_warehouses"]
    assert own["push_events"][0]["status"] == "STALE"


def test_tables_of_an_invocation_come_page_by_page(gateway: Gateway) -> None:
    names = [f"t{number}" for number in range(5)]
    invocation = pushed(gateway, *names)
    pushed(gateway, "unrelated")
    seen: list[str] = []
    after: str | None = None
    pages = 0
    while pages == 0 or after is not None:
        found = asked(
            gateway,
            BY_INVOCATION,
            dw=gateway.resource_uuid,
            inv=invocation,
            first=2,
            after=after,
        )["get_tables"]
        seen += [edge["node"]["full_table_id"] for edge in found["edges"]]
        info = found["page_info"]
        after = info["end_cursor"] if info["has_next_page"] else None
        pages += 1
    assert (pages, seen) == (3, [f"Sales:default.{name}" for name in names])


def test_a_table_shows_what_the_newest_pushes_said_of_it(gateway: Gateway, clock: Clock) -> None:
    changed_at = "2026-11-21T10:00:00Z"
    pushed(gateway, "orders", freshness={"last_update_time": changed_at})
    clock.instant = NOON + timedelta(hours=1)
    last = pushed(gateway, "orders", volume={"row_count": 1})
    found = asked(gateway, BY_NAME, dw=gateway.resource_uuid, id="sales:default.orders")
    (edge,) = found["get_tables"]["edges"]
    node = edge["node"]
    mcon = node.pop("mcon").split("++")
    assert [mcon[0], *mcon[2:]] == ["MCON", gateway.resource_uuid, "table", "Sales:default.orders"]
    assert node == {
        "full_table_id": "Sales:default.orders",
        "friendly_name": "orders",
        "table_type": "table",
        "is_deleted": False,
        "last_observed": clock.instant.isoformat(),
        "last_updated_on": changed_at,
        "ingest_type": "push",
        "ingest_invocation_id": last,
    }


def test_an_invocation_that_was_overtaken_finds_no_table(gateway: Gateway) -> None:
    first = pushed(gateway, "orders")
    pushed(gateway, "orders")
    found = asked(gateway, BY_INVOCATION, dw=gateway.resource_uuid, inv=first)
    assert found["get_tables"]["edges"] == []


def test_another_warehouse_has_other_tables(gateway: Gateway) -> None:
    invocation = pushed(gateway, "orders")
    found = asked(gateway, BY_INVOCATION, dw=OTHER_WAREHOUSE, inv=invocation)
    assert found["get_tables"]["edges"] == []


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{getAlerts{edges{node{id}}}}", "has no operation getAlerts; it has createIntegrationKey"),
        (
            'mutation{deleteEtlJobsV3(mcons:["m"]){jobs{id}}}',
            "has no operation deleteEtlJobsV3",
        ),
        ('{getTables(search:"x"){edges{node{mcon}}}}', "getTables does not take search"),
        ("{getWarehouses{account{uuid}}}", "does not know Warehouse.account"),
        ('{getTables(after:"x"){edges{node{mcon}}}}', "is no cursor of ours"),
        ("{getTables(first:-1){edges{node{mcon}}}}", "first must not be negative"),
    ],
)
def test_what_the_sandbox_lacks_is_an_error_that_names_it(
    gateway: Gateway, document: str, message: str
) -> None:
    answer = posted(gateway, {"query": document})
    assert answer.status_code == 200
    assert message in answer.json()["errors"][0]["message"]


def test_an_operation_the_sandbox_lacks_fails_in_pycarlo(gateway: Gateway) -> None:
    with pytest.raises(GqlError, match="has no operation getAlerts"):
        asked(gateway, "{getAlerts{edges{node{id}}}}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"query": "{getTable(mcon:1){displayName}}"}, "displayName"),
        ({"query": "{"}, "Syntax Error"),
        ({"query": 1}, "must be JSON with a query"),
        ({"query": "{getWarehouses{uuid}}", "variables": []}, "must be JSON with a query"),
        ([], "must be JSON with a query"),
        (b"{", "must be JSON with a query"),
    ],
)
def test_what_does_not_fit_monte_carlos_schema_is_a_400(
    gateway: Gateway, content: object, message: str
) -> None:
    answer = posted(gateway, content)
    assert answer.status_code == 400
    assert message in json.dumps(answer.json()["errors"])


def test_only_an_api_key_may_ask(gateway: Gateway) -> None:
    question = {"query": "{getWarehouses{uuid}}"}
    wrong = posted(gateway, question, **{"x-mcd-token": "wrong"})
    ingestion = posted(
        gateway, question, **{"x-mcd-id": gateway.key_id, "x-mcd-token": gateway.key_secret}
    )
    assert (wrong.status_code, ingestion.status_code) == (401, 403)
    assert "scope" in ingestion.json()["errors"][0]["message"]


def test_graphql_takes_posts_and_faults(gateway: Gateway) -> None:
    gateway.script(answers(500))
    gateway.rule(answers(503), path=GRAPHQL_PATH, nth=2)
    question = {"query": "{getWarehouses{uuid}}"}
    assert [posted(gateway, question).status_code for _ in range(3)] == [200, 503, 200]
    assert requests.get(f"{gateway.url}{GRAPHQL_PATH}", timeout=10).status_code == 405
    assert gateway.unused_faults == 1
