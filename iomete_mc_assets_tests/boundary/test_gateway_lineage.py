"""The gateway's lineage through our own client: pushed edges as they were pushed, and those made by hand until they expire."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from iomete_mc_assets.errors import OperationRefused
from iomete_mc_assets.montecarlo import documents
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets_tests.gateway_questions import ask, asset, listed, posted, push
from iomete_mc_assets_tests.push_bench import Clock

NEVER = "9999-12-31"


@pytest.fixture
def clock() -> Clock:
    return Clock(instant=datetime(2026, 11, 21, 12, 0, tzinfo=UTC))


@pytest.fixture
def gateway(clock: Clock) -> Iterator[Gateway]:
    with Gateway(now=clock.now) as running:
        yield running


def ref(name: str) -> dict[str, str]:
    parts = {"database": "sales", "schema": "default", "name": name}
    return {"type": "TABLE", "asset_id": name, **parts}


def pushed_edge(gateway: Gateway, source: str, destination: str, **columns: str) -> None:
    """A table edge; with columns (of the destination, by name, from the source) a column edge."""
    fields = [
        {"name": made, "source_fields": [{"asset_id": source, "field_name": of}]}
        for made, of in columns.items()
    ]
    edge = {"destination": ref(destination), "sources": [ref(source)]}
    body = {
        "event_type": "COLUMN_LINEAGE" if fields else "LINEAGE",
        "resource": {"uuid": gateway.resource_uuid, "resource_type": "spark"},
        "events": [{**edge, "fields": fields} if fields else edge],
    }
    assert posted(gateway, "lineage", body).status_code == 202


def near(gateway: Gateway, mcon: str, direction: str = "downstream") -> set[str]:
    """Ids of the neighbours of a node."""
    found = ask(gateway, documents.NEIGHBOURS, m=mcon, d=direction)
    return {one["mcon"].split("++")[-1] for one in found["connectedNodes"]}


def node(gateway: Gateway, object_id: str, expires: str = NEVER) -> str:
    """The MCON of a node that is made by hand."""
    given = {"t": "report", "i": object_id, "r": gateway.resource_uuid, "x": expires}
    return ask(gateway, documents.NODE, **given)["node"]["mcon"]


def end(gateway: Gateway, object_type: str, object_id: str) -> dict[str, str]:
    return {
        "objectType": object_type,
        "objectId": object_id,
        "resourceId": gateway.resource_uuid,
    }


def edge(gateway: Gateway, table: str, report: str, expires: str = NEVER) -> Any:
    """An edge that is made by hand."""
    source = end(gateway, "table", f"sales:default.{table}")
    destination = end(gateway, "report", report)
    return ask(gateway, documents.EDGE, a=source, b=destination, x=expires)["edge"]


def test_a_pushed_edge_shows_in_both_directions_while_its_tables_do(gateway: Gateway) -> None:
    push(gateway, asset("orders"), asset("totals"))
    pushed_edge(gateway, "orders", "totals")
    pushed_edge(gateway, "orders", "never_pushed")
    mcons = listed(gateway)
    orders, totals = mcons["sales:default.orders"], mcons["sales:default.totals"]
    assert near(gateway, orders) == {"sales:default.totals"}
    assert near(gateway, totals, "upstream") == {"sales:default.orders"}
    assert near(gateway, totals) == near(gateway, orders, "upstream") == set()
    found = ask(gateway, documents.LINEAGE, m=totals)
    assert found["flattenedEdges"] == [{"mcon": totals, "directlyConnectedMcons": [orders]}]
    ask(gateway, documents.DROP_TABLES, m=[totals])
    assert near(gateway, orders) == set()


def test_columns_show_what_is_made_of_them_for_ten_days(gateway: Gateway, clock: Clock) -> None:
    fields = [{"name": "Total", "type": "DECIMAL(10,2)"}, {"name": "id", "type": "BIGINT"}]
    push(gateway, asset("orders"), asset("totals", fields=fields), asset("copies"))
    pushed_edge(gateway, "orders", "totals", Total="price", id="id")
    pushed_edge(gateway, "orders", "copies", price="price")
    orders = listed(gateway)["sales:default.orders"]

    def made_of(column: str) -> dict[str, list[tuple[str, str | None]]]:
        found = ask(gateway, documents.COLUMN_LINEAGE, m=orders, c=column)
        return {
            one["displayName"]: [
                (each["columnName"], each["columnType"]) for each in one["columns"]
            ]
            for one in found["destinations"]
        }

    totals, copies = "sales:default.totals", "sales:default.copies"
    assert made_of("price") == {totals: [("Total", "DECIMAL(10,2)")], copies: [("price", None)]}
    assert made_of("id") == {totals: [("id", "BIGINT")]}
    assert made_of("other") == {}
    clock.advance(days=10, seconds=1)
    assert made_of("price") == {}
    assert near(gateway, orders) == {totals, copies}


def test_what_was_made_by_hand_ends_with_its_expiry(gateway: Gateway, clock: Clock) -> None:
    push(gateway, asset("orders"))
    orders = listed(gateway)["sales:default.orders"]
    weekly = node(gateway, "weekly")
    found = ask(gateway, documents.NEIGHBOURS, m=weekly, d="upstream")
    assert found["baseNode"] == {
        "mcon": weekly,
        "displayName": "weekly",
        "isCustom": True,
        "expireAt": NEVER,
    }
    made = edge(gateway, "orders", "weekly", expires=(clock.now() + timedelta(days=1)).isoformat())
    assert made["source"]["mcon"] == orders
    assert near(gateway, orders) == {"weekly"}
    clock.advance(days=1)
    assert near(gateway, orders) == set()
    edge(gateway, "orders", "weekly")
    node(gateway, "brief", expires=(clock.now() + timedelta(days=1)).isoformat())
    edge(gateway, "orders", "brief")
    assert near(gateway, orders) == {"weekly", "brief"}
    clock.advance(days=1)
    assert near(gateway, orders) == {"weekly"}


def test_a_node_without_expiry_lives_seven_days(gateway: Gateway, clock: Clock) -> None:
    document = documents.Document(
        documents.NODE.text.replace("    expireAt: $x\n", "").replace(", $x: DateTime!", "")
    )
    made = ask(gateway, document, t="report", i="weekly", r=gateway.resource_uuid)["node"]
    assert made["expireAt"] == (clock.now() + timedelta(days=7)).isoformat()
    clock.advance(days=7)
    assert ask(gateway, documents.NEIGHBOURS, m=made["mcon"], d="upstream")["baseNode"] is None


def test_a_deleted_node_takes_its_edges_along_over_restarts(tmp_path: Path) -> None:
    with Gateway(tmp_path) as gateway:
        push(gateway, asset("orders"))
        orders = listed(gateway)["sales:default.orders"]
        weekly = node(gateway, "weekly")
        edge(gateway, "orders", "weekly")
    with Gateway(tmp_path) as gateway:
        assert near(gateway, orders) == {"weekly"}
        gone = ask(gateway, documents.DROP_NODE, m=weekly)
        assert gone == {"objectsDeleted": 2, "nodesDeleted": 1, "edgesDeleted": 1}
        assert near(gateway, orders) == set()
        node(gateway, "weekly")
        assert near(gateway, orders) == set()


def test_lineage_that_the_sandbox_cannot_mean_is_refused(gateway: Gateway) -> None:
    push(gateway, asset("orders"))
    orders = listed(gateway)["sales:default.orders"]
    with pytest.raises(OperationRefused, match=r"no lineage node MCON.*weekly"):
        edge(gateway, "orders", "weekly")
    with pytest.raises(OperationRefused, match="no custom lineage node"):
        ask(gateway, documents.DROP_NODE, m=orders)
    with pytest.raises(OperationRefused, match="direction is one of"):
        ask(gateway, documents.NEIGHBOURS, m=orders, d="sideways")
    with pytest.raises(OperationRefused, match="is no instant"):
        node(gateway, "weekly", expires="tomorrow")
    with pytest.raises(OperationRefused, match="a warehouse of this account"):
        ask(
            gateway,
            documents.NODE,
            t="report",
            i="x",
            r="11111111-2222-3333-4444-555555555555",
            x=NEVER,
        )


def test_the_account_is_the_one_that_mcons_name(gateway: Gateway) -> None:
    push(gateway, asset("orders"))
    account = ask(gateway, documents.ACCOUNT)["account"]["uuid"]
    assert listed(gateway)["sales:default.orders"].split("++")[1] == account
