"""A manifest as a pandas DataFrame, for people and for previews. The only home of pandas.

Manifests themselves are read and written record by record, in ``store``.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from types import NoneType
from typing import cast, get_args, get_type_hints

import pandas as pd

from iomete_mc_assets.manifests.codec import RECORD_TYPES
from iomete_mc_assets.manifests.model import Header
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.records import Column, PlannedEdges, Record, SurveyedState, TableId

_DTYPES: dict[object, str] = {
    int: "Int64",
    bool: "boolean",
    datetime: "datetime64[us, UTC]",
    str: "string",
}
"""Nullable ones, so that None stays apart from 0, False and the empty text."""

_ValueOf = Callable[[Record], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _FrameColumn:
    name: str
    dtype: str
    value_of: _ValueOf


def load(store: ManifestStore, header: Header) -> pd.DataFrame:
    """All records of a manifest, one a row, in the order they were written.

    The columns depend on the flow alone, so an empty manifest gives an empty frame with the same
    ones: the record's fields by name; for its table ``table`` (dotted), ``catalog``, ``namespace``
    (dotted) and ``name``, for an edge's ``source``, ``source_catalog`` and so on; ``columns`` as a list of dicts, a
    query's ``plan`` as a dict; the survey's state as ``state_uuid`` and so on. Everything is in memory at once.

    Raises:
        ManifestDamaged: as ``ManifestStore.records``.
    """
    columns = _columns(RECORD_TYPES[header.flow])
    values: dict[str, list[object]] = {column.name: [] for column in columns}
    for record in store.records(header):
        for column in columns:
            values[column.name].append(column.value_of(record))
    return pd.DataFrame(
        {column.name: pd.Series(values[column.name], dtype=column.dtype) for column in columns}
    )


def _columns(kind: type[Record]) -> list[_FrameColumn]:
    hints = get_type_hints(kind)
    return [column for field in fields(kind) for column in _of_field(field.name, hints[field.name])]


def _of_field(name: str, annotation: object) -> list[_FrameColumn]:
    if annotation is TableId:
        return _of_table(name)
    if SurveyedState in get_args(annotation):
        hints = get_type_hints(SurveyedState)
        return [
            _FrameColumn(
                name=f"{name}_{inner.name}",
                dtype=_dtype(hints[inner.name]),
                value_of=_inner(name, inner.name),
            )
            for inner in fields(SurveyedState)
        ]
    if PlannedEdges in get_args(annotation):
        return [_FrameColumn(name=name, dtype="object", value_of=_plan_dict)]
    if name == "columns":
        return [_FrameColumn(name=name, dtype="object", value_of=_column_dicts)]
    return [_FrameColumn(name=name, dtype=_dtype(annotation), value_of=_value(name))]


def _of_table(name: str) -> list[_FrameColumn]:
    def of(part: Callable[[TableId], str]) -> _ValueOf:
        return lambda record: part(getattr(record, name))

    before = "" if name == "table" else f"{name}_"
    parts: dict[str, Callable[[TableId], str]] = {
        name: lambda table: table.shown,
        f"{before}catalog": lambda table: table.catalog,
        f"{before}namespace": lambda table: ".".join(table.namespace),
        f"{before}name": lambda table: table.table,
    }
    return [
        _FrameColumn(name=column, dtype="string", value_of=of(part))
        for column, part in parts.items()
    ]


def _value(name: str) -> _ValueOf:
    return lambda record: getattr(record, name)


def _inner(outer: str, name: str) -> _ValueOf:
    return lambda record: getattr(getattr(record, outer), name, None)


def _column_dicts(record: Record) -> object:
    columns = cast("tuple[Column, ...]", _value("columns")(record))
    return [asdict(column) for column in columns]


def _plan_dict(record: Record) -> object:
    plan = cast("PlannedEdges | None", _value("plan")(record))
    return None if plan is None else asdict(plan)


def _dtype(annotation: object) -> str:
    """The dtype of ``X`` or ``X | None``; a Literal is text."""
    kinds = [kind for kind in get_args(annotation) or (annotation,) if kind is not NoneType]
    return _DTYPES.get(kinds[0], "string")
