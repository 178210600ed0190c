"""What `iomete-mc sandbox start` and `status` do and print. Never the token: only the file it is in."""

from pathlib import Path
from typing import TypedDict

from rich.console import Console

from iomete_mc_assets import clock
from iomete_mc_assets.cli.environment import (
    alone,
    cut_off,
    gateway_state,
    lakehouse_state,
    seeded,
    start_servers,
)
from iomete_mc_assets.cli.steps import Steps
from iomete_mc_assets.sandbox import gateway_process, lakehouse, seed, seed_log
from iomete_mc_assets.sandbox.lakehouse import Mode


class FoundLakehouse(TypedDict):
    """The lakehouse, for people and programs."""

    running: bool
    url: str | None
    user: str | None
    token_file: str | None
    pid: int | None
    seeded_for: str | None


class FoundGateway(TypedDict):
    """The gateway, likewise."""

    running: bool
    url: str | None


class Found(TypedDict):
    """Both servers of one home."""

    lakehouse: FoundLakehouse
    gateway: FoundGateway


def found(home: Path) -> Found:
    """What runs below a home, and which hour the shop ends with."""
    running = lakehouse.status(lakehouse_state(home))
    gateway = gateway_process.status(gateway_state(home))
    log = seed_log.read(lakehouse_state(home))
    return Found(
        lakehouse=FoundLakehouse(
            running=running is not None,
            url=running and running.url,
            user=running and running.user,
            token_file=running and str(running.token_file),
            pid=running and running.pid,
            seeded_for=log and log.window.key,
        ),
        gateway=FoundGateway(running=gateway is not None, url=gateway and gateway.url),
    )


def shown(state: Found) -> str:
    """The same in words, with the lines a shell needs to connect."""
    lake, gateway = state["lakehouse"], state["gateway"]
    shop = f"the shop ends with hour {lake['seeded_for']}" if lake["seeded_for"] else "not seeded"
    lines = [
        f"lakehouse  {lake['url'] if lake['running'] else 'not running'}  ({shop})",
        f"gateway    {gateway['url'] if gateway['running'] else 'not running'}",
    ]
    if lake["running"]:
        lines += [
            "",
            f"export IOMETE_URL={lake['url']}",
            f"export IOMETE_USER={lake['user']}",
            f'export IOMETE_TOKEN="$(cat {lake["token_file"]})"',
        ]
    return "\n".join(lines)


def run_start(
    home: Path, *, port: int | None, mode: Mode, to_seed: bool, fresh: bool, quiet: bool
) -> None:
    """Start both servers and print how to reach them; a seed that was cut off is removed first.

    Raises:
        SandboxError: something is missing or taken; the message says what to do.
        LakehouseError: a statement of the seed failed.
    """
    steps = Steps(Console(quiet=quiet, emoji=False))
    state = lakehouse_state(home)
    with alone(home):
        if cut_off(home):
            steps.note("An earlier seed was cut off: what it left is removed.")
        if fresh or cut_off(home):
            with steps.step("fresh", "earlier data removed"):
                lakehouse.stop(state)
                seed.remove_data(state)
        servers = start_servers(home, steps, port=port, mode=mode)
        if to_seed:
            seeded(servers, clock.now(), steps)
    if not quiet:
        steps.console.print(shown(found(home)), soft_wrap=True, markup=False, highlight=False)
