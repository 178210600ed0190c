"""`iomete-mc push`: hours pushed by hand, by the pusher that Dagster's runs use. What is sent is decided in ``push``.

It works without Dagster; where DAGSTER_HOME names an instance, that is asked and told.
"""

import os
import secrets
from typing import get_args

import click
from rich.console import Console
from rich.markup import escape

from iomete_mc_assets import settings
from iomete_mc_assets.cli.options import partitions_argument
from iomete_mc_assets.errors import IometeMcError, ManifestMissing
from iomete_mc_assets.manifests.codec import RECORD_TYPES
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.receipts import Force
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.operations.push import Surroundings, of_the_store
from iomete_mc_assets.push.forcing import GOES_ON
from iomete_mc_assets.push.ledger import Owner
from iomete_mc_assets.push.outcome import HourOutcome
from iomete_mc_assets.push.pusher import Pusher
from iomete_mc_assets.windows import HourWindow

SHOWN_IDS = 20
"""Invocation ids of an hour on the terminal; ``iomete-mc receipts`` has all."""


@click.command()
@click.argument("flow", type=click.Choice(sorted(RECORD_TYPES)))
@partitions_argument
@click.option(
    "--force",
    type=click.Choice(get_args(Force)),
    help="Send again what had an end: refused events, those in doubt, or everything of the hours.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be sent; send and write nothing.")
def push(
    flow: Flow, partitions: tuple[HourWindow, ...], *, force: Force | None, dry_run: bool
) -> None:
    """Push PARTITIONS (e.g. 2026-11-21-05:00) of a FLOW to Monte Carlo, newest first.

    Goes on where an earlier push stopped. A settled hour is told from its receipts and sends nothing,
    unless --force says so. Takes the same settings as Dagster's runs; where DAGSTER_HOME names an
    instance, the outcomes show on its assets. Exit code 1 when an hour is not settled, or was never
    collected.
    """
    store = ManifestStore.open(settings.IOMETE_MC_MANIFESTS.read(os.environ), source=None)
    pusher = Pusher.configured(store, os.environ)
    around = _surroundings(store, flow, partitions)
    named = around.named()
    wanted = {window: named[window] for window in partitions if window in named}
    console = Console()
    failed: dict[HourWindow, IometeMcError] = {
        window: _never_collected(store) for window in sorted(set(partitions) - wanted.keys())
    }
    if dry_run:
        previews = pusher.dry_run(flow, wanted, named=lambda _: around.named(), force=force)
        for _, preview in previews:
            console.print(f"{flow} {escape(preview.told)}")
    else:
        failed |= _pushed(console, pusher, flow, wanted, around, force=force)
    for window, error in failed.items():
        console.print(f"[red]✗[/red] {flow} {window.key}: {escape(str(error))}")
    if failed:
        said = "cannot be sent" if dry_run else "are not settled at Monte Carlo"
        msg = f"{len(failed)} of {len(set(partitions))} hours of {flow} {said}."
        if force is not None and not dry_run:
            msg = f"{msg} {GOES_ON}"
        raise click.ClickException(msg)


def _surroundings(
    store: ManifestStore, flow: Flow, partitions: tuple[HourWindow, ...]
) -> Surroundings:
    if not os.environ.get("DAGSTER_HOME"):
        return of_the_store(store, flow, partitions)
    from iomete_mc_assets.defs.by_hand import of_the_instance  # noqa: PLC0415 - takes seconds to load

    return of_the_instance(store, flow, partitions, os.environ)


def _never_collected(store: ManifestStore) -> ManifestMissing:
    return ManifestMissing(
        f"never collected into {store.root}, so there is nothing to push. Materialise the collected "
        "asset's partition first."
    )


def _pushed(
    console: Console,
    pusher: Pusher,
    flow: Flow,
    wanted: dict[HourWindow, str],
    around: Surroundings,
    *,
    force: Force | None,
) -> dict[HourWindow, IometeMcError]:
    """Push, and show each hour as it is settled; what was not, and why."""
    run_id = f"cli-{secrets.token_hex(8)}"
    owner = Owner(run_id=run_id, root_run_id=run_id, is_finished=around.is_finished)
    failed: dict[HourWindow, IometeMcError] = {}
    for window, answer in pusher.push(
        flow, wanted, named=lambda _: around.named(), owner=owner, force=force
    ):
        if isinstance(answer, HourOutcome):
            _show(console, flow, answer)
            around.tell(answer)
        else:
            failed[window] = answer
    return failed


def _show(console: Console, flow: Flow, outcome: HourOutcome) -> None:
    console.print(f"[green]✓[/green] {flow} {escape(outcome.told)}")
    for invocation_id in outcome.invocation_ids[:SHOWN_IDS]:
        console.print(f"    {escape(invocation_id)}")
    if len(outcome.invocation_ids) > SHOWN_IDS:
        more = len(outcome.invocation_ids) - SHOWN_IDS
        console.print(f"    and {more} more; `iomete-mc receipts {outcome.window.key}` has all")
