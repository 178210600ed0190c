"""`iomete-mc prune`: remove records of old hours by hand. What may go is decided in ``operations.prune``."""

import os
from datetime import timedelta

import click
from rich.console import Console
from rich.table import Table

from iomete_mc_assets import clock, settings
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.operations.prune import MIN_AGE, Prunable
from iomete_mc_assets.operations.prune import prunable as found_prunable
from iomete_mc_assets.operations.prune import prune as remove


@click.command(short_help="Remove the records of old, settled hours.")
@click.option(
    "--older-than-days",
    "days",
    type=click.IntRange(min=MIN_AGE.days),
    default=90,
    show_default=True,
    help="Days since collection.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prune(days: int, *, dry_run: bool, yes: bool) -> None:
    """Remove the records of old, settled hours from the manifest store, and what crashes left there.

    Headers, receipts and outcomes stay, so nothing is sent again. An hour of query logs whose records
    are gone is closed: queries that are collected for it later are not sent unless a push forces all.
    """
    store = ManifestStore.open(settings.IOMETE_MC_MANIFESTS.read(os.environ), source=None)
    now = clock.now()
    found = found_prunable(store, older_than=timedelta(days=days), now=now)
    if not found.manifests and not found.garbage:
        click.echo(f"Nothing to prune in {store.root}.")
        return
    Console(emoji=False).print(_table(found))
    if dry_run:
        click.echo(f"Nothing was removed from {store.root}: this was a dry run.")
        return
    if not yes:
        click.confirm(f"Remove this from {store.root}? It cannot be brought back", abort=True)
    remove(store, found, now=now)
    click.echo(f"Removed from {store.root}. Headers, receipts and outcomes stay.")


def _table(found: Prunable) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("flow")
    for name in ("hours", "manifests", "records", "left by crashes"):
        table.add_column(name, justify="right")
    flows = {one.flow for one in (*found.manifests, *found.garbage)}
    for flow in sorted(flows):
        headers = [header for header in found.manifests if header.flow == flow]
        figures = (
            len({header.window for header in headers}),
            len(headers),
            sum(header.records for header in headers),
            sum(1 for one in found.garbage if one.flow == flow),
        )
        table.add_row(flow, *map(str, figures))
    return table
