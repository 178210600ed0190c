"""Counts the rows of single snapshots, where nobody can know them otherwise. Which ones, ``observations`` decides."""

from dataclasses import dataclass

from iomete_mc_assets.collectors.limits import Asker
from iomete_mc_assets.errors import StatementFailed, StatementTimedOut
from iomete_mc_assets.records import TableId
from iomete_mc_assets.warehouse import statements

MOST_TIME_OUTS = 3
"""After as many in one run nothing more is counted: each may take as long as a whole run is worth."""


@dataclass(frozen=True, slots=True)
class NotCounted:
    """Counting did not help, and why."""

    reason: str


class RowCounter:
    """Asks ``count(*)`` of snapshots, each once a run."""

    def __init__(self, asker: Asker, *, deadline_s: float) -> None:
        """Ask through ``asker``; each count is cancelled after ``deadline_s`` seconds."""
        self._asker = asker
        self._deadline_s = deadline_s
        self._time_outs = 0
        self._known: dict[tuple[TableId, int], int | NotCounted] = {}

    def rows(self, table: TableId, snapshot_id: int) -> int | NotCounted:
        """Rows of one snapshot.

        Raises:
            LakehouseError: the lakehouse itself cannot be asked any more.
        """
        snapshot = table, snapshot_id
        if snapshot not in self._known:
            self._known[snapshot] = self._count(table, snapshot_id)
        return self._known[snapshot]

    def _count(self, table: TableId, snapshot_id: int) -> int | NotCounted:
        if self._time_outs >= MOST_TIME_OUTS:
            return NotCounted(f"not asked after {MOST_TIME_OUTS} counts that took too long")
        try:
            [row] = self._asker.ask(
                statements.count_rows(table, snapshot_id), deadline_s=self._deadline_s
            )
        except StatementTimedOut as error:
            self._time_outs += 1
            return NotCounted(str(error))
        except StatementFailed as error:
            return NotCounted(str(error))
        return int(str(row["rows"]))
