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
from iomete_mc_assets.cli import interrupting
from iomete_mc_assets.cli.options import partitions_argument
from iomete_mc_assets.errors import Interrupted, IometeMcError, ManifestMissing
from iomete_mc_assets.manifests.codec import RECORD_TYPES
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.receipts import Force
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo.ingest import PycarloIngest
from iomete_mc_assets.operations.push import Surroundings, of_the_store
from iomete_mc_assets.operations.receipts import SoFar, so_far
from iomete_mc_assets.push.config import PushConfig, ingest_config
from iomete_mc_assets.push.ledger import Owner
from iomete_mc_assets.push.outcome import HourOutcome, Preview
from iomete_mc_assets.push.pusher import Pusher
from iomete_mc_assets.windows import HourWindow

GOES_ON_WHERE_IT_STOPPED = (
    "The same command goes on where this one stopped; what was accepted is not sent again."
)
SHOWN_IDS = 20
"""Invocation ids of an hour on the terminal; ``iomete-mc receipts`` has all."""


class Ended(click.ClickException):
    """Somebody ended the command before everything was settled."""

    exit_code = interrupting.EXIT_CODE


@click.command(short_help="Push hours by hand, newest first.")
@click.argument("flow", type=click.Choice(sorted(RECORD_TYPES)))
@partitions_argument
@click.option(
    "--force",
    type=click.Choice(get_args(Force)),
    help="Send again what had an end: refused events, those in doubt, or everything of the hours.",
)
@click.option(
    "--only",
    metavar="DATABASE.TABLE",
    help="Send one table's record alone; the hour is then settled, and the next one brings the others.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be sent; send and write nothing.")
def push(
    flow: Flow,
    partitions: tuple[HourWindow, ...],
    *,
    force: Force | None,
    only: str | None,
    dry_run: bool,
) -> None:
    """Push PARTITIONS (e.g. 2026-11-21-05:00) of a FLOW to Monte Carlo, newest first.

    Goes on where an earlier push stopped. A settled hour is told from its receipts and sends nothing,
    unless --force says so. Takes the same settings as Dagster's runs; where DAGSTER_HOME names an
    instance, the outcomes show on its assets. Exit code 1 when an hour is not settled, or was never
    collected; 130 when Ctrl-C or SIGTERM ended the push, which lets the ledger go first. Asked a second
    time it ends at once, and may leave the ledger held.
    """
    _refuse_unfit(flow, only, force)
    store = ManifestStore.open(settings.IOMETE_MC_MANIFESTS.read(os.environ), source=None)
    config = PushConfig.read(os.environ)
    ingest = PycarloIngest(ingest_config(os.environ))
    pusher = Pusher(store, ingest, config)
    around = _surroundings(store, flow, partitions)
    named = around.named()
    wanted = {window: named_id for window in partitions if (named_id := named.get(window))}
    console = Console(emoji=False)
    failed: dict[HourWindow, IometeMcError] = {
        window: _never_collected(store) for window in sorted(set(partitions) - wanted.keys())
    }
    owner = _owner(around)
    interrupted = False
    if dry_run:
        for window, preview in pusher.dry_run(
            flow, wanted, named=lambda _: around.named(), owner=owner, force=force, only=only
        ):
            if isinstance(preview, Preview):
                console.print(f"{flow} {escape(preview.told)}")
            else:
                failed[window] = preview
    else:
        with interrupting.in_order(pusher.interrupt, ingest.cut) as interruption:
            failed |= _pushed(
                console, pusher, flow, wanted, around, owner=owner, force=force, only=only
            )
        interrupted = interruption.asked
    for window, error in failed.items():
        console.print(f"[red]✗[/red] {flow} {window.key}: {escape(str(error))}")
        if isinstance(error, Interrupted):
            _show_so_far(console, window, so_far(store, flow, window, config.destination.id))
    if failed:
        said = "cannot be sent" if dry_run else "are not settled at Monte Carlo"
        msg = f"{len(failed)} of {len(set(partitions))} hours of {flow} {said}."
        left = {window: wanted[window] for window in failed if window in wanted}
        if force is not None and left and not dry_run:
            msg = f"{msg} {pusher.how_it_goes_on(flow, left, owner=owner, force=force)}"
        elif interrupted:
            msg = f"{msg} {GOES_ON_WHERE_IT_STOPPED}"
        raise Ended(msg) if interrupted else click.ClickException(msg)
    if interrupted:
        raise SystemExit(Ended.exit_code)


def _refuse_unfit(flow: Flow, only: str | None, force: Force | None) -> None:
    """What ``--only`` cannot mean is said before anything is read."""
    if only is not None and flow not in ("catalog_snapshot", "observations"):
        msg = f"--only is of catalog_snapshot and observations: what is left out of {flow} would never be sent."
        raise click.UsageError(msg)
    if only is not None and force is not None:
        msg = "--only and --force exclude each other: what is forced is everything of that kind in the hour."
        raise click.UsageError(msg)


def _surroundings(
    store: ManifestStore, flow: Flow, partitions: tuple[HourWindow, ...]
) -> Surroundings:
    if not os.environ.get("DAGSTER_HOME"):
        return of_the_store(store, flow)
    from iomete_mc_assets.defs.by_hand import of_the_instance  # noqa: PLC0415 - takes seconds to load

    return of_the_instance(store, flow, partitions, os.environ)


def _never_collected(store: ManifestStore) -> ManifestMissing:
    return ManifestMissing(
        f"never collected into {store.root}, so there is nothing to push. Materialise the collected "
        "asset's partition first."
    )


def _owner(around: Surroundings) -> Owner:
    run_id = f"cli-{secrets.token_hex(8)}"
    return Owner(run_id=run_id, root_run_id=run_id, is_finished=around.is_finished)


def _pushed(
    console: Console,
    pusher: Pusher,
    flow: Flow,
    wanted: dict[HourWindow, str],
    around: Surroundings,
    *,
    owner: Owner,
    force: Force | None,
    only: str | None,
) -> dict[HourWindow, IometeMcError]:
    """Push, and show each hour as it is settled; what was not, and why."""
    failed: dict[HourWindow, IometeMcError] = {}
    for window, answer in pusher.push(
        flow, wanted, named=lambda _: around.named(), owner=owner, force=force, only=only
    ):
        if isinstance(answer, HourOutcome):
            _show(console, flow, answer)
            around.tell(answer)
        else:
            failed[window] = answer
    return failed


def _show(console: Console, flow: Flow, outcome: HourOutcome) -> None:
    console.print(f"[green]✓[/green] {flow} {escape(outcome.told)}")
    each = (*outcome.beside, outcome)
    _show_ids(console, outcome.window, tuple(i for one in each for i in one.invocation_ids))


def _show_ids(console: Console, window: HourWindow, invocation_ids: tuple[str, ...]) -> None:
    for invocation_id in invocation_ids[:SHOWN_IDS]:
        console.print(f"    {escape(invocation_id)}")
    if len(invocation_ids) > SHOWN_IDS:
        more = len(invocation_ids) - SHOWN_IDS
        console.print(f"    and {more} more; `iomete-mc receipts {window.key}` has all")


def _show_so_far(console: Console, window: HourWindow, sent: SoFar) -> None:
    if not sent.invocation_ids and not sent.unanswered:
        console.print("    nothing of it was sent")
        return
    console.print(
        f"    sent so far: {sent.accepted} events accepted in {len(sent.invocation_ids)} requests, "
        f"{sent.unanswered} without an answer"
    )
    _show_ids(console, window, sent.invocation_ids)
