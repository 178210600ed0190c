"""Telling a run to an ETL container once a status: what was accepted is on record before the next run is told."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from iomete_mc_assets.errors import Rejected
from iomete_mc_assets.manifests import etl_reports
from iomete_mc_assets.manifests.etl_reports import Report
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.montecarlo.etl import EtlIngest, Run

Word = Literal["told", "refused", "known"]
"""``known``: this status was told before, or refused."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one run."""

    word: Word
    text: str


def tell(ingest: EtlIngest, storage: Storage, container: str, run: Run, *, now: datetime) -> Told:
    """Tell a run's status unless it was told.

    A request without an answer leaves no record: the next call sends the same bytes, which Monte Carlo
    knows by the run's id and start.

    Raises:
        PushError: not taken, nobody knows, or the key; nothing is on record then.
        ManifestError: what was told cannot be read.
    """
    before = etl_reports.read(storage, container, run.id)
    if before is not None and before.status == run.status:
        return Told("known", f"run {run.id}: {before.status} was told before")
    try:
        invocation_id, refused = ingest.report(run), None
    except Rejected as error:
        invocation_id, refused = None, str(error)
    report = Report(
        schema_version=etl_reports.VERSION,
        run_id=run.id,
        job=run.job,
        status=run.status,
        told_at=now,
        invocation_id=invocation_id,
        refused=refused,
    )
    etl_reports.write(storage, container, report)
    if refused is not None:
        return Told("refused", f"run {run.id}, {run.status}: {refused}")
    return Told("told", f"run {run.id}, {run.status}: {invocation_id}")
