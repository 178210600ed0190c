"""Deletions of pushed tables at Monte Carlo, each call a file: written before it is asked for, and again when it is known.

Which tables are deleted is decided in ``operations.dropped``.
"""

from dataclasses import dataclass
from datetime import datetime

from iomete_mc_assets.manifests.calls import CallFiles
from iomete_mc_assets.manifests.codec import JsonFile

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedTable:
    """One table as Monte Carlo showed it."""

    full_table_id: str
    mcon: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """One call.

    Attributes:
        warehouse: UUID.
        deleted: how many tables Monte Carlo says it deleted; None while nobody knows.
        problem: why nobody knows, or why it was refused; None else.
        still_shown: ids of those that it showed afterwards; None while it was not asked.
    """

    schema_version: int
    warehouse: str
    asked_at: datetime
    tables: tuple[DeletedTable, ...]
    deleted: int | None = None
    problem: str | None = None
    still_shown: tuple[str, ...] | None = None


DELETIONS = CallFiles(
    "deletions", JsonFile(Deletion, version_field="schema_version", version=VERSION)
)
