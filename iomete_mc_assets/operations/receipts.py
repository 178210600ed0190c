"""The story of one hour, from the files beside its manifests: what was said, planned, answered, settled. Writes nothing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from iomete_mc_assets.manifests.model import Flow, Header, JsonValue
from iomete_mc_assets.manifests.receipts import (
    Doubts,
    Generation,
    Plan,
    Receipt,
    Refusal,
    SentFolder,
    Settled,
    sent_folders,
)
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.push.accounts import accounts_of
from iomete_mc_assets.windows import HourWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One plan and its answers.

    Attributes:
        number: of the generation, from 1.
        forced_by: root run id of the forced push that planned it; None for any other.
        plan: None where a run ended before it was written.
    """

    number: int
    forced_by: str | None
    plan: Plan | None
    receipts: tuple[Receipt, ...]
    refusals: tuple[Refusal, ...]
    doubts: tuple[Doubts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What went to one destination.

    Attributes:
        destination: 12 hex digits of endpoint, warehouse and naming.
        settled: None while something is left untried.
    """

    destination: str
    attempts: tuple[Attempt, ...]
    settled: Settled | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One manifest and where it went.

    Attributes:
        speaks: whether the hour's pointer names it.
    """

    header: Header
    speaks: bool
    sendings: tuple[Sending, ...]


def told_of(store: ManifestStore, window: HourWindow, flows: Iterable[Flow]) -> Iterator[Told]:
    """All manifests of the hour, flow after flow, oldest first.

    Raises:
        ManifestError: a file is damaged, or a newer version wrote it.
    """
    for flow in flows:
        current = store.current(flow, window)
        for manifest_id in store.manifest_ids(flow, window):
            folder = store.folder(flow, window, manifest_id)
            yield Told(
                header=store.header(flow, window, manifest_id),
                speaks=current is not None and current.manifest_id == manifest_id,
                sendings=tuple(
                    _sending(destination, sent)
                    for destination, sent in sent_folders(store.storage, folder).items()
                ),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SoFar:
    """What went out of an hour whose push has not ended.

    Attributes:
        accepted: events that have a receipt.
        unanswered: events that went out and have neither a receipt nor a refusal.
    """

    accepted: int
    unanswered: int
    invocation_ids: tuple[str, ...]


def so_far(store: ManifestStore, flow: Flow, window: HourWindow, destination: str) -> SoFar:
    """Of all of the hour's manifests, at one destination.

    Raises:
        ManifestError: a file is damaged, or a newer version wrote it.
    """
    accounts = [
        account
        for manifest_id in store.manifest_ids(flow, window)
        if (
            sent := sent_folders(store.storage, store.folder(flow, window, manifest_id)).get(
                destination
            )
        )
        for account in accounts_of(sent)
    ]
    receipts = [receipt for account in accounts for receipt in account.receipts]
    return SoFar(
        accepted=sum(len(receipt.ordinals) for receipt in receipts),
        unanswered=sum(len(account.doubtful_at) for account in accounts[-1:]),
        invocation_ids=tuple(receipt.invocation_id for receipt in receipts),
    )


def _sending(destination: str, sent: SentFolder) -> Sending:
    return Sending(
        destination=destination,
        attempts=tuple(_attempt(generation) for generation in sent.generations()),
        settled=sent.settled(),
    )


def _attempt(generation: Generation) -> Attempt:
    return Attempt(
        number=generation.number,
        forced_by=generation.forced_by,
        plan=generation.plan(),
        receipts=tuple(generation.receipts()),
        refusals=tuple(generation.refusals()),
        doubts=tuple(generation.doubts()),
    )


def as_json(told: Told) -> JsonValue:
    """For programs: every receipt, refusal and doubt; positions of records as ``first-last``."""
    header = told.header
    return {
        "flow": header.flow,
        "partition": header.window.key,
        "manifest_id": header.manifest_id,
        "speaks_for_the_hour": told.speaks,
        "state": header.state,
        "reason": header.reason,
        "records": header.records,
        "collected_at": _instant(header.collected_at),
        "sent": [_sending_json(sending) for sending in told.sendings],
    }


def _sending_json(sending: Sending) -> JsonValue:
    return {
        "destination": sending.destination,
        "plans": [_attempt_json(attempt) for attempt in sending.attempts],
        "settled": None if sending.settled is None else _settled_json(sending.settled),
    }


def _attempt_json(attempt: Attempt) -> JsonValue:
    return {
        "generation": attempt.number,
        "forced_by": attempt.forced_by,
        "plan": None if attempt.plan is None else _plan_json(attempt.plan),
        "receipts": [
            {
                "records": receipt.ordinals.hull,
                "events": len(receipt.ordinals),
                "bytes": receipt.bytes,
                "attempts": receipt.attempts,
                "accepted_at": _instant(receipt.accepted_at),
                "invocation_id": receipt.invocation_id,
            }
            for receipt in attempt.receipts
        ],
        "refusals": [
            {
                "records": refusal.ordinals.hull,
                "events": len(refusal.ordinals),
                "status": refusal.status,
                "details": refusal.details,
                "refused_at": _instant(refusal.refused_at),
            }
            for refusal in attempt.refusals
        ],
        "doubts": [
            {
                "run_id": run.run_id,
                "records": doubt.ordinals.hull,
                "events": len(doubt.ordinals),
                "sends": doubt.sends,
                "last_at": _instant(doubt.last_at),
                "reason": doubt.reason,
            }
            for run in attempt.doubts
            for doubt in run.pieces
        ],
    }


def _plan_json(plan: Plan) -> JsonValue:
    return {
        "planned_at": _instant(plan.planned_at),
        "run_id": plan.run_id,
        "batches": len(plan.batches),
        "events": sum(batch.events for batch in plan.batches),
        "bytes": sum(batch.bytes for batch in plan.batches),
        "left_out": dict(plan.left_out),
    }


def _settled_json(settled: Settled) -> JsonValue:
    newer = settled.superseded_by
    return {
        "status": settled.word,
        "reason": settled.reason,
        "counts": dict(settled.counts),
        "settled_at": _instant(settled.settled_at),
        "run_id": settled.run_id,
        "invocation_ids": list(settled.invocation_ids),
        "forced_plan_not_ended": settled.forcing,
        "superseded_by": None
        if newer is None
        else {"partition": newer.window.key, "manifest_id": newer.manifest_id},
    }


def _instant(instant: datetime) -> str:
    return instant.isoformat()
