"""What the gateway's GraphQL operations may look at and change, as of one request. Answers nothing itself."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from graphql import GraphQLError

from iomete_mc_assets.sandbox.gateway_control import Control
from iomete_mc_assets.sandbox.gateway_records import AcceptedEvent, Endpoint, Request
from iomete_mc_assets.sandbox.gateway_store import PushedTable

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One request's view.

    Attributes:
        control: keys, integrations and deletions; the only thing that operations change.
        requests: all of them, in order.
        tables: asked only by operations about tables, since they cost reading bodies.
        events: accepted ones of an endpoint, in order of arrival; likewise.
    """

    control: Control
    requests: Sequence[Request]
    tables: Callable[[], Iterable[PushedTable]]
    events: Callable[[Endpoint], Iterable[AcceptedEvent]]
    now: datetime


Resolver = Callable[[World, Arguments], object]


def refuse_other_arguments(operation: str, arguments: Arguments, known: Iterable[str]) -> None:
    """An argument that is ignored would answer another question than the one asked."""
    if unknown := sorted(set(arguments) - set(known)):
        msg = f"the sandbox's {operation} does not take {', '.join(unknown)}"
        raise GraphQLError(msg)
