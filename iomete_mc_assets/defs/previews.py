"""Tables for people in a partition's metadata: a few rows of a manifest, as Markdown. Figures live in ``metadata``."""

import heapq
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from iomete_mc_assets.collectors.lineage import hours
from iomete_mc_assets.defs import lineage_graph
from iomete_mc_assets.errors import ManifestError, ManifestPruned
from iomete_mc_assets.manifests.model import Header
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.records import (
    LineageEdge,
    Observation,
    Omission,
    QueryRecord,
    Record,
    TableEntry,
    TableId,
)
from iomete_mc_assets.windows import HourWindow

PREVIEW_ROWS = 10
EXAMPLES = 3
SHOWN_TEXT = 80
SHOWN_REASON = 200
PRUNED = "its records were pruned"

MOST_CHANGED = "most changed tables"
STALEST = "stalest tables"

NEW_EDGES = "new edges"
UNRESOLVED = "unresolved statements"
GRAPH = "tables that fed others"

Rows = Mapping[TableId, int]
Edges = frozenset[tuple[object, ...]]


class Previews:
    """What manifests of one store show. The observations last shown are kept, for others who need them.

    Attributes:
        store: where they lie.
    """

    def __init__(self, store: ManifestStore) -> None:
        """Nothing read yet."""
        self.store = store
        self._last: tuple[str, Sequence[Observation]] = ("", ())
        self._edges: dict[str, Edges] = {}

    def records(self, header: Header) -> Iterable[Record]:
        """Those of a manifest, from memory where they were shown last."""
        manifest_id, seen = self._last
        return seen if header.manifest_id == manifest_id else self.store.records(header)

    def of(self, header: Header) -> dict[str, str]:
        """Markdown by name: the first rows, and of some flows what else people look for."""
        try:
            if header.flow == "observations" and header.records:
                return self._of_observations(header)
            if header.flow == "lineage" and header.known:
                return self._of_lineage(header)
            return {"preview": _first(header, self.store.records(header))}
        except ManifestPruned:
            return {"preview": PRUNED}

    def _of_observations(self, header: Header) -> dict[str, str]:
        seen = [one for one in self.store.records(header) if isinstance(one, Observation)]
        shown = {"preview": _first(header, seen)}
        before = self._rows_before(header)
        self._last = (header.manifest_id, seen)
        hour = header.window.previous.key
        shown[MOST_CHANGED] = (
            before if isinstance(before, str) else _changed(header, seen, before, hour)
        )
        shown[STALEST] = _stalest(header, seen)
        return shown

    def _of_lineage(self, header: Header) -> dict[str, str]:
        seen = [one for one in self.store.records(header) if isinstance(one, LineageEdge)]
        shown = {"preview": _first(header, seen)}
        earlier, since = self._edges_before(header)
        self._edges = {header.manifest_id: frozenset(map(_edge_key, seen))}
        new = [one for one in seen if earlier is not None and _edge_key(one) not in earlier]
        shown[NEW_EDGES] = since if earlier is None else _new_edges(new, since)
        if unresolved := _unresolved(header):
            shown[UNRESOLVED] = unresolved
        if tables := [one for one in seen if one.kind == "table"]:
            shown[GRAPH] = _graph(tables, new)
        return shown

    def _edges_before(self, header: Header) -> tuple[Edges | None, str]:
        """Those of the newest earlier known hour, and which that is; None, and why, where there are none."""
        try:
            earlier = self.store.newest_before("lineage", header.window)
            if earlier is None:
                return None, "of no earlier hour is lineage known"
            known = self._edges.get(earlier.manifest_id)
            if known is None:
                records = self.store.records(earlier)
                known = frozenset(_edge_key(one) for one in records if isinstance(one, LineageEdge))
        except ManifestPruned:
            return None, "the records of the hour before were pruned"
        except (ManifestError, OSError) as error:
            return None, f"the hour before cannot be read: {error}"
        return known, earlier.window.key

    def _rows_before(self, header: Header) -> Rows | str:
        """Rows by table in the hour before; why there is nothing to compare with, in words."""
        window = header.window.previous
        try:
            earlier = self.store.current("observations", window)
            if earlier is None or not earlier.known:
                return f"nothing is known of the hour before, {window.key}"
            return _rows(one for one in self.records(earlier) if isinstance(one, Observation))
        except ManifestPruned:
            return f"the records of the hour before, {window.key}, were pruned"
        except (ManifestError, OSError) as error:
            return f"the hour before, {window.key}, cannot be read: {error}"


def _rows(observations: Iterable[Observation]) -> Rows:
    return {one.table: one.row_count for one in observations if one.row_count is not None}


def _name(header: Header, table: TableId) -> str:
    """As people say it: without the catalog where it is the only one, so that more fits into a line."""
    only = header.source.catalogs == (table.catalog,)
    return ".".join((*table.namespace, table.table)) if only else table.shown


def _changed(header: Header, seen: Iterable[Observation], before: Rows, hour: str) -> str:
    changes = [
        (one.row_count - before[one.table], one)
        for one in seen
        if one.row_count is not None and one.row_count != before.get(one.table, one.row_count)
    ]
    if not changes:
        return f"no table has other rows than in {hour}"
    largest = heapq.nlargest(PREVIEW_ROWS, changes, key=lambda change: abs(change[0]))
    rows = [
        (_name(header, one.table), f"{change:+,}", before[one.table], one.row_count)
        for change, one in largest
    ]
    table = markdown(("table", "rows more or fewer", f"in {hour}", "now"), rows)
    return with_rest(table, len(changes), len(rows))


def _stalest(header: Header, seen: Iterable[Observation]) -> str:
    """The longest without a change of data; of tables that were never written nothing can be said."""
    written = [
        (one.last_data_change, _name(header, one.table), one.row_count)
        for one in seen
        if one.last_data_change is not None
    ]
    if not written:
        return "of no table is a change of data known"
    oldest = heapq.nsmallest(PREVIEW_ROWS, written, key=lambda one: one[:2])
    rows = [(name, at, _age(at, header.window), count) for at, name, count in oldest]
    return markdown(("table", "last data change (UTC)", "old at the hour's end", "rows"), rows)


def _age(at: datetime, window: HourWindow) -> str:
    hours = (window.end - at).total_seconds() / 3600
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"  # noqa: PLR2004 - two days


def _edge_key(edge: LineageEdge) -> tuple[object, ...]:
    return edge.source, edge.target, edge.kind, edge.source_column, edge.target_column


def _new_edges(new: list[LineageEdge], since: str) -> str:
    """Table edges first: a new column edge mostly comes with one."""
    if not new:
        return f"no edge is new since {since}"
    tables = sum(one.kind == "table" for one in new)
    first = sorted(new, key=lambda one: one.kind != "table")[:PREVIEW_ROWS]
    rows = [
        (_end(one.source, one.source_column), _end(one.target, one.target_column), *_how(one))
        for one in first
    ]
    table = markdown(("source", "target", "kind", "found in"), rows)
    told = f"{tables} of tables and {len(new) - tables} of columns since {since}"
    return f"{told}\n\n{with_rest(table, len(new), len(rows))}"


def _how(edge: LineageEdge) -> tuple[str, str]:
    return edge.kind, edge.found_in


def _unresolved(header: Header) -> str:
    """What gave no edge or not all of them, the most frequent reason first, each with queries to look up."""
    reasons = [
        (count, name)
        for name, count in header.counts.items()
        if name.startswith(("skipped: ", "unresolved: "))
    ]
    if not reasons:
        return ""
    said = header.collector_state.get(hours.EXAMPLES)
    examples = said if isinstance(said, dict) else {}
    rows = [
        (count, name, ", ".join(map(str, of)) if isinstance(of := examples.get(name), list) else "")
        for count, name in sorted(reasons, key=lambda reason: (-reason[0], reason[1]))
    ]
    return markdown(("statements", "reason", "for example"), rows)


def _graph(tables: list[LineageEdge], new: list[LineageEdge]) -> str:
    """New edges first, then those seen most."""
    fresh = {(one.source, one.target) for one in new if one.kind == "table"}
    ranked = sorted(
        tables, key=lambda one: ((one.source, one.target) not in fresh, -one.times_seen)
    )
    arrows = [(one.source, one.target) for one in ranked]
    part = lineage_graph.shown_part(arrows)
    told = "left feeds right; new edges are green"
    if len(part) < len(arrows):
        told += f"; {len(part)} of {len(arrows)} table edges, new ones and those seen most first"
    return f"{lineage_graph.picture(part, new=fresh)}\n\n{told}"


def omissions_by_reason(header: Header) -> str:
    """What was asked and not answered, the most frequent reason first, each with examples."""
    listed = header.omissions.sample
    scopes: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for one in listed:
        scopes[_reason(one)].append(one.scope)
    groups = sorted(scopes.items(), key=lambda group: -len(group[1]))
    rows = [
        (len(of), f"{question} {kind}: {reason}", ", ".join(of[:EXAMPLES]))
        for (kind, question, reason), of in groups[:PREVIEW_ROWS]
    ]
    table = markdown(("omissions", "what and why", "for example"), rows, cut_at=SHOWN_REASON)
    if len(groups) > PREVIEW_ROWS:
        table += f"\n\nand {len(groups) - PREVIEW_ROWS} more reasons"
    if header.omissions.total > len(listed):
        table += (
            f"\n\nof the {len(listed)} that the manifest lists; there are {header.omissions.total}"
        )
    return table


def _reason(one: Omission) -> tuple[str, str, str]:
    """An error that names its table is the same for each of them."""
    return one.kind, one.question, re.sub(rf"(?<!\w){re.escape(one.scope)}(?!\w)", "…", one.reason)


def _first(header: Header, records: Iterable[Record]) -> str:
    first = list(itertools.islice(records, PREVIEW_ROWS))
    if not first:
        return header.reason or "no records"
    cells = [_cells(header, record) for record in first]
    told = [name for name in cells[0] if any(row[name] is not None for row in cells)]
    return markdown(tuple(told), [tuple(row[name] for name in told) for row in cells])


def _cells(header: Header, record: Record) -> Mapping[str, object]:
    match record:
        case TableEntry():
            return {
                "table": _name(header, record.table),
                "kind": record.kind,
                "columns": len(record.columns),
                "first columns": ", ".join(f"{c.name} {c.type}" for c in record.columns[:4]),
                "comment": record.comment,
            }
        case Observation():
            return {
                "table": _name(header, record.table),
                "rows": record.row_count,
                "bytes": record.byte_count,
                "last data change (UTC)": record.last_data_change,
                "carried from": record.carried_from,
            }
        case QueryRecord():
            return {
                "ended (UTC)": record.ended_at,
                "user": record.user,
                "status": record.status or "not told",
                "query": record.text,
                "query id": record.query_id,
            }
        case LineageEdge():
            return {
                "source": _end(record.source, record.source_column),
                "target": _end(record.target, record.target_column),
                "kind": record.kind,
                "found in": record.found_in,
                "times seen": record.times_seen,
                "last seen (UTC)": record.last_seen,
            }


def _end(table: TableId, column: str | None) -> str:
    return table.shown if column is None else f"{table.shown}.{column}"


def with_rest(table: str, total: int, shown: int) -> str:
    """A table that shows a part of what there is says so."""
    return f"{table}\n\nand {total - shown} more" if total > shown else table


def markdown(
    header: tuple[str, ...], rows: Iterable[tuple[object, ...]], *, cut_at: int = SHOWN_TEXT
) -> str:
    """A Markdown table; cells are cut, pipes and newlines made harmless."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines.extend("| " + " | ".join(_cell(value, cut_at) for value in row) + " |" for row in rows)
    return "\n".join(lines)


def _cell(value: object, cut_at: int) -> str:
    if value is None:
        return ""
    shown = f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)
    text = " ".join(shown.split())
    cut = text if len(text) <= cut_at else text[: cut_at - 1] + "…"
    return cut.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
