"""What must never be shown: secrets in texts that people, logs or files will see. Masks nothing else."""

import base64
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote, quote_plus

MASK = "********"


@lru_cache(maxsize=16)
def spellings(secret: str) -> tuple[str, ...]:
    """The forms a secret takes on its way: plain, URL-quoted as paths and queries are, base64."""
    plain = secret.encode()
    encoded = (base64.b64encode(plain), base64.urlsafe_b64encode(plain))
    return tuple(
        dict.fromkeys(
            (
                secret,
                quote(secret, safe=""),
                quote(secret),
                quote_plus(secret),
                *(text.decode().rstrip("=") for text in encoded),
            )
        )
    )


def redacted(text: str, secrets: Iterable[str | None]) -> str:
    """``text`` with every spelling of every secret masked. Empty secrets are ignored."""
    for secret in secrets:
        if secret:
            for form in spellings(secret):
                text = text.replace(form, MASK)
    return text
