"""Time of ours against time of the least that does the same, taken in turn in the same run."""

import statistics
import time
from collections.abc import Callable, Iterator
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
    """Run both once unmeasured, then in turn; who goes first changes every round.

    Args:
        ours: one round of ours; returns its seconds, so that its preparations need not count.
        bare: likewise.
        rounds: measured ones, at least 1.
    """
    for deed in (ours, bare):
        deed()
    taken: dict[Callable[[], float], list[float]] = {ours: [], bare: []}
    for order in islice(cycle([(ours, bare), (bare, ours)]), rounds):
        for deed in order:
            taken[deed].append(deed())
    return Comparison(ours_s=statistics.median(taken[ours]), bare_s=statistics.median(taken[bare]))
