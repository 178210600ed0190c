"""One sensor a flow: every materialised hour is pushed, and a slow pass asks again for what was not settled.

Which manifest is settled is read from Dagster's events alone; what is really sent decides the ledger.
"""

# Dagster's decorators and events are typed in part only.
# pyright: reportUnknownMemberType=false

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import dagster as dg

from iomete_mc_assets import clock
from iomete_mc_assets.defs.keys import (
    FLOW_TAG,
    OLDER_PUSH_PRIORITY,
    PRIORITY_TAG,
    PUSH_PRIORITY,
    collected_key,
    push_job_name,
    pushed_key,
)
from iomete_mc_assets.defs.materializations import (
    LOOK_BACK,
    PAGE,
    hours_at_work,
    manifest_id,
    newest_by_hour,
    not_acknowledged,
)
from iomete_mc_assets.defs.partitions import MAX_HOURS_PER_RUN, range_request
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.windows import HourWindow, contiguous

INTERVAL_S = 30
DAY_S = 86_400
NEW_S = 3 * 3_600
"""How long after its end an hour is among the newest ones."""

Newest = dict[HourWindow, dg.EventLogRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """What a sensor remembers between ticks.

    Attributes:
        after: storage id of the last event seen; None before the first.
        reconciled_at: epoch seconds of the last slow pass; 0 before the first.
    """

    after: int | None = None
    reconciled_at: float = 0

    @classmethod
    def read(cls, text: str | None) -> "Cursor":
        """From Dagster's text; a cleared or foreign one starts over, which sends nothing twice."""
        try:
            stored = json.loads(text or "{}")
            return cls(after=stored.get("after"), reconciled_at=stored.get("reconciled_at", 0))
        except (ValueError, AttributeError):
            return cls()

    def text(self) -> str:
        """For Dagster's database, and for people who look at it there."""
        return json.dumps({"after": self.after, "reconciled_at": self.reconciled_at})


def push_sensor(flow: Flow, *, status: dg.DefaultSensorStatus, again_s: int) -> dg.SensorDefinition:
    """The sensor that pushes one flow; ``again_s`` as for ``tick``."""

    @dg.sensor(
        name=push_job_name(flow),
        job_name=push_job_name(flow),
        minimum_interval_seconds=INTERVAL_S,
        default_status=status,
        description=f"Pushes every materialised hour of iomete/{flow} to Monte Carlo, newest first, "
        f"and every {_in_words(again_s)} asks again for hours that were not settled.",
    )
    def push(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        cursor, now_s = Cursor.read(context.cursor), clock.now().timestamp()
        return tick(context.instance, flow, cursor, now_s=now_s, again_s=again_s)

    return push


def tick(
    instance: dg.DagsterInstance, flow: Flow, cursor: Cursor, *, now_s: float, again_s: int
) -> dg.SensorResult | dg.SkipReason:
    """One look: events behind the cursor, else now and then the slow pass, else nothing.

    Args:
        instance: whose events are read.
        flow: whose hours.
        cursor: of the last look.
        now_s: epoch seconds.
        again_s: seconds between two slow passes. Events younger than that belong to the fast path
            and to run retries.
    """
    page = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=collected_key(flow), after_storage_id=cursor.after),
        limit=PAGE,
        ascending=True,
    ).records
    if page:
        return _fast(instance, flow, cursor, page, now_s=now_s)
    if now_s - cursor.reconciled_at >= again_s:
        return _reconcile(instance, flow, cursor, now_s=now_s, again_s=again_s)
    since = "yet" if cursor.after is None else f"since event {cursor.after}"
    return dg.SkipReason(f"nothing was materialised {since}")


def _fast(
    instance: dg.DagsterInstance,
    flow: Flow,
    cursor: Cursor,
    page: Sequence[dg.EventLogRecord],
    *,
    now_s: float,
) -> dg.SensorResult:
    newest: Newest = {
        HourWindow.from_key(record.partition_key): record
        for record in page
        if record.partition_key and manifest_id(record)
    }
    waiting = not_acknowledged(instance, pushed_key(flow), newest)
    last = page[-1].storage_id
    note = f"{_count(len(page), 'materialisation')} of {_count(len(newest), 'hour')}: " + (
        f"{len(waiting)} to push" if waiting else "all of them are settled already"
    )
    seen = replace(cursor, after=last)
    return _result(flow, waiting, seen, note, suffix=str(last), now_s=now_s)


def _reconcile(
    instance: dg.DagsterInstance, flow: Flow, cursor: Cursor, *, now_s: float, again_s: int
) -> dg.SensorResult:
    newest = newest_by_hour(
        instance, collected_key(flow), after_timestamp=now_s - LOOK_BACK.total_seconds()
    )
    unsettled = not_acknowledged(instance, pushed_key(flow), newest)
    live = hours_at_work(instance, pushed_key(flow), job=push_job_name(flow))
    at_work = live & unsettled.keys()
    waiting = {
        window: record
        for window, record in unsettled.items()
        if window not in at_work
        and _due(now_s - record.timestamp, now_s, cursor.reconciled_at, again_s)
    }
    note = (
        f"looked again at {_count(len(newest), 'hour')} of the last 30 days: "
        f"{len(newest) - len(unsettled)} settled, {len(at_work)} being pushed, "
        f"{len(waiting)} to push again, {len(unsettled) - len(at_work) - len(waiting)} not due yet"
    )
    seen = replace(cursor, reconciled_at=now_s)
    return _result(flow, waiting, seen, note, suffix=f"again-{int(now_s)}", now_s=now_s)


def _due(age_s: float, now_s: float, last_s: float, again_s: int) -> bool:
    """Every pass while younger than a day, then the first of each hour, after three days of each day."""
    if age_s < again_s:
        return False
    if age_s < DAY_S:
        return True
    every_s = 3_600 if age_s < 3 * DAY_S else DAY_S
    return now_s // every_s != last_s // every_s


def _result(
    flow: Flow, waiting: Newest, cursor: Cursor, note: str, *, suffix: str, now_s: float
) -> dg.SensorResult:
    if not waiting:
        return dg.SensorResult(skip_reason=note, cursor=cursor.text())
    runs = reversed(list(contiguous(waiting, at_most=MAX_HOURS_PER_RUN)))
    return dg.SensorResult(
        cursor=cursor.text(),
        run_requests=[
            range_request(
                run,
                run_key=f"{flow}:{run[0].key}:{run[-1].key}:{suffix}",
                tags={FLOW_TAG: flow, PRIORITY_TAG: _priority(flow, run[-1], now_s)},
            )
            for run in runs
        ],
    )


def _priority(flow: Flow, newest: HourWindow, now_s: float) -> str:
    """Observations soon become too old to be sent, so the newest hours do not wait for a backfill's."""
    new = newest.end.timestamp() > now_s - NEW_S
    return (PUSH_PRIORITY if new else OLDER_PUSH_PRIORITY)[flow]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _in_words(seconds: int) -> str:
    return f"{seconds} seconds" if seconds % 60 else f"{seconds // 60} minutes"
