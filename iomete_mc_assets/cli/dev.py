"""`iomete-mc dev`: the Dagster UI on what the demo left. What the demo itself does lives in ``demo``."""

import os
import socket
import sys
from pathlib import Path

import click
from rich.console import Console

from iomete_mc_assets.cli.environment import decide, prepare_dagster_home, start_servers
from iomete_mc_assets.cli.steps import Steps
from iomete_mc_assets.sandbox.commands import command

PORTS = range(3000, 3100)
"""Dagster's own port and what follows it."""


def run_dev(home: Path, *, port: int | None) -> None:
    """Become `dagster dev` (does not return).

    Raises:
        SandboxError: the demo's servers cannot be started.
    """
    console = Console(emoji=False)
    if not (home / "manifests" / "store.json").exists():
        msg = f"There is no demo below {home}. Run `{command('demo', home=home)}` first."
        raise click.ClickException(msg)
    chosen = _free_port(range(port, port + 1) if port else PORTS)
    steps = Steps(console)
    servers = start_servers(home, steps)
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    steps.not_used(decide(environment, home, servers))
    stop = command("sandbox stop", home=home)
    os.chdir(prepare_dagster_home(home))  # elsewhere Dagster warns of the dagster.yaml it passes by
    console.print(
        f"\nDagster UI: [bold]http://127.0.0.1:{chosen}[/bold] in a few seconds (Ctrl-C stops it)"
    )
    console.print(f"`{stop}` stops lakehouse and gateway.\n", markup=False, soft_wrap=True)
    dagster = Path(sys.executable).with_name("dagster")
    arguments = ["dev", "-h", "127.0.0.1", "-p", str(chosen), "-w", "workspace.yaml"]
    os.execve(dagster, [str(dagster), *arguments], environment)  # noqa: S606 - our own interpreter's dagster


def _free_port(ports: range) -> int:
    """The first that nobody serves: Dagster's webserver would share a taken one without a word."""
    for port in ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    taken = f"Port {ports[0]} is" if len(ports) == 1 else f"Ports {ports[0]} to {ports[-1]} are all"
    msg = f"{taken} taken. Say another with --port."
    raise click.ClickException(msg)
