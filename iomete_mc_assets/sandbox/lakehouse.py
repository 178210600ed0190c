"""The sandbox's lakehouse: a real Spark Thrift server with Iceberg, started, found again and stopped.

What is in its tables lives in ``shop`` and ``seed``; how a process is kept, in ``process``.
"""

import json
import logging
import os
import secrets
import shutil
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from iomete_mc_assets.errors import LakehouseUnavailable, SandboxError
from iomete_mc_assets.sandbox import commands, process, spark
from iomete_mc_assets.warehouse.connection import Lakehouse, LakehouseConfig

NAME = "lakehouse"
USER = "sandbox"
DATA_FOLDERS = ("metastore", "warehouse", "lake", "events", "shop_events", "tmp")
"""Below the state folder; without them a lakehouse is empty, and keeps its token and port."""
START_TIMEOUT_S = 180.0
"""Seconds to readiness. Measured on two cores: 10 to 15, 40 once on a busy machine."""
POLL_S = 0.2

Mode = Literal["http", "binary"]
"""``hive.server2.transport.mode``."""
_URLS: dict[Mode, str] = {
    "http": "http://127.0.0.1:{}/cliservice",
    "binary": "thrift://127.0.0.1:{}",
}

FAST_START = (
    "-XX:TieredStopAtLevel=1",
    "-XX:ReservedCodeCacheSize=240m",
    "-XX:+UseSerialGC",
    "-Xshare:auto",
)
"""Measured on two cores: 9.7 s to the first session instead of 14.6, and no slower commits. With one tier Java
keeps 48 MB for compiled code instead of 240, and a seed that filled them ended the server."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningLakehouse:
    """A lakehouse that answers.

    Attributes:
        url: as ``IOMETE_URL`` takes it.
        token: the only one it accepts, from any user; never part of the repr.
        token_file: holds the token and nothing else, readable by its owner alone.
        state: its folder, with metastore, tables, event logs and log.
        events: folder of its Spark event logs.
        pid: of the server.
        reused: it ran before it was asked for.
    """

    url: str
    user: str
    token: str = field(repr=False)
    token_file: Path
    state: Path
    events: Path
    pid: int
    reused: bool

    @property
    def config(self) -> LakehouseConfig:
        """For a session of the product's own transport."""
        return LakehouseConfig(url=self.url, user=self.user, token=self.token, startup_window_s=0)


def start(
    state: Path,
    *,
    port: int | None = None,
    heap_gb: int = 2,
    mode: Mode = "http",
    properties: Mapping[str, str] = MappingProxyType({}),
) -> RunningLakehouse:
    """Start the lakehouse of a state folder, or find it running, and wait until it answers a query.

    Args:
        state: its folder; created when absent, continued when not.
        port: None takes the port it had before if that is free, else any free one.
        heap_gb: the server's heap; 2 suffices for the shop.
        mode: how Thrift is spoken; in both, the token is demanded.
        properties: Spark's, besides and before ours.

    Raises:
        SandboxError: something is missing, the port is taken, it runs on another port or in another mode,
            or it ended or did not answer in time; then the message holds the end of its log.
    """
    state = state.absolute()
    if (found := status(state)) is not None:
        if not found.url.startswith(_URLS[mode].partition("{")[0]):
            msg = f"The lakehouse of {state} already runs at {found.url}. Stop it to start it in {mode} mode."
            raise SandboxError(msg)
        if port is not None and _port_of(found.url) != port:
            msg = f"The lakehouse of {state} already runs at {found.url}. Stop it to start it on port {port}."
            raise SandboxError(msg)
        _wait_until_ready(found)
        return found
    chosen = _choose_port(state, port)
    prepared = spark.prepare(os.environ)
    shutil.rmtree(state / "tmp", ignore_errors=True)  # a killed server leaves its work there
    for name in DATA_FOLDERS[1:]:  # Derby makes its own and takes no empty one
        (state / name).mkdir(parents=True, exist_ok=True)
    token = _token(state)
    _write_connection(state, _URLS[mode].format(chosen))
    file = state / "spark.properties"
    file.write_text("".join(f"{k} {v}\n" for k, v in {**_properties(state), **properties}.items()))
    child = process.spawn(
        NAME,
        _command(prepared, state, port=chosen, heap_gb=heap_gb, mode=mode),
        state=state,
        environment=_environment(prepared, token),
    )
    running = _running(state, child, reused=False)
    try:
        _wait_until_ready(running)
    except BaseException:
        process.stop(NAME, state=state)
        raise
    return running


def status(state: Path) -> RunningLakehouse | None:
    """The running lakehouse of a state folder; None when there is none. Asks the process table only."""
    state = state.absolute()
    child = process.running(NAME, state=state)
    return None if child is None else _running(state, child, reused=True)


def stop(state: Path) -> bool:
    """Stop the lakehouse of a state folder, which keeps its data. Returns whether it ran."""
    return process.stop(NAME, state=state.absolute())


def _running(state: Path, child: process.Child, *, reused: bool) -> RunningLakehouse:
    try:
        known = json.loads((state / "connection.json").read_text())
        return RunningLakehouse(
            url=known["url"],
            user=known["user"],
            token=(state / "token").read_text(),
            token_file=state / "token",
            state=state,
            events=state / "events",
            pid=child.pid,
            reused=reused,
        )
    except (OSError, ValueError, KeyError) as error:
        msg = (
            f"A lakehouse runs as process {child.pid}, but {state} no longer says how to reach it "
            f"({error!r}). Stop it with `{commands.of_state('sandbox stop', state=state)}`."
        )
        raise SandboxError(msg) from error


def _choose_port(state: Path, wanted: int | None) -> int:
    if wanted is not None:
        if not _free(wanted):
            msg = f"Port {wanted} is taken by another program. Say another --port, or none for a free one."
            raise SandboxError(msg)
        return wanted
    connection = state / "connection.json"
    if connection.exists() and _free(before := _port_of(json.loads(connection.read_text())["url"])):
        return before
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _free(port: int) -> bool:
    """Whether a server could listen on all interfaces, which is what Spark does in HTTP mode."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


def _token(state: Path) -> str:
    """The state's token, made at its first start, so that a restart keeps its clients."""
    state.mkdir(parents=True, exist_ok=True)
    file = state / "token"
    if not file.exists():
        _write_private(file, secrets.token_urlsafe(24))
    return file.read_text()


def _write_connection(state: Path, url: str) -> None:
    """For clients in other processes; written anew at each start, the port may have changed."""
    known = {"url": url, "user": USER, "token_file": str(state / "token")}
    _write_private(state / "connection.json", json.dumps(known, indent=2) + "\n")


def _write_private(file: Path, text: str) -> None:
    whole = file.with_suffix(".new")
    whole.unlink(missing_ok=True)
    whole.touch(mode=0o600)
    whole.write_text(text)
    whole.replace(file)


def _properties(state: Path) -> dict[str, str]:
    """Spark's configuration; the whys are in the comments beside what surprises."""
    iceberg = "org.apache.iceberg.spark"
    return {
        "spark.app.name": "iomete-mc sandbox",
        "spark.master": "local[2]",
        "spark.ui.enabled": "false",
        "spark.log.level": "WARN",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.default.parallelism": "2",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.extensions": f"{iceberg}.extensions.IcebergSparkSessionExtensions",
        "spark.sql.catalogImplementation": "hive",
        "spark.sql.catalog.spark_catalog": f"{iceberg}.SparkSessionCatalog",
        "spark.sql.catalog.spark_catalog.type": "hive",
        "spark.sql.catalog.lake": f"{iceberg}.SparkCatalog",
        "spark.sql.catalog.lake.type": "hadoop",
        "spark.sql.catalog.lake.warehouse": str(state / "lake"),
        # the embedded metastore has no lock tables; without locks a table bears one writer only
        "spark.hadoop.iceberg.engine.hive.lock-enabled": "false",
        "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={state / 'metastore'};create=true",
        "spark.sql.warehouse.dir": str(state / "warehouse"),
        "spark.local.dir": str(state / "tmp"),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": str(state / "events"),
    }


def _command(
    prepared: spark.Spark, state: Path, *, port: int, heap_gb: int, mode: Mode
) -> list[str]:
    """Spark's own scripts would start a second Java first, to build this very command."""
    hive = {
        "hive.server2.transport.mode": mode,
        "hive.server2.thrift.http.port": str(port),
        "hive.server2.thrift.port": str(port),
        "hive.server2.thrift.bind.host": "127.0.0.1",  # in HTTP mode it listens on all interfaces
        "hive.server2.thrift.http.path": "cliservice",
        # a pool thread opens the embedded metastore anew, and Spark makes up to 100 of them
        "hive.server2.async.exec.threads": "4",
        "hive.server2.authentication": "CUSTOM",
        "hive.server2.custom.authentication.class": spark.TOKEN_CLASS,
        "hive.exec.scratchdir": str(state / "tmp" / "scratch"),
    }
    return [
        *(str(prepared.java.executable), f"-Xmx{heap_gb}g", *FAST_START, *spark.OPEN_MODULES),
        *(f"-Dderby.system.home={state}", "-Dderby.system.durability=test"),
        f"-Djava.io.tmpdir={state / 'tmp'}",
        *("-cp", prepared.class_path, "org.apache.spark.deploy.SparkSubmit"),
        *("--properties-file", str(state / "spark.properties")),
        *("--class", "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2", "spark-internal"),
        *(part for key, value in hive.items() for part in ("--hiveconf", f"{key}={value}")),
    ]


def _environment(prepared: spark.Spark, token: str) -> Mapping[str, str]:
    """Ours, less what would move Spark's folders or change its configuration, plus the token."""
    ours = {
        key: value for key, value in os.environ.items() if not key.startswith(("SPARK_", "HIVE_"))
    }
    return {
        **ours,
        "JAVA_HOME": str(prepared.java.home),
        "SPARK_HOME": str(prepared.home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SANDBOX_TOKEN": token,
    }


def _wait_until_ready(running: RunningLakehouse) -> None:
    """Return when a query is answered; an open port is not readiness."""
    log = running.state / f"{NAME}.log"
    until = time.monotonic() + START_TIMEOUT_S
    problem = "nobody listens"
    while time.monotonic() < until:
        if process.running(NAME, state=running.state) is None:
            msg = f"The lakehouse ended while it was starting. The end of {log}:\n{process.log_tail(log)}"
            raise SandboxError(msg)
        if not _free(_port_of(running.url)):
            try:
                with Lakehouse.connect(running.config) as session:
                    session.ask("SELECT 1")
            except LakehouseUnavailable as error:
                problem = str(error)
            else:
                _log.info("the lakehouse answers at %s", running.url)
                return
        time.sleep(POLL_S)
    msg = (
        f"The lakehouse did not answer a query within {START_TIMEOUT_S:.0f} s ({problem}). "
        f"The end of {log}:\n{process.log_tail(log)}"
    )
    raise SandboxError(msg)
