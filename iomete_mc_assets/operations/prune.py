"""What of the manifest store may go: records of old, settled hours, and what crashes left. Ledger rule 25.

Headers, receipts, outcomes and ledgers always stay.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from iomete_mc_assets.manifests.codec import RECORD_TYPES
from iomete_mc_assets.manifests.model import Flow, Header
from iomete_mc_assets.manifests.receipts import sent_folders
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.push.ledger import Log
from iomete_mc_assets.windows import HourWindow

MIN_AGE = timedelta(days=45)
"""Dagster's events are looked at for 30 days; half as much again is never touched."""
GARBAGE_AFTER = timedelta(days=2)
"""A folder without a header may be a run at work; none works that long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """A folder that never became a manifest."""

    flow: Flow
    window: HourWindow
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prunable:
    """What may go.

    Attributes:
        manifests: whose records may go.
        garbage: folders that may go whole.
    """

    manifests: tuple[Header, ...]
    garbage: tuple[Garbage, ...]


def prunable(store: ManifestStore, *, older_than: timedelta, now: datetime) -> Prunable:
    """Look through all hours; changes nothing.

    Args:
        store: the store.
        older_than: since collection; at least 45 days.
        now: aware UTC.

    Raises:
        ValueError: a shorter age.
        ManifestError: a file is damaged: nothing is judged by half.
        LedgerBusy: a ledger's head cannot be read.
    """
    if older_than < MIN_AGE:
        msg = f"records younger than {MIN_AGE.days} days are never pruned, so not {older_than}"
        raise ValueError(msg)
    headers: list[Header] = []
    garbage: list[Garbage] = []
    for flow in RECORD_TYPES:
        kept = _kept(store, flow)
        for window in store.hours(flow):
            of_hour = _prunable_of(store, flow, window, before=now - older_than)
            headers += [h for h in of_hour if (h.window, h.manifest_id) not in kept]
            garbage += _garbage(store, flow, window, before=now - GARBAGE_AFTER)
    return Prunable(manifests=tuple(headers), garbage=tuple(garbage))


def prune(store: ManifestStore, what: Prunable, *, now: datetime) -> None:
    """Remove it. After a crash the same call goes on."""
    for header in what.manifests:
        store.prune(header, at=now)
    for one in what.garbage:
        store.storage.remove(one.folder)


def _kept(store: ManifestStore, flow: Flow) -> set[tuple[HourWindow, str]]:
    """The newest known manifest, and those that a ledger's head names."""
    kept: set[tuple[HourWindow, str]] = set()
    newest = store.newest(flow)
    if newest is not None:
        kept.add((newest.window, newest.manifest_id))
    for destination in store.storage.names(f"{flow}/ledger"):
        head = Log(store.storage, f"{flow}/ledger/{destination}").head()
        if head is not None:
            kept.add((head.entry.window, head.entry.manifest_id))
    return kept


def _prunable_of(
    store: ManifestStore, flow: Flow, window: HourWindow, *, before: datetime
) -> list[Header]:
    """An hour's manifests that are old, settled, and still have records."""
    if window.end > before:
        return []
    headers = [store.header(flow, window, one) for one in store.manifest_ids(flow, window)]
    known = [header for header in headers if header.known]
    ripe = [h for h in known if h.collected_at < before and _settled(store, h)]
    if flow == "query_logs" and len(ripe) < len(known):
        return []  # what is still to be sent is compared with the records of all
    return [header for header in ripe if store.parts_left(header)]


def _settled(store: ManifestStore, header: Header) -> bool:
    """Whether the manifest has been pushed, and has its outcome wherever it was, with no forced push under way."""
    folder = store.folder(header.flow, header.window, header.manifest_id)
    sent = sent_folders(store.storage, folder)
    return bool(sent) and all(one.ended() is not None for one in sent.values())


def _garbage(
    store: ManifestStore, flow: Flow, window: HourWindow, *, before: datetime
) -> Iterator[Garbage]:
    for name in store.ids_without_header(flow, window):
        folder = store.folder(flow, window, name)
        written = store.storage.last_written(folder)
        if written is not None and written < before:
            yield Garbage(flow=flow, window=window, folder=folder)
