"""The asset `monte_carlo/detector_readiness`: once a day, which tables Monte Carlo's detectors can work on. Judging lives in ``operations.readiness``."""

# Dagster's decorators and events are typed in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from typing import Any

import dagster as dg

from iomete_mc_assets import clock
from iomete_mc_assets.defs.browsing import NO_GUIDE, Guide
from iomete_mc_assets.defs.keys import FLOW_TAG, PUSHED_GROUP, READINESS, READINESS_KEY, pushed_key
from iomete_mc_assets.defs.previews import markdown, with_rest
from iomete_mc_assets.defs.resources import ManifestStoreResource, MonteCarloResource
from iomete_mc_assets.operations.readiness import (
    Detector,
    Readiness,
    readiness,
    shown,
    told_pauses,
)
from iomete_mc_assets.operations.readiness_shown import Compared, compared

READINESS_CRON = "40 5 * * *"
SHOWN_TABLES = 100
COMPARED = 50
"""Tables whose thresholds Monte Carlo is asked for; a call each."""
CALLS = 500

Metadata = dict[str, int | str | dg.MetadataValue]


def readiness_asset(guide: Guide = NO_GUIDE) -> dg.AssetsDefinition:
    """The asset; one table a materialisation."""
    description = (
        "Monte Carlo's detectors and what they were told.\n\n*Which tables have enough changed samples for freshness and "
        "volume detectors, what is missing, and when will it be there?* Counted are accepted observations; with an API "
        "key a sample is compared with Monte Carlo's own thresholds."
    )

    @dg.asset(
        key=READINESS_KEY,
        description=guide.described(description),
        owners=guide.owners,
        deps=[pushed_key("observations")],
        group_name=PUSHED_GROUP,
        kinds={"montecarlo"},
    )
    def detector_readiness(
        manifests: ManifestStoreResource, monte_carlo: MonteCarloResource
    ) -> dg.MaterializeResult[Any]:
        store, config = manifests.open(), monte_carlo.config()
        found = readiness(store, config.destination, config.naming, now=clock.now())
        beside: Sequence[Compared] = ()
        if monte_carlo.has_api_key:
            warehouse = config.destination.resource_uuid
            beside = compared(monte_carlo.api(max_calls=CALLS), warehouse, found, sample=COMPARED)
        return dg.MaterializeResult(metadata=_metadata(found, beside, store.root))

    return detector_readiness


def _metadata(found: Sequence[Readiness], beside: Sequence[Compared], root: str) -> Metadata:
    waiting = [one for one in found if not one.ready]
    metadata: Metadata = {
        "tables": len(found),
        "ready for both": len(found) - len(waiting),
        "freshness ready": sum(one.freshness.state == "ready" for one in found),
        "volume ready": sum(one.volume.state == "ready" for one in found),
        "manifest store": root,
    }
    rows = [
        (one.key, name, *_cells(detector))
        for one in waiting[:SHOWN_TABLES]
        for name, detector in (("freshness", one.freshness), ("volume", one.volume))
    ]
    header = ("table", "detector", "state", "samples", "every", "ready at (UTC)", "missing")
    table = with_rest(markdown(header, rows), len(waiting), len(waiting[:SHOWN_TABLES]))
    metadata["not ready"] = dg.MetadataValue.md(table if waiting else "all tables are ready")
    if pauses := told_pauses(found):
        metadata["pauses and sub-hourly pushes"] = dg.MetadataValue.md(
            "\n".join(f"- {line}" for line in pauses)
        )
    if beside:
        metadata |= _compared(beside)
    return metadata


def _compared(beside: Sequence[Compared]) -> Metadata:
    rows = [(one.key, one.verdict, one.difference) for one in beside if one.difference]
    table = markdown(("table", "verdict", "difference"), rows)
    return {
        "compared with Monte Carlo": len(beside),
        "different at Monte Carlo": len(rows),
        "differences": dg.MetadataValue.md(table if rows else "both say the same"),
    }


def _cells(one: Detector) -> tuple[object, ...]:
    return (
        one.state,
        f"{one.samples} of {one.needed}" if one.needed else one.samples,
        shown(one.every) if one.every else None,
        one.ready_at,
        "; ".join(one.missing),
    )


def readiness_job():
    """Materialises it."""
    return dg.define_asset_job(
        READINESS,
        selection=dg.AssetSelection.assets(READINESS_KEY),
        description="Looks which tables Monte Carlo's detectors can work on.",
        tags={FLOW_TAG: READINESS},
    )


def readiness_schedule(status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    """Once a day."""

    @dg.schedule(
        name="detector_readiness_daily",
        job_name=READINESS,
        cron_schedule=READINESS_CRON,
        execution_timezone="UTC",
        default_status=status,
        description="Every day at 05:40: which tables Monte Carlo's detectors can work on.",
    )
    def detector_readiness_daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(run_key=f"readiness:{context.scheduled_execution_time:%Y%m%d}")

    return detector_readiness_daily
