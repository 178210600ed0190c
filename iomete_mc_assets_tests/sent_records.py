"""Plans, receipts and refusals of push's unit tests; what is sent from them is not here."""

from datetime import UTC, datetime

from iomete_mc_assets.manifests.receipts import (
    SENT_VERSION,
    Ordinals,
    Plan,
    PlannedBatch,
    Receipt,
    Refusal,
)

AT = datetime(2026, 11, 21, 10, 20, tzinfo=UTC)


def a_plan(batches: int, *, events_a_batch: int = 1) -> Plan:
    return Plan(
        schema_version=SENT_VERSION,
        manifest_id="m001",
        generation=1,
        run_id="run-1",
        planned_at=AT,
        max_events=events_a_batch,
        max_body_bytes=1_000,
        resource_type="spark",
        log_type="",
        batches=tuple(
            PlannedBatch(
                ordinals=Ordinals.of(range(first, first + events_a_batch)),
                events=events_a_batch,
                bytes=100,
                digest="",
            )
            for first in range(0, batches * events_a_batch, events_a_batch)
        ),
        left_out={},
        left_out_sample=(),
        notes={},
    )


def a_receipt(ordinals: Ordinals) -> Receipt:
    return Receipt(
        schema_version=SENT_VERSION,
        ordinals=ordinals,
        invocation_id="5c6b7e0e-2f5c-4b6e-9d3a-1b2c3d4e5f60",
        accepted_at=AT,
        attempts=1,
        bytes=100,
        digest="",
    )


def a_refusal(ordinals: Ordinals) -> Refusal:
    return Refusal(
        schema_version=SENT_VERSION,
        ordinals=ordinals,
        status=400,
        details=None,
        refused_at=AT,
        attempts=1,
        bytes=100,
        digest="",
    )
