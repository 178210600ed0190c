"""`iomete-mc adopt`: tell a Dagster instance of stored hours that it has forgotten. What it is told lives in ``defs.by_hand``."""

import os

import click

from iomete_mc_assets import settings
from iomete_mc_assets.errors import SettingsError
from iomete_mc_assets.manifests.codec import RECORD_TYPES
from iomete_mc_assets.manifests.store import ManifestStore


@click.command(short_help="Tell Dagster of stored hours that it has forgotten.")
@click.option("--dry-run", is_flag=True, help="Say what Dagster would be told, and tell nothing.")
def adopt(*, dry_run: bool) -> None:
    """Report every stored hour of which Dagster knows nothing, as an event without a run.

    For a Dagster database that was emptied or lost: DAGSTER_HOME names the instance, IOMETE_MC_MANIFESTS
    the store. Nothing is collected or sent; sensors then ask for the hours, and settled ones are
    told from their receipts.
    """
    if not os.environ.get("DAGSTER_HOME"):
        msg = "DAGSTER_HOME is not set, so nobody can be told. Set it to the instance's folder."
        raise SettingsError(msg)
    from iomete_mc_assets.defs.by_hand import Forgotten  # noqa: PLC0415 - takes seconds to load

    store = ManifestStore.open(settings.IOMETE_MC_MANIFESTS.read(os.environ), source=None)
    first = settings.IOMETE_MC_START.read(os.environ)
    for flow in RECORD_TYPES:
        forgotten = Forgotten(store, flow, first=first)
        if not dry_run:
            forgotten.report()
        said = "would be reported" if dry_run else "reported"
        span = f" ({forgotten.span})" if forgotten.headers else ""
        click.echo(f"{flow}: {len(forgotten.headers)} hours {said}{span}")
