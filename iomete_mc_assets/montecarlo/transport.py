"""One POST over a kept-alive connection, bounded in time whatever the server does. Knows no meaning of answers.

The HTTP library bounds each read, so a server that drips its headers has no bound (24 s measured for
a time-out of 4 s). A thread shuts the sockets of requests that take too long.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import cast

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse, HTTPResponse
from urllib3.util import Timeout

from iomete_mc_assets.montecarlo.answers import ANSWER_CAP, Answer
from iomete_mc_assets.redaction import redacted


class Unanswered(Exception):
    """No status line came.

    Attributes:
        sent: whether the request's first byte may have left; if not, nobody can have accepted it.
        untrusted: the server's certificate was refused, or nobody can say whom to trust: what the
            environment names as authorities cannot be read.
    """

    def __init__(self, message: str, *, sent: bool, untrusted: bool = False) -> None:
        """Keep what is known beside the sentence."""
        super().__init__(message)
        self.sent = sent
        self.untrusted = untrusted

    def without(self, secrets: Iterable[str]) -> "Unanswered":
        """The same with secrets masked: its words may be the server's, where those were no HTTP."""
        words = redacted(str(self), secrets)
        return Unanswered(words, sent=self.sent, untrusted=self.untrusted)


class Posts:
    """Posts to one endpoint, over as many kept-alive connections as there are posts at once.

    Redirects are not followed, cookies not kept, ``.netrc`` not read; the environment's proxies and
    certificate authorities hold.

    Args:
        connect_s: seconds until a connection must stand.
        read_s: seconds of silence borne.
        total_s: seconds for the whole exchange.
        answer_bytes: read of an answer; what is behind them is cut off.
    """

    def __init__(
        self, *, connect_s: float, read_s: float, total_s: float, answer_bytes: int = ANSWER_CAP
    ) -> None:
        self._timeout = Timeout(connect=connect_s, read=read_s)
        self._answer_bytes = answer_bytes
        self._deadlines = _Deadlines(total_s)
        self._idle: list[_Line] = []

    def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send once.

        Returns:
            The answer; of a body that was cut, what came.

        Raises:
            Unanswered: no status came.
        """
        line = self._line()
        with self._deadlines.watched() as watch:
            try:
                response = line.post(url, body=body, headers=headers, timeout=self._timeout)
                answer, whole = _answer(response, cap=self._answer_bytes)
            except _FAILURES as error:
                # the error holds the request and so the key: it must not become a cause
                reason = watch.ended or _reason(error)
                untrusted = not watch.sent and "certificate verify failed" in str(error)
                if not watch.sent and (fault := line.authorities_fault()):
                    reason, untrusted = fault, True
            else:
                if whole:
                    self._idle.append(line)
                else:  # what is left of the answer would be taken for the next one
                    line.close()
                return answer
            line.close()
        raise Unanswered(reason, sent=watch.sent, untrusted=untrusted)

    def cut(self, reason: str) -> None:
        """End the posts that are under way; each is ``Unanswered`` for that reason."""
        self._deadlines.cut_all(reason)

    def _line(self) -> "_Line":
        # an hour's threads end with it, and a TLS connection costs as much as twenty posts
        try:
            return self._idle.pop()
        except IndexError:
            return _Line()


class _Line:
    """A connection, and all of its requests that does not change from one to the next.

    ``requests`` says how the endpoint is reached (proxies, authorities), once; it would also follow
    redirects, keep cookies and read ``.netrc``. urllib3 below it connects, and speaks through proxies.
    While a connection without a proxy stands, posts go to it past urllib3, whose pool and answers take
    half of a post's processor time.
    """

    def __init__(self) -> None:
        self._adapter = _Adapter(pool_connections=1, pool_maxsize=1)
        self._headers: Mapping[str, str] = {}
        self._url: str = ""
        self._path = ""
        self._authorities: bool | str | None = None
        self._pool: HTTPConnectionPool | None = None
        self._standing: _WatchedConnection | None = None

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], timeout: Timeout
    ) -> "_Response":
        """Send once; the body of the answer is not read yet."""
        pool = self._pool_of(url)
        headers = {**self._headers, **headers}
        if self._standing is not None and self._standing.is_connected:
            return self._standing.post(self._path, body=body, headers=headers)
        response = pool.urlopen(
            "POST",
            self._path,
            body=body,
            headers=headers,
            retries=False,
            redirect=False,
            assert_same_host=False,
            timeout=timeout,
            preload_content=False,
        )
        self._standing = _present.connection if pool.proxy is None else None
        return response

    def authorities_fault(self) -> str | None:
        """Why the certificate authorities that the environment names cannot be read; None when they can."""
        named = self._authorities
        if not isinstance(named, str):
            return None
        try:
            if Path(named).is_dir():
                ssl.create_default_context(capath=named)
            else:
                ssl.create_default_context(cafile=named)
        except OSError as error:
            return f"{named} holds no authorities that can be read, {_reason(error)}"
        return None

    def close(self) -> None:
        """Let the connection go."""
        self._adapter.close()

    def _pool_of(self, url: str) -> HTTPConnectionPool:
        if self._pool is None or url != self._url:
            session = requests.Session()
            seen = session.merge_environment_settings(url, {}, None, None, None)
            verify, proxies = seen["verify"], seen["proxies"]
            self._authorities = verify if url.startswith("https:") else None
            request = requests.Request("POST", url).prepare()
            pool = self._adapter.get_connection_with_tls_context(request, verify, proxies)
            self._adapter.cert_verify(pool, url, verify, None)
            self._headers = dict(session.headers)
            self._path = self._adapter.request_url(request, proxies)
            self._url, self._pool, self._standing = url, pool, None
        return self._pool


_Response = BaseHTTPResponse | http.client.HTTPResponse
_FAILURES = (HTTPError, http.client.HTTPException, OSError)
"""Of urllib3, of the connection below it, and of requests and the socket."""


def _answer(response: _Response, *, cap: int) -> tuple[Answer, bool]:
    """The answer, and whether its body came to its end."""
    text = b""
    whole = False
    # a status is an answer even when its body is cut
    with suppress(*_FAILURES):
        for piece in _pieces(response):
            text += piece
            if len(text) > cap:
                break
        else:
            whole = True
    if not whole:
        response.close()
    if isinstance(response, BaseHTTPResponse):
        response.release_conn()
    headers = response.headers
    answer = Answer(
        status=response.status,
        text=text[:cap].decode("utf-8", "replace"),
        content_type=headers.get("Content-Type", ""),
        retry_after=headers.get("Retry-After"),
        location=headers.get("Location"),
    )
    return answer, whole


def _pieces(response: _Response) -> Iterator[bytes]:
    if isinstance(response, BaseHTTPResponse):
        yield from response.stream(_PIECE_BYTES, decode_content=True)
        return
    while piece := response.read1(_PIECE_BYTES):
        yield piece
    response.close()  # frees the connection for the next request


_PIECE_BYTES = 8_192


def _reason(error: BaseException) -> str:
    """The innermost cause in words: the outer ones repeat the address and their own class names."""
    seen: set[int] = set()
    inner = error
    while id(inner) not in seen:
        seen.add(id(inner))
        inner = inner.__cause__ or inner.__context__ or inner
    return f"{type(inner).__name__}: {inner}"


class _Watch:
    """What is known of one request under way.

    Attributes:
        sent: whether its first byte may have left.
        ended: why it was ended from here; None while it was not.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self.sent = False
        self.ended: str | None = None

    def first_byte(self, connected: socket.socket | None) -> None:
        """The connection stands and the request is about to leave."""
        self._socket, self.sent = connected, True
        if self.ended:  # the time ran out before there was a socket to shut
            self.cut(self.ended)

    def cut(self, reason: str) -> None:
        """End it, wherever it is stuck."""
        self.ended = reason
        if self._socket is not None:
            with suppress(OSError):  # already closed: the request is over
                self._socket.shutdown(socket.SHUT_RDWR)


class _Deadlines:
    """Ends requests that take too long, with one thread for all: a timer each costs as much as a post.

    All have the same time, so they become due in the order in which they began. The thread sleeps
    until the first is due, and ends when none is under way.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._due: dict[_Watch, float] = {}
        self._awake = False

    @contextmanager
    def watched(self) -> Generator[_Watch]:
        """Watch the request this thread makes inside."""
        watch = _present.watch = _Watch()
        with self._lock:
            self._due[watch] = time.monotonic() + self._seconds
            if not self._awake:
                self._awake = True
                threading.Thread(target=self._run, name="deadlines", daemon=True).start()
        try:
            yield watch
        finally:
            _present.watch = None
            with self._lock:
                self._due.pop(watch, None)

    def cut_all(self, reason: str) -> None:
        """End all that is under way."""
        with self._lock:
            for watch in self._due:
                watch.cut(reason)

    def _run(self) -> None:
        while (seconds := self._cut_late()) is not None:
            time.sleep(seconds)

    def _cut_late(self) -> float | None:
        """End what is due; returns the seconds until the next is, None when there is none."""
        with self._lock:
            for watch, due in list(self._due.items()):
                seconds = due - time.monotonic()
                if seconds > 0:
                    return seconds
                del self._due[watch]
                watch.cut("it took too long")
            self._awake = False
            return None


class _Present(threading.local):
    """The request this thread is making, and the connection that urllib3 made its last one over."""

    watch: _Watch | None = None
    connection: "_WatchedConnection | None" = None


_present = _Present()


class _FinalResponse(http.client.HTTPResponse):
    """The answer after those that only announce it: ``http.client`` passes over 100 alone, not 102 or 103."""

    def _read_status(self) -> tuple[str, int, str]:
        read = cast("tuple[str, int, str]", super()._read_status())  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue] - no public one
        version, status, reason = read
        announces = HTTPStatus.CONTINUE <= status < HTTPStatus.OK
        if announces and status != HTTPStatus.SWITCHING_PROTOCOLS:
            status = HTTPStatus.CONTINUE
        return version, status, reason


class _WatchedConnection(HTTPConnection):
    """Tells the watch when bytes go out."""

    response_class = _FinalResponse

    def request(self, *args: object, **kwargs: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - handed on as it came
        """As the parent's, with the connection made first."""
        if self.is_closed:
            self.connect()
        _present.connection = self
        self._tell()
        super().request(*args, **kwargs)  # pyright: ignore[reportArgumentType] - as above

    def post(self, path: str, *, body: bytes, headers: Mapping[str, str]) -> "_Response":
        """Send once past urllib3, over this connection, which stands."""
        self._tell()
        # as urllib3 does: who answers before it has read all may have gone, and the answer is there
        with suppress(BrokenPipeError, ConnectionResetError):
            http.client.HTTPConnection.request(self, "POST", path, body, headers)
        response = http.client.HTTPConnection.getresponse(self)
        if "Content-Encoding" not in response.headers:
            return response
        return HTTPResponse(
            response,
            dict(response.headers),
            response.status,
            preload_content=False,
            original_response=response,
        )

    def _tell(self) -> None:
        if _present.watch is not None:
            _present.watch.first_byte(self.sock)


class _WatchedTlsConnection(_WatchedConnection, HTTPSConnection):
    """The same over TLS."""


class _Adapter(HTTPAdapter):
    """Pools of watched connections."""

    def get_connection_with_tls_context(  # pyright: ignore[reportIncompatibleMethodOverride] - handed on as it came
        self, *args: object, **kwargs: object
    ) -> HTTPConnectionPool:
        """As the parent's."""
        pool = super().get_connection_with_tls_context(*args, **kwargs)  # pyright: ignore[reportArgumentType] - as above
        watched = _WatchedTlsConnection if pool.scheme == "https" else _WatchedConnection
        pool.ConnectionCls = watched  # pyright: ignore[reportAttributeAccessIssue] - its protocol is invariant
        return pool
