"""Real pycarlo over a real socket: one request, one post, one verdict."""

import base64
import gzip
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from iomete_mc_assets.errors import (
    Misconfigured,
    NotAccepted,
    OutcomeUnknown,
    PushError,
    Rejected,
    SettingsError,
    TooLarge,
)
from iomete_mc_assets.montecarlo.answers import ANSWER_CAP, LONGEST_WAIT_S
from iomete_mc_assets.montecarlo.events.event import Envelope
from iomete_mc_assets.montecarlo.ingest import IngestConfig, Outgoing, PycarloIngest
from iomete_mc_assets.redaction import MASK
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets_tests.secrets_search import secrets_in

EVENT = b'{"relational_asset": {"type": "TABLE", "metadata": {"name": "t", "database": "d", "schema": "default"}}}'


def an_ingest(
    gateway: Gateway,
    *,
    key_secret: str | None = None,
    read_timeout_s: float = 5,
    total_timeout_s: float = 5,
) -> PycarloIngest:
    return PycarloIngest(
        IngestConfig(
            endpoint=gateway.url,
            key_id=gateway.key_id,
            key_secret=key_secret or gateway.key_secret,
            read_timeout_s=read_timeout_s,
            total_timeout_s=total_timeout_s,
        )
    )


def a_batch(gateway: Gateway) -> Outgoing:
    envelope = Envelope.of(
        "catalog_snapshot",
        resource_uuid=gateway.resource_uuid,
        resource_type="spark",
        log_type="unused",
    )
    return Outgoing(
        flow="catalog_snapshot", events=1, body=envelope.around([EVENT]), shown="batch 1/1"
    )


def test_an_accepted_batch_gives_its_invocation_id_and_the_bytes_sent_are_the_bytes_given(
    gateway: Gateway,
) -> None:
    invocation_id = an_ingest(gateway).send(a_batch(gateway))
    assert [event.invocation_id for event in gateway.events()] == [invocation_id]
    assert gateway.bodies == (a_batch(gateway).body,)


def test_the_headers_are_those_that_plain_pycarlo_sends(gateway: Gateway) -> None:
    from pycarlo.core import Client, Session  # noqa: PLC0415 - slow to import

    session = Session(mcd_id=gateway.key_id, mcd_token=gateway.key_secret, scope="Ingestion")
    session.endpoint = gateway.url
    Client(session).make_request(  # pyright: ignore[reportUnknownMemberType] - pycarlo's
        path="/ingest/v1/metadata", body=json.loads(a_batch(gateway).body)
    )
    an_ingest(gateway).send(a_batch(gateway))
    plain, ours = ({name.lower() for name in request.headers} for request in gateway.requests)
    assert ours == plain
    assert gateway.bodies[0] == gateway.bodies[1]


ANSWERS = [
    (faults.answers(400), Rejected),
    (faults.answers(409), Rejected),
    (faults.answers(422), Rejected),
    (faults.answers(401), Misconfigured),
    (faults.answers(403), Misconfigured),
    (faults.answers(404), Misconfigured),
    (faults.answers(405), Misconfigured),
    (faults.answers(418), Misconfigured),
    (faults.html_page, Misconfigured),
    (faults.answers(413), TooLarge),
    (faults.answers(429), NotAccepted),
    (faults.answers(503), NotAccepted),
    (faults.answers(408), OutcomeUnknown),
    (faults.answers(500), OutcomeUnknown),
    (faults.answers(502), OutcomeUnknown),
    (faults.answers(504), OutcomeUnknown),
    (faults.accept_then_nothing, OutcomeUnknown),
    (faults.accept_then_no_id, OutcomeUnknown),
    (faults.accept_then_reset, OutcomeUnknown),
    (faults.accept_then_cut, OutcomeUnknown),
    (faults.reset, OutcomeUnknown),
]


@pytest.mark.parametrize(("fault", "meaning"), ANSWERS)
def test_rule_14_each_answer_is_one_post_and_one_verdict(
    gateway: Gateway, fault: faults.Fault, meaning: type[PushError]
) -> None:
    gateway.script(fault)
    with pytest.raises(meaning) as caught:
        an_ingest(gateway).send(a_batch(gateway))
    assert type(caught.value) is meaning
    assert len(gateway.requests) == 1
    assert not secrets_in(str(caught.value), [gateway.key_secret])
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(("fault", "meaning"), ANSWERS)
def test_an_answer_over_a_connection_that_stood_means_the_same(
    gateway: Gateway, fault: faults.Fault, meaning: type[PushError]
) -> None:
    ingest = an_ingest(gateway)
    gateway.script(faults.accept, fault, faults.accept)
    ingest.send(a_batch(gateway))
    with pytest.raises(meaning) as caught:
        ingest.send(a_batch(gateway))
    assert type(caught.value) is meaning
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert ingest.send(a_batch(gateway))
    assert len(gateway.requests) == 3
    assert [set(request.headers) for request in gateway.requests[1:]] == 2 * [
        set(gateway.requests[0].headers)
    ]


@pytest.mark.parametrize(("status", "meaning"), [(202, OutcomeUnknown), (400, Misconfigured)])
def test_rule_14_an_answer_nested_too_deeply_to_be_read_has_a_verdict_too(
    gateway: Gateway, status: int, meaning: type[PushError]
) -> None:
    gateway.script(faults.answers(status, "[" * 60_000))
    with pytest.raises(meaning) as caught:
        an_ingest(gateway).send(a_batch(gateway))
    assert type(caught.value) is meaning


def test_rule_8_the_details_of_a_refusal_are_kept(gateway: Gateway) -> None:
    body = '{"error": "Invalid request body", "details": {"events": ["bad"]}}'
    gateway.script(faults.answers(400, body))
    with pytest.raises(Rejected, match="Invalid request body") as caught:
        an_ingest(gateway).send(a_batch(gateway))
    assert (caught.value.status, caught.value.details) == (400, '{"events": ["bad"]}')


def test_a_400_that_is_not_in_monte_carlos_shape_is_a_wrong_address(gateway: Gateway) -> None:
    gateway.script(faults.answers(400, "Bad Request", content_type="text/plain"))
    with pytest.raises(Misconfigured, match="MCD_INGEST_ENDPOINT"):
        an_ingest(gateway).send(a_batch(gateway))


def test_rule_10_a_429_says_how_long_to_wait(gateway: Gateway) -> None:
    gateway.script(faults.answers(429, retry_after=7), faults.answers(429))
    for expected in (7.0, None):
        with pytest.raises(NotAccepted) as caught:
            an_ingest(gateway).send(a_batch(gateway))
        assert caught.value.retry_after_s == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("inf", LONGEST_WAIT_S),
        ("1e300", LONGEST_WAIT_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT_S),
        ("-inf", 0.0),
        ("nan", None),
        ("soon", None),
        ("Fri, 31 Dec 99999999999 23:59:59 GMT", None),
        ("Fri, 31 Dec 2026 23:59:59 +99999999999999", None),
    ],
)
def test_rule_10_whatever_a_429_says_becomes_a_wait_that_can_be_added_to_a_clock(
    gateway: Gateway, said: str, expected: float | None
) -> None:
    gateway.script(faults.answers(429, retry_after=said))
    with pytest.raises(NotAccepted) as caught:
        an_ingest(gateway).send(a_batch(gateway))
    assert caught.value.retry_after_s == expected


def test_rule_12_a_refused_connection_is_not_accepted_and_names_the_address() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
    ingest = PycarloIngest(IngestConfig(endpoint=endpoint, key_id="id", key_secret="secret"))
    with pytest.raises(NotAccepted, match=endpoint):
        ingest.send(Outgoing(flow="query_logs", events=1, body=b"{}", shown="batch 1/1"))


@pytest.mark.parametrize(
    "slow", [faults.drips_headers(50), faults.drips_body(50), faults.accept_then_hang]
)
def test_rule_13_a_request_ends_within_its_total_time(gateway: Gateway, slow: faults.Fault) -> None:
    gateway.script(slow)
    began = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        an_ingest(gateway, read_timeout_s=30, total_timeout_s=0.6).send(a_batch(gateway))
    assert 0.5 < time.monotonic() - began < 3
    assert len(gateway.requests) == 1


def test_rule_13_each_request_has_its_own_time(gateway: Gateway) -> None:
    """One thread watches them all: it must not sleep past the next one, nor stay away after the last."""
    gateway.script(faults.after(400), faults.accept_then_hang, faults.accept_then_hang)
    ingest = an_ingest(gateway, read_timeout_s=30, total_timeout_s=0.6)
    assert ingest.send(a_batch(gateway))
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown, match="it took too long"):
            ingest.send(a_batch(gateway))
        assert 0.5 < time.monotonic() - began < 3


def test_one_thread_watches_the_time_of_many_requests(gateway: Gateway) -> None:
    ingest = an_ingest(gateway)
    before = set(threading.enumerate())
    for _ in range(10):
        ingest.send(a_batch(gateway))
    watching = {thread for thread in threading.enumerate() if thread.name == "deadlines"}
    assert len(watching - before) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_rule_15_a_redirect_is_not_followed(gateway: Gateway, status: int) -> None:
    gateway.script(faults.redirects(status))
    with pytest.raises(Misconfigured, match="not followed"):
        an_ingest(gateway).send(a_batch(gateway))
    assert gateway.redirect_hits == 0


class Accepting(BaseHTTPRequestHandler):
    """Accepts whatever comes, one connection for many requests."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"invocation_id": "0d1b2c3d-0000-4000-8000-00000000beef"}'
        self.send_response(202)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


class CountingServer(ThreadingHTTPServer):
    daemon_threads = True
    connections = 0

    def get_request(self) -> tuple[socket.socket, Any]:
        self.connections += 1
        return super().get_request()


class Unsteady(Accepting):
    """Accepts the first, third, ... request of a connection, and answers the others oddly."""

    requests = 0

    def do_POST(self) -> None:
        self.requests += 1
        if self.requests % 2:
            super().do_POST()
            return
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer_oddly()

    def answer_oddly(self) -> None:
        raise NotImplementedError


class Wordy(Unsteady):
    """Refuses with more words than anybody reads, and keeps back the last."""

    def answer_oddly(self) -> None:
        self.send_response(400)
        self.send_header("Content-Length", str(2 * ANSWER_CAP))
        self.end_headers()
        self.wfile.write(b"x" * (ANSWER_CAP + 1))


class Babbling(Unsteady):
    """Answers with what is no HTTP."""

    def answer_oddly(self) -> None:
        self.wfile.write(b"220 mail.example ESMTP\r\n")


class Packing(Accepting):
    """Answers as ``Accepting``, gzipped."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.compress(b'{"invocation_id": "0d1b2c3d-0000-4000-8000-00000000beef"}')
        self.send_response(202)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Announcing(Accepting):
    """Says 102 and 103 before it accepts."""

    def do_POST(self) -> None:
        for head in (b"102 Processing", b"103 Early Hints\r\nLink: </style.css>"):
            self.wfile.write(b"HTTP/1.1 " + head + b"\r\n\r\n")
        super().do_POST()


class Switching(Accepting):
    """Answers with another protocol, which nobody asked for."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")


@contextmanager
def an_ingest_at(handler: type[Accepting]) -> Generator[tuple[PycarloIngest, CountingServer]]:
    with CountingServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        yield PycarloIngest(IngestConfig(endpoint=endpoint, key_id="k", key_secret="s")), server
        server.shutdown()


def test_what_is_left_of_a_cut_answer_is_not_read_as_the_next(gateway: Gateway) -> None:
    with an_ingest_at(Wordy) as (ingest, server):
        ingest.send(a_batch(gateway))
        with pytest.raises(Misconfigured, match="HTTP 400: x"):
            ingest.send(a_batch(gateway))
        ingest.send(a_batch(gateway))
    assert server.connections == 2


def test_what_is_no_http_is_no_answer(gateway: Gateway) -> None:
    with an_ingest_at(Babbling) as (ingest, server):
        ingest.send(a_batch(gateway))
        with pytest.raises(OutcomeUnknown, match="220 mail"):
            ingest.send(a_batch(gateway))
        ingest.send(a_batch(gateway))
    assert server.connections == 2


def test_rule_14_what_only_announces_an_answer_is_passed_over(gateway: Gateway) -> None:
    with an_ingest_at(Announcing) as (ingest, server):
        ids = {ingest.send(a_batch(gateway)) for _ in range(2)}
    assert ids == {"0d1b2c3d-0000-4000-8000-00000000beef"}
    assert server.connections == 1


def test_rule_14_another_protocol_is_not_monte_carlo(gateway: Gateway) -> None:
    with an_ingest_at(Switching) as (ingest, _), pytest.raises(Misconfigured, match="HTTP 101"):
        ingest.send(a_batch(gateway))


def test_a_packed_answer_is_unpacked_over_a_new_connection_and_a_standing_one(
    gateway: Gateway,
) -> None:
    with an_ingest_at(Packing) as (ingest, server):
        ids = {ingest.send(a_batch(gateway)) for _ in range(2)}
    assert ids == {"0d1b2c3d-0000-4000-8000-00000000beef"}
    assert server.connections == 1


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_authorities_that_cannot_be_read_are_told_at_once_and_named(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    bundle = tmp_path / "authorities.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    ingest = PycarloIngest(
        IngestConfig(
            endpoint=gateway.url.replace("http:", "https:"), key_id="k", key_secret="s" * 20
        )
    )
    with pytest.raises(Misconfigured, match="REQUESTS_CA_BUNDLE") as caught:
        ingest.send(a_batch(gateway))
    assert str(bundle) in str(caught.value)
    assert not gateway.requests


def test_authorities_that_cannot_be_read_do_not_matter_without_tls(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    assert an_ingest(gateway).send(a_batch(gateway))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(NotAccepted):
        PycarloIngest(IngestConfig(endpoint=nobody, key_id="k", key_secret="s")).send(
            a_batch(gateway)
        )


def test_threads_that_end_leave_their_connection_to_those_that_follow(gateway: Gateway) -> None:
    with an_ingest_at(Accepting) as (ingest, server):
        for _ in range(3):  # as every hour has threads of its own
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(ingest.send, a_batch(gateway)).result()
        for _ in range(7):
            ingest.send(a_batch(gateway))
    assert server.connections == 1


def test_the_body_and_the_trace_id_are_each_requests_own(gateway: Gateway) -> None:
    ingest, sent = an_ingest(gateway), a_batch(gateway)
    longer = replace(sent, body=sent.body.replace(b'"t"', b'"longer"'))
    for outgoing in (sent, longer, sent):
        ingest.send(outgoing)
    assert gateway.bodies == (sent.body, longer.body, sent.body)
    traces = {request.headers["x-mcd-trace-id"] for request in gateway.requests}
    assert len(traces) == 3


def test_one_ingest_serves_both_endpoints_in_turn(gateway: Gateway) -> None:
    ingest = an_ingest(gateway)
    queries = Outgoing(flow="query_logs", events=1, body=b'{"events": []}', shown="batch 1/1")
    gateway.script(faults.accept, faults.answers(429), faults.accept)
    ingest.send(a_batch(gateway))
    with pytest.raises(NotAccepted):
        ingest.send(queries)
    ingest.send(a_batch(gateway))
    paths = [request.path for request in gateway.requests]
    assert paths == ["/ingest/v1/metadata", "/ingest/v1/querylogs", "/ingest/v1/metadata"]


def test_a_lost_connection_is_made_anew(gateway: Gateway) -> None:
    ingest = an_ingest(gateway)
    gateway.script(faults.accept, faults.reset, faults.accept)
    ingest.send(a_batch(gateway))
    with pytest.raises(OutcomeUnknown):
        ingest.send(a_batch(gateway))
    assert ingest.send(a_batch(gateway))


SPOILED = """
import sys
from iomete_mc_assets.montecarlo.ingest import IngestConfig, Outgoing, PycarloIngest
endpoint, key_id, key_secret, body = sys.argv[1:]
ingest = PycarloIngest(IngestConfig(endpoint=endpoint, key_id=key_id, key_secret=key_secret))
print(ingest.send(Outgoing(flow="catalog_snapshot", events=1, body=body.encode(), shown="batch 1/1")))
"""


def in_a_process(gateway: Gateway, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    body = a_batch(gateway).body.decode()
    return subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", SPOILED, gateway.url, gateway.key_id, gateway.key_secret, body],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_rule_37_nothing_in_the_environment_redirects_or_replaces(
    gateway: Gateway, tmp_path: Path
) -> None:
    """pycarlo reads its variables at import, so this needs a process of its own."""
    (tmp_path / ".netrc").write_text("default login thief password thief\n")
    (tmp_path / ".mcd").mkdir()
    (tmp_path / ".mcd" / "profiles.ini").write_text("[default]\nmcd_id = x\nmcd_token = y\n")
    done = in_a_process(
        gateway,
        {
            "HOME": str(tmp_path),
            "MCD_API_ENDPOINT": "http://127.0.0.1:9/graphql",
            "MCD_DEFAULT_API_ID": "another",
            "MCD_DEFAULT_API_TOKEN": "another",
            "MCD_USER_ID_HEADER": "somebody",
        },
    )
    assert done.returncode == 0, done.stderr
    headers = {name.lower(): value for name, value in gateway.requests[0].headers.items()}
    assert headers["x-mcd-id"] == gateway.key_id
    assert "authorization" not in headers
    assert "user-id" not in headers


def test_rule_37_oauth_variables_are_refused_by_name(gateway: Gateway) -> None:
    done = in_a_process(
        gateway, {"MCD_DEFAULT_OAUTH_CLIENT_ID": "a", "MCD_DEFAULT_OAUTH_CLIENT_SECRET": "b"}
    )
    assert "SettingsError: MCD_DEFAULT_OAUTH_CLIENT_ID" in done.stderr
    assert gateway.requests == ()


@pytest.mark.parametrize(("key_id", "key_secret"), [("", "s"), ("i", ""), (" ", "s")])
def test_rule_37_an_empty_key_is_refused_before_pycarlo_looks_for_another(
    key_id: str, key_secret: str
) -> None:
    with pytest.raises(SettingsError, match="is empty"):
        IngestConfig(endpoint="http://127.0.0.1:9", key_id=key_id, key_secret=key_secret)


@pytest.mark.parametrize("key", ["two\nlines", "gro\u00df"])
def test_rule_36_a_key_that_no_header_may_hold_is_refused_unshown(key: str) -> None:
    config = IngestConfig(endpoint="http://nobody.example", key_id="id", key_secret=key)
    with pytest.raises(SettingsError, match="holds a character that no header") as refused:
        PycarloIngest(config)
    assert key not in str(refused.value)


def test_rule_36_the_key_is_in_no_repr_and_an_echo_of_it_is_masked(gateway: Gateway) -> None:
    config = IngestConfig(endpoint=gateway.url, key_id="key-id-1", key_secret="key-secret-1")
    assert "key-id-1" not in repr(config)
    assert "key-secret-1" not in repr(config)
    gateway.script(faults.answers(400, '{"error": "who is key-secret-1?"}'))
    with pytest.raises(Rejected) as caught:
        PycarloIngest(config).send(a_batch(gateway))
    assert "key-secret-1" not in str(caught.value)


KEY_ID = "5f0c2c1e-7a8b-4c9d-8e1f-a0b1c2d3e4f5"
SECRET = "AbC/dEf+0123456789/qrstuvwxyz"


def every_character_escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04X}" for character in text)


def slashes_escaped(text: str) -> str:
    return text.replace("/", "\\/")


def quoted_in_lower_case(text: str) -> str:
    return quote(text, safe="").replace("%2F", "%2f").replace("%2B", "%2b")


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


ECHOES = [
    (400, '{"error": "bad", "details": {"got": "%s", "%s": 1}}', Rejected),
    (400, '{"error": "who is %s?"}', Rejected),
    (202, '{"invocation_id": "%s"}', OutcomeUnknown),
    (500, "%s", OutcomeUnknown),
    (403, '{"error": "%s"}', Misconfigured),
]


@pytest.mark.parametrize("written", [str, slashes_escaped, every_character_escaped])
@pytest.mark.parametrize("form", [str, quoted_in_lower_case, in_base64])
def test_rule_36_an_echo_of_the_key_is_masked_however_the_server_escapes_it(
    gateway: Gateway, form: Callable[[str], str], written: Callable[[str], str]
) -> None:
    config = IngestConfig(endpoint=gateway.url, key_id=KEY_ID, key_secret=SECRET)
    ingest = PycarloIngest(config)
    for of, (status, answered, meaning) in product((KEY_ID, SECRET), ECHOES):
        echo = written(form(of))
        gateway.script(faults.answers(status, answered.replace("%s", echo)))
        with pytest.raises(meaning) as caught:
            ingest.send(a_batch(gateway))
        kept = f"{caught.value} {getattr(caught.value, 'details', None)}"
        assert MASK in kept
        assert echo not in kept
        assert not secrets_in(kept, [KEY_ID, SECRET])


def test_rule_36_details_are_masked_as_they_are_kept(gateway: Gateway) -> None:
    """They are read out of JSON and written as JSON again, so an escape that was escaped shows what it hid."""
    echo = every_character_escaped(SECRET).replace("\\", "\\u005c")
    gateway.script(faults.answers(400, f'{{"error": "bad", "details": ["{echo}"]}}'))
    config = IngestConfig(endpoint=gateway.url, key_id=KEY_ID, key_secret=SECRET)
    with pytest.raises(Rejected) as caught:
        PycarloIngest(config).send(a_batch(gateway))
    assert caught.value.details == f'["{MASK}"]'


def test_rule_36_what_is_no_http_is_masked_too(gateway: Gateway) -> None:
    gateway.script(faults.answers(400))
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_babble, args=(server, SECRET.encode()), daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        config = IngestConfig(endpoint=endpoint, key_id=KEY_ID, key_secret=SECRET)
        with pytest.raises(OutcomeUnknown, match="no answer") as caught:
            PycarloIngest(config).send(a_batch(gateway))
    assert MASK in str(caught.value)
    assert not secrets_in(str(caught.value), [SECRET])


def _babble(server: socket.socket, words: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        _head_of(connection)
        connection.sendall(words + b"\r\n\r\n")


def test_importing_the_ingest_module_does_not_import_pycarlo() -> None:
    code = (
        "import sys, iomete_mc_assets.montecarlo.ingest, iomete_mc_assets.push.pusher; "
        "print('pycarlo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "False"


def test_rule_37_a_proxy_of_the_environment_carries_the_request_and_learns_no_key(
    tmp_path: Path,
) -> None:
    """Companies have proxies, so they hold; but ``.netrc`` adds nothing, neither for them nor beyond."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login thief password thief\n")
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(20)
        port = proxy.getsockname()[1]
        body = "{}"
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [
                sys.executable,
                "-c",
                SPOILED,
                "https://push.example",
                "key-id-1",
                "key-secret-1",
                body,
            ],
            env={"HTTPS_PROXY": f"http://127.0.0.1:{port}", "NETRC": str(netrc)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = proxy.accept()
        with connection:
            head = _head_of(connection)
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        _, said = process.communicate(timeout=30)
    assert head.startswith("CONNECT push.example:443 HTTP/1.")
    for unwanted in ("authorization", "thief", "key-id-1", "key-secret-1", "x-mcd"):
        assert unwanted not in head.lower()
    assert "iomete_mc_assets.errors." in said
    assert "key-secret-1" not in said


def _head_of(connection: socket.socket) -> str:
    """A request's head, as it crossed the wire."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(4_096)
        assert piece, head
        head += piece
    return head.decode("ascii")


def test_rule_37_a_netrc_file_and_an_https_proxy_add_nothing_to_a_plain_endpoint(
    gateway: Gateway, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login thief password thief\n")
    done = in_a_process(gateway, {"NETRC": str(netrc), "HTTPS_PROXY": "http://127.0.0.1:9"})
    assert done.returncode == 0, done.stderr
    (request,) = gateway.requests
    assert request.path == "/ingest/v1/metadata"
    names = {name.lower() for name in request.headers}
    assert not names & {"authorization", "proxy-authorization"}
