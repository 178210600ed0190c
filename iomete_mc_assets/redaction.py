"""What must never be shown: secrets in texts that people, logs or files will see. Masks nothing else."""

import base64
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby

MASK = "********"


def redacted(text: str, secrets: Iterable[str | None]) -> str:
    """``text`` with every secret masked, plain or in base64, however escaped. Empty secrets are ignored."""
    for secret in secrets:
        if secret:
            text = _spelled(secret).sub(MASK, text)
    return text


@lru_cache(maxsize=16)
def _spelled(secret: str) -> re.Pattern[str]:
    """The forms a secret takes on its way."""
    plain = secret.encode()
    encoded = (base64.b64encode(plain), base64.urlsafe_b64encode(plain))
    forms = dict.fromkeys((secret, *(text.decode().rstrip("=") for text in encoded)))
    return re.compile("|".join(map(_written, forms)))


def _written(form: str) -> str:
    """A form in any writing: a server may escape each character as it likes, and an escaped text once more."""
    return "".join(_repeated(one, len(list(same))) for one, same in groupby(form))


def _repeated(character: str, times: int) -> str:
    """Bounded, so that a server's 64 KiB of backslashes take no longer to look through than other texts."""
    quoted = "".join(map(_quoted, character.encode()))
    units = character.encode("utf-16-be").hex(" ", 2).split()
    escaped = "".join(rf"{_SLASHES}u{''.join(map(_either_case, unit))}" for unit in units)
    if character == "\\":
        return rf"(?:\\{{{times},{4 * times}}}|(?:{quoted}|{escaped}){{{times}}})"
    ways = [re.escape(character), quoted, escaped]
    if not character.isalnum():
        ways.append(_SLASHES + re.escape(character))
    if character == " ":
        ways.append(r"\+")
    if character in _SHORT:
        ways.append(_SLASHES + _SHORT[character])
    return f"(?:{'|'.join(ways)}){{{times}}}"


_SLASHES = r"\\{1,4}"
_SHORT = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
"""JSON's own escapes besides those that put a backslash before the character."""


def _quoted(byte: int) -> str:
    """A byte as URLs have it, once or quoted again, and JSON's escapes of that."""
    digits = "".join(
        rf"(?:{_either_case(one)}|{_SLASHES}u00(?:{ord(one):02x}|{ord(one.upper()):02x}))"
        for one in f"{byte:02x}"
    )
    return rf"(?:%|{_SLASHES}u0025)(?:25){{0,3}}{digits}"


def _either_case(digit: str) -> str:
    return digit if digit.isdigit() else f"[{digit}{digit.upper()}]"
