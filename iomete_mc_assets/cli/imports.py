"""`iomete-mc import`: manifests of other collectors, taken in by hand. What becomes of them lives in ``operations.imports``."""

import os
import secrets
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from iomete_mc_assets import clock, settings
from iomete_mc_assets.errors import IometeMcError, NotImportable
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.operations import imports
from iomete_mc_assets.operations.imports import TakenIn
from iomete_mc_assets.push.ledger import Owner
from iomete_mc_assets.push.outcome import HourOutcome
from iomete_mc_assets.push.pusher import Pusher

SHOWN = 10
"""Omissions of a file on the terminal; the manifests' headers have fifty."""


@click.command(name="import", short_help="Take in JSON manifests of other collectors.")
@click.argument(
    "files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    nargs=-1,
    required=True,
)
@click.option("--source", required=True, help="A name that IOMETE_MC_IMPORT_SOURCES has.")
@click.option(
    "--push", "sending", is_flag=True, help="Send what they say to the source's warehouse."
)
@click.option(
    "--dry-run", is_flag=True, help="Only read the files strictly; write and send nothing."
)
def import_(files: tuple[Path, ...], source: str, *, sending: bool, dry_run: bool) -> None:
    """Take in FILES that Monte Carlo's own collector scripts wrote (Snowflake, BigQuery, Databricks, Redshift, Hive).

    Each becomes manifests in a store of its source's own, below the manifest store. With --push they go to
    the source's warehouse, by the same rules as ours: what was accepted is not sent again. A file that is
    not what it should be, or cannot be written down, is named with the reason and stays as it is; the
    others are taken in. Exit code 1 when there was one, or when something is not settled.
    """
    console = Console(soft_wrap=True, emoji=False)
    if dry_run and sending:
        msg = "--dry-run reads only, so it does not go with --push."
        raise click.UsageError(msg)
    warehouse = imports.warehouse_of(source, os.environ)
    query_text = settings.IOMETE_QUERY_TEXT.read(os.environ)
    failed = 0
    root = (
        f"memory://import-{secrets.token_hex(8)}"
        if dry_run
        else settings.IOMETE_MC_MANIFESTS.read(os.environ)
    )
    store = imports.store_of(root, source)
    taken: list[TakenIn] = []
    for path in files:
        try:
            taken.append(_taken_in(console, store, source, path, query_text))
        except (IometeMcError, OSError) as error:
            console.print(f"[red]✗[/red] {escape(_why_not(error, f'{source}/{path.name}'))}")
            failed += 1
    if sending:
        taken.sort(key=lambda one: one.collected_at)
        failed += sum(not _pushed(console, store, one, warehouse) for one in taken)
    if failed:
        msg = f"{failed} of {len(files)} files are not done. Each is named above with what to do."
        raise click.ClickException(msg)


def _why_not(error: Exception, file: str) -> str:
    """Names the file, as only what is wrong with the file itself does already."""
    if isinstance(error, NotImportable):
        return str(error)
    return f"{file} was not taken in: {error} Import it again when that is mended."


def _taken_in(
    console: Console,
    store: ManifestStore,
    source: str,
    path: Path,
    query_text: settings.QueryText,
) -> TakenIn:
    taken = imports.take_in(
        store,
        path.read_bytes(),
        file=f"{source}/{path.name}",
        query_text=query_text,
        now=clock.now(),
    )
    counts = ", ".join(f"{count} {name}" for name, count in taken.counts.items())
    console.print(f"[green]✓[/green] {escape(taken.file)}: {counts}")
    for omission in taken.omissions[:SHOWN]:
        console.print(f"    left out: {escape(omission.scope)}, {escape(omission.reason)}")
    if len(taken.omissions) > SHOWN:
        console.print(f"    and {len(taken.omissions) - SHOWN} more")
    if taken.ignored:
        console.print(f"    not known, and left out: {escape(', '.join(taken.ignored))}")
    return taken


def _pushed(console: Console, store: ManifestStore, taken: TakenIn, warehouse: str) -> bool:
    """Whether everything of a file is settled."""
    run_id = f"cli-{secrets.token_hex(8)}"
    owner = Owner(run_id=run_id, root_run_id=run_id, is_finished=lambda _: False)
    otherwise = imports.otherwise_set(taken, warehouse=warehouse)
    pusher = Pusher.configured(store, {**os.environ, **otherwise})
    good = True
    for header, answer in imports.push(pusher, taken, owner):
        if isinstance(answer, HourOutcome):
            console.print(
                f"[green]✓[/green] {escape(taken.file)}, {header.flow} {escape(answer.told)}"
            )
        else:
            good = False
            console.print(
                f"[red]✗[/red] {escape(taken.file)}, {header.flow}: {escape(str(answer))}"
            )
    return good
