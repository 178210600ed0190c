"""Table properties in the two texts Spark prints them as, and which of them are bookkeeping. Asks nothing."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

REDACTED = "*********(redacted)"
"""Spark prints this for a property whose name *or value* holds url, secret, password, token or access.key
(``spark.sql.redaction.options.regex``, ``spark.redaction.regex``): a column named ``url`` hides the schema."""

GOVERNANCE = "iomete.governance.index"
"""IOMETE's own opt-out from cataloguing, on a schema or a table: ``false`` leaves it out."""

BOOKKEEPING = frozenset(
    {
        "COLUMN_STATS_ACCURATE",
        "DO_NOT_UPDATE_STATS",
        "EXTERNAL",
        "TRANSLATED_TO_EXTERNAL",
        "bucketing_version",
        "comment",
        "create_engine_version",
        "current-schema",
        "current-snapshot-id",
        "current-snapshot-summary",
        "current-snapshot-timestamp-ms",
        "default-partition-spec",
        "default-sort-order",
        "engine_version",
        "external.table.purge",
        "format",
        "format-version",
        "last_modified_by",
        "last_modified_time",
        "location",
        "metadata_location",
        "numFiles",
        "numFilesErasureCoded",
        "numRows",
        "owner",
        "previous_metadata_location",
        "provider",
        "rawDataSize",
        "snapshot-count",
        "sort-order",
        "storage_handler",
        "table_type",
        "totalSize",
        "transient_lastDdlTime",
        "uuid",
    }
)
"""What Iceberg, Hive and Spark keep for themselves among the properties."""
BOOKKEEPING_PREFIXES = ("option.", "spark.", "view.")

JSON_VALUED = frozenset(
    {"current-schema", "current-snapshot-summary", "default-partition-spec", "default-sort-order"}
)
MARKERS = (
    "current-schema",
    "current-snapshot-id",
    "current-snapshot-summary",
    "current-snapshot-timestamp-ms",
    "metadata_location",
    "snapshot-count",
    "table_type",
    "uuid",
)
"""Properties whose values are believed: none of them may seem to stand in the text more than once."""

Separator = Literal[", ", ","]
"""Between properties: comma and blank in metastore tables' texts, a bare comma in v2 DESCRIBE."""


@dataclass(frozen=True, slots=True)
class PropertyText:
    """Properties as read from a text.

    Attributes:
        values: by name.
        decoded: those whose value was JSON.
    """

    values: Mapping[str, str]
    decoded: Mapping[str, object]


def read_properties(text: str, *, separator: Separator) -> PropertyText | None:
    """The properties in ``[a=b, c={...}]``; None where the text can be read in more than one way.

    Nothing in the text is escaped. Spark sorts it by name, so a value that only looks like a further
    property mostly breaks the order; and a marker seen more often than it was read is somebody's value.
    """
    if not (text.startswith("[") and text.endswith("]")):
        return None
    values: dict[str, str] = {}
    decoded: dict[str, object] = {}
    plain: list[str] = []
    rest = text[1:-1]
    while rest:
        name, equals, rest = rest.partition("=")
        if not equals or (values and name <= max(values)):
            return None
        if name in JSON_VALUED and rest.startswith("{"):
            try:
                decoded[name], end = json.JSONDecoder().raw_decode(rest)
            except ValueError:
                return None
            value, rest = rest[:end], rest[end:]
            plain.append(f"{name}=")
        else:
            value = _plain_value(rest, separator)
            rest = rest[len(value) :]
            plain.append(f"{name}={value}")
        values[name] = value
        if rest and not rest.startswith(separator):
            return None
        rest = rest.removeprefix(separator)
    believed = all(_seen_once(marker, plain, values) for marker in MARKERS)
    return PropertyText(values, decoded) if believed else None


def user_properties(values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The user's own among the properties, sorted by name."""
    return tuple(
        (name, value)
        for name, value in sorted(values.items())
        if name not in BOOKKEEPING and not name.startswith(BOOKKEEPING_PREFIXES)
    )


def opted_out(properties: Iterable[tuple[str, str]]) -> bool:
    """Whether ``iomete.governance.index`` is ``false``, in any case."""
    return any(
        name == GOVERNANCE and value.strip().casefold() == "false" for name, value in properties
    )


def namespace_opted_out(text: str) -> bool:
    """The same in the ``Properties`` row of DESCRIBE NAMESPACE EXTENDED: ``((name,value), (name,value))``."""
    return re.search(rf"\({re.escape(GOVERNANCE)},\s*false\s*\)", text, re.IGNORECASE) is not None


def _plain_value(rest: str, separator: str) -> str:
    """Up to the next separator after which a name and an equals sign follow."""
    following = re.search(re.escape(separator) + r"[^\s,=\[\]{}\"]+=", rest)
    return rest if following is None else rest[: following.start()]


def _seen_once(marker: str, plain: Iterable[str], values: Mapping[str, str]) -> bool:
    seen = sum(text.count(f"{marker}=") for text in plain)
    return seen == sum(name.endswith(marker) for name in values)
