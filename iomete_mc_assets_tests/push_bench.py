"""A manifest store, a gateway and a clock that stands still: what tests of pushing stand on."""

from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

from iomete_mc_assets.errors import IometeMcError
from iomete_mc_assets.manifests.model import Collector, Draft, Flow, Source, State, Verdict
from iomete_mc_assets.manifests.receipts import Force, SentFolder
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo.ingest import Ingest, IngestConfig, PycarloIngest
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.push.config import Destination, PushConfig
from iomete_mc_assets.push.ledger import Log, Owner
from iomete_mc_assets.push.outcome import HourOutcome, Preview
from iomete_mc_assets.push.pusher import Pusher
from iomete_mc_assets.records import (
    Column,
    LineageEdge,
    Observation,
    QueryRecord,
    Record,
    TableEntry,
    TableId,
)
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.windows import HourWindow

SOURCE = Source(host="lake.example:443/cliservice", catalogs=("spark_catalog",))
HOUR = HourWindow(datetime.fromisoformat("2026-11-21T09:00:00+00:00"))
"""The newest closed hour at the bench's first instant."""

Answers = dict[HourWindow, HourOutcome | IometeMcError]


@dataclass(slots=True)
class Clock:
    """Time as tests move it; waiting moves it too."""

    instant: datetime = HOUR.end + timedelta(minutes=20)
    waits: list[float] = field(default_factory=list[float])

    def now(self) -> datetime:
        return self.instant

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.instant += timedelta(seconds=seconds)

    def advance(self, **parts: float) -> None:
        self.instant += timedelta(**parts)


def table(name: str) -> TableId:
    return TableId("spark_catalog", ("sales",), name)


def entries(count: int, *, comment: str | None = None) -> list[Record]:
    """Catalog entries ``t000``, ``t001``, ..."""
    return [
        TableEntry(
            table=table(f"t{number:03d}"),
            kind="table",
            format="iceberg",
            columns=(Column(name="id", type="BIGINT"),),
            comment=comment,
        )
        for number in range(count)
    ]


def observed(count: int, *, rows: int = 1) -> list[Record]:
    """Observations of the same tables."""
    return [
        Observation(table=table(f"t{number:03d}"), row_count=rows, byte_count=10 * rows)
        for number in range(count)
    ]


def queries(count: int, *, first: int = 0, window: HourWindow = HOUR) -> list[Record]:
    """Queries ``q0000``, ... that ended in the hour."""
    return [
        QueryRecord(
            query_id=f"q{number:04d}",
            text=f"SELECT {number}",
            started_at=window.start,
            ended_at=window.start + timedelta(seconds=number % 3600),
            user="ann",
        )
        for number in range(first, first + count)
    ]


def leading_to(gateway: Gateway) -> dict[str, str]:
    """The variables of an installation that pushes to a gateway."""
    return {
        "MCD_INGEST_ENDPOINT": gateway.url,
        "MCD_INGEST_ID": gateway.key_id,
        "MCD_INGEST_TOKEN": gateway.key_secret,
        "MCD_RESOURCE_UUID": gateway.resource_uuid,
    }


def edges(count: int, *, window: HourWindow = HOUR) -> list[Record]:
    """One edge from each of the tables ``t000``, ``t001``, ... into ``sink``: of tables and of columns in turn."""
    return [
        table_edge(f"t{number:03d}", "sink", window=window)
        if number % 2 == 0
        else column_edge(f"t{number:03d}", "id", "sink", f"c{number}", window=window)
        for number in range(count)
    ]


def table_edge(source: str, target: str, *, window: HourWindow = HOUR) -> LineageEdge:
    return LineageEdge(
        source=table(source),
        target=table(target),
        kind="table",
        found_in="sql",
        times_seen=1,
        last_seen=window.start,
    )


def column_edge(
    source: str, of: str, target: str, to: str, *, window: HourWindow = HOUR
) -> LineageEdge:
    return replace(
        table_edge(source, target, window=window),
        kind="direct",
        source_column=of,
        target_column=to,
    )


def table_entry(name: str) -> TableEntry:
    return TableEntry(
        table=table(name),
        kind="table",
        format="iceberg",
        columns=(Column(name="id", type="BIGINT"),),
    )


class Bench:
    """One lakehouse's manifests and one gateway."""

    def __init__(self, gateway: Gateway, root: str, *, storage: Storage | None = None) -> None:
        self.gateway = gateway
        self.clock = Clock()
        self.storage = storage or Storage.open(root)
        self.store = ManifestStore.over(self.storage, source=SOURCE)
        self.named: dict[Flow, dict[HourWindow, str]] = {
            "catalog_snapshot": {},
            "observations": {},
            "query_logs": {},
            "lineage": {},
        }
        self.config = PushConfig(
            destination=Destination(
                endpoint=gateway.url, resource_uuid=gateway.resource_uuid, naming="guide"
            ),
            naming=Naming(strategy="guide", catalogs=SOURCE.catalogs),
            max_assets=10,
            max_queries=10,
            max_edges=10,
        )
        self.ingest: Ingest = PycarloIngest(
            IngestConfig(
                endpoint=gateway.url,
                key_id=gateway.key_id,
                key_secret=gateway.key_secret,
                read_timeout_s=2,
                total_timeout_s=3,
            )
        )
        self.finished: set[str] = set()
        self._manifests = 0

    @classmethod
    @contextmanager
    def under_one_clock(cls, root: str) -> Generator[Self]:
        """With a gateway of its own, which stamps what it receives by the bench's clock."""
        clock = Clock()
        with Gateway(now=clock.now) as gateway:
            made = cls(gateway, root)
            made.clock = clock
            yield made

    @property
    def environment(self) -> dict[str, str]:
        """The variables of an installation with its store and its gateway."""
        return {"IOMETE_MC_MANIFESTS": self.store.root, **leading_to(self.gateway)}

    def configure(self, **changes: object) -> None:
        self.config = replace(self.config, **changes)  # pyright: ignore[reportArgumentType] - by name

    def collect(
        self,
        flow: Flow,
        records: Iterable[Record],
        *,
        window: HourWindow = HOUR,
        state: State = "complete",
    ) -> str:
        """Write a manifest, and let the newest event name it."""
        self._manifests += 1
        manifest_id = f"m{self._manifests:03d}"
        draft = Draft(
            flow=flow,
            window=window,
            collected_at=self.clock.now() + timedelta(milliseconds=self._manifests),
            collector=Collector(name=flow, version="1"),
            records=records,
            verdict=lambda: Verdict(
                state=state, reason=None if state == "complete" else f"it is {state}"
            ),
        )
        written = self.store.write(draft, manifest_id=manifest_id)
        assert written.header.manifest_id == manifest_id
        self.named[flow][window] = manifest_id
        return manifest_id

    def collect_some(self, flow: Flow, count: int, *, window: HourWindow = HOUR) -> str:
        """A manifest of a flow; what observations and edges are of was pushed before."""
        if flow == "query_logs":
            return self.collect(flow, queries(count), window=window)
        if flow == "lineage":
            self.know(*(f"t{number:03d}" for number in range(count)), "sink", window=window)
            return self.collect(flow, edges(count), window=window)
        manifest_id = self.collect("catalog_snapshot", entries(count), window=window)
        if flow == "catalog_snapshot":
            return manifest_id
        self.push_one("catalog_snapshot", window=window)
        return self.collect(flow, observed(count), window=window)

    def know(self, *names: str, window: HourWindow = HOUR) -> None:
        """Let Monte Carlo accept these tables, and take them in."""
        self.collect("catalog_snapshot", [table_entry(name) for name in names], window=window)
        self.push_one("catalog_snapshot", run=f"know-{self._manifests}", window=window)
        self.clock.advance(minutes=self.config.edge_delay_minutes)

    def push(
        self,
        flow: Flow,
        *windows: HourWindow,
        run: str = "run-1",
        root: str | None = None,
        force: Force | None = None,
        manifests: Mapping[HourWindow, str] | None = None,
    ) -> Answers:
        """Push the hours' named manifests, or those given; all named ones without hours."""
        hours = manifests or {
            window: self.named[flow][window] for window in windows or self.named[flow]
        }
        pusher, owner = self.pusher(), self.owner(run, root)
        return dict(
            pusher.push(flow, hours, named=lambda f: self.named[f], owner=owner, force=force)
        )

    def owner(self, run: str, root: str | None = None) -> Owner:
        return Owner(run_id=run, root_run_id=root or run, is_finished=self.finished.__contains__)

    def pusher(self) -> Pusher:
        return Pusher(
            self.store,
            self.ingest,
            self.config,
            now=self.clock.now,
            wait=self.clock.wait,
            jitter=lambda: 1.0,
        )

    def dry_run(
        self, flow: Flow, *windows: HourWindow, force: Force | None = None
    ) -> dict[HourWindow, Preview]:
        """What a push of the hours, or of all named ones, would do; none of them may fail."""
        hours = {window: self.named[flow][window] for window in windows or self.named[flow]}
        told: dict[HourWindow, Preview] = {}
        for window, answer in self.pusher().dry_run(
            flow, hours, named=lambda f: self.named[f], owner=self.owner("dry"), force=force
        ):
            assert isinstance(answer, Preview), answer
            told[window] = answer
        return told

    def foretold(
        self, flow: Flow, *windows: HourWindow, run: str = "run-2", force: Force | None = None
    ) -> dict[HourWindow, tuple[Preview, HourOutcome]]:
        """A dry run, which leaves no trace, and a push after it, which does just what was told."""
        files, posts = self.files(), len(self.gateway.requests)
        previews = self.dry_run(flow, *windows, force=force)
        assert (self.files(), len(self.gateway.requests)) == (files, posts)
        answers = self.push(flow, *windows, run=run, force=force)
        sent = [(one.events, one.body_bytes) for one in self.gateway.requests[posts:]]
        assert sorted(one for each in previews.values() for one in each.requests) == sorted(sent)
        found: dict[HourWindow, tuple[Preview, HourOutcome]] = {}
        for window, preview in previews.items():
            told, outcome = Counter(preview.counts), answers[window]
            told["accepted"] += told.pop("to_send", 0)
            assert isinstance(outcome, HourOutcome), outcome
            assert +told == outcome.counts
            found[window] = (preview, outcome)
        return found

    def push_one(
        self,
        flow: Flow,
        *,
        run: str = "run-1",
        root: str | None = None,
        force: Force | None = None,
        window: HourWindow = HOUR,
    ) -> HourOutcome:
        """Push one hour that settles."""
        answer = self.push(flow, window, run=run, root=root, force=force)[window]
        assert isinstance(answer, HourOutcome), answer
        return answer

    def sent(self, flow: Flow, manifest_id: str, *, window: HourWindow = HOUR) -> SentFolder:
        folder = self.store.folder(flow, window, manifest_id)
        return SentFolder(self.storage, f"{folder}/sent/{self.config.destination.id}")

    def files(self, folder: str = "") -> dict[str, bytes]:
        """Everything in the store, by path."""
        found: dict[str, bytes] = {}
        for name in self.storage.names(folder):
            path = f"{folder}/{name}" if folder else name
            found |= self.files(path) or {path: self.storage.read(path)}
        return found

    def log_kinds(self, flow: Flow) -> list[str]:
        """Kinds of the log's entries, oldest first."""
        folder = f"{flow}/ledger/{self.config.destination.id}"
        log = Log(self.storage, folder)
        names = self.storage.names(folder)
        return [log._entry(int(name[:12])).kind for name in names]

    def accepted_keys(self) -> list[str]:
        """Table names, query ids and edges' sources that the gateway accepted, in order of arrival."""
        return [key_of(event.content) for event in self.gateway.events()]


def key_of(event: Mapping[str, Any]) -> str:
    """Its table's name or query id; of an edge its source's."""
    if "query_id" in event:
        return str(event["query_id"])
    if "sources" in event:
        return str(event["sources"][0]["name"])
    return str(event["relational_asset"]["metadata"]["name"])
