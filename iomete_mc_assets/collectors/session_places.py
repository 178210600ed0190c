"""Where a session's unqualified names belong, as its USE and SET CATALOG statements say. Reads no rows and no files."""

import re
from collections import OrderedDict
from dataclasses import dataclass, field, replace

from iomete_mc_assets.collectors.query_text import bare_text

MAX_SESSIONS = 20_000
"""Followed at a time; of one that was quiet for longest nothing is known any more."""

_SWITCHES = re.compile(
    r"(?:USE\s+(?:(?:NAMESPACE|DATABASE|SCHEMA)\s+)?(?P<use>.+?)|SET\s+CATALOG\s+(?P<set>.+?))\s*;?\s*",
    re.IGNORECASE | re.DOTALL,
)
_PART = re.compile(r"`((?:[^`]|``)+)`|([^.`\s'\"]+)|['\"]([^'\"]+)['\"]")
_NAME = re.compile(
    r"""(?:`(?:[^`]|``)++`|[\w-]+)(?:\.(?:`(?:[^`]|``)++`|[\w-]+))*|'[^'"\\]+'|"[^'"\\]+\""""
)
_SWITCHED = re.compile(
    r"SetCatalogAndNamespace [\w.$]*CatalogManager@[0-9a-f]+, (?P<catalog>[^,]+), \w+\((?P<namespace>[^)\n]*)\)"
)


@dataclass(frozen=True, slots=True)
class Place:
    """What a session's statements take unqualified names for; None where nothing has told it."""

    catalog: str | None = None
    database: str | None = None


UNTOLD = Place()


def switches(text: str) -> bool:
    """Whether a statement moves its session elsewhere, should it succeed."""
    return _SWITCHES.fullmatch(bare_text(text)) is not None


def switched(text: str, plan: str | None, *, before: Place, catalogs: frozenset[str]) -> Place:
    """Where a session is after a USE or SET CATALOG that succeeded.

    Args:
        text: of the statement.
        plan: what Spark logged of it; it names catalog and namespace.
        before: where the session was.
        catalogs: known ones, folded: without a plan nothing else tells a catalog from a database.
    """
    if plan is not None and (said := _SWITCHED.search(plan)):
        return Place(said["catalog"], said["namespace"].replace(", ", ".") or None)
    words = _SWITCHES.fullmatch(bare_text(text))
    if words is None:
        return before
    if _NAME.fullmatch(words["set"] or words["use"]) is None:
        return UNTOLD  # a name that is computed, or with a comment behind it
    if words["set"] is not None:
        return Place(".".join(_parts(words["set"])))
    parts = _parts(words["use"])
    if parts and parts[0].casefold() in catalogs:
        return Place(parts[0], ".".join(parts[1:]) or None)
    return replace(before, database=".".join(parts))


@dataclass(frozen=True, slots=True)
class _Move:
    """A switch, and where it led."""

    began_us: int
    ended_us: int
    place: Place


@dataclass(slots=True)
class SessionPlaces:
    """The sessions of an hour, whose statements come in the order of their ends."""

    catalogs: frozenset[str]
    _moves: OrderedDict[str, tuple[_Move, ...]] = field(
        default_factory=OrderedDict[str, tuple[_Move, ...]]
    )

    def move(self, session: str, text: str, *, began_us: int, ended_us: int) -> None:
        """A switch succeeded."""
        moves = self._moves.pop(session, ())
        before = moves[-1].place if moves else UNTOLD
        place = switched(text, None, before=before, catalogs=self.catalogs)
        if moves and (moves[-1].began_us, moves[-1].ended_us) == (began_us, ended_us):
            place = place if place == before else UNTOLD  # nothing tells which came first
        self._moves[session] = (*moves[-1:], _Move(began_us, ended_us, place))
        if len(self._moves) > MAX_SESSIONS:
            self._moves.popitem(last=False)

    def lose(self, session: str) -> None:
        """It may have gone anywhere."""
        self._moves.pop(session, None)

    def at(self, session: str, *, began_us: int, ended_us: int) -> Place:
        """Where a statement's names belong: what the switch before its beginning said.

        A statement shorter than the log's clock tells is not placed: a switch may have come before or after it.
        """
        if began_us == ended_us:
            return UNTOLD
        for move in reversed(self._moves.get(session, ())):
            if move.ended_us <= began_us:
                return move.place
        return UNTOLD


def _parts(name: str) -> list[str]:
    return [
        quoted.replace("``", "`") if quoted else bare or other
        for quoted, bare, other in _PART.findall(name)
    ]
