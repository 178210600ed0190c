"""Questions to a gateway through our own client, and single pushes by hand: what tests of the gateway stand on."""

from typing import Any

import requests

from iomete_mc_assets.montecarlo import documents
from iomete_mc_assets.montecarlo.control_plane import ApiConfig, ControlPlane
from iomete_mc_assets.montecarlo.documents import Document
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_graphql import GRAPHQL_PATH


def ask(gateway: Gateway, document: Document, **variables: object) -> Any:
    config = ApiConfig(
        endpoint=f"{gateway.url}{GRAPHQL_PATH}",
        key_id=gateway.connection.api_id,
        key_secret=gateway.connection.api_token,
    )
    (answer,) = ControlPlane(config).ask(document, **variables).values()
    return answer


def push(gateway: Gateway, *assets: dict[str, Any], key: dict[str, str] | None = None) -> int:
    answer = requests.post(
        f"{gateway.url}/ingest/v1/metadata",
        json={
            "event_type": "METADATA",
            "resource": {"uuid": gateway.resource_uuid, "resource_type": "spark"},
            "events": [{"relational_asset": {"type": "TABLE", **asset}} for asset in assets],
        },
        headers={
            "x-mcd-id": key["id"] if key else gateway.key_id,
            "x-mcd-token": key["secret"] if key else gateway.key_secret,
        },
        timeout=10,
    )
    return answer.status_code


def asset(name: str, **blocks: object) -> dict[str, Any]:
    return {"metadata": {"name": name, "database": "sales", "schema": "default"}, **blocks}


def listed(gateway: Gateway) -> dict[str, str]:
    """MCONs by full table id."""
    found = ask(gateway, documents.TABLES, dw=gateway.resource_uuid)
    return {edge["node"]["fullTableId"]: edge["node"]["mcon"] for edge in found["edges"]}


def posted(gateway: Gateway, path: str, body: dict[str, Any]) -> requests.Response:
    """The answer to a push with the gateway's own ingestion key."""
    return requests.post(
        f"{gateway.url}/ingest/v1/{path}",
        json=body,
        headers={"x-mcd-id": gateway.key_id, "x-mcd-token": gateway.key_secret},
        timeout=10,
    )
