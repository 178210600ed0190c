"""Who asked the seeded shop what: the statements of each hour, and the three tables that archive them.

An hour's statements depend on that hour and on the shop's operations in it, so seeding an hour again
gives the same statements with the same ids. Nothing here runs SQL.
"""

import json
import random
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from iomete_mc_assets.records import TableId
from iomete_mc_assets.sandbox.shop import Operation, ShopTable
from iomete_mc_assets.sandbox.shop_tables import CREATED_BEFORE, Shop
from iomete_mc_assets.warehouse.statements import literal
from iomete_mc_assets.windows import HOUR, HourWindow

StatementStatus = Literal["COMPLETED", "FAILED", "CANCELLED", "RUNNING"]
"""As IOMETE's Query Monitoring spells them."""
StatementRole = Literal["query", "noise", "own"]
"""``noise``: USE, SET, SHOW and the like; ``own``: tagged as ours. Neither is a query of the shop's."""

ARCHIVED_EVERY_HOURS = 8
NAMESPACE = uuid.UUID("5f0f2c1e-6d0b-4b8e-9b59-0d5f5ad1c0de")
ANALYSTS = ("anna", "bela", "svc_dashboard", "svc_dbt")
QUESTIONS = (
    "SELECT status, count(*) FROM raw.orders GROUP BY status",
    "SELECT c.name, sum(o.amount) FROM raw.orders o JOIN raw.customers c ON c.customer_id = o.customer_id GROUP BY c.name ORDER BY 2 DESC LIMIT 20",
    "SELECT * FROM marts.daily_revenue ORDER BY id DESC LIMIT 30",
    "WITH last AS (SELECT max(id) AS id FROM marts.order_facts) SELECT f.* FROM marts.order_facts f JOIN last USING (id)",
    "SELECT avg(value) FROM marts.customer_value WHERE name LIKE 'n1%' -- umlauts: äöü, and a quote: ''",
    "select order_id, sum(quantity*price)\nfrom raw.order_items\ngroup by order_id\nhaving sum(quantity) > 3",
    "SELECT count(*) FROM lake.crm.`Campaign Results 2026`",
    "SELECT * FROM marts.open_orders WHERE amount > 50.00",
)
NOISE = (
    "SHOW TABLES IN raw",
    "SET spark.sql.shuffle.partitions=64",
    "USE `marts`",
    "DESCRIBE TABLE EXTENDED raw.orders",
    "SELECT 1",
    "Listing databases 'catalog : null, schemaPattern : %'",
    "DataFrame operation via Spark Connect",
)
OWN = "/* iomete_mc_assets */ SHOW TABLE EXTENDED IN `raw` LIKE '*'"
FAILURES = (
    (
        "SELECT nme FROM raw.customers",
        "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column `nme` cannot be resolved. SQLSTATE: 42703",
    ),
    (
        "SELECT * FROM raw.ordres",
        "[TABLE_OR_VIEW_NOT_FOUND] The table or view `raw`.`ordres` cannot be found. SQLSTATE: 42P01",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of the query history.

    Attributes:
        started_at, ended_at: whole milliseconds; no end for one that still runs.
        error: failed and cancelled ones only.
        rows: returned; None where the engine does not know.
    """

    query_id: str
    text: str
    user: str
    started_at: datetime
    ended_at: datetime | None
    status: StatementStatus = "COMPLETED"
    error: str | None = None
    rows: int | None = None
    role: StatementRole = "query"

    @property
    def duration_ms(self) -> int | None:
        """None while it runs."""
        if self.ended_at is None:
            return None
        return (self.ended_at - self.started_at) // timedelta(milliseconds=1)


def build_workload(shop: Shop) -> tuple[Statement, ...]:
    """Every statement that started in the shop's hours, oldest start first."""
    start = shop.window.end - shop.hours * HOUR
    found = [
        _loading(operation, table)
        for table in shop.tables
        for operation in table.operations
        if operation.at >= start
    ]
    for number in range(shop.hours):
        found += _hour(HourWindow(start + number * HOUR))
    found.append(
        _statement(
            "SELECT * FROM raw.web_events",
            "anna",
            shop.window.end - HOUR / 2,
            None,
            status="RUNNING",
        )
    )
    return tuple(sorted(found, key=lambda one: (one.started_at, one.query_id)))


def _loading(operation: Operation, table: ShopTable) -> Statement:
    """The statement behind a commit: it ends a little after it, at times in the next hour."""
    took = timedelta(milliseconds=900 + operation.at.minute * 53)
    return _statement(
        operation.logged, table.user, operation.at - took, operation.at + timedelta(milliseconds=40)
    )


def _hour(window: HourWindow) -> Iterator[Statement]:
    """What people and programs ask in any hour, besides the loads."""
    dice = random.Random(window.start_ms)  # noqa: S311 - content, not secrets
    for _ in range(12 + dice.randrange(6)):
        begun = window.start + timedelta(milliseconds=dice.randrange(3_500_000))
        took = timedelta(milliseconds=dice.randrange(20, 60_000))
        rows = dice.randrange(500)
        yield _statement(
            dice.choice(QUESTIONS), dice.choice(ANALYSTS), begun, begun + took, rows=rows
        )
    for text in NOISE:
        begun = window.start + timedelta(milliseconds=dice.randrange(3_599_000))
        yield _statement(
            text, dice.choice(ANALYSTS), begun, begun + timedelta(milliseconds=8), role="noise"
        )
    begun = window.start + timedelta(minutes=7, milliseconds=dice.randrange(60_000))
    yield _statement(OWN, "svc_monitoring", begun, begun + timedelta(milliseconds=170), role="own")
    text, error = dice.choice(FAILURES)
    begun = window.start + timedelta(milliseconds=dice.randrange(3_599_000))
    yield _statement(
        text, "bela", begun, begun + timedelta(milliseconds=35), status="FAILED", error=error
    )
    if dice.randrange(3) == 0:
        begun = window.start + timedelta(minutes=dice.randrange(50))
        yield _statement(
            "SELECT * FROM raw.orders CROSS JOIN raw.order_items",
            *("bela", begun, begun + timedelta(minutes=3)),
            status="CANCELLED",
            error="Query was cancelled by bela",
        )
    yield from _edges(window)


def _edges(window: HourWindow) -> Iterator[Statement]:
    """Ends at the first and at the last instant of an hour, and one that began in the hour before."""
    moment = timedelta(milliseconds=1)
    dashboard = "svc_dashboard"
    yield _statement(QUESTIONS[2], dashboard, window.start, window.end - moment, rows=30)
    if window.start.hour % 2:
        yield _statement(
            QUESTIONS[0], dashboard, window.start - timedelta(seconds=2), window.start, rows=3
        )
    yield _statement(
        QUESTIONS[1],
        *(
            "svc_dashboard",
            window.start - timedelta(minutes=1, seconds=30),
            window.start + timedelta(minutes=3),
        ),
        rows=20,
    )


def _statement(
    text: str,
    user: str,
    begun: datetime,
    ended: datetime | None,
    *,
    status: StatementStatus = "COMPLETED",
    error: str | None = None,
    rows: int | None = None,
    role: StatementRole = "query",
) -> Statement:
    return Statement(
        query_id=str(uuid.uuid5(NAMESPACE, f"{begun.isoformat()} {user} {text}")),
        text=text,
        user=user,
        started_at=begun,
        ended_at=ended,
        status=status,
        error=error,
        rows=rows,
        role=role,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """A table that archives statements: its columns, each with an expression over the fields of ``_row``."""

    table: TableId
    columns: Sequence[tuple[str, str, str]]


SHAPES = (
    _Shape(
        table=TableId("spark_catalog", ("ops",), "query_history"),
        columns=(
            ("query_id", "STRING", "id"),
            ("sql_text", "STRING", "text"),
            ("user_name", "STRING", "user"),
            ("start_time", "TIMESTAMP", "timestamp_millis(begun)"),
            ("end_time", "TIMESTAMP", "timestamp_millis(ended)"),
            ("status", "STRING", "status"),
            ("error_message", "STRING", "error"),
            ("rows_returned", "BIGINT", "rows"),
        ),
    ),
    _Shape(
        table=TableId("spark_catalog", ("ops",), "query_durations"),
        columns=(
            ("statement", "STRING", "text"),
            ("submitted_by", "STRING", "user"),
            ("started_at", "TIMESTAMP", "timestamp_millis(begun)"),
            ("duration_ms", "BIGINT", "ended - begun"),
        ),
    ),
    _Shape(
        table=TableId(
            "spark_catalog", ("iomete_system_db",), "activity_monitoring_compute_cluster"
        ),
        columns=(
            ("sql_text", "STRING", "text"),
            ("performance_metrics", "STRING", "'totalInputBytes=1024 totalCpuTime=5'"),
            ("completion_date", "DATE", "CAST(timestamp_millis(ended) AS DATE)"),
            ("start_time", "TIMESTAMP", "timestamp_millis(begun)"),
            ("status", "STRING", "status"),
        ),
    ),
)
"""Start and end; start and duration; start and completion date only (as IOMETE's own was once seen)."""


def archives(shop: Shop, workload: Sequence[Statement]) -> tuple[ShopTable, ...]:
    """The three tables, filled every few hours with what started since."""
    return tuple(_archive(shape, shop, workload) for shape in SHAPES)


def _archive(shape: _Shape, shop: Shop, workload: Sequence[Statement]) -> ShopTable:
    listed = ", ".join(f"{name} {kind}" for name, kind, _ in shape.columns)
    create = f"CREATE TABLE <table> ({listed}) USING iceberg"
    created = shop.window.end - CREATED_BEFORE
    operations = [Operation(at=created, kind="create", statement=create, rows=0, logged=create)]
    rows = 0
    for at, block in _blocks(shop, workload):
        rows += len(block)
        insert = f"INSERT INTO <table> {_values(shape, block)}"
        operations.append(Operation(at=at, kind="append", statement=insert, rows=rows, logged=""))
    return ShopTable(table=shape.table, user="svc_archive", operations=tuple(operations))


def _blocks(
    shop: Shop, workload: Sequence[Statement]
) -> Iterator[tuple[datetime, list[Statement]]]:
    """Statements by the archive run that takes them; the last run is at the shop's very end."""
    taken = set[str]()
    for hours in reversed(range(0, shop.hours, ARCHIVED_EVERY_HOURS)):
        at = shop.window.end - hours * HOUR
        block = [one for one in workload if one.query_id not in taken and one.started_at < at]
        taken.update(one.query_id for one in block)
        yield at, block


def _values(shape: _Shape, block: Iterable[Statement]) -> str:
    """A query that yields the rows: one JSON literal is parsed many times faster than VALUES."""
    rows = json.dumps([_row(one) for one in block])
    fields = "id STRING, text STRING, user STRING, begun BIGINT, ended BIGINT, status STRING, error STRING, rows BIGINT"
    expressions = ", ".join(f"{value} AS {name}" for name, _, value in shape.columns)
    parsed = f"SELECT inline(from_json({literal(rows)}, 'ARRAY<STRUCT<{fields}>>'))"
    return f"SELECT {expressions} FROM ({parsed})"


def _row(one: Statement) -> dict[str, object]:
    return {
        "id": one.query_id,
        "text": one.text,
        "user": one.user,
        "begun": _ms(one.started_at),
        "ended": None if one.ended_at is None else _ms(one.ended_at),
        "status": one.status,
        "error": one.error,
        "rows": one.rows,
    }


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
