"""Files that other collectors drop, as an asset of their own and its pushed side. Wiring only; ``operations.imports`` decides.

Nothing of this exists unless ``IOMETE_MC_IMPORTS`` is set.
"""

# Dagster's decorators and events are typed in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from iomete_mc_assets import clock, settings
from iomete_mc_assets.defs import metadata
from iomete_mc_assets.defs.browsing import NO_GUIDE, PUSH_PAGE, Guide
from iomete_mc_assets.defs.checks import SETTLE_WITHIN
from iomete_mc_assets.defs.content_checks import Now, result
from iomete_mc_assets.defs.keys import (
    FLOW_TAG,
    IMPORT_JOB,
    IMPORTED_FILES,
    IMPORTED_GROUP,
    IMPORTED_KEY,
    MAX_RUNTIME_TAG,
    MONTE_CARLO_POOL,
    PUSHED_GROUP,
    PUSHED_IMPORTED_KEY,
)
from iomete_mc_assets.defs.materializations import text_metadata
from iomete_mc_assets.defs.pushed import is_finished_in
from iomete_mc_assets.defs.resources import ManifestStoreResource, MonteCarloResource
from iomete_mc_assets.errors import ManifestError, NotImportable, SettingsError
from iomete_mc_assets.manifests.storage import Storage, written_at_s
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.operations import imports
from iomete_mc_assets.operations.imports import TakenIn
from iomete_mc_assets.push.ledger import Owner
from iomete_mc_assets.push.outcome import HourOutcome
from iomete_mc_assets.windows import HourWindow

FILE_VERSION = "file_version"
INTERVAL_S = 60
AGAIN_S = 3_600
"""How often a file that is not settled is asked for: each clock hour once."""
REQUESTS_PER_TICK = 50
SHOWN_OMISSIONS = 20
files = dg.DynamicPartitionsDefinition(name=IMPORTED_FILES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A file as it was found.

    Attributes:
        version: tells whether it has changed.
    """

    version: str
    data: bytes


def imported_assets(guide: Guide = NO_GUIDE) -> list[dg.AssetsDefinition]:
    """What files say, and what Monte Carlo was told of it; no freshness policy, as files come when they come."""
    taken_in = dg.asset(
        key=IMPORTED_KEY,
        partitions_def=files,
        group_name=IMPORTED_GROUP,
        owners=guide.owners,
        kinds={"json"},
        description=guide.described(
            "JSON manifests that other collectors dropped (Snowflake, BigQuery, BigQuery Iceberg, Databricks, "
            "Redshift, Hive), a partition a file.\n\n*Was the file understood, and what does it say?* A file that is not what "
            "it should be makes its partition red with the place in it, and stays where it is."
        ),
    )
    pushed = dg.asset(
        key=PUSHED_IMPORTED_KEY,
        deps=[IMPORTED_KEY],
        partitions_def=files,
        pool=MONTE_CARLO_POOL,
        group_name=PUSHED_GROUP,
        owners=guide.owners,
        kinds={"montecarlo"},
        description=guide.described(
            "Imported manifests at Monte Carlo, in the warehouse of their source.\n\n*Did what the file says arrive, and "
            "in which request?* What was accepted of a source before is not sent again, and a table of which a newer "
            "file told goes from that one.",
            f"[Monte Carlo's push API]({PUSH_PAGE})",
        ),
    )
    return [taken_in(imported_manifests), pushed(pushed_imported_manifests)]


def imported_manifests(
    context: dg.AssetExecutionContext, manifests: ManifestStoreResource
) -> dg.MaterializeResult[Any]:
    """Read a file strictly, and write what it says into the store of its source."""
    seen = manifests.environment()
    dropped = _read(context.partition_key, seen)
    taken = _taken_in(context.partition_key, dropped, seen)
    return dg.MaterializeResult(metadata=_of_file(taken, dropped))


def pushed_imported_manifests(
    context: dg.AssetExecutionContext,
    manifests: ManifestStoreResource,
    monte_carlo: MonteCarloResource,
) -> dg.MaterializeResult[Any]:
    """Push what a file says; taken in once more first, as newer files may have come."""
    seen, key = manifests.environment(), context.partition_key
    source, _ = _parts(key)
    warehouse = imports.warehouse_of(source, seen)
    dropped = _read(key, seen)
    taken = _taken_in(key, dropped, seen)
    otherwise = imports.otherwise_set(taken, warehouse=warehouse)
    pusher = monte_carlo.pusher(_store(key, seen), otherwise=otherwise)
    owner = Owner(
        run_id=context.run.run_id,
        root_run_id=context.run.root_run_id or context.run.run_id,
        is_finished=is_finished_in(context.instance),
    )
    outcomes: list[HourOutcome] = []
    failed: list[str] = []
    for header, answer in imports.push(pusher, taken, owner):
        if isinstance(answer, HourOutcome):
            context.log.info(f"{key}, {header.flow} {answer.told}")  # noqa: G004 - Dagster's own logger
            outcomes.append(answer)
        else:
            failed.append(f"{header.flow} {header.window.key}: {answer}")
    if failed:
        msg = f"{key}: {len(failed)} of {len(taken.manifests)} parts not settled at Monte Carlo. {failed[0]}"
        raise dg.Failure(msg, metadata={"not settled": dg.MetadataValue.json(failed)})
    shown: metadata.Metadata = {FILE_VERSION: dg.MetadataValue.text(dropped.version)}
    if outcomes:
        outcome = imports.summed(outcomes, window=HourWindow.holding(taken.collected_at))
        shown |= metadata.of_pushed_partition(outcome, app_url=monte_carlo.app_url)
    return dg.MaterializeResult(metadata=shown)


def import_job():
    """Takes one file in and pushes it."""
    return dg.define_asset_job(
        IMPORT_JOB,
        selection=dg.AssetSelection.assets(IMPORTED_KEY, PUSHED_IMPORTED_KEY).without_checks(),
        description="Takes in a JSON manifest of another collector and pushes it to its source's warehouse.",
        tags={MAX_RUNTIME_TAG: "1800", FLOW_TAG: "imported"},
    )


def import_sensor(
    seen: Mapping[str, str], *, status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    """Sees new and changed files, and asks again for those that are not settled."""

    @dg.sensor(
        name=IMPORT_JOB,
        job_name=IMPORT_JOB,
        minimum_interval_seconds=INTERVAL_S,
        default_status=status,
        description="Takes in and pushes each new or changed JSON manifest below IOMETE_MC_IMPORTS, and asks "
        "again each hour for those that are not settled.",
    )
    def see(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return tick(context.instance, seen, now_s=clock.now().timestamp())

    return see


def files_settled(seen: Mapping[str, str], now: Now) -> dg.AssetChecksDefinition:
    """Whether all that was dropped was taken in and pushed."""

    @dg.asset_check(
        asset=PUSHED_IMPORTED_KEY,
        name="files_settled",
        description="Every file that was written more than 12 minutes ago is settled at Monte Carlo.",
    )
    def settled(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        try:
            late = _overdue(context.instance, seen, now=now())
        except Exception as error:  # noqa: BLE001 - object stores' clients raise errors of their own
            return result(f"The dropped files cannot be listed: {error}", "")
        problem = None
        if late:
            problem = (
                f"{len(late)} dropped files are not settled, the first is {late[0]}. Is the sensor {IMPORT_JOB} on? "
                "Look at its newest tick, and at the file's newest run: it says what to mend in the file."
            )
        return result(
            problem,
            "Every dropped file is settled.",
            overdue=len(late),
            files=late[:SHOWN_OMISSIONS],
        )

    return settled


def _overdue(instance: dg.DagsterInstance, seen: Mapping[str, str], *, now: datetime) -> list[str]:
    """Files that were written some time ago and are not settled as they are."""
    dropped, _ = _listed(seen)
    limit = (now - SETTLE_WITHIN).timestamp()
    return [key for key in _unsettled(instance, dropped) if written_at_s(dropped[key]) < limit]


def tick(
    instance: dg.DagsterInstance, seen: Mapping[str, str], *, now_s: float
) -> dg.SensorResult | dg.SkipReason:
    """One look at the folder.

    Args:
        instance: whose events say what is settled.
        seen: the settings.
        now_s: epoch seconds.
    """
    dropped, strange = _listed(seen)
    waiting = _unsettled(instance, dropped)
    note = f"{len(dropped)} files, {len(waiting)} to take in and push"
    if strange:
        note += (
            f"; not looked at: {', '.join(strange)}, which IOMETE_MC_IMPORT_SOURCES does not name"
        )
    if not waiting:
        return dg.SkipReason(note)
    asked = waiting[:REQUESTS_PER_TICK]
    known = set(instance.get_dynamic_partitions(IMPORTED_FILES))
    new = [key for key in asked if key not in known]
    hour = int(now_s // AGAIN_S)
    return dg.SensorResult(
        dynamic_partitions_requests=[files.build_add_request(new)] if new else None,
        run_requests=[
            dg.RunRequest(
                run_key=f"{key}@{dropped[key]}#{hour}",
                partition_key=key,
                tags={FLOW_TAG: "imported"},
            )
            for key in asked
        ],
    )


def _listed(seen: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Versions of the JSON files by partition key, and folders of no known source."""
    storage, sources = _folder(seen), settings.IOMETE_MC_IMPORT_SOURCES.read(seen)
    folders = storage.names("")
    found: dict[str, str] = {}
    for source in folders:
        if source in sources:
            for name, version in storage.versions(source).items():
                if name.endswith(".json"):
                    found[f"{source}/{name}"] = version
    return found, [name for name in folders if name not in sources]


def _unsettled(instance: dg.DagsterInstance, dropped: Mapping[str, str]) -> list[str]:
    """Files that are not settled as they are now."""
    settled = _settled_versions(instance, list(dropped))
    return [key for key, version in dropped.items() if settled.get(key) != version]


def _settled_versions(instance: dg.DagsterInstance, keys: list[str]) -> dict[str, str]:
    """The version of each file that is settled, by the pushed asset's newest event."""
    found: dict[str, str] = {}
    cursor: str | None = None
    while keys:
        page = instance.fetch_materializations(
            dg.AssetRecordsFilter(PUSHED_IMPORTED_KEY, asset_partitions=keys),
            limit=1_000,
            cursor=cursor,
        )
        for record in page.records:
            version = text_metadata(record, FILE_VERSION)
            if record.partition_key and version:
                found.setdefault(record.partition_key, version)
        if not page.has_more:
            break
        cursor = page.cursor
    return found


def _folder(seen: Mapping[str, str]) -> Storage:
    root = settings.IOMETE_MC_IMPORTS.read(seen)
    if root is None:
        msg = f"IOMETE_MC_IMPORTS is not set: {settings.IOMETE_MC_IMPORTS.meaning}"
        raise SettingsError(msg)
    return Storage.open(root)


def _parts(key: str) -> tuple[str, str]:
    """Source and file name of a partition key."""
    source, _, name = key.partition("/")
    if not source or not name or "/" in name or name.startswith("."):
        msg = f"{key!r} is no imported file. A partition is source/name.json."
        raise NotImportable(msg)
    return source, name


def _read(key: str, seen: Mapping[str, str]) -> Dropped:
    source, name = _parts(key)
    imports.warehouse_of(source, seen)
    storage = _folder(seen)
    try:
        version = storage.versions(source).get(name)
        data = storage.read(f"{source}/{name}")
    except OSError as error:
        msg = (
            f"{key} below {storage.root} cannot be read ({error}). Was it removed? Drop it again, or check "
            "IOMETE_MC_IMPORTS and the rights there."
        )
        raise ManifestError(msg) from error
    return Dropped(version=version or "", data=data)


def _store(key: str, seen: Mapping[str, str]) -> ManifestStore:
    return imports.store_of(settings.IOMETE_MC_MANIFESTS.read(seen), _parts(key)[0])


def _taken_in(key: str, dropped: Dropped, seen: Mapping[str, str]) -> TakenIn:
    return imports.take_in(
        _store(key, seen),
        dropped.data,
        file=key,
        query_text=settings.IOMETE_QUERY_TEXT.read(seen),
        now=clock.now(),
    )


def _of_file(taken: TakenIn, dropped: Dropped) -> metadata.Metadata:
    """What a person sees of a file."""
    shown: metadata.Metadata = {
        "records": dg.MetadataValue.int(taken.records),
        **{name: dg.MetadataValue.int(count) for name, count in taken.counts.items()},
        **{name: dg.MetadataValue.text(text) for name, text in taken.types.items()},
        metadata.COLLECTED_AT: dg.MetadataValue.timestamp(taken.collected_at),
        "manifests": dg.MetadataValue.json(
            [
                {"flow": one.flow, "hour": one.window.key, "manifest_id": one.manifest_id}
                for one in taken.manifests
            ]
        ),
        FILE_VERSION: dg.MetadataValue.text(dropped.version),
    }
    if taken.omissions:
        rows = [(one.scope, one.reason) for one in taken.omissions[:SHOWN_OMISSIONS]]
        shown["omissions shown"] = dg.MetadataValue.md(metadata.markdown(("of", "reason"), rows))
    if taken.ignored:
        shown["not known"] = dg.MetadataValue.text(", ".join(taken.ignored))
    return shown
