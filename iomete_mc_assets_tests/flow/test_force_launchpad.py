"""The launchpad's options of a pushed partition."""

# Dagster types what it runs in part only.
# pyright: reportUnknownMemberType=false

from pathlib import Path

import dagster as dg
import pytest

from iomete_mc_assets.defs.partitions import accepting_beta, hourly
from iomete_mc_assets.defs.pushed import pushed_asset
from iomete_mc_assets.defs.resources import ManifestStoreResource, MonteCarloResource
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets_tests.push_bench import HOUR, Bench, queries

OP = "monte_carlo__query_logs"


def resources_of(gateway: Gateway, root: Path) -> dict[str, object]:
    seen = {"IOMETE_MC_MANIFESTS": str(root), "MCD_INGEST_ENDPOINT": gateway.url}
    return {
        "manifests": ManifestStoreResource(options=seen),
        "monte_carlo": MonteCarloResource(
            key_id=gateway.key_id,
            key_secret=gateway.key_secret,
            resource_uuid=gateway.resource_uuid,
            options=seen,
        ),
    }


@pytest.mark.parametrize(("force", "requests"), [(None, 1), ("none", 1), ("all", 2)])
def test_a_settled_hour_goes_again_when_the_launchpad_says_so_and_by_itself_never(
    gateway: Gateway, tmp_path: Path, instance: dg.DagsterInstance, force: str | None, requests: int
) -> None:
    Bench(gateway, str(tmp_path)).collect("query_logs", queries(5))
    resources = resources_of(gateway, tmp_path)
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


def test_a_forced_run_that_fails_says_that_its_retry_goes_on_and_what_is_begun(
    gateway: Gateway, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    Bench(gateway, str(tmp_path)).collect("query_logs", queries(5))
    with accepting_beta():
        asset = pushed_asset("query_logs", hourly(HOUR.previous.start))
    failures: list[str] = []
    for force in ("none", "all"):
        result = dg.materialize(
            [asset],
            partition_key=HOUR.key,
            resources=resources_of(gateway, tmp_path),
            run_config={"ops": {OP: {"config": {"force": force}}}},
            instance=instance,
            raise_on_error=False,
        )
        failures += [str(event.event_specific_data) for event in result.get_step_failure_events()]
        gateway.rule(faults.answers(401))
    (failure,) = failures
    assert "A retry of this run goes on with all of it. Pushed by hand " in failure
    assert f"without force, these go on: {HOUR.key}." in failure


def test_a_dry_run_says_what_would_go_and_sends_and_writes_nothing(
    gateway: Gateway, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    Bench(gateway, str(tmp_path)).collect("query_logs", queries(5))
    before = files_of(tmp_path)
    with accepting_beta():
        asset = pushed_asset("query_logs", hourly(HOUR.previous.start))
    result = dg.materialize(
        [asset],
        partition_key=HOUR.key,
        resources=resources_of(gateway, tmp_path),
        run_config={"ops": {OP: {"config": {"dry_run": True}}}},
        instance=instance,
    )
    assert result.success
    assert not result.get_asset_materialization_events()
    (event,) = result.get_asset_observation_events()
    said = event.asset_observation_data.asset_observation
    assert said.partition == HOUR.key
    assert {name: value.value for name, value in said.metadata.items()} == {
        "dry_run/requests": 1,
        "dry_run/bytes": said.metadata["dry_run/bytes"].value,
        "dry_run/to_send": 5,
    }
    assert not gateway.requests
    assert files_of(tmp_path) == before
    assert dg.materialize(
        [asset],
        partition_key=HOUR.key,
        resources=resources_of(gateway, tmp_path),
        instance=instance,
    ).success
    assert [len(body) for body in gateway.bodies] == [said.metadata["dry_run/bytes"].value]
    again = dg.materialize(
        [asset],
        partition_key=HOUR.key,
        resources=resources_of(gateway, tmp_path),
        run_config={"ops": {OP: {"config": {"dry_run": True}}}},
        instance=instance,
    )
    (event,) = again.get_asset_observation_events()
    said = event.asset_observation_data.asset_observation
    assert {name: value.value for name, value in said.metadata.items()} == {
        "dry_run/requests": 0,
        "dry_run/bytes": 0,
        "dry_run/reason": "settled before: pushed",
        "dry_run/accepted": 5,
    }


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}
