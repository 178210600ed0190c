"""How a secret may be written, and everything that could show one. Which secrets there are, a test says."""

import base64
import traceback
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus


def secrets_in(text: str, secrets: Iterable[str]) -> list[str]:
    """The forms of the secrets that stand in a text."""
    return [form for secret in secrets for form in forms(secret) if form in text]


def forms(secret: str) -> Iterator[str]:
    """How a secret may be written: plain, quoted for URLs, and in base64 behind any number of bytes."""
    yield from (secret, quote(secret, safe=""), quote(secret), quote_plus(secret))
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            text = encode(b"\0" * before + secret.encode()).decode()
            # the first and last characters hold bits of what stands beside
            yield text[4 if before else 0 : len(text) - 4]


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what caused it and what it was raised beside, shown or not."""
    if error is not None:
        yield error
        yield from chain(error.__cause__)
        if error.__context__ is not error.__cause__:
            yield from chain(error.__context__)


def shown(outcome: object) -> str:
    """Everything a log, a debugger or Dagster could show of an outcome or an error."""
    text = f"{outcome} {outcome!r}"
    for error in chain(outcome) if isinstance(outcome, BaseException) else ():
        text += f" {error.args!r} {vars(error)!r}"
        text += " ".join(repr(getattr(value, "__dict__", "")) for value in vars(error).values())
        text += "".join(traceback.format_exception(error))
    return text
