"""One edge as Monte Carlo's lineage event: a table that fed a table, or a column that fed a column.

A column's event names its two tables as well, each under an id that holds within the event. Which edges go is
not decided here.
"""

from dataclasses import dataclass
from typing import Literal

from iomete_mc_assets.montecarlo.events.event import Event, Json, clean, encoded
from iomete_mc_assets.montecarlo.naming import AssetName, Naming
from iomete_mc_assets.records import LineageEdge

AssetType = Literal["TABLE", "VIEW"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """A table or view as its accepted catalog entry called it."""

    name: AssetName
    type: AssetType

    def json(self, *, with_id: bool) -> dict[str, Json]:
        """As it stands in an event; the id only where fields refer to it."""
        parts: dict[str, Json] = {
            "type": self.type,
            "name": clean(self.name.name),
            "database": clean(self.name.database),
            "schema": clean(self.name.schema),
        }
        if with_id:
            parts["asset_id"] = self.id
        return parts

    @property
    def id(self) -> str:
        """Its full table id, in its own case."""
        return clean(f"{self.name.database}:{self.name.schema}.{self.name.name}")


def key_of(edge: LineageEdge, naming: Naming) -> str:
    """What an edge is about: both tables' folded ids, and both columns', empty for a table edge."""
    source, target = naming.of(edge.source).key, naming.of(edge.target).key
    columns = (edge.source_column or "", edge.target_column or "")
    parts = (source, columns[0].casefold(), target, columns[1].casefold())
    return "\t".join(map(_escaped, parts))


def is_between(key: str, source: str, target: str) -> bool:
    """Whether an edge's key is of two tables, given by their full ids in any case."""
    parts = key.split("\t")
    return [parts[0], parts[2]] == [_escaped(source.casefold()), _escaped(target.casefold())]


def _escaped(part: str) -> str:
    return part.replace("\\", "\\\\").replace("\t", "\\t")


def event(edge: LineageEdge, key: str, *, source: Ref, target: Ref) -> Event:
    """The event of a ``table`` or ``direct`` edge between two known tables.

    Raises:
        ValueError: an indirect edge, which has no event: it moves no value.
    """
    if edge.kind == "indirect":
        msg = f"{edge.source.shown} only decides values of {edge.target.shown}; it is no source"
        raise ValueError(msg)
    columns = edge.source_column is not None and edge.target_column is not None
    content: dict[str, Json] = {
        "destination": target.json(with_id=columns),
        "sources": [source.json(with_id=columns)],
    }
    if columns:
        fed = {"asset_id": source.id, "field_name": clean(edge.source_column or "")}
        content["fields"] = [{"name": clean(edge.target_column or ""), "source_fields": [fed]}]
    return Event.of(key, encoded(content))
