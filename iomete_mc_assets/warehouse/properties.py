"""Properties as Spark prints them in one line, from sessions that hide what would make the line ambiguous. Asks nothing."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

REDACTED = "*********(redacted)"
"""Spark prints this for a property whose name *or value* matches ``HIDDEN`` or the site's own
``spark.redaction.regex`` (secret, password, token, access.key)."""

HIDDEN = r'(?i:url)|\n|\A(?!\{").*, '
"""What our sessions have Spark hide (``spark.sql.redaction.options.regex``): what it hides by default, and every
name and value with a comma and a blank or a new line in it, which could pass for further properties. JSON keeps
its commas, because its end is known. See decision 0019."""
CANARY = ("spark.iomete_mc_assets.canary", "a, b")
"""A setting of our sessions that is printed hidden where ``HIDDEN`` is in force."""

GOVERNANCE = "iomete.governance.index"
"""IOMETE's own opt-out from cataloguing, on a schema or a table: ``false`` leaves it out."""

JSON_VALUED = frozenset(
    {"current-schema", "current-snapshot-summary", "default-partition-spec", "default-sort-order"}
)
OWN = JSON_VALUED | {
    "DO_NOT_UPDATE_STATS",
    "current-snapshot-id",
    "current-snapshot-timestamp-ms",
    "metadata_location",
    "previous_metadata_location",
    "snapshot-count",
    "table_type",
    "uuid",
}
"""What Iceberg writes at each commit, whatever a user set under these names. Source: HiveTableOperations; seen [0019]."""
LAST_OWN = "uuid"
"""Iceberg's last property by name, and one that no table lacks: what follows it passes for nothing of Iceberg's."""

NOTHING_TOLD: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class PropertyText:
    """Properties as read from a text.

    Attributes:
        values: by name; without those that were told.
        decoded: those whose value was JSON.
    """

    values: Mapping[str, str]
    decoded: Mapping[str, object]


def read_properties(text: str, *, told: Mapping[str, str] = NOTHING_TOLD) -> PropertyText | None:
    """The properties in ``[a=b, c={...}]``; None where the text can be read in more than one way.

    Args:
        text: as a session prints it that hides ``HIDDEN``, sorted by name.
        told: a user's own properties as SHOW TBLPROPERTIES lists them, where the text alone is not enough.
    """
    if not (text.startswith("[") and text.endswith("]")):
        return None
    values: dict[str, str] = {}
    decoded: dict[str, object] = {}
    rest, last = text[1:-1], ""
    while rest:
        name = _told_name(rest, told)
        if name is not None:
            rest = rest[len(name) + len("=") + len(told[name]) :]
        else:
            name, equals, rest = rest.partition("=")
            if not equals or ", " in name:
                return None
            if name in JSON_VALUED and rest.startswith("{"):
                try:
                    decoded[name], end = json.JSONDecoder().raw_decode(rest)
                except (ValueError, RecursionError):
                    return None
            else:
                end = rest.find(", ") if ", " in rest else len(rest)
                if name not in OWN and _may_be_more(rest[:end], after=last):
                    return None
            values[name], rest = rest[:end], rest[end:]
        if name <= last or (rest and not rest.startswith(", ")):
            return None
        rest, last = rest.removeprefix(", "), name
    return PropertyText(values, decoded)


def _told_name(rest: str, told: Mapping[str, str]) -> str | None:
    """Which of the told properties the text goes on with; the longest, as a name may hold an equals sign."""
    found = [
        name
        for name, value in told.items()
        if name not in OWN and f"{rest}, ".startswith(f"{name}={value}, ")
    ]
    return max(found, key=len, default=None)


def _may_be_more(value: str, *, after: str) -> bool:
    """Whether what seems to be a user's value may belong to a name or a value that began earlier or ends later."""
    if value.startswith('{"'):
        return True
    return value == REDACTED and after < LAST_OWN


def opted_out(value: str | None) -> bool:
    """Whether a value of ``iomete.governance.index`` is ``false``, in any case; not without one."""
    return value is not None and value.strip().casefold() == "false"


def told_properties(rows: Iterable[Mapping[str, object]]) -> Mapping[str, str]:
    """SHOW TBLPROPERTIES: the properties one by one, the only listing that cannot be misread."""
    return {str(row["key"]): str(row["value"]) for row in rows}


def namespace_opted_out(text: str, *, hidden: bool) -> bool | None:
    """The same in the ``Properties`` row of DESCRIBE NAMESPACE EXTENDED: ``((name,value), (name,value))``.

    None where it may be part of another property: of a name whose value is hidden, or of any where nothing is.

    Args:
        text: the row's.
        hidden: whether ``HIDDEN`` is in force.
    """
    if re.search(rf"\({re.escape(GOVERNANCE)},\s*false\s*\)", text, re.IGNORECASE) is None:
        return False
    certain = REDACTED not in text if hidden else "), (" not in text
    return True if certain else None
