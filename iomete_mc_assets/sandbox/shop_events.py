"""The shop's workload as Spark event logs: what this server really logged of each statement, copied into the workload's hours.

Statements that change nothing are run once for that, through the server. What stands for all others is an INSERT of the
seed itself, with the plan that Spark explains of them; most loads have none, as what they read is no part of the shop.
Which statements there are, and when, is told in ``workload``.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from iomete_mc_assets.errors import SandboxError, StatementFailed
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.sandbox.seed_log import SeedLog
from iomete_mc_assets.sandbox.workload import Statement
from iomete_mc_assets.warehouse.connection import Lakehouse
from iomete_mc_assets.warehouse.statements import TAG

FOLDER = "shop_events"
"""Below the state folder."""
FLUSHED_WITHIN_S = 30.0
"""Spark logs from a queue, some milliseconds after a statement's end."""
RUNNABLE = ("SELECT", "WITH", "SHOW", "SET", "USE", "DESCRIBE")
"""How statements begin that change nothing beyond their session."""
WRITES = ("INSERT", "MERGE")
"""How those begin whose plans tell lineage."""

_THRIFT = "org.apache.spark.sql.hive.thriftserver.ui.SparkListenerThriftServer"
_AFTER = timedelta(milliseconds=1)
_TAG = f"{TAG} ".encode()
_ENDS = ("OperationFinish", "OperationError")

_log = logging.getLogger(__name__)

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Logged:
    """What Spark logged of one statement: its events by their short names."""

    events: Mapping[str, Event]

    @property
    def text(self) -> str:
        """Of the statement."""
        return str(self.events["OperationStart"]["statement"])


def write(running: RunningLakehouse, log: SeedLog) -> Path:
    """The folder with the shop's event log, made unless this shop's is there.

    Raises:
        LakehouseError: a statement could not be run.
        SandboxError: Spark did not log it.
    """
    folder = running.state / FOLDER
    name = f"shop-{log.window.folder}-{log.hours}"
    if not (folder / f"{name}.inprogress").exists():
        texts = sorted({one.text for one in log.statements if _runnable(one)})
        _log.info("running %d statements for the event log", len(texts))
        logged = _run(running, texts)
        writes = sorted({one.text for one in log.statements if one.text.upper().startswith(WRITES)})
        logged |= _explained(running, writes, like=logged[""])
        lines = sorted(_copied(log, logged), key=lambda line: line[0])
        folder.mkdir(parents=True, exist_ok=True)
        whole = folder / f".{name}"
        whole.write_bytes(b"".join(line for _, line in lines))
        whole.rename(
            folder / f"{name}.inprogress"
        )  # the server runs: what it does not tell did not happen
    return folder


def _runnable(one: Statement) -> bool:
    return one.status in ("COMPLETED", "FAILED") and one.text.upper().startswith(RUNNABLE)


def _run(running: RunningLakehouse, texts: Sequence[str]) -> dict[str, Logged]:
    """What the server logged of each text, and of one INSERT under the empty text."""
    with Lakehouse.connect(running.config) as session:
        for text in texts:
            with suppress(StatementFailed):
                session.ask(text)
    until = time.monotonic() + FLUSHED_WITHIN_S
    while True:
        found = {one.text: one for one in logged_by(running.events)}
        missing = [text for text in texts if text not in found]
        if not missing:
            break
        if time.monotonic() > until:
            msg = f"Spark did not log {missing[0]!r} in {running.events} within {FLUSHED_WITHIN_S:.0f} s."
            raise SandboxError(msg)
        time.sleep(0.2)
    inserts = [one for text, one in found.items() if text.startswith("INSERT INTO")]
    if not inserts:
        msg = f"{running.events} holds no INSERT: the seed that made this shop ran without event logs. Start afresh."
        raise SandboxError(msg)
    start_to_end = {
        kind: event for kind, event in inserts[0].events.items() if kind != "OperationParsed"
    }
    return {**{text: found[text] for text in texts}, "": Logged(start_to_end)}


def _explained(
    running: RunningLakehouse, texts: Sequence[str], *, like: Logged
) -> dict[str, Logged]:
    """The events of another statement with the plan of each text that Spark can resolve."""
    found: dict[str, Logged] = {}
    with Lakehouse.connect(running.config) as session:
        for text in texts:
            plan = "\n".join(str(row["plan"]) for row in session.ask(f"EXPLAIN EXTENDED {text}"))
            if "== Physical Plan ==" in plan and "AnalysisException" not in plan:
                parsed = {"Event": f"{_THRIFT}OperationParsed", "executionPlan": plan}
                found[text] = Logged({**like.events, "OperationParsed": parsed})
    return found


def logged_by(events: Path) -> Iterator[Logged]:
    """Every statement that ended in the logs of a folder, without our tag."""
    for file in sorted(events.iterdir()):
        if file.name.startswith("."):
            continue
        begun: dict[str, dict[str, Event]] = {}
        for line in file.read_bytes().splitlines():
            if not line.startswith(f'{{"Event":"{_THRIFT}Operation'.encode()):
                continue
            with suppress(ValueError):  # the last line may be half a line
                event = cast("Event", json.loads(line.replace(_TAG, b"")))
                kind = str(event["Event"]).removeprefix(_THRIFT)
                begun.setdefault(event["id"], {})[kind] = event
        yield from (
            Logged(found)
            for found in begun.values()
            if {"OperationStart", "OperationClosed"} <= set(found) and set(_ENDS) & set(found)
        )


def _copied(log: SeedLog, logged: Mapping[str, Logged]) -> Iterator[tuple[int, bytes]]:
    """Every line of the shop's log with its instant."""
    begins = min(one.started_at for one in log.statements) - timedelta(minutes=1)
    yield _line(begins, {"Event": "SparkListenerApplicationStart", "Timestamp": _ms(begins)})
    for user in sorted({one.user for one in log.statements}):
        created = {"ip": "127.0.0.1", "sessionId": _session(user), "userName": user}
        yield _line(
            begins, {"Event": f"{_THRIFT}SessionCreated", **created, "startTime": _ms(begins)}
        )
    for one in log.statements:
        yield from _copy(one, logged.get(one.text) or logged[""])


def _copy(one: Statement, logged: Logged) -> Iterator[tuple[int, bytes]]:
    """One statement's lines: Spark's, under the workload's id, user and instants."""
    events = {kind: {**event, "id": one.query_id} for kind, event in logged.events.items()}
    start = events["OperationStart"] | {
        "sessionId": _session(one.user),
        "statement": one.text,
        "groupId": one.query_id,
        "startTime": _ms(one.started_at),
        "userName": one.user,
    }
    yield _line(one.started_at, start)
    if "OperationParsed" in events:
        yield _line(one.started_at, events["OperationParsed"])
    if one.ended_at is None:
        return
    end = next(events[kind] for kind in _ENDS if kind in events)
    if one.status == "CANCELLED":
        end = {"Event": f"{_THRIFT}OperationCanceled", "id": one.query_id}
    yield _line(one.ended_at, end | {"finishTime": _ms(one.ended_at)})
    closed = one.ended_at + _AFTER
    yield _line(closed, events["OperationClosed"] | {"closeTime": _ms(closed)})


def _session(user: str) -> str:
    return f"session-of-{user}"


def _line(instant: datetime, event: Mapping[str, object]) -> tuple[int, bytes]:
    return _ms(instant), json.dumps(event, separators=(",", ":")).encode() + b"\n"


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
