"""What helps people find their way: owners, links and questions on assets, tags on every run."""

# Dagster types what it runs in part only.
# pyright: reportUnknownMemberType=false

from pathlib import Path

import dagster as dg
import pytest

from iomete_mc_assets.defs.browsing import Guide
from iomete_mc_assets.defs.build import build_definitions, default_resources
from iomete_mc_assets.defs.jobs import jobs
from iomete_mc_assets.defs.keys import (
    FLOWS,
    IMPORTED_KEY,
    PUSHED_IMPORTED_KEY,
    READINESS_KEY,
    collected_key,
    pushed_key,
)
from iomete_mc_assets.defs.partitions import accepting_beta, hourly
from iomete_mc_assets.defs.pushed import pushed_assets
from iomete_mc_assets.defs.resources import ManifestStoreResource, MonteCarloResource
from iomete_mc_assets.errors import SettingsError
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets_tests.collecting import HOUR, Collecting

# an instance that another module closed stays the one that definitions are loaded with, until a new one is there
pytestmark = pytest.mark.usefixtures("instance")

OURS = [
    *(key for flow in FLOWS for key in (collected_key(flow), pushed_key(flow))),
    *(IMPORTED_KEY, PUSHED_IMPORTED_KEY, READINESS_KEY),
]


def specs(**environment: str) -> dict[dg.AssetKey, dg.AssetSpec]:
    seen = {"IOMETE_MC_IMPORTS": "dropped", **environment}
    graph = build_definitions(environment=seen).get_repository_def().assets_defs_by_key
    return {key: graph[key].get_asset_spec(key) for key in OURS}


def test_assets_have_the_owners_that_are_set() -> None:
    owned = specs(IOMETE_MC_OWNERS="team:data-platform, ana@example.com")
    assert {tuple(spec.owners) for spec in owned.values()} == {
        ("team:data-platform", "ana@example.com")
    }
    assert {tuple(spec.owners) for spec in specs().values()} == {()}


@pytest.mark.parametrize("owner", ["ana", "team:", "ana@example", "ana@example.consulting"])
def test_an_owner_that_dagster_would_refuse_is_named_with_its_setting(owner: str) -> None:
    with pytest.raises(SettingsError, match=f"IOMETE_MC_OWNERS: .*{owner}.* is neither"):
        Guide.read({"IOMETE_MC_OWNERS": f"ana@example.com,{owner}"})


def test_every_asset_says_which_question_it_answers_and_where_to_read_on() -> None:
    for spec in specs(IOMETE_MC_DOCS_URL="https://git.example/docs/").values():
        assert spec.description is not None
        assert spec.description.count("?*") == 1
        assert "[operating.md](https://git.example/docs/operating.md)" in spec.description
    for spec in specs().values():
        assert "`docs/operating.md`" in str(spec.description)


@pytest.mark.parametrize(
    ("flow", "tag"),
    [
        ("catalog_snapshot", "metadata"),
        ("observations", "metadata"),
        ("query_logs", "query_logs"),
    ],
)
def test_a_collecting_run_from_the_ui_is_tagged_as_its_jobs_are(
    tmp_path: Path, instance: dg.DagsterInstance, flow: Flow, tag: str
) -> None:
    Collecting(tmp_path, instance).collect(flow, [], HOUR)
    [run] = instance.get_runs(dg.RunsFilter(tags={"iomete_mc/flow": tag}))
    assert run.job_name == "__ephemeral_asset_job__"
    tags = {job.name: (job.tags or {})["iomete_mc/flow"] for job in jobs()}
    assert tag in (tags["collect_metadata"], tags["collect_queries"])


def test_a_pushing_run_from_the_ui_is_tagged_as_its_job_is(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Also one that fails: nothing was collected."""
    Collecting(tmp_path, instance).collect("query_logs", [], HOUR)
    options = {"IOMETE_MC_MANIFESTS": str(tmp_path)}
    with accepting_beta():
        assets = pushed_assets(hourly(HOUR.previous.start))
    monte_carlo = MonteCarloResource(
        key_id="id", key_secret="x", resource_uuid="7fb80000-0000-4000-8000-000000000000"
    )
    result = dg.materialize(
        assets,
        selection=[pushed_key("observations")],
        partition_key=HOUR.key,
        instance=instance,
        resources={
            **default_resources(),
            "manifests": ManifestStoreResource(options=options),
            "monte_carlo": monte_carlo,
        },
        raise_on_error=False,
    )
    assert not result.success
    [run] = instance.get_runs(dg.RunsFilter(tags={"iomete_mc/flow": "observations"}))
    assert run.run_id == result.run_id
