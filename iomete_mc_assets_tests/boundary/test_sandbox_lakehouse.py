"""The seeded lakehouse against the seed's own log, asked through Spark's own time travel and metadata tables."""

import json
import re
import socket
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from iomete_mc_assets.errors import AccessDenied, SandboxError
from iomete_mc_assets.records import TableId
from iomete_mc_assets.sandbox import lakehouse, process
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.sandbox.seed_log import SeedLog
from iomete_mc_assets.warehouse.connection import Lakehouse, LakehouseConfig
from iomete_mc_assets.warehouse.statements import quoted
from iomete_mc_assets.windows import HOUR, HourWindow


@pytest.fixture(scope="module")
def session(sandbox: RunningLakehouse) -> Iterator[Lakehouse]:
    with Lakehouse.connect(sandbox.config) as opened:
        yield opened


def named(table: TableId) -> str:
    return quoted(table.catalog, *table.namespace, table.table)


def kept(shop_log: SeedLog) -> list[TableId]:
    """Tables that are still there."""
    dropped = {change.table for change in shop_log.changes if change.kind == "drop"}
    return [table for table in shop_log.tables if table not in dropped]


def readable(shop_log: SeedLog, instant: datetime) -> list[TableId]:
    """Tables of which Iceberg's history still tells a state just before ``instant``."""

    def tells(table: TableId) -> bool:
        begins = shop_log.history_begins(table) or datetime.min.replace(tzinfo=UTC)
        mine = [one.at for one in shop_log.changes if one.table == table and one.in_history]
        return any(begins <= at < instant for at in mine)

    return [table for table in kept(shop_log) if tells(table)]


def ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


@pytest.mark.parametrize("back", [0, 1, 2, 4, 23])
def test_time_travel_to_an_hours_end_counts_the_rows_that_the_seed_logged(
    session: Lakehouse, shop_log: SeedLog, back: int
) -> None:
    instant = shop_log.window.end - back * HOUR
    tables = readable(shop_log, instant)
    counts = " UNION ALL ".join(
        f"SELECT {n} AS n, count(*) AS rows FROM {named(table)} TIMESTAMP AS OF timestamp_millis({ms(instant) - 1})"
        for n, table in enumerate(tables)
    )
    told = {tables[int(str(row["n"]))]: row["rows"] for row in session.ask(counts)}
    assert len(told) > 15
    assert told == {table: shop_log.rows_as_of(table, instant) for table in tables}


def test_icebergs_history_shows_the_planned_instants_to_the_millisecond(
    session: Lakehouse, shop_log: SeedLog
) -> None:
    tables = kept(shop_log)
    rows = session.ask(
        " UNION ALL ".join(
            f"SELECT {n} AS n, unix_millis(made_current_at) AS at FROM {named(table)}.history"
            for n, table in enumerate(tables)
        )
    )
    told = {
        table: sorted(int(str(row["at"])) for row in rows if row["n"] == n)
        for n, table in enumerate(tables)
    }
    planned = {
        table: sorted(
            ms(change.at)
            for change in shop_log.changes
            if change.table == table
            and change.in_history
            and change.at >= (shop_log.history_begins(table) or change.at)
        )
        for table in tables
    }
    assert told == planned


def test_the_metastore_shows_the_planned_time_of_the_current_snapshot(
    session: Lakehouse, shop_log: SeedLog
) -> None:
    orders = TableId("spark_catalog", ("raw",), "orders")
    block = str(session.ask("SHOW TABLE EXTENDED IN raw LIKE 'orders'")[0]["information"])
    shown = re.search(r"current-snapshot-timestamp-ms=(\d+)", block)
    assert shown is not None
    last = shop_log.last_change_as_of(orders, shop_log.window.end)
    assert last is not None
    assert int(shown[1]) == ms(last)


def test_some_commits_lie_on_the_first_and_on_the_last_instant_of_an_hour(
    shop_log: SeedLog,
) -> None:
    edges = {change.at - HourWindow.holding(change.at).start for change in shop_log.changes}
    assert {timedelta(0), HOUR - timedelta(milliseconds=1)} <= edges


def test_each_thing_that_can_happen_to_a_table_happened(shop_log: SeedLog) -> None:
    assert {change.kind for change in shop_log.changes} == {
        *("create", "append", "overwrite", "merge", "delete", "truncate", "replace_table"),
        *("compaction", "rollback", "branch", "branch_write", "fast_forward", "expire", "drop"),
    }


def test_the_operations_are_those_that_iceberg_itself_recorded(session: Lakehouse) -> None:
    def operations(name: str) -> list[object]:
        rows = session.ask(f"SELECT operation FROM {name}.snapshots ORDER BY committed_at")
        return [row["operation"] for row in rows]

    assert operations("staging.stock") == ["append", "append", "append", "replace"]
    assert operations("raw.returns") == ["append", "delete", "replace"]
    assert operations("raw.sessions") == ["append", "append", "delete"]
    assert operations("staging.drafts") == ["append", "append"]
    assert operations("raw.audit_trail") == ["append", "append"]


def test_after_deletes_the_totals_count_rows_only_where_nothing_was_compacted_since(
    session: Lakehouse,
) -> None:
    def totals(name: str) -> tuple[int, int]:
        (row,) = session.ask(
            "SELECT summary['total-records'] AS records, summary['total-position-deletes'] AS deletes "
            f"FROM {name}.snapshots ORDER BY committed_at DESC LIMIT 1"
        )
        return int(str(row["records"])), int(str(row["deletes"]))

    assert totals("raw.web_events") == (120, 15)  # 105 rows, and the difference says so
    assert totals("raw.returns") == (17, 3)  # 17 rows, and the difference says 14


def test_the_catalogs_hold_what_is_neither_an_iceberg_table_nor_there_any_more(
    session: Lakehouse,
) -> None:
    raw = {row["tableName"] for row in session.ask("SHOW TABLES IN raw")}
    assert {"legacy_export", "inbox"} <= raw
    assert "old_leads" not in raw
    views = {row["viewName"] for row in session.ask("SHOW VIEWS IN marts")}
    assert views == {"open_orders"}
    nested = session.ask("SHOW TABLES IN lake.`web-shop`.`EU West`")
    assert [row["tableName"] for row in nested] == ["Page-Views"]
    assert "table_type" not in str(session.ask("SHOW TABLE EXTENDED IN raw LIKE 'legacy_export'"))


def test_the_hostile_table_carries_the_markers_that_a_survey_looks_for(
    sandbox: RunningLakehouse,
) -> None:
    """In a session that hides no more than Spark does by itself."""
    with Lakehouse.connect(sandbox.config) as session:
        session.ask("SET spark.sql.redaction.options.regex=(?i)url")
        block = str(session.ask("SHOW TABLE EXTENDED IN staging LIKE 'hostile'")[0]["information"])
    assert block.count("current-snapshot-id=") > 1
    assert "\nSchema: root\n |-- fake: long" in block


def test_a_back_dated_table_takes_further_writes(session: Lakehouse) -> None:
    """In a table of its own, registered from another's metadata, so that the shop stays as it is."""
    block = str(session.ask("SHOW TABLE EXTENDED IN raw LIKE 'suppliers'")[0]["information"])
    location = re.search(r"(?<!previous_)metadata_location=([^,\]]+)", block)
    assert location is not None
    session.ask("CREATE NAMESPACE spark_catalog.scratch")
    try:
        session.ask(f"CALL spark_catalog.system.register_table('scratch.copied', '{location[1]}')")
        session.ask("INSERT INTO scratch.copied VALUES (1, 'a', 2.0)")
        rows = session.ask("SELECT count(*) AS rows FROM scratch.copied")
        assert rows[0]["rows"] == 43
    finally:
        session.ask("DROP TABLE IF EXISTS scratch.copied")
        session.ask("DROP NAMESPACE spark_catalog.scratch")


def test_the_three_query_histories_hold_every_logged_statement(
    session: Lakehouse, shop_log: SeedLog
) -> None:
    told = session.ask(
        "SELECT query_id, unix_millis(start_time) AS begun, unix_millis(end_time) AS ended, status, "
        "sql_text, error_message, rows_returned FROM ops.query_history"
    )
    logged = {
        one.query_id: (
            ms(one.started_at),
            None if one.ended_at is None else ms(one.ended_at),
            one.status,
            one.text,
            one.error,
            one.rows,
        )
        for one in shop_log.statements
    }
    assert {row["query_id"]: tuple(row.values())[1:] for row in told} == logged
    durations = session.ask(
        "SELECT unix_millis(started_at) AS begun, duration_ms FROM ops.query_durations"
    )
    assert sorted((r["begun"], r["duration_ms"] or 0) for r in durations) == sorted(
        (ms(one.started_at), one.duration_ms or 0) for one in shop_log.statements
    )
    dates = session.ask(
        "SELECT count(completion_date) AS dated, count(*) AS all "
        "FROM iomete_system_db.activity_monitoring_compute_cluster"
    )
    ended = sum(one.ended_at is not None for one in shop_log.statements)
    assert tuple(dates[0].values()) == (ended, len(shop_log.statements))


def test_a_wrong_token_is_denied(lakehouse_config: LakehouseConfig) -> None:
    wrong = LakehouseConfig(
        url=lakehouse_config.url, user="sandbox", token="wrong", startup_window_s=0
    )
    with pytest.raises(AccessDenied, match="401"):
        Lakehouse.connect(wrong)


def test_the_token_stands_in_its_file_and_nowhere_else(sandbox: RunningLakehouse) -> None:
    assert stat.S_IMODE(sandbox.token_file.stat().st_mode) == 0o600
    assert sandbox.token not in repr(sandbox)
    command = Path(f"/proc/{sandbox.pid}/cmdline")
    if command.exists():
        assert sandbox.token not in command.read_text()
    for file in ("connection.json", "spark.properties", "lakehouse.log", "lakehouse.process.json"):
        assert sandbox.token not in (sandbox.state / file).read_text()
    for events in sandbox.events.iterdir():
        assert sandbox.token not in events.read_text()


def test_sparks_event_logs_tell_of_the_thrift_operations(sandbox: RunningLakehouse) -> None:
    lines = [line for log in sandbox.events.iterdir() for line in log.read_text().splitlines()]
    events = {json.loads(line)["Event"].rpartition(".")[2] for line in lines}
    assert "SparkListenerThriftServerOperationStart" in events


def test_a_running_lakehouse_is_found_and_used_again(sandbox: RunningLakehouse) -> None:
    again = lakehouse.start(sandbox.state)
    assert (again.pid, again.url, again.reused) == (sandbox.pid, sandbox.url, True)
    with pytest.raises(SandboxError, match="already runs at"):
        lakehouse.start(sandbox.state, port=1)
    with pytest.raises(SandboxError, match=r"already runs at http://.* in binary mode"):
        lakehouse.start(sandbox.state, mode="binary")


def test_a_taken_port_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SandboxError, match=f"Port {port} is taken"):
            lakehouse.start(tmp_path, port=port)
    assert process.running(lakehouse.NAME, state=tmp_path) is None
