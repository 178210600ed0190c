"""`iomete-mc adopt`: a Dagster whose database is empty hears of what the store holds."""

from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from iomete_mc_assets.cli.main import main
from iomete_mc_assets.defs.keys import collected_key, pushed_key
from iomete_mc_assets.defs.materializations import manifest_id, newest_by_hour
from iomete_mc_assets.defs.partitions import windows_of_run
from iomete_mc_assets.defs.sensors import Cursor, tick
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.push_bench import HOUR, Bench, entries, queries

FLOW: Flow = "query_logs"
DAY_S = 86_400


@pytest.fixture
def bench(
    gateway: Gateway, store_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Bench:
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    bench = Bench(gateway, store_root)
    changed = {**bench.environment, "DAGSTER_HOME": str(home), "COLUMNS": "250"}
    for name, text in changed.items():
        monkeypatch.setenv(name, text)
    return bench


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def named() -> dict[HourWindow, str | None]:
    with dg.DagsterInstance.get() as instance:
        newest = newest_by_hour(instance, collected_key(FLOW))
        return {window: manifest_id(record) for window, record in newest.items()}


def test_ledger_26_hours_that_dagster_has_forgotten_are_adopted_and_nothing_is_sent_again(
    bench: Bench,
) -> None:
    older = HOUR.previous
    bench.collect("catalog_snapshot", entries(1))
    for window, first in ((older, 100), (HOUR, 0)):
        bench.collect(FLOW, queries(5, first=first, window=window), window=window)
        bench.push_one(FLOW, window=window)
    requests = len(bench.gateway.requests)

    dry = run("adopt", "--dry-run")
    assert (dry.exit_code, named()) == (0, {})
    assert f"query_logs: 2 hours would be reported ({older.key} to {HOUR.key})" in dry.output
    told = run("adopt")
    assert told.exit_code == 0, told.output
    assert "catalog_snapshot: 1 hours reported" in told.output
    assert named() == bench.named[FLOW]
    assert "query_logs: 0 hours reported" in run("adopt").output

    with dg.DagsterInstance.get() as instance:
        now_s = HOUR.end.timestamp() + DAY_S
        asked = tick(instance, FLOW, Cursor(), now_s=now_s, again_s=600)
        assert isinstance(asked, dg.SensorResult)
        [request] = asked.run_requests or []
        assert windows_of_run(dict(request.tags)) == [older, HOUR]
    pushed = run("push", FLOW, older.key, HOUR.key)
    assert (pushed.exit_code, pushed.output.count("settled before")) == (0, 2)
    assert len(bench.gateway.requests) == requests
    with dg.DagsterInstance.get() as instance:
        acknowledged = newest_by_hour(instance, pushed_key(FLOW))
        assert {w: manifest_id(r) for w, r in acknowledged.items()} == bench.named[FLOW]


def test_hours_before_the_first_partition_stay_where_they_are(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for window in (HOUR.previous, HOUR):
        bench.collect(FLOW, queries(1, window=window), window=window)
    monkeypatch.setenv("IOMETE_MC_START", HOUR.key)
    run("adopt")
    assert set(named()) == {HOUR}


def test_without_an_instance_nobody_can_be_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.collect(FLOW, queries(1))
    monkeypatch.delenv("DAGSTER_HOME")
    told = run("adopt")
    assert (told.exit_code, "DAGSTER_HOME is not set" in told.output) == (1, True)
