"""A push whose manifest store takes no more writes, on its way or for a moment: what is known stays known, the rest is told."""

import errno
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from iomete_mc_assets.errors import NotAccepted
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.montecarlo.ingest import Ingest, Outgoing
from iomete_mc_assets.push.delivery import ENDED
from iomete_mc_assets.push.policy import IN_FLIGHT
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets_tests.push_bench import HOUR, Bench, queries
from iomete_mc_assets_tests.push_processes import EVENTS_A_BATCH, SOON_S, pushing

EVENTS = 65


class Disk:
    """A storage that may have no room for something; files can be read and removed all the same."""

    def __init__(self, inner: Storage) -> None:
        self._inner = inner
        self.root = inner.root
        self.has_room: Callable[[str, bytes], bool] = lambda _path, _data: True
        self.read, self.names, self.remove = inner.read, inner.names, inner.remove

    def write(self, path: str, data: bytes) -> None:
        self._refuse_full(path, data)
        self._inner.write(path, data)

    def create(self, path: str, data: bytes) -> bool:
        self._refuse_full(path, data)
        return self._inner.create(path, data)

    def _refuse_full(self, path: str, data: bytes) -> None:
        if not self.has_room(path, data):
            raise OSError(errno.ENOSPC, "No space left on device")


class FillsTheDisk:
    """An ingest that leaves the disk no room for anything once its first request goes."""

    def __init__(self, inner: Ingest, disk: Disk) -> None:
        self._inner, self._disk = inner, disk

    def send(self, outgoing: Outgoing) -> str:
        self._disk.has_room = lambda _path, _data: False
        return self._inner.send(outgoing)


def a_bench(gateway: Gateway, root: Path) -> tuple[Bench, Disk]:
    disk = Disk(Storage.open(str(root)))
    bench = Bench(gateway, str(root), storage=disk)  # pyright: ignore[reportArgumentType] - the same face
    return bench, disk


def of_a_receipt(data: bytes) -> bool:
    return b'"invocation_id"' in data


def test_rule_16_where_a_receipt_cannot_be_written_no_other_request_begins(
    gateway: Gateway, tmp_path: Path
) -> None:
    bench, disk = a_bench(gateway, tmp_path)
    bench.configure(max_queries=1)
    manifest_id = bench.collect("query_logs", queries(EVENTS))
    first: dict[str, str] = {}
    disk.has_room = lambda path, data: (
        not of_a_receipt(data) or path != first.setdefault("receipt", path)
    )
    answer = bench.push("query_logs")[HOUR]
    assert "No space left" in str(answer), answer
    assert len(gateway.requests) <= 2 * IN_FLIGHT
    (doubts,) = bench.sent("query_logs", manifest_id).generation(1).doubts()
    assert [(doubt.sends, doubt.reason) for doubt in doubts.pieces] == [(1, ENDED)]
    assert not doubts.sending
    disk.has_room = lambda _path, _data: True
    assert bench.push_one("query_logs", run="run-2").counts == {"accepted": EVENTS}
    assert len(bench.accepted_keys()) == EVENTS + 1


@pytest.mark.parametrize("flow", get_args(Flow))
def test_rule_16_an_answer_for_which_there_was_no_room_is_written_when_there_is(
    gateway: Gateway, tmp_path: Path, flow: Flow
) -> None:
    """The first receipt finds no room, and whatever comes after it does: nothing is in doubt, nothing goes twice."""
    bench, disk = a_bench(gateway, tmp_path)
    bench.collect_some(flow, EVENTS)
    before = len(bench.accepted_keys())
    rooms = iter([False])
    disk.has_room = lambda _path, data: not of_a_receipt(data) or next(rooms, True)
    assert "No space left" in str(bench.push(flow, HOUR)[HOUR])
    assert bench.push_one(flow, run="run-2").counts == {"accepted": EVENTS}
    assert len(bench.accepted_keys()) - before == EVENTS


@pytest.mark.parametrize("flow", get_args(Flow))
def test_rule_17_a_disk_that_fills_up_puts_nothing_in_doubt_of_which_every_answer_was_no(
    gateway: Gateway, tmp_path: Path, flow: Flow
) -> None:
    """Three runs whose every request was certainly not taken, and whose last word finds no room."""
    bench, disk = a_bench(gateway, tmp_path)
    bench.collect_some(flow, EVENTS)
    before = len(bench.accepted_keys())
    ingest = bench.ingest
    bench.ingest = FillsTheDisk(ingest, disk)
    gateway.rule(faults.answers(503))
    for number in (1, 2, 3):
        assert isinstance(bench.push(flow, HOUR, run=f"run-{number}")[HOUR], NotAccepted)
        disk.has_room = lambda _path, _data: True
        bench.finished.add(f"run-{number}")
    gateway.clear()
    bench.ingest = ingest
    assert bench.push_one(flow, run="run-4").counts == {"accepted": EVENTS}
    assert len(bench.accepted_keys()) - before == EVENTS


def test_rule_17_a_part_for_whose_mark_there_is_no_room_does_not_go_and_is_not_in_doubt(
    gateway: Gateway, tmp_path: Path
) -> None:
    bench, disk = a_bench(gateway, tmp_path)
    bench.collect_some("observations", 8)
    before = len(gateway.requests)
    gateway.rule(faults.answers(400), nth=1)
    rooms = iter([False])
    disk.has_room = lambda _path, data: not json.loads(data).get("posting") or next(rooms, True)
    assert "No space left" in str(bench.push("observations", HOUR)[HOUR])
    assert len(gateway.requests) - before == 1
    assert bench.push_one("observations", run="run-2").counts == {"accepted": 8}
    assert [request.events for request in gateway.requests[before:]] == [0, 4, 4]


def test_a_push_whose_store_cannot_be_written_any_more_says_in_sentences_what_it_leaves(
    gateway: Gateway, tmp_path: Path
) -> None:
    """A file in the folder's place while four answers are awaited: nothing can be written or removed."""
    root = tmp_path / "manifests"
    bench = Bench(gateway, str(root))
    manifest_id = bench.collect("query_logs", queries(EVENTS))
    gateway.rule(faults.after(1_000))
    with pushing(bench, "query_logs", HOUR.key) as child:
        gateway.wait_for_requests(IN_FLIGHT)
        (root / "query_logs").rename(root / "aside")
        (root / "query_logs").touch()
        said, complained = child.communicate(timeout=SOON_S)
    (root / "query_logs").unlink()
    (root / "aside").rename(root / "query_logs")
    gateway.clear()
    assert child.returncode == 1
    assert f"The manifest store {root} cannot be read or written" in said
    unwritten, held, left = complained.splitlines()
    assert "the next one counts up to 4 batches as in doubt" in unwritten
    assert all(str(request.invocation_id) in unwritten for request in gateway.requests)
    assert "the ledger cannot be let go" in held
    assert "1 of 1 hours" in left

    (doubts,) = bench.sent("query_logs", manifest_id).generation(1).doubts()
    bench.finished.add(doubts.run_id)
    assert bench.push_one("query_logs", run="run-2").counts == {"accepted": EVENTS}
    times = Counter(Counter(bench.accepted_keys()).values())
    assert times == {2: IN_FLIGHT * EVENTS_A_BATCH, 1: EVENTS - IN_FLIGHT * EVENTS_A_BATCH}
