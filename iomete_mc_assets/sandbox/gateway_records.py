"""What the local Monte Carlo gateway remembers and says about itself, and the JSON both ends of its admin API speak.

Keeping lives in ``gateway_store``, serving in ``gateway``, asking from another process in ``gateway_client``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, cast, get_args

Endpoint = Literal["metadata", "lineage", "querylogs", "etl/metadata", "etl/runs"]
ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)
INGEST_PATHS: Mapping[str, Endpoint] = {f"/ingest/v1/{name}": name for name in ENDPOINTS}
Manner = Literal["whole", "hang", "reset", "cut", "drip_body", "drip_headers"]
"""How an answer goes out: ``hang`` and ``reset`` give none, ``cut`` closes half-way through the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it arrived and what became of it.

    Attributes:
        number: 1 for the first; counts on over restarts with the same state folder.
        endpoint: None where the path is no ingest path.
        headers: names in lower case; the secret's value is masked.
        arrived_at: when its body had been read.
        body_bytes: length of the body as sent.
        in_flight: requests being served at that moment, itself included.
        status: the HTTP status; None when no answer was given (hang, reset).
        manner: how the answer went out.
        invocation_id: given to the accepted body, also when the client was never told; None when
            nothing was accepted.
        events: accepted events; 0 when refused.
        resource_uuids: warehouses the accepted body speaks of, in lower case, sorted.
    """

    number: int
    method: str
    path: str
    endpoint: Endpoint | None
    headers: Mapping[str, str]
    arrived_at: datetime
    body_bytes: int
    in_flight: int
    status: int | None
    manner: Manner
    invocation_id: str | None
    events: int
    resource_uuids: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Whether its events were taken."""
        return self.invocation_id is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedEvent:
    """One event of an accepted body.

    Attributes:
        request: the number of the request that brought it.
        resource_uuid: the body's; None for lineage between warehouses.
        received_at: what Monte Carlo would stamp a measurement with.
        content: as sent, e.g. ``{"relational_asset": {...}}``.
    """

    request: int
    endpoint: Endpoint
    invocation_id: str
    resource_uuid: str | None
    received_at: datetime
    content: Mapping[str, Any]

    @property
    def measures(self) -> bool:
        """Whether it carries volume or freshness: an observation, not a catalog entry."""
        asset: Mapping[str, object] = self.content.get("relational_asset", {})
        return "volume" in asset or "freshness" in asset


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """How often one table was measured in one clock hour of receipt; more than once is a false alarm.

    Attributes:
        full_table_id: ``database:schema.name``.
        clock_hour: the whole UTC hour of receipt.
        volume: accepted events with a volume.
        freshness: accepted events with a freshness.
    """

    resource_uuid: str
    full_table_id: str
    clock_hour: datetime
    volume: int
    freshness: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The gateway in figures, over all starts with the same state folder.

    Attributes:
        requests: all but those to the admin paths.
        accepted: requests by endpoint whose events were taken.
        events: accepted events by endpoint.
        statuses: requests by status; ``none`` counts those that got no answer.
        highest_in_flight: most ingest and GraphQL requests served at one moment.
        redirect_hits: requests that followed one of our redirects.
    """

    requests: int
    accepted: Mapping[Endpoint, int]
    events: Mapping[Endpoint, int]
    statuses: Mapping[str, int]
    highest_in_flight: int
    redirect_hits: int


Record = Request | AcceptedEvent | Measured | Counts


def as_json(record: Record) -> dict[str, Any]:
    """The record as plain JSON values, instants in ISO 8601."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(record).items()
    }


def request_from(values: Mapping[str, Any]) -> Request:
    """A request from its JSON."""
    parts = _with_instant(values, "arrived_at")
    parts["resource_uuids"] = tuple(parts["resource_uuids"])
    return Request(**parts)


def event_from(values: Mapping[str, Any]) -> AcceptedEvent:
    """An accepted event from its JSON."""
    return AcceptedEvent(**_with_instant(values, "received_at"))


def measured_from(values: Mapping[str, Any]) -> Measured:
    """A table's measurements in one hour from their JSON."""
    return Measured(**_with_instant(values, "clock_hour"))


def counts_from(values: Mapping[str, Any]) -> Counts:
    """The figures from their JSON."""
    return Counts(**values)


def _with_instant(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The values with one ISO text turned into an instant."""
    return {**values, name: datetime.fromisoformat(cast("str", values[name]))}
