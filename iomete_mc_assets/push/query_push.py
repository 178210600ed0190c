"""Pushing an hour of query logs: every known manifest of it, oldest first. Rule 14 of ledger.md."""

from collections.abc import Iterator
from dataclasses import replace

from iomete_mc_assets.manifests.model import Flow, Header
from iomete_mc_assets.manifests.receipts import (
    NO_ORDINALS,
    Generation,
    Ordinals,
    Plan,
    SentFolder,
    Settled,
)
from iomete_mc_assets.push.accounts import Account, Ends, Unsent, accounts_of
from iomete_mc_assets.push.delivery import BodiesReadAgain, PlanOutdated
from iomete_mc_assets.push.desk import Desk
from iomete_mc_assets.push.ledger import Head, Log, refuse_if_held
from iomete_mc_assets.push.outcome import HourOutcome
from iomete_mc_assets.push.plans import Planned, planned
from iomete_mc_assets.push.policy import MAX_SENDS_IN_DOUBT
from iomete_mc_assets.push.query_logs import HourKeys, QueryRules
from iomete_mc_assets.windows import HourWindow

FLOW: Flow = "query_logs"
PRUNED = Unsent(
    status="pruned",
    reason="records of the hour were pruned, so nobody can say what of it was accepted",
)


class QueryPush:
    """One run's pushes of query logs."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def push(self, window: HourWindow, manifest_id: str) -> HourOutcome:
        """Settle the hour and return the outcome of the manifest asked for.

        Raises:
            PushError: something of the hour is left untried, and why.
            ManifestError: a manifest cannot be read.
        """
        asked = self._desk.store.header(FLOW, window, manifest_id)
        waiting = self._waiting(window)
        outcomes = self._settle_all(window, waiting) if waiting else {}
        outcome = outcomes.pop(manifest_id, None) or self._settled_before(asked)
        beside = tuple(outcomes.values())
        return replace(outcome, beside=beside, not_forced=self._not_forced(window))

    def _settled_before(self, asked: Header) -> HourOutcome:
        """Of a manifest that does not wait."""
        settled = self._sent(asked).settled()
        if settled is None:  # unknown, so it never waits
            return self._desk.settle(self._sent(asked), asked)
        return HourOutcome.of(settled, reused=True)

    def _not_forced(self, window: HourWindow) -> str | None:
        """Which of the hour's manifests a forced push can send nothing of; None where there are none."""
        if self._desk.force is None:
            return None
        pruned = [
            header.manifest_id
            for header in self._known(window)
            if self._desk.store.pruned(header) and self._desk.is_to_force(self._sent(header))
        ]
        return f"the records of {', '.join(pruned)} were pruned" if pruned else None

    def _current(self, sent: SentFolder) -> tuple[Generation, Plan | None]:
        """The generation to go on with, and its plan; None where it is still to be planned."""
        generations = sent.generations()
        generation = generations[-1] if generations else sent.generation(1)
        plan = generation.plan()
        if (
            plan is None
            or self._desk.is_to_force(sent)
            or self._desk.to_plan_anew(FLOW, generation, plan)
        ):
            number = generation.number + (plan is not None)
            return self._desk.next_generation(sent, number), None
        return generation, plan

    def _known(self, window: HourWindow) -> Iterator[Header]:
        """Known manifests of the hour, oldest first."""
        store = self._desk.store
        for manifest_id in store.manifest_ids(FLOW, window):
            header = store.header(FLOW, window, manifest_id)
            if header.known:
                yield header

    def _waiting(self, window: HourWindow) -> list[tuple[Header, Settled | None]]:
        """Known manifests of the hour that are not settled, oldest first; with the outcome before a forced push."""
        headers = [(header, self._sent(header).settled()) for header in self._known(window)]
        return [(header, before) for header, before in headers if self._waits(header, before)]

    def _waits(self, header: Header, settled: Settled | None) -> bool:
        if settled is None:
            return True
        forced = not settled.ended or self._desk.is_to_force(self._sent(header))
        return forced and not self._desk.store.pruned(header)

    def _is_closed(self, window: HourWindow) -> bool:
        """Whether records of the hour are gone, so that what was accepted cannot be told (rule 25)."""
        store = self._desk.store
        return self._desk.force != "all" and any(map(store.pruned, self._known(window)))

    def _sent(self, header: Header) -> SentFolder:
        return self._desk.sent(FLOW, header.window, header.manifest_id)

    def _settle_all(
        self, window: HourWindow, waiting: list[tuple[Header, Settled | None]]
    ) -> dict[str, HourOutcome]:
        """Settle them; outcomes by manifest."""
        closed = self._is_closed(window)
        log = self._desk.log(FLOW, window.folder)
        head = log.head()
        refuse_if_held(head, self._desk.owner, now=self._desk.now())
        held = head
        head = self._desk.opened(log, head, waiting[0][0], generation=1)
        outcomes: dict[str, HourOutcome] = {}
        with self._desk.holding(log, head):
            for header, before in waiting:
                if closed or self._desk.store.pruned(header):
                    outcome = self._desk.settle(self._sent(header), header, unsent=PRUNED)
                else:
                    outcome = self._settle(header, held)
                outcomes[header.manifest_id] = outcome.since(before)
        self._close(log, head)
        return outcomes

    def _close(self, log: Log, head: Head) -> None:
        log.append(head, replace(head.entry, kind="closed", word="settled"))

    def _settle(self, header: Header, held: Head | None) -> HourOutcome:
        sent = self._sent(header)
        if held is not None and held.open:
            for generation in sent.generations()[-1:]:
                self._desk.book_crash(generation, held.entry, max_sends=MAX_SENDS_IN_DOUBT)
        generation, plan = self._current(sent)
        planned_now = (
            Planned(plan=plan, kept={}, fresh=False)
            if plan is not None
            else self._written_plan(header, sent, generation)
        )
        while True:
            try:
                self._deliver(header, generation, planned_now)
            except PlanOutdated:
                generation = sent.after(generation)
                planned_now = self._written_plan(header, sent, generation)
            else:
                break
        return self._desk.settle(sent, header)

    def _deliver(self, header: Header, generation: Generation, made: Planned) -> None:
        plan = made.plan
        rules = self._rules_of(plan)
        kept = made.kept
        lines = self._desk.lines(header, first=next(reversed(kept)) + 1 if kept else 0)
        bodies = BodiesReadAgain(lines, rules.body, kept=kept, checked=made.fresh)
        self._desk.deliver(header, generation, plan, bodies, max_sends=MAX_SENDS_IN_DOUBT)

    def _rules_of(self, plan: Plan) -> QueryRules:
        return self._rules(plan.max_body_bytes, plan.resource_type, plan.log_type)

    def _rules(self, max_body_bytes: int, resource_type: str, log_type: str) -> QueryRules:
        envelope = self._desk.config.envelope(FLOW, resource_type=resource_type, log_type=log_type)
        return QueryRules(max_event_bytes=max_body_bytes - envelope.size)

    def _written_plan(self, header: Header, sent: SentFolder, generation: Generation) -> Planned:
        """Plan, and write it down before the first request."""
        made = self._plan(header, sent, generation)
        self._desk.write_plan(sent, generation, made.plan)
        return made

    def _plan(self, header: Header, sent: SentFolder, generation: Generation) -> Planned:
        """The plan, not yet written."""
        config = self._desk.config
        rules = self._rules(config.max_body_bytes, config.resource_type, config.log_type)
        past = self._desk.past(sent)
        lines = self._desk.lines(header)
        if past.done:
            lines = ((ordinal, line) for ordinal, line in lines if ordinal not in past.done)
        return planned(
            past.judged(rules.candidates(lines, self._earlier_keys(header, past.forced))),
            header=header,
            generation=generation.number,
            config=config,
            run_id=self._desk.owner.run_id,
            at=self._desk.now(),
        )

    def _earlier_keys(self, header: Header, forced: Ordinals) -> HourKeys:
        """What all manifests of the hour have had accepted or refused, as far as that counts now."""
        store, keys = self._desk.store, HourKeys()
        for manifest_id in store.manifest_ids(FLOW, header.window):
            other = store.header(FLOW, header.window, manifest_id)
            sent = self._sent(other)
            accounts, settled = accounts_of(sent), sent.ended() is not None
            again = forced if manifest_id == header.manifest_id else NO_ORDINALS
            last = Ends.of(accounts, finished=settled)
            for account in accounts:
                refused = account.refused(finished=settled).common(last.refused)
                self._add(keys, other, account, again, refused)
        return keys

    def _add(
        self,
        keys: HourKeys,
        header: Header,
        account: Account,
        forced: Ordinals,
        refused: Ordinals,
    ) -> None:
        force = self._desk.force
        earlier = force is not None and account.forced_by != self._desk.owner.root_run_id
        accepted = account.accepted.without([forced])
        if earlier and force == "all":
            accepted = NO_ORDINALS
        # what was refused with another type would go out as other bytes
        retyped = self._desk.config.retyped(FLOW, account.plan) is not None
        if retyped or (earlier and force != "in_doubt"):
            refused = NO_ORDINALS
        self._add_lines(keys, header, account.plan, accepted=accepted, refused=refused)

    def _add_lines(
        self, keys: HourKeys, header: Header, plan: Plan, *, accepted: Ordinals, refused: Ordinals
    ) -> None:
        if not accepted and not refused:
            return
        rules = self._rules_of(plan)
        for ordinal, line in self._desk.lines(header):
            if ordinal in accepted:
                keys.accept(rules.event(line))
            elif ordinal in refused:
                keys.refuse(rules.event(line))
