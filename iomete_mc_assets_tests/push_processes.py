"""`iomete-mc push` as a process of its own, for tests of what a terminal shows."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets_tests.push_bench import Bench

EVENTS_A_BATCH = 10
SOON_S = 40
"""Far below the minute for which a request waits, and far above what an interrupted push takes."""


@contextmanager
def pushing(bench: Bench, flow: Flow, *words: str) -> Generator[subprocess.Popen[str]]:
    environment = {
        **os.environ,
        **bench.environment,
        "IOMETE_MC_MAX_QUERIES": str(EVENTS_A_BATCH),
        "IOMETE_MC_MAX_ASSETS": str(EVENTS_A_BATCH),
        "COLUMNS": "250",
    }
    command = [sys.executable, "-m", "iomete_mc_assets.cli.main", "push", flow, *words]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        try:
            yield child
        finally:
            child.kill()
