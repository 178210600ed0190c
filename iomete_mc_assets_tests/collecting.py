"""Runs that write what a test says over the product's IO manager, without a lakehouse."""

# Dagster types what it runs in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import dagster as dg

from iomete_mc_assets.defs.io_manager import ManifestIOManager
from iomete_mc_assets.defs.keys import collected_key
from iomete_mc_assets.defs.materializations import newest_by_hour
from iomete_mc_assets.defs.partitions import (
    accepting_beta,
    hourly,
    range_request,
    windows_of,
)
from iomete_mc_assets.defs.resources import LakehouseResource, ManifestStoreResource
from iomete_mc_assets.manifests.model import Collector, Draft, Flow, Verdict
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.records import Record
from iomete_mc_assets.windows import HourWindow

HOUR = HourWindow.from_key("2026-11-21-09:00")
COMPLETE = Verdict(state="complete")
AFTER = timedelta(minutes=5)
"""How long after an hour's end it is collected."""


class Collecting:
    """A store and a Dagster that runs of a test's making fill."""

    def __init__(self, root: Path | str, instance: dg.DagsterInstance, **settings: str) -> None:
        self.instance = instance
        self.environment = {"IOMETE_MC_MANIFESTS": str(root), **settings}
        self.storage = Storage.open(str(root))

    @property
    def store(self) -> ManifestStore:
        """The manifests that were written."""
        return ManifestStore.over(self.storage, source=None)

    def collect(
        self,
        flow: Flow,
        records: Sequence[Record],
        window: HourWindow = HOUR,
        verdict: Verdict = COMPLETE,
    ) -> None:
        """One run over one hour."""
        self.collect_range(flow, {window: records}, verdict)

    def collect_range(
        self, flow: Flow, hours: Mapping[HourWindow, Sequence[Record]], verdict: Verdict = COMPLETE
    ) -> None:
        """One run over neighbouring hours."""
        manifests = ManifestStoreResource(options=self.environment)
        lakehouse = LakehouseResource(url="http://lake.example/cliservice")

        def body(context: dg.AssetExecutionContext) -> list[tuple[HourWindow, Draft]]:
            windows = windows_of(context.partition_keys)
            return [(one, _draft(flow, one, hours[one], verdict)) for one in windows]

        windows = sorted(hours)
        with accepting_beta():
            asset = dg.asset(
                key=collected_key(flow),
                partitions_def=hourly(windows[0].start.replace(hour=0)),
                backfill_policy=dg.BackfillPolicy.single_run(),
            )(body)
        request = range_request(windows, run_key="test", tags={})
        assert dg.materialize(
            [asset],
            partition_key=request.partition_key,
            tags=dict(request.tags),
            instance=self.instance,
            resources={"io_manager": ManifestIOManager(store=manifests, lakehouse=lakehouse)},
        ).success

    def shown(self, flow: Flow, window: HourWindow) -> dict[str, object]:
        """What Dagster's event log holds of an hour's newest materialisation."""
        record = newest_by_hour(self.instance, collected_key(flow), hours=[window])[window]
        assert record.asset_materialization is not None
        metadata = record.asset_materialization.metadata
        return {name: value.value for name, value in metadata.items()}


def _draft(flow: Flow, window: HourWindow, records: Sequence[Record], verdict: Verdict) -> Draft:
    return Draft(
        flow=flow,
        window=window,
        collected_at=window.end + AFTER,
        collector=Collector(name=flow, version="test"),
        records=records,
        verdict=lambda: verdict,
    )
