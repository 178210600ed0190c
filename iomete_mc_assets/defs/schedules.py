"""When to collect, when to look for gaps, when to look at the checks. What is collected lives in the assets.

Dagster's partitioned schedules do not catch up after a pause; ``fill_gaps`` does.
"""

# Dagster's decorators and events are typed in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg

from iomete_mc_assets import settings
from iomete_mc_assets.collectors.lineage.hours import QUERIES
from iomete_mc_assets.defs.keys import (
    COLLECT_METADATA,
    COLLECT_QUERIES,
    FLOW_TAG,
    GAP_PRIORITY,
    HOURLY_PRIORITY,
    METADATA_FLOWS,
    PRIORITY_TAG,
    QUERY_FLOWS,
    WATCH,
    WHY_TAG,
    collected_key,
    collecting_tag,
)
from iomete_mc_assets.defs.materializations import (
    collected_at,
    hours_at_work,
    json_text,
    manifest_id,
    newest_by_hour,
    text_metadata,
)
from iomete_mc_assets.defs.metadata import READ_BESIDE, STATE
from iomete_mc_assets.defs.partitions import MAX_HOURS_PER_RUN, range_request
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.windows import HOUR, HourWindow, contiguous

METADATA_MINUTE = 5
QUERIES_MINUTE = 35
GAPS_MINUTE = 50
JUST_NOW = timedelta(minutes=30)
"""What the hourly run of this hour has collected need not be collected again."""
WATCH_CRON = "*/15 * * * *"


def schedules(
    environment: Mapping[str, str], *, status: dg.DefaultScheduleStatus
) -> list[dg.ScheduleDefinition]:
    """All of them, with look-backs as configured."""
    start = settings.IOMETE_MC_START.read(environment)
    gap_hours = settings.IOMETE_MC_GAP_LOOKBACK_HOURS.read(environment)
    query_hours = settings.IOMETE_QUERY_LOG_LOOKBACK_HOURS.read(environment)
    settling = Settling(
        delay=timedelta(minutes=settings.IOMETE_QUERY_LOG_DELAY_MINUTES.read(environment)),
        look_back_hours=query_hours,
    )
    return [
        _hourly(
            COLLECT_METADATA, METADATA_FLOWS, METADATA_MINUTE, hours=1, start=start, status=status
        ),
        _hourly(
            COLLECT_QUERIES,
            QUERY_FLOWS,
            QUERIES_MINUTE,
            hours=query_hours,
            start=start,
            status=status,
        ),
        _gaps(COLLECT_METADATA, METADATA_FLOWS, gap_hours, start=start, status=status),
        _gaps(
            COLLECT_QUERIES, QUERY_FLOWS, gap_hours, start=start, status=status, settling=settling
        ),
        _watch(status),
    ]


def newest_windows(at: datetime, *, hours: int, start: datetime) -> list[HourWindow]:
    """The newest closed hours at an instant, oldest first, none before the first partition."""
    window = HourWindow.newest_closed(at)
    windows = [HourWindow(window.start - HOUR * n) for n in range(hours)]
    return sorted(window for window in windows if window.start >= start)


def _hourly(
    job: str,
    flows: Sequence[Flow],
    minute: int,
    *,
    hours: int,
    start: datetime,
    status: dg.DefaultScheduleStatus,
) -> dg.ScheduleDefinition:
    what = "the newest closed hour" if hours == 1 else f"the newest {hours} closed hours"

    @dg.schedule(
        name=f"{job}_hourly",
        job_name=job,
        cron_schedule=f"{minute} * * * *",
        execution_timezone="UTC",
        default_status=status,
        description=f"Every hour at minute {minute}: collects {_keys(flows)} for {what}.",
    )
    def hourly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        windows = newest_windows(context.scheduled_execution_time, hours=hours, start=start)
        if not windows:
            return dg.SkipReason(f"no hour has closed since the first partition, {start:%F %H:%M}")
        run_key = f"hourly:{job}:{windows[-1].key}"
        return range_request(windows, run_key=run_key, tags={PRIORITY_TAG: HOURLY_PRIORITY})

    return hourly


def _gaps(
    job: str,
    flows: Sequence[Flow],
    look_back_hours: int,
    *,
    start: datetime,
    status: dg.DefaultScheduleStatus,
    settling: "Settling | None" = None,
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"fill_gaps_of_{job}",
        job_name=job,
        cron_schedule=f"{GAPS_MINUTE} * * * *",
        execution_timezone="UTC",
        default_status=status,
        description=f"Every hour at minute {GAPS_MINUTE}: collects {_keys(flows)} for hours of the last {look_back_hours} that were "
        "never collected, or whose source had not settled when they were; of a query log those that are so "
        "young that late queries may still arrive, unless the hourly run has just asked for them; and of lineage "
        "those whose queries are no longer those that it was made of.",
    )
    def fill_gaps(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        at = context.scheduled_execution_time
        windows = newest_windows(at, hours=look_back_hours, start=start)
        lost = {
            flow: gaps(context.instance, flow, windows, settling, at=at)
            for flow in flows
            if flow != "lineage"
        }
        whole = sorted({window for missing in lost.values() for window in missing})
        requests = _gap_requests(job, whole, tag=collecting_tag(flows[0]), at=at)
        if "lineage" in flows:
            alone = [w for w in lineage_gaps(context.instance, windows) if w not in whole]
            requests += _gap_requests(job, alone, tag="lineage", at=at, only="lineage")
        return requests or dg.SkipReason(f"no gap in the last {look_back_hours} hours")

    return fill_gaps


def _gap_requests(
    job: str, lost: Sequence[HourWindow], *, tag: str, at: datetime, only: Flow | None = None
) -> list[dg.RunRequest]:
    """Ranges of hours, the newest first."""
    return [
        range_request(
            run,
            run_key=f"gap:{only or job}:{run[0].key}:{run[-1].key}:{at:%Y%m%d%H}",
            tags={PRIORITY_TAG: GAP_PRIORITY, FLOW_TAG: tag, WHY_TAG: "gap"},
            only=None if only is None else [collected_key(only)],
        )
        for run in reversed(list(contiguous(lost, at_most=MAX_HOURS_PER_RUN)))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """How a source that is written late is asked again.

    Attributes:
        delay: after an hour's end, until it is believed to be whole.
        look_back_hours: how many of the newest hours may still get late entries after that.
    """

    delay: timedelta
    look_back_hours: int


def gaps(
    instance: dg.DagsterInstance,
    flow: Flow,
    windows: Sequence[HourWindow],
    settling: Settling | None,
    *,
    at: datetime,
) -> list[HourWindow]:
    """Of these hours, those to collect: without a manifest, and where a source settles those that may say more.

    Hours that a queued or running run covers are no gaps.

    Args:
        instance: whose events tell.
        flow: collected by its own job.
        windows: the newest closed hours at ``at``, oldest first.
        settling: None for a flow whose hours are whole at once.
        at: the instant of the look.
    """
    newest = newest_by_hour(instance, collected_key(flow), hours=windows)
    job = COLLECT_METADATA if flow in METADATA_FLOWS else COLLECT_QUERIES
    busy = hours_at_work(instance, collected_key(flow), job=job)
    young = set(windows[-settling.look_back_hours :]) if settling else set[HourWindow]()

    def is_gap(window: HourWindow) -> bool:
        record = newest.get(window)
        if record is None:
            return True
        if settling is None:
            return False
        collected = collected_at(record)
        early = collected is not None and collected < window.end + settling.delay
        forgotten = window in young and record.timestamp < (at - JUST_NOW).timestamp()
        return early or forgotten or text_metadata(record, STATE) == "partial"

    return [window for window in windows if window not in busy and is_gap(window)]


def lineage_gaps(instance: dg.DagsterInstance, windows: Sequence[HourWindow]) -> list[HourWindow]:
    """Hours whose query logs are known to Dagster, and whose lineage is missing or made of other ones.

    An hour without query logs is a gap of theirs, and its lineage is collected with them.
    """
    queries = newest_by_hour(instance, collected_key("query_logs"), hours=windows)
    lineage = newest_by_hour(instance, collected_key("lineage"), hours=windows)
    busy = hours_at_work(instance, collected_key("lineage"), job=COLLECT_QUERIES)
    return [
        window
        for window, record in sorted(queries.items())
        if window not in busy and manifest_id(record) != _queries_of(lineage.get(window))
    ]


def _queries_of(lineage: dg.EventLogRecord | None) -> str | None:
    """The query logs that an hour's lineage was made of; None where there is no lineage, or none were there."""
    return None if lineage is None else json_text(lineage, READ_BESIDE, QUERIES)


def _watch(status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="watch_checks",
        job_name=WATCH,
        cron_schedule=WATCH_CRON,
        execution_timezone="UTC",
        default_status=status,
        description="Every 15 minutes: all checks, so that a silent stop is seen.",
    )
    def watch(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(run_key=f"watch:{context.scheduled_execution_time:%Y%m%d%H%M}")

    return watch


def _keys(flows: Sequence[Flow]) -> str:
    return " and ".join(collected_key(flow).to_user_string() for flow in flows)
