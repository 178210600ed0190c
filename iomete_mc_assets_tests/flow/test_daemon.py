"""The whole journey under a real Dagster: a person's backfill, the sensors' pushes, and a worker that is killed.

The tests use the same processes, store and gateway, one after the other; each counts from where it began.
"""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import dagster as dg
import pytest

from iomete_mc_assets.defs.keys import FLOWS, collected_key, push_job_name, pushed_key
from iomete_mc_assets.defs.materializations import json_list, number
from iomete_mc_assets.defs.metadata import INVOCATION_IDS
from iomete_mc_assets.push.policy import IN_FLIGHT
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_faults import accept, after
from iomete_mc_assets.sandbox.gateway_store import full_table_id
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.dagster_processes import wait_for
from iomete_mc_assets_tests.flow.daemon import (
    GATEWAY,
    PATIENCE_S,
    QUERIES,
    QUERY_LOG_PATH,
    Daemon,
    daemon_between,
)

A_BATCH = 2
"""Queries per request: every hour of the shop is then nine batches or more."""
BEFORE_THE_KILL = 3
SETTLED_WITHIN_S = 180
"""Of the worker's death, without a hand: the promise of the issue."""
FEW = 2
"""Push runs of a flow for a day: hours go in ranges, not one by one."""


@pytest.fixture(scope="module")
def daemon(sandbox: RunningLakehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Webserver and daemon with all sensors and schedules off, as after an installation."""
    home = tmp_path_factory.mktemp("daemon")
    options = {"IOMETE_MC_MAX_QUERIES": str(A_BATCH), "IOMETE_MC_ASK_AGAIN_S": "30"}
    with daemon_between(sandbox, home, **options) as running:
        yield running


def test_a_killed_push_is_finished_without_a_hand_and_repeats_only_what_was_in_flight(
    daemon: Daemon, day: list[HourWindow]
) -> None:
    """kill -9 after the third receipt; four batches hang at Monte Carlo, which has taken them."""
    hours, newest = day[-2:], day[-1]
    before = len(daemon.gateway.requests) + BEFORE_THE_KILL
    for nth in range(1, BEFORE_THE_KILL + 1):
        daemon.gateway.rule(accept, path=QUERY_LOG_PATH, nth=nth)
    daemon.gateway.rule(after(PATIENCE_S * 1000), path=QUERY_LOG_PATH)
    daemon.dagster.backfill(collected_key(QUERIES), [window.key for window in hours])
    daemon.wait_until_collected(QUERIES, hours)
    daemon.dagster.start_sensor(push_job_name(QUERIES))  # its first tick comes at once
    daemon.gateway.wait_for_requests(before + IN_FLIGHT, within_s=PATIENCE_S)

    in_flight = {request.invocation_id for request in daemon.gateway.requests[before:]}
    [killed] = daemon.dagster.runs(push_job_name(QUERIES))
    os.kill(daemon.dagster.worker(killed), signal.SIGKILL)
    daemon.gateway.clear()
    daemon.wait_until_pushed([QUERIES], hours, within_s=SETTLED_WITHIN_S)

    twice = {
        event.content["query_id"]
        for event in daemon.gateway.events("querylogs")
        if event.invocation_id in in_flight
    }
    assert len(twice) == IN_FLIGHT * A_BATCH
    assert daemon.queries_accepted() == daemon.queries_collected(hours) + Counter(twice)
    [generation] = daemon.sent(newest).generations()
    [crashed] = [doubts for doubts in generation.doubts() if doubts.run_id == killed.run_id]
    doubtful = [len(doubt.ordinals) for doubt in crashed.pieces]
    assert (doubtful, crashed.sending) == ([A_BATCH] * IN_FLIGHT, False)
    first, *later = daemon.finished_pushes(QUERIES)
    assert (first.run_id, first.status) == (killed.run_id, dg.DagsterRunStatus.FAILURE)
    assert [run.status for run in later if run.root_run_id == killed.run_id] == [
        dg.DagsterRunStatus.SUCCESS
    ]


@pytest.mark.nightly  # pushes that fail are in every run, without a daemon
def test_a_gateway_that_is_down_fails_the_push_by_name_and_gets_everything_later(
    daemon: Daemon, day: list[HourWindow]
) -> None:
    """The collected hours stay; the sensor's slow pass asks again by itself."""
    hours, url, pushes = day[-4:-2], daemon.gateway.url, len(daemon.finished_pushes(QUERIES))
    daemon.gateway.close()
    daemon.dagster.backfill(collected_key(QUERIES), [window.key for window in hours])
    daemon.wait_until_collected(QUERIES, hours)
    daemon.dagster.start_sensor(push_job_name(QUERIES))  # its first tick comes at once
    wait_for(
        lambda: len(daemon.dagster.runs(push_job_name(QUERIES))) > pushes,
        within_s=PATIENCE_S,
        what="a push run",
    )
    failed = daemon.finished_pushes(QUERIES)[pushes]
    told = daemon.dagster.failure_of(failed)
    assert failed.status == dg.DagsterRunStatus.FAILURE
    assert urlsplit(url).netloc in told
    assert "Check MCD_INGEST_ENDPOINT" in told
    assert all(window in daemon.collected(QUERIES) for window in hours)
    assert not any(window in daemon.pushed(QUERIES) for window in hours)

    daemon.gateway = Gateway(daemon.home / GATEWAY)
    assert daemon.gateway.url == url
    daemon.wait_until_pushed([QUERIES], hours, within_s=PATIENCE_S)
    accepted, collected = daemon.queries_accepted(), daemon.queries_collected(hours)
    assert {query: accepted[query] for query in collected} == collected


@pytest.mark.nightly  # the browser's test backfills three hours the same way
def test_a_backfilled_day_is_pushed_whole_and_once(daemon: Daemon, day: list[HourWindow]) -> None:
    """Hours that were settled before are collected again, kept, and not sent again."""
    before, requests = daemon.queries_accepted(), len(daemon.gateway.requests)
    pushes = {flow: len(daemon.finished_pushes(flow)) for flow in FLOWS}
    keys = [window.key for window in day]
    daemon.dagster.start_sensor(push_job_name("catalog_snapshot"))
    daemon.dagster.start_sensor(push_job_name(QUERIES))
    for flow in ("catalog_snapshot", QUERIES, "observations"):
        daemon.dagster.backfill(collected_key(flow), keys)
    daemon.wait_until_pushed(["catalog_snapshot", QUERIES], day, within_s=PATIENCE_S)
    # only now, as lineage is of the hours' queries
    daemon.dagster.backfill(collected_key("lineage"), keys)
    # and so that Monte Carlo knows the tables when it hears of their volumes and edges
    for flow in ("observations", "lineage"):
        daemon.wait_until_collected(flow, day)
        daemon.dagster.start_sensor(push_job_name(flow))
    daemon.wait_until_pushed(FLOWS, day, within_s=PATIENCE_S)

    for flow in FLOWS:
        for key in (collected_key(flow), pushed_key(flow)):
            assert daemon.dagster.partition_bar(key) == [("MATERIALIZED", keys[0], keys[-1])]
        assert len(daemon.finished_pushes(flow)) - pushes[flow] <= FEW

    once = daemon.queries_collected(day)
    assert set(once.values()) == {1}
    assert daemon.queries_accepted() == before + (once - before)

    measured = daemon.gateway.measured()
    assert {(one.volume, one.freshness) for one in measured} <= {(1, 1), (1, 0), (0, 1)}
    newest = daemon.pushed("observations")[day[-1]]
    assert len(measured) == number(newest, "monte_carlo/accepted") > 0
    entries = Counter(
        full_table_id(event.content["relational_asset"]["metadata"])
        for event in daemon.gateway.events("metadata")
        if not event.measures
    )
    listed = daemon.pushed("catalog_snapshot")[day[-1]]
    assert set(entries.values()) == {1}
    assert len(entries) == number(listed, "monte_carlo/accepted")

    given = {request.invocation_id for request in daemon.gateway.requests[requests:]}
    shown = {
        str(shown)
        for flow in FLOWS
        for record in daemon.pushed(flow).values()
        for shown in json_list(record, INVOCATION_IDS)
    }
    assert given <= shown
    assert shown <= {request.invocation_id for request in daemon.gateway.requests}
