"""Tables for people in a partition's metadata: a few rows of a manifest, as Markdown. Figures live in ``metadata``."""

import heapq
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from iomete_mc_assets.errors import ManifestError, ManifestPruned
from iomete_mc_assets.manifests.model import Header
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.records import Observation, Omission, QueryRecord, Record, TableEntry, TableId
from iomete_mc_assets.windows import HourWindow

PREVIEW_ROWS = 10
EXAMPLES = 3
SHOWN_TEXT = 80
PRUNED = "its records were pruned"

MOST_CHANGED = "most changed tables"
STALEST = "stalest tables"

Rows = Mapping[TableId, int]


class Previews:
    """What manifests of one store show. The observations last shown are kept, for others who need them.

    Attributes:
        store: where they lie.
    """

    def __init__(self, store: ManifestStore) -> None:
        """Nothing read yet."""
        self.store = store
        self._last: tuple[str, Sequence[Observation]] = ("", ())

    def records(self, header: Header) -> Iterable[Record]:
        """Those of a manifest, from memory where they were shown last."""
        manifest_id, seen = self._last
        return seen if header.manifest_id == manifest_id else self.store.records(header)

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
        self._last = (header.manifest_id, seen)
        hour = header.window.previous.key
        shown[MOST_CHANGED] = before if isinstance(before, str) else _changed(seen, before, hour)
        shown[STALEST] = _stalest(seen, header.window)
        return shown

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


def _changed(seen: Iterable[Observation], before: Rows, hour: str) -> str:
    changes = [
        (one.row_count - before[one.table], one)
        for one in seen
        if one.row_count is not None and one.row_count != before.get(one.table, one.row_count)
    ]
    if not changes:
        return f"no table has other rows than in {hour}"
    largest = heapq.nlargest(PREVIEW_ROWS, changes, key=lambda change: abs(change[0]))
    rows = [
        (one.table.shown, f"{change:+,}", before[one.table], one.row_count)
        for change, one in largest
    ]
    table = markdown(("table", "rows more or fewer", f"in {hour}", "now"), rows)
    return with_rest(table, len(changes), len(rows))


def _stalest(seen: Iterable[Observation], window: HourWindow) -> str:
    """The longest without a change of data; of tables that were never written nothing can be said."""
    written = [
        (one.last_data_change, one.table.shown, one.row_count)
        for one in seen
        if one.last_data_change is not None
    ]
    if not written:
        return "of no table is a change of data known"
    oldest = heapq.nsmallest(PREVIEW_ROWS, written, key=lambda one: one[:2])
    rows = [(name, at, _age(at, window), count) for at, name, count in oldest]
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
    rows = [(len(of), *reason, ", ".join(of[:EXAMPLES])) for reason, of in groups[:PREVIEW_ROWS]]
    table = markdown(("omissions", "kind", "question", "reason", "for example"), rows)
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
    cells = [_cells(record) for record in first]
    return markdown(tuple(cells[0]), [tuple(row.values()) for row in cells])


def _cells(record: Record) -> Mapping[str, object]:
    match record:
        case TableEntry():
            return {
                "table": record.table.shown,
                "kind": record.kind,
                "columns": len(record.columns),
                "first columns": ", ".join(f"{c.name} {c.type}" for c in record.columns[:4]),
                "comment": record.comment,
            }
        case Observation():
            return {
                "table": record.table.shown,
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


def markdown(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """A Markdown table; cells are cut at 80 characters, pipes and newlines made harmless."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines.extend("| " + " | ".join(_cell(value) for value in row) + " |" for row in rows)
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    shown = f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)
    text = " ".join(shown.split())
    cut = text if len(text) <= SHOWN_TEXT else text[: SHOWN_TEXT - 1] + "…"
    return cut.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
