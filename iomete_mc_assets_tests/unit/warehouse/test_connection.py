import logging
from collections.abc import Iterator

import pytest

from iomete_mc_assets.errors import (
    AccessDenied,
    LakehouseUnavailable,
    NotALakehouse,
    SettingsError,
    StatementFailed,
    StatementTimedOut,
)
from iomete_mc_assets.warehouse.connection import Lakehouse, LakehouseConfig
from iomete_mc_assets.warehouse.faults import explained, shortened
from iomete_mc_assets_tests.thrift_binary import BinaryScript
from iomete_mc_assets_tests.thrift_http import (
    Answer,
    HttpScript,
    Misbehaviour,
    Reply,
    Request,
    SparkScript,
)

TOKEN = "s3cret"
CATALOG = "SELECT current_catalog() AS catalog"


class Ticks:
    """A clock that only waiting and polling move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def tick(self) -> float:
        self.now += 0.001
        return self.now


@pytest.fixture
def spark() -> SparkScript:
    return SparkScript()


@pytest.fixture(params=[HttpScript, BinaryScript])
def server(request: pytest.FixtureRequest, spark: SparkScript) -> Iterator[HttpScript]:
    """Both of the server's modes: what a session does must not depend on it."""
    with request.param(spark) as serving:
        yield serving


@pytest.fixture
def http_server(spark: SparkScript) -> Iterator[HttpScript]:
    """Where statuses matter."""
    with HttpScript(spark) as serving:
        yield serving


def connect(
    server: HttpScript,
    *,
    ticks: Ticks | None = None,
    startup_window_s: float = 0,
    statement_deadline_s: float = 5,
    scans: bool = False,
) -> Lakehouse:
    ticks = ticks or Ticks()
    config = LakehouseConfig(
        url=server.url,
        user="ann",
        token=TOKEN,
        read_timeout_s=5,
        startup_window_s=startup_window_s,
        statement_deadline_s=statement_deadline_s,
        scans=scans,
    )
    return Lakehouse.connect(config, wait=ticks.wait, tick=ticks.tick)


def ours(spark: SparkScript) -> list[str]:
    """Our statements: all but PyHive's own USE."""
    return [statement for statement in spark.statements if statement != "USE `default`"]


def test_a_session_sets_its_zone_collects_at_once_and_shows_whole_types_and_scans_with_code(
    server: HttpScript, spark: SparkScript
) -> None:
    connect(server, scans=True).close()
    connect(server).close()
    scanning = {
        "set:hiveconf:spark.sql.session.timeZone": "UTC",
        "set:hiveconf:spark.sql.thriftServer.incrementalCollect": "false",
        "set:hiveconf:spark.sql.debug.maxToStringFields": "10000",
        "set:hiveconf:spark.sql.redaction.options.regex": r'(?i:url)|\n|\A(?!\{").*, ',
        "set:hiveconf:spark.iomete_mc_assets.canary": "a, b",
    }
    assert spark.configurations == [
        scanning,
        {
            **scanning,
            "set:hiveconf:spark.sql.codegen.wholeStage": "false",
            "set:hiveconf:spark.sql.codegen.factoryMode": "NO_CODEGEN",
        },
    ]
    assert spark.calls[-1] == "CloseSession"
    assert spark.sessions == set()


def test_rows_come_by_column_name_and_nulls_as_none(server: HttpScript, spark: SparkScript) -> None:
    spark.replies["SELECT 1"] = Reply(rows={"a": ["x", None], "B c": ["ü", "y"]})
    with connect(server) as lakehouse:
        assert lakehouse.ask("SELECT 1") == [{"a": "x", "B c": "ü"}, {"a": None, "B c": "y"}]
    assert spark.open_operations == 0


def test_every_statement_carries_our_tag_once(server: HttpScript, spark: SparkScript) -> None:
    with connect(server) as lakehouse:
        lakehouse.ask("SHOW TABLES")
        lakehouse.ask("/* iomete_mc_assets */ SHOW VIEWS")
    assert ours(spark) == [
        "/* iomete_mc_assets */ SHOW TABLES",
        "/* iomete_mc_assets */ SHOW VIEWS",
    ]


def test_a_statement_without_a_result_has_no_rows_and_a_column_called_result_has_its_own(
    server: HttpScript, spark: SparkScript
) -> None:
    spark.replies["SELECT 'x' AS Result"] = Reply(rows={"Result": ["x"]})
    with connect(server) as lakehouse:
        assert lakehouse.ask("USE `lake`") == []
        assert lakehouse.ask("SELECT 'x' AS Result") == [{"Result": "x"}]


def test_a_stream_fetches_only_as_many_rows_as_it_is_asked_for(
    server: HttpScript, spark: SparkScript
) -> None:
    spark.replies["SELECT n"] = Reply(rows={"n": [str(n) for n in range(10)]})
    with connect(server) as lakehouse:
        rows = lakehouse.stream("SELECT n", rows_per_fetch=4)
        assert spark.calls.count("FetchResults") == 0
        assert [next(rows)["n"] for _ in range(5)] == ["0", "1", "2", "3", "4"]
        assert spark.calls.count("FetchResults") == 2
        assert len(list(rows)) == 5
    assert spark.open_operations == 0


def test_an_abandoned_stream_closes_its_statement(server: HttpScript, spark: SparkScript) -> None:
    spark.replies["SELECT n"] = Reply(rows={"n": [str(n) for n in range(10)]})
    with connect(server) as lakehouse:
        rows = lakehouse.stream("SELECT n", rows_per_fetch=4)
        next(rows)
        assert spark.open_operations == 1
        del rows
        assert spark.open_operations == 0


def test_a_statement_in_error_state_is_an_error_and_not_an_empty_result(
    server: HttpScript, spark: SparkScript
) -> None:
    message = (
        "org.apache.hive.service.cli.HiveSQLException: Error running query: [TABLE_OR_VIEW_NOT_FOUND] "
        "org.apache.spark.sql.AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The table or view `a`.`b` cannot be found. "
        f"You sent {TOKEN}.\n'Project [*]\n\tat org.apache.spark.Foo.bar(Foo.scala:1)"
    )
    spark.replies["SELECT * FROM a.b WHERE c = 'long'"] = Reply(
        polls=("RUNNING_STATE",), error=(message, "42P01")
    )
    with connect(server) as lakehouse, pytest.raises(StatementFailed) as caught:
        lakehouse.ask("SELECT * FROM a.b WHERE c = 'long'")
    assert (caught.value.sql_state, caught.value.error_class) == (
        "42P01",
        "TABLE_OR_VIEW_NOT_FOUND",
    )
    assert str(caught.value) == (
        f"Lakehouse {server.shown} failed the statement `SELECT * FROM a.b …` "
        "[TABLE_OR_VIEW_NOT_FOUND, SQL state 42P01]: The table or view `a`.`b` cannot be found. You sent ********. "
        "It does not exist, or our user may not see it: check the name and the SELECT grants."
    )
    assert spark.open_operations == 0


def test_a_long_message_is_masked_before_it_is_cut(server: HttpScript, spark: SparkScript) -> None:
    spark.replies["SELECT 1"] = Reply(error=("x" * 297 + TOKEN, None))
    with connect(server) as lakehouse, pytest.raises(StatementFailed, match=r"x\*\*…") as caught:
        lakehouse.ask("SELECT 1")
    assert TOKEN[:2] not in str(caught.value)


@pytest.mark.parametrize("state", ["CANCELED_STATE", "CLOSED_STATE", "TIMEDOUT_STATE"])
def test_a_statement_that_others_ended_is_an_error(
    server: HttpScript, spark: SparkScript, state: str
) -> None:
    spark.replies["SELECT 1"] = Reply(rows={"a": ["x"]}, ends=state)
    with (
        connect(server) as lakehouse,
        pytest.raises(StatementFailed, match="cancelled at the server"),
    ):
        lakehouse.ask("SELECT 1")


def test_statements_asked_together_are_answered_in_order_with_each_failure_in_its_place(
    server: HttpScript, spark: SparkScript
) -> None:
    several = [f"DESCRIBE t{number}" for number in range(50)]
    spark.replies = {one: Reply(rows={"name": [one]}) for one in several}
    spark.replies["DESCRIBE t7"] = Reply(error=("no such table", "42P01"))
    with connect(server) as lakehouse:
        answers = lakehouse.ask_each(several)
        assert 1 < len(spark.sessions) <= 4
    assert isinstance(answers[7], StatementFailed)
    told = [one for one in several if one != "DESCRIBE t7"]
    assert [answer for place, answer in enumerate(answers) if place != 7] == [
        [{"name": one}] for one in told
    ]
    assert sorted(ours(spark)) == sorted(f"/* iomete_mc_assets */ {one}" for one in several)
    assert spark.sessions == set()
    assert spark.open_operations == 0


def test_a_restart_under_statements_asked_together_costs_no_answer(spark: SparkScript) -> None:
    """Each statement is cut once, and every second connection finds a server that is only starting."""
    several = [f"DESCRIBE t{number}" for number in range(50)]
    spark.replies = {
        one: [Reply(misbehaviour="cut"), Reply(rows={"name": [one]})] for one in several
    }

    def answering(request: Request) -> Answer | Misbehaviour:
        starting = request.connection > 3 and request.connection % 2
        return Answer(status=503, reason="Starting") if starting else spark(request)

    with (
        HttpScript(answering) as server,
        connect(server, ticks=Ticks(), startup_window_s=3_600) as lakehouse,
    ):
        assert lakehouse.ask_each(several) == [[{"name": one}] for one in several]


def test_a_driver_that_takes_no_further_session_is_asked_on_those_it_took(
    spark: SparkScript, caplog: pytest.LogCaptureFixture
) -> None:
    several = [f"DESCRIBE t{number}" for number in range(50)]
    spark.replies = {one: Reply(rows={"name": [one]}) for one in several}

    def answering(request: Request) -> Answer | Misbehaviour:
        full = request.connection > 0
        return Answer(status=503, reason="Full") if full else spark(request)

    ticks = Ticks()
    with (
        HttpScript(answering) as server,
        connect(server, ticks=ticks, startup_window_s=3_600) as lakehouse,
    ):
        assert lakehouse.ask_each(several) == [[{"name": one}] for one in several]
    assert "Going on with 1 sessions" in caplog.text
    assert ticks.waits == []


def test_a_lakehouse_that_goes_away_under_statements_asked_together_is_the_answer(
    server: HttpScript, spark: SparkScript
) -> None:
    several = [f"DESCRIBE t{number}" for number in range(50)]
    spark.replies["DESCRIBE t7"] = Reply(misbehaviour="cut")
    with connect(server) as lakehouse, pytest.raises(LakehouseUnavailable):
        lakehouse.ask_each(several)
    assert spark.sessions == set()


def test_past_its_deadline_a_statement_is_cancelled_and_closed(
    server: HttpScript, spark: SparkScript
) -> None:
    spark.replies["SELECT slow"] = Reply(ends="RUNNING_STATE")
    with connect(server) as lakehouse:
        with pytest.raises(
            StatementTimedOut, match=r"did not finish the statement `SELECT slow` within 0\.01 s"
        ):
            lakehouse.ask("SELECT slow", deadline_s=0.01)
        assert spark.calls[-2:] == ["CancelOperation", "CloseOperation"]
        assert lakehouse.ask("SHOW TABLES") == []


def test_a_starting_lakehouse_is_tried_again_with_growing_pauses(
    http_server: HttpScript, spark: SparkScript, caplog: pytest.LogCaptureFixture
) -> None:
    ticks = Ticks()
    spark.before = [
        Answer(status=503, reason="Service Unavailable"),
        Answer(
            status=502, reason="Bad Gateway", headers={"Content-Type": "text/html"}, body=b"<p>"
        ),
        Answer(status=429, reason="Too Many Requests"),
        Answer(status=504, reason="Gateway Timeout"),
        "cut",
        Answer(),
    ]
    connect(http_server, ticks=ticks, startup_window_s=120).close()
    assert ticks.waits == [1, 2, 4, 8, 15, 15]
    assert "answered 503 Service Unavailable" in caplog.messages[0]
    assert "Trying again in 1 s, for 120 s more." in caplog.messages[0]


def test_after_the_start_up_window_the_last_error_is_told_with_its_length() -> None:
    ticks = Ticks()
    with (
        HttpScript(lambda _: Answer(status=503, reason="Service Unavailable")) as server,
        pytest.raises(LakehouseUnavailable, match=r"answered 503 .* tried again for 60 s\.$"),
    ):
        connect(server, ticks=ticks, startup_window_s=60)
    assert sum(ticks.waits) == pytest.approx(60, abs=0.1)
    assert len(server.requests) == len(ticks.waits) + 1 == 8


@pytest.mark.parametrize(("status", "kind"), [(401, AccessDenied), (404, NotALakehouse)])
def test_what_waiting_cannot_help_is_not_tried_again(status: int, kind: type[Exception]) -> None:
    with HttpScript(lambda _: Answer(status=status, reason="No")) as server, pytest.raises(kind):
        connect(server, startup_window_s=120)
    assert len(server.requests) == 1


def test_something_else_than_thrift_with_status_200_is_no_lakehouse() -> None:
    greeting = Answer(body=b"SSH-2.0-OpenSSH_9.2 and so on and on")
    with (
        HttpScript(lambda _: greeting) as server,
        pytest.raises(NotALakehouse, match="cannot be read as Thrift"),
    ):
        connect(server, startup_window_s=120)


def test_a_restarted_server_costs_one_new_session_in_the_same_catalog(
    server: HttpScript, spark: SparkScript
) -> None:
    spark.replies[CATALOG] = Reply(rows={"catalog": ["lake"]})
    spark.replies["SELECT 1"] = Reply(rows={"a": ["x"]})
    with connect(server) as lakehouse:
        lakehouse.use("lake")
        spark.restart()
        assert lakehouse.ask("SELECT 1") == [{"a": "x"}]
    assert ours(spark)[-2:] == [
        "/* iomete_mc_assets */ USE `lake`",
        "/* iomete_mc_assets */ SELECT 1",
    ]
    assert len(spark.configurations) == 2


def test_work_is_done_once_while_the_server_has_the_statement(
    server: HttpScript, spark: SparkScript
) -> None:
    spark.replies["SELECT 1"] = Reply(rows={"a": ["x"]})
    spark.replies["SELECT 2"] = Reply(error=("no", None))
    done: list[str] = []
    with connect(server) as lakehouse:
        assert lakehouse.ask_while("SELECT 1", lambda: done.append(spark.calls[-1])) == [{"a": "x"}]
        assert done == ["ExecuteStatement"]
        with pytest.raises(StatementFailed):
            lakehouse.ask_while("SELECT 2", lambda: done.append("of a statement that fails"))
        spark.restart()
        lakehouse.ask_while("SELECT 1", lambda: done.append("over a lost session"))
    assert done[1:] == ["of a statement that fails", "over a lost session"]
    assert spark.open_operations == 0


def test_work_is_done_also_where_the_statement_cannot_be_sent(
    http_server: HttpScript, spark: SparkScript
) -> None:
    done: list[str] = []
    with connect(http_server) as lakehouse:
        spark.before = [Answer(status=401, reason="Unauthorized")]
        with pytest.raises(AccessDenied):
            lakehouse.ask_while("SELECT 1", lambda: done.append("done"))
    assert done == ["done"]


def test_a_server_that_is_down_in_mid_run_is_waited_for_within_the_start_up_window(
    http_server: HttpScript, spark: SparkScript
) -> None:
    ticks = Ticks()
    spark.replies["SELECT 1"] = Reply(rows={"a": ["x"]})
    with connect(http_server, ticks=ticks, startup_window_s=60) as lakehouse:
        spark.restart()
        spark.before = ["cut", *[Answer(status=503, reason="Service Unavailable")] * 3]
        assert lakehouse.ask("SELECT 1") == [{"a": "x"}]
    assert ticks.waits == [1, 2, 4]


def test_what_reads_is_asked_again_once_after_a_cut_connection(
    server: HttpScript, spark: SparkScript
) -> None:
    for at in ("ExecuteStatement", "GetOperationStatus"):
        spark.replies["SHOW TABLES"] = [
            Reply(rows={"a": ["x"]}, misbehaviour="cut", at=at),
            Reply(rows={"a": ["x"]}),
        ]
        with connect(server) as lakehouse:
            assert lakehouse.ask("SHOW TABLES") == [{"a": "x"}]
    spark.replies["SHOW TABLES"] = Reply(rows={"a": ["x"]}, misbehaviour="cut")
    with connect(server) as lakehouse, pytest.raises(LakehouseUnavailable, match="cut the"):
        lakehouse.ask("SHOW TABLES")
    assert ours(spark).count("/* iomete_mc_assets */ SHOW TABLES") == 6


def test_what_may_write_is_not_asked_again_once_spark_may_have_taken_it(
    server: HttpScript, spark: SparkScript
) -> None:
    spark.replies["INSERT INTO t VALUES (1)"] = Reply(misbehaviour="cut")
    with connect(server) as lakehouse, pytest.raises(LakehouseUnavailable):
        lakehouse.ask("INSERT INTO t VALUES (1)")
    assert ours(spark) == ["/* iomete_mc_assets */ INSERT INTO t VALUES (1)"]


def test_a_fetch_that_is_cut_costs_what_reads_nothing(
    server: HttpScript, spark: SparkScript
) -> None:
    rows = {"n": ["1", "2"]}
    # the fetch after the last row brings none, and can be cut like any other
    broken = Reply(rows=rows, misbehaviour="cut", at="FetchResults")
    spark.replies["SELECT n"] = [broken, Reply(rows=rows)]
    with connect(server) as lakehouse:
        assert lakehouse.ask("SELECT n") == [{"n": "1"}, {"n": "2"}]
    assert len(ours(spark)) == 2


TEN = {"n": [str(n) for n in range(10)]}
BROKEN_STREAM = Reply(rows=TEN, misbehaviour="cut", at="FetchResults")


def test_a_stream_that_breaks_goes_on_behind_the_rows_it_gave(
    server: HttpScript, spark: SparkScript
) -> None:
    spark.replies["SELECT n"] = [BROKEN_STREAM, Reply(rows=TEN)]
    with connect(server) as lakehouse:
        rows = list(lakehouse.stream("SELECT n", rows_per_fetch=4))
    assert [row["n"] for row in rows] == TEN["n"]
    assert len(ours(spark)) == 2


def test_a_stream_whose_server_restarts_in_the_middle_goes_on_in_a_new_session(
    server: HttpScript, spark: SparkScript
) -> None:
    spark.replies["SELECT n"] = Reply(rows=TEN)
    with connect(server) as lakehouse:
        stream = lakehouse.stream("SELECT n", rows_per_fetch=4)
        given = [next(stream)["n"] for _ in range(4)]
        spark.restart()
        assert given + [row["n"] for row in stream] == TEN["n"]
    assert len(spark.configurations) == 2


@pytest.mark.parametrize(
    "second", [["0", "1", "new", "2", "3", "4"], ["0", "1", "2"], ["1", "0", "2", "3", "4"]]
)
def test_a_stream_whose_second_answer_begins_otherwise_gives_none_of_it(
    server: HttpScript, spark: SparkScript, second: list[str]
) -> None:
    spark.replies["SELECT n"] = [BROKEN_STREAM, Reply(rows={"n": second})]
    with connect(server) as lakehouse:
        stream = lakehouse.stream("SELECT n", rows_per_fetch=4)
        assert [next(stream)["n"] for _ in range(4)] == ["0", "1", "2", "3"]
        with pytest.raises(
            LakehouseUnavailable, match="after 4 rows and then answered with others"
        ):
            next(stream)
    assert spark.open_operations == 0


def test_a_stream_that_breaks_twice_is_given_up(server: HttpScript, spark: SparkScript) -> None:
    spark.replies["SELECT n"] = BROKEN_STREAM
    with (
        connect(server) as lakehouse,
        pytest.raises(LakehouseUnavailable, match="cut the connection"),
    ):
        list(lakehouse.stream("SELECT n", rows_per_fetch=4))
    assert len(ours(spark)) == 2


def test_a_catalog_is_taken_up_also_when_the_session_is_lost_over_it(
    server: HttpScript, spark: SparkScript
) -> None:
    spark.replies["USE `lake`"] = [Reply(misbehaviour="cut"), Reply(), Reply()]
    spark.replies[CATALOG] = [
        Reply(misbehaviour="cut", rows={}),
        Reply(rows={"catalog": ["lake"]}),
    ]
    with connect(server) as lakehouse:
        lakehouse.use("lake")
    use, current = "/* iomete_mc_assets */ USE `lake`", f"/* iomete_mc_assets */ {CATALOG}"
    assert ours(spark) == [use, use, current, use, current]


def test_who_waited_a_whole_window_in_vain_tries_once_from_then_on(
    server: HttpScript, spark: SparkScript
) -> None:
    ticks = Ticks()
    unavailable = Answer(status=503, reason="Service Unavailable")
    spark.replies["SELECT 1"] = Reply(rows={"a": ["x"]})
    with connect(server, ticks=ticks, startup_window_s=3) as lakehouse:
        spark.before = [unavailable] * 5
        with pytest.raises(LakehouseUnavailable, match="It was tried again for 3 s"):
            lakehouse.ask("SELECT 1")
        assert (len(ticks.waits), spark.before) == (2, [unavailable])
        spark.before = [unavailable] * 2
        with pytest.raises(LakehouseUnavailable):
            lakehouse.ask("SELECT 1")
        assert (len(ticks.waits), spark.before) == (2, [])
        assert lakehouse.ask("SELECT 1") == [{"a": "x"}]
        spark.before = [unavailable] * 2
        assert lakehouse.ask("SELECT 1") == [{"a": "x"}]
    assert len(ticks.waits) == 3


def test_a_database_is_not_taken_for_a_catalog(server: HttpScript, spark: SparkScript) -> None:
    spark.replies[CATALOG] = Reply(rows={"catalog": ["spark_catalog"]})
    with (
        connect(server) as lakehouse,
        pytest.raises(StatementFailed, match="knows no catalog 'sales'"),
    ):
        lakehouse.use("sales")


def test_closing_does_not_hide_the_error_it_follows(
    server: HttpScript, spark: SparkScript, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(KeyError), connect(server):
        raise spark.restart() or KeyError
    assert any("closing a session failed" in message for message in caplog.messages)


def test_no_secret_and_no_statement_reaches_the_log_even_at_debug(
    server: HttpScript, spark: SparkScript, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    spark.replies["SELECT private"] = Reply(rows={"a": ["a private row"]})
    with connect(server) as lakehouse:
        lakehouse.ask("SELECT private")
        shown = f"{caplog.text}{lakehouse!r}"
    assert "private" not in shown
    assert TOKEN not in shown


def test_a_config_shows_everything_but_its_token() -> None:
    shown = repr(LakehouseConfig(url="http://h/cliservice", user="ann", token=TOKEN))
    assert "user='ann'" in shown
    assert TOKEN not in shown


@pytest.mark.parametrize(
    ("url", "user", "names"),
    [
        ("http://h/cliservice", "ann:x", "IOMETE_USER"),
        ("ftp://h/cliservice", "ann", "IOMETE_URL"),
    ],
)
def test_a_config_that_cannot_work_is_refused_when_it_is_made(
    url: str, user: str, names: str
) -> None:
    with pytest.raises(SettingsError, match=names):
        LakehouseConfig(url=url, user=user, token=TOKEN)


SYNTAX_ERROR = (
    "org.apache.hive.service.cli.HiveSQLException: Error running query: [PARSE_SYNTAX_ERROR] "
    "org.apache.spark.sql.catalyst.parser.ParseException: \n[PARSE_SYNTAX_ERROR] Syntax error at or near 'SELEC'."
    "(line 1, pos 23)\n\n== SQL ==\nSELEC secret\n\tat org.apache.spark.sql.Foo(Foo.scala:1)"
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", (None, "no reason was given")),
        ("plain words", (None, "plain words")),
        (
            SYNTAX_ERROR,
            ("PARSE_SYNTAX_ERROR", "Syntax error at or near 'SELEC'.(line 1, pos 23)"),
        ),
        (
            "Error running query: [PARSE_SYNTAX_ERROR] \n== SQL ==\nSELEC secret",
            ("PARSE_SYNTAX_ERROR", "no reason was given"),
        ),
        (
            "org.apache.spark.sql.AnalysisException: [_LEGACY_ERROR_TEMP_1200] SHOW TABLE EXTENDED is not supported",
            ("_LEGACY_ERROR_TEMP_1200", "SHOW TABLE EXTENDED is not supported"),
        ),
        (
            "Error operating EXECUTE_STATEMENT: org.apache.iceberg.exceptions.NotFoundException: Failed to open",
            (None, "Failed to open"),
        ),
        (f"{'x' * 500}\nat org.apache", (None, "x" * 299 + "…")),
        (
            "org.apache.AccessControlException: Permission denied: user [ann] does not have [SELECT] privilege",
            (None, "Permission denied: user [ann] does not have [SELECT] privilege"),
        ),
        (
            "Error running query: Job aborted: org.apache.spark.SparkException: [DIVIDE_BY_ZERO] Division by zero.",
            ("DIVIDE_BY_ZERO", "Division by zero."),
        ),
    ],
)
def test_sparks_message_is_one_line_without_java_and_without_the_statement(
    message: str, expected: tuple[str | None, str]
) -> None:
    assert explained(message) == expected


def test_a_statement_is_shown_by_its_first_words_without_comments() -> None:
    assert shortened("/* tag */ SHOW  TABLES") == "the statement `SHOW TABLES`"
    assert shortened("SELECT a, b, c, d") == "the statement `SELECT a, b, c, …`"
    assert len(shortened("x" * 5_000)) < 90
