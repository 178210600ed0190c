"""A table entry as Monte Carlo's catalog entry: names, types, comments. Never volume or freshness.

A field has one description there, so comments inside a nested column follow its own, a line each (decision 0020).
"""

from typing import Literal

from iomete_mc_assets.montecarlo.events.event import Event, Json, clean, encoded, iso
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.records import Column, TableEntry


def event(entry: TableEntry, naming: Naming) -> Event:
    """The metadata event of a table or view; ``fields`` complete, or absent where it has none."""
    name = naming.of(entry.table)
    metadata: dict[str, Json] = {
        "name": clean(name.name),
        "database": clean(name.database),
        "schema": clean(name.schema),
    }
    if entry.comment:
        metadata["description"] = clean(entry.comment)
    if entry.kind == "view" and entry.view_text:
        metadata["view_query"] = clean(entry.view_text)
    if entry.state is not None and entry.state.created_at is not None:
        metadata["created_on"] = iso(entry.state.created_at)
    asset: dict[str, Json] = {
        "type": type_of(entry),
        "metadata": metadata,
    }
    if entry.columns:
        asset["fields"] = [_field(column) for column in entry.columns]
    return Event.of(name.key, encoded({"relational_asset": asset}))


def type_of(entry: TableEntry) -> Literal["TABLE", "VIEW"]:
    """The two types that Monte Carlo knows."""
    return "VIEW" if entry.kind == "view" else "TABLE"


def description(column: Column) -> str | None:
    """A column's comment, and those of the fields inside it, a line each; None without any."""
    inside = [f"{path}: {comment}" for path, comment in column.field_comments]
    return "\n".join([*filter(None, [column.comment]), *inside]) or None


def _field(column: Column) -> Json:
    field: dict[str, Json] = {"name": clean(column.name), "type": clean(column.type)}
    described = description(column)
    if described:
        field["description"] = clean(described)
    return field
