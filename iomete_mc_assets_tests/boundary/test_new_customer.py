"""A new customer's way, command by command: set up, push, verify, drop a table, delete it, verify; repeated, nothing happens twice."""

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from iomete_mc_assets import clock
from iomete_mc_assets.cli.main import main
from iomete_mc_assets.montecarlo.ingest import IngestConfig, PycarloIngest
from iomete_mc_assets.push.config import Destination
from iomete_mc_assets.records import Record
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_graphql import GRAPHQL_PATH
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.push_bench import Bench, entries, observed, queries


def run(*words: str) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def changes(gateway: Gateway) -> int:
    """Mutations and pushes that arrived."""
    return sum(not body.startswith(b'{"query": "query') for body in gateway.bodies)


def test_the_way_of_a_new_customer(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "MCD_ID": gateway.connection.api_id,
        "MCD_TOKEN": gateway.connection.api_token,
        "MCD_GRAPHQL_ENDPOINT": f"{gateway.url}{GRAPHQL_PATH}",
        "MCD_INGEST_ENDPOINT": gateway.url,
        "IOMETE_URL": "https://lake.example/data-plane/p/lakehouse/c",
        "IOMETE_USER": "monte_carlo",
        "IOMETE_TOKEN": "t0ken",
        "IOMETE_MC_MANIFESTS": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    exported = dict(re.findall(r"^export (\w+)=(\S+)$", run("setup", "--yes"), re.MULTILINE))
    for name, value in exported.items():
        monkeypatch.setenv(name, value)

    bench = Bench(gateway, str(tmp_path))
    bench.clock.instant = clock.now()
    bench.configure(
        destination=Destination(
            endpoint=gateway.url, resource_uuid=exported["MCD_RESOURCE_UUID"], naming="guide"
        )
    )
    bench.ingest = PycarloIngest(
        IngestConfig(
            endpoint=gateway.url,
            key_id=exported["MCD_INGEST_ID"],
            key_secret=exported["MCD_INGEST_TOKEN"],
        )
    )
    newest = HourWindow.newest_closed(bench.clock.now())
    first = HourWindow(newest.start - timedelta(hours=2))

    def collected(window: HourWindow, catalog: Sequence[Record]) -> None:
        bench.collect("catalog_snapshot", catalog, window=window)
        bench.push_one("catalog_snapshot", window=window)

    collected(first, entries(3))
    bench.collect("observations", observed(3), window=first)
    bench.push_one("observations", window=first)
    bench.collect("query_logs", queries(5, window=first), window=first)
    bench.push_one("query_logs", window=first)
    run("verify")

    collected(first.next, entries(2))
    collected(newest, entries(2))
    assert "sales:default.t002" in run("tables", "dropped")
    run("tables", "delete", "--execute", "--yes")
    assert "0 dropped tables" in run("tables", "dropped")
    run("verify")

    before = changes(gateway)
    for words in (("setup", "--yes"), ("tables", "delete", "--execute", "--yes"), ("verify",)):
        run(*words)
    assert changes(gateway) == before
