"""GraphQL operations of the local Monte Carlo that set it up: credentials, integrations, ingestion keys, warehouses.

Spark credentials are judged by their form alone: no Spark is asked.
"""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from graphql import GraphQLError

from iomete_mc_assets.sandbox.gateway_connection import Key
from iomete_mc_assets.sandbox.gateway_control import SparkCredentials, Warehouse
from iomete_mc_assets.sandbox.gateway_records import Endpoint
from iomete_mc_assets.sandbox.gateway_world import (
    Arguments,
    Resolver,
    World,
    refuse_other_arguments,
)

STALE_AFTER = timedelta(hours=24)
"""Since the last push of a kind. Monte Carlo does not say; the choice is ours."""
PUSH_EVENT_TYPES: Mapping[str, Endpoint] = {
    "METADATA": "metadata",
    "LINEAGE": "lineage",
    "QUERY_LOGS": "querylogs",
}
ETL_EVENT_TYPES: Mapping[str, Endpoint] = {
    "ETL_METADATA": "etl/metadata",
    "ETL_RUNS": "etl/runs",
}
CAPABILITIES: Mapping[str, str] = {
    "metadata": "metadata",
    "queryLogs": "query_logs",
    "lineage": "lineage",
    "monitors": "monitors",
}
"""Monte Carlo's words for them, by argument."""
JOB_TYPES: Mapping[str, str] = {"monitors": "sql_query"}


def _get_user(world: World, arguments: Arguments) -> object:
    refuse_other_arguments("getUser", arguments, ())
    collector = {"uuid": world.control.collector, "name": "sandbox", "active": True}
    return {"account": {"uuid": world.control.account, "dataCollectors": [collector]}}


def _get_warehouses(world: World, arguments: Arguments) -> object:
    refuse_other_arguments("getWarehouses", arguments, ())
    return [_warehouse(world, warehouse) for warehouse in world.control.warehouses]


def _warehouse(world: World, warehouse: Warehouse) -> Mapping[str, object]:
    return {
        "id": warehouse.uuid,
        "uuid": warehouse.uuid,
        "name": warehouse.name,
        "connectionType": "CUSTOM_INTEGRATION",
        "isDeleted": False,
        "connections": [
            _connection(capability, one) for capability, one in warehouse.connections.items()
        ],
        "pushEvents": [
            _push_event(world, warehouse.uuid, event_type, endpoint)
            for event_type, endpoint in PUSH_EVENT_TYPES.items()
        ],
    }


def _get_containers(world: World, arguments: Arguments) -> object:
    refuse_other_arguments("getEtlContainers", arguments, ())
    return [
        {
            "uuid": container,
            "name": "sandbox",
            "type": "CUSTOM",
            "pushEvents": [
                _push_event(world, container, event_type, endpoint)
                for event_type, endpoint in ETL_EVENT_TYPES.items()
            ],
        }
        for container in world.control.containers
    ]


def _connection(capability: str, connection: str) -> Mapping[str, object]:
    return {
        "uuid": connection,
        "type": "SPARK",
        "jobTypes": [JOB_TYPES.get(capability, capability)],
        "isActive": True,
    }


def _push_event(
    world: World, resource: str, event_type: str, endpoint: Endpoint
) -> Mapping[str, object]:
    """The state of one kind of push; every kind is listed, received or not."""
    received = [
        request
        for request in world.requests
        if request.accepted and request.endpoint == endpoint and resource in request.resource_uuids
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


def _test_spark(world: World, arguments: Arguments) -> object:
    refuse_other_arguments("testSparkCredentials", arguments, ("httpMode", "connectionOptions"))
    http: Mapping[str, str] = arguments.get("httpMode") or {}
    address = urlsplit(http.get("url", ""))
    if address.scheme not in ("http", "https") or not address.hostname or not address.path:
        msg = "httpMode.url must be http(s)://host[:port]/path"
        raise GraphQLError(msg)
    if not http["username"] or not http["password"]:
        msg = "httpMode needs a username and a password"
        raise GraphQLError(msg)
    options: Mapping[str, Any] = arguments.get("connectionOptions") or {}
    if (collector := options.get("dcId")) is not None:
        _known_collector(world, collector)
    key = world.control.tested(SparkCredentials(**http))
    return {"key": key, "success": True}


def _known_collector(world: World, collector: object) -> None:
    if collector != world.control.collector:
        msg = f"no data collector {collector} in this account"
        raise GraphQLError(msg)


def _integrate(world: World, arguments: Arguments) -> object:
    name = "createOrUpdateCustomIntegration"
    refuse_other_arguments(name, arguments, ("name", "warehouseUuid", *CAPABILITIES))
    warehouse = _addressed(world, arguments)
    connections = dict(warehouse.connections)
    pushed = dict.fromkeys(warehouse.pushed)
    made: list[str] = []
    for argument, capability in CAPABILITIES.items():
        config: Mapping[str, Any] | None = arguments.get(argument)
        if config is None:
            continue
        if config["mode"] == "PUSH" and capability != "monitors":
            connections.pop(capability, None)
            pushed[capability] = None
            continue
        _check_collect(world, capability, config)
        connections[capability] = str(uuid.uuid4())
        made.append(capability)
    world.control.put(replace(warehouse, connections=connections, pushed=tuple(pushed)))
    return {
        "result": {
            "warehouseUuid": warehouse.uuid,
            "connections": [
                {"capability": one, "connection": _connection(one, connections[one])}
                for one in made
            ],
        }
    }


def _addressed(world: World, arguments: Arguments) -> Warehouse:
    """The warehouse to update, under its new name if one is given; a new one without a UUID."""
    wanted, name = arguments.get("warehouseUuid"), arguments.get("name")
    if wanted is None:
        if not name:
            msg = "name is required when creating a new integration"
            raise GraphQLError(msg)
        return Warehouse(uuid=str(uuid.uuid4()), name=name)
    known = {warehouse.uuid: warehouse for warehouse in world.control.warehouses}
    if wanted not in known:
        msg = f"no warehouse {wanted}"
        raise GraphQLError(msg)
    return replace(known[wanted], name=name or known[wanted].name)


def _check_collect(world: World, capability: str, config: Mapping[str, Any]) -> None:
    required = ("connectionType", "credentialsKey", "deploymentId")
    if config["mode"] != "COLLECT" or not all(config.get(name) for name in required):
        msg = f"{capability}: mode COLLECT needs {', '.join(required)}; the sandbox knows no other"
        raise GraphQLError(msg)
    if config["connectionType"] != "spark":
        msg = f"{capability}: the sandbox has connections of type spark only"
        raise GraphQLError(msg)
    if not world.control.is_tested(config["credentialsKey"]):
        msg = f"{capability}: no such credentials key; test the credentials first"
        raise GraphQLError(msg)
    _known_collector(world, config["deploymentId"])


def _make_key(world: World, arguments: Arguments) -> object:
    name = "createIntegrationKey"
    refuse_other_arguments(name, arguments, ("description", "scope", "warehouseIds"))
    if arguments["scope"] != "Ingestion":
        msg = "the sandbox has integration keys of scope Ingestion only"
        raise GraphQLError(msg)
    warehouses: list[str] = arguments.get("warehouseIds") or []
    known = {warehouse.uuid for warehouse in world.control.warehouses}
    if not warehouses or not set(warehouses) <= known:
        msg = f"warehouseIds must name warehouses of this account, not {warehouses}"
        raise GraphQLError(msg)
    key = world.control.make_key(arguments["description"], warehouses, at=world.now)
    return {"key": {"id": key.id, "secret": key.secret}}


def _get_keys(world: World, arguments: Arguments) -> object:
    refuse_other_arguments("getIntegrationKeys", arguments, ("scope", "resourceUuid"))
    scope, resource = arguments.get("scope"), arguments.get("resourceUuid")
    return [
        _key(world, key)
        for key in world.control.keys
        if key.scope == "Ingestion" and scope in (None, key.scope)
        if resource is None or resource in key.warehouse_uuids
    ]


def _key(world: World, key: Key) -> Mapping[str, object]:
    return {
        "id": key.id,
        "description": key.description,
        "scope": key.scope,
        "createdTime": key.created_at,
        "warehouses": [
            _warehouse(world, one)
            for one in world.control.warehouses
            if one.uuid in key.warehouse_uuids
        ],
    }


def _delete_key(world: World, arguments: Arguments) -> object:
    refuse_other_arguments("deleteIntegrationKey", arguments, ("keyId",))
    return {"deleted": world.control.delete_key(arguments["keyId"])}


OPERATIONS: Mapping[str, Resolver] = {
    "getUser": _get_user,
    "getWarehouses": _get_warehouses,
    "getEtlContainers": _get_containers,
    "testSparkCredentials": _test_spark,
    "createOrUpdateCustomIntegration": _integrate,
    "createIntegrationKey": _make_key,
    "getIntegrationKeys": _get_keys,
    "deleteIntegrationKey": _delete_key,
}
