"""Checks that ask Monte Carlo, and the daily look at its detectors, as Dagster stores them; what they ask is counted at a gateway."""

# Dagster types its ephemeral instance, runs and events in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.defs.keys import FLOWS, READINESS, READINESS_KEY, VERIFY, WATCH
from iomete_mc_assets.defs.resources import ManifestStoreResource, MonteCarloResource
from iomete_mc_assets.defs.seen import SEEN
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.montecarlo import documents
from iomete_mc_assets.montecarlo.control_plane import ApiConfig, ControlPlane
from iomete_mc_assets.records import Observation, Record
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_faults import answers
from iomete_mc_assets.sandbox.gateway_graphql import GRAPHQL_PATH
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.push_bench import Bench, column_edge, entries, queries, table


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster resolves every resource's variables when a run is made."""
    for name in ("MCD_INGEST_ID", "MCD_INGEST_TOKEN", "IOMETE_URL", "IOMETE_USER", "IOMETE_TOKEN"):
        monkeypatch.setenv(name, "x")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """In the present, as checks are evaluated now; half an hour ago the newest hour was pushed."""
    with Gateway() as gateway:
        made = Bench(gateway, str(tmp_path))
        made.clock.instant = datetime.now(UTC) - timedelta(minutes=30)
        yield made


def push_all(bench: Bench, tables: int = 4) -> None:
    window = HourWindow.newest_closed(bench.clock.now())
    changed_at = window.start + timedelta(minutes=1)
    seen: list[Record] = [
        Observation(table=table(f"t{n:03d}"), row_count=n, last_data_change=changed_at)
        for n in range(tables)
    ]
    given: dict[Flow, list[Record]] = {
        "catalog_snapshot": entries(tables),
        "observations": seen,
        "query_logs": queries(3, window=window),
    }
    for flow, records in given.items():
        bench.collect(flow, records, window=window)
        bench.push_one(flow, window=window)


def push_edge(bench: Bench) -> None:
    """Once its tables are known for long enough."""
    window = HourWindow.newest_closed(bench.clock.now())
    bench.clock.advance(minutes=bench.config.edge_delay_minutes)
    bench.collect("lineage", [column_edge("t000", "id", "t001", "id")], window=window)
    assert bench.push_one("lineage", window=window).counts == {"accepted": 1}


def definitions(bench: Bench, **settings: str) -> dg.Definitions:
    """The product's, pointed at the bench; with the API key unless said otherwise."""
    seen = {
        "IOMETE_MC_MANIFESTS": bench.storage.root,
        "MCD_INGEST_ENDPOINT": bench.gateway.url,
        "MCD_GRAPHQL_ENDPOINT": f"{bench.gateway.url}{GRAPHQL_PATH}",
        "MCD_RESOURCE_UUID": bench.gateway.resource_uuid,
        "MCD_ID": bench.gateway.connection.api_id,
        "MCD_TOKEN": bench.gateway.connection.api_token,
        **settings,
    }
    return build_definitions(
        environment={},
        resources={
            "manifests": ManifestStoreResource(options=seen),
            "monte_carlo": MonteCarloResource(options=seen),
        },
    )


def said(
    bench: Bench, instance: dg.DagsterInstance, **settings: str
) -> dict[str, dg.AssetCheckEvaluation]:
    """What each check says, of a run that succeeded."""
    job = definitions(bench, **settings).get_repository_def().get_job(VERIFY)
    run = job.execute_in_process(instance=instance)
    assert run.success
    evaluations = run.get_asset_check_evaluations()
    assert {one.check_name for one in evaluations} == {SEEN}
    assert {one.severity for one in evaluations} == {dg.AssetCheckSeverity.WARN}
    return {one.asset_key.path[-1]: one for one in evaluations}


def figures(evaluation: dg.AssetCheckEvaluation) -> dict[str, object]:
    return {name: value.value for name, value in evaluation.metadata.items()}


def delete(bench: Bench, table_id: str) -> None:
    config = ApiConfig(
        endpoint=f"{bench.gateway.url}{GRAPHQL_PATH}",
        key_id=bench.gateway.connection.api_id,
        key_secret=bench.gateway.connection.api_token,
    )
    api = ControlPlane(config)
    shown: Any = api.ask(documents.TABLES, dw=bench.gateway.resource_uuid)
    nodes = [edge["node"] for edge in shown["getTables"]["edges"]]
    mcons = [node["mcon"] for node in nodes if node["fullTableId"] == table_id]
    api.ask(documents.DROP_TABLES, m=mcons)


def test_what_was_pushed_is_seen_by_every_check_and_few_questions_are_asked(
    bench: Bench, instance: dg.DagsterInstance
) -> None:
    push_all(bench)
    push_edge(bench)
    before = len(bench.gateway.requests)
    told = said(bench, instance)
    assert set(told) == set(FLOWS)
    assert {name: one.passed for name, one in told.items()} == dict.fromkeys(FLOWS, True)
    assert figures(told["catalog_snapshot"]) == {
        "seen": 9,  # kinds of push, and of 4 tables themselves and their fields
        "not yet": 0,
        "missing": 0,
        "different": 0,
    }
    assert figures(told["observations"])["seen"] == 8
    assert figures(told["query_logs"])["seen"] == 2
    assert figures(told["lineage"])["seen"] == 3
    warehouses, listing, details, query, lineage = 1, 1, 4 * 2, 1, 2
    asked = len(bench.gateway.requests) - before
    assert asked == warehouses + listing + details + query + lineage


def test_a_table_that_is_gone_there_fails_the_catalogs_check_alone_and_is_named(
    bench: Bench, instance: dg.DagsterInstance
) -> None:
    push_all(bench)
    delete(bench, "sales:default.t001")
    told = said(bench, instance)
    assert [name for name, one in told.items() if not one.passed] == ["catalog_snapshot"]
    found = told["catalog_snapshot"]
    assert "1 missing and 0 different at Monte Carlo, first: table sales:default.t001" in str(
        found.description
    )
    assert "| missing | table | sales:default.t001 |" in str(figures(found)["shown"])


def test_what_is_too_young_is_no_warning(bench: Bench, instance: dg.DagsterInstance) -> None:
    bench.clock.instant = datetime.now(UTC)
    push_all(bench)
    delete(bench, "sales:default.t001")
    found = said(bench, instance)["catalog_snapshot"]
    assert found.passed
    assert found.description == "7 of 8 are seen, 1 not yet."


def test_a_monte_carlo_that_cannot_be_asked_is_a_warning_with_its_words(
    bench: Bench, instance: dg.DagsterInstance
) -> None:
    push_all(bench)
    bench.gateway.rule(answers(429, "slow down"), path=GRAPHQL_PATH)
    told = said(bench, instance)
    assert [one.passed for one in told.values()] == [False] * len(FLOWS)
    for one in told.values():
        assert "the quota of calls is spent for now" in str(one.description)


def test_without_receipts_there_is_nothing_to_ask(
    bench: Bench, instance: dg.DagsterInstance
) -> None:
    told = said(bench, instance)
    assert {one.passed for one in told.values()} == {True}
    assert bench.gateway.requests == ()


def test_without_an_api_key_there_are_no_such_checks(bench: Bench) -> None:
    repository = definitions(bench, MCD_ID="").get_repository_def()
    assert SEEN not in {key.name for key in repository.asset_checks_defs_by_key}
    assert not repository.has_job(VERIFY)
    assert "verify_at_monte_carlo" not in {one.name for one in repository.schedule_defs}


def test_watch_never_evaluates_them_and_their_schedule_does_every_six_hours(
    bench: Bench, instance: dg.DagsterInstance
) -> None:
    push_all(bench)
    before = len(bench.gateway.requests)
    repository = definitions(bench).get_repository_def()
    run = repository.get_job(WATCH).execute_in_process(instance=instance, raise_on_error=False)
    names = {one.check_name for one in run.get_asset_check_evaluations()}
    assert "newest_hour_pushed" in names
    assert SEEN not in names
    assert len(bench.gateway.requests) == before
    schedule = repository.get_schedule_def("verify_at_monte_carlo")
    assert (schedule.job_name, schedule.cron_schedule) == (VERIFY, "25 */6 * * *")


def materialized(bench: Bench, instance: dg.DagsterInstance, **settings: str) -> dict[str, object]:
    """What the daily asset shows."""
    job = definitions(bench, **settings).get_repository_def().get_job(READINESS)
    assert job.execute_in_process(instance=instance).success
    event = instance.get_latest_materialization_event(READINESS_KEY)
    assert event is not None
    assert event.asset_materialization is not None
    return {n: value.value for n, value in event.asset_materialization.metadata.items()}


def test_the_daily_asset_shows_tables_that_are_not_ready_and_monte_carlos_own_word(
    bench: Bench, instance: dg.DagsterInstance
) -> None:
    push_all(bench)
    told = materialized(bench, instance)
    assert (told["tables"], told["ready for both"]) == (4, 0)
    rows = str(told["not ready"]).splitlines()
    assert len(rows) == 2 + 2 * 4
    assert rows[2].startswith("| sales:default.t000 | freshness | learning | 1 |")
    assert told["compared with Monte Carlo"] == 4
    assert told["differences"] == "both say the same"
    assert bench.storage.names("samples") == [bench.config.destination.id]


def test_the_daily_asset_asks_nobody_without_an_api_key(
    bench: Bench, instance: dg.DagsterInstance
) -> None:
    push_all(bench)
    before = len(bench.gateway.requests)
    assert "compared with Monte Carlo" not in materialized(bench, instance, MCD_ID="")
    assert len(bench.gateway.requests) == before
