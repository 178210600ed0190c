"""The lakehouse's own tables in Dagster's graph: external assets from the table index, observed when a figure changes.

Which tables, and what is known of them, lives in ``manifests.table_index``.
"""

# Dagster types its metadata in part only.
# pyright: reportUnknownMemberType=false

import logging
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import dagster as dg

from iomete_mc_assets import settings
from iomete_mc_assets.errors import IometeMcError
from iomete_mc_assets.manifests.history import RecordsOf
from iomete_mc_assets.manifests.model import Header
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.manifests.table_index import (
    Feed,
    IndexedTable,
    TableChoice,
    TableIndex,
    read_index,
    write_index,
)
from iomete_mc_assets.records import (
    Column,
    LineageEdge,
    Observation,
    Record,
    TableEntry,
    TableId,
)
from iomete_mc_assets.windows import HourWindow

LOAD_S = 2.0
"""Loading definitions waits no longer for the store: Dagster loads them in every run too."""
LEARNED_HOURS = 48
"""Hours of lineage that a new index reads: what a query shows daily is in them."""
LAST_UPDATED = "dagster/last_updated_timestamp"

logger = logging.getLogger(__name__)


def choice(environment: Mapping[str, str]) -> TableChoice | None:
    """Which tables become assets; None for none."""
    patterns = settings.IOMETE_MC_TABLE_ASSETS.read(environment)
    limit = settings.IOMETE_MC_TABLE_ASSETS_LIMIT.read(environment)
    return TableChoice(patterns=patterns, limit=limit) if patterns else None


def table_key(table: TableId) -> dg.AssetKey:
    """Catalog, namespace and name in their own case; a slash would make two parts of one."""
    parts = (table.catalog, *table.namespace, table.table)
    return dg.AssetKey([part.replace("/", "_") for part in parts])


def table_specs(environment: Mapping[str, str]) -> list[dg.AssetSpec]:
    """External assets of the indexed tables; none, and a line in the log, without an index in two seconds."""
    if choice(environment) is None:
        return []
    index = _within(LOAD_S, settings.IOMETE_MC_MANIFESTS.read(environment))
    if index is None or index.listed is None:
        return []
    feeds: defaultdict[TableId, list[Feed]] = defaultdict(list)
    for feed in index.feeds:
        feeds[feed.target].append(feed)
    upstream = _without_circles(index.feeds)
    specs = {
        (key := table_key(one.table)): _spec(one, index.listed, upstream[key], feeds[one.table])
        for one in index.tables
    }
    if len(index.tables) < index.total:
        logger.info("%s of %s tables are shown as assets", len(index.tables), index.total)
    return list(specs.values())


def _within(budget_s: float, root: str) -> TableIndex | None:
    """The index, if the store gives it in time; a thread that waits for a dead store ends with the process."""
    answers: list[TableIndex | None] = []
    troubles: list[str] = []

    def read() -> None:
        try:
            answers.append(read_index(Storage.open(root)))
        except (IometeMcError, OSError) as error:
            troubles.append(str(error))

    reading = threading.Thread(target=read, daemon=True, name="table-index")
    reading.start()
    reading.join(budget_s)
    if answers and answers[0] is not None:
        return answers[0]
    why = "none is written yet" if answers else (*troubles, f"no answer in {budget_s:g} s")[0]
    logger.info("No tables are shown as assets: the index of %s: %s", root, why)
    return None


def _without_circles(feeds: Iterable[Feed]) -> defaultdict[dg.AssetKey, set[dg.AssetKey]]:
    """What feeds each table; Dagster loads no graph with a circle, so the feed that closes one is left out."""
    upstream: defaultdict[dg.AssetKey, set[dg.AssetKey]] = defaultdict(set)
    for feed in feeds:
        source, target = table_key(feed.source), table_key(feed.target)
        above, found = [source], {source}
        while above:
            new = upstream[above.pop()] - found
            found |= new
            above += new
        if target not in found:
            upstream[target].add(source)
    return upstream


def _spec(
    one: IndexedTable, listed: HourWindow, upstream: Iterable[dg.AssetKey], feeds: Sequence[Feed]
) -> dg.AssetSpec:
    told = one.comment or ("A view" if one.kind == "view" else "A table")
    metadata: dict[str, object] = {
        "dagster/table_name": one.table.shown,
        "dagster/column_schema": dg.TableSchema(
            columns=[_column(column) for column in one.columns]
        ),
        "listed in the hour": listed.key,
    }
    if lineage := _column_lineage(feeds):
        metadata["dagster/column_lineage"] = lineage
    if one.owner:
        metadata["owner at the lakehouse"] = one.owner
    return dg.AssetSpec(
        key=table_key(one.table),
        deps=sorted(upstream),
        description=told,
        group_name=re.sub(r"\W", "_", "_".join((one.table.catalog, *one.table.namespace))),
        kinds={one.format, one.kind} if one.format == "iceberg" else {one.kind},
        metadata=metadata,
    )


def _column_lineage(feeds: Sequence[Feed]) -> dg.TableColumnLineage | None:
    deps: defaultdict[str, list[dg.TableColumnDep]] = defaultdict(list)
    for feed in feeds:
        for one in feed.columns:
            source = dg.TableColumnDep(asset_key=table_key(feed.source), column_name=one.source)
            deps[one.target].append(source)
    return dg.TableColumnLineage(deps_by_column=dict(deps)) if deps else None


def _column(column: Column) -> dg.TableColumn:
    return dg.TableColumn(
        name=column.name,
        type=column.type,
        description=column.comment,
        constraints=dg.TableColumnConstraints(nullable=column.required is not True),
    )


def observed_tables(
    store: ManifestStore, headers: Iterable[Header], chosen: TableChoice, records: RecordsOf
) -> Iterator[dg.AssetObservation]:
    """Take newly written manifests into the index, and say what changed of which table.

    Args:
        store: where they lie.
        headers: of one flow, in any order; only the newest known one counts, and none that is older
            than what the index has. Of lineage each counts: an hour tells what was seen in it alone.
        chosen: which tables.
        records: of a manifest.

    Raises:
        IometeMcError, OSError: the index or the manifest cannot be read or written.
    """
    known = sorted((one for one in headers if one.known), key=lambda one: one.window)
    if not known:
        return
    header, storage = known[-1], store.storage
    before = index = read_index(storage) or TableIndex()
    if header.flow == "lineage":
        for one in known:
            index = _with_edges(index, records(one))
        _write(storage, before, index)
    if header.flow == "catalog_snapshot" and not _older(header, before.listed):
        entries = (one for one in records(header) if isinstance(one, TableEntry))
        index = before.with_catalog(header.window, entries, chosen)
        if before.listed is None:
            index = _with_stored_lineage(index, store, records)
        _write(storage, before, index)
    if header.flow == "observations" and not _older(header, before.observed):
        seen = (one for one in records(header) if isinstance(one, Observation))
        index, changed = before.with_observations(header.window, seen)
        for one in changed:
            yield _observation(one, header.window)
        _write(storage, before, index)


def _with_stored_lineage(index: TableIndex, store: ManifestStore, records: RecordsOf) -> TableIndex:
    """As the newest hours tell it, for an index that is the first or was lost; a damaged hour costs its own edges."""
    for window in store.hours("lineage")[-LEARNED_HOURS:]:
        try:
            header = store.current("lineage", window)
            if header is not None:
                index = _with_edges(index, records(header))
        except IometeMcError as error:
            logger.warning("tables shown in Dagster lack the edges of %s: %s", window.key, error)
    return index


def _with_edges(index: TableIndex, records: Iterable[Record]) -> TableIndex:
    return index.with_lineage(edge for edge in records if isinstance(edge, LineageEdge))


def _older(header: Header, known: HourWindow | None) -> bool:
    return known is not None and header.window < known


def _write(storage: Storage, before: TableIndex, index: TableIndex) -> None:
    if index != before:
        write_index(storage, index)


def _observation(one: IndexedTable, window: HourWindow) -> dg.AssetObservation:
    metadata: dict[str, dg.MetadataValue] = {"as of the hour": dg.MetadataValue.text(window.key)}
    if one.row_count is not None:
        metadata["dagster/row_count"] = dg.MetadataValue.int(one.row_count)
    if one.last_data_change is not None:
        metadata[LAST_UPDATED] = dg.MetadataValue.timestamp(one.last_data_change)
    return dg.AssetObservation(asset_key=table_key(one.table), metadata=metadata)
