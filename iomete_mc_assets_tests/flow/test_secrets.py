"""A whole flow with recognisable fake secrets, both servers repeating them: nothing that Dagster keeps shows one."""

# Dagster types its instance in part only.
# pyright: reportUnknownMemberType=false

import base64
import gzip
import logging
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest

from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.defs.keys import COLLECT_METADATA, COLLECT_QUERIES, push_job_name
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_connection import Key
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.dagster_processes import ROOT
from iomete_mc_assets_tests.flow.conftest import QUERY_LOG, World
from iomete_mc_assets_tests.lakehouse_proxy import Break, Call, Instead, LakehouseProxy, Refusal
from iomete_mc_assets_tests.secrets_search import secrets_in

TOKEN = "fake-token/for+tests?only=1"
KEY_ID = "fake-id/for+tests&only"
KEY_SECRET = "fake secret/for+tests?only=1"
SECRETS = (TOKEN, KEY_ID, KEY_SECRET)
WAREHOUSE = "5f6d1a52-0000-4000-8000-000000000001"


def said(*secrets: str) -> str:
    """Secrets as a server may repeat those that it was shown."""
    return " ".join(
        form
        for secret in secrets
        for form in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode())
    )


LAKEHOUSE_SAYS = said(TOKEN, f"ann:{TOKEN}")
MONTE_CARLO_SAYS = said(KEY_ID, KEY_SECRET)
MASK = "********"
PYTHON_LOGS = """
python_logs: {managed_python_loggers: [iomete_mc_assets, pyhive, urllib3, pycarlo], python_log_level: DEBUG}
"""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    key = Key(id=KEY_ID, secret=KEY_SECRET, scope="Ingestion", warehouse_uuids=(WAREHOUSE,))
    with Gateway(keys=[key]) as running:
        yield running


@pytest.fixture
def proxy(sandbox: RunningLakehouse) -> Iterator[LakehouseProxy]:
    """Takes the fake token's client to the sandbox, whose own token nobody chose."""
    with LakehouseProxy(sandbox.url, password=(sandbox.user, sandbox.token)) as running:
        yield running


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """The project's own Dagster on SQLite, with every line of ours and of the drivers in its event log."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text() + PYTHON_LOGS)
    with dg.DagsterInstance.from_config(str(home)) as opened:
        yield opened


@pytest.fixture
def world(
    proxy: LakehouseProxy,
    gateway: Gateway,
    tmp_path: Path,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    """The product's own definitions and resources, told everything by the environment as in production."""
    environment = {
        **QUERY_LOG,
        "IOMETE_URL": proxy.url,
        "IOMETE_USER": "ann",
        "IOMETE_TOKEN": TOKEN,
        "IOMETE_STARTUP_WINDOW_S": "0",
        "IOMETE_MC_MANIFESTS": str(tmp_path / "manifests"),
        "MCD_INGEST_ENDPOINT": gateway.url,
        "MCD_INGEST_ID": KEY_ID,
        "MCD_INGEST_TOKEN": KEY_SECRET,
        "MCD_RESOURCE_UUID": WAREHOUSE,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return World(instance=instance, definitions=build_definitions(), root=tmp_path / "manifests")


def test_a_whole_flow_shows_no_secret_in_dagster_files_or_output(  # noqa: PLR0917 - fixtures
    world: World,
    proxy: LakehouseProxy,
    gateway: Gateway,
    last_hours: list[HourWindow],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    collect_while_the_lakehouse_repeats_secrets(world, proxy, last_hours)
    push_while_monte_carlo_repeats_secrets(world, gateway, last_hours[-1])

    seen = caplog.text + "".join(capfd.readouterr())
    assert secrets_in(seen, SECRETS) == []
    kept = {path: text for path in tmp_path.rglob("*") if path.is_file() for text in texts_of(path)}
    leaks = {
        str(path): found for path, text in kept.items() if (found := secrets_in(text, SECRETS))
    }
    assert leaks == {}
    # the search reads what it claims to: files of each kind hold what was said, masked
    masked = {path for path, text in kept.items() if MASK in text}
    assert {path.suffix for path in masked} == {".db", ".err", ".json"}
    assert {"manifest.json", "settled.json"} <= {path.name for path in masked}


def collect_while_the_lakehouse_repeats_secrets(
    world: World, proxy: LakehouseProxy, hours: list[HourWindow]
) -> None:
    """It does not let us in, fails one statement and another, and is well in the end."""
    oldest, middle, newest = hours
    proxy.breaks = lambda _: Refusal(401, LAKEHOUSE_SAYS.encode())
    assert not world.run(COLLECT_METADATA, [oldest]).success
    proxy.breaks = repeating("SHOW TABLES IN `spark_catalog`.`marts`")
    assert world.run(COLLECT_METADATA, [newest]).success
    proxy.breaks = repeating("SELECT unix_micros")
    assert not world.run(COLLECT_QUERIES, [middle]).success
    proxy.breaks = lambda _: None
    assert world.run(COLLECT_QUERIES, [newest]).success


def push_while_monte_carlo_repeats_secrets(
    world: World, gateway: Gateway, hour: HourWindow
) -> None:
    """It refuses the key, refuses an event, and breaks over a request."""
    answers: tuple[tuple[Flow, int, bool], ...] = (
        ("catalog_snapshot", 401, False),
        ("catalog_snapshot", 202, True),
        ("observations", 500, True),
        ("query_logs", 400, True),
    )
    body = (
        f'{{"error": "who is {MONTE_CARLO_SAYS}?", "details": {{"key": ["{MONTE_CARLO_SAYS}"]}}}}'
    )
    for flow, status, settled in answers:
        if status != 202:
            gateway.rule(faults.answers(status, body), nth=1)
        assert world.run(push_job_name(flow), [hour]).success == settled, flow
        gateway.clear()


def repeating(statement: str) -> Callable[[Call], Break]:
    """Spark fails the statement, and says in its error whom it was asked by."""

    def breaks(call: Call) -> Break:
        fails = call.name == "ExecuteStatement" and call.statement.startswith(statement)
        return Instead(f"SELECT raise_error('{LAKEHOUSE_SAYS}')") if fails else None

    return breaks


def texts_of(path: Path) -> Iterator[str]:
    """A file as it is, and what is packed in it: gzip, and compressed values in a database."""
    data = path.read_bytes()
    text = data.decode("latin-1")
    if path.suffix == ".gz":
        text += gzip.decompress(data).decode()
    if path.suffix == ".db":
        text += "".join(map(readable, values_of(path)))
    yield text


def values_of(database: Path) -> Iterator[object]:
    with closing(sqlite3.connect(database)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall()
        for (table,) in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                yield from row


def readable(value: object) -> str:
    if not isinstance(value, bytes):
        return f"{value}\n"
    try:
        return zlib.decompress(value).decode()
    except zlib.error:
        return value.decode("latin-1")
