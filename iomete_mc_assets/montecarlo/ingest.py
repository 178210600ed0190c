"""One request to Monte Carlo's ingest API and the meaning of its answer. Nothing here is repeated: ``push.policy`` decides.

The seam: ``Ingest`` is what the pusher knows. pycarlo is imported when a ``PycarloIngest`` is made.
"""

import logging
from dataclasses import dataclass, field
from typing import Protocol

from iomete_mc_assets.errors import SettingsError
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.montecarlo.answers import invocation_id
from iomete_mc_assets.montecarlo.transport import Posts, Unanswered


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One request.

    Attributes:
        body: the very bytes to send.
        events: how many are in it.
        shown: what it is, for messages: ``batch 3/7 of monte_carlo/observations, hour ... (50 events, 9,000 bytes)``.
    """

    flow: Flow
    body: bytes
    events: int
    shown: str


class Ingest(Protocol):
    """Whoever takes a batch. Called from several threads."""

    def send(self, outgoing: Outgoing) -> str:
        """Send it once and return the invocation id (a UUID).

        Raises:
            Rejected: the content was refused.
            TooLarge: the body was.
            NotAccepted: certainly not taken.
            OutcomeUnknown: it went out and no valid answer came.
            Misconfigured: this is not Monte Carlo, or the wrong key.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestConfig:
    """How to reach Monte Carlo's ingest API.

    Attributes:
        endpoint: ``http(s)://host[:port]`` without a path.
        key_id, key_secret: an ingestion key; never shown.
        read_timeout_s: seconds of silence borne.
        total_timeout_s: seconds one request may take in all, dripping answers included.
    """

    endpoint: str
    key_id: str = field(repr=False)
    key_secret: str = field(repr=False)
    connect_timeout_s: float = 5
    read_timeout_s: float = 60
    total_timeout_s: float = 90

    def __post_init__(self) -> None:
        """Refuse empty credentials: pycarlo would look for others in the environment and in ~/.mcd."""
        for name, value in (("MCD_INGEST_ID", self.key_id), ("MCD_INGEST_TOKEN", self.key_secret)):
            if not value.strip():
                msg = (
                    f"{name} is empty. Set it to an ingestion key of Monte Carlo (scope Ingestion)."
                )
                raise SettingsError(msg)


class PycarloIngest:
    """Monte Carlo through pycarlo's ``IngestionService``, one kept-alive connection a thread."""

    def __init__(self, config: IngestConfig) -> None:
        """Nothing is sent.

        Raises:
            SettingsError: the key cannot be sent, or the environment holds OAuth credentials, with which
                pycarlo cannot push.
        """
        # pycarlo warns of seven enum values of its own schema each time it is imported
        logging.getLogger("pycarlo.lib.types").setLevel(logging.ERROR)
        # pycarlo's import takes 0.4 s and 61 MiB, which loading definitions shall not cost
        from pycarlo.features.ingestion import IngestionService  # noqa: PLC0415

        from iomete_mc_assets.montecarlo import client  # noqa: PLC0415

        posts = Posts(
            connect_s=config.connect_timeout_s,
            read_s=config.read_timeout_s,
            total_s=config.total_timeout_s,
        )
        session = client.ingestion_session(
            key_id=config.key_id, key_secret=config.key_secret, endpoint=config.endpoint
        )
        self._client = client
        self._config = config
        self._posts = posts
        self._service = IngestionService(client.TunedClient(session, posts))

    def send(self, outgoing: Outgoing) -> str:
        """As ``Ingest.send``."""
        asked = f"Monte Carlo at {self._config.endpoint}, {outgoing.shown}"
        secrets = (self._config.key_secret, self._config.key_id)
        try:
            answer = self._client.post_through(self._service, outgoing.flow, outgoing.body)
        except Unanswered as unanswered:
            raise self._client.without_answer(unanswered.without(secrets), asked=asked) from None
        return invocation_id(answer.without(secrets), asked=asked)

    def cut(self) -> None:
        """End the requests that are under way: nobody knows what became of them."""
        self._posts.cut("the push was interrupted")
