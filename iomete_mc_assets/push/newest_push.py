"""Pushing an hour of the catalog or of observations: only the newest goes out. Rules 9 to 12."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from iomete_mc_assets.manifests.model import Header
from iomete_mc_assets.manifests.receipts import NO_ORDINALS, Ordinals, SentFolder, Superseding
from iomete_mc_assets.push.accounts import Unsent
from iomete_mc_assets.push.candidates import Candidate
from iomete_mc_assets.push.catalog_snapshot import CatalogRules
from iomete_mc_assets.push.ledger import State
from iomete_mc_assets.push.observations import ObservationRules
from iomete_mc_assets.push.outcome import Named
from iomete_mc_assets.push.plans import state_candidates
from iomete_mc_assets.push.state_push import StatePush

NewestRules = CatalogRules | ObservationRules


class NewestPush(StatePush[NewestRules]):
    """One run's pushes of a flow whose newest hour alone goes out."""

    def _why_unsent(self, header: Header, named: Named) -> Unsent | None:
        return self._superseded(header, named) or self._too_old(header)

    def _replaced_by(self, header: Header, other: Header) -> Unsent | None:
        if header.window > other.window or self._desk.config.send_superseded:
            return None
        place = Superseding(window=other.window, manifest_id=other.manifest_id, invocation_ids=())
        reason = f"hour {other.window.key} took its place while it was being sent"
        return Unsent(status="superseded", reason=reason, superseded_by=place)

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

    def _judged(
        self, header: Header, sent: SentFolder, rules: NewestRules, done: Ordinals
    ) -> tuple[Iterable[Candidate], Callable[[], bool]]:
        records = self._records(header, sent)
        candidates, holders = state_candidates(
            records, rules, rules.naming, done=done, only=self._desk.only
        )
        return candidates, lambda: rules.kept(rules.state, holders) == rules.state

    def _rules_at(
        self,
        header: Header,
        state: State,
        at: datetime,
        *,
        max_body_bytes: int,
        resource_type: str,
        forced: Ordinals = NO_ORDINALS,
    ) -> NewestRules:
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
            forced=forced,
        )
