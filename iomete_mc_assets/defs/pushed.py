"""The pushed assets: what Monte Carlo was told of each hour. Wiring only; ``push.pusher`` decides."""

# Dagster's decorators and events are typed in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Literal

import dagster as dg
from pydantic import Field

from iomete_mc_assets import clock
from iomete_mc_assets.defs import metadata
from iomete_mc_assets.defs.browsing import NO_GUIDE, PUSH_PAGE, Guide, tag_run
from iomete_mc_assets.defs.keys import (
    FLOWS,
    MONTE_CARLO_POOL,
    PUSHED_GROUP,
    collected_key,
    pushed_key,
)
from iomete_mc_assets.defs.materializations import NamedManifests
from iomete_mc_assets.defs.partitions import MAX_HOURS_PER_RUN, windows_of
from iomete_mc_assets.defs.resources import ManifestStoreResource, MonteCarloResource
from iomete_mc_assets.errors import ManifestMissing
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.push.ledger import Owner
from iomete_mc_assets.push.outcome import HourOutcome, Preview
from iomete_mc_assets.windows import HourWindow

DESCRIPTIONS: dict[Flow, str] = {
    "catalog_snapshot": "The catalog at Monte Carlo.\n\n*Was the newest listing accepted, and under which "
    "invocation ids?* Older hours are `superseded`: a schema is simply the latest.",
    "observations": "Freshness and volume at Monte Carlo.\n\n*Which hour does Monte Carlo show, and was "
    "anything refused?* Monte Carlo stamps them on receipt, so only "
    "the newest hour is sent; every other hour is `superseded` and shows by which.",
    "query_logs": "The query log at Monte Carlo.\n\n*Did every query arrive, and in which request?* Every ended query goes exactly once, in any order of "
    "hours; each hour shows its invocation ids.",
    "lineage": "Lineage at Monte Carlo.\n\n*Which edges does Monte Carlo draw, and which wait?* A table edge goes "
    "once, a column edge each week while it is seen; both wait until Monte Carlo knows both tables.",
}
PUSHED_EVERY_HOUR = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(hours=2), fail_window=timedelta(hours=3)
)
"""Dagster takes any partition for fresh, also one of a backfill; ``newest_hour_pushed`` asks for the newest."""


class PushOptions(dg.Config):
    """What a run launched by hand may ask for; sensors ask for nothing of it."""

    force: Literal["none", "refused", "in_doubt", "all"] = Field(
        default="none",
        description="Send again what had an end: refused events, those in doubt, or everything of the "
        "hours. Once, however often this run is retried; never for superseded hours or ones too old.",
    )
    dry_run: bool = Field(
        default=False,
        description="Only say what would be sent, in the run's log and as an observation of each hour. "
        "Sends and writes nothing; the hours stay as they are.",
    )


PushEvent = dg.AssetMaterialization | dg.AssetObservation


def pushed_assets(
    hours: dg.HourlyPartitionsDefinition, guide: Guide = NO_GUIDE
) -> list[dg.AssetsDefinition]:
    """One asset a flow."""
    return [pushed_asset(flow, hours, guide) for flow in FLOWS]


def pushed_asset(
    flow: Flow, hours: dg.HourlyPartitionsDefinition, guide: Guide = NO_GUIDE
) -> dg.AssetsDefinition:
    """The pushed side of one flow: newest hour first, each reported as soon as it is settled."""

    @dg.asset(
        key=pushed_key(flow),
        description=guide.described(DESCRIPTIONS[flow], f"[Monte Carlo's push API]({PUSH_PAGE})"),
        owners=guide.owners,
        deps=[collected_key(flow)],
        partitions_def=hours,
        backfill_policy=dg.BackfillPolicy.multi_run(MAX_HOURS_PER_RUN),
        output_required=False,
        pool=MONTE_CARLO_POOL,
        group_name=PUSHED_GROUP,
        kinds={"montecarlo"},
        freshness_policy=PUSHED_EVERY_HOUR,
    )
    def push(
        context: dg.AssetExecutionContext,
        config: PushOptions,
        manifests: ManifestStoreResource,
        monte_carlo: MonteCarloResource,
    ) -> Iterator[PushEvent]:
        tag_run(context.instance, context.run, flow)
        store = manifests.open()
        windows = windows_of(context.partition_keys)
        named = NamedManifests(context.instance, store, flow, windows, now=clock.now())
        wanted, failed = _wanted(named, windows)
        pusher = monte_carlo.pusher(store)
        force = None if config.force == "none" else config.force
        owner = _owner(context)
        if config.dry_run:
            for window, preview in pusher.dry_run(
                flow, wanted, named=lambda _: named.refreshed(), owner=owner, force=force
            ):
                if not isinstance(preview, Preview):
                    context.log.error(f"{flow} {window.key}: {preview}")  # noqa: G004 - Dagster's own logger
                    failed[window.key] = str(preview)
                    continue
                context.log.info(f"{flow} {preview.told}")  # noqa: G004 - Dagster's own logger
                yield dg.AssetObservation(
                    asset_key=pushed_key(flow),
                    partition=window.key,
                    metadata=metadata.of_preview(preview),
                )
            _fail_if_any(flow, failed, of=len(context.partition_keys))
            return
        for window, answer in pusher.push(
            flow,
            wanted,
            named=lambda _: named.refreshed(),
            owner=owner,
            force=force,
        ):
            if isinstance(answer, HourOutcome):
                context.log.info(f"{flow} {answer.told}")  # noqa: G004 - Dagster's own logger
                yield from events_of(flow, answer, app_url=monte_carlo.app_url)
            else:
                context.log.error(f"{flow} {window.key}: {answer}")  # noqa: G004 - Dagster's own logger
                failed[window.key] = str(answer)
        left = {window: wanted[window] for window in wanted if window.key in failed}
        goes_on = None
        if force is not None and left:
            by_hand = pusher.how_it_goes_on(flow, left, owner=owner, force=force)
            goes_on = f"A retry of this run goes on with all of it. {by_hand}"
        _fail_if_any(flow, failed, of=len(context.partition_keys), goes_on=goes_on)

    return push


def _wanted(
    named: NamedManifests, windows: list[HourWindow]
) -> tuple[dict[HourWindow, str], dict[str, str]]:
    """The manifest of each hour, and for hours that have none why nothing can be pushed."""
    wanted: dict[HourWindow, str] = {}
    missing: dict[str, str] = {}
    for window in windows:
        manifest_id = named.get(window)
        if manifest_id is None:
            missing[window.key] = str(
                ManifestMissing(
                    f"{window.key} was never collected, so there is nothing to push. "
                    "Materialise the collected asset's partition first."
                )
            )
        else:
            wanted[window] = manifest_id
    return wanted, missing


def _owner(context: dg.AssetExecutionContext) -> Owner:
    """Who holds the ledger: this run, or the run it retries; finished runs hold nothing."""
    return Owner(
        run_id=context.run.run_id,
        root_run_id=context.run.root_run_id or context.run.run_id,
        is_finished=is_finished_in(context.instance),
    )


def is_finished_in(instance: dg.DagsterInstance) -> Callable[[str], bool]:
    """Whether a run of that id is known to an instance and has ended."""

    def is_finished(run_id: str) -> bool:
        run = instance.get_run_by_id(run_id)
        return run is not None and run.is_finished

    return is_finished


def events_of(flow: Flow, outcome: HourOutcome, *, app_url: str) -> Iterator[PushEvent]:
    """What Dagster is told of a settled hour: on the pushed asset and on the collected one."""
    key = outcome.window.key
    yield dg.AssetMaterialization(
        asset_key=pushed_key(flow),
        partition=key,
        metadata=metadata.of_pushed_partition(outcome, app_url=app_url),
    )
    yield dg.AssetObservation(
        asset_key=collected_key(flow),
        partition=key,
        metadata=metadata.of_push(outcome, app_url=app_url),
    )


def _fail_if_any(
    flow: Flow, failed: dict[str, str], *, of: int, goes_on: str | None = None
) -> None:
    if failed:
        hours = ", ".join(sorted(failed))
        first = next(iter(failed.values()))
        msg = f"{flow}: {len(failed)} of {of} hours not settled at Monte Carlo ({hours}). {first}"
        if goes_on is not None:
            msg = f"{msg} {goes_on}"
        raise dg.Failure(msg, metadata={"failed hours": dg.MetadataValue.json(failed)})
