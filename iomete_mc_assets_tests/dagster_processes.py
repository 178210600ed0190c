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

from iomete_mc_assets.defs.materializations import LIVE
from iomete_mc_assets.defs.partitions import RANGE_END, RANGE_START

ROOT = Path(__file__).parent.parent
LOCATION = "iomete_mc_assets"
REPOSITORY = "__repository__"
ASSET_JOB = "__ASSET_JOB"
PROJECT_VARIABLES = ("IOMETE_", "MCD_", "DAGSTER_")
WORKSPACE = """\
load_from:
  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: {name}}}
"""

REPOSITORIES = "query { repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
LAUNCH_BACKFILL = """
mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
LAUNCH_RUN = """
mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
START_SENSOR = """
mutation($selector: SensorSelector!) { startSensor(sensorSelector: $selector) {
  __typename ... on Sensor { sensorState { status } } ... on PythonError { message } } }"""
SENSOR = """
query($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) { ... on Sensor {
  sensorState { id } } } }"""
STOP_SENSOR = """
mutation($id: String!) { stopSensor(id: $id) { __typename ... on PythonError { message } } }"""
CLEAR_CURSOR = """
mutation($selector: SensorSelector!) { setSensorCursor(sensorSelector: $selector, cursor: null) {
  __typename ... on PythonError { message } } }"""
CANCEL_RUN = """
mutation($id: String!) { terminateRun(runId: $id, terminatePolicy: MARK_AS_CANCELED_IMMEDIATELY) {
  __typename ... on PythonError { message } } }"""
DELETE_RUN = """
mutation($id: String!) { deleteRun(runId: $id) { __typename ... on PythonError { message } } }"""
PARTITION_BAR = """
query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } } } } }"""


class DagsterProcesses:
    """The processes, as a context manager; each is ended with everything that it started.

    Attributes:
        url: of the UI.
        home: DAGSTER_HOME, with the project's own dagster.yaml; the processes' logs lie here too.
        instance: the same storage, for reading.
    """

    def __init__(
        self,
        home: Path,
        environment: Mapping[str, str],
        *,
        module: str | None = None,
        storage: str = "",
    ) -> None:
        """Nothing is started yet.

        Args:
            home: is made.
            environment: the project's variables; those of this machine do not reach the processes.
            module: served by one code server, which can be killed and started like the daemon; None
                lets webserver and daemon each start one for the project's own workspace.
            storage: what dagster.yaml says of it besides.
        """
        write_dagster_yaml(home, storage)
        self.home = home
        self._environment = process_environment(home, environment)
        self.url = f"http://127.0.0.1:{free_port()}"
        self._module, self._code_port = module, free_port()
        self._workspace = ROOT / "workspace.yaml"
        self._code_server: subprocess.Popen[bytes] | None = None
        self._daemon: subprocess.Popen[bytes] | None = None
        self._opened = self._children = ExitStack()

    def __enter__(self) -> Self:
        """Start all, and return when the UI knows our code location."""
        with ExitStack() as undo:
            # opened before the processes, which else race to create the same tables
            self.instance = undo.enter_context(dg.DagsterInstance.from_config(str(self.home)))
            self._session = undo.enter_context(requests.Session())
            self._session.trust_env = False
            self._children = undo
            if self._module is not None:
                self._workspace = self.home / "workspace.yaml"
                self._workspace.write_text(WORKSPACE.format(port=self._code_port, name=LOCATION))
                self.start_code_server()
            port = self.url.rpartition(":")[2]
            self._started("dagster-webserver", "-h", "127.0.0.1", "-p", port, *self._loading())
            self.start_daemon()
            wait_for(self._is_loaded, within_s=120, what="the webserver to load the code location")
            self._opened = self._children = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End them."""
        self._opened.close()

    # What a supervisor and a power cut do

    def start_daemon(self) -> None:
        """Start the daemon."""
        self._daemon = self._started("dagster-daemon", "run", *self._loading())

    def kill_daemon(self) -> None:
        """kill -9; run workers live on."""
        _kill(self._daemon)

    def start_code_server(self, **changes: str) -> None:
        """Start the code server and wait until it serves.

        Args:
            changes: variables that it and its runs see otherwise than before.
        """
        self._environment |= changes
        self._code_server = self._started(
            "dagster",
            *("api", "grpc", "-m", self._module or "", "-d", str(ROOT), "-h", "127.0.0.1"),
            *("-p", str(self._code_port), "--location-name", LOCATION),
        )
        wait_for(self._serves, within_s=120, what="the code server to serve")

    def kill_code_server(self) -> None:
        """kill -9; run workers, which it has started, live on."""
        _kill(self._code_server)

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

    def materialize(self, key: dg.AssetKey, partitions: Sequence[str]) -> str:
        """Materialise neighbouring partitions in one run at once, without a backfill; the run's id."""
        tags = {RANGE_START: partitions[0], RANGE_END: partitions[-1]}
        return self.launch(ASSET_JOB, tags, assetSelection=[{"path": key.path}])

    def launch(self, job: str, tags: Mapping[str, str], **selected: Any) -> str:
        """Launch a job with tags, as the launchpad does; the run's id."""
        params = {
            "mode": "default",
            "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in tags.items()]},
            "selector": {
                "repositoryLocationName": LOCATION,
                "repositoryName": REPOSITORY,
                "pipelineName": job,
                **selected,
            },
        }
        launched = self._ask(LAUNCH_RUN, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]

    def start_sensor(self, name: str) -> None:
        """Switch a sensor on; one that is on stays so."""
        started = self._ask(START_SENSOR, selector=_selector(name))["startSensor"]
        assert started["__typename"] == "Sensor", started

    def stop_sensor(self, name: str) -> None:
        """Switch a sensor off."""
        stopped = self._ask(STOP_SENSOR, id=self._sensor(name)["id"])["stopSensor"]
        assert stopped["__typename"] == "StopSensorMutationResult", stopped

    def clear_cursor(self, name: str) -> None:
        """Empty a sensor's cursor, as the edit button of its page does."""
        cleared = self._ask(CLEAR_CURSOR, selector=_selector(name))["setSensorCursor"]
        assert cleared["__typename"] == "Sensor", cleared

    def cancel(self, run: dg.DagsterRun) -> None:
        """Terminate a run by force, as its page offers where nobody executes it any more."""
        cancelled = self._ask(CANCEL_RUN, id=run.run_id)["terminateRun"]
        assert cancelled["__typename"] == "TerminateRunSuccess", cancelled

    def cancel_all(self) -> None:
        """Cancel every run that has not ended; one that ends by itself meanwhile cannot be."""
        for record in self.instance.get_run_records(dg.RunsFilter(statuses=list(LIVE))):
            run_id = record.dagster_run.run_id
            self._ask(CANCEL_RUN, id=run_id)
            self.wait_until_finished(run_id, within_s=60)

    def delete(self, run: dg.DagsterRun) -> None:
        """Delete a run with its events."""
        deleted = self._ask(DELETE_RUN, id=run.run_id)["deleteRun"]
        assert deleted["__typename"] == "DeletePipelineRunSuccess", deleted

    def partition_bar(self, key: dg.AssetKey) -> list[tuple[str, str, str]]:
        """Status, first and last partition of each coloured range of an asset's page."""
        node = self._ask(PARTITION_BAR, key={"path": key.path})["assetNodeOrError"]
        ranges = node["assetPartitionStatuses"]["ranges"]
        return [(one["status"], one["startKey"], one["endKey"]) for one in ranges]

    # What happened

    def runs(self, job: str) -> list[dg.DagsterRun]:
        """The runs of a job, oldest first."""
        return [*self.instance.get_runs(dg.RunsFilter(job_name=job), ascending=True)]

    def run(self, run_id: str) -> dg.DagsterRun:
        """One run as it is now."""
        found = self.instance.get_run_by_id(run_id)
        assert found is not None, run_id
        return found

    def wait_until_finished(self, run_id: str, *, within_s: float) -> dg.DagsterRun:
        """Wait until a run has ended, however; ``within_s`` is for each of its states."""
        wait_for(
            lambda: self.run(run_id).is_finished,
            within_s=within_s,
            what=f"run {run_id} to end",
            so_far=lambda: self.run(run_id).status.value,
        )
        return self.run(run_id)

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

    def asked_at(self, run_id: str) -> float:
        """When a run was put into the queue, in epoch seconds."""
        record = self.instance.get_run_record_by_id(run_id)
        assert record is not None, run_id
        return record.create_timestamp.timestamp()

    def steps_of(self, run_id: str) -> list[float]:
        """When each step of a run began, which one with a pool does when it has got its slot."""
        entries = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_START)
        return [entry.timestamp for entry in entries]

    def log_of(self, run_id: str) -> str:
        """The messages on a run's page."""
        return "\n".join(entry.message for entry in self.instance.all_logs(run_id))

    def failure_of(self, run: dg.DagsterRun) -> str:
        """What a failed run's page says: the message of its steps' failures."""
        entries = self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        return "\n".join(
            event.step_failure_data.error_display_string
            for entry in entries
            if (event := entry.dagster_event) is not None
        )

    def _started(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.home / f"{program}.log").open("ab") as log:
            child = subprocess.Popen(  # noqa: S603 - our own programs
                [executable(program), *arguments],
                cwd=self.home,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children.callback(end, child)
        return child

    def _loading(self) -> tuple[str, str]:
        return ("-w", str(self._workspace))

    def _serves(self) -> bool:
        """Whether the code server listens, which it does once it has loaded its module; a dead one never will."""
        assert self._code_server is not None
        log = self.home / "dagster.log"
        assert self._code_server.poll() is None, log.read_text()[-3_000:]
        try:
            socket.create_connection(("127.0.0.1", self._code_port), timeout=5).close()
        except OSError:
            return False
        return True

    def _sensor(self, name: str) -> dict[str, Any]:
        return self._ask(SENSOR, selector=_selector(name))["sensorOrError"]["sensorState"]

    def _is_loaded(self) -> bool:
        try:
            found = self._ask(REPOSITORIES)["repositoriesOrError"]
        except requests.ConnectionError:
            return False
        return len(found.get("nodes", [])) == 1

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        answer = self._session.post(f"{self.url}/graphql", json=body, timeout=60).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]


def write_dagster_yaml(home: Path, storage: str = "") -> None:
    """The project's own, and what it does not say of the storage; the folder is made."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text() + storage)


def process_environment(home: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Of a Dagster process: this machine's variables without the project's, and those given."""
    return {
        **{name: value for name, value in os.environ.items() if not _is_projects(name)},
        **environment,
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


def wait_for(
    condition: Callable[[], bool],
    *,
    within_s: float,
    what: str,
    so_far: Callable[[], object] = lambda: None,
) -> None:
    """Ask again until it is true; another process gives no signal to wait on.

    Args:
        condition: to become true.
        within_s: of the beginning, or of the last time that ``so_far`` changed: a slow machine is not
            a broken one.
        what: is waited for.
        so_far: how much of it there is.
    """
    reached, until = so_far(), time.monotonic() + within_s
    while not condition():
        if (now_reached := so_far()) != reached:
            reached, until = now_reached, time.monotonic() + within_s
        told = "" if reached is None else f"; so far {reached}"
        assert time.monotonic() < until, f"waited {within_s:.0f} s in vain for {what}{told}"
        time.sleep(1)


def end(child: subprocess.Popen[bytes]) -> None:
    """End a process and all of its group: run workers and code servers that outlive it, too."""
    child.terminate()
    try:
        child.wait(timeout=30)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _kill_group(child.pid)
        child.wait(timeout=10)


def _kill(child: subprocess.Popen[bytes] | None) -> None:
    assert child is not None
    child.kill()
    child.wait(timeout=10)


def executable(program: str) -> str:
    """One of Dagster's commands."""
    return str(Path(sys.executable).with_name(program))


def _selector(sensor: str) -> dict[str, str]:
    return {
        "repositoryLocationName": LOCATION,
        "repositoryName": REPOSITORY,
        "sensorName": sensor,
    }


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def _is_projects(name: str) -> bool:
    return name.startswith(PROJECT_VARIABLES) or name.lower().endswith("_proxy")


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
