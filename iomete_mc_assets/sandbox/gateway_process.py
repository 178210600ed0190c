"""The gateway as a long-lived process of its own: started, found again, stopped. The gateway itself is in ``gateway``."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.sandbox import process
from iomete_mc_assets.sandbox.gateway_client import GatewayClient
from iomete_mc_assets.sandbox.gateway_connection import (
    CONNECTION_FILE,
    Connection,
    read_connection,
)

NAME = "gateway"
READY_WITHIN_S = 30.0
POLL_S = 0.1


def start(state: Path, *, port: int | None = None, others: Sequence[str] = ()) -> Connection:
    """The running gateway of a state folder, started if it is not there.

    Args:
        state: keeps keys and everything accepted; created when absent.
        port: None takes the one it had before, else a free one.
        others: as in ``Gateway``; one that runs without them is started anew.

    Raises:
        SandboxError: it ended or did not answer in time; the message holds the end of its log.
    """
    state = state.absolute()
    state.mkdir(parents=True, exist_ok=True)
    if (found := status(state)) is not None:
        if found.others.keys() >= set(others):
            return found
        stop(state)
    command = [sys.executable, "-m", "iomete_mc_assets.sandbox.gateway", "--state", str(state)]
    if port is not None:
        command += ["--port", str(port)]
    if others:
        command += ["--others", *others]
    before = _written_ns(state)
    child = process.spawn(NAME, command, state=state)
    until = time.monotonic() + READY_WITHIN_S
    # until it has written its own address, another program may answer at the former one
    while _written_ns(state) == before or not _answers(state):
        if not process.is_ours(child) or time.monotonic() > until:
            process.stop(NAME, state=state)
            msg = f"The sandbox gateway did not start.\n{process.log_tail(Path(child.log))}"
            raise SandboxError(msg)
        time.sleep(POLL_S)
    connection = read_connection(state)
    if connection is None:
        msg = f"The sandbox gateway runs, but {state} does not say how to reach it."
        raise SandboxError(msg)
    return connection


def status(state: Path) -> Connection | None:
    """How to reach the running gateway of a state folder; None when there is none."""
    state = state.absolute()
    if process.running(NAME, state=state) is None or not _answers(state):
        return None
    return read_connection(state)


def stop(state: Path) -> bool:
    """Stop the gateway of a state folder, which keeps what it accepted. Returns whether it ran."""
    return process.stop(NAME, state=state.absolute())


def _written_ns(state: Path) -> int | None:
    """When a gateway of the folder last said where it is, in nanoseconds; None before the first."""
    try:
        return (state / CONNECTION_FILE).stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _answers(state: Path) -> bool:
    connection = read_connection(state)
    if connection is None:
        return False
    try:
        with GatewayClient(connection.url) as client:
            client.counts()
    except SandboxError:
        return False
    return True
