"""The seam to log files that the lakehouse, or whoever exports from it, leaves in a folder. No filesystem here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """One file as a listing shows it.

    Attributes:
        name: below the folder, e.g. ``a.json`` or ``eventlog_v2_app/events_1_app``.
        size: bytes as stored.
        modified_at: None where the filesystem keeps no times.
    """

    name: str
    size: int
    modified_at: datetime | None


class LogFiles(Protocol):
    """A folder of log files: on a disk, in an object store, or a test's own."""

    @property
    def shown(self) -> str:
        """Its address, for people."""
        ...

    @property
    def grows(self) -> bool:
        """Whether a file shows what was written to it before its writer closes it; object stores do not."""
        ...

    def listed(self, *, folders: str | None = None) -> Sequence[LogFile]:
        """The folder's own files and those of its immediate subfolders, sorted by name.

        Args:
            folders: how the names of those subfolders begin; None looks into none.

        Raises:
            LakehouseError: it cannot be listed; a folder that is not there is an error, not emptiness.
        """
        ...

    def blocks(self, name: str, *, skip: int = 0) -> Iterator[bytes]:
        """What the file says from ``skip`` on, unpacked, in blocks of about a megabyte.

        The file may still be written: an unfinished end of a packed one is left out.

        Args:
            name: as listed.
            skip: bytes, unpacked.

        Raises:
            FileNotFoundError: it has gone since it was listed.
            LogDamaged: it cannot be unpacked; what could be came out before.
            LakehouseError: the filesystem failed.
        """
        ...
