"""A push whose process dies at any write: the next run finishes it, and only what was in flight goes twice."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from iomete_mc_assets.errors import LedgerBusy, ManifestDamaged
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.montecarlo.ingest import Ingest, Outgoing
from iomete_mc_assets.push.outcome import HourOutcome
from iomete_mc_assets.push.policy import IN_FLIGHT
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets_tests.push_bench import HOUR, Bench, entries, observed, queries

EVENTS = 65
EVENTS_A_BATCH = 10


class Killed(BaseException):
    """The process is gone: nothing of ours catches it, nothing more is written."""


class MortalStorage:
    """A storage that stops writing for good after a number of writes; reads go on."""

    def __init__(self, inner: Storage) -> None:
        self._inner = inner
        self.root = inner.root
        self.left: int | None = None
        self._lock = threading.Lock()
        self.read, self.names, self.remove = inner.read, inner.names, inner.remove

    def _spend(self) -> None:
        with self._lock:
            if self.left is not None:
                if self.left <= 0:
                    raise Killed
                self.left -= 1

    def write(self, path: str, data: bytes) -> None:
        self._spend()
        self._inner.write(path, data)

    def create(self, path: str, data: bytes) -> bool:
        self._spend()
        return self._inner.create(path, data)

    def die(self) -> None:
        """Nothing is written any more."""
        self.left = 0


class FourTogether:
    """Sends a plan's first batches as they come, and holds the next four until all of them are on their way."""

    def __init__(self, inner: Ingest, *, alone: int, at_once: Callable[[], None]) -> None:
        self._inner, self._alone = inner, alone
        self._together = threading.Barrier(IN_FLIGHT, action=at_once, timeout=30)

    def send(self, outgoing: Outgoing) -> str:
        number = int(outgoing.shown.removeprefix("batch ").partition("/")[0])
        if self._alone < number <= self._alone + IN_FLIGHT:
            self._together.wait()
        return self._inner.send(outgoing)


def a_bench(gateway: Gateway, root: Path) -> tuple[Bench, MortalStorage]:
    mortal = MortalStorage(Storage.open(str(root)))
    bench = Bench(gateway, str(root), storage=mortal)  # pyright: ignore[reportArgumentType] - the same face
    return bench, mortal


def killed_after_two_refusals(
    bench: Bench, mortal: MortalStorage, gateway: Gateway, flow: Flow
) -> None:
    """run-1, which dies when its first two requests are refused and the next four on their way."""
    ingest = bench.ingest
    bench.ingest = FourTogether(ingest, alone=2, at_once=mortal.die)
    for number in (1, 2):
        gateway.rule(faults.answers(400), nth=number)
    with pytest.raises(Killed):
        bench.push(flow, HOUR)
    gateway.clear()
    bench.finished.add("run-1")
    bench.ingest, mortal.left = ingest, None


@pytest.mark.parametrize("flow", get_args(Flow))
@pytest.mark.parametrize("writes", range(14))
def test_rule_16_a_push_killed_after_any_write_is_finished_by_the_next_run(
    gateway: Gateway, tmp_path: Path, flow: Flow, writes: int
) -> None:
    bench, mortal = a_bench(gateway, tmp_path)
    bench.collect_some(flow, EVENTS)
    before = len(bench.accepted_keys())

    mortal.left = writes
    try:
        bench.push(flow)
    except Killed:
        bench.finished.add("run-1")
    mortal.left = None
    outcome = bench.push(flow, run="run-2")[HOUR]

    assert isinstance(outcome, HourOutcome), outcome
    assert sum(outcome.counts.values()) == EVENTS
    times = Counter(bench.accepted_keys()[before:])
    if flow == "observations":
        assert set(times.values()) <= {1}
        in_doubt = outcome.counts.get("in_doubt", 0)
        assert in_doubt <= IN_FLIGHT * EVENTS_A_BATCH
        assert EVENTS - len(times) <= in_doubt
    else:
        assert outcome.counts == {"accepted": EVENTS}
        assert len(times) == EVENTS
        twice = sum(1 for count in times.values() if count > 1)
        assert twice <= IN_FLIGHT * EVENTS_A_BATCH
    requests = len(gateway.requests)
    again = bench.push(flow, run="run-3")[HOUR]
    assert isinstance(again, HourOutcome)
    assert again.reused
    assert len(gateway.requests) == requests


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("flow", get_args(Flow))
@pytest.mark.parametrize("writes", range(2, 12, 2))
def test_rule_40_a_dry_run_after_a_kill_tells_what_goes_and_what_is_in_doubt(
    gateway: Gateway, tmp_path: Path, flow: Flow, writes: int, later: bool
) -> None:
    """Of the hour that was being pushed, or of the one after it, which ends that push."""
    bench, mortal = a_bench(gateway, tmp_path)
    bench.collect_some(flow, EVENTS)
    mortal.left = writes
    try:
        bench.push(flow)
    except Killed:
        bench.finished.add("run-1")
    mortal.left = None
    window = HOUR.next if later else HOUR
    if later:
        bench.clock.advance(hours=1)
        bench.collect_some(flow, EVENTS + 1, window=window)

    bench.foretold(flow, window)


def test_rule_40_a_dry_run_after_a_third_kill_tells_which_queries_do_not_go_a_fourth_time(
    gateway: Gateway, tmp_path: Path
) -> None:
    bench, mortal = a_bench(gateway, tmp_path)
    bench.collect("query_logs", queries(EVENTS))
    for run in ("run-1", "run-1b", "run-1c"):
        mortal.left = 3  # lock, plan or doubts, mark
        with pytest.raises(Killed):
            bench.push("query_logs", run=run)
        bench.finished.add(run)
    mortal.left = None
    ((_, outcome),) = bench.foretold("query_logs").values()
    assert outcome.counts["in_doubt"] == IN_FLIGHT * EVENTS_A_BATCH


def test_rule_16_what_was_in_flight_is_written_down_before_anything_goes_again(
    gateway: Gateway, tmp_path: Path
) -> None:
    bench, mortal = a_bench(gateway, tmp_path)
    manifest_id = bench.collect("query_logs", queries(EVENTS))
    mortal.left = 4  # lock, plan, mark, one receipt
    with pytest.raises(Killed):
        bench.push("query_logs")
    bench.finished.add("run-1")
    mortal.left = 2  # the lock, and run-1's doubts
    with pytest.raises(Killed):
        bench.push("query_logs", run="run-2")
    requests = len(gateway.requests)
    (doubts,) = bench.sent("query_logs", manifest_id).generation(1).doubts()
    assert (doubts.run_id, doubts.sending) == ("run-1", False)
    assert [doubt.sends for doubt in doubts.pieces] == [1] * IN_FLIGHT
    assert requests <= 1 + IN_FLIGHT


@pytest.mark.parametrize("flow", get_args(Flow))
def test_rule_16_what_was_refused_before_anything_was_accepted_is_known_after_a_kill(
    gateway: Gateway, tmp_path: Path, flow: Flow
) -> None:
    """Two are refused and the next four taken when the process dies: those four were in flight, and no others."""
    bench, mortal = a_bench(gateway, tmp_path)
    bench.configure(max_assets=1, max_queries=1, max_edges=1)
    manifest_id = bench.collect_some(flow, 8)
    before, posts = len(bench.accepted_keys()), len(gateway.requests)
    killed_after_two_refusals(bench, mortal, gateway, flow)
    sent = list(zip(gateway.requests, gateway.bodies, strict=True))[posts:]
    refused = [body for request, body in sent if not request.accepted]
    assert (len(sent), len(refused)) == (6, 2)

    outcome = bench.push_one(flow, run="run-2")
    assert [gateway.bodies.count(body) for body in refused] == [1, 1]
    (first, *_) = bench.sent(flow, manifest_id).generation(1).doubts()
    assert [list(doubt.ordinals) for doubt in first.pieces] == [[2], [3], [4], [5]]
    times = sorted(Counter(bench.accepted_keys()[before:]).values())
    if flow == "observations":
        assert outcome.counts == {"accepted": 2, "in_doubt": 4, "refused": 2}
        assert times == [1] * 6
    else:
        assert outcome.counts == {"accepted": 6, "refused": 2}
        assert times == [1, 1, 2, 2, 2, 2]


def test_a_push_that_dies_again_and_again_before_sending_never_ends_in_doubt(
    gateway: Gateway, tmp_path: Path
) -> None:
    bench, mortal = a_bench(gateway, tmp_path)
    bench.collect("query_logs", queries(EVENTS))
    for number in range(5):
        mortal.left = 1 if number else 2  # the lock, and the first run's plan
        with pytest.raises(Killed):
            bench.push("query_logs", run=f"run-{number}")
        bench.finished.add(f"run-{number}")
    mortal.left = None
    assert bench.push_one("query_logs", run="last").counts == {"accepted": EVENTS}
    assert len(bench.accepted_keys()) == EVENTS


@pytest.mark.parametrize("flow", get_args(Flow))
@pytest.mark.parametrize("writes", range(0, 14, 2))
def test_ledger_19_a_forced_push_killed_after_any_write_is_finished_by_its_retry(
    gateway: Gateway, tmp_path: Path, flow: Flow, writes: int
) -> None:
    bench, mortal = a_bench(gateway, tmp_path)
    bench.collect_some(flow, EVENTS)
    bench.push_one(flow)
    before = len(bench.accepted_keys())

    mortal.left = writes
    try:
        bench.push(flow, HOUR, run="forced", force="all")
    except Killed:
        bench.finished.add("forced")
    mortal.left = None
    outcome = bench.push(flow, HOUR, run="retry", root="forced", force="all")[HOUR]

    assert isinstance(outcome, HourOutcome), outcome
    assert sum(outcome.counts.values()) == EVENTS
    times = Counter(bench.accepted_keys()[before:])
    twice = sum(1 for count in times.values() if count > 1)
    assert twice <= IN_FLIGHT * EVENTS_A_BATCH
    assert EVENTS - len(times) <= outcome.counts.get("in_doubt", 0)
    requests = len(gateway.requests)
    assert bench.push_one(flow, run="retry-2", root="forced", force="all").reused
    assert len(gateway.requests) == requests


@pytest.mark.parametrize(
    ("flow", "fault", "word"),
    [
        ("observations", faults.accept_then_reset, "in_doubt"),
        ("catalog_snapshot", faults.answers(400), "partly_refused"),
    ],
)
def test_ledger_22_an_outcome_that_only_the_log_has_is_written_by_the_next_run(
    gateway: Gateway,
    tmp_path: Path,
    flow: Flow,
    fault: faults.Fault,
    word: str,
) -> None:
    """The log's ``closed`` and the outcome are two writes; what lies on disk between them is restored here."""
    bench, _ = a_bench(gateway, tmp_path)
    bench.configure(max_assets=1)
    bench.collect("catalog_snapshot", entries(3))
    if flow == "observations":
        bench.push_one("catalog_snapshot")
        bench.collect(flow, observed(3))
    gateway.rule(fault, nth=2)
    told = bench.push_one(flow)
    assert told.word == word
    manifest_id = bench.named[flow][HOUR]
    sent = bench.sent(flow, manifest_id)
    bench.storage.remove(f"{sent.folder}/settled.json")
    bench.finished.add("run-1")
    requests = len(gateway.requests)
    again = bench.push_one(flow, run="run-2")
    assert (again.word, again.counts) == (told.word, told.counts)
    assert again.invocation_ids == told.invocation_ids
    assert len(sent.generations()) == 1
    assert len(gateway.requests) == requests
    bench.storage.remove(f"{sent.folder}/settled.json")
    gateway.clear()
    forced = bench.push_one(flow, run="run-3", force="in_doubt")
    assert forced.counts == ({"accepted": 3} if word == "in_doubt" else told.counts)


def test_ledger_21_a_held_ledger_stops_a_second_run_until_its_holder_is_gone(
    gateway: Gateway, tmp_path: Path
) -> None:
    bench, mortal = a_bench(gateway, tmp_path)
    bench.collect("catalog_snapshot", entries(3))
    mortal.left = 2  # the lock, and the plan
    with pytest.raises(Killed):
        bench.push("catalog_snapshot")
    mortal.left = None
    assert isinstance(bench.push("catalog_snapshot", run="run-2")[HOUR], LedgerBusy)
    ((_, told),) = bench.pusher().dry_run(
        "catalog_snapshot",
        bench.named["catalog_snapshot"],
        named=bench.named.__getitem__,
        owner=bench.owner("run-2"),
    )
    assert isinstance(told, LedgerBusy)
    assert gateway.requests == ()
    bench.finished.add("run-1")
    assert bench.push_one("catalog_snapshot", run="run-2").counts == {"accepted": 3}
    assert bench.log_kinds("catalog_snapshot") == ["open", "open", "closed"]


def test_ledger_21_a_retry_of_the_run_takes_over_and_so_does_anybody_after_the_deadline(
    gateway: Gateway, tmp_path: Path
) -> None:
    bench, mortal = a_bench(gateway, tmp_path)
    for run, minutes in (("retry", 0), ("stranger", 36)):
        window = HOUR if run == "retry" else HOUR.next
        bench.collect("catalog_snapshot", entries(3, comment=run), window=window)
        mortal.left = 2
        with pytest.raises(Killed):
            bench.push("catalog_snapshot", window, run=f"killed-{run}")
        mortal.left = None
        bench.clock.advance(minutes=minutes)
        root = f"killed-{run}" if run == "retry" else None
        answer = bench.push("catalog_snapshot", window, run=run, root=root)[window]
        assert isinstance(answer, HourOutcome)
        assert answer.word == "pushed"


@pytest.mark.parametrize("flow", get_args(Flow))
def test_rule_17_a_push_that_breaks_off_by_itself_leaves_nothing_in_doubt_and_the_ledger_free(
    gateway: Gateway, tmp_path: Path, flow: Flow
) -> None:
    """A part that cannot be read, for three runs: nothing went, so nothing may be in doubt."""
    bench, _ = a_bench(gateway, tmp_path)
    manifest_id = bench.collect_some(flow, EVENTS)
    before = len(bench.accepted_keys())
    gateway.rule(faults.answers(503))
    bench.push(flow, HOUR)
    gateway.clear()
    path = f"{bench.store.folder(flow, HOUR, manifest_id)}/part-00000.jsonl.gz"
    whole = bench.storage.read(path)
    bench.storage.write(path, whole[:-9])
    for number in (2, 3, 4):
        assert isinstance(bench.push(flow, HOUR, run=f"run-{number}")[HOUR], ManifestDamaged)
    bench.storage.write(path, whole)
    # nobody says that the other runs are over
    assert bench.push_one(flow, run="run-5").counts == {"accepted": EVENTS}
    assert len(bench.accepted_keys()) - before == EVENTS


@pytest.mark.parametrize("flow", get_args(Flow))
def test_rule_16_batches_refused_before_a_kill_are_not_taken_to_be_in_flight(
    gateway: Gateway, tmp_path: Path, flow: Flow
) -> None:
    """Two batches are refused whole and the next four under way when the process dies."""
    bench, mortal = a_bench(gateway, tmp_path)
    bench.configure(max_assets=2, max_queries=2, max_edges=2)
    manifest_id = bench.collect_some(flow, 16)
    before = len(bench.accepted_keys())
    killed_after_two_refusals(bench, mortal, gateway, flow)
    outcome = bench.push_one(flow, run="run-2")
    (first, *_) = bench.sent(flow, manifest_id).generation(1).doubts()
    assert sum(len(doubt.ordinals) for doubt in first.pieces) == 2 * IN_FLIGHT
    assert len(set(bench.accepted_keys()[before:])) == 16
    if flow == "observations":
        assert outcome.counts == {"accepted": 8, "in_doubt": 8}
    else:
        assert outcome.counts == {"accepted": 16}


def test_rule_16_a_part_of_a_refused_batch_is_on_disk_before_it_goes(
    gateway: Gateway, tmp_path: Path
) -> None:
    """A batch and its first half are refused, and a quarter is under way when the process dies: only that was."""
    bench, mortal = a_bench(gateway, tmp_path)
    manifest_id = bench.collect_some("observations", 8)
    before = len(gateway.requests)
    ingest = bench.ingest
    bench.ingest = DiesAfter(ingest, posts=4, die=mortal.die)
    for number in (1, 2):
        gateway.rule(faults.answers(400), nth=number)
    with pytest.raises(Killed):
        bench.push("observations", HOUR)
    gateway.clear()
    assert [request.events for request in gateway.requests[before:] if request.accepted] == [4, 2]
    bench.finished.add("run-1")
    bench.ingest, mortal.left = ingest, None
    assert bench.push_one("observations", run="run-2").counts == {"accepted": 6, "in_doubt": 2}
    (first, *_) = bench.sent("observations", manifest_id).generation(1).doubts()
    assert [list(doubt.ordinals) for doubt in first.pieces] == [[0, 1]]


class DiesAfter:
    """An ingest whose process is dead once so many posts, one after the other, have been answered."""

    def __init__(self, inner: Ingest, *, posts: int, die: Callable[[], None]) -> None:
        self._inner, self._left, self._die = inner, posts, die

    def send(self, outgoing: Outgoing) -> str:
        self._left -= 1
        try:
            return self._inner.send(outgoing)
        finally:
            if not self._left:
                self._die()
