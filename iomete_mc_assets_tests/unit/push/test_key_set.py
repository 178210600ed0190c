"""The set of keys says what a set of Python's would."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.push.key_set import KeySet


def key(number: int) -> bytes:
    """As a push makes them, but of few beginnings, so that many are kept together."""
    return bytes([number % 3, 0]) + hashlib.blake2b(b"%d" % number, digest_size=10).digest()


@given(st.lists(st.integers(0, 60)), st.lists(st.integers(0, 60)))
def test_it_holds_what_a_set_holds(put: list[int], asked: list[int]) -> None:
    keys, held = KeySet(), set[int]()
    assert not keys
    for number in put:
        assert (key(number) in keys) == (number in held)
        assert keys.add(key(number)) == (number not in held)
        held.add(number)
    assert bool(keys) == bool(put)
    assert [key(number) in keys for number in asked] == [number in held for number in asked]
