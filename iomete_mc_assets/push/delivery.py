"""Sending one plan: pieces in plan order, four at once, a receipt after each answer. Plans and folds nothing.

A piece is a batch or a part of one. What an answer means is in its error's class, when to try again
in ``policy``, what is written in ``receipts``.
"""

import logging
import threading
from bisect import bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Generic, Protocol, TypeVar

from iomete_mc_assets.errors import (
    BudgetSpent,
    Misconfigured,
    NotAccepted,
    OutcomeUnknown,
    PushError,
    Rejected,
    TooLarge,
)
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.receipts import (
    DOUBTS_VERSION,
    SENT_VERSION,
    Doubt,
    Doubts,
    Generation,
    Ordinals,
    Plan,
    PlannedBatch,
    Receipt,
    Refusal,
)
from iomete_mc_assets.montecarlo.events.event import Envelope
from iomete_mc_assets.montecarlo.ingest import Ingest, Outgoing
from iomete_mc_assets.push.batches import digest_of_bodies
from iomete_mc_assets.push.policy import IN_FLIGHT, RunPolicy

Stored = TypeVar("Stored")
"""A record, or its line."""

logger = logging.getLogger(__name__)

TOO_LARGE_STATUS = 413
ENDED = "the run ended while this may have been in flight"


class PlanOutdated(Exception):
    """Records no longer give the bytes that were planned: an upgrade changed how events are built."""


class BodySource(Protocol):
    """Where the bodies of a plan's events come from."""

    def take(self, batch: PlannedBatch) -> Mapping[int, bytes]:
        """Bodies by ordinal; batches are asked for in plan order, each once.

        Raises:
            PlanOutdated: the records do not give what was planned.
        """
        ...


class BodiesReadAgain(Generic[Stored]):
    """Bodies built anew from what a manifest holds, one batch in memory at a time.

    Args:
        records: not begun before a body is asked for that was not kept.
        body: of a record's event; None where it has none any more.
        kept: the first ones as they were planned, by ordinal; let go as they are taken.
        checked: the plan was made of these very records by this process, so that nothing is compared
            with its digests; a plan read from the disk may be of another version.
    """

    def __init__(
        self,
        records: Iterable[tuple[int, Stored]],
        body: Callable[[Stored], bytes | None],
        *,
        kept: dict[int, bytes] | None = None,
        checked: bool = False,
    ) -> None:
        self._records = iter(records)
        self._body = body
        self._kept = kept or {}
        self._checked = checked

    def take(self, batch: PlannedBatch) -> Mapping[int, bytes]:
        """As ``BodySource.take``."""
        kept = self._kept
        built: dict[int, bytes] = {}
        for ordinal in batch.ordinals:
            body = kept.pop(ordinal, None) if kept else None
            if body is None:
                body = self._read(ordinal)
            built[ordinal] = body
        if not self._checked and digest_of_bodies(built.values()) != batch.digest:
            raise PlanOutdated
        return built

    def _read(self, wanted: int) -> bytes:
        """The next event's body; those of other batches' records before it are passed over."""
        for ordinal, record in self._records:
            if ordinal == wanted:
                body = self._body(record)
                if body is not None:
                    return body
                break
        raise PlanOutdated


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A piece of a plan without an end.

    Attributes:
        place: of its batch in the plan, from 0.
        part: its batch was refused, and this part of it is tried alone.
        sends: how often it went out without an answer, over all runs.
    """

    place: int
    ordinals: Ordinals
    part: bool
    sends: int


def pending_of(generation: Generation, plan: Plan) -> list[Pending]:
    """The plan less receipts and refusals, in plan order."""
    return pending_after(plan, generation.receipts(), generation.refusals(), generation.doubts())


def pending_after(
    plan: Plan, receipts: Iterable[Receipt], refusals: Sequence[Refusal], doubts: Iterable[Doubts]
) -> list[Pending]:
    """As ``pending_of``, of what has been read."""
    ends = [receipt.ordinals for receipt in receipts]
    ends += [refusal.ordinals for refusal in refusals if len(refusal.ordinals) == 1]
    marks = [refusal.ordinals for refusal in refusals if len(refusal.ordinals) > 1]
    sends = _sends(doubts)
    ends_by_place, marks_by_place = _by_place(plan.batches, ends), _by_place(plan.batches, marks)
    return [
        Pending(place=place, ordinals=alike, part=part, sends=times)
        for place, batch in enumerate(plan.batches)
        for piece, part in _pieces(batch.ordinals, marks_by_place[place], part=False)
        for times, alike in _alike(piece.without(ends_by_place[place]), sends)
    ]


def book_crash(generation: Generation, plan: Plan, *, max_sends: int, at: datetime) -> None:
    """Write down what dead runs may have had in flight: the first four unfinished batches.

    Requests begin strictly in plan order, four at once. A batch that was given up after as many
    sends as it may have leaves its place to the next. Parts of refused batches are tried out of that
    order, so each is on disk before it goes, and counts among the four.

    Args:
        generation: whose runs.
        plan: its plan.
        max_sends: of a piece without an answer, over all runs.
        at: the latest instant at which they can have been sent.
    """
    for run in [run for run in generation.doubts() if run.sending]:
        for refusal in run.held:
            generation.write_refusal(refusal)
        pending = [piece for piece in pending_of(generation, plan) if piece.sends < max_sends]
        doubts = {doubt.ordinals.hull: doubt for doubt in run.pieces}
        for ordinals in _in_flight(run, pending):
            _add_doubt(doubts, ordinals, at=at, reason=ENDED)
        booked = replace(
            run,
            schema_version=DOUBTS_VERSION,
            sending=False,
            pieces=tuple(doubts[hull] for hull in sorted(doubts)),
            held=(),
            posting=(),
        )
        generation.write_doubts(booked)


def _in_flight(run: Doubts, pending: Sequence[Pending]) -> list[Ordinals]:
    left = [piece.ordinals for piece in pending]
    if run.posting is None:
        parts, places_left = [piece.ordinals for piece in pending if piece.part], IN_FLIGHT
    else:
        parts = [ordinals for ordinals in run.posting if not ordinals.without(left).runs]
        places_left = IN_FLIGHT - len(parts)
    places = list(dict.fromkeys(piece.place for piece in pending if not piece.part))[:places_left]
    return parts + [p.ordinals for p in pending if not p.part and p.place in places]


def _add_doubt(doubts: dict[str, Doubt], ordinals: Ordinals, *, at: datetime, reason: str) -> None:
    before = doubts.get(ordinals.hull)
    doubts[ordinals.hull] = Doubt(
        ordinals=ordinals,
        sends=1 if before is None else before.sends + 1,
        last_at=at,
        reason=reason,
    )


def _alike(ordinals: Ordinals, sends: Counter[int]) -> Iterator[tuple[int, Ordinals]]:
    """A piece by how often its records went out: halves of one too large have their own histories."""
    if sends:
        for times, alike in groupby(ordinals, key=sends.__getitem__):
            yield times, Ordinals.of(alike)
    elif ordinals.runs:
        yield 0, ordinals


def _pieces(
    ordinals: Ordinals, marks: Sequence[Ordinals], *, part: bool
) -> Iterator[tuple[Ordinals, bool]]:
    """A batch as it is to be tried: halved wherever the whole was refused.

    Args:
        ordinals: of the batch, or of a half of it.
        marks: what was refused of the batch, each more than one record. What was halved for its size
            bears none, so a mark may be anywhere inside.
        part: whether it is a half of what was refused.
    """
    if any(mark.hull == ordinals.hull for mark in marks):
        for half in ordinals.halves():
            yield from _pieces(half, marks, part=True)
        return
    rest = ordinals
    for mark in sorted(marks, key=len, reverse=True):
        if not mark.without([rest]).runs:
            yield from _pieces(mark, marks, part=part)
            rest = rest.without([mark])
    if rest.runs:
        yield rest, part


def _by_place(
    batches: Sequence[PlannedBatch], pieces: Iterable[Ordinals]
) -> defaultdict[int, list[Ordinals]]:
    firsts = [batch.ordinals.runs[0][0] for batch in batches]
    by_place: defaultdict[int, list[Ordinals]] = defaultdict(list)
    for piece in pieces:
        by_place[bisect_right(firsts, piece.runs[0][0]) - 1].append(piece)
    return by_place


def _sends(runs: Iterable[Doubts]) -> Counter[int]:
    """How often each record went out without an answer, over all runs."""
    sends: Counter[int] = Counter()
    for run in runs:
        most: dict[int, int] = {}
        for doubt in run.pieces:
            for ordinal in doubt.ordinals:
                most[ordinal] = max(doubt.sends, most.get(ordinal, 0))
        sends.update(most)
    return sends


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A pending piece with what goes out; ``whole`` batches count as such when refused."""

    pending: Pending
    bodies: Sequence[bytes]
    batch: PlannedBatch
    whole: bool

    @property
    def digest(self) -> str:
        return self.batch.digest if self.whole else digest_of_bodies(self.bodies)

    def halves(self, *, parts: bool) -> "list[_Piece]":
        middle = (len(self.bodies) + 1) // 2
        cuts = (slice(None, middle), slice(middle, None))
        return [
            _Piece(
                pending=replace(self.pending, ordinals=ordinals, part=parts or self.pending.part),
                bodies=self.bodies[cut],
                batch=self.batch,
                whole=False,
            )
            for ordinals, cut in zip(self.pending.ordinals.halves(), cuts, strict=True)
        ]


class Delivery:
    """Sends what a plan still has to send, once."""

    def __init__(
        self,
        *,
        generation: Generation,
        plan: Plan,
        envelope: Envelope,
        flow: Flow,
        hour: str,
        remark: str | None,
        run_id: str,
        ingest: Ingest,
        policy: RunPolicy,
        max_sends: int,
        now: Callable[[], datetime],
    ) -> None:
        """Nothing is sent yet.

        Args:
            generation: where receipts go.
            plan: which batches.
            envelope: made of the plan's settings.
            flow: which endpoint.
            hour: partition key, for messages.
            remark: on the plan, for messages too; None without.
            run_id: whose doubts are written.
            ingest: who takes a batch.
            policy: whether and when a request starts.
            max_sends: of a piece without an answer, over all runs.
            now: aware UTC.
        """
        self._generation, self._plan, self._envelope = generation, plan, envelope
        self._flow: Flow = flow
        self._hour, self._run_id = hour, run_id
        self._remark = f"; {remark}" if remark else ""
        self._ingest, self._policy, self._now = ingest, policy, now
        self._max_sends = max_sends
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._doubts: dict[str, Doubt] = {}
        self._under_way: dict[str, Pending] = {}
        self._sends_now: dict[str, int] = {}
        self._held: list[_Piece] = []
        self._held_refusals: list[Refusal] = []
        self._unwritten: dict[str, Receipt | Refusal] = {}
        self._failure: BaseException | None = None

    def deliver(self, pending: Sequence[Pending], source: BodySource) -> None:
        """Send the pieces; on return each has a receipt, a refusal, or as many sends as it may have.

        Raises:
            PlanOutdated: the records give other bytes; nothing of that batch was sent.
            PushError: something is left untried, and why.
        """
        sendable = [piece for piece in pending if piece.sends < self._max_sends]
        if not sendable:
            return
        self._doubts = {
            doubt.ordinals.hull: doubt
            for run in self._generation.doubts()
            if run.run_id == self._run_id
            for doubt in run.pieces
        }
        try:
            self._write_doubts(sending=True)
            self._send_all(self._with_bodies(sendable, source), at_most=len(sendable))
            for piece in self._held:
                self._work(piece.halves(parts=True))
            # had everything been refused so far, it would have looked like configuration
            self._write_held_refusals()
            self._write_doubts(sending=False)
        except BaseException:
            self._end_early()
            raise

    def _end_early(self) -> None:
        """Write down what is known: nothing is in flight any more but what has no end, whatever broke off."""
        if self._policy.misconfigured:
            self._held_refusals.clear()  # they go again
        for end in list(self._unwritten.values()):
            with suppress(OSError):  # which broke the run off, so it is told
                self._write_end(end)
        for piece in list(self._under_way.values()):
            _add_doubt(self._doubts, piece.ordinals, at=self._now(), reason=ENDED)
        self._under_way.clear()
        try:
            self._write_held_refusals()
            self._write_doubts(sending=False)
        except OSError as error:
            self._take_the_mark_away(error)

    def _take_the_mark_away(self, error: OSError) -> None:
        """Nothing can be written any more, but on a full disk a file can be removed: without a doubt, that says all."""
        if not self._doubts and not self._held_refusals:
            with suppress(OSError):
                self._generation.remove_doubts(self._run_id)
                return
        accepted = [
            end.invocation_id for end in self._unwritten.values() if isinstance(end, Receipt)
        ]
        without = f" Accepted without a receipt: {', '.join(accepted)}." if accepted else ""
        logger.warning(
            "monte_carlo/%s, hour %s: the manifest store does not take what this run knows (%s), so the "
            "next one counts up to %d batches as in doubt, as after a kill.%s",
            self._flow,
            self._hour,
            error,
            IN_FLIGHT,
            without,
        )

    def _send_all(self, pieces: Iterator[_Piece], *, at_most: int) -> None:
        """Four at a time, begun in plan order; a failed one lets no other begin.

        Each thread takes the next piece itself: handing it over would wake three threads a request.
        """
        threads = min(at_most, IN_FLIGHT)
        with ThreadPoolExecutor(threads, thread_name_prefix="push") as pool:
            try:
                wait([pool.submit(self._send_some, pieces) for _ in range(threads)])
            except BaseException:
                # an interrupted run waits for the answers in flight, and for no retry
                self._policy.stop(BudgetSpent("The push was interrupted."))
                raise
        if self._failure is not None:
            raise self._failure

    def _send_some(self, pieces: Iterator[_Piece]) -> None:
        try:
            while (piece := self._next(pieces)) is not None:
                self._work([piece])
        except BaseException as error:  # noqa: BLE001 - raised again above, in the caller's thread
            self._failure = self._failure or error

    def _next(self, pieces: Iterator[_Piece]) -> _Piece | None:
        with self._turn:
            return None if self._failure is not None else next(pieces, None)

    def _with_bodies(self, pending: Sequence[Pending], source: BodySource) -> Iterator[_Piece]:
        """Pieces with the bodies of their events."""
        by_place: dict[int, list[Pending]] = {}
        for piece in pending:
            by_place.setdefault(piece.place, []).append(piece)
        for place, pieces in by_place.items():
            batch = self._plan.batches[place]
            bodies = source.take(batch)
            for piece in pieces:
                yield _Piece(
                    pending=piece,
                    bodies=[bodies[ordinal] for ordinal in piece.ordinals],
                    batch=batch,
                    whole=len(piece.ordinals) == batch.events,
                )

    def _work(self, pieces: list[_Piece]) -> None:
        """Post pieces and whatever they are halved into, broadest first."""
        waiting = deque(pieces)
        while waiting:
            waiting.extend(self._posted(waiting.popleft()))

    def _posted(self, piece: _Piece) -> "list[_Piece]":
        """Post one piece until it has an end; returns its halves where those go on alone."""
        if piece.pending.part and not self._policy.may_bisect():
            return []
        outgoing = self._outgoing(piece)
        attempts = 0
        while self._failure is None:
            started = self._policy.start()
            attempts += 1
            try:
                invocation_id = self._send(piece, outgoing)
            except (NotAccepted, OutcomeUnknown) as error:
                if self._tried_enough(piece, started, error):
                    return []
                self._policy.pause(attempts, error)
            except TooLarge as error:
                return self._too_large(piece, outgoing, attempts, error)
            except Rejected as error:
                return self._refused(piece, outgoing, attempts, error)
            except Misconfigured as error:
                self._policy.stop(error)
                raise
            else:
                self._accepted(piece, outgoing, attempts, invocation_id)
                return []
        return []

    def _send(self, piece: _Piece, outgoing: Outgoing) -> str:
        """Post once. It is under way until its end is on disk, or its error says that it was not taken."""
        hull = piece.pending.ordinals.hull
        with self._lock:
            self._under_way[hull] = piece.pending
            if piece.pending.part:
                try:
                    self._write_doubts(sending=True)
                except OSError:
                    del self._under_way[hull]  # it does not go
                    raise
        try:
            return self._ingest.send(outgoing)
        except OutcomeUnknown:
            raise
        except PushError:
            self._under_way.pop(hull, None)
            raise

    def _outgoing(self, piece: _Piece) -> Outgoing:
        body = self._envelope.around(piece.bodies)
        shown = (
            f"batch {piece.pending.place + 1}/{len(self._plan.batches)} of monte_carlo/{self._flow}, "
            f"hour {self._hour} ({len(piece.bodies)} events, {len(body):,} bytes{self._remark})"
        )
        return Outgoing(flow=self._flow, body=body, events=len(piece.bodies), shown=shown)

    def _tried_enough(
        self, piece: _Piece, started: int, error: NotAccepted | OutcomeUnknown
    ) -> bool:
        logger.warning("%s", error)
        sends = 0
        if isinstance(error, OutcomeUnknown):
            sends = self._book_doubt(piece, error)
        self._policy.failed(started, error)
        return sends >= self._max_sends

    def _book_doubt(self, piece: _Piece, error: OutcomeUnknown) -> int:
        """Write it down before it may go again; returns its sends over all runs."""
        ordinals = piece.pending.ordinals
        with self._lock:
            now_sent = self._sends_now[ordinals.hull] = self._sends_now.get(ordinals.hull, 0) + 1
            _add_doubt(self._doubts, ordinals, at=self._now(), reason=str(error))
            self._under_way.pop(ordinals.hull, None)
            self._write_doubts(sending=True)
        return piece.pending.sends + now_sent

    def _write_doubts(self, *, sending: bool) -> None:
        self._generation.write_doubts(
            Doubts(
                schema_version=DOUBTS_VERSION,
                run_id=self._run_id,
                sending=sending,
                pieces=tuple(self._doubts[hull] for hull in sorted(self._doubts)),
                held=tuple(self._held_refusals),
                posting=tuple(
                    piece.ordinals for piece in list(self._under_way.values()) if piece.part
                ),
            )
        )

    def _write_end(self, end: Receipt | Refusal) -> None:
        """Write an answer down; one that cannot be written is tried again when the run breaks off."""
        hull = end.ordinals.hull
        self._unwritten[hull] = end
        if isinstance(end, Receipt):
            self._generation.write_receipt(end)
        else:
            self._generation.write_refusal(end)
        del self._unwritten[hull]
        self._under_way.pop(hull, None)

    def _accepted(
        self, piece: _Piece, outgoing: Outgoing, attempts: int, invocation_id: str
    ) -> None:
        self._write_end(
            Receipt(
                schema_version=SENT_VERSION,
                ordinals=piece.pending.ordinals,
                invocation_id=invocation_id,
                accepted_at=self._now(),
                attempts=attempts,
                bytes=len(outgoing.body),
                digest=piece.digest,
            )
        )
        self._policy.accepted()
        self._write_held_refusals()

    def _too_large(
        self, piece: _Piece, outgoing: Outgoing, attempts: int, error: TooLarge
    ) -> "list[_Piece]":
        logger.info("%s", error)
        if len(piece.bodies) > 1:
            return piece.halves(parts=False)
        refusal = self._refusal(piece, outgoing, attempts, status=TOO_LARGE_STATUS, details=None)
        self._write_end(refusal)
        return []

    def _refused(
        self, piece: _Piece, outgoing: Outgoing, attempts: int, error: Rejected
    ) -> "list[_Piece]":
        logger.warning("%s", error)
        refusal = self._refusal(
            piece, outgoing, attempts, status=error.status, details=error.details
        )
        if len(piece.bodies) > 1:
            # a mark for whoever resumes: halve this, its bytes are not posted again
            self._write_end(refusal)
        self._policy.refused(error, whole_batch=piece.whole)
        if len(piece.bodies) == 1:
            self._hold(refusal)
            return []
        if self._policy.any_accepted or piece.pending.part:
            return piece.halves(parts=True)
        with self._lock:
            self._held.append(piece)
        return []

    def _hold(self, refusal: Refusal) -> None:
        """Keep it until something is accepted or the run ends, on disk: what has no file counts as in flight at a kill."""
        with self._lock:
            self._held_refusals.append(refusal)
            if not self._policy.any_accepted:
                self._write_doubts(sending=True)
        if self._policy.any_accepted:
            self._write_held_refusals()

    def _refusal(
        self,
        piece: _Piece,
        outgoing: Outgoing,
        attempts: int,
        *,
        status: int,
        details: str | None,
    ) -> Refusal:
        return Refusal(
            schema_version=SENT_VERSION,
            ordinals=piece.pending.ordinals,
            status=status,
            details=details,
            refused_at=self._now(),
            attempts=attempts,
            bytes=len(outgoing.body),
            digest=piece.digest,
        )

    def _write_held_refusals(self) -> None:
        with self._lock:
            for refusal in self._held_refusals:
                self._generation.write_refusal(refusal)
            self._held_refusals.clear()
