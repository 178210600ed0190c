"""Pushing an hour of a state flow, with the log as state and lock. Rules 20 to 22; which hours go is each flow's own."""

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Generic, TypeVar

from iomete_mc_assets.errors import ManifestMissing, PushError
from iomete_mc_assets.manifests.model import Flow, Header
from iomete_mc_assets.manifests.receipts import (
    NO_ORDINALS,
    Generation,
    Ordinals,
    Plan,
    SentFolder,
    Settled,
)
from iomete_mc_assets.push.accounts import Account, Unsent, accounts_of
from iomete_mc_assets.push.batches import digest_of
from iomete_mc_assets.push.candidates import (
    Candidate,
    Numbered,
    StateRules,
    is_called,
    table_of,
)
from iomete_mc_assets.push.delivery import BodiesReadAgain, PlanOutdated
from iomete_mc_assets.push.desk import Desk
from iomete_mc_assets.push.ledger import Head, State, refuse_if_held
from iomete_mc_assets.push.outcome import HourOutcome, Named
from iomete_mc_assets.push.plans import planned
from iomete_mc_assets.push.policy import MAX_SENDS_IN_DOUBT
from iomete_mc_assets.records import Record
from iomete_mc_assets.windows import HourWindow

Rules = TypeVar("Rules", bound=StateRules)

logger = logging.getLogger(__name__)


class StatePush(Generic[Rules]):
    """One run's pushes of a state flow; what flows do differently, their own classes say."""

    def __init__(self, desk: Desk, flow: Flow) -> None:
        self._desk = desk
        self._flow: Flow = flow
        self._log = desk.log(flow)
        # a second volume point in a clock hour is worse than a missing one (ledger rule 17)
        self._max_sends = 1 if flow == "observations" else MAX_SENDS_IN_DOUBT

    def push(self, window: HourWindow, manifest_id: str, *, named: Named) -> HourOutcome:
        """Settle the manifest.

        Args:
            window: its hour.
            manifest_id: its id.
            named: the manifest that speaks for each hour.

        Raises:
            PushError: something is left untried, and why.
            ManifestError: a manifest cannot be read.
        """
        self._refuse_unknown_table(window, manifest_id)
        sent = self._desk.sent(self._flow, window, manifest_id)
        before = sent.settled()
        outcome = self._outcome(sent, before, window, manifest_id, named=named)
        return outcome if outcome.reused else outcome.since(before)

    def _outcome(
        self,
        sent: SentFolder,
        before: Settled | None,
        window: HourWindow,
        manifest_id: str,
        *,
        named: Named,
    ) -> HourOutcome:
        settled = before if before is not None and before.ended else None
        to_force = self._desk.is_to_force(sent)
        if settled is not None and not to_force:
            return HourOutcome.of(settled, reused=True)
        header = self._desk.store.header(self._flow, window, manifest_id)
        if not header.known:
            return self._desk.settle(sent, header)
        head = self._log.head()
        if settled is None and head is not None and head.finished(window, manifest_id):
            outcome = self._told_by_files(header, sent)
            if outcome is not None and not to_force:
                return outcome
        unsent = self._why_unsent(header, named)
        if settled is not None and unsent is not None:
            return _left_as_it_was(settled, unsent)
        if head is not None and head.is_for(window, manifest_id):
            refuse_if_held(head, self._desk.owner, now=self._desk.now())
            self._refuse_to_narrow()
            return self._resume(header, sent, head, unsent, to_force=to_force)
        return self._begin(header, sent, head, unsent)

    def _told_by_files(self, header: Header, sent: SentFolder) -> HourOutcome | None:
        """The outcome of a run that died after the log's last word and before its own; None without files."""
        if not sent.generations():
            return None
        return self._desk.settle(sent, header)

    # Where flows differ

    def _why_unsent(self, header: Header, named: Named) -> Unsent | None:
        """Why a manifest does not go at all; None where it does."""
        raise NotImplementedError

    def _replaced_by(self, header: Header, other: Header) -> Unsent | None:
        """Why the rest of a manifest's open plan does not go after another's; None where it goes later."""
        raise NotImplementedError

    def _records(self, header: Header, sent: SentFolder) -> Numbered:
        """All that a manifest's plan may send."""
        del sent
        return self._desk.records(header)

    def _judged(
        self, header: Header, sent: SentFolder, rules: Rules, done: Ordinals
    ) -> tuple[Iterable[Candidate], Callable[[], bool]]:
        """All records but those done before, and whether the state stays as it is if nothing is sent."""
        raise NotImplementedError

    def _write_plan(self, sent: SentFolder, generation: Generation, plan: Plan) -> None:
        self._desk.write_plan(sent, generation, plan)

    def _rules_at(
        self,
        header: Header,
        state: State,
        at: datetime,
        *,
        max_body_bytes: int,
        resource_type: str,
        forced: Ordinals = NO_ORDINALS,
    ) -> Rules:
        """The flow's rules for a manifest, with the settings that a plan is made with."""
        raise NotImplementedError

    # One open plan at a time

    def _with_nothing_open(self, head: Head | None, header: Header) -> Head | None:
        """The head, after closing whatever other plan was open (rule 22)."""
        refuse_if_held(head, self._desk.owner, now=self._desk.now())
        if head is None or not head.open:
            return head
        entry = head.entry
        try:
            other = self._desk.store.header(self._flow, entry.window, entry.manifest_id)
        except ManifestMissing:
            logger.warning("The open plan's manifest is gone; its receipts cannot be counted.")
            state = self._log.state(head)
            closed = replace(entry, kind="closed", word="lost", state_from=None, accepted=state)
            return self._log.append(head, closed)
        sent = self._desk.sent(self._flow, entry.window, entry.manifest_id)
        with self._taken_over(sent, other, head) as taken:
            unsent = None
            if sent.ended() is not None:
                logger.info("The open plan was settled before anything of it was sent anew.")
            else:
                unsent = self._replaced_by(other, header)
            closed = self._closed(
                other, sent, taken, word=unsent.status if unsent else "interrupted", finished=False
            )
            if unsent is not None:
                self._desk.settle(sent, other, unsent=unsent)
        return closed

    @contextmanager
    def _taken_over(self, sent: SentFolder, header: Header, head: Head) -> Generator[Head]:
        """The ledger, ours inside, with what its last holder had in flight written down."""
        taken = self._desk.opened(self._log, head, header, generation=head.entry.generation)
        with self._desk.holding(self._log, taken):
            for generation in sent.generations():
                self._desk.book_crash(generation, head.entry, max_sends=self._max_sends)
            yield taken

    # From plan to outcome

    def _begin(
        self, header: Header, sent: SentFolder, head: Head | None, unsent: Unsent | None
    ) -> HourOutcome:
        if unsent is not None:
            return self._desk.settle(sent, header, unsent=unsent)
        head = self._with_nothing_open(head, header)
        generations = sent.generations()
        number = generations[-1].number + 1 if generations else 1
        generation = self._desk.next_generation(sent, number)
        state = self._log.state(head)
        plan, nothing_to_do = self._plan(header, sent, state, generation)
        if nothing_to_do:
            generation.write_plan(plan)
            return self._desk.settle(sent, header)
        head = self._desk.opened(self._log, head, header, generation=generation.number)
        with self._desk.holding(self._log, head):
            self._write_plan(sent, generation, plan)
            return self._send(header, sent, head, generation, plan)

    def _resume(
        self,
        header: Header,
        sent: SentFolder,
        head: Head,
        unsent: Unsent | None,
        *,
        to_force: bool,
    ) -> HourOutcome:
        with self._taken_over(sent, header, head) as taken:
            if unsent is not None:
                self._closed(header, sent, taken, word=unsent.status, finished=False)
                return self._desk.settle(sent, header, unsent=unsent)
            generations = sent.generations()
            newest = generations[-1] if generations else sent.generation(1)
            generation, plan = newest, newest.plan()
            if (
                to_force
                or plan is None
                or newest.number < taken.entry.generation
                or self._desk.to_plan_anew(self._flow, newest, plan)
            ):
                number = max(newest.number + (plan is not None), taken.entry.generation)
                generation = self._desk.next_generation(sent, number)
                plan, _ = self._plan(header, sent, self._log.state(taken), generation)
                self._write_plan(sent, generation, plan)
            return self._send(header, sent, taken, generation, plan)

    def _send(
        self, header: Header, sent: SentFolder, head: Head, generation: Generation, plan: Plan
    ) -> HourOutcome:
        state = self._log.state(head)
        while True:
            rules = self._rules(header, plan, state)
            bodies = BodiesReadAgain(self._records(header, sent), partial(_body, rules))
            try:
                self._desk.deliver(header, generation, plan, bodies, max_sends=self._max_sends)
            except PlanOutdated:
                generation = sent.after(generation)
                plan, _ = self._plan(header, sent, state, generation)
                generation.write_plan(plan)
            else:
                break
        outcome = self._desk.outcome(sent, header)
        self._closed(header, sent, head, word=outcome.word, finished=True)
        sent.settle(outcome)
        return HourOutcome.of(outcome, reused=False)

    def _plan(
        self, header: Header, sent: SentFolder, state: State, generation: Generation
    ) -> tuple[Plan, bool]:
        """The plan, not yet written, and whether it sends nothing and leaves the state as it is."""
        at = self._desk.now()
        config = self._desk.config
        past = self._desk.past(sent)
        rules = self._rules_at(
            header,
            state,
            at,
            max_body_bytes=config.max_body_bytes,
            resource_type=config.resource_type,
            forced=past.forced,
        )
        candidates, stays = self._judged(header, sent, rules, past.done)
        made = planned(
            past.judged(candidates),
            header=header,
            generation=generation.number,
            config=config,
            run_id=self._desk.owner.run_id,
            at=at,
        )
        return made.plan, not made.plan.batches and stays()

    def _refuse_unknown_table(self, window: HourWindow, manifest_id: str) -> None:
        """A push of one table asks for one that the hour has, settled or not."""
        only, store = self._desk.only, self._desk.store
        if only is None:
            return
        header = store.header(self._flow, window, manifest_id)
        if not header.known or store.pruned(header):
            return
        if not any(is_called(table_of(record), only) for record in store.records(header)):
            msg = (
                f"The hour's manifest has no table {only}, so nothing was sent. Say it as "
                "database.table, as the collected partition shows it."
            )
            raise PushError(msg)

    def _refuse_to_narrow(self) -> None:
        """An open plan is gone on with as it is, whatever it was made of."""
        if self._desk.only is not None:
            msg = (
                "A push of this hour broke off and goes on by its plan, which one table cannot narrow. "
                "Push the hour without --only, or another one."
            )
            raise PushError(msg)

    # The accepted state

    def _closed(
        self, header: Header, sent: SentFolder, head: Head, *, word: str, finished: bool
    ) -> Head:
        """Fold what this opening sent into the state, and close."""
        state = self._log.state(head)
        for account in accounts_of(sent):
            if account.plan.generation >= head.entry.generation:
                altered = self._altered(header, sent, account, state)
                folded = account.sent(altered=altered, finished=finished)
                rules = self._rules(header, account.plan, state)
                state = rules.folded(self._records(header, sent), folded)
        entry = replace(head.entry, kind="closed", word=word, state_from=None, accepted=dict(state))
        return self._log.append(head, entry)

    def _altered(
        self, header: Header, sent: SentFolder, account: Account, state: State
    ) -> Iterator[int]:
        """Accepted ordinals whose events would be others now, by comparing digests of receipts."""
        accepted = {ordinal for receipt in account.receipts for ordinal in receipt.ordinals}
        if not accepted:
            return
        rules = self._rules(header, account.plan, state)
        digests: dict[int, str] = {}
        for ordinal, record in self._records(header, sent):
            if ordinal in accepted:
                event = rules.event(record)
                digests[ordinal] = event.digest if event else ""
        for receipt in account.receipts:
            if digest_of(digests[ordinal] for ordinal in receipt.ordinals) != receipt.digest:
                yield from receipt.ordinals

    def _rules(self, header: Header, plan: Plan, state: State) -> Rules:
        return self._rules_at(
            header,
            state,
            plan.planned_at,
            max_body_bytes=plan.max_body_bytes,
            resource_type=plan.resource_type,
        )


def _left_as_it_was(settled: Settled, unsent: Unsent) -> HourOutcome:
    """An outcome that a forced push does not touch, and why."""
    return replace(HourOutcome.of(settled, reused=True), not_forced=unsent.reason)


def _body(rules: StateRules, record: Record) -> bytes | None:
    event = rules.event(record)
    return None if event is None else event.body
