"""Runs told to an ETL container: real Dagster runs, counted at the gateway; none twice, none lost, no table claimed."""

# Dagster types its ephemeral instance and events in part only.
# pyright: reportUnknownMemberType=false

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.defs.resources import ManifestStoreResource, MonteCarloResource
from iomete_mc_assets.errors import Misconfigured, OutcomeUnknown
from iomete_mc_assets.manifests import etl_reports
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.montecarlo import documents
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_connection import Key
from iomete_mc_assets.sandbox.gateway_faults import accept_then_cut, after, answers
from iomete_mc_assets_tests.gateway_questions import ask
from iomete_mc_assets_tests.push_bench import HOUR, Bench, queries

RUNS, JOBS, QUERIES = "/ingest/v1/etl/runs", "/ingest/v1/etl/metadata", "/ingest/v1/querylogs"
TASK = "monte_carlo/query_logs"
JOB = "iomete_mc_assets/push_query_logs"


@dataclass
class World:
    """The product's definitions on an empty Dagster, with one collected hour."""

    gateway: Gateway
    instance: dg.DagsterInstance
    root: Path
    key: Key | None = None

    @property
    def settings(self) -> dict[str, str]:
        return {
            "IOMETE_MC_MANIFESTS": str(self.root),
            "MCD_INGEST_ENDPOINT": self.gateway.url,
            "MCD_ETL_CONTAINER_UUID": self.gateway.connection.container_uuid,
            "IOMETE_MC_UI_URL": "https://dagster.test",
        }

    @property
    def resources(self) -> dict[str, object]:
        monte_carlo = MonteCarloResource(
            key_id=self.key.id if self.key else self.gateway.key_id,
            key_secret=self.key.secret if self.key else self.gateway.key_secret,
            resource_uuid=self.gateway.resource_uuid,
            options=self.settings,
        )
        return {
            "monte_carlo": monte_carlo,
            "manifests": ManifestStoreResource(options=self.settings),
        }

    @property
    def repository(self) -> dg.RepositoryDefinition:
        return build_definitions(
            environment=self.settings, resources=self.resources
        ).get_repository_def()

    def push(self, **tags: str) -> str:
        """Push the hour in a run with these tags; the run's id."""
        result = self.repository.get_job("push_query_logs").execute_in_process(
            instance=self.instance, partition_key=HOUR.key, raise_on_error=False, tags=tags
        )
        return result.run_id

    def tick(self, cursor: str | None = None) -> str:
        """Evaluate the sensor; the cursor that Dagster would keep."""
        repository = self.repository
        sensor = repository.get_sensor_def("tell_runs")
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=cursor,
            repository_def=repository,
            resources=self.resources,
        )
        done = sensor.evaluate_tick(context)
        assert done.cursor is not None
        return done.cursor

    def told(self) -> list[dict[str, Any]]:
        """Accepted events of runs."""
        return [dict(event.content) for event in self.gateway.events("etl/runs")]


@pytest.fixture
def world(gateway: Gateway, instance: dg.DagsterInstance, tmp_path: Path) -> World:
    Bench(gateway, str(tmp_path)).collect("query_logs", queries(5))
    return World(gateway, instance, tmp_path)


def failing(world: World, **tags: str) -> str:
    """A run whose push Monte Carlo refuses for its key; its id."""
    world.gateway.rule(answers(401, '{"error": "unknown key"}'), path=QUERIES)
    run_id = world.push(**tags)
    world.gateway.clear()
    return run_id


def test_a_run_is_told_once_with_its_tasks_and_claims_no_table(world: World) -> None:
    run_id = world.push()
    cursor = world.tick()
    (run,) = world.told()
    (task,) = run.pop("task_runs")
    record = world.instance.get_run_record_by_id(run_id)
    assert record is not None
    assert record.start_time is not None
    assert record.end_time is not None
    start, end = run.pop("start_time"), run.pop("end_time")
    assert run == {
        "job_source_id": JOB,
        "run_source_id": run_id,
        "status": "success",
        "event_time": end,
        "trigger": "MANUAL",
        "attempt_number": 1,
        "run_url": f"https://dagster.test/runs/{run_id}",
    }
    assert start <= task.pop("start_time") <= task.pop("end_time") == task.pop("event_time") <= end
    assert task == {
        "job_source_id": JOB,
        "run_source_id": f"{run_id}/{TASK}",
        "task_source_id": TASK,
        "status": "success",
    }
    for again in (cursor, None, "{broken", cursor):
        world.tick(again)
    assert len(world.told()) == 1
    (container,) = ask(world.gateway, documents.CONTAINERS)
    assert [one["status"] for one in container["pushEvents"]] == ["ACTIVE", "ACTIVE"]
    known = etl_reports.read(Storage.open(str(world.root)), container["uuid"], run_id)
    assert known is not None
    assert known.invocation_id == container["pushEvents"][1]["lastInvocationId"]


def test_jobs_are_declared_when_they_change_with_assets_as_tasks(world: World) -> None:
    cursor = world.tick()
    assert world.tick(cursor) == cursor
    (*assets,) = (event.content["etl_asset"] for event in world.gateway.events("etl/metadata"))
    assert [asset["name"] for asset in assets] == [
        "__ASSET_JOB",
        "collect_metadata",
        "collect_queries",
        *(asset["name"] for asset in assets[3:]),
    ]
    by_name = {asset["name"]: asset for asset in assets}
    assert "watch" not in by_name
    metadata = by_name["collect_metadata"]
    assert metadata["group"]["source_id"] == "iomete_mc_assets"
    assert [
        (task["task_source_id"], task.get("upstream_task_source_ids")) for task in metadata["tasks"]
    ] == [
        ("iomete/catalog_snapshot", None),
        ("iomete/observations", ["iomete/catalog_snapshot"]),
    ]
    assert not any(
        "outputs" in one or "inputs" in one for asset in assets for one in asset["tasks"]
    )
    assert [request.path for request in world.gateway.requests] == [JOBS]


def test_a_failed_run_says_why_and_so_does_its_task(world: World) -> None:
    run_id = failing(world)
    world.tick()
    (run,) = world.told()
    assert (run["run_source_id"], run["status"]) == (run_id, "failed")
    assert "HTTP 401" in run["error"]["message"]
    assert world.gateway.key_secret not in run["error"]["message"]
    (task,) = run["task_runs"]
    assert (task["status"], task["error"]) == ("failed", run["error"])


def test_a_run_is_told_when_it_has_started_and_when_it_has_ended_with_one_start(
    world: World,
) -> None:
    world.gateway.rule(after(4_000), path=QUERIES, nth=1)
    pushing = threading.Thread(target=world.push)
    pushing.start()
    world.gateway.wait_for_requests(1)
    cursor = world.tick(world.tick())
    pushing.join()
    world.tick(cursor)
    world.tick(None)
    started, ended = world.told()
    assert (started["status"], ended["status"]) == ("in_progress", "success")
    assert started["start_time"] == ended["start_time"] == started["event_time"]
    assert "end_time" not in started
    assert started["run_source_id"] == ended["run_source_id"]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"dagster/schedule_name": "s"}, {"trigger": "SCHEDULE"}),
        ({"dagster/sensor_name": "s"}, {"trigger": "EVENT"}),
        ({"dagster/backfill": "b"}, {"trigger": "BACKFILL", "backfill_id": "b"}),
        (
            {"dagster/retry_number": "2", "dagster/schedule_name": "s"},
            {"trigger": "RETRY", "attempt_number": 3},
        ),
    ],
)
def test_what_launched_a_run_is_told(
    world: World, tags: dict[str, str], expected: dict[str, object]
) -> None:
    world.push(**tags)
    world.tick()
    (run,) = world.told()
    assert {name: run[name] for name in expected} == expected


def test_a_run_that_was_cancelled_before_it_started_begins_when_it_was_made(world: World) -> None:
    job = world.repository.get_job("push_query_logs")
    run = world.instance.create_run_for_job(job)
    world.tick()
    assert world.told() == []
    world.instance.report_run_canceled(run)
    world.tick()
    (told,) = world.told()
    record = world.instance.get_run_record_by_id(run.run_id)
    assert record is not None
    assert told["status"] == "cancelled"
    assert told["start_time"] == record.create_timestamp.isoformat()
    assert "task_runs" not in told


def test_a_lost_answer_is_asked_for_again_with_the_same_bytes_and_an_accepted_one_never(
    world: World,
) -> None:
    first, second = world.push(), failing(world)
    world.gateway.rule(accept_then_cut, path=RUNS, nth=2)
    with pytest.raises(OutcomeUnknown):
        world.tick()
    world.tick(None)
    assert [run["run_source_id"] for run in world.told()] == [first, second, second]
    bodies = [
        body
        for request, body in zip(world.gateway.requests, world.gateway.bodies, strict=True)
        if request.path == RUNS
    ]
    assert bodies[1] == bodies[2]
    world.tick(None)
    assert len(world.told()) == 3


def test_a_refused_run_is_on_record_and_holds_no_other_up(world: World) -> None:
    first, second = world.push(), failing(world)
    refusal = '{"error": "Invalid request body", "details": {"events": ["status"]}}'
    world.gateway.rule(answers(400, refusal), path=RUNS, nth=1)
    world.tick()
    world.tick(None)
    assert [run["run_source_id"] for run in world.told()] == [second]
    container = world.gateway.connection.container_uuid
    known = etl_reports.read(Storage.open(str(world.root)), container, first)
    assert known is not None
    assert known.invocation_id is None
    assert "HTTP 400" in (known.refused or "")


def test_a_key_that_may_not_tell_is_named_and_nothing_is_lost(world: World) -> None:
    gateway = world.gateway
    key = gateway.control.make_key(
        "warehouse alone", [gateway.resource_uuid], at=Bench(gateway, str(world.root)).clock.now()
    )
    run_id = world.push()
    world.key = key
    with pytest.raises(Misconfigured, match=r"HTTP 403.*MCD_ETL_CONTAINER_UUID"):
        world.tick()
    world.key = None
    world.tick()
    assert [run["run_source_id"] for run in world.told()] == [run_id]


def test_runs_of_other_jobs_are_nobodys_business(world: World) -> None:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def foreign() -> None:
        nothing()

    assert foreign.execute_in_process(instance=world.instance).success
    world.tick()
    assert world.told() == []


def test_it_is_off_unless_a_container_is_set() -> None:
    off = build_definitions(environment={}).get_repository_def()
    assert "tell_runs" not in {sensor.name for sensor in off.sensor_defs}
