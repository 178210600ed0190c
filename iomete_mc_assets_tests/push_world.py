"""A lakehouse, a store in memory and a receiver of bad character under a clock of our own: what the model test plays with.

The store, the planner and the pusher are the real ones. ``Receiver.wrong`` collects every rule that a request broke.
"""

import hashlib
import json
import random
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, get_args

from iomete_mc_assets.errors import (
    IometeMcError,
    NotAccepted,
    OutcomeUnknown,
    Rejected,
    TooLarge,
)
from iomete_mc_assets.manifests.model import Collector, Draft, Flow, State, Verdict
from iomete_mc_assets.manifests.receipts import Force, SentFolder
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo.ingest import Outgoing
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.push.config import Destination, PushConfig
from iomete_mc_assets.push.ledger import Owner
from iomete_mc_assets.push.outcome import HourOutcome
from iomete_mc_assets.push.policy import IN_FLIGHT
from iomete_mc_assets.push.pusher import Pusher
from iomete_mc_assets.records import (
    Column,
    LineageEdge,
    Observation,
    QueryRecord,
    Record,
    TableEntry,
)
from iomete_mc_assets.windows import HourWindow, contiguous
from iomete_mc_assets_tests.push_bench import SOURCE, Clock, table

FLOWS: tuple[Flow, ...] = get_args(Flow)
START = datetime.fromisoformat("2026-11-21T21:20:00+00:00")
"""Near midnight, so that short histories see a new day."""
TABLES = 5
OBSERVABLE_HOURS = 8
LOGGED_HOURS = 6
ROWS_AN_HOUR = 1_000
"""A row count says which hour it is of and which version: hour * 1,000 + version."""
EDGE_DELAY = timedelta(minutes=15)
EDGE_FRESH, EDGE_LIFE = timedelta(days=7), timedelta(days=10)
"""A column edge goes again after the first, and is forgotten by the receiver after the second."""
POISON = 13
"""Every thirteenth query is refused, alone or with others."""

DOWN, REFUSED, LOST = "not taken now", "refused", "the answer is lost"


class Killed(BaseException):
    """The process is gone: nothing of ours catches it, nothing more is written or sent."""


@dataclass(slots=True)
class Life:
    """Of the process that pushes or collects.

    Attributes:
        writes_left: it dies at the write after these; None lets it live.
        dead: it does nothing more.
    """

    writes_left: int | None = None
    dead: bool = False

    def die(self) -> None:
        """Die, now and in every thread."""
        self.dead = True
        raise Killed

    def write(self) -> None:
        """Live through one write, or die before it."""
        if self.dead or self.writes_left == 0:
            self.die()
        if self.writes_left is not None:
            self.writes_left -= 1


class Shelf:
    """A filesystem in memory, as ``Storage`` wants one, whose writer may die."""

    def __init__(self, life: Life) -> None:
        self.files: dict[str, bytes] = {}
        self._folders: defaultdict[str, set[str]] = defaultdict(set)
        self._life, self._lock = life, threading.Lock()

    def cat_file(self, path: str) -> bytes:
        try:
            return self.files[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite") -> None:
        with self._lock:
            self._life.write()
            if mode == "create" and path in self.files:
                raise FileExistsError(path)
            self.files[path] = value
            while "/" in path:
                path, name = path.rsplit("/", 1)
                self._folders[path].add(name)

    def ls(self, path: str, detail: bool = True) -> list[str]:
        assert not detail
        if path in self.files:
            return [path]
        if not self._folders.get(path):
            raise FileNotFoundError(path)
        return [f"{path}/{name}" for name in self._folders[path]]

    def rm_file(self, path: str) -> None:
        with self._lock:
            self._life.write()
            self.cat_file(path)
            del self.files[path]
            while "/" in path and not self._folders.get(path):
                path, name = path.rsplit("/", 1)
                self._folders[path].discard(name)

    def unstrip_protocol(self, name: str) -> str:
        return f"shelf://{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Luck:
    """What happens to one push run; the same for the same bytes, whichever thread sends them.

    Attributes:
        trouble: probability of a fault a post.
        kill_at_write, kill_at_post: the run dies there; None lets it live.
        after_kill: whether the batch was taken by then.
        found_out: whether the instance knows that the run is dead.
        interlude: happens during the first post, in another process; None does not.
    """

    seed: int = 0
    trouble: float = 0.0
    kill_at_write: int | None = None
    kill_at_post: int | None = None
    taken_when_killed: bool = True
    found_out: bool = True
    interlude: Callable[[], None] | None = None

    @classmethod
    def of(cls, chance: random.Random) -> "Luck":
        """Some luck: a third of the runs die, a half meets trouble."""
        return cls(
            seed=chance.getrandbits(32),
            trouble=chance.choice((0.0, 0.0, 0.2, 0.6)),
            kill_at_write=chance.choice((*[None] * 5, chance.randrange(15))),
            kill_at_post=chance.choice((*[None] * 5, chance.randrange(1, 6))),
            taken_when_killed=chance.random() < 0.5,
            found_out=chance.random() < 0.8,
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """One event that the receiver kept."""

    at: datetime
    version: int
    hour: int


@dataclass(slots=True)
class Receiver:
    """Monte Carlo as an ``Ingest``; keeps what it takes and says which rule that broke."""

    clock: Clock
    life: Life
    down: bool = False
    luck: Luck = field(default_factory=Luck)
    wrong: list[str] = field(default_factory=list[str])
    taken: defaultdict[tuple[Flow, str], list[Taken]] = field(
        default_factory=lambda: defaultdict[tuple[Flow, str], list[Taken]](list)
    )
    unknown: Counter[tuple[Flow, str, int]] = field(default_factory=Counter[tuple[Flow, str, int]])
    """Sends that nobody can know the outcome of, by what was sent."""
    answered: dict[str, tuple[Flow, list[tuple[str, int]]]] = field(
        default_factory=dict[str, tuple[Flow, list[tuple[str, int]]]]
    )
    """Invocation ids that went back, with what they stand for."""
    posts: int = 0
    _attempts: Counter[str] = field(default_factory=Counter[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, luck: Luck) -> None:
        """Another run."""
        self.luck, self.posts = luck, 0
        self.life.dead, self.life.writes_left = False, luck.kill_at_write

    def send(self, outgoing: Outgoing) -> str:
        events = [_event(outgoing.flow, event) for event in json.loads(outgoing.body)["events"]]
        with self._lock:
            if self.life.dead:
                self.life.die()
            self.posts += 1
            if self.posts == 1 and self.luck.interlude is not None:
                self.luck.interlude()
            if self.luck.kill_at_post == self.posts:
                self._doubt(outgoing.flow, events, taken=self.luck.taken_when_killed)
                self.life.die()
            if self.down:
                raise NotAccepted(DOWN)
            self._trouble(outgoing, events)
            if outgoing.flow == "query_logs" and any(
                int(key[1:]) % POISON == 0 for key, _ in events
            ):
                raise Rejected(REFUSED, status=400)
            self._take(outgoing.flow, events)
            invocation_id = str(uuid.UUID(int=len(self.answered) + 1))
            self.answered[invocation_id] = (outgoing.flow, events)
            return invocation_id

    def _trouble(self, outgoing: Outgoing, events: list[tuple[str, int]]) -> None:
        body = hashlib.sha256(outgoing.body).hexdigest()
        self._attempts[body] += 1
        chance = random.Random(f"{self.luck.seed} {body} {self._attempts[body]}")  # noqa: S311 - a game
        if chance.random() >= self.luck.trouble:
            return
        match chance.randrange(5):
            case 0:
                raise NotAccepted(DOWN, retry_after_s=chance.choice((None, 0.0, 40.0)))
            case 1 if len(events) > 1:
                raise TooLarge(REFUSED)
            case 2:
                self._doubt(outgoing.flow, events, taken=False)
                raise OutcomeUnknown(LOST)
            case _:
                self._doubt(outgoing.flow, events, taken=True)
                raise OutcomeUnknown(LOST)

    def _doubt(self, flow: Flow, events: list[tuple[str, int]], *, taken: bool) -> None:
        if taken:
            self._take(flow, events)
        for key, version in events:
            self.unknown[flow, key, version] += 1

    def unanswer(self, invocation_id: str) -> None:
        """The answer came, and its receiver died before it was written down."""
        flow, events = self.answered.pop(invocation_id)
        for key, version in events:
            self.unknown[flow, key, version] += 1

    def _take(self, flow: Flow, events: list[tuple[str, int]]) -> None:
        now = self.clock.now()
        for key, version in events:
            hour = version // ROWS_AN_HOUR
            before = self.taken[flow, key]
            broken = {
                "catalog_snapshot": self._catalog,
                "observations": self._observation,
                "query_logs": self._query,
                "lineage": self._edge,
            }[flow](key, version, before, now)
            self.wrong += [f"{now}: {flow} {key} {version}: {rule}" for rule in broken]
            before.append(Taken(now, version, hour))

    def _catalog(self, key: str, version: int, before: list[Taken], now: datetime) -> Iterator[str]:
        if before and before[-1].version > version:
            yield f"an older schema after version {before[-1].version}"
        doubts = self.unknown["catalog_snapshot", key, version]
        today = [t for t in before if t.version == version and t.at.date() == now.date()]
        if len(today) > doubts:
            yield "the same entry twice in a day without a doubt"

    def _observation(
        self, key: str, version: int, before: list[Taken], now: datetime
    ) -> Iterator[str]:
        hour = version // ROWS_AN_HOUR
        if before and HourWindow.holding(before[-1].at) == HourWindow.holding(now):
            yield f"a second volume point in a clock hour, after {before[-1]}"
        if before and before[-1].hour > hour:
            yield f"an older observation after hour {before[-1].hour}"
        if now - _window(hour).end > timedelta(hours=3, minutes=6):
            yield "older than three hours, sent as now"
        if not self.taken["catalog_snapshot", key]:
            yield "the table has no catalog entry"

    def _query(self, key: str, version: int, before: list[Taken], now: datetime) -> Iterator[str]:
        del now
        if len(before) > self.unknown["query_logs", key, version]:
            yield "a query twice without a doubt"

    def _edge(self, key: str, version: int, before: list[Taken], now: datetime) -> Iterator[str]:
        for end in key.split(">"):
            known = self.taken["catalog_snapshot", end.partition(".")[0]]
            if not known or now - known[0].at < EDGE_DELAY:
                yield f"{end} was not taken in"
        column = "." in key
        recent = [taken for taken in before if not column or now - taken.at <= EDGE_FRESH]
        if len(recent) > self.unknown["lineage", key, version]:
            yield "an edge again without need or doubt"


def _event(flow: Flow, event: dict[str, Any]) -> tuple[str, int]:
    """What an event is about, and its version."""
    if flow == "lineage":
        (source,), target = event["sources"], event["destination"]["name"]
        for field in event.get("fields", ()):
            (fed,) = field["source_fields"]
            return f"{source['name']}.{fed['field_name']}>{target}.{field['name']}", 0
        return f"{source['name']}>{target}", 0
    if flow == "query_logs":
        return event["query_id"], 0
    asset = event["relational_asset"]
    name = asset["metadata"]["name"]
    if flow == "catalog_snapshot":
        return name, int(asset["metadata"]["description"])
    return name, int(asset["volume"]["row_count"])


def _window(hour: int) -> HourWindow:
    """The hour of that number."""
    return HourWindow(HourWindow.holding(START).start + timedelta(hours=hour - 24))


def _number(window: HourWindow) -> int:
    return round((window.start - _window(0).start) / timedelta(hours=1))


@dataclass(slots=True)
class Lakehouse:
    """Tables whose versions grow and queries that are logged late."""

    clock: Clock
    changes: list[tuple[datetime, dict[int, int]]]
    queries: list[tuple[int, datetime, datetime]] = field(
        default_factory=list[tuple[int, datetime, datetime]]
    )
    """Number, end, and when it is in the log."""

    def alter(self, number: int) -> None:
        tables = dict(self.changes[-1][1])
        tables[number] += 1
        self.changes.append((self.clock.now(), tables))

    def ask(self, *, seen_after: timedelta) -> None:
        now = self.clock.now()
        self.queries.append((len(self.queries) + 1, now, now + seen_after))

    def entries(self) -> list[Record]:
        """All tables as they are now."""
        return [
            TableEntry(
                table=table(f"t{number}"),
                kind="table",
                format="iceberg",
                columns=(Column(name="id", type="BIGINT"),),
                comment=str(version),
            )
            for number, version in self.changes[-1][1].items()
        ]

    def observed(self, window: HourWindow) -> list[Record]:
        """All tables as they were at the hour's end."""
        at, tables = max(
            (change for change in self.changes if change[0] < window.end),
            key=lambda change: change[0],
            default=self.changes[0],
        )
        return [
            Observation(
                table=table(f"t{number}"),
                row_count=_number(window) * ROWS_AN_HOUR + version,
                last_data_change=at,
            )
            for number, version in tables.items()
        ]

    def shown(self, window: HourWindow) -> list[Record]:
        """Edges of the hour's queries that are in the log by now: each shows two tables and a column."""
        found: dict[str, Record] = {}
        for number, end, seen in self.queries:
            if window.holds(end) and seen <= self.clock.now():
                source, target = number % TABLES, (number * 3 + 1) % TABLES
                for edge in edges_between(source, target, number % 3, end):
                    if source != target:
                        found[edge_key(edge)] = edge
        return [found[key] for key in sorted(found)]

    def logged(self, window: HourWindow) -> list[Record]:
        """The hour's queries that are in the log by now."""
        return [
            QueryRecord(
                query_id=f"q{number}", text=f"SELECT {number}", started_at=end, ended_at=end
            )
            for number, end, seen in self.queries
            if window.holds(end) and seen <= self.clock.now()
        ]


def edges_between(source: int, target: int, column: int, end: datetime) -> Iterator[LineageEdge]:
    """A table edge and a column edge."""
    tables = LineageEdge(
        source=table(f"t{source}"),
        target=table(f"t{target}"),
        kind="table",
        found_in="sql",
        times_seen=1,
        last_seen=end,
    )
    yield tables
    name = f"c{column}"
    yield replace(tables, kind="direct", source_column=name, target_column=name)


def edge_key(edge: LineageEdge) -> str:
    """As the receiver knows it."""
    ends = (edge.source, edge.source_column), (edge.target, edge.target_column)
    return ">".join(
        name.table if column is None else f"{name.table}.{column}" for name, column in ends
    )


class World:
    """Everything, and the deeds that a history is made of."""

    def __init__(self) -> None:
        self.clock = Clock(START)
        self.life = Life()
        self.shelf = Shelf(self.life)
        self.receiver = Receiver(self.clock, self.life)
        start = _window(0).start
        self.lake = Lakehouse(self.clock, [(start, dict.fromkeys(range(TABLES), 1))])
        storage = Storage(self.shelf, base="manifests", root="shelf://manifests")
        self.store = ManifestStore.over(storage, source=SOURCE)
        self.config = PushConfig(
            destination=Destination(
                endpoint="http://receiver.example",
                resource_uuid="6f6b3c53-5fb4-4bd6-8ba8-0d4d4f0ed2a5",
                naming="guide",
            ),
            naming=Naming(strategy="guide", catalogs=SOURCE.catalogs),
            max_assets=2,
            max_queries=2,
            max_edges=2,
        )
        self.sensors_on = True
        self.events: list[tuple[Flow, HourWindow, str]] = []
        self.acknowledged: dict[tuple[Flow, HourWindow], str] = {}
        self.finished: set[str] = set()
        self._cursor: Counter[Flow] = Counter()
        self._numbers = 0
        self._retried: dict[Flow, str] = {}

    @property
    def wrong(self) -> list[str]:
        return self.receiver.wrong

    @property
    def newest_closed(self) -> HourWindow:
        return HourWindow.newest_closed(self.clock.now())

    def pass_time(self, minutes: int, chance: random.Random) -> None:
        """Tables change, queries end, schedules collect at minute six and sensors look now and then."""
        for _ in range(minutes):
            self.clock.advance(minutes=1)
            minute = self.clock.now().minute
            if chance.random() < 0.02:
                self.lake.alter(chance.randrange(TABLES))
            if chance.random() < 0.1:
                late = chance.choice((0, 0, 0, chance.randrange(5, 150)))
                self.lake.ask(seen_after=timedelta(minutes=late))
            if minute == 6:
                for flow in FLOWS:
                    self.collect(flow, self.newest_closed)
            if minute in (3, 8, 38):
                for flow in FLOWS:
                    self.tick(flow, Luck.of(chance), reconcile=minute != 8)

    def pass_days(self, days: int) -> None:
        """Some queries, and then none: once a day the catalog and lineage are collected, and sensors look."""
        for _ in range(3):
            self.lake.ask(seen_after=timedelta())
        for hours in (1, *[24] * days):
            self.clock.advance(hours=hours)
            for flow in ("catalog_snapshot", "lineage"):
                self.collect(flow, self.newest_closed)
                self.tick(flow, Luck(), reconcile=True)
        if self.sensors_on and not self.receiver.down:
            self.wrong.extend(self._stale_edges())

    # Collecting

    def collect(
        self,
        flow: Flow,
        window: HourWindow,
        *,
        missing: int | None = None,
        writes: int | None = None,
    ) -> None:
        """Write what is known of an hour, and report it unless the process dies at a write.

        Args:
            flow: whose hour.
            window: refused unless it has ended.
            missing: this record, if there is one, cannot be read.
            writes: the process dies after so many; None lets it live.
        """
        if window > self.newest_closed:
            return
        self._numbers += 1
        manifest_id = f"m{self._numbers:04d}"
        records = self._known(flow, window)
        state: State = "unknown" if records is None else "complete"
        if records and missing is not None and flow != "query_logs":
            del records[missing % len(records)]
            state = "partial"
        draft = Draft(
            flow=flow,
            window=window,
            collected_at=self.clock.now() + timedelta(milliseconds=self._numbers),
            collector=Collector(name=flow, version="1"),
            records=records or [],
            verdict=lambda: Verdict(state=state, reason=None if state == "complete" else state),
        )
        self.life.dead, self.life.writes_left = False, writes
        try:
            written = self.store.write(draft, manifest_id=manifest_id)
        except Killed:
            return
        finally:
            self.life.dead, self.life.writes_left = False, None
        self.events.append((flow, window, written.header.manifest_id))

    def _known(self, flow: Flow, window: HourWindow) -> list[Record] | None:
        """The hour's records; None where nobody can know them any more."""
        age = _number(self.newest_closed) - _number(window)
        if flow == "observations":
            return None if age > OBSERVABLE_HOURS else self.lake.observed(window)
        if flow in ("query_logs", "lineage"):
            logged = self.lake.logged if flow == "query_logs" else self.lake.shown
            return None if age > LOGGED_HOURS else logged(window)
        newest = self.store.newest(flow)
        newer = newest is not None and newest.window > window
        late = self.clock.now() > window.end + timedelta(hours=2)
        return None if newer or late else self.lake.entries()

    def forget(self) -> None:
        """Dagster's database is emptied."""
        self.events.clear()
        self.acknowledged.clear()
        self.finished.clear()
        self._cursor.clear()

    def named(self, flow: Flow) -> Mapping[HourWindow, str]:
        """By the newest event, else by the pointer."""
        named = self.newest_events(flow)
        for window in self.store.hours(flow):
            current = None if window in named else self.store.current(flow, window)
            if current is not None:
                named[window] = current.manifest_id
        return named

    def newest_events(self, flow: Flow) -> dict[HourWindow, str]:
        return {window: manifest_id for of, window, manifest_id in self.events if of == flow}

    # Pushing

    def tick(self, flow: Flow, luck: Luck, *, reconcile: bool) -> None:
        """A sensor looks: at what is new, or at all that is not acknowledged."""
        if not self.sensors_on:
            return
        seen, self._cursor[flow] = self._cursor[flow], len(self.events)
        hours = {window for of, window, _ in self.events[0 if reconcile else seen :] if of == flow}
        newest = self.newest_events(flow)
        waiting = [w for w in hours if self.acknowledged.get((flow, w)) != newest[w]]
        for run in reversed(list(contiguous(waiting, at_most=24))):
            self.push(flow, {window: newest[window] for window in run}, luck)

    def push(
        self,
        flow: Flow,
        hours: Mapping[HourWindow, str],
        luck: Luck,
        *,
        retry: bool = False,
        force: Force | None = None,
    ) -> None:
        """One run, which may die."""
        if force == "all" and not retry:
            self._allow_once_more(flow, hours)
        self._numbers += 1
        run = f"run-{self._numbers}"
        root = self._retried.get(flow, run) if retry else run
        self._retried[flow] = root
        owner = Owner(run_id=run, root_run_id=root, is_finished=self.finished.__contains__)
        pusher = Pusher(
            self.store,
            self.receiver,
            self.config,
            now=self.clock.now,
            wait=self.clock.wait,
            jitter=lambda: 0.5,
        )
        answered = set(self.receiver.answered)
        self.receiver.begin(luck)
        killed = False
        try:
            for window, answer in pusher.push(
                flow, hours, named=self.named, owner=owner, force=force
            ):
                self._told(flow, window, hours[window], answer)
        except Killed:
            killed = True
        finally:
            self.receiver.begin(Luck())
        if luck.found_out or not killed:
            self.finished.add(run)
        self._check_receipts(set(self.receiver.answered) - answered, killed=killed)
        self._check_acknowledged(flow, hours)

    def _allow_once_more(self, flow: Flow, hours: Iterable[HourWindow]) -> None:
        """What somebody forces may come again, and that is no surprise to the receiver."""
        for window in hours:
            for manifest_id in self.store.manifest_ids(flow, window):
                carried = self._sent(flow, window, manifest_id).carried()
                for record in (
                    *self.store.records(self.store.header(flow, window, manifest_id)),
                    *(carried.edges if carried else ()),
                ):
                    key, version = "", 0
                    if isinstance(record, QueryRecord):
                        key = record.query_id
                    elif isinstance(record, TableEntry):
                        key, version = record.table.table, int(record.comment or 0)
                    elif isinstance(record, LineageEdge):
                        key = edge_key(record)
                    self.receiver.unknown[flow, key, version] += 1

    def _told(
        self, flow: Flow, window: HourWindow, asked: str, answer: HourOutcome | IometeMcError
    ) -> None:
        """Look at one hour's answer."""
        if not isinstance(answer, HourOutcome):
            return
        if answer.manifest_id != asked:
            self.wrong.append(f"{flow} {window.key}: {answer.manifest_id} for {asked}")
        header = self.store.header(flow, window, asked)
        carried = self._sent(flow, window, asked).carried()
        events = header.records + (len(carried.edges) if carried else 0)
        if sum(answer.counts.values()) != events:
            self.wrong.append(f"{flow} {asked}: {answer.counts} of {events} records")
        self.acknowledged[flow, window] = asked

    def _check_acknowledged(self, flow: Flow, hours: Mapping[HourWindow, str]) -> None:
        """No sensor asks for what was acknowledged, so it has an outcome, however its push ended."""
        for window, manifest_id in hours.items():
            acknowledged = self.acknowledged.get((flow, window)) == manifest_id
            if acknowledged and self._sent(flow, window, manifest_id).settled() is None:
                self.wrong.append(f"{flow} {window.key}: {manifest_id} lost its outcome")

    def _sent(self, flow: Flow, window: HourWindow, manifest_id: str) -> SentFolder:
        folder = self.store.folder(flow, window, manifest_id)
        return SentFolder(self.store.storage, f"{folder}/sent/{self.config.destination.id}")

    def _check_receipts(self, answered: set[str], *, killed: bool) -> None:
        """Every answer is on disk, but for those in flight at a kill."""
        written = b"\n".join(data for path, data in self.shelf.files.items() if "/sent/" in path)
        lost = [identity for identity in answered if identity.encode() not in written]
        if len(lost) > (IN_FLIGHT if killed else 0):
            self.wrong.append(f"{len(lost)} answers are in no receipt")
        for identity in lost:
            self.receiver.unanswer(identity)

    # The end

    def settle(self) -> None:
        """Everything works again; what is collected is pushed until nothing is left."""
        self.sensors_on, self.receiver.down = True, False
        self.finished |= {f"run-{number}" for number in range(self._numbers + 1)}
        self.clock.advance(minutes=70 - self.clock.now().minute)
        for flow in FLOWS:
            self.collect(flow, self.newest_closed)
        for _ in range(4):
            self.clock.advance(minutes=11)
            for flow in FLOWS:
                self.tick(flow, Luck(), reconcile=True)
        self.clock.advance(minutes=61)
        for flow in ("catalog_snapshot", "lineage"):  # the hour that brings what was pending
            self.collect(flow, self.newest_closed)
            self.tick(flow, Luck(), reconcile=True)

    def unfinished(self) -> Iterator[str]:
        """What is not as it has to be at the end."""
        for flow in FLOWS:
            for window, manifest_id in self.newest_events(flow).items():
                if self.acknowledged.get((flow, window)) != manifest_id:
                    yield f"{flow} {window.key}: {manifest_id} was never acknowledged"
        for number, version in self.lake.changes[-1][1].items():
            at_receiver = [
                taken.version for taken in self.receiver.taken["catalog_snapshot", f"t{number}"]
            ]
            if at_receiver[-1:] != [version]:
                yield f"t{number}: version {version} collected, {at_receiver[-1:]} at the receiver"
        yield from self._missing_queries()
        yield from self._missing_edges()
        yield from self._stale_edges()

    def _missing_edges(self) -> Iterator[str]:
        """Edges of the last month between tables that are known."""
        for window, manifest_id in self.newest_events("lineage").items():
            for record in self.store.records(self.store.header("lineage", window, manifest_id)):
                assert isinstance(record, LineageEdge)
                old = self.clock.now() - record.last_seen > timedelta(days=29)
                if not old and not self.receiver.taken["lineage", edge_key(record)]:
                    yield f"lineage {window.key} {manifest_id}: {edge_key(record)} never sent"

    def _stale_edges(self) -> Iterator[str]:
        """Column edges of the last month that the receiver has forgotten by now."""
        seen: dict[str, datetime] = {}
        for _, window, manifest_id in {e for e in self.events if e[0] == "lineage"}:
            settled = self._sent("lineage", window, manifest_id).settled()
            for record in self.store.records(self.store.header("lineage", window, manifest_id)):
                if settled is not None and isinstance(record, LineageEdge):
                    key = edge_key(record)
                    seen[key] = max(record.last_seen, seen.get(key, record.last_seen))
        now = self.clock.now()
        for key, last_seen in seen.items():
            taken = self.receiver.taken["lineage", key]
            forgotten = "." in key and taken and now - taken[-1].at > EDGE_LIFE
            if forgotten and now - last_seen < timedelta(days=29):
                yield f"{now}: {key} was sent last at {taken[-1].at} and seen at {last_seen}"

    def _missing_queries(self) -> Iterator[str]:
        for _, window, manifest_id in {e for e in self.events if e[0] == "query_logs"}:
            header = self.store.header("query_logs", window, manifest_id)
            settled = self._sent("query_logs", window, manifest_id).settled()
            if settled is None:
                yield f"query_logs {window.key}: {manifest_id} was never settled"
                continue
            missing = [
                record.query_id
                for record in self.store.records(header)
                if isinstance(record, QueryRecord)
                and not self.receiver.taken["query_logs", record.query_id]
            ]
            given_up = settled.counts.get("in_doubt", 0) + settled.counts.get("refused", 0)
            if len(missing) > given_up:
                yield f"query_logs {window.key} {manifest_id}: {missing} never sent, {settled.counts}"

    def with_batches_of(self, events: int) -> None:
        """Somebody changes the settings."""
        self.config = replace(self.config, max_assets=events, max_queries=events, max_edges=events)
