"""A required variable that is not set: everything loads, and the run that needs it says which one and what it takes."""

# Dagster types its events in part only.
# pyright: reportUnknownMemberType=false

from pathlib import Path

import dagster as dg
import pytest

from iomete_mc_assets import settings
from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.settings import Setting
from iomete_mc_assets_tests.push_bench import HOUR, SOURCE

LAKEHOUSE = (settings.IOMETE_URL, settings.IOMETE_USER, settings.IOMETE_TOKEN)
MONTE_CARLO = (settings.MCD_INGEST_ID, settings.MCD_INGEST_TOKEN, settings.MCD_RESOURCE_UUID)
SET = {
    "IOMETE_URL": "http://lake.example/cliservice",
    "IOMETE_USER": "ann",
    "IOMETE_TOKEN": "hunter2",
    "MCD_INGEST_ID": "key",
    "MCD_INGEST_TOKEN": "hunter3",
    "MCD_RESOURCE_UUID": "00000000-0000-0000-0000-000000000001",
}
NEEDED = [
    *(("collect_metadata", missing) for missing in LAKEHOUSE),
    *(("push_query_logs", missing) for missing in MONTE_CARLO),
]


@pytest.mark.parametrize(
    ("job", "missing"), NEEDED, ids=lambda given: getattr(given, "name", given)
)
def test_a_missing_variable_is_named_with_what_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: str, missing: Setting[str]
) -> None:
    for name in SET.keys() - {missing.name}:
        monkeypatch.setenv(name, SET[name])
    monkeypatch.setenv("IOMETE_MC_MANIFESTS", str(tmp_path))
    if job == "push_query_logs":
        ManifestStore.open(str(tmp_path), source=SOURCE)
    definition = build_definitions().get_repository_def().get_job(job)
    with dg.DagsterInstance.ephemeral() as instance:
        result = definition.execute_in_process(
            instance=instance, partition_key=HOUR.key, raise_on_error=False
        )
    assert not result.success
    told = "\n".join(str(event.event_specific_data) for event in result.all_events)
    assert f"{missing.name} is not set: {missing.meaning} Set it to {missing.takes}." in told
    assert "hunter" not in told
