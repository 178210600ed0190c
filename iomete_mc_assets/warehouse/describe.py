"""Reads DESCRIBE TABLE EXTENDED: the way of v2 catalogs, views and plain tables, and the fallback for any. Asks nothing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from iomete_mc_assets.records import Column, SurveyedState, TableEntry, TableId
from iomete_mc_assets.warehouse.properties import GOVERNANCE, read_properties, user_properties
from iomete_mc_assets.warehouse.rows import Row
from iomete_mc_assets.warehouse.schema import described_type
from iomete_mc_assets.warehouse.survey import created_at

NO_PROPERTIES: Mapping[str, str] = {}
DETAILS = frozenset({"# Detailed Table Information", "# Detailed View Information"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One answer of DESCRIBE TABLE EXTENDED.

    Attributes:
        entry: ``required`` is None in all its columns, as DESCRIBE does not show NOT NULL; of an Iceberg
            table's state it knows the snapshot id at most.
        certain: False where SHOW TBLPROPERTIES must say what the properties are.
    """

    entry: TableEntry
    certain: bool


def read_description(table: TableId, rows: Sequence[Row]) -> Described:
    """What the answer says.

    Raises:
        ValueError: it has no details, so it is none of Spark's answers. Iceberg has tables without a column.
    """
    columns = _columns(rows)
    details = _details(rows)
    if not details:
        msg = f"DESCRIBE of {table.shown} has no details"
        raise ValueError(msg)
    text = details.get("Table Properties") or details.get("View Properties") or "[]"
    separator = ", " if "Database" in details else ","
    properties = read_properties(text, separator=separator)
    values = NO_PROPERTIES if properties is None else properties.values
    view = details.get("Type") == "VIEW" or "View Text" in details
    iceberg = not view and details.get("Provider", "").casefold() == "iceberg"
    entry = TableEntry(
        table=table,
        kind="view" if view else "table",
        format="iceberg" if iceberg else "other",
        columns=columns,
        comment=details.get("Comment") or None,
        owner=details.get("Owner") or None,
        properties=user_properties(values),
        view_text=details.get("View Text") if view else None,
        state=_state(values, details) if iceberg else None,
    )
    certain = properties is not None and GOVERNANCE not in text
    return Described(
        entry=entry, certain=certain and (not iceberg or "current-snapshot-id" in values)
    )


def with_properties(entry: TableEntry, rows: Sequence[Row]) -> TableEntry:
    """The entry with the properties (and, for an Iceberg table, the snapshot) SHOW TBLPROPERTIES tells."""
    values = {str(row["key"]): str(row["value"]) for row in rows}
    state = entry.state
    if state is not None and "current-snapshot-id" in values:
        state = replace(state, snapshot_id=_snapshot_id(values))
    return replace(entry, properties=user_properties(values), state=state)


def _columns(rows: Sequence[Row]) -> tuple[Column, ...]:
    """The rows before the first one without a type: every column has a type, whatever its name."""
    typed = takewhile(lambda row: _text(row, "data_type") != "", rows)
    return tuple(
        Column(
            name=_text(row, "col_name"),
            type=described_type(_text(row, "data_type")),
            comment=_text(row, "comment") or None,
        )
        for row in typed
    )


def _details(rows: Sequence[Row]) -> Mapping[str, str]:
    """The rows below the details' heading, which like every heading has no type, to the next heading."""
    details: dict[str, str] = {}
    inside = False
    for row in rows:
        name, value = _text(row, "col_name"), _text(row, "data_type")
        if name.startswith("# ") and not value:
            inside = name in DETAILS
        elif inside:
            details.setdefault(name, value)
    return details


def _state(values: Mapping[str, str], details: Mapping[str, str]) -> SurveyedState:
    return SurveyedState(
        snapshot_id=_snapshot_id(values), created_at=created_at(details.get("Created Time"))
    )


def _snapshot_id(values: Mapping[str, str]) -> int | None:
    shown = values.get("current-snapshot-id", "none")
    return int(shown) if re.fullmatch(r"\d{1,19}", shown) else None


def _text(row: Row, column: str) -> str:
    value = row[column]
    return "" if value is None else str(value)
