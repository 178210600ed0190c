"""What an Iceberg table's history says of an instant: pure functions over rows. Reading the rows is ``history_reading``.

An hour is half-open, so the state at its end is what was current *just before* that instant.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from iomete_mc_assets.records import Observation

REPLACED_AND_EXPIRED = 2
"""Files without a commit that it takes for a table with data to have no history."""
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
        committed_at: when it was made; the row that makes it current later (a rollback, a branch) is younger.
        engine: who wrote it, e.g. ``spark``; None where the summary does not say.
    """

    snapshot_id: int
    parent_id: int | None
    operation: str | None
    committed_at: datetime | None = None
    engine: str | None = None
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
        has_data: whether the file itself names a current snapshot; None where it was not read.
    """

    at: datetime
    file: str
    snapshot_id: int | None
    sequence_number: int | None
    has_data: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataLog:
    """A table's metadata files, read for tables whose rows do not tell an hour.

    Attributes:
        entries: oldest first; Iceberg keeps the last 100 by default.
        snapshots: those made since the first entry, oldest first, on whatever branch.
        first_row: the oldest row of ``.history``; None when there is none.
        main: the snapshot that is current; None where there is none.
        created_at: the metastore's word, which a re-registered table makes too young; None without.
        unreadable: why some of the files could not be read themselves; None where that is not known.
    """

    entries: Sequence[LogEntry]
    snapshots: Sequence[Snapshot] = ()
    first_row: HistoryRow | None
    main: int | None = None
    created_at: datetime | None = None
    unreadable: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it reaches back to the table's first file."""
        return bool(self.entries) and is_first_metadata_file(self.entries[0].file)

    def without_commit(self) -> list[datetime]:
        """When files were written that no known snapshot came with, the first file aside.

        An ALTER, an expiry, a commit that was expired since, or a replacement by an empty table.
        """
        commits = {snapshot.committed_at for snapshot in self.snapshots}
        later = self.entries[1:] if self.is_whole else self.entries
        return [entry.at for entry in later if entry.at not in commits]

    def newest_before(self, instant: datetime) -> LogEntry | None:
        """The file that was the table's metadata just before an instant; None where it is not known."""
        return next((entry for entry in reversed(self.entries) if entry.at < instant), None)

    def having(self, data: Mapping[str, bool], *, unreadable: str | None) -> "MetadataLog":
        """The same with what some of its files were read to say."""
        entries = [replace(one, has_data=data.get(one.file, one.has_data)) for one in self.entries]
        return replace(self, entries=entries, unreadable=unreadable)

    def unknown(self, reason: str) -> "Unknown":
        """The answer of a table that neither rows nor files tell of."""
        why = f"; its metadata file of that time: {self.unreadable}" if self.unreadable else ""
        return Unknown(f"{reason}{why}")


def is_first_metadata_file(location: str) -> bool:
    """Whether nothing was done to its table but to create it."""
    return FIRST_METADATA_FILE.search(location) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What an earlier hour saw: up to its end this row held."""

    snapshot_id: int
    at: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Between two rows the table was, or may have been, without data.

    CREATE OR REPLACE TABLE without a query leaves no row, only a metadata file like that of any ALTER.

    Attributes:
        since: up to here the row before holds.
        empty_from: from here on it was empty for certain; None where even that it ever was is not.
    """

    since: datetime
    empty_from: datetime | None

    @property
    def emptied_at(self) -> datetime | None:
        """The instant of the replacement, where it is known."""
        return self.empty_from if self.empty_from == self.since else None

    def leaves_open(self, instant: datetime) -> bool:
        """Whether the table may have had data at an instant, or none."""
        return self.since < instant and (self.empty_from is None or instant <= self.empty_from)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The rows of one table, in the server's order (neighbours may be out of order by a minute).

    Attributes:
        gaps: by the place of the row before; known after ``with_gaps``.
    """

    rows: Sequence[HistoryRow]
    snapshots: Mapping[int, Snapshot] = field(default_factory=dict[int, Snapshot])
    gaps: Mapping[int, Gap] = field(default_factory=dict[int, Gap])


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


def in_doubt(history: History, instants: Iterable[datetime], *, current: int | None) -> bool:
    """Whether only the metadata files tell if the table had been replaced by an empty one.

    A row's successor made from it shows that nothing lay between, and so does a table that still shows the
    newest row's snapshot.

    Args:
        history: its rows, with the one that follows the last instant.
        instants: those of interest.
        current: the snapshot that a listing after the instants showed; None where it showed none.
    """
    places = {place_at(history, instant) for instant in instants} - {None}
    newest = len(history.rows) - 1
    for place in places:
        shown = place == newest and current == history.rows[newest].snapshot_id
        if place is not None and not shown and not _continues(history, place):
            return True
    read = history.rows[1 : max((place for place in places if place is not None), default=0) + 1]
    return any(_only_made_current(history, row) for row in read)


def files_in_doubt(history: History, log: MetadataLog, instants: Iterable[datetime]) -> list[str]:
    """Metadata files that alone tell what the table was at instants, and whether a rewrite changed data."""
    doubted = [instant for instant in instants if _in_the_dark(history, log, instant)]
    for place, gap in history.gaps.items():
        following = history.rows[place + 1 : place + 2]
        doubted += [
            row.at
            for row in following
            if gap.empty_from is None and _only_made_current(history, row)
        ]
    newest = [log.newest_before(instant) for instant in doubted]
    return sorted({entry.file for entry in newest if entry is not None})


def _in_the_dark(history: History, log: MetadataLog, instant: datetime) -> bool:
    """Whether neither rows nor the times of files tell of an instant, and a file may.

    Before a row whose parent was expired the table had data: an expired history is not read file by file.
    """
    place = place_at(history, instant)
    if place is None:
        parent = None if log.first_row is None else log.first_row.parent_id
        begins = parent is None or any(one.snapshot_id == parent for one in log.snapshots)
        return begins and isinstance(without_rows(log, instant), Unknown)
    gap = history.gaps.get(place)
    return gap is not None and gap.leaves_open(instant)


def _continues(history: History, place: int) -> bool:
    """Whether the next row is a commit onto this one."""
    if place + 1 == len(history.rows):
        return False
    following = history.rows[place + 1]
    snapshot = history.snapshots.get(following.snapshot_id)
    return (
        snapshot is not None
        and snapshot.parent_id == history.rows[place].snapshot_id
        and snapshot.committed_at == following.at
    )


def _only_made_current(history: History, row: HistoryRow) -> bool:
    """Whether a row is a rewrite made elsewhere: whether it changed data depends on what it replaced."""
    snapshot = history.snapshots.get(row.snapshot_id)
    return (
        snapshot is not None and snapshot.operation == "replace" and snapshot.committed_at != row.at
    )


def with_gaps(history: History, log: MetadataLog, *, seen: Seen | None) -> History:
    """The history, with what the metadata files say lay between its rows and after them."""
    found = {place: _gap_after(history, place, log, seen) for place in range(len(history.rows))}
    return replace(history, gaps={place: gap for place, gap in found.items() if gap is not None})


def _gap_after(history: History, place: int, log: MetadataLog, seen: Seen | None) -> Gap | None:
    """Each file without a commit may be the replacement, so one alone tells when it was.

    A file that was read and names a snapshot shows that none before it was: no row, no way back.
    """
    row = history.rows[place]
    holds = row.at
    if seen is not None and (seen.snapshot_id, seen.at) == (row.snapshot_id, row.at):
        holds = seen.until
    following = history.rows[place + 1] if place + 1 < len(history.rows) else None
    if _continues(history, place) or (following is None and log.main == row.snapshot_id):
        return None
    made_current = {one.at for one in history.rows}
    since_row = [
        at
        for at in log.without_commit()
        if row.at < at and (following is None or at < following.at) and at not in made_current
    ]
    until = None if following is None else following.at
    between = [one for one in log.entries if row.at < one.at and (until is None or one.at < until)]
    holds = max([holds, *(one.at for one in between if one.has_data)])
    empty = [one.at for one in between if one.has_data is False]
    innocent = _innocent(history, row, log, since_row, until=until)
    files = [at for at in since_row if holds < at and at not in innocent]
    reaches = bool(log.entries) and log.entries[0].at <= holds
    if empty:
        return Gap(since=min([*files, *empty]) if reaches else holds, empty_from=empty[0])
    if reaches and not files:
        return None
    emptied = bool(files) and _was_emptied(history, row, following, log)
    return Gap(since=files[0] if reaches else holds, empty_from=max(files) if emptied else None)


def _innocent(
    history: History,
    row: HistoryRow,
    log: MetadataLog,
    files: Sequence[datetime],
    *,
    until: datetime | None,
) -> set[datetime]:
    """Files that are no replacement, because a branch or a staged write began at the row after them.

    It began at main, which was still there, or at a branch, whose making is the one file before it. What was
    made after the next row (``until``) may have begun at that one.
    """
    known = {**{one.snapshot_id: one for one in log.snapshots}, **history.snapshots}
    own = known.get(row.snapshot_id)
    if own is None or own.committed_at != row.at or not log.entries or log.entries[0].at > row.at:
        return set()
    begun = [
        one.committed_at
        for one in known.values()
        if one.parent_id == row.snapshot_id
        and one.committed_at is not None
        and (until is None or one.committed_at < until)
    ]
    before = [[at for at in files if at < instant] for instant in begun]
    return {found[0] for found in before if len(found) == 1}


def _was_emptied(
    history: History, row: HistoryRow, following: HistoryRow | None, log: MetadataLog
) -> bool:
    """Whether the table was empty before the following row, or is now.

    It was where the same snapshot became current once more, and where Spark appended to nothing: its CREATE OR
    REPLACE TABLE AS is an overwrite.
    """
    if following is None:
        return log.main is None
    snapshot = history.snapshots.get(following.snapshot_id)
    appended = snapshot is not None and _appended_to_nothing(snapshot, following)
    return appended or following.snapshot_id == row.snapshot_id


def _appended_to_nothing(snapshot: Snapshot, row: HistoryRow) -> bool:
    """Whether a row is Spark's append to a table without data; another engine's may replace the data as well."""
    what = (snapshot.parent_id, snapshot.operation, snapshot.engine)
    return what == (None, "append", "spark") and snapshot.committed_at == row.at


def without_rows(log: MetadataLog, instant: datetime) -> Existed | NotYet | Unknown:
    """What a table was at an instant before which its history has no row."""
    if log.is_whole and log.entries[0].at >= instant:
        return NotYet()
    newest = log.newest_before(instant)
    if newest is not None:
        has_data = newest.has_data
        if not (has_data or (has_data is None and not _never_written(log, instant))):
            return Existed()
    if newest is None and _created_after(log, instant):
        return NotYet()
    return log.unknown(
        "its history before the hour's end was expired, or does not show what it began with"
    )


def _created_after(log: MetadataLog, instant: datetime) -> bool:
    """Whether the metastore may be believed that there was no table yet.

    A table that was registered again is younger there than its history; what replaced a table has no parent
    either, so the row must be the first commit of all where sequence numbers tell.
    """
    created_at, first = log.created_at, log.first_row
    if created_at is None or created_at < instant:
        return False
    if first is None:
        return True
    numbers = [one.sequence_number for one in log.entries if one.snapshot_id == first.snapshot_id]
    is_later = any(number is not None and number > 1 for number in numbers)
    return first.parent_id is None and created_at <= first.at and not is_later


def _never_written(log: MetadataLog, instant: datetime) -> bool:
    """Whether main had no data at an instant after the log's first entry and before the first row.

    Data it had would have been taken away since: by a replacement, which writes a file without a commit, and an
    expiry, which may be younger than the first row. Sequence numbers show that nothing was expired: the
    first row's is the number of snapshots up to it. Tables upgraded from version 1 begin with 1 again, so there
    also no file without a commit may stand before the instant.
    """
    first, files = log.first_row, log.without_commit()
    if first is None:
        return sum(at >= instant for at in files) < REPLACED_AND_EXPIRED
    made = next((one for one in log.snapshots if one.snapshot_id == first.snapshot_id), None)
    if made is None or made.committed_at is None:
        return False
    before = sum(at < instant for at in files)
    since = sum(instant <= at < first.at for at in files)
    appended = _appended_to_nothing(made, first)
    if appended and not since:
        return True
    up_to_it = [
        one for one in log.snapshots if one.committed_at and one.committed_at <= made.committed_at
    ]
    numbers = {one.sequence_number for one in log.entries if one.snapshot_id == first.snapshot_id}
    all_known = log.is_whole and numbers == {len(up_to_it)}
    return all_known and not before and (appended or not since)


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
    gap = history.gaps.get(place - 1)
    if gap is not None and gap.empty_from is not None:
        return True
    while True:
        snapshot = history.snapshots.get(here)
        if snapshot is None:
            return None
        if snapshot.operation != "replace" or snapshot.parent_id is None:
            return True
        if snapshot.parent_id == before:
            return None if gap is not None else False
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
