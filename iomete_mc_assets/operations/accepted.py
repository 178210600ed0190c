"""What Monte Carlo has accepted, by the receipts beside the manifests: which record, when, under which invocation id."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from iomete_mc_assets.manifests import codec
from iomete_mc_assets.manifests.model import Flow, Header
from iomete_mc_assets.manifests.receipts import Receipt, SentFolder
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One accepted request.

    Attributes:
        sent: where its receipt lies.
    """

    header: Header
    receipt: Receipt
    sent: SentFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """One accepted record.

    Attributes:
        ordinal: of the record in its manifest.
    """

    header: Header
    ordinal: int
    invocation_id: str
    accepted_at: datetime


def batches(
    store: ManifestStore, flow: Flow, destination: str, *, since: datetime
) -> Iterator[Batch]:
    """Accepted requests of hours that ended after an instant, newest hours first.

    Raises:
        ManifestError: a file is damaged, or a newer version wrote it.
    """
    for window in reversed(store.hours(flow)):
        if window.end <= since:
            return
        for manifest_id in store.manifest_ids(flow, window):
            folder = f"{store.folder(flow, window, manifest_id)}/sent/{destination}"
            sent = SentFolder(store.storage, folder)
            for generation in sent.generations():
                for receipt in generation.receipts():
                    header = store.header(flow, window, manifest_id)
                    yield Batch(header=header, receipt=receipt, sent=sent)


def records(store: ManifestStore, batch: Batch) -> Iterator[tuple[Accepted, Record]]:
    """What a request brought, in order; of lineage also edges that its manifest only carried along."""
    header, receipt = batch.header, batch.receipt
    for ordinal, record in _numbered(store, batch):
        if ordinal in receipt.ordinals:
            yield (
                Accepted(
                    header=header,
                    ordinal=ordinal,
                    invocation_id=receipt.invocation_id,
                    accepted_at=receipt.accepted_at,
                ),
                record,
            )
        if ordinal >= receipt.ordinals.runs[-1][1]:
            return


def _numbered(store: ManifestStore, batch: Batch) -> Iterator[tuple[int, Record]]:
    """Records from the first that the request holds, by ordinal."""
    header, first = batch.header, next(iter(batch.receipt.ordinals), None)
    if first is None:
        return
    if first < header.records:
        for ordinal, (line, where) in enumerate(store.lines(header, first=first), start=first):
            version = header.schema_version
            yield ordinal, codec.decode_record(header.flow, line, where=where, version=version)
    carried = batch.sent.carried()
    if carried is not None:
        yield from enumerate(carried.edges, start=header.records)


def record(store: ManifestStore, accepted: Accepted) -> Record:
    """The record itself, read again."""
    line, where = next(iter(store.lines(accepted.header, first=accepted.ordinal)))
    return codec.decode_record(
        accepted.header.flow, line, where=where, version=accepted.header.schema_version
    )
