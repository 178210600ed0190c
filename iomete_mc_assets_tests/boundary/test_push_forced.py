"""Sending again what had an end: explicit, once a chain of retries, recorded. Ledger rule 19.

What is played follows from a seed, which stands in the test's id. IOMETE_MC_TEST_CHAOS_SEED moves all of them.
"""

import json
import os
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import get_args

import pytest

from iomete_mc_assets.errors import Misconfigured
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.receipts import Force
from iomete_mc_assets.montecarlo.ingest import Ingest, Outgoing
from iomete_mc_assets.push.outcome import HourOutcome
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets_tests.push_bench import HOUR, Bench, entries, key_of, observed, queries

FLOWS: tuple[Flow, ...] = get_args(Flow)
each_flow = pytest.mark.parametrize("flow", FLOWS)
FIRST_SEED = int(os.environ.get("IOMETE_MC_TEST_CHAOS_SEED", "0"))
FORCES: tuple[Force, ...] = get_args(Force)
ENDS = {
    "accepted": faults.accept,
    "refused": faults.answers(400),
    "in_doubt": faults.accept_then_nothing,
}
BUSY = faults.answers(503)
EVENTS = 4


@pytest.fixture
def bench(gateway: Gateway, store_root: str) -> Bench:
    return Bench(gateway, store_root)


def one_refused_of_three(bench: Bench, flow: Flow) -> str:
    """Three events in requests of their own, one of them refused."""
    bench.configure(max_assets=1, max_queries=1, max_edges=1)
    manifest_id = bench.collect_some(flow, 3)
    bench.gateway.rule(faults.answers(400), nth=1)
    outcome = bench.push_one(flow)
    assert outcome.counts == {"accepted": 2, "refused": 1}
    bench.gateway.clear()
    return manifest_id


def one_in_doubt(bench: Bench, flow: Flow) -> str:
    """An event taken without an answer as often as it may go."""
    bench.configure(max_assets=1, max_queries=1, max_edges=1)
    manifest_id = bench.collect_some(flow, 1)
    bench.gateway.rule(faults.accept_then_nothing)
    bench.push(flow)
    bench.push_one(flow, run="run-1b")
    settled = bench.sent(flow, manifest_id).settled()
    assert settled is not None
    assert settled.counts == {"in_doubt": 1}
    bench.gateway.clear()
    return manifest_id


@each_flow
def test_ledger_19_a_refused_event_goes_again_only_when_that_is_forced(
    bench: Bench, flow: Flow
) -> None:
    manifest_id = one_refused_of_three(bench, flow)
    requests = len(bench.gateway.requests)
    forces: tuple[Force | None, ...] = (None, "in_doubt")
    for number, force in enumerate(forces):
        outcome = bench.push_one(flow, run=f"other-{number}", force=force)
        assert outcome.counts == {"accepted": 2, "refused": 1}
    assert len(bench.gateway.requests) == requests
    outcome = bench.push_one(flow, run="forced", force="refused")
    assert (outcome.word, outcome.counts, outcome.reused) == ("pushed", {"accepted": 3}, False)
    assert (len(bench.gateway.requests), len(outcome.invocation_ids)) == (requests + 1, 3)
    names = [generation.forced_by for generation in bench.sent(flow, manifest_id).generations()]
    assert names == [None, "other-1", "forced"]


@each_flow
def test_ledger_19_an_event_in_doubt_goes_again_only_when_that_is_forced(
    bench: Bench, flow: Flow
) -> None:
    one_in_doubt(bench, flow)
    requests = len(bench.gateway.requests)
    forces: tuple[Force | None, ...] = (None, "refused")
    for number, force in enumerate(forces):
        outcome = bench.push_one(flow, run=f"other-{number}", force=force)
        assert outcome.counts == {"in_doubt": 1}
    assert len(bench.gateway.requests) == requests
    outcome = bench.push_one(flow, run="forced", force="in_doubt")
    assert (outcome.word, outcome.counts) == ("pushed", {"accepted": 1})
    assert len(bench.gateway.requests) == requests + 1


@each_flow
def test_ledger_19_all_sends_everything_of_the_hour_once_more_and_a_retry_does_not_again(
    bench: Bench, flow: Flow
) -> None:
    manifest_id = bench.collect_some(flow, 25)
    first = bench.push_one(flow)
    sent = len(bench.gateway.requests)
    outcome = bench.push_one(flow, run="forced", force="all")
    assert outcome.counts == {"accepted": 25}
    assert outcome.invocation_ids[:3] == first.invocation_ids
    assert len(set(outcome.invocation_ids)) == 6
    assert len(bench.gateway.requests) == sent + 3
    again = bench.push_one(flow, run="retry", root="forced", force="all")
    assert (again.reused, again.invocation_ids) == (True, outcome.invocation_ids)
    assert len(bench.gateway.requests) == sent + 3
    plain, forced = bench.sent(flow, manifest_id).generations()
    assert (plain.forced_by, forced.forced_by) == (None, "forced")
    assert [len(receipt.ordinals) for receipt in forced.receipts()] == [10, 10, 5]


@each_flow
@pytest.mark.parametrize("ordinary", [False, True])
def test_ledger_19_a_forced_push_that_broke_off_goes_on_where_it_stopped(
    bench: Bench, flow: Flow, ordinary: bool
) -> None:
    manifest_id = bench.collect_some(flow, 50)
    first = bench.push_one(flow)
    before = Counter(bench.accepted_keys())
    bench.gateway.rule(faults.answers(401), nth=3)
    assert isinstance(bench.push(flow, HOUR, run="forced", force="all")[HOUR], Misconfigured)
    bench.gateway.clear()
    kept = bench.sent(flow, manifest_id).settled()
    assert kept is not None
    assert (kept.invocation_ids, kept.run_id, kept.forcing) == (first.invocation_ids, "run-1", 2)
    if ordinary:
        outcome = bench.push_one(flow, run="later")
    else:
        outcome = bench.push_one(flow, run="retry", root="forced", force="all")
    assert outcome.counts == {"accepted": 50}
    assert len(outcome.invocation_ids) == 10
    ended = bench.sent(flow, manifest_id).settled()
    assert ended is not None
    assert (ended.invocation_ids, ended.forcing) == (outcome.invocation_ids, None)
    assert set((Counter(bench.accepted_keys()) - before).values()) == {1}


@each_flow
def test_ledger_19_what_a_forced_push_had_refused_goes_again_though_it_was_accepted_before(
    bench: Bench, flow: Flow
) -> None:
    bench.configure(max_assets=1, max_queries=1, max_edges=1)
    bench.collect_some(flow, 3)
    bench.push_one(flow)
    bench.gateway.rule(faults.answers(400), nth=1)
    all_again = bench.push_one(flow, run="all", force="all")
    assert all_again.counts == {"accepted": 2, "refused": 1}
    refused = bench.gateway.bodies[[r.status for r in bench.gateway.requests].index(400)]
    bench.gateway.clear()
    requests = len(bench.gateway.requests)
    outcome = bench.push_one(flow, run="forced", force="refused")
    assert outcome.counts == {"accepted": 3}
    assert list(bench.gateway.bodies[requests:]) == [refused]


@each_flow
@pytest.mark.parametrize(("end", "other"), [("refused", "in_doubt"), ("in_doubt", "refused")])
def test_ledger_19_a_record_counts_by_its_latest_end_whatever_else_is_forced_after_it(
    bench: Bench, flow: Flow, end: Force, other: Force
) -> None:
    """Accepted, then forced with ``end``; a push that forces something else sends and hides nothing."""
    bench.configure(max_assets=1, max_queries=1, max_edges=1)
    manifest_id = bench.collect_some(flow, 3 if end == "refused" else 1)
    bench.push_one(flow)
    if end == "refused":
        bench.gateway.rule(faults.answers(400), nth=2)
    else:
        bench.gateway.rule(faults.accept_then_cut)
        bench.push(flow, run="all", force="all")
    ended = bench.push_one(flow, run="retry", root="all", force="all")
    assert ended.counts.get(end) == 1
    bench.gateway.clear()
    requests = len(bench.gateway.requests)
    left = bench.push_one(flow, run="other", force=other)
    assert (left.reused, left.word, left.counts) == (False, ended.word, ended.counts)
    settled = bench.sent(flow, manifest_id).settled()
    assert settled is not None
    assert (settled.word, settled.counts) == (ended.word, ended.counts)
    assert len(bench.gateway.requests) == requests
    again = bench.push_one(flow, run="again", force=end)
    assert (again.word, set(again.counts)) == ("pushed", {"accepted"})
    assert len(bench.gateway.requests) == requests + 1


def pushed_until_settled(
    bench: Bench, flow: Flow, *, root: str, force: Force | None = None
) -> HourOutcome:
    """One run and its retries."""
    for number in range(9):
        run = f"{root}-{number}"
        answer = bench.push(flow, HOUR, run=run, root=root, force=force)[HOUR]
        if isinstance(answer, HourOutcome):
            return answer
    pytest.fail("the hour was never settled")


def one_refused_then_in_doubt(bench: Bench, flow: Flow) -> bytes:
    """Two of three accepted; the third refused, then forced and never answered. Returns its request's body."""
    one_refused_of_three(bench, flow)
    bench.gateway.rule(faults.accept_then_nothing)
    outcome = pushed_until_settled(bench, flow, root="again", force="refused")
    assert (outcome.word, outcome.counts) == ("in_doubt", {"accepted": 2, "in_doubt": 1})
    bench.gateway.clear()
    return bench.gateway.bodies[-1]


@each_flow
def test_ledger_19_a_refused_event_that_was_forced_and_got_no_answer_is_in_doubt_to_the_next_force(
    bench: Bench, flow: Flow
) -> None:
    body = one_refused_then_in_doubt(bench, flow)
    requests = len(bench.gateway.requests)
    left = bench.push_one(flow, run="other", force="refused")
    assert (left.word, left.counts) == ("in_doubt", {"accepted": 2, "in_doubt": 1})
    assert len(bench.gateway.requests) == requests
    outcome = bench.push_one(flow, run="forced", force="in_doubt")
    assert (outcome.word, outcome.counts) == ("pushed", {"accepted": 3})
    assert list(bench.gateway.bodies[requests:]) == [body]


@pytest.mark.parametrize("flow", ["catalog_snapshot", "lineage"])
def test_ledger_22_what_was_refused_then_forced_and_is_in_doubt_goes_with_the_next_hour(
    bench: Bench, flow: Flow
) -> None:
    body = one_refused_then_in_doubt(bench, flow)
    requests = len(bench.gateway.requests)
    records = list(bench.store.records(bench.store.header(flow, HOUR, bench.named[flow][HOUR])))
    bench.collect(flow, records, window=HOUR.next)
    outcome = bench.push_one(flow, run="next", window=HOUR.next)
    assert outcome.counts == {"accepted": 1, "accepted_before": 2}
    assert list(bench.gateway.bodies[requests:]) == [body]


def test_ledger_19_an_entry_in_doubt_goes_when_that_is_forced_though_another_hours_was_refused(
    bench: Bench,
) -> None:
    bench.configure(send_superseded=True)
    one_in_doubt(bench, "catalog_snapshot")
    bench.collect("catalog_snapshot", entries(1), window=HOUR.next)
    bench.gateway.rule(faults.answers(400))
    refused = bench.push_one("catalog_snapshot", run="next", window=HOUR.next)
    assert refused.counts == {"refused": 1}
    bench.gateway.clear()
    outcome = bench.push_one("catalog_snapshot", run="forced", force="in_doubt")
    assert (outcome.word, outcome.counts) == ("pushed", {"accepted": 1})


@each_flow
def test_ledger_19_a_doubt_stays_one_after_a_forced_push_that_broke_off_before_its_first_answer(
    bench: Bench, flow: Flow
) -> None:
    one_in_doubt(bench, flow)
    bench.gateway.rule(BUSY)
    assert not isinstance(bench.push(flow, HOUR, run="broken", force="in_doubt")[HOUR], HourOutcome)
    bench.gateway.clear()
    requests = len(bench.gateway.requests)
    left = bench.push_one(flow, run="other", force="refused")
    assert (left.word, left.counts) == ("in_doubt", {"in_doubt": 1})
    assert len(bench.gateway.requests) == requests
    outcome = bench.push_one(flow, run="forced", force="in_doubt")
    assert (outcome.word, outcome.counts) == ("pushed", {"accepted": 1})


@dataclass(slots=True)
class Fates:
    """Whoever takes a batch: the gateway, which treats each event as its fate says, one request after another.

    Attributes:
        of: each event's fate, by its number.
        last: how each event's last request ended.
        posted: events of requests that had an end, since it was emptied.
    """

    inner: Ingest
    gateway: Gateway
    of: list[str] = field(default_factory=list[str])
    last: dict[int, str] = field(default_factory=dict[int, str])
    posted: set[int] = field(default_factory=set[int])
    lock: Lock = field(default_factory=Lock)

    def send(self, outgoing: Outgoing) -> str:
        [event] = json.loads(outgoing.body)["events"]
        number = int(key_of(event)[1:])
        with self.lock:
            fate = self.of[number]
            self.gateway.script(ENDS.get(fate, BUSY))
            if fate in ENDS:
                self.last[number] = fate
                self.posted.add(number)
            return self.inner.send(outgoing)


def settled_by(
    bench: Bench, flow: Flow, fates: Fates, chance: random.Random, *, root: str, force: Force | None
) -> HourOutcome:
    """The outcome of a run and its retries; in the first one the gateway may be too busy for some events."""
    odds = chance.choice(((4, 2, 3), (2, 6, 0), (0, 1, 9)))
    drawn = chance.choices(("accepted", "refused", "in_doubt"), odds, k=EVENTS)
    refused = [number for number, end in enumerate(drawn) if end == "refused"]
    for number in refused[2:]:  # more would look like configuration
        drawn[number] = "accepted"
    for number in range(9):
        busy = chance.random() < 0.5 if number == 0 else False
        fates.of = [chance.choice(("busy", end)) if busy else end for end in drawn]
        run = f"{root}-{number}"
        answer = bench.push(flow, HOUR, run=run, root=root, force=force)[HOUR]
        if isinstance(answer, HourOutcome):
            return answer
    pytest.fail("the hour was never settled")


def plays(bench: Bench, flow: Flow, seed: int) -> None:
    """A force sends what the outcome before counts as its name, and the outcome after counts last ends."""
    bench.configure(max_assets=1, max_queries=1, max_edges=1)
    bench.collect_some(flow, EVENTS)
    fates = Fates(bench.ingest, bench.gateway)
    bench.ingest = fates
    chance = random.Random(seed)  # noqa: S311 - a game
    outcome = settled_by(bench, flow, fates, chance, root="plain", force=None)
    assert outcome.counts == Counter(fates.last.values())
    for number in range(8):
        force = chance.choice((*FORCES, "refused", "in_doubt"))
        named = {event for event, end in fates.last.items() if force in ("all", end)}
        fates.posted.clear()
        outcome = settled_by(bench, flow, fates, chance, root=f"forced-{number}", force=force)
        assert fates.posted == named, (force, outcome.counts)
        assert outcome.counts == Counter(fates.last.values()), force


@each_flow
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + 5))
def test_a_force_sends_what_the_outcome_counts_as_its_name_after_any_history(
    bench: Bench, flow: Flow, seed: int
) -> None:
    plays(bench, flow, seed)


@pytest.mark.nightly
@each_flow
@pytest.mark.parametrize("seed", range(FIRST_SEED + 5, FIRST_SEED + 105))
def test_a_force_sends_what_the_outcome_counts_as_its_name_after_many_more_histories(
    bench: Bench, flow: Flow, seed: int
) -> None:
    plays(bench, flow, seed)


@each_flow
def test_ledger_19_a_doubt_stays_one_after_a_forced_push_that_died_before_its_plan(
    bench: Bench, flow: Flow
) -> None:
    manifest_id = one_in_doubt(bench, flow)
    requests = len(bench.gateway.requests)
    bench.sent(flow, manifest_id).reopen(2)
    outcome = bench.push_one(flow, run="other", force="refused")
    assert (outcome.word, outcome.counts) == ("in_doubt", {"in_doubt": 1})
    assert len(bench.gateway.requests) == requests
    assert bench.push_one(flow, run="forced", force="in_doubt").counts == {"accepted": 1}


@each_flow
def test_ledger_19_what_a_forced_push_had_accepted_before_it_broke_off_is_not_planned_anew(
    bench: Bench, flow: Flow
) -> None:
    """Two refused events are forced, one is accepted, and the rest is built otherwise by the retry."""
    bench.configure(max_assets=1, max_queries=1, max_edges=1)
    manifest_id = bench.collect_some(flow, 3)
    for number in (1, 2):
        bench.gateway.rule(faults.answers(400), nth=number)
    assert bench.push_one(flow).counts == {"accepted": 1, "refused": 2}
    bench.gateway.clear()
    before = len(bench.accepted_keys())
    bench.gateway.rule(faults.answers(401), nth=2)
    assert isinstance(bench.push(flow, HOUR, run="forced", force="refused")[HOUR], Misconfigured)
    bench.gateway.clear()
    assert len(bench.accepted_keys()) == before + 1
    generation = bench.sent(flow, manifest_id).generation(2, forced_by="forced")
    plan = generation.plan()
    assert plan is not None
    outdated = tuple(replace(batch, digest="00" * 32) for batch in plan.batches)
    generation.write_plan(replace(plan, batches=outdated))
    outcome = bench.push_one(flow, run="retry", root="forced", force="refused")
    assert outcome.counts == {"accepted": 3}
    assert set(Counter(bench.accepted_keys()[before:]).values()) == {1}
    assert len(bench.accepted_keys()) == before + 2


def test_ledger_19_all_of_an_hour_of_queries_goes_once_more_however_many_manifests_hold_it(
    bench: Bench,
) -> None:
    bench.collect("query_logs", queries(5), state="partial")
    bench.collect("query_logs", queries(5, first=3))
    bench.push_one("query_logs")
    outcome = bench.push_one("query_logs", run="forced", force="all")
    assert outcome.counts == {"accepted": 3, "accepted_before": 2}
    assert Counter(bench.accepted_keys()) == {f"q{n:04d}": 2 for n in range(8)}


def test_ledger_19_an_hour_that_was_never_pushed_goes_once_though_all_is_forced(
    bench: Bench,
) -> None:
    bench.collect("query_logs", queries(5))
    assert bench.push_one("query_logs", force="all").counts == {"accepted": 5}
    assert len(bench.accepted_keys()) == 5


def test_ledger_19_what_a_forced_push_never_came_to_keeps_its_end_when_a_newer_hour_takes_over(
    bench: Bench,
) -> None:
    bench.configure(max_assets=1)
    older = HOUR.previous
    bench.collect("catalog_snapshot", entries(20), window=older)
    bench.gateway.rule(faults.answers(400), nth=15)
    first = bench.push_one("catalog_snapshot", window=older)
    assert first.counts == {"accepted": 19, "refused": 1}
    bench.gateway.clear()
    bench.gateway.rule(faults.answers(401), nth=3)
    broken = bench.push("catalog_snapshot", older, run="forced", force="all")[older]
    assert isinstance(broken, Misconfigured)
    bench.gateway.clear()
    bench.collect("catalog_snapshot", entries(20, comment="newer"))

    outcome = bench.push_one("catalog_snapshot", run="later", window=older)

    assert (outcome.word, outcome.counts) == ("partly_refused", {"accepted": 19, "refused": 1})


def test_ledger_19_force_never_overrides_superseded(bench: Bench) -> None:
    bench.collect("catalog_snapshot", entries(2))
    pushed = bench.push_one("catalog_snapshot")
    bench.collect("catalog_snapshot", entries(2, comment="new"), window=HOUR.next)
    bench.push_one("catalog_snapshot", window=HOUR.next)
    requests = len(bench.gateway.requests)
    outcome = bench.push_one("catalog_snapshot", run="forced", force="all")
    assert (outcome.reused, outcome.invocation_ids) == (True, pushed.invocation_ids)
    bench.collect("catalog_snapshot", entries(2, comment="old"), window=HOUR.previous)
    older = bench.push_one("catalog_snapshot", run="r", force="all", window=HOUR.previous)
    assert older.word == "superseded"
    assert len(bench.gateway.requests) == requests


def test_ledger_19_force_never_overrides_too_old(bench: Bench) -> None:
    bench.collect_some("observations", 2)
    requests = len(bench.gateway.requests)
    bench.clock.advance(hours=3)
    assert bench.push_one("observations", force="all").counts == {"too_old": 2}
    assert len(bench.gateway.requests) == requests


def test_ledger_19_force_sends_no_second_volume_point_beside_another_hours(bench: Bench) -> None:
    bench.collect("catalog_snapshot", entries(2))
    bench.push_one("catalog_snapshot")
    bench.collect("observations", observed(2), window=HOUR.previous)
    bench.push("observations", HOUR.previous)
    bench.collect("observations", observed(2, rows=2))
    outcome = bench.push_one("observations", run="forced", force="all")
    assert outcome.counts == {"clock_hour_taken": 2}
