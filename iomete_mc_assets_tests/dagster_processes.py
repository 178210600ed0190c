"""A real Dagster beside the tests: webserver, daemon and code servers on a home of their own, used as the UI uses them.

Commands go through GraphQL as a person's clicks do; what happened is read from the instance's own storage.
"""

# Dagster's instance is typed in part only, GraphQL answers not at all.
# pyright: reportUnknownMemberType=false

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import dagster as dg
import requests

ROOT = Path(__file__).parent.parent
LOCATION = "iomete_mc_assets"
REPOSITORY = "__repository__"
PROJECT_VARIABLES = ("IOMETE_", "MCD_", "DAGSTER_")

REPOSITORIES = "query { repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
LAUNCH_BACKFILL = """
mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
START_SENSOR = """
mutation($selector: SensorSelector!) { startSensor(sensorSelector: $selector) {
  __typename ... on Sensor { sensorState { status } } ... on PythonError { message } } }"""
PARTITION_BAR = """
query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } } } } }"""


class DagsterProcesses:
    """The processes, as a context manager; each is ended with everything that it started.

    Attributes:
        home: DAGSTER_HOME, with the project's own dagster.yaml; the processes' logs lie here too.
        instance: the same storage, for reading.
    """

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        """Nothing is started yet.

        Args:
            home: is made.
            environment: the project's variables; those of this machine do not reach the processes.
        """
        home.mkdir(parents=True, exist_ok=True)
        (home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
        self.home = home
        self._environment = {
            **{name: value for name, value in os.environ.items() if not _is_projects(name)},
            **environment,
            "DAGSTER_HOME": str(home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
        }
        self._url = f"http://127.0.0.1:{_free_port()}"
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        """Start both, and return when the UI knows our code location."""
        with ExitStack() as undo:
            # opened before the processes, which else race to create the same tables
            self.instance = undo.enter_context(dg.DagsterInstance.from_config(str(self.home)))
            self._session = undo.enter_context(requests.Session())
            self._session.trust_env = False
            port = self._url.rpartition(":")[2]
            webserver = ("dagster-webserver", "-h", "127.0.0.1", "-p", port)
            undo.callback(_end, self._started(*webserver))
            undo.callback(_end, self._started("dagster-daemon", "run"))
            wait_for(self._is_loaded, within_s=120, what="the webserver to load the code location")
            self._opened = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End them."""
        self._opened.close()

    # What a person does

    def backfill(self, key: dg.AssetKey, partitions: Sequence[str]) -> None:
        """Materialise partitions of an asset, as the button of its page does."""
        params = {
            "assetSelection": [{"path": key.path}],
            "partitionNames": list(partitions),
            "fromFailure": False,
        }
        launched = self._ask(LAUNCH_BACKFILL, params=params)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched

    def start_sensor(self, name: str) -> None:
        """Switch a sensor on; one that is on stays so."""
        selector = {
            "repositoryLocationName": LOCATION,
            "repositoryName": REPOSITORY,
            "sensorName": name,
        }
        started = self._ask(START_SENSOR, selector=selector)["startSensor"]
        assert started["__typename"] == "Sensor", started

    def partition_bar(self, key: dg.AssetKey) -> list[tuple[str, str, str]]:
        """Status, first and last partition of each coloured range of an asset's page."""
        node = self._ask(PARTITION_BAR, key={"path": key.path})["assetNodeOrError"]
        ranges = node["assetPartitionStatuses"]["ranges"]
        return [(one["status"], one["startKey"], one["endKey"]) for one in ranges]

    # What happened

    def runs(self, job: str) -> list[dg.DagsterRun]:
        """The runs of a job, oldest first."""
        return [*self.instance.get_runs(dg.RunsFilter(job_name=job), ascending=True)]

    def worker(self, run: dg.DagsterRun) -> int:
        """The process that executes a run's steps, as its log says."""
        for entry in self.instance.all_logs(run.run_id):
            event = entry.dagster_event
            if (
                event is not None
                and event.is_engine_event
                and "pid" in event.engine_event_data.metadata
            ):
                return int(str(event.engine_event_data.metadata["pid"].value))
        msg = f"the log of run {run.run_id} names no process"
        raise AssertionError(msg)

    def failure_of(self, run: dg.DagsterRun) -> str:
        """What a failed run's page says: the message of its steps' failures."""
        entries = self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        return "\n".join(
            event.step_failure_data.error_display_string
            for entry in entries
            if (event := entry.dagster_event) is not None
        )

    def _started(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        executable = str(Path(sys.executable).with_name(program))
        with (self.home / f"{program}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own programs
                [executable, *arguments, "-w", str(ROOT / "workspace.yaml")],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _is_loaded(self) -> bool:
        try:
            found = self._ask(REPOSITORIES)["repositoriesOrError"]
        except requests.ConnectionError:
            return False
        return len(found.get("nodes", [])) == 1

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        answer = self._session.post(f"{self._url}/graphql", json=body, timeout=60).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]


def wait_for(condition: Callable[[], bool], *, within_s: float, what: str) -> None:
    """Ask again until it is true; another process gives no signal to wait on."""
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, f"waited {within_s:.0f} s in vain for {what}"
        time.sleep(1)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a process and all of its group: run workers and code servers that outlive it, too."""
    child.terminate()
    try:
        child.wait(timeout=30)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _kill_group(child.pid)
        child.wait(timeout=10)


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def _is_projects(name: str) -> bool:
    return name.startswith(PROJECT_VARIABLES) or name.lower().endswith("_proxy")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
