"""Spark's event log, line by line: which lines matter, and what they say of sessions and operations.

Which files there are, and which operations are an hour's, is decided in ``event_logs``.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

import orjson

from iomete_mc_assets.collectors.lineage.guards import noise_of
from iomete_mc_assets.collectors.query_judging import error_class
from iomete_mc_assets.collectors.session_places import UNTOLD, Place, switched, switches
from iomete_mc_assets.warehouse.rows import Row

Kind = Literal[
    "ApplicationStart",
    "ApplicationEnd",
    "SessionCreated",
    "SessionClosed",
    "OperationStart",
    "OperationParsed",
    "OperationFinish",
    "OperationError",
    "OperationCanceled",
    "OperationTimeout",
    "OperationClosed",
]
Json = Mapping[str, object]

_THRIFT = b'{"Event":"org.apache.spark.sql.hive.thriftserver.ui.SparkListenerThriftServer'
_APPLICATION = b'{"Event":"SparkListenerApplication'
_WANTED = (_THRIFT, _APPLICATION)
"""Every line begins with its event's name; one in fifty is worth parsing."""
_INSTANTS: dict[Kind, str] = {
    "ApplicationStart": "Timestamp",
    "ApplicationEnd": "Timestamp",
    "SessionCreated": "startTime",
    "SessionClosed": "finishTime",
    "OperationStart": "startTime",
    "OperationFinish": "finishTime",
    "OperationError": "finishTime",
    "OperationCanceled": "finishTime",
    "OperationTimeout": "finishTime",
    "OperationClosed": "closeTime",
}
_KINDS: Mapping[bytes, Kind] = {
    (_APPLICATION if kind.startswith("Application") else _THRIFT)
    + kind.removeprefix("Application").encode(): kind
    for kind in (*_INSTANTS, cast("Kind", "OperationParsed"))
}
_STATUSES: Mapping[Kind, str] = {
    "OperationFinish": "finished",
    "OperationError": "failed",
    "OperationCanceled": "cancelled",
    "OperationTimeout": "failed",
    # its client let go of it while it ran: Spark cancels its jobs then, and logs no other end (3.5.8)
    "OperationClosed": "cancelled",
}
_KEYS: Mapping[Kind, tuple[str, ...]] = {
    "OperationParsed": ("id", "executionPlan"),
    "OperationStart": ("id", "sessionId", "statement", "startTime"),
    **{
        kind: (_INSTANTS[kind], "sessionId" if kind.startswith("Session") else "id")
        for kind in _INSTANTS
        if kind.startswith(("Session", "Operation")) and kind != "OperationStart"
    },
    "ApplicationStart": ("Timestamp",),
    "ApplicationEnd": ("Timestamp",),
}
"""What an event must have to be of use."""

_OFTEN_IDLE = ("OperationParsed", "OperationClosed")
_NAME_BEGINS = len(b'{"Event":"')
_PLAN_BEHIND = re.compile(r";\n'?[A-Z]\w*[^\n]*\n[ :]*[:+]- .*", re.DOTALL)
_STACK_BEHIND = re.compile(r"\n\tat .*", re.DOTALL)
_EXCEPTION = re.compile(r"(?:[\w$]+\.)*([\w$]+)")


@dataclass(frozen=True, slots=True)
class Line:
    """A line that matters, and where in its file it begins, unpacked."""

    kind: Kind
    at: int
    text: bytes


@dataclass(slots=True)
class Lines:
    """The lines of one file that matter, out of its blocks.

    Attributes:
        end: where the last whole line ended so far: a line that is still being written is not taken.
    """

    blocks: Iterable[bytes]
    end: int = 0

    def __iter__(self) -> Iterator[Line]:
        begun: list[bytes] = []
        for block in self.blocks:
            lines = block.split(b"\n")
            begun.append(lines[0])
            if len(lines) == 1:
                continue
            lines[0] = b"".join(begun)
            begun = [lines.pop()]
            for text in lines:
                if text.startswith(_WANTED):
                    kind = _KINDS.get(text[: text.find(b'"', _NAME_BEGINS)])
                    if kind is not None:
                        yield Line(kind, self.end, text)
                self.end += len(text) + 1


@dataclass(slots=True)
class Operation:
    """One statement that has begun.

    Attributes:
        at: where its first line stands: the file's key and the line's beginning.
        place: as of its beginning.
        switches: whether it moves its session elsewhere, should it succeed.
        writes: whether it may write, by its first word: its plan may tell lineage.
        plan: what ``OperationParsed`` said; None where it was not wanted or not reached.
        plan_at: where that line stands.
    """

    at: tuple[str, int]
    id: str
    text: str
    user: str | None
    session: str
    started_ms: int
    place: Place
    switches: bool
    writes: bool
    plan: str | None = None
    plan_at: tuple[str, int] | None = None


UNSTARTED: Row = {}
"""Instead of the row of an operation that ended, and began where nobody read."""


@dataclass(slots=True)
class Server:
    """What is open in one Thrift server as its log is read.

    Attributes:
        catalogs: known ones, folded; for a USE whose plan was not logged.
        closed: operations whose client let go of them while they ran; nothing is expected of them any more.
        unread_lines: lines that begin as they should, and are no JSON or lack a key.
    """

    catalogs: frozenset[str]
    sessions: dict[str, Place] = field(default_factory=dict[str, Place])
    operations: dict[str, Operation] = field(default_factory=dict[str, Operation])
    closed: set[str] = field(default_factory=set[str])
    unread_lines: int = 0

    def read(self, line: Line) -> Json | None:
        """The event of a line; None, and counted, where it lacks what it should have."""
        try:
            event = _parsed(line.text)
            if all(key in event for key in _KEYS[line.kind]):
                return event
        except ValueError:
            pass
        self.unread_lines += 1
        return None

    def concerns(self, line: Line) -> bool:
        """Whether a line is worth parsing: most plans are of no use, and most closings are of what had ended."""
        if line.kind not in _OFTEN_IDLE:
            return True
        begins = line.text.find(b'"id":"') + len(b'"id":"')
        name = line.text[begins : line.text.find(b'"', begins)].decode(errors="replace")
        operation = self.operations.get(name)
        if operation is None or line.kind == "OperationClosed":
            return operation is not None
        return operation.switches or operation.writes

    def plan(self, event: Json, at: tuple[str, int]) -> None:
        """Take up the plan of an open operation."""
        operation = self.operations[str(event["id"])]
        operation.plan, operation.plan_at = str(event["executionPlan"]), at

    def take(self, kind: Kind, event: Json, at: tuple[str, int]) -> Row | None:
        """Follow an event.

        Args:
            kind: any but ``OperationParsed``.
            event: as read.
            at: the file's key and the line's beginning.

        Returns:
            The row of an operation that ended; UNSTARTED for one that nobody saw beginning.
        """
        match kind:
            case "OperationStart":
                self.start(event, at)
            case "SessionCreated":
                self.sessions[str(event["sessionId"])] = UNTOLD
            case "SessionClosed":
                self.sessions.pop(str(event["sessionId"]), None)
            case "ApplicationStart" | "ApplicationEnd":
                pass  # a server that stops says what became of its statements after that
            case _:
                return self._end(kind, event)
        return None

    def start(self, event: Json, at: tuple[str, int], *, place: Place | None = None) -> None:
        """Take up an operation, in its session's place where none is given."""
        session, user = str(event["sessionId"]), event.get("userName")
        text = str(event["statement"])
        operation = Operation(
            at=at,
            id=str(event["id"]),
            text=text,
            user=None if user is None else str(user),
            session=session,
            started_ms=instant_of("OperationStart", event),
            place=place or self.sessions.get(session, UNTOLD),
            switches=switches(text),
            writes=noise_of(text) is None,
        )
        self.operations[operation.id] = operation

    def _end(self, kind: Kind, event: Json) -> Row | None:
        """Every operation is closed once it has ended; only one that has not ended ends by that."""
        name = str(event["id"])
        operation = self.operations.pop(name, None)
        if operation is None:
            return None if kind == "OperationClosed" or name in self.closed else UNSTARTED
        if kind == "OperationClosed":
            self.closed.add(name)
        if kind == "OperationFinish" and operation.switches:
            self.sessions[operation.session] = switched(
                operation.text,
                operation.plan,
                before=self.sessions.get(operation.session, UNTOLD),
                catalogs=self.catalogs,
            )
        return _row(operation, kind, event)


def error_code(message: str, trace: str = "") -> str | None:
    """Spark's error class, such as ``TABLE_OR_VIEW_NOT_FOUND``; else the exception's name, where the trace tells it."""
    exception = _EXCEPTION.match(trace)
    return error_class(message) or (exception[1] if exception else None)


def error_text(message: str) -> str:
    """The message without the plan and the stack that Spark appends: they name files and whatever data they met."""
    return _STACK_BEHIND.sub("", _PLAN_BEHIND.sub("", message)).strip()


def instant_of(kind: Kind, event: Json) -> int:
    """When an event happened, in milliseconds since the epoch."""
    return int(cast("int", event[_INSTANTS[kind]]))


def _row(operation: Operation, kind: Kind, event: Json) -> Row:
    row: dict[str, object] = {
        "id": operation.id,
        "text": operation.text,
        "user": operation.user,
        "status": _STATUSES[kind],
        "session": operation.session,
        "catalog": operation.place.catalog,
        "database": operation.place.database,
        "started_us": operation.started_ms * 1000,
        "ended_us": instant_of(kind, event) * 1000,
    }
    if operation.writes:
        row["plan"] = operation.plan
    if kind == "OperationError":
        message = str(event.get("errorMsg") or "")
        row["error_code"] = error_code(message, str(event.get("errorTrace") or ""))
        row["error_text"] = error_text(message)
    if kind == "OperationTimeout":
        row["error_code"] = "TIMED_OUT"
    if kind == "OperationClosed":
        row["end_estimated"] = True
    return row


def _parsed(text: bytes) -> Json:
    try:
        return cast("Json", orjson.loads(text))
    except ValueError:
        return cast(
            "Json", json.loads(text)
        )  # takes half characters, which Java's strings may hold
