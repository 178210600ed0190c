"""`iomete-mc dev`: the Dagster UI on what the demo left. What the demo itself does lives in ``demo``."""

import os
import socket
import sys
from pathlib import Path

import click
from rich.console import Console

from iomete_mc_assets.cli.environment import demo_environment, prepare_dagster_home, start_servers
from iomete_mc_assets.cli.steps import Steps

FIRST_PORT = 3000
LAST_PORT = 3099


def run_dev(home: Path, *, port: int | None) -> None:
    """Become `dagster dev` (does not return).

    Raises:
        SandboxError: the demo's servers cannot be started.
    """
    console = Console()
    if not (home / "manifests" / "store.json").exists():
        msg = f"There is no demo below {home}. Run `make demo` (or `iomete-mc demo`) first."
        raise click.ClickException(msg)
    servers = start_servers(home, Steps(console))
    environment = {**os.environ, **demo_environment(home, servers), "PYTHONWARNINGS": "ignore"}
    prepare_dagster_home(home)
    chosen = port or _free_port()
    console.print(
        f"\nDagster UI: [bold]http://127.0.0.1:{chosen}[/bold]   (Ctrl-C stops it; "
        "`iomete-mc sandbox stop` stops lakehouse and gateway)\n"
    )
    dagster = Path(sys.executable).with_name("dagster")
    arguments = ["dev", "-h", "127.0.0.1", "-p", str(chosen), *location()]
    os.execve(dagster, [str(dagster), *arguments], environment)  # noqa: S606 - our own interpreter's dagster


def location() -> list[str]:
    """How Dagster finds the definitions: the checkout's own workspace, else the installed module."""
    if Path("pyproject.toml").exists() and Path("workspace.yaml").exists():
        return []
    return ["-m", "iomete_mc_assets.definitions"]


def _free_port() -> int:
    for port in range(FIRST_PORT, LAST_PORT + 1):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    msg = f"Ports {FIRST_PORT} to {LAST_PORT} are all taken. Say --port."
    raise click.ClickException(msg)
