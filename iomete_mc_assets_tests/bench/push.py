"""What a push costs beside the posts that it makes."""

import itertools
import os
import shutil
import statistics
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Self

import requests
from pycarlo.core import Client, Session
from pycarlo.features.ingestion import IngestionService
from pycarlo.features.ingestion.models import QueryLogEntry

from iomete_mc_assets import clock
from iomete_mc_assets.errors import IometeMcError
from iomete_mc_assets.manifests.model import Collector, Draft, Source, Verdict
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo.ingest import Ingest, IngestConfig, Outgoing, PycarloIngest
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.push.config import Destination, PushConfig
from iomete_mc_assets.push.ledger import Owner
from iomete_mc_assets.push.policy import IN_FLIGHT
from iomete_mc_assets.push.pusher import Pusher
from iomete_mc_assets.records import QueryRecord
from iomete_mc_assets.sandbox.gateway_connection import Connection
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.bench import tls_gateway
from iomete_mc_assets_tests.bench.comparison import compare, processor_seconds, ratio, seconds
from iomete_mc_assets_tests.bench.figures import Figure, at_most
from iomete_mc_assets_tests.bench.site import Site

ROUNDS = 5
CPU_ROUNDS = 3
QUERIES = 10_000
REFERENCE_BATCH = 100
REFERENCE_QUERIES = 5_000
"""Sent as pycarlo's documentation does it; what they cost is scaled to as many as ours."""
TLS_ROUNDS = 3
TLS_QUERIES = 100_000
TLS_REFERENCE_QUERIES = 5_000
"""Sent as the documentation does it, a request after another; both its times are scaled to as many as ours."""
TEXT_BYTES = 1_000
LOG_TYPE = "databricks-metastore-sql-warehouse"
SOURCE = Source(host="bench.example:443/cliservice", catalogs=("spark_catalog",))


def push_queries(site: Site) -> Iterator[Figure]:
    """10,000 queries of 1 kB, each round from a store of its own; writing the manifest does not count."""
    hour = HourWindow.newest_closed(clock.now())
    records = [query(number, hour) for number in range(QUERIES)]
    folder, numbers = site.folder("push"), itertools.count(1)
    ingest, posts = ingest_of(site.gateway), BarePosts(site.gateway)
    recording = Recording(ingest)
    written: list[float] = []

    def filled() -> ManifestStore:
        store = ManifestStore.open(str(folder / f"store-{next(numbers)}"), source=SOURCE)
        written.append(seconds(lambda: store.write(draft(hour, records), manifest_id="m1")))
        return store

    def ours() -> float:
        store = filled()
        return seconds(lambda: push_all(store, hour, ingest, site.gateway, count=QUERIES))

    push_all(filled(), hour, recording, site.gateway, count=QUERIES)
    with posts:
        comparison = compare(
            ours, lambda: seconds(lambda: posts.send(recording.bodies)), rounds=ROUNDS
        )
    yield from comparison.figures("push_10k_queries", bare="posts", bar=3)
    yield Figure(name="push_10k_queries_requests", value=len(recording.bodies), unit="requests")
    yield Figure(name="push_10k_queries_bytes", value=sum(map(len, recording.bodies)), unit="bytes")
    yield Figure(name="write_10k_queries", value=statistics.median(written), unit="s")

    def ours_cpu() -> float:
        store = filled()
        return processor_seconds(lambda: push_all(store, hour, ingest, site.gateway, count=QUERIES))

    reference = Reference(site.gateway)

    def reference_cpu() -> float:
        some = records[:REFERENCE_QUERIES]
        return processor_seconds(lambda: reference.send(some)) * (QUERIES / REFERENCE_QUERIES)

    cpu = compare(ours_cpu, reference_cpu, rounds=CPU_ROUNDS)
    share = cpu.ours_s / cpu.bare_s
    yield Figure(name="push_10k_queries_cpu_vs_reference", value=share, unit="ratio")
    yield Figure(name="push_10k_queries_cpu", value=cpu.ours_s, unit="s")
    yield Figure(name="push_10k_queries_cpu_reference", value=cpu.bare_s, unit="s")


def push_queries_over_tls(site: Site) -> Iterator[Figure]:
    """100,000 queries of 1 kB in one hour, to a gateway over TLS that answers 50 ms after a request."""
    folder = site.folder("push_tls")
    hour = HourWindow.newest_closed(clock.now())
    collected = folder / "collected"
    ManifestStore.open(str(collected), source=SOURCE).write(
        draft(hour, (query(n, hour) for n in range(TLS_QUERIES))), manifest_id="m1"
    )
    some = [query(n, hour) for n in range(TLS_REFERENCE_QUERIES)]
    scale = TLS_QUERIES / TLS_REFERENCE_QUERIES
    requests_made = TLS_QUERIES / REFERENCE_BATCH
    with tls_gateway.running(folder) as gateway, trusting(gateway.authority):
        connection = gateway.connection
        ingest, reference = ingest_of(connection), Reference(connection)
        rounds: list[tuple[float, float, float, float]] = []
        kernel: list[float] = []
        for number in range(TLS_ROUNDS):
            shutil.copytree(collected, folder / f"store-{number}")
            store = ManifestStore.open(str(folder / f"store-{number}"), source=SOURCE)
            before = os.times().system
            ours = both(partial(push_all, store, hour, ingest, connection, count=TLS_QUERIES))
            kernel.append(os.times().system - before)
            rounds.append((*ours, *both(partial(reference.send, some))))
    ours_s, ours_cpu_s, reference_s, reference_cpu_s = map(
        statistics.median, zip(*rounds, strict=True)
    )
    waits_s = requests_made * tls_gateway.ANSWER_MS / 1_000 / IN_FLIGHT
    name = "push_100k_queries_tls"
    yield Figure(name=f"{name}_vs_waits", value=ours_s / waits_s, unit="ratio", bar=at_most(1.3))
    yield Figure(name=name, value=ours_s, unit="s")
    yield Figure(name=f"{name}_reference_scaled", value=reference_s * scale, unit="s")
    cpu = ratio([one[1] for one in rounds], [one[3] * scale for one in rounds])
    yield Figure(name=f"{name}_cpu_vs_reference", value=cpu, unit="ratio", bar=at_most(0.25))
    yield Figure(name=f"{name}_cpu", value=ours_cpu_s, unit="s")
    # a disk that has just lost thousands of files makes new ones slowly: see ``Site``
    yield Figure(name=f"{name}_cpu_kernel", value=statistics.median(kernel), unit="s")
    yield Figure(name=f"{name}_cpu_reference_scaled", value=reference_cpu_s * scale, unit="s")


def both(deed: Callable[[], object]) -> tuple[float, float]:
    """A deed's seconds by the clock and of the processor."""
    cpu: list[float] = []
    wall = seconds(lambda: cpu.append(processor_seconds(deed)))
    return wall, cpu[0]


@contextmanager
def trusting(authority: Path) -> Generator[None]:
    """Have requests, pycarlo's too, trust a certificate authority and no other."""
    name = "REQUESTS_CA_BUNDLE"
    before = os.environ.get(name)
    os.environ[name] = str(authority)
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def draft(hour: HourWindow, records: Iterable[QueryRecord]) -> Draft:
    """An hour of queries as a collector hands it over."""
    return Draft(
        flow="query_logs",
        window=hour,
        collected_at=hour.end,
        collector=Collector(name="query_logs", version="1"),
        records=records,
        verdict=lambda: Verdict(state="complete"),
    )


def query(number: int, hour: HourWindow) -> QueryRecord:
    """A query whose text is 1,000 bytes of columns, as reporting tools write them."""
    columns = ", ".join(f"o.measure_{number}_{column}" for column in range(60))
    text = f"SELECT {columns}"[: TEXT_BYTES - 20] + " FROM sales.orders o"
    started_at = hour.start + timedelta(milliseconds=30 * number)
    return QueryRecord(
        query_id=f"query-{number:06d}",
        text=text,
        started_at=started_at,
        ended_at=started_at + timedelta(milliseconds=250),
        user="analyst@example.com",
        returned_rows=number,
    )


def push_all(
    store: ManifestStore, hour: HourWindow, ingest: Ingest, gateway: Connection, *, count: int
) -> None:
    """Push the store's only hour, all of it."""
    destination = Destination(
        endpoint=gateway.url, resource_uuid=gateway.resource_uuid, naming="guide"
    )
    naming = Naming(strategy="guide", catalogs=SOURCE.catalogs)
    pusher = Pusher(store, ingest, PushConfig(destination=destination, naming=naming))
    owner = Owner(run_id="bench", root_run_id="bench", is_finished=lambda _: False)
    hours = {hour: "m1"}
    ((_, outcome),) = pusher.push("query_logs", hours, named=lambda _: hours, owner=owner)
    if isinstance(outcome, IometeMcError):
        raise outcome
    if outcome.counts.get("accepted") != count:
        msg = f"the push ended with {dict(outcome.counts)}; all {count} queries should be accepted"
        raise RuntimeError(msg)


def ingest_of(gateway: Connection) -> PycarloIngest:
    """The product's way to the gateway."""
    return PycarloIngest(
        IngestConfig(endpoint=gateway.url, key_id=gateway.key_id, key_secret=gateway.key_secret)
    )


class Recording:
    """An ``Ingest`` that remembers the bodies it sent, in the order in which they were begun."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self.bodies: list[bytes] = []

    def send(self, outgoing: Outgoing) -> str:
        self.bodies.append(outgoing.body)
        return self._ingest.send(outgoing)


class BarePosts:
    """One kept-alive connection that posts bodies one after the other and keeps nothing."""

    def __init__(self, gateway: Connection) -> None:
        self._url = f"{gateway.url}/ingest/v1/querylogs"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update(
            {
                "x-mcd-id": gateway.key_id,
                "x-mcd-token": gateway.key_secret,
                "Content-Type": "application/json",
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def send(self, bodies: Sequence[bytes]) -> None:
        for body in bodies:
            self._session.post(self._url, data=body, timeout=60).raise_for_status()


class Reference:
    """pycarlo as its documentation uses it: a model for each query, ``to_dict``, a post for each 100."""

    def __init__(self, gateway: Connection) -> None:
        session = Session(mcd_id=gateway.key_id, mcd_token=gateway.key_secret, scope="Ingestion")
        session.endpoint = gateway.url
        self._service = IngestionService(Client(session))
        self._gateway = gateway

    def send(self, queries: Sequence[QueryRecord]) -> None:
        for first in range(0, len(queries), REFERENCE_BATCH):
            events = [entry(query) for query in queries[first : first + REFERENCE_BATCH]]
            self._service.send_query_logs(  # pyright: ignore[reportUnknownMemberType] - pycarlo's
                self._gateway.resource_uuid, LOG_TYPE, events
            )


def entry(query: QueryRecord) -> QueryLogEntry:
    """The same facts in pycarlo's model."""
    return QueryLogEntry(
        start_time=query.started_at,
        end_time=query.ended_at,
        query_text=query.text,
        query_id=query.query_id,
        user=query.user,
        returned_rows=query.returned_rows,
    )
