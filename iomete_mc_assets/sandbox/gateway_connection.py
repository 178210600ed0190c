"""The gateway's keys and ``connection.json``, which says to the next process where it is and how to get in."""

import json
import os
import secrets
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from iomete_mc_assets.errors import SandboxError

CONNECTION_FILE = "connection.json"
Scope = Literal["Ingestion", "API"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of the sandbox's Monte Carlo.

    Attributes:
        scope: ``Ingestion`` may push and nothing else, ``API`` may ask GraphQL and nothing else.
        warehouse_uuids, container_uuids: warehouses and ETL containers that an ingestion key may push to,
            in lower case.
        created_at: ISO 8601; None for one that the gateway was started with.
    """

    id: str
    secret: str = field(repr=False)
    scope: Scope
    warehouse_uuids: tuple[str, ...] = ()
    container_uuids: tuple[str, ...] = ()
    description: str = "sandbox"
    created_at: str | None = None

    def may_push(self, resource_uuids: frozenset[str]) -> bool:
        """Whether it may push to all of these."""
        return resource_uuids <= {*self.warehouse_uuids, *self.container_uuids}


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach a gateway.

    Attributes:
        url: without a path; the ingest endpoint, and with ``/graphql`` the GraphQL endpoint.
        key_id, key_secret: an ingestion key for ``resource_uuid``, ``container_uuid`` and ``others``.
        container_uuid: of an ETL container.
        others: warehouses by name, for what other collectors tell.
        api_id, api_token: a key for GraphQL.
    """

    url: str
    key_id: str
    key_secret: str = field(repr=False)
    resource_uuid: str
    api_id: str
    api_token: str = field(repr=False)
    container_uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    others: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def fresh(cls) -> "Connection":
        """New random keys and a new warehouse; no address yet."""
        return cls(
            url="",
            key_id=secrets.token_hex(14),
            key_secret=secrets.token_urlsafe(42),
            resource_uuid=str(uuid.uuid4()),
            api_id=secrets.token_hex(14),
            api_token=secrets.token_urlsafe(42),
        )

    def with_others(self, names: Iterable[str]) -> "Connection":
        """With a warehouse for each name, those that are there already as they are."""
        made = {name: str(uuid.uuid4()) for name in names if name not in self.others}
        return replace(self, others={**self.others, **made})

    @property
    def keys(self) -> tuple[Key, Key]:
        """The ingestion key and the API key."""
        return (
            Key(
                id=self.key_id,
                secret=self.key_secret,
                scope="Ingestion",
                warehouse_uuids=(self.resource_uuid, *self.others.values()),
                container_uuids=(self.container_uuid,),
            ),
            Key(id=self.api_id, secret=self.api_token, scope="API"),
        )


def read_connection(state: Path) -> Connection | None:
    """What the last gateway in this folder wrote; None where there was none.

    Raises:
        SandboxError: the file is not what a gateway writes.
    """
    path = state / CONNECTION_FILE
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    try:
        return Connection(**json.loads(text))
    except (ValueError, TypeError) as error:
        msg = f"{path} is not a gateway's connection file. Remove the folder to start afresh."
        raise SandboxError(msg) from error


def write_connection(state: Path, connection: Connection) -> None:
    """Put the file in place whole, readable by its owner alone."""
    path = state / CONNECTION_FILE
    draft = path.with_suffix(".tmp")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(connection), file, indent=2)
    draft.replace(path)
