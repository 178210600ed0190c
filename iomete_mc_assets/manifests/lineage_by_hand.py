"""Lineage edges that were made by hand at Monte Carlo, each call a file: its API does not tell them from pushed ones.

What is asked for is decided in ``operations.lineage_by_hand``.
"""

from dataclasses import dataclass
from datetime import datetime

from iomete_mc_assets.manifests.calls import CallFiles
from iomete_mc_assets.manifests.codec import JsonFile

VERSION = 1


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


EDGE_CALLS = CallFiles(
    "lineage_by_hand", JsonFile(EdgeCall, version_field="schema_version", version=VERSION)
)
