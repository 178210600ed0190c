"""What a benchmark says: figures and their bars, one line each; and running benchmarks by name. Measures nothing."""

import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

Site = TypeVar("Site")

_WORD = re.compile(r"[a-z][a-z0-9_/]*")


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure must reach."""

    side: Literal["<=", ">="]
    limit: float

    def holds(self, value: float) -> bool:
        """Whether a value reaches it; no bar holds for what is not a number."""
        return value <= self.limit if self.side == "<=" else value >= self.limit


def at_most(limit: float) -> Bar:
    """A bar that more is short of."""
    return Bar("<=", limit)


def at_least(limit: float) -> Bar:
    """A bar that less is short of."""
    return Bar(">=", limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One value measured in this run.

    Attributes:
        name: one word of ``a-z0-9_/``, the same in every run, so that runs can be compared by it.
        value: whole numbers are shown as they are, others with four significant digits; what is shown is
            what the bar is held against.
        unit: one word: ``s``, ``ratio``, ``bytes``, ``statements``.
        bar: None where the figure is only to be known.

    Raises:
        ValueError: name or unit would not be one word of the line.
    """

    name: str
    value: float
    unit: str
    bar: Bar | None = None

    def __post_init__(self) -> None:
        """Refuse what would make a line that cannot be cut at its spaces."""
        for word in (self.name, self.unit):
            if not _WORD.fullmatch(word):
                msg = f"{word!r} is no word of a figure's line; it takes letters a-z, digits, _ and /."
                raise ValueError(msg)

    @property
    def ok(self) -> bool:
        """Whether the value as shown reaches its bar, or has none."""
        return self.bar is None or self.bar.holds(float(self._shown))

    @property
    def line(self) -> str:
        """``survey_vs_statements 1.31 ratio bar <= 2 ok``."""
        measured = f"{self.name} {self._shown} {self.unit} bar"
        if self.bar is None:
            return f"{measured} none"
        return f"{measured} {self.bar.side} {self.bar.limit:g} {'ok' if self.ok else 'short'}"

    @property
    def _shown(self) -> str:
        if isinstance(self.value, int):
            return str(self.value)
        return f"{float(f'{self.value:.4g}'):.15g}"


Benchmark = Callable[[Site], Iterable[Figure]]
"""Measures on a site, and yields each figure as soon as it is known."""


def all_of(parts: Iterable[Callable[[], Iterable[Figure]]]) -> Iterator[Figure]:
    """The figures of a benchmark's parts, in order; one that breaks does not keep the later ones from being measured.

    Raises:
        ExceptionGroup: some broke; raised when the last has been measured.
    """
    broken: list[Exception] = []
    for part in parts:
        try:
            yield from part()
        except Exception as error:  # noqa: BLE001 - raised below, with the others
            broken.append(error)
    if broken:
        msg = "parts of the benchmark"
        raise ExceptionGroup(msg, broken)


def run(
    benchmarks: Mapping[str, Benchmark[Site]],
    site: Site,
    *,
    say: Callable[[str], object],
    note: Callable[[str], object],
) -> int:
    """Run benchmarks in their order and say their figures as they come.

    A benchmark that breaks is noted with its traceback and does not keep the others from running.

    Args:
        benchmarks: by name.
        site: handed to each.
        say: takes each figure's line.
        note: takes everything else.

    Returns:
        The exit code: 0 when every figure reached its bar and no benchmark broke, else 1.
    """
    fine = True
    for name, benchmark in benchmarks.items():
        note(f"{name} ...")
        try:
            for figure in benchmark(site):
                say(figure.line)
                fine = fine and figure.ok
        except Exception:  # noqa: BLE001 - noted whole, and the exit code says so
            note(f"{name} broke:\n{traceback.format_exc()}")
            fine = False
    return 0 if fine else 1
