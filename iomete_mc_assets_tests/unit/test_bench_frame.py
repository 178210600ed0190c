import math
from collections.abc import Iterable, Iterator, Mapping

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets_tests.bench.__main__ import main
from iomete_mc_assets_tests.bench.comparison import Comparison, compare
from iomete_mc_assets_tests.bench.demo import phases_of
from iomete_mc_assets_tests.bench.figures import Benchmark, Figure, all_of, at_least, at_most, run

FAST = Figure(name="survey_vs_statements", value=1.312, unit="ratio", bar=at_most(2))
SLOW = Figure(name="survey_vs_statements", value=2.317, unit="ratio", bar=at_most(2))


class Heard:
    """What a run said and noted."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.noted: list[str] = []

    def run(self, benchmarks: Mapping[str, Benchmark[str]]) -> int:
        return run(benchmarks, "here", say=self.said.append, note=self.noted.append)


def measured(*figures: Figure) -> Benchmark[str]:
    """A benchmark that knows its figures already."""

    def benchmark(_site: str) -> Iterable[Figure]:
        return figures

    return benchmark


@pytest.mark.parametrize(
    ("figure", "line"),
    [
        (FAST, "survey_vs_statements 1.312 ratio bar <= 2 ok"),
        (SLOW, "survey_vs_statements 2.317 ratio bar <= 2 short"),
        (
            Figure(name="rows_per_s", value=120_456, unit="rows", bar=at_least(100_000)),
            "rows_per_s 120456 rows bar >= 100000 ok",
        ),
        (
            Figure(name="rows_per_s", value=99.5, unit="rows", bar=at_least(99.9)),
            "rows_per_s 99.5 rows bar >= 99.9 short",
        ),
        (Figure(name="bytes", value=11_906_740, unit="bytes"), "bytes 11906740 bytes bar none"),
        (Figure(name="pause", value=0.00123456, unit="s"), "pause 0.001235 s bar none"),
        (Figure(name="much", value=1_234_567.8, unit="s"), "much 1235000 s bar none"),
    ],
)
def test_a_figure_is_one_line_of_words(figure: Figure, line: str) -> None:
    assert figure.line == line


@given(value=st.floats(allow_infinity=True), limit=st.floats(-1e6, 1e6))
def test_a_line_says_ok_only_of_a_number_that_as_shown_reaches_the_bar(
    value: float, limit: float
) -> None:
    for bar in (at_most(limit), at_least(limit)):
        words = Figure(name="some", value=value, unit="s", bar=bar).line.split(" ")
        shown = float(words[1])
        assert words[:1] + words[2:5] == ["some", "s", "bar", bar.side]
        assert words[6:] == ["ok" if bar.holds(shown) else "short"]


def test_no_bar_holds_for_what_is_not_a_number() -> None:
    assert not at_most(2).holds(math.nan)
    assert not at_least(2).holds(math.nan)


@pytest.mark.parametrize(("name", "unit"), [("two words", "s"), ("", "s"), ("x", "kB / s")])
def test_a_name_or_unit_that_is_no_word_is_refused(name: str, unit: str) -> None:
    with pytest.raises(ValueError, match="is no word of a figure's line"):
        Figure(name=name, value=1, unit=unit)


def test_a_run_whose_figures_all_reach_their_bars_exits_0() -> None:
    heard = Heard()
    assert heard.run({"survey": measured(FAST, Figure(name="survey", value=1, unit="s"))}) == 0
    assert heard.said == [FAST.line, "survey 1 s bar none"]


def test_one_short_figure_makes_the_run_exit_1_and_the_rest_is_measured() -> None:
    heard = Heard()
    assert heard.run({"first": measured(SLOW), "second": measured(FAST)}) == 1
    assert heard.said == [SLOW.line, FAST.line]


def test_a_benchmark_that_breaks_is_noted_and_the_rest_is_measured() -> None:
    def breaks(site: str) -> Iterator[Figure]:
        yield FAST
        msg = f"nothing answers {site}"
        raise RuntimeError(msg)

    heard = Heard()
    assert heard.run({"first": breaks, "second": measured(FAST)}) == 1
    assert heard.said == [FAST.line, FAST.line]
    assert any("RuntimeError: nothing answers here" in noted for noted in heard.noted)


def test_rounds_are_taken_in_turn_after_one_that_does_not_count() -> None:
    order: list[str] = []
    ours_take, bare_take = iter([90.0, 4.0, 2.0, 3.0]), iter([90.0, 1.0, 2.0, 1.0])

    def ours() -> float:
        order.append("ours")
        return next(ours_take)

    def bare() -> float:
        order.append("bare")
        return next(bare_take)

    assert compare(ours, bare, rounds=3) == Comparison(ours_s=3.0, bare_s=1.0)
    assert order == ["ours", "bare", "ours", "bare", "bare", "ours", "ours", "bare"]


def test_a_comparison_holds_the_ratio_of_medians_against_the_bar() -> None:
    figures = Comparison(ours_s=3.0, bare_s=1.5).figures("push", bare="posts", bar=1.9)
    assert [figure.line for figure in figures] == [
        "push_vs_posts 2 ratio bar <= 1.9 short",
        "push 3 s bar none",
        "push_bare_posts 1.5 s bar none",
    ]


DEMO = """Hours 2026-11-21-04:00 to 2026-11-21-09:00 UTC; everything lies below here
✓ Monte Carlo gateway (1.2 s)
✓ Spark Thrift server with Iceberg (15.0 s)
✓ small shop with 24 hours of history seeded (40.1 s)
✓ 6 hours of 3 flows collected (30.0 s)
✓ sensors evaluated, their runs pushed (12.3 s)
✓ 12 files of 6 other collectors imported (6.5 s)
✓ gateway compared with manifests, Spark and the seed's log (5.0 s)
✓ queries, against the manifests: 40 compared, 0 differ
"""


def test_the_demos_phases_are_read_from_its_lines() -> None:
    assert phases_of(DEMO.splitlines(keepends=True)) == {
        "gateway": 1.2,
        "lakehouse": 15.0,
        "seed": 40.1,
        "collect": 30.0,
        "push": 12.3,
        "import": 6.5,
        "prove": 5.0,
    }


def test_a_demo_that_says_other_steps_is_not_measured() -> None:
    without_seed = [line for line in DEMO.splitlines(keepends=True) if "seeded" not in line]
    with pytest.raises(RuntimeError, match="the demo's steps are"):
        phases_of(without_seed)


def test_an_unknown_benchmark_is_refused_with_the_names_there_are() -> None:
    answer = CliRunner().invoke(main, ["speed"])
    assert answer.exit_code == 2
    assert "'demo', 'survey', 'push'" in answer.output


def test_a_part_that_breaks_loses_its_own_figures_alone() -> None:
    def broken() -> Iterator[Figure]:
        yield SLOW
        msg = "no server"
        raise RuntimeError(msg)

    def benchmark(_site: str) -> Iterator[Figure]:
        return all_of((broken, lambda: [FAST]))

    heard = Heard()
    assert heard.run({"parts": benchmark}) == 1
    assert heard.said == [SLOW.line, FAST.line]
    assert "RuntimeError: no server" in heard.noted[-1]
