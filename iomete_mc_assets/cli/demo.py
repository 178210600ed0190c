"""`iomete-mc demo`: collect, push and prove the last hours on this machine. The proof itself lives in ``demo_proof``."""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import click
import dagster as dg
from rich import box
from rich.console import Console
from rich.table import Table

from iomete_mc_assets import clock
from iomete_mc_assets.cli import demo_imported, demo_proof
from iomete_mc_assets.cli.environment import (
    QUERY_LOG_FILE,
    QueryLog,
    alone,
    cut_off,
    decide,
    dropped_files,
    forget,
    lakehouse_state,
    outlived,
    prepare_dagster_home,
    query_log_of,
    seeded,
    start_servers,
)
from iomete_mc_assets.cli.steps import Steps
from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.defs.keys import (
    COLLECT_METADATA,
    COLLECT_QUERIES,
    FLOWS,
    IMPORT_JOB,
    IMPORTED_FILES,
    collected_key,
    push_job_name,
    pushed_key,
)
from iomete_mc_assets.defs.materializations import (
    json_list,
    manifest_id,
    newest_by_hour,
    number,
    text_metadata,
)
from iomete_mc_assets.defs.metadata import INVOCATION_IDS, PUSH_STATUS, STATE
from iomete_mc_assets.defs.partitions import range_request
from iomete_mc_assets.sandbox import other_collectors, shop_events
from iomete_mc_assets.sandbox.commands import command
from iomete_mc_assets.sandbox.gateway_client import GatewayClient
from iomete_mc_assets.sandbox.gateway_records import Counts
from iomete_mc_assets.windows import HourWindow

MAX_ROUNDS = 10
"""Rounds of sensor ticks; each asks again for what the one before left, so few are needed."""
INTERRUPTED = "DagsterExecutionInterruptedError"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The demo's own lines are enough; the UI has every run's log."""
TABLE_WIDTH = 112
"""Columns that the table takes with whole invocation ids."""


def run_demo(home: Path, *, hours: int, fresh: bool, query_log: QueryLog = "table") -> int:
    """The whole journey.

    Args:
        home: absolute folder for everything the demo writes.
        hours: how many closed hours to collect, newest included.
        fresh: forget an earlier demo.
        query_log: where queries are read.

    Returns:
        The exit code: 0 when everything agrees.

    Raises:
        SandboxError: the lakehouse or the gateway cannot start, or another demo is at work there.
    """
    with alone(home):
        return _run_alone(home, hours=hours, fresh=fresh, query_log=query_log)


def _run_alone(home: Path, *, hours: int, fresh: bool, query_log: QueryLog) -> int:
    console = Console(emoji=False)
    steps = Steps(console)
    began = clock.now()
    windows = _last_hours(began, hours)  # fixed here: the demo may cross an hour while it works
    console.print(
        f"Hours {windows[0].key} to {windows[-1].key} UTC; everything lies below {home}\n",
        soft_wrap=True,
    )
    if why := _why_afresh(home, began, query_log, fresh=fresh):
        steps.note(f"Starting afresh: {why}.")
        forget(home)
    (home / QUERY_LOG_FILE).write_text(query_log)
    servers = start_servers(home, steps)
    log = seeded(servers, began, steps)
    if query_log == "events":
        with steps.step("events", "the shop's queries copied from Spark's event log"):
            shop_events.write(servers.lakehouse, log)
    steps.not_used(decide(os.environ, home, servers))
    prepare_dagster_home(home)
    files = demo_imported.drop(dropped_files(home), now=clock.now())
    with dg.DagsterInstance.get() as instance, GatewayClient(servers.gateway.url) as gateway:
        journey = Journey(instance, build_definitions(), windows)
        before = gateway.counts()
        settled = journey.settled()
        with steps.step("collect", f"{hours} hours of {len(FLOWS)} flows collected"):
            journey.collect()
        with steps.step("push", "sensors evaluated, their runs pushed"):
            journey.push()
        imports = f"{files} files of {len(other_collectors.KINDS)} other collectors imported"
        with steps.step("import", imports):
            journey.take_in()
        journey.show(console)
        console.print(
            f"The invocation ids also stand in settled.json beside each manifest below {home / 'manifests'}\n",
            soft_wrap=True,
        )
        _say_what_was_sent(console, before, gateway.counts(), settled, journey.settled())
        with steps.step("prove", "gateway compared with manifests, Spark and the seed's log"):
            proof = demo_proof.prove(home, servers, windows, log, gateway)
    for line in proof.lines:
        colour = {"✓": "green", "✗": "red"}.get(line[0])
        console.print(line, style=colour, markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"\n{sum(steps.seconds.values()):.0f} s in all. Lakehouse and gateway stay up: "
        f"`{command('dev', home=home)}` opens the Dagster UI on them, "
        f"`{command('sandbox stop', home=home)}` stops them.",
        markup=False,
        soft_wrap=True,
    )
    return 0 if proof.holds else 1


def _why_afresh(home: Path, now: datetime, query_log: QueryLog, *, fresh: bool) -> str | None:
    """Why what lies there is to be forgotten; None keeps it."""
    if fresh:
        return "as you asked"
    if cut_off(home):
        return "an earlier seed was cut off"
    if lakehouse_state(home).exists() and query_log_of(home) != query_log:
        return "its queries were read elsewhere, and each goes once"
    return "the shop here is of an earlier day" if outlived(home, now) else None


def _last_hours(now: datetime, hours: int) -> list[HourWindow]:
    windows = [HourWindow.newest_closed(now)]
    while len(windows) < hours:
        windows.insert(0, windows[0].previous)
    return windows


class Journey:
    """Runs over the demo's hours, launched as the real definitions say.

    Attributes:
        cursors: of each sensor, as its daemon would keep them.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        definitions: dg.Definitions,
        windows: Sequence[HourWindow],
    ) -> None:
        self._instance = instance
        self._repository = definitions.get_repository_def()
        self._windows = list(windows)
        self._cursors: dict[str, str | None] = {}

    def collect(self) -> None:
        """One ranged run a collecting job, as a backfill of these hours would launch."""
        for job in (COLLECT_METADATA, COLLECT_QUERIES):
            self._run(job, range_request(self._windows, run_key=job, tags={}))

    def push(self) -> None:
        """Push what was collected."""
        self._obey([push_job_name(flow) for flow in FLOWS])

    def take_in(self) -> None:
        """Take in and push the files of other collectors."""
        self._obey([IMPORT_JOB])

    def _obey(self, jobs: Sequence[str]) -> None:
        """Evaluate sensors and run what they ask for, until they ask for nothing; each is named as its job."""
        for _ in range(MAX_ROUNDS):
            requests = [(job, request) for job in jobs for request in self._asked(job)]
            if not requests:
                return
            for job, request in requests:
                self._run(job, request)

    def _asked(self, job: str) -> Sequence[dg.RunRequest]:
        sensor = self._repository.get_sensor_def(job)
        context = dg.build_sensor_context(
            instance=self._instance,
            instance_ref=self._instance.get_ref(),  # without it no dynamic partition is known
            cursor=self._cursors.get(job),
            repository_def=self._repository,
        )
        tick = sensor.evaluate_tick(context)
        self._cursors[job] = tick.cursor
        for added in tick.dynamic_partitions_requests or ():
            self._instance.add_dynamic_partitions(IMPORTED_FILES, list(added.partition_keys or ()))
        return tick.run_requests or []

    def _run(self, job: str, request: dg.RunRequest) -> None:
        """Execute one run; a failed one says why and ends the demo."""
        result = self._repository.get_job(job).execute_in_process(
            instance=self._instance,
            tags=dict(request.tags),
            partition_key=request.partition_key,
            run_config=QUIET,
            raise_on_error=False,
        )
        if not result.success:
            why = _why(result)
            if INTERRUPTED in why:  # Dagster turns Ctrl-C into a failed run
                raise click.Abort
            msg = f"{job} failed.\n{why}"
            raise click.ClickException(msg)

    def settled(self) -> set[str]:
        """The manifests of these hours that are settled at Monte Carlo."""
        return {
            manifest_id(record) or ""
            for flow in FLOWS
            for record in newest_by_hour(
                self._instance, pushed_key(flow), hours=self._windows
            ).values()
        }

    def show(self, console: Console) -> None:
        """Print what the Dagster UI shows of these hours; ids stand below the table where it is too narrow."""
        wide = not console.is_terminal or console.width >= TABLE_WIDTH
        paper = (
            console
            if console.is_terminal
            else Console(file=console.file, width=TABLE_WIDTH, emoji=False)
        )
        paper.print(self.table(with_ids=wide))
        if not wide:
            for line in self.invocations():
                console.print(line, markup=False, highlight=False, soft_wrap=True)

    def table(self, *, with_ids: bool) -> Table:
        """These hours as one table; with ids it takes ``TABLE_WIDTH`` columns, else 80."""
        table = Table(
            title="What was collected, and what Monte Carlo took",
            box=box.SIMPLE_HEAD,
            padding=0,
        )
        for name in ("partition", "state"):
            table.add_column(name, no_wrap=True)
        for name in ("records", "omitted"):
            table.add_column(name, justify="right")
        table.add_column("push", no_wrap=True)
        table.add_column("batches", justify="right")
        if with_ids:
            table.add_column("invocation ids", no_wrap=True)
        for flow in FLOWS:
            collected = newest_by_hour(self._instance, collected_key(flow), hours=self._windows)
            pushed = newest_by_hour(self._instance, pushed_key(flow), hours=self._windows)
            table.add_row(f"[bold]{flow}[/bold]")
            for window in self._windows:
                cells = _cells(collected.get(window), pushed.get(window))
                ids = ("\n".join(_ids(pushed.get(window))),) if with_ids else ()
                table.add_row(window.key, *cells, *ids)
            table.add_section()
        return table

    def invocations(self) -> Iterator[str]:
        """Monte Carlo's ids of what was accepted, whole: they are what people look up."""
        yield "Invocation ids"
        for flow in FLOWS:
            pushed = newest_by_hour(self._instance, pushed_key(flow), hours=self._windows)
            for window, record in sorted(pushed.items()):
                for invocation_id in _ids(record):
                    yield f"  {flow:<17}{window.key}  {invocation_id}"


def _ids(pushed: dg.EventLogRecord | None) -> list[str]:
    return [] if pushed is None else [str(one) for one in json_list(pushed, INVOCATION_IDS)]


def _why(result: dg.ExecuteInProcessResult) -> str:
    """The failed steps' own words."""
    errors = [
        event.step_failure_data.error
        for event in result.filter_events(lambda event: event.is_step_failure)
    ]
    return "\n".join(
        error.cause.message if error.cause else error.message for error in errors if error
    )


def _cells(
    collected: dg.EventLogRecord | None, pushed: dg.EventLogRecord | None
) -> tuple[str, ...]:
    if collected is None:
        return ("[red]not collected[/red]", "", "", "", "")
    state = text_metadata(collected, STATE) or ""
    figures = (str(number(collected, "records")), str(number(collected, "omissions")))
    if pushed is None:
        return (state, *figures, "[red]not settled[/red]", "")
    batches = number(pushed, "monte_carlo/batches")
    return (state, *figures, text_metadata(pushed, PUSH_STATUS) or "", str(batches))


def _say_what_was_sent(
    console: Console,
    before: Counts,
    after: Counts,
    settled_before: set[str],
    settled_after: set[str],
) -> None:
    """New requests and events, and what an earlier demo had sent already."""
    requests = after.requests - before.requests
    events = sum(after.events.values()) - sum(before.events.values())
    console.print(f"Sent now: {events} events in {requests} requests.")
    again = len(settled_before & settled_after)
    if again:
        console.print(
            f"Not sent again: {again} manifests were settled by an earlier demo, with "
            f"{sum(before.events.values())} events that the gateway had accepted."
        )
