"""What events say of manifests, against the store that is really there."""

# Dagster's instance is typed in part only.
# pyright: reportUnknownMemberType=false

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from iomete_mc_assets.defs.keys import collected_key
from iomete_mc_assets.defs.materializations import NamedManifests
from iomete_mc_assets.defs.metadata import MANIFEST_ID, STORE_ID
from iomete_mc_assets.errors import WrongStore
from iomete_mc_assets.manifests.model import Source
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.windows import HourWindow

HOUR = HourWindow(datetime(2026, 11, 21, 5, tzinfo=UTC))
SOURCE = Source(host="lake.example:443/x", catalogs=("spark_catalog",))


def test_an_hour_of_another_store_is_refused_with_both_stores_and_the_way_on(
    tmp_path: Path,
) -> None:
    store = ManifestStore.open(str(tmp_path), source=SOURCE)
    with dg.DagsterInstance.ephemeral() as instance:
        event = dg.AssetMaterialization(
            asset_key=collected_key("query_logs"),
            partition=HOUR.key,
            metadata={MANIFEST_ID: "m1", STORE_ID: "0123456789abcdef"},
        )
        instance.report_runless_asset_event(event)
        named = NamedManifests(instance, store, "query_logs", [HOUR], now=HOUR.end)
        with pytest.raises(WrongStore) as refused:
            _ = named[HOUR]
    said = str(refused.value)
    assert "iomete/query_logs 2026-11-21-05:00 was collected into store 0123456789abcdef" in said
    assert f"IOMETE_MC_MANIFESTS is {tmp_path}, which is store {store.store_id}" in said
    assert "collect the hour into it again" in said
