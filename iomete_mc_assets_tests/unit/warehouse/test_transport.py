import base64
import logging
import ssl
import time
from pathlib import Path

import pytest
from thrift.transport.TTransport import TTransportException

from iomete_mc_assets.errors import (
    AccessDenied,
    LakehouseError,
    LakehouseUnavailable,
    NotALakehouse,
    SettingsError,
)
from iomete_mc_assets.warehouse.address import parse
from iomete_mc_assets.warehouse.transport import HttpTransport
from iomete_mc_assets_tests.thrift_http import Answer, HttpScript, Misbehaviour, Request

TLS = Path(__file__).parents[2] / "goldens" / "tls"
TOKEN = "s3cret/token+with=signs"


def transport(
    url: str,
    *,
    verify_tls: bool = True,
    ca_file: str | None = None,
    connect_timeout_s: float = 5,
    read_timeout_s: float = 5,
) -> HttpTransport:
    opened = HttpTransport(
        parse(url),
        user="ann",
        token=TOKEN,
        verify_tls=verify_tls,
        ca_file=ca_file,
        connect_timeout_s=connect_timeout_s,
        read_timeout_s=read_timeout_s,
    )
    opened.open()
    return opened


def exchange(over: HttpTransport, body: bytes) -> bytes:
    over.write(body)
    over.flush()
    return over.read(1_000)


def echo(request: Request) -> Answer:
    return Answer(body=request.body)


def test_many_exchanges_go_over_one_connection() -> None:
    with HttpScript(echo) as server:
        over = transport(server.url)
        assert [exchange(over, body) for body in (b"one", b"two", b"three")] == [
            b"one",
            b"two",
            b"three",
        ]
        over.close()
    assert [request.connection for request in server.requests] == [0, 0, 0]


def test_a_request_carries_user_and_token_and_the_thrift_content_type() -> None:
    with HttpScript(echo) as server:
        over = transport(server.url)
        exchange(over, b"one")
        over.close()
    (request,) = server.requests
    assert request.line == "POST /cliservice HTTP/1.1"
    expected = base64.b64encode(f"ann:{TOKEN}".encode()).decode()
    assert request.headers["Authorization"] == f"Basic {expected}"
    assert request.headers["Content-Type"] == "application/x-thrift"
    assert request.headers.get_all("Host") == [f"127.0.0.1:{server.port}"]


def test_an_idle_connection_that_was_closed_is_opened_anew_and_each_body_arrives_once() -> None:
    with HttpScript(lambda request: Answer(body=request.body, then_close=True)) as server:
        over = transport(server.url)
        for body in (b"one", b"two", b"three"):
            assert exchange(over, body) == body
            assert server.closed.acquire(timeout=5)
        over.close()
    assert [(request.connection, request.body) for request in server.requests] == [
        (0, b"one"),
        (1, b"two"),
        (2, b"three"),
    ]


@pytest.mark.parametrize("misbehaviour", ["cut", "half"])
def test_what_was_sent_and_not_answered_is_never_sent_again(misbehaviour: Misbehaviour) -> None:
    with HttpScript(lambda _: misbehaviour) as server:
        over = transport(server.url)
        with pytest.raises(LakehouseUnavailable, match="cut the connection in the middle"):
            exchange(over, b"one")
        over.close()
    assert [request.body for request in server.requests] == [b"one"]


def test_a_failed_exchange_leaves_nothing_behind_for_the_next_one() -> None:
    answers: list[Answer | Misbehaviour] = ["cut", Answer(body=b"fine")]
    with HttpScript(lambda _: answers.pop(0)) as server:
        over = transport(server.url)
        with pytest.raises(LakehouseUnavailable):
            exchange(over, b"one")
        assert exchange(over, b"two") == b"fine"
        over.close()
    assert [request.body for request in server.requests] == [b"one", b"two"]


def test_a_server_that_does_not_answer_is_given_up_after_the_read_timeout() -> None:
    began = time.monotonic()
    with HttpScript(lambda _: "silence") as server:
        over = transport(server.url, connect_timeout_s=20, read_timeout_s=0.2)
        with pytest.raises(
            LakehouseUnavailable, match=r"sent no answer within 0\.2 s \(read timeout\)"
        ):
            exchange(over, b"one")
        over.close()
    assert time.monotonic() - began < 10


def test_a_refused_connection_says_that_nothing_was_sent() -> None:
    with HttpScript(echo) as server:
        gone = server.url
    with pytest.raises(
        LakehouseUnavailable, match=r"cannot be reached \(ConnectionRefusedError.*Nothing was sent"
    ):
        exchange(transport(gone), b"one")


def test_cookies_go_back_as_name_and_value_alone_over_plain_http() -> None:
    def answering(request: Request) -> Answer:
        cookie = "hive.server2.auth=cu=ann&rn=-7&s=x/y=;Version=0;Max-Age=86400;Secure; HttpOnly"
        return Answer(body=b"x", headers={"Set-Cookie": cookie} if request.connection == 0 else {})

    with HttpScript(answering) as server:
        over = transport(server.url)
        exchange(over, b"one")
        exchange(over, b"two")
        over.close()
    assert "Cookie" not in server.requests[0].headers
    assert server.requests[1].headers["Cookie"] == "hive.server2.auth=cu=ann&rn=-7&s=x/y="


@pytest.mark.parametrize(
    ("status", "kind", "verdict"),
    [
        (401, AccessDenied, "The token of user ann is missing, wrong, expired or suspended"),
        (403, AccessDenied, "user ann may not use this compute"),
        (404, NotALakehouse, "The path leads nowhere"),
        (302, NotALakehouse, "no redirect is followed"),
        (307, NotALakehouse, "no redirect is followed"),
        (400, NotALakehouse, "That is no Spark Thrift server"),
        (405, NotALakehouse, "That is no Spark Thrift server"),
        (429, LakehouseUnavailable, "this may pass"),
        (500, LakehouseUnavailable, "The server broke over the request"),
        (502, LakehouseUnavailable, "this may pass"),
        (503, LakehouseUnavailable, "this may pass"),
        (504, LakehouseUnavailable, "this may pass"),
    ],
)
def test_each_status_is_an_error_of_its_own_before_anything_is_decoded(
    status: int, kind: type[LakehouseError], verdict: str
) -> None:
    with HttpScript(echo) as elsewhere:

        def answering(_: Request) -> Answer:
            page = b"<html><body>no</body></html>"
            headers = {"Content-Type": "text/html", "Location": elsewhere.url}
            return Answer(status=status, reason="Because", headers=headers, body=page)

        with HttpScript(answering) as server:
            over = transport(server.url)
            with pytest.raises(kind) as caught:
                exchange(over, b"one")
            over.close()
    assert elsewhere.requests == []
    message = str(caught.value)
    assert message.startswith(
        f'Lakehouse 127.0.0.1:{server.port}/cliservice answered {status} Because ("<html><body>no</body></html>"). '
    )
    assert verdict in message


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/json"])
def test_a_page_with_status_200_is_no_lakehouse(content_type: str) -> None:
    page = Answer(headers={"Content-Type": content_type}, body=b"<title>Log in</title>")
    with HttpScript(lambda _: page) as server:
        over = transport(server.url)
        with pytest.raises(
            NotALakehouse, match=r"instead of Thrift .*Log in.*such as a login page"
        ):
            exchange(over, b"one")
        over.close()


def test_an_empty_answer_is_an_unavailable_lakehouse() -> None:
    with HttpScript(lambda _: Answer()) as server:
        over = transport(server.url)
        with pytest.raises(LakehouseUnavailable, match="empty or cut body"):
            exchange(over, b"one")
        over.close()


def test_of_a_refusals_body_at_most_200_characters_are_shown_and_no_spelling_of_the_token() -> None:
    coded = base64.b64encode(f"ann:{TOKEN}".encode()).decode()
    body = f"you sent {TOKEN} as Basic {coded} {'x' * 50_000}".encode()
    with HttpScript(lambda _: Answer(status=401, reason="No", body=body)) as server:
        over = transport(server.url)
        with pytest.raises(AccessDenied) as caught:
            exchange(over, b"one")
        over.close()
    message = str(caught.value)
    shown = message.partition('("')[2].partition('")')[0]
    assert shown.startswith("you sent ******** as Basic ******** xxx")
    assert len(shown) == 200
    assert TOKEN not in message
    assert coded.rstrip("=") not in message


def test_a_closed_transport_sends_nothing() -> None:
    with HttpScript(echo) as server:
        over = transport(server.url)
        over.close()
        with pytest.raises(TTransportException):
            exchange(over, b"one")
    assert server.requests == []


def test_reading_past_the_answer_is_an_end_of_file() -> None:
    with HttpScript(echo) as server:
        over = transport(server.url)
        over.write(b"four")
        over.flush()
        assert over.readAll(3) == b"fou"
        with pytest.raises(EOFError):
            over.readAll(2)
        over.close()


def test_a_plain_http_lakehouse_is_asked_through_the_proxy_with_its_whole_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with HttpScript(echo) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://bob:pass@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("http_proxy", f"http://bob:pass@127.0.0.1:{proxy.port}")
        over = transport("http://lake.example/cliservice")
        assert exchange(over, b"one") == b"one"
        over.close()
    (request,) = proxy.requests
    assert request.line == "POST http://lake.example:10000/cliservice HTTP/1.1"
    assert request.headers.get_all("Host") == ["lake.example:10000"]
    assert (
        request.headers["Proxy-Authorization"] == f"Basic {base64.b64encode(b'bob:pass').decode()}"
    )


def test_an_https_lakehouse_is_asked_through_a_tunnel_that_sees_no_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusing = Answer(status=407, reason="Proxy Authentication Required")
    with HttpScript(lambda _: refusing) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        over = transport("https://lake.example/cliservice")
        with pytest.raises(
            LakehouseUnavailable, match=f"through the proxy 127.0.0.1:{proxy.port} .*407"
        ):
            exchange(over, b"one")
        over.close()
    (request,) = proxy.requests
    assert request.line.startswith("CONNECT lake.example:443 ")
    assert "Authorization" not in request.headers


def tls_server() -> HttpScript:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "loopback.pem")
    return HttpScript(echo, tls=context)


def test_an_untrusted_certificate_is_refused_before_the_token_goes_out() -> None:
    with tls_server() as server:
        over = transport(server.url)
        with pytest.raises(NotALakehouse, match=r"certificate that is not trusted.*IOMETE_CA_FILE"):
            exchange(over, b"one")
        over.close()
    assert server.requests == []


def test_a_certificate_of_ones_own_authority_is_trusted_and_its_connection_kept() -> None:
    with tls_server() as server:
        over = transport(server.url, ca_file=str(TLS / "loopback-ca.pem"))
        assert [exchange(over, body) for body in (b"one", b"two", b"three")] == [
            b"one",
            b"two",
            b"three",
        ]
        over.close()
    assert [request.connection for request in server.requests] == [0, 0, 0]


def test_not_verifying_is_a_choice_that_the_log_names(caplog: pytest.LogCaptureFixture) -> None:
    with tls_server() as server, caplog.at_level(logging.WARNING):
        over = transport(server.url, verify_tls=False)
        assert exchange(over, b"one") == b"one"
        over.close()
    (record,) = caplog.records
    assert "is not verified (IOMETE_TLS_VERIFY=no)" in record.getMessage()
    assert f"127.0.0.1:{server.port}" in record.getMessage()


def test_https_asked_of_a_plain_http_port_says_so() -> None:
    with HttpScript(echo) as server:
        over = transport(server.url.replace("http://", "https://"))
        with pytest.raises(NotALakehouse, match="does not speak TLS"):
            exchange(over, b"one")
        over.close()


def test_an_unreadable_ca_file_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(SettingsError, match="IOMETE_CA_FILE cannot be used"):
            transport("https://lake.example/cliservice", ca_file=str(tmp_path / name))


def test_the_repr_holds_no_secret() -> None:
    assert repr(transport("http://lake.example/cliservice")) == (
        "HttpTransport(http://lake.example:10000/cliservice)"
    )
