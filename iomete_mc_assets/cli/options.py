"""Options that several commands share."""

from pathlib import Path

import click

from iomete_mc_assets.sandbox.commands import DEFAULT_HOME
from iomete_mc_assets.windows import HourWindow

home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_HOME,
    show_default=True,
    help="Folder of the demo's lakehouse, gateway, manifests and Dagster instance.",
)


def _hour(_context: click.Context, _parameter: click.Parameter, key: str) -> HourWindow:
    try:
        return HourWindow.from_key(key)
    except ValueError:
        msg = f"{key!r} is no partition. Spell the UTC hour like 2026-11-21-05:00."
        raise click.BadParameter(msg) from None


def _hours(
    context: click.Context, parameter: click.Parameter, keys: tuple[str, ...]
) -> tuple[HourWindow, ...]:
    return tuple(_hour(context, parameter, key) for key in keys)


partition_argument = click.argument("partition", callback=_hour)
partitions_argument = click.argument("partitions", callback=_hours, nargs=-1, required=True)
