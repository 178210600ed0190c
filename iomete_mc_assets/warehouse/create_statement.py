"""Reads the columns of SHOW CREATE TABLE, where nested names are quoted and nested comments shown. Asks nothing.

DESCRIBE prints ``struct<a:int,b:string>`` both for two fields and for one that is named ``a:int,b``.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from iomete_mc_assets.records import Column
from iomete_mc_assets.warehouse.schema import field_name, struct

BEFORE_COLUMNS = " (\n  "
BETWEEN_COLUMNS = ",\n  "
AFTER_COLUMNS = ")\n"
NAME = re.compile(r"`((?:[^`]|``)*)`|(\w+)")
SIMPLE = re.compile(r"[A-Z_]+(?: [A-Z_]+)*(?:\(\d+(?:, ?\d+)?\))?")
OPENING = " COMMENT '"
CLOSING = re.compile(r"\\?'")
"""Spark escapes the quote alone, so behind a backslash a comment may end or go on; at a bare quote it ends."""
TRIED_AT_MOST = 100_000
"""Quotes that are tried as a comment's end in one statement: a second's work; real ones have some per comment."""


@dataclass(frozen=True, slots=True)
class _Type:
    """A type in the three forms that are needed.

    Attributes:
        sql: as our columns have it.
        plain: as DESCRIBE prints it.
        comments: of the fields inside, by path.
    """

    sql: str
    plain: str
    comments: tuple[tuple[str, str], ...] = ()


_Field = tuple[str, _Type, slice]
"""A name, a type, and where its comment stands in the text."""


class _TooManyWays(Exception):
    """The text has more readings than can be tried."""


def with_nested_fields(
    columns: Sequence[Column], plain_types: Sequence[str], statement: str
) -> tuple[Column, ...] | None:
    """The described columns with nested names as they are, their comments, and NOT NULL.

    Args:
        columns: as DESCRIBE tells them: names and comments cannot be misread there.
        plain_types: their types as DESCRIBE prints them.
        statement: SHOW CREATE TABLE's answer.

    Returns:
        None where the statement fits in no way, or in more than one.
    """
    before, opened, _ = statement.partition(BEFORE_COLUMNS)
    described = list(zip(columns, plain_types, strict=True))
    fitting = _Reader(statement).columns(described, len(before) + len(opened))
    try:
        found = next(fitting, None)
        return found if opened and next(fitting, None) is None else None
    except _TooManyWays:
        return None


class _Reader:
    """All readings of one statement: each method yields what may stand at a place, and the place behind it.

    Lists are followed with a stack of our own, as a struct may have more fields than Python nests calls.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._tried = 0

    def columns(
        self, described: Sequence[tuple[Column, str]], at: int
    ) -> Iterator[tuple[Column, ...]]:
        waiting: list[tuple[tuple[Column, ...], int]] = [((), at)]
        while waiting:
            found, at = waiting.pop()
            if len(found) == len(described):
                if self._text.startswith(AFTER_COLUMNS, at):
                    yield found
                continue
            start = self._after(BETWEEN_COLUMNS if found else "", at)
            if start is not None:
                ways = self._column(*described[len(found)], start)
                waiting.extend(((*found, column), end) for column, end in ways)

    def _column(self, column: Column, plain: str, at: int) -> Iterator[tuple[Column, int]]:
        comment = "" if column.comment is None else column.comment.replace("'", "\\'")
        for name, kind, required, end in self._named(" ", at):
            if (name, kind.plain) != (column.name, plain):
                continue
            read = replace(column, type=kind.sql, required=required, field_comments=kind.comments)
            commented = self._after(f"{OPENING}{comment}'", end)
            if commented is not None:
                yield read, commented
            elif column.comment is None:
                yield read, end

    def _named(self, between: str, at: int) -> Iterator[tuple[str, _Type, bool, int]]:
        """A name, its type, and whether it is NOT NULL."""
        found = NAME.match(self._text, at)
        start = None if found is None else self._after(between, found.end())
        if found is None or start is None:
            return
        name = found[2] if found[1] is None else found[1].replace("``", "`")
        for kind, end in self._type(start):
            required = self._after(" NOT NULL", end)
            yield name, kind, required is not None, end if required is None else required

    def _type(self, at: int) -> Iterator[tuple[_Type, int]]:
        for opening, read in self._nested():
            inside = self._after(opening, at)
            if inside is not None:
                yield from read(inside)
                return
        simple = SIMPLE.match(self._text, at)
        if simple is None:
            return
        sql = simple[0]
        for mark in (" NOT NULL", " COMMENT"):  # words of the column's, not of its type's
            sql = sql.partition(mark)[0]
        spelt = sql.replace(", ", ",")
        yield _Type(spelt, spelt.lower()), at + len(sql)

    def _nested(self) -> Iterator[tuple[str, Callable[[int], Iterator[tuple[_Type, int]]]]]:
        yield "STRUCT<", self._struct
        yield "ARRAY<", self._array
        yield "MAP<", self._map

    def _array(self, at: int) -> Iterator[tuple[_Type, int]]:
        for element, end in self._type(at):
            behind = self._after(">", end)
            if behind is not None:
                below = _below("element", element)
                yield _Type(f"ARRAY<{element.sql}>", f"array<{element.plain}>", below), behind

    def _map(self, at: int) -> Iterator[tuple[_Type, int]]:
        for key, after_key in self._type(at):
            start = self._after(", ", after_key)
            for value, end in () if start is None else self._type(start):
                behind = self._after(">", end)
                if behind is not None:
                    sql, plain = f"{key.sql}, {value.sql}", f"{key.plain},{value.plain}"
                    below = (*_below("key", key), *_below("value", value))
                    yield _Type(f"MAP<{sql}>", f"map<{plain}>", below), behind

    def _struct(self, at: int) -> Iterator[tuple[_Type, int]]:
        waiting: list[tuple[tuple[_Field, ...], int]] = [((), at)]
        while waiting:
            fields, at = waiting.pop()
            behind = self._after(">", at)
            if behind is not None:
                yield self._struct_of(fields), behind
                continue
            start = self._after(", " if fields else "", at)
            if start is not None:
                waiting.extend(((*fields, field), end) for field, end in self._field(start))

    def _struct_of(self, fields: Sequence[_Field]) -> _Type:
        comments: list[tuple[str, str]] = []
        for name, kind, said in fields:
            path = field_name(name)
            if comment := self._text[said].replace("\\'", "'"):
                comments.append((path, comment))
            comments.extend(_below(path, kind))
        plain = ",".join(f"{name}:{kind.plain}" for name, kind, _ in fields)
        sql = struct((name, kind.sql) for name, kind, _ in fields)
        return _Type(sql, f"struct<{plain}>", tuple(comments))

    def _field(self, at: int) -> Iterator[tuple[_Field, int]]:
        for name, kind, _, end in self._named(": ", at):
            for said, behind in self._comment(end):
                yield (name, kind, said), behind

    def _comment(self, at: int) -> Iterator[tuple[slice, int]]:
        """Where its text stands, which is nowhere without one: a try must not cost a copy of a long one."""
        start = self._after(OPENING, at)
        if start is None:
            yield slice(at, at), at
            return
        for quote in CLOSING.finditer(self._text, start):
            self._tried += 1
            if self._tried > TRIED_AT_MOST:
                raise _TooManyWays
            yield slice(start, quote.end() - 1), quote.end()
            if len(quote[0]) == 1:
                return

    def _after(self, mark: str, at: int) -> int | None:
        """Where the text goes on behind a mark; None where it is not there."""
        return at + len(mark) if self._text.startswith(mark, at) else None


def _below(part: str, kind: _Type) -> tuple[tuple[str, str], ...]:
    return tuple((f"{part}.{path}", comment) for path, comment in kind.comments)
