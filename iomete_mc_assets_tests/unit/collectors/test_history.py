from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.collectors.history import (
    Existed,
    Gap,
    History,
    HistoryRow,
    LogEntry,
    MetadataLog,
    NotYet,
    Seen,
    Snapshot,
    Unknown,
    exact_deletes,
    in_doubt,
    last_data_change,
    place_at,
    row_count,
    with_gaps,
    without_rows,
)
from iomete_mc_assets.records import Observation, TableId
from iomete_mc_assets_tests.strategies import START, ModelTable, histories

TABLE = TableId("spark_catalog", ("db",), "t")
instants = st.integers(0, 40).map(lambda hours: START + timedelta(hours=hours))


def minutes(number: float) -> datetime:
    return START + timedelta(minutes=number)


def observed(model: ModelTable, instant: datetime) -> Observation | None:
    truth = model.truth(instant)
    if truth is None:
        return None
    return Observation(
        table=TABLE,
        snapshot_id=truth.snapshot_id,
        state_at=truth.at,
        total_records=truth.data,
        byte_count=truth.data,
        position_deletes=0,
        equality_deletes=0,
        last_data_change=truth.changed_at,
    )


@given(histories(expiring=False), instants)
def test_state_and_last_change_are_the_truth_while_nothing_is_expired(
    model: ModelTable, instant: datetime
) -> None:
    history, truth = model.history(), model.truth(instant)
    place = place_at(history, instant)
    if truth is None or place is None:
        assert (truth, place) == (None, None)
        return
    assert (history.rows[place].snapshot_id, history.rows[place].at) == (
        truth.snapshot_id,
        truth.at,
    )
    assert last_data_change(history, place, earlier=None) == truth.changed_at


@given(histories(expiring=True), instants)
def test_after_an_expiry_the_answer_is_the_truth_or_nothing(
    model: ModelTable, instant: datetime
) -> None:
    history, truth = model.history(), model.truth(instant)
    place = place_at(history, instant)
    if place is None:
        return
    assert truth is not None
    assert history.rows[place].snapshot_id == truth.snapshot_id
    assert last_data_change(history, place, earlier=None) in {truth.changed_at, None}


@given(histories(expiring=True), instants, st.integers(1, 5))
def test_an_earlier_observation_is_carried_over_rewrites_and_never_over_other_data(
    model: ModelTable, instant: datetime, hours: int
) -> None:
    history, truth = model.history(), model.truth(instant)
    earlier = observed(model, instant - timedelta(hours=hours))
    place = place_at(history, instant)
    if place is None or truth is None:
        return
    change = last_data_change(history, place, earlier=earlier)
    seen_data_return = earlier is not None and earlier.total_records == truth.data
    assert change in {truth.changed_at, None} or (
        # hidden rows led away from the data and back to it: nothing that is left can tell
        seen_data_return and earlier is not None and change == earlier.last_data_change
    )


@given(histories(expiring=False), instants, st.integers(1, 5))
def test_rows_from_the_observed_state_on_say_the_same_as_all_rows(
    model: ModelTable, instant: datetime, hours: int
) -> None:
    earlier = observed(model, instant - timedelta(hours=hours))
    truth = model.truth(instant)
    if earlier is None or truth is None or earlier.state_at is None:
        return
    bounded = History(
        rows=[row for row in model.log if row.at >= earlier.state_at], snapshots=model.snapshots
    )
    place = place_at(bounded, instant)
    assert place is not None
    assert bounded.rows[place].snapshot_id == truth.snapshot_id
    assert last_data_change(bounded, place, earlier=earlier) == truth.changed_at


def test_the_instant_itself_belongs_to_the_next_hour() -> None:
    row = HistoryRow(snapshot_id=1, parent_id=None, at=minutes(60))
    assert place_at(History(rows=[row]), minutes(60)) is None
    assert place_at(History(rows=[row]), minutes(60) + timedelta(milliseconds=1)) == 0


def test_where_rows_cross_the_servers_order_decides_as_in_time_travel() -> None:
    rows = [
        HistoryRow(snapshot_id=1, parent_id=None, at=minutes(10.5)),
        HistoryRow(snapshot_id=2, parent_id=1, at=minutes(10)),
    ]
    assert place_at(History(rows=rows), minutes(60)) == 1


def chain(*commits: tuple[str, int, int, int]) -> dict[int, Snapshot]:
    """Snapshots 1, 2, ... as (operation, position deletes, equality deletes, deleted files)."""
    return {
        number: Snapshot(
            snapshot_id=number,
            parent_id=number - 1 or None,
            operation=operation,
            total_records=20,
            position_deletes=position,
            equality_deletes=equality,
            deleted_files=files,
        )
        for number, (operation, position, equality, files) in enumerate(commits, start=1)
    }


def test_position_deletes_are_subtracted_while_commits_only_add_files() -> None:
    snapshots = chain(("append", 0, 0, 0), ("delete", 3, 0, 0), ("append", 3, 0, 0))
    exact = exact_deletes(snapshots, 3, earlier=None)
    assert exact is True
    assert row_count(snapshots[3], exact=exact) == 17


def test_after_a_rewrite_under_position_deletes_the_row_count_is_unknown() -> None:
    snapshots = chain(("append", 0, 0, 0), ("delete", 3, 0, 0), ("replace", 3, 0, 2))
    exact = exact_deletes(snapshots, 3, earlier=None)
    assert exact is False
    assert row_count(snapshots[3], exact=exact) is None


def test_an_overwrite_that_removes_files_leaves_deletes_that_hit_nothing() -> None:
    snapshots = chain(("append", 0, 0, 0), ("delete", 3, 0, 0), ("overwrite", 3, 0, 1))
    assert exact_deletes(snapshots, 3, earlier=None) is False


def test_equality_deletes_never_give_a_row_count() -> None:
    assert exact_deletes(chain(("append", 0, 0, 0), ("delete", 0, 1, 0)), 2, earlier=None) is False


def test_an_expired_ancestor_is_answered_by_the_earlier_observation_or_not_at_all() -> None:
    snapshots = chain(("append", 0, 0, 0), ("delete", 3, 0, 0), ("append", 3, 0, 0))
    del snapshots[1], snapshots[2]
    assert exact_deletes(snapshots, 3, earlier=None) is None
    for exact in (True, False):
        earlier = Observation(table=TABLE, snapshot_id=2, exact_deletes=exact)
        assert exact_deletes(snapshots, 3, earlier=earlier) is exact


def test_a_summary_without_total_records_is_not_zero_rows() -> None:
    snapshot = Snapshot(
        snapshot_id=1, parent_id=None, operation="append", position_deletes=0, equality_deletes=0
    )
    assert row_count(snapshot, exact=True) is None


def test_zero_rows_are_a_measurement() -> None:
    emptied = Snapshot(
        snapshot_id=2, parent_id=1, operation="delete", total_records=0, position_deletes=0
    )
    assert row_count(emptied, exact=True) == 0


FIRST = LogEntry(
    at=minutes(10), file="x/metadata/00000-a.metadata.json", snapshot_id=None, sequence_number=None
)


def entry(at: datetime, snapshot_id: int | None, sequence: int | None) -> LogEntry:
    return LogEntry(
        at=at, file="00001-b.metadata.json", snapshot_id=snapshot_id, sequence_number=sequence
    )


def metadata_log(
    *entries: LogEntry,
    first: HistoryRow | None = None,
    made: Sequence[Snapshot] = (),
    main: int | None = None,
    created_at: datetime | None = None,
) -> MetadataLog:
    return MetadataLog(
        entries=entries, snapshots=made, first_row=first, main=main, created_at=created_at
    )


def made(
    number: int,
    at: datetime,
    operation: str | None = "append",
    *,
    parent: int | None = None,
    engine: str | None = "spark",
) -> Snapshot:
    return Snapshot(
        snapshot_id=number, parent_id=parent, operation=operation, committed_at=at, engine=engine
    )


def row_of(snapshot: Snapshot, at: datetime | None = None) -> HistoryRow:
    """The row that makes it current, with its commit unless told."""
    at = at or snapshot.committed_at
    assert at is not None
    return HistoryRow(snapshot_id=snapshot.snapshot_id, parent_id=snapshot.parent_id, at=at)


def test_a_table_whose_first_metadata_file_is_later_did_not_exist() -> None:
    one = made(1, minutes(20))
    log = metadata_log(FIRST, entry(minutes(20), 1, 1), first=row_of(one), made=[one])
    assert without_rows(log, minutes(10)) == NotYet()


def test_a_table_that_existed_before_its_first_snapshot_ever_was_empty() -> None:
    for operation in ("append", "overwrite"):
        one = made(1, minutes(80), operation)
        log = metadata_log(FIRST, entry(minutes(80), 1, 1), first=row_of(one), made=[one])
        assert without_rows(log, minutes(60)) == Existed()


def test_a_rollback_to_the_first_snapshot_is_not_its_commit() -> None:
    """Found by random histories: the rows between were expired, and the hours before were said to be empty."""
    one = made(1, minutes(20))
    rows_between = entry(minutes(30), None, None)
    first = row_of(one, minutes(80))
    log = metadata_log(
        FIRST, entry(minutes(20), None, None), rows_between, entry(minutes(80), 1, 1),
        first=first, made=[one],
    )  # fmt: skip
    assert isinstance(without_rows(log, minutes(25)), Unknown)
    assert isinstance(without_rows(log, minutes(60)), Unknown)


def test_a_branch_and_a_staged_write_before_the_first_write_leave_the_hours_empty() -> None:
    """Their snapshots are no rows of main's, and main had none: not a branch's first, nor its own second."""
    branch, staged = made(1, minutes(20)), made(2, minutes(30))
    entries = [FIRST, entry(minutes(20), None, None), entry(minutes(30), None, None)]
    for operation in ("append", "overwrite"):
        third = made(3, minutes(80), operation)
        log = metadata_log(
            *entries, entry(minutes(80), 3, 3), first=row_of(third), made=[branch, staged, third]
        )
        for minute in (15, 25, 60):
            assert without_rows(log, minutes(minute)) == Existed()
    published = row_of(staged, minutes(80))
    log = metadata_log(*entries, entry(minutes(80), 2, 2), first=published, made=[branch, staged])
    for minute in (15, 25, 60):
        assert without_rows(log, minutes(minute)) == Existed()
    log = metadata_log(*entries, made=[branch, staged])
    for minute in (15, 25, 60):
        assert without_rows(log, minutes(minute)) == Existed()


def test_numbers_that_are_missing_before_a_published_one_were_expired() -> None:
    staged = made(2, minutes(30))
    log = metadata_log(
        FIRST, entry(minutes(30), None, None), entry(minutes(80), 2, 2),
        first=row_of(staged, minutes(80)), made=[staged],
    )  # fmt: skip
    assert isinstance(without_rows(log, minutes(60)), Unknown)


def test_a_table_that_lost_its_history_to_a_replacement_and_an_expiry_is_not_never_written() -> (
    None
):
    files = [entry(minutes(at), None, None) for at in (20, 50, 55)]  # a write, and those two
    log = metadata_log(FIRST, *files)
    assert isinstance(without_rows(log, minutes(30)), Unknown)
    assert without_rows(log, minutes(60)) == Existed()
    assert without_rows(metadata_log(FIRST, files[0]), minutes(15)) == Existed()


def test_an_append_to_nothing_has_no_data_before_it_back_to_the_last_file_without_a_commit() -> (
    None
):
    """That may have replaced a table with data, whose snapshots were expired."""
    five = made(5, minutes(80))
    log = metadata_log(
        FIRST, entry(minutes(20), None, None), entry(minutes(50), None, None),
        entry(minutes(80), 5, 5), first=row_of(five), made=[five],
    )  # fmt: skip
    assert isinstance(without_rows(log, minutes(50)), Unknown)
    assert without_rows(log, minutes(51)) == Existed()


def test_another_engines_append_to_nothing_may_have_replaced_data_that_was_expired() -> None:
    for engine in ("trino", None):
        five = made(5, minutes(80), engine=engine)
        log = metadata_log(FIRST, entry(minutes(80), 5, 5), first=row_of(five), made=[five])
        assert isinstance(without_rows(log, minutes(60)), Unknown)


def test_after_an_expiry_a_log_entry_without_snapshot_is_no_proof_of_emptiness() -> None:
    """Iceberg looks the snapshot up in what is left of the history, so expired ones read as NULL too."""
    three = made(3, minutes(80), parent=2)
    log = metadata_log(
        FIRST, entry(minutes(20), None, None), entry(minutes(80), 3, 3),
        first=row_of(three), made=[three],
    )  # fmt: skip
    assert isinstance(without_rows(log, minutes(60)), Unknown)


def test_a_first_row_without_parent_may_be_a_replaced_table() -> None:
    three = made(3, minutes(80), "overwrite")
    log = metadata_log(
        FIRST, entry(minutes(20), None, None), entry(minutes(80), 3, 3),
        first=row_of(three), made=[three],
    )  # fmt: skip
    assert isinstance(without_rows(log, minutes(60)), Unknown)


def test_a_cut_log_leaves_the_metastores_creation_time_as_evidence() -> None:
    one = made(1, minutes(80))
    log = entry(minutes(80), 1, 1)
    late = metadata_log(log, first=row_of(one), made=[one], created_at=minutes(70))
    assert without_rows(late, minutes(60)) == NotYet()
    assert isinstance(without_rows(late, minutes(75)), Unknown)
    nine = made(9, minutes(80), parent=8)
    registered = metadata_log(log, first=row_of(nine), made=[nine], created_at=minutes(70))
    assert isinstance(without_rows(registered, minutes(60)), Unknown)


def test_a_table_registered_again_is_older_than_the_metastore_says() -> None:
    """Replaced each hour, its log and its history cut, then registered."""
    four = made(4, minutes(80), "overwrite")
    row = row_of(four)
    log = metadata_log(entry(minutes(80), 4, 1), first=row, made=[four], created_at=minutes(200))
    assert isinstance(without_rows(log, minutes(60)), Unknown)
    since = metadata_log(entry(minutes(80), 4, 4), first=row, made=[four], created_at=minutes(70))
    assert isinstance(without_rows(since, minutes(60)), Unknown)


def test_any_metadata_file_before_the_instant_proves_that_the_table_existed() -> None:
    """A registered table's log begins with a later file than the first."""
    log = metadata_log(entry(minutes(20), None, None), created_at=minutes(90))
    assert without_rows(log, minutes(60)) == Existed()


def test_without_sequence_numbers_an_append_to_nothing_is_the_first_snapshot() -> None:
    for operation, found in (("append", Existed()), ("overwrite", Unknown), (None, Unknown)):
        one = made(1, minutes(80), operation)
        log = metadata_log(FIRST, entry(minutes(80), 1, 0), first=row_of(one), made=[one])
        answer = without_rows(log, minutes(60))
        assert answer == found or answer.__class__ is found
    one = made(1, minutes(80))
    altered = entry(minutes(20), None, None)
    log = metadata_log(FIRST, altered, entry(minutes(80), 1, 0), first=row_of(one), made=[one])
    assert isinstance(without_rows(log, minutes(20)), Unknown)
    assert without_rows(log, minutes(21)) == Existed()


def test_an_alter_before_the_first_write_is_no_doubt_where_numbers_begin_with_it() -> None:
    one = made(1, minutes(80))
    log = metadata_log(
        FIRST, entry(minutes(20), None, None), entry(minutes(80), 1, 1),
        first=row_of(one), made=[one],
    )  # fmt: skip
    assert without_rows(log, minutes(15)) == Existed()


WRITTEN = made(1, minutes(10))
EMPTIED = entry(minutes(30), 1, 1)
TWO_FILES = (entry(minutes(20), 1, 1), EMPTIED)


def gap_of(
    log: Sequence[LogEntry],
    following: HistoryRow | None = None,
    *snapshots: Snapshot,
    main: int | None = None,
    seen: Seen | None = None,
) -> Gap | None:
    """What lies after a table's first row, its metadata files being the creation's, that row's and ``log``."""
    rows = [row_of(WRITTEN), *([] if following is None else [following])]
    known = {one.snapshot_id: one for one in (WRITTEN, *snapshots)}
    entries = [replace(FIRST, at=minutes(0)), entry(minutes(10), 1, 1), *log]
    whole = metadata_log(*entries, first=rows[0], made=list(known.values()), main=main)
    history = with_gaps(History(rows=rows, snapshots=known), whole, seen=seen)
    return history.gaps.get(0)


def test_a_lone_file_without_a_commit_tells_when_a_table_that_is_empty_now_was_replaced() -> None:
    assert gap_of([EMPTIED]) == Gap(since=minutes(30), empty_from=minutes(30))
    assert gap_of(TWO_FILES) == Gap(since=minutes(20), empty_from=minutes(30))
    assert gap_of(TWO_FILES, main=1) is None


def test_a_replacement_is_told_from_what_came_after_it() -> None:
    gap = Gap(since=minutes(30), empty_from=minutes(30))
    appended = made(2, minutes(50))
    written = entry(minutes(50), 2, 2)
    assert gap_of([EMPTIED, written], row_of(appended), appended, main=2) == gap
    undone = row_of(WRITTEN, minutes(50))
    assert gap_of([EMPTIED, entry(minutes(50), 1, 1)], undone, main=1) == gap
    assert gap_of([written], row_of(appended), appended, main=2) is None


def test_what_may_be_an_alter_before_a_table_replaced_with_a_query_is_no_proof() -> None:
    """INSERT OVERWRITE into an emptied table looks the same, and so does another engine's replacement."""
    gap = Gap(since=minutes(30), empty_from=None)
    written = entry(minutes(50), 2, 2)
    for other in (made(2, minutes(50), "overwrite"), made(2, minutes(50), engine="trino")):
        assert gap_of([EMPTIED, written], row_of(other), other, main=2) == gap
    staged = made(2, minutes(20), parent=1)
    log = [entry(minutes(20), 1, 1), EMPTIED, written]
    assert gap_of(log, row_of(staged, minutes(50)), staged, main=2) == gap


def test_a_commit_onto_the_row_leaves_no_gap_whatever_was_altered() -> None:
    onto = made(2, minutes(50), parent=1)
    assert gap_of([*TWO_FILES, entry(minutes(50), 2, 2)], row_of(onto), onto, main=2) is None


def test_a_branchs_commits_are_no_replacement() -> None:
    branch = made(2, minutes(30), parent=1)
    other = made(3, minutes(50), "overwrite")
    log = [EMPTIED, entry(minutes(50), 3, 3)]
    assert gap_of(log, row_of(other), branch, other, main=3) is None


def test_a_branch_that_began_at_the_row_was_made_by_the_one_file_before_it() -> None:
    """Write, audit, publish; a second file may have replaced the table, and the branch lived on."""
    audited = made(2, minutes(40), parent=1)
    published = row_of(audited, minutes(50))
    after = [entry(minutes(40), 1, 1), entry(minutes(50), 2, 2)]
    assert gap_of([EMPTIED, *after], published, audited, main=2) is None
    open_since = Gap(since=minutes(20), empty_from=None)
    assert gap_of([*TWO_FILES, *after], published, audited, main=2) == open_since
    late = entry(minutes(45), 1, 1)
    assert gap_of([after[0], late, after[1]], published, audited, main=2) == Gap(
        since=minutes(45), empty_from=None
    )
    seen = Seen(snapshot_id=1, at=minutes(10), until=minutes(25))
    assert gap_of([*TWO_FILES, *after], published, audited, main=2, seen=seen) == Gap(
        since=minutes(30), empty_from=None
    )


def test_a_commit_onto_a_row_that_became_current_again_clears_no_file_before_that() -> None:
    """Found by random histories: replaced by an empty table, undone, and compacted."""
    undone, compacted = row_of(WRITTEN, minutes(40)), made(2, minutes(50), "replace", parent=1)
    entries = [replace(FIRST, at=minutes(0)), entry(minutes(10), 1, 1), EMPTIED]
    later = [entry(minutes(40), 1, 1), entry(minutes(50), 2, 2)]
    rows = [row_of(WRITTEN), undone, row_of(compacted)]
    log = metadata_log(*entries, *later, first=rows[0], made=[WRITTEN, compacted], main=2)
    history = History(rows=rows, snapshots={1: WRITTEN, 2: compacted})
    found = with_gaps(history, log, seen=None).gaps
    assert found == {0: Gap(since=minutes(30), empty_from=minutes(30))}


def test_a_branch_that_published_the_row_goes_on_without_being_made() -> None:
    """So the file before its next write may be a replacement."""
    published, further = row_of(WRITTEN, minutes(20)), made(2, minutes(40), parent=1)
    rows = [published, row_of(further, minutes(50))]
    entries = [
        replace(FIRST, at=minutes(0)),
        *(entry(minutes(at), 1, 1) for at in (10, 20, 30, 40)),
    ]
    log = metadata_log(
        *entries, entry(minutes(50), 2, 2), first=published, made=[WRITTEN, further], main=2
    )
    history = History(rows=rows, snapshots={1: WRITTEN, 2: further})
    found = with_gaps(history, log, seen=None).gaps
    assert found == {0: Gap(since=minutes(30), empty_from=None)}


def test_what_an_hour_saw_is_no_replacement_before_its_end() -> None:
    other = made(2, minutes(50), "overwrite")
    log = [EMPTIED, entry(minutes(50), 2, 2)]
    for until, gap in ((40, None), (29, Gap(since=minutes(30), empty_from=None))):
        seen = Seen(snapshot_id=1, at=minutes(10), until=minutes(until))
        assert gap_of(log, row_of(other), other, main=2, seen=seen) == gap
    elsewhere = Seen(snapshot_id=1, at=minutes(9), until=minutes(40))
    assert gap_of(log, row_of(other), other, main=2, seen=elsewhere) == gap


def test_a_log_that_does_not_reach_back_to_the_row_leaves_all_after_it_open() -> None:
    other = made(2, minutes(50), "overwrite")
    rows = [row_of(WRITTEN), row_of(other)]
    history = History(rows=rows, snapshots={1: WRITTEN, 2: other})
    log = metadata_log(entry(minutes(50), 2, 2), first=rows[0], made=[other], main=2)
    found = with_gaps(history, log, seen=None).gaps
    assert found == {0: Gap(since=minutes(10), empty_from=None)}


def test_only_what_neither_rows_nor_the_listing_tell_is_in_doubt() -> None:
    onto = made(2, minutes(50), parent=1)
    replaced = made(2, minutes(50), "overwrite")
    alone = History(rows=[row_of(WRITTEN)], snapshots={1: WRITTEN})
    assert not in_doubt(alone, [minutes(60)], current=1)
    assert in_doubt(alone, [minutes(60)], current=None)
    for other, doubt in ((onto, False), (replaced, True)):
        history = History(rows=[row_of(WRITTEN), row_of(other)], snapshots={1: WRITTEN, 2: other})
        assert in_doubt(history, [minutes(40)], current=2) is doubt
        assert not in_doubt(history, [minutes(60)], current=2)


def test_a_rewrite_made_current_after_the_table_may_have_been_empty_is_no_known_change() -> None:
    """From the log it is told whether the table was what it rewrote all the time."""
    rewrite = made(2, minutes(20), "replace", parent=1)
    rows = [row_of(WRITTEN), row_of(rewrite, minutes(50))]
    history = History(rows=rows, snapshots={1: WRITTEN, 2: rewrite})
    assert in_doubt(history, [minutes(60)], current=2)
    for gap, change in (
        (None, minutes(10)),
        (Gap(since=minutes(30), empty_from=None), None),
        (Gap(since=minutes(30), empty_from=minutes(30)), minutes(50)),
    ):
        known = replace(history, gaps={} if gap is None else {0: gap})
        assert last_data_change(known, 1, earlier=None) == change


def rewritten(figures_before: tuple[int, int, int, int] | None) -> History:
    """What the compaction job leaves: one rewrite, whose parent is gone."""
    row = HistoryRow(snapshot_id=9, parent_id=8, at=minutes(90))
    snapshot = Snapshot(
        snapshot_id=9,
        parent_id=8,
        operation="replace",
        total_records=17,
        figures_before=figures_before,
    )
    return History(rows=[row], snapshots={9: snapshot})


def test_a_rewrite_of_the_observed_state_carries_its_last_change() -> None:
    earlier = Observation(
        table=TABLE, snapshot_id=6, state_at=minutes(20), last_data_change=minutes(10),
        total_records=20, byte_count=4_000, position_deletes=3, equality_deletes=0,
    )  # fmt: skip
    for figures, change in (
        ((20, 4_000, 3, 0), minutes(10)),
        ((20, 4_001, 3, 0), None),  # an update in between: as many rows, other bytes
        ((17, 4_000, 3, 0), None),
        ((20, 4_000, 0, 0), None),
        ((20, 4_000, 3, 1), None),
        (None, None),
    ):
        assert last_data_change(rewritten(figures), 0, earlier=earlier) == change
    later = Observation(table=TABLE, snapshot_id=6, state_at=minutes(95))
    assert last_data_change(rewritten((20, 4_000, 3, 0)), 0, earlier=later) is None


def test_the_first_write_after_an_upgrade_from_version_1_is_not_the_first_ever() -> None:
    """Sequence numbers begin with 1 there; what was written before may have been expired."""
    entries = [
        FIRST,
        entry(minutes(20), None, None),
        entry(minutes(30), None, None),
        entry(minutes(80), 3, 1),
    ]
    replaced = made(3, minutes(80), "overwrite")
    log = metadata_log(*entries, first=row_of(replaced), made=[replaced])
    assert isinstance(without_rows(log, minutes(60)), Unknown)
    appended = made(3, minutes(80))
    log = metadata_log(*entries, first=row_of(appended), made=[appended])
    assert without_rows(log, minutes(60)) == Existed()
    assert isinstance(without_rows(log, minutes(25)), Unknown)
