"""One text, statement by statement: the edges it makes and the session it leaves behind. No processes, no limits.

What may be read at all is decided before, in ``guards`` and by who asks.
"""

from collections.abc import Callable, Mapping

from sqlglot import exp

from iomete_mc_assets.collectors.lineage import changes, sessions, syntax, writes
from iomete_mc_assets.collectors.lineage.guards import READS_ONLY, WITHOUT_LINEAGE
from iomete_mc_assets.collectors.lineage.model import Reading, Session, TableKey
from iomete_mc_assets.collectors.lineage.state import State
from iomete_mc_assets.collectors.lineage.syntax import NotUnderstood, Tokens
from iomete_mc_assets.collectors.lineage.tables import Catalog
from iomete_mc_assets.collectors.lineage.trees import Node

_RELATION = frozenset({"TABLE", "VIEW"})
_QUERY = frozenset({"AS", "SELECT", "WITH"})


def read_text(
    text: str, session: Session, catalog: Catalog, *, tables_only: bool = False
) -> Reading:
    """What the statements of one text say, in order."""
    state = State.begin(session, catalog, tables_only=tables_only)
    tokens = syntax.tokens_of(text)
    if tokens is None:
        state.skipped["cannot be cut into tokens"] += 1
    for statement in syntax.statements(tokens or ()):
        try:
            _read(statement, text, state)
        except (NotUnderstood, RecursionError):
            state.skipped["not understood"] += 1
    return state.reading


def read_view(
    text: str, target: TableKey, session: Session, catalog: Catalog, *, tables_only: bool = False
) -> Reading:
    """What the text of a persistent view says; its columns are called as the catalog lists them."""
    state = State.begin(session, catalog, tables_only=tables_only)
    tokens = syntax.tokens_of(text)
    names = [name for name, _ in catalog.tables.get(target, ())]
    if not tokens:
        state.skipped["cannot be cut into tokens"] += 1
        return state.reading
    try:
        writes.fill(_tree(tokens, text, state), target, names, state)
        state.statements = 1
    except (NotUnderstood, RecursionError):
        state.skipped["not understood"] += 1
    return state.reading


def _read(tokens: Tokens, text: str, state: State) -> None:
    """One statement."""
    if _says_nothing(tokens):
        return
    first, second = syntax.words(tokens, 2)
    if first == "USE":
        sessions.use(tokens, state)
    elif first == "SET":
        sessions.set_(tokens, text, state)
    elif (first, second) == ("ALTER", "TABLE"):
        sessions.alter_table(tokens, state)
    else:
        _act(_tree(tokens, text, state), state)


def _says_nothing(tokens: Tokens) -> bool:
    words = syntax.words(tokens, 8)
    first = words[0].partition(" ")[0]  # sqlglot takes some pairs of words for one, as ADD JAR
    if first in READS_ONLY or first in WITHOUT_LINEAGE:
        return True
    if first in {"CREATE", "DROP", "ALTER"} and _RELATION.isdisjoint(words):
        return True
    if first == "INSERT":
        return "DIRECTORY" in words[2:4]
    needs_query = first == "CACHE" or words[:2] == ["ALTER", "VIEW"]
    return needs_query and _QUERY.isdisjoint(token.text.upper() for token in tokens)


def _tree(tokens: Tokens, text: str, state: State) -> Node:
    said = syntax.rewritten(tokens, text, quoted_names=state.session.quoted_names)
    return syntax.tree(said, text)


def _act(tree: Node, state: State) -> None:
    act = _ACTS.get(type(tree))
    if act is not None:
        act(tree, state)
        state.statements += 1
    elif not isinstance(tree, exp.Query):
        raise NotUnderstood


_ACTS: Mapping[type, Callable[[Node, State], None]] = {
    exp.Cache: sessions.cache,
    exp.Create: writes.create,
    exp.Delete: changes.delete,
    exp.Drop: sessions.drop,
    exp.Insert: writes.insert,
    exp.Merge: changes.merge,
    exp.MultitableInserts: writes.multi_insert,
    exp.Update: changes.update,
}
