"""Reads DESCRIBE TABLE EXTENDED: the way of v2 catalogs, views and plain tables, and the fallback for any. Asks nothing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from iomete_mc_assets.records import Column, SurveyedState, TableEntry, TableId
from iomete_mc_assets.warehouse.create_statement import with_nested_fields
from iomete_mc_assets.warehouse.properties import GOVERNANCE
from iomete_mc_assets.warehouse.rows import Row
from iomete_mc_assets.warehouse.schema import described_type
from iomete_mc_assets.warehouse.survey import created_at

DETAILS = frozenset({"# Detailed Table Information", "# Detailed View Information"})
SNAPSHOT = re.compile(r"[\[,]current-snapshot-id=(\d{1,19}|none)(?=[,\]])")
"""In the properties of every Iceberg table, whatever a user wrote beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One answer of DESCRIBE TABLE EXTENDED.

    Attributes:
        entry: ``required`` is None in all its columns, as DESCRIBE does not show NOT NULL; of an Iceberg
            table's state it knows the snapshot id at most.
        certain: False where SHOW TBLPROPERTIES must say whether it is opted out and what its snapshot is.
        types: its columns' types as printed, in which a field's name may look like several fields.
    """

    entry: TableEntry
    certain: bool
    types: tuple[str, ...]

    @property
    def nested(self) -> bool:
        """Whether SHOW CREATE TABLE must say what an Iceberg table's nested fields are."""
        return self.entry.format == "iceberg" and any("struct<" in kind for kind in self.types)


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
    view = details.get("Type") == "VIEW" or "View Text" in details
    iceberg = not view and details.get("Provider", "").casefold() == "iceberg"
    shown = SNAPSHOT.findall(text) if text.count("current-snapshot-id=") == 1 else []
    entry = TableEntry(
        table=table,
        kind="view" if view else "table",
        format="iceberg" if iceberg else "other",
        columns=columns,
        comment=details.get("Comment") or None,
        owner=details.get("Owner") or None,
        view_text=details.get("View Text") if view else None,
        state=_state("".join(shown), details) if iceberg else None,
    )
    return Described(
        entry=entry,
        certain=GOVERNANCE not in text and (not iceberg or bool(shown)),
        types=tuple(_text(row, "data_type") for row in _typed(rows)),
    )


def with_snapshot(entry: TableEntry, told: Mapping[str, str]) -> TableEntry:
    """The entry with the snapshot that SHOW TBLPROPERTIES tells of an Iceberg table."""
    if entry.state is None or "current-snapshot-id" not in told:
        return entry
    return replace(
        entry, state=replace(entry.state, snapshot_id=_snapshot_id(told["current-snapshot-id"]))
    )


def with_fields(described: Described, rows: Sequence[Row]) -> TableEntry | None:
    """The entry with its nested fields and NOT NULL as SHOW CREATE TABLE tells them; None where its text tells nothing."""
    entry = described.entry
    statement = "".join(str(row["createtab_stmt"]) for row in rows)
    columns = with_nested_fields(entry.columns, described.types, statement)
    return None if columns is None else replace(entry, columns=columns)


def without_fields(described: Described) -> TableEntry:
    """The entry with nested types as DESCRIBE prints them, which claims no fields."""
    columns = tuple(
        replace(column, type=kind) if "struct<" in kind else column
        for column, kind in zip(described.entry.columns, described.types, strict=True)
    )
    return replace(described.entry, columns=columns)


def _typed(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows before the first one without a type: every column has a type, whatever its name."""
    return list(takewhile(lambda row: _text(row, "data_type") != "", rows))


def _columns(rows: Sequence[Row]) -> tuple[Column, ...]:
    return tuple(
        Column(
            name=_text(row, "col_name"),
            type=described_type(_text(row, "data_type")),
            comment=_text(row, "comment") or None,
        )
        for row in _typed(rows)
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


def _state(shown: str, details: Mapping[str, str]) -> SurveyedState:
    return SurveyedState(
        snapshot_id=_snapshot_id(shown), created_at=created_at(details.get("Created Time"))
    )


def _snapshot_id(shown: str) -> int | None:
    return int(shown) if re.fullmatch(r"\d{1,19}", shown) else None


def _text(row: Row, column: str) -> str:
    value = row[column]
    return "" if value is None else str(value)
