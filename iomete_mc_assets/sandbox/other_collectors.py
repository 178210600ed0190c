"""What other collectors would drop: the same two tables and queries as each of Monte Carlo's six templates writes them.

The keys are those of the mc-agent-toolkit's templates; two templates differ in a word or a place, never in what is said.
"""

from datetime import datetime, timedelta
from typing import Any

Document = dict[str, Any]

KINDS = ("snowflake", "bigquery", "bigquery-iceberg", "databricks", "redshift", "hive")
RESOURCE_TYPES = {
    "snowflake": "snowflake",
    "bigquery": "bigquery",
    "bigquery-iceberg": "bigquery",
    "databricks": "databricks",
    "redshift": "redshift",
    "hive": "data-lake",
}
LOG_TYPES = {
    "snowflake": "snowflake",
    "bigquery": "bigquery",
    "bigquery-iceberg": "bigquery",
    "databricks": "databricks",
    "redshift": "redshift",
    "hive": "hive-s3",
}
PLACE = {"database": "SALES", "schema": "Public"}
FIELDS = [
    {"name": "id", "type": "BIGINT", "description": "key"},
    {"name": "Amount", "type": "DECIMAL(10,2)", "description": None},
]
DESCRIPTION = "the orders"
BYTES = 4_096
CHANGED_BEFORE = timedelta(minutes=30)
"""How long before it was collected a table with rows has changed."""


def metadata(kind: str, *, collected_at: datetime, rows: int = 0) -> Document:
    """Two tables: ``orders`` with columns, volume and freshness, ``empty`` with columns alone."""
    at = collected_at.isoformat()
    head: Document = {"resource_type": RESOURCE_TYPES[kind], "collected_at": at}
    if kind in ("databricks", "redshift"):
        head["asset_count"] = 2
    if kind == "databricks":
        head["catalog"] = "SALES"
    changed = (collected_at - CHANGED_BEFORE).isoformat()
    orders, empty = _asset(kind, "orders", rows, changed), _asset(kind, "empty", None, None)
    return {**head, "assets": [orders, empty]}


def _asset(kind: str, name: str, rows: int | None, changed: str | None) -> Document:
    told: Document = {
        "description": DESCRIPTION if rows is not None else None,
        "fields": [dict(field) for field in FIELDS],
    }
    bytes_ = None if rows is None else BYTES
    if kind in ("databricks", "redshift"):
        return {
            "asset_type": "TABLE",
            "asset_name": name,
            **PLACE,
            **told,
            "row_count": rows,
            "byte_count": bytes_,
            "last_updated": changed,
        }
    if kind == "hive":
        return {
            "name": name,
            **PLACE,
            **told,
            "created_on": None,
            "row_count": rows,
            "byte_count": bytes_,
            "last_modified": changed,
        }
    word = "last_update_time" if kind == "snowflake" else "last_updated_time"
    return {
        "type": "TABLE",
        "name": name,
        **PLACE,
        **told,
        "volume": {"row_count": rows, "byte_count": bytes_} if rows is not None else None,
        "freshness": {word: changed} if rows is not None else None,
    }


USER = "ann"
TAKES = timedelta(seconds=1.5)
EXTRAS: dict[str, Document] = {
    "snowflake": {"warehouse": "WH", "bytes_scanned": 10},
    "bigquery": {"total_bytes_billed": 10, "statement_type": "SELECT"},
    "bigquery-iceberg": {"total_bytes_billed": 10, "statement_type": "SELECT"},
    "databricks": {"total_task_duration_ms": 5, "read_rows": 7, "read_bytes": 9},
    "redshift": {"database_name": "dev", "elapsed_time_us": 1500},
    "hive": {},
}
SENT_EXTRAS: dict[str, Document] = {
    **EXTRAS,
    "snowflake": {"warehouse_name": "WH", "bytes_scanned": 10},
}
"""As each template's push script names them in an event."""
ROWS: dict[str, str] = {
    "snowflake": "rows_produced",
    "databricks": "returned_rows",
    "hive": "returned_rows",
}
"""How a kind calls the number of rows; the others do not tell it."""


def query_logs(kind: str, *, collected_at: datetime, starts: tuple[datetime, ...]) -> Document:
    """A query of ``TAKES`` from each start on."""
    at = collected_at.isoformat()
    entries = [_query(kind, number, start) for number, start in enumerate(starts)]
    head: Document = {"log_type": LOG_TYPES[kind], "collected_at": at}
    if kind in ("databricks", "redshift"):
        counts = {"lookback_hours": 25, "lookback_lag_hours": 1, "query_log_count": len(entries)}
        return {**head, **counts, "entries": entries}
    count = "query_log_count" if kind.startswith("bigquery") else "entry_count"
    return {**head, "window_start": at, "window_end": at, count: len(entries), "queries": entries}


def query_text(number: int) -> str:
    """Of each query in turn, counted from 0."""
    return f"SELECT {number} FROM orders"


def _query(kind: str, number: int, start: datetime) -> Document:
    entry: Document = {
        "query_id": f"{kind}-{number}",
        "query" if kind == "hive" else "query_text": query_text(number),
        "start_time": start.isoformat(),
        "end_time": (start + TAKES).isoformat(),
        "user": USER,
        **EXTRAS[kind],
    }
    if kind in ROWS:
        entry[ROWS[kind]] = number
    return entry
