"""`iomete-mc verify`: does Monte Carlo show what it accepted? What is compared lives in ``operations.verify``."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from iomete_mc_assets import clock, settings
from iomete_mc_assets.errors import ControlPlaneError, ManifestMissing
from iomete_mc_assets.manifests.store import ManifestStore

if TYPE_CHECKING:
    from iomete_mc_assets.operations.verify import Finding

SHOWN = 50
"""Differences on the terminal; ``--json`` has all."""
NOT_YET = 3
"""Exit code where nothing is wrong and something is not there yet."""


@click.command(short_help="Compare what Monte Carlo accepted with what it shows.")
@click.option(
    "--hours",
    type=click.IntRange(1, 720),
    default=26,
    show_default=True,
    help="Look at what was accepted of so many hours; catalog entries go once a day.",
)
@click.option(
    "--sample",
    type=click.IntRange(0, 100),
    default=5,
    show_default=True,
    help="Tables whose fields, volume and freshness are compared, tables and columns whose lineage is, and queries that are looked up.",
)
@click.option(
    "--max-calls",
    type=click.IntRange(1, 10_000),
    default=200,
    show_default=True,
    help="Questions to Monte Carlo, which has a daily quota; 200 tables take one.",
)
@click.option("--json", "as_objects", is_flag=True, help="One JSON list for programs.")
def verify(hours: int, sample: int, max_calls: int, *, as_objects: bool) -> None:
    """Compare receipts with what Monte Carlo shows: kinds of push, every table, a sample in detail.

    Asks with the API key (MCD_ID, MCD_TOKEN) and changes nothing. What is younger than Monte Carlo needs
    (15 minutes for metadata, an hour for query logs) is "not yet". Exit code 0 when all is seen, 1 when
    something is missing or different or not everything could be asked, 3 when nothing is wrong and
    something is not there yet.
    """
    from iomete_mc_assets.montecarlo.control_plane import ApiConfig, ControlPlane  # noqa: PLC0415 - only commands that ask need it
    from iomete_mc_assets.operations.verify import Verifier, receipts_of  # noqa: PLC0415 - likewise
    from iomete_mc_assets.push.config import PushConfig  # noqa: PLC0415 - likewise

    api = ControlPlane(ApiConfig.read(os.environ, max_calls=max_calls))
    config = PushConfig.read(os.environ)
    store = ManifestStore.open(settings.IOMETE_MC_MANIFESTS.read(os.environ), source=None)
    now = clock.now()
    receipts = receipts_of(
        store, config.destination, config.naming, since=now - timedelta(hours=hours), sample=sample
    )
    if not receipts.newest:
        msg = (
            f"Nothing of the last {hours} hours in {store.root} was accepted at {config.destination.endpoint} for "
            f"warehouse {config.destination.resource_uuid}, so there is nothing to verify. Push first, or raise --hours."
        )
        raise ManifestMissing(msg)
    verifier = Verifier(api, store, config.destination.resource_uuid, now=now)
    findings: list[Finding] = []
    broken_off: ControlPlaneError | None = None
    try:
        findings.extend(verifier.findings(receipts, sample=sample))
    except ControlPlaneError as error:
        broken_off = error
    if as_objects:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _show(Console(soft_wrap=True, highlight=False, emoji=False), findings, calls=api.calls)
    if broken_off is not None:
        at, *later = verifier.left
        never = f", and not at all: {'; '.join(later)}" if later else ""
        msg = f"Not everything was compared, not all {at}{never}. {broken_off}"
        raise click.ClickException(msg) from broken_off
    verdicts = {finding.verdict for finding in findings}
    if verdicts & {"missing", "different"}:
        raise SystemExit(1)
    if "not yet" in verdicts:
        raise SystemExit(NOT_YET)


def _show(console: Console, findings: "Sequence[Finding]", *, calls: int) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    for verdict in ("seen", "not yet", "missing", "different"):
        table.add_column(verdict, justify="right")
    counts = Counter((finding.subject, finding.verdict) for finding in findings)
    for subject in dict.fromkeys(finding.subject for finding in findings):
        row = (counts[subject, "seen"], counts[subject, "not yet"])
        rest = (counts[subject, "missing"], counts[subject, "different"])
        table.add_row(subject, *map(str, (*row, *rest)))
    console.print(table)
    wrong = [finding for finding in findings if finding.verdict != "seen"]
    for finding in wrong[:SHOWN]:
        told = f"{finding.verdict}: {finding.subject} {finding.about}: {finding.difference}"
        console.print(escape(told))
    if len(wrong) > SHOWN:
        console.print(f"and {len(wrong) - SHOWN} more; --json has all")
    console.print(f"{calls} questions asked.")
