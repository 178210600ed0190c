"""One session at the lakehouse: connecting, running a statement to its end or its deadline, rows by column name.

Bytes and HTTP live in ``transport``, the words of errors in ``faults``, and what is asked with whoever asks.
"""

import contextlib
import itertools
import logging
import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Protocol, Self, cast

from pyhive import exc as pyhive_exc
from pyhive import hive
from TCLIService.ttypes import TOperationState
from thrift.Thrift import TException

from iomete_mc_assets.errors import (
    LakehouseError,
    LakehouseUnavailable,
    SessionLost,
    SettingsError,
    StatementFailed,
    StatementTimedOut,
)
from iomete_mc_assets.warehouse.address import Address, parse
from iomete_mc_assets.warehouse.binary import BinaryTransport
from iomete_mc_assets.warehouse.faults import Faults
from iomete_mc_assets.warehouse.properties import CANARY, HIDDEN
from iomete_mc_assets.warehouse.rows import Answer, Row, Warehouse
from iomete_mc_assets.warehouse.statements import quoted, tagged
from iomete_mc_assets.warehouse.transport import HttpTransport, Transport

SETTINGS = {
    # instants do not depend on the server's zone
    "spark.sql.session.timeZone": "UTC",
    # IOMETE's default is true: then a statement runs inside its fetch, where no deadline reaches it
    "spark.sql.thriftServer.incrementalCollect": "false",
    # DESCRIBE cuts struct types after 25 fields otherwise
    "spark.sql.debug.maxToStringFields": "10000",
    # properties are printed unescaped: what could pass for several of them is hidden
    "spark.sql.redaction.options.regex": HIDDEN,
    CANARY[0]: CANARY[1],
}
INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
"""Our unions have a branch a table and few rows, and Spark would compile each branch of each anew."""
ROWS_PER_FETCH = 10_000
"""Rows of one FetchResults in ``ask``, whose rows are narrow (measured: 1,000 is a third slower)."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 15.0
"""Pauses between the tries of the start-up window double from the first to the longest."""
WORTH_A_SESSION = 20
"""Statements below which further sessions cost more than they save: one takes as long as three DESCRIBE."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LakehouseConfig:
    """How to reach the lakehouse.

    Attributes:
        url: as ``IOMETE_URL`` takes it.
        user: user or service account; without a colon.
        token: its access token; never part of the repr.
        verify_tls: False accepts any certificate and says so in the log.
        ca_file: PEM file of certificate authorities; None takes the system's.
        connect_timeout_s: seconds to wait for a connection.
        read_timeout_s: seconds to wait for one answer; below 30 a slow statement may break, because the
            server itself holds a poll for about 5.
        statement_deadline_s: seconds after which a statement is cancelled. It is looked at between two
            polls, so a statement may live about 5 seconds longer.
        startup_window_s: seconds in which an unavailable lakehouse is tried again before a session's
            first statement.
        sessions: at most so many at a time, 1 or more, for statements that do not depend on each other.
        scans: the statements read many rows, so that code generated for them is worth it.

    Raises:
        SettingsError: the address, or a colon in the user name.
    """

    url: str
    user: str
    token: str = field(repr=False)
    verify_tls: bool = True
    ca_file: str | None = None
    connect_timeout_s: float = 10
    read_timeout_s: float = 60
    statement_deadline_s: float = 300
    startup_window_s: float = 120
    sessions: int = 3
    scans: bool = False

    def __post_init__(self) -> None:
        """Refuse what can be refused without a network."""
        parse(self.url)
        if ":" in self.user:
            msg = "IOMETE_USER holds a colon, which Basic authentication cannot carry. It takes a user or service account name."
            raise SettingsError(msg)

    @property
    def address(self) -> Address:
        """The parts of ``url``."""
        return parse(self.url)

    @property
    def settings(self) -> dict[str, str]:
        """What each session sets."""
        return SETTINGS if self.scans else {**SETTINGS, **INTERPRETED}


class _Status(Protocol):
    operationState: int  # noqa: N815 - Thrift's name
    sqlState: str | None  # noqa: N815 - Thrift's name
    errorMessage: str | None  # noqa: N815 - Thrift's name


class _Cursor(Protocol):
    """What we use of PyHive's untyped cursor."""

    @property
    def description(self) -> Sequence[tuple[Any, ...]] | None: ...
    def execute(self, operation: str, *, async_: bool) -> None: ...
    def poll(self, *, get_progress_update: bool) -> _Status: ...
    def cancel(self) -> None: ...
    def fetchone(self) -> Sequence[object] | None: ...
    def close(self) -> None: ...


class _Session(Protocol):
    """What we use of PyHive's untyped connection."""

    def cursor(self, *, arraysize: int) -> _Cursor: ...
    def close(self) -> None: ...


_connect = cast(
    "Callable[..., _Session]",
    hive.connect,  # pyright: ignore[reportUnknownMemberType] - PyHive is untyped
)


class Lakehouse(Warehouse):
    """A live session that answers Spark SQL.

    For one thread. When the session or the connection is lost, a new session is opened in the same catalog
    and the statement asked again, once: always when Spark no longer knew the session, otherwise only what
    changes nothing (SELECT, SHOW, DESCRIBE, USE), because the lost one may have been carried out.
    """

    def __init__(
        self,
        config: LakehouseConfig,
        *,
        wait: Callable[[float], None],
        tick: Callable[[], float],
        window_s: float,
    ) -> None:
        """Use ``connect``."""
        self._config = config
        self._address = config.address
        self._faults = Faults(self._address, user=config.user, token=config.token)
        self._wait = wait
        self._tick = tick
        self._catalog: str | None = None
        self._gave_up = False
        self._helpers: list[Lakehouse] = []
        self._transport = self._new_transport()
        self._session = self._open_session(self._transport, window_s)

    @classmethod
    def connect(
        cls,
        config: LakehouseConfig,
        *,
        wait: Callable[[float], None] = time.sleep,
        tick: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Open a session, trying again inside the start-up window while the lakehouse is unavailable.

        Args:
            config: where and who.
            wait: waits that many seconds.
            tick: seconds of a clock that never jumps.

        Raises:
            SettingsError: the CA file or a proxy variable cannot be used.
            LakehouseUnavailable: still so when the window was over.
            LakehouseError: AccessDenied, NotALakehouse or StatementFailed: waiting cannot help.
        """
        return cls(config, wait=wait, tick=tick, window_s=config.startup_window_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Lakehouse({self._address.url})"

    def close(self) -> None:
        """Close session and connection; a server that does not answer that is only named in the log."""
        while self._helpers:
            self._helpers.pop().close()
        self._let_go(self._session, self._transport)

    def use(self, catalog: str) -> None:
        """Make a catalog the session's current one, also after a reconnect.

        Raises:
            StatementFailed: there is no such catalog, or our user may not use it.
        """
        self.ask(f"USE {quoted(catalog)}")
        before, self._catalog = self._catalog, catalog
        # USE takes the name of a database of the current catalog as well
        current = str(self.ask("SELECT current_catalog() AS catalog")[0]["catalog"])
        if current.casefold() != catalog.casefold():
            self._catalog = before
            raise self._faults.no_catalog(catalog, current=current)

    def ask(self, statement: str, *, deadline_s: float | None = None) -> Sequence[Row]:
        """All rows of one statement; see ``Warehouse.ask``."""
        deadline_s = self._config.statement_deadline_s if deadline_s is None else deadline_s
        return self._asked(statement, deadline_s, sent=lambda: None)

    def ask_while(self, statement: str, work: Callable[[], None]) -> Sequence[Row]:
        """The server answers in a thread of its own as soon as it has the statement; see ``Warehouse.ask_while``."""
        waiting = [work]

        def begin() -> None:
            while waiting:
                waiting.pop()()

        try:
            return self._asked(statement, self._config.statement_deadline_s, sent=begin)
        finally:
            begin()  # of a statement that could not be sent

    def _asked(
        self, statement: str, deadline_s: float, *, sent: Callable[[], None]
    ) -> Sequence[Row]:
        try:
            return list(self._attempt(statement, ROWS_PER_FETCH, deadline_s, sent=sent))
        except (SessionLost, LakehouseUnavailable) as error:
            self._replace_session(statement, error)
        return list(self._attempt(statement, ROWS_PER_FETCH, deadline_s, sent=sent))

    def ask_each(self, statements: Sequence[str]) -> Sequence[Answer]:
        """On several sessions at the same time where there are enough statements; see ``Warehouse.ask_each``."""
        if len(statements) < WORTH_A_SESSION:
            return super().ask_each(statements)
        sessions: SimpleQueue[Lakehouse] = SimpleQueue()
        for session in (self, *self._helping()):
            sessions.put(session)

        def ask(statement: str) -> Answer:
            session = sessions.get()
            try:
                return session.ask(statement)
            except (StatementFailed, StatementTimedOut) as error:
                return error
            finally:
                sessions.put(session)

        with ThreadPoolExecutor(sessions.qsize()) as threads:
            return list(threads.map(ask, statements))

    def _helping(self) -> Sequence["Lakehouse"]:
        """Further sessions, opened once; where the driver takes no more, those that there are."""
        while len(self._helpers) < self._config.sessions - 1:
            try:
                self._helpers.append(
                    Lakehouse(self._config, wait=self._wait, tick=self._tick, window_s=0)
                )
            except LakehouseError as error:
                _log.warning("%s Going on with %d sessions.", error, len(self._helpers) + 1)
                break
        return self._helpers

    def stream(self, statement: str, *, rows_per_fetch: int = 1_000) -> Iterator[Row]:
        """Rows as they come; see ``Warehouse.stream``.

        The driver holds the whole result until it is fetched (five of 200 MB filled a heap of 3 GB), so a
        large table is asked in slices. A stream that breaks is gone on with where a second answer begins
        with the very rows that were given already.
        """
        deadline_s = self._config.statement_deadline_s
        given = _Given()
        try:
            with contextlib.closing(self._attempt(statement, rows_per_fetch, deadline_s)) as rows:
                for row in rows:
                    given.add(row)
                    yield row
        except (SessionLost, LakehouseUnavailable) as error:
            self._replace_session(statement, error)
        else:
            return
        with contextlib.closing(self._attempt(statement, rows_per_fetch, deadline_s)) as rows:
            again = _Given()
            for row in itertools.islice(rows, given.rows):
                again.add(row)
            if again != given:
                raise self._faults.answered_otherwise(statement, rows=given.rows)
            yield from rows

    def _attempt(
        self,
        statement: str,
        rows_per_fetch: int,
        deadline_s: float,
        *,
        sent: Callable[[], None] = lambda: None,
    ) -> Generator[Row, None, None]:
        with self._translated(statement), self._cursor(rows_per_fetch) as cursor:
            cursor.execute(tagged(statement), async_=True)
            self._gave_up = False
            sent()
            self._finish(cursor, statement, deadline_s)
            names = [str(column[0]) for column in cursor.description or ()]
            try:
                values = cursor.fetchone()
            except TypeError:
                # Spark answers USE, DDL and INSERT with one made-up column and no data; PyHive 0.7 trips over it
                if names != ["Result"]:
                    raise
                return
            while values is not None:
                yield dict(zip(names, values, strict=True))
                values = cursor.fetchone()

    def _finish(self, cursor: _Cursor, statement: str, deadline_s: float) -> None:
        """Poll to the end. The server holds each poll for up to 5 s, so nothing waits in between."""
        ends = self._tick() + deadline_s
        while True:
            status = cursor.poll(get_progress_update=False)
            state = status.operationState
            if state == TOperationState.FINISHED_STATE:
                return
            if state == TOperationState.ERROR_STATE:
                message = status.errorMessage or ""
                raise self._faults.statement_failed(statement, message, status.sqlState)
            if state in _ENDED_BY_OTHERS:
                raise self._faults.statement_failed(statement, _CANCELLED, status.sqlState)
            if self._tick() >= ends:
                self._cancel(cursor)
                raise self._faults.timed_out(statement, deadline_s=deadline_s)

    @contextlib.contextmanager
    def _cursor(self, rows_per_fetch: int) -> Generator[_Cursor, None, None]:
        """A cursor that is always closed: an open one leaves its whole result in the driver."""
        cursor = self._session.cursor(arraysize=rows_per_fetch)
        try:
            yield cursor
        finally:
            try:
                cursor.close()
            except _DRIVER_ERRORS as error:
                self._note("closing a statement", error)

    def _cancel(self, cursor: _Cursor) -> None:
        try:
            cursor.cancel()
        except _DRIVER_ERRORS as error:
            self._note("cancelling a statement", error)

    def _new_transport(self) -> Transport:
        config = self._config
        if self._address.scheme == "thrift":
            return BinaryTransport(
                self._address,
                user=config.user,
                token=config.token,
                connect_timeout_s=config.connect_timeout_s,
                read_timeout_s=config.read_timeout_s,
            )
        return HttpTransport(
            self._address,
            user=config.user,
            token=config.token,
            verify_tls=config.verify_tls,
            ca_file=config.ca_file,
            connect_timeout_s=config.connect_timeout_s,
            read_timeout_s=config.read_timeout_s,
        )

    def _open_session(self, transport: Transport, window_s: float) -> _Session:
        """A session, after as many tries as the start-up window holds."""
        # PyHive prints statements at INFO and fetched rows at DEBUG
        logging.getLogger("pyhive").setLevel(logging.WARNING)
        ends = self._tick() + window_s
        pause = FIRST_PAUSE_S
        while True:
            try:
                return self._open_session_once(transport)
            except LakehouseUnavailable as error:
                left = ends - self._tick()
                if left <= 0:
                    self._gave_up = True
                    raise self._faults.window_over(error, window_s=window_s) from error
                pause = min(pause, left)
                _log.warning("%s Trying again in %.0f s, for %.0f s more.", error, pause, left)
            self._wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _open_session_once(self, transport: Transport) -> _Session:
        with self._translated(None):
            return _connect(
                thrift_transport=transport,
                username=self._config.user,
                configuration={
                    f"set:hiveconf:{name}": text for name, text in self._config.settings.items()
                },
            )

    def _replace_session(self, statement: str, error: LakehouseError) -> None:
        """A new session to ask the statement again; the error itself where it must not be.

        Who waited a whole window in vain tries once until a statement is taken again: else each hour of
        a range would wait anew.
        """
        if not _may_repeat(statement, error):
            raise error
        _log.warning("%s Opening a new session to ask again.", error)
        transport = self._new_transport()
        window_s = 0.0 if self._gave_up else self._config.startup_window_s
        session = self._open_session(transport, window_s)
        self._let_go(self._session, self._transport)
        self._session, self._transport = session, transport
        if self._catalog is not None:
            deadline_s = self._config.statement_deadline_s
            list(self._attempt(f"USE {quoted(self._catalog)}", 1, deadline_s))

    def _let_go(self, session: _Session, transport: Transport) -> None:
        try:
            session.close()
        except _DRIVER_ERRORS as error:
            self._note("closing a session", error)
        finally:
            transport.close()  # PyHive leaves it open when CloseSession fails

    def _note(self, what: str, error: BaseException) -> None:
        _log.info("%s failed: %s", what, self._faults.brief(error, _status_of(error)[0]))

    @contextlib.contextmanager
    def _translated(self, statement: str | None) -> Generator[None, None, None]:
        """Driver errors as ours (those of the transport are ours already); None while a session is opened."""
        try:
            yield
        except pyhive_exc.Error as error:
            message, sql_state = _status_of(error)
            if "Invalid SessionHandle" in message:
                raise self._faults.session_lost() from error
            if "Invalid OperationHandle" in message and statement is not None:
                raise self._faults.statement_lost(statement) from error
            if statement is None and sql_state is None:
                raise self._faults.no_session(message) from error
            raise self._faults.statement_failed(statement, message, sql_state) from error
        except EOFError as error:
            raise self._faults.too_short() from error
        except (TException, UnicodeDecodeError, AssertionError) as error:
            raise self._faults.unreadable(error) from error


_CANCELLED = "it was cancelled at the server, not by us"
_ENDED_BY_OTHERS = (
    TOperationState.CANCELED_STATE,
    TOperationState.CLOSED_STATE,
    TOperationState.TIMEDOUT_STATE,
)
_DRIVER_ERRORS = (pyhive_exc.Error, TException, LakehouseError, EOFError, AssertionError)
"""What a call into PyHive raises, the transport's own errors included."""
_REPEATABLE = re.compile(
    r"\s*(/\*.*?\*/\s*)*(SELECT|SHOW|DESCRIBE|DESC|USE)\b", re.IGNORECASE | re.DOTALL
)


def _may_repeat(statement: str, error: LakehouseError) -> bool:
    """Whether asking again can change nothing: Spark never took it, or it writes nothing."""
    return isinstance(error, SessionLost) or _REPEATABLE.match(statement) is not None


@dataclass(slots=True)
class _Given:
    """Which rows a stream has given, in constant memory.

    Attributes:
        rows: how many.
        trace: a hash over all of them in their order.
    """

    rows: int = 0
    trace: int = 0

    def add(self, row: Row) -> None:
        """One more."""
        self.rows += 1
        self.trace = hash((self.trace, *row.values()))


def _status_of(error: BaseException) -> tuple[str, str | None]:
    """Message and SQL state of a PyHive error, which wraps Thrift's whole response; of others their text."""
    status = getattr(error.args[0] if error.args else None, "status", None)
    message = getattr(status, "errorMessage", None) or str(error)
    return str(message), getattr(status, "sqlState", None)
