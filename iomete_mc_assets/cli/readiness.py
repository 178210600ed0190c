"""`iomete-mc readiness`: which tables Monte Carlo's detectors can work on. What is judged lives in ``operations.readiness``."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from iomete_mc_assets import clock, settings
from iomete_mc_assets.manifests.store import ManifestStore

if TYPE_CHECKING:
    from iomete_mc_assets.operations.readiness import Detector, Readiness
    from iomete_mc_assets.operations.readiness_shown import Compared

SHOWN = 50
"""Tables on the terminal, those that are not ready first; ``--json`` has all."""


@click.command(short_help="Tell which tables Monte Carlo's detectors can work on.")
@click.option(
    "--sample",
    type=click.IntRange(0, 1_000),
    default=20,
    show_default=True,
    help="Tables compared with Monte Carlo's own word where the API key is set; a call each.",
)
@click.option(
    "--max-calls",
    type=click.IntRange(1, 10_000),
    default=200,
    show_default=True,
    help="Questions to Monte Carlo, which has a daily quota.",
)
@click.option("--json", "as_object", is_flag=True, help="One JSON object for programs.")
def readiness(sample: int, max_calls: int, *, as_object: bool) -> None:
    """Tell which tables have told Monte Carlo's freshness and volume detectors enough, and when others will have.

    Reads receipts and manifests, and keeps what it read below samples/ in the manifest store. With the API
    key (MCD_ID, MCD_TOKEN) a sample is compared with what Monte Carlo says. Exit code 0 in any case.
    """
    from iomete_mc_assets.operations import readiness as operation  # noqa: PLC0415 - only this command needs it
    from iomete_mc_assets.push.config import PushConfig  # noqa: PLC0415 - likewise

    config = PushConfig.read(os.environ)
    store = ManifestStore.open(settings.IOMETE_MC_MANIFESTS.read(os.environ), source=None)
    now = clock.now()
    found = operation.readiness(store, config.destination, config.naming, now=now)
    compared: Sequence[Compared] = ()
    if os.environ.get(settings.MCD_ID.name) and sample:
        compared = _compared(found, config.destination.resource_uuid, sample, max_calls)
    if as_object:
        told = {
            "at": now,
            "tables": [asdict(one) for one in found],
            "compared": [asdict(one) for one in compared],
        }
        click.echo(json.dumps(told, indent=2, default=_plain))
    else:
        _show(Console(soft_wrap=True, highlight=False, emoji=False), found, compared)


def _compared(
    found: "Sequence[Readiness]", warehouse: str, sample: int, max_calls: int
) -> "Sequence[Compared]":
    from iomete_mc_assets.montecarlo.control_plane import ApiConfig, ControlPlane  # noqa: PLC0415 - only commands that ask need it
    from iomete_mc_assets.operations.readiness_shown import compared  # noqa: PLC0415 - likewise

    api = ControlPlane(ApiConfig.read(os.environ, max_calls=max_calls))
    return compared(api, warehouse, found, sample=sample)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return round(value.total_seconds())
    msg = f"{type(value).__name__} is no JSON"
    raise TypeError(msg)


def _show(console: Console, found: "Sequence[Readiness]", compared: "Sequence[Compared]") -> None:
    from iomete_mc_assets.operations.readiness import told_pauses  # noqa: PLC0415 - as above

    ready = sum(one.ready for one in found)
    console.print(f"{ready} of {len(found)} tables are ready for freshness and volume detectors")
    waiting = [one for one in found if not one.ready]
    if waiting:
        console.print(_table(waiting[:SHOWN]))
    if len(waiting) > SHOWN:
        console.print(f"and {len(waiting) - SHOWN} more; --json has all")
    for line in told_pauses(found):
        console.print(escape(line))
    for one in compared:
        if one.difference:
            console.print(f"{one.verdict}: {escape(one.key)}: {escape(one.difference)}")
    if compared:
        console.print(f"{len(compared)} tables compared with Monte Carlo.")


def _table(waiting: "Sequence[Readiness]") -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("table", "detector", "state", "samples", "every", "ready at (UTC)", "missing"):
        table.add_column(name)
    for one in waiting:
        table.add_row(escape(one.key), "freshness", *_cells(one.freshness))
        table.add_row("", "volume", *_cells(one.volume))
    return table


def _cells(one: "Detector") -> tuple[str, str, str, str, str]:
    from iomete_mc_assets.operations.readiness import shown  # noqa: PLC0415 - as above

    return (
        one.state,
        f"{one.samples} of {one.needed}" if one.needed else str(one.samples),
        shown(one.every) if one.every else "",
        f"{one.ready_at:%Y-%m-%d %H:%M}" if one.ready_at else "",
        "; ".join(one.missing),
    )
