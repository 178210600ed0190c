"""Events held from planning to sending, and those read a second time, are one plan's events."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from iomete_mc_assets.manifests.receipts import Ordinals, PlannedBatch
from iomete_mc_assets.montecarlo.events.event import Event
from iomete_mc_assets.push.batches import digest_of
from iomete_mc_assets.push.candidates import Candidate
from iomete_mc_assets.push.delivery import BodiesReadAgain, PlanOutdated
from iomete_mc_assets.push.plans import KEPT_BYTES, Planned, planned
from iomete_mc_assets.push.query_logs import QueryRules
from iomete_mc_assets.records import QueryRecord
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets_tests.push_bench import HOUR, Bench, queries

TEXT_BYTES = 90_000
MANY = KEPT_BYTES // TEXT_BYTES + 40
"""So many texts are more than is held, by some batches of ten."""


def test_an_hour_of_more_than_is_held_goes_once_and_as_it_is(
    gateway: Gateway, tmp_path: Path
) -> None:
    bench = Bench(gateway, str(tmp_path))
    text = "x" * TEXT_BYTES
    records = [
        replace(query, text=text) for query in queries(MANY) if isinstance(query, QueryRecord)
    ]
    manifest_id = bench.collect("query_logs", records)
    header = bench.store.header("query_logs", HOUR, manifest_id)
    assert len(header.parts) > 1  # the first holds nothing that is read again
    outcome = bench.push_one("query_logs")
    assert outcome.counts == {"accepted": MANY}
    assert sorted(bench.accepted_keys()) == [query.query_id for query in records]
    assert {event.content["query_text"] for event in gateway.events()} == {text}
    assert [g.number for g in bench.sent("query_logs", manifest_id).generations()] == [1]


def kept_of(gateway: Gateway, tmp_path: Path, sizes: list[int]) -> Planned:
    """A plan of events said to be of these sizes."""
    bench = Bench(gateway, str(tmp_path))
    manifest_id = bench.collect("query_logs", queries(1))
    event = Event.of("q", b"{}")
    return planned(
        [
            Candidate(ordinal=n, about="q", size=size, digest=event.digest, body=event.body)
            for n, size in enumerate(sizes)
        ],
        header=bench.store.header("query_logs", HOUR, manifest_id),
        generation=1,
        config=bench.config,
        run_id="run-1",
        at=bench.clock.now(),
    )


def test_what_is_held_is_bounded_and_without_a_gap(gateway: Gateway, tmp_path: Path) -> None:
    third = KEPT_BYTES // 3
    assert list(kept_of(gateway, tmp_path, [third, third, third, 10, 10]).kept) == [0, 1]


def test_many_small_events_count_as_what_they_take(gateway: Gateway, tmp_path: Path) -> None:
    made = kept_of(gateway, tmp_path, [0] * (KEPT_BYTES // 150))
    assert 0 < len(made.kept) < KEPT_BYTES // 150


def batch_of(bodies: dict[int, bytes]) -> PlannedBatch:
    return PlannedBatch(
        ordinals=Ordinals.of(bodies),
        events=len(bodies),
        bytes=0,
        digest=digest_of(Event.of("q", body).digest for body in bodies.values()),
    )


def test_what_was_kept_is_let_go_and_nothing_else_is_read_for_it() -> None:
    kept = {0: b"kept", 2: b"kept"}
    lines = iter([(3, b"other"), (4, b"4"), (5, b"5")])
    source = BodiesReadAgain(lines, bytes, kept=kept)
    first, second = {0: b"kept"}, {2: b"kept", 4: b"4"}
    assert source.take(batch_of(first)) == first
    assert list(kept) == [2]
    assert source.take(batch_of(second)) == second
    assert next(lines) == (5, b"5")


def test_records_that_give_other_bytes_than_were_planned_are_not_taken() -> None:
    planned_before = batch_of({0: b"as it was"})
    with pytest.raises(PlanOutdated):
        BodiesReadAgain(iter([(0, b"other")]), bytes).take(planned_before)


def test_a_receipt_has_the_digest_of_what_it_is_of(gateway: Gateway, tmp_path: Path) -> None:
    bench = Bench(gateway, str(tmp_path))
    manifest_id = bench.collect("query_logs", queries(25))
    gateway.script(faults.answers(413))
    assert bench.push_one("query_logs").counts == {"accepted": 25}
    bodies = [
        QueryRules(max_event_bytes=10**6).body(line)
        for line in bench.store.lines(bench.store.header("query_logs", HOUR, manifest_id))
    ]
    (generation,) = bench.sent("query_logs", manifest_id).generations()
    receipts = generation.receipts()
    assert len(receipts) > 2  # halves among them
    for receipt in receipts:
        sent = [hashlib.sha256(bodies[n]).hexdigest() for n in receipt.ordinals]
        assert receipt.digest == hashlib.sha256(bytes.fromhex("".join(sent))).hexdigest()
