"""A proxy in front of a lakehouse, on a real socket: passes every exchange on, or breaks the one that a test names.

It knows where one HTTP message ends and which remote call is in it, and nothing of what calls mean.
"""

import base64
import importlib
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from thrift.Thrift import TMessageType
from thrift.transport.TTransport import TMemoryBuffer

from iomete_mc_assets.warehouse.statements import TAG

# code without types
_binary: Any = importlib.import_module("thrift.protocol.TBinaryProtocol")
_service: Any = importlib.import_module("TCLIService.TCLIService")


@dataclass(frozen=True, slots=True)
class Call:
    """One remote call as the client sent it; ``statement`` is the one executed last on its connection."""

    name: str
    statement: str


@dataclass(frozen=True, slots=True)
class Instead:
    """Pass another statement on, which the server then really runs."""

    statement: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Answer in the server's place, which never sees the call."""

    status: int
    body: bytes


Break = Literal["cut", "cut the answer"] | Instead | Refusal | None
"""``cut``: the server never sees the call. ``cut the answer``: it answers, and half of that comes back."""


class LakehouseProxy:
    """The proxy, as a context manager; ``url`` takes the place of the lakehouse's.

    Args:
        upstream: the lakehouse's own URL.
        password: user and token that the lakehouse is shown in place of the client's.

    Attributes:
        breaks: asked about each call before it is passed on; may stop the server behind us, too.
        calls: in their order.
    """

    def __init__(self, upstream: str, *, password: tuple[str, str] | None = None) -> None:
        self.breaks: Callable[[Call], Break] = lambda _: None
        self.calls: list[Call] = []
        self.upstream = urlsplit(upstream)
        self.headers: dict[str, str] = {}
        if password is not None:
            shown = base64.b64encode(":".join(password).encode()).decode()
            self.headers["Authorization"] = f"Basic {shown}"
        self._server = _Server(0, self)
        self.url = f"http://127.0.0.1:{self._server.server_port}{self.upstream.path}"

    def __enter__(self) -> Self:
        self._serve()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.refuse()

    def refuse(self) -> None:
        """Cut every connection and refuse new ones, as a server that is down."""
        if self._server.listening:
            self._server.shutdown()
            self._server.server_close()

    def accept(self) -> None:
        """Take connections again, on the same port."""
        if not self._server.listening:
            self._server = _Server(self._server.server_port, self)
            self._serve()

    def statements(self, starting: str = "") -> list[str]:
        """What was executed, without our tag."""
        executed = [call.statement for call in self.calls if call.name == "ExecuteStatement"]
        return [one for one in executed if one.startswith(starting)]

    def count(self, name: str) -> int:
        """How often a remote call was made."""
        return sum(call.name == name for call in self.calls)

    def _serve(self) -> None:
        self._server.listening = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()


class _Server(ThreadingHTTPServer):
    block_on_close = False
    daemon_threads = True

    def __init__(self, port: int, proxy: LakehouseProxy) -> None:
        self.proxy = proxy
        self.listening = False
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_close(self) -> None:
        self.listening = False
        super().server_close()
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One connection of the client and the one behind it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: 40 ms an exchange otherwise

    def setup(self) -> None:
        super().setup()
        assert isinstance(self.server, _Server)
        self._open, self._proxy = self.server.open, self.server.proxy
        self._open.add(self.connection)
        upstream = self._proxy.upstream
        self._behind = HTTPConnection(str(upstream.hostname), upstream.port, timeout=60)
        self._statement = ""

    def finish(self) -> None:
        self._behind.close()
        self._open.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def handle(self) -> None:
        with suppress(OSError):  # the client went away, or refuse() cut it
            super().handle()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        call = self._understood(body)
        self._proxy.calls.append(call)
        chosen = self._proxy.breaks(call)
        if isinstance(chosen, Instead):
            body = _executing(body, chosen.statement)
        if isinstance(chosen, Refusal):
            self._answer(chosen.status, "", [], chosen.body)
            return
        self.close_connection = chosen in ("cut", "cut the answer") or not self._pass(body, chosen)

    def _pass(self, body: bytes, chosen: Break) -> bool:
        """Whether the exchange came to its end; a server that is down shows as a cut connection."""
        headers = {name: text for name, text in self.headers.items() if name != "Content-Length"}
        try:
            self._behind.request(
                "POST", self.path, body=body, headers=headers | self._proxy.headers
            )
            answer = self._behind.getresponse()
            data = answer.read()
        except (OSError, HTTPException):
            self._behind.close()
            return False
        sent = len(data) // 2 if chosen == "cut the answer" else len(data)
        self._answer(answer.status, answer.reason, answer.getheaders(), data, sent=sent)
        return True

    def _answer(
        self,
        status: int,
        reason: str,
        headers: list[tuple[str, str]],
        body: bytes,
        *,
        sent: int | None = None,
    ) -> None:
        self.send_response_only(status, reason)
        for name, text in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:sent])

    def _understood(self, body: bytes) -> Call:
        name, _, _ = _binary.TBinaryProtocol(TMemoryBuffer(body)).readMessageBegin()
        if name == "ExecuteStatement":
            self._statement = str(_arguments(body)[1].req.statement).removeprefix(f"{TAG} ")
        return Call(str(name), self._statement)


def _arguments(body: bytes) -> tuple[int, Any]:
    protocol = _binary.TBinaryProtocol(TMemoryBuffer(body))
    _, _, sequence = protocol.readMessageBegin()
    arguments = _service.ExecuteStatement_args()
    arguments.read(protocol)
    return sequence, arguments


def _executing(body: bytes, statement: str) -> bytes:
    sequence, arguments = _arguments(body)
    arguments.req.statement = statement
    written = TMemoryBuffer()
    protocol = _binary.TBinaryProtocol(written)
    protocol.writeMessageBegin("ExecuteStatement", TMessageType.CALL, sequence)
    arguments.write(protocol)
    protocol.writeMessageEnd()
    return written.getvalue()
