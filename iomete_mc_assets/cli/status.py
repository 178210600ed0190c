"""`iomete-mc status`: how far each flow has come, on the terminal. What is read lives in ``operations.status``."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from iomete_mc_assets import clock, settings
from iomete_mc_assets.errors import ManifestError
from iomete_mc_assets.manifests.codec import RECORD_TYPES
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.operations.status import (
    Alarm,
    AtDestination,
    FlowStatus,
    alarms_of,
    as_json,
    exit_code,
    status_of,
)
from iomete_mc_assets.push.config import Destination


@click.command(short_help="Tell how far each flow has come; exit code for alarms.")
@click.option(
    "--flow",
    "flows",
    type=click.Choice(sorted(RECORD_TYPES)),
    multiple=True,
    help="Only this flow; may be said several times.",
)
@click.option(
    "--hours",
    type=click.IntRange(1, 24 * 60),
    default=48,
    show_default=True,
    help="How many hours back to look for what is not settled.",
)
@click.option(
    "--late-minutes",
    type=click.IntRange(1, 7 * 24 * 60),
    default=120,
    show_default=True,
    help="Minutes after which an hour should have been collected, and a collected one pushed.",
)
@click.option("--json", "as_object", is_flag=True, help="One JSON object for programs.")
def status(flows: tuple[Flow, ...], hours: int, late_minutes: int, *, as_object: bool) -> None:
    """Tell how far each flow has come: newest hour collected, newest hour pushed, what is still open.

    Reads the manifest store that IOMETE_MC_MANIFESTS names, and asks nobody else. With
    MCD_RESOURCE_UUID set only that warehouse counts, otherwise every destination ever pushed to.

    \b
    Exit codes, for alarms from outside; of several the lowest:
      0  nothing wants a person
      1  the store cannot be read
      2  wrong usage
      3  the newest closed hour was not collected in time
      4  a collected hour is not settled in time
      5  events were refused, or went out without an answer
    """  # noqa: D301 - click's mark for text that keeps its lines
    root = settings.IOMETE_MC_MANIFESTS.read(os.environ)
    now = clock.now()
    try:
        store = ManifestStore.open(root, source=None)
        found = status_of(
            store,
            flows=flows or tuple(RECORD_TYPES),
            destination=_destination(os.environ),
            look_back=timedelta(hours=hours),
            now=now,
        )
    except OSError as error:
        msg = (
            f"The manifest store {root} cannot be read ({error}), so nothing is known. Check "
            "IOMETE_MC_MANIFESTS, and the rights and the network of this machine."
        )
        raise ManifestError(msg) from error
    alarms = alarms_of(found, late=timedelta(minutes=late_minutes), now=now)
    if as_object:
        click.echo(json.dumps(as_json(store, found, alarms, now=now), indent=2))
    else:
        _show(store, found, alarms, hours=hours)
    raise SystemExit(exit_code(alarms))


def _destination(environment: Mapping[str, str]) -> str | None:
    if not environment.get(settings.MCD_RESOURCE_UUID.name):
        return None
    return Destination(
        endpoint=settings.MCD_INGEST_ENDPOINT.read(environment),
        resource_uuid=settings.MCD_RESOURCE_UUID.read(environment),
        naming=settings.MCD_NAMING.read(environment),
    ).id


def _show(
    store: ManifestStore, found: Sequence[FlowStatus], alarms: Sequence[Alarm], *, hours: int
) -> None:
    console = Console(soft_wrap=True, emoji=False)
    console.print(f"Manifest store {escape(store.root)}, the last {hours} hours")
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("flow", "newest collected", "destination", "newest pushed"):
        table.add_column(name, no_wrap=True)
    for name in ("not settled", "in doubt", "refused"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("open plan", no_wrap=True)
    for one in found:
        for cells in _rows(one):
            table.add_row(*map(escape, cells))
    # a pipe has no width, and cut hours and ids are of no use there
    wide = Console(width=None if console.is_terminal else 200, emoji=False)
    wide.print(table)
    for alarm in alarms:
        console.print(f"[red]✗[/red] {escape(alarm.text)}")
    if not alarms:
        console.print("[green]✓[/green] nothing wants a person")


def _rows(status: FlowStatus) -> Iterator[tuple[str, ...]]:
    newest = status.newest
    collected = f"{newest.window.key} {newest.state}" if newest else "never"
    if not status.destinations:
        yield status.name, collected, "none", "never", "", "", "", ""
    for at in status.destinations:
        settled = at.newest.settled if at.newest else None
        yield (
            status.name,
            collected,
            at.destination,
            f"{settled.window.key} {settled.word}" if settled else "none",
            str(len(at.unsettled)),
            str(at.in_doubt),
            str(at.refused),
            _ledgers(at),
        )


def _ledgers(at: AtDestination) -> str:
    told = [
        f"{one.window.key} (run {one.run_id[:8]}, free at {one.free_at:%H:%M})"
        if one.free_at
        else f"{one.window.key} (interrupted)"
        for one in at.ledgers
    ]
    return ", ".join(told) or "none"
