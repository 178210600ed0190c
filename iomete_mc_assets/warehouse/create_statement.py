"""Reads the columns of SHOW CREATE TABLE, where nested names are quoted and nested comments shown. Asks nothing.

DESCRIBE prints ``struct<a:int,b:string>`` both for two fields and for one that is named ``a:int,b``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from iomete_mc_assets.records import Column
from iomete_mc_assets.warehouse.schema import field_name, struct

BEFORE_COLUMNS = " (\n  "
BETWEEN_COLUMNS = ",\n  "
AFTER_COLUMNS = ")\n"
NAME = re.compile(r"`((?:[^`]|``)*)`|(\w+)")
SIMPLE = re.compile(r"[A-Z_]+(?: [A-Z_]+)*(?:\(\d+(?:, ?\d+)?\))?")
COMMENT = re.compile(r" COMMENT '((?:[^'\\]|\\'|\\(?!'))*)'")
"""Spark escapes the quote alone, so a comment that ends with a backslash cannot be told from one that goes on."""


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


class _NotReadable(Exception):
    """The text is not what Spark prints for the columns as described."""


def with_nested_fields(
    columns: Sequence[Column], plain_types: Sequence[str], statement: str
) -> tuple[Column, ...] | None:
    """The described columns with nested names as they are, their comments, and NOT NULL; None where it does not fit.

    Args:
        columns: as DESCRIBE tells them: names and comments cannot be misread there.
        plain_types: their types as DESCRIBE prints them.
        statement: SHOW CREATE TABLE's answer.
    """
    _, opened, rest = statement.partition(BEFORE_COLUMNS)
    found: list[Column] = []
    try:
        for column, plain in zip(columns, plain_types, strict=True):
            if found:
                rest = _after(BETWEEN_COLUMNS, rest)
            read, rest = _column(column, plain, rest)
            found.append(read)
        _after(AFTER_COLUMNS, rest)
    except _NotReadable:
        return None
    return tuple(found) if opened else None


def _column(column: Column, plain: str, text: str) -> tuple[Column, str]:
    name, text = _name(text)
    kind, text = _type(_after(" ", text))
    required = text.startswith(" NOT NULL")
    text = text.removeprefix(" NOT NULL")
    if column.comment:
        escaped = column.comment.replace("'", "\\'")
        text = _after(f" COMMENT '{escaped}'", text)
    if name != column.name or kind.plain != plain:
        raise _NotReadable
    read = replace(column, type=kind.sql, required=required, field_comments=kind.comments)
    return read, text


def _type(text: str) -> tuple[_Type, str]:
    if text.startswith("STRUCT<"):
        return _struct(text.removeprefix("STRUCT<"))
    if text.startswith("ARRAY<"):
        element, text = _type(text.removeprefix("ARRAY<"))
        read = _Type(f"ARRAY<{element.sql}>", f"array<{element.plain}>", _below("element", element))
        return read, _after(">", text)
    if text.startswith("MAP<"):
        key, text = _type(text.removeprefix("MAP<"))
        value, text = _type(_after(", ", text))
        read = _Type(
            f"MAP<{key.sql}, {value.sql}>",
            f"map<{key.plain},{value.plain}>",
            (*_below("key", key), *_below("value", value)),
        )
        return read, _after(">", text)
    simple = SIMPLE.match(text)
    if simple is None:
        raise _NotReadable
    rest = text[simple.end() :]
    sql = simple[0]
    for mark in (" NOT NULL", " COMMENT"):  # words of the column's, not of its type's
        before, found, _ = sql.partition(mark)
        if found:
            sql, rest = before, text[len(before) :]
    sql = sql.replace(", ", ",")
    return _Type(sql, sql.lower()), rest


def _struct(text: str) -> tuple[_Type, str]:
    names: list[str] = []
    kinds: list[_Type] = []
    comments: list[tuple[str, str]] = []
    while not text.startswith(">"):
        if names:
            text = _after(", ", text)
        name, text = _name(text)
        kind, text = _type(_after(": ", text))
        text = text.removeprefix(" NOT NULL")
        path = field_name(name)
        if said := COMMENT.match(text):
            text = text[said.end() :]
            comments.append((path, said[1].replace("\\'", "'")))
        names.append(name)
        kinds.append(kind)
        comments.extend(_below(path, kind))
    fields = list(zip(names, kinds, strict=True))
    sql = struct((name, kind.sql) for name, kind in fields)
    plain = ",".join(f"{name}:{kind.plain}" for name, kind in fields)
    return _Type(sql, f"struct<{plain}>", tuple(comments)), text[1:]


def _below(part: str, kind: _Type) -> tuple[tuple[str, str], ...]:
    return tuple((f"{part}.{path}", comment) for path, comment in kind.comments)


def _name(text: str) -> tuple[str, str]:
    found = NAME.match(text)
    if found is None:
        raise _NotReadable
    name = found[2] if found[1] is None else found[1].replace("``", "`")
    return name, text[found.end() :]


def _after(mark: str, text: str) -> str:
    if not text.startswith(mark):
        raise _NotReadable
    return text[len(mark) :]
