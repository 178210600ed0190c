"""Thrift over HTTP on one kept connection: each exchange is sent once, its status read before its body is decoded.

Thrift on a bare connection is ``binary``. Sessions and statements live in ``connection``, which decides what may be
asked again; the words of errors in ``faults``.
"""

import base64
import http.client
import logging
import selectors
import socket
import ssl
import urllib.request
from io import BytesIO

from thrift.transport.TTransport import TTransportException

from iomete_mc_assets.errors import SettingsError
from iomete_mc_assets.warehouse.address import Address, Proxy, proxy_for
from iomete_mc_assets.warehouse.faults import Faults

CONTENT_TYPE = "application/x-thrift"
BODY_READ = 8_192
"""Bytes of a refusal's body that are read at all."""

_log = logging.getLogger(__name__)


class Transport:
    """A Thrift transport: what was written goes out as one exchange at ``flush``, the answer is read from memory.

    For one thread. An idle connection that the other side has closed is opened anew *before* anything is
    sent; once bytes went out nothing is sent a second time, because FetchResults moves the server's cursor.
    """

    def __init__(self) -> None:
        self._open = False
        self._outgoing = BytesIO()
        self._answer = BytesIO()

    def _exchange(self, body: bytes) -> bytes:
        """Send, and return the whole answer.

        Raises:
            LakehouseError: as ``flush``.
        """
        raise NotImplementedError

    def _drop(self) -> None:
        """Let go of the connection, if there is one."""
        raise NotImplementedError

    # Thrift dictates the names below (TTransportBase: untyped, and with nothing to inherit).

    def isOpen(self) -> bool:  # noqa: N802 - Thrift's name
        """Whether it may be used."""
        return self._open

    def open(self) -> None:
        """Allow exchanges; the first one opens the connection."""
        self._open = True

    def close(self) -> None:
        """Let go of the connection and refuse exchanges until ``open``."""
        self._open = False
        self._drop()

    def read(self, sz: int) -> bytes:
        """At most ``sz`` bytes of the answer in memory."""
        return self._answer.read(sz)

    def readAll(self, sz: int) -> bytes:  # noqa: N802 - Thrift's name
        """Exactly ``sz`` bytes of the answer; EOFError when it is shorter."""
        data = self._answer.read(sz)
        if len(data) < sz:
            msg = f"the answer ends {sz - len(data)} bytes early"
            raise EOFError(msg)
        return data

    def write(self, buf: bytes) -> None:
        """Add to the next exchange."""
        self._outgoing.write(buf)

    def flush(self) -> None:
        """One exchange: send what was written, keep the whole answer for reading.

        Raises:
            LakehouseUnavailable: refused, no such host, cut, timed out, or (HTTP) 429, 500, 502, 503, 504.
            AccessDenied: the token is refused.
            NotALakehouse: something else than Thrift answers, or no TLS that can be trusted.
        """
        body = self._outgoing.getvalue()
        self._outgoing, self._answer = BytesIO(), BytesIO()
        if not self._open:
            raise TTransportException(TTransportException.NOT_OPEN, "the transport is closed")
        try:
            answer = self._exchange(body)
        except BaseException:  # an interrupt leaves half an exchange behind as well
            self._drop()
            raise
        self._answer = BytesIO(answer)


class HttpTransport(Transport):
    """Over HTTP: an exchange is one POST.

    Args:
        address: of the lakehouse; HTTP_PROXY, HTTPS_PROXY and NO_PROXY are obeyed.
        user: for the Basic header.
        token: likewise; shown in no message and no repr.
        verify_tls: False accepts any certificate, and says so in the log.
        ca_file: PEM file of certificate authorities; None takes the system's.
        connect_timeout_s: seconds to wait for a connection, TLS included.
        read_timeout_s: seconds without a byte of the answer. The server holds a poll for about 5
            (``hive.server2.long.polling.timeout``), so a smaller one breaks every slow statement.

    Raises:
        SettingsError: the CA file or a proxy variable cannot be used.
    """

    def __init__(
        self,
        address: Address,
        *,
        user: str,
        token: str,
        verify_tls: bool,
        ca_file: str | None,
        connect_timeout_s: float,
        read_timeout_s: float,
    ) -> None:
        super().__init__()
        self._address = address
        self._authorization = _basic(f"{user}:{token}")
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._tls = (
            _tls_context(address, verify=verify_tls, ca_file=ca_file)
            if address.scheme == "https"
            else None
        )
        self._proxy = proxy_for(
            address,
            urllib.request.getproxies(),
            bypassed=bool(urllib.request.proxy_bypass(address.host)),
        )
        self._faults = Faults(address, user=user, token=token, proxy=self._proxy)
        self._http: http.client.HTTPConnection | None = None
        self._cookies: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"HttpTransport({self._address.url})"

    def _drop(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    def _connected(self) -> http.client.HTTPConnection:
        if self._http is not None and dropped(self._http.sock):
            self._drop()
        if self._http is None:
            connection = self._new_connection()
            try:
                connection.connect()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                raise self._faults.not_connected(
                    error, timeout_s=self._connect_timeout_s
                ) from error
            connection.sock.settimeout(self._read_timeout_s)
            self._http = connection
        return self._http

    def _new_connection(self) -> http.client.HTTPConnection:
        near = self._address if self._proxy is None else self._proxy
        if self._tls is None:
            return http.client.HTTPConnection(near.host, near.port, timeout=self._connect_timeout_s)
        connection = http.client.HTTPSConnection(
            near.host, near.port, timeout=self._connect_timeout_s, context=self._tls
        )
        if self._proxy is not None:
            connection.set_tunnel(
                self._address.host, self._address.port, _proxy_headers(self._proxy)
            )
        return connection

    def _exchange(self, body: bytes) -> bytes:
        connection = self._connected()
        try:
            connection.request("POST", self._target(), body=body, headers=self._headers())
            response = connection.getresponse()
            self._remember_cookies(response)
            ok = response.status == http.HTTPStatus.OK
            answer = response.read() if ok else _start_of(response)
        except (OSError, http.client.HTTPException) as error:
            raise self._faults.cut(error, timeout_s=self._read_timeout_s) from error
        if not ok:
            raise self._faults.refused(response.status, response.reason, answer)
        content_type = response.headers.get("Content-Type", CONTENT_TYPE).partition(";")[0].strip()
        if content_type.startswith("text/") or content_type == "application/json":
            raise self._faults.page(content_type, answer[:BODY_READ])
        if not answer:
            raise self._faults.too_short()
        return answer

    def _target(self) -> str:
        """A proxy wants the whole address of a plain http server; the server itself or a tunnel the path."""
        return self._address.url if self._proxy and self._tls is None else self._address.path

    def _headers(self) -> dict[str, str]:
        headers = {
            "Host": self._address.authority,
            "Content-Type": CONTENT_TYPE,
            "Accept": CONTENT_TYPE,
            "Authorization": self._authorization,
            "User-Agent": "iomete-mc-assets",
        }
        if self._proxy is not None and self._tls is None:
            headers |= _proxy_headers(self._proxy)
        if self._cookies:
            headers["Cookie"] = "; ".join(
                f"{name}={value}" for name, value in self._cookies.items()
            )
        return headers

    def _remember_cookies(self, response: http.client.HTTPResponse) -> None:
        """Keep name and value alone: the server says Secure over plain http too, and wants them back."""
        for header in response.headers.get_all("Set-Cookie", []):
            name, equals, value = header.partition(";")[0].partition("=")
            if equals and name.strip():
                self._cookies[name.strip()] = value.strip()


def _start_of(response: http.client.HTTPResponse) -> bytes:
    """A refusal's body as far as it comes: the status has already told what matters."""
    try:
        return response.read(BODY_READ)
    except (OSError, http.client.HTTPException):
        return b""


def _tls_context(address: Address, *, verify: bool, ca_file: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        msg = (
            f"IOMETE_CA_FILE cannot be used ({error.strerror or type(error).__name__}). It takes the path of a "
            "readable PEM file with the certificate authorities that signed the lakehouse's certificate."
        )
        raise SettingsError(msg) from error
    if not verify:
        _log.warning(
            "TLS certificate of the lakehouse %s is not verified (IOMETE_TLS_VERIFY=no): whoever sits in between can "
            "read the token",
            address.shown,
        )
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _basic(pair: str) -> str:
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _proxy_headers(proxy: Proxy) -> dict[str, str]:
    return {} if proxy.credentials is None else {"Proxy-Authorization": _basic(proxy.credentials)}


def dropped(held: socket.socket | None) -> bool:
    """Whether an idle connection is gone: no answer is due, so anything readable is an end of file."""
    if held is None:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(held, selectors.EVENT_READ)
        return bool(selector.select(timeout=0))
