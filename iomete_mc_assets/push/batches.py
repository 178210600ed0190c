"""Cutting a flow's events into requests by number and by the bytes really sent. Sends nothing."""

import hashlib
from collections.abc import Iterable, Iterator

from iomete_mc_assets.manifests.receipts import Ordinals, PlannedBatch
from iomete_mc_assets.montecarlo.events.event import SEPARATOR
from iomete_mc_assets.push.candidates import Candidate


def batches(
    events: Iterable[Candidate],
    *,
    max_events: int,
    max_bytes: int,
    envelope_bytes: int,
    column_bytes: int = 0,
) -> Iterator[PlannedBatch]:
    """Cut events, ascending by ordinal, into requests within both limits.

    An event that exceeds ``max_bytes`` alone gets a request of its own: whoever builds events cuts
    or leaves out such.

    Args:
        events: consumed once; none gives no request.
        max_events: in a request, at least 1.
        max_bytes: of a request's body.
        envelope_bytes: of a request without events.
        column_bytes: more where an event of the request has columns.
    """
    batch: list[Candidate] = []
    size = wider = 0  # of the request that is being filled
    for event in events:
        columns = column_bytes if event.has_columns else 0
        grown = size + event.size + len(SEPARATOR) + (0 if wider else columns)
        if len(batch) == max_events or (batch and grown > max_bytes):
            yield _planned(batch, size)
            batch = []
        if not batch:
            wider, grown = 0, envelope_bytes + event.size + columns
        batch.append(event)
        size, wider = grown, wider or columns
    if batch:
        yield _planned(batch, size)


def _planned(batch: list[Candidate], size: int) -> PlannedBatch:
    return PlannedBatch(
        ordinals=Ordinals.of(event.ordinal for event in batch),
        events=len(batch),
        bytes=size,
        digest=digest_of(event.digest for event in batch),
    )


def digest_of(digests: Iterable[str]) -> str:
    """A request's digest: hex SHA-256 over the digests of its events in order."""
    return hashlib.sha256(bytes.fromhex("".join(digests))).hexdigest()


def digest_of_bodies(bodies: Iterable[bytes]) -> str:
    """The same of the events themselves."""
    return digest_of(hashlib.sha256(body).hexdigest() for body in bodies)
