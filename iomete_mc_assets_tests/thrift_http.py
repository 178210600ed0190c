"""A scripted Thrift server over HTTP on 127.0.0.1: real bytes for the real driver, and every misbehaviour on demand.

``HttpScript`` answers requests as a function says; ``SparkScript`` is such a function that speaks HiveServer2's protocol.
The same on bare connections is ``thrift_binary``.
"""

import importlib
import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPMessage, parse_headers
from io import BufferedReader
from typing import Any, Literal, Self

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TTransport import TMemoryBuffer

# generated code without types
t: Any = importlib.import_module("TCLIService.ttypes")
_service: Any = importlib.import_module("TCLIService.TCLIService")
_TLS_HELLO = b"\x16"
_TAG = "/* iomete_mc_assets */ "


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it arrived; ``connection`` counts from 0."""

    connection: int
    line: str
    headers: HTTPMessage
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer; ``then_close`` closes the connection without announcing it, as an idle gateway does."""

    status: int = 200
    reason: str = "OK"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    then_close: bool = False


Misbehaviour = Literal["cut", "silence", "half"]
Answering = Callable[[Request], Answer | Misbehaviour]
"""``cut``: close without an answer. ``silence``: never answer. ``half``: close in the middle of the body."""


class HttpScript:
    """A server in threads; a context manager. ``requests`` holds what arrived, in order."""

    def __init__(self, answering: Answering, *, tls: ssl.SSLContext | None = None) -> None:
        self.answering = answering
        self.requests: list[Request] = []
        self.closed = threading.Semaphore(0)
        """Released each time a connection was closed by a script's answer."""
        self._tls = tls
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.port: int = self._listening.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://{self.shown}"

    @property
    def shown(self) -> str:
        return f"127.0.0.1:{self.port}/cliservice"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        with socket.create_connection(("127.0.0.1", self.port)):
            pass  # wakes accept
        for thread in self._threads:
            thread.join(timeout=5)
        self._listening.close()

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        number = 0
        while True:
            connection, _ = self._listening.accept()
            if self._over.is_set():
                connection.close()
                return
            self._start(self._serve, connection, number)
            number += 1

    def _serve(self, plain: socket.socket, number: int) -> None:
        try:
            connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            with connection, connection.makefile("rb") as stream:
                while self._serve_one(connection, stream, number):
                    pass
        except OSError:
            plain.close()  # the client did not like the certificate, or is gone
        self.closed.release()

    def _serve_one(self, connection: socket.socket, stream: BufferedReader, number: int) -> bool:
        if stream.peek(1)[:1] == _TLS_HELLO:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return False
        line = stream.readline()
        if not line:
            return False
        headers = parse_headers(stream)
        body = stream.read(int(headers.get("Content-Length", "0")))
        request = Request(connection=number, line=line.decode().strip(), headers=headers, body=body)
        self.requests.append(request)
        answer = self.answering(request)
        if answer == "silence":
            self._over.wait()
        if isinstance(answer, str) and answer != "half":
            return False
        self._send(connection, Answer(body=b"half") if isinstance(answer, str) else answer, answer)
        return isinstance(answer, Answer) and not answer.then_close

    def _send(self, connection: socket.socket, answer: Answer, asked: object) -> None:
        length = len(answer.body) + (10 if asked == "half" else 0)
        headers = {"Content-Type": "application/x-thrift", "Content-Length": str(length)}
        head = "".join(
            f"{name}: {text}\r\n" for name, text in (headers | dict(answer.headers)).items()
        )
        connection.sendall(
            f"HTTP/1.1 {answer.status} {answer.reason}\r\n{head}\r\n".encode() + answer.body
        )


@dataclass(slots=True, kw_only=True)
class Reply:
    """What a statement ends in.

    Attributes:
        rows: by column, texts only; None as Spark answers USE and DDL.
        error: message and SQL state; then there are no rows.
        polls: states told before the last one.
        misbehaviour: of the exchange named in ``at``.
    """

    rows: Mapping[str, Sequence[str | None]] | None = None
    error: tuple[str, str | None] | None = None
    polls: tuple[str, ...] = ()
    ends: str = "FINISHED_STATE"
    misbehaviour: Answer | Misbehaviour | None = None
    at: Literal["ExecuteStatement", "GetOperationStatus", "FetchResults"] = "ExecuteStatement"


@dataclass(slots=True)
class _Operation:
    reply: Reply
    polls: list[str]
    position: int = 0


class SparkScript:
    """HiveServer2's protocol with scripted statements; hand it to ``HttpScript``.

    Attributes:
        before: answers given first, one a request, before Thrift is spoken at all.
        replies: by statement without our tag; a list is used up from its front. Others end without a result.
        statements: as they arrived, with their tag.
        calls: names of all remote calls, in order.
        configurations: of each OpenSession.
        open_operations: how many statements were never closed.
    """

    def __init__(self) -> None:
        self.before: list[Answer | Misbehaviour] = []
        self.replies: dict[str, Reply | list[Reply]] = {}
        self.statements: list[str] = []
        self.calls: list[str] = []
        self.configurations: list[dict[str, str]] = []
        self.sessions: set[bytes] = set()
        self._operations: dict[bytes, _Operation] = {}
        self._due: Answer | Misbehaviour | None = None
        self._one_request = threading.Lock()
        self._processor = _service.Processor(self)

    @property
    def open_operations(self) -> int:
        return len(self._operations)

    def restart(self) -> None:
        """Forget every session and statement, as a restarted server does."""
        self.sessions.clear()
        self._operations.clear()

    def __call__(self, request: Request) -> Answer | Misbehaviour:
        with self._one_request:
            if self.before:
                return self.before.pop(0)
            answer = TMemoryBuffer()
            self._due = None
            self._processor.process(
                TBinaryProtocol(TMemoryBuffer(request.body)), TBinaryProtocol(answer)
            )
            return self._due if self._due is not None else Answer(body=answer.getvalue())

    def OpenSession(self, request: Any) -> Any:  # noqa: N802 - Thrift's names, here and below
        self.calls.append("OpenSession")
        self.configurations.append(request.configuration)
        handle = t.TSessionHandle(sessionId=_identifier())
        self.sessions.add(handle.sessionId.guid)
        version = t.TProtocolVersion.HIVE_CLI_SERVICE_PROTOCOL_V6
        return t.TOpenSessionResp(
            status=_fine(), serverProtocolVersion=version, sessionHandle=handle
        )

    def CloseSession(self, request: Any) -> Any:  # noqa: N802
        self.calls.append("CloseSession")
        known = request.sessionHandle.sessionId.guid in self.sessions
        self.sessions.discard(request.sessionHandle.sessionId.guid)
        return t.TCloseSessionResp(status=_fine() if known else _lost("SessionHandle"))

    def ExecuteStatement(self, request: Any) -> Any:  # noqa: N802
        self.calls.append("ExecuteStatement")
        if request.sessionHandle.sessionId.guid not in self.sessions:
            return t.TExecuteStatementResp(status=_lost("SessionHandle"))
        self.statements.append(request.statement)
        reply = self.replies.get(request.statement.removeprefix(_TAG), Reply())
        if isinstance(reply, list):
            reply = reply.pop(0)
        handle = t.TOperationHandle(
            operationId=_identifier(),
            operationType=t.TOperationType.EXECUTE_STATEMENT,
            hasResultSet=True,
        )
        self._operations[handle.operationId.guid] = _Operation(reply, [*reply.polls, reply.ends])
        self._misbehave(reply, "ExecuteStatement")
        return t.TExecuteStatementResp(status=_fine(), operationHandle=handle)

    def GetOperationStatus(self, request: Any) -> Any:  # noqa: N802
        self.calls.append("GetOperationStatus")
        operation = self._operations.get(request.operationHandle.operationId.guid)
        if operation is None:
            return t.TGetOperationStatusResp(status=_lost("OperationHandle"))
        self._misbehave(operation.reply, "GetOperationStatus")
        if operation.reply.error is not None:
            message, state = operation.reply.error
            return t.TGetOperationStatusResp(
                status=_fine(),
                operationState=t.TOperationState.ERROR_STATE,
                errorMessage=message,
                sqlState=state,
            )
        name = operation.polls.pop(0) if len(operation.polls) > 1 else operation.polls[0]
        return t.TGetOperationStatusResp(
            status=_fine(), operationState=getattr(t.TOperationState, name)
        )

    def CancelOperation(self, request: Any) -> Any:  # noqa: N802, ARG002
        self.calls.append("CancelOperation")
        return t.TCancelOperationResp(status=_fine())

    def CloseOperation(self, request: Any) -> Any:  # noqa: N802
        self.calls.append("CloseOperation")
        known = self._operations.pop(request.operationHandle.operationId.guid, None)
        return t.TCloseOperationResp(status=_fine() if known else _lost("OperationHandle"))

    def GetResultSetMetadata(self, request: Any) -> Any:  # noqa: N802
        self.calls.append("GetResultSetMetadata")
        rows = self._operations[request.operationHandle.operationId.guid].reply.rows
        text = t.TTypeDesc(
            types=[t.TTypeEntry(primitiveEntry=t.TPrimitiveTypeEntry(type=t.TTypeId.STRING_TYPE))]
        )
        columns = [
            t.TColumnDesc(columnName=name, typeDesc=text, position=number)
            for number, name in enumerate(["Result"] if rows is None else rows)
        ]
        return t.TGetResultSetMetadataResp(status=_fine(), schema=t.TTableSchema(columns=columns))

    def FetchResults(self, request: Any) -> Any:  # noqa: N802
        self.calls.append("FetchResults")
        operation = self._operations.get(request.operationHandle.operationId.guid)
        if operation is None:
            return t.TFetchResultsResp(status=_lost("OperationHandle"))
        start, operation.position = operation.position, operation.position + request.maxRows
        if start:
            self._misbehave(operation.reply, "FetchResults")
        rows = operation.reply.rows
        columns = None
        if rows is not None:
            columns = [_column(values[start : operation.position]) for values in rows.values()]
        results = t.TRowSet(startRowOffset=start, rows=[], columns=columns)
        return t.TFetchResultsResp(status=_fine(), hasMoreRows=False, results=results)

    def _misbehave(self, reply: Reply, at: str) -> None:
        if reply.at == at and reply.misbehaviour is not None:
            self._due = reply.misbehaviour


def _identifier() -> Any:
    return t.THandleIdentifier(guid=uuid.uuid4().bytes, secret=uuid.uuid4().bytes)


def _fine() -> Any:
    return t.TStatus(statusCode=t.TStatusCode.SUCCESS_STATUS)


def _lost(handle: str) -> Any:
    return t.TStatus(
        statusCode=t.TStatusCode.ERROR_STATUS, errorMessage=f"Invalid {handle}: {handle} [1-2-3]"
    )


def _column(values: Sequence[str | None]) -> Any:
    nulls = bytearray((len(values) + 7) // 8)
    for number, value in enumerate(values):
        if value is None:
            nulls[number // 8] |= 1 << number % 8
    texts = [value or "" for value in values]
    return t.TColumn(stringVal=t.TStringColumn(values=texts, nulls=bytes(nulls)))
