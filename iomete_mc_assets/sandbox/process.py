"""Long-lived children of the sandbox: started detached, remembered in a file, stopped only when they are ours.

What the children do does not matter here; the lakehouse and the gateway are both started this way.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from iomete_mc_assets.errors import SandboxError

STOP_WAIT_S = 20.0
"""Seconds between TERM and KILL. Spark's shutdown hooks took 1 to 3 s on a busy machine."""
POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A process that we started.

    Attributes:
        name: what it is to the sandbox, e.g. ``lakehouse``; names its files.
        pid: its process id, which is its process group too.
        born: when the kernel says it started; a reused pid has another.
        log: where its standard output and error go.
    """

    name: str
    pid: int
    born: str
    log: str


def spawn(
    name: str,
    command: Sequence[str],
    *,
    state: Path,
    environment: Mapping[str, str] | None = None,
) -> Child:
    """Start a child in a session of its own, so that it outlives us and our terminal.

    Args:
        name: what it is to the sandbox; its files are ``<name>.process.json`` and ``<name>.log``.
        command: the program and its arguments; visible to everybody, so no secrets.
        state: an existing folder for its files.
        environment: its whole environment, secrets included; None hands over ours.

    Raises:
        SandboxError: a child of that name is running, or the program cannot be started.
    """
    if (child := running(name, state=state)) is not None:
        msg = f"The sandbox's {name} is already running as process {child.pid}. Stop it first."
        raise SandboxError(msg)
    log = state / f"{name}.log"
    writing = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        # not subprocess.Popen: it takes a child that outlives its object for a leak and warns
        pid = os.posix_spawnp(
            command[0],
            list(command),
            dict(os.environ if environment is None else environment),
            file_actions=(
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), writing, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ),
            setsid=True,
            # what we ignore it would ignore for good: Dagster gives TERM to whoever has INT, and a
            # job in the background of a shell has INT ignored
            setsigdef=(signal.SIGINT, signal.SIGTERM),
        )
    except OSError as error:
        msg = (
            f"The sandbox's {name} cannot be started: {error}. Check that {command[0]} can be run."
        )
        raise SandboxError(msg) from error
    child = Child(name=name, pid=pid, born=_born(pid) or "", log=str(log))
    whole = _record(name, state).with_suffix(".new")
    whole.write_text(json.dumps(asdict(child)))
    whole.replace(_record(name, state))
    return child


def running(name: str, *, state: Path) -> Child | None:
    """The child of that name if it lives; None when there is none, it ended, or its pid is another's."""
    try:
        child = Child(**json.loads(_record(name, state).read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        msg = f"{_record(name, state)} is damaged: {error}. Remove it if no such process runs."
        raise SandboxError(msg) from error
    return child if is_ours(child) else None


def is_ours(child: Child) -> bool:
    """Whether the process with the child's pid is alive and is the one that was started."""
    return bool(child.born) and _born(child.pid) == child.born


def stop(name: str, *, state: Path, wait_s: float = STOP_WAIT_S) -> bool:
    """End the child and its process group: TERM, then KILL after ``wait_s`` seconds.

    Returns:
        Whether a child was running. A record whose pid belongs to another process is only removed.

    Raises:
        SandboxError: it is still there after KILL.
    """
    child = running(name, state=state)
    if child is not None:
        for sign, patience_s in ((signal.SIGTERM, wait_s), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, sign)
            if _gone(child, within_s=patience_s):
                break
        else:
            msg = f"The sandbox's {name}, process {child.pid}, does not end. Look at {child.log}."
            raise SandboxError(msg)
    _record(name, state).unlink(missing_ok=True)
    return child is not None


def log_tail(log: Path, *, lines: int = 15) -> str:
    """The last lines of a log, frames of Java's stacks left out; a sentence when there are none."""
    try:
        text = log.read_text(errors="replace").rstrip()
    except FileNotFoundError:
        text = ""
    told = [line for line in text.splitlines() if not line.startswith(("\tat ", "\t... "))]
    return "\n".join(told[-lines:]) or f"({log} is empty)"


def _gone(child: Child, *, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while is_ours(child):
        if time.monotonic() > until:
            return False
        time.sleep(POLL_S)
    with contextlib.suppress(ChildProcessError):  # another process started it, init buries it
        os.waitpid(child.pid, os.WNOHANG)
    return True


def _record(name: str, state: Path) -> Path:
    return state / f"{name}.process.json"


def _born(pid: int) -> str | None:
    """Start of a living process, in its system's own words; None when there is none or it is a zombie."""
    if Path("/proc/self/stat").exists():
        return _born_linux(pid)
    shown = subprocess.run(  # noqa: S603 - fixed arguments
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],  # noqa: S607 - where ps lies differs
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    state, _, started = shown.partition(" ")
    return None if not started or state.startswith("Z") else started.strip()


def _born_linux(pid: int) -> str | None:
    """Boot id and start in clock ticks since boot: /proc/<pid>/stat, fields 3 (state) and 22 (start)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    boot = Path("/proc/sys/kernel/random/boot_id")
    return None if fields[0] in "ZX" else f"{boot.read_text().strip()}:{fields[19]}"
