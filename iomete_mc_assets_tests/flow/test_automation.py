"""What sensors ask for, what schedules launch, what checks see: on Dagster's own event log, without any server."""

# Dagster types its ephemeral instance and events in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.defs.checks import newest_collected, overdue
from iomete_mc_assets.defs.keys import (
    FLOWS,
    LAKEHOUSE_POOL,
    PRIORITY_TAG,
    READINESS_KEY,
    collected_key,
    pushed_key,
)
from iomete_mc_assets.defs.metadata import COLLECTED_AT, MANIFEST_ID, STATE
from iomete_mc_assets.defs.partitions import RANGE_END, RANGE_START, SINGLE
from iomete_mc_assets.defs.schedules import Settling, gaps
from iomete_mc_assets.defs.sensors import Cursor, tick
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.flow.conftest import AGAIN_S

FLOW = "query_logs"


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    """The product's own definitions, loaded with an empty environment."""
    return build_definitions(environment={}).get_repository_def()


def hours_from(key: str, count: int) -> list[HourWindow]:
    hours = [HourWindow.from_key(key)]
    while len(hours) < count:
        hours.append(hours[-1].next)
    return hours


def collected(
    instance: dg.DagsterInstance,
    window: HourWindow,
    manifest: str | None = "m",
    *,
    at: datetime | None = None,
    state: str = "complete",
) -> None:
    """As a collecting run would report it; without a manifest as a person in the UI would."""
    named = {MANIFEST_ID: manifest} if manifest else {}
    when = {COLLECTED_AT: dg.MetadataValue.timestamp(at)} if at else {}
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            collected_key(FLOW),
            partition=window.key,
            metadata={**named, **when, STATE: state},
        )
    )


def settled(instance: dg.DagsterInstance, window: HourWindow, manifest: str = "m") -> None:
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            pushed_key(FLOW), partition=window.key, metadata={MANIFEST_ID: manifest}
        )
    )


def asked(
    instance: dg.DagsterInstance, cursor: Cursor, *, now: datetime | None = None
) -> list[tuple[str, str]]:
    """First and last hour of each run that one look asks for, in the order they are asked for."""
    return [bounds(request) for request in pushes(instance, cursor, now=now)]


def pushes(
    instance: dg.DagsterInstance, cursor: Cursor, *, now: datetime | None = None
) -> list[dg.RunRequest]:
    """The runs that one look asks for, in the order they are asked for."""
    result = tick(
        instance, FLOW, cursor, now_s=(now or datetime.now(UTC)).timestamp(), again_s=AGAIN_S
    )
    return list(result.run_requests or []) if isinstance(result, dg.SensorResult) else []


def bounds(request: dg.RunRequest) -> tuple[str, str]:
    only = request.partition_key
    return (only, only) if only else (request.tags[RANGE_START], request.tags[RANGE_END])


def test_every_materialised_hour_is_asked_for_newest_range_first(
    instance: dg.DagsterInstance,
) -> None:
    """Thirty neighbours and one apart: ranges of at most 24, never over a gap."""
    hours = hours_from("2026-11-19-00:00", 30)
    apart = HourWindow.from_key("2026-11-21-00:00")
    for window in [*hours, apart]:
        collected(instance, window)
    assert asked(instance, Cursor()) == [
        (apart.key, apart.key),
        (hours[24].key, hours[29].key),
        (hours[0].key, hours[23].key),
    ]


def test_the_cursor_moves_past_what_was_seen_and_nothing_is_asked_twice(
    instance: dg.DagsterInstance,
) -> None:
    window = HourWindow.from_key("2026-11-21-00:00")
    collected(instance, window)
    first = tick(instance, FLOW, Cursor(reconciled_at=9e12), now_s=0, again_s=AGAIN_S)
    assert isinstance(first, dg.SensorResult)
    assert len(first.run_requests or []) == 1
    again = tick(instance, FLOW, Cursor.read(first.cursor), now_s=0, again_s=AGAIN_S)
    assert isinstance(again, dg.SkipReason)


def test_a_settled_hour_is_asked_for_again_only_under_a_new_manifest(
    instance: dg.DagsterInstance,
) -> None:
    window = HourWindow.from_key("2026-11-21-00:00")
    collected(instance, window, "one")
    settled(instance, window, "one")
    assert asked(instance, Cursor()) == []
    collected(instance, window, "two")
    assert asked(instance, Cursor()) == [(window.key, window.key)]


def test_an_event_reported_by_hand_hides_nothing(instance: dg.DagsterInstance) -> None:
    window = HourWindow.from_key("2026-11-21-00:00")
    collected(instance, window, "real")
    collected(instance, window, None)
    assert asked(instance, Cursor()) == [(window.key, window.key)]


def test_the_slow_pass_asks_again_after_its_grace_and_says_what_it_saw(
    instance: dg.DagsterInstance,
) -> None:
    hours = hours_from("2026-11-21-00:00", 3)
    for window in hours:
        collected(instance, window)
    settled(instance, hours[0])
    now, nothing_new = datetime.now(UTC), Cursor(after=10**9)
    assert asked(instance, nothing_new, now=now) == []
    late = now + timedelta(seconds=AGAIN_S + 60)
    assert asked(instance, nothing_new, now=late) == [(hours[1].key, hours[2].key)]
    result = tick(instance, FLOW, nothing_new, now_s=now.timestamp(), again_s=AGAIN_S)
    assert isinstance(result, dg.SensorResult)
    assert "3 hours of the last 30 days: 1 settled, 0 being pushed, 0 to push again" in str(
        result.skip_reason
    )


def test_an_old_unsettled_hour_is_asked_for_once_an_hour_then_once_a_day(
    instance: dg.DagsterInstance,
) -> None:
    window = HourWindow.from_key("2026-11-21-00:00")
    collected(instance, window)
    born = datetime.now(UTC)

    def asked_at(age: timedelta, since_last: timedelta) -> bool:
        now = (born + age).replace(minute=30)
        last = (now - since_last).timestamp()
        return bool(asked(instance, Cursor(after=10**9, reconciled_at=last), now=now))

    tenth, hour = timedelta(minutes=10), timedelta(hours=1)
    assert asked_at(timedelta(hours=20), tenth)
    assert not asked_at(timedelta(hours=30), tenth)
    assert asked_at(timedelta(hours=30), hour)
    assert asked_at(timedelta(days=5), timedelta(days=1))
    assert not asked_at(timedelta(days=5), tenth)
    noon = (born + timedelta(days=5)).replace(hour=12, minute=30)
    an_hour_ago = Cursor(after=10**9, reconciled_at=(noon - hour).timestamp())
    assert not asked(instance, an_hour_ago, now=noon)


def test_the_slow_pass_leaves_hours_alone_that_a_run_covers(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MCD_INGEST_ID", "MCD_INGEST_TOKEN", "MCD_RESOURCE_UUID"):
        monkeypatch.setenv(name, "x")  # Dagster resolves them when a run is made
    hours = hours_from("2026-11-21-00:00", 3)
    for window in hours:
        collected(instance, window)
    pushing(instance, hours[:2])
    late = datetime.now(UTC) + timedelta(seconds=AGAIN_S + 60)
    assert asked(instance, Cursor(after=10**9), now=late) == [(hours[2].key, hours[2].key)]


def pushing(instance: dg.DagsterInstance, hours: Sequence[HourWindow]) -> None:
    """A running run over these hours, as a person's backfill of the pushed asset would launch."""
    instance.create_run_for_job(
        build_definitions(environment={}).get_repository_def().get_job(f"push_{FLOW}"),
        tags={RANGE_START: hours[0].key, RANGE_END: hours[-1].key},
        asset_selection=frozenset({pushed_key(FLOW)}),
        status=dg.DagsterRunStatus.STARTED,
    )


@pytest.mark.parametrize("text", [None, "", "17", "[]", "{", '{"after": 3}'])
def test_a_foreign_cursor_starts_over_instead_of_failing(text: str | None) -> None:
    assert Cursor.read(text).reconciled_at == 0


def test_ledger_7_gaps_are_hours_without_a_manifest_or_collected_too_early(
    instance: dg.DagsterInstance,
) -> None:
    hours = hours_from("2026-11-21-00:00", 5)
    settling = Settling(delay=timedelta(minutes=30), look_back_hours=1)
    collected(instance, hours[4], at=hours[4].end + timedelta(hours=2), state="partial")
    collected(instance, hours[0], at=hours[0].end + settling.delay)
    collected(instance, hours[1], at=hours[1].end + timedelta(minutes=29))
    collected(instance, hours[2], None)
    now = datetime.now(UTC)
    assert gaps(instance, FLOW, hours, settling, at=now) == hours[1:]
    assert gaps(instance, FLOW, hours, None, at=now) == [hours[2], hours[3]]


def test_hours_younger_than_the_look_back_are_collected_again_unless_that_was_just_done(
    instance: dg.DagsterInstance,
) -> None:
    hours = hours_from("2026-11-21-00:00", 4)
    settling = Settling(delay=timedelta(minutes=30), look_back_hours=2)
    for window in hours:
        collected(instance, window, at=window.end + timedelta(hours=1))
    now = datetime.now(UTC)
    assert gaps(instance, FLOW, hours, settling, at=now) == []
    later = now + timedelta(hours=1)
    assert gaps(instance, FLOW, hours, settling, at=later) == hours[2:]
    assert gaps(instance, FLOW, hours, None, at=later) == []
    collected(instance, hours[3], at=hours[3].end + timedelta(hours=1))
    assert gaps(instance, FLOW, hours, settling, at=now + timedelta(minutes=29)) == []


def launched(
    repository: dg.RepositoryDefinition, name: str, at: str, instance: dg.DagsterInstance
) -> list[tuple[str, str]]:
    schedule = repository.get_schedule_def(name)
    context = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=datetime.fromisoformat(at),
        repository_def=repository,
    )
    found: list[tuple[str, str]] = []
    for request in schedule.evaluate_tick(context).run_requests or []:
        tags = request.tags
        if SINGLE in tags:
            found.append((tags[SINGLE], tags[SINGLE]))
        else:
            found.append(bounds(request))
    return found


def test_the_hourly_schedules_launch_the_newest_closed_hours(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance
) -> None:
    at = "2026-11-21T14:05:00+00:00"
    assert launched(repository, "collect_metadata_hourly", at, instance) == [
        ("2026-11-21-13:00", "2026-11-21-13:00")
    ]
    assert launched(repository, "collect_queries_hourly", at, instance) == [
        ("2026-11-21-11:00", "2026-11-21-13:00")
    ]


def test_ledger_6_fill_gaps_includes_the_newest_closed_hour_and_goes_newest_first(
    repository: dg.RepositoryDefinition,
) -> None:
    with dg.instance_for_test() as on_disk:
        found = launched(
            repository, "fill_gaps_of_collect_metadata", "2026-11-21T14:50:00+00:00", on_disk
        )
    assert found == [
        ("2026-11-20-14:00", "2026-11-21-13:00"),
        ("2026-11-19-14:00", "2026-11-20-13:00"),
    ]


@pytest.mark.parametrize(
    ("job", "flow"), [("collect_metadata", "metadata"), ("collect_queries", "query_logs")]
)
def test_a_run_that_fills_a_gap_keeps_the_tag_of_its_flow_and_says_why(
    repository: dg.RepositoryDefinition, job: str, flow: str
) -> None:
    with dg.instance_for_test() as on_disk:
        # the context enters the instance anew, and must have left it before the instance is left
        requests = repository.get_schedule_def(f"fill_gaps_of_{job}").evaluate_tick(
            dg.build_schedule_context(
                instance=on_disk,
                scheduled_execution_time=datetime.fromisoformat("2026-11-21T14:50:00+00:00"),
                repository_def=repository,
            )
        )
    tags = [one.tags for one in requests.run_requests or []]
    assert [(one["iomete_mc/flow"], one["iomete_mc/why"]) for one in tags] == [(flow, "gap")] * 2


def test_the_hourly_run_and_its_push_go_before_all_that_a_backfill_of_720_hours_queues(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance
) -> None:
    """The queue takes the highest first. A backfill's runs have no priority, 24 hours at most, and one pool slot."""
    hourly = repository.get_schedule_def("collect_metadata_hourly").evaluate_tick(
        dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=datetime.fromisoformat("2026-11-21T14:05:00+00:00"),
            repository_def=repository,
        )
    )
    [hourly_run] = hourly.run_requests or []
    with dg.instance_for_test() as on_disk:
        filled = repository.get_schedule_def("fill_gaps_of_collect_metadata").evaluate_tick(
            dg.build_schedule_context(
                instance=on_disk,
                scheduled_execution_time=datetime.fromisoformat("2026-11-21T14:50:00+00:00"),
                repository_def=repository,
            )
        )
    gap_run = (filled.run_requests or [])[0]
    newest = HourWindow.from_key("2026-11-21-13:00")
    for window in [*hours_from("2026-10-22-00:00", 720), newest]:
        collected(instance, window)
    first, *backfilled = pushes(instance, Cursor(), now=newest.end + timedelta(minutes=6))
    assert bounds(first) == (newest.key, newest.key)
    assert len(backfilled) == 30
    priorities = [priority(one) for one in (first, *backfilled, hourly_run, gap_run)]
    assert priorities[0] > max(priorities[1:])
    assert min(priorities[:-2]) > priority(hourly_run) > priority(gap_run) > 0

    for flow in FLOWS:
        asset = repository.assets_defs_by_key[collected_key(flow)]
        assert asset.backfill_policy == dg.BackfillPolicy.multi_run(24)
        assert asset.op.pool == LAKEHOUSE_POOL
    assert [job.name for job in repository.get_all_jobs() if PRIORITY_TAG in job.tags] == []


def priority(request: dg.RunRequest) -> int:
    return int(request.tags[PRIORITY_TAG])


def test_a_silent_stop_is_seen(instance: dg.DagsterInstance) -> None:
    """Sensors off: the hour collected a moment ago is fine, and overdue half an hour later."""
    window = HourWindow.from_key("2026-11-21-00:00")
    collected(instance, window)
    now = datetime.now(UTC)
    assert overdue(instance, FLOW, now=now) == []
    assert overdue(instance, FLOW, now=now + timedelta(minutes=30)) == [window]
    settled(instance, window)
    assert overdue(instance, FLOW, now=now + timedelta(minutes=30)) == []
    assert newest_collected(instance, FLOW, now=now) == window
    assert newest_collected(instance, FLOW, now=now + timedelta(days=2)) is None


def test_definitions_have_every_asset_with_its_checks(
    repository: dg.RepositoryDefinition,
) -> None:
    keys = set(repository.assets_defs_by_key)
    hourly = {key(flow) for flow in FLOWS for key in (collected_key, pushed_key)}
    assert keys == {*hourly, READINESS_KEY}
    assert {key.name for key in repository.asset_checks_defs_by_key} == {
        "newest_manifest_complete",
        "omissions_within_limit",
        "databases_still_listed",
        "volume_plausible",
        "fresh_as_usual",
        "collected_on_time",
        "newest_hour_pushed",
        "nothing_left_failed",
        "everything_accepted",
    }
    pushes = {f"push_{flow}" for flow in FLOWS}
    assert {sensor.name for sensor in repository.sensor_defs} == {*pushes, "alert_on_failure"}
    stopped = dg.DefaultSensorStatus.STOPPED
    assert {sensor.default_status for sensor in repository.sensor_defs} == {stopped}


def test_pushed_assets_turn_red_after_three_hours_without_a_push(
    repository: dg.RepositoryDefinition,
) -> None:
    graph = repository.asset_graph
    for flow in FLOWS:
        assert graph.get(pushed_key(flow)).freshness_policy == dg.FreshnessPolicy.time_window(
            warn_window=timedelta(hours=2), fail_window=timedelta(hours=3)
        )
