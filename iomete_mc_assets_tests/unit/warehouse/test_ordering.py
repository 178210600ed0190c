"""Rows in order, however few of them are held at a time."""

from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.warehouse.ordering import ROW_COST, in_order

numbered = st.lists(
    st.tuples(st.integers(-3, 3), st.text(st.characters(), max_size=3)), max_size=30
)


@given(pairs=numbered, held=st.integers(0, 9))
def test_rows_come_by_their_key_and_equal_ones_as_they_came(
    pairs: list[tuple[int, str]], held: int
) -> None:
    """Also half characters, which JSON may hold and UTF-8 cannot."""
    rows = [{"at": at, "text": text, "number": n} for n, (at, text) in enumerate(pairs)]
    found = in_order(iter(rows), lambda row: (int(str(row["at"])),), max_held=held * ROW_COST)
    assert list(found) == sorted(rows, key=lambda row: row["at"])
