"""Tables for people in a partition's metadata: a few rows of a manifest, as Markdown. Figures live in ``metadata``."""

import heapq
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from iomete_mc_assets.errors import ManifestError, ManifestPruned
from iomete_mc_assets.manifests.model import Header
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.records import Observation, Omission, QueryRecord, Record, TableEntry, TableId
from iomete_mc_assets.windows import HourWindow

PREVIEW_ROWS = 10
EXAMPLES = 3
SHOWN_TEXT = 80
SHOWN_REASON = 200
PRUNED = "its records were pruned"

MOST_CHANGED = "most changed tables"
STALEST = "stalest tables"

Rows = Mapping[TableId, int]


class Previews:
    """What manifests of one store show; the hours of a range are each read once.

    Attributes:
        store: where they lie.
    """

    def __init__(self, store: ManifestStore) -> None:
        """Nothing read yet."""
        self.store = store
        self._read: dict[str, Rows] = {}

    def of(self, header: Header) -> dict[str, str]:
        """Markdown by name: the first rows, and of observations the most changed and the stalest tables."""
        try:
            if header.flow == "observations" and header.records:
                return self._of_observations(header)
            return {"preview": _first(header, self.store.records(header))}
        except ManifestPruned:
            return {"preview": PRUNED}

    def _of_observations(self, header: Header) -> dict[str, str]:
        seen = [one for one in self.store.records(header) if isinstance(one, Observation)]
        shown = {"preview": _first(header, seen)}
        before = self._rows_before(header)
        self._read = {header.manifest_id: _rows(seen)}
        hour = header.window.previous.key
        shown[MOST_CHANGED] = (
            before if isinstance(before, str) else _changed(header, seen, before, hour)
        )
        shown[STALEST] = _stalest(header, seen)
        return shown

    def _rows_before(self, header: Header) -> Rows | str:
        """Rows by table in the hour before; why there is nothing to compare with, in words."""
        window = header.window.previous
        try:
            earlier = self.store.current("observations", window)
            if earlier is None or not earlier.known:
                return f"nothing is known of the hour before, {window.key}"
            if earlier.manifest_id in self._read:
                return self._read[earlier.manifest_id]
            return _rows(one for one in self.store.records(earlier) if isinstance(one, Observation))
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
