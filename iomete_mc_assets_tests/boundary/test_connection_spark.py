import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from iomete_mc_assets.cli.sandbox import sandbox as sandbox_command
from iomete_mc_assets.errors import AccessDenied, StatementFailed, StatementTimedOut
from iomete_mc_assets.warehouse.connection import Lakehouse, LakehouseConfig


@pytest.fixture(scope="module", params=["http", "binary"])
def lakehouse_config(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LakehouseConfig]:
    """The sandbox, and an empty one of this module's own in the server's other mode, started by hand."""
    if request.param == "http":
        yield request.getfixturevalue("sandbox").config
        return
    home = tmp_path_factory.mktemp("binary")
    try:
        told(home, "start", "--transport", "binary", "--no-seed", "--quiet")
        found = json.loads(told(home, "status", "--json"))["lakehouse"]
        yield LakehouseConfig(
            url=found["url"],
            user=found["user"],
            token=Path(found["token_file"]).read_text(),
            startup_window_s=0,
        )
    finally:
        told(home, "stop", "--quiet")


def told(home: Path, verb: str, *options: str) -> str:
    """What `iomete-mc sandbox` prints."""
    ran = CliRunner().invoke(sandbox_command, [verb, "--home", str(home), *options])
    assert ran.exit_code == 0, ran.output
    return ran.output


@pytest.fixture(scope="module")
def lakehouse(lakehouse_config: LakehouseConfig) -> Iterator[Lakehouse]:
    with Lakehouse.connect(lakehouse_config) as connected:
        yield connected


def test_a_session_is_ours_in_utc_and_answers_by_column_name(
    lakehouse: Lakehouse, lakehouse_config: LakehouseConfig
) -> None:
    (row,) = lakehouse.ask("SELECT current_user() AS who, current_timezone() AS zone")
    assert row == {"who": lakehouse_config.user, "zone": "UTC"}
    (setting,) = lakehouse.ask("SET spark.sql.thriftServer.incrementalCollect")
    assert setting["value"] == "false"


def test_each_server_speaks_as_it_was_started(
    lakehouse_config: LakehouseConfig, request: pytest.FixtureRequest
) -> None:
    transport = request.node.callspec.params["lakehouse_config"]
    assert lakehouse_config.address.scheme == {"http": "http", "binary": "thrift"}[transport]


def test_values_arrive_as_what_they_are(lakehouse: Lakehouse) -> None:
    (row,) = lakehouse.ask(
        "SELECT 1L AS n, CAST(1.50 AS DECIMAL(10,2)) AS d, 'ü\n😀' AS s, true AS b, CAST(NULL AS STRING) AS x, "
        "unix_micros(TIMESTAMP'2026-11-21 05:00:00.123456Z') AS at, array(1, 2) AS a"
    )
    assert row == {
        "n": 1,
        "d": Decimal("1.50"),
        "s": "ü\n😀",
        "b": True,
        "x": None,
        "at": round(datetime(2026, 11, 21, 5, tzinfo=UTC).timestamp()) * 1_000_000 + 123_456,
        "a": "[1,2]",
    }


def test_struct_types_are_not_cut_after_25_fields(lakehouse: Lakehouse) -> None:
    fields = ", ".join(f"'f{number}', {number}" for number in range(60))
    lakehouse.ask(f"CREATE OR REPLACE TEMPORARY VIEW wide AS SELECT named_struct({fields}) AS s")
    (column,) = lakehouse.ask("DESCRIBE TABLE wide")
    assert "more fields" not in str(column["data_type"])
    assert "f59:int" in str(column["data_type"])


def test_statements_without_a_result_have_no_rows(lakehouse: Lakehouse) -> None:
    for statement in (
        "USE `default`",
        "CREATE OR REPLACE TEMPORARY VIEW one AS SELECT 1 AS n",
        "DROP VIEW one",
    ):
        assert lakehouse.ask(statement) == []
    assert lakehouse.ask("SELECT 'x' AS Result") == [{"Result": "x"}]
    assert lakehouse.ask("SELECT 1 AS n WHERE false") == []


@pytest.mark.parametrize(
    ("statement", "sql_state", "error_class", "says"),
    [
        ("SELECT * FROM default.no_such", "42P01", "TABLE_OR_VIEW_NOT_FOUND", "check the name"),
        ("SELECT * FROM no_such.t", "42P01", "TABLE_OR_VIEW_NOT_FOUND", "check the name"),
        ("SHOW TABLES IN no_such", "42704", "SCHEMA_NOT_FOUND", "no such database or catalog"),
        (
            "SHOW TABLES IN no_such.db",
            None,
            "_LEGACY_ERROR_TEMP_1126",
            "no such database or catalog",
        ),
        ("SELEC 1", "42601", "PARSE_SYNTAX_ERROR", "at or near 'SELEC'"),
        ("SELECT raise_error('boom')", None, None, "boom"),
    ],
)
def test_each_sql_error_is_a_sentence_with_state_and_class(
    lakehouse: Lakehouse, statement: str, sql_state: str | None, error_class: str | None, says: str
) -> None:
    with pytest.raises(StatementFailed) as caught:
        lakehouse.ask(statement)
    assert (caught.value.sql_state, caught.value.error_class) == (sql_state, error_class)
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert "org.apache" not in message


def test_a_catalog_is_used_until_another_and_an_unknown_one_is_refused(
    lakehouse: Lakehouse,
) -> None:
    lakehouse.use("lake")
    assert lakehouse.ask("SELECT current_catalog() AS c") == [{"c": "lake"}]
    lakehouse.use("spark_catalog")
    assert lakehouse.ask("SELECT current_catalog() AS c") == [{"c": "spark_catalog"}]
    with pytest.raises(StatementFailed, match="no such database or catalog"):
        lakehouse.use("no_such")
    with pytest.raises(StatementFailed, match="knows no catalog 'default'"):
        lakehouse.use("default")


def test_a_stream_brings_every_row_once_and_in_order(lakehouse: Lakehouse) -> None:
    rows = lakehouse.stream("SELECT id FROM range(2500) ORDER BY id", rows_per_fetch=1_000)
    assert [row["id"] for row in rows] == list(range(2_500))


def test_past_its_deadline_a_statement_is_cancelled_and_the_session_lives_on(
    lakehouse: Lakehouse,
) -> None:
    slow = "SELECT count(*) FROM range(3000000) a, range(3000000) b WHERE a.id * b.id % 7 = 3"
    with pytest.raises(StatementTimedOut, match=r"within 0\.1 s, so it was cancelled"):
        lakehouse.ask(slow, deadline_s=0.1)
    assert lakehouse.ask("SELECT 1 AS n") == [{"n": 1}]


def test_a_session_that_the_server_has_forgotten_is_replaced_once_in_its_catalog(
    lakehouse_config: LakehouseConfig,
) -> None:
    with Lakehouse.connect(lakehouse_config) as lakehouse:
        lakehouse.use("lake")
        lakehouse._session.close()  # as a restart does: the server says Invalid SessionHandle
        lakehouse._transport.open()
        assert lakehouse.ask("SELECT current_catalog() AS c") == [{"c": "lake"}]


def test_a_wrong_token_is_denied(lakehouse_config: LakehouseConfig) -> None:
    wrong = replace(lakehouse_config, token="not-the-token")
    says = "answered 401" if lakehouse_config.address.path else "refused the user and token"
    with pytest.raises(AccessDenied, match=says) as caught:
        Lakehouse.connect(wrong)
    assert "not-the-token" not in str(caught.value)
    assert lakehouse_config.token not in str(caught.value)


def test_an_address_with_a_slash_at_its_end_is_the_same_server(
    lakehouse_config: LakehouseConfig,
) -> None:
    with Lakehouse.connect(replace(lakehouse_config, url=f"{lakehouse_config.url}/")) as lakehouse:
        assert lakehouse.ask("SELECT 1 AS n") == [{"n": 1}]
