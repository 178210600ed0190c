"""Whether a body is one that Monte Carlo's ingest endpoints take: JSON and schema. No keys, no sizes, no sockets.

The messages are worded as Cerberus words them, because the one refusal seen live was ("required field").
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, cast

from iomete_mc_assets.sandbox.gateway_records import Endpoint
from iomete_mc_assets.settings import LOG_TYPES

EVENT_TYPES: Mapping[Endpoint, tuple[str, ...]] = {
    "metadata": ("METADATA",),
    "lineage": ("LINEAGE", "COLUMN_LINEAGE"),
    "querylogs": ("QUERY_LOG",),
    "etl/metadata": ("ETL_METADATA",),
    "etl/runs": ("ETLRUN",),
}
ASSET_TYPES = ("TABLE", "VIEW")
REF_TYPES = (*ASSET_TYPES, "EXTERNAL", "WILDCARD_TABLE")
"""Source: docstring of pycarlo's ``LineageAssetRef``, 0.15.500."""
ENDED_STATUSES = ("success", "failed", "error", "cancelled", "skipped", "timed_out")
FAILED_STATUSES = ("failed", "error")
ETL_STATUSES = (*ENDED_STATUSES, "in_progress", "queued", "cancelling")
ETL_TRIGGERS = ("SCHEDULE", "MANUAL", "API", "UPSTREAM", "EVENT", "CYCLIC", "BACKFILL", "RETRY")
"""Of pycarlo 0.15.500; statuses only those that a Dagster run can have. Which need what: its samples."""
MAX_ETL_EVENTS = 100
"""Source: pycarlo's check of ETL batches."""
MAX_MESSAGES = 20
"""Messages in one refusal; the rest is counted."""

Problem = tuple[str, str]
"""Where, relative to the value checked (empty for the value itself), and what."""
Check = Callable[[object], Sequence[Problem]]
FINE: Sequence[Problem] = ()

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidBody:
    """A body that fits the schema.

    Attributes:
        resource_uuids: every warehouse it speaks of, in lower case; the key must own them all.
        events: how many, at least 1.
    """

    resource_uuids: frozenset[str]
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidBody:
    """A body that does not.

    Attributes:
        details: messages by top-level field, as the 400 answer gives them.
    """

    details: Mapping[str, Sequence[str]]


def checked(endpoint: Endpoint, body: bytes) -> ValidBody | InvalidBody:
    """Judge one body sent to one endpoint."""
    try:
        parsed: object = json.loads(body.decode(), parse_constant=_no_constant)
        if _SURROGATE_ESCAPE.search(body):  # pairs are fine, a lone one cannot be stored as UTF-8
            json.dumps(parsed, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        return InvalidBody(details={"body": [f"not JSON in UTF-8: {error}"[:200]]})
    problems = list(_BODIES[endpoint](parsed))
    if not problems:
        payload = cast("dict[str, Any]", parsed)
        if endpoint == "lineage":
            problems += _lineage_problems(payload)
        if endpoint.startswith("etl/") and len(payload["events"]) > MAX_ETL_EVENTS:
            problems.append(("events", f"max length is {MAX_ETL_EVENTS}"))
        if not problems:
            return ValidBody(
                resource_uuids=frozenset(_resource_uuids(payload)), events=len(payload["events"])
            )
    return InvalidBody(details=_by_field(problems))


def instant(value: object) -> datetime | None:
    """An ISO 8601 instant with a zone; None for anything else."""
    if not isinstance(value, str) or "T" not in value:
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else None


def _no_constant(name: str) -> NoReturn:
    """NaN and the infinities are Python's, not JSON's."""
    msg = f"{name} is no JSON value"
    raise ValueError(msg)


def _by_field(problems: Sequence[Problem]) -> dict[str, list[str]]:
    """Messages under the top-level field they concern, at most ``MAX_MESSAGES`` in all."""
    details: dict[str, list[str]] = {}
    for where, what in problems[:MAX_MESSAGES]:
        field, inner = re.fullmatch(r"([^.\[]*)(.*)", where, re.DOTALL).groups()  # pyright: ignore[reportOptionalMemberAccess]  # matches every text
        message = f"{inner.removeprefix('.')}: {what}" if inner else what
        details.setdefault(field or "body", []).append(message)
    if len(problems) > MAX_MESSAGES:
        details.setdefault("more", []).append(f"{len(problems) - MAX_MESSAGES} more problems")
    return details


# Checks of single values. None of them builds a path: paths grow only where there is a problem.


def _text(value: object) -> Sequence[Problem]:
    return FINE if isinstance(value, str) else (("", _type_message(value, "string")),)


def _word(value: object) -> Sequence[Problem]:
    return (("", "empty values not allowed"),) if value == "" else _text(value)


def _count(value: object) -> Sequence[Problem]:
    if type(value) is not int:  # a bool is an int to Python, not to JSON
        return (("", _type_message(value, "integer")),)
    return FINE if value >= 0 else (("", "min value is 0"),)


def _code(value: object) -> Sequence[Problem]:
    fits = isinstance(value, str) or type(value) is int
    return FINE if fits else (("", _type_message(value, "string or integer")),)


def _time(value: object) -> Sequence[Problem]:
    return FINE if instant(value) else (("", "must be an ISO 8601 time with a zone"),)


def _uuid(value: object) -> Sequence[Problem]:
    fits = isinstance(value, str) and _UUID.fullmatch(value)
    return FINE if fits else (("", "must be a UUID"),)


def _object(value: object) -> Sequence[Problem]:
    return FINE if isinstance(value, dict) else (("", _type_message(value, "dict")),)


def _type_message(value: object, wanted: str) -> str:
    return "null value not allowed" if value is None else f"must be of {wanted} type"


def _one_of(*allowed: str) -> Check:
    def check(value: object) -> Sequence[Problem]:
        return FINE if value in allowed else (("", f"unallowed value {value!r}"[:100]),)

    return check


def _list_of(item: Check, *, at_least: int = 0) -> Check:
    def check(value: object) -> Sequence[Problem]:
        if not isinstance(value, list):
            return (("", _type_message(value, "list")),)
        items = cast("list[object]", value)
        if len(items) < at_least:
            return (("", f"min length is {at_least}"),)
        return [
            (f"[{index}]{'.' * bool(where) * (not where.startswith('['))}{where}", what)
            for index, each in enumerate(items)
            for where, what in item(each)
        ]

    return check


def _shape(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """An object with these keys and no others."""
    known = {**required, **(optional or {})}

    def check(value: object) -> Sequence[Problem]:
        if not isinstance(value, dict):
            return (("", _type_message(value, "dict")),)
        problems: list[Problem] = []
        items = cast("dict[str, object]", value)
        for key, item in items.items():
            if key not in known:
                problems.append((key, "unknown field"))
                continue
            for where, what in known[key](item):
                joint = "." if where and not where.startswith("[") else ""
                problems.append((f"{key}{joint}{where}", what))
        problems += [(key, "required field") for key in required if key not in items]
        return problems

    return check


_QUERY_FIELDS = _shape(
    {"start_time": _time, "end_time": _time, "query_text": _text},
    {
        "query_id": _text,
        "user": _text,
        "error_code": _code,
        "error_text": _text,
        "returned_rows": _count,
        "extra": _object,
    },
)


def _query(value: object) -> Sequence[Problem]:
    """A query log entry, its end not before its start."""
    if problems := _QUERY_FIELDS(value):
        return problems
    entry = cast("Mapping[str, str]", value)
    start, end = (
        datetime.fromisoformat(entry["start_time"]),
        datetime.fromisoformat(entry["end_time"]),
    )
    return FINE if start <= end else (("end_time", "is before start_time"),)


_ASSET = _shape(
    {
        "type": _one_of(*ASSET_TYPES),
        "metadata": _shape(
            {"name": _word, "database": _word, "schema": _word},
            {"description": _text, "view_query": _text, "created_on": _time},
        ),
    },
    {
        "tags": _list_of(_shape({"key": _word}, {"value": _text})),
        "fields": _list_of(_shape({"name": _word, "type": _word}, {"description": _text})),
        "volume": _shape({}, {"row_count": _count, "byte_count": _count}),
        "freshness": _shape({}, {"last_update_time": _time}),
    },
)
_REF = _shape(
    {"type": _one_of(*REF_TYPES), "name": _word, "database": _word, "schema": _word},
    {"asset_id": _word, "resource_uuid": _uuid, "resource_type": _word},
)
_EDGE = _shape(
    {"destination": _REF, "sources": _list_of(_REF)},
    {
        "fields": _list_of(
            _shape(
                {
                    "name": _word,
                    "source_fields": _list_of(_shape({"asset_id": _word, "field_name": _word})),
                }
            )
        )
    },
)
_ASSET_REFS = _list_of(
    _shape({"asset_type": _word, "role": _word}, {"mcon": _word, "fully_qualified_name": _word})
)
_ETL_GROUP = _shape(
    {"source_id": _word}, {"name": _word, "group_type": _word, "attributes": _object}
)
_ETL_ASSET = _shape(
    {"job_source_id": _word, "name": _word},
    {
        "group": _ETL_GROUP,
        "description": _text,
        "job_url": _word,
        "inputs": _ASSET_REFS,
        "outputs": _ASSET_REFS,
        "tasks": _list_of(
            _shape(
                {"task_source_id": _word, "name": _word},
                {
                    "task_type": _word,
                    "description": _text,
                    "inputs": _ASSET_REFS,
                    "outputs": _ASSET_REFS,
                    "upstream_task_source_ids": _list_of(_word),
                },
            )
        ),
    },
)


def _etl_run(value: object) -> Sequence[Problem]:
    """An event of a run, or of a task inside one; one that has ended says when, one that failed says why."""
    if problems := _ETL_RUN_FIELDS(value):
        return problems
    event = cast("Mapping[str, Any]", value)
    if event["status"] in ENDED_STATUSES and "end_time" not in event:
        return (("end_time", f"required with status {event['status']}"),)
    if event["status"] in FAILED_STATUSES and "error" not in event:
        return (("error", f"required with status {event['status']}"),)
    if event.get("trigger") == "BACKFILL" and "backfill_id" not in event:
        return (("backfill_id", "required with trigger BACKFILL"),)
    start, end = (instant(event.get(name)) for name in ("start_time", "end_time"))
    return (("end_time", "is before start_time"),) if start and end and end < start else FINE


_ETL_RUN_FIELDS = _shape(
    {
        "job_source_id": _word,
        "run_source_id": _word,
        "status": _one_of(*ETL_STATUSES),
        "event_time": _time,
    },
    {
        "group": _ETL_GROUP,
        "task_source_id": _word,
        "start_time": _time,
        "end_time": _time,
        "queued_at": _time,
        "trigger": _one_of(*ETL_TRIGGERS),
        "parent_attempt_run_source_id": _word,
        "attempt_number": _count,
        "backfill_id": _word,
        "error": _shape({"message": _word}, {"code": _word, "failure_type": _word}),
        "run_url": _word,
        "task_runs": _list_of(_etl_run),
        "inputs": _ASSET_REFS,
        "outputs": _ASSET_REFS,
    },
)
_RESOURCE = _shape({"uuid": _uuid, "resource_type": _word})


def _body(
    endpoint: Endpoint, event: Check, resource: Check, *, resource_required: bool = True
) -> Check:
    always: dict[str, Check] = {
        "event_type": _one_of(*EVENT_TYPES[endpoint]),
        "events": _list_of(event, at_least=1),
    }
    if resource_required:
        return _shape({**always, "resource": resource})
    return _shape(always, {"resource": resource})


_BODIES: Mapping[Endpoint, Check] = {
    "metadata": _body("metadata", _shape({"relational_asset": _ASSET}), _RESOURCE),
    "lineage": _body("lineage", _EDGE, _RESOURCE, resource_required=False),
    "querylogs": _body(
        "querylogs", _query, _shape({"uuid": _uuid, "log_type": _one_of(*LOG_TYPES)})
    ),
    "etl/metadata": _body("etl/metadata", _shape({"etl_asset": _ETL_ASSET}), _RESOURCE),
    "etl/runs": _body("etl/runs", _etl_run, _RESOURCE),
}


def _lineage_problems(payload: Mapping[str, Any]) -> Iterator[Problem]:
    """What single values cannot show: the body's type, whose tables they are, dangling asset ids."""
    named = "resource" in payload
    for index, event in enumerate(payload["events"]):
        where = f"events[{index}]"
        if "fields" in event and payload["event_type"] == "LINEAGE":
            yield f"{where}.fields", "only allowed with event_type COLUMN_LINEAGE"
        for ref in (event["destination"], *event["sources"]):
            if ("resource_uuid" in ref) != ("resource_type" in ref):
                yield where, "resource_uuid and resource_type must be given together"
            if not named and "resource_uuid" not in ref:
                yield "resource", f"required field, because a table of {where} names none"
        known = {source.get("asset_id") for source in event["sources"]}
        yield from _dangling(event.get("fields", ()), known, where)


def _dangling(
    fields: Sequence[Mapping[str, Any]], known: Collection[str | None], where: str
) -> Iterator[Problem]:
    """Source columns of tables that the event does not list among its sources."""
    for position, field in enumerate(fields):
        for source in field["source_fields"]:
            if source["asset_id"] not in known:
                yield (
                    f"{where}.fields[{position}]",
                    f"asset_id {source['asset_id']!r} is in no source",
                )


def _resource_uuids(payload: Mapping[str, Any]) -> Iterator[str]:
    """Every warehouse a valid body names."""
    if "resource" in payload:
        yield payload["resource"]["uuid"].lower()
    for event in payload["events"]:
        for ref in (event.get("destination", {}), *event.get("sources", ())):
            if "resource_uuid" in ref:
                yield ref["resource_uuid"].lower()
