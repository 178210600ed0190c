"""Options that several commands share."""

import shlex
from pathlib import Path

import click

from iomete_mc_assets.hints import command
from iomete_mc_assets.windows import HourWindow

DEFAULT_HOME = Path(".demo")

home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_HOME,
    show_default=True,
    help="Folder of the demo's lakehouse, gateway, manifests and Dagster instance.",
)


def with_home(words: str, home: Path) -> str:
    """`iomete-mc` with these words on this home, to be typed as it stands."""
    where = "" if home == DEFAULT_HOME.absolute() else f" --home {shlex.quote(str(home))}"
    return command(words + where)


def _hour(_context: click.Context, _parameter: click.Parameter, key: str) -> HourWindow:
    try:
        return HourWindow.from_key(key)
    except ValueError:
        msg = f"{key!r} is no partition. Spell the UTC hour like 2026-11-21-05:00."
        raise click.BadParameter(msg) from None


partition_argument = click.argument("partition", callback=_hour)
