"""`iomete-mc receipts`: the story of one partition on the terminal. What is read lives in ``operations.receipts``."""

import json
import os
from collections.abc import Iterator
from datetime import datetime

import click
from rich.console import Console
from rich.markup import escape

from iomete_mc_assets import settings
from iomete_mc_assets.cli.options import partition_argument
from iomete_mc_assets.manifests.codec import RECORD_TYPES
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.operations.receipts import Attempt, Sending, Told, as_json, told_of
from iomete_mc_assets.windows import HourWindow

SHOWN = 20
"""Receipts, refusals and doubts of a plan on the terminal; ``--json`` has all."""


@click.command(short_help="Tell what became of an hour, e.g. 2026-11-21-05:00.")
@partition_argument
@click.option("--flow", type=click.Choice(sorted(RECORD_TYPES)), help="Only this flow.")
@click.option("--json", "as_objects", is_flag=True, help="One JSON list for programs.")
def receipts(partition: HourWindow, flow: Flow | None, *, as_objects: bool) -> None:
    """Tell what became of a PARTITION (e.g. 2026-11-21-05:00): manifests, plans, receipts, outcome.

    Reads the manifest store that IOMETE_MC_MANIFESTS names, and asks nobody else. Exit code 1 when
    the hour was never collected.
    """
    store = ManifestStore.open(settings.IOMETE_MC_MANIFESTS.read(os.environ), source=None)
    told = list(told_of(store, partition, (flow,) if flow else RECORD_TYPES))
    if as_objects:
        click.echo(json.dumps([as_json(one) for one in told], indent=2))
    console = Console(
        soft_wrap=True, emoji=False
    )  # ids are there to be copied: nothing is cut at the window
    if not as_objects:
        for one in told:
            _show(console, one)
    if not told:
        msg = (
            f"Nothing was collected of {partition.key} in the manifest store at {store.root}. "
            "Check IOMETE_MC_MANIFESTS, or materialise that partition of an iomete/ asset in Dagster."
        )
        raise click.ClickException(msg)


def _show(console: Console, told: Told) -> None:
    header = told.header
    speaks = "" if told.speaks else " (another manifest speaks for the hour)"
    console.print(f"[bold]{header.flow} {header.window.key}[/bold] manifest {header.manifest_id}")
    console.print(
        f"  {header.state}, {_count(header.records, 'record')}, "
        f"collected {_shown(header.collected_at)}{speaks}"
    )
    if header.reason:
        console.print(f"  {escape(header.reason)}")
    if not told.sendings:
        console.print("  never pushed")
    for sending in told.sendings:
        _show_sending(console, sending, known=header.reason)


def _show_sending(console: Console, sending: Sending, *, known: str | None) -> None:
    """One destination; ``known`` is the manifest's reason, which need not be said twice."""
    console.print(f"  to destination {sending.destination}")
    for attempt in sending.attempts:
        _show_attempt(console, attempt)
    settled = sending.settled
    if settled is None:
        console.print("    [red]not settled[/red]: push the hour again")
        return
    counts = ", ".join(f"{count} {status}" for status, count in settled.counts.items())
    why = f" ({escape(settled.reason)})" if settled.reason not in (None, known) else ""
    console.print(
        f"    [bold]{settled.word}[/bold]{why}: {counts or 'no records'}; "
        f"settled {_shown(settled.settled_at)} by run {settled.run_id}"
    )
    if settled.forcing is not None:
        console.print(
            f"    [red]forced plan {settled.forcing} has not ended[/red]: push the hour again"
        )


def _show_attempt(console: Console, attempt: Attempt) -> None:
    forced = f", forced by run {attempt.forced_by}" if attempt.forced_by else ""
    plan = attempt.plan
    if plan is not None:
        events = sum(batch.events for batch in plan.batches)
        left_out = "".join(f", {count} {status}" for status, count in plan.left_out.items())
        console.print(
            f"    plan {attempt.number}{forced}: {_count(events, 'event')} in {_count(len(plan.batches), 'batch', 'batches')}{left_out}; "
            f"planned {_shown(plan.planned_at)} by run {plan.run_id}"
        )
    rows = list(_rows(attempt))
    width = max((len(fate) for _, fate, _ in rows[:SHOWN]), default=0)
    for at, fate, said in rows[:SHOWN]:
        console.print(f"      {at}  {fate:{width}}  {escape(said)}")
    if len(rows) > SHOWN:
        console.print(f"      and {len(rows) - SHOWN} more; --json has all")


def _rows(attempt: Attempt) -> Iterator[tuple[str, str, str]]:
    """When, what became of which records, and the invocation id or the reason."""
    for doubt in (doubt for run in attempt.doubts for doubt in run.pieces):
        fate = f"{len(doubt.ordinals)} without an answer, sent {_count(doubt.sends, 'time')}"
        yield _shown(doubt.last_at), fate, doubt.reason
    for refusal in attempt.refusals:
        fate = f"{len(refusal.ordinals)} refused, HTTP {refusal.status}"
        yield _shown(refusal.refused_at), fate, refusal.details or ""
    for receipt in attempt.receipts:
        fate = f"{len(receipt.ordinals)} accepted, {receipt.bytes} bytes"
        yield _shown(receipt.accepted_at), fate, receipt.invocation_id


def _count(number: int, noun: str, plural: str | None = None) -> str:
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def _shown(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d %H:%M:%S")
