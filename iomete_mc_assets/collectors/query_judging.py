"""What becomes of each row of a query log: a query worth telling, noise, or one that is held back; all counted.

Where rows come from is told by the sources; when an hour is whole, by ``query_logs``.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, cast

from iomete_mc_assets.collectors.lineage.model import SESSION_CATALOG
from iomete_mc_assets.collectors.lineage.plans import read_plan
from iomete_mc_assets.collectors.query_text import UNMASKABLE, bare_text, kept
from iomete_mc_assets.collectors.session_places import Place, SessionPlaces, switches
from iomete_mc_assets.records import Omission, PlannedEdges, QueryRecord, QueryStatus
from iomete_mc_assets.settings import QueryText
from iomete_mc_assets.warehouse.rows import Row
from iomete_mc_assets.warehouse.statements import TAG

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
_NOISE = {
    "USE": "USE",
    "SET": "SET",
    "SHOW": "SHOW",
    "DESCRIBE": "DESCRIBE",
    "DESC": "DESCRIBE",
    "LISTING": "driver's metadata call",
}
_MAY_SWITCH = frozenset({"USE", "SET", "own statement"})
_ERROR_CLASS = re.compile(r"\s*\[([A-Z][A-Z0-9_.]+)\]")
_HEALTH_CHECK = re.compile(r"SELECT\s+1\s*;?\s*", re.IGNORECASE)
_SPARK_CONNECT = "DataFrame operation via Spark Connect"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryLogRules:
    """What holds whatever the source.

    Attributes:
        delay_minutes: after an hour's end, until the source is believed to show all of it.
        exclude_users: whose queries are left out; case does not matter.
        query_text: what is kept of a text; error messages are kept with ``whole`` only.
        catalogs: known ones: a USE of another name means a database.
    """

    delay_minutes: int = 30
    exclude_users: tuple[str, ...] = ()
    query_text: QueryText = "whole"
    catalogs: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Judged:
    """One hour while it is read: what was kept, left out and held back.

    Attributes:
        estimated: the source knows no end.
        rules: what is left out, and what is kept of texts.
        seen: rows that the source had.
        tally: counts by name.
        unknown: rows by a status nobody knows.
    """

    estimated: bool
    rules: QueryLogRules
    seen: int = 0
    tally: Counter[str] = field(default_factory=Counter[str])
    unknown: Counter[str] = field(default_factory=Counter[str])
    _excluded: frozenset[str] = frozenset()
    _places: SessionPlaces = field(init=False)

    def __post_init__(self) -> None:
        """Fold the users to leave out, and the catalogs."""
        known = (*self.rules.catalogs, SESSION_CATALOG)
        self._places = SessionPlaces(frozenset(name.casefold() for name in known))
        self._excluded = frozenset(user.casefold() for user in self.rules.exclude_users)

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
        if kind in _MAY_SWITCH:
            self._follow(row, text)
        if kind is None and user is not None and user.casefold() in self._excluded:
            kind = "excluded user"
        if kind is not None:
            return f"left out: {kind}"
        status = _status(row)
        started, ended = _instant(row["started_us"]), _instant(row["ended_us"])
        timeless = ended is None and started is not None and "status" not in row
        if status == "unfinished" or timeless:
            return _NOT_ENDED
        if status == "unknown":
            self.unknown[_said_status(row)] += 1
            return _UNKNOWN_STATUS
        if started is None or ended is None or started > ended:
            return _UNUSABLE_TIMES
        place = self._place(row)
        failure, whole = status in ("failed", "cancelled"), self.rules.query_text == "whole"
        return QueryRecord(
            query_id=_text(row, "id") or hashed_id(text, user, started, ended),
            text=self._kept(text),
            started_at=started,
            ended_at=ended,
            end_estimated=self.estimated or row.get("end_estimated") is True,
            status=status,
            user=user,
            error_code=_error_code(row) if failure else None,
            # a message quotes the statement it is about
            error_text=_text(row, "error_text") if failure and whole else None,
            returned_rows=_row_count(row.get("rows")),
            session_id=_text(row, "session"),
            catalog=place.catalog,
            database=place.database,
            plan=_planned(row, text) if status == "succeeded" else None,
        )

    def _follow(self, row: Row, text: str) -> None:
        """What a USE or SET CATALOG says of its session."""
        session, status = _text(row, "session"), _status(row)
        if session is None or not switches(text) or status in ("failed", "cancelled"):
            return
        began_us, ended_us = row["started_us"], row["ended_us"]
        told = status in ("succeeded", None)
        if told and isinstance(began_us, int) and isinstance(ended_us, int):
            self._places.move(session, text, began_us=began_us, ended_us=ended_us)
        else:
            self._places.lose(session)

    def _place(self, row: Row) -> Place:
        """Where the names of a query with both times belong: as the source tells, else as its session's statements did."""
        session = _text(row, "session")
        if "database" in row or session is None:
            return Place(_text(row, "catalog"), _text(row, "database"))
        began_us, ended_us = cast("int", row["started_us"]), cast("int", row["ended_us"])
        place = self._places.at(session, began_us=began_us, ended_us=ended_us)
        return replace(place, catalog=_text(row, "catalog")) if "catalog" in row else place

    def _kept(self, text: str) -> str:
        said = kept(text, self.rules.query_text)
        if said is UNMASKABLE:
            self.tally["texts withheld: not maskable"] += 1
        return said

    def counts(self) -> dict[str, int]:
        """Every row of the source, by what became of it; ``queries`` are the records."""
        return {"rows read": self.seen, "queries": 0} | dict(sorted(self.tally.items()))

    def omissions(self, source: str) -> tuple[Omission, ...]:
        """What was held back for good, unless the source or these rules change."""
        held = [
            Omission(
                scope=source,
                question="query status",
                kind="unreadable",
                reason=f"status {said!r} of {rows} queries is not known to mean succeeded, failed or cancelled; held back",
            )
            for said, rows in sorted(self.unknown.items())
        ]
        if rows := self.tally[_UNUSABLE_TIMES]:
            reason = f"{rows} queries have no start, no end, or a start after their end; held back"
            held.append(
                Omission(scope=source, question="query times", kind="unreadable", reason=reason)
            )
        return tuple(held)


def _planned(row: Row, statement: str) -> PlannedEdges | None:
    """The edges of the plan that the source logged, read beside the text as it was: a masked one has other literals."""
    plan = _text(row, "plan")
    if plan is None:
        return None
    catalog = _text(row, "catalog") or SESSION_CATALOG
    reading = read_plan(plan, statement, catalog=catalog.casefold())
    return None if reading is None else reading.record()


def error_class(message: str) -> str | None:
    """Spark's error class in front of a message, such as ``TABLE_OR_VIEW_NOT_FOUND``; None without one."""
    found = _ERROR_CLASS.match(message)
    return found[1] if found else None


def noise(text: str) -> str | None:
    """The kind of a text that is no query worth telling: the name it is counted under; None for a query."""
    if text.lstrip().startswith(TAG):
        return "own statement"
    bare = bare_text(text)
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


def _text(row: Row, role: str) -> str | None:
    value = row.get(role)
    return None if value is None or value == "" else str(value)


def _status(row: Row) -> QueryStatus | Literal["unfinished", "unknown"] | None:
    """How the query ended. A source without a status column shows ended queries, failed ones by their error, if it tells errors."""
    if "status" not in row:
        if "error_text" not in row and "error_code" not in row:
            return None
        failed = _text(row, "error_text") or _text(row, "error_code") not in (None, "0")
        return "failed" if failed else "succeeded"
    said = _said_status(row).casefold()
    return "unfinished" if said in UNFINISHED else STATUSES.get(said, "unknown")


def _said_status(row: Row) -> str:
    return (_text(row, "status") or "").strip()


def _instant(micros: object) -> datetime | None:
    """None where the source has none, or one outside of the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(microseconds=micros) if isinstance(micros, int) else None
    except OverflowError:
        return None


def _error_code(row: Row) -> str | None:
    """The source's; where it has none, the class that Spark's own messages begin with."""
    return _text(row, "error_code") or error_class(_text(row, "error_text") or "")


def _row_count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
