"""Column types in Spark SQL's spelling, from Iceberg's schema JSON and from DESCRIBE's text. Asks nothing.

CREATE statements are read in ``create_statement``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from iomete_mc_assets.records import Column

PRIMITIVES = {
    "boolean": "BOOLEAN",
    "int": "INT",
    "long": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMP_NTZ",
    "timestamptz": "TIMESTAMP",
    "string": "STRING",
    "uuid": "STRING",
    "binary": "BINARY",
}
"""Iceberg's primitive types in Spark. Source: Iceberg's TypeToSparkType; uuid reads as text."""

NO_MEMBERS: Mapping[str, object] = {}

PLAIN_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""Field names that Spark prints without backticks."""


def columns_of(schema: object) -> tuple[Column, ...]:
    """The top-level columns of an Iceberg schema as decoded from JSON, in order.

    Raises:
        ValueError: a type or shape that is not Iceberg's, or no Spark type.
    """
    fields = _member(schema, "fields")
    if not isinstance(fields, list):
        msg = "the schema has no list of fields"
        raise ValueError(msg)  # noqa: TRY004 - one class for every way a schema is not one
    return tuple(_column(field) for field in cast("Sequence[object]", fields))


def _column(field: object) -> Column:
    kind = _member(field, "type")
    return Column(
        name=str(_member(field, "name")),
        type=_from_iceberg(kind),
        required=_member(field, "required") is True,
        comment=_doc(field),
        field_comments=tuple(_field_comments(kind, "")),
    )


def _doc(field: object) -> str | None:
    doc = cast("Mapping[str, object]", field).get("doc")
    return str(doc) if doc else None


def _field_comments(kind: object, above: str) -> Iterator[tuple[str, str]]:
    """Comments below a type that ``_from_iceberg`` has read, by path; lists and maps name their parts as Iceberg does."""
    if isinstance(kind, str):
        return
    members = cast("Mapping[str, object]", kind)
    for field in cast("Sequence[object]", members.get("fields", ())):
        path = f"{above}{field_name(str(_member(field, 'name')))}"
        if (comment := _doc(field)) is not None:
            yield path, comment
        yield from _field_comments(_member(field, "type"), f"{path}.")
    for part in ("element", "key", "value"):
        if part in members:
            yield from _field_comments(members[part], f"{above}{part}.")


def _member(value: object, name: str) -> object:
    members = cast("Mapping[str, object]", value) if isinstance(value, dict) else NO_MEMBERS
    if name not in members:
        msg = f"the schema lacks {name!r} where Iceberg has it"
        raise ValueError(msg)
    return members[name]


def _from_iceberg(kind: object) -> str:
    if isinstance(kind, str):
        return _primitive(kind)
    match _member(kind, "type"):
        case "struct":
            fields = cast("Sequence[object]", _member(kind, "fields"))
            inner = (
                (str(_member(field, "name")), _from_iceberg(_member(field, "type")))
                for field in fields
            )
            return struct(inner)
        case "list":
            return f"ARRAY<{_from_iceberg(_member(kind, 'element'))}>"
        case "map":
            key, value = _member(kind, "key"), _member(kind, "value")
            return f"MAP<{_from_iceberg(key)}, {_from_iceberg(value)}>"
        case other:
            msg = f"{other!r} is no nested type of Iceberg"
            raise ValueError(msg)


def _primitive(kind: str) -> str:
    if kind in PRIMITIVES:
        return PRIMITIVES[kind]
    if decimal := re.fullmatch(r"decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)", kind):
        return f"DECIMAL({decimal[1]},{decimal[2]})"
    if re.fullmatch(r"fixed\[\d+\]", kind):
        return "BINARY"
    msg = f"{kind!r} is no type of Iceberg that Spark 3.5 reads"
    raise ValueError(msg)


def struct(fields: Iterable[tuple[str, str]]) -> str:
    """A struct's type from its fields' names and types."""
    return f"STRUCT<{', '.join(f'{field_name(name)}: {kind}' for name, kind in fields)}>"


def field_name(name: str) -> str:
    """A field's name as Spark SQL takes it."""
    return name if PLAIN_FIELD.fullmatch(name) else "`" + name.replace("`", "``") + "`"


def described_type(text: str) -> str:
    """DESCRIBE's spelling in Spark SQL's, e.g. ``struct<City:string>`` as ``STRUCT<City: STRING>``.

    DESCRIBE prints field names bare, so a name with a colon, comma or bracket in it cannot be told from the
    structure; such a text, or any other that does not read as a type, is returned as it is.
    """
    try:
        kind, rest = _read_type(text)
    except ValueError:
        return text
    return text if rest else kind


def _read_type(text: str) -> tuple[str, str]:
    """One type at the start of the text, and what follows it; ValueError when there is none."""
    if text.startswith("array<"):
        element, rest = _read_type(text.removeprefix("array<"))
        return f"ARRAY<{element}>", _after(">", rest)
    if text.startswith("map<"):
        key, rest = _read_type(text.removeprefix("map<"))
        value, rest = _read_type(_after(",", rest))
        return f"MAP<{key}, {value}>", _after(">", rest)
    if text.startswith("struct<"):
        return _read_struct(text.removeprefix("struct<"))
    plain = re.match(r"[a-z_]+(?: [a-z_]+)*(?:\(\d+(?:,\d+)?\))?", text)
    if plain is None:
        msg = f"no type at {text[:20]!r}"
        raise ValueError(msg)
    return plain[0].upper(), text[plain.end() :]


def _read_struct(text: str) -> tuple[str, str]:
    fields: list[tuple[str, str]] = []
    while not text.startswith(">"):
        name, colon, text = text.partition(":")
        if not colon or not name or any(mark in name for mark in ",<>"):
            msg = f"no field name at {name[:20]!r}"
            raise ValueError(msg)
        kind, text = _read_type(text)
        fields.append((name, kind))
        if not text.startswith(">"):
            text = _after(",", text)
    return struct(fields), text[1:]


def _after(mark: str, text: str) -> str:
    if not text.startswith(mark):
        msg = f"no {mark!r} at {text[:20]!r}"
        raise ValueError(msg)
    return text[len(mark) :]
