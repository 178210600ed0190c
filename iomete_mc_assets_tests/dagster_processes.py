"""A real Dagster beside the tests: webserver, daemon and code server on a home of their own, asked as the UI asks."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

ROOT = Path(__file__).parent.parent
LOCATION = "iomete_mc_assets"
REPOSITORY = "__repository__"

LAUNCH_BACKFILL = """
mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
START_SENSOR = """
mutation($selector: SensorSelector!) { startSensor(sensorSelector: $selector) {
  __typename ... on Sensor { sensorState { status } } ... on PythonError { message } } }"""
MATERIALIZED = """
query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } } } } }"""
RUNS = """
query { runsOrError(limit: 500) { ... on Runs { results { runId jobName status tags { key value } } } } }"""


class Dagster:
    """The processes, as a context manager; every one is ended by its own process group."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        home.mkdir(parents=True, exist_ok=True)
        (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
        self.home = home
        self.environment = {
            **os.environ,
            **environment,
            "DAGSTER_HOME": str(home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
        }
        self.port = _free_port()
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.start_webserver()
        self.start_daemon()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in self._children:
            self.end(child, signal.SIGTERM)
        self._children.clear()

    @property
    def url(self) -> str:
        """Where the UI is."""
        return f"http://127.0.0.1:{self.port}"

    def start_webserver(self) -> None:
        """Start the UI and wait until it answers for our code location."""
        self._start("dagster-webserver", "-h", "127.0.0.1", "-p", str(self.port))
        wait_for(self._answers, within_s=90, what="the webserver to load the code location")

    def start_daemon(self) -> subprocess.Popen[bytes]:
        """Start sensors, schedules, backfills and the run queue."""
        return self._start("dagster-daemon", "run")

    def end(self, child: subprocess.Popen[bytes], sign: signal.Signals) -> None:
        """End one of ours with everything it started."""
        try:
            os.killpg(child.pid, sign)
            child.wait(timeout=40)
        except ProcessLookupError:
            pass
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait(timeout=10)

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """One GraphQL question, as the UI's own."""
        answer = requests.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60
        ).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def backfill(self, key: Sequence[str], partitions: Sequence[str]) -> None:
        """Launch a backfill of one asset, as the Materialize button does."""
        params = {
            "assetSelection": [{"path": list(key)}],
            "partitionNames": list(partitions),
            "fromFailure": False,
        }
        launched = self.ask(LAUNCH_BACKFILL, params=params)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched

    def start_sensor(self, name: str) -> None:
        """Switch one sensor on."""
        selector = {
            "repositoryLocationName": LOCATION,
            "repositoryName": REPOSITORY,
            "sensorName": name,
        }
        started = self.ask(START_SENSOR, selector=selector)["startSensor"]
        assert started["__typename"] == "Sensor", started

    def partitions(self, key: Sequence[str]) -> list[tuple[str, str, str]]:
        """(status, first key, last key) of each coloured range of an asset."""
        node = self.ask(MATERIALIZED, key={"path": list(key)})["assetNodeOrError"]
        ranges = node["assetPartitionStatuses"].get("ranges", [])
        return [(r["status"], r["startKey"], r["endKey"]) for r in ranges]

    def runs(self) -> list[dict[str, Any]]:
        """All runs, newest first."""
        return self.ask(RUNS)["runsOrError"]["results"]

    def _answers(self) -> bool:
        try:
            return self._loaded()
        except (requests.ConnectionError, AssertionError):
            return False

    def _loaded(self) -> bool:
        query = "query { repositoriesOrError { __typename ... on RepositoryConnection { nodes { name } } } }"
        nodes = self.ask(query)["repositoriesOrError"].get("nodes", [])
        return len(nodes) == 1

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self.home / f"{program}.log").open("ab")
        with log:
            child = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name(program)),
                    *arguments,
                    "-w",
                    str(ROOT / "workspace.yaml"),
                ],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children.append(child)
        return child


def wait_for(condition: Callable[[], bool], *, within_s: float, what: str) -> None:
    """Ask again until it is true; a process outside ours gives no signal to wait on."""
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, f"waited {within_s:.0f} s in vain for {what}"
        time.sleep(0.5)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
