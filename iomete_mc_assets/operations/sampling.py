"""Some of many, chosen so that every run chooses the same. Asks nothing."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def spread(items: Sequence[T], at_most: int) -> list[T]:
    """All where there are few enough, else exactly ``at_most``, evenly over all of them."""
    count = min(len(items), at_most)
    return [items[place * len(items) // count] for place in range(count)]
