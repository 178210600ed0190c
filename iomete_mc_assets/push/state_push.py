"""Pushing an hour of a state flow: only the newest, with the log as state and lock. Rules 9 to 12 and 20 to 22."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from iomete_mc_assets.errors import ManifestMissing, PushError
from iomete_mc_assets.manifests.model import Flow, Header
from iomete_mc_assets.manifests.receipts import Generation, Plan, SentFolder, Superseding
from iomete_mc_assets.push.accounts import Account, Unsent, accounts_of
from iomete_mc_assets.push.batches import digest_of
from iomete_mc_assets.push.candidates import Candidate, Sent, StateRules
from iomete_mc_assets.push.catalog_snapshot import CatalogRules
from iomete_mc_assets.push.delivery import BodiesReadAgain, PlanOutdated
from iomete_mc_assets.push.desk import Desk
from iomete_mc_assets.push.ledger import Head, State, refuse_if_held
from iomete_mc_assets.push.observations import ObservationRules
from iomete_mc_assets.push.outcome import HourOutcome, Named, Preview
from iomete_mc_assets.push.plans import planned, state_candidates
from iomete_mc_assets.push.policy import MAX_SENDS_IN_DOUBT
from iomete_mc_assets.records import Record
from iomete_mc_assets.windows import HourWindow

logger = logging.getLogger(__name__)


class StatePush:
    """One run's pushes of a flow whose newest hour alone goes out."""

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
        sent = self._desk.sent(self._flow, window, manifest_id)
        settled = sent.ended()
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
        unsent = self._superseded(header, named) or self._too_old(header)
        if settled is not None and unsent is not None:
            return HourOutcome.of(settled, reused=True)
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

    def preview(self, window: HourWindow, manifest_id: str, *, named: Named) -> Preview:
        """What a push of the manifest would send now; writes nothing and takes no ledger."""
        sent = self._desk.sent(self._flow, window, manifest_id)
        header = self._desk.store.header(self._flow, window, manifest_id)
        unsent = self._superseded(header, named) or self._too_old(header)
        to_force = self._desk.is_to_force(sent)
        ended = sent.ended() is not None and not to_force
        if unsent is not None or not header.known or ended:
            preview = self._desk.preview(header, [])
            return replace(preview, reason=unsent.reason if unsent else preview.reason)
        head = self._log.head()
        generations = sent.generations()
        resumed = head is not None and head.is_for(window, manifest_id) and generations
        goes_on = resumed and not to_force
        number = generations[-1].number + (0 if goes_on else 1) if generations else 1
        generation = generations[-1] if goes_on else sent.generation(number)
        plan = generation.plan() if goes_on else None
        if plan is not None and self._desk.to_plan_anew(self._flow, generation, plan):
            generation, plan = sent.generation(number + 1), None
        if plan is None:
            plan, _ = self._plan(header, sent, self._log.state(head), generation)
        return self._desk.preview(header, [(generation, plan)])

    # Why a manifest does not go

    def _superseded(self, header: Header, named: Named) -> Unsent | None:
        """The newest known hour takes the place of all others (rule 9); None for itself."""
        if self._desk.config.send_superseded:
            return None
        newest = self._newest_known(header, named)
        if (newest.window, newest.manifest_id) == (header.window, header.manifest_id):
            return None
        settled = self._desk.sent(self._flow, newest.window, newest.manifest_id).settled()
        return Unsent(
            status="superseded",
            reason=f"hour {newest.window.key} is newer, and only the newest is sent",
            superseded_by=Superseding(
                window=newest.window,
                manifest_id=newest.manifest_id,
                invocation_ids=settled.invocation_ids if settled else (),
            ),
        )

    def _newest_known(self, header: Header, named: Named) -> Header:
        later = [window for window in named if window >= header.window]
        for window in sorted(later, reverse=True):
            manifest_id = named.get(window)
            if manifest_id is None:
                continue
            newest = self._desk.store.header(self._flow, window, manifest_id)
            if newest.known:
                return newest
        return header

    def _too_old(self, header: Header) -> Unsent | None:
        hours = self._desk.config.observation_max_age_hours
        if self._flow != "observations" or self._desk.now() - header.window.end <= timedelta(
            hours=hours
        ):
            return None
        reason = f"the hour ended more than {hours} h ago, and Monte Carlo would take it for now"
        return Unsent(status="too_old", reason=reason)

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
        head = self._taken_over(sent, other, head)
        unsent = None
        if sent.ended() is not None:
            logger.info("The open plan was settled before anything of it was sent anew.")
        elif other.window <= header.window and not self._desk.config.send_superseded:
            place = Superseding(
                window=header.window, manifest_id=header.manifest_id, invocation_ids=()
            )
            reason = f"hour {header.window.key} took its place while it was being sent"
            unsent = Unsent(status="superseded", reason=reason, superseded_by=place)
        closed = self._closed(
            other, sent, head, word=unsent.status if unsent else "interrupted", finished=False
        )
        if unsent is not None:
            self._desk.settle(sent, other, unsent=unsent)
        return closed

    def _taken_over(self, sent: SentFolder, header: Header, head: Head) -> Head:
        """The ledger, ours now, with what its last holder had in flight written down."""
        taken = self._desk.opened(self._log, head, header, generation=head.entry.generation)
        for generation in sent.generations():
            self._desk.book_crash(generation, head.entry, max_sends=self._max_sends)
        return taken

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
        plan, state_stays = self._plan(header, sent, state, generation)
        if not plan.batches and state_stays:
            generation.write_plan(plan)
            return self._desk.settle(sent, header)
        head = self._desk.opened(self._log, head, header, generation=generation.number)
        self._desk.write_plan(sent, generation, plan)
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
        head = self._taken_over(sent, header, head)
        if unsent is not None:
            self._closed(header, sent, head, word=unsent.status, finished=False)
            return self._desk.settle(sent, header, unsent=unsent)
        generations = sent.generations()
        newest = generations[-1] if generations else sent.generation(1)
        generation, plan = newest, newest.plan()
        if (
            to_force
            or plan is None
            or newest.number < head.entry.generation
            or self._desk.to_plan_anew(self._flow, newest, plan)
        ):
            number = max(newest.number + (plan is not None), head.entry.generation)
            generation = self._desk.next_generation(sent, number)
            plan, _ = self._plan(header, sent, self._log.state(head), generation)
            self._desk.write_plan(sent, generation, plan)
        return self._send(header, sent, head, generation, plan)

    def _send(
        self, header: Header, sent: SentFolder, head: Head, generation: Generation, plan: Plan
    ) -> HourOutcome:
        state = self._log.state(head)
        while True:
            rules = self._rules(header, plan, state)
            try:
                bodies = BodiesReadAgain(self._desk.records(header), partial(_body, rules))
                self._desk.deliver(header, generation, plan, bodies, max_sends=self._max_sends)
            except PlanOutdated:
                generation = sent.generation(generation.number + 1, forced_by=generation.forced_by)
                plan, _ = self._plan(header, sent, state, generation)
                generation.write_plan(plan)
            except PushError:
                self._desk.leave(self._log, head, replace(head.entry, kind="left"))
                raise
            else:
                break
        outcome = self._desk.outcome(sent, header)
        self._closed(header, sent, head, word=outcome.word, finished=True)
        sent.settle(outcome)
        return HourOutcome.of(outcome, reused=False)

    def _plan(
        self, header: Header, sent: SentFolder, state: State, generation: Generation
    ) -> tuple[Plan, bool]:
        """The plan, not yet written, and whether the state stays as it is if nothing is sent."""
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
        candidates, holders = state_candidates(
            self._desk.records(header),
            rules,
            config.naming,
            done=past.done,
            only=self._desk.only,
        )
        self._refuse_unknown_table(candidates)
        made = planned(
            past.judged(candidates),
            header=header,
            generation=generation.number,
            config=config,
            run_id=self._desk.owner.run_id,
            at=at,
        )
        return made.plan, rules.kept(state, holders) == state

    def _refuse_unknown_table(self, candidates: Sequence[Candidate]) -> None:
        if self._desk.only is None or any(one.status != "not_chosen" for one in candidates):
            return
        msg = (
            f"The hour's manifest has no table {self._desk.only}, so nothing was sent. Say it as "
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
                altered = self._altered(header, account, state)
                folded = account.sent(altered=altered, finished=finished)
                state = self._folded(header, account.plan, state, folded)
        entry = replace(head.entry, kind="closed", word=word, state_from=None, accepted=dict(state))
        return self._log.append(head, entry)

    def _folded(self, header: Header, plan: Plan, state: State, sent: Sent) -> State:
        return self._rules(header, plan, state).folded(self._desk.records(header), sent)

    def _altered(self, header: Header, account: Account, state: State) -> Iterator[int]:
        """Accepted ordinals whose events would be others now, by comparing digests of receipts."""
        accepted = {ordinal for receipt in account.receipts for ordinal in receipt.ordinals}
        if not accepted:
            return
        rules = self._rules(header, account.plan, state)
        digests: dict[int, str] = {}
        for ordinal, record in self._desk.records(header):
            if ordinal in accepted:
                event = rules.event(record)
                digests[ordinal] = event.digest if event else ""
        for receipt in account.receipts:
            if digest_of(digests[ordinal] for ordinal in receipt.ordinals) != receipt.digest:
                yield from receipt.ordinals

    def _rules(self, header: Header, plan: Plan, state: State) -> StateRules:
        return self._rules_at(
            header,
            state,
            plan.planned_at,
            max_body_bytes=plan.max_body_bytes,
            resource_type=plan.resource_type,
        )

    def _rules_at(
        self,
        header: Header,
        state: State,
        at: datetime,
        *,
        max_body_bytes: int,
        resource_type: str,
        forced: frozenset[int] = frozenset(),
    ) -> StateRules:
        config = self._desk.config
        if self._flow == "observations":
            catalog = self._desk.log("catalog_snapshot")
            return ObservationRules(
                state=state,
                catalog=catalog.state(catalog.head()),
                naming=config.naming,
                window=header.window,
                at=at,
                forced=forced,
            )
        envelope = config.envelope(self._flow, resource_type=resource_type, log_type="")
        return CatalogRules(
            state=state,
            naming=config.naming,
            at=at,
            max_event_bytes=max_body_bytes - envelope.size,
            complete=header.state == "complete",
            force=self._desk.force,
        )


def _body(rules: StateRules, record: Record) -> bytes | None:
    event = rules.event(record)
    return None if event is None else event.body
