"""Jobs and their runs, told to a Monte Carlo ETL container through pycarlo: one request a job list, one a run.

Where they come from lives in ``defs.etl_runs``, what was told already in ``manifests.etl_reports``. No table is
claimed as an output: which tables a query writes is told by query logs and lineage.
"""

# pycarlo's signatures say ``dict`` without saying of what
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, cast

from iomete_mc_assets import settings
from iomete_mc_assets.errors import Misconfigured, SettingsError
from iomete_mc_assets.montecarlo.answers import Answer, invocation_id
from iomete_mc_assets.montecarlo.ingest import IngestConfig
from iomete_mc_assets.montecarlo.transport import Posts, Unanswered

if TYPE_CHECKING:
    from pycarlo.features.ingestion.etl import EtlRunEvent

RESOURCE_TYPE = "custom"
"""Monte Carlo has no type for Dagster; its other types are lower-case names of products."""
MAX_JOBS = 100
"""In a request. Source: pycarlo."""
MAX_MESSAGE = 1_000

Status = Literal["in_progress", "success", "failed", "cancelled", "skipped"]
Trigger = Literal["SCHEDULE", "MANUAL", "EVENT", "BACKFILL", "RETRY"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An asset of a job.

    Attributes:
        id: stable; the asset's key.
        upstream: ids of tasks of the same job that it follows.
    """

    id: str
    upstream: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job of a code location.

    Attributes:
        group: the code location.
    """

    group: str
    name: str
    description: str
    tasks: tuple[Task, ...]

    @property
    def id(self) -> str:
        """Stable over restarts, and one of its container."""
        return job_id(self.group, self.name)


def job_id(group: str, name: str) -> str:
    """How runs name their job."""
    return f"{group}/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRun:
    """What became of a task in a run.

    Attributes:
        error: why it failed; empty else.
    """

    task: str
    status: Status
    started_at: datetime
    ended_at: datetime | None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as it stands.

    Attributes:
        job: its id.
        started_at: the same in every event of the run, or Monte Carlo sees two.
        ended_at: None while it is in progress.
        trigger: what launched it.
        attempt: 1 for the first.
        parent: run id of the attempt before; None for a first one.
        backfill: id; None where it is of none.
        error: why it failed; empty else.
        url: where people look at it; None without a configured address.
    """

    id: str
    job: str
    status: Status
    started_at: datetime
    ended_at: datetime | None
    trigger: Trigger
    attempt: int = 1
    parent: str | None = None
    backfill: str | None = None
    error: str = ""
    url: str | None = None
    tasks: tuple[TaskRun, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EtlConfig:
    """Where runs are told.

    Attributes:
        container: UUID of the ETL container.
        ui_url: of Dagster, for links; None without.
    """

    container: str
    ingest: IngestConfig
    ui_url: str | None

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "EtlConfig":
        """From settings; SettingsError names what is missing or cannot be used."""
        container = settings.MCD_ETL_CONTAINER_UUID.read(environment)
        if container is None:
            msg = f"{settings.MCD_ETL_CONTAINER_UUID.name} is not set: runs are told to nobody. Set it to {settings.MCD_ETL_CONTAINER_UUID.takes}."
            raise SettingsError(msg)
        return cls(
            container=container,
            ingest=IngestConfig(
                endpoint=settings.MCD_INGEST_ENDPOINT.read(environment),
                key_id=settings.MCD_INGEST_ID.read(environment),
                key_secret=settings.MCD_INGEST_TOKEN.read(environment),
                # a sensor has a minute in all
                read_timeout_s=20,
                total_timeout_s=25,
            ),
            ui_url=settings.IOMETE_MC_UI_URL.read(environment),
        )


class EtlIngest:
    """Monte Carlo's ETL endpoints. Nothing is repeated: who calls tries again."""

    def __init__(self, config: EtlConfig) -> None:
        """Nothing is sent.

        Raises:
            SettingsError: as ``PycarloIngest``.
        """
        logging.getLogger("pycarlo.lib.types").setLevel(logging.ERROR)
        from iomete_mc_assets.montecarlo import client  # noqa: PLC0415 - imports pycarlo, which takes 0.4 s

        ingest = config.ingest
        self._client = client
        self._config = config
        posts = Posts(
            connect_s=ingest.connect_timeout_s,
            read_s=ingest.read_timeout_s,
            total_s=ingest.total_timeout_s,
        )
        session = client.ingestion_session(
            key_id=ingest.key_id, key_secret=ingest.key_secret, endpoint=ingest.endpoint
        )
        self._tuned = client.TunedClient(session, posts)

    def declare(self, jobs: Sequence[Job]) -> str:
        """Tell which jobs there are; the invocation id. Raises as ``Ingest.send``."""
        from pycarlo.features.ingestion.etl import (  # noqa: PLC0415 - as above
            EtlAsset,
            EtlGroup,
            EtlTask,
            build_etl_metadata_payload,
        )

        assets = [
            EtlAsset(
                job_source_id=job.id,
                name=job.name,
                group=EtlGroup(source_id=job.group, name=job.group, group_type="code location"),
                description=job.description or None,
                tasks=[
                    EtlTask(
                        task_source_id=task.id,
                        name=task.id,
                        task_type="asset",
                        upstream_task_source_ids=list(task.upstream),
                    )
                    for task in job.tasks
                ],
            )
            for job in jobs[:MAX_JOBS]
        ]
        payload = build_etl_metadata_payload(self._config.container, RESOURCE_TYPE, assets)
        return self._post("metadata", payload, shown=f"{len(assets)} jobs")

    def report(self, run: Run) -> str:
        """Tell how a run stands; the invocation id. Equal runs are equal bytes. Raises as ``Ingest.send``."""
        from pycarlo.features.ingestion.etl import build_etl_runs_payload  # noqa: PLC0415 - as above

        payload = build_etl_runs_payload(self._config.container, RESOURCE_TYPE, [_event(run)])
        return self._post("runs", payload, shown=f"run {run.id} of {run.job}, {run.status}")

    def _post(self, path: str, payload: Mapping[str, Any], *, shown: str) -> str:
        ingest = self._config.ingest
        asked = f"Monte Carlo at {ingest.endpoint}, ETL {path}, {shown}"
        secrets = (ingest.key_secret, ingest.key_id)
        body = cast("dict[str, object]", json.dumps(payload, allow_nan=False).encode())
        try:
            returned = self._tuned.make_request(f"/ingest/v1/etl/{path}", body=body)
        except Unanswered as unanswered:
            raise self._client.without_answer(unanswered.without(secrets), asked=asked) from None
        answer = cast("Answer", returned["answer"]).without(secrets)
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) and not answer.html:
            msg = (
                f"{asked}: HTTP {answer.status}: {answer.shown or 'no words'}. Check that MCD_INGEST_ID and "
                f"MCD_INGEST_TOKEN are a key of scope Ingestion that may write to the ETL container {self._config.container} "
                "(MCD_ETL_CONTAINER_UUID): a key restricted to a warehouse may not."
            )
            raise Misconfigured(msg)
        return invocation_id(answer, asked=asked)


def _event(run: Run) -> "EtlRunEvent":
    """Deterministic, so that what is told again after a lost answer is the same."""
    from pycarlo.features.ingestion.etl import EtlError, EtlRunEvent  # noqa: PLC0415 - as above

    return EtlRunEvent(
        job_source_id=run.job,
        run_source_id=run.id,
        status=run.status,
        event_time=(run.ended_at or run.started_at).isoformat(),
        start_time=run.started_at.isoformat(),
        end_time=run.ended_at.isoformat() if run.ended_at else None,
        trigger=run.trigger,
        attempt_number=run.attempt,
        parent_attempt_run_source_id=run.parent,
        backfill_id=run.backfill,
        error=EtlError(message=run.error[:MAX_MESSAGE]) if run.error else None,
        run_url=run.url,
        task_runs=[
            EtlRunEvent(
                job_source_id=run.job,
                run_source_id=f"{run.id}/{task.task}",
                task_source_id=task.task,
                status=task.status,
                event_time=(task.ended_at or task.started_at).isoformat(),
                start_time=task.started_at.isoformat(),
                end_time=task.ended_at.isoformat() if task.ended_at else None,
                error=EtlError(message=task.error[:MAX_MESSAGE]) if task.error else None,
            )
            for task in run.tasks
        ],
    )
