import socket
import time

import pytest
from thrift.transport.TTransport import TTransportException

from iomete_mc_assets.errors import (
    AccessDenied,
    LakehouseError,
    LakehouseUnavailable,
    NotALakehouse,
)
from iomete_mc_assets.warehouse.address import parse
from iomete_mc_assets.warehouse.binary import BinaryTransport
from iomete_mc_assets_tests.thrift_binary import BAD, ERROR, OK, BinaryScript, message
from iomete_mc_assets_tests.thrift_http import Answer, HttpScript, Misbehaviour, Request

TOKEN = "s3cret"


def transport(
    url: str, *, connect_timeout_s: float = 5, read_timeout_s: float = 5
) -> BinaryTransport:
    made = BinaryTransport(
        parse(url),
        user="ann",
        token=TOKEN,
        connect_timeout_s=connect_timeout_s,
        read_timeout_s=read_timeout_s,
    )
    made.open()
    return made


def exchange(over: BinaryTransport, body: bytes) -> bytes:
    over.write(body)
    over.flush()
    return over.readAll(len(body))


def echo(request: Request) -> Answer:
    return Answer(body=request.body)


def test_a_connection_logs_in_once_and_is_kept() -> None:
    with BinaryScript(echo) as server:
        over = transport(server.url)
        large = b"x" * 3_000_000
        assert [exchange(over, body) for body in (b"one", large)] == [b"one", large]
        over.close()
    assert server.credentials == [b"\0ann\0s3cret"]
    assert [request.connection for request in server.requests] == [0, 0]


def test_an_idle_connection_that_was_closed_is_opened_again_before_anything_is_sent() -> None:
    with BinaryScript(lambda request: Answer(body=request.body, then_close=True)) as server:
        over = transport(server.url)
        assert exchange(over, b"one") == b"one"
        assert server.closed.acquire(timeout=5)
        assert exchange(over, b"two") == b"two"
        over.close()
    assert [request.body for request in server.requests] == [b"one", b"two"]


def test_after_a_cut_nothing_is_sent_a_second_time() -> None:
    for misbehaviour in ("cut", "half"):
        with BinaryScript(lambda _, said=misbehaviour: said) as server:
            over = transport(server.url)
            with pytest.raises(LakehouseUnavailable, match="cut the connection in the middle"):
                exchange(over, b"one")
            over.close()
        assert len(server.requests) == 1


def test_an_answer_that_does_not_come_is_a_read_timeout_and_ends_its_connection() -> None:
    def answering(request: Request) -> Answer | Misbehaviour:
        return "silence" if request.connection == 0 else echo(request)

    began = time.monotonic()
    with BinaryScript(answering) as server:
        over = transport(server.url, connect_timeout_s=60, read_timeout_s=0.2)
        with pytest.raises(LakehouseUnavailable, match=r"no answer within 0\.2 s \(read timeout\)"):
            exchange(over, b"one")
        assert exchange(over, b"two") == b"two"
        over.close()
    assert time.monotonic() - began < 30


def test_a_refused_connection_says_that_nothing_was_sent() -> None:
    with BinaryScript(echo) as server:
        gone = server.url
    with pytest.raises(LakehouseUnavailable, match=r"cannot be reached .*Nothing was sent"):
        exchange(transport(gone), b"one")


@pytest.mark.parametrize("status", [BAD, ERROR])
def test_a_wrong_token_is_denied_and_never_shown(status: int) -> None:
    def refusing(credentials: bytes) -> bytes:
        return message(status, b"Error validating the login of " + credentials)

    with BinaryScript(echo, greeting=refusing) as server:
        over = transport(server.url)
        with pytest.raises(AccessDenied, match="token of user ann is missing, wrong") as caught:
            exchange(over, b"one")
        over.close()
    assert "Error validating the login" in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert server.requests == []


@pytest.mark.parametrize(
    ("greeting", "kind", "says"),
    [
        (b"", LakehouseUnavailable, "did not let us in by SASL PLAIN"),
        (b"\x05", LakehouseUnavailable, "did not let us in by SASL PLAIN"),
        (
            b"HTTP/1.1 400 Bad Request\r\n",
            NotALakehouse,
            r"thrift:// belongs to binary mode",
        ),
        (b"\x05 and so on and on", NotALakehouse, r"thrift:// belongs to binary mode"),
        (message(OK, b"go on"), AccessDenied, "go on"),
    ],
)
def test_a_negotiation_that_ends_otherwise_is_no_connection(
    greeting: bytes, kind: type[LakehouseError], says: str
) -> None:
    with BinaryScript(echo, greeting=lambda _: greeting) as server:
        over = transport(server.url)
        with pytest.raises(kind, match=says):
            exchange(over, b"one")
        over.close()
    assert server.requests == []


def test_a_server_that_waits_for_more_is_left_after_the_connect_timeout() -> None:
    """As one without SASL does: it takes the negotiation for the beginning of a long message."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        over = transport(f"thrift://127.0.0.1:{silent.getsockname()[1]}", connect_timeout_s=0.2)
        with pytest.raises(LakehouseUnavailable, match=r"no answer within 0\.2 s.*NOSASL"):
            exchange(over, b"one")
        over.close()


def test_http_mode_asked_in_binary_says_which_address_belongs_to_it() -> None:
    with HttpScript(echo) as server:
        over = transport(f"thrift://127.0.0.1:{server.port}", connect_timeout_s=1)
        with pytest.raises((LakehouseUnavailable, NotALakehouse), match=r"http\(s\)://"):
            exchange(over, b"one")
        over.close()


def test_a_closed_transport_sends_nothing() -> None:
    with BinaryScript(echo) as server:
        over = transport(server.url)
        over.close()
        with pytest.raises(TTransportException):
            exchange(over, b"one")
    assert server.requests == []


def test_the_repr_holds_no_secret() -> None:
    assert (
        repr(transport("thrift://lake.example")) == "BinaryTransport(thrift://lake.example:10000)"
    )
