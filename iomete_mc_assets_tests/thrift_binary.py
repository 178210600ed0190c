"""``HttpScript`` for binary mode: the same scripts behind SASL PLAIN and frames on a bare connection."""

import socket
import struct
from collections.abc import Callable
from http.client import HTTPMessage
from io import BufferedReader

from iomete_mc_assets_tests.thrift_http import Answer, Answering, HttpScript, Request

START, OK, BAD, ERROR, COMPLETE = 1, 2, 3, 4, 5


def message(status: int, payload: bytes = b"") -> bytes:
    return struct.pack("!BI", status, len(payload)) + payload


def welcome(_credentials: bytes) -> bytes:
    """The negotiation's end for everybody, as HiveServer2's authentication NONE says it."""
    return message(COMPLETE)


class BinaryScript(HttpScript):
    """A server in threads; a context manager. ``requests`` holds the frames that arrived.

    Attributes:
        credentials: of each connection, as PLAIN sends them.
    """

    def __init__(
        self, answering: Answering, *, greeting: Callable[[bytes], bytes] = welcome
    ) -> None:
        super().__init__(answering)
        self.credentials: list[bytes] = []
        self._greeting = greeting
        self._let_in: set[int] = set()

    @property
    def url(self) -> str:
        return f"thrift://{self.shown}"

    @property
    def shown(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _serve_one(self, connection: socket.socket, stream: BufferedReader, number: int) -> bool:
        if number not in self._let_in:
            self._let_in.add(number)
            return self._negotiate(connection, stream)
        head = stream.read(4)
        if len(head) < 4:
            return False
        body = stream.read(*struct.unpack("!I", head))
        request = Request(connection=number, line="", headers=HTTPMessage(), body=body)
        self.requests.append(request)
        answer = self.answering(request)
        if answer == "silence":
            self._over.wait()
        if answer == "half":
            connection.sendall(struct.pack("!I", 14) + b"half")
        if not isinstance(answer, Answer):
            return False
        connection.sendall(struct.pack("!I", len(answer.body)) + answer.body)
        return not answer.then_close

    def _negotiate(self, connection: socket.socket, stream: BufferedReader) -> bool:
        status, length = struct.unpack("!BI", stream.read(5))
        assert (status, stream.read(length)) == (START, b"PLAIN")
        status, length = struct.unpack("!BI", stream.read(5))
        assert status == OK
        self.credentials.append(stream.read(length))
        answer = self._greeting(self.credentials[-1])
        connection.sendall(answer)
        return answer == message(COMPLETE)
