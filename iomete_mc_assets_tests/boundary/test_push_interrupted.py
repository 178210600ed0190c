"""`iomete-mc push` ended by Ctrl-C or SIGTERM: a real process, a gateway that hangs, and the push that follows at once."""

import signal
from collections import Counter
from pathlib import Path

import pytest

from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.push.policy import IN_FLIGHT
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets_tests.push_bench import HOUR, Bench, queries
from iomete_mc_assets_tests.push_processes import EVENTS_A_BATCH, SOON_S, pushing

EVENTS = 65
ANSWERED = 2


@pytest.fixture
def bench(gateway: Gateway, tmp_path: Path) -> Bench:
    return Bench(gateway, str(tmp_path / "manifests"))


@pytest.mark.parametrize(
    ("flow", "sign"), [("query_logs", signal.SIGINT), ("catalog_snapshot", signal.SIGTERM)]
)
def test_an_interrupted_push_says_what_was_sent_and_the_next_one_goes_on_at_once(
    bench: Bench, flow: Flow, sign: signal.Signals
) -> None:
    manifest_id = bench.collect_some(flow, EVENTS)
    for nth in range(1, ANSWERED + 1):
        bench.gateway.rule(faults.accept, nth=nth)
    bench.gateway.rule(faults.accept_then_hang)
    with pushing(bench, flow, HOUR.key) as child:
        bench.gateway.wait_for_requests(ANSWERED + IN_FLIGHT)
        child.send_signal(sign)
        said, complained = child.communicate(timeout=SOON_S)
    assert child.returncode == 130, complained
    assert "Interrupted" in complained
    assert "1 of 1 hours" in complained
    assert "The same command goes on where this one stopped" in complained
    assert f"{flow} {HOUR.key}: The push was interrupted" in said
    accepted, unanswered = ANSWERED * EVENTS_A_BATCH, IN_FLIGHT * EVENTS_A_BATCH
    assert f"{accepted} events accepted in {ANSWERED} requests" in said
    assert f"{unanswered} without an answer" in said
    (generation,) = bench.sent(flow, manifest_id).generations()
    assert [receipt.invocation_id in said for receipt in generation.receipts()] == [True, True]
    assert len(bench.gateway.requests) == ANSWERED + IN_FLIGHT

    bench.gateway.clear()
    with pushing(bench, flow, HOUR.key) as child:
        said, complained = child.communicate(timeout=SOON_S)
    assert child.returncode == 0, complained
    assert f"{EVENTS} accepted" in said
    times = Counter(bench.accepted_keys())
    assert len(times) == EVENTS
    assert Counter(times.values()) == {1: EVENTS - unanswered, 2: unanswered}


def test_an_interrupted_push_takes_the_answers_that_come_and_begins_no_other_hour(
    bench: Bench,
) -> None:
    older = HOUR.previous
    bench.collect("query_logs", queries(IN_FLIGHT * EVENTS_A_BATCH))
    bench.collect("query_logs", queries(5, first=500, window=older), window=older)
    bench.gateway.rule(faults.after(1_000))
    with pushing(bench, "query_logs", older.key, HOUR.key) as child:
        bench.gateway.wait_for_requests(IN_FLIGHT)
        child.send_signal(signal.SIGINT)
        said, complained = child.communicate(timeout=SOON_S)
    assert child.returncode == 130, complained
    assert f"✓ query_logs {HOUR.key} pushed" in said
    assert f"{older.key}: The push was interrupted" in said
    assert "nothing of it was sent" in said
    assert "1 of 2 hours" in complained
    assert len(bench.gateway.requests) == IN_FLIGHT


def test_a_push_that_waits_for_its_next_try_is_interrupted_at_once(bench: Bench) -> None:
    bench.collect("query_logs", queries(1))
    bench.gateway.rule(faults.answers(429, retry_after=200))
    with pushing(bench, "query_logs", HOUR.key) as child:
        bench.gateway.wait_for_requests(1)
        bench.gateway.wait_until_idle()
        child.send_signal(signal.SIGTERM)
        said, _ = child.communicate(timeout=SOON_S)
    assert (child.returncode, len(bench.gateway.requests)) == (130, 1)
    assert "nothing of it was sent" in said


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_push_interrupted_twice_ends_at_once_and_says_what_that_means(
    bench: Bench, sign: signal.Signals
) -> None:
    manifest_id = bench.collect("query_logs", queries(EVENTS))
    bench.gateway.rule(faults.accept_then_hang)
    with pushing(bench, "query_logs", HOUR.key) as child:
        bench.gateway.wait_for_requests(IN_FLIGHT)
        child.send_signal(signal.SIGINT)
        assert child.stderr is not None
        assert any("Interrupted: nothing more is sent" in line for line in child.stderr)
        child.send_signal(sign)
        _, complained = child.communicate(timeout=SOON_S)
    assert child.returncode == 130, complained
    (said,) = complained.splitlines()
    assert said.startswith("Ended at once: what was under way, at most four batches")
    # it waited for no answer, after which it would have written down what is in doubt
    (doubts,) = bench.sent("query_logs", manifest_id).generation(1).doubts()
    assert (doubts.sending, doubts.pieces) == (True, ())

    bench.gateway.clear()
    with pushing(bench, "query_logs", HOUR.key) as child:
        said, _ = child.communicate(timeout=SOON_S)
    assert child.returncode == 1
    assert "from 20" in said
    assert len(bench.gateway.requests) == IN_FLIGHT
