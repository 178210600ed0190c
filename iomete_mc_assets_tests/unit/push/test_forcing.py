"""Which records a forced push sends again, against the same said record by record. Ledger rule 19."""

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from iomete_mc_assets.manifests.receipts import Force, Ordinals
from iomete_mc_assets.push.accounts import Account
from iomete_mc_assets.push.delivery import Pending
from iomete_mc_assets.push.forcing import past_of
from iomete_mc_assets_tests.sent_records import AT, a_plan, a_receipt, a_refusal

RECORDS = 5
OURS = "ours"

End = Literal["accepted", "refused", "in_doubt", "in_part"]
Story = tuple[str | None, Mapping[int, End]]
"""Who forced a generation, and the end of each record that it sent; ``in_part``: refused, but not alone."""

ends = st.sampled_from(get_args(End))
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
        plan=a_plan(0),
        forced_by=forced_by,
        receipts=tuple(a_receipt(one[ordinal]) for ordinal, end in of.items() if end == "accepted"),
        refusals=tuple(a_refusal(one[ordinal]) for ordinal, end in of.items() if end == "refused"),
        pending=tuple(
            Pending(place=0, ordinals=one[ordinal], part=True, sends=0)
            for ordinal, end in of.items()
            if end == "in_part"
        ),
        doubtful_at={ordinal: AT for ordinal, end in of.items() if end == "in_doubt"},
    )


@settings(max_examples=1_000)
@given(
    told=stories, settled=st.booleans(), force=st.sampled_from((None, "refused", "in_doubt", "all"))
)
def test_ledger_19_what_goes_again_is_what_ended_as_named_but_for_what_this_push_had_accepted(
    told: list[Story], settled: bool, force: Force | None
) -> None:
    past = past_of(
        [an_account(story) for story in told], settled=settled, force=force, root_run_id=OURS
    )
    for record in range(RECORDS):
        mine: list[tuple[str | None, End]] = [(by, of[record]) for by, of in told if record in of]
        once = "accepted" in [end for _, end in mine]
        if not (settled or once):  # it is not at its end
            mine = [(by, end) for by, end in mine if end != "in_part"]
        end = _end(end for by, end in mine if force is None or by != OURS)
        last = _end(end for _, end in mine)
        if end == "in_doubt" and not (settled or once):
            end = None
        ours = force is not None and (OURS, "accepted") in mine
        named = (end is not None or once) if force == "all" else force is not None and end == force
        goes_again = named and not ours
        keeps = None if goes_again else last if once else end if force is not None else None
        assert (record in past.forced) == goes_again, (record, told)
        assert (record in past.accepted) == (last == "accepted"), (record, told)
        assert (record in past.done) == (keeps == "accepted"), (record, told)
        assert (record in past.refused) == (keeps == "refused"), (record, told)
        assert (record in past.doubtful) == (keeps == "in_doubt"), (record, told)


def _end(ends: Iterable[End]) -> End | None:
    """The latest, as the outcome names it."""
    last = next(reversed(list(ends)), None)
    return "refused" if last == "in_part" else last
