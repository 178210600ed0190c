"""What the names of one SELECT mean: its FROM items, joins, aliases, and the queries around it. Walks no expressions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from sqlglot import exp

from iomete_mc_assets.collectors.lineage.model import (
    NOTHING,
    UNKNOWN,
    Doubt,
    Item,
    Items,
    Output,
    Star,
)

Kept = Literal["left", "right", "both"]
"""Whose value a column of USING has."""
Found = Output | Doubt | None
"""What a name means: a column, a reason why nobody can say, or nothing."""
NO_COLUMNS = frozenset(
    {
        *("current_date", "current_timestamp", "current_user", "user", "session_user", "now"),
        *("current_catalog", "current_database", "current_schema", "localtimestamp"),
        *("current_timezone", "_file", "_pos", "_spec_id", "_partition", "_deleted", "_metadata"),
        *("_change_type", "_change_ordinal", "_commit_snapshot_id", "grouping__id"),
    }
)
"""Functions without parentheses, and columns that every Iceberg table or file has."""


class Source:
    """One item of FROM: its columns, and the qualifier that they can be named by."""

    __slots__ = ("_names", "extra", "items", "open", "qualifier")

    def __init__(
        self, qualifier: tuple[str, ...], items: Items, extra: Iterable[Output] = ()
    ) -> None:
        """``extra``: columns that can be named but are not listed, as an exploded map's."""
        self.qualifier = qualifier
        self.items = items
        self.extra = tuple(extra)
        self.open = [item for item in items if isinstance(item, Star)]
        self._names: dict[str, Output | None] | None = None

    def listed(self, name: str) -> Found:
        """The listed column of this name."""
        if self._names is None:
            self._names = {}
            for item in (*self.items, *self.extra):
                if isinstance(item, Output) and item.name is not None:
                    self._names[item.name] = None if item.name in self._names else item
        if name not in self._names:
            return None
        return self._names[name] or "column is ambiguous"

    def column(self, name: str) -> Found:
        """The column of this name, listed or not."""
        return self.listed(name) or of_stars(self.open, name)

    def under(self, qualifier: tuple[str, ...]) -> "Source":
        """The same, named otherwise; what was learned of its names is shared."""
        if qualifier == self.qualifier:
            return self
        self.listed("")
        other = Source(qualifier, self.items, self.extra)
        other._names = self._names
        return other


def of_stars(stars: Sequence[Star], name: str) -> Found:
    """The column of this name among columns that nobody can list."""
    possible = [star for star in stars if name not in star.hidden]
    if not possible:
        return None
    if len(possible) > 1:
        return "columns of the source unknown"
    return possible[0].column(name) or "columns of the source unknown"


class Frame:
    """The names that one SELECT sees."""

    __slots__ = (
        "_found",
        "_star",
        "aliases",
        "by_qualifier",
        "merged",
        "open",
        "outer",
        "sources",
        "windows",
    )

    def __init__(self, outer: "Frame | None" = None) -> None:
        """``outer``: of the query around it, for correlation."""
        self.outer = outer
        self.sources: list[Source] = []
        self.by_qualifier: dict[tuple[str, ...], Source | None] = {}
        self.merged: dict[str, Output] = {}
        self.open: list[Star] = []
        self.aliases: dict[str, Output] = {}
        self.windows: Mapping[str, exp.Expr] = {}
        self._star: list[Items] = []
        self._found: dict[str, Found] = {}

    @property
    def star(self) -> Items:
        """What ``*`` means."""
        return tuple(item for items in self._star for item in items)

    def blur(self) -> None:
        """From here on nobody knows what ``*`` means."""
        self._star = [(UNKNOWN,)]

    def add(self, source: Source) -> None:
        """One more item of FROM, behind the others."""
        self._star.append(source.items)
        self._see(source)
        for first in range(len(source.qualifier)):
            words = source.qualifier[first:]
            self.by_qualifier[words] = None if words in self.by_qualifier else source

    def _see(self, source: Source) -> None:
        self.sources.append(source)
        self.open.extend(source.open)
        self._found.clear()

    def join(self, beside: "Frame") -> None:
        """What another FROM sees, behind what this one sees."""
        self.add(Source((), beside.star))
        self._see_qualifiers(beside)

    def join_merged(self, beside: "Frame", names: Sequence[str] | None, kept: Kept) -> None:
        """What stands behind a join by equal columns; ``names`` is None for all that both sides have."""
        source = Source((), beside.star)
        if names is not None:
            self._merge(source, names, kept)
        elif self.open or source.open:
            self.add(source)
            self.blur()
        else:
            listed = [item.name for item in self.star if isinstance(item, Output)]
            common = [name for name in listed if name is not None and source.listed(name)]
            self._merge(source, common, kept)
        self._see_qualifiers(beside)

    def _see_qualifiers(self, beside: "Frame") -> None:
        for words, one in beside.by_qualifier.items():
            self.by_qualifier[words] = None if words in self.by_qualifier else one

    def _merge(self, source: Source, names: Sequence[str], kept: Kept) -> None:
        """The merged columns come first, and once."""
        merged = [_merged(name, self._own(name), source.column(name), kept) for name in names]
        hidden = frozenset(names)
        self._star = [
            (*merged, *_without(self.star, hidden), *_without(source.items, hidden)),
        ]
        self._see(source)
        for name, output in zip(names, merged, strict=True):
            if isinstance(output, Output):
                self.merged[name] = output

    def _own(self, name: str) -> Found:
        """The column of this name in FROM."""
        if name not in self._found:
            self._found[name] = self.merged.get(name) or self._listed(name)
        return self._found[name] or of_stars(self.open, name)

    def _listed(self, name: str) -> Found:
        found: Found = None
        for source in self.sources:
            one = source.listed(name)
            if one is not None:
                if found is not None:
                    return "column is ambiguous"
                found = one
        return found

    def reference(self, parts: Sequence[str]) -> Output | Doubt:
        """The column that a name means; a field counts as the column that it is in.

        Spark tries the longest qualifier first, then the bare column, then an alias of the same
        SELECT, then the query around it.
        """
        for length in range(min(len(parts) - 1, 3), 0, -1):
            words = tuple(parts[:length])
            if words not in self.by_qualifier:
                continue
            source = self.by_qualifier[words]
            if source is None:
                return "column is ambiguous"
            found = source.column(parts[length])
            if found is not None:
                return _whole(found, fields=len(parts) > length + 1)
        return self._unqualified(parts)

    def _unqualified(self, parts: Sequence[str]) -> Output | Doubt:
        name, fields = parts[0], len(parts) > 1
        found = self._own(name)
        certain = self._found[name] is not None
        if certain and found is not None:
            return _whole(found, fields=fields)
        around = self._around(parts)
        if found is None:
            if around is not None:
                return around
            return Output(name) if name in NO_COLUMNS else "column not found"
        if around is not None and (around.direct or around.indirect):
            return "columns of the source unknown"  # the table's, if it has one of this name
        return _whole(found, fields=fields)

    def _around(self, parts: Sequence[str]) -> Output | None:
        """What a name means that is none of FROM: an alias of this SELECT, then the query around it."""
        if (alias := self.aliases.get(parts[0])) is not None:
            return Output(None, alias.direct, alias.indirect) if len(parts) > 1 else alias
        beyond = None if self.outer is None else self.outer.reference(parts)
        return beyond if isinstance(beyond, Output) else None

    def qualified(self, parts: Sequence[str]) -> Source | None:
        """The item of FROM that ``parts.*`` means; None where ``parts`` is a column, or nothing."""
        source = self.by_qualifier.get(tuple(parts))
        if source is None and self.outer is not None:
            return self.outer.qualified(parts)
        return source


def _whole(found: Output | Doubt, *, fields: bool) -> Output | Doubt:
    """A field has the column's sources, but neither its name nor its type."""
    if fields and isinstance(found, Output):
        return Output(None, found.direct, found.indirect)
    return found


def _merged(name: str, left: Found, right: Found, kept: Kept) -> Item:
    chosen = {"left": [left], "right": [right], "both": [left, right]}[kept]
    outputs = [one for one in chosen if isinstance(one, Output)]
    if len(outputs) < len(chosen):
        return UNKNOWN
    direct = NOTHING.union(*(one.direct for one in outputs))
    return Output(name, direct, NOTHING.union(*(one.indirect for one in outputs)))


def _without(items: Iterable[Item], names: frozenset[str]) -> Iterable[Item]:
    for item in items:
        if isinstance(item, Star):
            yield item.without(names)
        elif item.name not in names:
            yield item
