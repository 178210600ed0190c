"""A new customer's way over a real lakehouse and a local Monte Carlo; repeated from the start, nothing changes twice."""

from pathlib import Path

from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_graphql import GRAPHQL_PATH
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.warehouse.connection import Lakehouse
from iomete_mc_assets_tests.customer_walk import Customer, walk, walk_again

DOCTORS_BODY = b"{}"


def changes(gateway: Gateway) -> int:
    """Mutations and pushes that arrived; the doctor's body holds nothing."""
    return sum(
        body != DOCTORS_BODY and not body.startswith(b'{"query": "query') for body in gateway.bodies
    )


def test_the_way_of_a_new_customer(
    gateway: Gateway, sandbox: RunningLakehouse, tmp_path: Path
) -> None:
    customer = Customer(
        environment={
            "MCD_ID": gateway.connection.api_id,
            "MCD_TOKEN": gateway.connection.api_token,
            "MCD_GRAPHQL_ENDPOINT": f"{gateway.url}{GRAPHQL_PATH}",
            "MCD_INGEST_ENDPOINT": gateway.url,
            "IOMETE_URL": sandbox.url,
            "IOMETE_USER": sandbox.user,
            "IOMETE_TOKEN": sandbox.token,
            "IOMETE_MC_MANIFESTS": str(tmp_path / "manifests"),
            "COLUMNS": "250",
        },
        patience=lambda: False,
    )
    try:
        walk(customer)
        before = changes(gateway)
        assert before > 5
        walk_again(customer)
        assert changes(gateway) == before
    finally:
        with Lakehouse.connect(sandbox.config) as session:
            session.ask(f"DROP DATABASE IF EXISTS {customer.quoted()} CASCADE")
