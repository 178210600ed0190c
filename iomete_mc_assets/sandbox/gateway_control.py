"""What was set up at the local Monte Carlo: keys, warehouses with their connections, deleted tables, lineage by hand.

Kept in ``control.json`` over restarts. Who may ask for a change, and what was pushed, live elsewhere.
"""

import hmac
import json
import os
import secrets
import threading
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.sandbox.gateway_connection import Key

CONTROL_FILE = "control.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkCredentials:
    """What a test of Spark credentials was given; never written to disk."""

    url: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Warehouse:
    """One warehouse.

    Attributes:
        connections: UUIDs by capability, e.g. ``monitors``; all are Spark's.
        pushed: capabilities that were declared to be pushed.
    """

    uuid: str
    name: str
    connections: dict[str, str] = field(default_factory=dict[str, str])
    pushed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomNode:
    """A lineage node that somebody made by hand.

    Attributes:
        expire_at: ISO 8601, as given.
    """

    mcon: str
    object_type: str
    name: str
    expire_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomEdge:
    """A lineage edge that somebody made by hand, between two MCONs.

    Attributes:
        expire_at: ISO 8601, as given.
    """

    source: str
    destination: str
    expire_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """``control.json``.

    Attributes:
        made: keys beyond those that the gateway was started with.
        gone: ids of keys that were deleted.
        deleted: by MCON, how many requests had come when the table was deleted.
    """

    collector: str
    warehouses: tuple[Warehouse, ...] = ()
    made: tuple[Key, ...] = ()
    gone: tuple[str, ...] = ()
    deleted: dict[str, int] = field(default_factory=dict[str, int])
    nodes: tuple[CustomNode, ...] = ()
    edges: tuple[CustomEdge, ...] = ()


class Control:
    """The gateway's settings, changed by GraphQL. Safe for threads."""

    def __init__(self, keys: Iterable[Key], state: Path | None) -> None:
        """Begin with these keys, and with what ``state`` kept.

        Raises:
            SandboxError: the kept file is not what a gateway writes.
        """
        self._given = tuple(keys)
        self._file = None if state is None else state / CONTROL_FILE
        self._lock = threading.RLock()
        self._kept = _read(self._file)
        self._tested: dict[str, SparkCredentials] = {}

    @property
    def collector(self) -> str:
        """UUID of the account's only data collector."""
        return self._kept.collector

    @property
    def account(self) -> str:
        """UUID of the account, which every MCON names."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox-account:{self.collector}"))

    @property
    def keys(self) -> tuple[Key, ...]:
        """Those that open something, in the order in which they were made."""
        with self._lock:
            every = (*self._given, *self._kept.made)
            return tuple(key for key in every if key.id not in self._kept.gone)

    def key_of(self, key_id: str, secret: str) -> Key | None:
        """The key with this id and secret; None if there is none."""
        for key in self.keys:
            if key.id == key_id and hmac.compare_digest(key.secret.encode(), secret.encode()):
                return key
        return None

    @property
    def warehouses(self) -> tuple[Warehouse, ...]:
        """Those that some key given at the start may push to, then those that were set up."""
        with self._lock:
            owned = dict.fromkeys(one for key in self._given for one in key.warehouse_uuids)
            known = {warehouse.uuid: warehouse for warehouse in self._kept.warehouses}
            bare = {one: Warehouse(uuid=one, name="sandbox") for one in owned}
            return tuple({**bare, **known}.values())

    @property
    def containers(self) -> tuple[str, ...]:
        """UUIDs of ETL containers: those that some key given at the start may push to."""
        return tuple(dict.fromkeys(one for key in self._given for one in key.container_uuids))

    def tested(self, credentials: SparkCredentials) -> str:
        """Remember credentials that passed their test, under a temporary key."""
        with self._lock:
            key = f"temporary/{secrets.token_hex(8)}"
            self._tested[key] = credentials
            return key

    @property
    def credentials(self) -> tuple[SparkCredentials, ...]:
        """All that passed a test since the start."""
        return tuple(self._tested.values())

    def is_tested(self, credentials_key: str) -> bool:
        """Whether a temporary key is one of ours."""
        return credentials_key in self._tested

    def put(self, warehouse: Warehouse) -> None:
        """Add a warehouse, or replace the one of its UUID."""
        with self._lock:
            others = [one for one in self._kept.warehouses if one.uuid != warehouse.uuid]
            self._keep(replace(self._kept, warehouses=(*others, warehouse)))

    def make_key(self, description: str, warehouses: Sequence[str], *, at: datetime) -> Key:
        """A new ingestion key."""
        key = Key(
            id=secrets.token_hex(14),
            secret=secrets.token_urlsafe(42),
            scope="Ingestion",
            warehouse_uuids=tuple(one.lower() for one in warehouses),
            description=description,
            created_at=at.isoformat(),
        )
        with self._lock:
            self._keep(replace(self._kept, made=(*self._kept.made, key)))
        return key

    def delete_key(self, key_id: str) -> bool:
        """Whether there was one; it opens nothing any more."""
        with self._lock:
            if key_id not in {key.id for key in self.keys if key.scope == "Ingestion"}:
                return False
            self._keep(replace(self._kept, gone=(*self._kept.gone, key_id)))
            return True

    def delete_tables(self, mcons: Iterable[str], *, requests: int) -> None:
        """Note that these were deleted when so many requests had come."""
        with self._lock:
            gone = dict.fromkeys(mcons, requests)
            self._keep(replace(self._kept, deleted={**self._kept.deleted, **gone}))

    def deleted_at(self, mcon: str) -> int | None:
        """How many requests had come when the table was deleted last; None if it never was."""
        return self._kept.deleted.get(mcon)

    @property
    def nodes(self) -> tuple[CustomNode, ...]:
        """Lineage nodes made by hand, expired ones too."""
        return self._kept.nodes

    @property
    def edges(self) -> tuple[CustomEdge, ...]:
        """Lineage edges made by hand, expired ones too."""
        return self._kept.edges

    def put_node(self, node: CustomNode) -> None:
        """Add a lineage node, or replace the one of its MCON."""
        with self._lock:
            others = [one for one in self._kept.nodes if one.mcon != node.mcon]
            self._keep(replace(self._kept, nodes=(*others, node)))

    def put_edge(self, edge: CustomEdge) -> None:
        """Add a lineage edge, or replace the one between its ends."""
        ends = (edge.source, edge.destination)
        with self._lock:
            others = [one for one in self._kept.edges if (one.source, one.destination) != ends]
            self._keep(replace(self._kept, edges=(*others, edge)))

    def delete_node(self, mcon: str) -> int:
        """Delete a lineage node and its edges; how many edges there were."""
        with self._lock:
            nodes = tuple(one for one in self._kept.nodes if one.mcon != mcon)
            edges = tuple(
                one for one in self._kept.edges if mcon not in (one.source, one.destination)
            )
            gone = len(self._kept.edges) - len(edges)
            self._keep(replace(self._kept, nodes=nodes, edges=edges))
            return gone

    def _keep(self, kept: _Kept) -> None:
        if self._file is not None:
            draft = self._file.with_suffix(".tmp")
            draft.unlink(missing_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(asdict(kept), file, indent=2)
            draft.replace(self._file)
        self._kept = kept


def _read(path: Path | None) -> _Kept:
    if path is None or not path.exists():
        return _Kept(collector=str(uuid.uuid4()))
    try:
        values: dict[str, Any] = json.loads(path.read_text())
        return _Kept(
            collector=values["collector"],
            warehouses=tuple(Warehouse(**_tuples(one)) for one in values["warehouses"]),
            made=tuple(Key(**_tuples(one)) for one in values["made"]),
            gone=tuple(values["gone"]),
            deleted=dict(values["deleted"]),
            nodes=tuple(CustomNode(**one) for one in values.get("nodes", ())),
            edges=tuple(CustomEdge(**one) for one in values.get("edges", ())),
        )
    except (ValueError, TypeError, KeyError) as error:
        msg = f"{path} is not what a gateway writes. Remove the folder to start afresh."
        raise SandboxError(msg) from error


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(cast("list[str]", value)) if isinstance(value, list) else value
        for name, value in values.items()
    }
