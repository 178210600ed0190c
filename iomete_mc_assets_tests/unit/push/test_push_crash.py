"""What a dead run is taken to have had in flight."""

from datetime import UTC, datetime

from iomete_mc_assets.manifests.receipts import (
    SENT_VERSION,
    Doubt,
    Doubts,
    Generation,
    Ordinals,
    Plan,
    PlannedBatch,
    SentFolder,
)
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.push.delivery import book_crash
from iomete_mc_assets_tests.push_world import Life, Shelf

AT = datetime(2026, 11, 21, 10, 20, tzinfo=UTC)


def a_generation() -> Generation:
    storage = Storage(Shelf(Life()), base="manifests", root="shelf://manifests")
    return SentFolder(storage, "sent").generation(1)


def a_plan(batches: int) -> Plan:
    return Plan(
        schema_version=SENT_VERSION,
        manifest_id="m001",
        generation=1,
        run_id="run-1",
        planned_at=AT,
        max_events=1,
        max_body_bytes=1_000,
        resource_type="spark",
        log_type="",
        batches=tuple(
            PlannedBatch(ordinals=Ordinals.of([n]), events=1, bytes=100, digest="")
            for n in range(batches)
        ),
        left_out={},
        left_out_sample=(),
        notes={},
    )


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
