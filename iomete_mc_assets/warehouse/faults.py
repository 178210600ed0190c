"""Every way the lakehouse can fail us, as an error with a sentence: who, what, verdict, next step. Decides no repetition.

``transport`` and ``connection`` say what happened; the words, and what is masked in them, are chosen here.
"""

import re
import socket
import ssl
from http import HTTPStatus

from iomete_mc_assets.errors import (
    AccessDenied,
    LakehouseError,
    LakehouseUnavailable,
    NotALakehouse,
    SessionLost,
    StatementFailed,
    StatementTimedOut,
)
from iomete_mc_assets.redaction import redacted
from iomete_mc_assets.warehouse.address import Address, Proxy

BODY_SHOWN = 200
"""Characters of an HTTP body that a message may hold."""
MESSAGE_SHOWN = 300
"""Characters of Spark's own message that an error repeats."""
WORDS_SHOWN = 4
"""Words of a statement that an error repeats, at most 60 characters: enough to know which it was."""


class Faults:
    """The errors of one lakehouse and one user.

    Args:
        address: of the lakehouse; part of every sentence.
        user: named where rights are the matter.
        token: masked in every sentence, in all its spellings.
        proxy: named where the connection is the matter; None without.
    """

    def __init__(
        self, address: Address, *, user: str, token: str, proxy: Proxy | None = None
    ) -> None:
        self._address = address
        self._user = user
        self._secrets = (token, f"{user}:{token}")
        self._proxy = proxy

    def not_connected(self, error: Exception, *, timeout_s: float) -> LakehouseError:
        """Nothing was sent: refused, no such name, no answer in time, or no TLS that can be trusted."""
        via = "" if self._proxy is None else f" through the proxy {self._proxy.shown}"
        if isinstance(error, ssl.SSLCertVerificationError):
            what = f"shows a TLS certificate that is not trusted{via} ({error.verify_message})"
            return NotALakehouse(self._sentence(what, _CERTIFICATE))
        if isinstance(error, ssl.SSLError):
            what = f"does not speak TLS as expected{via} ({error.reason})"
            return NotALakehouse(self._sentence(what, _TLS))
        if isinstance(error, TimeoutError):
            what = f"did not take the connection within {timeout_s:g} s{via} (connect timeout)"
            return LakehouseUnavailable(self._sentence(what, _CONNECT_TIMEOUT))
        if isinstance(error, socket.gaierror):
            name = self._address.host if self._proxy is None else self._proxy.host
            what = f"cannot be reached{via}: the name {name} cannot be resolved"
            return LakehouseUnavailable(self._sentence(what, _NO_NAME))
        what = f"cannot be reached{via} ({_named(error)})"
        return LakehouseUnavailable(self._sentence(what, _REFUSED))

    def cut(self, error: Exception, *, timeout_s: float) -> LakehouseUnavailable:
        """Bytes went out and no whole answer came back."""
        if isinstance(error, TimeoutError):
            what = f"sent no answer within {timeout_s:g} s (read timeout)"
            return LakehouseUnavailable(self._sentence(what, _READ_TIMEOUT))
        what = f"cut the connection in the middle of an exchange ({_named(error)})"
        return LakehouseUnavailable(self._sentence(what, _CUT))

    def refused(self, status: int, reason: str, body: bytes) -> LakehouseError:
        """Any status but 200."""
        what = f"answered {status} {reason}".rstrip() + self._quoted(body)
        if status in _BY_STATUS:
            kind, next_step = _BY_STATUS[status]
            return kind(self._sentence(what, next_step.format(user=self._user)))
        redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
        return NotALakehouse(self._sentence(what, _REDIRECTED if redirect else _NOT_THRIFT))

    def not_let_in(self, said: bytes) -> AccessDenied:
        """The negotiation of a bare connection ended in a refusal."""
        what = f"refused the user and token of the connection{self._quoted(said)}"
        return AccessDenied(self._sentence(what, _NOT_LET_IN.format(user=self._user)))

    def no_log_in(self, error: Exception, *, timeout_s: float) -> LakehouseUnavailable:
        """The negotiation of a bare connection was cut, or got no answer."""
        how = (
            f"sent no answer within {timeout_s:g} s"
            if isinstance(error, TimeoutError)
            else _named(error)
        )
        what = f"took the connection and did not let us in by SASL PLAIN ({how})"
        return LakehouseUnavailable(self._sentence(what, _NO_LOG_IN))

    def no_sasl(self) -> NotALakehouse:
        """A bare connection, and something that is no negotiation."""
        what = "does not answer SASL PLAIN as a Thrift server in binary mode does"
        return NotALakehouse(self._sentence(what, _NOT_BINARY))

    def page(self, content_type: str, body: bytes) -> NotALakehouse:
        """200, and something for people or browsers in it."""
        what = f"answered 200 with {content_type} instead of Thrift{self._quoted(body)}"
        return NotALakehouse(self._sentence(what, _PAGE))

    def too_short(self) -> LakehouseUnavailable:
        """200, and less than one Thrift message in it."""
        return LakehouseUnavailable(
            self._sentence("answered 200 with an empty or cut body", _TRY_AGAIN)
        )

    def unreadable(self, error: BaseException) -> NotALakehouse:
        """200, and something that is no Thrift message, or one of another service."""
        what = f"sent an answer that cannot be read as Thrift ({_named(error)})"
        return NotALakehouse(self._sentence(what, _NOT_THRIFT))

    def session_lost(self) -> SessionLost:
        """The server does not know our session handle."""
        what = "no longer knows our session"
        return SessionLost(self._sentence(what, "It was restarted, or the session expired."))

    def statement_lost(self, statement: str) -> LakehouseUnavailable:
        """The server does not know a statement that was running."""
        what = f"no longer knows {shortened(statement)}, which was running"
        return LakehouseUnavailable(
            self._sentence(what, "It was restarted, or the statement expired.")
        )

    def answered_otherwise(self, statement: str, *, rows: int) -> LakehouseUnavailable:
        """A stream broke, and the second answer does not begin with the rows that were given already."""
        what = f"broke off {shortened(statement)} after {rows} rows and then answered with others"
        return LakehouseUnavailable(self._sentence(what, "The source has changed. Ask again."))

    def no_session(self, message: str) -> LakehouseUnavailable:
        """The server answers, but opens no session yet."""
        what = f"opened no session: {self._explained(message)[1]}"
        return LakehouseUnavailable(self._sentence(what, _TRY_AGAIN))

    def statement_failed(
        self, statement: str | None, message: str, sql_state: str | None
    ) -> StatementFailed:
        """Spark's verdict on a statement; None for what opens a session."""
        error_class, brief = self._explained(message)
        known = ", ".join(
            part for part in (error_class, sql_state and f"SQL state {sql_state}") if part
        )
        subject = "the session's set-up" if statement is None else shortened(statement)
        what = f"failed {subject}{known and f' [{known}]'}: {brief.rstrip('.;')}"
        next_step = _BY_SQL_STATE.get(sql_state or "") or _BY_CLASS.get(error_class or "", _LOOK)
        return StatementFailed(
            self._sentence(what, next_step), sql_state=sql_state, error_class=error_class
        )

    def timed_out(self, statement: str, *, deadline_s: float) -> StatementTimedOut:
        """The deadline passed and the statement was cancelled."""
        what = f"did not finish {shortened(statement)} within {deadline_s:g} s, so it was cancelled"
        return StatementTimedOut(self._sentence(what, _DEADLINE))

    def no_catalog(self, catalog: str, *, current: str) -> StatementFailed:
        """USE took the name, but as a database of the current catalog."""
        what = f"knows no catalog {catalog!r}: that is a database of {current}"
        return StatementFailed(
            self._sentence(what, "IOMETE_CATALOGS takes the names of catalogs."),
            sql_state="42704",
        )

    def window_over(self, error: LakehouseUnavailable, *, window_s: float) -> LakehouseUnavailable:
        """The last error of a start-up window, with how long it was tried."""
        tried = f" It was tried again for {window_s:g} s." if window_s else ""
        return LakehouseUnavailable(f"{error}{tried}")

    def brief(self, error: BaseException, message: str) -> str:
        """Any error in one line for the log."""
        if isinstance(error, LakehouseError):
            return str(error)
        return f"{type(error).__name__}: {self._explained(message)[1]}"

    def _sentence(self, what: str, next_step: str) -> str:
        return redacted(f"Lakehouse {self._address.shown} {what}. {next_step}", self._secrets)

    def _explained(self, message: str) -> tuple[str | None, str]:
        """Masked before it is cut, which may leave half a secret that nothing recognises."""
        return explained(redacted(message, self._secrets))

    def _quoted(self, body: bytes) -> str:
        """The start of a body in quotation marks, masked before it is cut; empty for an empty one."""
        text = " ".join(redacted(body.decode("utf-8", "replace"), self._secrets).split())
        return f' ("{_cut(text, BODY_SHOWN)}")' if text else ""


def explained(message: str) -> tuple[str | None, str]:
    """Spark's message as its error class and one line without Java: never a stack, never the statement.

    Returns:
        The class (``TABLE_OR_VIEW_NOT_FOUND``; None without one) and at most 300 characters.
    """
    error_class = None
    for part in message.splitlines():
        line = part.strip()
        if line.startswith(_BEYOND):
            break
        classes = list(_ERROR_CLASS.finditer(line))
        if classes:
            error_class = error_class or classes[-1].group(1)
            line = line[classes[-1].end() :]
        while prefix := _JAVA_PREFIX.match(line):
            line = line[prefix.end() :]
        if line:
            return error_class, _cut(line, MESSAGE_SHOWN)
    return error_class, "no reason was given"


def shortened(statement: str) -> str:
    """Which statement it was, by its first words, without the comments; never the whole of a long one."""
    words = re.sub(r"/\*.*?\*/", " ", statement, flags=re.DOTALL).split()
    shown = " ".join(words[:WORDS_SHOWN])[:60]
    more = " …" if shown != " ".join(words) else ""
    return f"the statement `{shown}{more}`"


def _cut(text: str, at_most: int) -> str:
    return text if len(text) <= at_most else f"{text[: at_most - 1]}…"


def _named(error: BaseException) -> str:
    """An exception in a few words, e.g. ``ConnectionRefusedError: Connection refused``."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{type(error).__name__}: {_cut(text, BODY_SHOWN)}" if text else type(error).__name__


_BEYOND = ("== SQL ==", "at org.", "at java.", "Caused by:")
"""Lines from which on Spark repeats the statement or Java its stack."""
_ERROR_CLASS = re.compile(
    r"(?:^|:\s)\[([A-Z][A-Z0-9_]*(?:\.[A-Z0-9_]+)*|_LEGACY_ERROR_TEMP_\d+)\]\s*"
)
"""Begins a message; in the middle of one, brackets hold a right such as SELECT."""
_JAVA_PREFIX = re.compile(
    r"(?:Error running query:|Error operating \w+:|(?:\w+\.)+[\w$]+(?:Exception|Error):)\s*"
)

_CERTIFICATE = (
    "Trying again cannot help. Set IOMETE_CA_FILE to the PEM file of its certificate authority, or correct the host "
    "of IOMETE_URL."
)
_TLS = "Check scheme and port of IOMETE_URL: https belongs to the gateway, http to the driver's own port."
_CONNECT_TIMEOUT = "Nothing was sent. Check host and port of IOMETE_URL and the network's rules, or raise IOMETE_CONNECT_TIMEOUT_S."
_NO_NAME = "Check the host of IOMETE_URL, and the name service of this machine."
_REFUSED = (
    "Nothing was sent. Look whether the compute is ACTIVE (connecting never starts it), and check host and port of "
    "IOMETE_URL."
)
_READ_TIMEOUT = (
    "Whether the request was carried out is not known. Look whether the compute is overloaded, or raise "
    "IOMETE_READ_TIMEOUT_S."
)
_CUT = (
    "Whether the request was carried out is not known. Look whether the compute was restarted, or whether a gateway "
    "in between gives up too early."
)
_TRY_AGAIN = (
    "The compute may be starting or stopped, or a gateway is busy: this may pass. If it does not, look whether the "
    "compute is ACTIVE."
)
_SERVER_BROKE = "The server broke over the request: this may pass. If it does not, look into the log of the compute's driver."
_NOT_THRIFT = (
    "That is no Spark Thrift server. Correct scheme, port and path of IOMETE_URL: "
    "/data-plane/<namespace>/lakehouse/<compute> through the gateway, /cliservice at the driver itself."
)
_NO_LOG_IN = (
    "No statement was sent. The compute may be starting: this may pass. If it does not, look whether the server runs in "
    "binary mode with authentication other than NOSASL and KERBEROS, or take its http(s):// address."
)
_NOT_BINARY = "Correct scheme and port of IOMETE_URL: thrift:// belongs to binary mode, http(s):// to HTTP mode."
_REDIRECTED = (
    "A login page or a gateway sends us elsewhere, and no redirect is followed, because the token would go along. "
    "Correct scheme, host and path of IOMETE_URL."
)
_PAGE = (
    "Something else listens there, such as a login page or a console. Correct host and path of "
    "IOMETE_URL."
)
_NOT_LET_IN = (
    "The token of user {user} is missing, wrong, expired or suspended; trying again cannot help. Put a valid access "
    "token into IOMETE_TOKEN (an account password does not work) and its owner into IOMETE_USER."
)
_NO_RIGHT = (
    "The token is known, but user {user} may not use this compute; trying again cannot help. Grant CONSUME on the "
    "compute, and look for a policy on the path."
)
_BY_STATUS: dict[int, tuple[type[LakehouseError], str]] = {
    401: (AccessDenied, _NOT_LET_IN),
    403: (AccessDenied, _NO_RIGHT),
    404: (NotALakehouse, f"The path leads nowhere. {_NOT_THRIFT}"),
    429: (LakehouseUnavailable, _TRY_AGAIN),
    500: (LakehouseUnavailable, _SERVER_BROKE),
    502: (LakehouseUnavailable, _TRY_AGAIN),
    503: (LakehouseUnavailable, _TRY_AGAIN),
    504: (LakehouseUnavailable, _TRY_AGAIN),
}
_DEADLINE = (
    "Look whether the compute is overloaded or a table's storage unreachable, or raise "
    "IOMETE_STATEMENT_DEADLINE_S."
)
_LOOK = "Asking again will most likely fail the same way; the log of the compute's driver has the whole story."
_NO_DATABASE = "There is no such database or catalog, or our user may not see it: check the name and the grants."
_BY_SQL_STATE = {
    "42P01": "It does not exist, or our user may not see it: check the name and the SELECT grants.",
    "42704": _NO_DATABASE,
}
_BY_CLASS = {"_LEGACY_ERROR_TEMP_1126": _NO_DATABASE}
