"""What a catalog lists differently from an earlier hour. Pure: two listings in, changes out.

Compared is only what both listings answered: a table that one of them could not read or left out did not change.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import get_args

from iomete_mc_assets.collectors.surveying import NOTED, Survey
from iomete_mc_assets.manifests.model import CHANGE_SAMPLE, Changes
from iomete_mc_assets.records import Change, ChangeKind, Column, Omission, TableEntry, TableId
from iomete_mc_assets.windows import HourWindow

DATABASES = "databases"
"""In a catalog's collector state: those that were listed, answered or not."""
SHOWN_CHARACTERS = 200
"""Of a type or comment: a header is read whole, and a struct of 400 fields is longer than all else in it."""
KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)
"""In the order in which they are listed."""

Pair = tuple[TableEntry, TableEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierCatalog:
    """A known catalog manifest of an earlier hour.

    Attributes:
        catalogs: which were listed.
        databases: those listed in them, as shown to people.
        silent: scopes of everything that it could not tell; None where it does not list them all.
    """

    manifest_id: str
    window: HourWindow
    catalogs: tuple[str, ...]
    databases: frozenset[str]
    entries: tuple[TableEntry, ...]
    silent: frozenset[str] | None


def changes_since(
    before: EarlierCatalog | None, found: Survey, *, catalogs: Collection[str]
) -> Changes:
    """What changed between two listings; no claim where they cannot be compared.

    Args:
        before: the newest known one of an earlier hour; None without one.
        found: the catalogs as they are now.
        catalogs: which were listed now.
    """
    if before is None:
        return Changes(since=None, reason="there is no earlier catalog to compare with")
    if before.silent is None:
        reason = f"the catalog of {before.window.key} does not list all that it could not read"
        return Changes(since=None, reason=reason)
    silent = before.silent | silent_scopes(found.omissions)
    left_out = {name for name, kind in found.left_out.items() if kind != "temporary view"}
    both = set(before.catalogs) & set(catalogs)
    old = _comparable(before.entries, catalogs=both, without=silent | left_out)
    new = _comparable(found.entries, catalogs=both, without=silent | left_out)
    untold = silent_scopes(found.omissions) | left_out
    gone = _databases_gone(before, found.databases, catalogs=both, untold=untold)
    changes = sorted((*_changes(old, new), *gone), key=_order)
    counts = Counter(change.kind for change in changes)
    return Changes(
        since=before.window,
        reason=_why_not_everything(silent, both ^ {*before.catalogs, *catalogs}),
        counts={kind: counts[kind] for kind in KINDS},
        sample=tuple(changes[:CHANGE_SAMPLE]),
    )


def database_names(entries: Iterable[TableEntry]) -> Counter[str]:
    """The databases that tables lie in, as shown to people, and how many lie there."""
    tables = (entry.table for entry in entries)
    return Counter(".".join((table.catalog, *table.namespace)) for table in tables)


def _databases_gone(
    before: EarlierCatalog,
    databases: Iterable[str],
    *,
    catalogs: Collection[str],
    untold: Collection[str],
) -> Iterator[Change]:
    """Believed where the listing that lacks them succeeded; one that was denied before may be gone as well."""
    tables = database_names(before.entries)
    listed = {name.casefold() for name in databases}
    for name in before.databases:
        parts = name.split(".")
        above = {".".join(parts[: n + 1]) for n in range(len(parts))}
        if parts[0] in catalogs and name.casefold() not in listed and above.isdisjoint(untold):
            known = f"{tables[name]} tables and views" if tables[name] else None
            yield Change(kind="database dropped", scope=name, before=known)


def silent_scopes(omissions: Iterable[Omission]) -> frozenset[str]:
    """What a listing could not tell; not what it told with something to say about it."""
    return frozenset(one.scope for one in omissions if one.question not in NOTED)


def _why_not_everything(silent: Collection[str], catalogs: Collection[str]) -> str | None:
    lacking = sorted({*silent, *catalogs})
    if not lacking:
        return None
    more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
    return f"not compared, because one of the two hours does not tell: {lacking[0]}{more}"


def _comparable(
    entries: Iterable[TableEntry], *, catalogs: Collection[str], without: Collection[str]
) -> dict[TableId, TableEntry]:
    return {
        entry.table: entry
        for entry in entries
        if entry.table.catalog in catalogs and not any(s in without for s in _scopes(entry.table))
    }


def _scopes(table: TableId) -> Iterator[str]:
    """The names that stand for a table and for all it lies in."""
    scope = table.catalog
    yield scope
    for part in (*table.namespace, table.table):
        scope = f"{scope}.{part}"
        yield scope


def _order(change: Change) -> tuple[int, str]:
    return KINDS.index(change.kind), change.scope


def _changes(old: dict[TableId, TableEntry], new: dict[TableId, TableEntry]) -> Iterator[Change]:
    """A uuid says which table it is, whatever name it has by now; what shows none is known by its name."""
    gone, come = [*old.values()], [*new.values()]
    for before, after in _matched(gone, come, _uuid):
        if _folded(before) != _folded(after):
            names = before.table.shown, after.table.shown
            yield _change("table renamed", after, before=names[0], after=names[1])
        yield from _differences(before, after)
    for key in (_name, _folded):
        for before, after in _matched(gone, come, key):
            yield from _differences(before, after)
    yield from (_change("table dropped", entry) for entry in gone)
    yield from (_change("table added", entry) for entry in come)


def _name(entry: TableEntry) -> TableId:
    return entry.table


def _folded(entry: TableEntry) -> tuple[str, ...]:
    """An upgrade of the lakehouse can change the case that is shown."""
    return entry.table.folded


def _uuid(entry: TableEntry) -> str | None:
    """A rename keeps it; v2 catalogs do not show it, so there a rename is a drop and an addition."""
    return None if entry.state is None else entry.state.uuid


def _matched(
    gone: list[TableEntry], come: list[TableEntry], key: Callable[[TableEntry], object]
) -> list[Pair]:
    """Takes out of both what is one table by its key; a key that several share (a copy's uuid) tells nothing."""
    before, after = _unique(gone, key), _unique(come, key)
    pairs = [(before[one], after[one]) for one in before if one in after]
    taken = {pair[0].table for pair in pairs}, {pair[1].table for pair in pairs}
    gone[:] = [entry for entry in gone if entry.table not in taken[0]]
    come[:] = [entry for entry in come if entry.table not in taken[1]]
    return pairs


def _unique(
    entries: Iterable[TableEntry], key: Callable[[TableEntry], object]
) -> dict[object, TableEntry]:
    found: dict[object, list[TableEntry]] = {}
    for entry in entries:
        found.setdefault(key(entry), []).append(entry)
    return {one: same[0] for one, same in found.items() if one is not None and len(same) == 1}


def _differences(before: TableEntry, after: TableEntry) -> Iterator[Change]:
    """Between two listings of one name; column order and properties are not looked at."""
    if before == after:
        return
    uuids = (_uuid(before), _uuid(after))
    if before.kind != after.kind or (None not in uuids and uuids[0] != uuids[1]):
        yield _change("table re-created", after)
    yield from _comments(after, (), before.comment, after.comment)
    old = {column.name: column for column in before.columns}
    new = {column.name: column for column in after.columns}
    for name, column in new.items():
        was = old.get(name)
        if was is None:
            yield _change("column added", after, name, after=column.type)
        else:
            yield from _retyped(after, was, column)
            yield from _comments(after, (name,), was.comment, column.comment)
            yield from _inner_comments(after, was, column)
    for name in old.keys() - new:
        yield _change("column dropped", after, name, before=old[name].type)


def _retyped(entry: TableEntry, before: Column, after: Column) -> Iterator[Change]:
    """Another type, or NOT NULL come or gone where both listings show it (DESCRIBE does not)."""
    shows_null = None not in (before.required, after.required)
    if before.type != after.type or (shows_null and before.required != after.required):
        yield _change("column retyped", entry, after.name, before=_type(before), after=_type(after))


def _type(column: Column) -> str:
    return f"{column.type} NOT NULL" if column.required else column.type


def _comments(
    entry: TableEntry, column: tuple[str, ...], before: str | None, after: str | None
) -> Iterator[Change]:
    if before != after:
        yield _change("comment changed", entry, *column, before=before, after=after)


def _inner_comments(entry: TableEntry, before: Column, after: Column) -> Iterator[Change]:
    """Comments inside a nested column; the scope is the field."""
    old, new = dict(before.field_comments), dict(after.field_comments)
    for path in [*old, *(path for path in new if path not in old)]:
        yield from _comments(entry, (after.name, path), old.get(path), new.get(path))


def _change(
    kind: ChangeKind,
    entry: TableEntry,
    *column: str,
    before: str | None = None,
    after: str | None = None,
) -> Change:
    scope = ".".join((entry.table.shown, *column))
    return Change(kind=kind, scope=scope, before=_cut(before), after=_cut(after))


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= SHOWN_CHARACTERS:
        return text
    return f"{text[: SHOWN_CHARACTERS - 1]}…"
