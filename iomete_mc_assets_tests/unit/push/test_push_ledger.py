"""The numbered log as lock and state."""

import threading
from dataclasses import replace

import pytest

from iomete_mc_assets.errors import LedgerBusy
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.push.ledger import Entry, Head, Log, Owner, opened, refuse_if_held
from iomete_mc_assets_tests.push_bench import HOUR, Clock

CLOCK = Clock()


def an_owner(run: str, *, root: str | None = None, finished: frozenset[str] = frozenset()) -> Owner:
    return Owner(run_id=run, root_run_id=root or run, is_finished=finished.__contains__)


def an_opening(head: Head | None, run: str = "run-1") -> Entry:
    return opened(
        head,
        an_owner(run),
        window=HOUR,
        manifest_id="m1",
        generation=1,
        deadline=CLOCK.now(),
    )


def test_ledger_21_of_many_who_open_at_once_one_holds_the_ledger(store_root: str) -> None:
    won: list[str] = []
    barrier = threading.Barrier(8)

    def open_it(run: str) -> None:
        log = Log(Storage.open(store_root), "flow/ledger/d")
        barrier.wait()
        try:
            log.append(None, an_opening(None, run))
        except LedgerBusy:
            return
        won.append(run)

    threads = [threading.Thread(target=open_it, args=(f"run-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    head = Log(Storage.open(store_root), "flow/ledger/d").head()
    assert head is not None
    assert won == [head.entry.run_id]


def test_the_state_is_that_of_the_newest_closed_entry_however_often_the_ledger_was_taken_over(
    store_root: str,
) -> None:
    log = Log(Storage.open(store_root), "flow/ledger/d")
    assert log.state(log.head()) == {}
    head = log.append(None, an_opening(None))
    assert log.state(head) == {}
    closed = replace(head.entry, kind="closed", word="pushed", accepted={"k": {"digest": "d"}})
    head = log.append(head, closed)
    for run in ("run-2", "run-3"):
        head = log.append(head, an_opening(head, run))
        assert log.head() == head
        assert log.state(head) == {"k": {"digest": "d"}}


@pytest.mark.parametrize(
    ("owner", "minutes", "free"),
    [
        (an_owner("run-2"), 0, False),
        (an_owner("run-2"), 9, False),
        (an_owner("run-2"), 10, True),
        (an_owner("run-2", root="run-1"), 0, True),
        (an_owner("run-2", finished=frozenset({"run-1"})), 0, True),
    ],
)
def test_ledger_21_who_may_take_over(
    store_root: str, owner: Owner, minutes: int, free: bool
) -> None:
    log = Log(Storage.open(store_root), "flow/ledger/d")
    head = log.append(None, an_opening(None))
    clock = Clock()
    clock.advance(minutes=minutes)
    if free:
        refuse_if_held(head, owner, now=clock.now())
    else:
        with pytest.raises(LedgerBusy, match="run-1"):
            refuse_if_held(head, owner, now=clock.now())


def test_a_ledger_that_was_left_is_free(store_root: str) -> None:
    log = Log(Storage.open(store_root), "flow/ledger/d")
    head = log.append(None, an_opening(None))
    head = log.append(head, replace(head.entry, kind="left"))
    refuse_if_held(head, an_owner("run-2"), now=CLOCK.now())
    assert head.is_for(HOUR, "m1")
