"""The gateway's bad side: what each fault does to a real client, and what was kept all the same."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_faults import (
    Answer,
    accept,
    accept_then_cut,
    accept_then_hang,
    accept_then_no_id,
    accept_then_nothing,
    accept_then_reset,
    after,
    answers,
    drips_body,
    drips_headers,
    hang,
    html_page,
    redirects,
    reset,
)
from iomete_mc_assets.sandbox.gateway_http import Incoming, Listener, Outgoing

PATH = "/ingest/v1/querylogs"


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as running:
        yield running


@pytest.fixture
def push(gateway: Gateway) -> Iterator[Callable[..., requests.Response]]:
    with requests.Session() as session:
        session.trust_env = False

        def push(timeout: float = 10, *, allow_redirects: bool = True) -> requests.Response:
            return session.post(
                f"{gateway.url}{PATH}",
                data=body(gateway),
                headers={"x-mcd-id": gateway.key_id, "x-mcd-token": gateway.key_secret},
                timeout=timeout,
                allow_redirects=allow_redirects,
            )

        yield push


Push = Callable[..., requests.Response]


def body(gateway: Gateway) -> bytes:
    event = {
        "start_time": "2026-01-01T08:00:00Z",
        "end_time": "2026-01-01T08:00:01Z",
        "query_text": "select 1",
    }
    resource = {"uuid": gateway.resource_uuid, "log_type": "s3"}
    payload = {"event_type": "QUERY_LOG", "resource": resource, "events": [event]}
    return json.dumps(payload).encode()


def raw_request(gateway: Gateway) -> bytes:
    content = body(gateway)
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nx-mcd-id: {gateway.key_id}\r\n"
        f"x-mcd-token: {gateway.key_secret}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def connected(gateway: Gateway) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(gateway.url).port or 0), 10)


def test_a_script_is_followed_request_by_request_and_then_everything_is_accepted(
    gateway: Gateway, push: Push
) -> None:
    gateway.script(accept, answers(429, retry_after=2), *[answers(503)] * 2)
    results = [push() for _ in range(5)]
    assert [result.status_code for result in results] == [202, 429, 503, 503, 202]
    assert [result.headers.get("Retry-After") for result in results][:3] == [None, "2", None]
    assert results[3].json() == {"error": "Service Unavailable"}
    assert [event.request for event in gateway.events()] == [1, 5]


def test_a_scripted_answer_keeps_its_body(gateway: Gateway, push: Push) -> None:
    refusal = '{"error": "Invalid request body", "details": {"events": ["no"]}}'
    gateway.script(answers(400, refusal), html_page)
    assert push().text == refusal
    page = push()
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert gateway.events() == ()


def test_a_202_can_be_empty_or_without_an_id_though_the_events_were_taken(
    gateway: Gateway, push: Push
) -> None:
    gateway.script(accept_then_nothing, accept_then_no_id)
    empty, without_id = push(), push()
    assert (empty.status_code, empty.content) == (202, b"")
    assert (without_id.status_code, without_id.json()) == (202, {"status": "accepted"})
    assert len(gateway.events()) == 2


@pytest.mark.parametrize(("fault", "taken"), [(hang, 0), (accept_then_hang, 1)])
def test_a_hanging_request_gets_no_answer(
    gateway: Gateway, push: Push, fault: Any, taken: int
) -> None:
    gateway.script(fault)
    with pytest.raises(requests.ReadTimeout):
        push(timeout=0.2)
    assert len(gateway.events()) == taken
    assert gateway.requests[0].status is None
    assert push().status_code == 202


def test_a_client_that_gave_up_is_no_longer_in_flight(gateway: Gateway, push: Push) -> None:
    gateway.script(hang)
    with pytest.raises(requests.ReadTimeout):
        push(timeout=0.1)
    gateway.wait_until_idle()
    push()
    assert gateway.requests[-1].in_flight == 1


@pytest.mark.parametrize("end", [Gateway.release, Gateway.close])
def test_a_hanging_connection_ends_on_release_and_on_close(
    end: Callable[[Gateway], None],
) -> None:
    with Gateway() as gateway, connected(gateway) as waiting:
        gateway.script(accept_then_hang)
        waiting.sendall(raw_request(gateway))
        gateway.wait_for_requests(1)
        started = time.monotonic()
        end(gateway)
        assert waiting.recv(100) == b""
        assert time.monotonic() - started < 2


@pytest.mark.parametrize(("fault", "taken"), [(reset, 0), (accept_then_reset, 1)])
def test_a_reset_connection_is_reset_and_not_merely_closed(
    gateway: Gateway, fault: Any, taken: int
) -> None:
    gateway.script(fault)
    with connected(gateway) as raw:
        raw.sendall(raw_request(gateway))
        with pytest.raises(ConnectionResetError):
            raw.recv(100)
    assert len(gateway.events()) == taken
    assert gateway.requests[0].status is None


def test_a_cut_answer_ends_in_the_middle_of_its_body(gateway: Gateway) -> None:
    gateway.script(accept_then_cut)
    with connected(gateway) as raw:
        raw.sendall(raw_request(gateway))
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    head, _, text = answer.partition(b"\r\n\r\n")
    assert b"Content-Length: 57" in head
    assert text == b'{"invocation_id": "' + text[19:]
    assert len(text) == 28
    assert len(gateway.events()) == 1


def test_a_cut_answer_is_an_error_to_requests(gateway: Gateway, push: Push) -> None:
    gateway.script(accept_then_cut)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        push()


@pytest.mark.parametrize("drips", [drips_body, drips_headers])
def test_a_dripping_answer_comes_byte_by_byte_and_whole(
    gateway: Gateway, push: Push, drips: Any
) -> None:
    gateway.script(drips(2))
    started = time.monotonic()
    answer = push()
    assert time.monotonic() - started > 0.1
    (event,) = gateway.events()
    assert answer.json() == {"invocation_id": event.invocation_id}


def test_headers_that_drip_beat_the_read_timeout_of_requests(gateway: Gateway, push: Push) -> None:
    """Each byte restarts the client's timer, which is why a pusher needs a clock of its own."""
    gateway.script(drips_headers(5))
    started = time.monotonic()
    assert push(timeout=0.25).status_code == 202
    assert time.monotonic() - started > 0.25


def test_a_client_that_leaves_a_drip_is_no_error(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.script(drips_body(1))
    with connected(gateway) as raw:
        raw.sendall(raw_request(gateway))
        gateway.wait_for_requests(1)
    gateway.wait_until_idle()
    assert [record.levelname for record in caplog.records if record.levelname != "DEBUG"] == []


def test_a_drip_ends_when_the_gateway_closes() -> None:
    with Gateway() as gateway, connected(gateway) as raw:
        gateway.script(drips_body(60_000))
        raw.sendall(raw_request(gateway))
        gateway.wait_for_requests(1)
        started = time.monotonic()
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("status", [302, 307])
def test_a_followed_redirect_is_counted_and_looks_like_success(
    gateway: Gateway, push: Push, status: int
) -> None:
    gateway.script(redirects(status), redirects(status))
    unfollowed = push(allow_redirects=False)
    assert (unfollowed.status_code, gateway.redirect_hits) == (status, 0)
    assert urlsplit(unfollowed.headers["Location"]).netloc != urlsplit(gateway.url).netloc
    assert push().json()["invocation_id"]
    assert gateway.redirect_hits == 1
    assert gateway.events() == ()


def test_a_redirect_can_lead_anywhere(gateway: Gateway, push: Push) -> None:
    gateway.script(redirects(301, to="http://127.0.0.1:9/x"))
    answer = push(allow_redirects=False)
    assert answer.headers["Location"] == "http://127.0.0.1:9/x"


def test_an_answer_can_be_late(gateway: Gateway, push: Push) -> None:
    gateway.script(after(150))
    started = time.monotonic()
    assert push().status_code == 202
    assert time.monotonic() - started >= 0.15


def test_a_rule_takes_the_nth_request_of_its_path(gateway: Gateway, push: Push) -> None:
    gateway.rule(answers(500), path=PATH, nth=2)
    assert [push().status_code for _ in range(3)] == [202, 500, 202]
    gateway.rule(answers(503))
    assert push().status_code == 503
    gateway.script(hang)
    gateway.clear()
    assert push().status_code == 202


def test_unused_steps_are_known(gateway: Gateway, push: Push) -> None:
    gateway.script(accept, accept)
    push()
    assert gateway.unused_faults == 1


def test_waiting_for_requests_that_do_not_come_says_how_many_did(gateway: Gateway) -> None:
    with pytest.raises(SandboxError, match="0 of 1 requests"):
        gateway.wait_for_requests(1, within_s=0.01)


def test_a_bug_of_the_gateway_is_logged_and_ends_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(incoming: Incoming) -> Outgoing:
        raise LookupError(incoming.path)

    with Listener(broken) as listener, requests.Session() as session:
        session.trust_env = False
        with pytest.raises(requests.ConnectionError):
            session.get(f"{listener.url}/x", timeout=10)
    assert "LookupError: /x" in caplog.text


def test_a_request_is_over_before_its_client_can_send_the_next() -> None:
    """Else a pusher that keeps to four requests would be seen with five."""
    may_end = threading.Event()

    def serve(incoming: Incoming) -> Outgoing:
        del incoming
        return Outgoing(answer=Answer(status=204), done=lambda: assert_in_time(may_end))

    def assert_in_time(event: threading.Event) -> None:
        assert event.wait(10)

    with (
        Listener(serve) as listener,
        socket.create_connection(("127.0.0.1", listener.port), 0.1) as raw,
    ):
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(TimeoutError):
            raw.recv(1)
        may_end.set()
        raw.settimeout(10)
        assert raw.recv(12) == b"HTTP/1.1 204"


def test_waiting_for_calm_says_how_many_are_still_served(gateway: Gateway) -> None:
    gateway.script(hang)
    with connected(gateway) as raw:
        raw.sendall(raw_request(gateway))
        gateway.wait_for_requests(1)
        with pytest.raises(SandboxError, match="1 requests are still served"):
            gateway.wait_until_idle(within_s=0.01)


def test_closing_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    with Gateway() as gateway, connected(gateway) as raw:
        gateway.script(hang)
        raw.sendall(raw_request(gateway))
        gateway.wait_for_requests(1)
        assert threading.active_count() == before + 2
    assert threading.active_count() == before
