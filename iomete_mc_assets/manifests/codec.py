"""Dataclasses as canonical JSON, and back, strictly. Files, gzip and digests live in ``store``.

The form follows the dataclasses' own annotations: every field is a key, None is ``null``, an instant
is ``2026-11-21T05:00:00.123456Z``, keys are sorted, and the text is ASCII. So equal records are equal
bytes, and a new field is a new ``SCHEMA_VERSION``.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, is_dataclass
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii
from types import NoneType, UnionType
from typing import Any, Generic, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import orjson

from iomete_mc_assets.errors import ManifestDamaged, UnknownSchemaVersion
from iomete_mc_assets.manifests.model import SCHEMA_VERSION, Flow, Header, JsonValue
from iomete_mc_assets.records import LineageEdge, Observation, QueryRecord, Record, TableEntry
from iomete_mc_assets.windows import HourWindow

T = TypeVar("T")
# What a step takes or gives has the type of the annotation it was made from.
_Encode = Callable[[Any], str]
_Decode = Callable[[Any], Any]

_INSTANT_LENGTH = len("2026-11-21T05:00:00.123456Z")
_SHOWN_CHARACTERS = 80

RECORD_TYPES: Mapping[Flow, type[Record]] = {
    "catalog_snapshot": TableEntry,
    "observations": Observation,
    "query_logs": QueryRecord,
    "lineage": LineageEdge,
}
"""What the lines of a flow's parts are. A line names no type: the flow decides."""
LEFT_OUT_EMPTY: Mapping[type[object], frozenset[str]] = {QueryRecord: frozenset({"extra", "plan"})}
"""Fields whose key stands in a line only when they hold something; without it they have their default: lines
from before them are the same bytes."""


def encode_record(flow: Flow, record: Record) -> bytes:
    """One line without its newline: canonical, ASCII.

    Raises:
        TypeError: a record of another flow, or a field of another type than annotated.
        ValueError: an instant without time zone.
    """
    if type(record) is not RECORD_TYPES[flow]:
        msg = f"{flow} is made of {RECORD_TYPES[flow].__name__}, not of {type(record).__name__}"
        raise TypeError(msg)
    return _ascii(_RECORD_ENCODERS[flow](record))


def decode_record(flow: Flow, line: bytes, *, where: str, version: int = SCHEMA_VERSION) -> Record:
    """The record of one line; ``where`` names the file for the error, ``version`` is its header's.

    Raises:
        ManifestDamaged: no JSON, a missing or unknown key, or a value of another type.
    """
    step = _RECORD_DECODERS[flow]
    if version < _FIELD_COMMENTS_SINCE and flow == "catalog_snapshot":
        step = _old_entry
    try:
        return step(orjson.loads(line))
    except ValueError:
        # Python's parser words what is wrong, and takes integers beyond 64 bits and half characters
        return _decoded(step, _parsed(line, where=where), where=where)


class JsonFile(Generic[T]):
    """The form of a small file that holds one dataclass: indented for people, sorted, ASCII."""

    def __init__(
        self,
        kind: type[T],
        *,
        version_field: str | None = None,
        version: int = 1,
        older: Mapping[int, Mapping[str, JsonValue]] | None = None,
    ) -> None:
        """The form of ``kind``.

        Args:
            kind: a dataclass of str, int, bool, datetime, HourWindow, Literal of str, JSON values,
                other such dataclasses, and tuples, mappings and ``| None`` of these.
            version_field: the int field that is looked at before all others; None without.
            version: the one that is written.
            older: versions that are still read, each with the fields it did not have yet.
        """
        self._version_field, self._version, self._older = version_field, version, older or {}
        self._to_json = _dataclass_encoder(kind, level=0)
        self._from_json = _dataclass_decoder(kind)

    def encode(self, value: T) -> bytes:
        """The file's bytes; equal values are equal bytes.

        Raises:
            ValueError: an instant without time zone, or a NaN.
        """
        return _ascii(self._to_json(value)) + b"\n"

    def decode(self, data: bytes, *, where: str) -> T:
        """The value of a file's bytes; ``where`` names the file for the error.

        Raises:
            UnknownSchemaVersion: a version that this package does not know.
            ManifestDamaged: no JSON, a missing or unknown key, or a value of another type.
        """
        raw = self._up_to_date(_parsed(data, where=where), where=where)
        return _decoded(self._from_json, raw, where=where)

    def _up_to_date(self, raw: object, *, where: str) -> object:
        """With what an older version did not have; refuses a version that is not known."""
        if self._version_field is None or not isinstance(raw, dict):
            return raw
        fields = cast("dict[str, object]", raw)
        version = fields.get(self._version_field)
        if isinstance(version, int) and version in self._older:
            return {**self._older[version], **fields}
        if isinstance(version, int) and version != self._version:
            msg = (
                f"{where} has {self._version_field} {version}, and this package knows "
                f"{self._version}. A newer version wrote it: upgrade here, or use another store."
            )
            raise UnknownSchemaVersion(msg)
        return fields


def damaged(where: str, verdict: str) -> ManifestDamaged:
    """The error of a file that is not what was written; for the caller to raise."""
    return ManifestDamaged(
        f"{where} is damaged: {verdict}. Restore the file; failing that, move its hour's folder away "
        "(what was recorded as sent goes with it) and collect the hour again."
    )


def _refused_constant(name: str) -> object:
    msg = f"{name} is no number"
    raise ValueError(msg)


_COMPACT = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
_INDENT = "  "
_INDENTED = json.JSONEncoder(sort_keys=True, indent=_INDENT, allow_nan=False)
_PARSER = json.JSONDecoder(parse_constant=_refused_constant)


def _ascii(text: str) -> bytes:
    """Half a character cannot be sent as UTF-8 and would be refused by others: U+FFFD instead."""
    if "\\ud" in text:
        text = _SURROGATES.sub(_whole_or_replaced, text)
    return text.encode("ascii")


_SURROGATES = re.compile(r"\\u(d[89ab]..\\ud[c-f]..|d[89a-f]..)|\\.")
"""In JSON text: a pair, half of one, or any other escape, which keeps a ``\\\\`` before a ``ud8`` apart."""


def _whole_or_replaced(escape: re.Match[str]) -> str:
    half = escape[1] is not None and len(escape[1]) == len("d83d")
    return "\\ufffd" if half else escape[0]


def _parsed(data: bytes, *, where: str) -> object:
    try:
        return _PARSER.decode(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise damaged(where, f"no JSON ({error})") from error


def _decoded(step: Callable[[Any], T], raw: object, *, where: str) -> T:
    try:
        return step(raw)
    except ValueError as error:
        raise damaged(where, str(error)) from error


# From annotations to steps. An encoding step makes JSON text at once, with no dict between: an hour
# may have a million queries. ``level`` is how deep a value stands in an indented file; None is one line.


def _optional(arguments: tuple[object, ...]) -> object:
    """X of ``X | None``; ``object``, which is any JSON value, for a wider union such as JsonValue."""
    kinds = [argument for argument in arguments if argument is not NoneType]
    return kinds[0] if len(kinds) == 1 else object


def _encoder(annotation: object, *, level: int | None) -> _Encode:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _PLAIN_ENCODERS:
        return _PLAIN_ENCODERS[annotation]
    if annotation is HourWindow:
        return _dataclass_encoder(_Bounds, level=level)  # an hour has both bounds itself
    if isinstance(annotation, type) and is_dataclass(annotation):
        return _dataclass_encoder(annotation, level=level)
    if origin in _UNIONS:
        inner = _encoder(_optional(arguments), level=level)
        return lambda value: "null" if value is None else inner(value)
    if origin is tuple:
        return _tuple_encoder(arguments[0], level=level)  # all items of our tuples are of one kind
    return encode_basestring_ascii if origin is Literal else _mapping_encoder(level=level)


def _tuple_encoder(kind: object, *, level: int | None) -> _Encode:
    step, joined = _encoder(kind, level=_deeper(level)), _joined("[]", level=level)
    return lambda values: joined(map(step, values)) if values else "[]"


def _mapping_encoder(*, level: int | None) -> _Encode:
    if level is None:
        return lambda mapping: _COMPACT.encode(dict(mapping))
    newline = "\n" + level * _INDENT
    return lambda mapping: _INDENTED.encode(dict(mapping)).replace("\n", newline)


def _dataclass_encoder(kind: type[object], *, level: int | None = None) -> _Encode:
    hints = get_type_hints(kind)
    names = sorted(hints)
    steps = [(name, _encoder(hints[name], level=_deeper(level))) for name in names]
    colon = ":" if level is None else ": "
    template = _joined("{}", level=level)(f'"{name}"{colon}%s' for name in names)

    def encode(record: object) -> str:
        return template % tuple([step(getattr(record, name)) for name, step in steps])

    left_out = LEFT_OUT_EMPTY.get(kind)
    if left_out is None:
        return encode
    joined = _joined("{}", level=level)
    others = [(name, step) for name, step in steps if name not in left_out]
    shorter = joined(f'"{name}"{colon}%s' for name, _ in others)

    def encode_mostly_without(record: object) -> str:
        present = [name for name in left_out if getattr(record, name)]
        if not present:
            return shorter % tuple([step(getattr(record, name)) for name, step in others])
        held = [(name, step) for name, step in steps if name in present or name not in left_out]
        return joined(f'"{name}"{colon}{step(getattr(record, name))}' for name, step in held)

    return encode_mostly_without


def _deeper(level: int | None) -> int | None:
    return None if level is None else level + 1


def _joined(brackets: str, *, level: int | None) -> Callable[[Iterable[str]], str]:
    """How items stand between brackets, at least one of them."""
    begin, end = brackets
    if level is None:
        return lambda items: f"{begin}{','.join(items)}{end}"
    before, after = "\n" + (level + 1) * _INDENT, "\n" + level * _INDENT
    between = "," + before
    return lambda items: f"{begin}{before}{between.join(items)}{after}{end}"


def _instant_to_json(value: datetime) -> str:
    if value.tzinfo is not UTC:
        if value.utcoffset() is None:
            msg = f"an instant needs a time zone, and {value.isoformat()} has none"
            raise ValueError(msg)
        value = value.astimezone(UTC)
    return f'"{value.isoformat(timespec="microseconds")[:-6]}Z"'


def _decoder(annotation: object) -> _Decode:
    """How JSON becomes a value of the annotation; raises ValueError where it is none."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _PLAIN_DECODERS:
        return _PLAIN_DECODERS[annotation]
    if isinstance(annotation, type) and is_dataclass(annotation):
        return _dataclass_decoder(annotation)
    if origin in _UNIONS:
        inner = _decoder(_optional(arguments))
        return lambda raw: None if raw is None else inner(raw)
    if origin is tuple:
        return _tuple_decoder(arguments)
    if origin is Literal:
        return _literal_decoder(arguments)
    return _mapping_decoder(*arguments)


def _plain_decoder(kind: type[object]) -> _Decode:
    def decode(raw: object) -> object:
        if type(raw) is not kind:  # not isinstance: True is no int
            msg = f"{_shown(raw)} is no {kind.__name__}"
            raise ValueError(msg)
        return raw

    return decode


def _literal_decoder(known: tuple[object, ...]) -> _Decode:
    def decode(raw: object) -> object:
        if raw not in known:
            msg = f"{_shown(raw)} is none of {', '.join(map(str, known))}"
            raise ValueError(msg)
        return raw

    return decode


def _tuple_decoder(arguments: tuple[Any, ...]) -> _Decode:
    items_of = _plain_decoder(list)
    open_ended = arguments[-1] is Ellipsis
    steps = [_decoder(argument) for argument in arguments if argument is not Ellipsis]

    def decode(raw: object) -> tuple[object, ...]:
        items = cast("list[object]", items_of(raw))
        if open_ended:
            return tuple(map(steps[0], items))
        if len(items) != len(steps):
            msg = f"{_shown(raw)} has not {len(steps)} items"
            raise ValueError(msg)
        return tuple(step(item) for step, item in zip(steps, items, strict=True))

    return decode


def _mapping_decoder(key_kind: object, value_kind: object) -> _Decode:
    pairs_of, key_step, value_step = _plain_decoder(dict), _decoder(key_kind), _decoder(value_kind)

    def decode(raw: object) -> dict[object, object]:
        pairs = cast("dict[object, object]", pairs_of(raw))
        return {key_step(key): value_step(value) for key, value in pairs.items()}

    return decode


def _dataclass_decoder(kind: type[T]) -> Callable[[Any], T]:
    """Plain fields are looked at in one pass without a call each: a push reads millions of them."""
    hints = get_type_hints(kind)
    left_out = LEFT_OUT_EMPTY.get(kind, frozenset())
    required = hints.keys() - left_out
    steps = {name: _decoder(hints[name]) for name in sorted(hints)}
    plain = [(name, kinds) for name in sorted(required) if (kinds := _plain_kinds(hints[name]))]
    other = [(name, step) for name, step in steps.items() if name not in dict(plain)]
    values_of = _plain_decoder(dict)

    def decode(raw: object) -> T:
        values = cast("dict[str, Any]", values_of(raw))  # just parsed, so it may be filled in place
        if values.keys() != required and values.keys() - left_out != required:
            raise ValueError(
                _wrong_keys(kind, expected=set(required), found=set(values) - left_out)
            )
        for name, kinds in plain:
            if type(values[name]) not in kinds:
                _decoded_field(name, steps[name], values[name])
        for name, step in other:
            if name in values:
                values[name] = _decoded_field(name, step, values[name])
        return kind(**values)

    return decode


def _plain_kinds(annotation: object) -> frozenset[type]:
    """The types of JSON values that stand for themselves in a field; empty for any other field."""
    kinds = get_args(annotation) if get_origin(annotation) in _UNIONS else (annotation,)
    if all(kind in (str, int, bool, NoneType) for kind in kinds):
        return frozenset(cast("tuple[type, ...]", kinds))
    return frozenset()


def _decoded_field(name: str, step: _Decode, raw: object) -> object:
    try:
        return step(raw)
    except ValueError as error:
        msg = f"{name}: {error}"
        raise ValueError(msg) from None


def _wrong_keys(kind: type[object], *, expected: set[str], found: set[str]) -> str:
    missing, unknown = ", ".join(sorted(expected - found)), ", ".join(sorted(found - expected))
    parts = [f"without {missing}" if missing else "", f"with unknown {unknown}" if unknown else ""]
    return f"{kind.__name__} {' and '.join(filter(None, parts))}"


def _instant_from_json(raw: object) -> datetime:
    if not isinstance(raw, str) or len(raw) != _INSTANT_LENGTH or raw[-1] != "Z":
        msg = f"{_shown(raw)} is no instant such as 2026-11-21T05:00:00.123456Z"
        raise ValueError(msg)
    return datetime.fromisoformat(raw)


def _shown(raw: object) -> str:
    """A value in an error message, bounded: it may be a whole statement."""
    text = repr(raw)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bounds:
    """A window as a file spells it: both ends, for people."""

    start: datetime
    end: datetime


def _window_from_json(raw: object) -> HourWindow:
    bounds = _BOUNDS_FROM_JSON(raw)
    window = HourWindow(bounds.start)
    if bounds.end != window.end:
        msg = f"{_shown(raw)} is no hour"
        raise ValueError(msg)
    return window


_UNIONS = (Union, UnionType)
_PLAIN_ENCODERS: dict[object, _Encode] = {
    str: encode_basestring_ascii,
    int: int.__repr__,  # refuses what only looks like a number, e.g. a Decimal from a driver
    bool: {True: "true", False: "false"}.__getitem__,
    datetime: _instant_to_json,
}
_PLAIN_DECODERS: dict[object, _Decode] = {
    str: _plain_decoder(str),
    int: _plain_decoder(int),
    bool: _plain_decoder(bool),
    datetime: _instant_from_json,
    HourWindow: _window_from_json,
    object: lambda raw: raw,
}
_BOUNDS_FROM_JSON = _dataclass_decoder(_Bounds)
_RECORD_ENCODERS = {flow: _dataclass_encoder(kind) for flow, kind in RECORD_TYPES.items()}
_RECORD_DECODERS = {flow: _dataclass_decoder(kind) for flow, kind in RECORD_TYPES.items()}

_FIELD_COMMENTS_SINCE = 3


def _old_entry(raw: object) -> Record:
    """A catalog entry as it was up to version 2."""
    if isinstance(raw, dict):
        entry = cast("dict[str, Any]", raw)
        entry.pop("properties", None)
        for column in cast("list[object]", entry.get("columns") or []):
            if isinstance(column, dict):
                cast("dict[str, object]", column)["field_comments"] = []
    return _RECORD_DECODERS["catalog_snapshot"](raw)


HEADER = JsonFile(
    Header,
    version_field="schema_version",
    version=SCHEMA_VERSION,
    older={1: {"changes": None}, 2: {}, 3: {}},
)
"""``manifest.json``."""
