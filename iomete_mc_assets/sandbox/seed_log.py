"""The seed's own log: what happened to which table when, and which statements ran, on disk as JSON lines.

It is written from the plan, never read from the lakehouse, so that the lakehouse can be checked against it.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.records import TableId
from iomete_mc_assets.sandbox import commands
from iomete_mc_assets.sandbox.shop import OperationKind, ShopTable
from iomete_mc_assets.sandbox.workload import Statement
from iomete_mc_assets.windows import HOUR, HourWindow

FILE = "seed.jsonl"
WINDOW = "window (format 1)"
"""The first line's key for the newest hour; another format has another key, and so is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One operation on one table.

    Attributes:
        at: when, as Iceberg now says it.
        rows: on main after it.
        changed_data: whether main's data changed.
        in_history: whether Iceberg's ``.history`` shows it, unless expired since.
    """

    table: TableId
    kind: OperationKind
    at: datetime
    rows: int
    changed_data: bool
    in_history: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedLog:
    """What the seed did.

    Attributes:
        window: the newest seeded hour.
        hours: how many hours were seeded, that one included.
        changes: by table, oldest first.
        statements: by start, oldest first.
    """

    window: HourWindow
    hours: int
    changes: tuple[Change, ...]
    statements: tuple[Statement, ...]

    @property
    def first(self) -> HourWindow:
        """The oldest seeded hour."""
        return HourWindow(self.window.start - HOUR * (self.hours - 1))

    @property
    def tables(self) -> tuple[TableId, ...]:
        """Every Iceberg table that ever was, sorted."""
        return tuple(sorted({change.table for change in self.changes}))

    def rows_as_of(self, table: TableId, instant: datetime) -> int | None:
        """Rows on main just before ``instant``; None when there was no such table."""
        before = self._before(table, instant)
        return before[-1].rows if before and before[-1].kind != "drop" else None

    def last_change_as_of(self, table: TableId, instant: datetime) -> datetime | None:
        """When its data last changed before ``instant``; None for no such table or one never written."""
        before = self._before(table, instant)
        if not before or before[-1].kind == "drop":
            return None
        return max((change.at for change in before if change.changed_data), default=None)

    def history_begins(self, table: TableId) -> datetime | None:
        """The oldest instant that Iceberg's history still tells of; None where nothing was expired."""
        mine = [change for change in self.changes if change.table == table]
        expired = max((change.at for change in mine if change.kind == "expire"), default=None)
        if expired is None:
            return None
        return max(change.at for change in mine if change.in_history and change.at < expired)

    def statements_ended_in(self, window: HourWindow) -> list[Statement]:
        """Those that ended in the hour, noise and our own included (see ``role``); running ones never."""
        return [
            one
            for one in self.statements
            if one.ended_at is not None and window.holds(one.ended_at)
        ]

    def _before(self, table: TableId, instant: datetime) -> list[Change]:
        return [change for change in self.changes if change.table == table and change.at < instant]


def log_of(
    window: HourWindow, hours: int, tables: Sequence[ShopTable], statements: Sequence[Statement]
) -> SeedLog:
    """The log of a plan."""
    changes = tuple(
        Change(
            table=table.table,
            kind=operation.kind,
            at=operation.at,
            rows=operation.rows,
            changed_data=operation.changed_data,
            in_history=operation.in_history,
        )
        for table in tables
        for operation in table.operations
    )
    return SeedLog(window=window, hours=hours, changes=changes, statements=tuple(statements))


def write(log: SeedLog, state: Path) -> None:
    """Put the log into a state folder, whole or not at all: it marks the seed as complete."""
    lines: list[dict[str, Any]] = [{WINDOW: log.window.key, "hours": log.hours}]
    lines += [{"change": asdict(change)} for change in log.changes]
    lines += [{"statement": asdict(one)} for one in log.statements]
    whole = state / f"{FILE}.new"
    with whole.open("w") as file:
        file.writelines(json.dumps(line, default=_instant) + "\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    whole.replace(state / FILE)


def read(state: Path) -> SeedLog | None:
    """The log of a state folder; None when it was never seeded to the end.

    Raises:
        SandboxError: the file is damaged or made by another version.
    """
    try:
        head, *lines = (state / FILE).read_text().splitlines()
    except FileNotFoundError:
        return None
    try:
        about = json.loads(head)
        records = [json.loads(line) for line in lines]
        return SeedLog(
            window=HourWindow.from_key(about[WINDOW]),
            hours=about["hours"],
            changes=tuple(_change(one["change"]) for one in records if "change" in one),
            statements=tuple(_statement(one["statement"]) for one in records if "statement" in one),
        )
    except (ValueError, KeyError, TypeError) as error:
        again = commands.of_state("sandbox start --fresh", state=state)
        msg = f"{state / FILE} cannot be read ({error}). Seed afresh: `{again}`."
        raise SandboxError(msg) from error


def _instant(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    msg = f"{value!r} is no instant"
    raise TypeError(msg)


def _change(fields: dict[str, Any]) -> Change:
    table = fields["table"]
    fields["table"] = TableId(table["catalog"], tuple(table["namespace"]), table["table"])
    fields["at"] = datetime.fromisoformat(fields["at"])
    return Change(**fields)


def _statement(fields: dict[str, Any]) -> Statement:
    fields["started_at"] = datetime.fromisoformat(fields["started_at"])
    if fields["ended_at"] is not None:
        fields["ended_at"] = datetime.fromisoformat(fields["ended_at"])
    return Statement(**fields)
