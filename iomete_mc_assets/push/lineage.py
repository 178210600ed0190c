"""Which edges go: those whose tables Monte Carlo knows, a table edge once, a column edge each week. Rules 11 and 13."""

from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Literal, cast

from iomete_mc_assets.manifests.model import JsonValue
from iomete_mc_assets.manifests.receipts import Force, Status
from iomete_mc_assets.montecarlo.events import lineage
from iomete_mc_assets.montecarlo.events.event import Event
from iomete_mc_assets.montecarlo.events.lineage import Ref
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.push.candidates import (
    Candidate,
    Numbered,
    Sent,
    entry_of,
    instant_of,
    named,
    reason_too_large,
)
from iomete_mc_assets.push.ledger import State
from iomete_mc_assets.records import Evidence, LineageEdge, Record, TableId

REFRESHED_AFTER = timedelta(days=7)
"""Since a column edge was accepted. Monte Carlo forgets it after ten days."""

Missing = Literal["pending", "name_taken"]


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One table of an edge, as Monte Carlo has it.

    Attributes:
        since: accepted from then on, without a break.
    """

    ref: Ref
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """Why a table of an edge cannot be named."""

    status: Missing
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageRules:
    """One manifest's edges, and the kept ones of earlier hours.

    An entry of the state, the kept set: ``source`` and ``target`` (the tables' parts), ``columns`` (of
    both; None for a table edge), ``found_in``, ``last_seen`` (a UTC day, so that a quiet hour changes
    nothing), ``accepted_at`` (None before, and while that is in doubt), ``refused`` (a digest, or None).

    Attributes:
        catalog: the catalog flow's accepted state at this destination.
        at: when it was planned.
        delay: how long both tables must have been accepted.
        max_age: since a column edge was seen last.
        max_event_bytes: what one event may take.
        force: lets refused edges go again, or all of the manifest's.
        forced: ordinals that go again.
    """

    state: State
    catalog: State
    naming: Naming
    at: datetime
    delay: timedelta
    max_age: timedelta
    max_event_bytes: int
    force: Force | None = None
    forced: Container[int] = ()

    def event(self, record: Record) -> Event | None:
        """As ``StateRules.event``; None also while a table is not known."""
        edge = edge_of(record)
        if edge.kind == "indirect":
            return None
        source, target = self._end(edge.source), self._end(edge.target)
        if isinstance(source, Lack) or isinstance(target, Lack):
            return None
        return self._event(edge, source, target)

    def candidate(self, ordinal: int, record: Record) -> Candidate:
        """As ``StateRules.candidate``."""
        edge = edge_of(record)
        about = shown(edge)
        if edge.kind == "indirect":
            return Candidate(ordinal=ordinal, about=about, status="indirect")
        source, target = self._end(edge.source), self._end(edge.target)
        if isinstance(source, Lack) or isinstance(target, Lack):
            lack = source if isinstance(source, Lack) else cast("Lack", target)
            return Candidate(ordinal=ordinal, about=about, status=lack.status, reason=lack.reason)
        event = self._event(edge, source, target)
        since = max(source.since, target.since)
        again = self.force == "all" or ordinal in self.forced
        status, reason = self._left_out(edge, event, since=since, again=again)
        if status is not None:
            return Candidate(ordinal=ordinal, about=about, status=status, reason=reason)
        return Candidate(
            ordinal=ordinal,
            about=about,
            size=len(event.body),
            digest=event.digest,
            has_columns=edge.kind == "direct",
        )

    def _left_out(
        self, edge: LineageEdge, event: Event, *, since: datetime, again: bool
    ) -> tuple[Status | None, str]:
        """Why an edge between known tables does not go, and in words; None where it goes."""
        known = entry_of(self.state, event.key)
        direct = edge.kind == "direct"
        last_seen = _later(day_of(edge.last_seen), known.get("last_seen"))
        if direct and self._old(last_seen):
            return "too_old", f"not seen for {self.max_age.days} days"
        if len(event.body) > self.max_event_bytes:
            return "refused", reason_too_large(self.max_event_bytes)
        refused = known.get("refused") == event.digest
        if refused and not again and self.force != "refused":
            return "refused", "refused before; it is sent again when it changes"
        accepted_at = instant_of(known.get("accepted_at"))
        # what this hour left in doubt, a push of another may have had accepted since
        if self.force == "all" or accepted_at is None or (again and refused):
            return None, ""
        if (
            accepted_at < since
        ):  # one of its tables is another since then, or was deleted and is back
            goes = last_seen >= day_of(since)
        else:
            goes = direct and self._forgotten_soon(accepted_at)
        return (None if goes else "accepted_before"), ""

    def kept_due(self, present: Container[str]) -> Iterator[LineageEdge]:
        """Edges of the kept set that are to go now, but those that the manifest has itself."""
        for key in sorted(self.state):
            if key in present:
                continue
            edge = _kept_edge(entry_of(self.state, key))
            if replace(self, force=None, forced=()).candidate(-1, edge).status is None:
                yield edge

    def folded(self, records: Numbered, sent: Sent) -> State:
        """As ``StateRules.folded``: every edge is merged, whether it went or not."""
        state = dict(self.state)
        for ordinal, record in records:
            edge = edge_of(record)
            if edge.kind != "indirect":
                key = lineage.key_of(edge, self.naming)
                state[key] = self._folded(edge, entry_of(state, key), ordinal, sent)
        return self.kept(state, ())

    def kept(self, state: State, present: Container[str]) -> State:
        """As ``StateRules.kept``: without what nobody saw for long, unless it was accepted lately or is an accepted table edge."""
        del present
        return {key: value for key, value in state.items() if not self._to_drop(state, key)}

    def _to_drop(self, state: State, key: str) -> bool:
        entry = entry_of(state, key)
        accepted_at = instant_of(entry["accepted_at"])
        if accepted_at is not None and entry["columns"] is None:
            return False  # it never goes again, so it is never forgotten
        if accepted_at is not None and not self._forgotten_soon(accepted_at):
            return False  # seen again tomorrow, it needs no sending yet
        return self._old(str(entry["last_seen"]))

    def _forgotten_soon(self, accepted_at: datetime) -> bool:
        return self.at - accepted_at > REFRESHED_AFTER

    def _folded(
        self, edge: LineageEdge, before: dict[str, JsonValue], ordinal: int, sent: Sent
    ) -> dict[str, JsonValue]:
        accepted_at, refused = before.get("accepted_at"), before.get("refused")
        if ordinal in sent.accepted:
            altered = ordinal in sent.altered
            accepted_at = None if altered else sent.accepted[ordinal].isoformat()
            refused = None
        elif ordinal in sent.refused:
            event = self.event(edge)
            refused = event.digest if event else None
        elif ordinal in sent.doubtful:
            accepted_at = refused = None
        columns: list[JsonValue] = [edge.source_column, edge.target_column]
        return {
            "source": named(edge.source),
            "target": named(edge.target),
            "columns": columns if edge.kind == "direct" else None,
            "found_in": edge.found_in,
            "last_seen": _later(day_of(edge.last_seen), before.get("last_seen")),
            "accepted_at": accepted_at,
            "refused": refused,
        }

    def _old(self, last_seen: str) -> bool:
        return self.at.astimezone(UTC).date() - date.fromisoformat(last_seen) > self.max_age

    # Its tables at Monte Carlo

    def _event(self, edge: LineageEdge, source: End, target: End) -> Event:
        key = lineage.key_of(edge, self.naming)
        return lineage.event(edge, key, source=source.ref, target=target.ref)

    def _end(self, table: TableId) -> End | Lack:
        """The table as its accepted catalog entry spells it; why there is none else."""
        entry = entry_of(self.catalog, self.naming.of(table).key)
        since, kind = instant_of(entry.get("since")), entry.get("type")
        if since is None or kind not in ("TABLE", "VIEW") or not entry.get("accepted_at"):
            return Lack(status="pending", reason=f"{table.shown} has no accepted catalog entry yet")
        spelled = _table(entry["table"])
        if spelled.folded != table.folded:
            reason = f"{spelled.shown} has the name of {table.shown} at Monte Carlo"
            return Lack(status="name_taken", reason=reason)
        if self.at - since < self.delay:
            minutes = round(self.delay.total_seconds() / 60)
            reason = f"{table.shown} was accepted less than {minutes} minutes before"
            return Lack(status="pending", reason=reason)
        return End(ref=Ref(name=self.naming.of(spelled), type=kind), since=since)


def edge_of(record: Record) -> LineageEdge:
    """The record as what the flow holds.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(record, LineageEdge):
        msg = f"lineage holds edges, not {type(record).__name__}"
        raise TypeError(msg)
    return record


def shown(edge: LineageEdge) -> str:
    """For people."""
    source, target = edge.source.shown, edge.target.shown
    if edge.source_column is None or edge.target_column is None:
        return f"{source} to {target}"
    return f"{source}.{edge.source_column} to {target}.{edge.target_column}"


def day_of(instant: datetime) -> str:
    """The UTC day as the kept set has it."""
    return instant.astimezone(UTC).date().isoformat()


def _later(day: str, other: JsonValue) -> str:
    return max(day, other) if isinstance(other, str) else day


def _table(parts: JsonValue) -> TableId:
    catalog, *namespace, table = cast("list[str]", parts)
    return TableId(catalog, tuple(namespace), table)


def _kept_edge(entry: dict[str, JsonValue]) -> LineageEdge:
    """An edge of the kept set; nobody saw it in the hour that carries it."""
    source_column, target_column = cast("list[str | None]", entry["columns"] or [None, None])
    return LineageEdge(
        source=_table(entry["source"]),
        target=_table(entry["target"]),
        kind="table" if entry["columns"] is None else "direct",
        source_column=source_column,
        target_column=target_column,
        found_in=cast("Evidence", entry["found_in"]),
        times_seen=0,
        last_seen=datetime.fromisoformat(str(entry["last_seen"])).replace(tzinfo=UTC),
    )
