"""Where benchmarks measure: a folder of their own, and the sandbox's two servers, started once for all of them.

The demo's benchmark leaves its servers running in ``demo_home``; whoever comes later gets those.
"""

import os
import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from iomete_mc_assets import clock
from iomete_mc_assets.cli.environment import gateway_state, lakehouse_state, stop_servers
from iomete_mc_assets.sandbox import gateway_process, lakehouse, seed, seed_log, spark
from iomete_mc_assets.sandbox.gateway_connection import Connection
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse

OURS = ("IOMETE_", "MCD_", "DAGSTER_HOME")


class Site:
    """An empty folder while it is entered; its servers are stopped when it is left.

    Attributes:
        demo_home: of the demo, and of both servers.
        scale_state: of the lakehouse with thousands of tables, which only its own benchmark starts.
    """

    def __init__(self, home: Path) -> None:
        """Nothing is touched yet."""
        self._home = home.absolute()
        self.demo_home = self._home / "demo"
        self.scale_state = self._home / "scale" / "lakehouse"

    def __enter__(self) -> Self:
        # what a killed run left would be measured, and its servers would hold memory and processor
        self._stop()
        # the last run's files go at the end: without a journal, ext4 looks at each inode that was
        # deleted within five minutes before it makes a new one (0.2 to 2 s of a push of 1,000 receipts)
        aside = self._home.with_name(f"{self._home.name}-before")
        shutil.rmtree(aside, ignore_errors=True)
        if self._home.exists():
            self._home.rename(aside)
        self._home.mkdir(parents=True)
        if aside.exists():
            aside.rename(self._before)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        shutil.rmtree(self._before, ignore_errors=True)

    @property
    def _before(self) -> Path:
        return self._home / "before"

    def _stop(self) -> None:
        stop_servers(self.demo_home)
        lakehouse.stop(self.scale_state)

    def folder(self, name: str) -> Path:
        """A folder for a benchmark, made when it is not there."""
        made = self._home / name
        made.mkdir(exist_ok=True)
        return made

    def environment(self) -> Mapping[str, str]:
        """This process's environment without anything that sets up our product."""
        return {name: text for name, text in os.environ.items() if not name.startswith(OURS)}

    def warm(self) -> None:
        """Fill the caches of the sandbox, which a machine does once: Java, Iceberg's jar, the token check."""
        spark.prepare(os.environ)

    @cached_property
    def lakehouse(self) -> RunningLakehouse:
        """Running and seeded."""
        state = lakehouse_state(self.demo_home)
        running = lakehouse.start(state)
        if seed_log.read(state) is None:
            seed.seed(running, now=clock.now())
        return running

    @cached_property
    def gateway(self) -> Connection:
        """Running in a process of its own, so that its processor time is not ours."""
        return gateway_process.start(gateway_state(self.demo_home))
