"""`iomete-mc tables`: tables that Monte Carlo shows and the lakehouse has dropped. What they are lives in ``operations.dropped``."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape

from iomete_mc_assets import clock, settings
from iomete_mc_assets.manifests.store import ManifestStore

if TYPE_CHECKING:
    from iomete_mc_assets.montecarlo.answered import ShownTable
    from iomete_mc_assets.montecarlo.control_plane import ControlPlane
    from iomete_mc_assets.operations.dropped import Dropped


@dataclass(frozen=True, slots=True)
class _Looked:
    """Both sides, and what differs."""

    api: "ControlPlane"
    store: ManifestStore
    warehouse: str
    found: "Dropped"


@click.group(short_help="Find and delete dropped tables at Monte Carlo.")
def tables() -> None:
    """Tables that Monte Carlo still shows and the lakehouse has dropped.

    Takes the API key (MCD_ID, MCD_TOKEN). A table counts as dropped when the two newest complete catalogs
    lack it and a push of this manifest store brought it.
    """


@tables.command(short_help="List tables that Monte Carlo shows and the lakehouse has not.")
@click.option("--json", "as_objects", is_flag=True, help="One JSON object for programs.")
def dropped(*, as_objects: bool) -> None:
    """List tables that Monte Carlo shows and the lakehouse has dropped; changes nothing.

    A database without any table left is listed apart: a lost grant looks the same.
    """
    found = _look().found
    if as_objects:
        told = {
            "catalogs": [header.window.key for header in found.catalogs],
            "dropped": _ids(found.tables),
            "vanished_databases": {name: _ids(every) for name, every in found.vanished.items()},
            "left_out": _ids(found.left_out),
            "not_pushed_from_here": _ids(found.foreign),
        }
        click.echo(json.dumps(told, indent=2))
        return
    console = Console(soft_wrap=True, highlight=False, emoji=False)
    hours = " and ".join(header.window.key for header in found.catalogs)
    console.print(f"{len(found.tables)} dropped tables, absent from the catalogs of {hours}")
    for one in _ids(found.tables):
        console.print(f"  {escape(one)}")
    for database, every in found.vanished.items():
        console.print(
            f"[red]{escape(database)}[/red] has no table left, and Monte Carlo shows {len(every)}: was it dropped, "
            f"or is a grant lost, or a catalog or pattern set otherwise? Deleted only with --database {escape(database)}"
        )
    if found.left_out:
        console.print(
            f"{len(found.left_out)} more are left out of the catalogs by IOMETE_EXCLUDE, so nobody knows whether they "
            f"are there ({escape(', '.join(_ids(found.left_out[:5])))}); never deleted here"
        )
    if found.foreign:
        console.print(
            f"{len(found.foreign)} more are unknown to the catalogs and to this store's receipts (other pushes, other naming); never deleted here"
        )


@tables.command(short_help="Delete dropped tables at Monte Carlo; a dry run by default.")
@click.option("--table", "named", multiple=True, metavar="ID", help="Only this dropped table.")
@click.option(
    "--database",
    "databases",
    multiple=True,
    metavar="ID",
    help="All tables of this vanished database.",
)
@click.option("--execute", is_flag=True, help="Really delete; without it nothing is changed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(named: tuple[str, ...], databases: tuple[str, ...], *, execute: bool, yes: bool) -> None:
    """Delete dropped tables at Monte Carlo: all of them, or those named; a dry run unless --execute is given.

    Tables of vanished databases go only when their database is named. Each call is on record in the manifest
    store, and Monte Carlo is asked afterwards; exit code 1 when it still shows one.
    """
    looked = _look()
    chosen = _chosen(looked.found, named, databases)
    console = Console(soft_wrap=True, highlight=False, emoji=False)
    for one in _ids(chosen):
        console.print(f"  {escape(one)}")
    if not chosen or not execute:
        ending = "this was a dry run, --execute deletes" if chosen else "nothing is dropped"
        console.print(f"{len(chosen)} tables; {ending}.")
        return
    if not yes:
        click.confirm(f"Delete these {len(chosen)} tables at Monte Carlo?", abort=True)
    from iomete_mc_assets.operations import dropped as operation  # noqa: PLC0415 - only commands that ask need it

    done = operation.delete(looked.api, looked.store, looked.warehouse, chosen, now=clock.now())
    console.print(
        f"{len(done.gone)} tables are gone from Monte Carlo; on record in {looked.store.root}."
    )
    if done.still_shown:
        listed = ", ".join(_ids(done.still_shown[:5]))
        msg = f"{len(done.still_shown)} tables are still shown ({listed}). Look again in some minutes with `iomete-mc tables dropped`."
        raise click.ClickException(msg)


def _look() -> _Looked:
    from iomete_mc_assets.collectors.exclusions import Exclusions  # noqa: PLC0415 - only commands that ask need it
    from iomete_mc_assets.montecarlo.control_plane import ApiConfig, ControlPlane  # noqa: PLC0415 - likewise
    from iomete_mc_assets.operations import dropped as operation  # noqa: PLC0415 - likewise
    from iomete_mc_assets.push.config import PushConfig  # noqa: PLC0415 - likewise

    api = ControlPlane(ApiConfig.read(os.environ))
    config = PushConfig.read(os.environ)
    store = ManifestStore.open(settings.IOMETE_MC_MANIFESTS.read(os.environ), source=None)
    exclusions = Exclusions(settings.IOMETE_EXCLUDE.read(os.environ))
    found = operation.dropped(
        api, store, config.destination, config.naming, exclusions=exclusions, now=clock.now()
    )
    return _Looked(api, store, config.destination.resource_uuid, found)


def _chosen(found: "Dropped", named: Sequence[str], databases: Sequence[str]) -> "list[ShownTable]":
    """What was named, or everything but vanished databases."""
    if not named and not databases:
        return list(found.tables)
    by_id = {table.full_table_id: table for table in found.tables}
    if unknown := sorted(set(named) - by_id.keys()):
        msg = f"{', '.join(unknown)} is no dropped table; `iomete-mc tables dropped` lists them. Nothing was deleted."
        raise click.ClickException(msg)
    if unknown := sorted(set(databases) - found.vanished.keys()):
        msg = f"{', '.join(unknown)} is no vanished database; `iomete-mc tables dropped` lists them. Nothing was deleted."
        raise click.ClickException(msg)
    of_databases = [table for name in databases for table in found.vanished[name]]
    return [*(by_id[one] for one in dict.fromkeys(named)), *of_databases]


def _ids(every: "Sequence[ShownTable]") -> list[str]:
    return [table.full_table_id for table in every]
