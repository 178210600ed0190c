"""Which records a forced push sends again, against the same said record by record. Ledger rule 19."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.manifests.receipts import (
    SENT_VERSION,
    Force,
    Ordinals,
    Plan,
    Receipt,
    Refusal,
)
from iomete_mc_assets.push.accounts import Account
from iomete_mc_assets.push.forcing import past_of

AT = datetime(2026, 11, 21, 10, 20, tzinfo=UTC)
RECORDS = 5
OURS = "ours"

End = Literal["accepted", "refused", "in_doubt"]
Story = tuple[str | None, Mapping[int, End]]
"""Who forced a generation, and the end of each record that it sent."""

ends = st.sampled_from(("accepted", "refused", "in_doubt"))
stories = st.lists(
    st.tuples(
        st.sampled_from((None, "theirs", OURS)), st.dictionaries(st.integers(0, RECORDS - 1), ends)
    ),
    max_size=5,
)


def an_account(story: Story) -> Account:
    forced_by, of = story
    one = {ordinal: Ordinals.of([ordinal]) for ordinal in of}
    return Account(
        plan=Plan(
            schema_version=SENT_VERSION,
            manifest_id="m001",
            generation=1,
            run_id="run-1",
            planned_at=AT,
            max_events=1,
            max_body_bytes=1_000,
            resource_type="spark",
            log_type="",
            batches=(),
            left_out={},
            left_out_sample=(),
            notes={},
        ),
        forced_by=forced_by,
        receipts=tuple(
            Receipt(
                schema_version=SENT_VERSION,
                ordinals=one[ordinal],
                invocation_id="",
                accepted_at=AT,
                attempts=1,
                bytes=1,
                digest="",
            )
            for ordinal, end in of.items()
            if end == "accepted"
        ),
        refusals=tuple(
            Refusal(
                schema_version=SENT_VERSION,
                ordinals=one[ordinal],
                status=400,
                details=None,
                refused_at=AT,
                attempts=1,
                bytes=1,
                digest="",
            )
            for ordinal, end in of.items()
            if end == "refused"
        ),
        pending=(),
        doubtful_at={ordinal: AT for ordinal, end in of.items() if end == "in_doubt"},
    )


@given(told=stories, force=st.sampled_from((None, "refused", "in_doubt", "all")))
def test_ledger_19_what_goes_again_is_what_ended_as_named_but_for_what_this_push_had_accepted(
    told: list[Story], force: Force | None
) -> None:
    past = past_of(
        [an_account(story) for story in told], settled=True, force=force, root_run_id=OURS
    )
    for record in range(RECORDS):
        accepted = [by for by, of in told if of.get(record) == "accepted"]
        ours = force is not None and OURS in accepted
        others = [of[record] for by, of in told if record in of and (force is None or by != OURS)]
        end = others[-1] if others else None
        named = (
            end is not None if force == "all" else force is not None and end == force
        ) and not ours
        goes_again = record in past.forced
        assert goes_again == named, (record, told)
        assert (record in past.done) == (bool(accepted) and not named), (record, told)
        keeps = force is not None and not named and record not in past.done
        assert (record in past.refused and record not in past.done) == (keeps and end == "refused")
        assert (record in past.doubtful and record not in past.done) == (
            keeps and end == "in_doubt"
        )
