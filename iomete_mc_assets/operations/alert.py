"""One line of text to an incoming webhook, as Slack and its likes take it. When to alert, and about what, live in ``defs``."""

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from iomete_mc_assets.errors import AlertNotSent

TIMEOUT_S = 10
TRIES = 3
AGAIN = Retry(
    total=TRIES - 1,
    redirect=0,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,
    backoff_factor=0.5,
    respect_retry_after_header=False,
    raise_on_status=False,
    raise_on_redirect=False,
)
"""A line that arrives twice harms nobody, one that does not arrive may; a sensor has a minute."""


def send_alert(text: str, *, webhook: str) -> None:
    """Post ``{"text": ...}``.

    Args:
        text: one line, without secrets.
        webhook: its address, which is itself a secret: never shown, redirects are not followed.

    Raises:
        AlertNotSent: nothing took the line in three tries.
    """
    with requests.Session() as session:
        session.mount("https://", HTTPAdapter(max_retries=AGAIN))
        session.mount("http://", HTTPAdapter(max_retries=AGAIN))
        try:
            answer = session.post(
                webhook, json={"text": text}, timeout=TIMEOUT_S, allow_redirects=False
            )
        except (requests.RequestException, ValueError) as error:
            why = f"cannot be reached ({type(error).__name__})"
            raise _not_sent(why) from None
    if not answer.ok or answer.is_redirect:
        why = f"answered {answer.status_code}"
        raise _not_sent(why)


def _not_sent(why: str) -> AlertNotSent:
    """Without the cause: what ``requests`` raises repeats the address."""
    return AlertNotSent(
        f"The webhook of IOMETE_MC_ALERT_WEBHOOK {why}, so this alert reached nobody. Check the address "
        "there; the failed run stands in Dagster all the same."
    )
