"""Checks on hours whose manifests cannot be read: a WARN that says so, and the run that evaluates them succeeds."""

# Dagster types its ephemeral instance, runs and events in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.defs.jobs import WATCH
from iomete_mc_assets.defs.keys import FLOWS, collected_key
from iomete_mc_assets.defs.metadata import MANIFEST_ID
from iomete_mc_assets.defs.resources import ManifestStoreResource
from iomete_mc_assets.manifests.model import Collector, Draft, Verdict
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.push_bench import SOURCE

FLOW = "catalog_snapshot"
MANIFEST = "m001"
HOUR = HourWindow.newest_closed(datetime.now(UTC))


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster resolves every resource's variables when a run is made."""
    for name in ("MCD_INGEST_ID", "MCD_INGEST_TOKEN", "MCD_RESOURCE_UUID"):
        monkeypatch.setenv(name, "x")
    for name in ("IOMETE_URL", "IOMETE_USER", "IOMETE_TOKEN"):
        monkeypatch.setenv(name, "x")


def collected(instance: dg.DagsterInstance, root: Path) -> None:
    """An hour in the store and in Dagster."""
    store = ManifestStore.over(Storage.open(str(root)), source=SOURCE)
    draft = Draft(
        flow=FLOW,
        window=HOUR,
        collected_at=HOUR.end,
        collector=Collector(name=FLOW, version="1"),
        records=[],
        verdict=lambda: Verdict(state="complete"),
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
    assert run.success
    said = run.get_asset_check_evaluations()
    return {(one.asset_key.to_user_string(), one.check_name): one for one in said}


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
    assert len(said) == len(FLOWS) * 5


def test_checks_of_a_deployment_younger_than_their_look_back_succeed(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    root = tmp_path / "manifests"
    collected(instance, root)
    start = (HOUR.start - timedelta(hours=2)).strftime("%Y-%m-%d-%H:00")
    assert len(watched(instance, str(root), IOMETE_MC_START=start)) == len(FLOWS) * 5
