"""Cutting events into requests."""

import hashlib
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.montecarlo.events.event import Envelope, encoded
from iomete_mc_assets.push.batches import batches
from iomete_mc_assets.push.candidates import Candidate

FLOWS: tuple[Flow, ...] = get_args(Flow)


def sized(ordinal: int, body: bytes) -> Candidate:
    return Candidate(
        ordinal=ordinal,
        about="",
        size=len(body),
        digest=hashlib.sha256(body).hexdigest(),
        has_columns=b'"fields": [' in body,
    )


@given(
    st.sampled_from(FLOWS),
    st.lists(
        st.tuples(st.booleans(), st.text(min_size=8, max_size=16), st.booleans()), max_size=60
    ),
    st.integers(min_value=1, max_value=20),
    st.integers(min_value=300, max_value=900),
)
def test_rule_5_batches_lose_nothing_and_respect_both_limits_in_the_bytes_really_sent(
    flow: Flow, drawn: list[tuple[bool, str, bool]], max_events: int, max_bytes: int
) -> None:
    envelope = Envelope.of(flow, resource_uuid="u", resource_type="spark", log_type="hive-s3")
    bodies = {
        ordinal: encoded({"t": text, **({"fields": []} if columns else {})})
        for ordinal, (going, text, columns) in enumerate(drawn)
        if going
    }
    cut = list(
        batches(
            (sized(ordinal, body) for ordinal, body in bodies.items()),
            max_events=max_events,
            max_bytes=max_bytes,
            envelope_bytes=envelope.size,
            column_bytes=envelope.column_bytes,
        )
    )
    assert [ordinal for batch in cut for ordinal in batch.ordinals] == list(bodies)
    for batch in cut:
        sent = envelope.around(bodies[ordinal] for ordinal in batch.ordinals)
        assert batch.bytes == len(sent) <= max_bytes
        assert 0 < batch.events == len(batch.ordinals) <= max_events


def test_an_oversized_event_never_makes_an_empty_batch() -> None:
    bodies = [b"x" * 500, b"x" * 10, b"x" * 500]
    cut = batches(
        (sized(n, body) for n, body in enumerate(bodies)),
        max_events=10,
        max_bytes=200,
        envelope_bytes=100,
    )
    assert [list(batch.ordinals) for batch in cut] == [[0], [1], [2]]
