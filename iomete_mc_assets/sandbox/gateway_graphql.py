"""The GraphQL half of the local Monte Carlo: documents checked against Monte Carlo's own schema, few operations answered.

An operation is added by one function in ``OPERATIONS``. HTTP, keys and what was accepted live elsewhere.
"""

import base64
import binascii
import functools
import json
import logging
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    build_client_schema,
    execute_sync,  # pyright: ignore[reportUnknownVariableType]  # its middleware's items have no type
    parse,
    validate,
)

from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.sandbox.gateway_faults import Answer
from iomete_mc_assets.sandbox.gateway_records import Endpoint, Request
from iomete_mc_assets.sandbox.gateway_store import PushedTable

GRAPHQL_PATH = "/graphql"
STALE_AFTER = timedelta(hours=24)
"""Since the last push of a kind. Monte Carlo does not say; the choice is ours."""
PUSH_EVENT_TYPES: Mapping[str, Endpoint] = {
    "METADATA": "metadata",
    "LINEAGE": "lineage",
    "QUERY_LOGS": "querylogs",
}

logger = logging.getLogger(__name__)

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What resolvers may look at, as of one request.

    Attributes:
        warehouses: UUIDs in lower case, the gateway's own first.
        requests: all of them, in order.
        tables: asked only by operations about tables, since they cost reading bodies.
    """

    warehouses: Sequence[str]
    requests: Sequence[Request]
    tables: Callable[[], Iterable[PushedTable]]
    now: datetime


Resolver = Callable[[World, Arguments], object]


@functools.cache
def monte_carlo_schema() -> GraphQLSchema:
    """The schema inside pycarlo, found without importing it; 0.4 to 1.1 s and 54 MiB, once a process.

    Raises:
        SandboxError: pycarlo is not installed.
    """
    spec = find_spec("pycarlo")
    if spec is None or spec.origin is None:
        msg = "The sandbox's GraphQL needs pycarlo's schema, and pycarlo is not installed."
        raise SandboxError(msg)
    path = Path(spec.origin).parent / "lib" / "schema.json"
    # assume_valid: the file writes enum defaults as strings, which a full check may refuse
    return build_client_schema(json.loads(path.read_text())["data"], assume_valid=True)


def answered(body: bytes, world: World) -> Answer:
    """Answer one GraphQL request.

    400 for what is no request or does not fit the schema, else 200 with data and errors.
    """
    asked = _asked(body)
    if asked is None:
        return failure(400, "the body must be JSON with a query, and variables an object or null")
    document, problems = _valid_document(str(asked["query"]))
    if document is None:
        return _json(400, {"errors": [problem.formatted for problem in problems]})
    result = execute_sync(
        monte_carlo_schema(),
        document,
        context_value=world,
        variable_values=asked.get("variables"),
        operation_name=asked.get("operationName"),
        field_resolver=_resolve,
    )
    for error in result.errors or ():
        if error.original_error and not isinstance(error.original_error, GraphQLError):
            logger.error("a sandbox resolver failed", exc_info=error.original_error)
    return _json(200, cast("dict[str, object]", result.formatted))


def failure(status: int, message: str) -> Answer:
    """An error in GraphQL's shape."""
    return _json(status, {"errors": [{"message": message}]})


def _json(status: int, content: Mapping[str, object]) -> Answer:
    return Answer(status=status, body=json.dumps(content))


def _asked(body: bytes) -> dict[str, Any] | None:
    """The request's parts; None if it is none."""
    try:
        asked: object = json.loads(body)
    except ValueError:
        return None
    if not isinstance(asked, dict):
        return None
    parts = cast("dict[str, Any]", asked)
    fits = isinstance(parts.get("query"), str) and isinstance(
        parts.get("variables"), dict | type(None)
    )
    return parts if fits else None


@functools.lru_cache(maxsize=64)
def _valid_document(text: str) -> tuple[DocumentNode | None, Sequence[GraphQLError]]:
    """The parsed document, or why it does not fit the schema."""
    try:
        document = parse(text)
    except GraphQLError as error:
        return None, (error,)
    problems = validate(monte_carlo_schema(), document)
    return (None, problems) if problems else (document, ())


def _resolve(source: object, info: GraphQLResolveInfo, **arguments: object) -> object:
    """Operations by name; fields from the mapping above them, and never a silent null."""
    name = info.field_name
    if info.parent_type in (info.schema.query_type, info.schema.mutation_type):
        resolver = OPERATIONS.get(name)
        if resolver is None:
            known = ", ".join(sorted(OPERATIONS))
            msg = f"the sandbox's Monte Carlo has no operation {name}; it has {known}"
            raise GraphQLError(msg)
        return resolver(cast("World", info.context), arguments)
    fields = cast("Mapping[str, object]", source)
    if name not in fields:
        msg = f"the sandbox's Monte Carlo does not know {info.parent_type.name}.{name}"
        raise GraphQLError(msg)
    return fields[name]


def _refuse_other_arguments(operation: str, arguments: Arguments, known: Iterable[str]) -> None:
    """An argument that is ignored would answer another question than the one asked."""
    if unknown := sorted(set(arguments) - set(known)):
        msg = f"the sandbox's {operation} does not take {', '.join(unknown)}"
        raise GraphQLError(msg)


def _get_warehouses(world: World, arguments: Arguments) -> object:
    _refuse_other_arguments("getWarehouses", arguments, ())
    return [_warehouse(world, warehouse) for warehouse in world.warehouses]


def _warehouse(world: World, warehouse: str) -> Mapping[str, object]:
    return {
        "id": warehouse,
        "uuid": warehouse,
        "name": "sandbox",
        "connectionType": "CUSTOM_INTEGRATION",
        "isDeleted": False,
        "pushEvents": [
            _push_event(world, warehouse, event_type, endpoint)
            for event_type, endpoint in PUSH_EVENT_TYPES.items()
        ],
    }


def _push_event(
    world: World, warehouse: str, event_type: str, endpoint: Endpoint
) -> Mapping[str, object]:
    """The state of one kind of push; every kind is listed, received or not."""
    received = [
        request
        for request in world.requests
        if request.accepted and request.endpoint == endpoint and warehouse in request.resource_uuids
    ]
    if not received:
        missing = dict.fromkeys(("firstReceived", "lastReceived", "lastInvocationId"))
        return {"eventType": event_type, "status": "NEVER_RECEIVED", **missing}
    last = received[-1]
    stale = world.now - last.arrived_at > STALE_AFTER
    return {
        "eventType": event_type,
        "status": "STALE" if stale else "ACTIVE",
        "firstReceived": received[0].arrived_at.isoformat(),
        "lastReceived": last.arrived_at.isoformat(),
        "lastInvocationId": last.invocation_id,
    }


def _get_tables(world: World, arguments: Arguments) -> object:
    """Tables page by page.

    ``ingestInvocationId`` is one value per table, so the filter finds a table by its newest push
    only; whether Monte Carlo also finds it by earlier ones is not documented.
    """
    filters = ("dwId", "ingestInvocationId", "fullTableId", "isDeleted")
    _refuse_other_arguments("getTables", arguments, (*filters, "first", "after"))
    wanted: dict[str, object] = {
        name: _folded(arguments[name]) for name in filters if arguments.get(name) is not None
    }
    nodes = [
        node
        for node in (_table(table) for table in world.tables())
        if all(_folded(node[name]) == value for name, value in wanted.items())
    ]
    return _page(nodes, first=arguments.get("first"), after=arguments.get("after"))


def _folded(value: object) -> object:
    """Ids are looked up in lower case by Monte Carlo's own scripts."""
    return value.casefold() if isinstance(value, str) else value


def _table(table: PushedTable) -> Mapping[str, object]:
    kind = table.type.lower()
    account = uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox-account:{table.resource_uuid}")
    mcon = f"MCON++{account}++{table.resource_uuid}++{kind}++{table.full_table_id}"
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
        "tableType": kind,
        "createdTime": table.metadata.get("created_on"),
        "discoveredTime": table.first_received.isoformat(),
        "lastObserved": received,
        "lastUpdatedOn": table.last_update_time,
        "isDeleted": False,
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
    start = 0 if not after else _position(after) + 1
    end = len(nodes) if first is None else min(start + first, len(nodes))
    edges = [{"node": nodes[index], "cursor": _cursor(index)} for index in range(start, end)]
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


def _cursor(position: int) -> str:
    return base64.b64encode(f"{_CURSOR_PREFIX}{position}".encode()).decode()


def _position(cursor: str) -> int:
    try:
        text = base64.b64decode(cursor, validate=True).decode()
        return int(text.removeprefix(_CURSOR_PREFIX))
    except (binascii.Error, ValueError) as error:
        msg = f"{cursor!r} is no cursor of ours"
        raise GraphQLError(msg) from error


OPERATIONS: Mapping[str, Resolver] = {
    "getWarehouses": _get_warehouses,
    "getTables": _get_tables,
}
"""Every query and mutation that the sandbox answers, by its name in the schema."""
