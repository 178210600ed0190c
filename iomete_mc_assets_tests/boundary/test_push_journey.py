"""Whole pushes: a real store, real pycarlo, a real socket."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from iomete_mc_assets.errors import (
    BudgetSpent,
    LedgerBusy,
    Misconfigured,
    NotAccepted,
    OutcomeUnknown,
)
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.receipts import DOUBTS_VERSION, Doubt, Doubts
from iomete_mc_assets.push.ledger import Owner
from iomete_mc_assets.push.outcome import HourOutcome
from iomete_mc_assets.push.policy import MAX_BISECTING_POSTS, MAX_SENDS_IN_DOUBT
from iomete_mc_assets.push.pusher import Pusher
from iomete_mc_assets.records import TableId
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets_tests.push_bench import HOUR, Bench, entries, observed, queries
from iomete_mc_assets_tests.secrets_search import secrets_in


@pytest.fixture
def bench(gateway: Gateway, store_root: str) -> Bench:
    return Bench(gateway, store_root)


def test_a_catalog_an_hour_of_observations_and_one_of_queries_arrive_with_their_ids(
    bench: Bench,
) -> None:
    bench.collect("catalog_snapshot", entries(25))
    bench.collect("observations", observed(25))
    bench.collect("query_logs", queries(33))
    expected: dict[Flow, tuple[int, int]] = {
        "catalog_snapshot": (25, 3),
        "observations": (25, 3),
        "query_logs": (33, 4),
    }
    for flow, (events, batches) in expected.items():
        outcome = bench.push_one(flow)
        assert (outcome.word, outcome.counts) == ("pushed", {"accepted": events})
        assert (len(outcome.invocation_ids), outcome.batches) == (batches, batches)
        accepted = [
            e for i in outcome.invocation_ids for e in bench.gateway.events(invocation_id=i)
        ]
        assert len(accepted) == events
    assert bench.gateway.duplicate_query_ids() == {}
    assert sum(request.accepted for request in bench.gateway.requests) == 10


def test_settled_is_read_back_without_a_request(bench: Bench) -> None:
    bench.collect("query_logs", queries(3))
    first = bench.push_one("query_logs")
    again = bench.push_one("query_logs", run="run-2")
    assert (again.invocation_ids, again.settled_at) == (first.invocation_ids, first.settled_at)
    assert (first.reused, again.reused) == (False, True)
    assert len(bench.gateway.requests) == 1


def test_an_unknown_hour_settles_without_a_request(bench: Bench) -> None:
    for flow in ("catalog_snapshot", "observations", "query_logs"):
        bench.collect(flow, [], state="unknown")
        outcome = bench.push_one(flow)
        assert (outcome.word, outcome.counts, outcome.reason) == (
            "nothing_to_send",
            {},
            "it is unknown",
        )
    assert bench.gateway.requests == ()


@pytest.mark.parametrize("flow", ["catalog_snapshot", "query_logs"])
def test_why_a_known_hour_was_collected_in_part_is_no_reason_of_its_push(
    bench: Bench, flow: Flow
) -> None:
    records = queries(2) if flow == "query_logs" else entries(2)
    bench.collect(flow, records, state="partial")
    outcome = bench.push_one(flow)
    assert (outcome.word, outcome.reason) == ("pushed", None)
    (preview,) = bench.dry_run(flow).values()
    assert preview.reason == "settled before: pushed"


def test_rule_6_no_events_are_no_request(bench: Bench) -> None:
    bench.collect("query_logs", [])
    assert bench.push_one("query_logs").word == "nothing_to_send"
    assert bench.gateway.requests == ()


def test_rule_7_a_413_is_halved_until_it_fits(bench: Bench) -> None:
    bench.collect("query_logs", queries(8))
    bench.gateway.script(faults.answers(413), faults.answers(413))
    outcome = bench.push_one("query_logs")
    assert outcome.counts == {"accepted": 8}
    assert sorted(bench.accepted_keys()) == [f"q{n:04d}" for n in range(8)]
    assert len(bench.gateway.requests) == 5  # 8, 4, 4, 2, 2


def test_rule_7_a_single_event_that_is_too_large_blocks_nothing(bench: Bench) -> None:
    bench.configure(max_queries=1)
    bench.collect("query_logs", queries(3))
    bench.gateway.rule(faults.answers(413), nth=1)
    outcome = bench.push_one("query_logs")
    assert (outcome.word, outcome.counts) == ("partly_refused", {"accepted": 2, "refused": 1})


def test_rule_8_a_400_is_bisected_and_the_same_bytes_are_never_posted_again(bench: Bench) -> None:
    poisoned = queries(30)
    bench.collect("query_logs", poisoned)
    bench.gateway.rule(faults.answers(400, '{"error": "no", "details": {"q": ["bad"]}}'), nth=2)
    outcome = bench.push_one("query_logs")
    assert outcome.counts == {"accepted": 30}
    assert len(bench.gateway.bodies) == len(set(bench.gateway.bodies)) == 5


def test_rule_8_a_refused_half_of_what_was_too_large_is_halved_by_the_next_run_too(
    bench: Bench,
) -> None:
    bench.configure(max_queries=3)
    bench.collect("query_logs", queries(3))
    for number, status in enumerate((413, 400, 202, 401), start=1):
        if status != 202:
            bench.gateway.rule(faults.answers(status), nth=number)
    assert isinstance(bench.push("query_logs")[HOUR], Misconfigured)
    statuses = [request.status for request in bench.gateway.requests]
    assert statuses == [413, 400, 202, 401]
    bench.gateway.clear()
    assert bench.push_one("query_logs", run="run-2").counts == {"accepted": 3}
    assert bench.gateway.bodies.count(bench.gateway.bodies[statuses.index(400)]) == 1


@pytest.mark.parametrize("flow", ["catalog_snapshot", "query_logs"])
def test_rule_8_a_refused_event_is_not_posted_again_when_its_run_ends_before_anything_was_accepted(
    bench: Bench, flow: Flow
) -> None:
    bench.configure(max_queries=1, max_assets=1)
    manifest_id = bench.collect_some(flow, 5)
    bench.gateway.rule(faults.answers(400), nth=1)
    bench.gateway.rule(faults.answers(503))
    assert isinstance(bench.push(flow)[HOUR], NotAccepted)
    statuses = [request.status for request in bench.gateway.requests]
    refused = bench.gateway.bodies[statuses.index(400)]
    (refusal,) = bench.sent(flow, manifest_id).generation(1).refusals()
    assert (refusal.status, refusal.bytes, refusal.attempts) == (400, len(refused), 1)
    bench.gateway.clear()
    assert bench.push_one(flow, run="run-2").counts == {"accepted": 4, "refused": 1}
    assert bench.gateway.bodies.count(refused) == 1


def test_ledger_16_when_the_first_three_batches_are_refused_it_looks_like_configuration(
    bench: Bench,
) -> None:
    manifest_id = bench.collect("query_logs", queries(60))
    bench.gateway.rule(faults.answers(400))
    answer = bench.push("query_logs")[HOUR]
    assert isinstance(answer, Misconfigured)
    assert "MCD_RESOURCE_TYPE" in str(answer)
    assert 3 <= len(bench.gateway.requests) <= 6
    assert bench.sent("query_logs", manifest_id).settled() is None
    bench.gateway.clear()
    outcome = bench.push_one("query_logs", run="run-2")
    assert outcome.counts == {"accepted": 60}


@pytest.mark.parametrize("then", [400, 401])
def test_ledger_16_single_events_that_configuration_may_have_had_refused_go_again(
    bench: Bench, then: int
) -> None:
    bench.configure(max_queries=1)
    manifest_id = bench.collect("query_logs", queries(5))
    bench.gateway.rule(faults.answers(400), nth=1)
    bench.gateway.rule(faults.answers(400), nth=2)
    bench.gateway.rule(faults.answers(then))
    assert isinstance(bench.push("query_logs")[HOUR], Misconfigured)
    generation = bench.sent("query_logs", manifest_id).generation(1)
    assert generation.refusals() == []
    (doubts,) = generation.doubts()
    assert (doubts.sending, doubts.held) == (False, ())
    bench.gateway.clear()
    assert bench.push_one("query_logs", run="run-2").counts == {"accepted": 5}


@pytest.mark.parametrize("status", [401, 403, 404])
def test_rule_9_a_401_is_one_post_a_connection_and_stops_the_push(
    bench: Bench, status: int
) -> None:
    older = HOUR.previous
    bench.collect("query_logs", queries(60))
    bench.collect("query_logs", queries(5, first=100, window=older), window=older)
    bench.gateway.rule(faults.answers(status))
    answers = bench.push("query_logs")
    assert all(isinstance(answer, Misconfigured) for answer in answers.values())
    assert list(answers) == [HOUR, older]
    assert len(bench.gateway.requests) <= 4


def test_rule_10_a_429_waits_as_told_and_goes_again(bench: Bench) -> None:
    bench.collect("query_logs", queries(3))
    bench.gateway.script(faults.answers(429, retry_after=7), faults.answers(429))
    outcome = bench.push_one("query_logs")
    assert (outcome.attempts, outcome.counts) == (3, {"accepted": 3})
    assert bench.clock.waits == [7.0, 2.0]


@pytest.mark.parametrize(
    "told", ["inf", "1e300", "1000000000000", "9999", "Fri, 31 Dec 9999 23:59:59 -2359"]
)
def test_rule_10_told_to_wait_beyond_its_time_a_push_ends_with_nothing_in_doubt(
    bench: Bench, told: str
) -> None:
    manifest_id = bench.collect_some("observations", 5)
    requests = len(bench.gateway.requests)
    bench.gateway.script(faults.answers(429, retry_after=told))
    assert isinstance(bench.push("observations")[HOUR], BudgetSpent)
    assert len(bench.gateway.requests) == requests + 1
    (doubts,) = bench.sent("observations", manifest_id).generation(1).doubts()
    assert (doubts.sending, doubts.pieces) == (False, ())
    assert bench.push_one("observations", run="run-2").counts == {"accepted": 5}


def test_rule_11_three_transient_failures_in_a_row_stop_the_run(bench: Bench) -> None:
    older = HOUR.previous
    bench.collect("query_logs", queries(3))
    bench.collect("query_logs", queries(3, first=50, window=older), window=older)
    bench.gateway.rule(faults.answers(503))
    answers = bench.push("query_logs")
    assert all(isinstance(answer, NotAccepted) for answer in answers.values())
    assert len(bench.gateway.requests) == 3
    bench.gateway.clear()
    settled = bench.push("query_logs", run="run-2")
    assert [a.word for a in settled.values() if isinstance(a, HourOutcome)] == ["pushed", "pushed"]


def test_rule_12_a_gateway_that_is_down_is_named_and_everything_goes_when_it_is_back(
    bench: Bench,
) -> None:
    bench.collect("query_logs", queries(3))
    ingest = bench.ingest
    bench.ingest = unreachable = _Unreachable()
    answer = bench.push("query_logs")[HOUR]
    assert isinstance(answer, NotAccepted)
    assert unreachable.sends == 3
    bench.ingest = ingest
    assert bench.push_one("query_logs", run="run-2").counts == {"accepted": 3}


class _Unreachable:
    """Nobody listens."""

    def __init__(self) -> None:
        self.sends = 0

    def send(self, outgoing: object) -> str:  # noqa: ARG002
        self.sends += 1
        msg = "refused"
        raise NotAccepted(msg)


def test_rule_17_a_resumed_push_sends_only_what_was_not_accepted(bench: Bench) -> None:
    bench.collect("query_logs", queries(50))
    bench.gateway.rule(faults.answers(401), nth=3)
    assert isinstance(bench.push("query_logs")[HOUR], Misconfigured)
    bench.configure(max_queries=7)  # a plan is stable: settings are read when planning
    outcome = bench.push_one("query_logs", run="run-2")
    assert (outcome.counts, outcome.batches) == ({"accepted": 50}, 5)
    assert sorted(bench.accepted_keys()) == [f"q{n:04d}" for n in range(50)]


def test_rule_18_an_unanswered_batch_goes_again_with_the_same_bytes(bench: Bench) -> None:
    manifest_id = bench.collect("query_logs", queries(5))
    bench.gateway.script(faults.accept_then_reset)
    outcome = bench.push_one("query_logs")
    assert outcome.word == "pushed"
    assert bench.gateway.bodies[0] == bench.gateway.bodies[1]
    (doubts,) = bench.sent("query_logs", manifest_id).generation(1).doubts()
    assert [doubt.sends for doubt in doubts.pieces] == [1]


def test_ledger_17_after_three_sends_without_an_answer_a_batch_settles_in_doubt(
    bench: Bench,
) -> None:
    bench.collect("query_logs", queries(5))
    bench.gateway.rule(faults.accept_then_nothing)
    answer = bench.push("query_logs")[HOUR]
    assert isinstance(answer, OutcomeUnknown)
    assert len(bench.gateway.requests) == 3
    outcome = bench.push_one("query_logs", run="run-2")
    assert (outcome.word, outcome.counts) == ("in_doubt", {"in_doubt": 5})
    assert len(bench.gateway.requests) == 3


def test_ledger_17_an_observation_in_doubt_is_not_repeated_and_counts_as_sent_in_its_clock_hour(
    bench: Bench,
) -> None:
    bench.collect("catalog_snapshot", entries(5))
    bench.push_one("catalog_snapshot")
    bench.collect("observations", observed(5))
    bench.gateway.script(faults.accept_then_reset)
    assert bench.push_one("observations").counts == {"in_doubt": 5}
    later = HOUR.next
    bench.collect("observations", observed(5, rows=2), window=later)
    outcome = bench.push_one("observations", run="run-2", window=later)
    assert outcome.counts == {"clock_hour_taken": 5}
    assert [measured.volume for measured in bench.gateway.measured()] == [1] * 5


def test_rule_39_at_most_four_are_in_flight_and_ids_stand_in_the_order_of_batches(
    bench: Bench,
) -> None:
    bench.collect("query_logs", queries(100))
    bench.gateway.rule(faults.after(200))
    outcome = bench.push_one("query_logs")
    in_flight = [request.in_flight for request in bench.gateway.requests]
    assert max(in_flight) == 4
    first_of = {
        event.invocation_id: event.content["query_id"] for event in reversed(bench.gateway.events())
    }
    firsts = [first_of[invocation_id] for invocation_id in outcome.invocation_ids]
    assert firsts == sorted(firsts)
    assert len(firsts) == 10


def test_rule_19_a_query_that_two_manifests_of_an_hour_hold_goes_once(bench: Bench) -> None:
    bench.collect("query_logs", queries(5), state="partial")
    bench.collect("query_logs", queries(8))
    outcome = bench.push_one("query_logs")
    assert outcome.counts == {"accepted": 3, "accepted_before": 5}
    assert sorted(bench.accepted_keys()) == [f"q{n:04d}" for n in range(8)]


def test_ledger_14_a_manifest_that_was_never_pushed_is_settled_with_its_hour(
    bench: Bench,
) -> None:
    older = bench.collect("query_logs", queries(5), state="partial")
    bench.collect("query_logs", queries(3, first=3), state="partial")
    bench.push_one("query_logs")
    settled = bench.sent("query_logs", older).settled()
    assert settled is not None
    assert settled.counts == {"accepted": 5}
    assert sorted(bench.accepted_keys()) == [f"q{n:04d}" for n in range(6)]


def test_ledger_9_only_the_newest_known_hour_goes_and_the_others_show_what_took_their_place(
    bench: Bench,
) -> None:
    hours = [HOUR.previous.previous, HOUR.previous, HOUR]
    for number, window in enumerate(hours):
        bench.collect("catalog_snapshot", entries(4, comment=f"hour {number}"), window=window)
    bench.collect("catalog_snapshot", [], window=HOUR.next, state="unknown")
    answers = bench.push("catalog_snapshot")
    words = {w.key: a.word for w, a in answers.items() if isinstance(a, HourOutcome)}
    assert list(words.values()) == ["nothing_to_send", "pushed", "superseded", "superseded"]
    newest, older = answers[HOUR], answers[hours[0]]
    assert isinstance(newest, HourOutcome)
    assert isinstance(older, HourOutcome)
    assert older.counts == {"superseded": 4}
    assert older.superseded_by is not None
    assert older.superseded_by.window == HOUR
    assert older.superseded_by.invocation_ids == newest.invocation_ids
    assert len(bench.gateway.requests) == 1


def test_ledger_9_a_manifest_that_its_own_hour_no_longer_names_is_superseded(bench: Bench) -> None:
    old = bench.collect("catalog_snapshot", entries(4, comment="old"))
    new = bench.collect("catalog_snapshot", entries(4, comment="new"))
    answer = bench.push("catalog_snapshot", manifests={HOUR: old})[HOUR]
    assert isinstance(answer, HourOutcome)
    assert answer.superseded_by is not None
    assert answer.superseded_by.manifest_id == new
    assert bench.gateway.requests == ()


def test_ledger_9_a_setting_sends_superseded_hours_too(bench: Bench) -> None:
    bench.configure(send_superseded=True)
    for window in (HOUR.previous, HOUR):
        bench.collect("catalog_snapshot", entries(2, comment=window.key), window=window)
    answers = bench.push("catalog_snapshot")
    assert [a.word for a in answers.values() if isinstance(a, HourOutcome)] == ["pushed", "pushed"]


def test_ledger_10_an_old_hour_of_observations_is_too_old(bench: Bench) -> None:
    bench.collect("catalog_snapshot", entries(2))
    bench.push_one("catalog_snapshot")
    bench.collect("observations", observed(2))
    bench.clock.advance(hours=3)
    assert bench.push_one("observations").counts == {"too_old": 2}
    assert len(bench.gateway.requests) == 1


def test_ledger_10_a_table_gets_one_volume_point_in_a_clock_hour(bench: Bench) -> None:
    bench.collect("catalog_snapshot", entries(3))
    bench.push_one("catalog_snapshot")
    bench.collect("observations", observed(3), window=HOUR.previous)
    bench.push("observations", HOUR.previous)
    bench.collect("observations", observed(3, rows=2))
    assert bench.push_one("observations").counts == {"clock_hour_taken": 3}
    bench.clock.advance(hours=1)
    bench.collect("observations", observed(3, rows=3), window=HOUR.next)
    assert bench.push_one("observations", window=HOUR.next).counts == {"accepted": 3}


def test_ledger_11_an_observation_waits_for_its_catalog_entry_and_no_push_waits(
    bench: Bench,
) -> None:
    bench.collect("catalog_snapshot", entries(2))
    bench.push_one("catalog_snapshot")
    bench.collect("observations", observed(3))
    assert bench.push_one("observations").counts == {"accepted": 2, "no_catalog_entry": 1}


def test_ledger_12_an_unchanged_entry_goes_once_a_day_and_a_changed_one_at_once(
    bench: Bench,
) -> None:
    bench.collect("catalog_snapshot", entries(4))
    bench.push_one("catalog_snapshot")
    bench.clock.advance(hours=1)
    bench.collect(
        "catalog_snapshot",
        [*entries(3), *entries(4, comment="new")[3:]],
        window=HOUR.next,
    )
    outcome = bench.push_one("catalog_snapshot", window=HOUR.next)
    assert outcome.counts == {"accepted": 1, "accepted_before": 3}
    requests = len(bench.gateway.requests)
    bench.collect(
        "catalog_snapshot",
        [*entries(3), *entries(4, comment="new")[3:]][::-1],
        window=HOUR.next.next,
    )
    unchanged = bench.push_one("catalog_snapshot", window=HOUR.next.next)
    assert (unchanged.word, len(bench.gateway.requests)) == ("nothing_to_send", requests)
    bench.clock.advance(days=1)
    bench.collect("catalog_snapshot", entries(4), window=HOUR.next.next.next)
    assert bench.push_one("catalog_snapshot", window=HOUR.next.next.next).counts == {"accepted": 4}


def test_ledger_12_a_table_created_again_goes_again(bench: Bench) -> None:
    bench.collect("catalog_snapshot", entries(3))
    bench.push_one("catalog_snapshot")
    bench.collect("catalog_snapshot", entries(2), window=HOUR.next)
    bench.push_one("catalog_snapshot", window=HOUR.next)
    last = HOUR.next.next
    bench.collect("catalog_snapshot", entries(3), window=last)
    outcome = bench.push_one("catalog_snapshot", window=last)
    assert outcome.counts == {"accepted": 1, "accepted_before": 2}


def test_ledger_21_an_unreadable_head_stops_the_push(bench: Bench) -> None:
    bench.collect("catalog_snapshot", entries(3))
    bench.push_one("catalog_snapshot")
    folder = f"catalog_snapshot/ledger/{bench.config.destination.id}"
    bench.storage.write(f"{folder}/{bench.storage.names(folder)[-1]}", b'{"schema_version": 99}')
    bench.collect("catalog_snapshot", entries(4), window=HOUR.next)
    assert isinstance(bench.push("catalog_snapshot", HOUR.next)[HOUR.next], LedgerBusy)
    assert len(bench.gateway.requests) == 1


def test_ledger_22_an_open_plan_is_folded_and_superseded_by_the_newer_hour(bench: Bench) -> None:
    old = bench.collect("catalog_snapshot", entries(30))
    bench.gateway.rule(faults.answers(401), nth=2)
    bench.push("catalog_snapshot")
    bench.gateway.clear()
    accepted = len(bench.accepted_keys())
    assert 0 < accepted < 30
    bench.collect("catalog_snapshot", entries(30), window=HOUR.next)
    outcome = bench.push_one("catalog_snapshot", run="run-2", window=HOUR.next)
    assert outcome.counts == {"accepted": 30 - accepted, "accepted_before": accepted}
    settled = bench.sent("catalog_snapshot", old).settled()
    assert settled is not None
    assert settled.counts == {"accepted": accepted, "superseded": 30 - accepted}
    assert len(set(bench.accepted_keys())) == len(bench.accepted_keys()) == 30


def test_ledger_23_no_request_starts_after_the_runs_deadline(bench: Bench) -> None:
    bench.collect("query_logs", queries(30))
    bench.configure(run_budget_s=5)
    bench.gateway.script(faults.answers(429, retry_after=6))
    bench.gateway.rule(faults.answers(429, retry_after=6))
    assert isinstance(bench.push("query_logs")[HOUR], BudgetSpent)
    assert len(bench.gateway.requests) <= 4


def test_ledger_23_an_hour_that_takes_too_long_leaves_the_others_their_time(bench: Bench) -> None:
    older = HOUR.previous
    bench.collect("query_logs", queries(3))
    bench.collect("query_logs", queries(3, first=50, window=older), window=older)
    bench.gateway.script(faults.answers(429, retry_after=400))
    answers = bench.push("query_logs")
    assert isinstance(answers[HOUR], BudgetSpent)
    assert isinstance(answers[older], HourOutcome)


def test_a_second_destination_starts_with_an_empty_ledger(bench: Bench) -> None:
    bench.collect("query_logs", queries(3))
    bench.push_one("query_logs")
    bench.configure(destination=replace(bench.config.destination, naming="hive"))
    answer = bench.push("query_logs")[HOUR]
    assert isinstance(answer, HourOutcome)
    assert (answer.reused, len(bench.gateway.requests)) == (False, 2)


def test_records_that_are_not_sent_are_counted_so_that_the_sum_is_the_manifest(
    bench: Bench,
) -> None:
    bench.collect("catalog_snapshot", entries(4))
    bench.push_one("catalog_snapshot")
    first, second, third, fourth = observed(4)
    bench.collect(
        "observations",
        [
            first,
            _with(second, carried_from="m000"),
            _with(third, row_count=None, byte_count=None),
            _with(fourth, last_data_change=bench.clock.now() + timedelta(hours=1)),
        ],
    )
    outcome = bench.push_one("observations")
    assert outcome.counts == {"accepted": 2, "carried": 1, "nothing_known": 1}
    assert outcome.notes == {"freshness_left_out": 1}


def _with(record: object, **changes: object) -> Any:
    return replace(record, **changes)  # pyright: ignore[reportArgumentType, reportUnknownVariableType, reportCallIssue] - by name


def test_rule_40_a_dry_run_tells_the_sizes_of_the_requests_and_sends_and_writes_nothing(
    bench: Bench,
) -> None:
    bench.collect("catalog_snapshot", entries(4), window=HOUR.previous)
    bench.collect("catalog_snapshot", entries(25))
    bench.collect("query_logs", queries(12))
    before = bench.files()
    previews = {flow: bench.dry_run(flow) for flow in PATHS}
    assert bench.files() == before
    assert bench.gateway.requests == ()
    superseded, newest = (previews["catalog_snapshot"][w] for w in (HOUR.previous, HOUR))
    assert (superseded.requests, newest.counts) == ((), {"to_send": 25})
    assert "newer" in str(superseded.reason)
    for flow, path in PATHS.items():
        bench.push_one(flow)
        sizes = [size for _, size in previews[flow][HOUR].requests]
        requests = [r for r in bench.gateway.requests if r.path.endswith(path)]
        assert sorted(sizes) == sorted(request.body_bytes for request in requests)
    again = bench.dry_run("query_logs")[HOUR]
    assert (again.requests, again.reason) == ((), "settled before: pushed")
    assert again.counts == {"accepted": 12}


@pytest.mark.parametrize("flow", ["catalog_snapshot", "query_logs"])
def test_rule_40_a_dry_run_of_a_push_that_broke_off_tells_the_sizes_of_the_rest(
    bench: Bench, flow: Flow
) -> None:
    bench.collect(flow, queries(30) if flow == "query_logs" else entries(30))
    bench.gateway.rule(faults.accept, nth=1)
    bench.gateway.rule(faults.answers(400), nth=2)
    bench.gateway.rule(faults.answers(401))
    bench.push(flow)
    bench.gateway.clear()
    ((preview, outcome),) = bench.foretold(flow, run="run-2").values()
    assert sorted(events for events, _ in preview.requests) == [5, 5, 10]
    assert preview.counts == {"accepted": 10, "to_send": 20}
    assert outcome.counts == {"accepted": 30}


@pytest.mark.parametrize("flow", ["catalog_snapshot", "query_logs"])
def test_rule_40_a_dry_run_passes_over_what_was_sent_as_often_as_it_may(
    bench: Bench, flow: Flow
) -> None:
    manifest_id = bench.collect(flow, queries(30) if flow == "query_logs" else entries(30))
    bench.gateway.rule(faults.answers(401))
    bench.push(flow)
    bench.gateway.clear()
    generation = bench.sent(flow, manifest_id).generation(1)
    plan = generation.plan()
    assert plan is not None
    given_up = Doubt(
        ordinals=plan.batches[0].ordinals,
        sends=MAX_SENDS_IN_DOUBT,
        last_at=bench.clock.now(),
        reason="no answer",
    )
    before = Doubts(
        schema_version=DOUBTS_VERSION, run_id="before", sending=False, pieces=(given_up,)
    )
    generation.write_doubts(before)
    ((preview, outcome),) = bench.foretold(flow, run="last").values()
    assert preview.counts == {"in_doubt": 10, "to_send": 20}
    assert outcome.counts == {"in_doubt": 10, "accepted": 20}


@pytest.mark.parametrize("store_root", ["local"], indirect=True)
def test_rule_40_a_dry_run_of_an_outdated_plan_tells_what_goes_instead(bench: Bench) -> None:
    manifest_id = bench.collect("query_logs", queries(30))
    bench.gateway.rule(faults.accept, nth=1)
    bench.gateway.rule(faults.answers(400), nth=2)
    bench.gateway.rule(faults.answers(401))
    bench.push("query_logs")
    bench.gateway.clear()
    generation = bench.sent("query_logs", manifest_id).generation(1)
    plan = generation.plan()
    assert plan is not None
    outdated = tuple(replace(batch, digest="00" * 32) for batch in plan.batches)
    generation.write_plan(replace(plan, batches=outdated))
    ((preview, outcome),) = bench.foretold("query_logs", run="run-2").values()
    assert preview.counts == {"accepted": 10, "to_send": 20}
    assert outcome.counts == {"accepted": 30}


PATHS: dict[Flow, str] = {"catalog_snapshot": "/metadata", "query_logs": "/querylogs"}


def test_of_two_tables_with_one_name_the_first_goes_and_the_other_is_listed(bench: Bench) -> None:
    (plain,) = entries(1)
    upper = _with(plain, table=TableId("spark_catalog", ("sales",), "T000"))
    manifest_id = bench.collect("catalog_snapshot", [plain, upper])
    outcome = bench.push_one("catalog_snapshot")
    assert outcome.counts == {"accepted": 1, "name_taken": 1}
    assert bench.accepted_keys() == ["T000"]
    settled = bench.sent("catalog_snapshot", manifest_id).settled()
    assert settled is not None
    (left_out,) = settled.left_out_sample
    assert (left_out.about, left_out.status) == ("spark_catalog.sales.t000", "name_taken")
    assert "spark_catalog.sales.T000" in left_out.reason


def test_ledger_15_a_refused_entry_is_skipped_until_it_changes(bench: Bench) -> None:
    bench.configure(max_assets=1)
    bench.collect("catalog_snapshot", entries(3))
    bench.gateway.rule(faults.answers(400), nth=2)
    assert bench.push_one("catalog_snapshot").counts == {"accepted": 2, "refused": 1}
    bench.gateway.clear()
    bench.clock.advance(days=1)
    bench.collect("catalog_snapshot", entries(3), window=HOUR.next)
    outcome = bench.push_one("catalog_snapshot", window=HOUR.next)
    assert (outcome.word, outcome.counts) == ("partly_refused", {"accepted": 2, "refused": 1})
    bench.collect("catalog_snapshot", entries(3, comment="new"), window=HOUR.next.next)
    last = bench.push_one("catalog_snapshot", window=HOUR.next.next)
    assert last.counts == {"accepted": 3}


def test_ledger_20_when_events_are_built_otherwise_the_rest_is_planned_anew(bench: Bench) -> None:
    manifest_id = bench.collect("query_logs", queries(50))
    bench.gateway.rule(faults.answers(401), nth=3)
    bench.push("query_logs")
    bench.gateway.clear()
    accepted = len(bench.accepted_keys())
    generation = bench.sent("query_logs", manifest_id).generation(1)
    plan = generation.plan()
    assert plan is not None
    outdated = tuple(replace(batch, digest="00" * 32) for batch in plan.batches)
    generation.write_plan(replace(plan, batches=outdated))
    outcome = bench.push_one("query_logs", run="run-2")
    assert outcome.counts == {"accepted": 50}
    assert sorted(bench.accepted_keys()) == [f"q{n:04d}" for n in range(50)]
    second = bench.sent("query_logs", manifest_id).generation(2).plan()
    assert second is not None
    assert sum(batch.events for batch in second.batches) == 50 - accepted


def test_rule_36_no_file_and_no_error_holds_the_key(bench: Bench) -> None:
    bench.collect("query_logs", queries(30))
    bench.gateway.script(faults.answers(500), faults.answers(400))
    answers = bench.push("query_logs")
    bench.collect("query_logs", queries(3, window=HOUR.next), window=HOUR.next)
    bench.gateway.rule(faults.answers(403, f'{{"error": "who is {bench.gateway.key_secret}"}}'))
    answers |= bench.push("query_logs", HOUR.next, run="run-2")
    files = b"".join(bench.files().values())
    shown = files.decode("latin-1") + "".join(map(repr, answers.values()))
    assert not secrets_in(shown, [bench.gateway.key_secret])


@pytest.mark.parametrize("store_root", ["local"], indirect=True)  # 240 posts, the same anywhere
def test_ledger_15_what_the_budget_does_not_isolate_is_refused_as_it_is(bench: Bench) -> None:
    older = HOUR.previous
    bench.collect("query_logs", queries(1))
    bench.collect("query_logs", queries(410, first=1, window=older), window=older)
    bench.gateway.rule(faults.accept, nth=1)
    bench.gateway.rule(faults.answers(400))
    outcome = bench.push("query_logs")[older]
    assert isinstance(outcome, HourOutcome)
    assert (outcome.word, outcome.counts) == ("refused", {"refused": 410})
    assert len(bench.gateway.requests) == 1 + 41 + MAX_BISECTING_POSTS
    assert len(set(bench.gateway.bodies)) == len(bench.gateway.bodies)
    bench.collect("query_logs", queries(411, first=1, window=older), window=older)
    again = bench.push_one("query_logs", run="run-2", window=older)
    assert again.counts["refused"] >= 410


def test_ledger_12_a_partial_listing_forgets_no_table(bench: Bench) -> None:
    bench.collect("catalog_snapshot", entries(3))
    bench.push_one("catalog_snapshot")
    bench.collect("catalog_snapshot", entries(1), window=HOUR.next, state="partial")
    bench.push_one("catalog_snapshot", window=HOUR.next)
    last = HOUR.next.next
    bench.collect("catalog_snapshot", entries(3), window=last)
    outcome = bench.push_one("catalog_snapshot", window=last)
    assert outcome.counts == {"accepted_before": 3}


def test_an_interrupted_refusal_is_not_final_for_the_events_beside_the_poison(bench: Bench) -> None:
    bench.collect("catalog_snapshot", entries(20))
    bench.gateway.rule(faults.answers(400), nth=1)
    bench.gateway.rule(faults.answers(401), nth=3)
    assert isinstance(bench.push("catalog_snapshot")[HOUR], Misconfigured)
    bench.gateway.clear()
    bench.collect("catalog_snapshot", entries(20), window=HOUR.next)
    outcome = bench.push_one("catalog_snapshot", run="run-2", window=HOUR.next)
    assert outcome.counts == {"accepted": 10, "accepted_before": 10}
    assert len(set(bench.accepted_keys())) == 20


def test_a_pusher_made_of_settings_alone_pushes(bench: Bench) -> None:
    bench.collect("query_logs", queries(3))
    pusher = Pusher.configured(bench.store, bench.environment)
    owner = Owner(run_id="run-1", root_run_id="run-1", is_finished=lambda _: False)
    ((window, answer),) = pusher.push(
        "query_logs", bench.named["query_logs"], named=lambda f: bench.named[f], owner=owner
    )
    assert (window, isinstance(answer, HourOutcome)) == (HOUR, True)
    assert len(bench.gateway.events()) == 3
