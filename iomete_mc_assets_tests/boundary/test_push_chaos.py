"""Runs that die at any write while the gateway answers anything: nothing is lost, and what went twice is on record.

A sequence follows from its seed alone, which stands in the test's id. IOMETE_MC_TEST_CHAOS_SEED moves
all of them: seeds count on from it.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from iomete_mc_assets.errors import IometeMcError, Misconfigured
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.receipts import Generation
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.montecarlo.ingest import Ingest, IngestConfig, Outgoing, PycarloIngest
from iomete_mc_assets.push.delivery import ENDED
from iomete_mc_assets.push.outcome import HourOutcome
from iomete_mc_assets.push.policy import IN_FLIGHT
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets_tests.push_bench import (
    HOUR,
    Bench,
    edges,
    entries,
    observed,
    queries,
    table_entry,
)
from iomete_mc_assets_tests.push_world import FLOWS, Killed, Life, Shelf

FIRST_SEED = int(os.environ.get("IOMETE_MC_TEST_CHAOS_SEED", "0"))
EVENTS = 23
EVENTS_A_BATCH = 3
READ_TIMEOUT_S, TOTAL_TIMEOUT_S = 0.3, 0.4

QUICK = (
    faults.answers(400),
    faults.answers(413),
    faults.answers(429),
    faults.answers(429, retry_after=2),
    faults.answers(500),
    faults.answers(502),
    faults.answers(503),
    faults.answers(504),
    faults.reset,
    faults.accept_then_reset,
    faults.accept_then_cut,
    faults.accept_then_nothing,
    faults.accept_then_no_id,
)
FINAL = (
    faults.answers(401),
    faults.answers(403),
    faults.html_page,
    faults.redirects(302),
    faults.redirects(308),
)
"""After these a run sends nothing more."""
SLOW = (
    faults.hang,
    faults.accept_then_hang,
    faults.drips_body(30),
    faults.drips_headers(30),
    faults.after(30),
)


@dataclass(slots=True)
class MortalIngest:
    """A dead process sends nothing.

    Attributes:
        after_wrong_key: requests begun after an answer that ends the run.
    """

    inner: Ingest
    life: Life
    ended: bool = False
    after_wrong_key: int = 0

    def send(self, outgoing: Outgoing) -> str:
        if self.life.dead:
            self.life.die()
        if self.ended:
            self.after_wrong_key += 1
        try:
            return self.inner.send(outgoing)
        except Misconfigured:
            self.ended = True
            raise


class Sequence:
    """One seed's history of one manifest."""

    def __init__(self, gateway: Gateway, seed: int) -> None:
        self.gateway = gateway
        self.chance = random.Random(seed)  # noqa: S311 - a game
        self.life = Life()
        shelf = Shelf(self.life)
        storage = Storage(shelf, base="manifests", root="shelf://manifests")
        self.bench = Bench(gateway, "", storage=storage)
        self.bench.configure(
            max_assets=EVENTS_A_BATCH, max_queries=EVENTS_A_BATCH, max_edges=EVENTS_A_BATCH
        )
        self.ingest = MortalIngest(self._ingest(), self.life)
        self.bench.ingest = self.ingest
        self.flow: Flow = self.chance.choice(FLOWS)
        self.kills = self.runs = 0
        self.manifest_id = self._collected()
        self.before = len(self.bench.accepted_keys())

    def _ingest(self) -> Ingest:
        return PycarloIngest(
            IngestConfig(
                endpoint=self.gateway.url,
                key_id=self.gateway.key_id,
                key_secret=self.gateway.key_secret,
                read_timeout_s=READ_TIMEOUT_S,
                total_timeout_s=TOTAL_TIMEOUT_S,
            )
        )

    def _collected(self) -> str:
        if self.flow == "query_logs":
            return self.bench.collect(self.flow, queries(EVENTS))
        tables = [*entries(EVENTS), *([table_entry("sink")] if self.flow == "lineage" else [])]
        manifest_id = self.bench.collect("catalog_snapshot", tables)
        if self.flow == "catalog_snapshot":
            return manifest_id
        while isinstance(self._answer("catalog_snapshot"), IometeMcError):
            pass  # a busy machine may let a request time out
        self.bench.clock.advance(minutes=self.bench.config.edge_delay_minutes)
        records = edges(EVENTS) if self.flow == "lineage" else observed(EVENTS)
        return self.bench.collect(self.flow, records)

    def _answer(self, flow: Flow) -> HourOutcome | IometeMcError:
        self.runs += 1
        return self.bench.push(flow, run=f"run-{self.runs}")[HOUR]

    def run(self, script: list[faults.Fault], *, writes: int | None) -> bool:
        """One run through these answers, dying after so many writes; returns whether it ended well."""
        self.gateway.clear()
        self.gateway.script(*script)
        requests, waits = len(self.gateway.requests), len(self.bench.clock.waits)
        began, began_s = self.bench.clock.now(), time.monotonic()
        self.life.dead, self.life.writes_left = False, writes
        self.ingest.ended, self.ingest.after_wrong_key = False, 0
        answer = None
        try:
            answer = self._answer(self.flow)
        except Killed:
            self.kills += 1
        finally:
            self.life.dead, self.life.writes_left = False, None
            self.bench.finished.add(f"run-{self.runs}")
        self.gateway.release()
        self.gateway.wait_until_idle()
        assert (self.bench.clock.now() - began).total_seconds() <= self.bench.config.run_budget_s
        posts = len(self.gateway.requests) - requests
        assert time.monotonic() - began_s < 20 + posts * TOTAL_TIMEOUT_S
        assert len(self.bench.clock.waits) - waits <= posts
        # one each in the other threads, between the answer and the stop
        assert self.ingest.after_wrong_key < IN_FLIGHT
        if isinstance(answer, IometeMcError) and not isinstance(answer, Misconfigured):
            assert posts <= 12 * EVENTS
        return isinstance(answer, HourOutcome)

    def play(self) -> None:
        """Some bad runs, then good ones until the hour is settled."""
        for _ in range(self.chance.randrange(1, 5)):
            writes = self.chance.choice((None, *[self.chance.randrange(16)] * 3))
            if self.run(list(self._script()), writes=writes):
                break
            self.bench.clock.advance(minutes=self.chance.randrange(1, 9))
        for _ in range(6):
            if self.run([], writes=None):
                break
        else:
            pytest.fail("the hour was never settled")

    def _script(self) -> Iterator[faults.Fault]:
        slow_left = 1
        for _ in range(self.chance.randrange(16)):
            draw = self.chance.random()
            if draw < 0.4:
                yield faults.accept
            elif draw < 0.45:
                yield self.chance.choice(FINAL)
            elif draw < 0.5 and slow_left:
                slow_left -= 1
                yield self.chance.choice(SLOW)
            else:
                yield self.chance.choice(QUICK)

    def check(self) -> None:
        """What the disk says is what the gateway knows."""
        sent = self.bench.sent(self.flow, self.manifest_id)
        settled = sent.settled()
        assert settled is not None
        assert sum(settled.counts.values()) == EVENTS, settled.counts
        generations = sent.generations()
        self._check_receipts(generations)
        self._check_repeats(generations)
        accepted = set(self.bench.accepted_keys()[self.before :])
        given_up = settled.counts.get("in_doubt", 0) + settled.counts.get("refused", 0)
        if self.flow == "observations" and self.kills:
            # killed between the fold and the outcome: what was in doubt counts as sent before
            given_up += settled.counts.get("accepted_before", 0)
        assert EVENTS - len(accepted) <= given_up, settled.counts
        assert self.gateway.redirect_hits == 0

    def _check_receipts(self, generations: list[Generation]) -> None:
        taken = {
            request.invocation_id: request.events
            for request in self.gateway.requests
            if request.accepted
        }
        receipts = [receipt for g in generations for receipt in g.receipts()]
        assert {r.invocation_id: len(r.ordinals) for r in receipts}.items() <= taken.items()
        assert len({r.invocation_id for r in receipts}) == len(receipts)

    def _check_repeats(self, generations: list[Generation]) -> None:
        """Each acceptance has its receipt or stands among the doubts."""
        on_record: Counter[int] = Counter()
        for generation in generations:
            for receipt in generation.receipts():
                on_record.update(receipt.ordinals)
            for run in generation.doubts():
                ended = [doubt for doubt in run.pieces if doubt.reason == ENDED]
                assert self.kills or not ended
                assert sum(len(doubt.ordinals) for doubt in ended) <= IN_FLIGHT * EVENTS_A_BATCH
                for doubt in run.pieces:
                    for ordinal in doubt.ordinals:
                        on_record[ordinal] += doubt.sends
        times = Counter(self.bench.accepted_keys()[self.before :])
        for key, count in times.items():
            assert count <= on_record[int(key[1:])], (key, count, on_record)
            assert self.flow != "observations" or count == 1


def survives(gateway: Gateway, seed: int) -> None:
    sequence = Sequence(gateway, seed)
    sequence.play()
    sequence.check()
    requests = len(gateway.requests)
    assert sequence.run([], writes=None)
    assert len(gateway.requests) == requests


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + 40))
def test_whatever_breaks_nothing_is_lost_and_every_repetition_is_on_record(
    gateway: Gateway, seed: int
) -> None:
    survives(gateway, seed)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(FIRST_SEED + 40, FIRST_SEED + 540))
def test_whatever_breaks_in_many_more_sequences_nothing_is_lost(
    gateway: Gateway, seed: int
) -> None:
    survives(gateway, seed)
