"""The words of the seeded shop: a table, what happened to it and when, and a builder that counts its rows.

Which tables there are stands in ``shop_tables``, who queried them in ``workload``; nothing here runs SQL.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from iomete_mc_assets.records import TableId

OperationKind = Literal[
    "create",
    "append",
    "overwrite",
    "merge",
    "delete",
    "truncate",
    "replace_table",
    "compaction",
    "rollback",
    "branch",
    "branch_write",
    "fast_forward",
    "expire",
    "drop",
]

MAIN_UNTOUCHED: frozenset[OperationKind] = frozenset({"create", "branch", "branch_write", "expire"})
"""They add no row to Iceberg's ``.history``."""
NO_SNAPSHOT: frozenset[OperationKind] = frozenset(
    {"create", "branch", "rollback", "fast_forward", "expire"}
)
DATA_UNTOUCHED: frozenset[OperationKind] = MAIN_UNTOUCHED.union(("compaction", "drop"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One commit to a table.

    Attributes:
        at: the instant it is back-dated to, in whole milliseconds.
        statement: what the seed runs; ``<table>``, ``<catalog>``, ``<name>`` and ``<snapshot n>`` stand for the
            quoted working name, its catalog, its name as an argument of CALL, and the id of the n-th
            snapshot (from 0).
        rows: on main, after it.
        logged: what the query history shows for it, in the table's final name.
    """

    at: datetime
    kind: OperationKind
    statement: str
    rows: int
    logged: str

    @property
    def changed_data(self) -> bool:
        """Whether main's data changed."""
        return self.kind not in DATA_UNTOUCHED

    @property
    def in_history(self) -> bool:
        """Whether Iceberg's ``.history`` shows it."""
        return self.kind not in MAIN_UNTOUCHED

    @property
    def makes_snapshot(self) -> bool:
        """Whether Iceberg's ``.snapshots`` shows it."""
        return self.kind not in NO_SNAPSHOT


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopTable:
    """An Iceberg table and everything that ever happened to it, oldest first.

    Attributes:
        user: who loads it.
        dropped_at: None for a table that is still there.
    """

    table: TableId
    user: str
    operations: tuple[Operation, ...]
    dropped_at: datetime | None = None


class History:
    """Collects a table's operations and counts its rows, so that no query has to be believed.

    Rows are made from ``range``: each has an id of its own, counted from 0 in the order of the loads.
    """

    def __init__(
        self,
        table: TableId,
        *,
        columns: Sequence[tuple[str, str, str]],
        load: str,
        user: str,
        created: datetime,
        clauses: str = "",
    ) -> None:
        """A table that is created empty.

        Args:
            table: its final name.
            columns: name, type with what may follow it, and an expression over ``id`` for its values. The
                first is the key, its expression ``id``.
            load: the statement that people see in the query history where rows arrive.
            user: who loads it.
            created: when.
            clauses: whatever follows the columns: COMMENT, PARTITIONED BY, TBLPROPERTIES.
        """
        self.table = table
        self._key = f"`{columns[0][0]}`"
        self._values = ", ".join(f"{value} AS `{name}`" for name, _, value in columns)
        self._load = load
        self._user = user
        self._first = 0
        self._next = 0
        self._rows = 0
        self._snapshots: list[Operation] = []
        self._branch_rows = 0
        self._operations: list[Operation] = []
        self._dropped_at: datetime | None = None
        listed = ", ".join(f"`{name}` {kind}" for name, kind, _ in columns)
        text = f"CREATE TABLE <table> ({listed}) USING iceberg {clauses}"
        self._note(created, "create", text.strip())

    def append(self, at: datetime, count: int) -> None:
        """``count`` new rows."""
        self._rows += count
        self._note(at, "append", f"INSERT INTO <table> {self._fresh(count)}", self._load)

    def overwrite(self, at: datetime, count: int) -> None:
        """All rows replaced by ``count`` new ones."""
        self._rows = count
        self._first = self._next
        self._note(at, "overwrite", f"INSERT OVERWRITE <table> {self._fresh(count)}", self._load)

    def replace(self, at: datetime, count: int) -> None:
        """The table replaced, history kept, by ``count`` new rows."""
        self._rows = count
        self._first = self._next
        text = f"CREATE OR REPLACE TABLE <table> USING iceberg AS {self._fresh(count)}"
        self._note(at, "replace_table", text, self._load)

    def merge(self, at: datetime, *, updated: int, inserted: int) -> None:
        """The newest ``updated`` rows changed and ``inserted`` new ones."""
        self._rows += inserted
        self._next -= updated
        source = self._fresh(updated + inserted)
        text = (
            f"MERGE INTO <table> t USING ({source}) s ON t.{self._key} = s.{self._key} "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        )
        self._note(at, "merge", text, self._load)

    def delete(self, at: datetime, count: int) -> None:
        """The oldest ``count`` rows deleted."""
        self._rows -= count
        self._first += count
        self._note(at, "delete", f"DELETE FROM <table> WHERE {self._key} < {self._first}")

    def truncate(self, at: datetime) -> None:
        """All rows deleted."""
        self._rows = 0
        self._first = self._next
        self._note(at, "truncate", "TRUNCATE TABLE <table>")

    def compact(self, at: datetime) -> None:
        """The same rows in fewer files: a ``replace``, which is no change of data."""
        options = "map('rewrite-all', 'true')"
        text = f"CALL <catalog>.system.rewrite_data_files(table => '<name>', options => {options})"
        self._note(at, "compaction", text)

    def roll_back(self, at: datetime, *, to: int) -> None:
        """Main set back to the ``to``-th snapshot (from 0)."""
        wanted = self._snapshots[to]
        self._rows = wanted.rows
        text = f"CALL <catalog>.system.rollback_to_snapshot('<name>', <snapshot {to}>)"
        logged = (
            f"CALL {self.table.catalog}.system.rollback_to_timestamp('{written(self.table)}', "
            f"TIMESTAMP '{wanted.at + timedelta(seconds=1):%Y-%m-%d %H:%M:%S}')"
        )
        self._note(at, "rollback", text, logged)

    def branch(self, at: datetime) -> None:
        """A branch ``audit`` from main's head."""
        self._branch_rows = self._rows
        self._note(at, "branch", "ALTER TABLE <table> CREATE BRANCH audit")

    def write_to_branch(self, at: datetime, count: int) -> None:
        """``count`` rows that main does not see."""
        self._branch_rows += count
        self._note(at, "branch_write", f"INSERT INTO <table>.branch_audit {self._fresh(count)}")

    def fast_forward(self, at: datetime) -> None:
        """Main set to the branch's head."""
        self._rows = self._branch_rows
        text = "CALL <catalog>.system.fast_forward('<name>', 'main', 'audit')"
        self._note(at, "fast_forward", text)

    def expire(self, at: datetime) -> None:
        """All snapshots but the current one forgotten."""
        text = (
            "CALL <catalog>.system.expire_snapshots("
            "table => '<name>', older_than => TIMESTAMP '2999-01-01', retain_last => 1)"
        )
        self._note(at, "expire", text)

    def drop(self, at: datetime) -> None:
        """The table dropped for good."""
        self._dropped_at = at
        self._note(at, "drop", "DROP TABLE <table>")

    def done(self) -> ShopTable:
        """The table with all that happened."""
        return ShopTable(
            table=self.table,
            user=self._user,
            operations=tuple(self._operations),
            dropped_at=self._dropped_at,
        )

    def _fresh(self, count: int) -> str:
        first, self._next = self._next, self._next + count
        return f"SELECT {self._values} FROM range({first}, {self._next}, 1, 1)"

    def _note(self, at: datetime, kind: OperationKind, statement: str, logged: str = "") -> None:
        if self._operations and at <= self._operations[-1].at:
            msg = f"{self.table.shown}: {kind} at {at} does not come after what was before it"
            raise ValueError(msg)
        final = written(self.table)
        plain = statement.replace("<table>", final).replace("<name>", final)
        plain = plain.replace("<catalog>", self.table.catalog)
        operation = Operation(
            at=at, kind=kind, statement=statement, rows=self._rows, logged=logged or plain
        )
        self._operations.append(operation)
        if operation.makes_snapshot:
            self._snapshots.append(operation)


def written(table: TableId) -> str:
    """The name as people write it in SQL: quotes where needed, the session catalog left out."""
    parts = (*table.namespace, table.table)
    if table.catalog != "spark_catalog":
        parts = (table.catalog, *parts)
    return ".".join(part if re.fullmatch(r"\w+", part) else f"`{part}`" for part in parts)
