"""What is done outside of Dagster, as its instance sees it: whom its events name, and what it is told afterwards."""

# Dagster's events are typed in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterable, Mapping
from datetime import datetime

import dagster as dg

from iomete_mc_assets import clock, settings
from iomete_mc_assets.defs import metadata
from iomete_mc_assets.defs.keys import collected_key
from iomete_mc_assets.defs.materializations import NamedManifests
from iomete_mc_assets.defs.previews import Previews
from iomete_mc_assets.defs.pushed import events_of, is_finished_in
from iomete_mc_assets.manifests.model import Flow, Written
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


class Forgotten:
    """Hours of a flow that are stored and of which the instance has no event (rule 26 of the ledger).

    Attributes:
        headers: of the manifests that speak for them, oldest first.
    """

    def __init__(self, store: ManifestStore, flow: Flow, *, first: datetime) -> None:
        """Look; hours before ``first`` are no partitions."""
        self._instance, self._store = dg.DagsterInstance.get(), store
        self._key = collected_key(flow)
        known = self._instance.get_materialized_partitions(self._key)
        hours = (w for w in store.hours(flow) if w.start >= first and w.key not in known)
        headers = (store.current(flow, window) for window in hours)
        self.headers = [header for header in headers if header is not None]

    @property
    def span(self) -> str:
        """The first and the last of them."""
        return f"{self.headers[0].window.key} to {self.headers[-1].window.key}"

    def report(self) -> None:
        """One materialisation each, without a run."""
        previews = Previews(self._store)
        for header in self.headers:
            written = Written(header=header, kept=True, why="Dagster had forgotten it")
            self._instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    asset_key=self._key,
                    partition=header.window.key,
                    metadata=metadata.of_manifest(written, previews),
                )
            )
