"""What a flow decides about each record before anything is sent. How flows decide lives in their modules."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from iomete_mc_assets.manifests.model import JsonValue
from iomete_mc_assets.manifests.receipts import NO_ORDINALS, Ordinals, Status
from iomete_mc_assets.montecarlo.events.event import Event, Note
from iomete_mc_assets.push.ledger import State
from iomete_mc_assets.records import Record, TableId

Numbered = Iterable[tuple[int, Record]]
"""Records with their ordinals, ascending."""


class Candidate(NamedTuple):
    """One record and its fate. A tuple, as ``Event`` is one.

    Attributes:
        ordinal: of the record in its manifest.
        about: the table or query, for people.
        status: why it is left out; None when it goes.
        reason: of a status that does not explain itself; else empty.
        size, digest: of its event; 0 and empty when it is left out before one was built.
        has_columns: of a lineage event with columns, which gives its request another type.
        body: of its event, kept where sending it soon saves reading its record again; None else.
    """

    ordinal: int
    about: str
    status: Status | None = None
    reason: str = ""
    size: int = 0
    digest: str = ""
    notes: tuple[Note, ...] = ()
    body: bytes | None = None
    has_columns: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of a plan's records, for folding into the accepted state.

    Attributes:
        accepted: instant of acceptance by ordinal.
        altered: accepted ordinals whose event would be another one today (after an upgrade).
        refused: ordinals.
        doubtful: instant of the last send by ordinal.
    """

    accepted: Mapping[int, datetime]
    altered: frozenset[int]
    refused: Ordinals
    doubtful: Mapping[int, datetime]

    @classmethod
    def nothing(cls) -> "Sent":
        """Before anything went."""
        return cls(accepted={}, altered=frozenset(), refused=NO_ORDINALS, doubtful={})

    def holds(self, ordinal: int) -> bool:
        """Whether the record went out."""
        return ordinal in self.accepted or ordinal in self.refused or ordinal in self.doubtful


class StateRules(Protocol):
    """A state flow's rules for one manifest, given the accepted state before it."""

    def event(self, record: Record) -> Event | None:
        """The event exactly as sent; None where there is nothing to say. The same at every call."""
        ...

    def candidate(self, ordinal: int, record: Record) -> Candidate:
        """What becomes of a record, but for a name that another table takes."""
        ...

    def kept(self, state: State, present: Container[str]) -> State:
        """The part of a state that stays, given the keys that the manifest has."""
        ...

    def folded(self, records: Numbered, sent: Sent) -> State:
        """The accepted state with what was sent."""
        ...


def table_of(record: Record) -> TableId:
    """Whose record it is, of a flow about tables."""
    table = getattr(record, "table", None)
    if not isinstance(table, TableId):
        msg = f"{type(record).__name__} is not about a table"
        raise TypeError(msg)
    return table


def is_called(table: TableId, name: str) -> bool:
    """Whether somebody's database.table, with its catalog or without, is this one."""
    spelled = (table.shown, ".".join((*table.namespace, table.table)))
    return name.casefold() in [one.casefold() for one in spelled]


def reason_too_large(limit: int) -> str:
    """Why an event that alone exceeds the cap is not sent."""
    return f"larger than a request may be ({limit:,} bytes for one event)"


def entry_of(state: State, key: str) -> dict[str, JsonValue]:
    """One key's entry; empty without."""
    entry = state.get(key)
    return entry if isinstance(entry, dict) else {}


def instant_of(value: JsonValue) -> datetime | None:
    """An instant in an entry; None without one."""
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def named(table: TableId) -> list[JsonValue]:
    """A table's parts as an entry keeps them: which table was accepted under a name."""
    return [table.catalog, *table.namespace, table.table]
