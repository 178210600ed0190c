from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from iomete_mc_assets.collectors.query_judging import QueryLogRules
from iomete_mc_assets.collectors.query_log_source import QueryLogConfig
from iomete_mc_assets.collectors.query_log_table import QueryTable
from iomete_mc_assets.collectors.query_logs import collect
from iomete_mc_assets.errors import HourFailed, SettingsError
from iomete_mc_assets.manifests.model import Draft, Verdict
from iomete_mc_assets.records import QueryRecord
from iomete_mc_assets.sandbox.seed_log import SeedLog
from iomete_mc_assets.warehouse.connection import Lakehouse, LakehouseConfig
from iomete_mc_assets.windows import HourWindow

HOUR = HourWindow.from_key("2026-11-21-05:00")
RULES = QueryLogRules()
LATER = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture(scope="module")
def lakehouse(lakehouse_config: LakehouseConfig) -> Iterator[Lakehouse]:
    with Lakehouse.connect(lakehouse_config) as connected:
        yield connected


@pytest.fixture(scope="module")
def logs(lakehouse: Lakehouse) -> Iterator[str]:
    """A database of this module's own."""
    lakehouse.ask("CREATE DATABASE IF NOT EXISTS query_log_shapes")
    yield "query_log_shapes"
    lakehouse.ask("DROP DATABASE query_log_shapes CASCADE")


def table(lakehouse: Lakehouse, name: str, columns: str, rows: str) -> None:
    """An Iceberg table made by one commit; rows are VALUES of strings, cast to the columns' types."""
    casts = ", ".join(
        f"CAST(col{number} AS {column.split()[-1]}) AS {column.split()[0]}"
        for number, column in enumerate(columns.split(", "), start=1)
    )
    lakehouse.ask(f"CREATE TABLE {name} USING iceberg AS SELECT {casts} FROM VALUES {rows}")


def read(
    lakehouse: Lakehouse, config: QueryLogConfig, window: HourWindow = HOUR
) -> tuple[dict[str, QueryRecord], Verdict]:
    """One hour's records by their text, and the verdict."""
    ((_, draft),) = collect([window], QueryTable(lakehouse, config), rules=RULES, now=LATER)
    assert isinstance(draft, Draft), draft
    records = [record for record in draft.records if isinstance(record, QueryRecord)]
    assert len({record.text for record in records}) == len(records)
    return {record.text: record for record in records}, draft.verdict()


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-21T{text}+00:00")


def test_an_hour_holds_what_ended_in_it_start_included_end_excluded(
    lakehouse: Lakehouse, logs: str
) -> None:
    table(
        lakehouse,
        f"{logs}.ends",
        "sql_text STRING, start_time TIMESTAMP, end_time TIMESTAMP, status STRING",
        """('just before', '2026-11-21 04:00:00', '2026-11-21 04:59:59.999999', 'FINISHED'),
           ('first instant', '2026-11-21 04:00:00', '2026-11-21 05:00:00', 'FINISHED'),
           ('last instant', '2026-11-21 05:59:59.999999', '2026-11-21 05:59:59.999999', 'FAILED'),
           ('next hour', '2026-11-21 05:00:00', '2026-11-21 06:00:00', 'FINISHED'),
           ('still running', '2026-11-21 05:00:00', NULL, 'RUNNING'),
           ('running since before', '2026-11-21 04:00:00', NULL, 'RUNNING'),
           ('backwards', '2026-11-21 05:30:00', '2026-11-21 05:29:59', 'FINISHED')""",
    )
    config = QueryLogConfig(table=f"spark_catalog.{logs}.ends")
    found, verdict = read(lakehouse, config)
    assert set(found) == {"first instant", "last instant"}
    assert found["last instant"].ended_at == at("05:59:59.999999")
    assert verdict.counts == {
        "rows read": 4,
        "queries": 2,
        "succeeded": 1,
        "failed": 1,
        "held back: not ended": 1,
        "held back: unusable times": 1,
    }
    assert set(read(lakehouse, config, HOUR.next)[0]) == {"next hour"}
    assert read(lakehouse, config, HOUR.next.next)[1].state == "partial"
    assert read(lakehouse, config, HOUR.previous.previous)[1].state == "unknown"


def test_the_end_filter_reaches_iceberg(lakehouse: Lakehouse, logs: str) -> None:
    table(
        lakehouse,
        f"{logs}.pushed",
        "sql_text STRING, start_time TIMESTAMP, end_time TIMESTAMP",
        "('x', '2026-11-21 05:00:00', '2026-11-21 05:00:01')",
    )
    asked: list[str] = []

    class Listening:
        """Passes everything on and keeps the statements."""

        ask = lakehouse.ask

        def stream(self, statement: str, *, rows_per_fetch: int) -> Iterator[object]:
            asked.append(statement)
            return lakehouse.stream(statement, rows_per_fetch=rows_per_fetch)

    config = QueryLogConfig(table=f"spark_catalog.{logs}.pushed")
    list(collect([HOUR], QueryTable(Listening(), config), rules=RULES, now=LATER))  # type: ignore[arg-type]
    (plan,) = lakehouse.ask(f"EXPLAIN {asked[0].partition('*/')[2]}")
    scan = next(line for line in str(plan["plan"]).splitlines() if "BatchScan" in line)
    assert "filters=((end_time >= 1795237200000000 AND end_time < 1795240800000000)" in scan


def test_a_duration_and_a_naive_start_are_read_in_the_declared_zone(
    lakehouse: Lakehouse, logs: str
) -> None:
    table(
        lakehouse,
        f"{logs}.durations",
        "statement STRING, submitted_by STRING, started_at TIMESTAMP_NTZ, duration_ms BIGINT",
        """('in', 'ann', '2026-11-21 06:59:59.5', '499'), ('out', 'ann', '2026-11-21 06:59:59.5', '500'),
           ('no duration', 'ann', '2026-11-21 06:10:00', NULL), ('negative', 'ann', '2026-11-21 06:10:00', '-1')""",
    )
    config = QueryLogConfig(table=f"spark_catalog.{logs}.durations", timezone="Europe/Berlin")
    found, verdict = read(lakehouse, config)
    assert set(found) == {"in"}
    record = found["in"]
    assert (record.started_at, record.ended_at) == (at("05:59:59.500"), at("05:59:59.999"))
    assert record.user == "ann"
    assert not record.end_estimated
    assert verdict.counts["held back: not ended"] == 1
    assert verdict.counts["held back: unusable times"] == 1


def test_times_in_texts_keep_the_zone_they_carry_and_take_the_declared_one_otherwise(
    lakehouse: Lakehouse, logs: str
) -> None:
    table(
        lakehouse,
        f"{logs}.texts",
        "q STRING, b STRING, e STRING, status STRING",
        """('naive', '2026-11-21 06:10:00', '2026-11-21 06:20:00', 'FINISHED'),
           ('utc', '2026-11-21T05:10:00Z', '2026-11-21T05:20:00.5Z', 'FINISHED'),
           ('offset', '2026-11-21T05:10:00+00:00', '2026-11-21 09:20:00 +04:00', 'FINISHED'),
           ('region', '2026-11-21 05:10:00 UTC', '2026-11-21 00:20:00 America/New_York', 'FINISHED'),
           ('rubbish', '2026-11-21 06:10:00', 'yesterday', 'FINISHED')""",
    )
    config = QueryLogConfig(
        table=f"spark_catalog.{logs}.texts",
        timezone="Europe/Berlin",
        columns={"text": "q", "start": "b", "end": "e"},
    )
    found, verdict = read(lakehouse, config)
    assert {text: record.ended_at for text, record in found.items()} == {
        "naive": at("05:20:00"),
        "utc": at("05:20:00.500"),
        "offset": at("05:20:00"),
        "region": at("05:20:00"),
    }
    assert {record.started_at for record in found.values()} == {at("05:10:00")}
    assert verdict.counts["held back: unusable times"] == 1


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_an_estimated_end_is_the_start_moved_into_the_completion_date(
    lakehouse: Lakehouse, logs: str, zone: str
) -> None:
    name = f"{logs}.dates_{zone[:3].lower()}"
    table(
        lakehouse,
        name,
        "sql_text STRING, completion_date DATE, start_time TIMESTAMP, status STRING",
        """('same day', '2026-11-21', '2026-11-21 05:30:00', 'COMPLETED'),
           ('over midnight', '2026-11-22', '2026-11-21 05:40:00', 'COMPLETED'),
           ('before it began', '2026-11-20', '2026-11-21 05:30:00', 'COMPLETED')""",
    )
    config = QueryLogConfig(table=f"spark_catalog.{name}", timezone=zone, without_end="estimate")
    found, verdict = read(lakehouse, config)
    assert set(found) == {"same day"}
    assert found["same day"].end_estimated
    assert found["same day"].ended_at == found["same day"].started_at == at("05:30:00")
    assert verdict.counts["held back: unusable times"] == 1
    midnight = (
        at("00:00:00") + timedelta(days=1) - (timedelta(hours=9) if zone != "UTC" else timedelta())
    )
    found, _ = read(lakehouse, config, HourWindow.holding(midnight))
    assert set(found) == {"over midnight"}
    assert found["over midnight"].ended_at == midnight


def test_a_missing_table_fails_its_hours_and_names_the_setting(lakehouse: Lakehouse) -> None:
    config = QueryLogConfig(table="spark_catalog.no_such.query_history")
    ((_, error),) = collect([HOUR], QueryTable(lakehouse, config), rules=RULES, now=LATER)
    assert isinstance(error, HourFailed)
    assert "Correct IOMETE_QUERY_LOG_TABLE" in str(error)


@pytest.mark.parametrize(
    ("name", "without_end"),
    [
        ("ops.query_history", "refuse"),
        ("ops.query_durations", "refuse"),
        ("iomete_system_db.activity_monitoring_compute_cluster", "estimate"),
    ],
)
def test_the_seeded_tables_of_all_three_shapes_tell_what_the_seed_ran(
    lakehouse: Lakehouse,
    shop_log: SeedLog,
    name: str,
    without_end: Literal["refuse", "estimate"],
) -> None:
    config = QueryLogConfig(table=f"spark_catalog.{name}", without_end=without_end)
    ((_, draft),) = collect(
        [shop_log.window.previous],
        QueryTable(lakehouse, config),
        rules=RULES,
        now=shop_log.window.end + timedelta(days=1),
    )
    assert isinstance(draft, Draft), draft
    records = [record for record in draft.records if isinstance(record, QueryRecord)]
    assert draft.verdict().state == "complete"
    ran = [
        one for one in shop_log.statements_ended_in(shop_log.window.previous) if one.role == "query"
    ]
    assert records
    if name == "ops.query_history":
        assert {record.query_id for record in records} == {one.query_id for one in ran}
        assert {(record.text, record.started_at, record.ended_at) for record in records} == {
            (one.text, one.started_at, one.ended_at) for one in ran
        }
    if name == "ops.query_durations":
        assert {(record.text, record.ended_at) for record in records} == {
            (one.text, one.ended_at) for one in ran
        }
    assert {record.end_estimated for record in records} == {without_end == "estimate"}


def test_the_shape_without_an_end_is_refused_by_default(
    lakehouse: Lakehouse, shop_log: SeedLog
) -> None:
    config = QueryLogConfig(
        table="spark_catalog.iomete_system_db.activity_monitoring_compute_cluster"
    )
    ((_, error),) = collect(
        [shop_log.window.previous],
        QueryTable(lakehouse, config),
        rules=RULES,
        now=shop_log.window.end,
    )
    assert isinstance(error, SettingsError)
    assert "IOMETE_QUERY_LOG_WITHOUT_END" in str(error)
