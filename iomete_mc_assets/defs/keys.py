"""Asset keys, groups, tags and pools: the names that Dagster, sensors and checks share."""

import dagster as dg

from iomete_mc_assets.manifests.model import Flow

FLOWS: tuple[Flow, ...] = ("catalog_snapshot", "observations", "query_logs", "lineage")
"""The flows that exist, in the order their pushes matter."""

METADATA_FLOWS: tuple[Flow, ...] = ("catalog_snapshot", "observations")
QUERY_FLOWS: tuple[Flow, ...] = ("query_logs", "lineage")

COLLECTED_GROUP = "collected"
PUSHED_GROUP = "pushed"
LAKEHOUSE_POOL = "iomete_thrift"
MONTE_CARLO_POOL = "monte_carlo"

COLLECT_METADATA = "collect_metadata"
COLLECT_QUERIES = "collect_queries"
WATCH = "watch"
VERIFY = "verify"
READINESS = "detector_readiness"
READINESS_KEY = dg.AssetKey(["monte_carlo", READINESS])

FLOW_TAG = "iomete_mc/flow"
"""On every run: its flow; ``metadata`` where a catalog and observations are collected, which share a job, and
``query_logs`` where lineage is collected behind them."""
WHY_TAG = "iomete_mc/why"
PRIORITY_TAG = "dagster/priority"
MAX_RUNTIME_TAG = "dagster/max_runtime"
HOURLY_PRIORITY = "20"
GAP_PRIORITY = "10"
"""A backfill's runs have none, which is 0: an hourly run waits for the one that is running and no other."""
PUSH_PRIORITY: dict[Flow, str] = {
    "catalog_snapshot": "40",
    "observations": "35",
    "query_logs": "30",
    "lineage": "28",
}
"""Pushes go before collecting; catalog entries first, since observations and lineage need them accepted."""
OLDER_PUSH_PRIORITY: dict[Flow, str] = {
    "catalog_snapshot": "26",
    "observations": "24",
    "query_logs": "22",
    "lineage": "21",
}
"""Of hours that a backfill brings: behind the newest hours' pushes, still before collecting."""


IMPORTED_GROUP = "imported"
IMPORTED_FILES = "imported_files"
"""Name of the dynamic partitions: ``source/name.json``."""
IMPORT_JOB = "import_manifests"
IMPORTED_KEY = dg.AssetKey(["imported", "manifests"])
PUSHED_IMPORTED_KEY = dg.AssetKey(["monte_carlo", "imported_manifests"])


def collecting_tag(flow: Flow) -> str:
    """What runs that collect a flow are tagged with."""
    return "metadata" if flow in METADATA_FLOWS else flow


def collected_key(flow: Flow) -> dg.AssetKey:
    """Key of the asset that collects a flow."""
    return dg.AssetKey(["iomete", flow])


def collected_flow(key: dg.AssetKey) -> Flow:
    """The flow that a collected asset's key stands for.

    Raises:
        KeyError: it is no collected asset of ours.
    """
    flows: dict[dg.AssetKey, Flow] = {collected_key(flow): flow for flow in FLOWS}
    return flows[key]


def pushed_key(flow: Flow) -> dg.AssetKey:
    """Key of the asset that stands for a flow at Monte Carlo."""
    return dg.AssetKey(["monte_carlo", flow])


def push_job_name(flow: Flow) -> str:
    """The job that pushes a flow; its sensor has the same name."""
    return f"push_{flow}"
