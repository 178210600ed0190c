"""Reads what a survey says of Iceberg tables, SHOW TABLE EXTENDED's ``information`` above all, and refuses to guess.

Asks nothing.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import cast

from iomete_mc_assets.records import Column, SurveyedState, TableEntry, TableId
from iomete_mc_assets.warehouse.properties import (
    GOVERNANCE,
    NOTHING_TOLD,
    REDACTED,
    PropertyText,
    opted_out,
    read_properties,
)
from iomete_mc_assets.warehouse.rows import Row
from iomete_mc_assets.warehouse.schema import columns_of

LABELS = (
    "Catalog",
    "Database",
    "Table",
    "Owner",
    "Created Time",
    "Last Access",
    "Created By",
    "Type",
    "Provider",
    "Num Buckets",
    "Bucket Columns",
    "Sort Columns",
    "Comment",
    "View Text",
    "View Original Text",
    "View Schema Mode",
    "View Catalog and Namespace",
    "View Query Output Columns",
    "Table Properties",
    "Statistics",
    "Location",
    "Serde Library",
    "InputFormat",
    "OutputFormat",
    "Compressed",
    "Storage Properties",
    "Partition Provider",
    "Partition Columns",
)
"""The block's lines in the order Spark prints them. Source: CatalogTable.toLinkedHashMap."""
EMPTY_COMMENT = "Comment"
"""A line without a value stands there as its label alone; no other value is ever empty."""
TREE = "\nSchema: root\n"
BELOW = "Schema"
"""Under which the column tree stands among the lines."""
BREAK = "\v"
"""Sorts where a line break does, and ends no line of a block."""
STATISTICS = re.compile(r"\d+ bytes(, \d+ rows)?")
NO_FIGURES: Mapping[str, object] = {}
ZONES = {"UTC": UTC, "GMT": UTC, "Z": UTC}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """A block that reads in one way only.

    Attributes:
        entry: without columns where ``lacks_columns``.
        lacks_columns: the metastore keeps no schema above 32,672 characters
            (``iceberg.hive.table-property-max-size``), and Spark hides one that mentions a url or token.
        opted_out: by its own property.
    """

    entry: TableEntry
    lacks_columns: bool
    opted_out: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is known of a table from listings that cannot be misread, to read its block by.

    Attributes:
        comment: DESCRIBE's; None without.
        properties: the user's own, as SHOW TBLPROPERTIES lists them.
    """

    comment: str | None
    properties: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NotReadable:
    """The block cannot be read without guessing, or is none of Iceberg's and tells too little: DESCRIBE the table."""

    reason: str


def read_block(
    table: TableId, information: str, *, told: Told | None = None
) -> Surveyed | NotReadable:
    """What one block says of a table or view.

    Args:
        table: its name as listed.
        information: as printed in a session of ours, which hides what would make properties ambiguous.
        told: what else is known of it, where the block alone can be read in more than one way.
    """
    if told is not None:
        information, told = _names_in_one_line(information, told)
    lines = _labelled(information, told)
    if isinstance(lines, NotReadable):
        return lines
    properties = read_properties(
        lines.get("Table Properties", "[]"), told=NOTHING_TOLD if told is None else told.properties
    )
    if properties is None:
        return NotReadable("its properties can be read in more than one way")
    if properties.values.get("table_type") not in {"ICEBERG", "ICEBERG-VIEW"}:
        return NotReadable("it is no Iceberg table's")
    columns = _columns(properties, lines[BELOW])
    if isinstance(columns, NotReadable):
        return columns
    kind = _iceberg_table if properties.values["table_type"] == "ICEBERG" else _iceberg_view
    entry = kind(table, lines, properties, columns or ())
    if isinstance(entry, NotReadable):
        return entry
    own = properties.values if told is None else told.properties
    return Surveyed(
        entry=entry, lacks_columns=columns is None, opted_out=opted_out(own.get(GOVERNANCE))
    )


def with_present_state(state: SurveyedState, rows: Sequence[Row]) -> SurveyedState:
    """The state with all that the rows of ``statements.present_state`` tell: what a block does, but the uuid."""
    files = [str(row["file"]) for row in rows if row["kind"] == "m"]
    count = next((row["snapshot_id"] for row in rows if row["kind"] == "c"), None)
    state = replace(
        state,
        metadata_location=files[-1] if files else None,
        snapshot_count=None if count is None else int(str(count)),
    )
    current = next((row for row in rows if row["kind"] == "s"), None)
    if current is None:
        return replace(state, snapshot_id=None)
    summary = current["summary"]
    return _with_figures(
        state,
        snapshot_id=int(str(current["snapshot_id"])),
        at_ms=int(str(current["at_ms"])),
        summary={} if summary is None else json.loads(str(summary)),
    )


def created_at(text: str | None) -> datetime | None:
    """``Sat Nov 21 07:03:43 UTC 2026`` as an instant; None without, or in a zone its short name does not tell."""
    parts = (text or "").split()
    if len(parts) != 6:  # noqa: PLR2004 - weekday, month, day, time, zone, year
        return None
    zone = _zone(parts[4])
    if zone is None:
        return None
    try:
        local = datetime.strptime(  # noqa: DTZ007 - the zone follows
            " ".join((*parts[1:4], parts[5])), "%b %d %H:%M:%S %Y"
        )
    except ValueError:
        return None
    return local.replace(tzinfo=zone).astimezone(UTC)


def _zone(name: str) -> timezone | None:
    """Java prints abbreviations; most of them mean several zones, so only the certain ones are taken."""
    offset = re.fullmatch(r"(?:GMT|UTC)?([+-])(\d{2}):?(\d{2})", name)
    if offset is None:
        return ZONES.get(name)
    sign = -1 if offset[1] == "-" else 1
    return timezone(sign * timedelta(hours=int(offset[2]), minutes=int(offset[3])))


def _names_in_one_line(information: str, told: Told) -> tuple[str, Told]:
    """Both with another character for the line breaks in names of properties, whose values Spark hides."""
    properties = dict(told.properties)
    for name in sorted(properties, key=len, reverse=True):
        if "\n" in name:
            printed, value = f"{name}={properties[name]}", properties.pop(name)
            information = information.replace(printed, printed.replace("\n", BREAK))
            properties[name.replace("\n", BREAK)] = value
    return information, replace(told, properties=properties)


def _labelled(information: str, told: Told | None) -> Mapping[str, str] | NotReadable:
    """The block's lines by label, each on one line but a view's text, a comment and the column tree."""
    comment = None if told is None else told.comment
    if comment:
        first, found, rest = information.partition(f"\nComment: {comment}\n")
        if not found or "\nComment: " in first:
            return NotReadable("its comment is another by now")
        information = f"{first}\n{rest}"
    head, tree, below = f"\n{information.strip()}\n".partition(TREE)
    if not tree or TREE in f"\n{below}":
        return NotReadable("its block has no column tree, or more than one")
    lines: dict[str, str] = {}
    if "\nType: VIEW\n" in head:
        parted = _without_view_text(head)
        if parted is None:
            return NotReadable("its view text cannot be told from the lines around it")
        head, lines["View Text"] = parted
    place = -1
    for line in head.strip("\n").split("\n"):
        label, colon, value = line.partition(":")
        known = label in LABELS if colon else label == EMPTY_COMMENT
        if known and LABELS.index(label) > place:
            lines[label] = value.removeprefix(" ")
            place = LABELS.index(label)
        elif not known and place == LABELS.index("Comment"):
            lines["Comment"] += f"\n{line}"
        else:
            return NotReadable("a value in its block spans lines or imitates them")
    if comment:
        lines["Comment"] = comment
    return _plausible({**lines, BELOW: below})


def _without_view_text(head: str) -> tuple[str, str] | None:
    """A view's lines without its text, and the text, which Spark prints twice and which may span lines."""
    above, opened, rest = head.partition("\nView Text: ")
    if not opened:
        return None
    again = "\nView Original Text: "
    found = [
        rest[: match.start()]
        for match in re.finditer(re.escape(again), rest)
        if f"{rest}\n".startswith(f"{rest[: match.start()]}\n", match.end())
    ]
    if len(found) != 1:
        return None
    text = found[0]
    return f"{above}\n{rest[2 * len(text) + len(again) :].lstrip(chr(10))}", text


def _plausible(lines: Mapping[str, str]) -> Mapping[str, str] | NotReadable:
    """Refuse a block in which a line of somebody's text stands where Spark prints none."""
    if "Statistics" in lines and not STATISTICS.fullmatch(lines["Statistics"]):
        return NotReadable("its statistics line is none of Spark's")
    if lines.get("Type") != "VIEW" and any(label.startswith("View ") for label in lines):
        return NotReadable("a table's block with a view's lines")
    return lines


def _iceberg_table(
    table: TableId,
    lines: Mapping[str, str],
    properties: PropertyText,
    columns: tuple[Column, ...],
) -> TableEntry | NotReadable:
    if lines.get("Provider", "hive") != "hive" or "metadata_location" not in properties.values:
        return NotReadable("it says ICEBERG and lacks what every Iceberg table has")
    state = _state(properties, lines)
    if isinstance(state, NotReadable):
        return state
    return TableEntry(
        table=table,
        kind="table",
        format="iceberg",
        columns=columns,
        comment=lines.get("Comment") or None,
        owner=lines.get("Owner") or None,
        state=state,
    )


def _iceberg_view(
    table: TableId,
    lines: Mapping[str, str],
    properties: PropertyText,
    columns: tuple[Column, ...],
) -> TableEntry | NotReadable:
    if lines.get("Type") != "VIEW" or "View Query Output Columns" in lines:
        return NotReadable("it says ICEBERG-VIEW and is none of Iceberg's")
    return TableEntry(
        table=table,
        kind="view",
        format="other",
        columns=columns,
        comment=lines.get("Comment") or properties.values.get("comment") or None,
        owner=lines.get("Owner") or None,
        view_text=lines["View Text"],
    )


def _columns(properties: PropertyText, tree: str) -> tuple[Column, ...] | NotReadable | None:
    """The schema's columns; None where it was left out or hidden."""
    shown = properties.values.get("current-schema", REDACTED)
    if "current-schema" not in properties.decoded:
        return None if shown == REDACTED else NotReadable("its schema is no JSON")
    try:
        columns = columns_of(properties.decoded["current-schema"])
    except ValueError as error:
        return NotReadable(f"its schema is none we know: {error}")
    # the metastore's own tree is lossy, but its top-level names show a schema that is not the table's
    names = re.findall(r"^ \|-- (.*): \S+ \(nullable = (?:true|false)\)$", tree, re.MULTILINE)
    if [name.casefold() for name in names] != [column.name.casefold() for column in columns]:
        return NotReadable("its schema and its column tree differ")
    return columns


def _state(properties: PropertyText, lines: Mapping[str, str]) -> SurveyedState | NotReadable:
    values = {name: text for name, text in properties.values.items() if text != REDACTED}
    parts = ("current-snapshot-id", "current-snapshot-timestamp-ms", "current-snapshot-summary")
    present = [part in properties.values for part in parts]
    summary = properties.decoded.get("current-snapshot-summary", {})
    figures = cast("Mapping[str, object]", summary) if isinstance(summary, dict) else NO_FIGURES
    count = _number(values.get("snapshot-count"))
    if count is None or any(present) != all(present) or (count == 0 and any(present)):
        return NotReadable("its snapshot properties contradict each other")
    snapshot_id = _number(values.get("current-snapshot-id"))
    at_ms = _number(values.get("current-snapshot-timestamp-ms"))
    if all(present) and (snapshot_id is None or at_ms is None):
        return NotReadable("its snapshot properties are no numbers")
    state = SurveyedState(
        uuid=values.get("uuid"),
        metadata_location=values.get("metadata_location"),
        snapshot_count=count,
        created_at=created_at(lines.get("Created Time")),
    )
    return _with_figures(state, snapshot_id=snapshot_id, at_ms=at_ms, summary=figures)


def _with_figures(
    state: SurveyedState,
    *,
    snapshot_id: int | None,
    at_ms: int | None,
    summary: Mapping[str, object],
) -> SurveyedState:
    return replace(
        state,
        snapshot_id=snapshot_id,
        snapshot_at=None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC),
        total_records=_number(summary.get("total-records")),
        total_bytes=_number(summary.get("total-files-size")),
        position_deletes=_number(summary.get("total-position-deletes")),
        equality_deletes=_number(summary.get("total-equality-deletes")),
    )


def _number(text: object) -> int | None:
    """Summaries and properties hold numbers as text; None for anything else."""
    return int(text) if isinstance(text, str) and re.fullmatch(r"-?\d{1,19}", text) else None
