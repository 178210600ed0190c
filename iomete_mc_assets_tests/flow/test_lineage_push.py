"""Lineage in real push runs: what its sensor asks for, and what the partition shows of it afterwards."""

# Dagster types its ephemeral instance in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest

from iomete_mc_assets import clock
from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.defs.keys import collected_key
from iomete_mc_assets.defs.materializations import json_list, number, text_metadata
from iomete_mc_assets.defs.metadata import INVOCATION_IDS, MANIFEST_ID, PUSH_STATUS, STORE_ID
from iomete_mc_assets.defs.resources import ManifestStoreResource, MonteCarloResource
from iomete_mc_assets.defs.sensors import Cursor
from iomete_mc_assets.manifests.model import Collector, Draft, Flow, Verdict
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.records import Record
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.flow.conftest import World
from iomete_mc_assets_tests.push_bench import SOURCE, column_edge, table_edge, table_entry

START = Cursor()


@pytest.fixture
def world(gateway: Gateway, tmp_path: Path, instance: dg.DagsterInstance) -> World:
    """A store without a lakehouse, whose tables Monte Carlo takes in at once."""
    root = tmp_path / "manifests"
    seen = {
        "IOMETE_MC_MANIFESTS": str(root),
        "MCD_INGEST_ENDPOINT": gateway.url,
        "IOMETE_MC_EDGE_DELAY_MINUTES": "0",
    }
    monte_carlo = MonteCarloResource(
        key_id=gateway.key_id,
        key_secret=gateway.key_secret,
        resource_uuid=gateway.resource_uuid,
        options=seen,
    )
    resources = {"manifests": ManifestStoreResource(options=seen), "monte_carlo": monte_carlo}
    definitions = build_definitions(environment={}, resources=resources)
    return World(instance=instance, definitions=definitions, root=root)


def collected(world: World, flow: Flow, window: HourWindow, records: Sequence[Record]) -> str:
    """An hour in the store, and Dagster's event of it."""
    store = ManifestStore.open(str(world.root), source=SOURCE)
    draft = Draft(
        flow=flow,
        window=window,
        collected_at=clock.now(),
        collector=Collector(name=flow, version="1"),
        records=records,
        verdict=lambda: Verdict(state="complete"),
    )
    manifest_id = store.write(draft, manifest_id=f"{flow}-1").header.manifest_id
    world.instance.report_runless_asset_event(
        dg.AssetMaterialization(
            asset_key=collected_key(flow),
            partition=window.key,
            metadata={MANIFEST_ID: manifest_id, STORE_ID: store.store_id},
        )
    )
    return manifest_id


def test_an_hour_of_lineage_is_pushed_by_its_sensor_and_shows_ids_and_what_waits(
    world: World, gateway: Gateway
) -> None:
    hour, now_s = HourWindow.newest_closed(clock.now()), clock.now().timestamp()
    tables = [table_entry(name) for name in ("orders", "facts")]
    collected(world, "catalog_snapshot", hour, tables)
    edges = [
        table_edge("orders", "facts", window=hour),
        column_edge("orders", "id", "facts", "order_id", window=hour),
        table_edge("facts", "mart", window=hour),
    ]
    manifest_id = collected(world, "lineage", hour, edges)
    assert world.push_what_sensors_ask(START, "catalog_snapshot", now_s=now_s) == [True]
    assert world.push_what_sensors_ask(START, "lineage", now_s=now_s) == [True]

    pushed = world.pushed("lineage")[hour]
    assert text_metadata(pushed, MANIFEST_ID) == manifest_id
    assert text_metadata(pushed, PUSH_STATUS) == "pushed"
    counts = [number(pushed, f"monte_carlo/{name}") for name in ("accepted", "pending", "refused")]
    assert counts == [2, 1, 0]
    (request,) = [one for one in gateway.requests if one.endpoint == "lineage"]
    assert json_list(pushed, INVOCATION_IDS) == [request.invocation_id]
    (told,) = world.instance.fetch_observations(collected_key("lineage"), limit=5).records
    assert told.asset_observation is not None
    assert told.asset_observation.metadata[INVOCATION_IDS].value == [request.invocation_id]
    assert world.push_what_sensors_ask(START, "lineage", now_s=now_s) == []
