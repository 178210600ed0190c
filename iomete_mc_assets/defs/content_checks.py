"""Checks on what the newest hour says: whole, enough, as much and as fresh as usual. WARN, as all in ``checks``."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import dagster as dg

from iomete_mc_assets import settings
from iomete_mc_assets.collectors.query_logs import NO_SOURCE
from iomete_mc_assets.defs.keys import collected_key
from iomete_mc_assets.defs.materializations import manifest_id, newest_by_hour, number
from iomete_mc_assets.defs.metadata import CHANGED
from iomete_mc_assets.defs.previews import markdown
from iomete_mc_assets.defs.resources import ManifestStoreResource
from iomete_mc_assets.defs.stored_inputs import listed_databases
from iomete_mc_assets.manifests.history import History, read_history
from iomete_mc_assets.manifests.model import Flow, Header
from iomete_mc_assets.operations.usual import Odd, odd_hour, odd_volumes, overdue_tables
from iomete_mc_assets.records import Change, ChangeKind, OmissionKind

READ_NEXT = (
    "Is IOMETE_MC_MANIFESTS the store this Dagster instance collects into, and can it be read? Restore the "
    "file, or collect the hour again; pushes of the hour fail until then."
)
LEARN_ANEW = (
    "If the manifest store itself can be read, delete its folder history: it is a view, no push needs it, and "
    "what is usual is then learned anew within a week."
)
NAMED = 20
"""Tables or hours that a check names."""
IN_WORDS = 3
"""Of those so many in its description, too."""
FEW_OMISSIONS = 3
Now = Callable[[], datetime]
LOOK_BACK = timedelta(hours=24)


def result(
    problem: str | None, fine: str, **metadata: str | int | list[str] | dg.MetadataValue
) -> dg.AssetCheckResult:
    """WARN with the problem in words, or passed with what is fine."""
    return dg.AssetCheckResult(
        passed=problem is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=problem or fine,
        metadata=metadata,
    )


def since(now: datetime) -> float:
    """The epoch second from which on events are looked at."""
    return (now - LOOK_BACK).timestamp()


def _newest_header(
    context: dg.AssetCheckExecutionContext,
    manifests: ManifestStoreResource,
    flow: Flow,
    *,
    now: datetime,
) -> Header | str:
    """Of the newest hour collected in the last 24; else in words why there is none."""
    newest = newest_by_hour(context.instance, collected_key(flow), after_timestamp=since(now))
    if not newest:
        return "No hour was collected in the last 24 hours."
    window = max(newest)
    try:
        return manifests.open().header(flow, window, manifest_id(newest[window]) or "")
    except Exception as error:  # noqa: BLE001 - object stores' clients raise errors of their own
        return f"What {flow} said of {window.key} cannot be read: {error} {READ_NEXT}"


def manifest_complete(flow: Flow, now: Now) -> dg.AssetChecksDefinition:
    """Whether the newest hour was collected whole."""

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
            return result(header, "")
        unreadable = header.omissions.counts.get("unreadable", 0)
        unwanted = NO_SOURCE in (header.reason or "")
        unsettled = header.state == "partial" and not header.omissions.total and not unwanted
        alarming = (header.state == "unknown" and not unwanted) or unreadable or unsettled
        hour = header.window.key
        return result(
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


DATABASE_DROPPED: ChangeKind = "database dropped"


def databases_listed(now: Now) -> dg.AssetChecksDefinition:
    """Whether every database of the last day is still there."""

    @dg.asset_check(
        asset=collected_key("catalog_snapshot"),
        name="databases_still_listed",
        description="Is every database still listed that an hour of the last 24 listed? One that was dropped and one "
        "whose grant was lost look the same. A day later a database that stays away is believed to be dropped.",
    )
    def databases_still_listed(
        context: dg.AssetCheckExecutionContext, manifests: ManifestStoreResource
    ) -> dg.AssetCheckResult:
        try:
            lost = _lost_databases(context.instance, manifests, now=now())
        except Exception as error:  # noqa: BLE001 - object stores' clients raise errors of their own
            return result(f"Which databases were dropped cannot be read: {error} {READ_NEXT}", "")
        problem = None
        if lost:
            told = [
                f"{one.scope} since {hour}" + (f", with {one.before}" if one.before else "")
                for one, hour in lost
            ]
            problem = (
                f"{len(lost)} databases are not listed any more: {_first_of(told)}. Dropped on purpose: nothing to do. "
                "Else look whether the lakehouse account lost its rights there; a lost grant looks the same."
            )
        return result(
            problem,
            "Every database of the last 24 hours is listed.",
            lost=len(lost),
            of=[one.scope for one, _ in lost[:NAMED]],
        )

    return databases_still_listed


def _lost_databases(
    instance: dg.DagsterInstance, manifests: ManifestStoreResource, *, now: datetime
) -> list[tuple[Change, str]]:
    """What the hours collected lately say was dropped and the newest known catalog does not list, with the hour."""
    newest = newest_by_hour(instance, collected_key("catalog_snapshot"), after_timestamp=since(now))
    dropping = [w for w, event in newest.items() if number(event, f"{CHANGED}{DATABASE_DROPPED}")]
    if not dropping:
        return []
    store = manifests.open()
    lost: dict[str, tuple[Change, str]] = {}
    for window in sorted(dropping):
        header = store.header("catalog_snapshot", window, manifest_id(newest[window]) or "")
        for change in header.changes.sample if header.changes else ():
            if change.kind == DATABASE_DROPPED:
                lost[change.scope] = change, window.key
    known = store.newest("catalog_snapshot")
    listed = frozenset[str]() if known is None else listed_databases(known)
    return [lost[name] for name in sorted(lost.keys() - listed)]


def few_omissions(flow: Flow, now: Now) -> dg.AssetChecksDefinition:
    """Whether little enough was left out."""

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
            return result(header, "")
        total, hour = header.omissions.total, header.window.key
        told = f"{total} omissions beside {header.records} records in {hour}"
        tolerated = total <= FEW_OMISSIONS or total * 100 <= limit * header.records
        return result(
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
        return f"What was usual of {flow} cannot be read: {error} {LEARN_ANEW}"


def plausible_volume(flow: Flow) -> dg.AssetChecksDefinition:
    """Whether there is as much as usual."""
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
            return result(history, "")
        hour = odd_hour(history)
        odd = [hour] if hour else odd_volumes(history)
        return _odd_result(
            odd,
            f"not {'as many records' if hour else 'as many rows'} as usual",
            fine=f"Nothing unusual in {len(history.hours)} hours and {len(history.tables)} tables.",
        )

    return volume_plausible


def usual_freshness() -> dg.AssetChecksDefinition:
    """Whether tables change as often as usual."""

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
            return result(history, "")
        return _odd_result(
            overdue_tables(history),
            "older than usual",
            fine=f"None of {len(history.tables)} tables is older than usual.",
        )

    return fresh_as_usual


def _first_of(told: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    rest = f"; and {len(told) - IN_WORDS} more" if len(told) > IN_WORDS else ""
    return "; ".join(told[:IN_WORDS]) + rest


def _odd_result(odd: Sequence[Odd], verdict: str, *, fine: str) -> dg.AssetCheckResult:
    problem = None
    if odd:
        told = [f"{one.name}: {one.found}, usual {one.usual}" for one in odd]
        problem = f"{len(odd)} {verdict}: {_first_of(told)}. Ask who writes there, or wait until it is usual."
    shown = markdown(
        ("table or hour", "found", "usual"), [(o.name, o.found, o.usual) for o in odd[:NAMED]]
    )
    return result(
        problem,
        fine,
        unusual=len(odd),
        of=[one.name for one in odd[:NAMED]],
        **({"shown": dg.MetadataValue.md(shown)} if odd else {}),
    )
