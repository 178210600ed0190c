"""What a push of many queries holds in memory: a process that pushes them against one that pushes none."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from iomete_mc_assets import clock
from iomete_mc_assets.errors import IometeMcError
from iomete_mc_assets.manifests.model import Collector, Draft, Verdict
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo.ingest import Outgoing
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.push.config import Destination, PushConfig
from iomete_mc_assets.push.ledger import Owner
from iomete_mc_assets.push.pusher import Pusher
from iomete_mc_assets.records import QueryRecord
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.bench.figures import Figure, at_most
from iomete_mc_assets_tests.bench.push import SOURCE
from iomete_mc_assets_tests.bench.site import Site

QUERIES = 1_000_000
ENDPOINT = "http://nobody.example"
RESOURCE_UUID = "6f6b3c53-5fb4-4bd6-8ba8-0d4d4f0ed2a5"


def memory_of_push(site: Site) -> Iterator[Figure]:
    """1,000,000 queries of an hour; each push in a process of its own, to a receiver that takes everything."""
    hour = HourWindow.newest_closed(clock.now()).key
    peaks: list[int] = []
    for queries in (0, QUERIES):
        root = str(site.folder("memory") / f"store-{queries}")
        for deed in ("collect", "push"):
            words = [sys.executable, "-m", __name__, deed, root, hour, str(queries)]
            said = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: S603 - our own
        peaks.append(int(said.stdout))
    above = (peaks[1] - peaks[0]) / 1024
    yield Figure(name="push_1m_queries_memory", value=above, unit="mib", bar=at_most(100))
    yield Figure(name="push_nothing_memory", value=peaks[0] / 1024, unit="mib")


def main(deed: str, root: str, key: str, queries: str) -> None:
    """What one of the processes does; the one that pushes prints its peak."""
    hour = HourWindow.from_key(key)
    if deed == "collect":
        collect(root, hour, int(queries))
    else:
        push(root, hour, int(queries))
        sys.stdout.write(str(peak_kib()))


def collect(root: str, hour: HourWindow, queries: int) -> None:
    """Write the hour's manifest."""
    draft = Draft(
        flow="query_logs",
        window=hour,
        collected_at=hour.end,
        collector=Collector(name="query_logs", version="1"),
        records=(query(number, hour) for number in range(queries)),
        verdict=lambda: Verdict(state="complete"),
    )
    ManifestStore.open(root, source=SOURCE).write(draft, manifest_id="m1")


def query(number: int, hour: HourWindow) -> QueryRecord:
    """A short query: what a push holds does not grow with the text."""
    return QueryRecord(
        query_id=f"query-{number:07d}",
        text=f"SELECT * FROM sales.orders WHERE id = {number}",
        started_at=hour.start,
        ended_at=hour.start + timedelta(milliseconds=3 * number),
        user="analyst@example.com",
    )


def push(root: str, hour: HourWindow, queries: int) -> None:
    """Push the hour, all of it."""
    destination = Destination(endpoint=ENDPOINT, resource_uuid=RESOURCE_UUID, naming="guide")
    naming = Naming(strategy="guide", catalogs=SOURCE.catalogs)
    config = PushConfig(destination=destination, naming=naming, hour_budget_s=1500)
    owner = Owner(run_id="bench", root_run_id="bench", is_finished=lambda _: False)
    hours = {hour: "m1"}
    pusher = Pusher(ManifestStore.open(root, source=None), Taking(), config)
    ((_, outcome),) = pusher.push("query_logs", hours, named=lambda _: hours, owner=owner)
    if isinstance(outcome, IometeMcError):
        raise outcome
    if outcome.counts.get("accepted", 0) != queries:
        msg = f"the push of {queries} queries ended with {outcome.counts}"
        raise RuntimeError(msg)


class Taking:
    """An ``Ingest`` that takes everything."""

    def send(self, outgoing: Outgoing) -> str:
        del outgoing
        return str(uuid.uuid4())


def peak_kib() -> int:
    """The most that this process held; getrusage would count the process that started it, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
