"""MCD_LOG_TYPE and MCD_RESOURCE_TYPE corrected after an hour was planned: planned anew while nothing of it was taken."""

import json
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from iomete_mc_assets.errors import Misconfigured, NotAccepted
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.receipts import DOUBTS_VERSION, Doubts, Ordinals
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets_tests.push_bench import HOUR, Bench, entries, queries

FLOWS: tuple[Flow, ...] = get_args(Flow)
each_flow = pytest.mark.parametrize("flow", FLOWS)
WRONG = {"resource_type": "custom", "log_type": "hive-s3"}
RIGHT = {"resource_type": "spark", "log_type": "s3"}


@pytest.fixture
def bench(gateway: Gateway, tmp_path: Path) -> Bench:
    return Bench(gateway, str(tmp_path))


def refused_as_configuration(
    bench: Bench, flow: Flow, *, count: int = 60, run: str = "run-1"
) -> str:
    """Every batch of the hour's first plan is refused, because of the type."""
    manifest_id = bench.collect_some(flow, count)
    bench.configure(**WRONG)
    bench.gateway.rule(faults.answers(400))
    assert isinstance(bench.push(flow, HOUR, run=run)[HOUR], Misconfigured)
    bench.gateway.clear()
    return manifest_id


def types_sent(bench: Bench, *, since: int) -> Counter[str]:
    """The types of the bodies that arrived after so many requests."""
    resources = [json.loads(body)["resource"] for body in bench.gateway.bodies[since:]]
    return Counter(r.get("log_type") or r.get("resource_type") for r in resources)


def of(flow: Flow, types: dict[str, str]) -> str:
    return types["log_type" if flow == "query_logs" else "resource_type"]


@each_flow
def test_a_plan_that_was_refused_whole_is_made_anew_with_the_corrected_type(
    bench: Bench, flow: Flow
) -> None:
    manifest_id = refused_as_configuration(bench, flow)
    before, accepted = len(bench.gateway.requests), len(bench.accepted_keys())
    bench.configure(**RIGHT)
    (preview,) = bench.dry_run(flow).values()
    outcome = bench.push_one(flow, run="run-2")
    assert (outcome.counts, outcome.reason) == ({"accepted": 60}, None)
    assert types_sent(bench, since=before) == {of(flow, RIGHT): 6}
    assert len(set(bench.accepted_keys()[accepted:])) == 60
    assert [events for events, _ in preview.requests] == [10] * 6
    first, second = bench.sent(flow, manifest_id).generations()
    assert first.receipts() == []
    assert len(second.receipts()) == 6


@each_flow
def test_an_event_refused_alone_with_the_wrong_type_goes_with_the_corrected_one(
    bench: Bench, flow: Flow
) -> None:
    manifest_id = bench.collect_some(flow, 5)
    bench.configure(**WRONG, max_queries=1, max_assets=1, max_edges=1)
    bench.gateway.rule(faults.answers(400), nth=len(bench.gateway.requests) + 1)
    bench.gateway.rule(faults.answers(503))
    assert isinstance(bench.push(flow, HOUR)[HOUR], NotAccepted)
    assert len(bench.sent(flow, manifest_id).generation(1).refusals()) == 1
    bench.gateway.clear()
    bench.configure(**RIGHT)
    assert bench.push_one(flow, run="run-2").counts == {"accepted": 5}


@each_flow
def test_with_the_same_type_a_refused_plan_goes_on_where_it_stopped(
    bench: Bench, flow: Flow
) -> None:
    manifest_id = refused_as_configuration(bench, flow)
    refused = set(bench.gateway.bodies)
    before = len(bench.gateway.bodies)
    bench.push_one(flow, run="run-2")
    assert not refused & set(bench.gateway.bodies[before:])
    assert len(bench.sent(flow, manifest_id).generations()) == 1


@each_flow
def test_a_plan_of_which_something_was_accepted_stands_and_the_outcome_says_so(
    bench: Bench, flow: Flow
) -> None:
    manifest_id = bench.collect_some(flow, 50)
    bench.configure(**WRONG)
    before = len(bench.gateway.requests)
    bench.gateway.rule(faults.answers(401), nth=3)
    assert isinstance(bench.push(flow, HOUR)[HOUR], Misconfigured)
    bench.gateway.clear()
    assert bench.sent(flow, manifest_id).generation(1).receipts()
    bench.configure(**RIGHT)
    outcome = bench.push_one(flow, run="run-2")
    assert outcome.counts == {"accepted": 50}
    assert set(types_sent(bench, since=before)) == {of(flow, WRONG)}
    assert f"{of(flow, WRONG)}, which is {of(flow, RIGHT)} now" in str(outcome.reason)


@pytest.mark.parametrize("flow", ["catalog_snapshot", "query_logs"])
def test_a_plan_of_which_something_is_in_doubt_stands_and_its_error_says_so(
    bench: Bench, flow: Flow
) -> None:
    bench.collect_some(flow, 5)
    bench.configure(**WRONG)
    bench.gateway.script(faults.accept_then_nothing, faults.answers(401))
    assert isinstance(bench.push(flow, HOUR)[HOUR], Misconfigured)
    bench.configure(**RIGHT)
    bench.gateway.rule(faults.answers(401))
    answer = bench.push(flow, HOUR, run="run-2")[HOUR]
    assert types_sent(bench, since=0) == {of(flow, WRONG): 3}
    setting = "MCD_LOG_TYPE" if flow == "query_logs" else "MCD_RESOURCE_TYPE"
    said = f"planned with {setting} {of(flow, WRONG)}, which is {of(flow, RIGHT)} now"
    assert said in str(answer)


@each_flow
def test_a_plan_that_a_dead_run_was_sending_stands(bench: Bench, flow: Flow) -> None:
    manifest_id = refused_as_configuration(bench, flow)
    generation = bench.sent(flow, manifest_id).generation(1)
    half = Ordinals.of(range(5))
    dead = Doubts(
        schema_version=DOUBTS_VERSION, run_id="run-2", sending=True, pieces=(), posting=(half,)
    )
    generation.write_doubts(dead)
    bench.configure(**RIGHT)
    (preview,) = bench.dry_run(flow).values()
    assert len(preview.requests) > 6  # halves of the refused batches among them
    before = len(bench.gateway.requests)
    bench.push(flow, HOUR, run="run-3")
    assert set(types_sent(bench, since=before)) <= {of(flow, WRONG)}
    assert len(bench.sent(flow, manifest_id).generations()) == 1


@each_flow
def test_a_forced_plan_is_made_anew_by_its_own_retry_only(bench: Bench, flow: Flow) -> None:
    bench.configure(**WRONG)
    manifest_id = bench.collect_some(flow, 60)
    bench.push_one(flow)
    bench.gateway.rule(faults.answers(400))
    forced = bench.push(flow, HOUR, run="forced", force="all")[HOUR]
    assert isinstance(forced, Misconfigured)
    bench.gateway.clear()
    bench.configure(**RIGHT)
    bench.gateway.rule(faults.answers(401))
    before = len(bench.gateway.requests)
    assert isinstance(bench.push(flow, HOUR, run="ordinary")[HOUR], Misconfigured)
    assert set(types_sent(bench, since=before)) == {of(flow, WRONG)}
    bench.gateway.clear()
    before = len(bench.gateway.requests)
    outcome = bench.push_one(flow, run="retry", root="forced", force="all")
    assert outcome.counts == {"accepted": 60}
    assert types_sent(bench, since=before) == {of(flow, RIGHT): 6}
    names = [generation.forced_by for generation in bench.sent(flow, manifest_id).generations()]
    assert names == [None, "forced", "forced"]


def test_what_the_wrong_type_had_refused_does_not_keep_back_what_is_in_doubt_since(
    bench: Bench,
) -> None:
    refused_as_configuration(bench, "catalog_snapshot", count=30)
    bench.configure(**RIGHT)
    bench.gateway.rule(faults.accept_then_nothing)
    bench.push("catalog_snapshot", HOUR, run="run-2")
    bench.push("catalog_snapshot", HOUR, run="run-3")
    bench.push("catalog_snapshot", HOUR, run="run-4")
    bench.gateway.clear()
    assert bench.push_one("catalog_snapshot", run="run-5").counts["in_doubt"] > 0
    bench.collect("catalog_snapshot", entries(30), window=HOUR.next)
    bench.clock.advance(hours=1)
    outcome = bench.push_one("catalog_snapshot", window=HOUR.next)
    assert "refused" not in outcome.counts


def test_what_the_wrong_type_had_refused_does_not_keep_back_the_hours_queries(
    bench: Bench,
) -> None:
    refused_as_configuration(bench, "query_logs", count=30)
    bench.configure(**RIGHT)
    bench.gateway.rule(faults.accept_then_nothing)
    for run in ("run-2", "run-3", "run-4"):
        bench.push("query_logs", HOUR, run=run)
    bench.gateway.clear()
    in_doubt = bench.push_one("query_logs", run="run-5").counts["in_doubt"]
    assert in_doubt > 0
    bench.collect("query_logs", [*queries(30), *queries(1, first=90)])
    outcome = bench.push_one("query_logs", run="run-6")
    assert "refused" not in outcome.counts
    assert outcome.counts["accepted"] == in_doubt + 1


def test_another_cap_than_the_type_is_no_reason_to_plan_anew(bench: Bench) -> None:
    manifest_id = refused_as_configuration(bench, "query_logs")
    bench.configure(max_queries=7)
    bench.push_one("query_logs", run="run-2")
    assert len(bench.sent("query_logs", manifest_id).generations()) == 1
