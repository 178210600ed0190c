"""`iomete-mc export`: an hour as files for Monte Carlo's own push scripts. What is written lives in ``operations.exports``."""

import os
from pathlib import Path

import click

from iomete_mc_assets import settings
from iomete_mc_assets.cli.options import partition_argument
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.operations.exports import ExportConfig
from iomete_mc_assets.operations.exports import export as write_files
from iomete_mc_assets.windows import HourWindow


@click.command(short_help="Write an hour as JSON manifests for other push scripts.")
@partition_argument
@click.option(
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the files; it is made if absent, and no file in it is replaced.",
)
@click.option(
    "--all-spellings",
    is_flag=True,
    help="Query texts and lists also under the names that Hive's, Databricks' and Redshift's scripts read.",
)
def export(partition: HourWindow, folder: Path, *, all_spellings: bool) -> None:
    """Write a PARTITION (e.g. 2026-11-21-05:00) as JSON manifests, as Monte Carlo's own collector scripts write them.

    metadata_output.json has the tables and views of the hour's catalog snapshot with what was observed
    of them, query_logs_output.json the hour's queries; both in Monte Carlo's names (MCD_NAMING). Nothing
    is sent, and the hour's receipts do not know of what other scripts send.
    """
    store = ManifestStore.open(settings.IOMETE_MC_MANIFESTS.read(os.environ), source=None)
    config = ExportConfig(
        naming=Naming.read(os.environ),
        resource_type=settings.MCD_RESOURCE_TYPE.read(os.environ),
        log_type=settings.MCD_LOG_TYPE.read(os.environ),
        all_spellings=all_spellings,
    )
    for file in write_files(store, partition, folder, config=config):
        click.echo(f"{file.path}: {file.items} items")
        for table in file.left_out:
            click.echo(f"  left out: {table}, another table has its name at Monte Carlo")
