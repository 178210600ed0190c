"""One question or change to Monte Carlo's API (GraphQL) and the meaning of its answer. Documents live in ``documents``.

Takes the API key, never the ingestion key. Nothing here is repeated; pycarlo is imported when a
``ControlPlane`` is made.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Protocol, cast

from iomete_mc_assets import settings
from iomete_mc_assets.errors import (
    ApiKeyRefused,
    ApiUnavailable,
    ControlPlaneError,
    OperationRefused,
    SettingsError,
)
from iomete_mc_assets.montecarlo.answers import Answer, seconds_to_wait
from iomete_mc_assets.montecarlo.documents import Document
from iomete_mc_assets.montecarlo.transport import Posts, Unanswered

ANSWER_BYTES = 20_000_000
"""A page of 200 tables or 500 fields is below 1 MB; what is cut is no JSON, and so an error."""
SHOWN_ERRORS = 3

Data = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig:
    """How to reach Monte Carlo's API.

    Attributes:
        endpoint: ``http(s)://host[:port]/graphql``.
        key_id, key_secret: an API key (not an ingestion key); never shown.
        max_calls: questions one ``ControlPlane`` may ask; Monte Carlo has a daily quota of 10,000 and more.
        total_timeout_s: seconds one of them may take in all.
    """

    endpoint: str
    key_id: str = field(repr=False)
    key_secret: str = field(repr=False)
    max_calls: int = 500
    connect_timeout_s: float = 5
    read_timeout_s: float = 60
    total_timeout_s: float = 90

    def __post_init__(self) -> None:
        """Refuse empty credentials: pycarlo would look for others in the environment and in ~/.mcd."""
        for name, value in (("MCD_ID", self.key_id), ("MCD_TOKEN", self.key_secret)):
            if not value.strip():
                msg = (
                    f"{name} is empty. Set it to an API key of Monte Carlo (not an ingestion key)."
                )
                raise SettingsError(msg)

    @classmethod
    def read(cls, environment: Mapping[str, str], *, max_calls: int = 500) -> "ApiConfig":
        """From settings; SettingsError names what cannot be used."""
        return cls(
            endpoint=settings.MCD_GRAPHQL_ENDPOINT.read(environment),
            key_id=settings.MCD_ID.read(environment),
            key_secret=settings.MCD_TOKEN.read(environment),
            max_calls=max_calls,
        )


class Api(Protocol):
    """Whoever answers documents."""

    def ask(self, document: Document, **variables: object) -> Data:
        """Ask once; the answer's ``data``, with Monte Carlo's own names.

        Raises:
            ApiKeyRefused: 401 or 403.
            ApiUnavailable: not now, or nobody knows.
            OperationRefused: errors inside the answer.
            ControlPlaneError: no answer of Monte Carlo's, or the budget of calls is spent.
        """
        ...


class ControlPlane:
    """Monte Carlo's API through pycarlo's session, one kept-alive connection.

    Attributes:
        calls: made so far.
    """

    def __init__(self, config: ApiConfig) -> None:
        """Nothing is sent.

        Raises:
            SettingsError: the environment holds OAuth credentials, which pycarlo prefers.
        """
        logging.getLogger("pycarlo.lib.types").setLevel(logging.ERROR)
        from iomete_mc_assets.montecarlo import client  # noqa: PLC0415 - imports pycarlo, which takes 0.4 s

        self._config = config
        self.calls = 0
        self._posts = Posts(
            connect_s=config.connect_timeout_s,
            read_s=config.read_timeout_s,
            total_s=config.total_timeout_s,
            answer_bytes=ANSWER_BYTES,
        )
        session = client.api_session(
            key_id=config.key_id, key_secret=config.key_secret, endpoint=config.endpoint
        )
        self._headers = client.TunedClient(session, self._posts).headers

    def ask(self, document: Document, **variables: object) -> Data:
        """As ``Api.ask``."""
        asked = f"Monte Carlo's API at {self._config.endpoint}, {document.name}"
        if self.calls >= self._config.max_calls:
            msg = (
                f"{asked}: not asked, because {self.calls} calls are the budget of one command and "
                "Monte Carlo has a daily quota. Narrow what is asked for."
            )
            raise ControlPlaneError(msg)
        self.calls += 1
        named = [str(variables[name]) for name in document.secrets if name in variables]
        secrets = (self._config.key_secret, self._config.key_id, *named)
        body = json.dumps({"query": document.text, "variables": variables}).encode()
        try:
            answer = self._posts.post(self._config.endpoint, body=body, headers=self._headers())
        except Unanswered as unanswered:
            raise _unanswered(unanswered.without(secrets), document, asked=asked) from None
        return _data(answer, document, asked=asked, secrets=secrets)


_NOT_MONTE_CARLO = (
    "That is not Monte Carlo's API. Check MCD_GRAPHQL_ENDPOINT and any proxy between."
)


def _data(answer: Answer, document: Document, *, asked: str, secrets: tuple[str, ...]) -> Data:
    """The data as it came; secrets are masked where an answer is shown, not where it is used."""
    fields = answer.fields or {}
    data = fields.get("data")
    if answer.status == HTTPStatus.OK and isinstance(data, dict) and not fields.get("errors"):
        return cast("dict[str, object]", data)
    shown = _without_data(answer) if document.private else answer
    raise _failure(shown.without(secrets), document, told=f"{asked}: HTTP {answer.status}")


def _without_data(answer: Answer) -> Answer:
    """What may be shown of an answer that may hold a new secret: its errors."""
    errors = (answer.fields or {}).get("errors")
    text = json.dumps({"errors": errors}) if errors else "(not shown, as it may hold a secret)"
    return replace(answer, text=text)


def _failure(answer: Answer, document: Document, *, told: str) -> ControlPlaneError:
    """What an answer without usable data means; returned, for its caller to raise."""
    status = answer.status
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) and not answer.html:
        return ApiKeyRefused(_refused_key(answer, told))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        wait_s = seconds_to_wait(answer.retry_after)
        later = "later" if wait_s is None else f"in {wait_s:.0f} s, as it says"
        msg = f"{told}: the quota of calls is spent for now ({answer.shown or 'no words'}). Ask again {later}."
        return ApiUnavailable(msg, retry_after_s=wait_s)
    if status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        msg = f"{told}: {answer.shown or 'no words'}. {_afterwards(document)}"
        return ApiUnavailable(msg, unknown=document.changes)
    fields = answer.fields or {}
    if fields.get("errors"):
        return OperationRefused(
            f"{told}: {_shown_errors(fields['errors'])}. Monte Carlo understood what was asked and refused it. Check that "
            "what is named is there and that the API key's user may do this; if so, ask its support with these words."
        )
    where = f" to {answer.location}, not followed" if answer.location else ""
    page = f"a web page ({answer.shown})" if answer.html else answer.shown or "an empty body"
    what = "an answer without data" if "data" in fields else page
    said = f"{told}{where}: {what}. {_NOT_MONTE_CARLO}"
    if status == HTTPStatus.OK and document.changes:
        return ApiUnavailable(f"{said} {_afterwards(document)}", unknown=True)
    return ControlPlaneError(said)


def _refused_key(answer: Answer, told: str) -> str:
    said = _shown_errors((answer.fields or {}).get("errors")) or answer.shown or "no words"
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return (
            f"{told}: {said}. Monte Carlo does not know the key: check that MCD_ID and MCD_TOKEN are whole, and that "
            "this API key is neither expired nor deleted."
        )
    return (
        f"{told}: {said}. Monte Carlo knows the key, and it may not do this: check that MCD_ID and MCD_TOKEN are an "
        "API key, no ingestion key (those only push), and that its user may do this."
    )


def _shown_errors(errors: object) -> str:
    """What Monte Carlo says, without stack traces and extensions."""
    if not isinstance(errors, list):
        return ""
    listed = cast("list[object]", errors)
    messages = [
        str(cast("dict[str, object]", one).get("message") or "no words")
        if isinstance(one, dict)
        else str(one)
        for one in listed
    ]
    rest = f" (and {len(messages) - SHOWN_ERRORS} more)" if len(messages) > SHOWN_ERRORS else ""
    return " ".join("; ".join(messages[:SHOWN_ERRORS]).split()) + rest


def _unanswered(unanswered: Unanswered, document: Document, *, asked: str) -> ControlPlaneError:
    if unanswered.untrusted:
        return ControlPlaneError(
            f"{asked}: the server's certificate is not trusted ({unanswered}). Check "
            "MCD_GRAPHQL_ENDPOINT, and REQUESTS_CA_BUNDLE: it names your proxy's authority, in a PEM file."
        )
    if not unanswered.sent:
        return ApiUnavailable(
            f"{asked}: cannot be reached ({unanswered}). Check MCD_GRAPHQL_ENDPOINT and the network."
        )
    return ApiUnavailable(
        f"{asked}: no answer ({unanswered}). {_afterwards(document)}", unknown=document.changes
    )


def _afterwards(document: Document) -> str:
    if not document.changes:
        return "Ask again later."
    return "Nobody knows whether the change was made: look at Monte Carlo before trying it again."
