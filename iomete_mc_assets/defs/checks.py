"""Checks on assets: WARN, un-partitioned, evaluated by runs and by the ``watch`` schedule.

They read events and manifests; they ask neither the lakehouse nor Monte Carlo.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import dagster as dg

from iomete_mc_assets import clock, settings
from iomete_mc_assets.collectors.query_logs import NO_SOURCE
from iomete_mc_assets.defs.keys import FLOWS, collected_key, pushed_key
from iomete_mc_assets.defs.materializations import (
    manifest_id,
    newest_by_hour,
    not_acknowledged,
    text_metadata,
)
from iomete_mc_assets.defs.metadata import PUSH_STATUS
from iomete_mc_assets.defs.previews import markdown
from iomete_mc_assets.defs.resources import ManifestStoreResource
from iomete_mc_assets.manifests.history import History, read_history
from iomete_mc_assets.manifests.model import Flow, Header
from iomete_mc_assets.operations.usual import Odd, odd_hour, odd_volumes, overdue_tables
from iomete_mc_assets.records import OmissionKind
from iomete_mc_assets.windows import HourWindow

LOOK_BACK = timedelta(hours=24)
SETTLE_WITHIN = timedelta(minutes=12)
"""A push follows within a sensor interval and a short run; with ``watch`` every 15 a stop shows within 30."""
COLLECT_WITHIN = timedelta(minutes=110)
"""After an hour's end: the query log's minute is 35, its gap filler's 50, plus an hour of grace."""
READ_NEXT = (
    "Is IOMETE_MC_MANIFESTS the store this Dagster instance collects into, and can it be read? Restore the "
    "file, or collect the hour again; pushes of the hour fail until then."
)
NAMED = 20
"""Tables or hours that a check names."""
FEW_OMISSIONS = 3
Now = Callable[[], datetime]
TROUBLED = ("partly_refused", "refused", "in_doubt")


def checks(
    hours: dg.PartitionsDefinition[str], *, now: Now = clock.now
) -> list[dg.AssetChecksDefinition]:
    """All of them, on assets of these partitions."""
    return [
        *(_manifest_complete(flow, now) for flow in FLOWS),
        *(_omissions_within_limit(flow, now) for flow in FLOWS),
        *(_volume_plausible(flow) for flow in FLOWS),
        _fresh_as_usual(),
        *(_collected_on_time(flow, now) for flow in FLOWS),
        *(_newest_hour_pushed(flow, now) for flow in FLOWS),
        *(_nothing_left_failed(flow, hours, now) for flow in FLOWS),
        *(_everything_accepted(flow, now) for flow in FLOWS),
    ]


def _result(
    problem: str | None, fine: str, **metadata: str | int | list[str] | dg.MetadataValue
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=problem is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=problem or fine,
        metadata=metadata,
    )


def _newest_header(
    context: dg.AssetCheckExecutionContext,
    manifests: ManifestStoreResource,
    flow: Flow,
    *,
    now: datetime,
) -> Header | str:
    """Of the newest hour collected in the last 24; else in words why there is none."""
    newest = newest_by_hour(context.instance, collected_key(flow), after_timestamp=_since(now))
    if not newest:
        return "No hour was collected in the last 24 hours."
    window = max(newest)
    try:
        return manifests.open().header(flow, window, manifest_id(newest[window]) or "")
    except Exception as error:  # noqa: BLE001 - object stores' clients raise errors of their own
        return f"What {flow} said of {window.key} cannot be read: {error} {READ_NEXT}"


def _manifest_complete(flow: Flow, now: Now) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=collected_key(flow),
        name="newest_manifest_complete",
        description="Was the newest hour collected whole? It is known, settled, and nothing in it was "
        "unreadable. What nobody can know (an expired history) is listed in the partition and is no alarm.",
    )
    def newest_manifest_complete(
        context: dg.AssetCheckExecutionContext, manifests: ManifestStoreResource
    ) -> dg.AssetCheckResult:
        header = _newest_header(context, manifests, flow, now=now())
        if isinstance(header, str):
            return _result(header, "")
        unreadable = header.omissions.counts.get("unreadable", 0)
        unsettled = header.state == "partial" and not header.omissions.total
        unwanted = header.reason == NO_SOURCE
        alarming = (header.state == "unknown" and not unwanted) or unreadable or unsettled
        hour = header.window.key
        return _result(
            f"{hour} is {header.state}: {header.reason}" if alarming else None,
            f"{hour} is {header.state}, with {header.records} records.",
            hour=hour,
            unreadable=unreadable,
            unknowable=header.omissions.total - unreadable,
            of=_scopes(header, "unreadable"),
        )

    return newest_manifest_complete


def _scopes(header: Header, *kinds: OmissionKind) -> list[str]:
    """The first names of what was left out."""
    named = dict.fromkeys(one.scope for one in header.omissions.sample if one.kind in kinds)
    return list(named)[:NAMED]


def _omissions_within_limit(flow: Flow, now: Now) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=collected_key(flow),
        name="omissions_within_limit",
        description="Does the newest hour say enough? Its omissions, also those that nobody can do anything "
        "about, are at most three, or at most so many percent of its records as IOMETE_MC_OMISSIONS_PERCENT says.",
    )
    def omissions_within_limit(
        context: dg.AssetCheckExecutionContext, manifests: ManifestStoreResource
    ) -> dg.AssetCheckResult:
        limit = settings.IOMETE_MC_OMISSIONS_PERCENT.read(manifests.environment())
        header = _newest_header(context, manifests, flow, now=now())
        if isinstance(header, str):
            return _result(header, "")
        total, hour = header.omissions.total, header.window.key
        told = f"{total} omissions beside {header.records} records in {hour}"
        tolerated = total <= FEW_OMISSIONS or total * 100 <= limit * header.records
        return _result(
            None
            if tolerated
            else f"{told}, more than {limit:g} % ({settings.IOMETE_MC_OMISSIONS_PERCENT.name}). "
            "The partition lists them by reason.",
            f"{told}.",
            hour=hour,
            omissions=total,
            of=_scopes(header, "unreadable", "unknowable"),
        )

    return omissions_within_limit


def _history(manifests: ManifestStoreResource, flow: Flow) -> History | str:
    """What was usual lately; else in words why nobody knows."""
    try:
        return read_history(manifests.open().storage, flow)
    except Exception as error:  # noqa: BLE001 - object stores' clients raise errors of their own
        return f"What was usual of {flow} cannot be read: {error} {READ_NEXT}"


def _volume_plausible(flow: Flow) -> dg.AssetChecksDefinition:
    what = (
        "Do tables have as many rows as usual? Of each table: at least half the fewest and at most twice the "
        "most rows of the last 14 days on which it changed, the most extreme day left out of five or more"
        if flow == "observations"
        else "Has the newest hour as many records as usual? At least half the fewest and at most twice the "
        "most of the same clock hour of the last 15 days, the most extreme left out"
    )

    @dg.asset_check(
        asset=collected_key(flow),
        name="volume_plausible",
        description=f"{what}. Judged is after a week.",
    )
    def volume_plausible(manifests: ManifestStoreResource) -> dg.AssetCheckResult:
        history = _history(manifests, flow)
        if isinstance(history, str):
            return _result(history, "")
        hour = odd_hour(history)
        odd = [hour] if hour else odd_volumes(history)
        return _odd_result(
            odd,
            f"not {'as many records' if hour else 'as many rows'} as usual",
            fine=f"Nothing unusual in {len(history.hours)} hours and {len(history.tables)} tables.",
        )

    return volume_plausible


def _fresh_as_usual() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=collected_key("observations"),
        name="fresh_as_usual",
        description="Do tables change as often as usual? Of each table that changed five times or more: its data "
        "is at most half as old again as the longest time between two changes of late (the very longest left out of "
        "five days or more), and an hour. Judged is after a week; a table silent for 14 days has stopped for good.",
    )
    def fresh_as_usual(manifests: ManifestStoreResource) -> dg.AssetCheckResult:
        history = _history(manifests, "observations")
        if isinstance(history, str):
            return _result(history, "")
        return _odd_result(
            overdue_tables(history),
            "older than usual",
            fine=f"None of {len(history.tables)} tables is older than usual.",
        )

    return fresh_as_usual


def _odd_result(odd: Sequence[Odd], verdict: str, *, fine: str) -> dg.AssetCheckResult:
    problem = None
    if odd:
        first = "; ".join(f"{one.name}: {one.found}, usual {one.usual}" for one in odd[:3])
        rest = f"; and {len(odd) - 3} more" if len(odd) > 3 else ""  # noqa: PLR2004 - as above
        problem = (
            f"{len(odd)} {verdict}: {first}{rest}. Ask who writes there, or wait until it is usual."
        )
    shown = markdown(
        ("table or hour", "found", "usual"), [(o.name, o.found, o.usual) for o in odd[:NAMED]]
    )
    return _result(
        problem,
        fine,
        unusual=len(odd),
        of=[one.name for one in odd[:NAMED]],
        **({"shown": dg.MetadataValue.md(shown)} if odd else {}),
    )


def newest_collected(
    instance: dg.DagsterInstance, flow: Flow, *, now: datetime
) -> HourWindow | None:
    """The newest hour collected in the last 24 hours; None where there was none."""
    return max(
        newest_by_hour(instance, collected_key(flow), after_timestamp=_since(now)), default=None
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
            return _result(
                "No hour was collected in the last 24 hours. Is the hourly schedule on?", ""
            )
        problem = None
        if at > last.next.end + COLLECT_WITHIN:
            problem = (
                f"Hour {last.next.key} ended {_hours(at - last.next.end)} ago and is not collected. "
                "Look at the newest failed run, and whether the hourly schedule is on."
            )
        return _result(problem, f"The newest collected hour is {last.key}.", hour=last.key)

    return collected_on_time


def overdue(instance: dg.DagsterInstance, flow: Flow, *, now: datetime) -> list[HourWindow]:
    """Hours collected in the last 24 hours, more than 12 minutes ago, and not settled; oldest first."""
    newest = newest_by_hour(instance, collected_key(flow), after_timestamp=_since(now))
    waiting = not_acknowledged(instance, pushed_key(flow), newest)
    limit = (now - SETTLE_WITHIN).timestamp()
    return sorted(window for window, record in waiting.items() if record.timestamp < limit)


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
        return _result(
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
        return _result(problem, "No hour of the last 24 is red.", failed=len(failed), hours=failed)

    return nothing_left_failed


def _everything_accepted(flow: Flow, now: Now) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=pushed_key(flow),
        name="everything_accepted",
        description="Of the hours settled lately, none has refused events or unknown outcomes.",
    )
    def everything_accepted(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        settled = newest_by_hour(context.instance, pushed_key(flow), after_timestamp=_since(now()))
        troubled = {
            window.key: word
            for window, record in sorted(settled.items())
            if (word := text_metadata(record, PUSH_STATUS)) in TROUBLED
        }
        problem = None
        if troubled:
            shown = ", ".join(f"{key} {word}" for key, word in troubled.items())
            problem = f"Not everything was accepted: {shown}. The partition shows what and why."
        return _result(
            problem,
            f"All {len(settled)} hours settled lately are fine.",
            troubled=len(troubled),
            hours=list(troubled),
        )

    return everything_accepted


def _since(now: datetime) -> float:
    return (now - LOOK_BACK).timestamp()


def _recent(now: datetime) -> list[HourWindow]:
    windows = [HourWindow.newest_closed(now)]
    while len(windows) < LOOK_BACK // timedelta(hours=1):
        windows.append(windows[-1].previous)
    return windows


def _hours(age: timedelta) -> str:
    return f"{age.total_seconds() / 3600:.1f} hours"
