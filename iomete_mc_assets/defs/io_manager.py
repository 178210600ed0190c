"""Collected hours into manifests, and each hour's own metadata onto its event. Collecting lives elsewhere."""

import logging
from collections.abc import Iterable
from hashlib import sha256

import dagster as dg

from iomete_mc_assets.defs import metadata, table_assets
from iomete_mc_assets.defs.browsing import tag_run
from iomete_mc_assets.defs.keys import collected_flow, collecting_tag, pushed_key
from iomete_mc_assets.defs.materializations import manifest_id, newest_by_hour
from iomete_mc_assets.defs.previews import Previews
from iomete_mc_assets.defs.resources import LakehouseResource, ManifestStoreResource
from iomete_mc_assets.errors import IometeMcError
from iomete_mc_assets.manifests import history
from iomete_mc_assets.manifests.model import Draft, Flow, Header, Written
from iomete_mc_assets.records import Record
from iomete_mc_assets.windows import HourWindow

logger = logging.getLogger(__name__)


class ManifestIOManager(dg.ConfigurableIOManager):
    """Writes one manifest an hour and reports each hour once, also when others of the range failed."""

    store: dg.ResourceDependency[ManifestStoreResource]
    lakehouse: dg.ResourceDependency[LakehouseResource]

    def handle_output(
        self,
        context: dg.OutputContext,
        obj: Iterable[tuple[HourWindow, Draft | IometeMcError]],
    ) -> None:
        """Write what the body collects, hour by hour.

        Raises:
            dg.Failure: at least one hour of the run has no manifest; the others are reported.
        """
        flow, step = collected_flow(context.asset_key), context.step_context
        tag_run(step.instance, step.dagster_run, collecting_tag(flow))
        store = self.store.open(source=self.lakehouse.source())
        previews = Previews(store)
        good: dict[str, metadata.Metadata] = {}
        headers: list[Header] = []
        bad: dict[str, str] = {}
        try:
            for window, answer in obj:
                try:
                    header, good[window.key] = _written(context, previews, answer)
                    headers.append(header)
                except IometeMcError as error:
                    bad[window.key] = str(error)
        except IometeMcError as error:
            unanswered = str(error)
        else:
            unanswered = "the collector gave no answer for this hour"
        _remember(previews, flow, headers)
        self._show_tables(context, previews, headers)
        keys = context.asset_partition_keys
        bad |= {key: unanswered for key in keys if key not in good and key not in bad}
        if bad:
            _report_apart(context, good, bad)
        for key, shown in good.items():
            context.step_context.add_asset_metadata(
                shown, asset_key=context.asset_key, partition_key=key
            )

    def _show_tables(
        self, context: dg.OutputContext, previews: Previews, headers: list[Header]
    ) -> None:
        """For people who browse; a manifest is none the worse where it does not work."""
        chosen = table_assets.choice(self.store.environment())
        if chosen is None:
            return
        try:
            store, records = previews.store, previews.records
            for event in table_assets.observed_tables(store, headers, chosen, records):
                context.log_event(event)
        except (IometeMcError, OSError) as error:
            logger.warning("tables shown in Dagster stay as they were: %s", error)

    def load_input(self, context: dg.InputContext) -> dict[str, list[Record]]:
        """Records by partition key, for assets that read ours; an unknown hour has none.

        Raises:
            ManifestMissing: an hour was never collected.
        """
        store = self.store.open()
        flow = collected_flow(context.asset_key)
        loaded: dict[str, list[Record]] = {}
        for key in context.asset_partition_keys:
            header = store.current(flow, HourWindow.from_key(key))
            if header is not None:
                loaded[key] = list(store.records(header))
        return loaded


def _remember(previews: Previews, flow: Flow, headers: list[Header]) -> None:
    """For the checks; a manifest is none the worse where it does not work."""
    try:
        history.remember(previews.store.storage, flow, headers, previews.records)
    except (IometeMcError, OSError) as error:
        logger.warning("what checks compare with stays as it was: %s", error)


def _written(
    context: dg.OutputContext, previews: Previews, answer: Draft | IometeMcError
) -> tuple[Header, metadata.Metadata]:
    if isinstance(answer, IometeMcError):
        raise answer
    written = previews.store.write(answer, manifest_id=_manifest_id(context, answer.window))
    logger.info(
        "%s %s: %s, %s records, %s omissions%s",
        answer.flow,
        answer.window.key,
        written.header.state,
        written.header.records,
        written.header.omissions.total,
        f" (kept: {written.why})" if written.kept else "",
    )
    settled = _settled(context, written) if written.kept else None
    return written.header, metadata.of_manifest(written, previews, settled=settled)


def _settled(context: dg.OutputContext, written: Written) -> dg.AssetMaterialization | None:
    """The push of a manifest that was kept; None while it is not settled."""
    header = written.header
    pushed = newest_by_hour(
        context.step_context.instance, pushed_key(header.flow), hours=[header.window]
    )
    record = pushed.get(header.window)
    if record is None or manifest_id(record) != header.manifest_id:
        return None
    return record.asset_materialization


def _manifest_id(context: dg.OutputContext, window: HourWindow) -> str:
    """Unique for each materialisation: a retried step or run may find something else."""
    attempt = context.step_context.previous_attempt_count
    parts = (context.run_id, context.asset_key.to_user_string(), window.key, str(attempt))
    return sha256("|".join(parts).encode()).hexdigest()[:16]


def _report_apart(
    context: dg.OutputContext, good: dict[str, metadata.Metadata], bad: dict[str, str]
) -> None:
    """A failed step gets no automatic events, so the good hours are reported here, then it fails."""
    for key, shown in good.items():
        context.log_event(
            dg.AssetMaterialization(asset_key=context.asset_key, partition=key, metadata=shown)
        )
    first = next(iter(bad.values()))
    hours = ", ".join(sorted(bad))
    msg = (
        f"{context.asset_key.to_user_string()}: {len(bad)} of {len(bad) + len(good)} hours not "
        f"collected ({hours}). {first}"
    )
    raise dg.Failure(msg, metadata={"failed hours": dg.MetadataValue.json(bad)})
