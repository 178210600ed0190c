"""Checks as Dagster stores them after a run of ``watch``: what alarms, what it names, and what cannot be read."""

# Dagster types its ephemeral instance, runs and events in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from iomete_mc_assets.defs.build import build_definitions, default_resources
from iomete_mc_assets.defs.checks import checks
from iomete_mc_assets.defs.collected import collected_assets
from iomete_mc_assets.defs.jobs import WATCH, jobs
from iomete_mc_assets.defs.keys import FLOWS, collected_key, pushed_key
from iomete_mc_assets.defs.metadata import COLLECTED_AT, KEPT, MANIFEST_ID
from iomete_mc_assets.defs.partitions import accepting_beta, hourly
from iomete_mc_assets.defs.pushed import pushed_assets
from iomete_mc_assets.defs.resources import ManifestStoreResource
from iomete_mc_assets.defs.schedules import WATCH_CRON
from iomete_mc_assets.manifests.history import remember
from iomete_mc_assets.manifests.model import Changes, Collector, Draft, Header, JsonValue, Verdict
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.records import Change, Observation, Omission, TableId
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.collecting import COMPLETE, Collecting
from iomete_mc_assets_tests.push_bench import SOURCE

FLOW = "catalog_snapshot"
MANIFEST = "m001"
HOUR = HourWindow.newest_closed(datetime.now(UTC))
ALL = 7 * len(FLOWS) + 2
TABLES = [TableId("lake", ("shop",), name) for name in ("orders", "returns", "stock")]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster resolves every resource's variables when a run is made."""
    for name in ("MCD_INGEST_ID", "MCD_INGEST_TOKEN", "MCD_RESOURCE_UUID"):
        monkeypatch.setenv(name, "x")
    for name in ("IOMETE_URL", "IOMETE_USER", "IOMETE_TOKEN"):
        monkeypatch.setenv(name, "x")


def collected(instance: dg.DagsterInstance, root: Path, verdict: Verdict = COMPLETE) -> None:
    """An hour in the store and in Dagster."""
    store = ManifestStore.over(Storage.open(str(root)), source=SOURCE)
    draft = Draft(
        flow=FLOW,
        window=HOUR,
        collected_at=HOUR.end,
        collector=Collector(name=FLOW, version="1"),
        records=[],
        verdict=lambda: verdict,
    )
    store.write(draft, manifest_id=MANIFEST)
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            collected_key(FLOW), partition=HOUR.key, metadata={MANIFEST_ID: MANIFEST}
        )
    )


def watched(
    instance: dg.DagsterInstance, root: str, **settings: str
) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    """What every check says, of one run of ``watch`` that succeeds."""
    definitions = build_definitions(
        environment=settings,
        resources={"manifests": ManifestStoreResource(options={"IOMETE_MC_MANIFESTS": root})},
    )
    job = definitions.get_repository_def().get_job(WATCH)
    run = job.execute_in_process(instance=instance, raise_on_error=False)
    return evaluated(run)


def evaluated(run: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    """Of a run that succeeded."""
    assert run.success
    said = run.get_asset_check_evaluations()
    return {(one.asset_key.to_user_string(), one.check_name): one for one in said}


def watched_at(
    instance: dg.DagsterInstance, root: str, now: datetime
) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    """The same at an instant of the test's choice."""
    hours = hourly(HOUR.start - timedelta(days=3))
    with accepting_beta():
        assets = [*collected_assets(hours), *pushed_assets(hours)]
    definitions = dg.Definitions(
        assets=assets,
        asset_checks=checks(hours, now=lambda: now),
        jobs=jobs(),
        resources={
            **default_resources(),
            "manifests": ManifestStoreResource(options={"IOMETE_MC_MANIFESTS": root}),
        },
        executor=dg.in_process_executor,
    )
    job = definitions.get_repository_def().get_job(WATCH)
    return evaluated(job.execute_in_process(instance=instance, raise_on_error=False))


def metadata_of(one: dg.AssetCheckEvaluation) -> dict[str, object]:
    return {name: value.value for name, value in one.metadata.items()}


def remembered(
    root: Path,
    observed: Callable[[HourWindow], list[Observation]],
    newest: HourWindow = HOUR,
) -> None:
    """Ten days of observations up to the newest, one in six hours, in a store whose checks have learned from them."""
    store = ManifestStore.over(Storage.open(str(root)), source=SOURCE)
    headers: list[Header] = []
    for number in reversed(range(40)):
        window = HourWindow(newest.start - timedelta(hours=6 * number))
        draft = Draft(
            flow="observations",
            window=window,
            collected_at=window.end,
            collector=Collector(name="observations", version="1"),
            records=observed(window),
            verdict=lambda: Verdict(state="complete"),
        )
        headers.append(store.write(draft, manifest_id=f"m{number}").header)
    remember(store.storage, "observations", headers, store.records)


def newest_manifest(
    said: dict[tuple[str, str], dg.AssetCheckEvaluation],
) -> dg.AssetCheckEvaluation:
    return said[collected_key(FLOW).to_user_string(), "newest_manifest_complete"]


def gone(root: Path) -> None:
    (root / FLOW / HOUR.folder / MANIFEST / "manifest.json").unlink()


def damaged(root: Path) -> None:
    (root / FLOW / HOUR.folder / MANIFEST / "manifest.json").write_text("{")


def unreachable(root: Path) -> None:
    """No folder can be listed or read below a file."""
    root.rename(root.with_name("moved"))
    root.write_text("not a folder")


def no_store(root: Path) -> None:
    root.rename(root.with_name("moved"))


@pytest.mark.parametrize(
    ("harm", "verdict"),
    [
        (gone, "No manifest m001"),
        (damaged, "is damaged"),
        (unreachable, "cannot be read"),
        (no_store, "No manifest store"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_a_warning_and_fails_no_other_check(
    tmp_path: Path, instance: dg.DagsterInstance, harm: Callable[[Path], None], verdict: str
) -> None:
    root = tmp_path / "manifests"
    collected(instance, root)
    assert newest_manifest(watched(instance, str(root))).passed
    harm(root)
    said = watched(instance, str(root))
    newest = newest_manifest(said)
    assert (newest.passed, newest.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert HOUR.key in str(newest.description)
    assert verdict in str(newest.description)
    assert "IOMETE_MC_MANIFESTS" in str(newest.description)
    assert len(said) == ALL


def test_checks_of_a_deployment_younger_than_their_look_back_succeed(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    root = tmp_path / "manifests"
    collected(instance, root)
    start = (HOUR.start - timedelta(hours=2)).strftime("%Y-%m-%d-%H:00")
    assert len(watched(instance, str(root), IOMETE_MC_START=start)) == ALL


def test_sensors_that_are_off_show_within_half_an_hour(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """An hour is collected and nothing pushes it: some run of ``watch`` in the next 30 minutes says so."""
    root = tmp_path / "manifests"
    collected(instance, root)
    at = datetime.now(UTC)
    every = timedelta(minutes=int(WATCH_CRON.removeprefix("*/").split()[0]))
    check = (pushed_key(FLOW).to_user_string(), "newest_hour_pushed")
    assert watched_at(instance, str(root), at + timedelta(minutes=10))[check].passed
    last_run_before = at + timedelta(minutes=30) - every
    said = watched_at(instance, str(root), last_run_before)[check]
    assert (said.passed, said.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert metadata_of(said) == {"overdue": 1, "hours": [HOUR.key]}
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            pushed_key(FLOW), partition=HOUR.key, metadata={MANIFEST_ID: MANIFEST}
        )
    )
    assert watched_at(instance, str(root), last_run_before)[check].passed


def test_an_hour_that_is_collected_again_and_kept_waits_no_less_for_its_push(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    at = datetime.now(UTC)
    check = (pushed_key(FLOW).to_user_string(), "newest_hour_pushed")
    for kept, passes in ((False, True), (True, False)):
        metadata = {
            MANIFEST_ID: MANIFEST,
            KEPT: kept,
            COLLECTED_AT: dg.MetadataValue.timestamp(at - timedelta(minutes=20)),
        }
        instance.report_runless_asset_event(
            dg.AssetMaterialization(collected_key(FLOW), partition=HOUR.key, metadata=metadata)
        )
        said = watched_at(instance, str(tmp_path / "manifests"), at + timedelta(minutes=1))[check]
        assert said.passed is passes


def test_omissions_above_the_limit_are_a_warning_that_names_them(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    def hour(omissions: int) -> None:
        left_out = tuple(
            Omission(scope=f"t{n}", question="history", kind="unknowable", reason="expired")
            for n in range(omissions)
        )
        verdict = Verdict(state="partial", reason=f"{omissions} expired", omissions=left_out)
        seen = [Observation(table=table, row_count=1) for table in TABLES]
        Collecting(root, instance).collect("observations", seen, HOUR, verdict)

    root = tmp_path / "manifests"
    check = (collected_key("observations").to_user_string(), "omissions_within_limit")
    hour(3)
    assert watched(instance, str(root))[check].passed
    hour(4)
    said = watched(instance, str(root))[check]
    assert (said.passed, said.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "IOMETE_MC_OMISSIONS_PERCENT" in str(said.description)
    shown = metadata_of(said)
    assert (shown["omissions"], shown["of"]) == (4, ["t0", "t1", "t2", "t3"])


def test_the_limit_of_omissions_is_a_setting(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_out = tuple(
        Omission(scope=f"t{n}", question="history", kind="unknowable", reason="expired")
        for n in range(5)
    )
    seen = [Observation(table=TableId("lake", ("s",), f"t{n}")) for n in range(10)]
    verdict = Verdict(state="partial", reason="expired", omissions=left_out)
    Collecting(tmp_path, instance).collect("observations", seen, HOUR, verdict)
    check = (collected_key("observations").to_user_string(), "omissions_within_limit")
    monkeypatch.setenv("IOMETE_MC_OMISSIONS_PERCENT", "49")
    assert not watched(instance, str(tmp_path))[check].passed
    monkeypatch.setenv("IOMETE_MC_OMISSIONS_PERCENT", "50")
    assert watched(instance, str(tmp_path))[check].passed


def test_a_database_that_vanished_is_named_for_a_day_or_until_it_is_listed_again(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    hours = [HOUR.previous.previous.previous, HOUR.previous.previous, HOUR.previous, HOUR]
    check = (collected_key(FLOW).to_user_string(), "databases_still_listed")
    world = Collecting(tmp_path, instance)

    def hour(window: HourWindow, *listed: str, dropped: str | None = None) -> None:
        gone = (
            [Change(kind="database dropped", scope=dropped, before="3 tables")] if dropped else []
        )
        changes = Changes(
            since=window.previous, counts={"database dropped": len(gone)}, sample=tuple(gone)
        )
        state: dict[str, JsonValue] = {"databases": [*listed]}
        verdict = Verdict(state="complete", collector_state=state, changes=changes)
        world.collect(FLOW, [], window, verdict)

    hour(hours[0], "lake.raw", "lake.shop")
    assert watched(instance, str(tmp_path))[check].passed
    hour(hours[1], "lake.raw", dropped="lake.shop")
    hour(hours[2], "lake.raw")
    said = watched(instance, str(tmp_path))[check]
    assert (said.passed, said.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert f"lake.shop since {hours[1].key}, with 3 tables" in str(said.description)
    assert metadata_of(said)["of"] == ["lake.shop"]
    a_day_later = datetime.now(UTC) + timedelta(hours=24, minutes=1)
    assert watched_at(instance, str(tmp_path), a_day_later)[check].passed
    hour(hours[3], "lake.raw", "lake.shop")
    assert watched(instance, str(tmp_path))[check].passed


def test_unreadable_tables_are_named(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    omissions = (
        Omission(scope="lake.shop.orders", question="columns", kind="unreadable", reason="denied"),
        Omission(scope="lake.shop.stock", question="history", kind="unknowable", reason="expired"),
    )
    verdict = Verdict(state="partial", reason="one", omissions=omissions)
    collected(instance, tmp_path / "manifests", verdict)
    newest = newest_manifest(watched(instance, str(tmp_path / "manifests")))
    assert not newest.passed
    assert metadata_of(newest)["of"] == ["lake.shop.orders"]


def test_tables_that_are_emptied_or_stale_are_named(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Ten days in which three tables change every six hours; then one is emptied, and one stopped twelve hours ago."""
    orders, returns, stock = TABLES

    def observed(window: HourWindow) -> list[Observation]:
        at, rows = window.start, 0 if window == HOUR else 500
        stopped = HOUR.start - timedelta(hours=12)
        return [
            Observation(table=orders, row_count=rows, last_data_change=at),
            Observation(table=returns, row_count=9, last_data_change=min(at, stopped)),
            Observation(table=stock, row_count=90, last_data_change=at),
        ]

    remembered(tmp_path, observed)
    said = watched(instance, str(tmp_path))
    asset = collected_key("observations").to_user_string()
    volume, fresh = said[asset, "volume_plausible"], said[asset, "fresh_as_usual"]
    for check, name in ((volume, orders.shown), (fresh, returns.shown)):
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert metadata_of(check)["of"] == [name]
        assert (
            f"1 {'not as many rows as usual' if check is volume else 'older than usual'}: {name}: "
            in str(check.description)
        )
    assert "| lake.shop.orders | 0 | 500 to 500 |" in str(metadata_of(volume)["shown"])
    assert said[collected_key("query_logs").to_user_string(), "volume_plausible"].passed


def test_a_run_teaches_the_checks_of_its_hour(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    def observed(window: HourWindow) -> list[Observation]:
        return [Observation(table=TABLES[0], row_count=500, last_data_change=window.start)]

    remembered(tmp_path, observed, HOUR.previous)
    check = (collected_key("observations").to_user_string(), "volume_plausible")
    assert watched(instance, str(tmp_path))[check].passed
    emptied = Observation(table=TABLES[0], row_count=0, last_data_change=HOUR.start)
    Storage.open(str(tmp_path)).remove("store.json")  # it names another lakehouse than the run's
    collecting = Collecting(tmp_path, instance, IOMETE_MC_TABLE_ASSETS="off")
    collecting.collect("observations", [emptied], HOUR)
    assert not watched(instance, str(tmp_path))[check].passed


def test_a_history_that_is_damaged_is_a_warning_and_costs_no_hour(
    tmp_path: Path, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    collecting = Collecting(tmp_path, instance)
    collecting.collect("observations", [], HOUR)
    collecting.storage.write("history/observations.json", b"{")
    said = watched(instance, str(tmp_path))
    asset = collected_key("observations").to_user_string()
    for name in ("volume_plausible", "fresh_as_usual"):
        assert not said[asset, name].passed
        assert "history/observations.json is damaged" in str(said[asset, name].description)
        assert "delete its folder history" in str(said[asset, name].description)
    collecting.collect("observations", [], HOUR)
    assert "what checks compare with stays as it was" in caplog.text
    collecting.storage.remove("history")
    collecting.collect("observations", [], HOUR)
    assert watched(instance, str(tmp_path))[asset, "fresh_as_usual"].passed
