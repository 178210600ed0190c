"""Reads the ``information`` block of SHOW TABLE EXTENDED, and refuses to guess. Asks nothing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import cast

from iomete_mc_assets.records import Column, SurveyedState, TableEntry, TableId
from iomete_mc_assets.warehouse.properties import (
    GOVERNANCE,
    REDACTED,
    PropertyText,
    read_properties,
    user_properties,
)
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
TREE = "\nSchema: root\n"
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
        names_opt_out: the text mentions ``iomete.governance.index``; SHOW TBLPROPERTIES says whether it is so.
    """

    entry: TableEntry
    lacks_columns: bool
    names_opt_out: bool


@dataclass(frozen=True, slots=True)
class NotReadable:
    """The block cannot be read without guessing, or is none of Iceberg's and tells too little: DESCRIBE the table."""

    reason: str


def read_block(table: TableId, information: str) -> Surveyed | NotReadable:
    """What one block says of a table or view."""
    lines = _labelled(information)
    if isinstance(lines, NotReadable):
        return lines
    if "Table Properties" not in lines:
        return NotReadable("it is no Iceberg table's")
    properties = read_properties(lines["Table Properties"], separator=", ")
    if properties is None:
        return NotReadable("its properties can be read in more than one way")
    match properties.values.get("table_type"):
        case "ICEBERG":
            return _iceberg_table(table, lines, properties, information)
        case "ICEBERG-VIEW":
            return _iceberg_view(table, lines, properties, information)
        case _:
            return NotReadable("it is no Iceberg table's")


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


def _labelled(information: str) -> Mapping[str, str] | NotReadable:
    """The lines before the column tree by label, each on one line but a view's text and a comment."""
    head, tree, below = f"\n{information.strip()}\n".partition(TREE)
    if not tree or TREE in f"\n{below}":
        return NotReadable("its block has no column tree, or more than one")
    lines: dict[str, str] = {}
    if "\nType: VIEW\n" in head:
        parted = _without_view_text(head)
        if parted is None:
            return NotReadable("its view text cannot be told from the lines around it")
        head, lines["View Text"] = parted
    last = ""
    for line in head.strip("\n").split("\n"):
        label, colon, value = line.partition(":")
        known = bool(colon) and label in LABELS
        if known and (not last or LABELS.index(label) > LABELS.index(last)):
            lines[label] = value.removeprefix(" ")
            last = label
        elif last == "Comment" and not known:
            lines["Comment"] += f"\n{line}"
        else:
            return NotReadable("a value in its block spans lines or imitates them")
    return _plausible(lines)


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
    table: TableId, lines: Mapping[str, str], properties: PropertyText, information: str
) -> Surveyed | NotReadable:
    if lines.get("Provider", "hive") != "hive" or "metadata_location" not in properties.values:
        return NotReadable("it says ICEBERG and lacks what every Iceberg table has")
    state = _state(properties, lines)
    columns = _columns(properties, information)
    if isinstance(state, NotReadable):
        return state
    if isinstance(columns, NotReadable):
        return columns
    entry = TableEntry(
        table=table,
        kind="table",
        format="iceberg",
        columns=columns or (),
        comment=lines.get("Comment") or None,
        owner=lines.get("Owner") or None,
        properties=user_properties(properties.values),
        state=state,
    )
    return Surveyed(
        entry=entry,
        lacks_columns=columns is None,
        names_opt_out=GOVERNANCE in lines["Table Properties"],
    )


def _iceberg_view(
    table: TableId, lines: Mapping[str, str], properties: PropertyText, information: str
) -> Surveyed | NotReadable:
    columns = _columns(properties, information)
    if isinstance(columns, NotReadable):
        return columns
    if lines.get("Type") != "VIEW":
        return NotReadable("it says ICEBERG-VIEW and is no view")
    entry = TableEntry(
        table=table,
        kind="view",
        format="other",
        columns=columns or (),
        comment=lines.get("Comment") or properties.values.get("comment") or None,
        owner=lines.get("Owner") or None,
        properties=user_properties(properties.values),
        view_text=lines["View Text"],
    )
    return Surveyed(
        entry=entry,
        lacks_columns=columns is None,
        names_opt_out=GOVERNANCE in lines["Table Properties"],
    )


def _columns(properties: PropertyText, information: str) -> tuple[Column, ...] | NotReadable | None:
    """The schema's columns; None where it was left out or hidden."""
    shown = properties.values.get("current-schema", REDACTED)
    if "current-schema" not in properties.decoded:
        return None if shown == REDACTED else NotReadable("its schema is no JSON")
    try:
        columns = columns_of(properties.decoded["current-schema"])
    except ValueError as error:
        return NotReadable(f"its schema is none we know: {error}")
    # the metastore's own tree is lossy, but its top-level names show a schema that is not the table's
    tree = information.partition("Schema: root\n")[2]
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
    return SurveyedState(
        uuid=values.get("uuid"),
        metadata_location=values.get("metadata_location"),
        snapshot_id=snapshot_id,
        snapshot_count=count,
        snapshot_at=None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC),
        total_records=_number(figures.get("total-records")),
        total_bytes=_number(figures.get("total-files-size")),
        position_deletes=_number(figures.get("total-position-deletes")),
        equality_deletes=_number(figures.get("total-equality-deletes")),
        created_at=created_at(lines.get("Created Time")),
    )


def _number(text: object) -> int | None:
    """Summaries and properties hold numbers as text; None for anything else."""
    return int(text) if isinstance(text, str) and re.fullmatch(r"-?\d{1,19}", text) else None
