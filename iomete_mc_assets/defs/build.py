"""Everything put together. Fresh ``Definitions`` each time, so that tests and users can replace parts."""

import os
from collections.abc import Mapping
from typing import Any

import dagster as dg

from iomete_mc_assets import clock, settings
from iomete_mc_assets.defs import imported, readiness
from iomete_mc_assets.defs.alerts import failure_sensor
from iomete_mc_assets.defs.browsing import Guide
from iomete_mc_assets.defs.checks import checks
from iomete_mc_assets.defs.collected import MANIFESTS_IO, collected_assets
from iomete_mc_assets.defs.etl_runs import etl_sensor
from iomete_mc_assets.defs.io_manager import ManifestIOManager
from iomete_mc_assets.defs.jobs import jobs
from iomete_mc_assets.defs.keys import FLOWS
from iomete_mc_assets.defs.partitions import accepting_beta, hourly
from iomete_mc_assets.defs.pushed import pushed_assets
from iomete_mc_assets.defs.resources import (
    AlertsResource,
    LakehouseResource,
    ManifestStoreResource,
    MonteCarloResource,
)
from iomete_mc_assets.defs.schedules import schedules
from iomete_mc_assets.defs.seen import SEEN_KEYS, seen_checks, seen_job, seen_schedule
from iomete_mc_assets.defs.sensors import push_sensor
from iomete_mc_assets.defs.table_assets import table_specs
from iomete_mc_assets.montecarlo.naming import Naming


def build_definitions(
    *,
    resources: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> dg.Definitions:
    """The whole project as Dagster definitions.

    Args:
        resources: replace ours by key: ``lakehouse``, ``manifests``, ``monte_carlo``, ``alerts``, ``manifest_io``.
        environment: where look-backs, start, switches, owners, naming and the store's place are read from; None
            takes the process's. Addresses and secrets are never read here (only whether there is an API key's
            id): loading works with an empty environment, and waits two seconds at most for the store's table index.

    Raises:
        SettingsError: one of those settings cannot be used.
    """
    seen = os.environ if environment is None else environment
    hours = hourly(settings.IOMETE_MC_START.read(seen))
    guide = Guide.read(seen)
    running = settings.IOMETE_MC_AUTOMATION.read(seen) == "running"
    again_s = settings.IOMETE_MC_ASK_AGAIN_S.read(seen)
    sensor_status = dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
    schedule_status = (
        dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
    )
    wired = {**default_resources(), **(resources or {})}
    _refuse_merged_catalogs(wired["monte_carlo"], seen)
    with accepting_beta():
        assets = [*collected_assets(hours, guide), *pushed_assets(hours, guide)]
    importing = settings.IOMETE_MC_IMPORTS.read(seen) is not None
    telling = settings.MCD_ETL_CONTAINER_UUID.read(seen) is not None
    if importing:
        assets += imported.imported_assets(guide)
    monte_carlo = wired["monte_carlo"]
    asking = isinstance(monte_carlo, MonteCarloResource) and bool(
        {**seen, **monte_carlo.options}.get(settings.MCD_ID.name)
    )
    return dg.Definitions(
        assets=[*assets, readiness.readiness_asset(guide), *_tables(wired["manifests"], seen)],
        asset_checks=[
            *checks(hours),
            *([imported.files_settled(seen, clock.now)] if importing else []),
            *([seen_checks()] if asking else []),
        ],
        jobs=[
            *jobs(apart=SEEN_KEYS if asking else ()),
            readiness.readiness_job(),
            *([seen_job()] if asking else []),
            *([imported.import_job()] if importing else []),
        ],
        sensors=[
            *(push_sensor(flow, status=sensor_status, again_s=again_s) for flow in FLOWS),
            failure_sensor(status=sensor_status),
            *([etl_sensor(status=sensor_status)] if telling else []),
            *([imported.import_sensor(seen, status=sensor_status)] if importing else []),
        ],
        schedules=[
            *schedules(seen, status=schedule_status),
            readiness.readiness_schedule(schedule_status),
            *([seen_schedule(schedule_status)] if asking else []),
        ],
        resources=wired,
        executor=dg.in_process_executor,
    )


def _tables(manifests: object, seen: Mapping[str, str]) -> list[dg.AssetSpec]:
    """Those that the store's index names, where the store is one of ours."""
    if not isinstance(manifests, ManifestStoreResource):
        return []
    return table_specs({**seen, **manifests.options})


def _refuse_merged_catalogs(monte_carlo: object, seen: Mapping[str, str]) -> None:
    """Catalogs that would share names are no failure of an hour but of the whole configuration."""
    options = monte_carlo.options if isinstance(monte_carlo, MonteCarloResource) else {}
    Naming.read({**seen, **options})


def default_resources() -> dict[str, Any]:
    """Ours: everything is read from the environment when a run needs it."""
    manifests, lakehouse = ManifestStoreResource(), LakehouseResource()
    return {
        "lakehouse": lakehouse,
        "manifests": manifests,
        "monte_carlo": MonteCarloResource(),
        "alerts": AlertsResource(),
        MANIFESTS_IO: ManifestIOManager(store=manifests, lakehouse=lakehouse),
    }
