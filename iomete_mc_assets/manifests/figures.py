"""Figures that the store takes of records while it writes them, for a plot's point in every hour.

What a collector counts itself (rows read, what was left out and why) stays with it and wins under an equal name.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from iomete_mc_assets.records import LineageEdge, Observation, QueryRecord, Record
from iomete_mc_assets.windows import HourWindow

ROWS, BYTES = "rows in all", "bytes in all"
ROWS_UNKNOWN = "row count unknown"
CHANGED = "tables changed in the hour"
FAILED = "failed"
QUERY_SECONDS = "query seconds"
TABLE_EDGES, COLUMN_EDGES = "table edges", "column edges"
QUIET_SECONDS = "newest end before the hour's end (s)"


class Figures:
    """The figures of one manifest; zero is a figure, so a plot has no hole."""

    def __init__(self, window: HourWindow) -> None:
        """Nothing seen yet."""
        self._window = window
        self._counts: Counter[str] = Counter()
        self._took = timedelta()
        self._newest_end: datetime | None = None
        self._told = True

    def watched(self, flow: str, records: Iterable[Record]) -> Iterator[Record]:
        """The records as they are, each looked at once."""
        if flow == "observations":
            self._counts.update(dict.fromkeys((ROWS, BYTES, ROWS_UNKNOWN, CHANGED), 0))
        elif flow == "query_logs":
            self._counts[FAILED] = 0
        elif flow == "lineage":
            self._counts.update(dict.fromkeys((TABLE_EDGES, COLUMN_EDGES), 0))
        for record in records:
            match record:
                case Observation():
                    self._observed(record)
                case QueryRecord():
                    self._queried(record)
                case LineageEdge():
                    self._counts[TABLE_EDGES if record.kind == "table" else COLUMN_EDGES] += 1
                case _:
                    pass
            yield record

    def _observed(self, record: Observation) -> None:
        """Rows and bytes as last known, so that a table unreadable for an hour is no drop; the rest of this hour."""
        counts = self._counts
        counts[ROWS] += record.row_count or 0
        counts[BYTES] += record.byte_count or 0
        if record.carried_from is not None:
            return
        counts[ROWS_UNKNOWN] += record.row_count is None
        changed = record.last_data_change
        counts[CHANGED] += changed is not None and self._window.holds(changed)

    def _queried(self, record: QueryRecord) -> None:
        self._took += record.ended_at - record.started_at
        self._counts[FAILED] += record.status == "failed"
        self._told = self._told and record.status is not None
        if self._newest_end is None or record.ended_at > self._newest_end:
            self._newest_end = record.ended_at

    def counts(self) -> Mapping[str, int]:
        """By name; nothing is failed or not where a query's status is not told."""
        counts = dict(self._counts)
        if FAILED in counts:
            counts[QUERY_SECONDS] = round(self._took.total_seconds())
            if not self._told:
                del counts[FAILED]
        if self._newest_end is not None:
            counts[QUIET_SECONDS] = int((self._window.end - self._newest_end).total_seconds())
        return counts
