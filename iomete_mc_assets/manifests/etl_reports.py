"""What was told to an ETL container of each run: one small file a run, replaced when more was told."""

from dataclasses import dataclass
from datetime import datetime

from iomete_mc_assets.manifests.codec import JsonFile
from iomete_mc_assets.manifests.storage import Storage

VERSION = 1
FOLDER = "etl_runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The newest report of a run.

    Attributes:
        status: as told.
        invocation_id: of the accepted request; None where it was refused.
        refused: Monte Carlo's words where it refused the content; None else.
    """

    schema_version: int
    run_id: str
    job: str
    status: str
    told_at: datetime
    invocation_id: str | None
    refused: str | None = None


_REPORT = JsonFile(Report, version_field="schema_version", version=VERSION)


def read(storage: Storage, container: str, run_id: str) -> Report | None:
    """What was told of a run; None for nothing.

    Raises:
        ManifestDamaged, UnknownSchemaVersion: as other files.
    """
    path = _path(container, run_id)
    try:
        data = storage.read(path)
    except FileNotFoundError:
        return None
    return _REPORT.decode(data, where=f"{storage.root}/{path}")


def write(storage: Storage, container: str, report: Report) -> None:
    """Make or replace a run's file."""
    storage.write(_path(container, report.run_id), _REPORT.encode(report))


def _path(container: str, run_id: str) -> str:
    return f"{FOLDER}/{container}/{run_id}.json"
