"""`iomete-mc export` and `iomete-mc import`: other collectors' files at a real gateway, and our hours as their files."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iomete_mc_assets import clock
from iomete_mc_assets.cli.main import main
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.operations import imports
from iomete_mc_assets.records import Column, Observation, Record, TableEntry, TableId
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox import other_collectors as samples
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.other_collectors import Document
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests import toolkit_samples
from iomete_mc_assets_tests.push_bench import HOUR, Bench, queries, table


@pytest.fixture
def now() -> datetime:
    return clock.now().replace(microsecond=0)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway(keys=[toolkit_samples.KEY]) as running:
        yield running


@pytest.fixture(autouse=True)
def installation(gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "IOMETE_MC_MANIFESTS": str(tmp_path / "manifests"),
        "IOMETE_MC_IMPORT_SOURCES": toolkit_samples.SOURCES,
        "MCD_INGEST_ID": toolkit_samples.KEY.id,
        "MCD_INGEST_TOKEN": toolkit_samples.KEY.secret,
        "MCD_INGEST_ENDPOINT": gateway.url,
    }.items():
        monkeypatch.setenv(name, text)


def asked(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def imported(kind: str, *files: Path, words: tuple[str, ...] = ("--push",)) -> Result:
    return asked("import", *map(str, files), "--source", kind, *words)


def dropped(folder: Path, name: str, document: Document) -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document))
    return path


def assets_at(gateway: Gateway, warehouse: str) -> dict[str, Any]:
    """What the gateway knows of each table in the end: later events over earlier ones."""
    known: dict[str, Any] = {}
    sent = [one for one in gateway.requests if warehouse in one.resource_uuids]
    for request in sent:
        for event in gateway.events("metadata", invocation_id=request.invocation_id):
            asset = event.content["relational_asset"]
            entry = known.setdefault(asset["metadata"]["name"], {"metadata": {}})
            entry["metadata"] |= asset["metadata"]
            entry |= {key: value for key, value in asset.items() if key != "metadata"}
    return known


def queries_at(gateway: Gateway) -> list[Any]:
    return [event.content for event in gateway.events("querylogs")]


def z(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("kind", samples.KINDS)
def test_each_kind_arrives_event_for_event_in_the_warehouse_and_with_the_type_of_its_source(
    gateway: Gateway, tmp_path: Path, now: datetime, kind: str
) -> None:
    start = HourWindow.holding(now).start
    starts = (start - timedelta(hours=2), start - timedelta(seconds=1), start - timedelta(hours=1))
    files = (
        dropped(tmp_path, "m", samples.metadata(kind, collected_at=now)),
        dropped(tmp_path, "q", samples.query_logs(kind, collected_at=now, starts=starts)),
    )
    told = imported(kind, *files)
    assert told.exit_code == 0, told.output
    place = {"database": "SALES", "schema": "Public"}
    fields = [
        {key: text for key, text in field.items() if text is not None} for field in samples.FIELDS
    ]
    assert assets_at(gateway, toolkit_samples.WAREHOUSES[kind]) == {
        "orders": {
            "type": "TABLE",
            "metadata": {**place, "name": "orders", "description": "the orders"},
            "fields": fields,
            "volume": {"row_count": 0, "byte_count": 4096},
            "freshness": {"last_update_time": z(now - samples.CHANGED_BEFORE)},
        },
        "empty": {"type": "TABLE", "metadata": {**place, "name": "empty"}, "fields": fields},
    }
    sent = sorted(queries_at(gateway), key=lambda query: query["query_id"])
    assert len(sent) == 3
    for number, (query, began) in enumerate(zip(sent, starts, strict=True)):
        expected: Document = {
            "query_id": f"{kind}-{number}",
            "query_text": f"SELECT {number} FROM orders",
            "start_time": z(began),
            "end_time": (began + timedelta(seconds=1.5)).isoformat().replace("+00:00", "Z"),
            "user": "ann",
        }
        if kind in samples.ROWS:
            expected["returned_rows"] = number
        if samples.SENT_EXTRAS[kind]:
            expected["extra"] = samples.SENT_EXTRAS[kind]
        assert query == expected
    resources = [json.loads(body)["resource"] for body in gateway.bodies]
    assert {one["uuid"] for one in resources} == {toolkit_samples.WAREHOUSES[kind]}
    assert {one.get("resource_type") for one in resources} == {None, samples.RESOURCE_TYPES[kind]}
    assert {one.get("log_type") for one in resources} == {None, samples.LOG_TYPES[kind]}
    before = len(gateway.requests)
    again = imported(kind, *files)
    assert (again.exit_code, again.output.count("settled before")) == (0, 5)
    assert len(gateway.requests) == before


def test_queries_of_overlapping_windows_go_once(
    gateway: Gateway, tmp_path: Path, now: datetime
) -> None:
    starts = tuple(now - timedelta(minutes=20 * n) for n in range(1, 6))
    for name, some in (("first", starts[2:]), ("second", starts)):
        document = samples.query_logs("redshift", collected_at=now, starts=some)
        for entry, start in zip(document["entries"], some, strict=True):
            entry["query_id"] = start.isoformat()
        assert imported("redshift", dropped(tmp_path, name, document)).exit_code == 0
    sent = [query["query_id"] for query in queries_at(gateway)]
    assert sorted(sent) == sorted(start.isoformat() for start in starts)


def test_files_of_one_hour_with_other_tables_all_go_and_one_table_is_told_by_the_newest_file(
    gateway: Gateway, tmp_path: Path, now: datetime
) -> None:
    older, newer = now - timedelta(seconds=90), now - timedelta(seconds=30)
    first = samples.metadata("snowflake", collected_at=older)
    first["assets"][1]["name"] = "only_in_the_older"
    second = samples.metadata("snowflake", collected_at=newer)
    second["assets"][0]["description"] = "newer"
    assert imported("snowflake", dropped(tmp_path, "b", second)).exit_code == 0
    told = imported("snowflake", dropped(tmp_path, "a", first))
    assert told.exit_code == 0, told.output
    assert "1 left to a newer file" in told.output
    known = assets_at(gateway, toolkit_samples.WAREHOUSES["snowflake"])
    assert known.keys() == {"orders", "empty", "only_in_the_older"}
    assert known["orders"]["metadata"]["description"] == "newer"


def test_a_bad_file_is_named_and_stays_and_the_good_ones_go(
    gateway: Gateway, tmp_path: Path, now: datetime
) -> None:
    good = dropped(tmp_path, "good", samples.metadata("hive", collected_at=now))
    document = samples.metadata("hive", collected_at=now)
    del document["assets"][1]["fields"][0]["type"]
    bad = dropped(tmp_path, "bad", document)
    text = bad.read_text()
    late = dropped(tmp_path, "late", samples.metadata("hive", collected_at=now.replace(year=9999)))
    told = imported("hive", bad, good, late)
    assert told.exit_code == 1
    assert "hive/bad.json, assets[1].fields[0]: type is missing" in told.output
    assert "hive/late.json, collected_at" in told.output
    assert "2 of 3 files are not done" in told.output
    assert bad.read_text() == text
    assert assets_at(gateway, toolkit_samples.WAREHOUSES["hive"]).keys() == {"orders", "empty"}


def test_the_same_bytes_under_a_second_name_are_the_same_manifest_and_go_once(
    gateway: Gateway, tmp_path: Path, now: datetime
) -> None:
    first = dropped(tmp_path, "first", samples.metadata("snowflake", collected_at=now))
    logs = samples.query_logs("snowflake", collected_at=now, starts=(now - timedelta(hours=1),))
    assert imported("snowflake", first, dropped(tmp_path, "logs", logs)).exit_code == 0
    before = len(gateway.requests)
    again = dropped(tmp_path, "again", json.loads(first.read_text()))
    told = imported("snowflake", again, dropped(tmp_path, "old-logs", logs))
    assert told.exit_code == 0, told.output
    assert "snowflake/again.json: 2 tables" in told.output
    assert told.output.count("settled before") == 3
    assert len(gateway.requests) == before
    store = imports.store_of(str(tmp_path / "manifests"), "snowflake")
    hour = HourWindow.holding(now)
    [manifest_id] = store.manifest_ids("catalog_snapshot", hour)
    header = store.header("catalog_snapshot", hour, manifest_id)
    assert header.reason == "what the file snowflake/first.json tells"


def test_a_file_that_cannot_be_written_down_is_named_and_the_others_go(
    gateway: Gateway, tmp_path: Path, now: datetime
) -> None:
    metadata = dropped(tmp_path, "m", samples.metadata("hive", collected_at=now))
    logs = samples.query_logs("hive", collected_at=now, starts=(now - timedelta(hours=1),))
    assert imported("hive", metadata, words=()).exit_code == 0
    store = imports.store_of(str(tmp_path / "manifests"), "hive")
    hour = HourWindow.holding(now)
    [manifest_id] = store.manifest_ids("catalog_snapshot", hour)
    path = store.folder("catalog_snapshot", hour, manifest_id)
    store.storage.write(f"{path}/manifest.json", b"{")
    damaged = imported("hive", metadata, dropped(tmp_path, "q", logs))
    assert (damaged.exit_code, len(queries_at(gateway))) == (1, 1)
    assert "hive/m.json was not taken in: " in damaged.output
    assert "1 of 2 files are not done" in damaged.output
    (tmp_path / "manifests" / "imported" / "databricks").mkdir()
    (tmp_path / "manifests" / "imported" / "databricks" / "catalog_snapshot").write_bytes(b"")
    logs["queries"][0]["query_id"] = "another"
    later = dropped(tmp_path, "later", logs)
    refused = imported("databricks", metadata, later)
    assert (refused.exit_code, len(queries_at(gateway))) == (1, 2)
    assert "databricks/m.json was not taken in: " in refused.output


def test_without_push_nothing_is_sent_and_a_dry_run_does_not_even_write(
    gateway: Gateway, tmp_path: Path, now: datetime
) -> None:
    file = dropped(tmp_path, "m", samples.metadata("bigquery", collected_at=now))
    dry = imported("bigquery", file, words=("--dry-run",))
    assert (dry.exit_code, "2 tables" in dry.output) == (0, True)
    assert not (tmp_path / "manifests").exists()
    assert imported("bigquery", file, words=()).exit_code == 0
    assert Storage.open(str(tmp_path / "manifests")).names("imported/bigquery/observations") != []
    assert gateway.requests == ()
    assert imported("bigquery", file, words=("--dry-run", "--push")).exit_code == 2
    strange = imported("teradata", file)
    assert (strange.exit_code, "names no source teradata" in strange.output) == (1, True)


def test_what_could_not_be_sent_is_exit_code_1_and_goes_later(
    gateway: Gateway, tmp_path: Path, now: datetime
) -> None:
    file = dropped(tmp_path, "m", samples.metadata("databricks", collected_at=now))
    gateway.rule(faults.answers(401))
    told = imported("databricks", file)
    assert (told.exit_code, "HTTP 401" in told.output) == (1, True)
    assert toolkit_samples.KEY.secret not in told.output
    gateway.clear()
    assert imported("databricks", file).exit_code == 0
    assert "volume" in assets_at(gateway, toolkit_samples.WAREHOUSES["databricks"])["orders"]


def test_a_file_that_was_interrupted_goes_on_after_another_one_and_loses_nothing(
    gateway: Gateway, tmp_path: Path, now: datetime
) -> None:
    first = samples.metadata("hive", collected_at=now - timedelta(minutes=2))
    first["assets"][0]["name"], first["assets"][1]["name"] = "only_in_the_first", "there_too"
    broken = dropped(tmp_path, "first", first)
    gateway.rule(faults.answers(401))
    assert imported("hive", broken).exit_code == 1
    gateway.clear()
    second = dropped(tmp_path, "second", samples.metadata("hive", collected_at=now))
    assert imported("hive", second).exit_code == 0
    assert imported("hive", broken).exit_code == 0
    known = assets_at(gateway, toolkit_samples.WAREHOUSES["hive"])
    assert known.keys() == {"orders", "empty", "only_in_the_first", "there_too"}
    assert "volume" in known["only_in_the_first"]


def test_query_texts_are_withheld_where_ours_are(
    gateway: Gateway, tmp_path: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOMETE_QUERY_TEXT", "none")
    at = now - timedelta(hours=1)
    document = samples.query_logs("hive", collected_at=now, starts=(at,))
    document["queries"][0]["error_text"] = "no column 'SELECT 0 FROM orders'"
    assert imported("hive", dropped(tmp_path, "q", document)).exit_code == 0
    (query,) = queries_at(gateway)
    assert "orders" not in json.dumps(query)


# Export


def shop() -> tuple[list[Record], list[Record]]:
    """A catalog and its observations: a table with all there is, an emptied one, a view."""
    full, emptied, view = table("full"), table("emptied"), table("view")
    seen = datetime.fromisoformat("2026-11-21T08:15:00+00:00")
    catalog: list[Record] = [
        TableEntry(
            table=full,
            kind="table",
            format="iceberg",
            columns=(
                Column(name="Id", type="BIGINT", comment="key"),
                Column(name="s", type="STRUCT<a: INT>", field_comments=(("a", "inside"),)),
            ),
            comment="all",
        ),
        TableEntry(table=emptied, kind="table", format="iceberg", columns=()),
        TableEntry(table=view, kind="view", format="other", columns=(), view_text="SELECT 1"),
    ]
    observed: list[Record] = [
        Observation(table=full, row_count=7, byte_count=70, last_data_change=seen),
        Observation(table=emptied, row_count=0),
    ]
    return catalog, observed


def exported(tmp_path: Path, *words: str) -> tuple[Result, dict[str, Document]]:
    told = asked("export", HOUR.key, "--output", str(tmp_path / "out"), *words)
    files = (tmp_path / "out").glob("*.json") if (tmp_path / "out").exists() else ()
    return told, {file.name: json.loads(file.read_text()) for file in files}


def test_an_hour_is_exported_under_every_name_that_a_push_script_reads(
    gateway: Gateway, tmp_path: Path
) -> None:
    bench = Bench(gateway, str(tmp_path / "manifests"))
    catalog, observed = shop()
    bench.collect("catalog_snapshot", catalog)
    bench.collect("observations", observed)
    bench.collect("query_logs", queries(2))
    told, files = exported(tmp_path)
    assert told.exit_code == 0, told.output
    metadata = files["metadata_output.json"]
    assert metadata.keys() == {"resource_type", "collected_at", "asset_count", "assets"}
    full, emptied, view = metadata["assets"]
    at = "2026-11-21T08:15:00+00:00"
    assert full == {
        "type": "TABLE",
        "asset_type": "TABLE",
        "name": "full",
        "asset_name": "full",
        "database": "sales",
        "schema": "default",
        "description": "all",
        "view_query": None,
        "created_on": None,
        "fields": [
            {"name": "Id", "type": "BIGINT", "description": "key"},
            {"name": "s", "type": "STRUCT<a: INT>", "description": "a: inside"},
        ],
        "volume": {"row_count": 7, "byte_count": 70},
        "row_count": 7,
        "byte_count": 70,
        "last_modified": at,
        "last_updated": at,
        "freshness": {"last_update_time": at, "last_updated_time": at},
    }
    assert (emptied["volume"], emptied["row_count"], emptied["freshness"]) == (
        {"row_count": 0, "byte_count": None},
        0,
        None,
    )
    assert (view["type"], view["view_query"], view["volume"]) == ("VIEW", "SELECT 1", None)
    logs = files["query_logs_output.json"]
    assert (logs["entry_count"], len(logs["queries"]), "entries" in logs) == (2, 2, False)
    assert logs["queries"][1] == {
        "query_id": "q0001",
        "query_text": "SELECT 1",
        "user": "ann",
        "start_time": "2026-11-21T09:00:00+00:00",
        "end_time": "2026-11-21T09:00:01+00:00",
        "returned_rows": None,
        "rows_produced": None,
        "error_code": None,
        "error_text": None,
    }
    again, _ = exported(tmp_path)
    assert (again.exit_code, "is not replaced" in again.output) == (1, True)
    assert gateway.requests == ()


def test_with_all_spellings_texts_and_lists_stand_twice(gateway: Gateway, tmp_path: Path) -> None:
    Bench(gateway, str(tmp_path / "manifests")).collect("query_logs", queries(3))
    _, files = exported(tmp_path, "--all-spellings")
    logs = files["query_logs_output.json"]
    assert [query["query"] for query in logs["queries"]] == [
        query["query_text"] for query in logs["entries"]
    ]
    assert len(logs["entries"]) == 3


def test_what_was_exported_can_be_imported_and_says_the_same_at_monte_carlo(
    gateway: Gateway, tmp_path: Path, now: datetime
) -> None:
    bench = Bench(gateway, str(tmp_path / "manifests"))
    bench.clock.instant = now
    catalog, observed = shop()
    bench.collect("catalog_snapshot", catalog)
    bench.collect("observations", observed)
    bench.collect("query_logs", queries(5))
    _, _ = exported(tmp_path, "--all-spellings")
    for flow in ("catalog_snapshot", "observations", "query_logs"):
        bench.configure(send_superseded=True, observation_max_age_hours=10**6)
        bench.push_one(flow)
    ours, sent = assets_at(gateway, gateway.resource_uuid), queries_at(gateway)
    files = sorted((tmp_path / "out").glob("*.json"))
    told = imported("hive", *files)
    assert told.exit_code == 0, told.output
    theirs = assets_at(gateway, toolkit_samples.WAREHOUSES["hive"])
    assert theirs == ours
    assert theirs.keys() == {"full", "emptied", "view"}
    assert queries_at(gateway) == [*sent, *sent]


def test_of_two_tables_with_one_name_the_other_is_named_and_an_unknown_hour_is_an_error(
    gateway: Gateway, tmp_path: Path
) -> None:
    told, files = exported(tmp_path)
    assert (told.exit_code, files) == (1, {})
    bench = Bench(gateway, str(tmp_path / "manifests"))
    told, files = exported(tmp_path)
    assert (told.exit_code, "Nothing that could be exported" in told.output) == (1, True)
    twins = [TableId("spark_catalog", ("sales",), name) for name in ("T", "t")]
    bench.collect(
        "catalog_snapshot",
        [TableEntry(table=twin, kind="table", format="iceberg", columns=()) for twin in twins],
    )
    told, files = exported(tmp_path)
    assert [asset["name"] for asset in files["metadata_output.json"]["assets"]] == ["T"]
    assert "left out: spark_catalog.sales.t" in told.output
