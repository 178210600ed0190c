"""Thrift on a bare connection, opened by SASL PLAIN: HiveServer2's binary mode. Over HTTP it is ``transport``.

Neither the mode nor this module encrypts anything, so the token is as safe as the network is.
"""

import socket
import struct

from iomete_mc_assets.errors import LakehouseError
from iomete_mc_assets.warehouse.address import Address
from iomete_mc_assets.warehouse.faults import Faults
from iomete_mc_assets.warehouse.transport import Transport, dropped

START, OK, BAD, ERROR, COMPLETE = 1, 2, 3, 4, 5
"""Statuses of a negotiation's messages. Source: Thrift's TSaslTransport."""
REFUSAL_BYTES = 8_192
"""A negotiation's message that says it is longer is none."""
READ_BYTES = 1_048_576


class BinaryTransport(Transport):
    """On a bare connection: an exchange is one frame there and one back.

    Args:
        address: of the lakehouse.
        user: for SASL PLAIN. A server without authentication (``NONE``) takes any token.
        token: likewise; shown in no message and no repr.
        connect_timeout_s: seconds to wait for a connection, and for each answer of the negotiation.
        read_timeout_s: seconds without a byte of the answer; see ``HttpTransport``.
    """

    def __init__(
        self,
        address: Address,
        *,
        user: str,
        token: str,
        connect_timeout_s: float,
        read_timeout_s: float,
    ) -> None:
        super().__init__()
        self._address = address
        self._credentials = f"\0{user}\0{token}".encode()
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._faults = Faults(address, user=user, token=token)
        self._socket: socket.socket | None = None

    def __repr__(self) -> str:
        return f"BinaryTransport({self._address.url})"

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, body: bytes) -> bytes:
        connection = self._connected()
        try:
            connection.sendall(struct.pack("!I", len(body)) + body)
            (length,) = struct.unpack("!I", _received(connection, 4))
            return _received(connection, length)
        except (OSError, EOFError) as error:
            raise self._faults.cut(error, timeout_s=self._read_timeout_s) from error

    def _connected(self) -> socket.socket:
        if self._socket is not None and dropped(self._socket):
            self._drop()
        if self._socket is None:
            place = (self._address.host, self._address.port)
            try:
                self._socket = socket.create_connection(place, timeout=self._connect_timeout_s)
            except OSError as error:
                raise self._faults.not_connected(
                    error, timeout_s=self._connect_timeout_s
                ) from error
            self._log_in(self._socket)
            self._socket.settimeout(self._read_timeout_s)
        return self._socket

    def _log_in(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(_message(START, b"PLAIN") + _message(OK, self._credentials))
            status, length = struct.unpack("!BI", _received(connection, 5))
            if status not in (OK, BAD, ERROR, COMPLETE) or length > REFUSAL_BYTES:
                raise self._faults.no_sasl()
            said = _received(connection, length)
        except (OSError, EOFError) as error:
            raise self._not_logged_in(error) from error
        if status != COMPLETE:
            raise self._faults.not_let_in(said)

    def _not_logged_in(self, error: Exception) -> LakehouseError:
        return self._faults.no_log_in(error, timeout_s=self._connect_timeout_s)


def _message(status: int, payload: bytes) -> bytes:
    return struct.pack("!BI", status, len(payload)) + payload


def _received(connection: socket.socket, length: int) -> bytes:
    """Exactly so many bytes; EOFError when the other side closes before."""
    data = bytearray()
    while len(data) < length:
        piece = connection.recv(min(length - len(data), READ_BYTES))
        if not piece:
            msg = f"the connection was closed {length - len(data)} bytes early"
            raise EOFError(msg)
        data += piece
    return bytes(data)
