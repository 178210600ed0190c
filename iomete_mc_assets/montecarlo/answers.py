"""What an answer of the ingest API means: the table of answers, and nothing about how it arrived."""

import json
import math
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import cast

from iomete_mc_assets import clock
from iomete_mc_assets.errors import (
    Misconfigured,
    NotAccepted,
    OutcomeUnknown,
    PushError,
    Rejected,
    TooLarge,
)
from iomete_mc_assets.redaction import redacted

ANSWER_CAP = 65_536
"""Bytes read of an answer; Monte Carlo's is about 60, a refusal's ``details`` a few hundred."""
DETAILS_CAP = 2_000
SHOWN_CAP = 300
LONGEST_WAIT_S = 86_400.0
"""Longer than any run. ``Retry-After`` may say more than a clock can be moved on by, even ``inf``."""

CONTENT_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)
NOT_TAKEN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer.

    Attributes:
        text: its body, at most 65,536 bytes.
        location: where a redirect leads, for the message; None without.
        hidden: secrets, to mask what is kept of the parsed body as well.
    """

    status: int
    text: str
    content_type: str = ""
    retry_after: str | None = None
    location: str | None = None
    hidden: tuple[str, ...] = field(default=(), repr=False)

    def without(self, secrets: Iterable[str]) -> "Answer":
        """The answer with secrets masked, should a server echo them."""
        hidden = tuple(secrets)
        location = None if self.location is None else redacted(self.location, hidden)
        return replace(self, text=redacted(self.text, hidden), location=location, hidden=hidden)

    @property
    def html(self) -> bool:
        """Whether a page for people came: a login, a proxy, a load balancer."""
        return "html" in self.content_type.lower() or self.text.lstrip().startswith("<")

    @property
    def fields(self) -> dict[str, object] | None:
        """The body as a JSON object; None when it is anything else."""
        try:
            value: object = json.loads(self.text)
        except (ValueError, RecursionError):  # a server may nest as deeply as it likes
            return None
        return cast("dict[str, object]", value) if isinstance(value, dict) else None

    @property
    def shown(self) -> str:
        """The beginning of the body on one line."""
        text = " ".join(self.text.split())
        return text if len(text) <= SHOWN_CAP else text[:SHOWN_CAP] + "..."


def invocation_id(answer: Answer, *, asked: str) -> str:
    """The invocation id of an accepting answer.

    Raises:
        PushError: one of the classes of the table of answers; see ``Ingest.send``.
    """
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - 2xx
        raise failure(answer, asked=asked)
    if answer.html:
        msg = f"{asked}: HTTP {answer.status} with a web page: {answer.shown}. {_NOT_MONTE_CARLO}"
        raise Misconfigured(msg)
    value = (answer.fields or {}).get("invocation_id")
    try:
        return str(uuid.UUID(value if isinstance(value, str) else ""))
    except ValueError:
        msg = (
            f"{asked}: HTTP {answer.status} without an invocation id ({answer.shown or 'empty'}), so "
            "nobody knows whether it was accepted. It may be sent again with the same event ids."
        )
        raise OutcomeUnknown(msg) from None


_NOT_MONTE_CARLO = (
    "That is not Monte Carlo's ingest API, so nothing more is sent. Check MCD_INGEST_ENDPOINT and "
    "any proxy between."
)
_UNKNOWN_KEY = (
    "Monte Carlo does not know the key, so nothing more is sent. Check that MCD_INGEST_ID and MCD_INGEST_TOKEN "
    "are whole, and that this ingestion key is neither expired nor deleted."
)
_KEY_MAY_NOT = (
    "Monte Carlo knows the key, and it may not do this, so nothing more is sent. Check that MCD_INGEST_ID is a "
    "key of scope Ingestion (an API key cannot push) that may write to the warehouse MCD_RESOURCE_UUID."
)


def failure(answer: Answer, *, asked: str) -> PushError:
    """The error that an answer other than 2xx means; returned, for its caller to raise."""
    status = answer.status
    told = f"{asked}: HTTP {status}"
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TooLarge(f"{told}: the body is too large.")
    if status in NOT_TAKEN:
        wait_s = seconds_to_wait(answer.retry_after)
        return NotAccepted(f"{told}: not taken now; it may be sent again.", retry_after_s=wait_s)
    if status in CONTENT_REFUSED and "error" in (answer.fields or {}):
        return _rejected(answer, told)
    if status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return OutcomeUnknown(
            f"{told}: {answer.shown or 'no words'}. Nobody knows whether it was accepted; it may be "
            "sent again with the same event ids."
        )
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) and not answer.html:
        verdict = _UNKNOWN_KEY if status == HTTPStatus.UNAUTHORIZED else _KEY_MAY_NOT
        return Misconfigured(f"{told}: {answer.shown or 'no words'}. {verdict}")
    where = f" to {answer.location}, not followed" if answer.location else ""
    return Misconfigured(f"{told}{where}: {answer.shown or 'no words'}. {_NOT_MONTE_CARLO}")


def _rejected(answer: Answer, told: str) -> Rejected:
    details = (answer.fields or {}).get("details")
    text = None if details is None else redacted(json.dumps(details), answer.hidden)[:DETAILS_CAP]
    return Rejected(
        f"{told}: {answer.shown}. Sending the same bytes again cannot help.",
        status=answer.status,
        details=text,
    )


def seconds_to_wait(retry_after: str | None) -> float | None:
    """``Retry-After`` in seconds, 0 to ``LONGEST_WAIT_S``, from either of its two forms; None when absent or neither."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        seconds = _seconds_until(retry_after)
    if seconds is None or math.isnan(seconds):
        return None
    return min(LONGEST_WAIT_S, max(0.0, seconds))


def _seconds_until(date: str) -> float | None:
    try:
        instant = parsedate_to_datetime(date)
    except (ValueError, OverflowError):  # no date, or none of our calendar
        return None
    return None if instant.tzinfo is None else (instant - clock.now()).total_seconds()
