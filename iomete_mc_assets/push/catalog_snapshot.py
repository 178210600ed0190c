"""Which catalog entries go: new or changed ones, and each once a day. Rules 11 and 12 of ledger.md."""

from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, datetime

from iomete_mc_assets.manifests.model import JsonValue
from iomete_mc_assets.manifests.receipts import Force
from iomete_mc_assets.montecarlo.events import catalog_snapshot
from iomete_mc_assets.montecarlo.events.event import Event
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.push.candidates import (
    Candidate,
    Numbered,
    Sent,
    entry_of,
    named,
    reason_too_large,
)
from iomete_mc_assets.push.ledger import State
from iomete_mc_assets.records import Record, TableEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogRules:
    """One manifest's catalog entries.

    An entry of the state: ``table`` (which one has the name), ``type`` (as sent), ``digest`` (accepted last;
    None while that is in doubt), ``accepted_at``, ``since`` (accepted as this table of this type without
    a break; entries of earlier versions have neither it nor ``type``), ``refused`` (a digest, or None).

    Attributes:
        at: when it was planned.
        max_event_bytes: what one event may take.
        complete: whether a table that the manifest does not have is gone.
        force: lets refused entries go again, or all.
        forced: ordinals that go again.
    """

    state: State
    naming: Naming
    at: datetime
    max_event_bytes: int
    complete: bool
    force: Force | None = None
    forced: Container[int] = ()

    def event(self, record: Record) -> Event | None:
        """As ``StateRules.event``."""
        return catalog_snapshot.event(_entry(record), self.naming)

    def candidate(self, ordinal: int, record: Record) -> Candidate:
        """As ``StateRules.candidate``."""
        entry = _entry(record)
        event = catalog_snapshot.event(entry, self.naming)
        about, digest, size = entry.table.shown, event.digest, len(event.body)
        known = entry_of(self.state, event.key)
        if size > self.max_event_bytes:
            reason = reason_too_large(self.max_event_bytes)
            return Candidate(ordinal=ordinal, about=about, status="refused", reason=reason)
        again = ordinal in self.forced
        if known.get("refused") == digest and not again and self.force not in ("refused", "all"):
            reason = "refused before; it is sent again when it changes"
            return Candidate(ordinal=ordinal, about=about, status="refused", reason=reason)
        if (
            self.force != "all"
            and not again
            and known.get("digest") == digest
            and known.get("table") == named(entry.table)
            and _day(known.get("accepted_at")) == self.at.astimezone(UTC).date().isoformat()
        ):
            return Candidate(ordinal=ordinal, about=about, status="accepted_before")
        return Candidate(ordinal=ordinal, about=about, size=size, digest=digest)

    def folded(self, records: Numbered, sent: Sent) -> State:
        """As ``StateRules.folded``."""
        state = dict(self.state)
        present: set[str] = set()
        for ordinal, record in records:
            entry = _entry(record)
            key = self.naming.of(entry.table).key
            present.add(key)
            if sent.holds(ordinal):
                folded = self._folded(entry, entry_of(state, key), ordinal, sent)
                if folded:
                    state[key] = folded
        return self.kept(state, present)

    def kept(self, state: State, present: Container[str]) -> State:
        """As ``StateRules.kept``: a table that is gone goes again when it is back."""
        if not self.complete:
            return state
        return {key: value for key, value in state.items() if key in present}

    def _folded(
        self, entry: TableEntry, before: dict[str, JsonValue], ordinal: int, sent: Sent
    ) -> dict[str, JsonValue]:
        """The key's new entry; empty for one that was never accepted."""
        digest = catalog_snapshot.event(entry, self.naming).digest
        if ordinal in sent.accepted:
            accepted_at = sent.accepted[ordinal].isoformat()
            known: dict[str, JsonValue] = {
                "table": named(entry.table),
                "type": catalog_snapshot.type_of(entry),
            }
            same = all(before.get(name) == value for name, value in known.items())
            return {
                **known,
                "digest": None if ordinal in sent.altered else digest,
                "accepted_at": accepted_at,
                "since": (before.get("since") if same else None) or accepted_at,
                "refused": None,
            }
        if ordinal in sent.refused:
            nothing = {"table": named(entry.table), "digest": None, "accepted_at": None}
            return {**nothing, **before, "refused": digest}
        return {**before, "digest": None, "refused": None} if before else {}


def _entry(record: Record) -> TableEntry:
    if not isinstance(record, TableEntry):
        msg = f"a catalog snapshot holds table entries, not {type(record).__name__}"
        raise TypeError(msg)
    return record


def _day(instant: JsonValue) -> str | None:
    """The UTC day of an instant in the state, as ISO text."""
    if not isinstance(instant, str):
        return None
    return datetime.fromisoformat(instant).astimezone(UTC).date().isoformat()
