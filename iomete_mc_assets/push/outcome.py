"""How one hour's push ended, as its caller sees it. What lies on disk is ``receipts.Settled``."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from iomete_mc_assets.manifests.receipts import Settled, Superseding, Word
from iomete_mc_assets.windows import HourWindow


class Named(Protocol):
    """Which manifest speaks for each hour of a flow: its newest event's, else the pointer's.

    A mapping is one. Others read a pointer only when asked for its hour: a bucket may hold years.
    """

    def __iter__(self) -> Iterator[HourWindow]:
        """Hours that may have one."""
        ...

    def get(self, window: HourWindow, /) -> str | None:
        """Its id; None where the hour has none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HourOutcome:
    """A settled hour.

    Attributes:
        word: the worst of what became of its records.
        reason: in words, where nothing was sent, or something is to be said of the plan; else None.
        counts: records by status; their sum is the manifest's number of records.
        notes: events that do not say all, by note (``truncated``, ``freshness_left_out``).
        invocation_ids: in the order of batches.
        batches, sent_bytes: accepted requests and the bytes in them.
        attempts: posts that came to an end, over all runs; those of a killed run stand in its doubts.
        superseded_by: what took its place; None unless superseded.
        reused: it was settled before; nothing was done now.
        batches_before: of ``batches``, those that an outcome before a forced push had counted already.
        beside: of query logs, what became of the hour's other manifests in the same push, oldest first.
        not_forced: why a forced push left it, or a manifest of its hour, as it was; None otherwise.
    """

    window: HourWindow
    manifest_id: str
    word: Word
    reason: str | None
    counts: Mapping[str, int]
    notes: Mapping[str, int]
    invocation_ids: tuple[str, ...]
    batches: int
    sent_bytes: int
    attempts: int
    superseded_by: Superseding | None
    settled_at: datetime
    reused: bool
    batches_before: int = 0
    beside: "tuple[HourOutcome, ...]" = ()
    not_forced: str | None = None

    @classmethod
    def of(cls, settled: Settled, *, reused: bool) -> "HourOutcome":
        """From what lies on disk."""
        return cls(
            window=settled.window,
            manifest_id=settled.manifest_id,
            word=settled.word,
            reason=settled.reason,
            counts=settled.counts,
            notes=settled.notes,
            invocation_ids=settled.invocation_ids,
            batches=settled.batches,
            sent_bytes=settled.sent_bytes,
            attempts=settled.attempts,
            superseded_by=settled.superseded_by,
            settled_at=settled.settled_at,
            reused=reused,
        )

    def since(self, before: Settled | None) -> "HourOutcome":
        """The same, told apart from the outcome that a forced push found."""
        return self if before is None else replace(self, batches_before=before.batches)

    @property
    def told(self) -> str:
        """One line for people; of an hour with several manifests, all that this push did."""
        others = "".join(
            f"; manifest {other.manifest_id} of the hour {other.in_words}" for other in self.beside
        )
        return f"{self.window.key} {self.in_words}{others}{_left(self)}"

    @property
    def in_words(self) -> str:
        """The same of its manifest alone, without the hour."""
        now = f" ({self.batches - self.batches_before} of them now)" if self.batches_before else ""
        sent = f"{self.batches} batches{now}, {self.sent_bytes} bytes, {self.attempts} attempts"
        before = ", settled before" if self.reused else ""
        return f"{self.word}{_why(self)}: {_counted(self.counts)}; {sent}{before}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a push of one hour would do now.

    Attributes:
        reason: why nothing would go; None where something would.
        requests: events and bytes of each request.
        counts: records by status, of all manifests that the push would settle; those that would go are
            ``to_send``.
    """

    window: HourWindow
    manifest_id: str
    reason: str | None
    requests: tuple[tuple[int, int], ...]
    counts: Mapping[str, int]

    @classmethod
    def of(cls, outcome: HourOutcome, requests: Sequence[tuple[int, int]]) -> "Preview":
        """Of an outcome that only was looked ahead at, with what would go for it."""
        settled_now = [one for one in (outcome, *outcome.beside) if not one.reused]
        reason, counts = outcome.reason, Counter[str]()
        for one in settled_now:
            counts.update(one.counts)
        if not settled_now:
            reason = f"settled before: {outcome.word}{_why(outcome)}{_left(outcome)}"
            counts.update(outcome.counts)
        to_send = sum(events for events, _ in requests)
        counts.update(accepted=-to_send, to_send=to_send)
        return cls(
            window=outcome.window,
            manifest_id=outcome.manifest_id,
            reason=None if requests else reason or "nothing new",
            requests=tuple(requests),
            counts=dict(sorted((+counts).items())),
        )

    @property
    def sent_bytes(self) -> int:
        """In all requests."""
        return sum(size for _, size in self.requests)

    @property
    def told(self) -> str:
        """One line for people."""
        would = f"{len(self.requests)} requests of {self.sent_bytes} bytes would be sent"
        if not self.requests:
            would = f"nothing would be sent ({self.reason})"
        return f"{self.window.key} {would}: {_counted(self.counts)}"


def word_of(counts: Mapping[str, int], *, superseded: bool) -> Word:
    """The worst of what became of an hour's records."""
    if counts.get("in_doubt"):
        return "in_doubt"
    if counts.get("refused"):
        return "partly_refused" if counts.get("accepted") else "refused"
    if superseded:
        return "superseded"
    return "pushed" if counts.get("accepted") else "nothing_to_send"


def _why(outcome: HourOutcome) -> str:
    return f" ({outcome.reason})" if outcome.reason else ""


def _left(outcome: HourOutcome) -> str:
    return f"; not forced: {outcome.not_forced}" if outcome.not_forced else ""


def _counted(counts: Mapping[str, int]) -> str:
    return (
        ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "no records"
    )
