"""A new customer's way over a real lakehouse and the real Monte Carlo: `pytest -m live`, with the variables named below.

It makes (or finds) an integration named "iomete-mc walk", works in a database of its own, and removes that database
and its tables at both ends. The integration and its ingestion key stay.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iomete_mc_assets.montecarlo import answered, documents
from iomete_mc_assets.montecarlo.control_plane import ApiConfig, ControlPlane
from iomete_mc_assets_tests.customer_walk import Customer, walk, walk_again

NEEDED = ("MCD_ID", "MCD_TOKEN", "IOMETE_URL", "IOMETE_USER", "IOMETE_TOKEN")
ALSO = ("MCD_GRAPHQL_ENDPOINT", "MCD_INGEST_ENDPOINT", "IOMETE_CA_FILE", "IOMETE_TLS_VERIFY")
GIVEN = {name: text for name in (*NEEDED, *ALSO) if (text := os.environ.get(name, "").strip())}
"""Read at import: a test sees an environment without any of them."""
MISSING = [name for name in NEEDED if name not in GIVEN]
WITHIN_S = 90 * 60
"""Monte Carlo needs an hour for query logs."""

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(bool(MISSING), reason=f"live tests need {', '.join(MISSING)}"),
]


@pytest.fixture
def customer(tmp_path: Path) -> Iterator[Customer]:
    """One that waits for the service, and leaves nothing behind but its integration."""
    until = time.monotonic() + WITHIN_S

    def patience() -> bool:
        time.sleep(60)  # there is no event to wait for
        return time.monotonic() < until

    customer = Customer(
        environment={
            **GIVEN,
            "IOMETE_MC_MANIFESTS": str(tmp_path / "manifests"),
            "COLUMNS": "250",
        },
        patience=patience,
    )
    try:
        yield customer
    finally:
        with customer.lakehouse.open() as session:
            session.ask(f"DROP DATABASE IF EXISTS {customer.quoted()} CASCADE")
        forget(customer)


def forget(customer: Customer) -> None:
    """Delete the walk's tables at Monte Carlo."""
    warehouse = customer.environment.get("MCD_RESOURCE_UUID")
    if warehouse is None:
        return
    api = ControlPlane(ApiConfig.read(customer.environment))
    left = [one.mcon for one in answered.tables(api, warehouse) if customer.database in one.key]
    if left:
        answered.ask(api, documents.DROP_TABLES, m=left)


def test_the_way_of_a_new_customer(customer: Customer) -> None:
    walk(customer)
    walk_again(customer)
