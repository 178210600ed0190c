"""Event logs of a real Spark: one that is being written while it is read, and the shop's."""

import time
from contextlib import closing
from datetime import timedelta

import pytest

from iomete_mc_assets import clock
from iomete_mc_assets.manifests.model import Verdict
from iomete_mc_assets.records import PlannedEdges
from iomete_mc_assets.sandbox import shop_events
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.sandbox.seed_log import SeedLog
from iomete_mc_assets.windows import HOUR, HourWindow
from iomete_mc_assets_tests.event_log_reading import (
    LOGGED_WITHIN_S,
    read,
    run,
)
from iomete_mc_assets_tests.event_log_recording import ENDLESS, session


def test_what_was_just_run_stands_in_the_log_that_is_still_being_written(
    sandbox: RunningLakehouse,
) -> None:
    user = f"reader-{time.monotonic_ns()}"
    begun = clock.now()
    texts = (
        "SELECT count(*) AS `größe` -- ünï\nFROM raw.orders",
        "USE marts",
        "SELECT * FROM daily_revenue LIMIT 1",
        "USE lake.crm",
        "SELECT count(*) FROM `Campaign Results 2026`",
        "SELECT nobody FROM spark_catalog.raw.orders",
        "SELECT 7 AS last",
    )
    found = run(sandbox, user, texts)
    assert [one.text for one in found] == [text for text in texts if not text.startswith("USE")]
    places = {(one.catalog, one.database) for one in found[:1]}
    assert places == {("spark_catalog", "default")}
    assert (found[1].catalog, found[1].database) == ("spark_catalog", "marts")
    assert (found[2].catalog, found[2].database) == ("lake", "crm")
    assert [one.status for one in found] == ["succeeded"] * 3 + ["failed", "succeeded"]
    assert found[3].error_code == "UNRESOLVED_COLUMN.WITH_SUGGESTION"
    assert "`nobody` cannot be resolved" in (found[3].error_text or "")
    assert len({one.session_id for one in found}) == 1
    assert len({one.query_id for one in found}) == 5
    instants = [instant for one in found for instant in (one.started_at, one.ended_at)]
    assert begun - timedelta(milliseconds=1) <= min(instants)
    assert max(instants) <= clock.now()


def test_a_statement_that_its_client_closes_while_it_runs_is_cancelled(
    sandbox: RunningLakehouse,
) -> None:
    """Spark logs no end of it but Closed."""
    user = f"closer-{time.monotonic_ns()}"
    with closing(session(sandbox, user)) as connection:
        cursor = connection.cursor()
        cursor.execute(ENDLESS, async_=True)
        wait_for(sandbox, user, b"OperationStart", ENDLESS)
        cursor.close()
    (one,) = run(sandbox, user, ["SELECT 9 AS after"], since=clock.now() - HOUR / 60)[:1]
    assert (one.text, one.status, one.end_estimated) == (ENDLESS, "cancelled", True)


def wait_for(sandbox: RunningLakehouse, user: str, kind: bytes, text: str) -> None:
    """Until the log shows an event of a user's statement."""
    until = time.monotonic() + LOGGED_WITHIN_S
    while time.monotonic() < until:
        for file in sandbox.events.glob("[!.]*"):
            for line in file.read_bytes().splitlines():
                if kind in line[:110] and user.encode() in line and text.encode() in line:
                    return
    pytest.fail(f"{text!r} is not in the log after {LOGGED_WITHIN_S} s")


def test_a_log_that_grows_is_read_on_from_where_it_was_left(sandbox: RunningLakehouse) -> None:
    window = HourWindow.holding(clock.now())
    before, verdict = read(sandbox.events, window)
    assert verdict.state == "complete"
    user = f"later-{time.monotonic_ns()}"
    run(sandbox, user, ["SELECT 8 AS more"])
    state = verdict.collector_state
    latest = HourWindow.holding(clock.now())
    records, _ = read(sandbox.events, latest, earlier=lambda _: state)
    assert [one.text for one in records if one.user == user] == ["SELECT 8 AS more"]
    assert not {one.query_id for one in before} & {one.query_id for one in records}


def test_the_shops_event_log_tells_what_the_workload_says_hour_by_hour(
    sandbox: RunningLakehouse, shop_log: SeedLog
) -> None:
    folder = shop_events.write(sandbox, shop_log)
    hours = [HourWindow(shop_log.first.start + HOUR * n) for n in range(shop_log.hours)]
    states: dict[HourWindow, Verdict] = {}
    plans: dict[str, PlannedEdges | None] = {}
    for window in hours:
        newest = max(states, default=None)
        records, verdict = read(
            folder,
            window,
            earlier=lambda _: None if newest is None else states[newest].collector_state,  # noqa: B023 - used at once
        )
        states[window] = verdict
        plans |= {one.text: one.plan for one in records}
        ran = [one for one in shop_log.statements_ended_in(window) if one.role == "query"]
        statuses = {"COMPLETED": "succeeded", "FAILED": "failed", "CANCELLED": "cancelled"}
        assert ran
        assert {
            (one.query_id, one.text, one.user, one.started_at, one.ended_at, one.status)
            for one in records
        } == {
            (one.query_id, one.text, one.user, one.started_at, one.ended_at, statuses[one.status])
            for one in ran
        }
        assert all(one.error_code and one.error_text for one in records if one.status == "failed")
        assert verdict.state == "complete"
        assert verdict.omissions == ()
    [loaded] = [plan for text, plan in plans.items() if "INTO staging.hidden" in text]
    source, target = (
        ("spark_catalog", *name) for name in (("raw", "suppliers"), ("staging", "hidden"))
    )
    assert loaded is not None
    assert (loaded.tables, loaded.columns_known) == (((source, target),), True)
    assert {text for text, plan in plans.items() if plan and not text.startswith("INSERT")} == set()


def test_the_shops_event_log_is_made_once(sandbox: RunningLakehouse, shop_log: SeedLog) -> None:
    (file,) = shop_events.write(sandbox, shop_log).iterdir()
    made = file.stat().st_mtime_ns
    (again,) = shop_events.write(sandbox, shop_log).iterdir()
    assert (again, again.stat().st_mtime_ns) == (file, made)
