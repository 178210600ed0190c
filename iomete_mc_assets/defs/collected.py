"""The collected assets: what the lakehouse says of each hour. Wiring only; the collectors decide."""

from collections.abc import Callable

import dagster as dg

from iomete_mc_assets import clock
from iomete_mc_assets.collectors import catalog_snapshot as catalogs
from iomete_mc_assets.collectors import observations as states
from iomete_mc_assets.collectors.lineage import hours as edges
from iomete_mc_assets.defs.browsing import NO_GUIDE, Guide
from iomete_mc_assets.defs.keys import COLLECTED_GROUP, LAKEHOUSE_POOL, collected_key
from iomete_mc_assets.defs.materializations import NamedManifests
from iomete_mc_assets.defs.partitions import MAX_HOURS_PER_RUN, windows_of
from iomete_mc_assets.defs.resources import HourlyDrafts, LakehouseResource, ManifestStoreResource
from iomete_mc_assets.defs.stored_inputs import StoredInputs
from iomete_mc_assets.manifests.model import Flow

MANIFESTS_IO = "manifest_io"
"""Resource key of the IO manager."""

Body = Callable[..., HourlyDrafts]


def collected_assets(
    hours: dg.HourlyPartitionsDefinition, guide: Guide = NO_GUIDE
) -> list[dg.AssetsDefinition]:
    """One asset a flow, all over the same hours."""
    return [
        _asset(
            "catalog_snapshot",
            catalog_snapshot,
            hours,
            guide,
            kinds={"iceberg", "spark"},
            description="Every table and view of the lakehouse as listed soon after the hour's end: "
            "columns, types, comments, owner, view text.\n\n"
            "*Which tables exist, and what do they look like?* An older hour cannot be listed any "
            "more: its partition says `unknown` and sends nothing.",
        ),
        _asset(
            "observations",
            observations,
            hours,
            guide,
            deps=("catalog_snapshot",),
            kinds={"iceberg", "spark"},
            description="Freshness and volume of every Iceberg table as of the hour's end, from the "
            "table's own history.\n\n"
            "*How many rows did a table have at that hour, and when did its data last change?* "
            "Compaction never counts as a change. A table whose history was expired is `unknown` for "
            "that hour, never today's value.",
        ),
        _asset(
            "query_logs",
            query_logs,
            hours,
            guide,
            kinds={"sql", "spark"},
            description="The queries that ended in the hour, succeeded or failed, from the configured "
            "query history.\n\n"
            "*Who ran what, how long did it take, and what failed?* Queries still running, our own "
            "statements and noise (USE, SET, SHOW) are left out and counted.",
        ),
        _asset(
            "lineage",
            lineage,
            hours,
            guide,
            deps=("catalog_snapshot", "query_logs"),
            kinds={"sql", "spark"},
            description="Which tables and columns fed which, as the hour's queries and the catalog's views "
            "show it.\n\n"
            "*Where does a table come from, and what reads it?* From Spark's own plans where an event log has "
            "them, from the text otherwise. What is not understood is counted, never guessed.",
        ),
    ]


def catalog_snapshot(
    context: dg.AssetExecutionContext,
    lakehouse: LakehouseResource,
    manifests: ManifestStoreResource,
) -> HourlyDrafts:
    """List the lakehouse for the newest hour; say unknown for older ones."""
    windows = windows_of(context.partition_keys)
    stored = StoredInputs(manifests.open(source=lakehouse.source()))
    return lakehouse.collecting(
        lambda warehouse, now: catalogs.collect(
            windows,
            warehouse,
            config=lakehouse.catalog_config(),
            newest_known=stored.newest_catalog_window(),
            before=stored.catalog_before,
            now=now,
        )
    )


def observations(
    context: dg.AssetExecutionContext,
    lakehouse: LakehouseResource,
    manifests: ManifestStoreResource,
) -> HourlyDrafts:
    """Observe every table as of each hour's end, beside the catalog nearest to it."""
    windows = windows_of(context.partition_keys)
    stored = StoredInputs(manifests.open(source=lakehouse.source()))
    return lakehouse.collecting(
        lambda warehouse, now: states.collect(
            windows,
            warehouse,
            config=lakehouse.observation_config(),
            catalog_for=stored.catalog_for,
            earlier=stored.observations_before(windows[0]),
            own=stored.observations_of,
            survey=lambda: states.own_survey(warehouse, config=lakehouse.catalog_config(), now=now),
            now=now,
        )
    )


def query_logs(
    context: dg.AssetExecutionContext,
    lakehouse: LakehouseResource,
    manifests: ManifestStoreResource,
) -> HourlyDrafts:
    """Read the queries that ended in each hour."""
    stored = StoredInputs(manifests.open(source=lakehouse.source()))
    return lakehouse.collecting_queries(
        windows_of(context.partition_keys), earlier=stored.query_logs_before
    )


def lineage(
    context: dg.AssetExecutionContext,
    lakehouse: LakehouseResource,
    manifests: ManifestStoreResource,
) -> HourlyDrafts:
    """Find the edges that each hour's queries and the views of the nearest catalog show."""
    windows, source, now = windows_of(context.partition_keys), lakehouse.source(), clock.now()
    store = manifests.open(source=source)
    stored = StoredInputs(store)
    named = NamedManifests(context.instance, store, "query_logs", windows, now=now)
    return HourlyDrafts(
        lambda: edges.collect(
            windows,
            catalogs=source.catalogs,
            catalog_for=stored.catalog_for,
            queries_of=lambda window: stored.queries_of(window, named.get(window)),
            own=stored.lineage_of,
            now=now,
        )
    )


def _asset(
    flow: Flow,
    body: Body,
    hours: dg.HourlyPartitionsDefinition,
    guide: Guide,
    *,
    description: str,
    kinds: set[str],
    deps: tuple[Flow, ...] = (),
) -> dg.AssetsDefinition:
    decorate = dg.asset(
        key=collected_key(flow),
        description=guide.described(description),
        owners=guide.owners,
        deps=[collected_key(dep) for dep in deps],
        partitions_def=hours,
        backfill_policy=dg.BackfillPolicy.multi_run(MAX_HOURS_PER_RUN),
        io_manager_key=MANIFESTS_IO,
        pool=LAKEHOUSE_POOL,
        group_name=COLLECTED_GROUP,
        kinds=kinds,
        code_version="1",
    )
    return decorate(body)
