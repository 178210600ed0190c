"""Checks on assets: WARN, un-partitioned, evaluated by runs and by the ``watch`` schedule.

Here are those on hours that come and go on; on what the newest hour says, ``content_checks``. They read events
and manifests; they ask neither the lakehouse nor Monte Carlo.
"""

from datetime import datetime, timedelta

import dagster as dg

from iomete_mc_assets import clock
from iomete_mc_assets.defs.content_checks import (
    LOOK_BACK,
    Now,
    databases_listed,
    few_omissions,
    manifest_complete,
    plausible_volume,
    result,
    since,
    usual_freshness,
)
from iomete_mc_assets.defs.keys import FLOWS, collected_key, pushed_key
from iomete_mc_assets.defs.materializations import (
    named_since_s,
    newest_by_hour,
    not_acknowledged,
    text_metadata,
)
from iomete_mc_assets.defs.metadata import PUSH_STATUS
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.windows import HourWindow

SETTLE_WITHIN = timedelta(minutes=12)
"""A push follows within a sensor interval and a short run; with ``watch`` every 15 a stop shows within 30."""
COLLECT_WITHIN = timedelta(minutes=110)
"""After an hour's end: the query log's minute is 35, its gap filler's 50, plus an hour of grace."""
TROUBLED = ("partly_refused", "refused", "in_doubt")


def checks(
    hours: dg.PartitionsDefinition[str], *, now: Now = clock.now
) -> list[dg.AssetChecksDefinition]:
    """All of them, on assets of these partitions."""
    return [
        *(manifest_complete(flow, now) for flow in FLOWS),
        *(few_omissions(flow, now) for flow in FLOWS),
        databases_listed(now),
        *(plausible_volume(flow) for flow in FLOWS),
        usual_freshness(),
        *(_collected_on_time(flow, now) for flow in FLOWS),
        *(_newest_hour_pushed(flow, now) for flow in FLOWS),
        *(_nothing_left_failed(flow, hours, now) for flow in FLOWS),
        *(_everything_accepted(flow, now) for flow in FLOWS),
    ]


def newest_collected(
    instance: dg.DagsterInstance, flow: Flow, *, now: datetime
) -> HourWindow | None:
    """The newest hour collected in the last 24 hours; None where there was none."""
    return max(
        newest_by_hour(instance, collected_key(flow), after_timestamp=since(now)), default=None
    )


def _collected_on_time(flow: Flow, now: Now) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=collected_key(flow),
        name="collected_on_time",
        description="The newest closed hour is collected within 110 minutes of its end.",
    )
    def collected_on_time(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        at = now()
        last = newest_collected(context.instance, flow, now=at)
        if last is None:
            return result(
                "No hour was collected in the last 24 hours. Is the hourly schedule on?", ""
            )
        problem = None
        if at > last.next.end + COLLECT_WITHIN:
            problem = (
                f"Hour {last.next.key} ended {_hours(at - last.next.end)} ago and is not collected. "
                "Look at the newest failed run, and whether the hourly schedule is on."
            )
        return result(problem, f"The newest collected hour is {last.key}.", hour=last.key)

    return collected_on_time


def overdue(instance: dg.DagsterInstance, flow: Flow, *, now: datetime) -> list[HourWindow]:
    """Hours collected in the last 24 hours, more than 12 minutes ago, and not settled; oldest first."""
    newest = newest_by_hour(instance, collected_key(flow), after_timestamp=since(now))
    waiting = not_acknowledged(instance, pushed_key(flow), newest)
    limit = (now - SETTLE_WITHIN).timestamp()
    return sorted(window for window, record in waiting.items() if named_since_s(record) < limit)


def _newest_hour_pushed(flow: Flow, now: Now) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=pushed_key(flow),
        name="newest_hour_pushed",
        description="Every hour collected more than 12 minutes ago is settled at Monte Carlo.",
    )
    def newest_hour_pushed(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        late = overdue(context.instance, flow, now=now())
        problem = None
        if late:
            problem = (
                f"{len(late)} collected hours are not settled, the newest is {late[-1].key}. "
                f"Is the sensor push_{flow} on? Look at its newest tick and at the newest failed run."
            )
        return result(
            problem,
            "Every hour collected lately is settled.",
            overdue=len(late),
            hours=[window.key for window in late],
        )

    return newest_hour_pushed


def _nothing_left_failed(
    flow: Flow, hours: dg.PartitionsDefinition[str], now: Now
) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=pushed_key(flow),
        name="nothing_left_failed",
        description="No hour's newest push attempt of the last 24 hours ended red.",
    )
    def nothing_left_failed(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        windows = _recent(now())
        statuses = context.instance.get_status_by_partition(
            pushed_key(flow), [window.key for window in windows], hours
        )
        failed = sorted(
            key
            for key, status in (statuses or {}).items()
            if status == dg.AssetPartitionStatus.FAILED
        )
        problem = f"Red hours: {', '.join(failed)}. Open one to read why." if failed else None
        return result(problem, "No hour of the last 24 is red.", failed=len(failed), hours=failed)

    return nothing_left_failed


def _everything_accepted(flow: Flow, now: Now) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=pushed_key(flow),
        name="everything_accepted",
        description="Of the hours settled lately, none has refused events or unknown outcomes.",
    )
    def everything_accepted(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        settled = newest_by_hour(context.instance, pushed_key(flow), after_timestamp=since(now()))
        troubled = {
            window.key: word
            for window, record in sorted(settled.items())
            if (word := text_metadata(record, PUSH_STATUS)) in TROUBLED
        }
        problem = None
        if troubled:
            shown = ", ".join(f"{key} {word}" for key, word in troubled.items())
            problem = f"Not everything was accepted: {shown}. The partition shows what and why."
        return result(
            problem,
            f"All {len(settled)} hours settled lately are fine.",
            troubled=len(troubled),
            hours=list(troubled),
        )

    return everything_accepted


def _recent(now: datetime) -> list[HourWindow]:
    windows = [HourWindow.newest_closed(now)]
    while len(windows) < LOOK_BACK // timedelta(hours=1):
        windows.append(windows[-1].previous)
    return windows


def _hours(age: timedelta) -> str:
    return f"{age.total_seconds() / 3600:.1f} hours"
