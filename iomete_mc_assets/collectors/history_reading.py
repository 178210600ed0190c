"""Reads the histories of many tables in few statements; a table that fails takes no other along.

What the rows mean stands in ``history``.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar, cast

from iomete_mc_assets.collectors.history import (
    History,
    HistoryRow,
    LogEntry,
    MetadataLog,
    Snapshot,
)
from iomete_mc_assets.collectors.limits import Asker
from iomete_mc_assets.errors import StatementFailed, StatementTimedOut
from iomete_mc_assets.records import TableId
from iomete_mc_assets.warehouse import statements
from iomete_mc_assets.warehouse.rows import Row
from iomete_mc_assets.warehouse.statements import HistoryRead

NOT_FOUND = frozenset({"42P01", "42K05"})
"""SQL states of a missing table; the second also of one that is not Iceberg: SHOW TABLES tells which."""
FILE_NOT_FOUND = "42K03"
"""SQL state of a path without a file."""
NO_SNAPSHOT = -1
"""Iceberg's id of none, in metadata files; newer versions of the format leave it out."""
PATTERN = re.compile(r"[{}\[\]*?\\]")
"""What makes a path a pattern to Spark."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The table was asked and did not answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The table was dropped after the catalog was listed."""


Item = TypeVar("Item")
Summary = Mapping[str, str]
"""What Iceberg wrote beside a snapshot; its numbers are text."""
Statement = Callable[[Sequence[Item]], str]
Answers = Mapping[int, Sequence[Row] | StatementFailed | StatementTimedOut]


class HistoryReader:
    """Asks for histories, a batch of tables a statement."""

    def __init__(self, asker: Asker, *, batch_tables: int) -> None:
        """Ask through ``asker``, ``batch_tables`` (>= 1) tables a statement."""
        self._asker = asker
        self._batch_tables = batch_tables

    def histories(self, reads: Sequence[HistoryRead]) -> dict[TableId, History | Failed | Gone]:
        """The rows of each table, in the bounds of its read.

        Raises:
            LakehouseError: the lakehouse itself cannot be asked any more.
        """
        answers = self._ask(reads, statements.history_and_snapshots)
        found = {
            read.table: self._judged(read.table, answers[place], _history)
            for place, read in enumerate(reads)
        }
        return {**found, **self._with_named_snapshots(found)}

    def logs(self, tables: Sequence[TableId]) -> dict[TableId, MetadataLog | Failed | Gone]:
        """The metadata files of each table.

        Raises:
            LakehouseError: the lakehouse itself cannot be asked any more.
        """
        answers = self._ask(tables, statements.metadata_logs)
        return {
            table: self._judged(table, answers[place], _log) for place, table in enumerate(tables)
        }

    def have_data(self, files: Sequence[str]) -> dict[str, bool | Failed]:
        """Whether each metadata file names a current snapshot.

        Who may read tables may often read no paths: one file is tried first, and what refuses it refuses all.

        Raises:
            LakehouseError: the lakehouse itself cannot be asked any more.
        """
        pattern = Failed("Spark takes its path for a pattern")
        found: dict[str, bool | Failed] = dict.fromkeys(files, pattern)
        paths = [file for file in files if not PATTERN.search(file)]
        first = self._ask(paths[:1], statements.current_snapshots)
        if any(_is_refusal(answer) for answer in first.values()):
            refused = Failed(f"not asked for, as {paths[0]} was refused: {first[0]}")
            return found | dict.fromkeys(paths, refused) | {paths[0]: _has_data(first[0])}
        rest = self._ask(paths[1:], statements.current_snapshots)
        answers = [*first.values(), *(rest[place] for place in sorted(rest))]
        return found | dict(zip(paths, map(_has_data, answers), strict=True))

    def with_older_snapshots(
        self, histories: Mapping[TableId, History], bounds: Mapping[TableId, datetime]
    ) -> dict[TableId, History | Failed | Gone]:
        """Histories with all snapshots from before the bounds of their reads.

        Raises:
            LakehouseError: the lakehouse itself cannot be asked any more.
        """
        asked = [(table, bounds[table]) for table in histories]
        return self._joined(histories, self._ask(asked, statements.older_snapshots))

    def _with_named_snapshots(
        self, found: Mapping[TableId, History | Failed | Gone]
    ) -> dict[TableId, History | Failed | Gone]:
        """Histories with the snapshots that their rows name and that were committed before the bounds."""
        lacking = {
            table: history
            for table, history in found.items()
            if isinstance(history, History) and _unread(history)
        }
        asked = [(table, _unread(history)) for table, history in lacking.items()]
        return self._joined(lacking, self._ask(asked, statements.named_snapshots))

    def _joined(
        self, histories: Mapping[TableId, History], answers: Answers
    ) -> dict[TableId, History | Failed | Gone]:
        """Each history with the snapshots of the answer in its place."""
        completed: dict[TableId, History | Failed | Gone] = {}
        for place, (table, history) in enumerate(histories.items()):
            older = self._judged(table, answers[place], _history)
            if isinstance(older, History):
                older = replace(history, snapshots={**history.snapshots, **older.snapshots})
            completed[table] = older
        return completed

    def _ask(self, items: Sequence[Item], statement: Statement[Item]) -> Answers:
        """Each item's rows by its place, or its error; a batch that fails is split until the item stands alone.

        In halves where it failed at once, one by one where its deadline passed: there each further batch with
        the item in it would cost a whole deadline again.
        """
        answers: dict[int, Sequence[Row] | StatementFailed | StatementTimedOut] = {}
        waiting = _cut(range(len(items)), self._batch_tables)
        while waiting:
            places = waiting.pop(0)
            batch = [items[place] for place in places]
            try:
                rows = self._asker.ask(statement(batch))
            except (StatementFailed, StatementTimedOut) as error:
                if len(batch) == 1:
                    answers[places[0]] = error
                else:
                    size = len(batch) // 2 if isinstance(error, StatementFailed) else 1
                    waiting = [*_cut(places, size), *waiting]
                continue
            for number, place in enumerate(places):
                answers[place] = [row for row in rows if row["n"] == number]
        return answers

    def _judged(
        self,
        table: TableId,
        answer: Sequence[Row] | StatementFailed | StatementTimedOut,
        read: Callable[[Sequence[Row]], Item],
    ) -> Item | Failed | Gone:
        if isinstance(answer, StatementTimedOut):
            return Failed(str(answer))
        if isinstance(answer, StatementFailed):
            missing = answer.sql_state in NOT_FOUND and not self._is_listed(table)
            return Gone() if missing else Failed(str(answer))
        return read(answer)

    def _is_listed(self, table: TableId) -> bool:
        try:
            rows = self._asker.ask(statements.show_tables(table.catalog, table.namespace))
        except (StatementFailed, StatementTimedOut):
            return True
        return any(row["tableName"] == table.table and not row["isTemporary"] for row in rows)


def _cut(places: range, size: int) -> list[range]:
    return [places[start : start + size] for start in range(0, len(places), size)]


def _unread(history: History) -> set[int]:
    return {row.snapshot_id for row in history.rows} - set(history.snapshots)


def _history(rows: Sequence[Row]) -> History:
    return History(
        rows=[_history_row(row) for row in rows if row["kind"] == "h"],
        snapshots={
            snapshot.snapshot_id: snapshot
            for snapshot in (_snapshot(row) for row in rows if row["kind"] == "s")
        },
    )


def _log(rows: Sequence[Row]) -> MetadataLog:
    entries = [
        LogEntry(
            at=_instant(row),
            file=str(row["file"]),
            snapshot_id=_number(row["snapshot_id"]),
            sequence_number=_number(row["sequence_number"]),
        )
        for row in rows
        if row["kind"] == "m"
    ]
    snapshots = [_snapshot(row) for row in rows if row["kind"] == "s"]
    return MetadataLog(
        entries=entries,
        snapshots=snapshots,
        first_row=next((_history_row(row) for row in rows if row["kind"] == "h"), None),
        main=next((_number(row["snapshot_id"]) for row in rows if row["kind"] == "r"), None),
    )


def _has_data(answer: Sequence[Row] | StatementFailed | StatementTimedOut) -> bool | Failed:
    if isinstance(answer, StatementFailed | StatementTimedOut):
        return Failed(str(answer))
    [row] = answer
    if row["format"] is None:
        return Failed("it is no JSON; Spark does not unpack a compressed one")
    return row["snapshot_id"] is not None and _number(row["snapshot_id"]) != NO_SNAPSHOT


def _is_refusal(answer: Sequence[Row] | StatementFailed | StatementTimedOut) -> bool:
    """Whether other files will fare no better."""
    if isinstance(answer, StatementFailed):
        return answer.sql_state != FILE_NOT_FOUND
    return isinstance(answer, StatementTimedOut)


def _history_row(row: Row) -> HistoryRow:
    return HistoryRow(
        snapshot_id=cast("int", row["snapshot_id"]),
        parent_id=_number(row["parent_id"]),
        at=_instant(row),
    )


def _snapshot(row: Row) -> Snapshot:
    operation, summary = row["operation"], _summary(row)
    return Snapshot(
        snapshot_id=cast("int", row["snapshot_id"]),
        parent_id=_number(row["parent_id"]),
        operation=None if operation is None else str(operation),
        total_records=_number(summary.get("total-records")),
        total_bytes=_number(summary.get("total-files-size")),
        position_deletes=_number(summary.get("total-position-deletes")),
        equality_deletes=_number(summary.get("total-equality-deletes")),
        deleted_files=_number(summary.get("deleted-data-files")) or 0,
        figures_before=_figures_before(summary),
        committed_at=_instant(row),
        engine=summary.get("engine-name", "spark" if "spark.app.id" in summary else None),
    )


def _summary(row: Row) -> Summary:
    """A commit's summary; empty where it has none, as Iceberg's oldest snapshots."""
    text = row["summary"]
    return {} if text is None else cast("Summary", json.loads(str(text)))


def _figures_before(summary: Summary) -> tuple[int, int, int, int] | None:
    """What a commit's totals were before it; a summary leaves out what it did not add or remove."""

    def before(total: str, added: str, removed: str) -> int | None:
        now = _number(summary.get(total))
        if now is None:
            return None
        return now - (_number(summary.get(added)) or 0) + (_number(summary.get(removed)) or 0)

    records = before("total-records", "added-records", "deleted-records")
    size = before("total-files-size", "added-files-size", "removed-files-size")
    position = before(
        "total-position-deletes", "added-position-deletes", "removed-position-deletes"
    )
    equality = before(
        "total-equality-deletes", "added-equality-deletes", "removed-equality-deletes"
    )
    if records is None or size is None or position is None or equality is None:
        return None
    return records, size, position, equality


def _number(value: object) -> int | None:
    return None if value is None else int(str(value))


def _instant(row: Row) -> datetime:
    return datetime.fromtimestamp(cast("int", row["at_ms"]) / 1000, UTC)
