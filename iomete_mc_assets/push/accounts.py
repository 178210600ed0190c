"""What has become of a manifest's records, counted from the files on disk; and the settled outcome. Sends nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from iomete_mc_assets.errors import PushError
from iomete_mc_assets.manifests.model import Header
from iomete_mc_assets.manifests.receipts import (
    NO_ORDINALS,
    SETTLED_VERSION,
    Generation,
    Ordinals,
    Plan,
    Receipt,
    Refusal,
    SentFolder,
    Settled,
    Status,
    Superseding,
)
from iomete_mc_assets.push.candidates import Sent
from iomete_mc_assets.push.delivery import Pending, pending_after
from iomete_mc_assets.push.outcome import word_of

SHOWN_REFUSALS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsent:
    """Why what is left of a manifest is not sent any more.

    Attributes:
        status: what its records get.
        reason: in words.
        superseded_by: what took the hour's place; None otherwise.
    """

    status: Status
    reason: str
    superseded_by: Superseding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One generation's plan and what came of it.

    Attributes:
        forced_by: root run id of the forced push that planned it; None for any other.
        refused: single events, and parts that the budget did not let isolate.
        pending: pieces without an end, or with as many sends as they may have.
        overtaken: records that a later generation plans again.
    """

    plan: Plan
    forced_by: str | None
    receipts: tuple[Receipt, ...]
    refusals: tuple[Refusal, ...]
    pending: tuple[Pending, ...]
    doubtful_at: Mapping[int, datetime]
    overtaken: Ordinals = NO_ORDINALS

    @classmethod
    def of(cls, generation: Generation, plan: Plan) -> "Account":
        """Read it."""
        receipts, refusals = tuple(generation.receipts()), tuple(generation.refusals())
        doubts = generation.doubts()
        pending = tuple(pending_after(plan, receipts, refusals, doubts))
        doubtful = {ordinal for piece in pending if piece.sends for ordinal in piece.ordinals}
        last: dict[int, datetime] = {}
        for run in doubts:
            for doubt in run.pieces:
                for ordinal in doubt.ordinals:
                    if ordinal in doubtful:
                        last[ordinal] = max(doubt.last_at, last.get(ordinal, doubt.last_at))
        return cls(
            plan=plan,
            forced_by=generation.forced_by,
            receipts=receipts,
            refusals=refusals,
            pending=pending,
            doubtful_at=last,
        )

    def counts(self, unsent: Unsent | None) -> Counter[Status]:
        """Events of the plan's batches by status; with ``unsent``, what was never sent gets its status."""
        counts: Counter[Status] = Counter()
        counts["accepted"] = sum(len(receipt.ordinals) for receipt in self.receipts)
        counts["refused"] = sum(1 for refusal in self.refusals if len(refusal.ordinals) == 1)
        for piece in self.pending:
            counts[_fate(piece, unsent)] += len(piece.ordinals)
        return counts

    def sent(self, *, altered: Iterable[int], finished: bool) -> Sent:
        """What went out, record by record.

        Args:
            altered: accepted ordinals whose events would be others now.
            finished: everything was tried, so what is left of refused batches stays refused.
        """
        accepted = {
            ordinal: receipt.accepted_at
            for receipt in self.receipts
            for ordinal in receipt.ordinals
        }
        return Sent(
            accepted=accepted,
            altered=frozenset(altered),
            refused=self.refused(finished=finished),
            doubtful=self.doubtful_at,
        )

    @property
    def accepted(self) -> Ordinals:
        """Records that were accepted, in little room however many."""
        return Ordinals.joined(receipt.ordinals for receipt in self.receipts)

    @property
    def doubtful(self) -> Ordinals:
        """Records that went out without an answer, and have no other end."""
        return Ordinals.of(sorted(self.doubtful_at))

    def refused(self, *, finished: bool) -> Ordinals:
        """Records that were refused; ``finished`` as in ``sent``."""
        refused = [refusal.ordinals for refusal in self.refusals if len(refusal.ordinals) == 1]
        if finished:
            left = [piece.ordinals for piece in self.pending if piece.part and not piece.sends]
            refused.append(Ordinals.joined(left).without([self.overtaken]))
        return Ordinals.joined(refused)

    @property
    def attempts(self) -> int:
        """Posts that are on record."""
        answered = sum(receipt.attempts for receipt in self.receipts)
        refused = sum(refusal.attempts for refusal in self.refusals)
        return answered + refused + sum(piece.sends for piece in self.pending)


def _fate(piece: Pending, unsent: Unsent | None) -> Status:
    """What a piece without an end counts as once nothing more is sent of it."""
    if piece.sends:
        return "in_doubt"
    if unsent is not None:
        return unsent.status
    if piece.part:
        return "refused"  # not isolated: the posts for that were used up
    msg = f"Records {piece.ordinals.hull} were never tried, so the hour is not settled. Push it again."
    raise PushError(msg)


def accounts_of(sent: SentFolder) -> list[Account]:
    """Every generation that has a plan, in order."""
    accounts = [
        Account.of(generation, plan)
        for generation in sent.generations()
        if (plan := generation.plan()) is not None
    ]
    return [
        replace(account, overtaken=_planned(accounts[place:]))
        for place, account in enumerate(accounts, start=1)
    ]


def _planned(accounts: Iterable[Account]) -> Ordinals:
    """Records in the batches of several generations."""
    batches = (batch for account in accounts for batch in account.plan.batches)
    return Ordinals.joined(batch.ordinals for batch in batches)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """How each record's last request ended, by ordinal: a forced push may refuse what was accepted before."""

    accepted: Ordinals
    refused: Ordinals
    doubtful: Ordinals

    @classmethod
    def of(cls, accounts: Iterable[Account], *, finished: bool) -> "Ends":
        """The latest of several generations; ``finished`` as in ``Account.sent``."""
        accepted = refused = doubtful = NO_ORDINALS
        for account in accounts:
            ends = [account.accepted, account.refused(finished=finished), account.doubtful]
            accepted = Ordinals.joined([accepted.without(ends), ends[0]])
            refused = Ordinals.joined([refused.without(ends), ends[1]])
            doubtful = Ordinals.joined([doubtful.without(ends), ends[2]])
        return cls(accepted=accepted, refused=refused, doubtful=doubtful)


def _ended(accounts: list[Account], unsent: Unsent | None) -> Counter[Status]:
    """Records of all generations by their ends; what the last one was still to send again keeps the end it had."""
    last, before = accounts[-1], Ends.of(accounts[:-1], finished=True)
    counts = last.counts(unsent)
    counts["accepted"] += len(before.accepted.without([_planned([last])]))
    if unsent is not None:
        left = Ordinals.joined(piece.ordinals for piece in last.pending if not piece.sends)
        ends: Mapping[Status, Ordinals] = {
            "accepted": before.accepted,
            "refused": before.refused,
            "in_doubt": before.doubtful,
        }
        for status, ordinals in ends.items():
            ended = len(left.common(ordinals))
            counts[status] += ended
            counts[unsent.status] -= ended
    return counts


def settled_of(
    header: Header,
    accounts: list[Account],
    *,
    unsent: Unsent | None,
    reason: str | None,
    run_id: str,
    at: datetime,
) -> Settled:
    """The outcome as the files tell it.

    Args:
        header: whose.
        accounts: of all generations; empty when nothing was ever planned.
        unsent: why the rest is not sent; None when everything was tried.
        reason: in words where nothing was sent; ``unsent`` has its own.
        run_id: who settles.
        at: when.
    """
    receipts = [receipt for account in accounts for receipt in account.receipts]
    counts: Counter[str] = Counter()
    if accounts:
        counts.update(_ended(accounts, unsent))
        counts.update(accounts[-1].plan.left_out)
    elif unsent is not None:
        counts[unsent.status] = header.records
    shown = {status: count for status, count in sorted(counts.items()) if count}
    superseding = unsent.superseded_by if unsent else None
    return Settled(
        schema_version=SETTLED_VERSION,
        window=header.window,
        manifest_id=header.manifest_id,
        word=word_of(shown, superseded=superseding is not None),
        reason=unsent.reason if unsent else reason,
        counts=shown,
        notes=accounts[-1].plan.notes if accounts else {},
        left_out_sample=accounts[-1].plan.left_out_sample if accounts else (),
        invocation_ids=tuple(receipt.invocation_id for receipt in receipts),
        batches=len(receipts),
        sent_bytes=sum(receipt.bytes for receipt in receipts),
        attempts=sum(account.attempts for account in accounts),
        refusals=tuple(r for account in accounts[-1:] for r in account.refusals)[:SHOWN_REFUSALS],
        superseded_by=superseding,
        settled_at=at,
        run_id=run_id,
    )
