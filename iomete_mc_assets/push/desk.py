"""What every hour's push does alike, whatever its flow: find the folder, send a plan, settle."""

import logging
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from iomete_mc_assets.errors import LedgerBusy
from iomete_mc_assets.manifests.model import Flow, Header
from iomete_mc_assets.manifests.receipts import Force, Generation, Plan, SentFolder, Settled
from iomete_mc_assets.manifests.store import Line, ManifestStore
from iomete_mc_assets.montecarlo.ingest import Ingest
from iomete_mc_assets.push.accounts import Unsent, accounts_of, settled_of
from iomete_mc_assets.push.candidates import Numbered
from iomete_mc_assets.push.config import PushConfig
from iomete_mc_assets.push.delivery import (
    BodySource,
    Delivery,
    book_crash,
    pending_of,
)
from iomete_mc_assets.push.forcing import Past, past_of
from iomete_mc_assets.push.ledger import Entry, Head, Log, Owner, opened
from iomete_mc_assets.push.outcome import HourOutcome
from iomete_mc_assets.push.policy import RunPolicy
from iomete_mc_assets.windows import HourWindow

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One run's means.

    Attributes:
        force: what the run sends again although it had an end; None for an ordinary run.
        only: the one table whose records a push by hand sends; None for all.
    """

    store: ManifestStore
    ingest: Ingest
    config: PushConfig
    owner: Owner
    policy: RunPolicy
    now: Callable[[], datetime]
    force: Force | None = None
    only: str | None = None

    def log(self, flow: Flow, *below: str) -> Log:
        """The ledger of a flow at the destination, or of one hour of it."""
        parts = (flow, "ledger", self.config.destination.id, *below)
        return Log(self.store.storage, "/".join(parts))

    def sent(self, flow: Flow, window: HourWindow, manifest_id: str) -> SentFolder:
        """What was sent of a manifest to the destination."""
        folder = self.store.folder(flow, window, manifest_id)
        return SentFolder(self.store.storage, f"{folder}/sent/{self.config.destination.id}")

    def is_to_force(self, sent: SentFolder) -> bool:
        """Whether the run is forced, and neither it nor the run it retries has planned that here."""
        return self.force is not None and all(
            generation.forced_by != self.owner.root_run_id for generation in sent.generations()
        )

    def to_plan_anew(self, flow: Flow, generation: Generation, plan: Plan) -> bool:
        """Whether the types that a plan was made with were set otherwise since, and none of it was taken.

        What a forced push planned is left to its own retries: any other run would send less.
        """
        forced_by = self.owner.root_run_id if self.force is not None else None
        return (
            self.config.retyped(flow, plan) is not None
            and generation.forced_by == forced_by
            and generation.untaken()
        )

    def next_generation(self, sent: SentFolder, number: int) -> Generation:
        """The generation to plan now; a forced run's bears the name of its root run."""
        forced_by = self.owner.root_run_id if self.force is not None else None
        return sent.generation(number, forced_by=forced_by)

    def write_plan(self, sent: SentFolder, generation: Generation, plan: Plan) -> None:
        """Write a plan down, before its first request; the outcome says first that a forced one follows."""
        if generation.forced_by is not None:
            sent.reopen(generation.number)
        generation.write_plan(plan)

    def past(self, sent: SentFolder) -> Past:
        """What came of the manifest's records before this run's own generations."""
        return past_of(
            accounts_of(sent),
            settled=sent.settled() is not None,
            force=self.force,
            root_run_id=self.owner.root_run_id,
        )

    def records(self, header: Header) -> Numbered:
        """A manifest's records with their ordinals, read anew."""
        return enumerate(self.store.records(header))

    def lines(self, header: Header, *, first: int = 0) -> Iterable[tuple[int, Line]]:
        """The same as they stand on disk, from the ordinal ``first`` on."""
        return enumerate(self.store.lines(header, first=first), start=first)

    def opened(self, log: Log, head: Head | None, header: Header, *, generation: int) -> Head:
        """Take the ledger for a manifest's plan; LedgerBusy when another was quicker."""
        entry = opened(
            head,
            self.owner,
            window=header.window,
            manifest_id=header.manifest_id,
            generation=generation,
            deadline=self.policy.run_deadline,
        )
        return log.append(head, entry)

    @contextmanager
    def holding(self, log: Log, head: Head) -> Generator[None]:
        """Let the ledger go, with the plan still open, whatever breaks off inside.

        Should that fail, the holder's deadline frees it.
        """
        try:
            yield
        except BaseException:
            try:
                log.append(head, replace(head.entry, kind="left"))
            except LedgerBusy:
                logger.info("The ledger was closed before, or is another's.")
            except OSError as error:
                logger.warning(
                    "Hour %s: the ledger cannot be let go (%s). Unless this run is known to have ended, it "
                    "stays held until 10 minutes after its deadline (%s); then the hour goes on.",
                    head.entry.window.key,
                    error,
                    head.entry.deadline.isoformat(timespec="seconds"),
                )
            raise

    def book_crash(self, generation: Generation, held: Entry, *, max_sends: int) -> None:
        """Write down what the last holder may have had in flight, before anything is sent."""
        plan = generation.plan()
        if plan is not None:
            at = min(self.now(), held.deadline)
            book_crash(generation, plan, max_sends=max_sends, at=at)

    def deliver(
        self,
        header: Header,
        generation: Generation,
        plan: Plan,
        bodies: BodySource,
        *,
        max_sends: int,
    ) -> None:
        """Send what the plan still has to send; see ``Delivery.deliver`` for what it raises.

        Args:
            header: whose records.
            generation: where receipts go.
            plan: what to send.
            bodies: of its events.
            max_sends: of a piece without an answer.
        """
        envelope = self.config.envelope(
            header.flow, resource_type=plan.resource_type, log_type=plan.log_type
        )
        Delivery(
            generation=generation,
            plan=plan,
            envelope=envelope,
            flow=header.flow,
            hour=header.window.key,
            remark=self.config.retyped(header.flow, plan),
            run_id=self.owner.run_id,
            ingest=self.ingest,
            policy=self.policy,
            max_sends=max_sends,
            now=self.now,
        ).deliver(pending_of(generation, plan), bodies)

    def settle(
        self,
        sent: SentFolder,
        header: Header,
        *,
        unsent: Unsent | None = None,
    ) -> HourOutcome:
        """Write the outcome."""
        settled = self.outcome(sent, header, unsent=unsent)
        sent.settle(settled)
        return HourOutcome.of(settled, reused=False)

    def outcome(
        self,
        sent: SentFolder,
        header: Header,
        *,
        unsent: Unsent | None = None,
    ) -> Settled:
        """The outcome as the files tell it now."""
        accounts = accounts_of(sent)
        said = self.config.retyped(header.flow, accounts[-1].plan) if accounts else None
        return settled_of(
            header,
            accounts,
            unsent=unsent,
            reason="; ".join(filter(None, (_why_nothing(header), said))) or None,
            run_id=self.owner.run_id,
            at=self.now(),
        )


def _why_nothing(header: Header) -> str | None:
    """Why an unknown hour sends nothing; what a known one could not read is told on its own partition."""
    return None if header.known else header.reason
