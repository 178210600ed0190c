"""`iomete-mc`: the command line's front door. Each command lives in a module of its own, imported when called."""

from pathlib import Path
from typing import Literal

import click

from iomete_mc_assets.cli.adopt import adopt
from iomete_mc_assets.cli.exports import export
from iomete_mc_assets.cli.imports import import_
from iomete_mc_assets.cli.lineage import lineage
from iomete_mc_assets.cli.options import home_option
from iomete_mc_assets.cli.prune import prune
from iomete_mc_assets.cli.push import push
from iomete_mc_assets.cli.readiness import readiness
from iomete_mc_assets.cli.receipts import receipts
from iomete_mc_assets.cli.sandbox import sandbox
from iomete_mc_assets.cli.setup import setup
from iomete_mc_assets.cli.status import status
from iomete_mc_assets.cli.tables import tables
from iomete_mc_assets.cli.verify import verify
from iomete_mc_assets.errors import IometeMcError


class Front(click.Group):
    """Our own errors end as one red sentence, not as a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; exit code 1 for what we raise on purpose."""
        try:
            return super().invoke(ctx)
        except IometeMcError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Front, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="iomete-mc-assets")
def main() -> None:
    """Collect what an IOMETE lakehouse knows about itself, and push it to Monte Carlo.

    The daily work is done by Dagster's schedules and sensors (`dagster dev`); these commands are
    for trying it out and for work by hand.
    """


@main.command(short_help="Collect, push and check hours of a real local lakehouse.")
@home_option
@click.option(
    "--hours", type=click.IntRange(1, 24), default=6, show_default=True, help="Hours to collect."
)
@click.option(
    "--query-log",
    type=click.Choice(["table", "events"]),
    default="table",
    show_default=True,
    help="Read the queries from the shop's query-history table or from Spark's event logs.",
)
@click.option("--fresh", is_flag=True, help="Forget what an earlier demo did and seed again.")
def demo(home: Path, hours: int, query_log: Literal["table", "events"], *, fresh: bool) -> None:
    """Collect and push the last hours of a real local lakehouse, and check what arrived.

    Starts a Spark Thrift server with Iceberg and a Monte Carlo gateway on this machine, seeds a small
    shop, collects the last hours as a ranged run, lets the sensors push, prints one table, and
    compares what the gateway received with the manifests, with Spark and with the seed's own log.
    Exit code 0 only when all of it agrees.
    """
    from iomete_mc_assets.cli.demo import run_demo  # noqa: PLC0415 - Dagster takes seconds to load

    raise SystemExit(run_demo(home.absolute(), hours=hours, fresh=fresh, query_log=query_log))


@main.command(short_help="Serve the Dagster UI on the demo's data.")
@home_option
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    help="Port of the UI; a free one from 3000 on by default.",
)
def dev(home: Path, port: int | None) -> None:
    """Serve the Dagster UI on the demo's data, with sensors and schedules switched on."""
    from iomete_mc_assets.cli.dev import run_dev  # noqa: PLC0415 - only this command needs it

    run_dev(home.absolute(), port=port)


@main.command(short_help="Check settings, connections, rights and keys.")
@click.option("--json", "as_object", is_flag=True, help="One JSON object for programs.")
def doctor(*, as_object: bool) -> None:
    """Check this installation: each setting, the lakehouse, the manifest store, Monte Carlo and Dagster.

    Each line is green, amber (works, and worth knowing) or red with the next step. Nothing is pushed and
    nothing is written into the lakehouse; the manifest store gets one small file, which is removed again.
    Secrets are never shown. Exit code 1 when something is red.
    """
    from iomete_mc_assets.cli.doctor import run_doctor  # noqa: PLC0415 - Dagster takes seconds to load

    raise SystemExit(run_doctor(as_object=as_object))


main.add_command(adopt)
main.add_command(export)
main.add_command(import_)
main.add_command(lineage)
main.add_command(prune)
main.add_command(push)
main.add_command(readiness)
main.add_command(receipts)
main.add_command(sandbox)
main.add_command(setup)
main.add_command(tables)
main.add_command(verify)
main.add_command(status)


if __name__ == "__main__":
    main()
