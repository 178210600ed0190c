"""`iomete-mc push` against a real gateway: what goes, what is said, and what Dagster hears of it."""

import json
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from iomete_mc_assets.cli.main import main
from iomete_mc_assets.defs.keys import collected_key, pushed_key
from iomete_mc_assets.defs.materializations import manifest_id, newest_by_hour
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets_tests.push_bench import (
    HOUR,
    Bench,
    column_edge,
    entries,
    queries,
    table_edge,
)


@pytest.fixture
def bench(gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(gateway, str(tmp_path / "manifests"))
    changed = {**bench.environment, "IOMETE_MC_MAX_QUERIES": "10", "COLUMNS": "250"}
    for name, text in changed.items():
        monkeypatch.setenv(name, text)
    return bench


def pushed(*words: str) -> Result:
    return CliRunner().invoke(main, ["push", *words])


def bodies(bench: Bench, flow: Flow) -> Counter[str]:
    """Events of a flow that the gateway accepted, by their content."""
    return Counter(
        json.dumps(event.content, sort_keys=True)
        for event in bench.gateway.events()
        if ("relational_asset" in event.content) == (flow not in ("query_logs", "lineage"))
    )


def test_hours_go_newest_first_and_each_is_told_with_its_invocation_ids(bench: Bench) -> None:
    for window, first in ((HOUR.previous, 100), (HOUR, 0)):
        bench.collect("query_logs", queries(25, first=first, window=window), window=window)
    told = pushed("query_logs", HOUR.previous.key, HOUR.key)
    assert told.exit_code == 0, told.output
    assert sorted(bench.accepted_keys()) == [f"q{n:04d}" for n in [*range(25), *range(100, 125)]]
    newest, older = told.output.index(HOUR.key), told.output.index(HOUR.previous.key)
    assert newest < older
    assert told.output.count("pushed: 25 accepted; 3 batches") == 2
    settled = bench.sent("query_logs", "m002").settled()
    assert settled is not None
    for invocation_id in settled.invocation_ids:
        assert newest < told.output.index(invocation_id) < older
    story = CliRunner().invoke(main, ["receipts", HOUR.key]).output
    assert settled.run_id in story
    assert settled.invocation_ids[0] in story
    again = pushed("query_logs", HOUR.key)
    assert (again.exit_code, "settled before" in again.output) == (0, True)
    assert len(bench.gateway.requests) == 6


def test_one_table_goes_first_and_the_next_hour_brings_the_others(bench: Bench) -> None:
    bench.collect("catalog_snapshot", entries(3))
    dry = pushed("catalog_snapshot", HOUR.key, "--only", "sales.t001", "--dry-run")
    assert "2 not_chosen, 1 to_send" in dry.output, dry.output
    assert bench.gateway.requests == ()
    told = pushed("catalog_snapshot", HOUR.key, "--only", "Sales.T001")
    assert (told.exit_code, "pushed: 1 accepted, 2 not_chosen; 1 batch" in told.output) == (
        0,
        True,
    ), told.output
    assert bench.accepted_keys() == ["t001"]
    again = pushed("catalog_snapshot", HOUR.key, "--only", "sales.t002")
    assert "settled before" in again.output
    bench.collect("catalog_snapshot", entries(3), window=HOUR.next)
    assert pushed("catalog_snapshot", HOUR.key, HOUR.next.key).exit_code == 0
    assert sorted(bench.accepted_keys()) == [f"t00{n}" for n in range(3)]


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
def test_a_table_that_the_hour_does_not_have_is_named_and_nothing_goes(
    bench: Bench, dry_run: tuple[str, ...]
) -> None:
    """Nor is an hour that is settled, or superseded, told as though it had one."""
    for window in (HOUR.previous, HOUR):
        bench.collect("catalog_snapshot", entries(3), window=window)
    for requests in (0, 1):
        for window in (HOUR.previous, HOUR):
            told = pushed("catalog_snapshot", window.key, "--only", "sales.t009", *dry_run)
            assert (told.exit_code, "no table sales.t009" in told.output) == (1, True), told.output
        assert len(bench.gateway.requests) == requests
        assert pushed("catalog_snapshot", HOUR.previous.key, HOUR.key).exit_code == 0
    assert len(bench.accepted_keys()) == 3


def test_a_push_that_broke_off_is_not_narrowed_to_one_table(bench: Bench) -> None:
    bench.collect("catalog_snapshot", entries(3))
    bench.gateway.script(*[faults.answers(401)] * 4)
    assert pushed("catalog_snapshot", HOUR.key).exit_code == 1
    before = len(bench.gateway.requests)
    told = pushed("catalog_snapshot", HOUR.key, "--only", "sales.t001")
    assert (told.exit_code, "without --only" in told.output) == (1, True), told.output
    assert len(bench.gateway.requests) == before


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("query_logs", HOUR.key), "would never be sent"),
        (("observations", HOUR.key, "--force", "all"), "exclude each other"),
    ],
)
def test_one_table_of_what_cannot_be_cut_is_refused_before_anything_is_read(
    bench: Bench, words: tuple[str, ...], why: str
) -> None:
    told = pushed(*words, "--only", "sales.t001")
    assert (told.exit_code, why in " ".join(told.output.split())) == (2, True), told.output


def test_a_dry_run_says_what_would_go_and_sends_and_writes_nothing(bench: Bench) -> None:
    bench.collect("query_logs", queries(25))
    before = bench.files()
    told = pushed("query_logs", HOUR.key, "--dry-run")
    assert told.exit_code == 0, told.output
    assert bench.files() == before
    assert bench.gateway.requests == ()
    assert "3 requests of " in told.output
    assert "25 to_send" in told.output
    pushed("query_logs", HOUR.key)
    sizes = sum(request.body_bytes for request in bench.gateway.requests)
    assert f"3 requests of {sizes} bytes" in told.output


def test_a_dry_run_names_an_hour_that_cannot_be_sent_beside_those_that_can(bench: Bench) -> None:
    damaged = bench.collect("query_logs", queries(5, window=HOUR.previous), window=HOUR.previous)
    bench.collect("query_logs", queries(5))
    folder = bench.store.folder("query_logs", HOUR.previous, damaged)
    bench.storage.write(f"{folder}/part-00000.jsonl.gz", b"no gzip")
    told = pushed("query_logs", HOUR.previous.key, HOUR.key, "--dry-run")
    assert told.exit_code == 1, told.output
    assert f"{HOUR.key} 1 requests of" in told.output
    assert f"✗ query_logs {HOUR.previous.key}: " in told.output
    assert "part-00000.jsonl.gz" in told.output
    assert "1 of 2 hours of query_logs cannot be sent" in told.output
    assert bench.gateway.requests == ()


@pytest.mark.parametrize("flow", ["catalog_snapshot", "query_logs"])
def test_a_dry_run_of_a_settled_hour_says_that_it_is_and_how(bench: Bench, flow: str) -> None:
    bench.collect("catalog_snapshot", entries(12))
    bench.collect("query_logs", queries(12))
    pushed(flow, HOUR.key)
    before, requests = bench.files(), len(bench.gateway.requests)
    dry = pushed(flow, HOUR.key, "--dry-run")
    assert (dry.exit_code, bench.files()) == (0, before)
    said = "nothing would be sent (settled before: pushed): 12 accepted"
    assert dry.output == f"{flow} {HOUR.key} {said}\n"
    assert len(bench.gateway.requests) == requests


def test_a_dry_run_of_what_is_superseded_counts_its_records_and_agrees_with_the_push(
    bench: Bench,
) -> None:
    for window in (HOUR.previous, HOUR):
        bench.collect("catalog_snapshot", entries(3), window=window)
    why = f"hour {HOUR.key} is newer, and only the newest is sent"
    dry = pushed("catalog_snapshot", HOUR.previous.key, "--dry-run").output
    assert f"nothing would be sent ({why}): 3 superseded" in dry
    assert (
        f"superseded ({why}): 3 superseded" in pushed("catalog_snapshot", HOUR.previous.key).output
    )
    again = pushed("catalog_snapshot", HOUR.previous.key, "--dry-run").output
    assert f"nothing would be sent (settled before: superseded ({why})): 3 superseded" in again


def test_an_hour_of_two_manifests_is_told_whole_by_its_push_its_dry_run_and_when_forced(
    bench: Bench,
) -> None:
    bench.collect("query_logs", queries(30), state="partial")
    bench.collect("query_logs", queries(35))
    dry = pushed("query_logs", HOUR.key, "--dry-run").output
    assert "4 requests of " in dry
    assert "30 accepted_before, 35 to_send" in dry
    told = pushed("query_logs", HOUR.key).output
    assert "pushed: 5 accepted, 30 accepted_before; 1 batches, " in told
    assert "; manifest m001 of the hour pushed: 30 accepted; 3 batches, " in told
    assert (len(bench.gateway.requests), "now" in told) == (4, False)
    dry = pushed("query_logs", HOUR.key, "--force", "all", "--dry-run").output
    assert "30 accepted_before, 35 to_send" in dry
    forced = pushed("query_logs", HOUR.key, "--force", "all").output
    assert len(bench.gateway.requests) == 8
    assert "pushed: 5 accepted, 30 accepted_before; 2 batches (1 of them now), " in forced
    assert "; manifest m001 of the hour pushed: 30 accepted; 6 batches (3 of them now), " in forced
    ids = {event.invocation_id for event in bench.gateway.events()}
    assert [identity for identity in ids if identity not in forced] == []


def test_what_a_forced_push_leaves_as_it_was_is_told_with_the_reason(bench: Bench) -> None:
    for window in (HOUR.previous, HOUR):
        bench.collect("query_logs", queries(5, window=window), window=window)
        bench.collect("catalog_snapshot", entries(3), window=window)
        pushed("catalog_snapshot", window.key)
    pushed("query_logs", HOUR.previous.key)
    bench.store.prune(bench.store.header("query_logs", HOUR.previous, "m001"), at=HOUR.end)
    requests = len(bench.gateway.requests)
    reasons = {
        "query_logs": "the records of m001 were pruned",
        "catalog_snapshot": f"hour {HOUR.key} is newer, and only the newest is sent",
    }
    for flow, why in reasons.items():
        told = pushed(flow, HOUR.previous.key, "--force", "all")
        assert (told.exit_code, f"settled before; not forced: {why}" in told.output) == (0, True)
        dry = pushed(flow, HOUR.previous.key, "--force", "all", "--dry-run").output
        assert f"nothing would be sent (settled before: pushed; not forced: {why})" in dry
    assert len(bench.gateway.requests) == requests


def test_of_an_hour_pruned_in_part_what_was_not_forced_is_named_beside_what_was(
    bench: Bench,
) -> None:
    bench.collect("query_logs", queries(5), state="partial")
    pushed("query_logs", HOUR.key)
    bench.store.prune(bench.store.header("query_logs", HOUR, "m001"), at=HOUR.end)
    bench.collect("query_logs", queries(7))
    dry = pushed("query_logs", HOUR.key, "--dry-run").output
    assert "were pruned, so nobody can say what of it was accepted): 7 pruned" in dry
    told = pushed("query_logs", HOUR.key, "--force", "all").output
    assert "pushed: 7 accepted; 1 batches, " in told
    assert "; not forced: the records of m001 were pruned" in told


@pytest.mark.parametrize("flow", ["catalog_snapshot", "query_logs"])
def test_force_sends_a_settled_hour_once_more_and_its_dry_run_says_so(
    bench: Bench, flow: str
) -> None:
    bench.collect("catalog_snapshot", entries(12))
    bench.collect("query_logs", queries(12))
    pushed(flow, HOUR.key)
    before, requests = bench.files(), len(bench.gateway.requests)
    dry = pushed(flow, HOUR.key, "--force", "all", "--dry-run")
    assert "12 to_send" in dry.output
    assert (bench.files(), len(bench.gateway.requests)) == (before, requests)
    told = pushed(flow, HOUR.key, "--force", "all")
    assert (told.exit_code, "12 accepted" in told.output) == (0, True)
    assert len(bench.gateway.requests) == 2 * requests
    assert len(bench.accepted_keys()) == 24


@pytest.mark.parametrize("flow", ["catalog_snapshot", "query_logs"])
def test_a_forced_dry_run_that_would_send_nothing_tells_what_became_of_the_hour(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, flow: str
) -> None:
    monkeypatch.setenv("IOMETE_MC_MAX_QUERIES", "1")
    monkeypatch.setenv("IOMETE_MC_MAX_ASSETS", "1")
    bench.collect("catalog_snapshot", entries(3))
    bench.collect("query_logs", queries(3))
    bench.gateway.rule(faults.answers(400), nth=1)
    pushed(flow, HOUR.key)
    dry = pushed(flow, HOUR.key, "--force", "in_doubt", "--dry-run").output
    assert dry == f"{flow} {HOUR.key} nothing would be sent (nothing new): 2 accepted, 1 refused\n"
    dry = pushed(flow, HOUR.key, "--force", "refused", "--dry-run").output
    assert "1 requests of " in dry
    assert "2 accepted, 1 to_send" in dry


def test_only_what_was_refused_goes_when_only_that_is_forced(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOMETE_MC_MAX_QUERIES", "1")
    bench.collect("query_logs", queries(3))
    bench.gateway.rule(faults.answers(400), nth=1)
    first = pushed("query_logs", HOUR.key)
    assert (first.exit_code, "partly_refused" in first.output) == (0, True)
    bench.gateway.clear()
    told = pushed("query_logs", HOUR.key, "--force", "refused")
    assert (told.exit_code, "3 accepted" in told.output) == (0, True)
    assert sorted(bench.accepted_keys()) == ["q0000", "q0001", "q0002"]
    assert len(bench.gateway.requests) == 4


def test_what_is_not_settled_is_told_with_its_reason_and_exit_code_1_and_goes_on_later(
    bench: Bench,
) -> None:
    bench.collect("query_logs", queries(5))
    bench.gateway.rule(faults.answers(401))
    told = pushed("query_logs", HOUR.key, HOUR.next.key)
    assert told.exit_code == 1
    assert "HTTP 401" in told.output
    assert f"{HOUR.next.key}: never collected" in told.output
    assert "2 of 2 hours of query_logs are not settled" in told.output
    assert bench.gateway.key_secret not in told.output
    bench.gateway.clear()
    again = pushed("query_logs", HOUR.key)
    assert (again.exit_code, "5 accepted" in again.output) == (0, True)


@pytest.mark.parametrize("flow", ["query_logs", "lineage"])
def test_a_forced_push_that_broke_off_says_which_hours_go_on_and_how_the_others_are_forced(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, flow: Flow
) -> None:
    """What it says, done, sends each event once more and none twice."""
    monkeypatch.setenv("IOMETE_MC_MAX_EDGES", "1")
    bench.know("t000", "t001", "t002", "t003", "sink")
    windows = [HOUR, HOUR.previous, HOUR.previous.previous]
    for number, window in enumerate(windows):
        column = column_edge("t003", "id", "sink", f"c{number}", window=window)
        first = table_edge(f"t{number:03d}", "sink", window=window)
        records = queries(20, first=100 * number, window=window)
        bench.collect(flow, [first, column] if flow == "lineage" else records, window=window)
    keys = [window.key for window in windows]
    bench.push(flow)
    never = windows[-1].previous
    records = [table_edge("t003", "t000", window=never)]
    bench.collect(flow, records if flow == "lineage" else [], window=never)
    before = bodies(bench, flow)
    assert len(before) == (6 if flow == "lineage" else 60)
    bench.gateway.rule(faults.answers(401), nth=2)
    told = pushed(flow, *keys, never.key, "--force", "all")
    bench.gateway.clear()
    assert told.exit_code == 1
    said = " ".join(told.output.split())
    again = f"iomete-mc push {flow} {keys[1]} {keys[2]} --force all"
    assert f"Pushed by hand without force, these go on: {keys[0]}, {never.key}." in said
    assert f"Of these nothing was begun, so force them once more: `{again}`." in said
    assert pushed(flow, keys[0], never.key).exit_code == 0
    assert pushed(*again.split()[2:]).exit_code == 0
    after = bodies(bench, flow)
    assert [after[body] for body in before] == [2 * times for times in before.values()]
    assert after.total() == 2 * before.total() + (flow == "lineage")


def test_a_manifest_that_a_forced_push_has_not_begun_is_named_beside_those_of_its_hour_that_it_has(
    bench: Bench,
) -> None:
    for count in (5, 10, 15):
        bench.collect("query_logs", queries(count), state="partial")
        pushed("query_logs", HOUR.key)
    bench.gateway.rule(faults.accept, nth=1)
    bench.gateway.rule(faults.answers(401))
    told = " ".join(pushed("query_logs", HOUR.key, "--force", "all").output.split())
    assert f"Pushed by hand without force, these go on: {HOUR.key}." in told
    assert f"Of {HOUR.key}, nothing of m003 was begun." in told
    assert "force them once more" not in told


def test_an_hour_that_a_newer_one_superseded_says_by_which(bench: Bench) -> None:
    for window in (HOUR.previous, HOUR):
        bench.collect("catalog_snapshot", entries(3), window=window)
    told = pushed("catalog_snapshot", HOUR.previous.key)
    assert (told.exit_code, "superseded" in told.output) == (0, True)
    assert HOUR.key in told.output
    assert bench.gateway.requests == ()


def test_a_dagster_instance_hears_of_the_push_so_that_no_sensor_asks_again(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.collect("query_logs", queries(5))
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    told = pushed("query_logs", HOUR.key)
    assert told.exit_code == 0, told.output
    settled = bench.sent("query_logs", "m001").settled()
    assert settled is not None
    with dg.DagsterInstance.get() as instance:
        (record,) = newest_by_hour(instance, pushed_key("query_logs")).values()
        assert (record.partition_key, manifest_id(record)) == (HOUR.key, "m001")
        materialization = record.asset_materialization
        assert materialization is not None
        shown = materialization.metadata["monte_carlo/invocation_ids"].value
        assert shown == list(settled.invocation_ids)
        observed = instance.fetch_observations(collected_key("query_logs"), limit=5).records
        assert [one.partition_key for one in observed] == [HOUR.key]
