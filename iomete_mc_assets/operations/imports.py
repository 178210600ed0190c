"""Manifests of other collectors, taken into a store of their source's own and pushed to its warehouse by the same pusher.

What a file says is read by ``manifests.toolkit_read``; files are never changed, moved or removed. A file's tables
become a catalog snapshot and observations of the hour it was collected in, its queries the hours they ended in.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from iomete_mc_assets import settings
from iomete_mc_assets.collectors.query_judging import hashed_id
from iomete_mc_assets.collectors.query_text import kept
from iomete_mc_assets.errors import IometeMcError, ManifestMissing, NotImportable, SettingsError
from iomete_mc_assets.manifests import toolkit_read
from iomete_mc_assets.manifests.model import Collector, Draft, Flow, Header, Source, Verdict
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.manifests.toolkit_read import ReadMetadata, ReadQueries
from iomete_mc_assets.push.ledger import Owner
from iomete_mc_assets.push.outcome import HourOutcome, word_of
from iomete_mc_assets.push.pusher import Pusher
from iomete_mc_assets.records import Omission, QueryRecord, Record, TableEntry, TableId
from iomete_mc_assets.windows import HourWindow

FOLDER = "imported"
"""Below the manifest store's root; each source has a store of its own in it."""
CLOCKS_DIFFER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenIn:
    """What one file became.

    Attributes:
        file: for people, ``source/name.json``.
        collected_at: by its collector.
        types: settings that its push takes instead of ours: ``MCD_RESOURCE_TYPE`` or ``MCD_LOG_TYPE``.
        manifests: by flow, in the order of their pushes.
        counts: figures for people.
        omissions: what the file tells and was not taken in.
        ignored: keys of the file that nobody knows.
    """

    file: str
    collected_at: datetime
    types: Mapping[str, str]
    manifests: tuple[Header, ...]
    counts: Mapping[str, int]
    omissions: tuple[Omission, ...]
    ignored: tuple[str, ...]

    @property
    def records(self) -> int:
        """Records in all manifests."""
        return sum(header.records for header in self.manifests)


def store_of(root: str, source: str) -> ManifestStore:
    """The store of one source's manifests and receipts; made if it is not there.

    Args:
        root: of the manifest store, as ``IOMETE_MC_MANIFESTS`` takes it.
        source: a name of ``IOMETE_MC_IMPORT_SOURCES``.
    """
    place = Source(host=f"{FOLDER}/{source}", catalogs=())
    return ManifestStore.open(f"{root.rstrip('/')}/{FOLDER}/{source}", source=place)


def warehouse_of(source: str, environment: Mapping[str, str]) -> str:
    """The UUID of a source's warehouse.

    Raises:
        SettingsError: the source is not set.
    """
    sources = settings.IOMETE_MC_IMPORT_SOURCES.read(environment)
    if source not in sources:
        known = ", ".join(sorted(sources)) or "none"
        msg = (
            f"{settings.IOMETE_MC_IMPORT_SOURCES.name} names no source {source} (it names {known}), so nobody knows "
            f"which warehouse its files belong to. Add {source}=<warehouse UUID>."
        )
        raise SettingsError(msg)
    return sources[source]


def take_in(
    store: ManifestStore, data: bytes, *, file: str, query_text: settings.QueryText, now: datetime
) -> TakenIn:
    """Read one file and write what it says; the same file again, under any name, writes nothing new.

    Tables that a file collected later has told already are left to that one: a schema is simply the
    latest, and Monte Carlo knows no measurement time.

    Args:
        store: of the source.
        data: the file's bytes.
        file: ``source/name.json``.
        query_text: what is kept of query texts.
        now: aware UTC.

    Raises:
        NotImportable: the file is not what it should be; nothing is written.
        ManifestError: the store cannot be written.
    """
    found = toolkit_read.read(data, file=file, hashed_id=hashed_id)
    if found.collected_at > now + CLOCKS_DIFFER:
        msg = (
            f"{file}, collected_at: {found.collected_at.isoformat()} lies in the future. The file stays where it is. "
            "Correct the clock of its collector, and collect it anew."
        )
        raise NotImportable(msg)
    digest = hashlib.sha256(data).hexdigest()
    if isinstance(found, ReadMetadata):
        return _metadata(store, found, file=file, digest=digest)
    return _queries(store, found, file=file, digest=digest, query_text=query_text)


def _metadata(store: ManifestStore, found: ReadMetadata, *, file: str, digest: str) -> TakenIn:
    window = HourWindow.holding(found.collected_at)
    newer = _told_later(store, window, found.collected_at)
    entries = [one for one in found.entries if one.table not in newer]
    observations = [one for one in found.observations if one.table not in newer]
    left = sorted(one.table.shown for one in found.entries if one.table in newer)
    counts = {"tables": len(entries), "left to a newer file": len(left)}
    written = _Writer(store, found.collected_at, file, f"{digest} {left}")
    headers = [written.of("catalog_snapshot", window, entries, counts, found.omissions)]
    if observations:
        seen = {"tables": len(observations)}
        headers.append(written.of("observations", window, observations, seen, ()))
    return TakenIn(
        file=file,
        collected_at=found.collected_at,
        types={settings.MCD_RESOURCE_TYPE.name: found.resource_type},
        manifests=tuple(headers),
        counts={**counts, "observed": len(observations), "omissions": len(found.omissions)},
        omissions=found.omissions,
        ignored=found.ignored,
    )


def _told_later(store: ManifestStore, window: HourWindow, collected_at: datetime) -> set[TableId]:
    """Tables that files collected later have told, and that are in the store already."""
    flow: Flow = "catalog_snapshot"
    tables: set[TableId] = set()
    for hour in store.hours(flow):
        if hour < window:
            continue
        for manifest_id in store.manifest_ids(flow, hour):
            header = store.header(flow, hour, manifest_id)
            if header.collected_at > collected_at:
                records = store.records(header)
                tables |= {one.table for one in records if isinstance(one, TableEntry)}
    return tables


def _queries(
    store: ManifestStore,
    found: ReadQueries,
    *,
    file: str,
    digest: str,
    query_text: settings.QueryText,
) -> TakenIn:
    hours: defaultdict[HourWindow, list[QueryRecord]] = defaultdict(list)
    for query in found.queries:
        hours[HourWindow.holding(query.ended_at)].append(_as_kept(query, query_text))
    written = _Writer(store, found.collected_at, file, f"{digest} {query_text}")
    headers = [
        written.of("query_logs", hour, queries, {"queries": len(queries)}, ())
        for hour, queries in sorted(hours.items())
    ]
    return TakenIn(
        file=file,
        collected_at=found.collected_at,
        types={settings.MCD_LOG_TYPE.name: found.log_type},
        manifests=tuple(headers),
        counts={"queries": len(found.queries), "omissions": len(found.omissions)},
        omissions=found.omissions,
        ignored=found.ignored,
    )


def _as_kept(query: QueryRecord, how: settings.QueryText) -> QueryRecord:
    """With as much of its text as may be kept; messages repeat the text."""
    if how == "whole":
        return query
    return replace(query, text=kept(query.text, how), error_text=None)


class _Writer:
    """Writes one file's manifests."""

    def __init__(self, store: ManifestStore, collected_at: datetime, file: str, said: str) -> None:
        self._store, self._collected_at, self._file, self._said = store, collected_at, file, said

    def of(
        self,
        flow: Flow,
        window: HourWindow,
        records: Iterable[Record],
        counts: Mapping[str, int],
        omissions: tuple[Omission, ...],
    ) -> Header:
        """Write a manifest, or find it written; ``partial``, as another file may know other tables or queries."""
        told = f"{self._said} {flow} {window.key}"
        manifest_id = hashlib.sha256(told.encode()).hexdigest()[:16]
        reason = self._reason(flow, window, manifest_id)
        draft = Draft(
            flow=flow,
            window=window,
            collected_at=self._collected_at,
            collector=Collector(name="imported", version="1"),
            records=records,
            verdict=lambda: Verdict(
                state="partial",
                reason=reason,
                counts=counts,
                omissions=omissions,
            ),
        )
        return self._store.write(draft, manifest_id=manifest_id).header

    def _reason(self, flow: Flow, window: HourWindow, manifest_id: str) -> str | None:
        """The same bytes under another name are the same manifest, which goes on naming the first one."""
        try:
            return self._store.header(flow, window, manifest_id).reason
        except ManifestMissing:
            return f"what the file {self._file} tells"


def otherwise_set(taken: TakenIn, *, warehouse: str) -> dict[str, str]:
    """The settings that an import's push takes in place of ours: its warehouse, its types, its tables' own names."""
    return {
        settings.MCD_RESOURCE_UUID.name: warehouse,
        settings.MCD_NAMING.name: "databricks",
        settings.MCD_CATALOG_PREFIXES.name: "",
        settings.IOMETE_MC_SEND_SUPERSEDED.name: "yes",
        **taken.types,
    }


def push(
    pusher: Pusher, taken: TakenIn, owner: Owner
) -> Iterator[tuple[Header, HourOutcome | IometeMcError]]:
    """Push what a file became, flow by flow; see ``Pusher.push``.

    Observations wait for the catalog: without its entries they would be left out, and no next hour
    brings them. A flow that is not settled ends the push.
    """
    flows: list[Flow] = [header.flow for header in taken.manifests]
    for flow in dict.fromkeys(flows):
        headers = {header.window: header for header in taken.manifests if header.flow == flow}
        named = {window: header.manifest_id for window, header in headers.items()}
        settled = True
        for window, answer in pusher.push(flow, named, named=lambda _, n=named: n, owner=owner):
            settled = settled and isinstance(answer, HourOutcome)
            yield headers[window], answer
        if not settled:
            return


def summed(outcomes: Iterable[HourOutcome], *, window: HourWindow) -> HourOutcome:
    """One outcome of several, at least one: a file's.

    Args:
        outcomes: of all its manifests.
        window: the hour it was collected in.
    """
    each = list(outcomes)
    counts: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    for one in each:
        counts.update(one.counts)
        notes.update(one.notes)
    return HourOutcome(
        window=window,
        manifest_id=each[0].manifest_id,
        word=word_of(counts, superseded=False),
        reason="; ".join(dict.fromkeys(one.reason for one in each if one.reason)) or None,
        counts=dict(sorted(counts.items())),
        notes=dict(sorted(notes.items())),
        invocation_ids=tuple(i for one in each for i in one.invocation_ids),
        batches=sum(one.batches for one in each),
        sent_bytes=sum(one.sent_bytes for one in each),
        attempts=sum(one.attempts for one in each),
        superseded_by=None,
        settled_at=max(one.settled_at for one in each),
        reused=all(one.reused for one in each),
    )
