"""One run of the product's own metadata job in a process of its own, to see how large that process becomes.

``python -m iomete_mc_assets_tests.bench.collecting`` reads the product's settings from the environment and prints
one line of JSON. What is made of it lives in ``scale``.
"""

# Dagster types its ephemeral instance in part only.
# pyright: reportUnknownMemberType=false

import json
import sys
import time
from pathlib import Path

import dagster as dg

from iomete_mc_assets import clock
from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.defs.keys import COLLECT_METADATA
from iomete_mc_assets.windows import HourWindow

QUIET = {"python_logs": {"python_log_level": "INFO"}}
"""As ``dagster.yaml`` has it."""


def peak_bytes() -> int:
    """The largest resident size of this process so far.

    Not ``ru_maxrss``, which on Linux also counts what the parent had when it started this process.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main() -> None:
    """Collect the newest closed hour."""
    definitions = build_definitions()
    job = definitions.get_repository_def().get_job(COLLECT_METADATA)
    with dg.DagsterInstance.ephemeral(settings=QUIET) as instance:
        window = HourWindow.newest_closed(clock.now())
        begun = time.perf_counter()
        job.execute_in_process(instance=instance, partition_key=window.key)
        taken = time.perf_counter() - begun
    sys.stdout.write(json.dumps({"peak": peak_bytes(), "seconds": taken}))


if __name__ == "__main__":
    main()
