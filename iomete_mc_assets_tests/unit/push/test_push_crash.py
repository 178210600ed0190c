"""What a dead run is taken to have had in flight."""

from iomete_mc_assets.manifests.receipts import (
    DOUBTS_VERSION,
    SENT_VERSION,
    Doubt,
    Doubts,
    Generation,
    Ordinals,
    SentFolder,
)
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.push.delivery import book_crash, pending_of
from iomete_mc_assets_tests.push_world import Life, Shelf
from iomete_mc_assets_tests.sent_records import AT, a_plan, a_receipt, a_refusal


def a_generation() -> Generation:
    storage = Storage(Shelf(Life()), base="manifests", root="shelf://manifests")
    return SentFolder(storage, "sent").generation(1)


def test_rule_18_batches_given_up_before_a_crash_do_not_hide_those_in_flight() -> None:
    """Found by the chaos test with seed 41: observations of two batches went twice in a clock hour."""
    generation, plan = a_generation(), a_plan(8)
    given_up = tuple(
        Doubt(ordinals=Ordinals.of([n]), sends=1, last_at=AT, reason="HTTP 502") for n in (0, 2)
    )
    generation.write_doubts(
        Doubts(schema_version=SENT_VERSION, run_id="run-1", sending=True, pieces=given_up)
    )
    book_crash(generation, plan, max_sends=1, at=AT)
    (booked,) = generation.doubts()
    assert not booked.sending
    assert {piece.ordinals.runs[0][0]: piece.sends for piece in booked.pieces} == {
        0: 1,
        1: 1,
        2: 1,
        3: 1,
        4: 1,
        5: 1,
    }


def test_rule_17_a_half_that_was_never_sent_is_not_in_doubt_with_the_other() -> None:
    """Found by the chaos test with seed 65: the second half of a 413 was given up with the first."""
    generation, plan = a_generation(), a_plan(1, events_a_batch=3)
    doubt = Doubt(ordinals=Ordinals.of([0, 1]), sends=3, last_at=AT, reason="HTTP 502")
    generation.write_doubts(
        Doubts(schema_version=SENT_VERSION, run_id="run-1", sending=False, pieces=(doubt,))
    )
    pending = pending_of(generation, plan)
    assert [(list(piece.ordinals), piece.sends) for piece in pending] == [([0, 1], 3), ([2], 0)]


def test_rule_16_a_refused_half_of_what_was_too_large_hides_nothing_in_flight() -> None:
    """Found by the chaos test with seed 1122538: a batch in flight beside it went twice, without a word."""
    generation, plan = a_generation(), a_plan(6, events_a_batch=3)
    for ordinals in ([2], [3, 4, 5]):
        generation.write_receipt(a_receipt(Ordinals.of(ordinals)))
    generation.write_refusal(a_refusal(Ordinals.of([0, 1])))
    generation.write_doubts(
        Doubts(schema_version=DOUBTS_VERSION, run_id="run-1", sending=True, pieces=())
    )
    pending = [(list(piece.ordinals), piece.part) for piece in pending_of(generation, plan)]
    assert pending[:3] == [([0], True), ([1], True), ([6, 7, 8], False)]
    book_crash(generation, plan, max_sends=3, at=AT)
    (booked,) = generation.doubts()
    assert {6, 9, 12, 15} <= {piece.ordinals.runs[0][0] for piece in booked.pieces}


def test_rule_8_marks_inside_a_batch_are_halved_wherever_they_are() -> None:
    generation, plan = a_generation(), a_plan(1, events_a_batch=10)
    generation.write_receipt(a_receipt(Ordinals.of([0, 1, 2])))
    for refused in (range(3, 10), range(3, 7)):
        generation.write_refusal(a_refusal(Ordinals.of(refused)))
    pending = [(list(piece.ordinals), piece.part) for piece in pending_of(generation, plan)]
    assert pending == [([3, 4], True), ([5, 6], True), ([7, 8, 9], True)]
