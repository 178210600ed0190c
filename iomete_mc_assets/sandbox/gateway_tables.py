"""GraphQL operations of the local Monte Carlo about what was pushed: tables, metrics, queries, and deleting tables.

Everything is answered from accepted pushes; a table that was never pushed is missing.
"""

import base64
import binascii
import functools
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from graphql import GraphQLError

from iomete_mc_assets.sandbox.gateway_records import AcceptedEvent
from iomete_mc_assets.sandbox.gateway_store import PushedTable, full_table_id
from iomete_mc_assets.sandbox.gateway_world import (
    Arguments,
    Resolver,
    World,
    refuse_other_arguments,
)

METRICS: Mapping[str, str] = {"total_row_count": "row_count", "total_byte_count": "byte_count"}
"""Volumes that are told, by Monte Carlo's name."""
FRESHNESS_SAMPLES = 7
VOLUME_SAMPLES = 48
"""Changed values, and clock hours with a volume, from which a detector works. Source: the push-ingestion skill."""
MAX_DELETED = 1_000


def _get_tables(world: World, arguments: Arguments) -> object:
    """Tables page by page.

    ``ingestInvocationId`` is one value per table, so the filter finds a table by its newest push
    only; whether Monte Carlo also finds it by earlier ones is not documented.
    """
    filters = ("dwId", "ingestInvocationId", "fullTableId", "isDeleted")
    refuse_other_arguments("getTables", arguments, (*filters, "first", "after"))
    wanted: dict[str, object] = {
        name: _folded(arguments[name]) for name in filters if arguments.get(name) is not None
    }
    nodes = [
        node
        for node in (_table(world, table) for table in world.tables())
        if all(_folded(node[name]) == value for name, value in wanted.items())
    ]
    return _page(nodes, first=arguments.get("first"), after=arguments.get("after"))


def _folded(value: object) -> object:
    """Ids are looked up in lower case by Monte Carlo's own scripts."""
    return value.casefold() if isinstance(value, str) else value


def mcon_of(world: World, table: PushedTable) -> str:
    """Monte Carlo's name of a pushed table."""
    kind = table.type.lower()
    return f"MCON++{world.control.account}++{table.resource_uuid}++{kind}++{table.full_table_id}"


def is_deleted(world: World, table: PushedTable) -> bool:
    """Whether it was deleted, and not pushed since."""
    deleted_at = world.control.deleted_at(mcon_of(world, table))
    return deleted_at is not None and deleted_at >= table.last_request


def _table(world: World, table: PushedTable) -> Mapping[str, object]:
    mcon = mcon_of(world, table)
    received = table.last_received.isoformat()
    return {
        "dwId": table.resource_uuid,
        "id": mcon,
        "mcon": mcon,
        "fullTableId": table.full_table_id,
        "tableId": table.full_table_id,
        "friendlyName": table.metadata["name"],
        "projectName": table.metadata["database"],
        "dataset": table.metadata["schema"],
        "description": table.metadata.get("description"),
        "viewQuery": table.metadata.get("view_query"),
        "tableType": table.type.lower(),
        "createdTime": table.metadata.get("created_on"),
        "discoveredTime": table.first_received.isoformat(),
        "lastObserved": received,
        "lastUpdatedOn": table.last_update_time,
        "isDeleted": is_deleted(world, table),
        "ingestType": "push",
        "ingestInvocationId": table.invocation_id,
    }


def _page(
    nodes: Sequence[Mapping[str, object]], *, first: int | None, after: str | None
) -> Mapping[str, object]:
    """Relay's connection: the nodes after a cursor, at most ``first``; None gives all."""
    if first is not None and first < 0:
        msg = f"first must not be negative, and is {first}"
        raise GraphQLError(msg)
    start = 0 if not after else position_of(after) + 1
    end = len(nodes) if first is None else min(start + first, len(nodes))
    edges = [{"node": nodes[index], "cursor": cursor_of(index)} for index in range(start, end)]
    return {
        "edges": edges,
        "pageInfo": {
            "hasNextPage": end < len(nodes),
            "hasPreviousPage": start > 0,
            "startCursor": edges[0]["cursor"] if edges else None,
            "endCursor": edges[-1]["cursor"] if edges else None,
        },
    }


_CURSOR_PREFIX = "arrayconnection:"


def cursor_of(position: int) -> str:
    """The opaque text that stands for a position."""
    return base64.b64encode(f"{_CURSOR_PREFIX}{position}".encode()).decode()


def position_of(cursor: str) -> int:
    """What ``cursor_of`` made a text of; GraphQLError for any other."""
    try:
        text = base64.b64decode(cursor, validate=True).decode()
        return int(text.removeprefix(_CURSOR_PREFIX))
    except (binascii.Error, ValueError) as error:
        msg = f"{cursor!r} is no cursor of ours"
        raise GraphQLError(msg) from error


def _get_table(world: World, arguments: Arguments) -> object:
    """One table, deleted ones too; null for what was never pushed."""
    refuse_other_arguments("getTable", arguments, ("mcon",))
    for table in world.tables():
        if mcon_of(world, table) == arguments.get("mcon"):
            return {
                **_table(world, table),
                "versions": _page([_version(table)], first=None, after=None),
                "thresholds": _thresholds(world, table),
            }
    return None


def _version(table: PushedTable) -> Mapping[str, object]:
    """The newest schema; the one where fields were never sent has none."""
    nodes = [
        {
            "name": one["name"],
            "fieldType": one.get("type") or "",
            "description": one.get("description"),
        }
        for one in table.fields
    ]
    return {
        "versionId": f"{table.full_table_id}@{len(table.fields)}",
        "timestamp": table.last_received.isoformat(),
        "fields": functools.partial(_fields, nodes),
    }


def _fields(nodes: Sequence[Mapping[str, object]], arguments: Arguments) -> Mapping[str, object]:
    refuse_other_arguments("TableSchemaVersion.fields", arguments, ("first", "after"))
    return _page(nodes, first=arguments.get("first"), after=arguments.get("after"))


def _assets(world: World, table: PushedTable) -> Iterator[tuple[AcceptedEvent, Mapping[str, Any]]]:
    """What was pushed of a table, in order."""
    for event in world.events("metadata"):
        asset: Mapping[str, Any] = event.content["relational_asset"]
        same = full_table_id(asset["metadata"]) == table.full_table_id
        if same and asset["type"] == table.type and event.resource_uuid == table.resource_uuid:
            yield event, asset


def _thresholds(world: World, table: PushedTable) -> Mapping[str, object]:
    """Whether detectors have enough samples; the rules are Monte Carlo's in the rough."""
    changes, hours = set[str](), set[datetime]()
    for event, asset in _assets(world, table):
        if "freshness" in asset:
            changes.add(asset["freshness"]["last_update_time"])
        if "volume" in asset:
            hours.add(event.received_at.replace(minute=0, second=0, microsecond=0))
    freshness, freshness_reason = _status(len(changes), FRESHNESS_SAMPLES)
    volume, volume_reason = _status(len(hours), VOLUME_SAMPLES)
    return {
        "freshness": {"status": freshness, "reason": freshness_reason},
        "size": {
            "metric": "total_row_count",
            "sdStatus": volume,
            "sdReason": volume_reason,
            "ucsStatus": volume,
            "ucsReason": volume_reason,
        },
    }


def _status(samples: int, needed: int) -> tuple[str, str | None]:
    if samples >= needed:
        return "ACTIVE", None
    return "TRAINING" if samples else "INACTIVE", f"{samples} of {needed} samples"


def _get_metrics(world: World, arguments: Arguments) -> object:
    known = ("metricName", "startTime", "endTime", "metricsFilter", "first")
    refuse_other_arguments("getMetricsV4", arguments, known)
    name, wanted = arguments["metricName"], arguments["metricsFilter"]
    if name not in METRICS:
        msg = f"the sandbox has no metric {name}; it has {', '.join(METRICS)}"
        raise GraphQLError(msg)
    refuse_other_arguments("metricsFilter", wanted, ("mcon",))
    start, end = _instant(arguments["startTime"]), _instant(arguments.get("endTime")) or world.now
    points = [
        {
            "fullTableId": table.full_table_id,
            "metric": name,
            "value": float(asset["volume"][METRICS[name]]),
            "measurementTimestamp": event.received_at.isoformat(),
        }
        for table in world.tables()
        if mcon_of(world, table) == wanted["mcon"]
        for event, asset in _assets(world, table)
        if METRICS[name] in asset.get("volume", {})
        if (start is None or start <= event.received_at) and event.received_at <= end
    ]
    return {"metrics": points[: arguments.get("first")], "isPartialDateRange": False}


def _instant(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"{text!r} is no instant"
        raise GraphQLError(msg) from error


def _get_query(world: World, arguments: Arguments) -> object:
    """Queries of an id that were running at the instant; nothing for what was never pushed."""
    refuse_other_arguments("getQueryById", arguments, ("queryId", "timestamp"))
    at = _instant(arguments["timestamp"])
    return [
        {
            "queryId": entry["query_id"],
            "timestamp": entry["start_time"],
            "userName": entry.get("user"),
            "query": entry["query_text"],
            "sourceDisplayName": None,
            "destinationDisplayName": None,
            "errorCode": entry.get("error_code"),
            "errorMsg": entry.get("error_text"),
        }
        for entry in (event.content for event in world.events("querylogs"))
        if entry.get("query_id") == arguments["queryId"]
        and at is not None
        and datetime.fromisoformat(entry["start_time"])
        <= at
        <= datetime.fromisoformat(entry["end_time"])
    ]


def _delete_tables(world: World, arguments: Arguments) -> object:
    """All or nothing, as the push-ingestion skill says of Monte Carlo."""
    refuse_other_arguments("deletePushIngestedTables", arguments, ("mcons",))
    mcons: list[str] = arguments["mcons"]
    if len(mcons) > MAX_DELETED:
        msg = f"at most {MAX_DELETED} MCONs in a request, not {len(mcons)}"
        raise GraphQLError(msg)
    known = {mcon_of(world, table) for table in world.tables() if not is_deleted(world, table)}
    if unknown := sorted(set(mcons) - known):
        msg = f"no push-ingested table {unknown[0]}, and {len(unknown) - 1} more; none was deleted"
        raise GraphQLError(msg)
    world.control.delete_tables(mcons, requests=len(world.requests))
    return {"success": True, "deletedCount": len(set(mcons))}


OPERATIONS: Mapping[str, Resolver] = {
    "getTables": _get_tables,
    "getTable": _get_table,
    "getMetricsV4": _get_metrics,
    "getQueryById": _get_query,
    "deletePushIngestedTables": _delete_tables,
}
