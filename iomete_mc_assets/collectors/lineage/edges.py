"""Edges of many texts, counted and spelled as the catalog spells them. Finds none itself."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from iomete_mc_assets.collectors.lineage.model import Edges, Origin, TableKey
from iomete_mc_assets.records import EdgeKind, Evidence, LineageEdge, TableEntry, TableId

_SUREST_FIRST: tuple[Evidence, ...] = ("plan", "sql", "view text")
_Key = tuple[TableKey, TableKey, EdgeKind, str, str]


@dataclass(slots=True)
class _Seen:
    times: int
    last: datetime
    found_in: Evidence


class Spelling:
    """The catalog's own spelling of folded names."""

    def __init__(self, entries: Iterable[TableEntry]) -> None:
        """Keeps names only."""
        self._tables: dict[TableKey, TableId] = {}
        self._columns: dict[Origin, str] = {}
        for entry in entries:
            key = entry.table.folded
            self._tables[key] = entry.table
            for column in entry.columns:
                folded = column.name.casefold()
                if folded != column.name:
                    self._columns[key, folded] = column.name

    def table(self, key: TableKey) -> TableId:
        """The table's name; folded where the catalog does not list it."""
        return self._tables.get(key) or TableId(key[0], key[1:-1], key[-1])

    def column(self, key: TableKey, name: str) -> str:
        """The column's name; folded where the catalog does not list it otherwise."""
        return self._columns.get((key, name), name)


class EdgeCounts:
    """How often each edge was seen, when last, and in what."""

    def __init__(self) -> None:
        """No edge yet."""
        self._seen: dict[_Key, _Seen] = {}

    def __len__(self) -> int:
        """Distinct edges."""
        return len(self._seen)

    def add(self, edges: Edges, *, found_in: Evidence, times: int, last: datetime) -> None:
        """Count what one text says, seen so many times."""
        for source, target in edges.tables:
            self._add((source, target, "table", "", ""), found_in, times, last)
        kinds: tuple[tuple[EdgeKind, frozenset[tuple[Origin, Origin]]], ...] = (
            ("direct", edges.direct),
            ("indirect", edges.indirect),
        )
        for kind, pairs in kinds:
            for (source, column), (target, filled) in pairs:
                self._add((source, target, kind, column, filled), found_in, times, last)

    def _add(self, key: _Key, found_in: Evidence, times: int, last: datetime) -> None:
        seen = self._seen.get(key)
        if seen is None:
            self._seen[key] = _Seen(times, last, found_in)
            return
        seen.times += times
        seen.last = max(seen.last, last)
        if _SUREST_FIRST.index(found_in) < _SUREST_FIRST.index(seen.found_in):
            seen.found_in = found_in

    def records(self, spelling: Spelling) -> Iterator[LineageEdge]:
        """All edges, in a fixed order."""
        for key in sorted(self._seen):
            source, target, kind, column, filled = key
            seen = self._seen[key]
            yield LineageEdge(
                source=spelling.table(source),
                target=spelling.table(target),
                kind=kind,
                source_column=spelling.column(source, column) if column else None,
                target_column=spelling.column(target, filled) if filled else None,
                found_in=seen.found_in,
                times_seen=seen.times,
                last_seen=seen.last,
            )
