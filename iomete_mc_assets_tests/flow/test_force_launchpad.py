"""The launchpad's options of a pushed partition."""

# Dagster types what it runs in part only.
# pyright: reportUnknownMemberType=false

from pathlib import Path

import dagster as dg
import pytest

from iomete_mc_assets.defs.partitions import accepting_beta, hourly
from iomete_mc_assets.defs.pushed import pushed_asset
from iomete_mc_assets.defs.resources import ManifestStoreResource, MonteCarloResource
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets_tests.push_bench import HOUR, Bench, queries

OP = "monte_carlo__query_logs"


@pytest.mark.parametrize(("force", "requests"), [(None, 1), ("none", 1), ("all", 2)])
def test_a_settled_hour_goes_again_when_the_launchpad_says_so_and_by_itself_never(
    gateway: Gateway, tmp_path: Path, instance: dg.DagsterInstance, force: str | None, requests: int
) -> None:
    Bench(gateway, str(tmp_path)).collect("query_logs", queries(5))
    seen = {"IOMETE_MC_MANIFESTS": str(tmp_path), "MCD_INGEST_ENDPOINT": gateway.url}
    resources = {
        "manifests": ManifestStoreResource(options=seen),
        "monte_carlo": MonteCarloResource(
            key_id=gateway.key_id,
            key_secret=gateway.key_secret,
            resource_uuid=gateway.resource_uuid,
            options=seen,
        ),
    }
    with accepting_beta():
        asset = pushed_asset("query_logs", hourly(HOUR.previous.start))
    asked = {} if force is None else {"ops": {OP: {"config": {"force": force}}}}
    for config in ({}, asked):
        assert dg.materialize(
            [asset],
            partition_key=HOUR.key,
            resources=resources,
            run_config=config,
            instance=instance,
        ).success
    assert len(gateway.requests) == requests
