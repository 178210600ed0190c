"""An hour of the manifest store as files in the shape of Monte Carlo's own collector scripts. Sends nothing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from iomete_mc_assets.errors import ManifestMissing, SettingsError
from iomete_mc_assets.manifests import toolkit_write
from iomete_mc_assets.manifests.model import Flow, Header, JsonValue
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo.events.catalog_snapshot import description
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.records import Observation, QueryRecord, TableEntry, TableId
from iomete_mc_assets.windows import HourWindow

METADATA_FILE, QUERIES_FILE = "metadata_output.json", "query_logs_output.json"
"""The names under which their push scripts look for a manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """One file that was written.

    Attributes:
        items: tables or queries in it.
        left_out: tables whose name at Monte Carlo another table has.
    """

    path: Path
    items: int
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """How tables are called, and the types that the files name.

    Attributes:
        all_spellings: query texts and the list of queries twice, for the scripts that look under other names.
    """

    naming: Naming
    resource_type: str
    log_type: str
    all_spellings: bool = False


def export(
    store: ManifestStore, window: HourWindow, folder: Path, *, config: ExportConfig
) -> list[Exported]:
    """Write what the store knows of an hour: a metadata file, a query log file, or both.

    Args:
        store: the store.
        window: the hour.
        folder: made if absent; files that are there already are never replaced.
        config: names and types.

    Raises:
        ManifestMissing: nothing of the hour is known.
        ManifestError: a manifest cannot be read.
        SettingsError: a file is there already.
    """
    catalog, observed = _known(store, window, "catalog_snapshot"), None
    queries = _known(store, window, "query_logs")
    if catalog is not None:
        observed = _known(store, window, "observations")
    if catalog is None and queries is None:
        msg = (
            f"Nothing that could be exported is known of {window.key} in the manifest store at {store.root}: "
            "neither a catalog snapshot nor query logs. Collect the hour, or choose another."
        )
        raise ManifestMissing(msg)
    names = [name for name, header in ((METADATA_FILE, catalog), (QUERIES_FILE, queries)) if header]
    for name in names:
        if (folder / name).exists():
            msg = f"{folder / name} is there already, and is not replaced. Name another folder."
            raise SettingsError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Exported] = []
    if catalog is not None:
        written.append(_metadata(store, catalog, observed, folder / METADATA_FILE, config))
    if queries is not None:
        written.append(_queries(store, queries, folder / QUERIES_FILE, config))
    return written


def _known(store: ManifestStore, window: HourWindow, flow: Flow) -> Header | None:
    header = store.current(flow, window)
    return header if header is not None and header.known else None


def _metadata(
    store: ManifestStore,
    catalog: Header,
    observed: Header | None,
    path: Path,
    config: ExportConfig,
) -> Exported:
    seen = _observations(store, observed)
    entries = [record for record in store.records(catalog) if isinstance(record, TableEntry)]
    holders = config.naming.holders(entry.table for entry in entries)
    holding = set(holders.values())
    kept = [e for e in entries if e.table in holding]
    left_out = tuple(e.table.shown for e in entries if e.table not in holding)

    def assets() -> Iterator[dict[str, JsonValue]]:
        for entry in kept:
            name = config.naming.of(entry.table)
            parts = (name.database, name.schema, name.name)
            yield toolkit_write.asset(parts, entry, seen.get(entry.table), description=description)

    head: dict[str, JsonValue] = {
        "resource_type": config.resource_type,
        "collected_at": (observed or catalog).collected_at.isoformat(),
        "asset_count": len(kept),
    }
    _write(path, toolkit_write.manifest(head, {"assets": assets()}))
    return Exported(path=path, items=len(kept), left_out=left_out)


def _observations(store: ManifestStore, header: Header | None) -> dict[TableId, Observation]:
    """By table; what was carried from an earlier hour is not of this one."""
    if header is None:
        return {}
    return {
        record.table: record
        for record in store.records(header)
        if isinstance(record, Observation) and record.carried_from is None
    }


def _queries(store: ManifestStore, header: Header, path: Path, config: ExportConfig) -> Exported:
    def entries() -> Iterator[dict[str, JsonValue]]:
        for record in store.records(header):
            if isinstance(record, QueryRecord):
                yield toolkit_write.query(record)

    head: dict[str, JsonValue] = {
        "log_type": config.log_type,
        "collected_at": header.collected_at.isoformat(),
        "entry_count": header.records,
        "query_log_count": header.records,
        "window_start": header.window.start.isoformat(),
        "window_end": header.window.end.isoformat(),
    }
    items: dict[str, Iterable[dict[str, JsonValue]]] = {"queries": entries()}
    if config.all_spellings:
        items = {"queries": map(toolkit_write.for_hive, entries()), "entries": entries()}
    _write(path, toolkit_write.manifest(head, items))
    return Exported(path=path, items=header.records)


def _write(path: Path, pieces: Iterable[str]) -> None:
    with path.open("x", encoding="ascii") as file:
        file.writelines(pieces)
