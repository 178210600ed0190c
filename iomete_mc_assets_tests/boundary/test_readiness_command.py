"""Readiness of detectors from what a gateway really accepted: the history on disk, the command, Monte Carlo's own word beside it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iomete_mc_assets import clock as real_clock
from iomete_mc_assets.cli.main import main
from iomete_mc_assets.errors import ManifestDamaged
from iomete_mc_assets.operations.prune import prunable, prune
from iomete_mc_assets.operations.readiness import Readiness, readiness
from iomete_mc_assets.operations.readiness_samples import take_in
from iomete_mc_assets.records import Observation
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_faults import answers
from iomete_mc_assets.sandbox.gateway_graphql import GRAPHQL_PATH
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.push_bench import HOUR, Bench, Clock, entries, table

HOURLY = 80
"""Changes from which a table that changes hourly is ready for freshness."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Gateway and pusher live at the same instant."""
    clock = Clock()
    with Gateway(now=clock.now) as gateway:
        made = Bench(gateway, str(tmp_path))
        made.clock = clock
        yield made


def push_hours(bench: Bench, count: int, *, missing: tuple[int, ...] = ()) -> HourWindow:
    """Two tables hour after hour: t000 changes in each, t001 never; the catalog first, and daily."""
    window = HourWindow.newest_closed(bench.clock.now())
    begun_at = window.start
    for number in range(count):
        if number:
            window = window.next
            bench.clock.advance(hours=1)
        if not number % 24:
            bench.collect("catalog_snapshot", entries(2), window=window)
            bench.push_one("catalog_snapshot", window=window)
        if number in missing:
            continue
        seen = Observation(
            table=table("t000"), row_count=number, byte_count=1, last_data_change=window.start
        )
        still = replace(seen, table=table("t001"), row_count=7, last_data_change=begun_at)
        bench.collect("observations", [seen, still], window=window)
        bench.push_one("observations", window=window)
    return window


def looked(bench: Bench) -> list[Readiness]:
    config = bench.config
    return readiness(bench.store, config.destination, config.naming, now=bench.clock.now())


def history(bench: Bench) -> dict[str, bytes]:
    return bench.files("samples")


def test_samples_are_what_was_accepted_in_its_clock_hour(bench: Bench) -> None:
    push_hours(bench, 5, missing=(2,))
    hourly, still = looked(bench)
    assert (hourly.key, still.key) == ("sales:default.t000", "sales:default.t001")
    assert (hourly.freshness.samples, hourly.volume.samples) == (4, 4)
    assert (still.freshness.samples, still.volume.samples) == (1, 1)
    assert hourly.since == HOUR.end
    assert [(one.start, one.hours) for one in hourly.pauses] == [(HOUR.end + timedelta(hours=2), 1)]
    assert sorted(history(bench)) == [f"samples/{bench.config.destination.id}/2026-11-21.json.gz"]


def test_what_monte_carlo_refused_is_no_sample(bench: Bench) -> None:
    push_hours(bench, 1)
    window = HOUR.next
    bench.clock.advance(hours=1)
    seen = Observation(table=table("t000"), row_count=9, last_data_change=window.start)
    bench.collect("observations", [seen], window=window)
    refused = json.dumps({"error": "Invalid request body", "details": {"events": ["no"]}})
    bench.gateway.rule(answers(400, refused), path="/ingest/v1/metadata")
    assert bench.push_one("observations", window=window).word == "refused"
    assert looked(bench)[0].freshness.samples == 1


def test_the_history_is_the_same_hour_by_hour_and_all_at_once_and_twice(bench: Bench) -> None:
    config = bench.config

    def take() -> int:
        return take_in(bench.store, config.destination, config.naming, now=bench.clock.now())

    for _ in range(4):
        push_hours(bench, 8)
        assert take() == 8
        assert take() == 0
        bench.clock.advance(hours=1)
    step_by_step = history(bench)
    assert len(step_by_step) == 2
    bench.storage.remove("samples")
    assert take() == 32
    assert history(bench) == step_by_step


def test_the_history_outlives_pruned_records(bench: Bench) -> None:
    push_hours(bench, 6)
    before = looked(bench)[0]
    kept = history(bench)
    bench.clock.advance(days=46)
    push_hours(bench, 1)
    found = prunable(bench.store, older_than=timedelta(days=45), now=bench.clock.now())
    assert [one.flow for one in found.manifests].count("observations") == 6
    prune(bench.store, found, now=bench.clock.now())
    assert looked(bench)[0].freshness.samples == 1
    assert {name: history(bench)[name] for name in kept} == kept
    assert before.freshness.samples == 6


def test_a_second_observation_in_a_clock_hour_is_named(bench: Bench) -> None:
    push_hours(bench, 1)
    bench.clock.advance(minutes=10)
    assert bench.push_one("observations", run="by-hand", force="all").word == "pushed"
    assert [one.sub_hourly for one in looked(bench)] == [(HOUR.end,), (HOUR.end,)]


@pytest.mark.parametrize("damage", [b"", b"{}", b"\x1f\x8b\x08\x00half"])
def test_a_damaged_day_is_an_error_and_no_empty_one(bench: Bench, damage: bytes) -> None:
    push_hours(bench, 1)
    looked(bench)
    (path,) = history(bench)
    bench.storage.write(path, damage)
    with pytest.raises(ManifestDamaged, match=rf"{path} is damaged .* Delete the folder samples/"):
        looked(bench)
    bench.storage.remove("samples")
    assert looked(bench)[0].freshness.samples == 1


@pytest.fixture
def command(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """A bench that began in the past, and an environment that leads to it."""
    for name, value in {
        "MCD_INGEST_ENDPOINT": bench.gateway.url,
        "MCD_RESOURCE_UUID": bench.gateway.resource_uuid,
        "MCD_GRAPHQL_ENDPOINT": f"{bench.gateway.url}{GRAPHQL_PATH}",
        "IOMETE_MC_MANIFESTS": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("MCD_ID", "MCD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    bench.clock.instant = real_clock.now() - timedelta(hours=HOURLY - 1)
    return bench


@pytest.fixture
def key(command: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """With the API key."""
    monkeypatch.setenv("MCD_ID", command.gateway.connection.api_id)
    monkeypatch.setenv("MCD_TOKEN", command.gateway.connection.api_token)
    return command


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["readiness", *words])


def told(*words: str) -> dict[str, Any]:
    return json.loads(run("--json", *words).stdout)


def test_the_command_says_what_is_ready_and_what_is_missing_and_asks_nobody(
    command: Bench,
) -> None:
    push_hours(command, HOURLY, missing=(30, 31))
    before = len(command.gateway.requests)
    result = run()
    assert result.exit_code == 0, result.output
    lines = " ".join(result.output.split())
    assert "0 of 2 tables are ready" in lines
    assert f"freshness learning {HOURLY - 2} of 80" in lines
    assert f"volume learning {HOURLY - 2} of 303" in lines
    assert "one last change of data so far, so no rhythm" in lines
    assert "nothing accepted of 2 tables" in lines
    assert len(command.gateway.requests) == before
    hourly = told()["tables"][0]
    assert hourly["freshness"]["every"] == 3600
    assert hourly["freshness"]["ready_at"] is not None
    assert [one["start"] for one in hourly["pauses"]] != []


def test_with_the_api_key_monte_carlos_own_word_stands_beside(key: Bench) -> None:
    push_hours(key, 50)
    before = len(key.gateway.requests)
    found = {one["key"]: one for one in told()["compared"]}
    assert len(key.gateway.requests) - before == 1 + 2
    assert found["sales:default.t000"]["verdict"] == "different"
    assert found["sales:default.t000"]["difference"] == (
        "freshness is learning by the receipts, ACTIVE at Monte Carlo; "
        "volume is learning by the receipts, ACTIVE at Monte Carlo"
    )
    assert len(told("--sample", "1")["compared"]) == 1
    assert "5 calls" not in run("--max-calls", "5").output
    assert "2 calls are the budget" in run("--max-calls", "2").output


def test_a_table_that_monte_carlo_does_not_show_is_told(key: Bench) -> None:
    push_hours(key, 2)
    page = '{"getTables": {"edges": [], "pageInfo": {"hasNextPage": false, "endCursor": null}}}'
    key.gateway.rule(answers(200, f'{{"data": {page}}}'), path=GRAPHQL_PATH, nth=1)
    assert {one["verdict"] for one in told()["compared"]} == {"not shown"}
