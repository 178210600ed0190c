"""Pushes from outside of Dagster, as its instance sees them: whom its events name, and what it is told afterwards."""

# Dagster's events are typed in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterable, Mapping

import dagster as dg

from iomete_mc_assets import clock, settings
from iomete_mc_assets.defs.materializations import NamedManifests
from iomete_mc_assets.defs.pushed import events_of, is_finished_in
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.operations.push import Surroundings
from iomete_mc_assets.push.outcome import HourOutcome
from iomete_mc_assets.windows import HourWindow


def of_the_instance(
    store: ManifestStore,
    flow: Flow,
    hours: Iterable[HourWindow],
    environment: Mapping[str, str],
) -> Surroundings:
    """The instance that DAGSTER_HOME names: settled hours become events without a run, so no sensor asks again."""
    instance = dg.DagsterInstance.get()
    app_url = settings.MCD_APP_URL.read(environment)
    named = NamedManifests(instance, store, flow, hours, now=clock.now())

    def tell(outcome: HourOutcome) -> None:
        for event in events_of(flow, outcome, app_url=app_url):
            instance.report_runless_asset_event(event)

    return Surroundings(named=named.refreshed, is_finished=is_finished_in(instance), tell=tell)
