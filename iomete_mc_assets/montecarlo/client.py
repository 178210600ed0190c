"""pycarlo's client, given a transport of our own: the bytes we measured, one post, one verdict.

Imports pycarlo, so only ``ingest`` imports it, and only when a push begins.
"""

# pycarlo's signatures say ``dict`` without saying of what
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import os
from typing import cast
from urllib.parse import urljoin

from pycarlo.core import Client, Session
from pycarlo.features.ingestion import IngestionService

from iomete_mc_assets.errors import (
    Misconfigured,
    NotAccepted,
    OutcomeUnknown,
    PushError,
    SettingsError,
)
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.montecarlo.answers import Answer
from iomete_mc_assets.montecarlo.transport import Posts, Unanswered

OAUTH_VARIABLES = ("MCD_DEFAULT_OAUTH_CLIENT_ID", "MCD_DEFAULT_OAUTH_CLIENT_SECRET")
"""With both set pycarlo prefers OAuth to explicit keys, and with OAuth it cannot push."""


class TunedClient(Client):
    """Makes one request as one post.

    pycarlo's own transport opens a connection per request, repeats every HTTP error up to 8 times,
    follows redirects with the key in the headers and takes an empty 202 for success.
    """

    def __init__(self, session: Session, posts: Posts) -> None:
        super().__init__(session)
        self._posts = posts

    def make_request(  # pyright: ignore[reportIncompatibleMethodOverride] - the rest is pycarlo's retrying
        self,
        path: str,
        method: str = "POST",  # noqa: ARG002 - always POST
        body: dict[str, object] | None = None,
    ) -> dict[str, object]:
        """Post ``body``, which is bytes here; ``IngestionService`` hands it through untouched.

        Returns:
            The answer under ``answer``, whatever its status.

        Raises:
            Unanswered: no status came.
        """
        url = urljoin(self.session_endpoint, path)
        return {"answer": self._posts.post(url, body=cast("bytes", body), headers=self.headers())}

    def headers(self) -> dict[str, str]:
        """Those of one request: the key, and a trace id of its own."""
        return {**self._get_headers(), "Content-Type": "application/json"}


def ingestion_session(*, key_id: str, key_secret: str, endpoint: str) -> Session:
    """A session of scope Ingestion that nothing in the environment or in ~/.mcd can redirect or replace.

    Raises:
        SettingsError: pycarlo's OAuth variables are set, both are named; or no header can hold the key.
    """
    return _session(key_id=key_id, key_secret=key_secret, endpoint=endpoint, scope="Ingestion")


def api_session(*, key_id: str, key_secret: str, endpoint: str) -> Session:
    """A session for GraphQL, as little open to the environment; it cannot push.

    Raises:
        SettingsError: as ``ingestion_session``.
    """
    return _session(key_id=key_id, key_secret=key_secret, endpoint=endpoint, scope=None)


def _session(*, key_id: str, key_secret: str, endpoint: str, scope: str | None) -> Session:
    if all(os.environ.get(name) for name in OAUTH_VARIABLES):
        msg = (
            f"{' and '.join(OAUTH_VARIABLES)} are set: pycarlo prefers them to the configured key, and "
            "cannot push with them. Unset them for this process."
        )
        raise SettingsError(msg)
    if not (key_id + key_secret).isascii() or not (key_id + key_secret).isprintable():
        # the HTTP library would refuse it too, and show it
        msg = (
            "The id or the secret of Monte Carlo's key holds a character that no header may have. Copy "
            "both again, each on one line."
        )
        raise SettingsError(msg)
    session = Session(mcd_id=key_id, mcd_token=key_secret, scope=scope)
    session.endpoint = endpoint  # MCD_API_ENDPOINT beats the constructor's argument
    session.user_id = None  # MCD_USER_ID_HEADER would add a header
    return session


def post_through(service: IngestionService, flow: Flow, body: bytes) -> Answer:
    """Hand a body to the flow's method of pycarlo's service; see ``TunedClient.make_request``."""
    send = service.send_query_logs_raw if flow == "query_logs" else service.send_metadata_raw
    if flow == "lineage":
        send = service.send_lineage_raw
    returned = cast("dict[str, Answer]", send(cast("dict[str, object]", body)))
    return returned["answer"]


def without_answer(unanswered: Unanswered, *, asked: str) -> PushError:
    """The error that a missing answer means; returned, for its caller to raise."""
    if unanswered.untrusted:
        return Misconfigured(
            f"{asked}: the server's certificate is not trusted ({unanswered}). Check "
            "MCD_INGEST_ENDPOINT, and REQUESTS_CA_BUNDLE: it names your proxy's authority, in a PEM file."
        )
    if unanswered.sent:
        return OutcomeUnknown(
            f"{asked}: no answer ({unanswered}). Nobody knows whether it was accepted; it may be sent "
            "again with the same event ids."
        )
    return NotAccepted(
        f"{asked}: cannot be reached ({unanswered}), so nothing was taken. Check "
        "MCD_INGEST_ENDPOINT and the network; it is sent again later."
    )
