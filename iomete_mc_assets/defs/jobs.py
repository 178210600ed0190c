"""The jobs that schedules and sensors launch, by name. What runs in them are the assets."""

# define_asset_job is typed in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence

import dagster as dg

from iomete_mc_assets.defs.keys import (
    COLLECT_METADATA,
    COLLECT_QUERIES,
    FLOW_TAG,
    FLOWS,
    MAX_RUNTIME_TAG,
    WATCH,
    collected_key,
    collecting_tag,
    push_job_name,
    pushed_key,
)

COLLECT_MAX_RUNTIME_S = "3600"
PUSH_MAX_RUNTIME_S = "1800"
"""Above the pusher's own deadline, after which it starts no request."""


def jobs(*, apart: Sequence[dg.AssetCheckKey] = ()):
    """All of them; ``watch`` evaluates every check but those that have a job of their own."""
    metadata = dg.define_asset_job(
        COLLECT_METADATA,
        selection=dg.AssetSelection.assets(
            collected_key("catalog_snapshot"), collected_key("observations")
        ),
        description="Lists the lakehouse and observes every table as of the hour's end, over one survey.",
        tags={MAX_RUNTIME_TAG: COLLECT_MAX_RUNTIME_S, FLOW_TAG: collecting_tag("observations")},
    )
    queries = dg.define_asset_job(
        COLLECT_QUERIES,
        selection=dg.AssetSelection.assets(collected_key("query_logs"), collected_key("lineage")),
        description="Collects the queries that ended in the hour, then the lineage that they show.",
        tags={MAX_RUNTIME_TAG: COLLECT_MAX_RUNTIME_S, FLOW_TAG: collecting_tag("query_logs")},
    )
    # A pushed asset reports hours by itself and has no output, so checks in its runs would be skipped.
    pushes = [
        dg.define_asset_job(
            push_job_name(flow),
            selection=dg.AssetSelection.assets(pushed_key(flow)).without_checks(),
            description=f"Pushes materialised hours of iomete/{flow} to Monte Carlo.",
            tags={MAX_RUNTIME_TAG: PUSH_MAX_RUNTIME_S, FLOW_TAG: flow},
        )
        for flow in FLOWS
    ]
    watched = dg.AssetSelection.all_asset_checks()
    if apart:
        watched -= dg.AssetSelection.checks(*apart)
    watch = dg.define_asset_job(
        WATCH,
        selection=watched,
        description="Evaluates the checks, so that a silent stop is seen.",
        tags={FLOW_TAG: "watch"},
    )
    return [metadata, queries, *pushes, watch]
