"""Receipts against what Monte Carlo shows: every table, and of a sample fields, volume, freshness, lineage and queries. Changes nothing.

What was accepted lives in ``accepted``. A difference younger than Monte Carlo needs is ``not yet``, and no fault.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from iomete_mc_assets.errors import SettingsError
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo import answered
from iomete_mc_assets.montecarlo.answered import PushEvent, ShownTable
from iomete_mc_assets.montecarlo.control_plane import Api
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.operations.accepted import Accepted, batches, record, records
from iomete_mc_assets.operations.verify_lineage import Edges, compared, edges_of
from iomete_mc_assets.push.candidates import table_of
from iomete_mc_assets.push.config import Destination
from iomete_mc_assets.records import Observation, QueryRecord, TableEntry

METADATA_WITHIN = timedelta(minutes=15)
QUERIES_WITHIN = timedelta(hours=1)
"""Until what was accepted has to be seen. Source: Monte Carlo's documents."""
CLOCKS_DIFFER = timedelta(minutes=5)
"""Between our clock, which stamps receipts, and Monte Carlo's."""

Verdict = Literal["seen", "not yet", "missing", "different"]
Subject = Literal[
    "push events", "table", "fields", "volume", "freshness", "query", "lineage", "column lineage"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One comparison.

    Attributes:
        about: the kind of push, the table, or the query.
        difference: what differs, for people; None when seen.
    """

    subject: Subject
    about: str
    verdict: Verdict
    difference: str | None = None


_FLOWS: Mapping[Subject, Flow] = {
    "table": "catalog_snapshot",
    "fields": "catalog_snapshot",
    "volume": "observations",
    "freshness": "observations",
    "query": "query_logs",
    "lineage": "lineage",
    "column lineage": "lineage",
}
_FLOWS_OF_EVENTS: Mapping[str, Flow] = {
    "METADATA": "catalog_snapshot",
    "QUERY_LOGS": "query_logs",
    "LINEAGE": "lineage",
}


def flow_of(finding: Finding) -> Flow:
    """The flow whose pushes it speaks of; of metadata, which two flows push, the catalog's."""
    if finding.subject == "push events":
        return _FLOWS_OF_EVENTS[finding.about]
    return _FLOWS[finding.subject]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One table by the receipts.

    Attributes:
        catalogued: its newest accepted catalog entry.
        observed: its newest accepted observation; None without one.
        later: invocation ids of everything accepted of it since its catalog entry, that one's included.
    """

    key: str
    catalogued: Accepted
    observed: Accepted | None
    later: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipts:
    """What was accepted in the hours looked at.

    Attributes:
        tables: by key, in order; those that the newest catalog still has.
        queries: a sample, from the newest hours.
        newest: the newest accepted request by kind of push event.
        edges: of lineage.
    """

    tables: Mapping[str, Expected]
    queries: Sequence[Accepted]
    newest: Mapping[str, tuple[datetime, str]]
    edges: Edges


def receipts_of(
    store: ManifestStore,
    destination: Destination,
    naming: Naming,
    *,
    since: datetime,
    sample: int,
) -> Receipts:
    """Read them; asks nobody.

    Raises:
        ManifestError: a file is damaged, or a newer version wrote it.
    """
    catalogued, observed = (
        _by_table(store, flow, destination, naming, since=since)
        for flow in ("catalog_snapshot", "observations")
    )
    present = _present(store, naming)
    lineage = list(batches(store, "lineage", destination.id, since=since))
    newest: dict[str, tuple[datetime, str]] = {}
    for found in (*catalogued.values(), *observed.values()):
        for one in found:
            _note_newest(newest, "METADATA", one.accepted_at, one.invocation_id)
    queries: list[Accepted] = []
    for batch in batches(store, "query_logs", destination.id, since=since):
        _note_newest(newest, "QUERY_LOGS", batch.receipt.accepted_at, batch.receipt.invocation_id)
        if len(queries) < sample:
            queries.append(next(one for one, _ in records(store, batch)))
    for batch in lineage:
        _note_newest(newest, "LINEAGE", batch.receipt.accepted_at, batch.receipt.invocation_id)
    return Receipts(
        edges=edges_of(store, lineage, naming),
        tables={
            key: _expected(key, catalogued[key], observed.get(key, []))
            for key in sorted(catalogued.keys() & present)
        },
        queries=queries,
        newest=newest,
    )


def _by_table(
    store: ManifestStore, flow: Flow, destination: Destination, naming: Naming, *, since: datetime
) -> dict[str, list[Accepted]]:
    """What was accepted of each table, newest first."""
    found: defaultdict[str, list[Accepted]] = defaultdict(list)
    for batch in batches(store, flow, destination.id, since=since):
        for accepted, one in records(store, batch):
            found[naming.of(table_of(one)).key].append(accepted)
    for every in found.values():
        every.sort(key=lambda accepted: accepted.accepted_at, reverse=True)
    return found


def _present(store: ManifestStore, naming: Naming) -> set[str]:
    """Keys of the newest catalog's tables; a dropped table need not be seen."""
    newest = store.newest("catalog_snapshot")
    if newest is None:
        return set()
    return {naming.of(table_of(one)).key for one in store.records(newest)}


def _note_newest(
    newest: dict[str, tuple[datetime, str]], kind: str, at: datetime, invocation_id: str
) -> None:
    if kind not in newest or newest[kind][0] < at:
        newest[kind] = (at, invocation_id)


def _expected(key: str, catalogued: list[Accepted], observed: list[Accepted]) -> Expected:
    entry = catalogued[0]
    later = [one for one in (*catalogued, *observed) if one.accepted_at >= entry.accepted_at]
    return Expected(
        key=key,
        catalogued=entry,
        observed=observed[0] if observed else None,
        later=frozenset(one.invocation_id for one in later),
    )


Part = Literal[
    "push events", "tables", "fields, volume and freshness of sampled tables", "lineage", "queries"
]


class Verifier:
    """Compares receipts with Monte Carlo as of one instant.

    Attributes:
        left: what is not compared to its end yet; the first part is at work.
    """

    def __init__(self, api: Api, store: ManifestStore, warehouse: str, *, now: datetime) -> None:
        self._api = api
        self._store = store
        self._warehouse = warehouse
        self._now = now
        self.left: tuple[Part, ...] = ()

    def findings(self, receipts: Receipts, *, sample: int) -> Iterator[Finding]:
        """Everything compared, as it is asked.

        Raises:
            ControlPlaneError: as ``Api.ask``; also when the budget of calls is spent.
            SettingsError: the warehouse is not shown to this key.
        """
        self.left = _parts(receipts, sample=sample)
        yield from self._push_events(receipts)
        self._begin("tables")
        seen: list[tuple[Expected, ShownTable]] = []
        shown: dict[str, list[ShownTable]] = {}
        if receipts.tables or receipts.edges.tables:
            for table in answered.tables(self._api, self._warehouse):
                shown.setdefault(table.key, []).append(table)
        known = _Invocations(self._api, self._warehouse)
        for expected in receipts.tables.values():
            found = shown.get(expected.key, [])
            finding = self._table(expected, found, known)
            yield finding
            if finding.verdict == "seen":
                seen.append((expected, found[0]))
        self._begin("fields, volume and freshness of sampled tables")
        for expected, table in _spread(seen, sample):
            yield from self._details(expected, table)
        self._begin("lineage")
        yield from self._lineage(receipts.edges, shown, sample=sample)
        self._begin("queries")
        for query in receipts.queries:
            yield self._query(query)
        self.left = ()

    def _begin(self, part: Part) -> None:
        if part in self.left:
            self.left = self.left[self.left.index(part) :]

    def _lineage(
        self, edges: Edges, shown: Mapping[str, Sequence[ShownTable]], *, sample: int
    ) -> Iterator[Finding]:
        mcons = {key: found[0].mcon for key, found in shown.items()}
        for one in compared(self._api, edges, mcons, sample=sample):
            if one.at is None:
                yield Finding(subject=one.subject, about=one.about, verdict="seen")
                continue
            told = "not fed" if one.subject == "column lineage" else "not upstream"
            yield self._wrong(
                one.subject,
                one.about,
                at=one.at,
                within=METADATA_WITHIN,
                verdict="different" if one.shown else "missing",
                difference=f"accepted {_shown(one.at)}, {told}: {', '.join(one.lacking)}",
            )

    def _push_events(self, receipts: Receipts) -> Iterator[Finding]:
        warehouse = next(
            (one for one in answered.warehouses(self._api) if one.uuid == self._warehouse), None
        )
        if warehouse is None:
            msg = (
                f"MCD_RESOURCE_UUID: Monte Carlo shows no warehouse {self._warehouse} to this API key. "
                "Correct it, or use an API key of the account that the pushes go to."
            )
            raise SettingsError(msg)
        events = {event.kind: event for event in warehouse.push_events}
        for kind, (at, invocation_id) in sorted(receipts.newest.items()):
            yield self._push_event(kind, events.get(kind), at, invocation_id)

    def _push_event(
        self, kind: str, event: PushEvent | None, at: datetime, invocation_id: str
    ) -> Finding:
        received = event.last_received if event else None
        if event is not None and received is not None:
            recent = received >= at - CLOCKS_DIFFER
            if recent or event.last_invocation_id == invocation_id:
                return Finding(subject="push events", about=kind, verdict="seen")
        within = QUERIES_WITHIN if kind == "QUERY_LOGS" else METADATA_WITHIN
        ours = f"accepted {_shown(at)} as {invocation_id}"
        if received is None:
            return self._wrong(
                "push events",
                kind,
                at=at,
                within=within,
                verdict="missing",
                difference=f"{ours}, never received",
            )
        difference = f"{ours}, last received {_shown(received)}"
        return self._wrong(
            "push events", kind, at=at, within=within, verdict="different", difference=difference
        )

    def _table(
        self, expected: Expected, found: Sequence[ShownTable], known: "_Invocations"
    ) -> Finding:
        at, invocation_id = expected.catalogued.accepted_at, expected.catalogued.invocation_id
        if any(table.invocation_id in expected.later for table in found) or (
            found and expected.key in known.tables_of(invocation_id)
        ):
            return Finding(subject="table", about=expected.key, verdict="seen")
        ours = f"accepted {_shown(at)} as {invocation_id}"
        if not found:
            difference = f"{ours}, not shown"
            return self._wrong(
                "table",
                expected.key,
                at=at,
                within=METADATA_WITHIN,
                verdict="missing",
                difference=difference,
            )
        shown = found[0].invocation_id or "no invocation id"
        pushed = "" if any(table.pushed for table in found) else ", not as pushed"
        difference = f"{ours}, shown with {shown}{pushed}"
        return self._wrong(
            "table",
            expected.key,
            at=at,
            within=METADATA_WITHIN,
            verdict="different",
            difference=difference,
        )

    def _details(self, expected: Expected, table: ShownTable) -> Iterator[Finding]:
        entry = record(self._store, expected.catalogued)
        if isinstance(entry, TableEntry) and entry.columns:
            yield self._fields(expected, table, entry)
        if expected.observed is not None:
            observation = record(self._store, expected.observed)
            if isinstance(observation, Observation):
                yield from self._observation(expected.observed, table, observation)

    def _fields(self, expected: Expected, table: ShownTable, entry: TableEntry) -> Finding:
        shown = answered.fields(self._api, table.mcon)
        at = expected.catalogued.accepted_at
        if shown is None:
            return self._wrong(
                "fields",
                expected.key,
                at=at,
                within=METADATA_WITHIN,
                verdict="missing",
                difference="no fields are shown",
            )
        difference = _fields_differ({one.name: one.type for one in entry.columns}, shown)
        if not difference:
            return Finding(subject="fields", about=expected.key, verdict="seen")
        return self._wrong(
            "fields",
            expected.key,
            at=at,
            within=METADATA_WITHIN,
            verdict="different",
            difference=difference,
        )

    def _observation(
        self, accepted: Accepted, table: ShownTable, observation: Observation
    ) -> Iterator[Finding]:
        at = accepted.accepted_at
        rows, size = observation.row_count, observation.byte_count
        name, pushed = ("total_row_count", rows) if rows is not None else ("total_byte_count", size)
        if pushed is not None:
            values = answered.metric(self._api, table.mcon, name, since=at - CLOCKS_DIFFER)
            if pushed in values:
                yield Finding(subject="volume", about=table.key, verdict="seen")
            else:
                verdict = "different" if values else "missing"
                told = f"shown {values[-1]:,.0f}" if values else "nothing shown"
                difference = f"{name} {pushed:,} accepted {_shown(at)}, {told} since"
                yield self._wrong(
                    "volume",
                    table.key,
                    at=at,
                    within=METADATA_WITHIN,
                    verdict=verdict,
                    difference=difference,
                )
        changed_at = observation.last_data_change
        if changed_at is not None and changed_at <= at:
            yield self._freshness(table, changed_at, at)

    def _freshness(self, table: ShownTable, changed_at: datetime, at: datetime) -> Finding:
        shown = table.last_updated_on
        if shown is not None and shown >= changed_at.replace(microsecond=0):
            return Finding(subject="freshness", about=table.key, verdict="seen")
        told = f"shown {_shown(shown)}" if shown else "nothing shown"
        difference = f"last change {_shown(changed_at)} accepted {_shown(at)}, {told}"
        verdict = "different" if shown else "missing"
        return self._wrong(
            "freshness",
            table.key,
            at=at,
            within=METADATA_WITHIN,
            verdict=verdict,
            difference=difference,
        )

    def _query(self, accepted: Accepted) -> Finding:
        query = record(self._store, accepted)
        if not isinstance(query, QueryRecord):
            msg = f"query logs hold queries, not {type(query).__name__}"
            raise TypeError(msg)
        if answered.has_query(self._api, query.query_id, started_at=query.started_at):
            return Finding(subject="query", about=query.query_id, verdict="seen")
        difference = (
            f"accepted {_shown(accepted.accepted_at)} as {accepted.invocation_id}, not found"
        )
        return self._wrong(
            "query",
            query.query_id,
            at=accepted.accepted_at,
            within=QUERIES_WITHIN,
            verdict="missing",
            difference=difference,
        )

    def _wrong(
        self,
        subject: Subject,
        about: str,
        *,
        at: datetime,
        within: timedelta,
        verdict: Verdict,
        difference: str,
    ) -> Finding:
        """The verdict, or ``not yet`` while Monte Carlo may still be at it."""
        late = self._now - at >= within
        return Finding(
            subject=subject,
            about=about,
            verdict=verdict if late else "not yet",
            difference=difference,
        )


def _parts(receipts: Receipts, *, sample: int) -> tuple[Part, ...]:
    """What there is to compare, in the order of asking."""
    expected: Mapping[Part, bool] = {
        "push events": True,
        "tables": bool(receipts.tables),
        "fields, volume and freshness of sampled tables": bool(receipts.tables and sample),
        "lineage": bool(receipts.edges.tables and sample),
        "queries": bool(receipts.queries),
    }
    return tuple(part for part, some in expected.items() if some)


class _Invocations:
    """Tables by the invocation id that Monte Carlo is asked for, each asked once."""

    def __init__(self, api: Api, warehouse: str) -> None:
        self._api, self._warehouse = api, warehouse
        self._known: dict[str, frozenset[str]] = {}

    def tables_of(self, invocation_id: str) -> frozenset[str]:
        """Keys of the tables it finds."""
        if invocation_id not in self._known:
            found = answered.tables(self._api, self._warehouse, invocation_id=invocation_id)
            self._known[invocation_id] = frozenset(table.key for table in found)
        return self._known[invocation_id]


def _fields_differ(pushed: Mapping[str, str], shown: Mapping[str, str]) -> str:
    """In words; empty when they are the same, but for the case of names and types."""
    ours = {name.casefold(): kind.casefold() for name, kind in pushed.items()}
    theirs = {name.casefold(): kind.casefold() for name, kind in shown.items()}
    parts = [
        (f"not shown: {name}" for name in sorted(ours.keys() - theirs.keys())),
        (f"not pushed: {name}" for name in sorted(theirs.keys() - ours.keys())),
        (
            f"{name} is {theirs[name]}, pushed {ours[name]}"
            for name in sorted(ours.keys() & theirs.keys())
            if ours[name] != theirs[name]
        ),
    ]
    return "; ".join(one for part in parts for one in part)


def _spread(
    seen: Sequence[tuple[Expected, ShownTable]], sample: int
) -> list[tuple[Expected, ShownTable]]:
    """At most so many, evenly over all names."""
    step = max(1, -(-len(seen) // sample)) if sample else len(seen) + 1
    return list(seen[::step]) if sample else []


def _shown(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d %H:%M:%S")
