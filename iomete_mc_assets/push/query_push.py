"""Pushing an hour of query logs: every known manifest of it, oldest first. Rule 14 of ledger.md."""

from dataclasses import replace

from iomete_mc_assets.errors import PushError
from iomete_mc_assets.manifests.model import Flow, Header
from iomete_mc_assets.manifests.receipts import NO_ORDINALS, Generation, Plan, SentFolder
from iomete_mc_assets.push.accounts import Account, Unsent, accounts_of
from iomete_mc_assets.push.delivery import BodiesReadAgain, PlanOutdated
from iomete_mc_assets.push.desk import Desk
from iomete_mc_assets.push.ledger import Head, Log, refuse_if_held
from iomete_mc_assets.push.outcome import HourOutcome, Preview
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
        if waiting:
            self._settle_all(window, waiting)
        settled = self._sent(asked).settled()
        if settled is None:  # unknown, so it never waits
            return self._desk.settle(self._sent(asked), asked)
        now_settled = any(header.manifest_id == manifest_id for header in waiting)
        return HourOutcome.of(settled, reused=not now_settled)

    def preview(self, window: HourWindow, manifest_id: str) -> Preview:
        """What a push of the hour would send now; writes nothing."""
        asked = self._desk.store.header(FLOW, window, manifest_id)
        if self._desk.force != "all" and self._hour_pruned(window):
            return replace(self._desk.preview(asked, []), reason=PRUNED.reason)
        plans: list[tuple[Generation, Plan]] = []
        for header in self._waiting(window):
            if not self._desk.store.pruned(header):
                sent = self._sent(header)
                generation, plan = self._current(sent)
                plans.append((generation, plan or self._plan(header, sent, generation).plan))
        return self._desk.preview(asked, plans)

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

    def _waiting(self, window: HourWindow) -> list[Header]:
        """Known manifests of the hour that are not settled, oldest first."""
        store = self._desk.store
        headers = (
            store.header(FLOW, window, manifest_id)
            for manifest_id in store.manifest_ids(FLOW, window)
        )
        return [header for header in headers if header.known and self._waits(header)]

    def _waits(self, header: Header) -> bool:
        sent = self._sent(header)
        settled = sent.settled()
        if settled is None:
            return True
        forced = settled.forcing is not None or self._desk.is_to_force(sent)
        return forced and not self._desk.store.pruned(header)

    def _hour_pruned(self, window: HourWindow) -> bool:
        """Whether records of the hour are gone, so that what was accepted cannot be told (rule 25)."""
        store = self._desk.store
        headers = (
            store.header(FLOW, window, manifest_id)
            for manifest_id in store.manifest_ids(FLOW, window)
        )
        return any(header.known and store.pruned(header) for header in headers)

    def _sent(self, header: Header) -> SentFolder:
        return self._desk.sent(FLOW, header.window, header.manifest_id)

    def _settle_all(self, window: HourWindow, waiting: list[Header]) -> None:
        closed = self._desk.force != "all" and self._hour_pruned(window)
        log = self._desk.log(FLOW, window.folder)
        head = log.head()
        refuse_if_held(head, self._desk.owner, now=self._desk.now())
        held = head
        head = self._desk.opened(log, head, waiting[0], generation=1)
        try:
            for header in waiting:
                if closed or self._desk.store.pruned(header):
                    self._desk.settle(self._sent(header), header, unsent=PRUNED)
                else:
                    self._settle(header, held)
        except PushError:
            self._desk.leave(log, head, replace(head.entry, kind="left"))
            raise
        self._close(log, head)

    def _close(self, log: Log, head: Head) -> None:
        log.append(head, replace(head.entry, kind="closed", word="settled"))

    def _settle(self, header: Header, held: Head | None) -> None:
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
                generation = sent.generation(generation.number + 1, forced_by=generation.forced_by)
                planned_now = self._written_plan(header, sent, generation)
            else:
                break
        self._desk.settle(sent, header)

    def _deliver(self, header: Header, generation: Generation, made: Planned) -> None:
        plan = made.plan
        rules = self._rules(plan.max_body_bytes, plan.resource_type, plan.log_type)
        kept = made.kept
        lines = self._desk.lines(header, first=next(reversed(kept)) + 1 if kept else 0)
        bodies = BodiesReadAgain(lines, rules.body, kept=kept, checked=made.fresh)
        self._desk.deliver(header, generation, plan, bodies, max_sends=MAX_SENDS_IN_DOUBT)

    def _rules(self, max_body_bytes: int, resource_type: str, log_type: str) -> QueryRules:
        envelope = self._desk.config.envelope(FLOW, resource_type=resource_type, log_type=log_type)
        return QueryRules(max_event_bytes=max_body_bytes - envelope.size)

    def _written_plan(self, header: Header, sent: SentFolder, generation: Generation) -> Planned:
        """Plan, and write it down before the first request."""
        made = self._plan(header, sent, generation)
        self._desk.write_plan(sent, generation, made.plan)
        return made

    def _plan(self, header: Header, sent: SentFolder, generation: Generation) -> Planned:
        config = self._desk.config
        rules = self._rules(config.max_body_bytes, config.resource_type, config.log_type)
        past = self._desk.past(sent)
        lines = self._desk.lines(header)
        if past.done:
            lines = ((ordinal, line) for ordinal, line in lines if ordinal not in past.done)
        return planned(
            past.judged(rules.candidates(lines, self._earlier_keys(header))),
            header=header,
            generation=generation.number,
            config=config,
            run_id=self._desk.owner.run_id,
            at=self._desk.now(),
        )

    def _earlier_keys(self, header: Header) -> HourKeys:
        """What all manifests of the hour have had accepted or refused, as far as that counts now."""
        store, keys = self._desk.store, HourKeys()
        for manifest_id in store.manifest_ids(FLOW, header.window):
            other = store.header(FLOW, header.window, manifest_id)
            for account in accounts_of(self._sent(other)):
                self._add(keys, other, account)
        return keys

    def _add(self, keys: HourKeys, header: Header, account: Account) -> None:
        force = self._desk.force
        earlier = force is not None and account.forced_by != self._desk.owner.root_run_id
        settled = self._sent(header).ended() is not None
        accepted = NO_ORDINALS if earlier and force == "all" else account.accepted
        # what was refused with another type would go out as other bytes
        retyped = self._desk.config.retyped(FLOW, account.plan) is not None
        again = retyped or (earlier and force != "in_doubt")
        refused = NO_ORDINALS if again else account.refused(finished=settled)
        if not accepted and not refused:
            return
        plan = account.plan
        rules = self._rules(plan.max_body_bytes, plan.resource_type, plan.log_type)
        for ordinal, line in self._desk.lines(header):
            if ordinal in accepted:
                keys.accept(rules.event(line))
            elif ordinal in refused:
                keys.refuse(rules.event(line))
