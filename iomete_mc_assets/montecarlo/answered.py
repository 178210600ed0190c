"""What Monte Carlo's API shows, as values: one function a question. A field that is gone is an error, never an absence.

Documents live in ``documents``, sending in ``control_plane``; what an answer is good for, in ``operations``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn, cast

from iomete_mc_assets.errors import ControlPlaneError
from iomete_mc_assets.montecarlo import documents
from iomete_mc_assets.montecarlo.control_plane import Api
from iomete_mc_assets.montecarlo.documents import Document


@dataclass(frozen=True, slots=True)
class Node:
    """An object of an answer.

    Attributes:
        asked: the operation, for messages.
    """

    fields: Mapping[str, object]
    asked: str

    def text(self, name: str) -> str:
        """A text."""
        value = self._value(name)
        return value if isinstance(value, str) else self._unexpected(name, value)

    def text_or_none(self, name: str) -> str | None:
        """A text, or none."""
        return None if self._value(name) is None else self.text(name)

    def flag(self, name: str) -> bool:
        """Yes or no; null is no."""
        return bool(self._value(name))

    def number(self, name: str) -> float:
        """A number."""
        value = self._value(name)
        return value if isinstance(value, int | float) else self._unexpected(name, value)

    def instant(self, name: str) -> datetime | None:
        """An instant, in UTC where its text names no zone; or none."""
        text = self.text_or_none(name)
        if text is None:
            return None
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            self._unexpected(name, text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def node(self, name: str) -> "Node":
        """An object."""
        return self._node(name, self._value(name))

    def node_or_none(self, name: str) -> "Node | None":
        """An object, or none."""
        return None if self._value(name) is None else self.node(name)

    def nodes(self, name: str) -> "list[Node]":
        """A list of objects; null is an empty one."""
        value = self._value(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self._unexpected(name, value)
        return [self._node(name, one) for one in cast("list[object]", value)]

    def _node(self, name: str, value: object) -> "Node":
        if not isinstance(value, dict):
            self._unexpected(name, value)
        return Node(cast("dict[str, object]", value), self.asked)

    def _value(self, name: str) -> object:
        if name not in self.fields:
            msg = (
                f"Monte Carlo's answer to {self.asked} has no {name}, which it had when this package "
                "was made. Upgrade, or report it."
            )
            raise ControlPlaneError(msg)
        return self.fields[name]

    def _unexpected(self, name: str, value: object) -> NoReturn:
        msg = (
            f"Monte Carlo's answer to {self.asked} has {type(value).__name__} as {name}, which this "
            "package does not understand. Upgrade, or report it."
        )
        raise ControlPlaneError(msg)


def ask(api: Api, document: Document, **variables: object) -> Node:
    """An answer; raises as ``Api.ask``."""
    return Node(api.ask(document, **variables), document.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushEvent:
    """What Monte Carlo says of one kind of push.

    Attributes:
        kind: ``METADATA``, ``LINEAGE`` or ``QUERY_LOGS``.
        status: ``ACTIVE``, ``STALE`` or ``NEVER_RECEIVED``.
    """

    kind: str
    status: str
    last_received: datetime | None
    last_invocation_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warehouse:
    """One warehouse.

    Attributes:
        kind: Monte Carlo's ``connectionType``, e.g. ``CUSTOM_INTEGRATION``.
        monitored: whether it has an active Spark connection.
        job_types: of all its active connections.
    """

    uuid: str
    name: str
    kind: str
    monitored: bool
    job_types: frozenset[str]
    push_events: tuple[PushEvent, ...]


def warehouses(api: Api) -> list[Warehouse]:
    """All that are not deleted."""
    found = ask(api, documents.WAREHOUSES).nodes("getWarehouses")
    return [_warehouse(one) for one in found if not one.flag("isDeleted")]


def _warehouse(node: Node) -> Warehouse:
    active = [one for one in node.nodes("connections") if one.flag("isActive")]
    return Warehouse(
        uuid=node.text("uuid").lower(),
        name=node.text_or_none("name") or "",
        kind=node.text("connectionType"),
        monitored=any(one.text("type") == "SPARK" for one in active),
        job_types=frozenset(
            job for one in active for job in cast("list[str]", one.fields.get("jobTypes") or [])
        ),
        push_events=tuple(
            PushEvent(
                kind=one.text("eventType"),
                status=one.text("status"),
                last_received=one.instant("lastReceived"),
                last_invocation_id=one.text_or_none("lastInvocationId"),
            )
            for one in node.nodes("pushEvents")
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionKey:
    """One ingestion key, without its secret.

    Attributes:
        warehouses: UUIDs it is restricted to; empty for none.
    """

    id: str
    description: str
    created_at: datetime | None
    warehouses: frozenset[str]


def ingestion_keys(api: Api) -> list[IngestionKey]:
    """All of the account."""
    return [
        IngestionKey(
            id=one.text("id"),
            description=one.text_or_none("description") or "",
            created_at=one.instant("createdTime"),
            warehouses=frozenset(each.text("uuid").lower() for each in one.nodes("warehouses")),
        )
        for one in ask(api, documents.KEYS).nodes("getIntegrationKeys")
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """One data collector, which Monte Carlo's guide also calls a deployment."""

    uuid: str
    name: str


def collectors(api: Api) -> list[Collector]:
    """Those that are active."""
    found = ask(api, documents.COLLECTORS).node("getUser").node("account").nodes("dataCollectors")
    return [
        Collector(uuid=one.text("uuid").lower(), name=one.text_or_none("name") or "")
        for one in found
        if one.flag("active")
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTable:
    """One table or view that Monte Carlo shows.

    Attributes:
        key: its full table id, lower-cased: as ``AssetName.key``.
        pushed: whether it came by a push.
        invocation_id: of the push that spoke of it last; None without one.
        last_updated_on: freshness.
    """

    mcon: str
    key: str
    full_table_id: str
    pushed: bool
    invocation_id: str | None
    last_updated_on: datetime | None


def tables(api: Api, warehouse: str, *, invocation_id: str | None = None) -> Iterator[ShownTable]:
    """A warehouse's tables that are not deleted, 200 a call; all, or those that a push spoke of last."""
    wanted = {"dw": warehouse} | ({"inv": invocation_id} if invocation_id else {})
    after: dict[str, str] = {}
    while True:
        page = ask(api, documents.TABLES, **wanted, **after).node("getTables")
        for edge in page.nodes("edges"):
            yield _table(edge.node("node"))
        info = page.node("pageInfo")
        if not info.flag("hasNextPage"):
            return
        after = {"after": info.text("endCursor")}


def _table(node: Node) -> ShownTable:
    full_table_id = node.text("fullTableId")
    return ShownTable(
        mcon=node.text("mcon"),
        key=full_table_id.casefold(),
        full_table_id=full_table_id,
        pushed=node.text_or_none("ingestType") == "push",
        invocation_id=node.text_or_none("ingestInvocationId"),
        last_updated_on=node.instant("lastUpdatedOn"),
    )


def fields(api: Api, mcon: str) -> dict[str, str] | None:
    """Type by column of a table's newest version, at most 500; None where Monte Carlo has no version."""
    table = ask(api, documents.FIELDS, m=mcon).node_or_none("getTable")
    versions = table.node("versions").nodes("edges") if table else []
    if not versions:
        return None
    found = versions[0].node("node").node("fields").nodes("edges")
    return {one.node("node").text("name"): one.node("node").text("fieldType") for one in found}


def metric(api: Api, mcon: str, name: str, *, since: datetime) -> list[float]:
    """A metric's values measured since an instant, as Monte Carlo orders them."""
    answer = ask(api, documents.METRICS, n=name, s=since.isoformat(), f={"mcon": mcon})
    return [one.number("value") for one in answer.node("getMetricsV4").nodes("metrics")]


def has_query(api: Api, query_id: str, *, started_at: datetime) -> bool:
    """Whether Monte Carlo finds a query by id and time."""
    found = ask(api, documents.QUERY, id=query_id, ts=started_at.isoformat())
    return any(one.text_or_none("queryId") == query_id for one in found.nodes("getQueryById"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Detectors:
    """What Monte Carlo says of a table's detectors: ``ACTIVE``, ``TRAINING``, ``INACTIVE``, and why; None where it says nothing."""

    freshness: str | None
    freshness_reason: str | None
    volume: str | None
    volume_reason: str | None


def detectors(api: Api, mcon: str) -> Detectors | None:
    """A table's; None where Monte Carlo has no table or no thresholds."""
    table = ask(api, documents.DETECTORS, m=mcon).node_or_none("getTable")
    found = table.node_or_none("thresholds") if table else None
    if found is None:
        return None
    freshness, size = found.node_or_none("freshness"), found.node_or_none("size")
    return Detectors(
        freshness=freshness.text_or_none("status") if freshness else None,
        freshness_reason=freshness.text_or_none("reason") if freshness else None,
        volume=size.text_or_none("sdStatus") if size else None,
        volume_reason=size.text_or_none("sdReason") if size else None,
    )


UPSTREAM_LIMIT = 500
"""Tables that Monte Carlo tells at most, unless it is asked for more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """The tables that feed one directly.

    Attributes:
        whole: False where there may be more.
    """

    mcons: frozenset[str]
    whole: bool


def upstream(api: Api, mcon: str) -> Upstream:
    """A table's; none where Monte Carlo knows no lineage of it."""
    found = ask(api, documents.LINEAGE, m=mcon).node_or_none("getTableLineage")
    nodes = found.nodes("connectedNodes") if found else []
    return Upstream(
        mcons=frozenset(one.text("mcon") for one in nodes), whole=len(nodes) < UPSTREAM_LIMIT
    )


def derived_columns(api: Api, mcon: str, column: str) -> set[tuple[str, str]]:
    """What is made of a column: tables and their columns; a call for each page."""
    derived: set[tuple[str, str]] = set()
    after: dict[str, str] = {}
    while True:
        answer = ask(api, documents.COLUMN_LINEAGE, m=mcon, c=column, **after)
        page = answer.node_or_none("getDerivedTablesPartialLineage")
        for table in page.nodes("destinations") if page else []:
            columns = table.nodes("columns")
            derived |= {(table.text("mcon"), one.text("columnName")) for one in columns}
        if page is None or page.flag("isLastPage"):
            return derived
        after = {"cur": page.text("cursor")}
