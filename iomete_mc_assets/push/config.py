"""Where a push goes and within which limits: settings as values. Reads no environment by itself."""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from iomete_mc_assets import settings
from iomete_mc_assets.errors import SettingsError
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.receipts import Plan
from iomete_mc_assets.montecarlo.events.event import Envelope
from iomete_mc_assets.montecarlo.ingest import IngestConfig
from iomete_mc_assets.montecarlo.naming import Naming, Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One warehouse at one Monte Carlo; each has a ledger of its own.

    Attributes:
        endpoint: of the ingest API.
        resource_uuid: of the warehouse.
        naming: strategy, as other names are other tables. Catalog prefixes are no part of it: the ledger
            knows tables by their names, and a new one would send every query of the past again.

    Raises:
        SettingsError: the warehouse is no UUID.
    """

    endpoint: str
    resource_uuid: str
    naming: Strategy

    def __post_init__(self) -> None:
        """Refuse what Monte Carlo would refuse, before any request."""
        try:
            uuid.UUID(self.resource_uuid)
        except ValueError:
            msg = (
                f"MCD_RESOURCE_UUID: {self.resource_uuid!r} is no UUID. Set it to "
                f"{settings.MCD_RESOURCE_UUID.takes}."
            )
            raise SettingsError(msg) from None

    @property
    def id(self) -> str:
        """First 12 hex digits of SHA-256 over all three: names folders."""
        text = f"{self.endpoint}\n{self.resource_uuid}\n{self.naming}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class PushConfig:
    """One destination and how to push to it.

    Attributes:
        max_assets, max_queries, max_edges: events in a request, by flow.
        max_body_bytes: of a request's JSON, as sent. Source: Monte Carlo's cap of 1 MB compressed.
        hour_budget_s, run_budget_s: seconds for an hour's push and for a run's.
        send_superseded: send older hours of catalog and observations too.
        observation_max_age_hours: since an hour's end; older observations are not sent as now.
        edge_max_age_days: since a column edge was seen last; older ones are not sent any more.
        edge_delay_minutes: how long both tables' catalog entries have been accepted before an edge goes.
    """

    destination: Destination
    naming: Naming
    resource_type: str = "spark"
    log_type: settings.LogType = "databricks-metastore-sql-warehouse"
    max_assets: int = 50
    max_queries: int = 100
    max_edges: int = 100
    max_body_bytes: int = 1_000_000
    hour_budget_s: float = 300
    run_budget_s: float = 1500
    send_superseded: bool = False
    observation_max_age_hours: int = 3
    edge_max_age_days: int = 30
    edge_delay_minutes: int = 15

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "PushConfig":
        """From settings; SettingsError names what cannot be used."""
        naming = Naming.read(environment)
        return cls(
            destination=Destination(
                endpoint=settings.MCD_INGEST_ENDPOINT.read(environment),
                resource_uuid=settings.MCD_RESOURCE_UUID.read(environment),
                naming=naming.strategy,
            ),
            naming=naming,
            resource_type=settings.MCD_RESOURCE_TYPE.read(environment),
            log_type=settings.MCD_LOG_TYPE.read(environment),
            max_assets=settings.IOMETE_MC_MAX_ASSETS.read(environment),
            max_queries=settings.IOMETE_MC_MAX_QUERIES.read(environment),
            max_edges=settings.IOMETE_MC_MAX_EDGES.read(environment),
            max_body_bytes=settings.IOMETE_MC_MAX_BODY_BYTES.read(environment),
            hour_budget_s=settings.IOMETE_MC_HOUR_BUDGET_S.read(environment),
            run_budget_s=settings.IOMETE_MC_RUN_BUDGET_S.read(environment),
            send_superseded=settings.IOMETE_MC_SEND_SUPERSEDED.read(environment),
            observation_max_age_hours=settings.IOMETE_MC_OBSERVATION_MAX_AGE_HOURS.read(
                environment
            ),
            edge_max_age_days=settings.IOMETE_MC_EDGE_MAX_AGE_DAYS.read(environment),
            edge_delay_minutes=settings.IOMETE_MC_EDGE_DELAY_MINUTES.read(environment),
        )

    def max_events(self, flow: Flow) -> int:
        """Events in a request of a flow."""
        limits: dict[Flow, int] = {"query_logs": self.max_queries, "lineage": self.max_edges}
        return limits.get(flow, self.max_assets)

    def envelope(self, flow: Flow, *, resource_type: str, log_type: str) -> Envelope:
        """The envelope of a flow's requests, with the types a plan was made with."""
        return Envelope.of(
            flow,
            resource_uuid=self.destination.resource_uuid,
            resource_type=resource_type,
            log_type=log_type,
        )

    def retyped(self, flow: Flow, plan: Plan) -> str | None:
        """What a plan was made with where the settings say another type now, for people; None else."""
        setting, planned, now = "MCD_RESOURCE_TYPE", plan.resource_type, self.resource_type
        if flow == "query_logs":
            setting, planned, now = "MCD_LOG_TYPE", plan.log_type, self.log_type
        return None if planned == now else f"planned with {setting} {planned}, which is {now} now"


def ingest_config(environment: Mapping[str, str]) -> IngestConfig:
    """How to reach Monte Carlo, from settings; SettingsError names what cannot be used."""
    timeout_s = settings.IOMETE_MC_REQUEST_TIMEOUT_S.read(environment)
    return IngestConfig(
        endpoint=settings.MCD_INGEST_ENDPOINT.read(environment),
        key_id=settings.MCD_INGEST_ID.read(environment),
        key_secret=settings.MCD_INGEST_TOKEN.read(environment),
        read_timeout_s=timeout_s,
        total_timeout_s=timeout_s * 1.5,
    )
