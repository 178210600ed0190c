"""A whole push with recognisable fake secrets and a server that repeats them: nothing anywhere shows one."""

import base64
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args
from urllib.parse import quote

import pytest

from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.montecarlo.ingest import IngestConfig, PycarloIngest
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_connection import Key
from iomete_mc_assets_tests.push_bench import HOUR, Bench, column_edge, entries, observed, queries
from iomete_mc_assets_tests.secrets_search import secrets_in, shown

KEY_ID = "fake-id/for+tests&only"
KEY_SECRET = "fake secret/for+tests?only=1"
SECRETS = (KEY_ID, KEY_SECRET)


def found(text: str) -> list[str]:
    return secrets_in(text, SECRETS)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Gateway() as fresh:
        uuid = fresh.resource_uuid
    key = Key(id=KEY_ID, secret=KEY_SECRET, scope="Ingestion", warehouse_uuids=(uuid,))
    with Gateway(keys=[key]) as gateway:
        bench = Bench(gateway, str(tmp_path))
        bench.configure(destination=replace(bench.config.destination, resource_uuid=uuid))
        bench.ingest = PycarloIngest(a_config(gateway.url))
        yield bench


def a_config(endpoint: str) -> IngestConfig:
    return IngestConfig(
        endpoint=endpoint,
        key_id=KEY_ID,
        key_secret=KEY_SECRET,
        read_timeout_s=0.5,
        total_timeout_s=1,
    )


def echoes() -> Iterator[faults.Fault]:
    """Every kind of failing answer, with the secrets in it wherever a server can put them."""
    said = " ".join((*SECRETS, *(quote(secret, safe="") for secret in SECRETS)))
    said += " " + " ".join(base64.b64encode(secret.encode()).decode() for secret in SECRETS)
    body = f'{{"error": "who is {said}?", "details": {{"key": ["{said}"]}}}}'
    for status in (202, 400, 401, 403, 404, 413, 429, 500, 503):
        yield faults.answers(status, body)
    yield faults.answers(200, f"<html>{said}</html>", content_type="text/html")
    for status in (302, 307):
        yield faults.redirects(status, to=f"http://127.0.0.1:9/login?key={quote(KEY_SECRET)}")
    yield faults.reset
    yield faults.accept_then_cut


def test_rule_36_a_full_push_shows_no_secret_in_files_logs_errors_or_reprs(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    outcomes: list[object] = [bench.ingest, bench.config, a_config(bench.gateway.url)]
    window, run = HOUR, 0
    for echo in echoes():
        window = window.next
        bench.clock.advance(hours=1)
        bench.collect("catalog_snapshot", entries(12, comment=window.key), window=window)
        bench.collect("observations", observed(12, rows=run), window=window)
        bench.collect("query_logs", queries(32, first=100 * run, window=window), window=window)
        fed = [column_edge("t000", "id", "t001", f"c{run}_{n}", window=window) for n in range(12)]
        bench.collect("lineage", fed, window=window)
        flows: tuple[Flow, ...] = get_args(Flow)
        for flow in flows:
            bench.gateway.rule(echo, nth=2 if flow == "query_logs" else 1)
            for _ in range(2):
                run += 1
                outcomes += bench.push(flow, window, run=f"run-{run}").values()
                bench.finished.add(f"run-{run}")
                bench.gateway.clear()
    outcomes.append(bench.pusher())
    assert len(bench.gateway.requests) > 100
    assert any(isinstance(outcome, BaseException) for outcome in outcomes)

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("refused-" in path.name for path in files)
    assert any("doubt-" in path.name for path in files)
    for path in files:
        assert found(path.read_bytes().decode("latin-1")) == [], path
    assert caplog.records
    assert found(caplog.text) == []
    for outcome in outcomes:
        assert found(shown(outcome)) == []


def test_rule_36_an_address_that_cannot_be_reached_tells_no_secret(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bench.ingest = PycarloIngest(a_config("http://127.0.0.1:9"))
    bench.collect("query_logs", queries(1))
    (answer,) = bench.push("query_logs").values()
    assert isinstance(answer, BaseException)
    assert found(shown(answer) + caplog.text) == []
