"""Lineage nodes and edges made by hand at Monte Carlo: what is there, what would change, and each change. Prints nothing.

Everything is looked up first, so a second run changes nothing. Pushed lineage is never touched.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from iomete_mc_assets.errors import (
    ApiUnavailable,
    ControlPlaneError,
    OperationRefused,
    SettingsError,
)
from iomete_mc_assets.manifests.lineage_by_hand import EDGE_CALLS, VERSION, EdgeCall
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo import lineage_graph as graph
from iomete_mc_assets.montecarlo.control_plane import Api
from iomete_mc_assets.montecarlo.events.lineage import is_between
from iomete_mc_assets.montecarlo.lineage_graph import Direction, Place, Surroundings
from iomete_mc_assets.push.candidates import entry_of
from iomete_mc_assets.push.config import Destination
from iomete_mc_assets.push.ledger import Log

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""How Monte Carlo is told that something does not expire. Source: the push-ingestion skill."""
PUSHED_TYPES = ("table", "view", "external")
"""Nodes that come by pushes and collection."""
SAME = timedelta(seconds=1)
"""Between an expiry as asked for and as answered."""

Verdict = Literal["make", "change", "keep", "remove", "gone", "refuse"]
"""``gone``: nothing is there to be removed."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A node as people write it, e.g. ``report:weekly`` or ``table:sales:default.orders``."""

    object_type: str
    object_id: str

    def __str__(self) -> str:
        return f"{self.object_type}:{self.object_id}"

    @classmethod
    def read(cls, text: str) -> "Ref":
        """From that text.

        Raises:
            SettingsError: it is another.
        """
        kind, colon, object_id = text.strip().partition(":")
        if not colon or not kind or not object_id or "++" in text:
            msg = (
                f"{text!r} names no lineage node. It takes TYPE:ID, e.g. report:weekly for one made by hand, or "
                "table:sales:default.orders and view:sales:default.totals for tables as Monte Carlo shows them."
            )
            raise SettingsError(msg)
        return cls(kind.lower(), object_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeWish:
    """A node somebody wants, or wants gone.

    Attributes:
        name: as shown to people; None takes the id.
    """

    ref: Ref
    name: str | None = None
    expire_at: datetime = NEVER

    def __str__(self) -> str:
        return f"node {self.ref}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeWish:
    """An edge somebody wants, or wants gone."""

    source: Ref
    destination: Ref
    expire_at: datetime = NEVER

    def __str__(self) -> str:
        return f"edge {self.source} -> {self.destination}"


Wish = NodeWish | EdgeWish


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of a wish, and why."""

    wish: Wish
    verdict: Verdict
    text: str


def told(expire_at: datetime | None) -> str:
    """An expiry out loud."""
    if expire_at is None:
        return "Monte Carlo does not say when it expires"
    if expire_at >= NEVER:
        return "does not expire"
    return f"expires {expire_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


class ByHand:
    """One warehouse's lineage by hand; each node is asked about once until something changes.

    Attributes:
        record: the newest call of each edge that was made from this store, by the MCONs of its ends.
    """

    def __init__(
        self, api: Api, store: ManifestStore, destination: Destination, *, now: datetime
    ) -> None:
        """Read the record and what was pushed; one question.

        Raises:
            ControlPlaneError: as ``Api.ask``.
            LedgerBusy: the ledger of pushed lineage cannot be read.
        """
        self._api, self._store, self._now = api, store, now
        self._warehouse = destination.resource_uuid.lower()
        ledger = Log(store.storage, f"lineage/ledger/{destination.id}")
        self._pushed = ledger.state(ledger.head())
        self._account = graph.account(api)
        self._calls = 0
        self._seen: dict[tuple[str, Direction], Surroundings] = {}
        self.record: dict[tuple[str, str], EdgeCall] = {}
        for call in EDGE_CALLS.read_all(store.storage):
            if call.warehouse == self._warehouse and call.made is not False:
                self.record[call.source.casefold(), call.destination.casefold()] = call

    # What would become of wishes. Nothing here changes anything.

    def adding(self, wishes: Iterable[Wish]) -> list[Step]:
        """What adding them would do."""
        return [
            self._adding_node(one) if isinstance(one, NodeWish) else self._adding_edge(one)
            for one in wishes
        ]

    def removing(self, wishes: Iterable[Wish]) -> list[Step]:
        """What removing them would do."""
        return [
            self._removing_node(one) if isinstance(one, NodeWish) else self._removing_edge(one)
            for one in wishes
        ]

    def showing(self, wishes: Iterable[Wish]) -> list[Step]:
        """What is there; ``keep`` for what Monte Carlo shows, ``gone`` for the rest."""
        return [
            self._showing_node(one) if isinstance(one, NodeWish) else self._showing_edge(one)
            for one in wishes
        ]

    def _adding_node(self, wish: NodeWish) -> Step:
        if wish.ref.object_type in PUSHED_TYPES:
            text = f"a {wish.ref.object_type} comes to Monte Carlo by pushes, never by hand"
            return Step(wish, "refuse", text)
        node = self._around(wish.ref, "downstream").node
        if node is None:
            return Step(wish, "make", told(wish.expire_at))
        if not node.custom:
            return Step(wish, "refuse", "Monte Carlo shows it already, and nobody made it by hand")
        changes: list[str] = []
        if wish.name is not None and node.name != wish.name:
            changes.append(f"is named {node.name!r}, will be {wish.name!r}")
        if not _same(node.expire_at, wish.expire_at):
            changes.append(f"{told(node.expire_at)}, will be: {told(wish.expire_at)}")
        if changes:
            return Step(wish, "change", "; ".join(changes))
        return Step(wish, "keep", told(node.expire_at))

    def _adding_edge(self, wish: EdgeWish) -> Step:
        if self._ends(wish)[0] == self._ends(wish)[1]:
            return Step(wish, "refuse", "it leads from a node to itself, which is no lineage")
        for ref in (wish.source, wish.destination):
            if self._around(ref, _towards(wish, ref)).node is None:
                how = "push it" if ref.object_type in PUSHED_TYPES else "add the node"
                return Step(wish, "refuse", f"Monte Carlo shows no node {ref}; {how} first")
        call = self._call(wish)
        if not self._shown(wish) or self._removed(wish):
            return Step(wish, "make", told(wish.expire_at))
        if call is None:
            text = "Monte Carlo shows it already, from a push or from queries; it needs no help"
            return Step(wish, "keep", text)
        if not _same(call.expire_at, wish.expire_at):
            text = f"{told(call.expire_at)}, will be: {told(wish.expire_at)}"
            return Step(wish, "change", text)
        return Step(wish, "keep", told(call.expire_at))

    def _removing_node(self, wish: NodeWish) -> Step:
        below, above = self._around(wish.ref, "downstream"), self._around(wish.ref, "upstream")
        if below.node is None:
            return Step(wish, "gone", "Monte Carlo shows no such node")
        if not below.node.custom:
            text = "nobody made it by hand; dropped tables go with `iomete-mc tables delete`"
            return Step(wish, "refuse", text)
        edges = len(below.beside) + len(above.beside)
        return Step(wish, "remove", f"with its {edges} edge{'' if edges == 1 else 's'}")

    def _removing_edge(self, wish: EdgeWish) -> Step:
        call, shown = self._call(wish), self._shown(wish)
        if not shown:
            return Step(wish, "gone", "Monte Carlo shows no such edge")
        if call is None:
            text = (
                "it was pushed, or comes from queries, or was made elsewhere: this store has no record of having "
                "made it, and Monte Carlo can delete no single edge. A pushed table edge goes with its table; a "
                "custom one made elsewhere can be removed with the store that made it, or with its node"
            )
            return Step(wish, "refuse", text)
        if self._was_pushed(wish):
            text = (
                "it was made by hand, and this store has pushed it too: Monte Carlo can delete no single edge, and "
                "would go on showing the pushed one. That goes with its table"
            )
            return Step(wish, "refuse", text)
        return Step(
            wish, "remove", "its expiry is set to now, as Monte Carlo has no deletion of edges"
        )

    def _showing_node(self, wish: NodeWish) -> Step:
        below, above = self._around(wish.ref, "downstream"), self._around(wish.ref, "upstream")
        if below.node is None:
            return Step(wish, "gone", "Monte Carlo shows no such node")
        kind = (
            f"made by hand, {told(below.node.expire_at)}"
            if below.node.custom
            else "not made by hand"
        )
        beside = f"{len(above.beside)} upstream, {len(below.beside)} downstream"
        return Step(wish, "keep", f"{below.node.name!r}: {kind}; {beside}")

    def _showing_edge(self, wish: EdgeWish) -> Step:
        call = self._call(wish)
        if not self._shown(wish):
            ended = f", made by hand, {told(call.expire_at)}" if call else ""
            return Step(wish, "gone", f"Monte Carlo shows no such edge{ended}")
        if call is None:
            return Step(wish, "keep", "shown; not made by hand from this store")
        return Step(wish, "keep", f"shown; made by hand, {told(call.expire_at)}")

    def on_record(self) -> list[EdgeWish]:
        """Every edge that was made from this store, and not removed from here since."""
        return [
            EdgeWish(
                source=_ref(call.source),
                destination=_ref(call.destination),
                expire_at=call.expire_at,
            )
            for call in self.record.values()
            if not (call.removes and call.made)
        ]

    # What is there.

    def _place(self, ref: Ref) -> Place:
        return Place(
            warehouse=self._warehouse, object_type=ref.object_type, object_id=ref.object_id
        )

    def _mcon(self, ref: Ref) -> str:
        return self._place(ref).mcon(self._account)

    def _around(self, ref: Ref, direction: Direction) -> Surroundings:
        key = (self._mcon(ref), direction)
        if key not in self._seen:
            self._seen[key] = graph.surroundings(self._api, *key)
        return self._seen[key]

    def _shown(self, wish: EdgeWish) -> bool:
        """Whether either end names the other; one alone may have more neighbours than are told."""
        source, destination = self._mcon(wish.source), self._mcon(wish.destination)
        return (
            destination.casefold() in self._around(wish.source, "downstream").beside
            or source.casefold() in self._around(wish.destination, "upstream").beside
        )

    def _call(self, wish: EdgeWish) -> EdgeCall | None:
        """How the edge was made from here; None when it was not, or was removed since."""
        return None if self._removed(wish) else self.record.get(self._ends(wish))

    def _was_pushed(self, wish: EdgeWish) -> bool:
        """Whether Monte Carlo accepted it from this store, before or after it was made by hand."""
        source, target = wish.source.object_id, wish.destination.object_id
        return any(
            is_between(key, source, target) and entry_of(self._pushed, key).get("accepted_at")
            for key in self._pushed
        )

    def _removed(self, wish: EdgeWish) -> bool:
        """Whether it was made from here, and removed for certain; what is shown after that is another's, or late."""
        call = self.record.get(self._ends(wish))
        return call is not None and call.removes and call.made is True

    def _ends(self, wish: EdgeWish) -> tuple[str, str]:
        return self._mcon(wish.source).casefold(), self._mcon(wish.destination).casefold()

    # The changes.

    def do(self, step: Step) -> bool:
        """Make, change or remove what a step says; whether Monte Carlo shows it so.

        Raises:
            ControlPlaneError: as ``Api.ask``; after an unknown outcome the same command looks first.
            OperationRefused: Monte Carlo answers with another expiry, or deleted nothing.
        """
        self._seen.clear()
        removing = step.verdict == "remove"
        if isinstance(step.wish, NodeWish):
            if removing:
                return self._drop_node(step.wish)
            return self._put_node(step.wish)
        if removing:
            self._put_edge(replace(step.wish, expire_at=self._now))
            return not self._shown(step.wish)
        self._put_edge(step.wish)
        return self._shown(step.wish)

    def _put_node(self, wish: NodeWish) -> bool:
        answered = graph.put_node(
            self._api,
            self._place(wish.ref),
            name=wish.name or wish.ref.object_id,
            expire_at=_sent(wish.expire_at),
            mcon=self._mcon(wish.ref),
        )
        _refuse_other(wish, answered)
        return self._around(wish.ref, "downstream").node is not None

    def _drop_node(self, wish: NodeWish) -> bool:
        if not graph.drop_node(self._api, self._mcon(wish.ref)):
            msg = f"Monte Carlo deleted nothing of {wish}. Look at it there."
            raise OperationRefused(msg)
        return self._around(wish.ref, "downstream").node is None

    def _put_edge(self, wish: EdgeWish) -> None:
        """On record before it is asked for: an edge without a record could never be removed again."""
        self._calls += 1
        name = f"{self._now:%Y-%m-%dT%H%M%S%f}-{self._calls:05d}-{secrets.token_hex(4)}"
        source, destination = self._mcon(wish.source), self._mcon(wish.destination)
        call = EdgeCall(
            schema_version=VERSION,
            warehouse=self._warehouse,
            source=source,
            destination=destination,
            expire_at=wish.expire_at,
            asked_at=self._now,
        )
        EDGE_CALLS.write(self._store.storage, name, call)
        try:
            answered = graph.put_edge(
                self._api,
                self._place(wish.source),
                self._place(wish.destination),
                expire_at=_sent(wish.expire_at),
            )
        except ControlPlaneError as error:
            if not (isinstance(error, ApiUnavailable) and error.unknown):
                EDGE_CALLS.write(self._store.storage, name, replace(call, made=False))
            raise
        made = replace(call, made=True)
        EDGE_CALLS.write(self._store.storage, name, made)
        self.record[self._ends(wish)] = made
        _refuse_other(wish, answered)


def _towards(wish: EdgeWish, ref: Ref) -> Direction:
    """The direction in which an end is asked about, so that one question serves both."""
    return "downstream" if ref == wish.source else "upstream"


def _ref(mcon: str) -> Ref:
    _, _, _, object_type, object_id = mcon.split("++", 4)
    return Ref(object_type, object_id)


def _sent(expire_at: datetime) -> str:
    return "9999-12-31" if expire_at >= NEVER else expire_at.isoformat()


def _same(shown: datetime | None, wanted: datetime) -> bool:
    return shown is not None and (min(shown, NEVER) == wanted or abs(shown - wanted) < SAME)


def _refuse_other(wish: Wish, answered: datetime | None) -> None:
    if not _same(answered, wish.expire_at):
        msg = (
            f"Monte Carlo took the {wish}, and says that it {told(answered)} where it was told: "
            f"{told(wish.expire_at)}. Look at it there."
        )
        raise OperationRefused(msg)
