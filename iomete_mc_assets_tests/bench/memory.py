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
from iomete_mc_assets.manifests.receipts import Force
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
    """1,000,000 queries of an hour, then the hour collected again with one query less, so nothing new; then all forced.

    Each deed is a process of its own; the receiver takes everything.
    """
    folder, hour = site.folder("memory"), HourWindow.newest_closed(clock.now())
    empty, store = folder / "nothing", folder / "store"
    done("collect", empty, hour, "m1", 0)
    nothing = done("push", empty, hour, "m1", 0)
    done("collect", store, hour, "m1", QUERIES)
    fresh = done("push", store, hour, "m1", QUERIES)
    done("collect", store, hour, "m2", QUERIES - 1)
    again = done("push", store, hour, "m2", QUERIES - 1)
    forced = done("force", store, hour, "m1", QUERIES)
    peaks = {"": fresh, "_again": again, "_forced": forced}
    for what, peak in peaks.items():
        above = (peak - nothing) / 1024
        yield Figure(
            name=f"push_1m_queries{what}_memory", value=above, unit="mib", bar=at_most(100)
        )
    yield Figure(name="push_nothing_memory", value=nothing / 1024, unit="mib")


def done(deed: str, root: Path, hour: HourWindow, manifest_id: str, queries: int) -> int:
    """KiB that a process held which did this with an hour's manifest."""
    words = [sys.executable, "-m", __name__, deed, str(root), hour.key, manifest_id, str(queries)]
    return int(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)  # noqa: S603 - our own


def main(deed: str, root: str, key: str, manifest_id: str, queries: str) -> None:
    """What one of the processes does; it prints its peak."""
    hour = HourWindow.from_key(key)
    if deed == "collect":
        collect(root, hour, manifest_id, int(queries))
    else:
        push(root, hour, manifest_id, int(queries), force="all" if deed == "force" else None)
    sys.stdout.write(str(peak_kib()))


def collect(root: str, hour: HourWindow, manifest_id: str, queries: int) -> None:
    """Write the hour's manifest."""
    draft = Draft(
        flow="query_logs",
        window=hour,
        collected_at=hour.end,
        collector=Collector(name="query_logs", version="1"),
        records=(query(number, hour) for number in range(queries)),
        verdict=lambda: Verdict(state="complete"),
    )
    ManifestStore.open(root, source=SOURCE).write(draft, manifest_id=manifest_id)


def query(number: int, hour: HourWindow) -> QueryRecord:
    """A short query: what a push holds does not grow with the text."""
    return QueryRecord(
        query_id=f"query-{number:07d}",
        text=f"SELECT * FROM sales.orders WHERE id = {number}",
        started_at=hour.start,
        ended_at=hour.start + timedelta(milliseconds=3 * number),
        user="analyst@example.com",
    )


def push(
    root: str, hour: HourWindow, manifest_id: str, queries: int, *, force: Force | None
) -> None:
    """Push the hour: all of the first manifest, nothing of a second."""
    destination = Destination(endpoint=ENDPOINT, resource_uuid=RESOURCE_UUID, naming="guide")
    naming = Naming(strategy="guide", catalogs=SOURCE.catalogs)
    config = PushConfig(destination=destination, naming=naming, hour_budget_s=1500)
    run_id = force or "bench"
    owner = Owner(run_id=run_id, root_run_id=run_id, is_finished=lambda _: False)
    hours = {hour: manifest_id}
    ingest = Taking()
    pusher = Pusher(ManifestStore.open(root, source=None), ingest, config)
    ((_, outcome),) = pusher.push(
        "query_logs", hours, named=lambda _: hours, owner=owner, force=force
    )
    if isinstance(outcome, IometeMcError):
        raise outcome
    status = "accepted" if manifest_id == "m1" else "accepted_before"
    told = {status: queries} if queries else {}
    batches = -(-queries // config.max_queries) if status == "accepted" else 0
    if (outcome.counts, ingest.requests) != (told, batches):
        msg = (
            f"the push of {queries} queries ended with {outcome.counts}, {ingest.requests} requests"
        )
        raise RuntimeError(msg)


class Taking:
    """An ``Ingest`` that takes everything."""

    def __init__(self) -> None:
        self.requests = 0

    def send(self, outgoing: Outgoing) -> str:
        del outgoing
        self.requests += 1
        return str(uuid.uuid4())


def peak_kib() -> int:
    """The most that this process held; getrusage would count the process that started it, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
