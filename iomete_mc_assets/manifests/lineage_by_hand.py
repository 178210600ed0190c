"""Lineage edges that were made by hand at Monte Carlo, each call a file: its API does not tell them from pushed ones.

What is asked for is decided in ``operations.lineage_by_hand``.
"""

from dataclasses import dataclass
from datetime import datetime

from iomete_mc_assets.manifests.codec import JsonFile
from iomete_mc_assets.manifests.storage import Storage

VERSION = 1
FOLDER = "lineage_by_hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeCall:
    """One call; the newest of an edge holds.

    Attributes:
        warehouse: UUID.
        source, destination: MCONs.
        expire_at: as asked for; a removal's is the instant of the call.
        made: whether Monte Carlo did it; None while nobody knows.
    """

    schema_version: int
    warehouse: str
    source: str
    destination: str
    expire_at: datetime
    asked_at: datetime
    made: bool | None = None

    @property
    def removes(self) -> bool:
        """Whether it ended the edge."""
        return self.expire_at <= self.asked_at


_CALL = JsonFile(EdgeCall, version_field="schema_version", version=VERSION)


def write(storage: Storage, name: str, call: EdgeCall) -> None:
    """Make or replace a call's file; ``name`` is the caller's, and sorts by time."""
    storage.write(f"{FOLDER}/{name}.json", _CALL.encode(call))


def read_all(storage: Storage) -> list[EdgeCall]:
    """All calls, oldest first.

    Raises:
        ManifestDamaged, UnknownSchemaVersion: as other files.
    """
    return [
        _CALL.decode(storage.read(f"{FOLDER}/{name}"), where=f"{storage.root}/{FOLDER}/{name}")
        for name in sorted(storage.names(FOLDER))
        if name.endswith(".json")
    ]
