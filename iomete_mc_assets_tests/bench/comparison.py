"""Time of ours against time of the least that does the same, taken in turn in the same run."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from iomete_mc_assets_tests.bench.figures import Figure, at_most


def seconds(deed: Callable[[], object]) -> float:
    """How long a deed took."""
    begun = time.perf_counter()
    deed()
    return time.perf_counter() - begun


def processor_seconds(deed: Callable[[], object]) -> float:
    """What a deed took of this process's processor time, all threads and the kernel's part included."""
    begun = time.process_time()
    deed()
    return time.process_time() - begun


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Medians over the rounds, in seconds."""

    ours_s: float
    bare_s: float

    def figures(self, name: str, *, bare: str, bar: float) -> Iterator[Figure]:
        """The ratio, held against its bar, and both absolute times.

        Args:
            name: of ours; names all three figures.
            bare: what ours is compared with, in a word.
            bar: times the bare time that ours may take.
        """
        ratio = self.ours_s / self.bare_s
        yield Figure(name=f"{name}_vs_{bare}", value=ratio, unit="ratio", bar=at_most(bar))
        yield Figure(name=name, value=self.ours_s, unit="s")
        yield Figure(name=f"{name}_bare_{bare}", value=self.bare_s, unit="s")


def compare(ours: Callable[[], float], bare: Callable[[], float], *, rounds: int) -> Comparison:
    """``in_turn`` with two, by their medians."""
    ours_s, bare_s = map(statistics.median, in_turn([ours, bare], rounds=rounds))
    return Comparison(ours_s=ours_s, bare_s=bare_s)


def in_turn(deeds: Sequence[Callable[[], float]], *, rounds: int) -> list[list[float]]:
    """Run all once unmeasured, then in turn; the order is turned round every round.

    Args:
        deeds: one round of each; returns its seconds, so that its preparations need not count.
        rounds: measured ones, at least 1.

    Returns:
        Of each deed the seconds of every round.
    """
    for deed in deeds:
        deed()
    taken: list[list[float]] = [[] for _ in deeds]
    places = range(len(deeds))
    for order in islice(cycle([places, places[::-1]]), rounds):
        for place in order:
            taken[place].append(deeds[place]())
    return taken


def ratio(ours: Sequence[float], bare: Sequence[float]) -> float:
    """The median of the rounds' own ratios: a machine that is busy for a minute is busy for both."""
    return statistics.median(one / other for one, other in zip(ours, bare, strict=True))
