"""Rules of a correct pusher that no other test shows on the wire, each under its number; docs/monte-carlo.md lists all."""

# pycarlo's signatures say ``dict`` without saying of what
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from pycarlo.features.ingestion.models import (
    AssetField,
    AssetMetadata,
    AssetVolume,
    QueryLogEntry,
    RelationalAsset,
    build_metadata_payload,
    build_query_log_payload,
)

from iomete_mc_assets.collectors.query_judging import QueryLogRules
from iomete_mc_assets.collectors.query_log_source import QueryLogConfig, describe, source_of
from iomete_mc_assets.collectors.query_log_table import QueryTable
from iomete_mc_assets.collectors.query_logs import collect
from iomete_mc_assets.errors import OutcomeUnknown, SettingsError
from iomete_mc_assets.manifests.model import Draft, Flow
from iomete_mc_assets.montecarlo.events import catalog_snapshot, observations, query_logs
from iomete_mc_assets.montecarlo.naming import Naming, Strategy
from iomete_mc_assets.push.outcome import HourOutcome
from iomete_mc_assets.push.pusher import Pusher
from iomete_mc_assets.records import (
    Column,
    Observation,
    QueryRecord,
    Record,
    TableEntry,
    TableFormat,
    TableId,
    TableKind,
)
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.warehouse.rows import Row
from iomete_mc_assets.warehouse.statements import tagged
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.push_bench import HOUR, SOURCE, Bench, entries, observed, queries, table
from iomete_mc_assets_tests.scripted import ScriptedWarehouse

FLOWS: tuple[Flow, ...] = ("catalog_snapshot", "observations", "query_logs")


@pytest.fixture
def bench(gateway: Gateway, tmp_path: Path) -> Bench:
    return Bench(gateway, str(tmp_path))


def arrived(bench: Bench) -> list[Mapping[str, Any]]:
    """Every event of every body that arrived, in order."""
    bodies = [json.loads(body) for body in bench.gateway.bodies]
    return [event for body in bodies for event in body["events"]]


def assets(bench: Bench) -> list[Mapping[str, Any]]:
    """The same of metadata, unwrapped."""
    return [event["relational_asset"] for event in arrived(bench)]


def catalogued(bench: Bench, records: Sequence[Record]) -> None:
    """Let the tables have accepted catalog entries, as observations need."""
    tables = [cast("Observation", record).table for record in records]
    bench.collect(
        "catalog_snapshot",
        [TableEntry(table=name, kind="table", format="iceberg", columns=()) for name in tables],
    )
    bench.push_one("catalog_snapshot")


def with_facts(record: Record, **facts: object) -> Record:
    return replace(record, **facts)  # pyright: ignore[reportArgumentType, reportCallIssue] - by name


def ending_with(last: HourWindow, count: int) -> list[HourWindow]:
    """Hours, ascending."""
    hours = [last]
    while len(hours) < count:
        hours.append(hours[-1].previous)
    return hours[::-1]


# What a request holds


def test_rule_1_the_bodies_that_arrive_are_byte_for_byte_those_of_pycarlo(bench: Bench) -> None:
    uuid, config = bench.gateway.resource_uuid, bench.config
    bench.collect("catalog_snapshot", entries(1, comment="größe"))
    bench.collect("observations", observed(1))
    bench.collect("query_logs", queries(2))
    for flow in FLOWS:
        bench.push_one(flow)
    named = {"name": "t000", "database": "sales", "schema": "default"}
    entry = RelationalAsset(
        type="TABLE",
        metadata=AssetMetadata(**named, description="größe"),
        fields=[AssetField(name="id", type="BIGINT")],
    )
    measured = RelationalAsset(
        type="TABLE", metadata=AssetMetadata(**named), volume=AssetVolume(1, 10)
    )
    asked = [
        QueryLogEntry(
            start_time=HOUR.start,
            end_time=HOUR.start + timedelta(seconds=number),
            query_text=f"SELECT {number}",
            query_id=f"q000{number}",
            user="ann",
        )
        for number in range(2)
    ]
    payloads: list[object] = [
        build_metadata_payload(uuid, config.resource_type, [entry]),
        build_metadata_payload(uuid, config.resource_type, [measured]),
        build_query_log_payload(uuid, config.log_type, asked),
    ]
    assert list(bench.gateway.bodies) == [json.dumps(payload).encode() for payload in payloads]


def test_rule_2_every_kind_and_format_of_table_arrives_as_table_or_view(bench: Bench) -> None:
    kinds: list[tuple[TableKind, TableFormat]] = [
        (kind, form) for kind in get_args(TableKind) for form in get_args(TableFormat)
    ]
    bench.collect(
        "catalog_snapshot",
        [
            TableEntry(table=table(f"{kind}_{form}"), kind=kind, format=form, columns=())
            for kind, form in kinds
        ],
    )
    assert bench.push_one("catalog_snapshot").counts == {"accepted": len(kinds)}
    assert {asset["metadata"]["name"]: asset["type"] for asset in assets(bench)} == {
        "table_iceberg": "TABLE",
        "table_other": "TABLE",
        "view_iceberg": "VIEW",
        "view_other": "VIEW",
    }


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_rule_3_a_table_has_one_name_in_catalog_and_observations(
    bench: Bench, strategy: Strategy
) -> None:
    bench.configure(
        naming=Naming(strategy=strategy, catalogs=SOURCE.catalogs),
        destination=replace(bench.config.destination, naming=strategy),
    )
    bench.collect("catalog_snapshot", entries(1))
    bench.collect("observations", observed(1))
    bench.push_one("catalog_snapshot")
    assert bench.push_one("observations").counts == {"accepted": 1}
    entry, observation = assets(bench)
    assert entry["type"] == observation["type"]
    parts = ("database", "schema", "name")
    one, other = ([asset["metadata"][part] for part in parts] for asset in (entry, observation))
    assert one == other


@pytest.mark.parametrize("uuid", [None, "", "my warehouse", "0d1b2c3d-0000-4000-8000-00000000bee"])
def test_rule_4_without_a_warehouse_uuid_there_is_no_request(
    bench: Bench, uuid: str | None
) -> None:
    environment = bench.environment
    del environment["MCD_RESOURCE_UUID"]
    if uuid is not None:
        environment["MCD_RESOURCE_UUID"] = uuid
    with pytest.raises(SettingsError, match="MCD_RESOURCE_UUID"):
        Pusher.configured(bench.store, environment)
    with pytest.raises(SettingsError, match="MCD_RESOURCE_UUID"):
        replace(bench.config.destination, resource_uuid=uuid or "")
    assert bench.gateway.requests == ()


def test_rule_4_every_request_names_the_warehouse(bench: Bench) -> None:
    bench.collect("catalog_snapshot", entries(1))
    bench.collect("query_logs", queries(1))
    bench.push_one("catalog_snapshot")
    bench.push_one("query_logs")
    told = [json.loads(body)["resource"]["uuid"] for body in bench.gateway.bodies]
    assert told == [bench.gateway.resource_uuid] * 2


def test_rule_5_no_request_holds_more_events_than_monte_carlo_asks_for(bench: Bench) -> None:
    bench.configure(max_assets=50, max_queries=100)
    counts: dict[Flow, tuple[list[Record], list[int]]] = {
        "catalog_snapshot": (entries(120), [20, 50, 50]),
        "observations": (observed(120), [20, 50, 50]),
        "query_logs": (queries(230), [30, 100, 100]),
    }
    for flow, (records, expected) in counts.items():
        before = len(bench.gateway.requests)
        bench.collect(flow, records)
        bench.push_one(flow)
        assert sorted(r.events for r in bench.gateway.requests[before:]) == expected


def test_rule_5_no_body_that_arrives_is_larger_than_the_cap(bench: Bench) -> None:
    bench.configure(max_body_bytes=1_500, max_queries=100)
    records = [with_facts(query, text="ß" * (7 * n)) for n, query in enumerate(queries(40))]
    bench.collect("query_logs", records)
    assert bench.push_one("query_logs").counts == {"accepted": 40}
    sizes = [len(body) for body in bench.gateway.bodies]
    assert max(sizes) <= 1_500
    assert [request.body_bytes for request in bench.gateway.requests] == sizes


def test_rule_12_a_reset_and_a_cut_answer_are_tried_again_and_not_for_ever(bench: Bench) -> None:
    bench.collect("query_logs", queries(3))
    bench.gateway.script(faults.reset, faults.accept_then_cut)
    outcome = bench.push_one("query_logs")
    assert (outcome.counts, len(bench.gateway.requests)) == ({"accepted": 3}, 3)
    bench.collect("query_logs", queries(3, window=HOUR.next), window=HOUR.next)
    bench.gateway.rule(faults.reset)
    answer = bench.push("query_logs", HOUR.next, run="run-2")[HOUR.next]
    assert isinstance(answer, OutcomeUnknown)
    assert len(bench.gateway.requests) == 3 + 3


# Query logs, from the rows that a lakehouse shows to the wire


def micros(instant: datetime) -> int:
    return round(instant.timestamp() * 1_000_000)


def a_row(minute: int, **other: object) -> Row:
    started = HOUR.start + timedelta(minutes=minute)
    return {
        "id": f"q{minute}",
        "text": f"SELECT {minute} AS x",
        "user": "ann",
        "status": "COMPLETED",
        "error_code": None,
        "error_text": None,
        "started_us": micros(started),
        "ended_us": micros(started + timedelta(seconds=1)),
        **other,
    }


COLUMNS: list[Row] = [
    {"col_name": name, "data_type": kind, "comment": None}
    for name, kind in {
        "query_id": "string",
        "sql_text": "string",
        "start_time": "timestamp",
        "end_time": "timestamp",
        "status": "string",
        "error_code": "string",
        "error_message": "string",
    }.items()
]


def queries_shown(bench: Bench, rows: Sequence[Row]) -> HourOutcome:
    """Collect the hour from a table that shows these rows, and push it."""
    config = QueryLogConfig(table="spark_catalog.ops.query_history")
    rules = QueryLogRules(exclude_users=("montecarlo_service",))
    statement = source_of(config, COLUMNS).hour(HOUR)
    warehouse = ScriptedWarehouse({describe(config): COLUMNS, statement: rows})
    source = QueryTable(warehouse, config)
    ((_, draft),) = collect([HOUR], source, rules=rules, now=bench.clock.now())
    assert isinstance(draft, Draft)
    bench.collect("query_logs", list(draft.records))
    return bench.push_one("query_logs")


def test_rule_20_a_query_without_an_id_gets_one_that_stays_when_it_is_collected_again(
    bench: Bench,
) -> None:
    rows = [a_row(minute, id=None) for minute in (1, 2, 3)]
    assert queries_shown(bench, rows[:2]).counts == {"accepted": 2}
    assert queries_shown(bench, rows).counts == {"accepted": 1, "accepted_before": 2}
    ids = [event["query_id"] for event in arrived(bench)]
    assert all(ids)
    assert len(set(ids)) == 3


def test_rule_21_only_ended_queries_are_sent_with_both_times_in_utc(bench: Bench) -> None:
    rows = [
        a_row(1),
        a_row(2, status="RUNNING"),
        a_row(3, ended_us=None),
        a_row(4, ended_us=micros(HOUR.start)),
    ]
    assert queries_shown(bench, rows).counts == {"accepted": 1}
    (event,) = arrived(bench)
    assert (event["query_id"], event["start_time"], event["end_time"]) == (
        "q1",
        "2026-11-21T09:01:00Z",
        "2026-11-21T09:01:01Z",
    )


def test_rule_22_a_failed_query_arrives_with_its_error(bench: Bench) -> None:
    rows = [
        a_row(1),
        a_row(2, status="FAILED", error_code="42P01", error_text="no such table"),
        a_row(3, status="CANCELED"),
    ]
    queries_shown(bench, rows)
    said = [(event.get("error_code"), event.get("error_text")) for event in arrived(bench)]
    assert said == [(None, None), ("42P01", "no such table"), ("CANCELLED", None)]


def test_rule_23_a_text_arrives_as_it_was_written_and_a_cut_one_is_counted(bench: Bench) -> None:
    written = "/* \U0001f427 */ SELECT 'it''s', \"ß\",\n\t${x}  -- end  \r\n;\0"
    assert queries_shown(bench, [a_row(1, text=written)]).notes == {}
    bench.configure(max_body_bytes=2_000)
    outcome = queries_shown(bench, [a_row(1, text=written), a_row(2, text="x" * 5_000)])
    assert (outcome.counts["accepted"], outcome.notes) == (1, {"truncated": 1})
    whole, cut = arrived(bench)
    assert whole["query_text"] == written
    assert cut["extra"] == {"query_text_truncated_from": 5_000}
    assert set(cut["query_text"]) == {"x"}


def test_rule_24_our_own_statements_and_those_of_excluded_users_are_not_sent(bench: Bench) -> None:
    rows = [
        a_row(1),
        a_row(2, text=tagged("SELECT * FROM sales.orders")),
        a_row(3, user="MonteCarlo_Service"),
    ]
    assert queries_shown(bench, rows).counts == {"accepted": 1}
    assert bench.accepted_keys() == ["q1"]


# Observations


@pytest.mark.parametrize("at_once", [True, False])
def test_rule_25_a_backfilled_day_gives_a_table_one_volume_point(
    bench: Bench, at_once: bool
) -> None:
    catalogued(bench, observed(2))
    for number, window in enumerate(ending_with(HOUR, 24)):
        bench.collect("observations", observed(2, rows=number), window=window)
        if not at_once:
            bench.push_one("observations", run=f"run-{number}", window=window)
    answers = bench.push("observations")
    assert len(answers) == 24
    assert all(isinstance(answer, HourOutcome) for answer in answers.values())
    assert [measured.volume for measured in bench.gateway.measured()] == [1, 1]


def test_rule_26_an_older_hour_collected_again_pushes_no_volume(bench: Bench) -> None:
    catalogued(bench, observed(2))
    for window in (HOUR.previous, HOUR):
        bench.collect("observations", observed(2), window=window)
    bench.push("observations")
    requests = len(bench.gateway.requests)
    bench.clock.advance(hours=1)
    bench.collect("observations", observed(2, rows=7), window=HOUR.previous)
    outcome = bench.push_one("observations", run="run-2", window=HOUR.previous)
    assert outcome.counts == {"superseded": 2}
    assert len(bench.gateway.requests) == requests


def blocks(value: object) -> Iterator[object]:
    """Every object and list inside a JSON value, itself included."""
    if isinstance(value, Mapping):
        yield value
        for part in cast("Mapping[str, object]", value).values():
            yield from blocks(part)
    if isinstance(value, list):
        yield value
        for part in cast("list[object]", value):
            yield from blocks(part)


def test_rule_27_zero_rows_arrive_and_what_is_unknown_leaves_no_trace(bench: Bench) -> None:
    zero, unknown, nothing = observed(3)
    records = [
        with_facts(zero, row_count=0, byte_count=0),
        with_facts(unknown, row_count=None, byte_count=7),
        with_facts(nothing, row_count=None, byte_count=None),
    ]
    catalogued(bench, records)
    bench.collect("observations", records)
    assert bench.push_one("observations").counts == {"accepted": 2, "nothing_known": 1}
    last = json.loads(bench.gateway.bodies[-1])
    volumes = [event["relational_asset"]["volume"] for event in last["events"]]
    assert volumes == [{"row_count": 0, "byte_count": 0}, {"byte_count": 7}]
    assert all(blocks(last))


def test_rule_28_freshness_is_the_tables_own_last_change_and_never_goes_back(bench: Bench) -> None:
    changed_at = HOUR.start + timedelta(minutes=7, microseconds=5)
    said: list[object] = []
    catalogued(bench, observed(1))
    for window, at in (
        (HOUR, changed_at),
        (HOUR.next, changed_at),  # unchanged
        (HOUR.next.next, changed_at - timedelta(minutes=1)),
        (HOUR.next.next.next, changed_at + timedelta(days=1)),
    ):
        (record,) = observed(1)
        bench.collect("observations", [with_facts(record, last_data_change=at)], window=window)
        bench.push_one("observations", window=window)
        said.append(assets(bench)[-1].get("freshness"))
        bench.clock.advance(hours=1)
    told = {"last_update_time": "2026-11-21T09:07:00.000005Z"}
    assert said == [told, told, None, None]


def test_rule_29_fields_arrive_complete_or_not_at_all(bench: Bench) -> None:
    columns = (
        Column(name="id", type="BIGINT", comment="key"),
        Column(name="Geo", type="STRUCT<City: STRING, at: ARRAY<DOUBLE>>"),
    )
    (with_columns, without) = entries(2)
    bench.collect(
        "catalog_snapshot",
        [with_facts(with_columns, columns=columns), with_facts(without, columns=())],
    )
    bench.collect("observations", observed(1))
    bench.push_one("catalog_snapshot")
    bench.push_one("observations")
    assert [asset.get("fields") for asset in assets(bench)] == [
        [
            {"name": "id", "type": "BIGINT", "description": "key"},
            {"name": "Geo", "type": "STRUCT<City: STRING, at: ARRAY<DOUBLE>>"},
        ],
        None,
        None,
    ]


def test_rule_30_a_view_query_arrives_on_views_only_and_text_is_valid(bench: Bench) -> None:
    plain, view = entries(2, comment="half \ud83d of it")
    bench.collect(
        "catalog_snapshot",
        [
            with_facts(plain, view_text="SELECT 1"),
            with_facts(view, kind="view", view_text="SELECT 1"),
        ],
    )
    bench.push_one("catalog_snapshot")
    said = [asset["metadata"] for asset in assets(bench)]
    assert [metadata.get("view_query") for metadata in said] == [None, "SELECT 1"]
    assert [metadata["description"] for metadata in said] == ["half \ufffd of it"] * 2
    assert all(b"\\ud83d" not in body for body in bench.gateway.bodies)


def test_rule_35_a_manifest_read_back_gives_the_bytes_of_its_records(bench: Bench) -> None:
    entry = with_facts(
        entries(1)[0],
        table=TableId("spark_catalog", ("sales", "nested"), "Größe"),
        comment="a\nb",
    )
    observation = with_facts(
        observed(1, rows=2**53 + 1)[0],
        byte_count=0,
        last_data_change=HOUR.start + timedelta(microseconds=1),
    )
    query = with_facts(queries(1)[0], text="\U0001f427 \\ \"'", returned_rows=2**60)
    catalogued(bench, [observation])
    naming, at = bench.config.naming, bench.clock.now()
    built: dict[Flow, tuple[Record, bytes]] = {}
    assert isinstance(entry, TableEntry)
    built["catalog_snapshot"] = entry, catalog_snapshot.event(entry, naming).body
    assert isinstance(observation, Observation)
    event = observations.event(observation, naming, not_before=None, not_after=at)
    assert event is not None
    built["observations"] = observation, event.body
    assert isinstance(query, QueryRecord)
    built["query_logs"] = query, query_logs.event(query, max_bytes=10_000).body
    for flow in ("observations", "query_logs", "catalog_snapshot"):
        record, body = built[flow]
        bench.collect(flow, [record])
        assert bench.push_one(flow).counts == {"accepted": 1}
        config = bench.config
        around = config.envelope(
            flow, resource_type=config.resource_type, log_type=config.log_type
        ).around([body])
        assert bench.gateway.bodies[-1] == around


# Keys


@pytest.mark.parametrize("missing", ["MCD_INGEST_ID", "MCD_INGEST_TOKEN"])
def test_rule_38_a_missing_ingestion_key_is_named_before_any_request(
    bench: Bench, missing: str
) -> None:
    environment = bench.environment
    del environment[missing]
    with pytest.raises(SettingsError, match=missing):
        Pusher.configured(bench.store, environment)
    assert bench.gateway.requests == ()


def test_rule_38_the_ingestion_key_goes_to_the_ingest_api_only(bench: Bench) -> None:
    for flow, records in (("catalog_snapshot", entries(3)), ("query_logs", queries(3))):
        bench.collect(cast("Flow", flow), records)
        bench.push_one(cast("Flow", flow))
    assert {request.path for request in bench.gateway.requests} == {
        "/ingest/v1/metadata",
        "/ingest/v1/querylogs",
    }
    keys = {name.lower(): v for r in bench.gateway.requests for name, v in r.headers.items()}
    assert keys["x-mcd-id"] == bench.gateway.key_id


def test_rule_19_an_hour_collected_and_pushed_in_any_number_of_runs_sends_each_query_once(
    bench: Bench,
) -> None:
    hours = ending_with(HOUR, 3)
    for times in range(3):
        for place, window in enumerate(hours):
            some = queries(4 + times, first=100 * place, window=window)
            bench.collect("query_logs", some, window=window)
        bench.push("query_logs", run=f"run-{times}")
    keys = bench.accepted_keys()
    assert len(keys) == len(set(keys)) == 3 * 6
