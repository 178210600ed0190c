"""GraphQL operations of the local Monte Carlo about pushed lineage: which tables, and which columns, feed which.

An edge shows while both its tables do; a column edge for ten days after it was received last.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from graphql import GraphQLError

from iomete_mc_assets.sandbox.gateway_store import PushedTable, full_table_id
from iomete_mc_assets.sandbox.gateway_tables import cursor_of, is_deleted, mcon_of, position_of
from iomete_mc_assets.sandbox.gateway_world import (
    Arguments,
    Resolver,
    World,
    refuse_other_arguments,
)

COLUMN_LINEAGE_LIVES = timedelta(days=10)
DIRECTIONS = ("upstream", "downstream")


@dataclass(frozen=True, slots=True)
class _Edge:
    """Two tables, and of a column edge its columns."""

    source: PushedTable
    target: PushedTable
    columns: tuple[str, str] | None = None


def _edges(world: World) -> Iterator[_Edge]:
    """All that were pushed, in order of arrival; an event with columns gives its table edges too."""
    shown = {
        (table.resource_uuid, table.full_table_id, table.type): table
        for table in world.tables()
        if not is_deleted(world, table)
    }

    def table_of(ref: Mapping[str, Any], default: str | None) -> PushedTable | None:
        resource = ref.get("resource_uuid", default)
        return shown.get((resource, full_table_id(ref), ref["type"]))

    for event in world.events("lineage"):
        target = table_of(event.content["destination"], event.resource_uuid)
        sources = {
            ref.get("asset_id", number): table_of(ref, event.resource_uuid)
            for number, ref in enumerate(event.content["sources"])
        }
        if target is None:
            continue
        yield from (_Edge(source, target) for source in sources.values() if source is not None)
        if world.now - event.received_at > COLUMN_LINEAGE_LIVES:
            continue
        for field in event.content.get("fields", ()):
            for fed in field["source_fields"]:
                source = sources[fed["asset_id"]]
                if source is not None:
                    yield _Edge(source, target, (fed["field_name"], field["name"]))


def _table_lineage(world: World, arguments: Arguments) -> object:
    """The tables next to one; further hops are not answered."""
    known = ("mcon", "direction", "hops", "limit", "filters")
    refuse_other_arguments("getTableLineage", arguments, known)
    mcon, direction = arguments.get("mcon"), arguments["direction"]
    if (
        direction not in DIRECTIONS
        or arguments.get("hops") not in (None, 1)
        or arguments["filters"]
    ):
        msg = f"the sandbox's getTableLineage goes one hop {' or '.join(DIRECTIONS)}, without a filter"
        raise GraphQLError(msg)
    upstream = direction == "upstream"
    pairs = (
        (edge.target, edge.source) if upstream else (edge.source, edge.target)
        for edge in _edges(world)
    )
    near = {mcon_of(other): other for base, other in pairs if mcon_of(base) == mcon}
    return {
        "connectedNodes": [
            {
                "mcon": other,
                "objectType": near[other].type.lower(),
                "displayName": near[other].full_table_id,
            }
            for other in sorted(near)[: arguments["limit"]]
        ],
        "flattenedEdges": [
            {"mcon": mcon, "directlyConnectedMcons": sorted(near)[: arguments["limit"]]}
        ]
        if near
        else [],
    }


def _derived_tables(world: World, arguments: Arguments) -> object:
    """The columns that one column feeds, table by table."""
    known = ("mcon", "column", "cursor", "pageSize")
    refuse_other_arguments("getDerivedTablesPartialLineage", arguments, known)
    mcon, column = arguments.get("mcon"), str(arguments.get("column")).casefold()
    fed: dict[str, tuple[PushedTable, set[str]]] = {}
    for edge in _edges(world):
        of_column = edge.columns is not None and edge.columns[0].casefold() == column
        if edge.columns is not None and of_column and mcon_of(edge.source) == mcon:
            fed.setdefault(mcon_of(edge.target), (edge.target, set()))[1].add(edge.columns[1])
    cursor = arguments.get("cursor")
    start = 0 if not cursor else position_of(cursor) + 1
    end = start + arguments["pageSize"]
    names = sorted(fed)
    return {
        "mcon": mcon,
        "sourceColumn": arguments.get("column"),
        "destinations": [_destination(name, *fed[name]) for name in names[start:end]],
        "isLastPage": end >= len(names),
        "cursor": cursor_of(min(end, len(names)) - 1) if names else None,
    }


def _destination(mcon: str, table: PushedTable, columns: set[str]) -> Mapping[str, object]:
    types = {str(one["name"]).casefold(): one.get("type") for one in table.fields}
    return {
        "mcon": mcon,
        "displayName": table.full_table_id,
        "columns": [
            {"columnName": name, "columnType": types.get(name.casefold())}
            for name in sorted(columns)
        ],
    }


OPERATIONS: Mapping[str, Resolver] = {
    "getTableLineage": _table_lineage,
    "getDerivedTablesPartialLineage": _derived_tables,
}
