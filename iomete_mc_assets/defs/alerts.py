"""The sensor that tells people of a failed run: one line in its log, and to a webhook where one is set."""

# Dagster's decorators and events are typed in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence

import dagster as dg

from iomete_mc_assets.defs.keys import (
    COLLECT_METADATA,
    COLLECT_QUERIES,
    FLOWS,
    IMPORT_JOB,
    IMPORTED_KEY,
    PUSHED_IMPORTED_KEY,
    READINESS,
    READINESS_KEY,
    VERIFY,
    WATCH,
    collected_key,
    push_job_name,
    pushed_key,
)
from iomete_mc_assets.defs.partitions import RANGE_END, RANGE_START, SINGLE
from iomete_mc_assets.defs.resources import AlertsResource
from iomete_mc_assets.errors import IometeMcError
from iomete_mc_assets.operations.alert import send_alert

WILL_RETRY = "dagster/will_retry"
JOBS = {
    COLLECT_METADATA,
    COLLECT_QUERIES,
    WATCH,
    VERIFY,
    READINESS,
    IMPORT_JOB,
    *map(push_job_name, FLOWS),
}
ASSETS = {
    *map(collected_key, FLOWS),
    *map(pushed_key, FLOWS),
    IMPORTED_KEY,
    PUSHED_IMPORTED_KEY,
    READINESS_KEY,
}
MAX_LINE = 1_000
"""Characters; a chat folds longer ones. The run has the whole text."""


def failure_sensor(*, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """Watches the runs of our assets, also those launched by hand or by a backfill."""

    @dg.run_failure_sensor(
        name="alert_on_failure",
        default_status=status,
        description="Logs one line for each run of these assets that failed for good, and posts it to "
        "IOMETE_MC_ALERT_WEBHOOK where that is set. Runs that Dagster tries again are waited for.",
    )
    def alert_on_failure(
        context: dg.RunFailureSensorContext, alerts: AlertsResource
    ) -> dg.SkipReason | None:
        run = context.dagster_run
        if run.job_name not in JOBS and not ASSETS & (run.asset_selection or set()):
            return dg.SkipReason(f"run {run.run_id} is not of these assets")
        if run.tags.get(WILL_RETRY) == "true":
            return dg.SkipReason(f"run {run.run_id} is tried again")
        reason = why(context.get_step_failure_events(), context.failure_event.message)
        line = told(run, reason, ui_url=alerts.ui_url)
        context.log.error(line)
        webhook = alerts.read_webhook()
        if webhook is not None:
            send_alert(line, webhook=webhook)
        return None

    return alert_on_failure


def told(run: dg.DagsterRun, reason: str, *, ui_url: str | None) -> str:
    """What failed, of which hours or file, why, and where to look; one line.

    Args:
        run: the failed one.
        reason: the first error's own words.
        ui_url: of Dagster; None leaves the link out.
    """
    assets = ", ".join(sorted(key.to_user_string() for key in run.asset_selection or ()))
    what = assets or run.job_name
    one = run.tags.get(SINGLE)
    first, last = run.tags.get(RANGE_START, one), run.tags.get(RANGE_END, one)
    of = "" if first is None else f" {first}" if first == last else f" {first}..{last}"
    where = f"{ui_url}/runs/{run.run_id}" if ui_url else f"run {run.run_id}"
    line = " ".join(f"{what}{of} failed: {reason}".split())
    short = line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 1]}…"
    return f"{short} ({where})"


def why(failures: Sequence[dg.DagsterEvent], otherwise: str | None) -> str:
    """The first error's own words; ``otherwise`` where no step tells one."""
    for event in failures:
        failed = event.step_failure_data
        if failed.user_failure_data is not None and failed.user_failure_data.description:
            return failed.user_failure_data.description
        error = failed.error
        while error is not None and error.cause is not None:
            error = error.cause
        if error is not None:
            return _sentence(error.message)
    return otherwise or "no error was recorded"


def _sentence(message: str) -> str:
    """Our own errors are sentences; the class before one tells a reader nothing."""
    name, _, sentence = message.partition(": ")
    return sentence if name.startswith(IometeMcError.__module__) else message
