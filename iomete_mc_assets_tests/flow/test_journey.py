"""From a lakehouse to accepted invocation ids, and what happens on the way when something is down or repeated."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import dagster as dg

from iomete_mc_assets import clock
from iomete_mc_assets.defs.keys import COLLECT_METADATA, COLLECT_QUERIES, FLOWS, collected_key
from iomete_mc_assets.defs.materializations import json_list, manifest_id, text_metadata
from iomete_mc_assets.defs.metadata import INVOCATION_IDS, PUSH_STATUS
from iomete_mc_assets.defs.sensors import Cursor, tick
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.records import QueryRecord
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.flow.conftest import AGAIN_S, World, definitions_between

START = Cursor()


def collect_everything(world: World, hours: list[HourWindow]) -> None:
    for job in (COLLECT_METADATA, COLLECT_QUERIES):
        assert world.run(job, hours).success


def push_everything(world: World, *, now_s: float | None = None) -> list[bool]:
    at = clock.now().timestamp() if now_s is None else now_s
    return [ok for flow in FLOWS for ok in world.push_what_sensors_ask(START, flow, now_s=at)]


def test_every_materialised_hour_is_settled_and_shows_its_invocation_ids(
    world: World, gateway: Gateway, last_hours: list[HourWindow]
) -> None:
    collect_everything(world, last_hours)
    assert push_everything(world) == [True] * len(FLOWS)

    accepted = {request.invocation_id for request in gateway.requests}
    shown: set[object] = set()
    for flow in FLOWS:
        pushed, collected = world.pushed(flow), world.collected(flow)
        assert sorted(pushed) == last_hours
        assert {w: manifest_id(r) for w, r in pushed.items()} == {
            w: manifest_id(r) for w, r in collected.items()
        }
        shown |= {i for record in pushed.values() for i in json_list(record, INVOCATION_IDS)}
    assert shown == accepted

    def words(flow: Flow) -> list[str | None]:
        settled = world.pushed(flow)
        return [text_metadata(settled[window], PUSH_STATUS) for window in last_hours]

    assert words("query_logs") == ["pushed", "pushed", "pushed"]
    assert words("observations") == ["superseded", "superseded", "pushed"]
    assert words("catalog_snapshot") == ["nothing_to_send", "nothing_to_send", "pushed"]
    assert words("lineage") == ["nothing_to_send"] * len(last_hours)


def test_the_collected_partition_shows_the_ids_of_its_push(
    world: World, gateway: Gateway, last_hours: list[HourWindow]
) -> None:
    newest = last_hours[-1:]
    assert world.run(COLLECT_QUERIES, newest).success
    push_everything(world)
    observed = world.instance.fetch_observations(collected_key("query_logs"), limit=10).records
    shown = [
        record.asset_observation.metadata[INVOCATION_IDS].value
        for record in observed
        if record.asset_observation
    ]
    assert shown == [[gateway.requests[0].invocation_id]]


def test_what_is_collected_twice_is_kept_and_sent_once(
    world: World, gateway: Gateway, last_hours: list[HourWindow]
) -> None:
    collect_everything(world, last_hours)
    push_everything(world)
    ids = {flow: {w: manifest_id(r) for w, r in world.collected(flow).items()} for flow in FLOWS}
    requests = len(gateway.requests)

    collect_everything(world, last_hours)
    push_everything(world)

    again = {flow: {w: manifest_id(r) for w, r in world.collected(flow).items()} for flow in FLOWS}
    assert again == ids
    assert len(gateway.requests) == requests


def test_a_cleared_cursor_asks_for_nothing_that_is_settled(
    world: World, last_hours: list[HourWindow]
) -> None:
    collect_everything(world, last_hours)
    push_everything(world)
    for flow in FLOWS:
        asked = tick(world.instance, flow, START, now_s=clock.now().timestamp(), again_s=AGAIN_S)
        assert isinstance(asked, dg.SensorResult)
        assert not asked.run_requests
        assert "settled already" in str(asked.skip_reason)


def test_an_hour_that_is_being_pushed_is_not_asked_for_again(
    world: World, last_hours: list[HourWindow]
) -> None:
    assert world.run(COLLECT_QUERIES, last_hours).success
    asked = tick(
        world.instance, "query_logs", START, now_s=clock.now().timestamp(), again_s=AGAIN_S
    )
    assert isinstance(asked, dg.SensorResult)
    [request] = asked.run_requests or []
    world.instance.create_run_for_job(
        job_def=world.definitions.get_repository_def().get_job("push_query_logs"),
        tags=dict(request.tags),
        status=dg.DagsterRunStatus.STARTED,
    )
    late = clock.now().timestamp() + AGAIN_S
    again = tick(world.instance, "query_logs", Cursor(after=10**9), now_s=late, again_s=AGAIN_S)
    assert isinstance(again, dg.SensorResult)
    assert not again.run_requests
    assert "3 being pushed" in str(again.skip_reason)


def test_a_gateway_that_is_down_costs_nothing_but_time(
    sandbox: RunningLakehouse,
    tmp_path: Path,
    instance: dg.DagsterInstance,
    last_hours: list[HourWindow],
) -> None:
    """Collected hours stay, the push run says the address, and the slow pass pushes when it is back."""
    state = tmp_path / "gateway"
    with Gateway(state) as gateway:
        url = gateway.url
        world = World(
            instance=instance,
            definitions=definitions_between(
                sandbox, gateway, tmp_path / "manifests", IOMETE_MC_HOUR_BUDGET_S="1"
            ),
            root=tmp_path / "manifests",
        )
    assert world.run(COLLECT_QUERIES, last_hours).success
    # edges wait for their tables, so that nothing of lineage is sent
    assert push_everything(world) == [False, True]
    assert sorted(world.collected("query_logs")) == last_hours
    assert world.pushed("query_logs") == {}
    failed = world.instance.get_run_records(dg.RunsFilter(job_name="push_query_logs"))[0]
    logs = world.instance.all_logs(failed.dagster_run.run_id)
    told = " ".join(event.message + str(event.dagster_event) for event in logs)
    assert url.removeprefix("http://") in told

    with Gateway(state) as gateway:
        assert gateway.url == url
        late = clock.now().timestamp() + AGAIN_S
        cursor = Cursor(after=10**9)  # nothing new: only the slow pass can ask
        assert world.push_what_sensors_ask(cursor, "query_logs", now_s=late) == [True]
        assert sorted(world.pushed("query_logs")) == last_hours
        assert gateway.duplicate_query_ids() == {}


def test_an_emptied_dagster_sends_nothing_again(
    world: World,
    other_instance: dg.DagsterInstance,
    gateway: Gateway,
    last_hours: list[HourWindow],
) -> None:
    collect_everything(world, last_hours)
    push_everything(world)
    requests = len(gateway.requests)

    emptied = World(instance=other_instance, definitions=world.definitions, root=world.root)
    collect_everything(emptied, last_hours)
    assert push_everything(emptied) == [True] * len(FLOWS)
    assert all(sorted(emptied.pushed(flow)) == last_hours for flow in FLOWS)
    assert len(gateway.requests) == requests


def test_an_hour_that_has_not_ended_fails_alone(world: World, last_hours: list[HourWindow]) -> None:
    """The good hours of the range are reported, the open one is red with its reason."""
    unended = HourWindow.holding(clock.now() + timedelta(hours=1))
    hours = [unended.previous.previous.previous]
    while hours[-1] < unended:
        hours.append(hours[-1].next)
    result = world.run(COLLECT_QUERIES, hours)
    assert not result.success
    assert unended not in world.collected("query_logs")
    assert hours[0] in world.collected("query_logs")


def test_an_event_of_another_store_is_refused_by_name(
    world: World,
    other_instance: dg.DagsterInstance,
    sandbox: RunningLakehouse,
    gateway: Gateway,
    last_hours: list[HourWindow],
) -> None:
    newest = last_hours[-1:]
    assert world.run(COLLECT_QUERIES, newest).success
    elsewhere = world.root.parent / "elsewhere"
    other = World(
        instance=other_instance,
        definitions=definitions_between(sandbox, gateway, elsewhere),
        root=elsewhere,
    )
    assert other.run(COLLECT_QUERIES, newest).success
    mixed = World(instance=world.instance, definitions=other.definitions, root=elsewhere)
    assert push_everything(mixed) == [False, False]  # query logs and lineage
    assert gateway.requests == ()


def test_queries_are_sent_once_each(
    world: World, gateway: Gateway, last_hours: list[HourWindow]
) -> None:
    assert world.run(COLLECT_QUERIES, last_hours).success
    push_everything(world)
    store = world.store
    headers = [store.header("query_logs", w, manifest_of(world, w)) for w in last_hours]
    collected = Counter(
        record.query_id
        for header in headers
        for record in store.records(header)
        if isinstance(record, QueryRecord)
    )
    sent = Counter(event.content["query_id"] for event in gateway.events("querylogs"))
    assert sent == collected
    assert set(sent.values()) == {1}


def manifest_of(world: World, window: HourWindow) -> str:
    return manifest_id(world.collected("query_logs")[window]) or ""
