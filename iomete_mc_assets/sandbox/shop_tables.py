"""The tables of the seeded shop and what happened to each in the last hours. How it is counted lives in ``shop``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from iomete_mc_assets.records import TableId
from iomete_mc_assets.sandbox.shop import History, ShopTable, written
from iomete_mc_assets.windows import HOUR, HourWindow

Columns = Sequence[tuple[str, str, str]]

CREATED_BEFORE = timedelta(hours=30)
"""How long before the seeded hour's end most tables were created: before the oldest seeded hour."""

ORDERS: Columns = (
    ("order_id", "BIGINT NOT NULL COMMENT 'assigned by the web shop'", "id"),
    ("customer_id", "BIGINT", "id % 97"),
    (
        "ordered_at",
        "TIMESTAMP COMMENT 'when the customer pressed the button'",
        "timestamp_seconds(1700000000 + id)",
    ),
    ("status", "STRING", "elt(CAST(id % 3 AS INT) + 1, 'open', 'paid', 'sent')"),
    ("amount", "DECIMAL(12,2)", "CAST(id % 10000 AS DECIMAL(12,2)) / 100"),
    (
        "Address",
        "STRUCT<City: STRING COMMENT 'as typed', zip: STRING, geo: STRUCT<lat: DOUBLE, lon: DOUBLE>>",
        (
            "named_struct('City', 'Berlin', 'zip', CAST(id AS STRING), 'geo', "
            "named_struct('lat', CAST(52.5 AS DOUBLE), 'lon', CAST(13.4 AS DOUBLE)))"
        ),
    ),
    ("tags", "ARRAY<STRING>", "array('web')"),
    ("attributes", "MAP<STRING, INT>", "map('items', CAST(id % 5 AS INT))"),
)
ITEMS: Columns = (
    ("item_id", "BIGINT NOT NULL", "id"),
    ("order_id", "BIGINT", "id DIV 3"),
    ("product", "STRING", "concat('product ', id % 40)"),
    ("quantity", "INT", "CAST(1 + id % 4 AS INT)"),
    ("price", "DECIMAL(10,2)", "CAST(id % 5000 AS DECIMAL(10,2)) / 100"),
)
CUSTOMERS: Columns = (
    ("customer_id", "BIGINT NOT NULL", "id"),
    ("name", "STRING COMMENT 'full name'", "concat('Customer ', id)"),
    ("email", "STRING", "concat('c', id, '@example.com')"),
    ("since", "DATE", "date_add(DATE '2020-01-01', CAST(id % 2000 AS INT))"),
)
PLAIN: Columns = (
    ("id", "BIGINT", "id"),
    ("name", "STRING", "concat('n', id)"),
    ("value", "DOUBLE", "CAST(id AS DOUBLE)"),
)
EVERY_TYPE: Columns = (
    ("id", "BIGINT", "id"),
    ("flag", "BOOLEAN", "id % 2 = 0"),
    ("small", "INT", "CAST(id AS INT)"),
    ("ratio", "FLOAT", "CAST(id AS FLOAT)"),
    ("exact", "DECIMAL(38,10)", "CAST(id AS DECIMAL(38,10))"),
    ("day", "DATE", "DATE '2026-01-01'"),
    ("instant", "TIMESTAMP", "TIMESTAMP '2026-01-01 00:00:00'"),
    ("local_time", "TIMESTAMP_NTZ", "TIMESTAMP_NTZ '2026-01-01 00:00:00'"),
    ("raw", "BINARY", "CAST(CAST(id AS STRING) AS BINARY)"),
    ("Mixed Case", "STRING", "'spaces in a name'"),
    (
        "nested",
        "ARRAY<STRUCT<Key: STRING, vals: MAP<STRING, ARRAY<INT>>>>",
        "array(named_struct('Key', 'k', 'vals', map('v', array(1))))",
    ),
)
HOSTILE_COMMENT = "it\\'s [a] comment, current-snapshot-id=1, metadata_location=x.json"
HOSTILE_PROPERTIES = (
    "'note'='a, current-snapshot-id=42, current-schema={\"type\":\"struct\"}, b=c]', "
    "'lines'='first\\nsecond\\nSchema: root\\n |-- fake: long (nullable = true)', "
    "'json'='{\"a\": [1, 2, {\"b\": \"]\"}]}', 'table_type_note'='table_type=ICEBERG-VIEW'"
)
MERGE_ON_READ = "TBLPROPERTIES ('format-version'='2', 'write.delete.mode'='merge-on-read')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """Everything the seed makes in the lakehouse, besides the query history.

    Attributes:
        window: the newest hour that is seeded; the shop ends with it.
        hours: how many hours, that one included.
        tables: Iceberg tables with their history.
        statements: what is run once at the end, as it is: views and tables that are not Iceberg.
    """

    window: HourWindow
    hours: int
    tables: tuple[ShopTable, ...]
    statements: tuple[str, ...]


def build_shop(window: HourWindow, *, hours: int) -> Shop:
    """The shop whose newest seeded hour is ``window``; the same hour gives the same shop."""
    plan = _Plan(window, hours)
    tables = (
        *_loaded(plan),
        *_special(plan),
        *_staging(plan),
        *_marts(plan),
        *_lake(plan),
    )
    return Shop(window=window, hours=hours, tables=tables, statements=_STATEMENTS)


_STATEMENTS = (
    (
        "CREATE VIEW marts.open_orders COMMENT 'not yet sent' AS "
        "SELECT order_id, customer_id, amount FROM raw.orders WHERE status = 'open'"
    ),
    (
        "CREATE VIEW staging.items_per_order AS "
        "SELECT order_id, count(*) AS items FROM raw.order_items GROUP BY order_id"
    ),
    (
        "CREATE TABLE raw.legacy_export (id BIGINT COMMENT 'old key', Name STRING) USING parquet "
        "COMMENT 'not Iceberg'"
    ),
    "INSERT INTO raw.legacy_export SELECT id, 'x' FROM range(0, 25, 1, 1)",
)


class _Plan:
    """Instants relative to the seeded hours, and loads that vary from hour to hour."""

    def __init__(self, window: HourWindow, hours: int) -> None:
        self.end = window.end
        self.hours = hours
        self.created = window.end - CREATED_BEFORE

    def ago(self, hours: int, *, minute: int = 0, second: float = 0) -> datetime:
        """In the hour that began ``hours`` hours before the end."""
        return self.end - hours * HOUR + timedelta(minutes=minute, seconds=second)

    def every(self, step: int, *, minute: int, second: float) -> Iterator[tuple[datetime, int]]:
        """An instant in every ``step``-th hour, and a size that depends on that hour alone."""
        for hours in range(self.hours, 0, -1):
            number = round((self.end - hours * HOUR).timestamp()) // 3600
            if number % step == 0:
                yield self.ago(hours, minute=minute, second=second), 20 + number * 37 % 61

    def table(
        self,
        name: str,
        columns: Columns,
        *,
        load: str,
        user: str,
        clauses: str = "",
        created: datetime | None = None,
    ) -> History:
        """A table of the session catalog, named ``database.table``."""
        database, _, table = name.partition(".")
        return History(
            TableId("spark_catalog", (database,), table),
            columns=columns,
            load=load,
            user=user,
            clauses=clauses,
            created=self.created if created is None else created,
        )


def _landed(
    plan: _Plan, name: str, columns: Columns, clauses: str = "", *, created: datetime | None = None
) -> History:
    """A table of ``raw``, which is what arrives from outside."""
    load = f"INSERT INTO raw.{name} SELECT * FROM landing.{name}"
    user = "svc_ingest"
    return plan.table(
        f"raw.{name}", columns, load=load, user=user, clauses=clauses, created=created
    )


def _loaded(plan: _Plan) -> Iterator[ShopTable]:
    """The regular loads, each at another place in its hour."""
    orders = _landed(plan, "orders", ORDERS, "COMMENT 'one row an order'")
    orders.append(plan.created + HOUR, 500)
    for at, count in plan.every(1, minute=5, second=12.345):
        orders.append(at, count)
    yield orders.done()

    items = _landed(plan, "order_items", ITEMS)
    items.append(plan.created + HOUR, 1500)
    for at, count in plan.every(1, minute=17, second=0):
        items.append(at, 3 * count)
    yield items.done()

    customers = _landed(plan, "customers", CUSTOMERS)  # at the last instant of its hour
    customers.append(plan.created + HOUR, 97)
    for at, count in plan.every(3, minute=59, second=59.999):
        customers.append(at, count)
    yield customers.done()

    payments = _landed(
        plan, "payments", PLAIN, "PARTITIONED BY (truncate(1, name))"
    )  # at the first instant
    for at, count in plan.every(4, minute=0, second=0):
        payments.append(at, count)
    payments.append(plan.end, 11)  # already the hour that is not over
    yield payments.done()

    rates = _landed(plan, "exchange_rates", PLAIN, "TBLPROPERTIES ('format-version'='1')")
    for at, count in plan.every(6, minute=31, second=1.5):
        rates.append(at, count)
    yield rates.done()


def _special(plan: _Plan) -> Iterator[ShopTable]:
    """One table for each thing that can happen to a table besides being loaded."""
    suppliers = _landed(plan, "suppliers", PLAIN)  # stale
    suppliers.append(plan.created + HOUR, 40)
    suppliers.append(plan.ago(20, minute=11), 2)
    yield suppliers.done()

    yield _landed(plan, "inbox", PLAIN, "COMMENT 'never written'").done()

    sessions = _landed(plan, "sessions", PLAIN)  # emptied
    sessions.append(plan.created + HOUR, 300)
    sessions.append(plan.ago(4, minute=20), 50)
    sessions.truncate(plan.ago(3, minute=40))
    yield sessions.done()

    leads = _landed(plan, "old_leads", PLAIN)  # dropped
    leads.append(plan.created + HOUR, 8)
    leads.drop(plan.ago(5, minute=45))
    yield leads.done()

    created = plan.ago(5, minute=30)
    campaigns = _landed(plan, "campaigns", PLAIN, created=created)  # created in the middle
    campaigns.append(created + timedelta(minutes=1), 12)
    campaigns.append(plan.ago(2, minute=3), 5)
    yield campaigns.done()

    audits = _landed(plan, "audit_trail", PLAIN)  # its history begins where it was expired
    audits.append(plan.created + HOUR, 60)
    audits.append(plan.ago(7, minute=1), 6)
    audits.append(plan.ago(4, minute=15), 7)
    audits.expire(plan.ago(4, minute=50))
    audits.append(plan.ago(2, minute=22), 3)
    yield audits.done()

    events = _landed(
        plan, "web_events", PLAIN, MERGE_ON_READ
    )  # rows = total-records less position deletes
    events.append(plan.created + HOUR, 80)
    events.append(plan.ago(6, minute=2), 40)
    events.delete(plan.ago(3, minute=33), 15)
    yield events.done()

    returns = _landed(
        plan, "returns", PLAIN, MERGE_ON_READ
    )  # after this compaction that difference is wrong
    returns.append(plan.created + HOUR, 20)
    returns.delete(plan.ago(5, minute=10), 3)
    returns.compact(plan.ago(3, minute=12))
    yield returns.done()


def _staging(plan: _Plan) -> Iterator[ShopTable]:
    """What is made from raw, and what a team does to it in between."""
    user = "svc_dbt"

    def made(name: str, columns: Columns, source: str, clauses: str = "") -> History:
        load = f"INSERT INTO staging.{name} SELECT * FROM {source}"
        return plan.table(f"staging.{name}", columns, load=load, user=user, clauses=clauses)

    load = "INSERT OVERWRITE staging.orders_clean SELECT order_id, customer_id, amount FROM raw.orders WHERE status <> 'test'"
    clean = plan.table("staging.orders_clean", PLAIN, load=load, user=user)
    clean.append(plan.created + HOUR, 480)
    for at, count in plan.every(3, minute=21, second=7):
        clean.overwrite(at, 480 + count)
    yield clean.done()

    stock = made("stock", PLAIN, "raw.suppliers")  # only compacted lately
    for number in range(3):
        stock.append(plan.created + (number + 1) * HOUR, 30)
    stock.compact(plan.ago(2, minute=48))
    yield stock.done()

    prices = made("prices", PLAIN, "raw.order_items")  # a bad load rolled back, then a good one
    prices.append(plan.created + HOUR, 100)
    prices.append(plan.ago(6, minute=9), 900)
    prices.roll_back(plan.ago(4, minute=26), to=0)
    prices.append(plan.ago(1, minute=8), 10)
    yield prices.done()

    drafts = made("drafts", PLAIN, "raw.orders")  # written on a branch, main unchanged
    drafts.append(plan.created + HOUR, 25)
    drafts.branch(plan.ago(3, minute=1))
    drafts.write_to_branch(plan.ago(2, minute=2), 75)
    yield drafts.done()

    reviewed = made("reviewed", PLAIN, "raw.orders")  # the same, then published
    reviewed.append(plan.created + HOUR, 10)
    reviewed.branch(plan.ago(6, minute=1))
    reviewed.write_to_branch(plan.ago(5, minute=2), 20)
    reviewed.fast_forward(plan.ago(2, minute=59, second=59.999))
    yield reviewed.done()

    hostile = made(
        "hostile",
        PLAIN,
        "raw.suppliers",
        f"COMMENT '{HOSTILE_COMMENT}' TBLPROPERTIES ({HOSTILE_PROPERTIES})",
    )
    hostile.append(plan.ago(3, minute=27), 33)
    yield hostile.done()

    hidden = made(
        "hidden", PLAIN, "raw.suppliers", "TBLPROPERTIES ('iomete.governance.index'='false')"
    )
    hidden.append(plan.ago(2, minute=13), 4)
    yield hidden.done()

    types = made("every_type", EVERY_TYPE, "raw.orders")
    types.append(plan.ago(4, minute=44), 6)
    yield types.done()


def _marts(plan: _Plan) -> Iterator[ShopTable]:
    """What people look at."""
    user = "svc_dbt"
    load = (
        "INSERT OVERWRITE marts.daily_revenue SELECT CAST(o.ordered_at AS DATE) AS day, sum(i.quantity * i.price) "
        "FROM raw.orders o JOIN raw.order_items i ON i.order_id = o.order_id GROUP BY 1"
    )
    revenue = plan.table(
        "marts.daily_revenue", PLAIN, load=load, user=user, clauses="COMMENT 'revenue by day'"
    )
    revenue.append(plan.created + HOUR, 30)
    for at, count in plan.every(3, minute=45, second=3):
        revenue.overwrite(at, 30 + count % 7)
    yield revenue.done()

    load = (
        "MERGE INTO marts.customer_value t USING (SELECT customer_id, sum(amount) AS value FROM staging.orders_clean "
        "GROUP BY customer_id) s ON t.id = s.customer_id WHEN MATCHED THEN UPDATE SET value = s.value "
        "WHEN NOT MATCHED THEN INSERT (id, value) VALUES (s.customer_id, s.value)"
    )
    value = plan.table("marts.customer_value", PLAIN, load=load, user=user)
    value.append(plan.created + HOUR, 97)
    for at, count in plan.every(6, minute=50, second=0.25):
        value.merge(at, updated=40, inserted=count % 9)
    yield value.done()

    load = (
        "CREATE OR REPLACE TABLE marts.order_facts AS SELECT o.id, c.name, o.value "
        "FROM staging.orders_clean o JOIN raw.customers c ON c.customer_id = o.id"
    )
    facts = plan.table("marts.order_facts", PLAIN, load=load, user=user)
    facts.append(plan.created + HOUR, 450)
    for at, count in plan.every(8, minute=55, second=0):
        facts.replace(at, 450 + count)
    yield facts.done()


def _lake(plan: _Plan) -> Iterator[ShopTable]:
    """A second (v2) catalog, with names that the session catalog would refuse."""
    for namespace, table, minute in (
        (("crm",), "Campaign Results 2026", 14),
        (("web-shop", "EU West"), "Page-Views", 36),
    ):
        name = TableId("lake", namespace, table)
        history = History(
            name,
            columns=(("Row Id", "BIGINT", "id"), *PLAIN[1:]),
            load=f"INSERT INTO {written(name)} SELECT * FROM raw.campaigns",
            user="svc_ingest",
            created=plan.created,
            clauses="COMMENT 'from the other catalog'",
        )
        history.append(plan.created + HOUR, 9)
        history.append(plan.ago(4, minute=minute), 5)
        history.append(plan.ago(2, minute=minute), 7)
        yield history.done()
