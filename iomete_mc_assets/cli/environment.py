"""The demo's world: its two servers, its Dagster home, and the variables that point everything at them."""

import fcntl
import os
import shutil
from collections.abc import Callable, Generator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Literal

from iomete_mc_assets import settings
from iomete_mc_assets.cli.steps import Steps
from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.sandbox import (
    commands,
    gateway_process,
    lakehouse,
    other_collectors,
    seed,
    seed_log,
    shop_events,
)
from iomete_mc_assets.sandbox.gateway_connection import Connection
from iomete_mc_assets.sandbox.lakehouse import Mode, RunningLakehouse
from iomete_mc_assets.sandbox.seed_log import SeedLog
from iomete_mc_assets.warehouse import address

QueryLog = Literal["table", "events"]
"""Where the demo's queries are read: in the shop's query-history table, or in Spark's event logs."""
QUERY_LOG_FILE = "query_log"
"""Below a home: which of them it is, for whoever goes on there."""
_QUERY_LOGS: Mapping[QueryLog, Callable[[Path], Mapping[str, str]]] = {
    "table": lambda _: {"IOMETE_QUERY_LOG_TABLE": "spark_catalog.ops.query_history"},
    "events": lambda state: {"IOMETE_QUERY_LOG_EVENTS": str(state / shop_events.FOLDER)},
}
SETTINGS_BEGIN = ("IOMETE_", "MCD_")
"""How every variable that we or pycarlo read begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """What the demo talks to."""

    lakehouse: RunningLakehouse
    gateway: Connection


@contextmanager
def alone(home: Path) -> Generator[None]:
    """Hold a home against other commands that start, seed or collect there; the system frees it at our end.

    Raises:
        SandboxError: another one is at work.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "busy.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            elsewhere = commands.command("demo", home=home.with_name(f"{home.name}-2"))
            msg = (
                f"Another demo or sandbox start ({lock.read()}) is at work below {home}. "
                f"Wait for its end, or run this one in a folder of its own: `{elsewhere}`."
            )
            raise SandboxError(msg) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()
        yield


def cut_off(home: Path) -> bool:
    """Whether the shop is half a shop, because its seeding was interrupted."""
    return seed.cut_off(lakehouse_state(home))


def outlived(home: Path, now: datetime) -> bool:
    """Whether the demo's shop is of an earlier UTC day: its newest hours would all be empty."""
    log = seed_log.read(lakehouse_state(home))
    return log is not None and log.window.end.date() < now.date()


def query_log_of(home: Path) -> QueryLog:
    """Where the demo of a home reads its queries."""
    try:
        said = (home / QUERY_LOG_FILE).read_text()
    except FileNotFoundError:
        return "table"
    return "events" if said == "events" else "table"


def lakehouse_state(home: Path) -> Path:
    """The lakehouse's folder below the demo's."""
    return home / "lakehouse"


def gateway_state(home: Path) -> Path:
    """The gateway's folder below the demo's."""
    return home / "gateway"


def dropped_files(home: Path) -> Path:
    """The folder for files of other collectors."""
    return home / "dropped"


def start_servers(
    home: Path, steps: Steps, *, port: int | None = None, mode: Mode = "http"
) -> Servers:
    """Both servers; what runs already is used as it is, and a gateway alone does not stay.

    Args:
        home: the demo's folder.
        steps: says how it goes.
        port: of the lakehouse; None takes the one it had before, or a free one.
        mode: of the lakehouse.

    Raises:
        SandboxError: something is missing or taken; the message says what to install or free.
    """
    ran_before = gateway_process.status(gateway_state(home)) is not None
    with steps.step("gateway", "Monte Carlo gateway"):
        gateway = gateway_process.start(gateway_state(home), others=other_collectors.KINDS)
    try:
        with steps.step("lakehouse", "Spark Thrift server with Iceberg"):
            running = lakehouse.start(lakehouse_state(home), port=port, mode=mode)
    except BaseException:
        if not ran_before:
            gateway_process.stop(gateway_state(home))
        raise
    # its former port may be taken by now; the folder says that it is the same lakehouse
    ManifestStore.moved(str(home / "manifests"), host=address.parse(running.url).shown)
    return Servers(lakehouse=running, gateway=gateway)


def stop_servers(home: Path) -> list[str]:
    """Stop both; the names of those that ran."""
    ran = {
        "lakehouse": lakehouse.stop(lakehouse_state(home)),
        "gateway": gateway_process.stop(gateway_state(home)),
    }
    return [name for name, was_running in ran.items() if was_running]


def forget(home: Path) -> None:
    """Stop both servers and remove what a demo wrote; the folder may hold more than that."""
    stop_servers(home)
    seed.remove_data(lakehouse_state(home))  # first: should we be cut off, the next start knows
    for folder in (
        lakehouse_state(home),
        gateway_state(home),
        dropped_files(home),
        home / "manifests",
        home / "dagster",
    ):
        shutil.rmtree(folder, ignore_errors=True)


def seeded(servers: Servers, now: datetime, steps: Steps) -> SeedLog:
    """The shop's log; an empty lakehouse is seeded first."""
    log = seed_log.read(servers.lakehouse.state)
    if log is None:
        with steps.step("seed", "small shop with 24 hours of history seeded"):
            log = seed.seed(servers.lakehouse, now=now)
    return log


def demo_environment(home: Path, servers: Servers) -> dict[str, str]:
    """Variables for everything that runs on the demo; secrets are in here, so never print it."""
    log = seed_log.read(lakehouse_state(home))
    return {
        # the shop's first hour: with a year of empty partitions the demo's would be a hair's breadth
        **({settings.IOMETE_MC_START.name: log.first.key} if log else {}),
        "DAGSTER_HOME": str(home / "dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "IOMETE_URL": servers.lakehouse.url,
        "IOMETE_USER": servers.lakehouse.user,
        "IOMETE_TOKEN": servers.lakehouse.token,
        "IOMETE_CATALOGS": "spark_catalog",
        **_QUERY_LOGS[query_log_of(home)](servers.lakehouse.state),
        "IOMETE_QUERY_LOG_DELAY_MINUTES": "0",  # the demo's query history is written at once
        settings.IOMETE_MC_EDGE_DELAY_MINUTES.name: "0",  # the demo's Monte Carlo takes tables in at once
        **pushing_environment(home, servers.gateway),
        "IOMETE_MC_AUTOMATION": "running",
    }


def pushing_environment(home: Path, gateway: Connection) -> dict[str, str]:
    """The variables of them that a push needs, and an import."""
    sources = [f"{name}={warehouse}" for name, warehouse in gateway.others.items()]
    return {
        "MCD_INGEST_ENDPOINT": gateway.url,
        "MCD_INGEST_ID": gateway.key_id,
        "MCD_INGEST_TOKEN": gateway.key_secret,
        "MCD_RESOURCE_UUID": gateway.resource_uuid,
        "IOMETE_MC_MANIFESTS": str(home / "manifests"),
        "IOMETE_MC_IMPORTS": str(dropped_files(home)),
        "IOMETE_MC_IMPORT_SOURCES": ",".join(sources),
    }


def decide(environment: MutableMapping[str, str], home: Path, servers: Servers) -> list[str]:
    """Point an environment at the demo, and take every other setting out of it.

    Returns:
        The names of the settings that were there and count no more, sorted.
    """
    decided = demo_environment(home, servers)
    others = sorted(
        name
        for name, value in environment.items()
        if name.startswith(SETTINGS_BEGIN) and value != decided.get(name)
    )
    for name in others:
        del environment[name]
    environment.update(decided)
    return others


WORKSPACE = """load_from:
  - python_module: {module_name: iomete_mc_assets.definitions, location_name: iomete_mc_assets}
"""


def prepare_dagster_home(home: Path) -> Path:
    """The demo's Dagster home: what to load, and the dagster.yaml that the project recommends."""
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    recommended = resources.files("iomete_mc_assets.cli") / "dagster.yaml"
    (folder / "dagster.yaml").write_bytes(recommended.read_bytes())
    (folder / "workspace.yaml").write_text(WORKSPACE)
    return folder
