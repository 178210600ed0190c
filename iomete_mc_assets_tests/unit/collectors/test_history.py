from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.collectors.history import (
    Beginning,
    Existed,
    History,
    HistoryRow,
    LogEntry,
    NotYet,
    Snapshot,
    Unknown,
    exact_deletes,
    last_data_change,
    place_at,
    row_count,
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


def test_a_table_whose_first_metadata_file_is_later_did_not_exist() -> None:
    row = HistoryRow(snapshot_id=1, parent_id=None, at=minutes(20))
    beginning = Beginning(first_row=row, log=[FIRST, entry(minutes(20), 1, 1)])
    assert without_rows(beginning, minutes(10)) == NotYet()


def test_a_table_that_existed_before_its_first_snapshot_ever_was_empty() -> None:
    row = HistoryRow(snapshot_id=1, parent_id=None, at=minutes(80))
    beginning = Beginning(
        first_row=row, first_committed_at=row.at, log=[FIRST, entry(minutes(80), 1, 1)]
    )
    assert without_rows(beginning, minutes(60)) == Existed()


def test_a_rollback_to_the_first_snapshot_is_not_its_commit() -> None:
    """Found by random histories: the rows between were expired, and the hours before were said to be empty."""
    row = HistoryRow(snapshot_id=1, parent_id=None, at=minutes(80))
    log = [FIRST, entry(minutes(20), None, None), entry(minutes(80), 1, 1)]
    rolled_back = Beginning(
        first_row=row, first_operation="append", first_committed_at=minutes(20), log=log
    )
    assert isinstance(without_rows(rolled_back, minutes(60)), Unknown)


def test_after_an_expiry_a_log_entry_without_snapshot_is_no_proof_of_emptiness() -> None:
    """Iceberg looks the snapshot up in what is left of the history, so expired ones read as NULL too."""
    row = HistoryRow(snapshot_id=3, parent_id=2, at=minutes(80))
    log = [FIRST, entry(minutes(20), None, None), entry(minutes(80), 3, 3)]
    assert isinstance(without_rows(Beginning(first_row=row, log=log), minutes(60)), Unknown)


def test_a_first_row_without_parent_may_be_a_replaced_table() -> None:
    row = HistoryRow(snapshot_id=3, parent_id=None, at=minutes(80))
    log = [FIRST, entry(minutes(20), None, None), entry(minutes(80), 3, 3)]
    assert isinstance(
        without_rows(
            Beginning(
                first_row=row, first_operation="overwrite", first_committed_at=row.at, log=log
            ),
            minutes(60),
        ),
        Unknown,
    )


def test_a_cut_log_leaves_the_metastores_creation_time_as_evidence() -> None:
    row = HistoryRow(snapshot_id=1, parent_id=None, at=minutes(80))
    log = [entry(minutes(80), 1, 1)]
    late = Beginning(first_row=row, log=log, created_at=minutes(70))
    assert without_rows(late, minutes(60)) == NotYet()
    assert isinstance(without_rows(late, minutes(75)), Unknown)
    registered = Beginning(
        first_row=HistoryRow(snapshot_id=9, parent_id=8, at=minutes(80)),
        log=log,
        created_at=minutes(70),
    )
    assert isinstance(without_rows(registered, minutes(60)), Unknown)


def test_any_metadata_file_before_the_instant_proves_that_the_table_existed() -> None:
    """A registered table's log begins with a later file than the first."""
    beginning = Beginning(
        first_row=None, log=[entry(minutes(20), None, None)], created_at=minutes(90)
    )
    assert without_rows(beginning, minutes(60)) == Existed()


def test_without_sequence_numbers_an_append_after_the_first_file_is_the_first_snapshot() -> None:
    row = HistoryRow(snapshot_id=1, parent_id=None, at=minutes(80))
    log = [FIRST, entry(minutes(80), 1, 0)]
    for operation, found in (("append", Existed()), ("overwrite", Unknown), (None, Unknown)):
        beginning = Beginning(
            first_row=row, first_operation=operation, first_committed_at=row.at, log=log
        )
        answer = without_rows(beginning, minutes(60))
        assert answer == found or answer.__class__ is found
    replaced = Beginning(
        first_row=row,
        first_operation="append",
        first_committed_at=row.at,
        log=[FIRST, entry(minutes(20), None, None), *log[1:]],
    )
    assert isinstance(without_rows(replaced, minutes(60)), Unknown)


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
    row = HistoryRow(snapshot_id=3, parent_id=None, at=minutes(80))
    log = [
        FIRST,
        entry(minutes(20), None, None),
        entry(minutes(30), None, None),
        entry(minutes(80), 3, 1),
    ]
    replaced = Beginning(
        first_row=row, first_operation="overwrite", first_committed_at=row.at, log=log
    )
    assert isinstance(without_rows(replaced, minutes(60)), Unknown)
    appended = Beginning(
        first_row=row, first_operation="append", first_committed_at=row.at, log=log
    )
    assert without_rows(appended, minutes(60)) == Existed()
