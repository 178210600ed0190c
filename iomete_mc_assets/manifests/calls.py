"""Calls that change something at Monte Carlo, each a file: written before it is asked for, and again when it is known.

What a call is, and when one is made, is told where its record is.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

from iomete_mc_assets.manifests.codec import JsonFile
from iomete_mc_assets.manifests.storage import Storage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CallFiles(Generic[T]):
    """The calls of one kind."""

    folder: str
    form: JsonFile[T]

    def write(self, storage: Storage, name: str, call: T) -> None:
        """Make or replace a call's file; ``name`` is the caller's, and sorts by time."""
        storage.write(f"{self.folder}/{name}.json", self.form.encode(call))

    def read_all(self, storage: Storage) -> list[T]:
        """All calls, oldest first.

        Raises:
            ManifestDamaged, UnknownSchemaVersion: as other files.
        """
        return [
            self.form.decode(
                storage.read(f"{self.folder}/{name}"), where=f"{storage.root}/{self.folder}/{name}"
            )
            for name in storage.names(self.folder)
            if name.endswith(".json")
        ]
