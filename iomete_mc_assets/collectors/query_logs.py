"""The flow ``query_logs``: the queries that ended in an hour, as the configured query-history table shows them.

The table's columns and statements live in ``query_log_source``; what is sent, and to whom, is decided elsewhere.
"""

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from iomete_mc_assets.collectors.query_log_source import (
    QueryLogConfig,
    QueryLogSource,
    describe,
    source_of,
)
from iomete_mc_assets.collectors.query_text import UNMASKABLE, kept
from iomete_mc_assets.errors import HourFailed, IometeMcError, StatementFailed
from iomete_mc_assets.manifests.model import Collector, Draft, Verdict
from iomete_mc_assets.records import Omission, QueryRecord, QueryStatus
from iomete_mc_assets.settings import IOMETE_QUERY_LOG_TABLE, QueryText
from iomete_mc_assets.warehouse.rows import Row, Warehouse
from iomete_mc_assets.warehouse.statements import TAG
from iomete_mc_assets.windows import HourWindow

VERSION = "1"
NO_SOURCE = f"no query log source is configured ({IOMETE_QUERY_LOG_TABLE.name})"
"""Reason of every hour where none is wanted."""
COLLECTOR = Collector(name="query_logs", version=VERSION)
ROWS_PER_FETCH = 1_000
"""SQL texts are long: 1,000 of 100 kB are 100 MB, the most one fetch should bring."""

STATUSES: dict[str, QueryStatus] = {
    "completed": "succeeded",
    "complete": "succeeded",
    "finished": "succeeded",
    "succeeded": "succeeded",
    "success": "succeeded",
    "failed": "failed",
    "error": "failed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
}
"""What an ended query may be called. What is in neither list is held back and said to be unknown."""
UNFINISHED = frozenset({"submitted", "pending", "queued", "started", "running", "unreachable"})
"""IOMETE's and Spark's words for queries that have not ended, whatever their end column says."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEADING = re.compile(r"(?:\s+|/\*.*?\*/|--[^\n]*(?:\n|$)|;)*", re.DOTALL)
_NOISE = {
    "USE": "USE",
    "SET": "SET",
    "SHOW": "SHOW",
    "DESCRIBE": "DESCRIBE",
    "DESC": "DESCRIBE",
    "LISTING": "driver's metadata call",
}
_HEALTH_CHECK = re.compile(r"SELECT\s+1\s*;?\s*", re.IGNORECASE)
_SPARK_CONNECT = "DataFrame operation via Spark Connect"


def collect(
    windows: Iterable[HourWindow],
    warehouse: Warehouse,
    *,
    config: QueryLogConfig | None,
    now: datetime,
) -> Iterator[tuple[HourWindow, Draft | IometeMcError]]:
    """One draft or one error per hour, oldest first.

    A draft's records stream out of ``warehouse`` as they are consumed, so each draft is to be consumed before
    the next one is asked for. Errors of the lakehouse in the middle of an hour come out of its records.

    Args:
        windows: the hours, in any order.
        warehouse: a session whose time zone is UTC.
        config: None when no source is configured; then every hour is ``unknown``.
        now: the run's instant.

    Yields:
        HourFailed for an hour that has not ended or whose source could not be read; SettingsError where the
        source's table or columns are not what the settings say; LakehouseError when nobody could be asked.
    """
    reader: _Reader | IometeMcError | None = None
    for window in sorted(set(windows)):
        if now < window.end:
            yield (
                window,
                HourFailed(
                    f"Hour {window.key} of query_logs ends at {window.end:%H:%M} UTC, which is not over at {now:%H:%M}; it "
                    "was not collected. Ask again when it has ended."
                ),
            )
        elif config is None:
            yield window, _without_source(window, now)
        else:
            reader = reader or _reader(warehouse, config)
            yield (
                window,
                (reader if isinstance(reader, IometeMcError) else reader.draft(window, now=now)),
            )


def _without_source(window: HourWindow, now: datetime) -> Draft:
    return Draft(
        flow="query_logs",
        window=window,
        collected_at=now,
        collector=COLLECTOR,
        records=(),
        verdict=lambda: Verdict(state="unknown", reason=NO_SOURCE),
    )


def _reader(warehouse: Warehouse, config: QueryLogConfig) -> "_Reader | IometeMcError":
    """The table, once its columns are known; else why it cannot be read."""
    try:
        described = warehouse.ask(describe(config))
        return _Reader(warehouse, config, source_of(config, described))
    except StatementFailed as error:
        return HourFailed(
            f"The query log table {config.table} cannot be described, so the hour was not collected: {error} Correct "
            f"{IOMETE_QUERY_LOG_TABLE.name}, or grant SELECT on the table."
        )
    except IometeMcError as error:
        return error


class _Reader:
    """The query-history table, read hour by hour."""

    def __init__(
        self, warehouse: Warehouse, config: QueryLogConfig, source: QueryLogSource
    ) -> None:
        self._warehouse = warehouse
        self._config = config
        self._source = source
        self._excluded = frozenset(user.casefold() for user in config.exclude_users)
        self._bounds: tuple[datetime | None, datetime | None] | None = None

    def draft(self, window: HourWindow, *, now: datetime) -> Draft | IometeMcError:
        """The hour's draft. Its statement has run when this returns: a failure is this hour's error."""
        rows = self._warehouse.stream(self._source.hour(window), rows_per_fetch=ROWS_PER_FETCH)
        try:
            first = list(itertools.islice(rows, 1))
        except StatementFailed as error:
            return HourFailed(f"Hour {window.key} of query_logs could not be read: {error}")
        except IometeMcError as error:
            return error
        hour = _Hour(
            estimated=self._source.estimated,
            excluded=self._excluded,
            query_text=self._config.query_text,
        )
        return Draft(
            flow="query_logs",
            window=window,
            collected_at=now,
            collector=COLLECTOR,
            records=hour.records(itertools.chain(first, rows)),
            verdict=lambda: self._verdict(window, hour, now=now),
        )

    def _verdict(self, window: HourWindow, hour: "_Hour", *, now: datetime) -> Verdict:
        counts, omissions = hour.counts(), hour.omissions(self._config.table)
        settled_at = window.end + timedelta(minutes=self._config.delay_minutes)
        if now < settled_at:
            reason = (  # without the clock: the same finding must read the same a minute later
                "too early: the source is believed to be whole "
                f"{self._config.delay_minutes} minutes after the hour's end, at {settled_at:%H:%M} UTC"
            )
            return Verdict(state="partial", reason=reason, counts=counts, omissions=omissions)
        if hour.seen == 0:
            return self._nothing_seen(window)
        return Verdict(state="complete", counts=counts, omissions=omissions)

    def _nothing_seen(self, window: HourWindow) -> Verdict:
        """No row at all: the hour was quiet, is no longer kept, or has not arrived yet."""
        oldest, newest = self._ask_bounds()
        table = self._config.table
        if oldest is None or newest is None:
            return Verdict(state="unknown", reason=f"the query log table {table} is empty")
        if oldest >= window.end:
            reason = f"{table} keeps no queries this old"
            return Verdict(state="unknown", reason=reason)
        if newest < window.start:
            reason = f"{table} has not come this far: its newest query ended before this hour"
            return Verdict(state="partial", reason=reason, counts={"queries": 0})
        return Verdict(state="complete", counts={"queries": 0})

    def _ask_bounds(self) -> tuple[datetime | None, datetime | None]:
        """Oldest and newest end in the table, asked once a range."""
        if self._bounds is None:
            row = self._warehouse.ask(self._source.bounds())[0]
            self._bounds = _instant(row["oldest_us"]), _instant(row["newest_us"])
        return self._bounds


@dataclass(slots=True, kw_only=True)
class _Hour:
    """One hour while it is read: what was kept, left out and held back.

    Attributes:
        estimated: the source knows no end.
        excluded: users to leave out, folded.
        query_text: what is kept of texts.
        seen: rows that the source had.
        tally: counts by name.
        unknown: rows by a status nobody knows.
    """

    estimated: bool
    excluded: frozenset[str]
    query_text: QueryText
    seen: int = 0
    tally: Counter[str] = field(default_factory=Counter[str])
    unknown: Counter[str] = field(default_factory=Counter[str])

    def records(self, rows: Iterable[Row]) -> Iterator[QueryRecord]:
        """The hour's queries in the order of the rows; the same query twice in a row goes once."""
        before: QueryRecord | None = None
        for row in rows:
            self.seen += 1
            record = self._judge(row)
            if isinstance(record, str):
                self.tally[record] += 1
            elif record == before:
                self.tally["duplicates"] += 1
            else:
                before = record
                self.tally["queries"] += 1
                self.tally[record.status or _NO_STATUS] += 1
                if record.end_estimated:
                    self.tally[_END_ESTIMATED] += 1
                yield record

    def _judge(self, row: Row) -> QueryRecord | str:
        """The row's query, or the name under which it is counted instead."""
        text, user = _text(row, "text") or "", _text(row, "user")
        kind = noise(text)
        if kind is None and user is not None and user.casefold() in self.excluded:
            kind = "excluded user"
        if kind is not None:
            return f"left out: {kind}"
        status = self._status(row)
        started, ended = _instant(row["started_us"]), _instant(row["ended_us"])
        timeless = ended is None and started is not None and "status" not in row
        if status == "unfinished" or timeless:
            return _NOT_ENDED
        if status == "unknown":
            return _UNKNOWN_STATUS
        if started is None or ended is None or started > ended:
            return _UNUSABLE_TIMES
        failure, whole = status in ("failed", "cancelled"), self.query_text == "whole"
        return QueryRecord(
            query_id=_text(row, "id") or hashed_id(text, user, started, ended),
            text=self._kept(text),
            started_at=started,
            ended_at=ended,
            end_estimated=self.estimated,
            status=status,
            user=user,
            error_code=_text(row, "error_code") if failure else None,
            # a message quotes the statement it is about
            error_text=_text(row, "error_text") if failure and whole else None,
            returned_rows=_row_count(row.get("rows")),
            session_id=_text(row, "session"),
            catalog=_text(row, "catalog"),
            database=_text(row, "database"),
        )

    def _kept(self, text: str) -> str:
        said = kept(text, self.query_text)
        if said is UNMASKABLE:
            self.tally["texts withheld: not maskable"] += 1
        return said

    def _status(self, row: Row) -> QueryStatus | Literal["unfinished", "unknown"] | None:
        """How the query ended. A source without a status column shows ended queries, failed ones by their error, if it tells errors."""
        if "status" not in row:
            if "error_text" not in row and "error_code" not in row:
                return None
            failed = _text(row, "error_text") or _text(row, "error_code") not in (None, "0")
            return "failed" if failed else "succeeded"
        said = (_text(row, "status") or "").strip()
        if said.casefold() in UNFINISHED:
            return "unfinished"
        if said.casefold() in STATUSES:
            return STATUSES[said.casefold()]
        self.unknown[said] += 1
        return "unknown"

    def counts(self) -> dict[str, int]:
        """Every row of the source, by what became of it; ``queries`` are the records."""
        return {"rows read": self.seen, "queries": 0} | dict(sorted(self.tally.items()))

    def omissions(self, table: str) -> tuple[Omission, ...]:
        """What was held back for good, unless the source or these rules change."""
        held = [
            Omission(
                scope=table,
                question="query status",
                kind="unreadable",
                reason=f"status {said!r} of {rows} queries is not known to mean succeeded, failed or cancelled; held back",
            )
            for said, rows in sorted(self.unknown.items())
        ]
        if rows := self.tally[_UNUSABLE_TIMES]:
            reason = f"{rows} queries have no start, no end, or a start after their end; held back"
            held.append(
                Omission(scope=table, question="query times", kind="unreadable", reason=reason)
            )
        return tuple(held)


def noise(text: str) -> str | None:
    """The kind of a text that is no query worth telling: the name it is counted under; None for a query."""
    if text.lstrip().startswith(TAG):
        return "own statement"
    bare = text[_leading(text) :]
    if not bare.strip():
        return "empty text"
    if bare.startswith(_SPARK_CONNECT):
        return "Spark Connect without SQL"
    if _HEALTH_CHECK.fullmatch(bare):
        return "health check"
    word = re.match(r"\w*", bare)
    return _NOISE.get(word.group().upper()) if word else None


def hashed_id(text: str, user: str | None, started_at: datetime, ended_at: datetime) -> str:
    """The id of a query whose source has none: 32 hex digits of SHA-256 over what identifies it."""
    said = json.dumps([text, user, started_at.isoformat(), ended_at.isoformat()])
    return hashlib.sha256(said.encode()).hexdigest()[:32]


_NO_STATUS = "status not told by the source"
_END_ESTIMATED = "end estimated"
_NOT_ENDED = "held back: not ended"
_UNKNOWN_STATUS = "held back: unknown status"
_UNUSABLE_TIMES = "held back: unusable times"


def _leading(text: str) -> int:
    """Where a statement begins behind white space, comments and semicolons."""
    found = _LEADING.match(text)
    return found.end() if found else 0


def _text(row: Row, role: str) -> str | None:
    value = row.get(role)
    return None if value is None or value == "" else str(value)


def _instant(micros: object) -> datetime | None:
    """None where the source has none, or one outside of the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(microseconds=micros) if isinstance(micros, int) else None
    except OverflowError:
        return None


def _row_count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
