"""A running Dagster with what tests ask of it: which hours are collected and pushed, and what arrived.

Processes and clicks live in ``dagster_processes``.
"""

# Dagster types its events in part only.

from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from iomete_mc_assets.defs.keys import collected_key, push_job_name, pushed_key
from iomete_mc_assets.defs.materializations import manifest_id, newest_by_hour
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.receipts import SentFolder
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.push.config import PushConfig
from iomete_mc_assets.records import QueryRecord
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_records import INGEST_PATHS
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.dagster_processes import DagsterProcesses, wait_for
from iomete_mc_assets_tests.flow.conftest import QUERY_LOG
from iomete_mc_assets_tests.push_bench import leading_to

QUERIES: Flow = "query_logs"
QUERY_LOG_PATH = next(path for path, name in INGEST_PATHS.items() if name == "querylogs")
PATIENCE_S = 400
"""For what takes under two minutes on two idle cores."""
GATEWAY = "gateway"
"""Below a daemon's home: the gateway's state."""


@dataclass(slots=True, kw_only=True)
class Daemon:
    """A running Dagster between the lakehouse and a gateway, which tests may close and open again."""

    dagster: DagsterProcesses
    gateway: Gateway
    home: Path
    environment: dict[str, str]

    @property
    def store(self) -> ManifestStore:
        """The manifests that were written."""
        return ManifestStore.open(self.environment["IOMETE_MC_MANIFESTS"], source=None)

    def collected(self, flow: Flow) -> dict[HourWindow, dg.EventLogRecord]:
        """Newest materialisation of each collected hour."""
        return newest_by_hour(self.dagster.instance, collected_key(flow))

    def pushed(self, flow: Flow) -> dict[HourWindow, dg.EventLogRecord]:
        """Newest materialisation of each pushed hour."""
        return newest_by_hour(self.dagster.instance, pushed_key(flow))

    def wait_until_pushed(
        self, flows: Iterable[Flow], hours: list[HourWindow], *, within_s: float
    ) -> None:
        """Wait until the manifest of each hour's newest event is settled."""

        def settled() -> bool:
            return all(self._settled(flow, hours) for flow in flows)

        wait_for(settled, within_s=within_s, what=f"{len(hours)} pushed hours each")

    def wait_until_collected(self, flow: Flow, hours: list[HourWindow]) -> None:
        """Wait until each hour has an event."""
        wait_for(
            lambda: self._materialized(collected_key(flow), hours),
            within_s=PATIENCE_S,
            what=f"{len(hours)} collected hours",
            so_far=lambda: self._done(collected_key(flow), hours),
        )

    def _settled(self, flow: Flow, hours: list[HourWindow]) -> bool:
        if not self._materialized(pushed_key(flow), hours):
            return False
        collected, pushed = self.collected(flow), self.pushed(flow)
        return all(
            window in collected and manifest_id(pushed[window]) == manifest_id(collected[window])
            for window in hours
        )

    def _materialized(self, key: dg.AssetKey, hours: list[HourWindow]) -> bool:
        return self._done(key, hours) == len(hours)

    def _done(self, key: dg.AssetKey, hours: list[HourWindow]) -> int:
        done = self.dagster.instance.get_materialized_partitions(key)
        return len(done.intersection(window.key for window in hours))

    def finished_pushes(self, flow: Flow) -> list[dg.DagsterRun]:
        """All push runs of a flow, oldest first, once none is at work: hours are settled before their run ends."""

        def finished() -> bool:
            return all(run.is_finished for run in self.dagster.runs(push_job_name(flow)))

        wait_for(finished, within_s=PATIENCE_S, what=f"the {flow} pushes to end")
        return self.dagster.runs(push_job_name(flow))

    def queries_collected(self, hours: list[HourWindow]) -> Counter[str]:
        """The ids of the queries in the hours' manifests."""
        store = self.store
        named = self.collected(QUERIES)
        return Counter(
            record.query_id
            for window in hours
            for record in store.records(
                store.header(QUERIES, window, manifest_id(named[window]) or "")
            )
            if isinstance(record, QueryRecord)
        )

    def queries_accepted(self) -> Counter[str]:
        """Query ids as often as the gateway took them."""
        return Counter(event.content["query_id"] for event in self.gateway.events("querylogs"))

    def sent(self, window: HourWindow) -> SentFolder:
        """What the store holds of the push of an hour's query logs."""
        store = self.store
        manifest = manifest_id(self.collected(QUERIES)[window]) or ""
        destination = PushConfig.read(self.environment).destination.id
        folder = f"{store.folder(QUERIES, window, manifest)}/sent/{destination}"
        return SentFolder(store.storage, folder)


@contextmanager
def daemon_between(sandbox: RunningLakehouse, home: Path, **options: str) -> Generator[Daemon]:
    """Webserver and daemon between the lakehouse and a gateway, sensors and schedules off.

    Args:
        sandbox: the lakehouse.
        home: for everything else.
        options: variables beside addresses, keys and the query log.
    """
    gateway = Gateway(home / GATEWAY)
    environment = {
        **QUERY_LOG,
        "IOMETE_URL": sandbox.url,
        "IOMETE_USER": sandbox.user,
        "IOMETE_TOKEN": sandbox.token,
        **leading_to(gateway),
        "IOMETE_MC_MANIFESTS": str(home / "manifests"),
        **options,
    }
    running = Daemon(
        dagster=DagsterProcesses(home / "dagster", environment),
        gateway=gateway,
        home=home,
        environment=environment,
    )
    try:
        with running.dagster:
            yield running
    finally:
        running.gateway.close()
