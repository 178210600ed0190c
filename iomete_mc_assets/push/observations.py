"""Which observations go: one per table and clock hour, of catalogued tables, never backwards. Rules 10 and 11."""

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime, timedelta

from iomete_mc_assets.manifests.model import JsonValue
from iomete_mc_assets.montecarlo.events import observations
from iomete_mc_assets.montecarlo.events.event import Event
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.push.candidates import Candidate, Numbered, Sent, entry_of, instant_of, named
from iomete_mc_assets.push.ledger import State
from iomete_mc_assets.records import Observation, Record
from iomete_mc_assets.windows import HourWindow

FORGET_AFTER = timedelta(days=1)
"""How long a table that is gone keeps its entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationRules:
    """One manifest's observations.

    An entry of the state: ``hour`` (partition key), ``last_update_time`` (accepted last, or None),
    ``sent_at`` (accepted, or in doubt, which counts as sent).

    Attributes:
        catalog: the catalog flow's accepted state at this destination.
        at: when it was planned.
        forced: what this hour itself sent and is to send again: a second point in its clock hour.
    """

    state: State
    catalog: State
    naming: Naming
    window: HourWindow
    at: datetime
    forced: Container[int] = ()

    def event(self, record: Record) -> Event | None:
        """As ``StateRules.event``."""
        observation = _observation(record)
        known = entry_of(self.state, self.naming.of(observation.table).key)
        before = instant_of(known.get("last_update_time"))
        return observations.event(observation, self.naming, not_before=before, not_after=self.at)

    def candidate(self, ordinal: int, record: Record) -> Candidate:
        """As ``StateRules.candidate``."""
        observation = _observation(record)
        about = observation.table.shown
        if observation.carried_from is not None:
            return Candidate(ordinal=ordinal, about=about, status="carried")
        event = self.event(record)
        if event is None:
            return Candidate(ordinal=ordinal, about=about, status="nothing_known")
        catalogued = entry_of(self.catalog, event.key)
        if not catalogued.get("accepted_at") or catalogued["table"] != named(observation.table):
            reason = "no accepted catalog entry yet; the next hour brings it"
            return Candidate(ordinal=ordinal, about=about, status="no_catalog_entry", reason=reason)
        known = entry_of(self.state, event.key)
        hour, sent_at = known.get("hour"), instant_of(known.get("sent_at"))
        again = hour == self.window.key and ordinal in self.forced
        if isinstance(hour, str) and hour >= self.window.key and not again:
            return Candidate(ordinal=ordinal, about=about, status="accepted_before")
        taken = sent_at is not None and HourWindow.holding(sent_at) == HourWindow.holding(self.at)
        if taken and not again:
            return Candidate(ordinal=ordinal, about=about, status="clock_hour_taken")
        return Candidate(
            ordinal=ordinal,
            about=about,
            size=len(event.body),
            digest=event.digest,
            notes=event.notes,
        )

    def folded(self, records: Numbered, sent: Sent) -> State:
        """As ``StateRules.folded``."""
        state = dict(self.state)
        present: set[str] = set()
        for ordinal, record in records:
            observation = _observation(record)
            key = self.naming.of(observation.table).key
            present.add(key)
            if ordinal in sent.accepted or ordinal in sent.doubtful:
                state[key] = self._folded(observation, entry_of(state, key), ordinal, sent)
        return self.kept(state, present)

    def kept(self, state: State, present: Container[str]) -> State:
        """As ``StateRules.kept``."""
        return {
            key: value
            for key, value in state.items()
            if key in present or not self._forgotten(entry_of(state, key))
        }

    def _folded(
        self, observation: Observation, before: dict[str, JsonValue], ordinal: int, sent: Sent
    ) -> dict[str, JsonValue]:
        accepted_at = sent.accepted.get(ordinal)
        event = self.event(observation)
        changed_at = observation.last_data_change
        updated = before.get("last_update_time")
        if accepted_at and event and changed_at and not event.notes:
            updated = changed_at.isoformat()
        sent_at = accepted_at or sent.doubtful[ordinal]
        return {
            "hour": self.window.key,
            "last_update_time": updated,
            "sent_at": sent_at.isoformat(),
        }

    def _forgotten(self, entry: dict[str, JsonValue]) -> bool:
        sent_at = instant_of(entry.get("sent_at"))
        return sent_at is None or self.at - sent_at > FORGET_AFTER


def _observation(record: Record) -> Observation:
    if not isinstance(record, Observation):
        msg = f"observations hold observations, not {type(record).__name__}"
        raise TypeError(msg)
    return record
