"""The gateway's set-up and look-ups through our own client: keys that really push, tables as they were really pushed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from iomete_mc_assets.errors import ApiUnavailable, OperationRefused
from iomete_mc_assets.montecarlo import documents
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_faults import accept_then_cut, answers
from iomete_mc_assets.sandbox.gateway_graphql import GRAPHQL_PATH
from iomete_mc_assets_tests.gateway_questions import ask, asset, listed, push

URL = "https://lake.example/data-plane/p/lakehouse/c"


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as running:
        yield running


def credentials_of(gateway: Gateway, password: str = "s3cret") -> str:
    collector = gateway.control.collector
    answer = ask(gateway, documents.TEST_SPARK, u=URL, n="mc", p=password, dc=collector)
    assert answer["success"] is True
    return answer["key"]


def collecting(gateway: Gateway, credentials: str) -> dict[str, str]:
    return {
        "mode": "COLLECT",
        "connectionType": "spark",
        "credentialsKey": credentials,
        "deploymentId": gateway.control.collector,
    }


def integrated(gateway: Gateway, **variables: object) -> str:
    return ask(gateway, documents.PUT_INTEGRATION, **variables)["result"]["warehouseUuid"]


def shown(gateway: Gateway, uuid: str) -> dict[str, Any]:
    (found,) = [one for one in ask(gateway, documents.WAREHOUSES) if one["uuid"] == uuid]
    return found


def test_credentials_reach_the_gateway_and_their_password_no_disk(tmp_path: Path) -> None:
    with Gateway(tmp_path) as gateway:
        credentials_of(gateway)
        (credentials,) = gateway.control.credentials
        assert (credentials.url, credentials.username, credentials.password) == (
            URL,
            "mc",
            "s3cret",
        )
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"s3cret" not in written


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"u": "thrift://lake.example:10000"}, "httpMode.url"),
        ({"n": ""}, "username"),
        ({"dc": "11111111-2222-3333-4444-555555555555"}, "no data collector"),
    ],
)
def test_credentials_that_cannot_be_used_are_refused(
    gateway: Gateway, change: dict[str, str], says: str
) -> None:
    given = {"u": URL, "n": "mc", "p": "s3cret", "dc": gateway.control.collector, **change}
    with pytest.raises(OperationRefused, match=says):
        ask(gateway, documents.TEST_SPARK, **given)
    assert gateway.control.credentials == ()


def test_an_integration_is_made_from_tested_credentials_and_updated_in_place(
    gateway: Gateway,
) -> None:
    monitors = collecting(gateway, credentials_of(gateway))
    uuid = integrated(gateway, n="lake", monitors=monitors)
    found = shown(gateway, uuid)
    assert (found["name"], found["connectionType"]) == ("lake", "CUSTOM_INTEGRATION")
    assert [(one["type"], one["jobTypes"]) for one in found["connections"]] == [
        ("SPARK", ["sql_query"])
    ]
    assert integrated(gateway, w=uuid, metadata={"mode": "PUSH"}) == uuid
    assert shown(gateway, uuid)["connections"] == found["connections"]
    with pytest.raises(OperationRefused, match="no such credentials key"):
        integrated(gateway, n="other", monitors=collecting(gateway, "made up"))
    with pytest.raises(OperationRefused, match="name is required"):
        integrated(gateway)
    with pytest.raises(OperationRefused, match="no warehouse 1111"):
        integrated(gateway, w="11111111-2222-3333-4444-555555555555")


def test_a_new_key_pushes_to_its_warehouse_alone_and_a_deleted_one_nowhere(
    gateway: Gateway,
) -> None:
    elsewhere = integrated(
        gateway, n="other", monitors=collecting(gateway, credentials_of(gateway))
    )
    key = ask(gateway, documents.CREATE_KEY, d="ours", w=[gateway.resource_uuid])["key"]
    foreign = ask(gateway, documents.CREATE_KEY, d="theirs", w=[elsewhere])["key"]
    assert push(gateway, asset("orders"), key=key) == 202
    assert push(gateway, asset("orders"), key=foreign) == 403
    keys = {one["id"]: one for one in ask(gateway, documents.KEYS)}
    assert keys[key["id"]]["description"] == "ours"
    assert [one["uuid"] for one in keys[key["id"]]["warehouses"]] == [gateway.resource_uuid]
    assert key["secret"] not in str(keys)
    assert ask(gateway, documents.DELETE_KEY, id=key["id"]) == {"deleted": True}
    assert ask(gateway, documents.DELETE_KEY, id=key["id"]) == {"deleted": False}
    assert push(gateway, asset("orders"), key=key) == 401
    assert key["id"] not in {one["id"] for one in ask(gateway, documents.KEYS)}


def test_what_was_set_up_outlives_a_restart(tmp_path: Path) -> None:
    with Gateway(tmp_path) as gateway:
        uuid = integrated(gateway, n="lake", monitors=collecting(gateway, credentials_of(gateway)))
        key = ask(gateway, documents.CREATE_KEY, d="ours", w=[gateway.resource_uuid])["key"]
        gone = ask(gateway, documents.CREATE_KEY, d="gone", w=[uuid])["key"]
        ask(gateway, documents.DELETE_KEY, id=gone["id"])
        push(gateway, asset("orders"))
        ask(gateway, documents.DROP_TABLES, m=list(listed(gateway).values()))
        collector = gateway.control.collector
    with Gateway(tmp_path) as gateway:
        assert shown(gateway, uuid)["name"] == "lake"
        assert gateway.control.collector == collector
        assert listed(gateway) == {}
        assert push(gateway, asset("orders"), key=key) == 202
        assert push(gateway, asset("orders"), key=gone) == 401


def test_a_table_shows_the_fields_that_were_pushed(gateway: Gateway) -> None:
    fields = [{"name": f"c{number}", "type": "BIGINT"} for number in range(3)]
    push(gateway, asset("orders", fields=fields))
    push(gateway, asset("orders", volume={"row_count": 1}))
    mcon = listed(gateway)["sales:default.orders"]
    (version,) = ask(gateway, documents.FIELDS, m=mcon)["versions"]["edges"]
    nodes = [edge["node"] for edge in version["node"]["fields"]["edges"]]
    assert [(node["name"], node["fieldType"]) for node in nodes] == [
        ("c0", "BIGINT"),
        ("c1", "BIGINT"),
        ("c2", "BIGINT"),
    ]
    assert ask(gateway, documents.FIELDS, m="MCON++never++pushed") is None


def test_metrics_and_detectors_come_from_pushed_volumes(gateway: Gateway) -> None:
    for rows in (3, 0):
        push(gateway, asset("orders", volume={"row_count": rows, "byte_count": 9}))
    push(gateway, asset("other", volume={"row_count": 5}))
    mcon = listed(gateway)["sales:default.orders"]

    def values(name: str, start: str = "2026-01-01T00:00:00Z") -> list[float]:
        found = ask(gateway, documents.METRICS, n=name, s=start, f={"mcon": mcon})
        return [one["value"] for one in found["metrics"]]

    assert values("total_row_count") == [3, 0]
    assert values("total_byte_count") == [9, 9]
    assert values("total_row_count", start="2999-01-01T00:00:00Z") == []
    with pytest.raises(OperationRefused, match="no metric last_updated_on"):
        values("last_updated_on")
    thresholds = ask(gateway, documents.DETECTORS, m=mcon)["thresholds"]
    assert thresholds["freshness"] == {"status": "INACTIVE", "reason": "0 of 7 samples"}
    assert thresholds["size"]["sdStatus"] == "TRAINING"


def test_a_query_is_found_by_its_id_and_time(gateway: Gateway) -> None:
    entry = {
        "start_time": "2026-11-21T09:00:00Z",
        "end_time": "2026-11-21T09:00:05Z",
        "query_text": "SELECT 1",
        "query_id": "q1",
        "error_code": "FAILED",
    }
    resource = {"uuid": gateway.resource_uuid, "log_type": "databricks-metastore-sql-warehouse"}
    answer = requests.post(
        f"{gateway.url}/ingest/v1/querylogs",
        json={"event_type": "QUERY_LOG", "resource": resource, "events": [entry]},
        headers={"x-mcd-id": gateway.key_id, "x-mcd-token": gateway.key_secret},
        timeout=10,
    )
    assert answer.status_code == 202
    (found,) = ask(gateway, documents.QUERY, id="q1", ts="2026-11-21T09:00:00Z")
    assert (found["queryId"], found["errorCode"]) == ("q1", "FAILED")
    assert ask(gateway, documents.QUERY, id="q1", ts="2026-11-21T10:00:00Z") == []
    assert ask(gateway, documents.QUERY, id="q2", ts="2026-11-21T09:00:00Z") == []


def test_tables_are_deleted_all_or_none_and_come_back_when_pushed_again(gateway: Gateway) -> None:
    push(gateway, asset("orders"), asset("items"))
    mcons = listed(gateway)
    with pytest.raises(OperationRefused, match="none was deleted"):
        ask(gateway, documents.DROP_TABLES, m=[*mcons.values(), "MCON++x"])
    assert listed(gateway) == mcons
    with pytest.raises(OperationRefused, match="at most 1000"):
        ask(gateway, documents.DROP_TABLES, m=[f"m{number}" for number in range(1001)])
    gone = mcons["sales:default.orders"]
    answer = ask(gateway, documents.DROP_TABLES, m=[gone])
    assert answer == {"success": True, "deletedCount": 1}
    assert set(listed(gateway)) == {"sales:default.items"}
    push(gateway, asset("orders"))
    assert listed(gateway) == mcons


def test_a_password_that_monte_carlo_repeats_is_masked(gateway: Gateway) -> None:
    echo = '{"data": null, "errors": [{"message": "cannot log in with hunter2"}]}'
    gateway.rule(answers(200, echo), path=GRAPHQL_PATH)
    with pytest.raises(OperationRefused, match="cannot log in") as caught:
        credentials_of(gateway, password="hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ['{"data": {"createIntegrationKey": {"key": {"secret": "hunter2"', '["hunter2"]']
)
def test_a_broken_answer_that_may_hold_a_new_secret_is_not_shown(
    gateway: Gateway, text: str
) -> None:
    gateway.rule(answers(200, text), path=GRAPHQL_PATH)
    with pytest.raises(ApiUnavailable, match="Nobody knows") as caught:
        ask(gateway, documents.CREATE_KEY, d="ours", w=[gateway.resource_uuid])
    assert "hunter2" not in str(caught.value)
    assert caught.value.unknown


def test_a_change_whose_answer_is_cut_was_made_and_is_unknown(gateway: Gateway) -> None:
    gateway.rule(accept_then_cut, path=GRAPHQL_PATH, nth=1)
    with pytest.raises(ApiUnavailable) as caught:
        ask(gateway, documents.CREATE_KEY, d="ours", w=[gateway.resource_uuid])
    assert caught.value.unknown
    assert "ours" in {one["description"] for one in ask(gateway, documents.KEYS)}
