"""What must never be shown: secrets in texts that people, logs or files will see. Masks nothing else."""

import base64
from collections.abc import Iterable
from urllib.parse import quote

MASK = "********"


def spellings(secret: str) -> tuple[str, ...]:
    """The forms a secret takes on its way: plain, URL-quoted, base64."""
    plain = secret.encode()
    return tuple(
        dict.fromkeys(
            (secret, quote(secret, safe=""), base64.b64encode(plain).decode().rstrip("="))
        )
    )


def redacted(text: str, secrets: Iterable[str | None]) -> str:
    """``text`` with every spelling of every secret masked. Empty secrets are ignored."""
    for secret in secrets:
        if secret:
            for form in spellings(secret):
                text = text.replace(form, MASK)
    return text
