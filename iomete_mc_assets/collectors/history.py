"""What an Iceberg table's history says of an instant: pure functions over rows. Reading the rows is ``history_reading``.

An hour is half-open, so the state at its end is what was current *just before* that instant.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from iomete_mc_assets.records import Observation

FIRST_METADATA_FILE = re.compile(r"(?:^|/)(?:0+-[^/]*|v1\.[^/]*)$")
"""A metadata file's name begins with its version: ``00000-<uuid>`` from a metastore, ``v1.`` from a folder catalog."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One row of ``.history``: a snapshot became current.

    Attributes:
        parent_id: the snapshot's own parent; None for one without.
    """

    snapshot_id: int
    parent_id: int | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One row of ``.snapshots``.

    Attributes:
        total_records, total_bytes, position_deletes, equality_deletes: None where the summary has none.
        deleted_files: data files that the commit removed; 0 where the summary names none.
        figures_before: records, bytes, position deletes and equality deletes in all before the commit, by its
            own summary; None where that does not tell.
    """

    snapshot_id: int
    parent_id: int | None
    operation: str | None
    total_records: int | None = None
    total_bytes: int | None = None
    position_deletes: int | None = None
    equality_deletes: int | None = None
    deleted_files: int = 0
    figures_before: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One row of ``.metadata_log_entries``: a metadata file was written.

    Attributes:
        snapshot_id, sequence_number: of the snapshot current then *as far as the history still reaches*:
            after an expiry they are None also where the table had data.
    """

    at: datetime
    file: str
    snapshot_id: int | None
    sequence_number: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """How a table's recorded past begins, read for tables without a row before an hour's end.

    Attributes:
        first_row: the oldest row of ``.history``; None when there is none.
        first_operation: of its snapshot; None where an older snapshot exists, or no row.
        first_committed_at: when that snapshot was made; None like the operation. A rollback's row is later.
        log: oldest first; Iceberg keeps the last 100 entries by default.
        created_at: the metastore's word, which a re-registered table makes too young; None without.
    """

    first_row: HistoryRow | None
    first_operation: str | None = None
    first_committed_at: datetime | None = None
    log: Sequence[LogEntry]
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The rows of one table, in the server's order (neighbours may be out of order by a minute)."""

    rows: Sequence[HistoryRow]
    snapshots: Mapping[int, Snapshot] = field(default_factory=dict[int, Snapshot])


@dataclass(frozen=True, slots=True)
class Existed:
    """The table existed at the instant and had never been written."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """The table did not exist at the instant."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can tell any more."""

    reason: str


def place_at(history: History, instant: datetime) -> int | None:
    """The row that was current just before the instant; None without one. Spark's time travel picks the same."""
    places = [place for place, row in enumerate(history.rows) if row.at < instant]
    return places[-1] if places else None


def without_rows(beginning: Beginning, instant: datetime) -> Existed | NotYet | Unknown:
    """What a table was at an instant before which its history has no row."""
    first, log = beginning.first_row, beginning.log
    whole_log = bool(log) and FIRST_METADATA_FILE.search(log[0].file) is not None
    if whole_log and log[0].at >= instant:
        return NotYet()
    existed = bool(log) and log[0].at < instant
    never_written = first is None or _is_first_ever(first, beginning, whole_log=whole_log)
    if existed and never_written:
        return Existed()
    begins_here = first is None or first.parent_id is None
    if (
        not existed
        and begins_here
        and beginning.created_at is not None
        and beginning.created_at >= instant
    ):
        return NotYet()
    return Unknown("its history before the hour's end was expired")


def _is_first_ever(row: HistoryRow, beginning: Beginning, *, whole_log: bool) -> bool:
    """Whether the row is the commit of the table's first snapshot, so that nothing before it was expired.

    A rollback to the first snapshot is not: the rows between may be gone. A replaced table's snapshots have no parent either, so that alone is no proof. An append is none where it is
    right after the table's first metadata file; nor is one with sequence number 1, and any write with that number
    right after the first file: version 1 has no numbers, and a table upgraded from it begins with 1 again.
    """
    if row.parent_id is not None or row.at != beginning.first_committed_at:
        return False
    appended = beginning.first_operation == "append"
    numbered = any(
        one.snapshot_id == row.snapshot_id and one.sequence_number == 1 for one in beginning.log
    )
    right_after = whole_log and sum(one.at < row.at for one in beginning.log) == 1
    return sum((appended, numbered, right_after)) > 1


def last_data_change(
    history: History, place: int, *, earlier: Observation | None
) -> datetime | None:
    """When the data last changed at or before a row; None where that is not known.

    A row changed data unless nothing but ``replace`` commits lie between it and the row before it: a rollback
    to a ``replace`` changes data, a compaction does not. Where the rows reach the earlier observation's state, its
    instant holds; where they end at a ``replace``, it is carried over that.

    Args:
        history: the rows.
        place: the row of the state.
        earlier: the same table's newest earlier observation; None without one.
    """
    for here in range(place, 0, -1):
        row = history.rows[here]
        if (
            earlier is not None
            and earlier.last_data_change is not None
            and (earlier.snapshot_id, earlier.state_at) == (row.snapshot_id, row.at)
        ):
            return earlier.last_data_change
        changed = _changed(history, here)
        if changed is None:
            return None
        if changed:
            return row.at
    oldest = history.rows[0]
    snapshot = history.snapshots.get(oldest.snapshot_id)
    if snapshot is not None and snapshot.operation == "replace":
        return _carried(oldest, snapshot, earlier)
    return None if snapshot is None else oldest.at


def _changed(history: History, place: int) -> bool | None:
    """Whether a row that has one before it changed data; None where the snapshots between are gone.

    Several ``replace`` become one row by a fast-forward or in one transaction, so the parent alone does not tell.
    """
    before = history.rows[place - 1].snapshot_id
    here = history.rows[place].snapshot_id
    while True:
        snapshot = history.snapshots.get(here)
        if snapshot is None:
            return None
        if snapshot.operation != "replace" or snapshot.parent_id is None:
            return True
        if snapshot.parent_id == before:
            return False
        here = snapshot.parent_id


def _carried(
    oldest: HistoryRow, replaced: Snapshot, earlier: Observation | None
) -> datetime | None:
    """Over a ``replace`` whose predecessor is gone, if it began from what was observed earlier.

    IOMETE's compaction job rewrites manifests, then data, and keeps the last snapshot only, so its parent is
    mostly gone too. Which state it rewrote, its own summary tells: an update leaves the rows as they were, and
    not the bytes. Hidden commits that led away from a state and back to it nobody can see any more.
    """
    if earlier is None or earlier.state_at is None or earlier.state_at > oldest.at:
        return None
    same_snapshot = earlier.snapshot_id in {oldest.snapshot_id, oldest.parent_id}
    seen = (
        earlier.total_records,
        earlier.byte_count,
        earlier.position_deletes,
        earlier.equality_deletes,
    )
    same_figures = replaced.figures_before == seen
    return earlier.last_data_change if same_snapshot or same_figures else None


def exact_deletes(
    snapshots: Mapping[int, Snapshot], snapshot_id: int, *, earlier: Observation | None
) -> bool | None:
    """Whether ``total_records - position_deletes`` of a snapshot is its row count.

    It is, without deletes; and while every commit since position deletes were last 0 only added files: one
    that removes data files (a compaction, an overwrite) may leave position deletes behind that hit nothing.
    Equality deletes never tell how many rows they hit.

    Returns:
        None where the summaries, or the ancestors needed, are missing.
    """
    here: int | None = snapshot_id
    while here is not None:
        if (
            earlier is not None
            and here == earlier.snapshot_id
            and earlier.exact_deletes is not None
        ):
            return earlier.exact_deletes
        snapshot = snapshots.get(here)
        if snapshot is None or None in (snapshot.position_deletes, snapshot.equality_deletes):
            return None
        if snapshot.equality_deletes:
            return False
        if not snapshot.position_deletes:
            return True
        if snapshot.operation == "replace" or snapshot.deleted_files:
            return False
        here = snapshot.parent_id
    return None


def missing_ancestor(
    snapshots: Mapping[int, Snapshot], snapshot_id: int, *, earlier: Observation | None
) -> bool:
    """Whether reading more of ``.snapshots`` could decide ``exact_deletes``."""
    snapshot = snapshots.get(snapshot_id)
    return (
        snapshot is not None
        and bool(snapshot.position_deletes)
        and exact_deletes(snapshots, snapshot_id, earlier=earlier) is None
    )


def row_count(snapshot: Snapshot, *, exact: bool | None) -> int | None:
    """Rows in a snapshot; 0 is a measurement; None where it cannot be known."""
    if snapshot.total_records is None or snapshot.position_deletes is None or not exact:
        return None
    rows = snapshot.total_records - snapshot.position_deletes
    return rows if rows >= 0 else None
