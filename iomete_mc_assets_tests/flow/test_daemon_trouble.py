"""What a Dagster lives through: power cuts, lost cursors, people who press twice, a Monte Carlo that fails for ever.

The tests share webserver, daemon, code server, store and gateway, and each has hours of its own. Hours are
made up (``prepared_location``), so no lakehouse is needed; the side that pushes is the product's.
"""

# Dagster types its ephemeral instance in part only.
# pyright: reportUnknownMemberType=false

import math
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from iomete_mc_assets import clock
from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.defs.keys import (
    COLLECT_METADATA,
    FLOWS,
    MONTE_CARLO_POOL,
    collected_key,
    push_job_name,
    pushed_key,
)
from iomete_mc_assets.defs.materializations import manifest_id
from iomete_mc_assets.defs.partitions import MAX_HOURS_PER_RUN, windows_of_run
from iomete_mc_assets.defs.schedules import METADATA_MINUTE
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.push.policy import IN_FLIGHT
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_faults import accept, after, answers, hang
from iomete_mc_assets.windows import HOUR, HourWindow
from iomete_mc_assets_tests import prepared_location
from iomete_mc_assets_tests.dagster_processes import ASSET_JOB, DagsterProcesses, wait_for
from iomete_mc_assets_tests.flow.daemon import PATIENCE_S, QUERIES, QUERY_LOG_PATH, Daemon
from iomete_mc_assets_tests.prepared_location import QUERIES_AN_HOUR, TABLES, query_ids
from iomete_mc_assets_tests.push_bench import leading_to

PUSH = push_job_name(QUERIES)
CATALOG: Flow = "catalog_snapshot"
OBSERVATIONS: Flow = "observations"
A_BATCH = 2
"""Queries per request: every hour is three batches."""
BATCHES = QUERIES_AN_HOUR // A_BATCH
A_DAY = MAX_HOURS_PER_RUN
A_MONTH = 720
MINUTE = timedelta(minutes=1)
AGAIN_S = 30
FAILURES = 3
"""Failed pushes after which nobody doubts that it goes on for ever."""


@dataclass(slots=True, kw_only=True)
class Trouble(Daemon):
    """A running Dagster without a lakehouse."""

    late_queries: Path

    def collect(self, hours: Sequence[HourWindow], *, flow: Flow = QUERIES) -> None:
        """Materialise neighbouring hours of a flow in one run and wait for it."""
        key = collected_key(flow)
        run = self.dagster.materialize(key, [window.key for window in hours])
        wait_for(
            lambda: self.dagster.run(run).is_finished,
            within_s=PATIENCE_S,
            what=f"run {run} to collect {len(hours)} hours",
            so_far=lambda: (
                self.dagster.run(run).status.value,
                self._hours_on_disk(flow),  # of which Dagster hears when the last one is there
                len(self.dagster.instance.get_materialized_partitions(key)),
            ),
        )
        assert self.dagster.run(run).status == dg.DagsterRunStatus.SUCCESS

    def _hours_on_disk(self, flow: Flow) -> int:
        return len([*Path(self.environment["IOMETE_MC_MANIFESTS"]).glob(f"{flow}/*")])

    def runs_that_collect(self, flow: Flow) -> list[dg.DagsterRun]:
        """Those of backfills and of the asset's page, oldest first."""
        key = collected_key(flow)
        return [run for run in self.dagster.runs(ASSET_JOB) if key in (run.asset_selection or ())]

    def wait_until_a_run_has_collected(self, flow: Flow) -> None:
        """Wait until one run of those that collect a flow has ended."""
        wait_for(
            lambda: any(run.is_finished for run in self.runs_that_collect(flow)),
            within_s=PATIENCE_S,
            what=f"a run that has collected {flow}",
        )

    def wait_until_queued(self, flow: Flow, *, runs: int) -> list[dg.DagsterRun]:
        """Wait until a backfill of a flow has launched all its runs and one of them has the lakehouse."""
        known = {run.run_id for run in self.runs_that_collect(flow) if run.is_finished}

        def found() -> list[dg.DagsterRun]:
            return [run for run in self.runs_that_collect(flow) if run.run_id not in known]

        wait_for(
            lambda: (
                len(found()) == runs and any(self.dagster.steps_of(one.run_id) for one in found())
            ),
            within_s=PATIENCE_S,
            what=f"{runs} runs that collect {flow}",
            so_far=lambda: Counter(run.status.value for run in found()),
        )
        return found()

    def begun_during(self, hourly: str, ranges: Sequence[dg.DagsterRun]) -> list[str]:
        """Of these runs, those that got the lakehouse after a run was asked for and before its last step did."""
        asked_at = self.dagster.asked_at(hourly)
        last = max(self.dagster.steps_of(hourly))
        return [
            run.run_id
            for run in ranges
            if any(asked_at < begun < last for begun in self.dagster.steps_of(run.run_id))
        ]

    def pushes_of(self, flow: Flow, window: HourWindow) -> list[dg.DagsterRun]:
        """The sensor's runs that push an hour of a flow."""
        return [
            run
            for run in self.dagster.runs(push_job_name(flow))
            if window in windows_of_run(dict(run.tags))
        ]

    def manifest(self, window: HourWindow) -> str | None:
        """The manifest that an hour of query logs has by its newest event."""
        return manifest_id(self.collected(QUERIES)[window])

    def queries_of(
        self, hours: Sequence[HourWindow], *, after: int = 0, before: float = math.inf
    ) -> Counter[str]:
        """Accepted query ids of these hours, as often as the gateway took them.

        Args:
            hours: whose.
            after: only requests behind this one.
            before: only requests ahead of this one.
        """
        folders = {window.folder for window in hours}
        return Counter(
            query_id
            for event in self.gateway.events("querylogs")
            if after < event.request < before
            and (query_id := str(event.content["query_id"])).rpartition("-")[0] in folders
        )

    def push_runs(self) -> list[dg.DagsterRun]:
        """Every run of the sensor for query logs, oldest first."""
        return self.dagster.runs(PUSH)

    def runs_at_work(self) -> list[dg.DagsterRun]:
        """Of those, the ones that have not ended."""
        return [run for run in self.push_runs() if not run.is_finished]

    def wait_for_run_after(self, known: int) -> dg.DagsterRun:
        """The first push run of the sensor behind that many."""
        what = "a push run"
        wait_for(lambda: len(self.push_runs()) > known, within_s=PATIENCE_S, what=what)
        return self.push_runs()[known]

    def hang_after(self, taken: int, *, at_work: int) -> int:
        """Begin a push that gets ``taken`` answers and then none; the requests before it.

        Args:
            taken: requests that are answered.
            at_work: those that follow, are taken, and stay without an answer.
        """
        before = len(self.gateway.requests)
        for nth in range(1, taken + 1):
            self.gateway.rule(accept, path=QUERY_LOG_PATH, nth=nth)
        self.gateway.rule(after(2 * PATIENCE_S * 1000), path=QUERY_LOG_PATH)
        if not self.runs_at_work():
            self.dagster.start_sensor(PUSH)  # its first tick comes at once
        self.gateway.wait_for_requests(before + taken + at_work, within_s=PATIENCE_S)
        return before

    def begin_a_push(self, hours: Sequence[HourWindow]) -> dg.DagsterRun:
        """Collect hours and begin a push of them, of which Monte Carlo takes and answers nothing."""
        self.collect(hours)
        known, before = len(self.push_runs()), len(self.gateway.requests)
        self.gateway.rule(hang, path=QUERY_LOG_PATH)
        self.dagster.start_sensor(PUSH)
        self.gateway.wait_for_requests(before + BATCHES, within_s=PATIENCE_S)
        return self.wait_for_run_after(known)

    def let_end(self, run_id: str) -> None:
        """Cut what hangs; a run that tries again is answered, and ends well."""
        self.gateway.clear()
        self.gateway.release()
        ended = self.dagster.wait_until_finished(run_id, within_s=PATIENCE_S)
        assert ended.status == dg.DagsterRunStatus.SUCCESS

    def wait_for_receipts(self, hours: Sequence[HourWindow], count: int) -> None:
        """Wait until that many batches of query logs have their receipts."""

        def written() -> int:
            return sum(
                len(generation.receipts())
                for window in hours
                for generation in self.sent(window).generations()
            )

        wait_for(lambda: written() == count, within_s=PATIENCE_S, what=f"{count} receipts")

    def in_flight(self, before: int, *, taken: int) -> Counter[str]:
        """The queries that were taken and not answered by ``hang_after``."""
        ids = {request.invocation_id for request in self.gateway.requests[before + taken :]}
        return Counter(
            str(event.content["query_id"])
            for event in self.gateway.events("querylogs")
            if event.invocation_id in ids
        )

    def wait_until_asked_again(self, hours: Sequence[HourWindow]) -> None:
        """Wait until the newest manifest of each hour is settled, which may take some looks."""
        self.wait_until_pushed([QUERIES], list(hours), within_s=2 * PATIENCE_S)
        self.finished_pushes(QUERIES)


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trouble]:
    """Webserver, daemon and code server with all sensors off."""
    home = tmp_path_factory.mktemp("trouble")
    late = home / "late"
    late.mkdir()
    gateway = Gateway(home / "gateway")
    environment = {
        "IOMETE_URL": "http://lake.example:10000/cliservice",
        "IOMETE_USER": "nobody",
        "IOMETE_TOKEN": "unused",
        **leading_to(gateway),
        "IOMETE_MC_MANIFESTS": str(home / "manifests"),
        "IOMETE_MC_MAX_QUERIES": str(A_BATCH),
        "IOMETE_MC_ASK_AGAIN_S": str(AGAIN_S),
        # what hangs is let go by the tests
        "IOMETE_MC_REQUEST_TIMEOUT_S": "600",
        "IOMETE_MC_HOUR_BUDGET_S": "1500",
        prepared_location.LATE_QUERIES: str(late),
    }
    dagster = DagsterProcesses(
        home / "dagster", environment, module="iomete_mc_assets_tests.prepared_location"
    )
    try:
        with dagster:
            yield Trouble(
                dagster=dagster,
                gateway=gateway,
                home=home,
                environment=environment,
                late_queries=late,
            )
    finally:
        gateway.close()


@pytest.fixture
def daemon(processes: Trouble) -> Iterator[Trouble]:
    """The same, with sensors off, nothing at work and an honest gateway again after the test."""
    yield processes
    processes.gateway.clear()
    for flow in FLOWS:
        processes.dagster.stop_sensor(push_job_name(flow))
    processes.dagster.cancel_all()  # what a test did not wait for
    processes.gateway.release()


@pytest.fixture(scope="module")
def newest() -> HourWindow:
    """The newest closed hour when the tests began."""
    return HourWindow.newest_closed(clock.now())


def hours_before(newest: HourWindow, count: int, *, ago: int = 0) -> list[HourWindow]:
    """``count`` neighbouring hours, oldest first, the last of them ``ago`` hours before the newest."""
    last = newest.start - ago * HOUR
    return [HourWindow(last - n * HOUR) for n in reversed(range(count))]


def once(hours: Sequence[HourWindow], *, late: int = 0) -> Counter[str]:
    """Every query of these hours one time."""
    return Counter(query_id for window in hours for query_id in query_ids(window, late=late))


@pytest.mark.nightly
@pytest.mark.parametrize(("count", "catalogs_ago"), [(48, A_DAY), (720, 0)])
def test_two_flows_backfilled_at_once_arrive_whole_and_once(
    daemon: Trouble, newest: HourWindow, count: int, catalogs_ago: int
) -> None:
    """All of these hours of query logs, and beside them a day of catalogs that no earlier test has pushed."""
    backfilled: dict[Flow, list[HourWindow]] = {
        QUERIES: hours_before(newest, count),
        CATALOG: hours_before(newest, A_DAY, ago=catalogs_ago),
    }
    known = {flow: len(daemon.finished_pushes(flow)) for flow in backfilled}
    for flow, hours in backfilled.items():
        daemon.dagster.backfill(collected_key(flow), [window.key for window in hours])
    for flow in backfilled:
        daemon.wait_until_a_run_has_collected(flow)
        daemon.dagster.start_sensor(push_job_name(flow))  # its first tick comes at once
    for flow, hours in backfilled.items():
        daemon.wait_until_pushed([flow], hours, within_s=PATIENCE_S + 3 * count)

    assert daemon.queries_of(backfilled[QUERIES]) == once(backfilled[QUERIES])
    entries = Counter(
        (event.content["relational_asset"]["metadata"]["name"], event.received_at.date())
        for event in daemon.gateway.events("metadata")
    )
    assert set(entries.values()) == {1}
    assert len({name for name, _ in entries}) == TABLES
    for flow, hours in backfilled.items():
        runs = daemon.finished_pushes(flow)[known[flow] :]
        assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
        assert len(runs) <= 2 * len(hours) // MAX_HOURS_PER_RUN  # ranges, not hours one by one


@pytest.mark.nightly
def test_a_cursor_cleared_while_the_sensor_is_off_asks_for_what_came_meanwhile_alone(
    daemon: Trouble, newest: HourWindow
) -> None:
    before, meanwhile = hours_before(newest, 2, ago=800), hours_before(newest, 2, ago=804)
    daemon.collect(before)
    daemon.dagster.start_sensor(PUSH)
    daemon.wait_until_pushed([QUERIES], before, within_s=PATIENCE_S)
    requests, runs = len(daemon.gateway.requests), len(daemon.finished_pushes(QUERIES))

    daemon.dagster.stop_sensor(PUSH)
    daemon.collect(meanwhile)
    daemon.dagster.clear_cursor(PUSH)
    daemon.dagster.start_sensor(PUSH)
    daemon.wait_until_pushed([QUERIES], meanwhile, within_s=PATIENCE_S)

    [run] = daemon.finished_pushes(QUERIES)[runs:]
    assert run.status == dg.DagsterRunStatus.SUCCESS
    assert len(daemon.gateway.requests) - requests == len(meanwhile) * BATCHES
    assert daemon.queries_of([*before, *meanwhile]) == once([*before, *meanwhile])


@pytest.mark.nightly
def test_an_hour_collected_again_while_two_people_push_it_is_sent_whole_and_once(
    daemon: Trouble, newest: HourWindow
) -> None:
    """The pool lets both runs begin, so only the ledger stands between them."""
    [hour] = hours_before(newest, 1, ago=810)
    daemon.collect([hour])
    earlier, requests = daemon.manifest(hour), len(daemon.gateway.requests)
    pools = daemon.dagster.instance.event_log_storage
    pools.set_concurrency_slots(MONTE_CARLO_POOL, 2)
    daemon.gateway.rule(hang, path=QUERY_LOG_PATH)
    first = daemon.dagster.materialize(pushed_key(QUERIES), [hour.key])
    daemon.gateway.wait_for_requests(requests + BATCHES, within_s=PATIENCE_S)
    (daemon.late_queries / hour.folder).write_text("4")
    daemon.collect([hour])
    assert daemon.manifest(hour) != earlier

    second = daemon.dagster.materialize(pushed_key(QUERIES), [hour.key])
    refused = daemon.dagster.wait_until_finished(second, within_s=PATIENCE_S)
    assert refused.status == dg.DagsterRunStatus.FAILURE
    assert f"Run {first} is pushing hour {hour.key}" in daemon.dagster.failure_of(refused)
    assert len(daemon.gateway.requests) == requests + BATCHES
    daemon.let_end(first)
    pools.set_concurrency_slots(MONTE_CARLO_POOL, 1)
    daemon.dagster.start_sensor(PUSH)
    daemon.wait_until_asked_again([hour])

    assert daemon.queries_of([hour]) == once([hour], late=4)


def test_after_a_power_cut_only_what_was_in_flight_goes_twice(
    daemon: Trouble, newest: HourWindow
) -> None:
    """Daemon, code server and worker die at once; nobody can tell that the run is dead but a person."""
    hours = hours_before(newest, 3, ago=820)
    daemon.collect(hours)
    known = len(daemon.push_runs())
    before = daemon.hang_after(BATCHES, at_work=BATCHES)
    run = daemon.wait_for_run_after(known)
    daemon.dagster.kill_daemon()
    daemon.dagster.kill_code_server()
    os.kill(daemon.dagster.worker(run), signal.SIGKILL)
    daemon.gateway.clear()
    twice = daemon.in_flight(before, taken=BATCHES)
    assert len(twice) == BATCHES * A_BATCH

    daemon.dagster.start_code_server()
    daemon.dagster.start_daemon()
    assert [left.run_id for left in daemon.runs_at_work()] == [run.run_id]
    daemon.dagster.cancel(run)
    daemon.wait_until_asked_again(hours)

    assert daemon.queries_of(hours) == once(hours) + twice


@pytest.mark.nightly
def test_a_killed_daemon_takes_no_push_along(daemon: Trouble, newest: HourWindow) -> None:
    hours = hours_before(newest, 3, ago=830)
    run = daemon.begin_a_push(hours)
    daemon.dagster.kill_daemon()
    daemon.let_end(run.run_id)

    daemon.dagster.start_daemon()
    more = hours_before(newest, 2, ago=834)
    daemon.collect(more)
    daemon.wait_until_asked_again([*hours, *more])
    assert daemon.queries_of([*hours, *more]) == once([*hours, *more])


@pytest.mark.nightly
def test_a_killed_code_server_takes_no_push_along_and_loses_no_queued_run(
    daemon: Trouble, newest: HourWindow
) -> None:
    hours, more = hours_before(newest, 3, ago=840), hours_before(newest, 2, ago=850)
    run = daemon.begin_a_push(hours)
    queued = daemon.dagster.materialize(pushed_key(QUERIES), [window.key for window in hours])
    daemon.dagster.kill_code_server()
    daemon.let_end(run.run_id)
    wait_for(
        lambda: "failed to reach the user code server" in daemon.dagster.log_of(queued),
        within_s=PATIENCE_S,
        what="the queued run to meet the dead code server",
    )

    daemon.dagster.start_code_server()
    ended = daemon.dagster.wait_until_finished(queued, within_s=PATIENCE_S)
    assert ended.status == dg.DagsterRunStatus.SUCCESS
    daemon.collect(more)
    daemon.wait_until_asked_again([*hours, *more])
    assert daemon.queries_of([*hours, *more]) == once([*hours, *more])


@pytest.mark.nightly
def test_a_push_whose_every_worker_is_killed_is_asked_for_again(
    daemon: Trouble, newest: HourWindow
) -> None:
    """Dagster retries twice; the sensor's slow pass comes after that. One batch an hour is answered."""
    hours = hours_before(newest, 3, ago=860)
    daemon.collect(hours)
    known, twice = len(daemon.push_runs()), Counter[str]()
    for kill, at_work in enumerate((BATCHES - 1, BATCHES - 2, BATCHES)):
        before = daemon.hang_after(1, at_work=at_work)
        daemon.dagster.stop_sensor(PUSH)
        run = daemon.wait_for_run_after(known + kill)
        daemon.wait_for_receipts(hours, kill + 1)  # else the answered batch were in flight too
        os.kill(daemon.dagster.worker(run), signal.SIGKILL)
        unanswered = daemon.in_flight(before, taken=1)
        assert len(unanswered) == at_work * A_BATCH <= IN_FLIGHT * A_BATCH
        twice += unanswered
        daemon.gateway.clear()
        daemon.dagster.wait_until_finished(run.run_id, within_s=PATIENCE_S)
    daemon.dagster.start_sensor(PUSH)
    daemon.wait_until_asked_again(hours)

    assert daemon.queries_of(hours) == once(hours) + twice


@pytest.mark.nightly
def test_pushes_that_fail_for_ever_do_not_pile_up_and_hold_no_other_flow_up(
    daemon: Trouble, newest: HourWindow
) -> None:
    """Once, twice, and on: a run at a time, until Monte Carlo takes query logs again.

    The first run is told to wait so long that the sensor looks again and again while it is at work.
    """
    hours = hours_before(newest, 3, ago=870)
    known, before = len(daemon.push_runs()), len(daemon.gateway.requests)
    for nth in range(1, BATCHES + 1):
        told_to_wait = answers(503, retry_after=3 * AGAIN_S)
        daemon.gateway.rule(told_to_wait, path=QUERY_LOG_PATH, nth=nth)
    daemon.gateway.rule(answers(503), path=QUERY_LOG_PATH)
    daemon.collect(hours)
    daemon.dagster.start_sensor(PUSH)
    for nth in range(FAILURES):
        run = daemon.wait_for_run_after(known + nth)
        failed = daemon.dagster.wait_until_finished(run.run_id, within_s=PATIENCE_S)
        assert failed.status == dg.DagsterRunStatus.FAILURE
        assert "503" in daemon.dagster.failure_of(failed)
        assert len(daemon.runs_at_work()) <= 1
    daemon.collect([newest], flow=CATALOG)
    daemon.dagster.start_sensor(push_job_name(CATALOG))
    daemon.wait_until_pushed([CATALOG], [newest], within_s=PATIENCE_S)
    assert not daemon.queries_of(hours, after=before)

    daemon.gateway.clear()
    daemon.wait_until_asked_again(hours)
    assert daemon.queries_of(hours) == once(hours)


@pytest.mark.nightly
def test_a_batch_size_changed_between_crash_and_resume_changes_no_plan(
    daemon: Trouble, newest: HourWindow
) -> None:
    [hour] = hours_before(newest, 1, ago=880)
    before, twice = _crashed(daemon, hour)
    daemon.dagster.start_code_server(IOMETE_MC_MAX_QUERIES=str(A_BATCH + 1))
    daemon.wait_until_asked_again([hour])
    daemon.dagster.kill_code_server()
    daemon.dagster.start_code_server(IOMETE_MC_MAX_QUERIES=str(A_BATCH))

    assert daemon.queries_of([hour]) == once([hour]) + twice
    assert {request.events for request in daemon.gateway.requests[before:]} == {A_BATCH}


@pytest.mark.nightly
def test_a_destination_changed_between_crash_and_resume_gets_the_hour_whole_and_once(
    daemon: Trouble, newest: HourWindow
) -> None:
    """Another naming is another destination with a ledger of its own; what was settled stays where it is."""
    [hour] = hours_before(newest, 1, ago=885)
    _crashed(daemon, hour)
    there = len(daemon.gateway.requests)
    daemon.dagster.start_code_server(MCD_NAMING="hive")
    daemon.wait_until_asked_again([hour])
    daemon.dagster.kill_code_server()
    daemon.dagster.start_code_server(MCD_NAMING="guide")

    sent = [event for event in daemon.gateway.events("querylogs") if event.request > there]
    assert Counter(str(event.content["query_id"]) for event in sent) == once([hour])


def _crashed(daemon: Trouble, hour: HourWindow) -> tuple[int, Counter[str]]:
    """Push an hour, kill worker and code server after the first answer, end the run by hand.

    Returns:
        The number of requests before, and the queries in flight.
    """
    daemon.collect([hour])
    known = len(daemon.push_runs())
    before = daemon.hang_after(1, at_work=BATCHES - 1)
    run = daemon.wait_for_run_after(known)
    daemon.dagster.kill_code_server()
    os.kill(daemon.dagster.worker(run), signal.SIGKILL)
    daemon.gateway.clear()
    daemon.dagster.cancel(run)
    return before, daemon.in_flight(before, taken=1)


def _settled(daemon: Trouble, hours: Sequence[HourWindow]) -> int:
    """Collect hours and push them, with the sensor off again afterwards; the requests until then."""
    daemon.collect(hours)
    daemon.dagster.start_sensor(PUSH)
    daemon.wait_until_pushed([QUERIES], list(hours), within_s=PATIENCE_S)
    daemon.finished_pushes(QUERIES)
    daemon.dagster.stop_sensor(PUSH)
    return len(daemon.gateway.requests)


@pytest.mark.nightly
def test_after_runs_were_deleted_the_hours_are_settled_again_and_nothing_is_sent(
    daemon: Trouble, newest: HourWindow
) -> None:
    hours = hours_before(newest, 3, ago=890)
    requests = _settled(daemon, hours)
    for run in (*daemon.push_runs(), *daemon.dagster.runs(ASSET_JOB)):
        daemon.dagster.delete(run)
    assert not daemon.collected(QUERIES)
    assert not daemon.pushed(QUERIES)

    daemon.collect(hours)
    daemon.dagster.start_sensor(PUSH)
    daemon.wait_until_pushed([QUERIES], hours, within_s=PATIENCE_S)
    assert len(daemon.gateway.requests) == requests
    assert daemon.queries_of(hours) == once(hours)


@pytest.mark.nightly
def test_an_emptied_dagster_settles_collected_hours_again_and_sends_nothing(
    daemon: Trouble, newest: HourWindow
) -> None:
    hours = hours_before(newest, 3, ago=900)
    requests = _settled(daemon, hours)
    emptied = DagsterProcesses(
        daemon.home / "emptied",
        daemon.environment,
        module="iomete_mc_assets_tests.prepared_location",
    )
    with emptied:
        forgetful = replace(daemon, dagster=emptied)
        assert not forgetful.collected(QUERIES)
        forgetful.collect(hours)
        forgetful.dagster.start_sensor(PUSH)
        forgetful.wait_until_pushed([QUERIES], hours, within_s=PATIENCE_S)
        assert len(daemon.gateway.requests) == requests
        assert daemon.queries_of(hours) == once(hours)


@pytest.mark.nightly
def test_the_hourly_run_starts_within_a_range_of_a_backfill_and_its_observations_go_out_first(
    daemon: Trouble, newest: HourWindow
) -> None:
    """The lakehouse is busy with a backfill of observations, Monte Carlo with the query logs of the same hours."""
    hours = hours_before(newest, A_MONTH, ago=1000)
    keys = [window.key for window in hours]
    _settled(daemon, hours[:1])  # Dagster's queue knows a pool's limit from its first use on
    daemon.collect(hours[1:])
    known, requests = len(daemon.push_runs()), len(daemon.gateway.requests)
    daemon.gateway.rule(hang, path=QUERY_LOG_PATH)
    for flow in FLOWS:
        daemon.dagster.start_sensor(push_job_name(flow))
    daemon.gateway.wait_for_requests(requests + BATCHES, within_s=PATIENCE_S)
    daemon.dagster.backfill(collected_key(OBSERVATIONS), keys)
    ranges = daemon.wait_until_queued(OBSERVATIONS, runs=A_MONTH // A_DAY)

    hourly = daemon.dagster.launch(COLLECT_METADATA, tags_of_the_schedule(newest))
    assert [len(windows_of_run(dict(run.tags))) for run in ranges] == [A_DAY] * len(ranges)
    assert sum(run.status == dg.DagsterRunStatus.QUEUED for run in ranges) > 1
    daemon.dagster.wait_until_finished(hourly, within_s=PATIENCE_S)
    assert len(daemon.begun_during(hourly, ranges)) <= 1

    wait_for(
        lambda: all(daemon.pushes_of(flow, newest) for flow in (CATALOG, OBSERVATIONS)),
        within_s=PATIENCE_S,
        what="the hour's pushes to be queued",
    )
    at_work, *queued = daemon.push_runs()[known:]
    assert at_work.status == dg.DagsterRunStatus.STARTED
    assert {run.status for run in queued} == {dg.DagsterRunStatus.QUEUED}
    daemon.gateway.clear()
    daemon.gateway.release()
    daemon.wait_until_pushed([OBSERVATIONS], [newest], within_s=PATIENCE_S)

    observed = [event for event in daemon.gateway.events("metadata") if event.measures]
    assert len(observed) == TABLES
    assert min(event.request for event in observed) > requests
    behind = [window for run in queued for window in windows_of_run(dict(run.tags))]
    assert not daemon.queries_of(behind, before=max(event.request for event in observed))


def tags_of_the_schedule(newest: HourWindow) -> Mapping[str, str]:
    """With what the schedule launches the run of an hour."""
    repository = build_definitions(environment={}).get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        ticked = repository.get_schedule_def(f"{COLLECT_METADATA}_hourly").evaluate_tick(
            dg.build_schedule_context(
                instance=instance,
                scheduled_execution_time=newest.end + METADATA_MINUTE * MINUTE,
                repository_def=repository,
            )
        )
    [request] = ticked.run_requests or []
    return request.tags
