"""One POST over a kept-alive connection, bounded in time whatever the server does. Knows no meaning of answers.

The HTTP library bounds each read, so a server that drips its headers has no bound (24 s measured for
a time-out of 4 s). A timer shuts the socket of a request that takes too long.
"""

import socket
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from http.cookiejar import DefaultCookiePolicy

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
    """Posts to one endpoint, a connection per thread.

    Redirects are not followed, cookies not kept, ``.netrc`` not read; the environment's proxies and
    certificate authorities hold.

    Args:
        connect_s: seconds until a connection must stand.
        read_s: seconds of silence borne.
        total_s: seconds for the whole exchange.
    """

    def __init__(self, *, connect_s: float, read_s: float, total_s: float) -> None:
        self._timeout = (connect_s, read_s)
        self._total_s = total_s
        self._own = threading.local()

    def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send once.

        Returns:
            The answer; of a body that was cut, what came.

        Raises:
            Unanswered: no status came.
        """
        session = self._session(url)
        watch = _Watch(self._total_s)
        with watch.over():
            try:
                with session.send(
                    _prepared(session, url, body=body, headers=headers),
                    timeout=self._timeout,
                    allow_redirects=False,
                    stream=True,
                    proxies=session.proxies,
                ) as response:
                    return _answer(response)
            except requests.RequestException as error:
                # the error holds the request and so the key: it must not become a cause
                untrusted = not watch.sent and "certificate verify failed" in str(error)
                reason = "it took too long" if watch.late else _reason(error)
            self._own.session = None
            session.close()
        raise Unanswered(reason, sent=watch.sent, untrusted=untrusted)

    def _session(self, url: str) -> requests.Session:
        session: requests.Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = _new_session(url)
        return session


def _new_session(url: str) -> requests.Session:
    session = requests.Session()
    seen = session.merge_environment_settings(url, {}, None, None, None)
    session.trust_env = False  # what it would also bring: .netrc's Authorization header
    session.proxies, session.verify = seen["proxies"], seen["verify"]
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(pool_connections=1, pool_maxsize=1))
    return session


def _prepared(
    session: requests.Session, url: str, *, body: bytes, headers: Mapping[str, str]
) -> requests.PreparedRequest:
    """As ``session.post`` prepares it, without merging settings that a session of ours never has."""
    prepared = requests.PreparedRequest()
    prepared.prepare(method="POST", url=url, headers={**session.headers, **headers}, data=body)
    return prepared


def _answer(response: requests.Response) -> Answer:
    text = b""
    # a status is an answer even when its body is cut
    with suppress(requests.RequestException):
        for piece in response.iter_content(8_192):
            text += piece
            if len(text) > ANSWER_CAP:
                break
    headers = response.headers
    return Answer(
        status=response.status_code,
        text=text[:ANSWER_CAP].decode("utf-8", "replace"),
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
    """Ends one request after its time, wherever it is stuck."""

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._socket: socket.socket | None = None
        self.sent = False
        self.late = False

    def first_byte(self, connected: socket.socket | None) -> None:
        """The connection stands and the request is about to leave."""
        self._socket, self.sent = connected, True

    @contextmanager
    def over(self) -> Generator[None]:
        """Watch the request this thread makes inside."""
        _present.watch = self
        self._timer.start()
        try:
            yield
        finally:
            self._timer.cancel()
            _present.watch = None

    def _cut(self) -> None:
        self.late = True
        if self._socket is not None:
            with suppress(OSError):  # already closed: the request is over
                self._socket.shutdown(socket.SHUT_RDWR)


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
    """Uses watched connections."""

    def get_connection_with_tls_context(  # pyright: ignore[reportIncompatibleMethodOverride] - handed on as it came
        self, *args: object, **kwargs: object
    ) -> HTTPConnectionPool:
        """As the parent's."""
        pool = super().get_connection_with_tls_context(*args, **kwargs)  # pyright: ignore[reportArgumentType] - as above
        watched = _WatchedTlsConnection if pool.scheme == "https" else _WatchedConnection
        pool.ConnectionCls = watched  # pyright: ignore[reportAttributeAccessIssue] - its protocol is invariant
        return pool
