"""`iomete-mc sandbox`: the local lakehouse and gateway by hand. What the demo does with them lives in ``demo``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from iomete_mc_assets.cli.options import home_option

if TYPE_CHECKING:
    from iomete_mc_assets.sandbox.lakehouse import Mode

quiet_option = click.option("--quiet", is_flag=True, help="Say nothing but errors.")


@click.group(short_help="Start and stop the local lakehouse and gateway.")
def sandbox() -> None:
    """A real local lakehouse (Spark, Iceberg) with a small shop, and a local Monte Carlo gateway."""


@sandbox.command()
@home_option
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    help="Port of the lakehouse; the one it had before, or a free one, by default.",
)
@click.option(
    "--transport",
    type=click.Choice(["http", "binary"]),
    default="http",
    show_default=True,
    help="How the lakehouse speaks Thrift: over HTTP as IOMETE does, or in binary mode.",
)
@click.option("--no-seed", is_flag=True, help="Leave the lakehouse as it is, without the shop.")
@click.option("--fresh", is_flag=True, help="Remove the lakehouse's data first and seed again.")
@quiet_option
def start(
    home: Path, port: int | None, transport: "Mode", *, no_seed: bool, fresh: bool, quiet: bool
) -> None:
    """Start both servers, or find them running, and say how to connect."""
    from iomete_mc_assets.cli.sandbox_start import run_start  # noqa: PLC0415 - loads the drivers

    run_start(
        home.absolute(),
        port=port,
        mode=transport,
        to_seed=not no_seed,
        fresh=fresh,
        quiet=quiet,
    )


@sandbox.command(short_help="Say what runs and how to reach it.")
@home_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object for programs.")
def status(home: Path, *, as_json: bool) -> None:
    """Say what runs and how to reach it; exit code 1 when the lakehouse does not."""
    from iomete_mc_assets.cli.sandbox_start import found, shown  # noqa: PLC0415 - loads the drivers

    state = found(home.absolute())
    click.echo(json.dumps(state) if as_json else shown(state))
    if not state["lakehouse"]["running"]:
        raise SystemExit(1)


@sandbox.command()
@home_option
@quiet_option
def stop(home: Path, *, quiet: bool) -> None:
    """Stop both servers; their data stays."""
    from iomete_mc_assets.cli.environment import stop_servers  # noqa: PLC0415 - loads the drivers

    stopped = stop_servers(home.absolute())
    if not quiet:
        click.echo(f"Stopped {' and '.join(stopped)}." if stopped else f"Nothing of {home} runs.")
