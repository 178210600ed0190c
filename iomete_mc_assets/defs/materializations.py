"""What Dagster's event log says: which manifest each hour's newest event names, and who is at work.

Reads events and runs only; what an event's metadata means is written in ``metadata``.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

import dagster as dg

from iomete_mc_assets.defs.keys import collected_key
from iomete_mc_assets.defs.metadata import COLLECTED_AT, KEPT, MANIFEST_ID, STORE_ID
from iomete_mc_assets.defs.partitions import windows_of_run
from iomete_mc_assets.errors import WrongStore
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.windows import HourWindow

PAGE = 1_000
LOOK_BACK = timedelta(days=30)
"""How far back unsettled and named hours are looked for in Dagster's events."""
LIVE = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def _value(record: dg.EventLogRecord, key: str) -> dg.MetadataValue | None:
    """One value of a materialisation's metadata; None where it has none."""
    materialization = record.asset_materialization
    return materialization.metadata.get(key) if materialization else None


def text_metadata(record: dg.EventLogRecord, key: str) -> str | None:
    """One text of a materialisation's metadata; None where it has none."""
    value = _value(record, key)
    return value.value if isinstance(value, dg.TextMetadataValue) else None


def number(record: dg.EventLogRecord, key: str) -> int:
    """One whole number of a materialisation's metadata; 0 where it has none."""
    value = _value(record, key)
    return (value.value or 0) if isinstance(value, dg.IntMetadataValue) else 0


def json_list(record: dg.EventLogRecord, key: str) -> list[object]:
    """One JSON list of a materialisation's metadata; empty where it has none."""
    value = _value(record, key)
    stored = value.value if isinstance(value, dg.JsonMetadataValue) else None
    return list(cast("list[object]", stored)) if isinstance(stored, list) else []


def json_text(record: dg.EventLogRecord, key: str, name: str) -> str | None:
    """One text of a JSON object in a materialisation's metadata; None where it has none."""
    value = _value(record, key)
    stored = value.value if isinstance(value, dg.JsonMetadataValue) else None
    said = cast("dict[str, object]", stored).get(name) if isinstance(stored, dict) else None
    return said if isinstance(said, str) else None


def manifest_id(record: dg.EventLogRecord) -> str | None:
    """The manifest a materialisation names; None for one reported by hand in the UI."""
    return text_metadata(record, MANIFEST_ID)


def collected_at(record: dg.EventLogRecord) -> datetime | None:
    """When the manifest that a materialisation names was collected; None where it does not say."""
    value = _value(record, COLLECTED_AT)
    if not isinstance(value, dg.TimestampMetadataValue):
        return None
    return datetime.fromtimestamp(value.value, UTC)


def named_since_s(record: dg.EventLogRecord) -> float:
    """The epoch second since when there is the manifest that a materialisation names.

    Collecting an hour again that says the same keeps its manifest, which is no younger for it.
    """
    kept, at = _value(record, KEPT), collected_at(record)
    if isinstance(kept, dg.BoolMetadataValue) and kept.value and at is not None:
        return at.timestamp()
    return record.timestamp


def newest_by_hour(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    *,
    hours: Iterable[HourWindow] | None = None,
    after_timestamp: float | None = None,
    after_storage_id: int | None = None,
) -> dict[HourWindow, dg.EventLogRecord]:
    """The newest materialisation of each hour that names a manifest.

    Args:
        instance: whose event log is read.
        key: the asset.
        hours: only these; None reads all.
        after_timestamp: only events younger than this epoch second.
        after_storage_id: only events behind this one.
    """
    wanted = None if hours is None else [window.key for window in hours]
    newest: dict[HourWindow, dg.EventLogRecord] = {}
    if wanted == []:
        return newest
    for record in _events(
        instance,
        dg.AssetRecordsFilter(
            asset_key=key,
            asset_partitions=wanted,
            after_timestamp=after_timestamp,
            after_storage_id=after_storage_id,
        ),
    ):
        if record.partition_key and manifest_id(record):
            newest.setdefault(HourWindow.from_key(record.partition_key), record)
    return newest


def _events(
    instance: dg.DagsterInstance, records_filter: dg.AssetRecordsFilter
) -> Iterator[dg.EventLogRecord]:
    """Matching materialisations, newest first."""
    cursor: str | None = None
    while True:
        page = instance.fetch_materializations(records_filter, limit=PAGE, cursor=cursor)
        yield from page.records
        if not page.has_more:
            return
        cursor = page.cursor


def not_acknowledged(
    instance: dg.DagsterInstance,
    pushed: dg.AssetKey,
    newest: Mapping[HourWindow, dg.EventLogRecord],
) -> dict[HourWindow, dg.EventLogRecord]:
    """Of the newest collected materialisations, those whose manifest was not settled yet."""
    settled = newest_by_hour(instance, pushed, hours=newest)
    acknowledged = {window: manifest_id(record) for window, record in settled.items()}
    return {
        window: record
        for window, record in newest.items()
        if acknowledged.get(window) != manifest_id(record)
    }


def hours_at_work(instance: dg.DagsterInstance, key: dg.AssetKey, *, job: str) -> set[HourWindow]:
    """Hours of an asset that a queued or running run covers, whoever asked for it.

    Args:
        instance: whose runs are read.
        key: the asset; runs started from its page and by backfills name it.
        job: the asset's own job; runs of sensors and schedules name that and no asset.
    """
    busy: set[HourWindow] = set()
    for record in instance.get_run_records(dg.RunsFilter(statuses=list(LIVE))):
        run = record.dagster_run
        if run.job_name == job or key in (run.asset_selection or ()):
            busy.update(windows_of_run(dict(run.tags)))
    return busy


class NamedManifests:
    """The manifest that speaks for each hour of a flow: its newest event's, else the pointer's.

    Read are the events of the hours asked for and those of the last 30 days; for older hours, and for
    hours that Dagster has forgotten (an emptied database), the store's pointer is read when needed.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        store: ManifestStore,
        flow: Flow,
        hours: Iterable[HourWindow],
        *,
        now: datetime,
    ) -> None:
        self._instance, self._store = instance, store
        self._flow: Flow = flow
        self._key = collected_key(flow)
        self._named: dict[HourWindow, dg.EventLogRecord] = {}
        self._pointers: dict[HourWindow, str | None] = {}
        self._stored = frozenset(store.hours(flow))
        self._take(newest_by_hour(instance, self._key, hours=hours))
        since = (now - LOOK_BACK).timestamp()
        self._take(newest_by_hour(instance, self._key, after_timestamp=since))

    def refreshed(self) -> "NamedManifests":
        """This, after taking in the events that came since the last look."""
        seen = max((record.storage_id for record in self._named.values()), default=None)
        self._take(newest_by_hour(self._instance, self._key, after_storage_id=seen))
        return self

    def _take(self, newest: Mapping[HourWindow, dg.EventLogRecord]) -> None:
        for window, record in newest.items():
            known = self._named.get(window)
            if known is None or known.storage_id < record.storage_id:
                self._named[window] = record

    def _checked(self, record: dg.EventLogRecord) -> str:
        """The event's manifest id; WrongStore when it lies in another store."""
        named, store_id = manifest_id(record), text_metadata(record, STORE_ID)
        if store_id is not None and store_id != self._store.store_id:
            msg = (
                f"{self._key.to_user_string()} {record.partition_key} was collected into store {store_id}, "
                f"and IOMETE_MC_MANIFESTS is {self._store.root}, which is store {self._store.store_id}. "
                "Nothing was pushed. Check IOMETE_MC_MANIFESTS first: it must be the same wherever this "
                "Dagster instance collects and pushes. If the new store is meant, collect the hour into it again."
            )
            raise WrongStore(msg)
        return named or ""

    def _pointed(self, window: HourWindow) -> str | None:
        """What the store's pointer says of an hour that Dagster knows nothing of."""
        if window not in self._pointers:
            header = self._store.current(self._flow, window) if window in self._stored else None
            self._pointers[window] = header.manifest_id if header else None
        return self._pointers[window]

    def __iter__(self) -> Iterator[HourWindow]:
        """Hours that may have one; asks nobody."""
        return iter(self._stored | self._named.keys())

    def get(self, window: HourWindow, /) -> str | None:
        """The hour's manifest id; None where it has none.

        Raises:
            WrongStore: the newest event names a manifest of another store.
            ManifestError: the pointer cannot be read.
        """
        record = self._named.get(window)
        return self._checked(record) if record else self._pointed(window)
