"""``python -m iomete_mc_assets_tests.bench [NAME ...]``: which benchmarks there are."""

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import click

from iomete_mc_assets_tests.bench.demo import demo
from iomete_mc_assets_tests.bench.figures import Benchmark, run
from iomete_mc_assets_tests.bench.idle import look_of_sensors, push_unchanged
from iomete_mc_assets_tests.bench.lineage import lineage
from iomete_mc_assets_tests.bench.memory import memory_of_push
from iomete_mc_assets_tests.bench.push import push_queries, push_queries_over_tls
from iomete_mc_assets_tests.bench.query_logs import query_logs
from iomete_mc_assets_tests.bench.scale import scale
from iomete_mc_assets_tests.bench.site import Site
from iomete_mc_assets_tests.bench.survey import survey_catalog

BENCHMARKS: Mapping[str, Benchmark[Site]] = {
    "demo": demo,  # first: it starts from nothing, and its servers stay for the others
    "survey": survey_catalog,
    "push": push_queries,
    "push_tls": push_queries_over_tls,
    "unchanged": push_unchanged,
    "sensors": look_of_sensors,
    "memory": memory_of_push,
    "lineage": lineage,
    "query_logs": query_logs,
    "scale": scale,
}
HOME = Path(".bench")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
def main(names: tuple[str, ...]) -> None:
    """Measure, and print one line a figure; exit code 1 when one is short of its bar.

    Runs all benchmarks, or those named. Figures go to standard output, everything else to standard
    error.
    """
    signal.signal(signal.SIGTERM, _end)
    chosen = {name: BENCHMARKS[name] for name in BENCHMARKS if not names or name in names}
    with Site(HOME) as site:
        code = run(chosen, site, say=click.echo, note=_note)
    sys.exit(code)


def _note(text: str) -> None:
    click.echo(text, err=True)


def _end(_number: int, _frame: FrameType | None) -> None:
    """Leave through the site, which stops its servers."""
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    main()
