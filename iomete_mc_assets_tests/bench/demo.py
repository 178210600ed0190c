"""How long a newcomer waits: the demo from nothing, by phase, as the command line runs it."""

import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator

import click

from iomete_mc_assets_tests.bench.figures import Figure, at_most
from iomete_mc_assets_tests.bench.site import Site

PHASES = {
    "Monte Carlo gateway": "gateway",
    "Spark Thrift server with Iceberg": "lakehouse",
    "small shop with 24 hours of history seeded": "seed",
    "6 hours of 3 flows collected": "collect",
    "sensors evaluated, their runs pushed": "push",
    "12 files of 6 other collectors imported": "import",
    "gateway compared with manifests, Spark and the seed's log": "prove",
}
"""What the demo calls its steps, in its order."""
READY = ("gateway", "lakehouse", "seed")
DEMO_S = 180
"""Seconds from the command to its exit, with warm caches on two cores. Source: issue 3, points 9 and 11."""
READY_S = 90
"""Seconds from the start to a sandbox with data, likewise. Source: issue 3, point 2."""

_STEP = re.compile(r"✓ (?P<what>.+) \((?P<seconds>[\d.]+) s\)\n?")


def demo(site: Site) -> Iterator[Figure]:
    """``iomete-mc demo --fresh`` in a process of its own, start and imports included."""
    site.warm()
    total, phases = _run(site)
    for name, taken in phases.items():
        yield Figure(name=f"demo_{name}", value=taken, unit="s")
    yield Figure(name="demo_outside_phases", value=total - sum(phases.values()), unit="s")
    yield Figure(name="demo_total", value=total, unit="s", bar=at_most(DEMO_S))
    ready = sum(phases[name] for name in READY)
    yield Figure(name="sandbox_ready", value=ready, unit="s", bar=at_most(READY_S))


def _run(site: Site) -> tuple[float, dict[str, float]]:
    """Seconds in all and by phase.

    Raises:
        RuntimeError: the demo failed, or no longer says its phases in these words.
    """
    command = [sys.executable, "-m", "iomete_mc_assets.cli.main", "demo", "--fresh"]
    command += ["--home", str(site.demo_home)]
    environment = {**site.environment(), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
    begun = time.perf_counter()
    lines: list[str] = []
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as child:
        try:
            for line in child.stdout or ():
                click.echo(f"  {line}", nl=False, err=True)
                lines.append(line)
        except BaseException:
            child.kill()  # leaving the block would wait for it
            raise
    total = time.perf_counter() - begun
    if child.returncode != 0:
        msg = f"the demo ended with {child.returncode}; its own words stand above"
        raise RuntimeError(msg)
    return total, phases_of(lines)


def phases_of(lines: Iterable[str]) -> dict[str, float]:
    """Seconds by phase, from the demo's lines."""
    said = {
        match["what"]: float(match["seconds"]) for line in lines if (match := _STEP.match(line))
    }
    if list(said) != list(PHASES):
        msg = f"the demo's steps are {list(said)}, and this benchmark knows {list(PHASES)}"
        raise RuntimeError(msg)
    return {PHASES[what]: taken for what, taken in said.items()}
