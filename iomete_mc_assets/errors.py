"""The exception tree: who must act decides the class. What each layer does about an error lives there, not here.

::

    IometeMcError
    ├── SettingsError              a setting is missing or malformed: whoever runs us edits it
    ├── LakehouseError             the lakehouse side
    │   ├── LakehouseUnavailable   refused, 429, 502-504, cut: may work later
    │   ├── AccessDenied           401, 403: token or rights
    │   ├── NotALakehouse          404, 3xx, a page instead of Thrift: the address is wrong
    │   ├── SessionLost            the server forgot our session (a restart): reconnect
    │   ├── StatementFailed        Spark refused or failed the statement
    │   ├── StatementTimedOut      the deadline passed and the statement was cancelled
    │   └── LogDamaged             a log file cannot be unpacked; others may be fine
    ├── HourFailed                 an hour could not be collected; other hours of a range may be fine
    ├── ManifestError              the manifest store
    │   ├── ManifestMissing        no such manifest
    │   ├── ManifestDamaged        a file is not what its header says
    │   ├── ManifestPruned         its records were removed on purpose; header and receipts stay
    │   ├── UnknownSchemaVersion   written by a newer version: never guessed at
    │   ├── NotImportable          a file of another collector is not what its documents say
    │   └── WrongStore             the store belongs to another lakehouse
    ├── PushError                  Monte Carlo's side, and the ledger
    │   ├── Rejected               these bytes were refused: sending them again cannot help
    │   ├── TooLarge               413: halve it
    │   ├── NotAccepted            429, 503, refused, DNS: certainly not taken, may be sent again
    │   ├── OutcomeUnknown         sent, and nobody knows: 500, 502, 504, time-out, cut, no invocation id
    │   ├── Misconfigured          401, 403, 404, 405, 3xx, HTML: not Monte Carlo, or the wrong key
    │   ├── BudgetSpent            no time left to start another request in this run
    │   └── LedgerBusy             another push holds the ledger, or its head cannot be read
    ├── ControlPlaneError          Monte Carlo's API (GraphQL): a question or a change was not answered
    │   ├── ApiKeyRefused          401, 403: the API key, or its scope
    │   ├── ApiUnavailable         429, 5xx, refused, time-out: may work later
    │   └── OperationRefused       Monte Carlo understood and said no
    ├── AlertNotSent               the webhook for failed runs did not take a line
    └── SandboxError               the local lakehouse or gateway cannot start or is missing something

Every message says who, what, verdict and next step, and never holds a secret or a whole statement.
"""


class IometeMcError(Exception):
    """Root of all errors this package raises on purpose."""


class SettingsError(IometeMcError):
    """A setting is missing or malformed; the message names the variable and what it takes."""


class LakehouseError(IometeMcError):
    """Something on the lakehouse side."""


class LakehouseUnavailable(LakehouseError):
    """Nobody answers, or a gateway says later: worth another try within the start-up window."""


class AccessDenied(LakehouseError):
    """401 or 403: the token or the account's rights."""


class NotALakehouse(LakehouseError):
    """Something answered that is no Spark Thrift server: wrong address or path, a login page."""


class SessionLost(LakehouseError):
    """The server no longer knows our session; a new connection may repeat the statement."""


class StatementFailed(LakehouseError):
    """Spark failed the statement.

    Attributes:
        sql_state: five characters such as ``42P01``; None where Spark gives none.
        error_class: such as ``TABLE_OR_VIEW_NOT_FOUND``; None where the text has none.
    """

    def __init__(
        self, message: str, *, sql_state: str | None = None, error_class: str | None = None
    ) -> None:
        """Keep state and class beside the sentence."""
        super().__init__(message)
        self.sql_state = sql_state
        self.error_class = error_class


class StatementTimedOut(LakehouseError):
    """The statement's deadline passed; it was cancelled."""


class LogDamaged(LakehouseError):
    """A log file that cannot be unpacked, or is packed in a way that is not read here."""


class HourFailed(IometeMcError):
    """An hour could not be collected: the lakehouse could not be asked, or too much was unreadable."""


class ManifestError(IometeMcError):
    """Something about the manifest store."""


class ManifestMissing(ManifestError):
    """No manifest of that hour and id."""


class ManifestDamaged(ManifestError):
    """A file is missing, cut, or does not match the digest in its header."""


class ManifestPruned(ManifestError):
    """The manifest's records were removed on purpose; its header and receipts are there."""


class UnknownSchemaVersion(ManifestError):
    """A newer version of this package wrote the file."""


class NotImportable(ManifestError):
    """A file of another collector is not what Monte Carlo documents; it is named and left in place."""


class WrongStore(ManifestError):
    """The store belongs to another lakehouse, or an event names another store."""


class PushError(IometeMcError):
    """Something between the ledger and Monte Carlo."""


class Rejected(PushError):
    """Monte Carlo refused the content (400, 409, 422 in its JSON error shape).

    Attributes:
        status: the HTTP status.
        details: the server's ``details``, as JSON text of at most 2,000 characters; None without.
    """

    def __init__(self, message: str, *, status: int, details: str | None = None) -> None:
        """Keep status and details beside the sentence."""
        super().__init__(message)
        self.status = status
        self.details = details


class TooLarge(PushError):
    """413: the gateway takes no body of this size."""


class NotAccepted(PushError):
    """The request was certainly not taken.

    Attributes:
        retry_after_s: seconds the server asked us to wait; None where it said nothing.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        """Keep the server's wish beside the sentence."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OutcomeUnknown(PushError):
    """Bytes went out and no valid answer came: the batch may or may not have been accepted."""


class Misconfigured(PushError):
    """Not Monte Carlo, or the wrong key: the push stops, nothing is repeated."""


class BudgetSpent(PushError):
    """The run's or the hour's time is over before everything was sent; the next run goes on."""


class Interrupted(PushError):
    """Somebody ended the push before everything was sent; the next one goes on."""


class LedgerBusy(PushError):
    """Another push holds the ledger of this flow, or its head is unreadable; nothing was sent."""


class ControlPlaneError(IometeMcError):
    """Monte Carlo's API gave no usable answer: a page, an empty body, something that is no GraphQL."""


class ApiKeyRefused(ControlPlaneError):
    """401 or 403: an unknown key, one of another scope, or one without the right."""


class ApiUnavailable(ControlPlaneError):
    """No answer, or "later".

    Attributes:
        retry_after_s: as told (>= 0); None when nothing was.
        unknown: whether a change may have been made all the same.
    """

    def __init__(
        self, message: str, *, retry_after_s: float | None = None, unknown: bool = False
    ) -> None:
        """Keep what is known beside the sentence."""
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.unknown = unknown


class OperationRefused(ControlPlaneError):
    """Errors inside an answer: Monte Carlo understood the question and refused it."""


class AlertNotSent(IometeMcError):
    """The webhook for failed runs did not take a line; its address is a secret and not in the message."""


class SandboxError(IometeMcError):
    """The local lakehouse or gateway cannot start, or something it needs is missing."""
