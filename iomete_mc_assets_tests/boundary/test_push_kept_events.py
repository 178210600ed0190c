"""Events held from planning to sending, and those read a second time, are one plan's events."""

from dataclasses import replace
from pathlib import Path

from iomete_mc_assets.manifests.receipts import Ordinals
from iomete_mc_assets.montecarlo.events.event import Event
from iomete_mc_assets.push.candidates import Candidate
from iomete_mc_assets.push.delivery import EventsReadAgain
from iomete_mc_assets.push.plans import KEPT_BYTES, Planned, planned
from iomete_mc_assets.records import QueryRecord
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
            Candidate(ordinal=n, about="q", size=size, digest=event.digest, event=event)
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
    made = kept_of(gateway, tmp_path, [0] * (KEPT_BYTES // 400))
    assert 0 < len(made.kept) < KEPT_BYTES // 400


def test_what_was_kept_is_let_go_and_nothing_else_is_read_for_it() -> None:
    kept = {n: Event.of(f"q{n}", b"kept") for n in (0, 2)}
    lines = iter([(3, b"other"), (4, b"4"), (5, b"5")])
    source = EventsReadAgain(lines, lambda line: Event.of("q", line), kept=kept)
    assert [event.body for event in source.take(Ordinals.of([0])).values()] == [b"kept"]
    assert list(kept) == [2]
    taken = source.take(Ordinals.of([2, 4]))
    assert [(n, event.body) for n, event in taken.items()] == [(2, b"kept"), (4, b"4")]
    assert next(lines) == (5, b"5")
