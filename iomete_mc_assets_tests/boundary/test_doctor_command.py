"""`iomete-mc doctor` against a real lakehouse, stores and a gateway, each of them broken in turn."""

import json
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from iomete_mc_assets import clock, settings
from iomete_mc_assets.cli.main import main
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_control import Warehouse
from iomete_mc_assets.sandbox.gateway_graphql import GRAPHQL_PATH
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.warehouse.statements import literal
from iomete_mc_assets_tests.lakehouse_proxy import Call, Instead, LakehouseProxy
from iomete_mc_assets_tests.object_store import ObjectStore
from iomete_mc_assets_tests.push_bench import Bench, entries, leading_to
from iomete_mc_assets_tests.secrets_search import secrets_in

NOBODY = "http://127.0.0.1:9/cliservice"
"""Port 9 is the discard service's, and nobody has it."""
DENIED = "Permission denied: user [doctor] does not have [SELECT] privilege"
Vary = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Found:
    """What the doctor said, by group and name."""

    exit_code: int
    verdicts: dict[str, str]
    texts: dict[str, str]

    @property
    def red(self) -> list[str]:
        return [name for name, verdict in self.verdicts.items() if verdict == "red"]

    @property
    def amber(self) -> list[str]:
        return [name for name, verdict in self.verdicts.items() if verdict == "amber"]


def asked(*words: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *words], catch_exceptions=False)


def found() -> Found:
    answer = asked("--json")
    document = json.loads(answer.output)
    checks = {f"{one['group']}: {one['name']}": one for one in document["checks"]}
    assert len(checks) == len(document["checks"])
    assert document["exit_code"] == answer.exit_code
    return Found(
        answer.exit_code,
        {name: one["verdict"] for name, one in checks.items()},
        {name: one["text"] for name, one in checks.items()},
    )


@pytest.fixture
def vary(monkeypatch: pytest.MonkeyPatch) -> Vary:
    """Set a variable of the installation otherwise."""
    return monkeypatch.setenv


@pytest.fixture
def without_lakehouse(gateway: Gateway, tmp_path: Path, vary: Vary) -> None:
    """An installation in which all is well but that its lakehouse is down."""
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    for name, text in {
        **leading_to(gateway),
        "DAGSTER_HOME": str(home),
        "IOMETE_URL": NOBODY,
        "IOMETE_USER": "doctor",
        "IOMETE_TOKEN": "fake-token/of the doctor",
        "IOMETE_MC_MANIFESTS": str(tmp_path / "manifests"),
        "IOMETE_MC_REQUEST_TIMEOUT_S": "1",
        "COLUMNS": "200",
    }.items():
        vary(name, text)


@pytest.fixture
def whole(without_lakehouse: None, sandbox: RunningLakehouse, vary: Vary) -> None:
    """An installation in which all is well."""
    for name, text in {
        "IOMETE_URL": sandbox.url,
        "IOMETE_USER": sandbox.user,
        "IOMETE_TOKEN": sandbox.token,
        "IOMETE_CATALOGS": "spark_catalog,lake",
        "MCD_NAMING": "databricks",
        "IOMETE_QUERY_LOG_TABLE": "spark_catalog.ops.query_history",
    }.items():
        vary(name, text)


@pytest.fixture
def proxy(whole: None, sandbox: RunningLakehouse, vary: Vary) -> Iterator[LakehouseProxy]:
    """The lakehouse behind a proxy that can have other statements run."""
    with LakehouseProxy(sandbox.url) as proxy:
        vary("IOMETE_URL", proxy.url)
        yield proxy


def test_where_all_is_well_each_thing_was_really_asked_and_only_the_key_is_left_to_the_first_push(
    whole: None, sandbox: RunningLakehouse, gateway: Gateway, tmp_path: Path
) -> None:
    told = found()
    assert (told.exit_code, told.red, told.amber) == (0, [], ["monte carlo: ingestion key"])
    for setting in settings.SETTINGS:
        assert told.verdicts[f"settings: {setting.name}"] == "green"
    assert f"as user {sandbox.user}, Spark 3.5" in told.texts["lakehouse: connection"]
    assert "SHOW TABLE EXTENDED" in told.texts["lakehouse: spark_catalog: columns"]
    assert "DESCRIBE" in told.texts["lakehouse: lake: columns"]
    for catalog in ("spark_catalog", "lake"):
        assert f"snapshots of {catalog}." in told.texts[f"lakehouse: {catalog}: history"]
    assert "text=" in told.texts["lakehouse: query log"]
    assert [request.status for request in gateway.requests] == [400]
    assert gateway.events() == ()
    assert list((tmp_path / "manifests").iterdir()) == []
    words = asked()
    assert (words.exit_code, "nothing to mend, 1 to know about" in words.output) == (0, True)


@pytest.mark.parametrize(
    ("name", "text", "check", "says"),
    [
        ("IOMETE_TOKEN", "wrong", "connection", "Put a valid access token into IOMETE_TOKEN"),
        ("IOMETE_CATALOGS", "nowhere", "nowhere: databases", "nowhere"),
        ("IOMETE_CATALOGS", "ops", "ops: databases", "no catalog"),
        (
            "IOMETE_QUERY_LOG_TABLE",
            "spark_catalog.ops.no_such_table",
            "query log",
            "does not exist",
        ),
        ("IOMETE_QUERY_LOG_COLUMNS", "text=nope", "query log", "no column 'nope'"),
    ],
)
def test_a_wrong_token_catalog_table_or_column_is_red_with_the_next_step(  # noqa: PLR0917 - fixtures
    whole: None, vary: Vary, name: str, text: str, check: str, says: str
) -> None:
    vary(name, text)
    told = found()
    assert (told.exit_code, told.red) == (1, [f"lakehouse: {check}"])
    assert says in told.texts[f"lakehouse: {check}"]


@pytest.mark.parametrize(
    ("denied", "check", "verdict"),
    [
        ("SHOW NAMESPACES", "spark_catalog: databases", "red"),
        ("SELECT count(*) AS snapshots", "spark_catalog: history", "red"),
        ("SELECT 1 AS one", "query log", "red"),
        ("SHOW TABLES IN `spark_catalog`.`default`", "spark_catalog: tables of default", "amber"),
    ],
)
def test_a_right_that_is_missing_is_told_with_the_lakehouses_words(
    proxy: LakehouseProxy, vary: Vary, denied: str, check: str, verdict: str
) -> None:
    vary("IOMETE_CATALOGS", "spark_catalog")

    def deny(call: Call) -> Instead | None:
        if call.name == "ExecuteStatement" and denied in call.statement:
            return Instead(f"SELECT raise_error({literal(DENIED)})")
        return None

    proxy.breaks = deny
    told = found()
    checks = {name: text for name, text in told.texts.items() if DENIED in text}
    assert f"lakehouse: {check}" in checks, told.texts
    assert told.verdicts[f"lakehouse: {check}"] == verdict
    assert told.exit_code == (1 if verdict == "red" else 0)


def test_databases_of_which_none_shows_a_table_are_red_when_their_lists_are_refused(
    proxy: LakehouseProxy, vary: Vary
) -> None:
    vary("IOMETE_CATALOGS", "spark_catalog")
    nothing = "SELECT '' AS namespace, '' AS tableName, false AS isTemporary WHERE false"
    answers = {"refused": f"SELECT raise_error({literal(DENIED)})", "empty": nothing}
    verdicts: list[str] = []
    for answer in answers.values():
        instead = Instead(answer)
        proxy.breaks = lambda call, instead=instead: (
            instead if call.name == "ExecuteStatement" and "SHOW TABLES" in call.statement else None
        )
        verdicts.append(found().verdicts["lakehouse: spark_catalog: history"])
    assert verdicts == ["red", "amber"]


def test_a_lakehouse_that_is_down_is_red_and_everything_else_is_checked_all_the_same(
    without_lakehouse: None,
) -> None:
    told = found()
    assert (told.exit_code, told.red) == (1, ["lakehouse: connection"])
    assert "Connection refused" in told.texts["lakehouse: connection"]
    assert {name.partition(":")[0] for name in told.verdicts} == {
        "settings",
        "lakehouse",
        "manifest store",
        "monte carlo",
        "dagster",
    }


@pytest.mark.parametrize(
    ("setting", "file"),
    [("IOMETE_QUERY_LOG_EVENTS", "app-1.zstd"), ("IOMETE_QUERY_LOG_EXPORTS", "q.jsonl.gz")],
)
def test_a_folder_of_query_logs_is_listed_without_the_lakehouse(
    without_lakehouse: None, vary: Vary, tmp_path: Path, setting: str, file: str
) -> None:
    assert "IOMETE_QUERY_LOG_EVENTS" in found().texts["lakehouse: query log"]
    folder = tmp_path / "logs"
    vary(setting, str(folder))
    assert found().verdicts["lakehouse: query log"] == "red"
    folder.mkdir()
    empty = found()
    assert "lakehouse: query log" in empty.amber
    assert str(folder) in empty.texts["lakehouse: query log"]
    (folder / file).touch()
    told = found()
    assert told.verdicts["lakehouse: query log"] == "green"
    assert "holds 1 to read, the youngest written 20" in told.texts["lakehouse: query log"]


def test_a_token_that_goes_in_the_clear_is_amber(without_lakehouse: None, vary: Vary) -> None:
    vary("IOMETE_URL", "http://lake.invalid/cliservice")
    assert "lakehouse: encryption" in found().amber


@pytest.mark.parametrize(
    ("name", "text", "check"),
    [
        ("IOMETE_URL", "lake.example", "settings: IOMETE_URL"),
        ("IOMETE_MC_MAX_QUERIES", "many", "settings: IOMETE_MC_MAX_QUERIES"),
        ("MCD_RESOURCE_UUID", "prod", "settings: MCD_RESOURCE_UUID"),
        ("MCD_INGEST_TOKEN", "", "settings: MCD_INGEST_TOKEN"),
        ("IOMETE_CATALOGS", "spark_catalog,lake", "settings: catalogs and naming"),
        ("IOMETE_QUERY_LOG_TABLE", "history", "lakehouse: not checked"),
    ],
)
def test_a_setting_that_is_missing_or_cannot_be_used_is_red_and_said_with_what_it_takes(
    without_lakehouse: None, vary: Vary, name: str, text: str, check: str
) -> None:
    vary(name, text)
    told = found()
    assert check in told.red
    assert name in told.texts[check]


def test_a_variable_that_is_nearly_a_setting_is_amber_with_the_one_that_is_meant(
    without_lakehouse: None, vary: Vary
) -> None:
    vary("IOMETE_CATALOG", "lake")
    vary("IOMETE_SOMETHING_ELSE", "1")
    told = found()
    assert "IOMETE_CATALOGS" in told.texts["settings: IOMETE_CATALOG"]
    assert "settings: IOMETE_CATALOG" in told.amber
    assert "settings: IOMETE_SOMETHING_ELSE" not in told.verdicts


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (faults.answers(401), "HTTP 401"),
        (faults.answers(403), "MCD_RESOURCE_UUID"),
        (faults.answers(404), "not Monte Carlo"),
        (faults.html_page, "web page"),
        (faults.redirects(302), "not followed"),
        (faults.answers(503), "not taken now"),
        (faults.hang, "no answer"),
        (faults.answers(202, '{"invocation_id": "7d444840-9dc0-11d1-b245-5ffdce74fad2"}'), "any"),
    ],
)
def test_whatever_monte_carlo_answers_but_a_refusal_of_nothing_is_red(
    without_lakehouse: None, gateway: Gateway, fault: faults.Fault, says: str
) -> None:
    gateway.rule(fault)
    told = found()
    assert "monte carlo: ingest API" in told.red
    assert says in told.texts["monte carlo: ingest API"]
    assert "monte carlo: ingestion key" not in told.verdicts
    assert gateway.redirect_hits == 0


def test_nobody_at_monte_carlos_address_and_oauth_variables_are_red(
    without_lakehouse: None, vary: Vary
) -> None:
    vary("MCD_INGEST_ENDPOINT", "http://127.0.0.1:9")
    assert "cannot be reached" in found().texts["monte carlo: ingest API"]
    vary("MCD_DEFAULT_OAUTH_CLIENT_ID", "a")
    vary("MCD_DEFAULT_OAUTH_CLIENT_SECRET", "b")
    assert "MCD_DEFAULT_OAUTH_CLIENT_ID" in found().texts["monte carlo: ingest API"]


def test_with_an_api_key_the_warehouse_is_looked_up_with_what_it_has_received(
    without_lakehouse: None, gateway: Gateway, vary: Vary
) -> None:
    assert "monte carlo: API key" not in found().verdicts
    vary("MCD_ID", gateway.connection.api_id)
    assert "settings: MCD_TOKEN" in found().red
    vary("MCD_TOKEN", gateway.connection.api_token)
    vary("MCD_GRAPHQL_ENDPOINT", f"{gateway.url}/graphql")
    told = found()
    assert told.red == ["lakehouse: connection"]
    assert "METADATA NEVER_RECEIVED" in told.texts["monte carlo: warehouse"]
    vary("MCD_RESOURCE_UUID", "00000000-0000-4000-8000-000000000000")
    told = found()
    assert told.red == ["lakehouse: connection", "monte carlo: warehouse"]
    assert gateway.resource_uuid in told.texts["monte carlo: warehouse"]
    vary("MCD_TOKEN", "wrong")
    told = found()
    assert told.red == ["lakehouse: connection", "monte carlo: API key"]
    assert "MCD_ID and MCD_TOKEN" in told.texts["monte carlo: API key"]


def with_api_key(gateway: Gateway, vary: Vary) -> None:
    vary("MCD_ID", gateway.connection.api_id)
    vary("MCD_TOKEN", gateway.connection.api_token)
    vary("MCD_GRAPHQL_ENDPOINT", f"{gateway.url}{GRAPHQL_PATH}")


def test_with_an_api_key_the_ingestion_key_is_looked_up(
    without_lakehouse: None, gateway: Gateway, vary: Vary
) -> None:
    check, other = "monte carlo: ingestion key", "11111111-2222-3333-4444-555555555555"
    with_api_key(gateway, vary)
    assert found().verdicts[check] == "green"
    foreign = gateway.control.make_key("theirs", [other], at=clock.now())
    gateway.control.put(Warehouse(uuid=other, name="theirs"))
    for key_id, says in {
        foreign.id: f"may write to {other}, and not to warehouse {gateway.resource_uuid}",
        "no-such-key": "expired or deleted",
        gateway.connection.api_id: "is the API key",
    }.items():
        vary("MCD_INGEST_ID", key_id)
        told = found()
        assert told.red == ["lakehouse: connection", check]
        assert says in told.texts[check]
    vary("MCD_INGEST_ID", gateway.key_id)
    no = '{"data": null, "errors": [{"message": "no such right"}]}'
    gateway.rule(faults.answers(200, no), path=GRAPHQL_PATH, nth=2)
    told = found()
    assert told.verdicts[check] == "amber"
    assert "no such right" in told.texts[check]


def test_an_etl_container_that_is_set_is_looked_up(
    without_lakehouse: None, gateway: Gateway, vary: Vary
) -> None:
    check = "monte carlo: ETL container"
    with_api_key(gateway, vary)
    assert check not in found().verdicts
    vary("MCD_ETL_CONTAINER_UUID", gateway.connection.container_uuid)
    told = found()
    assert told.verdicts[check] == "green"
    assert "ETL_RUNS NEVER_RECEIVED" in told.texts[check]
    vary("MCD_ETL_CONTAINER_UUID", gateway.resource_uuid)
    told = found()
    assert told.red == ["lakehouse: connection", check]
    assert gateway.connection.container_uuid in told.texts[check]


@pytest.mark.parametrize(
    ("fault", "check"),
    [("denying", "store"), ("read_only", "writing"), ("unconditional", "exclusive creation")],
)
def test_a_bucket_without_a_right_or_without_exclusive_creation_is_red(  # noqa: PLR0917 - fixtures
    without_lakehouse: None,
    object_store: ObjectStore,
    s3_root: str,
    vary: Vary,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    check: str,
) -> None:
    vary("IOMETE_MC_MANIFESTS", s3_root)
    assert found().red == ["lakehouse: connection"]
    monkeypatch.setattr(object_store, fault, True)
    told = found()
    assert told.red == ["lakehouse: connection", f"manifest store: {check}"]
    monkeypatch.setattr(object_store, fault, False)
    assert Storage.open(s3_root).names("") == []


@pytest.mark.parametrize(
    ("place", "check"),
    [("s3://no-such-bucket/x", "writing"), ("file", "writing"), ("simplecache::file", "store")],
)
@pytest.mark.usefixtures("without_lakehouse", "s3_root")
def test_a_place_that_cannot_be_a_store_is_red(
    tmp_path: Path, vary: Vary, place: str, check: str
) -> None:
    (tmp_path / "file").write_text("")
    with chdir(tmp_path):
        vary("IOMETE_MC_MANIFESTS", place)
        told = found()
    assert told.red == ["lakehouse: connection", f"manifest store: {check}"]
    assert place in told.texts[f"manifest store: {check}"]


def test_a_store_of_another_lakehouse_is_red_and_our_own_is_named(
    without_lakehouse: None, gateway: Gateway, tmp_path: Path, vary: Vary
) -> None:
    bench = Bench(gateway, str(tmp_path / "manifests"))
    bench.collect("catalog_snapshot", entries(1))
    before = bench.files()
    told = found()
    assert "manifest store: store" in told.red
    assert "IOMETE_URL" in told.texts["manifest store: store"]
    vary("IOMETE_URL", "https://lake.example:443/cliservice")
    assert bench.store.store_id in found().texts["manifest store: store"]
    assert bench.files() == before


def test_the_folder_of_dropped_files_is_looked_at_when_it_is_set(
    without_lakehouse: None, s3_root: str, vary: Vary
) -> None:
    check = "manifest store: dropped files"
    assert check not in found().verdicts
    vary("IOMETE_MC_IMPORTS", s3_root)
    assert check in found().amber
    vary("IOMETE_MC_IMPORT_SOURCES", "hive=00000000-0000-4000-8000-000000000000")
    dropped = Storage.open(s3_root)
    dropped.write("hive/m.json", b"{}")
    assert "1 in hive" in found().texts[check]
    dropped.write("strange/m.json", b"{}")
    told = found()
    assert (told.verdicts[check], "strange" in told.texts[check]) == ("amber", True)


def test_a_folder_of_dropped_files_that_cannot_be_listed_is_red(
    without_lakehouse: None,
    object_store: ObjectStore,
    s3_root: str,
    vary: Vary,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vary("IOMETE_MC_IMPORTS", s3_root)
    monkeypatch.setattr(object_store, "denying", True)
    assert "manifest store: dropped files" in found().red


def test_an_instance_that_cannot_be_opened_is_red_and_none_is_amber(
    without_lakehouse: None, tmp_path: Path, vary: Vary
) -> None:
    vary("DAGSTER_HOME", "")
    assert "dagster: instance" in found().amber
    vary("DAGSTER_HOME", str(tmp_path / "dagster"))
    (tmp_path / "dagster" / "dagster.yaml").write_text("storage: {nonsense: {}}\n")
    assert "dagster: instance" in found().red


def test_no_secret_is_ever_shown_also_when_a_server_repeats_it(
    without_lakehouse: None, gateway: Gateway, vary: Vary
) -> None:
    token, key = "fake-token/of the doctor", "fake key/of+tests?=1"
    vary("MCD_INGEST_TOKEN", key)
    vary("MCD_INGEST_ID", "fake-id/of tests")
    vary("IOMETE_MC_MANIFESTS", "s3://AKIA:fake-in-address@bucket/x::nonsense")
    gateway.rule(
        faults.answers(401, json.dumps({"error": f"who is {key} {token} fake-id/of tests"}))
    )
    for words in ((), ("--json",)):
        said = asked(*words).output
        assert "HTTP 401" in said
        assert secrets_in(said, (token, key, "fake-id/of tests", "fake-in-address")) == []
