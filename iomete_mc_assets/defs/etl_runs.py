"""The sensor that tells Monte Carlo how these assets' runs went, as jobs of an ETL container; off unless one is set.

A code location is a group, a job a job, an asset a task. What is sent lives in ``montecarlo.etl``, what was told
already in the manifest store.
"""

# Dagster's decorators, records and events are typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import RunRecord, RunsFilter
from dagster._core.execution.stats import StepEventStatus

from iomete_mc_assets import clock
from iomete_mc_assets.defs.alerts import ASSETS, JOBS, why
from iomete_mc_assets.defs.resources import ManifestStoreResource, MonteCarloResource
from iomete_mc_assets.montecarlo.etl import (
    EtlConfig,
    EtlIngest,
    Job,
    Run,
    Status,
    Task,
    TaskRun,
    Trigger,
    job_id,
)
from iomete_mc_assets.operations.etl_runs import Told, tell

NAME = "tell_runs"
INTERVAL_S = 30
BUDGET = timedelta(seconds=25)
"""After it no further run is told in a tick: one request more may take 25 seconds, and a tick has 60."""
LOOK_BACK = timedelta(days=1)
"""Where there is no cursor: the first tick, or one after it was cleared."""
OVERLAP = timedelta(minutes=5)
"""Runs are stamped by the clocks of those who write them, and may appear behind a later one."""
PAGE = 100
LOCATION = "iomete_mc_assets"
"""The code location's name where Dagster does not tell it."""

STATUSES: Mapping[dg.DagsterRunStatus, Status] = {
    dg.DagsterRunStatus.STARTED: "in_progress",
    dg.DagsterRunStatus.SUCCESS: "success",
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "cancelled",
}
"""Before it starts a run has no start, which names it at Monte Carlo."""
STEP_STATUSES: Mapping[StepEventStatus, Status] = {
    StepEventStatus.SUCCESS: "success",
    StepEventStatus.FAILURE: "failed",
    StepEventStatus.SKIPPED: "skipped",
}
"""A step that was at work when its run ended went as the run did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """What the sensor remembers between ticks.

    Attributes:
        after: epoch seconds of the newest change of a run that was told; 0 before the first.
        jobs: digest of the jobs that were declared; empty before the first.
    """

    after: float = 0
    jobs: str = ""

    @classmethod
    def read(cls, text: str | None) -> "Cursor":
        """From Dagster's text; a cleared or foreign one starts over, which tells nothing twice."""
        try:
            stored = json.loads(text or "{}")
            return cls(after=float(stored.get("after", 0)), jobs=str(stored.get("jobs", "")))
        except (ValueError, TypeError, AttributeError):
            return cls()

    def text(self) -> str:
        """For Dagster's database."""
        return json.dumps({"after": self.after, "jobs": self.jobs})


def etl_sensor(*, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """Watches the runs of our assets, however they were launched."""

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=INTERVAL_S,
        default_status=status,
        description="Tells Monte Carlo's ETL container MCD_ETL_CONTAINER_UUID which jobs there are and how each run of "
        "these assets went: once when it has started, once when it has ended.",
    )
    def tell_runs(
        context: dg.SensorEvaluationContext,
        monte_carlo: MonteCarloResource,
        manifests: ManifestStoreResource,
    ) -> dg.SensorResult:
        origin = context.code_location_origin
        jobs = Jobs(context.repository_def, origin.location_name if origin else LOCATION)
        teller = Teller(context.instance, jobs, monte_carlo.etl_config(), manifests)
        cursor, said = teller.tick(Cursor.read(context.cursor))
        for one in said:
            (context.log.error if one.word == "refused" else context.log.info)(one.text)
        note = f"{len(said)} runs told" if said else "no run has changed"
        return dg.SensorResult(cursor=cursor.text(), skip_reason=note)

    return tell_runs


class Jobs:
    """The jobs of one code location that materialise our assets.

    Attributes:
        listed: in the order of their names.
    """

    def __init__(self, repository: dg.RepositoryDefinition | None, location: str) -> None:
        if repository is None:
            msg = "Dagster evaluates this sensor without its repository, which it does for sensors in a code location."
            raise dg.DagsterInvariantViolationError(msg)
        self.location = location
        self._assets = {
            assets.op.name: key.to_user_string()
            for key, assets in repository.assets_defs_by_key.items()
            if key in ASSETS and assets.is_executable
        }
        found = [self._job(repository, job) for job in repository.get_all_jobs()]
        self.listed = tuple(sorted((job for job in found if job.tasks), key=lambda job: job.name))

    def _job(self, repository: dg.RepositoryDefinition, job: dg.JobDefinition) -> Job:
        keys = ASSETS & set(job.asset_layer.selected_asset_keys)
        tasks = tuple(
            Task(
                id=key.to_user_string(),
                upstream=tuple(
                    sorted(
                        one.to_user_string()
                        for one in keys & set(repository.asset_graph.get(key).parent_keys)
                    )
                ),
            )
            for key in sorted(keys)
        )
        return Job(
            group=self.location, name=job.name, description=job.description or "", tasks=tasks
        )

    @property
    def digest(self) -> str:
        """Of everything that is declared."""
        return hashlib.sha256(repr(self.listed).encode()).hexdigest()[:16]

    def has(self, run: dg.DagsterRun) -> bool:
        """Whether a run is of this location's assets."""
        origin = run.remote_job_origin
        if origin is not None and origin.location_name != self.location:
            return False
        if run.job_name in JOBS:
            return any(job.name == run.job_name for job in self.listed)
        return bool(ASSETS & (run.asset_selection or set()))

    def asset(self, step_key: str) -> str | None:
        """The task that a step is of; None for checks."""
        return self._assets.get(step_key)


class Teller:
    """One tick's work."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        jobs: Jobs,
        config: EtlConfig,
        manifests: ManifestStoreResource,
    ) -> None:
        self._instance, self._jobs, self._config = instance, jobs, config
        self._ingest = EtlIngest(config)
        self._storage = manifests.storage()

    def tick(self, cursor: Cursor) -> tuple[Cursor, list[Told]]:
        """Tell what has changed since the cursor, oldest change first.

        Raises:
            PushError: Monte Carlo did not take a run, so the cursor stays: the next tick begins there, and
                what was accepted is on record.
        """
        began = clock.now()
        if cursor.jobs != self._jobs.digest:
            self._ingest.declare(self._jobs.listed)
            cursor = replace(cursor, jobs=self._jobs.digest)
        said: list[Told] = []
        for record in self._changed(cursor, began):
            if self._jobs.has(record.dagster_run):
                run = self._run(record)
                told = tell(
                    self._ingest, self._storage, self._config.container, run, now=clock.now()
                )
                if told.word != "known":
                    said.append(told)
            cursor = replace(cursor, after=max(cursor.after, record.update_timestamp.timestamp()))
            if clock.now() - began > BUDGET:
                break
        return cursor, said

    def _changed(self, cursor: Cursor, now: datetime) -> Iterator[RunRecord]:
        """Runs that have started, by the time of their newest change."""
        seen = datetime.fromtimestamp(cursor.after, UTC)
        after = seen - OVERLAP if cursor.after else now - LOOK_BACK
        while True:
            page = self._instance.get_run_records(
                RunsFilter(statuses=list(STATUSES), updated_after=after),
                limit=PAGE,
                order_by="update_timestamp",
                ascending=True,
            )
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].update_timestamp

    def _run(self, record: RunRecord) -> Run:
        run = record.dagster_run
        status, ended_at = STATUSES[run.status], _instant(record.end_time)
        started_at = _instant(record.start_time) or record.create_timestamp
        if status != "in_progress" and ended_at is None:
            ended_at = record.update_timestamp
        error = self._why(run) if status == "failed" else ""
        attempt = int(run.tags.get("dagster/retry_number", "0")) + 1
        base = self._config.ui_url
        return Run(
            id=run.run_id,
            job=job_id(self._jobs.location, run.job_name),
            status=status,
            started_at=started_at,
            ended_at=ended_at,
            trigger=_trigger(run.tags),
            attempt=attempt,
            parent=run.parent_run_id if attempt > 1 else None,
            backfill=run.tags.get("dagster/backfill"),
            error=error,
            url=f"{base}/runs/{run.run_id}" if base else None,
            tasks=() if ended_at is None else self._tasks(run, status, ended_at, error),
        )

    def _tasks(
        self, run: dg.DagsterRun, status: Status, ended_at: datetime, error: str
    ) -> tuple[TaskRun, ...]:
        found: list[TaskRun] = []
        for step in self._instance.get_run_step_stats(run.run_id):
            asset, started_at = self._jobs.asset(step.step_key), _instant(step.start_time)
            if asset is None or started_at is None or step.status is None:
                continue
            went = STEP_STATUSES.get(step.status, status)
            found.append(
                TaskRun(
                    task=asset,
                    status=went,
                    started_at=started_at,
                    ended_at=_instant(step.end_time) or ended_at,
                    error=error if went == "failed" else "",
                )
            )
        return tuple(sorted(found, key=lambda task: task.task))

    def _why(self, run: dg.DagsterRun) -> str:
        """The first failed step's words, else the run's."""
        events = [
            entry.dagster_event
            for entry in self._instance.all_logs(
                run.run_id,
                of_type={dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE},
            )
            if entry.dagster_event is not None
        ]
        steps = [event for event in events if event.is_step_failure]
        ends = [event.message for event in events if not event.is_step_failure]
        return why(steps, ends[0] if ends else None)


def _instant(epoch_s: float | None) -> datetime | None:
    return None if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC)


def _trigger(tags: Mapping[str, str]) -> Trigger:
    """What launched a run; a retry keeps its first run's tags, so it is looked at first."""
    if "dagster/retry_number" in tags:
        return "RETRY"
    if "dagster/backfill" in tags:
        return "BACKFILL"
    if "dagster/schedule_name" in tags:
        return "SCHEDULE"
    return "EVENT" if "dagster/sensor_name" in tags else "MANUAL"
