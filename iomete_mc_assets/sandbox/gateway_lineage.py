"""GraphQL operations of the local Monte Carlo about lineage: what was pushed, and nodes and edges made by hand.

A pushed edge is there while both its tables are; what was made by hand, until it expires.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from graphql import GraphQLError

from iomete_mc_assets.sandbox.gateway_control import CustomEdge, CustomNode
from iomete_mc_assets.sandbox.gateway_store import PushedTable, full_table_id
from iomete_mc_assets.sandbox.gateway_tables import cursor_of, is_deleted, mcon_of, position_of
from iomete_mc_assets.sandbox.gateway_world import (
    Arguments,
    Resolver,
    World,
    refuse_other_arguments,
)

EXPIRES_AFTER = timedelta(days=7)
"""Of nodes and edges made without an expiry. Source: Monte Carlo's schema."""
COLUMN_EDGES_LIVE = timedelta(days=10)
"""Source: the push-ingestion skill."""
DIRECTIONS = ("upstream", "downstream")

Shown = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Graph:
    """What there is at the moment.

    Attributes:
        nodes: by MCON.
        tables: pushed ones by warehouse, full id and type.
        edges: pairs of MCONs, from a source to what is made of it.
    """

    nodes: Mapping[str, Shown]
    tables: Mapping[tuple[str, str, str], PushedTable]
    edges: frozenset[tuple[str, str]]

    def next_to(self, mcon: str, direction: str) -> list[str]:
        """Direct neighbours in one direction, sorted."""
        if direction == "upstream":
            return sorted(source for source, destination in self.edges if destination == mcon)
        return sorted(destination for source, destination in self.edges if source == mcon)


def _graph(world: World) -> _Graph:
    live = [table for table in world.tables() if not is_deleted(world, table)]
    tables = {(one.resource_uuid, one.full_table_id, one.type): one for one in live}
    nodes = {
        mcon_of(world, table): _node(
            mcon_of(world, table), table.type.lower(), table.full_table_id, None
        )
        for table in live
    }
    for one in world.control.nodes:
        if _instant(one.expire_at) > world.now:
            nodes.setdefault(one.mcon, _node(one.mcon, one.object_type, one.name, one.expire_at))
    by_hand = {
        (one.source, one.destination)
        for one in world.control.edges
        if _instant(one.expire_at) > world.now
    }
    pushed = {
        (mcon_of(world, source), mcon_of(world, destination))
        for source, destination, _ in _pushed_edges(world, tables)
    }
    known = {edge for edge in by_hand | pushed if nodes.keys() >= set(edge)}
    return _Graph(nodes, tables, frozenset(known))


def _node(mcon: str, object_type: str, name: str, expire_at: str | None) -> Shown:
    """A node as Monte Carlo shows it; only those made by hand expire."""
    return {
        "mcon": mcon,
        "displayName": name,
        "objectType": object_type,
        "isCustom": expire_at is not None,
        "expireAt": expire_at,
    }


def _pushed_edges(
    world: World, tables: Mapping[tuple[str, str, str], PushedTable]
) -> Iterator[tuple[PushedTable, PushedTable, Mapping[str, Any]]]:
    """Source, destination and event of each accepted edge whose two tables are there."""
    for event in world.events("lineage"):

        def table(
            ref: Mapping[str, Any], whose: str | None = event.resource_uuid
        ) -> PushedTable | None:
            resource = str(ref.get("resource_uuid") or whose or "")
            return tables.get((resource, full_table_id(ref), ref["type"]))

        destination = table(event.content["destination"])
        for ref in event.content["sources"]:
            source = table(ref)
            if source is not None and destination is not None:
                content = {**event.content, "source": ref, "received_at": event.received_at}
                yield source, destination, content


def _instant(text: str) -> datetime:
    """An ISO text as an instant, UTC where it names no zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"{text!r} is no instant"
        raise GraphQLError(msg) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _get_lineage(world: World, arguments: Arguments) -> object:
    """Neighbours of one node; an unknown one has none, and no base node (our choice)."""
    refuse_other_arguments(
        "getTableLineage", arguments, ("mcon", "direction", "hops", "limit", "filters")
    )
    direction, graph = arguments["direction"], _graph(world)
    if direction not in DIRECTIONS:
        msg = f"direction is one of {', '.join(DIRECTIONS)}, not {direction}"
        raise GraphQLError(msg)
    if arguments.get("filters"):
        msg = "the sandbox's getTableLineage takes no filters"
        raise GraphQLError(msg)
    mcon = str(arguments.get("mcon"))
    seen, layer, edges = [mcon], [mcon], list[tuple[str, list[str]]]()
    for _ in range(arguments.get("hops") or 1):
        found = [(one, graph.next_to(one, direction)) for one in layer]
        edges += [(one, near) for one, near in found if near]
        layer = sorted({each for _, near in found for each in near} - set(seen))
        seen += layer
    connected = seen[1:][: arguments.get("limit")]
    return {
        "baseNode": graph.nodes.get(mcon),
        "connectedNodes": [graph.nodes[one] for one in connected],
        "flattenedEdges": [{"mcon": one, "directlyConnectedMcons": near} for one, near in edges],
    }


def _get_derived(world: World, arguments: Arguments) -> object:
    """Columns made of a column, of column edges of the last ten days, table by table."""
    refuse_other_arguments(
        "getDerivedTablesPartialLineage", arguments, ("mcon", "column", "cursor", "pageSize")
    )
    graph, column = _graph(world), str(arguments.get("column")).casefold()
    found: defaultdict[str, dict[str, str | None]] = defaultdict(dict)
    for source, destination, event in _pushed_edges(world, graph.tables):
        recent = world.now - event["received_at"] <= COLUMN_EDGES_LIVE
        if recent and mcon_of(world, source) == arguments.get("mcon"):
            for name in _made_of(event, column):
                found[mcon_of(world, destination)][name] = _type(destination, name)
    cursor = arguments.get("cursor")
    start = 0 if not cursor else position_of(cursor) + 1
    end = start + (arguments.get("pageSize") or 20)
    page = sorted(found.items())[start:end]
    return {
        "mcon": arguments.get("mcon"),
        "sourceColumn": arguments.get("column"),
        "destinations": [
            {
                "mcon": mcon,
                "displayName": graph.nodes[mcon]["displayName"],
                "columns": [
                    {"columnName": name, "columnType": kind} for name, kind in columns.items()
                ],
            }
            for mcon, columns in page
        ],
        "isLastPage": end >= len(found),
        "cursor": cursor_of(min(end, len(found)) - 1) if found else None,
    }


def _made_of(event: Mapping[str, Any], column: str) -> Iterator[str]:
    """Columns that an event derives from a column of its ``source``."""
    asset_id = event["source"].get("asset_id")
    for one in event.get("fields", ()):
        sources = [
            each["field_name"].casefold()
            for each in one["source_fields"]
            if each["asset_id"] == asset_id
        ]
        if column in sources:
            yield one["name"]


def _type(table: PushedTable, column: str) -> str | None:
    types = {one["name"].casefold(): one.get("type") for one in table.fields}
    return types.get(column.casefold())


def _named(world: World, node: Mapping[str, Any]) -> str:
    """The MCON of a node of a warehouse."""
    resource = str(node.get("resourceId") or "").lower()
    if resource not in {one.uuid for one in world.control.warehouses}:
        msg = f"resourceId must be a warehouse of this account, not {resource or 'missing'}"
        raise GraphQLError(msg)
    return f"MCON++{world.control.account}++{resource}++{node['objectType']}++{node['objectId']}"


def _expiry(world: World, arguments: Arguments) -> str:
    given = arguments.get("expireAt")
    expire_at = (world.now + EXPIRES_AFTER).isoformat() if given is None else str(given)
    _instant(expire_at)
    return expire_at


def _put_node(world: World, arguments: Arguments) -> object:
    known = ("objectType", "objectId", "resourceId", "name", "expireAt")
    refuse_other_arguments("createOrUpdateLineageNode", arguments, known)
    mcon = _named(world, arguments)
    expire_at, name = _expiry(world, arguments), arguments.get("name") or arguments["objectId"]
    node = CustomNode(
        mcon=mcon, object_type=arguments["objectType"], name=name, expire_at=expire_at
    )
    world.control.put_node(node)
    return {"node": _node(mcon, node.object_type, name, expire_at)}


def _put_edge(world: World, arguments: Arguments) -> object:
    """Both ends must be there: the sandbox's choice, Monte Carlo does not say."""
    refuse_other_arguments(
        "createOrUpdateLineageEdge", arguments, ("source", "destination", "expireAt", "edgeType")
    )
    graph = _graph(world)
    ends = [_named(world, arguments[end]) for end in ("source", "destination")]
    if missing := [mcon for mcon in ends if mcon not in graph.nodes]:
        msg = f"no lineage node {missing[0]}"
        raise GraphQLError(msg)
    expire_at = _expiry(world, arguments)
    world.control.put_edge(CustomEdge(source=ends[0], destination=ends[1], expire_at=expire_at))
    source, destination = (graph.nodes[mcon] for mcon in ends)
    edge = {"source": source, "destination": destination, "expireAt": expire_at, "isCustom": True}
    return {"edge": edge}


def _delete_node(world: World, arguments: Arguments) -> object:
    refuse_other_arguments("deleteLineageNode", arguments, ("mcon",))
    node = _graph(world).nodes.get(arguments["mcon"])
    if node is None or not node["isCustom"]:
        msg = f"no custom lineage node {arguments['mcon']}"
        raise GraphQLError(msg)
    edges = world.control.delete_node(arguments["mcon"])
    return {"objectsDeleted": edges + 1, "nodesDeleted": 1, "edgesDeleted": edges}


OPERATIONS: Mapping[str, Resolver] = {
    "getTableLineage": _get_lineage,
    "getDerivedTablesPartialLineage": _get_derived,
    "createOrUpdateLineageNode": _put_node,
    "createOrUpdateLineageEdge": _put_edge,
    "deleteLineageNode": _delete_node,
}
