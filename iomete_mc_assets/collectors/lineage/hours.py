"""The flow ``lineage``: the edges of an hour's query logs and of the views of the catalog nearest to it.

What is read of both comes in; how an edge is found is told in ``collecting`` and below it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from iomete_mc_assets.collectors.lineage.collecting import LineageCollector, Reader
from iomete_mc_assets.collectors.lineage.edges import Spelling
from iomete_mc_assets.collectors.lineage.tables import Catalog
from iomete_mc_assets.collectors.lineage.workers import ParsingProcess
from iomete_mc_assets.collectors.observations import CatalogInput
from iomete_mc_assets.errors import HourFailed, IometeMcError
from iomete_mc_assets.manifests.model import Collector, Draft, Header, JsonValue, State, Verdict
from iomete_mc_assets.records import LineageEdge, QueryRecord, TableEntry
from iomete_mc_assets.windows import HourWindow

VERSION = "1"
COLLECTOR = Collector(name="lineage", version=VERSION)
QUERIES, CATALOG = "query_logs", "catalog_from"
"""Roles in the header's ``inputs``."""
EXAMPLES = "examples"
"""Under this name ``collector_state`` holds the first queries and views of each reason, for people to look up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueriesInput:
    """The query logs of the hour itself.

    Attributes:
        reason: None where they are complete.
        queries: each once, those of a session in their order; none where nothing is known.
    """

    manifest_id: str
    state: State
    reason: str | None
    queries: Callable[[], Iterable[QueryRecord]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLineage:
    """What the hour's manifest says that was collected before."""

    header: Header
    edges: Callable[[], Iterable[LineageEdge]]


def collect(
    windows: Iterable[HourWindow],
    *,
    catalogs: Sequence[str],
    catalog_for: Callable[[HourWindow], CatalogInput | None],
    queries_of: Callable[[HourWindow], QueriesInput | None],
    own: Callable[[HourWindow], StoredLineage | None],
    now: datetime,
) -> Iterator[tuple[HourWindow, Draft | IometeMcError]]:
    """One draft or one error per hour, oldest first; each is to be consumed before the next is asked for.

    Args:
        windows: the hours, in any order.
        catalogs: configured ones: first parts of names.
        catalog_for: the known catalog nearest to an hour.
        queries_of: the query logs that speak for an hour; None where none were collected.
        own: what the hour said before; it says so again where the same was read for it.
        now: the run's instant.

    Yields:
        HourFailed for an hour that has not ended; ManifestError where what it needs cannot be read.
    """
    with _Parser() as parser:
        for window in sorted(set(windows)):
            if now < window.end:
                yield window, _not_over(window, now)
                continue
            try:
                catalog, queries, before = catalog_for(window), queries_of(window), own(window)
            except IometeMcError as error:
                yield window, error
                continue
            hour = _Hour(window, catalog, queries, now)
            if before is not None and hour.was_read_for(before.header):
                yield window, hour.said_again(before)
            else:
                yield window, hour.draft(parser.of(catalog, catalogs))


def _not_over(window: HourWindow, now: datetime) -> HourFailed:
    return HourFailed(
        f"Hour {window.key} of lineage ends at {window.end:%H:%M} UTC, which is not over at {now:%H:%M}; it was not "
        "collected. Ask again when it has ended."
    )


class _Parser:
    """The parsing process of the newest catalog asked for; neighbouring hours mostly share one."""

    def __init__(self) -> None:
        self._of: str | None = None
        self._process: ParsingProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def of(self, catalog: CatalogInput | None, catalogs: Sequence[str]) -> Reader:
        name = None if catalog is None else catalog.manifest_id
        if self._process is None or self._of != name:
            self._close()
            entries = () if catalog is None else catalog.entries
            known = {*catalogs, *(() if catalog is None else catalog.listed)}
            self._of, self._process = name, ParsingProcess(Catalog.of(entries, catalogs=known))
        return self._process

    def _close(self) -> None:
        if self._process is not None:
            self._process.close()


@dataclass(frozen=True, slots=True)
class _Hour:
    """One hour, and what it is made of."""

    window: HourWindow
    catalog: CatalogInput | None
    queries: QueriesInput | None
    now: datetime

    def was_read_for(self, header: Header) -> bool:
        """Whether a manifest was made of the very same, by the same rules."""
        return header.collector == COLLECTOR and dict(header.inputs) == dict(self._inputs())

    def said_again(self, before: StoredLineage) -> Draft:
        """What it said before; the store then keeps that manifest."""
        header = before.header
        return self._draft(
            before.edges(),
            lambda: Verdict(
                state=header.state,
                reason=header.reason,
                counts=header.counts,
                omissions=header.omissions.sample,
                collector_state=header.collector_state,
            ),
        )

    def draft(self, reader: Reader) -> Draft:
        """Its edges, found while they are consumed."""
        entries = () if self.catalog is None else self.catalog.entries
        found = LineageCollector(reader, Spelling(entries))
        return self._draft(self._edges(found, entries), lambda: self._verdict(found))

    def _draft(self, records: Iterable[LineageEdge], verdict: Callable[[], Verdict]) -> Draft:
        return Draft(
            flow="lineage",
            window=self.window,
            collected_at=self.now,
            collector=COLLECTOR,
            records=records,
            verdict=verdict,
            inputs=self._inputs(),
        )

    def _inputs(self) -> Mapping[str, str]:
        inputs: dict[str, str] = {}
        if self.queries is not None:
            inputs[QUERIES] = self.queries.manifest_id
        if self.catalog is not None and self.catalog.manifest_id is not None:
            inputs[CATALOG] = self.catalog.manifest_id
        return inputs

    def _edges(
        self, found: LineageCollector, entries: Iterable[TableEntry]
    ) -> Iterator[LineageEdge]:
        if self.queries is not None:
            for query in self.queries.queries():
                found.add(query)
        seen_at = self.window.end
        if self.catalog is not None and self.catalog.window is not None:
            seen_at = self.catalog.window.end
        for entry in entries:
            if entry.kind == "view":
                found.add_view(entry, seen_at=seen_at)
        yield from found.records()

    def _verdict(self, found: LineageCollector) -> Verdict:
        reasons = [*self._of_queries(), *self._of_catalog()]
        nothing = self.catalog is None and (self.queries is None or self.queries.state == "unknown")
        if nothing:
            return Verdict(state="unknown", reason="; ".join(reasons))
        examples: dict[str, JsonValue] = {
            reason: list(names) for reason, names in found.examples().items()
        }
        return Verdict(
            state="partial" if reasons else "complete",
            reason="; ".join(reasons) or None,
            counts=found.counts(),
            collector_state={EXAMPLES: examples} if examples else {},
        )

    def _of_queries(self) -> Iterator[str]:
        if self.queries is None:
            yield "views only: the query logs of the hour were not collected"
        elif self.queries.state == "unknown":
            yield f"views only: the query logs of the hour are unknown: {self.queries.reason}"
        elif self.queries.state == "partial":
            yield f"the query logs of the hour are partial: {self.queries.reason}"

    def _of_catalog(self) -> Iterator[str]:
        if self.catalog is None:
            yield "no catalog snapshot is known: no views, and no columns where a query does not name them"
