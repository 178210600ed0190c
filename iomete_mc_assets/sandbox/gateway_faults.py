"""The words a test says to make the gateway misbehave, and the script it follows. How answers go out: ``gateway_http``.

gateway.script(accept, accept_then_hang, answers(429, retry_after=2), accept)
gateway.rule(after(50))                                    # every request, for benches
gateway.rule(answers(503), path="/graphql", nth=1)
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from http import HTTPStatus
from typing import Any

from iomete_mc_assets.sandbox.gateway_records import INGEST_PATHS, Manner

JSON_TYPE = "application/json"
SILENT: tuple[Manner, ...] = ("hang", "reset")
"""Manners in which no byte of an answer goes out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What stands in an HTTP answer.

    Attributes:
        redirects: a Location header is added that points to the gateway's second listener.
    """

    status: int
    body: str = ""
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    redirects: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How one request is treated.

    Attributes:
        takes: whether it is checked and, if it passes, its events are kept; otherwise nothing is.
        answer: goes out in place of the honest one; None keeps the honest one.
        manner: how the answer goes out.
        delay_ms: milliseconds before the answer; for dripping, between two bytes as well.
    """

    takes: bool = True
    answer: Answer | None = None
    manner: Manner = "whole"
    delay_ms: int = 0

    def __post_init__(self) -> None:
        """Refuse a fault that leaves nothing to say."""
        if not self.takes and self.answer is None and self.manner not in SILENT:
            msg = "a fault that takes nothing needs an answer, or must hang or reset"
            raise ValueError(msg)


accept = Fault()
"""The honest treatment."""
accept_then_hang = Fault(manner="hang")
"""Takes the events and never answers."""
accept_then_reset = Fault(manner="reset")
"""Takes the events and resets the connection."""
accept_then_cut = Fault(manner="cut")
"""Takes the events and closes in the middle of the answer's body."""
hang = Fault(takes=False, manner="hang")
"""Takes nothing and never answers."""
reset = Fault(takes=False, manner="reset")
"""Takes nothing and resets the connection."""
accept_then_nothing = Fault(answer=Answer(status=202))
"""Takes the events; 202 with an empty body."""
accept_then_no_id = Fault(answer=Answer(status=202, body='{"status": "accepted"}'))
"""Takes the events; 202 whose JSON has no invocation id."""
html_page = Fault(
    takes=False,
    answer=Answer(
        status=200,
        body="<!doctype html><title>Log in</title>",
        content_type="text/html; charset=utf-8",
    ),
)
"""Takes nothing; 200 with a log-in page."""


def answers(
    status: int,
    body: str | None = None,
    *,
    retry_after: int | str | None = None,
    content_type: str = JSON_TYPE,
) -> Fault:
    """Takes nothing and answers this.

    Args:
        status: HTTP status.
        body: None gives ``{"error": <reason phrase>}``.
        retry_after: seconds or an HTTP date; None sends no such header.
        content_type: of the body.
    """
    text = f'{{"error": "{HTTPStatus(status).phrase}"}}' if body is None else body
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    answer = Answer(status=status, body=text, content_type=content_type, headers=headers)
    return Fault(takes=False, answer=answer)


def redirects(status: int, *, to: str | None = None) -> Fault:
    """Takes nothing and sends the client elsewhere.

    Args:
        status: 301, 302, 303, 307 or 308.
        to: an address; None means the gateway's second listener, which records what arrives
            and answers as if it had accepted.
    """
    headers = {} if to is None else {"Location": to}
    return Fault(takes=False, answer=Answer(status=status, headers=headers, redirects=to is None))


def drips_body(every_ms: int, fault: Fault = accept) -> Fault:
    """Sends the answer's body byte by byte."""
    return replace(fault, manner="drip_body", delay_ms=every_ms)


def drips_headers(every_ms: int, fault: Fault = accept) -> Fault:
    """Sends the answer's headers byte by byte, then the body whole."""
    return replace(fault, manner="drip_headers", delay_ms=every_ms)


def after(delay_ms: int, fault: Fault = accept) -> Fault:
    """Waits before the answer goes out."""
    return replace(fault, delay_ms=delay_ms)


def fault_as_json(fault: Fault) -> dict[str, Any]:
    """A fault as plain JSON values."""
    return asdict(fault)


def fault_from(values: Mapping[str, Any]) -> Fault:
    """A fault from its JSON; TypeError for a key that it does not have."""
    answer = values.get("answer")
    parts: dict[str, Any] = {**values, "answer": None if answer is None else Answer(**answer)}
    return Fault(**parts)


@dataclass(slots=True, kw_only=True)
class _Rule:
    """A standing order; ``seen`` counts the matching requests since it was given."""

    fault: Fault
    path: str | None
    nth: int | None
    seen: int = 0


class Script:
    """Which fault the next request gets. Not safe for threads by itself: the gateway holds a lock."""

    def __init__(self) -> None:
        """An empty script is honest."""
        self._steps: deque[Fault] = deque()
        self._rules: list[_Rule] = []

    def extend(self, *faults: Fault) -> None:
        """One fault per ingest request, in order of arrival, after those already waiting."""
        self._steps.extend(faults)

    def rule(self, fault: Fault, *, path: str | None, nth: int | None) -> None:
        """A standing order, which wins over the script.

        Args:
            fault: what matching requests get.
            path: the exact path; None matches the ingest paths.
            nth: only the nth matching request from now on, counted from 1; None takes each.
        """
        self._rules.append(_Rule(fault=fault, path=path, nth=nth))

    def clear(self) -> None:
        """Forget steps and rules."""
        self._steps.clear()
        self._rules.clear()

    @property
    def left(self) -> int:
        """Steps that no request has taken yet."""
        return len(self._steps)

    def next(self, path: str) -> Fault:
        """What the request now arriving at this path gets."""
        chosen: Fault | None = None
        for rule in self._rules:
            if rule.path == path or (rule.path is None and path in INGEST_PATHS):
                rule.seen += 1
                if chosen is None and rule.nth in (None, rule.seen):
                    chosen = rule.fault
        if chosen is not None:
            return chosen
        if path in INGEST_PATHS and self._steps:
            return self._steps.popleft()
        return accept
