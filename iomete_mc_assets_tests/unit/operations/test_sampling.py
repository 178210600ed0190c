"""Which of many are looked at."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.operations.sampling import spread


@given(count=st.integers(0, 300), at_most=st.integers(0, 50))
def test_as_many_as_may_be_are_chosen_once_each_and_evenly(count: int, at_most: int) -> None:
    chosen = spread(range(count), at_most)
    assert len(chosen) == min(count, at_most)
    assert chosen == sorted(set(chosen))
    gaps = [after - before for before, after in pairwise([*chosen, count])]
    assert not gaps or max(gaps) - min(gaps) <= 1
