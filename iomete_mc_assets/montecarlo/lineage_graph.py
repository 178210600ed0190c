"""Monte Carlo's lineage graph, node by node: what is beside a node, and nodes and edges made by hand.

What is asked for is decided in ``operations.lineage_by_hand``; pushed lineage lives elsewhere.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from iomete_mc_assets.errors import ControlPlaneError
from iomete_mc_assets.montecarlo import documents
from iomete_mc_assets.montecarlo.answered import Node, ask
from iomete_mc_assets.montecarlo.control_plane import Api

Direction = Literal["upstream", "downstream"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What names a node.

    Attributes:
        warehouse: UUID of the warehouse it is shown in.
    """

    warehouse: str
    object_type: str
    object_id: str

    def mcon(self, account: str) -> str:
        """Monte Carlo's name of it. Source: ``pycarlo.common.mcon``."""
        return f"MCON++{account}++{self.warehouse}++{self.object_type}++{self.object_id}"

    @property
    def as_input(self) -> dict[str, str]:
        """As an edge's end."""
        return {
            "objectType": self.object_type,
            "objectId": self.object_id,
            "resourceId": self.warehouse,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageNode:
    """A node as it is shown.

    Attributes:
        custom: whether somebody made it by hand.
        expire_at: None where it does not say.
    """

    mcon: str
    name: str
    custom: bool
    expire_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """One node and what is directly beside it in one direction.

    Attributes:
        node: None where Monte Carlo shows no such node.
        beside: MCONs, lower-cased as ids are looked up.
    """

    node: LineageNode | None
    beside: frozenset[str]


def account(api: Api) -> str:
    """UUID of the account that the key belongs to."""
    return ask(api, documents.ACCOUNT).node("getUser").node("account").text("uuid").lower()


def surroundings(api: Api, mcon: str, direction: Direction) -> Surroundings:
    """One hop around a node; Monte Carlo tells 500 neighbours at most."""
    graph = ask(api, documents.NEIGHBOURS, m=mcon, d=direction).node_or_none("getTableLineage")
    if graph is None:
        return Surroundings(node=None, beside=frozenset())
    base = graph.node_or_none("baseNode")
    return Surroundings(
        node=_lineage_node(base) if base else None,
        beside=frozenset(one.text("mcon").casefold() for one in graph.nodes("connectedNodes")),
    )


def _lineage_node(node: Node) -> LineageNode:
    return LineageNode(
        mcon=node.text("mcon"),
        name=node.text_or_none("displayName") or "",
        custom=node.flag("isCustom"),
        expire_at=node.instant("expireAt"),
    )


def put_node(api: Api, place: Place, *, name: str, expire_at: str, mcon: str) -> datetime | None:
    """Make or update a custom node; the expiry that Monte Carlo answers with.

    Raises:
        ControlPlaneError: as ``Api.ask``, or it answers with another node than ``mcon``.
    """
    node = (
        ask(
            api,
            documents.NODE,
            t=place.object_type,
            i=place.object_id,
            r=place.warehouse,
            n=name,
            x=expire_at,
        )
        .node("createOrUpdateLineageNode")
        .node("node")
    )
    _same(node.text("mcon"), mcon)
    return node.instant("expireAt")


def put_edge(api: Api, source: Place, destination: Place, *, expire_at: str) -> datetime | None:
    """Make or update a custom edge; the expiry that Monte Carlo answers with."""
    answer = ask(api, documents.EDGE, a=source.as_input, b=destination.as_input, x=expire_at)
    return answer.node("createOrUpdateLineageEdge").node("edge").instant("expireAt")


def drop_node(api: Api, mcon: str) -> int:
    """Delete a node with its edges; how many objects Monte Carlo says it deleted."""
    answer = ask(api, documents.DROP_NODE, m=mcon).node("deleteLineageNode")
    return int(answer.number("objectsDeleted"))


def _same(answered: str, expected: str) -> None:
    if answered.casefold() != expected.casefold():
        msg = (
            f"Monte Carlo made the lineage node {answered}, and {expected} was meant: it names nodes otherwise than "
            "this package expects. Look at it there, and report it."
        )
        raise ControlPlaneError(msg)
