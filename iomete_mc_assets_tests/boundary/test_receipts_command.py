"""`iomete-mc receipts` over a store that was really pushed."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from iomete_mc_assets.cli.main import main
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets_tests.push_bench import HOUR, Bench, entries, queries

DETAILS = '{"error": "no", "details": {"query": ["too odd"]}}'


@pytest.fixture
def bench(gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("IOMETE_MC_MANIFESTS", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    return Bench(gateway, str(tmp_path))


def told(*words: str) -> Result:
    return CliRunner().invoke(main, ["receipts", *words])


def test_the_story_of_a_partition_has_every_plan_receipt_refusal_doubt_and_the_outcome(
    bench: Bench,
) -> None:
    bench.configure(max_queries=1)
    bench.collect("query_logs", queries(3), state="partial")
    bench.gateway.rule(faults.answers(400, DETAILS), nth=1)
    bench.gateway.rule(faults.accept_then_reset, nth=2)
    bench.push_one("query_logs")
    bench.gateway.clear()
    bench.collect("query_logs", queries(4))
    forced = bench.push_one("query_logs", run="forced", force="refused")
    answer = told(HOUR.key, "--json")
    assert answer.exit_code == 0, answer.output
    old, new = json.loads(answer.output)
    assert [(one["state"], one["records"]) for one in (old, new)] == [
        ("partial", 3),
        ("complete", 4),
    ]
    assert [one["speaks_for_the_hour"] for one in (old, new)] == [False, True]
    (sent,) = old["sent"]
    first, second = sent["plans"]
    assert (first["plan"]["events"], len(first["receipts"])) == (3, 2)
    assert [refusal["details"] for refusal in first["refusals"]] == ['{"query": ["too odd"]}']
    assert [doubt["sends"] for doubt in first["doubts"]] == [1]
    assert (second["forced_by"], len(second["receipts"])) == ("forced", 1)
    assert sent["settled"]["counts"] == {"accepted": 3}
    assert tuple(new["sent"][0]["settled"]["invocation_ids"]) == forced.invocation_ids
    words = told(HOUR.key).output
    for known in (*forced.invocation_ids, "too odd", "forced by run forced", "1 without an answer"):
        assert known in words


def test_one_flow_alone_is_told_when_asked_for_and_an_unpushed_manifest_says_so(
    bench: Bench,
) -> None:
    bench.collect("query_logs", queries(3))
    bench.collect("catalog_snapshot", entries(2))
    words = told(HOUR.key, "--flow", "catalog_snapshot").output
    assert "catalog_snapshot" in words
    assert "query_logs" not in words
    assert "never pushed" in words


def test_an_hour_that_was_never_collected_and_what_is_no_hour_are_errors(bench: Bench) -> None:
    nothing = told(HOUR.key)
    assert nothing.exit_code == 1
    assert "Nothing was collected" in nothing.output
    nonsense = told("yesterday")
    assert nonsense.exit_code == 2
    assert "2026-11-21-05:00" in nonsense.output
