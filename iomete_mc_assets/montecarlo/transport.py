"""One POST over a kept-alive connection, bounded in time whatever the server does. Knows no meaning of answers.

The HTTP library bounds each read, so a server that drips its headers has no bound (24 s measured for
a time-out of 4 s). A thread shuts the sockets of requests that take too long.
"""

import socket
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool

from iomete_mc_assets.montecarlo.answers import ANSWER_CAP, Answer


class Unanswered(Exception):
    """No status line came.

    Attributes:
        sent: whether the request's first byte may have left; if not, nobody can have accepted it.
        untrusted: the server's certificate was refused.
    """

    def __init__(self, message: str, *, sent: bool, untrusted: bool = False) -> None:
        """Keep what is known beside the sentence."""
        super().__init__(message)
        self.sent = sent
        self.untrusted = untrusted


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
        self._timeout = (connect_s, read_s)
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
        line = self._line(url)
        with self._deadlines.watched() as watch:
            try:
                response = line.post(url, body=body, headers=headers, timeout=self._timeout)
                answer = _answer(response, cap=self._answer_bytes)
            except requests.RequestException as error:
                # the error holds the request and so the key: it must not become a cause
                untrusted = not watch.sent and "certificate verify failed" in str(error)
                reason = watch.ended or _reason(error)
            else:
                self._idle.append(line)
                return answer
            line.close()
        raise Unanswered(reason, sent=watch.sent, untrusted=untrusted)

    def cut(self, reason: str) -> None:
        """End the posts that are under way; each is ``Unanswered`` for that reason."""
        self._deadlines.cut_all(reason)

    def _line(self, url: str) -> "_Line":
        # an hour's threads end with it, and a TLS connection costs as much as twenty posts
        try:
            return self._idle.pop()
        except IndexError:
            return _Line(url)


class _Line:
    """A connection, and all of its requests that does not change from one to the next.

    Below ``requests.Session``, which would follow redirects, keep cookies and read ``.netrc``.
    """

    def __init__(self, url: str) -> None:
        session = requests.Session()
        seen = session.merge_environment_settings(url, {}, None, None, None)
        self._verify, self._proxies = seen["verify"], seen["proxies"]
        self._headers = dict(session.headers)
        self._adapter = _Adapter(pool_connections=1, pool_maxsize=1)
        self._request = requests.PreparedRequest()
        self._url = ""

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], timeout: tuple[float, float]
    ) -> requests.Response:
        """Send once; the body of the answer is not read yet."""
        request = self._request
        if url != self._url:
            request.prepare(method="POST", url=url)
            self._url = url
        request.prepare_headers({**self._headers, **headers})
        request.prepare_body(body, None)
        return self._adapter.send(
            request, stream=True, timeout=timeout, verify=self._verify, proxies=self._proxies
        )

    def close(self) -> None:
        """Let the connection go."""
        self._adapter.close()


def _answer(response: requests.Response, *, cap: int) -> Answer:
    text = b""
    # a status is an answer even when its body is cut
    with response, suppress(requests.RequestException):
        for piece in response.iter_content(8_192):
            text += piece
            if len(text) > cap:
                break
    headers = response.headers
    return Answer(
        status=response.status_code,
        text=text[:cap].decode("utf-8", "replace"),
        content_type=headers.get("Content-Type", ""),
        retry_after=headers.get("Retry-After"),
        location=headers.get("Location"),
    )


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
    """The request this thread is making."""

    watch: _Watch | None = None


_present = _Present()


class _WatchedConnection(HTTPConnection):
    """Tells the watch when bytes go out."""

    def request(self, *args: object, **kwargs: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - handed on as it came
        """As the parent's, with the connection made first."""
        if self.is_closed:
            self.connect()
        if _present.watch is not None:
            _present.watch.first_byte(self.sock)
        super().request(*args, **kwargs)  # pyright: ignore[reportArgumentType] - as above


class _WatchedTlsConnection(_WatchedConnection, HTTPSConnection):
    """The same over TLS."""


class _Adapter(HTTPAdapter):
    """Watched connections to the one endpoint it is used for."""

    _pool: HTTPConnectionPool | None = None

    def get_connection_with_tls_context(  # pyright: ignore[reportIncompatibleMethodOverride] - handed on as it came
        self, *args: object, **kwargs: object
    ) -> HTTPConnectionPool:
        """As the parent's, which looks for the pool anew at each request."""
        if self._pool is None:
            self._pool = super().get_connection_with_tls_context(*args, **kwargs)  # pyright: ignore[reportArgumentType] - as above
            watched = _WatchedTlsConnection if self._pool.scheme == "https" else _WatchedConnection
            self._pool.ConnectionCls = watched  # pyright: ignore[reportAttributeAccessIssue] - its protocol is invariant
        return self._pool
