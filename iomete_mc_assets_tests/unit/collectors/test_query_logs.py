from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.collectors.query_judging import (
    STATUSES,
    UNFINISHED,
    QueryLogRules,
    hashed_id,
    noise,
)
from iomete_mc_assets.collectors.query_log_source import (
    CANDIDATES,
    QueryLogConfig,
    describe,
    source_of,
)
from iomete_mc_assets.collectors.query_log_table import QueryTable
from iomete_mc_assets.collectors.query_logs import collect
from iomete_mc_assets.collectors.query_text import UNMASKABLE, WITHHELD
from iomete_mc_assets.collectors.session_places import MAX_SESSIONS, SessionPlaces
from iomete_mc_assets.errors import (
    HourFailed,
    IometeMcError,
    LakehouseUnavailable,
    SettingsError,
    StatementFailed,
)
from iomete_mc_assets.manifests.model import Draft, Verdict
from iomete_mc_assets.records import QueryRecord
from iomete_mc_assets.settings import QueryText
from iomete_mc_assets.warehouse.rows import Row, Warehouse
from iomete_mc_assets.windows import HourWindow

HOUR = HourWindow.from_key("2026-11-21-05:00")
LATER = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
CONFIG = QueryLogConfig(table="spark_catalog.ops.query_history")
RULES = QueryLogRules()
COLUMNS = {
    "query_id": "string",
    "sql_text": "string",
    "start_time": "timestamp",
    "end_time": "timestamp",
    "status": "string",
}


def micros(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def described(columns: dict[str, str]) -> list[Row]:
    return [
        {"col_name": name, "data_type": kind, "comment": None} for name, kind in columns.items()
    ]


def row(**other: object) -> Row:
    start = HOUR.start + timedelta(minutes=1)
    return {
        "id": "q1",
        "text": "SELECT 1 AS x",
        "user": "ann",
        "status": "COMPLETED",
        "started_us": micros(start),
        "ended_us": micros(start + timedelta(seconds=1)),
        **other,
    }


@dataclass(slots=True)
class Recording(Warehouse):
    """A warehouse that answers from what a test wrote down, by the beginning of the statement."""

    columns: dict[str, str] = field(default_factory=lambda: COLUMNS)
    hours: Callable[[str], Sequence[Row]] = lambda _: ()
    oldest: datetime | None = HOUR.start - timedelta(days=7)
    newest: datetime | None = LATER
    failure: IometeMcError | None = None
    asked: list[str] = field(default_factory=list[str])

    def use(self, catalog: str) -> None:
        raise NotImplementedError

    def ask(self, statement: str, *, deadline_s: float | None = None) -> Sequence[Row]:  # noqa: ARG002 - the seam's
        self.asked.append(statement)
        if self.failure is not None:
            raise self.failure
        if "DESCRIBE" in statement:
            return described(self.columns)
        bounds = (self.oldest, self.newest)
        oldest, newest = (None if bound is None else micros(bound) for bound in bounds)
        return [{"oldest_us": oldest, "newest_us": newest}]

    def stream(self, statement: str, *, rows_per_fetch: int = 1_000) -> Iterator[Row]:  # noqa: ARG002 - the seam's
        self.asked.append(statement)
        yield from self.hours(statement)


def of(
    rows: Sequence[Row],
    *,
    config: QueryLogConfig = CONFIG,
    rules: QueryLogRules = RULES,
    **other: object,
) -> tuple[list[object], Verdict]:
    """Records and verdict of one hour whose source shows these rows."""
    warehouse = Recording(hours=lambda _: rows, **other)  # type: ignore[arg-type]
    source = QueryTable(warehouse, config)
    ((_, draft),) = collect([HOUR], source, rules=rules, now=LATER)
    assert isinstance(draft, Draft)
    return list(draft.records), draft.verdict()


def failure_of(warehouse: Recording, config: QueryLogConfig = CONFIG) -> IometeMcError:
    ((window, error),) = collect([HOUR], QueryTable(warehouse, config), rules=RULES, now=LATER)
    assert window == HOUR
    assert isinstance(error, IometeMcError)
    return error


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("whole", "SELECT 'ann@example.com' AS x"),
        ("masked", "SELECT ? AS x"),
        ("none", WITHHELD),
    ],
)
def test_a_text_is_kept_as_the_setting_says_and_its_id_is_made_of_the_text_as_it_was(
    how: QueryText, text: str
) -> None:
    logged = "SELECT 'ann@example.com' AS x"
    told = row(id=None, text=logged, status="FAILED", error_code="42", error_text=f"in {logged}")
    (record,), verdict = of([told], rules=QueryLogRules(query_text=how))
    assert isinstance(record, QueryRecord)
    assert (record.text, record.error_code) == (text, "42")
    assert record.error_text == (f"in {logged}" if how == "whole" else None)
    assert record.query_id == hashed_id(logged, "ann", record.started_at, record.ended_at)
    assert "texts withheld: not maskable" not in verdict.counts


def test_a_text_that_cannot_be_masked_is_withheld_and_counted() -> None:
    (record,), verdict = of(
        [row(text="SELECT 'ann@example.com")], rules=QueryLogRules(query_text="masked")
    )
    assert isinstance(record, QueryRecord)
    assert record.text == UNMASKABLE
    assert verdict.counts["texts withheld: not maskable"] == 1


def test_a_row_becomes_a_record_with_all_that_its_source_says() -> None:
    shown = row(
        status="FAILED",
        error_code="42P01",
        error_text="no such table",
        rows=7,
        session="s",
        catalog="lake",
        database="sales",
    )
    records, verdict = of([shown])
    assert records == [
        QueryRecord(
            query_id="q1",
            text="SELECT 1 AS x",
            started_at=HOUR.start + timedelta(minutes=1),
            ended_at=HOUR.start + timedelta(minutes=1, seconds=1),
            status="failed",
            user="ann",
            error_code="42P01",
            error_text="no such table",
            returned_rows=7,
            session_id="s",
            catalog="lake",
            database="sales",
        )
    ]
    assert verdict == Verdict(state="complete", counts={"rows read": 1, "queries": 1, "failed": 1})


def test_a_succeeded_query_carries_no_error_whatever_the_source_says() -> None:
    (record,), _ = of([row(error_code="0", error_text="")])
    assert isinstance(record, QueryRecord)
    assert (record.status, record.error_code, record.error_text) == ("succeeded", None, None)


@pytest.mark.parametrize("said", [*STATUSES, "Canceled", "FINISHED"])
def test_every_known_status_in_any_case_is_an_ended_query(said: str) -> None:
    (record,), verdict = of([row(status=said)])
    assert isinstance(record, QueryRecord)
    assert record.status == STATUSES[said.lower()]
    assert verdict.omissions == ()


@pytest.mark.parametrize("said", sorted(UNFINISHED))
def test_unfinished_queries_are_held_back_even_with_an_end(said: str) -> None:
    records, verdict = of([row(status=said.upper())])
    assert records == []
    assert verdict.counts["held back: not ended"] == 1


def test_an_unknown_status_is_held_back_counted_and_named() -> None:
    records, verdict = of([row(status="WEIRD"), row(status="WEIRD"), row(status=None)])
    assert records == []
    assert verdict.state == "complete"
    assert verdict.counts["held back: unknown status"] == 3
    assert [omission.reason.partition(" is not")[0] for omission in verdict.omissions] == [
        "status '' of 1 queries",
        "status 'WEIRD' of 2 queries",
    ]


@pytest.mark.parametrize(
    "times",
    [
        {"started_us": None},
        {"ended_us": None},
        {"started_us": micros(HOUR.start), "ended_us": micros(HOUR.start) - 1},
        {"started_us": -(2**63)},
    ],
)
def test_unusable_times_are_held_back_counted_and_never_mended(times: dict[str, object]) -> None:
    records, verdict = of([row(**times)])
    assert records == []
    assert verdict.counts["held back: unusable times"] == 1
    assert verdict.omissions[0].question == "query times"


def test_a_query_may_end_the_microsecond_it_started() -> None:
    instant = micros(HOUR.start)
    assert len(of([row(started_us=instant, ended_us=instant)])[0]) == 1


def test_without_a_status_column_an_error_text_means_failed_and_no_end_means_running() -> None:
    rows = [
        {key: value for key, value in row(**changed).items() if key != "status"}
        for changed in ({"error_text": "boom"}, {"error_text": None}, {"ended_us": None})
    ]
    records, verdict = of(rows)
    assert [getattr(record, "status", None) for record in records] == ["failed", "succeeded"]
    assert verdict.counts["held back: not ended"] == 1


def test_without_a_status_column_an_error_code_other_than_0_means_failed() -> None:
    rows = [
        {key: value for key, value in row(id=code, error_code=code).items() if key != "status"}
        for code in ("42000", "0", None)
    ]
    records, _ = of(rows)
    told = [getattr(record, "status", None) for record in records]
    assert told == ["failed", "succeeded", "succeeded"]


def test_without_a_status_and_an_error_column_nobody_knows_how_a_query_ended() -> None:
    rows = [{key: value for key, value in row(id=name).items() if key != "status"} for name in "ab"]
    records, verdict = of(rows)
    assert [getattr(record, "status", "") for record in records] == [None, None]
    assert verdict.state == "complete"
    assert verdict.counts == {"rows read": 2, "queries": 2, "status not told by the source": 2}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("USE `default`", "USE"),
        ("use lake", "USE"),
        ("SET a=b", "SET"),
        ("SHOW TABLES", "SHOW"),
        ("DESC t", "DESCRIBE"),
        ("-- who\n/* why */ describe t", "DESCRIBE"),
        ("Listing databases 'catalog : null, ...'", "driver's metadata call"),
        ("DataFrame operation via Spark Connect", "Spark Connect without SQL"),
        ("", "empty text"),
        (" ;\n/* only */ -- comments", "empty text"),
        ("/* iomete_mc_assets */ SELECT 1", "own statement"),
        ("  /* iomete_mc_assets */ SHOW TABLES", "own statement"),
        ("select 1 ;", "health check"),
        ("/* ping */ SELECT 1", "health check"),
        ("SELECT 1 AS x", None),
        ("SELECT 10", None),
        ("SELECT '/* iomete_mc_assets */'", None),
        ("USED_CARS", None),
        ("SETTINGS", None),
        ("(SELECT 1)", None),
        ("WITH a AS (SELECT 1) SELECT * FROM a", None),
        ("/* unclosed", None),
    ],
)
def test_what_is_no_query_is_known_by_its_first_word(text: str, kind: str | None) -> None:
    assert noise(text) == kind


@given(st.text())
def test_any_text_is_noise_of_a_kind_or_a_query(text: str) -> None:
    assert noise(text) is None or noise(text)
    assert noise(f"SELECT x{text}") is None


def test_noise_own_statements_and_excluded_users_are_counted_by_kind() -> None:
    rows = [
        row(text="USE x"),
        row(text="use y"),
        row(text="/* iomete_mc_assets */ SELECT 1"),
        row(text=None),
        row(user="MC-Service"),
        row(user=None),
    ]
    records, verdict = of(rows, rules=QueryLogRules(exclude_users=("mc-service",)))
    assert len(records) == 1
    assert verdict.counts == {
        "rows read": 6,
        "queries": 1,
        "left out: USE": 2,
        "left out: own statement": 1,
        "left out: empty text": 1,
        "left out: excluded user": 1,
        "succeeded": 1,
    }


def at(began_s: int, text: str = "INSERT INTO t SELECT 1", *, ends_s: int, **other: object) -> Row:
    """A row of session ``s``, by seconds of the hour."""
    began, ended = (micros(HOUR.start) + second * 1_000_000 for second in (began_s, ends_s))
    return row(text=text, started_us=began, ended_us=ended, **{"session": "s", **other})


def places(rows: Sequence[Row]) -> list[tuple[str | None, str | None]]:
    records, _ = of(rows, rules=QueryLogRules(catalogs=("lake",)))
    queries = [one for one in records if isinstance(one, QueryRecord)]
    return [(one.catalog, one.database) for one in queries]


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"text": "USE raw"}, (None, "raw")),
        ({"text": "/* iomete_mc_assets */ USE `raw`"}, (None, "raw")),
        ({"text": "USE lake"}, ("lake", None)),
        ({"text": "USE Lake.crm"}, ("Lake", "crm")),
        ({"text": "set catalog lake"}, ("lake", None)),
        ({"text": "USE raw", "status": "FAILED"}, (None, "before")),
        ({"text": "USE raw", "session": "another"}, (None, "before")),
        ({"text": "USE raw", "session": None}, (None, "before")),
        ({"text": "SET x=USE"}, (None, "before")),
        ({"text": "USE raw", "status": "RUNNING"}, (None, None)),
        ({"text": "USE raw", "status": "who knows"}, (None, None)),
        ({"text": "USE raw", "started_us": None}, (None, None)),
        ({"text": "USE IDENTIFIER('raw')"}, (None, None)),
    ],
)
def test_where_no_column_tells_the_database_the_sessions_use_does(
    said: dict[str, object], place: tuple[str | None, str | None]
) -> None:
    rows = [
        at(0, ends_s=1),
        at(2, "USE before", ends_s=3),
        {**at(4, ends_s=5), **said},
        at(6, ends_s=7),
    ]
    assert places(rows) == [(None, None), place]
    assert of(rows)[1].omissions == ()


def test_a_database_follows_the_catalog_that_the_session_is_in() -> None:
    rows = [at(0, "SET CATALOG lake", ends_s=1), at(2, "USE crm", ends_s=3), at(4, ends_s=5)]
    assert places(rows) == [("lake", "crm")]


def test_a_column_for_the_database_is_believed_also_where_it_is_empty() -> None:
    rows = [at(0, "USE raw", ends_s=1), at(2, ends_s=3)]
    assert places([{**one, "database": None} for one in rows]) == [(None, None)]
    assert places([{**one, "catalog": "c"} for one in rows]) == [("c", "raw")]
    told = {**at(4, "USE dw", ends_s=5), "database": "raw"}  # JSON leaves out what is null
    assert places([*rows, told, at(6, ends_s=7)]) == [(None, "raw"), (None, "dw")]


def test_a_use_moves_what_begins_after_its_end_and_nothing_that_ran_beside_it() -> None:
    uses = [at(0, "USE a", ends_s=1), at(3, "USE b", ends_s=5)]
    beside = [at(2, ends_s=9), at(4, ends_s=10), at(5, ends_s=11), at(0, ends_s=12)]
    assert places([*uses, *beside]) == [(None, "a"), (None, "a"), (None, "b"), (None, None)]


def test_what_a_coarse_clock_leaves_open_is_not_placed() -> None:
    at_once = at(5, ends_s=5)
    assert places([at(0, "USE a", ends_s=1), at_once]) == [(None, None)]
    both = [at(5, "USE a", ends_s=5), at(5, "USE b", ends_s=5)]
    assert places([*both, at(5, ends_s=6)]) == [(None, None)]
    assert places([*both, at(6, "USE c", ends_s=7), at(7, ends_s=8)]) == [(None, "c")]
    assert places([both[0], both[0], at(5, ends_s=6)]) == [(None, "a")]


def test_of_the_session_that_was_quiet_for_longest_nothing_is_known_any_more() -> None:
    sessions = SessionPlaces(frozenset())
    for number in range(MAX_SESSIONS + 1):
        sessions.move(str(number), "USE raw", began_us=0, ended_us=1)
    known = [sessions.at(str(number), began_us=1, ended_us=2).database for number in (0, 1)]
    assert known == [None, "raw"]


def test_a_query_without_an_id_gets_one_that_only_its_own_facts_decide() -> None:
    (first,), _ = of([row(id=None)])
    (again,), _ = of([row(id="", status="FINISHED", rows=5)])
    assert isinstance(first, QueryRecord)
    assert isinstance(again, QueryRecord)
    assert first.query_id == again.query_id == "fbca960504deaca465ee33744338fa25"


@given(st.text(), st.text() | st.none(), st.text(), st.text() | st.none())
def test_two_queries_share_an_id_only_if_text_and_user_are_the_same(
    text: str, user: str | None, other_text: str, other_user: str | None
) -> None:
    def made(text: str, user: str | None) -> str:
        return hashed_id(text, user, HOUR.start, HOUR.end)

    same = (text, user) == (other_text, other_user)
    assert (made(text, user) == made(other_text, other_user)) == same


def test_the_same_query_shown_twice_is_one_record_and_a_counted_duplicate() -> None:
    records, verdict = of([row(id=None), row(id=None), row(id="q2"), row(id="q2")])
    assert len(records) == 2
    assert verdict.counts["duplicates"] == 2


def test_records_stream_while_the_source_is_still_being_read() -> None:
    read: list[int] = []

    def rows(_: str) -> Iterator[Row]:
        for number in range(100):
            read.append(number)
            yield row(id=str(number))

    warehouse = Recording(hours=rows)  # type: ignore[arg-type]
    ((_, draft),) = collect([HOUR], QueryTable(warehouse, CONFIG), rules=RULES, now=LATER)
    assert isinstance(draft, Draft)
    records = iter(draft.records)
    assert len(read) == 1
    next(records)
    next(records)
    assert len(read) == 2
    assert len(list(records)) == 98
    assert draft.verdict().counts["queries"] == 100


def test_hours_come_oldest_first_and_the_columns_are_asked_once() -> None:
    windows = [HOUR.next, HOUR, HOUR.previous, HOUR]
    warehouse = Recording(hours=lambda _: [row()])
    found = [
        window
        for window, _ in collect(windows, QueryTable(warehouse, CONFIG), rules=RULES, now=LATER)
    ]
    assert found == [HOUR.previous, HOUR, HOUR.next]
    assert sum("DESCRIBE" in statement for statement in warehouse.asked) == 1


def test_an_hour_that_has_not_ended_is_refused_and_not_asked() -> None:
    warehouse = Recording()
    now = HOUR.end - timedelta(microseconds=1)
    ((_, error),) = collect([HOUR], QueryTable(warehouse, CONFIG), rules=RULES, now=now)
    assert isinstance(error, HourFailed)
    assert "ends at 06:00 UTC" in str(error)
    assert warehouse.asked == []


@pytest.mark.parametrize(("minutes", "state"), [(0, "partial"), (29, "partial"), (30, "complete")])
def test_ledger_7_inside_the_settling_delay_an_hour_is_partial(minutes: int, state: str) -> None:
    now = HOUR.end + timedelta(minutes=minutes)
    ((_, draft),) = collect(
        [HOUR], QueryTable(Recording(hours=lambda _: [row()]), CONFIG), rules=RULES, now=now
    )
    assert isinstance(draft, Draft)
    assert len(list(draft.records)) == 1
    verdict = draft.verdict()
    assert verdict.state == state
    assert (verdict.reason or "").startswith("not settled: " if state == "partial" else "")


def test_without_a_source_every_hour_is_unknown_with_the_setting_named() -> None:
    ((_, draft),) = collect([HOUR], None, rules=RULES, now=LATER)
    assert isinstance(draft, Draft)
    assert list(draft.records) == []
    assert draft.verdict() == Verdict(
        state="unknown",
        reason="no query log source is configured (IOMETE_QUERY_LOG_TABLE, IOMETE_QUERY_LOG_EVENTS, IOMETE_QUERY_LOG_EXPORTS)",
    )


@pytest.mark.parametrize(
    ("oldest", "newest", "state", "reason"),
    [
        (HOUR.end, LATER, "unknown", "keeps no queries this old"),
        (None, None, "unknown", "is empty"),
        (
            HOUR.start - timedelta(days=9),
            HOUR.start - timedelta(seconds=1),
            "partial",
            "has not come this far",
        ),
        (HOUR.start - timedelta(days=9), LATER, "complete", ""),
    ],
)
def test_an_hour_without_rows_is_quiet_only_when_the_source_reaches_around_it(
    oldest: datetime | None, newest: datetime | None, state: str, reason: str
) -> None:
    records, verdict = of([], oldest=oldest, newest=newest)
    assert records == []
    assert verdict.state == state
    assert reason in (verdict.reason or "")


def test_the_sources_bounds_are_asked_once_a_range() -> None:
    warehouse = Recording()
    windows = [HOUR.previous.previous, HOUR.previous, HOUR]
    for _, draft in collect(windows, QueryTable(warehouse, CONFIG), rules=RULES, now=LATER):
        assert isinstance(draft, Draft)
        assert list(draft.records) == []
        draft.verdict()
    assert sum("oldest_us" in statement for statement in warehouse.asked) == 1


def test_a_missing_table_fails_every_hour_with_its_name() -> None:
    missing = StatementFailed("The table cannot be found.", sql_state="42P01")
    found = list(
        collect(
            [HOUR, HOUR.next],
            QueryTable(Recording(failure=missing), CONFIG),
            rules=RULES,
            now=LATER,
        )
    )
    assert len(found) == 2
    for _, error in found:
        assert isinstance(error, HourFailed)
        assert "spark_catalog.ops.query_history cannot be described" in str(error)
        assert "Correct IOMETE_QUERY_LOG_TABLE" in str(error)


def test_an_unavailable_lakehouse_is_the_hours_error_itself() -> None:
    gone = LakehouseUnavailable("gone")
    assert failure_of(Recording(failure=gone)) is gone


def test_a_statement_that_fails_before_its_first_row_fails_only_its_hour() -> None:
    boom = StatementFailed("boom")

    def rows(statement: str) -> Iterator[Row]:
        if str(micros(HOUR.start)) in statement:
            raise boom
        yield row()

    warehouse = Recording(hours=rows)  # type: ignore[arg-type]
    windows = [HOUR.previous.previous, HOUR.next.next]
    found = dict(collect([HOUR, *windows], QueryTable(warehouse, CONFIG), rules=RULES, now=LATER))
    assert isinstance(found[HOUR], HourFailed)
    assert "boom" in str(found[HOUR])
    assert all(isinstance(found[window], Draft) for window in windows)


def test_an_estimated_end_is_marked_and_counted() -> None:
    columns = {"sql_text": "string", "start_time": "timestamp", "completion_date": "date"}
    config = QueryLogConfig(table="a.b.c", without_end="estimate")
    (record,), verdict = of([row()], config=config, columns=columns)
    assert isinstance(record, QueryRecord)
    assert record.end_estimated
    assert verdict.counts["end estimated"] == 1


def test_a_start_and_a_completion_date_alone_are_refused_with_both_ways_out() -> None:
    columns = {"sql_text": "string", "start_time": "timestamp", "completion_date": "date"}
    error = failure_of(Recording(columns=columns))
    assert isinstance(error, SettingsError)
    assert "IOMETE_QUERY_LOG_COLUMNS" in str(error)
    assert "IOMETE_QUERY_LOG_WITHOUT_END to estimate" in str(error)


def test_a_missing_text_or_time_names_the_tables_columns() -> None:
    error = failure_of(Recording(columns={"sql": "string", "duration": "bigint"}))
    assert isinstance(error, SettingsError)
    assert "hold start and end (or duration_ms)" in str(error)
    assert "sql (string), duration (bigint)" in str(error)


@pytest.mark.parametrize(
    ("columns", "mapping", "names"),
    [
        (COLUMNS, {"end": "gone_at"}, "no column 'gone_at' for the role end"),
        (COLUMNS | {"end_time": "bigint"}, {}, "column 'end_time' of type bigint"),
        (COLUMNS | {"start_time": "date"}, {}, "column 'start_time' of type date"),
    ],
)
def test_a_mapping_or_type_that_would_read_as_no_time_is_refused(
    columns: dict[str, str], mapping: dict[str, str], names: str
) -> None:
    config = QueryLogConfig(table="a.b.c", columns=mapping)
    assert names in str(failure_of(Recording(columns=columns), config))


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ({"table": "query_history"}, "IOMETE_QUERY_LOG_TABLE"),
        ({"table": "ops.query_history"}, "IOMETE_QUERY_LOG_TABLE"),
        ({"table": "a.b.c; DROP TABLE x"}, "IOMETE_QUERY_LOG_TABLE"),
        ({"table": "a.b.c", "columns": {"texts": "x"}}, "no role is called texts"),
        ({"table": "a.b.c", "timezone": "Mars/Base"}, "IOMETE_QUERY_LOG_TIMEZONE"),
        ({"table": "a.b.c", "timezone": "../etc"}, "IOMETE_QUERY_LOG_TIMEZONE"),
    ],
)
def test_settings_that_cannot_work_are_refused_when_they_are_read(
    setting: dict[str, object], names: str
) -> None:
    with pytest.raises(SettingsError, match=names):
        QueryLogConfig(**setting)  # type: ignore[arg-type]


def test_a_table_name_may_hold_dots_and_backticks_in_backticks() -> None:
    config = QueryLogConfig(table="lake.`a.b`.`Odd ``name`")
    assert describe(config) == ("/* iomete_mc_assets */ DESCRIBE TABLE `lake`.`a.b`.`Odd ``name`")


def test_the_likeliest_name_wins_in_any_case_and_an_explicit_one_wins_over_it() -> None:
    columns = described(
        {
            "SQL": "string",
            "Query_Text": "string",
            "START_TIME": "timestamp",
            "ended_at": "timestamp",
            "end_time": "timestamp",
        }
    )
    found = source_of(CONFIG, columns).columns
    assert found == {"text": "Query_Text", "start": "START_TIME", "end": "end_time"}
    explicit = QueryLogConfig(table="a.b.c", columns={"text": "sql", "end": "ENDED_AT"})
    found = source_of(explicit, columns).columns
    assert (found["text"], found["end"]) == ("SQL", "ended_at")


def test_partition_columns_that_describe_repeats_are_not_read_as_columns() -> None:
    rows = [
        *described(COLUMNS),
        {"col_name": "# Partition Information", "data_type": "", "comment": ""},
        {"col_name": "duration_ms", "data_type": "bigint", "comment": None},
    ]
    assert "duration_ms" not in source_of(CONFIG, rows).columns


def test_no_candidate_leaves_its_unit_open() -> None:
    assert "duration" not in CANDIDATES["duration_ms"]


def test_the_filter_is_half_open_by_the_bare_end_column_so_that_it_can_be_pushed_down() -> None:
    statement = source_of(CONFIG, described(COLUMNS)).hour(HOUR)
    low, high = micros(HOUR.start), micros(HOUR.end)
    assert statement.startswith("/* iomete_mc_assets */ SELECT ")
    assert (
        f"(`end_time` >= timestamp_micros({low}) AND `end_time` < timestamp_micros({high}))"
        in statement
    )
