"""The gateway as a process of its own, and its client."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from click.testing import CliRunner

from iomete_mc_assets.cli.environment import gateway_state
from iomete_mc_assets.cli.main import main as cli
from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.sandbox import gateway_process
from iomete_mc_assets.sandbox.gateway import Gateway, main
from iomete_mc_assets.sandbox.gateway_client import GatewayClient
from iomete_mc_assets.sandbox.gateway_connection import Connection, read_connection
from iomete_mc_assets.sandbox.gateway_faults import accept_then_hang, answers, redirects

Started = Callable[[], tuple["subprocess.Popen[str]", Connection]]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """Start a gateway on the test's folder; it has been asked to stop when the test is over."""
    running: list[subprocess.Popen[str]] = []

    def start() -> tuple["subprocess.Popen[str]", Connection]:
        process = subprocess.Popen(  # noqa: S603  # our own interpreter
            [sys.executable, "-m", "iomete_mc_assets.sandbox.gateway", "--state", str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("sandbox gateway at http://127.0.0.1:")
        connection = read_connection(tmp_path)
        assert connection is not None
        return process, connection

    yield start
    for process in running:
        process.terminate()
        process.communicate(timeout=10)


def pushed(connection: Connection, name: str = "orders") -> requests.Response:
    asset = {
        "type": "TABLE",
        "metadata": {"name": name, "database": "sales", "schema": "default"},
        "volume": {"row_count": 1},
    }
    return requests.post(
        f"{connection.url}/ingest/v1/metadata",
        json={
            "event_type": "METADATA",
            "resource": {"uuid": connection.resource_uuid, "resource_type": "spark"},
            "events": [{"relational_asset": asset}],
        },
        headers={"x-mcd-id": connection.key_id, "x-mcd-token": connection.key_secret},
        timeout=10,
    )


def test_another_gateway_at_the_former_address_is_not_taken_for_ours(tmp_path: Path) -> None:
    first = gateway_process.start(tmp_path)
    assert gateway_process.stop(tmp_path)
    with Gateway(port=urlsplit(first.url).port):
        try:
            again = gateway_process.start(tmp_path)
            accepted = pushed(again)
        finally:
            gateway_process.stop(tmp_path)
    assert again.url != first.url
    assert replace(again, url=first.url) == first
    assert accepted.ok, accepted.text


def test_a_gateway_that_lacks_a_warehouse_is_started_anew_and_keeps_all_else(
    tmp_path: Path,
) -> None:
    try:
        first = gateway_process.start(tmp_path)
        more = gateway_process.start(tmp_path, others=["hive"])
        assert (replace(more, others={}), more.others.keys()) == (first, {"hive"})
        assert gateway_process.start(tmp_path) == more
        hive = pushed(replace(more, resource_uuid=more.others["hive"]))
    finally:
        gateway_process.stop(tmp_path)
    assert hive.ok, hive.text


def test_a_process_serves_until_sigterm_and_the_next_one_knows_everything(
    started: Started,
) -> None:
    first, connection = started()
    invocation = pushed(connection).json()["invocation_id"]
    first.send_signal(signal.SIGTERM)
    _, said = first.communicate(timeout=10)
    assert (first.returncode, said) == (0, "")
    _, again = started()
    assert again == connection
    with GatewayClient(again.url) as client:
        assert [event.invocation_id for event in client.events()] == [invocation]


def test_a_killed_process_forgets_nothing_it_answered(started: Started) -> None:
    first, connection = started()
    for number in range(5):
        pushed(connection, f"t{number}")
    first.kill()
    first.wait(timeout=10)
    _, again = started()
    with GatewayClient(again.url) as client:
        assert client.counts().events["metadata"] == 5


def test_a_second_process_on_the_folder_says_why_it_cannot_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Gateway(tmp_path):
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            assert main(["--state", str(tmp_path)]) == 1
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    assert "Another sandbox gateway uses" in capsys.readouterr().err


def test_a_client_sees_what_the_gateway_sees() -> None:
    with Gateway() as gateway, gateway.client() as client:
        pushed(gateway.connection)
        pushed(gateway.connection)
        assert client.requests() == gateway.requests
        assert client.events() == gateway.events()
        assert client.events("querylogs") == ()
        (first, _) = gateway.requests
        found = client.events("metadata", invocation_id=first.invocation_id)
        assert [event.request for event in found] == [1]
        assert client.counts() == gateway.counts()
        assert client.measured() == gateway.measured()
        assert client.measured()[0].volume == 2
        assert client.duplicate_query_ids() == {}
        assert gateway.counts().requests == 2, "admin requests are not counted"


def test_a_client_steers_the_gateway() -> None:
    with Gateway() as gateway, gateway.client() as client:
        client.script(answers(429, retry_after=1), redirects(307))
        refused = pushed(gateway.connection)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        pushed(gateway.connection)
        assert client.redirect_hits() == 1
        client.rule(answers(503), nth=1)
        assert pushed(gateway.connection).status_code == 503
        client.rule(answers(503))
        client.clear()
        assert pushed(gateway.connection).status_code == 202


def test_a_client_can_release_what_hangs() -> None:
    with Gateway() as gateway, gateway.client() as client:
        port = int(gateway.url.rpartition(":")[2])
        client.script(accept_then_hang)
        with socket.create_connection(("127.0.0.1", port), 10) as waiting:
            waiting.sendall(b"POST /ingest/v1/metadata HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            gateway.wait_for_requests(1)
            client.release()
            assert waiting.recv(10) == b""


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "nothing", None, 404),
        ("POST", "nothing", {}, 404),
        ("DELETE", "counts", None, 405),
        ("GET", "events?endpoint=other", None, 400),
        ("GET", "events?surprise=1", None, 400),
        ("POST", "script", {"faults": [{"surprise": 1}]}, 400),
        ("POST", "script", {}, 400),
        ("POST", "script", b"{", 400),
    ],
)
def test_a_malformed_order_is_refused(method: str, path: str, content: Any, status: int) -> None:
    data = content if isinstance(content, bytes | None) else json.dumps(content)
    with Gateway() as gateway:
        answer = requests.request(method, f"{gateway.url}/sandbox/{path}", data=data, timeout=10)
        assert answer.status_code == status
        assert gateway.requests == ()


def test_a_client_without_a_gateway_says_where_it_looked() -> None:
    with Gateway() as gateway:
        url = gateway.url
    with GatewayClient(url) as client, pytest.raises(SandboxError, match=url):
        client.counts()


def test_a_proxy_in_the_environment_does_not_stand_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert "HTTP_PROXY" in os.environ
    with Gateway() as gateway, gateway.client() as client:
        assert client.counts().requests == 0


@pytest.mark.parametrize("ran_before", [False, True])
def test_a_gateway_does_not_stay_alone_where_the_lakehouse_cannot_start(
    tmp_path: Path, *, ran_before: bool
) -> None:
    home = tmp_path / "home"
    state = gateway_state(home)
    if ran_before:
        gateway_process.start(state)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = ["sandbox", "start", "--home", str(home), "--port", str(taken.getsockname()[1])]
        failed = CliRunner().invoke(cli, command)
    assert failed.exit_code == 1, failed.output
    assert (gateway_process.status(state) is not None) is ran_before
    gateway_process.stop(state)
