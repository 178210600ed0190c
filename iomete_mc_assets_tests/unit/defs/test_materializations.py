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
from iomete_mc_assets.operations.push import of_the_store
from iomete_mc_assets.push.ledger import Owner
from iomete_mc_assets.push.outcome import HourOutcome, Named
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.windows import HOUR as AN_HOUR
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.object_store import ObjectStore
from iomete_mc_assets_tests.push_bench import Bench, entries

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
            named.get(HOUR)
    said = str(refused.value)
    assert "iomete/query_logs 2026-11-21-05:00 was collected into store 0123456789abcdef" in said
    assert f"IOMETE_MC_MANIFESTS is {tmp_path}, which is store {store.store_id}" in said
    assert "collect the hour into it again" in said


def superseding(bench: Bench, named: Named, window: HourWindow) -> HourWindow | None:
    """Push an hour of catalogs; the one that took its place."""
    manifest_id = named.get(window)
    assert manifest_id is not None
    owner = Owner(run_id="run-1", root_run_id="run-1", is_finished=lambda _: False)
    [(_, outcome)] = bench.pusher().push(
        "catalog_snapshot", {window: manifest_id}, named=lambda _: named, owner=owner
    )
    assert isinstance(outcome, HourOutcome)
    return outcome.superseded_by and outcome.superseded_by.window


@pytest.mark.parametrize("emptied", [True, False], ids=["an emptied Dagster", "no Dagster"])
def test_superseding_an_old_hour_asks_a_bucket_as_little_however_many_hours_are_newer(
    gateway: Gateway, object_store: ObjectStore, s3_root: str, *, emptied: bool
) -> None:
    """The newest hour is a folder that a crash left; the one before it takes the old one's place."""
    requests: list[int] = []
    for count in (3, 12):
        bench = Bench(gateway, f"{s3_root}/{count}")
        hours = [HourWindow(HOUR.start + n * AN_HOUR) for n in range(count)]
        for window in hours:
            bench.collect("catalog_snapshot", entries(1), window=window)
        left = f"catalog_snapshot/{hours[-1].next.folder}/m999/part-00000.jsonl.gz"
        bench.storage.write(left, b"half")
        before = len(object_store.asked)
        with dg.DagsterInstance.ephemeral() as instance:
            named = of_the_store(bench.store, "catalog_snapshot").named()
            if emptied:
                named = NamedManifests(
                    instance, bench.store, "catalog_snapshot", hours[:1], now=HOUR.end
                )
            assert superseding(bench, named, hours[0]) == hours[-1]
        requests.append(len(object_store.asked) - before)
    assert requests[0] == requests[1]
