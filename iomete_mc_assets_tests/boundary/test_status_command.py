"""`iomete-mc status` over stores that were really collected into and pushed from, on disk and in a bucket."""

import json
from datetime import timedelta
from typing import get_args

import pytest
from click.testing import CliRunner, Result

from iomete_mc_assets import clock
from iomete_mc_assets.cli.main import main
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.operations.imports import store_of, take_in
from iomete_mc_assets.push.ledger import Log, Owner, opened
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox import other_collectors as samples
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.object_store import ObjectStore
from iomete_mc_assets_tests.push_bench import Bench, edges, entries, observed, queries

FLOWS: tuple[Flow, ...] = get_args(Flow)


@pytest.fixture
def hour() -> HourWindow:
    """The newest closed hour of the real clock, which the command reads."""
    return HourWindow.newest_closed(clock.now())


@pytest.fixture
def bench(gateway: Gateway, store_root: str, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("IOMETE_MC_MANIFESTS", store_root)
    bench = Bench(gateway, store_root)
    bench.clock.instant = clock.now()
    return bench


def asked(*words: str) -> Result:
    return CliRunner().invoke(main, ["status", *words])


def told(*words: str) -> dict[str, dict[str, object]]:
    """The flows of the JSON answer by name."""
    answer = json.loads(asked(*words, "--json").output)
    return {flow["flow"]: flow for flow in answer["flows"]}


def collected(bench: Bench, window: HourWindow) -> None:
    bench.collect("catalog_snapshot", entries(3), window=window)
    bench.collect("observations", observed(3), window=window)
    bench.collect("query_logs", queries(3, window=window), window=window)
    bench.collect("lineage", edges(3, window=window), window=window)


def test_ledger_when_all_is_pushed_each_flow_shows_its_newest_hours_and_nothing_wants_a_person(
    bench: Bench, hour: HourWindow
) -> None:
    for window in (hour.previous, hour):
        collected(bench, window)
    for flow in FLOWS:
        bench.push(flow)
    answer = asked("--json")
    assert answer.exit_code == 0, answer.output
    document = json.loads(answer.output)
    assert (document["store"], document["exit_code"], document["alarms"]) == (
        bench.store.root,
        0,
        [],
    )
    for flow in document["flows"]:
        (there,) = flow["destinations"]
        pushed = bench.sent(flow["flow"], bench.named[flow["flow"]][hour], window=hour).settled()
        assert pushed is not None
        assert flow["newest_collected"]["partition"] == hour.key
        assert flow["newest_collected"]["records"] == 3
        assert there["newest_pushed"] == {
            "partition": hour.key,
            # its tables are not known for a quarter of an hour yet
            "status": "nothing_to_send" if flow["flow"] == "lineage" else "pushed",
            "settled_at": pushed.settled_at.isoformat(),
            "invocation_ids": list(pushed.invocation_ids),
        }
        assert (there["unsettled"], there["open_ledgers"], there["in_doubt"]) == ([], [], 0)
    words = asked()
    assert (words.exit_code, "nothing wants a person" in words.output) == (0, True)
    assert words.output.count(f"{hour.key} complete") == 4
    assert words.output.count(f"{hour.key} pushed") == 3


def test_a_flow_that_stopped_being_collected_is_exit_code_3_and_an_hour_not_yet_due_is_not(
    bench: Bench, hour: HourWindow
) -> None:
    old = HourWindow(hour.start - timedelta(hours=3))
    collected(bench, old)
    for flow in FLOWS:
        bench.push(flow)
    answer = asked("--late-minutes", "120")
    assert answer.exit_code == 3
    assert f"catalog_snapshot was last collected for hour {old.key}" in answer.output
    assert asked("--late-minutes", "180").exit_code == 0


def test_a_flow_that_was_never_collected_is_exit_code_3_unless_it_is_not_asked_for(
    bench: Bench, hour: HourWindow
) -> None:
    bench.collect("query_logs", queries(3, window=hour), window=hour)
    bench.push("query_logs")
    answer = asked()
    assert answer.exit_code == 3
    assert "observations was never collected" in answer.output
    assert asked("--flow", "query_logs").exit_code == 0


def test_an_hour_that_is_not_settled_in_time_is_exit_code_4_with_the_push_that_mends_it(
    bench: Bench, hour: HourWindow
) -> None:
    bench.clock.instant -= timedelta(minutes=30)
    bench.collect("query_logs", queries(3, window=hour), window=hour)
    bench.gateway.rule(faults.answers(503))
    bench.push("query_logs")
    answer = asked("--flow", "query_logs", "--late-minutes", "20")
    assert answer.exit_code == 4
    assert f"`iomete-mc push query_logs {hour.key}`" in answer.output
    assert told()["query_logs"]["destinations"][0]["unsettled"] == [hour.key]  # pyright: ignore[reportIndexIssue, reportUnknownVariableType] - JSON
    assert asked("--flow", "query_logs", "--late-minutes", "60").exit_code == 0


def test_what_was_never_pushed_anywhere_is_exit_code_4(bench: Bench, hour: HourWindow) -> None:
    bench.clock.instant -= timedelta(minutes=30)
    bench.collect("query_logs", queries(3, window=hour), window=hour)
    answer = asked("--flow", "query_logs", "--late-minutes", "20")
    assert (answer.exit_code, "never pushed anywhere" in answer.output) == (4, True)


@pytest.mark.parametrize(
    ("fault", "figures"), [(faults.accept_then_reset, (3, 0)), (faults.answers(400), (0, 3))]
)
def test_events_without_an_answer_and_refused_ones_are_counted_and_exit_code_5(
    bench: Bench, hour: HourWindow, fault: faults.Fault, figures: tuple[int, int]
) -> None:
    bench.collect("query_logs", queries(3, window=hour), window=hour)
    bench.gateway.rule(fault)
    bench.push("query_logs")
    answer = asked("--flow", "query_logs", "--json")
    assert answer.exit_code == 5
    document = json.loads(answer.output)
    (there,) = document["flows"][0]["destinations"]
    assert (there["in_doubt"], there["refused"]) == figures
    assert [alarm["kind"] for alarm in document["alarms"]] == ["not_accepted"]


@pytest.mark.parametrize("flow", ["catalog_snapshot", "query_logs"])
def test_an_open_plan_says_whose_it_is_and_when_it_is_free_and_an_interrupted_one_that_it_is(
    bench: Bench, hour: HourWindow, flow: Flow
) -> None:
    collected(bench, hour)
    header = bench.store.current(flow, hour)
    assert header is not None
    at = bench.config.destination.id
    folder = f"{flow}/ledger/{at}" + (f"/{hour.folder}" if flow == "query_logs" else "")
    log = Log(bench.storage, folder)
    deadline = bench.clock.now() + timedelta(minutes=25)
    nobody = Owner(run_id="killed", root_run_id="killed", is_finished=lambda _: False)
    log.append(
        None,
        opened(
            None,
            nobody,
            window=hour,
            manifest_id=header.manifest_id,
            generation=1,
            deadline=deadline,
        ),
    )
    (there,) = told("--flow", flow)[flow]["destinations"]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType] - JSON
    free_at = deadline + timedelta(minutes=10)
    assert there["open_ledgers"] == [
        {"partition": hour.key, "run_id": "killed", "free_at": free_at.isoformat()}
    ]
    bench.finished.add("killed")
    bench.gateway.rule(faults.answers(503))
    bench.push(flow, run="next")
    (there,) = told("--flow", flow)[flow]["destinations"]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType] - JSON
    assert there["open_ledgers"] == [{"partition": hour.key, "run_id": "next", "free_at": None}]
    assert "(interrupted)" in asked("--flow", flow).output


def test_with_a_warehouse_set_only_its_destination_counts(
    bench: Bench, hour: HourWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.clock.instant -= timedelta(minutes=30)
    bench.collect("query_logs", queries(3, window=hour), window=hour)
    bench.push("query_logs")
    late = ("--flow", "query_logs", "--late-minutes", "20")
    assert asked(*late).exit_code == 0
    monkeypatch.setenv("MCD_INGEST_ENDPOINT", bench.gateway.url)
    monkeypatch.setenv("MCD_RESOURCE_UUID", bench.gateway.resource_uuid)
    assert asked(*late).exit_code == 0
    monkeypatch.setenv("MCD_RESOURCE_UUID", "00000000-0000-4000-8000-000000000000")
    assert asked(*late).exit_code == 4


def test_a_store_that_is_not_there_is_damaged_or_cannot_be_read_is_exit_code_1_and_not_empty(
    s3_root: str,
    gateway: Gateway,
    object_store: ObjectStore,
    hour: HourWindow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IOMETE_MC_MANIFESTS", s3_root)
    absent = asked()
    assert (absent.exit_code, "No manifest store" in absent.output) == (1, True)
    bench = Bench(gateway, s3_root)
    manifest_id = bench.collect("query_logs", queries(3, window=hour), window=hour)
    monkeypatch.setattr(object_store, "denying", True)
    denied = asked()
    assert (denied.exit_code, "cannot be read" in denied.output) == (1, True)
    assert s3_root in denied.output
    monkeypatch.setattr(object_store, "denying", False)
    folder = bench.store.folder("query_logs", hour, manifest_id)
    bench.storage.write(f"{folder}/manifest.json", b"{")
    damaged = asked()
    assert (damaged.exit_code, "is damaged" in damaged.output) == (1, True)


def test_imported_files_are_told_by_source_and_alarm_only_when_they_were_not_sent(
    bench: Bench, hour: HourWindow
) -> None:
    collected(bench, hour)
    for flow in FLOWS:
        bench.push(flow)
    assert asked().exit_code == 0
    at = clock.now() - timedelta(minutes=30)
    document = samples.query_logs("hive", collected_at=at, starts=(at - timedelta(hours=1),))
    take_in(
        store_of(bench.store.root, "prod"),
        json.dumps(document).encode(),
        file="prod/q.json",
        query_text="whole",
        now=clock.now(),
    )
    answer = asked("--late-minutes", "20", "--json")
    assert answer.exit_code == 4
    alarms = json.loads(answer.output)["alarms"]
    assert [alarm["flow"] for alarm in alarms] == ["imported/prod query_logs"]
    assert "prod/q.json" in alarms[0]["text"]
    assert "imported/prod query_logs" in asked().output
    assert asked("--late-minutes", "60").exit_code == 0
