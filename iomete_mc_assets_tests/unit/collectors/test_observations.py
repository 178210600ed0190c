import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from iomete_mc_assets.collectors.exclusions import Exclusions
from iomete_mc_assets.collectors.observations import (
    CatalogInput,
    EarlierInput,
    ObservationConfig,
    collect,
)
from iomete_mc_assets.errors import (
    HourFailed,
    IometeMcError,
    LakehouseError,
    LakehouseUnavailable,
    StatementFailed,
    StatementTimedOut,
)
from iomete_mc_assets.manifests.model import Draft, Verdict
from iomete_mc_assets.records import Observation, Omission, SurveyedState, TableEntry, TableId
from iomete_mc_assets.warehouse.rows import Row, Warehouse
from iomete_mc_assets.windows import HourWindow

HOUR = HourWindow(datetime(2026, 11, 21, 9, tzinfo=UTC))
NOW = datetime(2026, 11, 21, 10, 10, tzinfo=UTC)
LISTED_AT = datetime(2026, 11, 21, 10, 5, tzinfo=UTC)


def at(clock: str) -> datetime:
    hour, minute = map(int, clock.split(":"))
    return datetime(2026, 11, 21, hour, minute, tzinfo=UTC)


def table(name: str) -> TableId:
    return TableId("spark_catalog", ("db",), name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit that became current: the n-th of its table has snapshot id n, unless told."""

    at: datetime
    operation: str = "append"
    rows: int | None = 10
    position: int = 0
    equality: int = 0
    parent: int | None = None  # the one before; 0 for none
    id: int = 0


@dataclass(slots=True)
class HistoryWarehouse(Warehouse):
    """Answers history statements from commits, honouring their bounds. A table can be broken or gone.

    Attributes:
        folder: where metadata files lie.
        files: what they hold, by when they were written; None refuses every path.
    """

    commits: Mapping[str, Sequence[Commit]]
    created: Mapping[str, datetime] = field(default_factory=dict[str, datetime])
    altered: Mapping[str, Sequence[datetime]] = field(default_factory=dict[str, Sequence[datetime]])
    emptied: Sequence[str] = ()
    folder: str = "m"
    files: Mapping[datetime, str | LakehouseError] | None = None
    broken: Mapping[str, LakehouseError] = field(default_factory=dict[str, LakehouseError])
    listed: Sequence[str] | None = None
    asked: list[str] = field(default_factory=list[str])

    def use(self, catalog: str) -> None:
        raise NotImplementedError

    def ask(self, statement: str, *, deadline_s: float | None = None) -> Sequence[Row]:  # noqa: ARG002 - the protocol's
        self.asked.append(statement)
        if "SHOW TABLES" in statement:
            names = list(self.commits) if self.listed is None else self.listed
            return [{"tableName": name, "isTemporary": False} for name in names]
        rows: list[Row] = []
        if "`binaryFile`" in statement:
            return [self._content(branch) for branch in statement.split("UNION ALL")]
        for branch in statement.split("UNION ALL"):
            rows += self._branch(branch)
        return rows

    def stream(self, statement: str, *, rows_per_fetch: int = 1_000) -> Iterator[Row]:
        raise NotImplementedError

    def _branch(self, branch: str) -> list[Row]:
        found = re.search(r"FROM `spark_catalog`\.`db`\.`(\w+)`\.`(\w+)`", branch)
        number = re.search(r"SELECT (\d+)", branch)
        assert found is not None
        assert number is not None
        name, metadata_table = found.groups()
        if name in self.broken:
            raise self.broken[name]
        if metadata_table == "metadata_log_entries":
            return self._log(name, int(number[1]))
        if metadata_table == "refs":
            return self._main(name, int(number[1]))
        since, until = self._bounds(name, branch)
        named = re.search(r"snapshot_id IN \((.*)\)", branch)
        kind = {"history": "h", "snapshots": "s"}[metadata_table]
        rows: list[Row] = []
        for place, commit in enumerate(self.commits[name], start=1):
            row, at_ms = self._row(commit, place), _ms(commit.at)
            if kind == "s" and commit.id and commit.id < place:
                continue  # it only made an old snapshot current
            if named is not None and str(row["snapshot_id"]) not in named[1].split(", "):
                continue
            if since <= at_ms <= until:
                rows.append({**row, "n": int(number[1]), "kind": kind, "at_ms": at_ms})
        return rows[:1] if "LIMIT 1" in branch else rows

    def _content(self, branch: str) -> Row:
        """Of a metadata file by path, as Spark's ``get_json_object`` tells it."""
        found = re.search(
            r"SELECT (\d+) .*`binaryFile`\.`m/0000\d-(\d+)\.metadata\.json`", branch, re.DOTALL
        )
        assert found is not None
        if self.files is None:
            msg = "no right to read paths"
            raise StatementFailed(msg, sql_state="42501")
        content = self.files[datetime.fromtimestamp(int(found[2]) / 1000, UTC)]
        if isinstance(content, LakehouseError):
            raise content
        held: dict[str, object] = {}
        with contextlib.suppress(ValueError):
            held = json.loads(content)
        told = {name: None if value is None else str(value) for name, value in held.items()}
        return {
            "n": int(found[1]),
            "format": told.get("format-version"),
            "snapshot_id": told.get("current-snapshot-id"),
        }

    def _bounds(self, name: str, branch: str) -> tuple[int, int]:
        """Up to the first row from an instant on."""
        before = re.search(r"min\(made_current_at\).* >= timestamp_millis\((\d+)\)\)", branch)
        since = re.search(r"AND \w+ >= timestamp_millis\((\d+)\)", branch)
        older = re.search(r"WHERE committed_at < timestamp_millis\((\d+)\)", branch)
        until = 1 << 62 if older is None else int(older[1]) - 1
        if before is not None:
            later = [_ms(one.at) for one in self.commits[name] if _ms(one.at) >= int(before[1])]
            until = min(later, default=int(before[1]))
        return (0 if since is None else int(since[1])), until

    def _row(self, commit: Commit, place: int) -> dict[str, object]:
        snapshot_id = commit.id or place
        return {
            "snapshot_id": snapshot_id,
            "parent_id": (snapshot_id - 1 if commit.parent is None else commit.parent) or None,
            "operation": commit.operation,
            "summary": json.dumps(self._summary(commit)),
        }

    def _summary(self, commit: Commit) -> dict[str, str]:
        return {
            "engine-name": "spark",
            **({} if commit.rows is None else {"total-records": str(commit.rows)}),
            "total-files-size": "1000",
            "total-position-deletes": str(commit.position),
            "total-equality-deletes": str(commit.equality),
        }

    def _log(self, name: str, number: int) -> list[Row]:
        """One file for the creation, where it is known, one a commit, and those of ``altered``."""
        files = {_ms(one.at): self._row(one, n) for n, one in enumerate(self.commits[name], 1)}
        files |= {_ms(one): {} for one in self.altered.get(name, ())}
        rows: list[Row] = [
            {
                "n": number, "kind": "m", "at_ms": at_ms, "file": f"{self.folder}/00001-{at_ms}.metadata.json",
                "snapshot_id": row.get("snapshot_id"), "sequence_number": row.get("snapshot_id"),
            }
            for at_ms, row in sorted(files.items())
        ]  # fmt: skip
        if name not in self.created:
            return rows
        at_ms = _ms(self.created[name])
        first = {
            "file": f"{self.folder}/00000-{at_ms}.metadata.json",
            "snapshot_id": None,
            "sequence_number": None,
        }
        return [{"n": number, "kind": "m", "at_ms": at_ms, **first}, *rows]

    def _main(self, name: str, number: int) -> list[Row]:
        """The newest row's snapshot, unless the table was replaced by an empty one since."""
        if name in self.emptied or not self.commits[name]:
            return []
        newest = self._row(self.commits[name][-1], len(self.commits[name]))
        return [{"n": number, "kind": "r", "at_ms": None, "snapshot_id": newest["snapshot_id"]}]


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def listed(
    name: str, commit: Commit | None, *, number: int = 1, uuid: str | None = None
) -> TableEntry:
    """A table as the survey shows it when ``commit``, its ``number``-th, is the newest."""
    state = SurveyedState(
        uuid=uuid or f"uuid-{name}",
        metadata_location=f"file:/{name}/{'00000-a' if commit is None else number}.json",
        snapshot_id=None if commit is None else (commit.id or number),
        snapshot_count=0 if commit is None else number,
        snapshot_at=None if commit is None else commit.at,
        created_at=at("01:00"),
    )
    return TableEntry(table=table(name), kind="table", format="iceberg", columns=(), state=state)


def catalog(
    *entries: TableEntry, collected_at: datetime = LISTED_AT, omissions: tuple[Omission, ...] = ()
) -> CatalogInput:
    return CatalogInput(
        manifest_id="cat",
        window=HOUR,
        collected_at=collected_at,
        entries=entries,
        omissions=omissions,
    )


def earlier(*observations: Observation, window: HourWindow = HOUR.previous) -> EarlierInput:
    return EarlierInput(manifest_id="before", window=window, observations=observations)


def never(window: HourWindow) -> EarlierInput | None:
    return None


def no_survey() -> CatalogInput:
    msg = "nobody expected a survey"
    raise AssertionError(msg)


def run(
    warehouse: HistoryWarehouse,
    source: CatalogInput,
    *,
    windows: Sequence[HourWindow] = (HOUR,),
    before: EarlierInput | None = None,
    own: Callable[[HourWindow], EarlierInput | None] = never,
    batch_tables: int = 10,
) -> dict[HourWindow, Draft | IometeMcError]:
    return dict(
        collect(
            windows,
            warehouse,
            config=ObservationConfig(batch_tables=batch_tables),
            catalog_for=lambda _: source,
            earlier=before,
            own=own,
            survey=no_survey,
            now=NOW,
        )
    )


def said(answer: Draft | IometeMcError) -> tuple[dict[str, Observation], Verdict]:
    assert isinstance(answer, Draft), answer
    records = [record for record in answer.records if isinstance(record, Observation)]
    return {record.table.table: record for record in records}, answer.verdict()


def hour(
    warehouse: HistoryWarehouse,
    source: CatalogInput,
    *,
    before: EarlierInput | None = None,
    own: Callable[[HourWindow], EarlierInput | None] = never,
    batch_tables: int = 10,
) -> tuple[dict[str, Observation], Verdict]:
    return said(run(warehouse, source, before=before, own=own, batch_tables=batch_tables)[HOUR])


def next_hour(
    warehouse: HistoryWarehouse, entry: TableEntry, before: Observation
) -> tuple[dict[str, Observation], Verdict]:
    """The hour after, listed five minutes past its end."""
    later = catalog(entry, collected_at=HOUR.next.end + timedelta(minutes=5))
    answers = collect(
        [HOUR.next],
        warehouse,
        config=ObservationConfig(),
        catalog_for=lambda _: later,
        earlier=earlier(before, window=HOUR),
        own=never,
        survey=no_survey,
        now=HOUR.next.end + timedelta(minutes=10),
    )
    return said(dict(answers)[HOUR.next])


def without_location(entry: TableEntry) -> TableEntry:
    """As a v2 catalog lists it: the snapshot id alone tells whether it changed."""
    assert entry.state is not None
    state = replace(entry.state, metadata_location=None, snapshot_count=None)
    return replace(entry, state=state)


LOADED = Commit(at=at("09:10"), rows=100)


def test_a_table_is_observed_as_of_the_hours_end_and_not_as_it_is_now() -> None:
    late = Commit(at=at("10:00"), rows=200)
    observed, verdict = hour(
        HistoryWarehouse({"t": [LOADED, late]}), catalog(listed("t", late, number=2))
    )
    assert observed["t"] == Observation(
        table=table("t"),
        uuid="uuid-t",
        snapshot_id=1,
        state_at=at("09:10"),
        row_count=100,
        byte_count=1000,
        total_records=100,
        position_deletes=0,
        equality_deletes=0,
        last_data_change=at("09:10"),
        exact_deletes=True,
    )  # nothing of the listing beside it: that shows a later state, on which no hour may lean
    assert verdict.state == "complete"


def test_an_unchanged_table_is_not_read() -> None:
    warehouse = HistoryWarehouse({"t": [LOADED]})
    source = catalog(listed("t", LOADED))
    first, _ = hour(warehouse, source)
    warehouse.asked.clear()
    observed, verdict = next_hour(warehouse, listed("t", LOADED), first["t"])
    assert warehouse.asked == []
    assert observed == first
    assert verdict.counts["unchanged"] == 1


def test_a_catalog_listed_before_the_hours_end_lets_no_table_go_unread() -> None:
    warehouse = HistoryWarehouse({"t": [LOADED]})
    first, _ = hour(warehouse, catalog(listed("t", LOADED)))
    warehouse.asked.clear()
    old = catalog(listed("t", LOADED), collected_at=HOUR.end - timedelta(minutes=1))
    hour(warehouse, old, before=earlier(first["t"]))
    rows, files = warehouse.asked  # nor is it known that it was not replaced by an empty one since
    assert ("history" in rows, "metadata_log_entries" in files) == (True, True)


def test_a_moved_metadata_file_is_read_from_the_observed_state_on() -> None:
    again = Commit(at=at("09:40"), rows=120)
    warehouse = HistoryWarehouse({"t": [Commit(at=at("08:10"), rows=100), again]})
    before = Observation(
        table=table("t"), uuid="uuid-t", snapshot_id=1, state_at=at("08:10"),
        last_data_change=at("08:10"), surveyed_snapshot_id=1, metadata_location="file:/t/1.json",
    )  # fmt: skip
    observed, _ = hour(warehouse, catalog(listed("t", again, number=2)), before=earlier(before))
    assert observed["t"].row_count == 120
    since = at("08:09")  # a minute before it: by so much the next commit may be stamped too early
    assert (
        f"made_current_at >= timestamp_millis({round(since.timestamp() * 1000)})"
        in warehouse.asked[0]
    )


def test_a_commit_that_a_slow_clock_stamped_before_the_observed_row_is_not_missed() -> None:
    """Iceberg takes it, up to a minute."""
    slow = Commit(at=LOADED.at - timedelta(seconds=59), rows=120)
    warehouse = HistoryWarehouse({"t": [LOADED]})
    first, _ = hour(warehouse, catalog(listed("t", LOADED)))
    warehouse.commits = {"t": [LOADED, slow]}
    observed, verdict = next_hour(warehouse, listed("t", slow, number=2), first["t"])
    seen = observed["t"]
    assert (seen.snapshot_id, seen.row_count, verdict.state) == (2, 120, "complete")


def test_ledger_4_a_write_that_was_rolled_back_moves_the_metadata_file_and_is_read() -> None:
    loaded = replace(LOADED, id=1)
    warehouse = HistoryWarehouse({"t": [loaded]})
    before = Observation(
        table=table("t"), uuid="uuid-t", snapshot_id=1, state_at=at("08:10"),
        surveyed_snapshot_id=1, metadata_location="file:/t/1.json",
    )  # fmt: skip
    hour(warehouse, catalog(listed("t", loaded, number=3)), before=earlier(before))
    assert warehouse.asked != []


@pytest.mark.parametrize("v2", [False, True])
def test_ledger_4_a_write_rolled_back_before_the_hours_own_listing_is_read_in_the_next_hour(
    v2: bool,
) -> None:
    """That listing shows the file that the rollback wrote, and so does the next one."""
    rollback = replace(LOADED, at=at("10:03"), id=1)
    warehouse = HistoryWarehouse({"t": [LOADED, Commit(at=at("10:02"), rows=150), rollback]})
    entry = listed("t", rollback, number=3)
    entry = without_location(entry) if v2 else entry
    first, _ = hour(warehouse, catalog(entry))
    assert first["t"].last_data_change == LOADED.at
    warehouse.asked.clear()
    observed, verdict = next_hour(warehouse, entry, first["t"])
    assert (observed["t"].row_count, observed["t"].last_data_change) == (100, rollback.at)
    assert verdict.counts["read"] == 1
    warehouse.asked.clear()
    next_hour(warehouse, entry, observed["t"])
    assert warehouse.asked == []


@pytest.mark.parametrize(("minutes", "asked"), [(5, 0), (65, 2)])
def test_a_table_without_a_snapshot_or_a_location_is_read_until_a_listing_of_its_hour_is_known(
    minutes: int, asked: int
) -> None:
    warehouse = HistoryWarehouse({"t": []}, created={"t": at("01:00")})
    entry = without_location(listed("t", None))
    listed_at = HOUR.end + timedelta(minutes=minutes)
    first, _ = hour(warehouse, catalog(entry, collected_at=listed_at))
    warehouse.asked.clear()
    observed, _ = next_hour(warehouse, entry, first["t"])
    assert (observed["t"].row_count, len(warehouse.asked)) == (0, asked)


def test_a_late_survey_is_nothing_the_next_hour_may_lean_on() -> None:
    """Between an old hour's end and a listing of now, a write and its rollback leave no trace in the listing."""
    observed, _ = said(
        run(
            HistoryWarehouse({"t": [LOADED]}),
            catalog(listed("t", LOADED), collected_at=at("12:00")),
        )[HOUR]
    )
    assert (observed["t"].surveyed_snapshot_id, observed["t"].metadata_location) == (None, None)


def test_a_range_reads_each_table_once_and_carries_the_last_change_upward() -> None:
    commits = [
        Commit(at=at("07:10"), rows=100),
        Commit(at=at("08:20"), operation="replace", rows=100),
        Commit(at=at("09:30"), rows=150),
    ]
    warehouse = HistoryWarehouse({"t": commits}, created={"t": at("06:50")})
    windows = [HourWindow(at(f"0{hour}:00")) for hour in (6, 7, 8, 9)]
    answers = run(warehouse, catalog(listed("t", commits[-1], number=3)), windows=windows)
    rows = [said(answers[window])[0]["t"].row_count for window in windows]
    changes = [said(answers[window])[0]["t"].last_data_change for window in windows]
    assert rows == [0, 100, 100, 150]
    assert changes == [None, at("07:10"), at("07:10"), at("09:30")]
    assert len(warehouse.asked) == 3  # bounded, whole, and how it began
    assert list(answers) == windows


def test_a_range_that_is_read_from_a_rewrite_on_knows_its_last_change_in_every_hour() -> None:
    """Found by random histories: from the second rewrite on the range forgot what was known before it."""
    commits = [
        Commit(at=at("05:10"), rows=100),
        Commit(at=at("06:20"), operation="replace", rows=100),
        Commit(at=at("07:20"), operation="replace", rows=100),
    ]
    before = Observation(
        table=table("t"), uuid="uuid-t", snapshot_id=2, state_at=at("06:20"),
        last_data_change=at("05:10"),
    )  # fmt: skip
    windows = [HourWindow(at(f"0{hour}:00")) for hour in (7, 8, 9)]
    answers = run(
        HistoryWarehouse({"t": commits}),
        catalog(listed("t", commits[-1], number=3)),
        windows=windows,
        before=earlier(before, window=windows[0].previous),
    )
    changes = [said(answers[window])[0]["t"].last_data_change for window in windows]
    assert changes == [at("05:10")] * 3


BROKEN = StatementFailed("metadata file is gone.")

DELETING = [
    Commit(at=LOADED.at - timedelta(days=3), rows=100),
    Commit(at=LOADED.at - timedelta(days=2), operation="delete", rows=100, position=3),
    Commit(at=LOADED.at, operation="delete", rows=100, position=5),
]
"""Position deletes since long ago: whether they can be subtracted stands in the oldest snapshots."""


def test_ancestors_alone_are_read_where_they_alone_are_missing() -> None:
    warehouse = HistoryWarehouse({"t": DELETING})
    observed, _ = hour(warehouse, catalog(listed("t", DELETING[2], number=3)))
    assert observed["t"].row_count == 95
    bounded, older = warehouse.asked
    since = round((DELETING[2].at - timedelta(hours=25)).timestamp() * 1000)
    assert f"made_current_at >= timestamp_millis({since})" in bounded
    assert f"committed_at < timestamp_millis({since})" in older
    assert "history" not in older


def test_ancestors_that_cannot_be_read_leave_the_table_unreadable() -> None:
    class Failing(HistoryWarehouse):
        """Its older snapshots cannot be read."""

        def ask(self, statement: str, *, deadline_s: float | None = None) -> Sequence[Row]:
            if "`history`" not in statement:
                raise BROKEN
            return HistoryWarehouse.ask(self, statement, deadline_s=deadline_s)

    observed, verdict = hour(
        Failing({"t": DELETING, "u": [LOADED]}),
        catalog(listed("t", DELETING[2], number=3), listed("u", LOADED)),
    )
    [omission] = verdict.omissions
    assert (set(observed), omission.scope[-1], omission.kind) == ({"u"}, "t", "unreadable")


def test_hours_before_a_table_was_created_say_nothing_of_it() -> None:
    warehouse = HistoryWarehouse({"t": [LOADED]}, created={"t": at("09:05")})
    answers = run(warehouse, catalog(listed("t", LOADED)), windows=[HOUR.previous, HOUR])
    observed, verdict = said(answers[HOUR.previous])
    assert (observed, verdict.state, verdict.counts["not yet created"]) == ({}, "complete", 1)
    assert said(answers[HOUR])[0]["t"].row_count == 100


def test_an_empty_table_is_measured_as_zero_without_reading_it() -> None:
    warehouse = HistoryWarehouse({"t": []})
    observed, verdict = hour(warehouse, catalog(listed("t", None)))
    assert (observed["t"].row_count, observed["t"].last_data_change) == (0, None)
    assert (warehouse.asked, verdict.state) == ([], "complete")


def test_an_expired_past_is_unknown_and_never_todays_value() -> None:
    left = Commit(at=at("10:02"), rows=5, parent=41, id=42)
    warehouse = HistoryWarehouse({"t": [left]}, created={"t": at("01:00")})
    before = Observation(
        table=table("t"), uuid="uuid-t", snapshot_id=7, state_at=at("08:10"), row_count=3
    )
    answers = run(warehouse, catalog(listed("t", left, number=9)), before=earlier(before))
    draft = answers[HOUR]
    assert isinstance(draft, Draft)
    verdict = draft.verdict()
    assert (verdict.state, list(draft.records)) == ("unknown", [])
    assert [one.kind for one in verdict.omissions] == ["unknowable"]


def test_the_hours_own_manifest_is_evidence_for_what_was_expired_since() -> None:
    left = Commit(at=at("10:02"), rows=5, parent=41, id=42)
    warehouse = HistoryWarehouse({"t": [left]}, created={"t": at("01:00")})
    known = Observation(
        table=table("t"), uuid="uuid-t", snapshot_id=7, state_at=at("08:10"), row_count=3
    )
    own = EarlierInput(manifest_id="mine", window=HOUR, observations=(known,))
    observed, verdict = hour(warehouse, catalog(listed("t", left, number=9)), own=lambda _: own)
    assert observed["t"].row_count == 3
    assert verdict.counts["as collected before"] == 1


def test_an_expired_write_before_a_rewrite_keeps_the_change_the_hour_knew() -> None:
    rewrite = Commit(at=at("09:20"), operation="replace", rows=100, parent=41, id=42)
    own = EarlierInput(
        manifest_id="mine",
        window=HOUR,
        observations=(
            Observation(
                table=table("t"),
                uuid="uuid-t",
                snapshot_id=42,
                row_count=100,
                last_data_change=at("08:00"),
            ),
        ),
    )
    observed, _ = hour(
        HistoryWarehouse({"t": [rewrite]}), catalog(listed("t", rewrite)), own=lambda _: own
    )
    assert observed["t"].last_data_change == at("08:00")


def test_a_lone_rewrite_is_no_freshness_and_says_so() -> None:
    rewrite = Commit(at=at("09:20"), operation="replace", rows=100, parent=41, id=42)
    observed, verdict = hour(HistoryWarehouse({"t": [rewrite]}), catalog(listed("t", rewrite)))
    assert (observed["t"].row_count, observed["t"].last_data_change) == (100, None)
    assert [(one.question, one.kind) for one in verdict.omissions] == [("freshness", "unknowable")]


def test_equality_deletes_leave_the_row_count_unknown_beside_the_raw_totals() -> None:
    commit = Commit(at=at("09:20"), operation="overwrite", rows=100, equality=2)
    observed, verdict = hour(HistoryWarehouse({"t": [commit]}), catalog(listed("t", commit)))
    seen = observed["t"]
    assert (seen.row_count, seen.total_records, seen.equality_deletes) == (None, 100, 2)
    assert [one.question for one in verdict.omissions] == ["row count"]


def test_a_broken_table_takes_no_other_along_and_is_carried_unsent() -> None:
    names = [f"t{number}" for number in range(8)]
    warehouse = HistoryWarehouse({name: [LOADED] for name in names}, broken={"t5": BROKEN})
    before = Observation(
        table=table("t5"), uuid="uuid-t5", snapshot_id=9, state_at=at("08:00"), row_count=4
    )
    observed, verdict = hour(
        warehouse,
        catalog(*(listed(name, LOADED) for name in names)),
        before=earlier(before),
        batch_tables=8,
    )
    assert observed["t5"] == replace(before, carried_from="before")
    assert [name for name, one in observed.items() if one.carried_from is None] == [
        name for name in names if name != "t5"
    ]
    assert [(one.scope, one.kind) for one in verdict.omissions] == [
        ("spark_catalog.db.t5", "unreadable")
    ]
    assert len(warehouse.asked) == 7


def test_ledger_3_a_range_hands_on_what_an_hour_knew() -> None:
    warehouse = HistoryWarehouse({"t": [LOADED], "u": [LOADED]}, broken={"t": BROKEN})
    known = Observation(
        table=table("t"), uuid="uuid-t", snapshot_id=9, state_at=at("07:10"), row_count=3
    )

    def own(window: HourWindow) -> EarlierInput | None:
        if window == HOUR:
            return None
        return EarlierInput(manifest_id="mine", window=window, observations=(known,))

    source = catalog(listed("t", LOADED), listed("u", LOADED))
    draft = run(warehouse, source, windows=(HOUR.previous, HOUR), own=own)[HOUR]
    assert isinstance(draft, Draft)
    assert replace(known, carried_from="mine") in list(draft.records)


def test_what_was_carried_keeps_the_manifest_it_first_came_from() -> None:
    before = Observation(table=table("a"), uuid="uuid-a", snapshot_id=9, carried_from="older")
    warehouse = HistoryWarehouse({"a": [LOADED], "b": [LOADED]}, broken={"a": BROKEN})
    observed, _ = hour(
        warehouse, catalog(listed("a", LOADED), listed("b", LOADED)), before=earlier(before)
    )
    assert observed["a"].carried_from == "older"


@pytest.mark.parametrize("sql_state", ["42P01", "42K05"])
def test_ledger_2_a_table_dropped_after_the_listing_is_unknowable_and_no_failure(
    sql_state: str,
) -> None:
    gone = StatementFailed("not found.", sql_state=sql_state)
    warehouse = HistoryWarehouse({"t": [LOADED], "u": [LOADED]}, broken={"t": gone}, listed=["u"])
    observed, verdict = hour(warehouse, catalog(listed("t", LOADED), listed("u", LOADED)))
    assert list(observed) == ["u"]
    assert [(one.scope, one.kind) for one in verdict.omissions] == [
        ("spark_catalog.db.t", "unknowable")
    ]


def test_a_table_that_left_the_catalog_is_said_to_be_dropped_once() -> None:
    before = Observation(table=table("old"), uuid="uuid-old", snapshot_id=9)
    warehouse = HistoryWarehouse({"t": [LOADED]})
    answers = run(
        warehouse, catalog(listed("t", LOADED)), before=earlier(before, window=HOUR.previous.previous),
        windows=[HOUR.previous, HOUR],
    )  # fmt: skip
    first, second = (said(answers[window])[1] for window in (HOUR.previous, HOUR))
    assert [one.scope for one in first.omissions if "dropped" in one.reason] == [
        "spark_catalog.db.old"
    ]
    assert second.omissions == ()


def test_ledger_5_tables_of_an_unreadable_database_are_carried_and_not_dropped() -> None:
    shut = Omission(
        scope="spark_catalog.shut",
        question="list tables",
        kind="unreadable",
        reason="no permission.",
    )
    hidden = TableId("spark_catalog", ("shut",), "t")
    before = Observation(table=hidden, uuid="uuid-x", snapshot_id=9)
    answers = run(
        HistoryWarehouse({"u": [LOADED]}),
        catalog(listed("u", LOADED), omissions=(shut,)),
        before=earlier(before),
    )
    observed, verdict = said(answers[HOUR])
    assert observed["t"].carried_from == "before"
    assert verdict.omissions == (shut,)


def test_a_new_uuid_under_an_old_name_carries_nothing() -> None:
    rewrite = Commit(at=at("09:20"), operation="replace", rows=100, parent=41, id=42)
    before = Observation(
        table=table("t"),
        uuid="another",
        snapshot_id=41,
        state_at=at("08:00"),
        last_data_change=at("08:00"),
    )
    observed, verdict = hour(
        HistoryWarehouse({"t": [rewrite]}), catalog(listed("t", rewrite)), before=earlier(before)
    )
    assert observed["t"].last_data_change is None
    assert verdict.counts.get("dropped") is None


def test_an_old_uuid_under_a_new_name_is_a_rename() -> None:
    rewrite = Commit(at=at("09:20"), operation="replace", rows=100, parent=41, id=42)
    before = Observation(
        table=table("old"),
        uuid="uuid-new",
        snapshot_id=41,
        state_at=at("08:00"),
        last_data_change=at("08:00"),
    )
    observed, verdict = hour(
        HistoryWarehouse({"new": [rewrite]}),
        catalog(listed("new", rewrite)),
        before=earlier(before),
    )
    assert observed["new"].last_data_change == at("08:00")
    assert verdict.state == "complete"


def test_ledger_2_too_many_unreadable_tables_fail_the_hour() -> None:
    names = [f"t{number}" for number in range(8)]
    warehouse = HistoryWarehouse(
        {name: [LOADED] for name in names}, broken=dict.fromkeys(names[:4], BROKEN)
    )
    answer = run(warehouse, catalog(*(listed(name, LOADED) for name in names)))[HOUR]
    assert isinstance(answer, HourFailed)
    assert "4 of 8 tables" in str(answer)


def test_a_lakehouse_that_goes_away_is_every_hours_answer() -> None:
    warehouse = HistoryWarehouse({"t": [LOADED]}, broken={"t": LakehouseUnavailable("gone.")})
    answers = run(warehouse, catalog(listed("t", LOADED)), windows=[HOUR.previous, HOUR])
    assert [type(answer) for answer in answers.values()] == [LakehouseUnavailable] * 2


def test_ledger_6_an_hour_that_has_not_ended_is_refused_and_the_others_are_not() -> None:
    answers = run(
        HistoryWarehouse({"t": [LOADED]}), catalog(listed("t", LOADED)), windows=[HOUR, HOUR.next]
    )
    assert isinstance(answers[HOUR], Draft)
    assert isinstance(answers[HOUR.next], HourFailed)


def test_ledger_5_one_survey_serves_every_hour_without_a_catalog() -> None:
    surveys: list[CatalogInput] = []

    def survey() -> CatalogInput:
        surveys.append(replace(catalog(listed("t", LOADED)), manifest_id=None, window=None))
        return surveys[-1]

    answers = dict(
        collect(
            [HOUR.previous, HOUR],
            HistoryWarehouse({"t": [LOADED]}, created={"t": at("09:05")}),
            config=ObservationConfig(),
            catalog_for=lambda _: None,
            earlier=None,
            own=never,
            survey=survey,
            now=NOW,
        )
    )
    assert len(surveys) == 1
    draft = answers[HOUR]
    assert isinstance(draft, Draft)
    assert "catalog_from" not in draft.inputs


def test_ledger_8_a_manifest_names_those_it_was_read_beside() -> None:
    answers = run(
        HistoryWarehouse({"t": [LOADED]}),
        catalog(listed("t", LOADED)),
        before=earlier(Observation(table=table("t"), uuid="uuid-t")),
    )
    draft = answers[HOUR]
    assert isinstance(draft, Draft)
    assert draft.inputs == {"catalog_from": "cat", "carried_from": "before"}


def test_views_and_ordinary_tables_are_counted_and_not_observed() -> None:
    view = TableEntry(table=table("v"), kind="view", format="other", columns=())
    plain = TableEntry(table=table("p"), kind="table", format="other", columns=())
    observed, verdict = hour(
        HistoryWarehouse({"t": [LOADED]}), catalog(view, plain, listed("t", LOADED))
    )
    assert list(observed) == ["t"]
    assert (verdict.counts["views skipped"], verdict.counts["other tables skipped"]) == (1, 1)


def test_a_rollback_counts_when_it_happened_and_finds_its_snapshot_however_old() -> None:
    commits = [
        Commit(at=at("02:10"), rows=100),
        Commit(at=at("08:20"), rows=150),
        Commit(at=at("09:30"), rows=100, id=1),
    ]

    class OlderSnapshots(HistoryWarehouse):
        """``.snapshots`` has one row a snapshot, at its commit; ids can be asked for by name."""

        def _branch(self, branch: str) -> list[Row]:
            if "snapshot_id IN (1)" in branch:
                return [{**self._row(commits[0], 1), "n": 0, "kind": "s", "at_ms": 0}]
            rows = super()._branch(branch)
            return [row for row in rows if row["kind"] != "s" or row["snapshot_id"] != 1]

    before = Observation(
        table=table("t"),
        uuid="uuid-t",
        snapshot_id=2,
        state_at=at("08:20"),
        last_data_change=at("08:20"),
    )
    observed, _ = hour(
        OlderSnapshots({"t": commits}),
        catalog(listed("t", commits[2], number=3)),
        before=earlier(before),
    )
    seen = observed["t"]
    assert (seen.snapshot_id, seen.row_count, seen.last_data_change) == (1, 100, at("09:30"))


def test_a_known_table_whose_rows_are_all_older_than_what_was_known_is_read_whole() -> None:
    """Registered from an older metadata file, or another table under its name: no row since is not no rows."""
    commits = [Commit(at=at("02:10"), rows=3)]
    before = Observation(
        table=table("t"),
        uuid="uuid-t",
        snapshot_id=9,
        state_at=at("08:20"),
        last_data_change=at("08:20"),
        row_count=17,
    )
    observed, _ = hour(
        HistoryWarehouse({"t": commits}, created={"t": at("01:00")}),
        catalog(listed("t", commits[0], number=1)),
        before=earlier(before),
    )
    seen = observed["t"]
    assert (seen.row_count, seen.state_at) == (3, at("02:10"))
    assert seen.last_data_change == at("02:10")


def emptied(entry: TableEntry) -> TableEntry:
    """As the survey shows a table that was replaced by an empty one."""
    assert entry.state is not None
    return replace(entry, state=replace(entry.state, snapshot_id=None, snapshot_at=None))


@pytest.mark.parametrize("counted", [True, False])
def test_a_table_replaced_by_an_empty_one_has_no_rows_since_then(*, counted: bool) -> None:
    """Whether or not the listing counts its snapshots: DESCRIBE does not."""
    entry = emptied(listed("t", LOADED))
    assert entry.state is not None
    if not counted:
        entry = replace(entry, state=SurveyedState())
    warehouse = HistoryWarehouse({"t": [LOADED]}, altered={"t": [at("09:40")]}, emptied=["t"])
    observed, verdict = hour(warehouse, catalog(entry))
    seen = observed["t"]
    assert (seen.snapshot_id, seen.row_count, seen.last_data_change) == (None, 0, at("09:40"))
    assert verdict.state == "complete"


def test_of_two_files_without_a_commit_either_may_be_the_replacement() -> None:
    warehouse = HistoryWarehouse(
        {"t": [LOADED]}, altered={"t": [at("09:40"), at("10:01")]}, emptied=["t"]
    )
    observed, verdict = hour(warehouse, catalog(emptied(listed("t", LOADED))))
    assert (observed, verdict.state) == ({}, "unknown")
    assert "may have been replaced by an empty table after 2026-11-21 09:40 UTC" in str(
        verdict.omissions
    )
    warehouse.altered = {"t": [at("09:40"), at("09:50")]}
    observed, verdict = hour(warehouse, catalog(emptied(listed("t", LOADED))))
    seen = observed["t"]
    assert (seen.row_count, seen.last_data_change) == (0, None)
    assert (verdict.state, verdict.counts["freshness unknown"]) == ("partial", 1)


def metadata(snapshot_id: int | None) -> str:
    return json.dumps({"format-version": 2, "current-snapshot-id": snapshot_id})


def by_path(warehouse: HistoryWarehouse) -> list[str]:
    return [statement for statement in warehouse.asked if "binaryFile" in statement]


@pytest.mark.parametrize(
    ("snapshot_id", "rows", "change"),
    [(1, 100, "09:10"), (-1, 0, "09:40"), (None, 0, "09:40")],
)
def test_the_metadata_file_of_an_hours_end_tells_whether_the_table_had_data(
    snapshot_id: int | None, rows: int, change: str
) -> None:
    files = {at("09:40"): metadata(snapshot_id)}
    warehouse = HistoryWarehouse(
        {"t": [LOADED]}, altered={"t": [at("09:40"), at("10:01")]}, emptied=["t"], files=files
    )
    observed, verdict = hour(warehouse, catalog(emptied(listed("t", LOADED))))
    seen = observed["t"]
    assert (seen.row_count, seen.last_data_change) == (rows, at(change))
    assert (verdict.state, len(by_path(warehouse))) == ("complete", 1)


@pytest.mark.parametrize(
    ("snapshot_id", "parent", "rows", "asked"), [(-1, 0, 0, 1), (4, 0, None, 1), (4, 4, None, 0)]
)
def test_the_metadata_file_of_an_hour_before_the_oldest_row_tells_a_table_never_written(
    snapshot_id: int, parent: int, rows: int | None, asked: int
) -> None:
    """Unless the row's parent was expired: then it had data."""
    late = Commit(at=at("10:03"), operation="overwrite", rows=5, parent=parent, id=5)
    warehouse = HistoryWarehouse(
        {"t": [late]}, altered={"t": [at("09:30")]}, files={at("09:30"): metadata(snapshot_id)}
    )
    observed, verdict = hour(warehouse, catalog(listed("t", late, number=5)))
    assert (observed["t"].row_count if observed else None) == rows
    assert verdict.state == ("complete" if rows == 0 else "unknown")
    assert len(by_path(warehouse)) == asked


def test_a_rewrite_made_current_after_an_altered_table_changed_no_data_if_its_file_names_a_snapshot() -> (
    None
):
    rewrite = Commit(at=at("08:20"), operation="replace", rows=100, parent=1, id=2)
    commits = [
        Commit(at=at("08:10"), rows=100),
        rewrite,
        Commit(at=at("08:30"), rows=100, id=1),
        replace(rewrite, at=at("08:50")),
    ]
    for files, change in ((None, None), ({at("08:40"): metadata(1)}, at("08:30"))):
        warehouse = HistoryWarehouse({"t": commits}, altered={"t": [at("08:40")]}, files=files)
        observed, _ = hour(warehouse, catalog(listed("t", commits[3], number=4)))
        assert (observed["t"].row_count, observed["t"].last_data_change) == (100, change)


def test_a_file_that_cannot_be_read_leaves_its_table_unknown_for_that_reason_and_no_other() -> None:
    missing = StatementFailed("no such file", sql_state="42K03")
    files = {at("09:40"): missing, at("09:41"): metadata(1), at("09:42"): "\x1f\x8b"}
    altered = {f"t{at.minute}": [at, at + timedelta(minutes=30)] for at in files}
    warehouse = HistoryWarehouse(
        {name: [LOADED] for name in altered}, altered=altered, emptied=[*altered], files=files
    )
    observed, verdict = hour(warehouse, catalog(*(emptied(listed(t, LOADED)) for t in altered)))
    assert {name: seen.row_count for name, seen in observed.items()} == {"t41": 100}
    reasons = {omission.scope[-3:]: omission.reason for omission in verdict.omissions}
    assert "no such file" in reasons["t40"]
    assert "no JSON" in reasons["t42"]


@pytest.mark.parametrize(
    ("files", "folder", "asked", "reason"),
    [
        (None, "m", 1, "no right to read paths"),
        ({at("09:40"): StatementTimedOut("too slow")}, "m", 1, "too slow"),
        ({}, "m{1}", 0, "Spark takes its path for a pattern"),
    ],
)
def test_who_may_read_no_paths_is_refused_once(
    files: Mapping[datetime, str | LakehouseError] | None, folder: str, asked: int, reason: str
) -> None:
    altered = {name: [at(f"09:4{number}"), at("10:01")] for number, name in enumerate("abc")}
    warehouse = HistoryWarehouse(
        {name: [LOADED] for name in altered},
        altered=altered,
        emptied=[*altered],
        folder=folder,
        files=files,
    )
    observed, verdict = hour(warehouse, catalog(*(emptied(listed(t, LOADED)) for t in altered)))
    assert (observed, len(verdict.omissions), len(by_path(warehouse))) == ({}, 3, asked)
    assert all(reason in omission.reason for omission in verdict.omissions)
    not_asked = [one.scope[-1] for one in verdict.omissions if "not asked for" in one.reason]
    assert not_asked == (["b", "c"] if asked else [])


def test_the_hour_between_such_a_replacement_and_the_next_write_is_told_after_it() -> None:
    again = Commit(at=at("10:03"), rows=7, parent=0)
    commits = [replace(LOADED, at=at("08:10")), again]
    for operation, rows in (("append", 0), ("overwrite", None)):
        warehouse = HistoryWarehouse(
            {"t": [commits[0], replace(again, operation=operation)]}, altered={"t": [at("09:40")]}
        )
        answers = run(
            warehouse, catalog(listed("t", again, number=2)), windows=(HOUR.previous, HOUR)
        )
        (before, _), (then, _) = (said(answers[window]) for window in (HOUR.previous, HOUR))
        assert before["t"].row_count == 100
        assert (then["t"].row_count if then else None) == rows


def test_what_is_altered_right_after_a_load_is_no_replacement_once_an_hour_saw_the_load() -> None:
    """As dbt does it: CREATE OR REPLACE TABLE AS, then comments, some minutes past every hour."""
    loads = [
        Commit(at=at("09:02"), rows=100),
        Commit(at=at("10:02"), operation="overwrite", rows=200, parent=0),
    ]
    warehouse = HistoryWarehouse({"t": loads}, altered={"t": [at("09:03")]})
    now = catalog(listed("t", loads[1], number=2))
    unknown, _ = hour(warehouse, now)
    assert unknown == {}
    eight = HistoryWarehouse({"t": loads[:1]}, altered={"t": [at("09:03")]})
    first, _ = hour(eight, catalog(listed("t", loads[0])))
    seen = earlier(first["t"], window=HOUR)
    later = run(warehouse, now, windows=(HOUR,), before=replace(seen, swept=HOUR.previous))
    observed, _ = said(later[HOUR])
    assert observed["t"].row_count == 100


def test_a_count_of_no_snapshots_alone_does_not_tell_that_a_table_never_had_any() -> None:
    """What a replacement and an expiry leave of a table that had data at the hour's end."""
    entry = listed("t", None, number=4)
    assert entry.state is not None
    lost = replace(entry, state=replace(entry.state, metadata_location="m/00003-a.metadata.json"))
    files = [at("09:10"), at("10:01"), at("10:02")]
    warehouse = HistoryWarehouse({"t": []}, created={"t": at("01:00")}, altered={"t": files})
    observed, verdict = hour(warehouse, catalog(lost))
    assert (observed, verdict.state) == ({}, "unknown")


def test_tables_that_changed_names_are_known_by_their_uuids() -> None:
    rewrites = {
        name: Commit(at=at("09:20"), operation="replace", rows=100, parent=41, id=42)
        for name in ("blue", "green")
    }
    before = [
        Observation(
            table=table(name),
            uuid=f"uuid-{other}",
            snapshot_id=41,
            state_at=at("08:00"),
            last_data_change=at(changed),
        )
        for name, other, changed in (("blue", "green", "05:00"), ("green", "blue", "06:00"))
    ]
    observed, verdict = hour(
        HistoryWarehouse({name: [one] for name, one in rewrites.items()}),
        catalog(*(listed(name, one) for name, one in rewrites.items())),
        before=earlier(*before),
    )
    changes = {name: seen.last_data_change for name, seen in observed.items()}
    assert (changes, verdict.state) == ({"blue": at("06:00"), "green": at("05:00")}, "complete")


def test_tables_whose_names_differ_by_case_only_are_two() -> None:
    """A catalog of folders has such; it shows no uuids."""
    rewrite = Commit(at=at("09:20"), operation="replace", rows=100, parent=41, id=42)
    before = [
        Observation(
            table=table(name), snapshot_id=41, state_at=at("08:00"), last_data_change=at(changed)
        )
        for name, changed in (("t", "05:00"), ("T", "06:00"))
    ]
    entries = [
        replace(listed(name, rewrite), state=SurveyedState(snapshot_id=42)) for name in ("t", "T")
    ]
    warehouse = HistoryWarehouse({"t": [rewrite], "T": [rewrite]})
    observed, _ = hour(warehouse, catalog(*entries), before=earlier(*before))
    changes = {name: seen.last_data_change for name, seen in observed.items()}
    assert changes == {"t": at("05:00"), "T": at("06:00")}
    observed, _ = hour(warehouse, catalog(*entries), before=earlier(before[1]))
    changes = {name: seen.last_data_change for name, seen in observed.items()}
    assert changes == {"t": None, "T": at("06:00")}
    observed, verdict = hour(warehouse, catalog(entries[0]), before=earlier(*before))
    assert (observed["t"].last_data_change, verdict.counts["dropped"]) == (at("05:00"), 1)
    observed, verdict = hour(warehouse, catalog(entries[0]), before=earlier(before[1]))
    assert (observed["t"].last_data_change, verdict.counts.get("dropped")) == (at("06:00"), None)


def test_an_hours_catalog_may_name_a_table_that_was_created_again_since() -> None:
    old, new = listed("t", LOADED, uuid="first"), listed("t", LOADED, uuid="second")
    catalogs = {HOUR.previous: catalog(old), HOUR: catalog(new)}
    answers = dict(
        collect(
            catalogs,
            HistoryWarehouse({"t": [LOADED]}, created={"t": at("09:05")}),
            config=ObservationConfig(),
            catalog_for=catalogs.get,
            earlier=None,
            own=never,
            survey=no_survey,
            now=NOW,
        )
    )
    assert said(answers[HOUR.previous])[1].counts["dropped"] == 1
    assert said(answers[HOUR])[0]["t"].row_count == 100


def test_what_an_hour_knew_of_a_table_dropped_since_is_kept() -> None:
    known = Observation(
        table=table("gone"),
        uuid="uuid-gone",
        snapshot_id=7,
        state_at=at("08:10"),
        row_count=3,
        last_data_change=at("08:10"),
    )
    own = EarlierInput(manifest_id="mine", window=HOUR, observations=(known,))
    observed, verdict = hour(
        HistoryWarehouse({"t": [LOADED]}),
        catalog(listed("t", LOADED)),
        before=earlier(known),
        own=lambda _: own,
    )
    assert observed["gone"] == known
    assert verdict.state == "complete"


def test_a_table_that_timed_out_alone_is_unreadable() -> None:
    slow = StatementTimedOut("cancelled after 300 s.")
    warehouse = HistoryWarehouse({"t": [LOADED], "u": [LOADED]}, broken={"t": slow})
    _, verdict = hour(warehouse, catalog(listed("t", LOADED), listed("u", LOADED)))
    assert [(one.kind, one.reason) for one in verdict.omissions] == [("unreadable", str(slow))]


def test_a_table_that_hangs_costs_two_deadlines_whatever_the_size_of_its_batch() -> None:
    names = [f"t{number}" for number in range(10)]
    slow = StatementTimedOut("cancelled after 300 s.")
    warehouse = HistoryWarehouse({name: [LOADED] for name in names}, broken={"t7": slow})
    observed, _ = hour(
        warehouse, catalog(*(listed(name, LOADED) for name in names)), batch_tables=10
    )
    assert sorted(observed) == [name for name in names if name != "t7"]
    hung = [statement for statement in warehouse.asked if "`t7`" in statement]
    assert len(hung) == 2


def test_a_summary_without_totals_says_why_there_are_no_rows() -> None:
    commit = Commit(at=at("09:20"), rows=None)
    observed, verdict = hour(HistoryWarehouse({"t": [commit]}), catalog(listed("t", commit)))
    assert observed["t"].row_count is None
    assert "total-records" in verdict.omissions[0].reason


def elsewhere(name: str) -> TableId:
    """In a catalog that the settings named once."""
    return TableId("old_catalog", ("db",), name)


def under(
    scope: Exclusions,
    source: CatalogInput,
    *,
    before: EarlierInput | None = None,
    own: EarlierInput | None = None,
) -> tuple[dict[str, Observation], Verdict]:
    """The hour under the settings of today; only ``t`` can be read."""
    answers = collect(
        [HOUR],
        HistoryWarehouse({"t": [LOADED]}),
        config=ObservationConfig(exclusions=scope),
        catalog_for=lambda _: source,
        earlier=before,
        own=lambda _: own,
        survey=no_survey,
        now=NOW,
    )
    return said(dict(answers)[HOUR])


NOW_CONFIGURED = Exclusions(catalogs=("Spark_Catalog",))


def test_tables_of_a_catalog_that_is_no_longer_configured_are_counted_and_not_asked_for() -> None:
    moved = replace(listed("gone", LOADED), table=elsewhere("gone"))
    unreadable = Omission(
        scope="old_catalog.db.broken", question="columns", kind="unreadable", reason="no."
    )
    source = replace(
        catalog(listed("t", LOADED), moved, omissions=(unreadable,)),
        listed=("spark_catalog", "old_catalog"),
    )
    observed, verdict = under(NOW_CONFIGURED, source)
    assert set(observed) == {"t"}
    assert (verdict.state, verdict.counts["excluded: other catalog"]) == ("complete", 1)


def test_what_was_known_of_a_catalog_that_is_no_longer_configured_is_neither_sent_nor_dropped() -> (
    None
):
    known = Observation(table=elsewhere("gone"), snapshot_id=1, row_count=7)
    source = catalog(listed("t", LOADED))
    observed, verdict = under(NOW_CONFIGURED, source, before=earlier(known))
    assert (set(observed), verdict.state) == ({"t"}, "complete")
    observed, verdict = under(NOW_CONFIGURED, source, own=earlier(known, window=HOUR))
    assert (set(observed), verdict.state) == ({"t"}, "complete")


def test_a_pattern_set_since_the_catalog_was_stored_leaves_its_tables_out() -> None:
    source = catalog(listed("t", LOADED), listed("stg_t", LOADED))
    observed, verdict = under(Exclusions(("*.*.stg_*",)), source)
    assert (set(observed), verdict.counts["excluded: pattern"]) == ({"t"}, 1)


def test_a_catalog_configured_since_is_said_to_be_missing_from_the_stored_listing() -> None:
    source = replace(catalog(listed("t", LOADED)), listed=("spark_catalog",))
    scope = Exclusions(catalogs=("spark_catalog", "new_catalog"))
    known = Observation(
        table=TableId("new_catalog", ("db",), "n"), snapshot_id=1, row_count=7, carried_from="m"
    )
    observed, verdict = under(scope, source, before=earlier(known))
    assert verdict.state == "partial"
    (omission,) = verdict.omissions
    assert (omission.scope, omission.kind) == ("new_catalog", "unknowable")
    assert observed["n"].carried_from == "m"


@pytest.mark.parametrize(("removed_bytes", "change"), [("4000", at("07:30")), ("4001", None)])
def test_a_rewrite_whose_parent_is_gone_tells_what_it_began_from(
    removed_bytes: str, change: datetime | None
) -> None:
    class Rewritten(HistoryWarehouse):
        """Its one commit left 17 rows in 1,000 bytes of 20 rows with 3 position deletes."""

        def _summary(self, commit: Commit) -> dict[str, str]:
            return {
                **HistoryWarehouse._summary(self, commit),
                "added-records": "17",
                "deleted-records": "20",
                "added-files-size": "1000",
                "removed-files-size": removed_bytes,
                "removed-position-deletes": "3",
            }

    rewrite = Commit(at=at("09:20"), operation="replace", rows=17, parent=41, id=42)
    before = Observation(
        table=table("t"), uuid="uuid-t", snapshot_id=7, state_at=at("08:00"), total_records=20,
        byte_count=4000, position_deletes=3, equality_deletes=0, last_data_change=at("07:30"),
    )  # fmt: skip
    observed, _ = hour(
        Rewritten({"t": [rewrite]}), catalog(listed("t", rewrite)), before=earlier(before)
    )
    assert observed["t"].last_data_change == change
