"""A small HTTP/1.1 server on 127.0.0.1 that can also answer badly, and ends when told. Knows nothing of Monte Carlo."""

import contextlib
import logging
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.sandbox.gateway_faults import Answer
from iomete_mc_assets.sandbox.gateway_records import Manner

HOST = "127.0.0.1"
MAX_READ_BYTES = 64_000_000
"""Bodies above this are refused unread; far above every cap that a test may set."""
_STOP_POLL_S = 0.02
_GONE_POLL_S = 0.05
_CLOSE_WITHIN_S = 5.0
_LINGER_ZERO = struct.pack("ii", 1, 0)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A request that has been read whole.

    Attributes:
        path: without the query.
        query: after the question mark, undecoded; empty without.
        headers: names in lower case; a name that came twice keeps its last value.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """What to do about it.

    Attributes:
        delay_ms: before the first byte, and between bytes when dripping.
        done: called once, just before the client can know that its request is over, or when it
            has gone.
    """

    answer: Answer
    manner: Manner = "whole"
    delay_ms: int = 0
    done: Callable[[], None] | None = None


Serve = Callable[[Incoming], Outgoing]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """PEM files for a listener that speaks TLS."""

    certificate: Path
    key: Path


class Listener:
    """Serves until closed, one thread a connection.

    Raises:
        SandboxError: the port is taken, or the certificate cannot be read.
    """

    def __init__(self, serve: Serve, *, port: int = 0, tls: Certificate | None = None) -> None:
        """Listen at once; port 0 takes a free one."""
        try:
            self._server = _Server(serve, port, _tls_context(tls))
        except OSError as error:
            what = f"port {port} of {HOST}" if tls is None else f"port {port} or {tls.certificate}"
            msg = f"The sandbox gateway cannot listen: {what}: {error}. Choose another."
            raise SandboxError(msg) from error
        self.port: int = self._server.server_address[1]
        self.url = f"{'http' if tls is None else 'https'}://{HOST}:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            args=(_STOP_POLL_S,),
            name=f"gateway-{self.port}",
            daemon=True,
        )
        self._thread.start()

    def release(self) -> None:
        """Close the connections that hang now."""
        self._server.release()

    def close(self) -> None:
        """End every connection, hanging ones too, and stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.end_connections()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _tls_context(tls: Certificate | None) -> ssl.SSLContext | None:
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    return context


class _Server(ThreadingHTTPServer):
    """Remembers its connections, so that closing can end them."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, serve: Serve, port: int, tls: ssl.SSLContext | None) -> None:
        self.serve = serve
        self.closing = threading.Event()
        self._tls = tls
        self._changed = threading.Condition()
        self._connections: set[socket.socket] = set()
        self._released = threading.Event()
        super().__init__((HOST, port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept; the TLS handshake is left to the connection's own thread."""
        connection, address = super().get_request()
        if self._tls is not None:
            connection = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        with self._changed:
            self._connections.add(connection)
        return connection, address

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection's life."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._changed:
                self._connections.discard(request)
                self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is its own business; anything else is a bug of ours."""
        del request, client_address
        logger.exception("the sandbox gateway failed to serve a request")  # noqa: LOG004  # socketserver calls this inside its except

    def release(self) -> None:
        """Wake what hangs now; what hangs later waits for the next release."""
        with self._changed:
            self._released.set()
            self._released = threading.Event()

    def waits_for_release(self) -> threading.Event:
        """The event that the next release sets."""
        with self._changed:
            return self._released

    def end_connections(self) -> None:
        """Shut every connection down and wait for its thread, at most a few seconds."""
        self.closing.set()
        self.release()
        with self._changed:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:  # already gone
                    continue
            self._changed.wait_for(lambda: not self._connections, _CLOSE_WITHIN_S)


class _Handler(BaseHTTPRequestHandler):
    """Reads requests of one connection and delivers what ``serve`` decides."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a delayed ACK adds 40 ms to an answer

    @property
    def _owner(self) -> _Server:
        return cast("_Server", self.server)

    def handle(self) -> None:
        """Serve until either side closes."""
        try:
            super().handle()
        except (ConnectionError, ssl.SSLError) as error:
            logger.debug("a client of the sandbox gateway went away: %s", error)
        except OSError:
            if not self._owner.closing.is_set():
                raise

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Requests are kept elsewhere; nothing goes to stderr."""
        logger.debug(format, *args)

    def _answer_one(self) -> None:
        """Read one request, ask what to do, do it."""
        incoming = self._read()
        if incoming is None:
            return
        outgoing = self._owner.serve(incoming)
        with contextlib.ExitStack() as left:
            if outgoing.done is not None:
                left.callback(outgoing.done)
            self._deliver(outgoing, left.close)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _answer_one  # noqa: N815  # the base class's names

    def _read(self) -> Incoming | None:
        """The request; None when it was refused unread or the client left in the middle."""
        length_text = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length_text.isdigit():
            self._refuse_unread(411)
            return None
        length = int(length_text)
        if length > MAX_READ_BYTES:
            self._refuse_unread(413)
            return None
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return None
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Incoming(method=self.command, path=path, query=query, headers=headers, body=body)

    def _refuse_unread(self, status: int) -> None:
        self.close_connection = True
        head, _ = _encoded(Answer(status=status, headers={"Connection": "close"}))
        self.wfile.write(head)

    def _deliver(self, outgoing: Outgoing, done: Callable[[], None]) -> None:
        """The answer in the manner asked for; done just before the client can know its end."""
        dripping = outgoing.manner.startswith("drip")
        if not dripping:
            self._pause(outgoing.delay_ms)
        match outgoing.manner:
            case "hang":
                self._hang()
            case "reset":
                done()
                self._reset()
            case _:
                self.close_connection |= outgoing.manner == "cut"
                *earlier, last = self._pieces(outgoing)
                for piece in earlier:
                    self.wfile.write(piece)
                    if self._pause(outgoing.delay_ms):
                        return
                done()
                self.wfile.write(last)

    def _pieces(self, outgoing: Outgoing) -> list[bytes]:
        """What is written in one go each; one write is one packet, where it fits."""
        head, body = _encoded(outgoing.answer)
        match outgoing.manner:
            case "cut":
                return [head + body[: len(body) // 2]]
            case "drip_body":
                return [head, *_single_bytes(body)]
            case "drip_headers":
                return [*_single_bytes(head), body]
            case _:
                return [head if self.command == "HEAD" else head + body]

    def _pause(self, milliseconds: int) -> bool:
        """Wait; True when the gateway closes meanwhile."""
        return milliseconds > 0 and self._owner.closing.wait(milliseconds / 1000)

    def _hang(self) -> None:
        """Silence until released or closed, or until the client leaves: it sends nothing more now."""
        self.close_connection = True
        released = self._owner.waits_for_release()
        while not released.is_set() and not self._owner.closing.is_set():
            if select.select([self.connection], [], [], _GONE_POLL_S)[0]:
                return

    def _reset(self) -> None:
        """Close so that the client sees a reset, not an end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self.rfile.close()
        self.connection.close()


def _single_bytes(data: bytes) -> list[bytes]:
    return [data[position : position + 1] for position in range(len(data))]


def _encoded(answer: Answer) -> tuple[bytes, bytes]:
    """Head and body as bytes."""
    body = answer.body.encode()
    headers = {
        "Content-Type": answer.content_type,
        "Content-Length": str(len(body)),
        **answer.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    status = HTTPStatus(answer.status)
    return f"HTTP/1.1 {answer.status} {status.phrase}\r\n{lines}\r\n".encode("latin-1"), body
