"""Our records as the JSON manifests of Monte Carlo's own collector scripts: Snowflake's shape, with the others' names beside.

So any of their push scripts takes them. Pure: from records to JSON text, piece by piece; names are given by whoever asks.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from iomete_mc_assets.manifests.model import JsonValue
from iomete_mc_assets.records import Column, Observation, QueryRecord, TableEntry

Name = tuple[str, str, str]
"""Database, schema and name at Monte Carlo."""


def asset(
    name: Name,
    entry: TableEntry,
    observation: Observation | None,
    *,
    description: Callable[[Column], str | None],
) -> dict[str, JsonValue]:
    """One table or view with what was observed of it.

    Args:
        name: at Monte Carlo.
        entry: what the catalog says.
        observation: None where nothing was observed.
        description: of a column, as it is sent.
    """
    database, schema, table = name
    seen = observation or Observation(table=entry.table)
    rows, bytes_ = seen.row_count, seen.byte_count
    changed = _instant(seen.last_data_change)
    kind = "VIEW" if entry.kind == "view" else "TABLE"
    created = entry.state.created_at if entry.state else None
    return {
        "type": kind,
        "asset_type": kind,
        "name": table,
        "asset_name": table,
        "database": database,
        "schema": schema,
        "description": entry.comment,
        "view_query": entry.view_text,
        "created_on": _instant(created),
        "fields": [
            {"name": column.name, "type": column.type, "description": description(column)}
            for column in entry.columns
        ],
        "volume": None
        if rows is None and bytes_ is None
        else {"row_count": rows, "byte_count": bytes_},
        "row_count": rows,
        "byte_count": bytes_,
        "freshness": None
        if changed is None
        else {"last_update_time": changed, "last_updated_time": changed},
        "last_modified": changed,
        "last_updated": changed,
    }


def query(record: QueryRecord) -> dict[str, JsonValue]:
    """One query log entry, its text once."""
    return {
        "query_id": record.query_id,
        "query_text": record.text,
        "start_time": _instant(record.started_at),
        "end_time": _instant(record.ended_at),
        "user": record.user,
        "returned_rows": record.returned_rows,
        "rows_produced": record.returned_rows,
        "error_code": record.error_code,
        "error_text": record.error_text,
    }


def for_hive(entry: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """A query with its text a second time, under the name that Hive's pusher reads."""
    return {**entry, "query": entry["query_text"]}


def manifest(
    head: Mapping[str, JsonValue], items: Mapping[str, Iterable[dict[str, JsonValue]]]
) -> Iterator[str]:
    """A whole manifest's text in pieces: ``head``, then each list, an item a line; an hour may have a million.

    Args:
        head: what stands above the lists.
        items: lists by name, consumed in order.
    """
    yield "{\n"
    for key, value in head.items():
        yield f"{json.dumps(key)}: {json.dumps(value)},\n"
    for number, (key, entries) in enumerate(items.items()):
        yield f"{',' if number else ''}{json.dumps(key)}: ["
        for position, entry in enumerate(entries):
            yield f"{',' if position else ''}\n{json.dumps(entry)}"
        yield "\n]\n"
    yield "}\n"


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
