"""What collectors need from earlier manifests, read from the store. The collectors themselves read nothing."""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from iomete_mc_assets.collectors.catalog_changes import (
    DATABASES,
    EarlierCatalog,
    database_names,
    silent_scopes,
)
from iomete_mc_assets.collectors.lineage.hours import QueriesInput, StoredLineage
from iomete_mc_assets.collectors.observations import SWEPT, CatalogInput, EarlierInput
from iomete_mc_assets.manifests.model import Header, JsonValue
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.records import LineageEdge, Observation, Omission, QueryRecord, TableEntry
from iomete_mc_assets.windows import HourWindow


class StoredInputs:
    """The state of the store as the collectors of one run see it."""

    def __init__(self, store: ManifestStore) -> None:
        self._store = store
        self._catalog = lru_cache(maxsize=4)(self._read_catalog)

    def newest_catalog_window(self) -> HourWindow | None:
        """The newest hour whose catalog is known."""
        newest = self._store.newest("catalog_snapshot")
        return newest.window if newest else None

    def catalog_for(self, window: HourWindow) -> CatalogInput | None:
        """The known catalog nearest to an hour: at or before it, else the oldest after it."""
        header = self._store.nearest("catalog_snapshot", window)
        return None if header is None else self._catalog(header.window, header.manifest_id)

    def catalog_before(self, window: HourWindow) -> EarlierCatalog | None:
        """The newest known catalog of an earlier hour."""
        header = self._store.newest_before("catalog_snapshot", window)
        if header is None:
            return None
        omissions = header.omissions
        all_listed = omissions.total == len(omissions.sample)
        entries = tuple(r for r in self._store.records(header) if isinstance(r, TableEntry))
        return EarlierCatalog(
            manifest_id=header.manifest_id,
            window=header.window,
            catalogs=header.source.catalogs,
            databases=listed_databases(header) or frozenset(database_names(entries)),
            entries=entries,
            silent=silent_scopes(omissions.sample) if all_listed else None,
        )

    def observations_before(self, window: HourWindow) -> EarlierInput | None:
        """The newest known observations of an earlier hour."""
        header = self._store.newest_before("observations", window)
        return None if header is None else self._observations(header)

    def observations_of(self, window: HourWindow) -> EarlierInput | None:
        """What the hour itself said when it was collected before."""
        header = self._store.current("observations", window)
        if header is None or not header.known or self._store.pruned(header):
            return None
        return self._observations(header)

    def query_logs_before(self, window: HourWindow) -> Mapping[str, JsonValue] | None:
        """What the newest known query logs of an earlier hour left for those after them."""
        header = self._store.newest_before("query_logs", window)
        return None if header is None else header.collector_state

    def queries_of(self, window: HourWindow, manifest_id: str | None) -> QueriesInput | None:
        """The query logs of the hour itself by the id that speaks for it; None where there are none."""
        if manifest_id is None:
            return None
        header = self._store.header("query_logs", window, manifest_id)
        state, reason = header.state, header.reason
        if header.known and self._store.pruned(header):
            state, reason = "unknown", "their records were pruned"
        known = header.records and state != "unknown"
        return QueriesInput(
            manifest_id=manifest_id,
            state=state,
            reason=reason,
            queries=lambda: self._queries(header) if known else (),
        )

    def _queries(self, header: Header) -> Iterator[QueryRecord]:
        for record in self._store.records(header):
            if isinstance(record, QueryRecord):
                yield record

    def lineage_of(self, window: HourWindow) -> StoredLineage | None:
        """What the hour itself said when it was collected before."""
        header = self._store.current("lineage", window)
        if header is None or not header.known or self._store.pruned(header):
            return None
        return StoredLineage(header=header, edges=lambda: self._edges(header))

    def _edges(self, header: Header) -> Iterator[LineageEdge]:
        for record in self._store.records(header):
            if isinstance(record, LineageEdge):
                yield record

    def _read_catalog(self, window: HourWindow, manifest_id: str) -> CatalogInput:
        header = self._store.header("catalog_snapshot", window, manifest_id)
        entries = [r for r in self._store.records(header) if isinstance(r, TableEntry)]
        return CatalogInput(
            manifest_id=manifest_id,
            window=window,
            collected_at=header.collected_at,
            entries=tuple(entries),
            omissions=(*header.omissions.sample, *_not_shown(header)),
            listed=header.source.catalogs,
        )

    def _observations(self, header: Header) -> EarlierInput:
        records = [r for r in self._store.records(header) if isinstance(r, Observation)]
        swept = header.collector_state.get(SWEPT)
        return EarlierInput(
            manifest_id=header.manifest_id,
            window=header.window,
            observations=tuple(records),
            swept=HourWindow.from_key(swept) if isinstance(swept, str) else None,
        )


def listed_databases(header: Header) -> frozenset[str]:
    """As the catalog's listing had them; none of a manifest older than that."""
    listed = header.collector_state.get(DATABASES)
    return frozenset(map(str, listed)) if isinstance(listed, list) else frozenset()


def _not_shown(header: Header) -> list[Omission]:
    """One omission for each catalog where the header lists not all: any table may be among the others."""
    hidden = header.omissions.total - len(header.omissions.sample)
    if not hidden:
        return []
    reason = f"{hidden} more omissions of the catalog's hour are counted and not listed"
    return [
        Omission(scope=catalog, question="list tables", kind="unreadable", reason=reason)
        for catalog in header.source.catalogs
    ]
