"""A code location without a lakehouse: what its collected assets find is made up here, hour by hour.

IO manager, store, all other assets, sensors and jobs are the product's own.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import dagster as dg

from iomete_mc_assets import clock, settings
from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.defs.collected import MANIFESTS_IO
from iomete_mc_assets.defs.keys import FLOWS, LAKEHOUSE_POOL, collected_key
from iomete_mc_assets.defs.partitions import (
    MAX_HOURS_PER_RUN,
    accepting_beta,
    hourly,
    windows_of,
)
from iomete_mc_assets.manifests.model import Collector, Draft, Flow, Verdict
from iomete_mc_assets.records import Column, Observation, QueryRecord, Record, TableEntry, TableId
from iomete_mc_assets.windows import HourWindow

LATE_QUERIES = "PREPARED_LATE_QUERIES"
"""Names a folder: a file named like an hour's folder holds how many more queries its log has by now."""
QUERIES_AN_HOUR = 6
TABLES = 3
HOURS_PER_RUN: dict[Flow, int] = {
    "catalog_snapshot": 240,
    "observations": MAX_HOURS_PER_RUN,
    "query_logs": 240,
    "lineage": 240,
}
"""Mostly more than the product collects in a run, as it is pushing that is looked at; observations queue as they really do."""

Hours = list[tuple[HourWindow, Draft]]


def query_ids(window: HourWindow, *, late: int = 0) -> list[str]:
    """The ids of the queries that ended in an hour."""
    return [f"{window.folder}-{number:03d}" for number in range(QUERIES_AN_HOUR + late)]


def _records(flow: Flow, window: HourWindow) -> list[Record]:
    if flow == "query_logs":
        return [
            QueryRecord(
                query_id=query_id,
                text=f"SELECT '{query_id}'",
                started_at=window.start,
                ended_at=window.start + timedelta(seconds=number),
            )
            for number, query_id in enumerate(query_ids(window, late=_late(window)))
        ]
    if flow == "lineage":
        return []  # which edges go is looked at where hours are not made up
    tables = [TableId("spark_catalog", ("sales",), f"t{number}") for number in range(TABLES)]
    if flow == "observations":
        return [Observation(table=table, row_count=1, byte_count=1) for table in tables]
    columns = (Column(name="id", type="BIGINT"),)
    return [
        TableEntry(table=table, kind="table", format="iceberg", columns=columns) for table in tables
    ]


def _late(window: HourWindow) -> int:
    said = Path(os.environ[LATE_QUERIES]) / window.folder
    return int(said.read_text()) if said.exists() else 0


def _draft(flow: Flow, window: HourWindow) -> Draft:
    return Draft(
        flow=flow,
        window=window,
        collected_at=clock.now(),
        collector=Collector(name=flow, version="prepared"),
        records=_records(flow, window),
        verdict=lambda: Verdict(state="complete"),
    )


def _body(flow: Flow) -> Callable[[dg.AssetExecutionContext], Hours]:
    def prepared(context: dg.AssetExecutionContext) -> Hours:
        return [(window, _draft(flow, window)) for window in windows_of(context.partition_keys)]

    return prepared


def _prepared(flow: Flow, hours: dg.HourlyPartitionsDefinition) -> dg.AssetsDefinition:
    decorate = dg.asset(
        key=collected_key(flow),
        partitions_def=hours,
        backfill_policy=dg.BackfillPolicy.multi_run(HOURS_PER_RUN[flow]),
        io_manager_key=MANIFESTS_IO,
        pool=LAKEHOUSE_POOL,
    )
    return decorate(_body(flow))


def _definitions() -> dg.Definitions:
    product = build_definitions()
    hours = hourly(settings.IOMETE_MC_START.read(os.environ))
    made_up = {collected_key(flow) for flow in FLOWS}
    with accepting_beta():
        collected = [_prepared(flow, hours) for flow in FLOWS]
    return dg.Definitions(
        assets=[
            *collected,
            *(
                asset
                for asset in product.assets or ()
                if isinstance(asset, dg.AssetsDefinition) and asset.key not in made_up
            ),
        ],
        asset_checks=product.asset_checks,
        jobs=product.jobs,
        sensors=product.sensors,
        schedules=product.schedules,
        resources=product.resources,
        executor=product.executor,
    )


defs = _definitions()
