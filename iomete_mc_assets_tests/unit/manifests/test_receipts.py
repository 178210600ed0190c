"""Receipts and their neighbours on disk."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.errors import ManifestDamaged, UnknownSchemaVersion
from iomete_mc_assets.manifests.receipts import Doubts, Ordinals, Receipt, SentFolder
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets_tests.push_bench import Clock

NOW = Clock().now()
stretches = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 6)), max_size=8).map(
    lambda runs: {ordinal for first, length in runs for ordinal in range(first, first + length)}
)
positions = st.sets(st.integers(0, 300), min_size=1).map(sorted)


@given(positions)
def test_ordinals_are_what_they_were_made_of(drawn: list[int]) -> None:
    ordinals = Ordinals.of(drawn)
    assert list(ordinals) == drawn
    assert len(ordinals) == len(drawn)
    assert ordinals.hull == f"{drawn[0]:09d}-{drawn[-1]:09d}"


@given(stretches, st.lists(stretches, max_size=3))
def test_taking_ordinals_away_is_set_difference(drawn: set[int], others: list[set[int]]) -> None:
    left = Ordinals.of(sorted(drawn)).without([Ordinals.of(sorted(other)) for other in others])
    assert left == Ordinals.of(sorted(drawn.difference(*others)))


@given(st.lists(stretches, max_size=5), st.integers(-1, 70))
def test_joined_ordinals_are_all_of_them_in_as_few_stretches(
    pieces: list[set[int]], asked: int
) -> None:
    everything = set[int]().union(*pieces)
    joined = Ordinals.joined(Ordinals.of(sorted(piece)) for piece in pieces)
    assert joined == Ordinals.of(sorted(everything))
    assert (asked in joined) == (asked in everything)


@given(positions.filter(lambda drawn: len(drawn) > 1))
def test_halves_are_the_whole_in_order(drawn: list[int]) -> None:
    first, second = Ordinals.of(drawn).halves()
    assert [*first, *second] == drawn
    assert len(first) - len(second) in (0, 1)


def a_receipt(*ordinals: int) -> Receipt:
    return Receipt(
        schema_version=1,
        ordinals=Ordinals.of(ordinals),
        invocation_id=f"id-{ordinals[0]}",
        accepted_at=NOW,
        attempts=1,
        bytes=5,
        digest="00",
    )


def test_receipts_come_back_in_plan_order_whatever_order_they_came_in(store_root: str) -> None:
    generation = SentFolder(Storage.open(store_root), "sent/d").generation(1)
    several = [a_receipt(100, 101), a_receipt(2, 7), a_receipt(8)]
    for receipt in several:
        generation.write_receipt(receipt)
    assert generation.receipts() == sorted(several, key=lambda receipt: receipt.ordinals.runs)


def test_generations_are_found_by_their_files(store_root: str) -> None:
    storage = Storage.open(store_root)
    sent = SentFolder(storage, "sent/d")
    assert sent.generations() == []
    sent.generation(1).write_receipt(a_receipt(1))
    sent.generation(2).write_receipt(a_receipt(2))
    assert [generation.number for generation in sent.generations()] == [1, 2]
    assert storage.names("sent/d/g0002") == ["000000002-000000002.json"]


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"{", ManifestDamaged), (b'{"schema_version": 99}', UnknownSchemaVersion)],
)
def test_a_damaged_or_unknown_file_is_refused_and_never_taken_for_absent(
    store_root: str, data: bytes, error: type[Exception]
) -> None:
    storage = Storage.open(store_root)
    storage.write("sent/d/settled.json", data)
    storage.write("sent/d/plan.json", data)
    sent = SentFolder(storage, "sent/d")
    with pytest.raises(error):
        sent.settled()
    with pytest.raises(error):
        sent.generation(1).plan()


def test_a_run_id_that_could_leave_the_folder_is_refused(tmp_path: Path) -> None:
    generation = SentFolder(Storage.open(str(tmp_path)), "sent/d").generation(1)
    with pytest.raises(ValueError, match="cannot name a file"):
        generation.write_doubts(Doubts(schema_version=1, run_id="../x", sending=True, pieces=()))
