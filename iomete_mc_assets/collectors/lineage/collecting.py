"""From the queries of an hour, in the order in which they began, and the views of a catalog, to counted edges.

Every text passes the guards in their order, and every outcome is counted. Parses nothing itself.
"""

import re
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from iomete_mc_assets.collectors.lineage import guards, shapes
from iomete_mc_assets.collectors.lineage.edges import EdgeCounts, Spelling
from iomete_mc_assets.collectors.lineage.model import (
    SESSION_CATALOG,
    Edges,
    Place,
    Reading,
    Session,
    Skip,
    TableKey,
)
from iomete_mc_assets.collectors.lineage.plans import PlanReading
from iomete_mc_assets.collectors.lineage.requests import Request
from iomete_mc_assets.records import LineageEdge, QueryRecord, TableEntry

MAX_SHAPES = 4_000
"""Distinct shapes remembered at a time; the one unused for longest is parsed again when it comes back."""
MAX_TEXTS = 10_000
"""Whole texts whose shape is remembered; by digest, and none whose shape is longer than the next."""
MAX_SHAPE_KEPT = 4_096
MAX_SESSIONS = 20_000
"""Sessions with temporary views or settings of their own, remembered at a time."""
MAX_EXAMPLES = 3
"""Of each reason, for people to look up."""

_WORD = re.compile(r"\w+")


class Reader(Protocol):
    """Who reads a text: a process that can be killed."""

    def read(self, request: Request) -> Reading | Skip:
        """What the text says, or why it was given up."""
        ...


@dataclass(slots=True)
class _Shape:
    """What a shape says in one context, by which query, and how often it was seen since it was last counted."""

    reading: Reading | Skip
    times: int
    last: datetime
    first: str


class LineageCollector:
    """Collects the edges of one hour. Memory grows with distinct edges and shapes, not with queries."""

    def __init__(
        self, reader: Reader, spelling: Spelling, *, catalog: str = SESSION_CATALOG
    ) -> None:
        """``catalog``: where names belong that a query without a context leaves open."""
        self._reader = reader
        self._spelling = spelling
        self._catalog = catalog.casefold()
        self._edges = EdgeCounts()
        self._shapes: OrderedDict[object, _Shape] = OrderedDict()
        self._texts: OrderedDict[bytes, tuple[str, bytes]] = OrderedDict()
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._columns: dict[TableKey, tuple[str, ...] | None] = {}
        self._by_word: dict[str, set[TableKey]] = {}
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    # queries

    def add(self, query: QueryRecord) -> None:
        """One query; those of a session come in the order in which they began.

        Where it has a plan, the text is read for the session, and for the columns that the plan does not tell.
        """
        self._counts["queries"] += 1
        if query.status in {"failed", "cancelled"}:
            self._counts["not succeeded"] += 1
            return
        plan = None if query.plan is None else PlanReading.of(query.plan)
        reading = self._read_text(query, plan)
        if plan is not None:
            self._add_plan(plan, reading, query.ended_at)

    def _read_text(self, query: QueryRecord, plan: PlanReading | None) -> Reading | Skip | None:
        """What the text says; None where it need not be read, as when it was withheld."""
        noise = guards.noise_of(query.text)
        if noise is not None:
            self._counts[noise] += plan is None
            return None
        counts = plan is None or not plan.columns_known
        if (skip := guards.too_large(query.text)) is not None:
            self._count_reasons(skip, int(counts), query.query_id)
            return skip
        session = self._session_of(query)
        shape, digest = self._shape_of(query.text)
        if session.quoted_names and '"' in query.text:
            digest = shapes.digest(query.text)
        if (skip := guards.too_deep(shape)) is not None:
            self._count_reasons(skip, int(counts), query.query_id)
            return skip
        around = self._relevant(session, shape)
        reading = self._read(query, digest, around, counts=counts)
        if isinstance(reading, Reading):
            self._keep_session(query, session, around, reading)
        return reading

    def _session_of(self, query: QueryRecord) -> Session:
        session = self._sessions.get(query.session_id or "") or Session(Place(self._catalog))
        if query.catalog is None and query.database is None:
            return session
        catalog, namespace = session.place.catalog, session.place.namespace
        if query.catalog is not None:
            catalog = query.catalog.casefold()
        if query.database is not None:
            namespace = tuple(query.database.casefold().split("."))
        place = Place(catalog, namespace)
        return Session(place, session.views, session.columns, session.quoted_names)

    def _shape_of(self, text: str) -> tuple[str, bytes]:
        exact = shapes.digest(text)
        known = self._texts.get(exact)
        if known is None:
            shape = shapes.shape_of(text)
            known = (shape, shapes.key_of(text, shape))
            if len(shape) <= MAX_SHAPE_KEPT:
                self._texts[exact] = known
            if len(self._texts) > MAX_TEXTS:
                self._texts.popitem(last=False)
        else:
            self._texts.move_to_end(exact)
        return known

    def _relevant(self, session: Session, shape: str) -> Session:
        """The session as far as the text can touch it: what has no word in the text has no meaning in it."""
        if not session.views and not self._by_word:
            return session
        words = {"", *_WORD.findall(shape.casefold())}
        views = {name: view for name, view in session.views.items() if _last_word(name) in words}
        keys = {key for word in words & self._by_word.keys() for key in self._by_word[word]}
        return replace(session, views=views, columns={key: self._columns[key] for key in keys})

    def _read(
        self, query: QueryRecord, digest: bytes, session: Session, *, counts: bool
    ) -> Reading | Skip:
        tables_only = len(query.text) > guards.MAX_TEXT_FOR_COLUMNS
        key = (
            *(digest, tables_only, session.place, session.quoted_names),
            frozenset(session.views.items()),
            frozenset(session.columns.items()),
        )
        seen = self._shapes.get(key)
        if seen is not None:
            self._shapes.move_to_end(key)
            self._counts["of a known shape"] += 1
            seen.times += counts
            seen.last = max(seen.last, query.ended_at)
            return seen.reading
        request = Request(text=query.text, session=session, tables_only=tables_only)
        reading = self._reader.read(request)
        self._shapes[key] = _Shape(reading, int(counts), query.ended_at, query.query_id)
        if len(self._shapes) > MAX_SHAPES:
            self._count(self._shapes.popitem(last=False)[1])
        if isinstance(reading, Reading):
            self._counts["tables only" if tables_only else "parsed"] += 1
        return reading

    def _keep_session(
        self, query: QueryRecord, before: Session, around: Session, reading: Reading
    ) -> None:
        """What the text changed, for the later texts of its session; new tables for those of all sessions."""
        after = reading.session
        for key, names in after.columns.items():
            self._columns[key] = names
            self._by_word.setdefault(_last_word(key[-1]), set()).add(key)
        if query.session_id is None:
            return
        unchanged = (after.place, after.quoted_names) == (around.place, around.quoted_names)
        if unchanged and after.views == around.views:
            return
        views = {name: view for name, view in before.views.items() if name not in around.views}
        self._sessions[query.session_id] = Session(
            after.place, {**views, **after.views}, {}, after.quoted_names
        )
        self._sessions.move_to_end(query.session_id)
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
            self._counts["sessions forgotten"] += 1

    # views

    def add_view(self, entry: TableEntry, *, seen_at: datetime) -> None:
        """A persistent view of the catalog snapshot; unqualified names in its text mean nothing here."""
        self._counts["views"] += 1
        text = entry.view_text
        if text is None:
            self._counts["views without a text"] += 1
            return
        skip = guards.too_large(text) or guards.too_deep(shapes.shape_of(text))
        if skip is not None:
            self._count_reasons(skip, 1, entry.table.shown)
            return
        session = Session(Place(entry.table.catalog.casefold()))
        tables_only = len(text) > guards.MAX_TEXT_FOR_COLUMNS
        key = entry.table.folded
        reading = self._reader.read(
            Request(text=text, session=session, tables_only=tables_only, view=key)
        )
        self._counts["tables only" if tables_only else "parsed"] += isinstance(reading, Reading)
        if isinstance(reading, Reading):
            self._edges.add(reading.edges, found_in="view text", times=1, last=seen_at)
        self._count_reasons(reading, 1, entry.table.shown)

    # plans

    def _add_plan(self, plan: PlanReading, reading: Reading | Skip | None, at: datetime) -> None:
        """An edge that the text shows, too, is not counted twice."""
        self._counts["plans"] += 1
        shown = frozenset[tuple[TableKey, TableKey]]()
        if isinstance(reading, Reading) and not plan.columns_known:
            shown = reading.edges.tables
        again = Edges(plan.edges.tables & shown)
        self._edges.add(again, found_in="plan", times=0, last=at)
        once = Edges(plan.edges.tables - shown, plan.edges.direct, plan.edges.indirect)
        self._edges.add(once, found_in="plan", times=1, last=at)

    # results

    def _count(self, seen: _Shape) -> None:
        if not seen.times:
            return
        if isinstance(seen.reading, Reading):
            self._edges.add(seen.reading.edges, found_in="sql", times=seen.times, last=seen.last)
        self._count_reasons(seen.reading, seen.times, seen.first)

    def _count_reasons(self, reading: Reading | Skip, times: int, example: str) -> None:
        """A reason counts once for each query that it held for."""
        if not times:
            return
        if isinstance(reading, Reading):
            reasons = [f"skipped: {skip}" for skip in reading.skipped]
            reasons += [f"unresolved: {doubt}" for doubt in reading.doubts]
        else:
            reasons = [f"skipped: {reading}"]
        for reason in reasons:
            self._counts[reason] += times
            examples = self._examples.setdefault(reason, [])
            if example not in examples and len(examples) < MAX_EXAMPLES:
                examples.append(example)

    def records(self) -> Iterator[LineageEdge]:
        """All edges of the hour; nothing may be added after this."""
        while self._shapes:
            self._count(self._shapes.popitem(last=False)[1])
        yield from self._edges.records(self._spelling)

    def examples(self) -> Mapping[str, list[str]]:
        """The first queries, by id, and views of each reason for which something gave no edge; after the records."""
        return dict(sorted(self._examples.items()))

    def counts(self) -> Mapping[str, int]:
        """Figures by name, once all records are out."""
        counted = {name: count for name, count in sorted(self._counts.items()) if count}
        return {"queries": 0, **counted, "edges": len(self._edges)}


def _last_word(name: str) -> str:
    """A word that stands in every text that names it; empty where it has none."""
    words = _WORD.findall(name.rpartition(".")[2])
    return words[-1] if words else ""
