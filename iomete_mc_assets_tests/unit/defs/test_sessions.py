"""Which session a collected asset opens at the lakehouse, as it crosses the wire."""

# Dagster types its ephemeral instance in part only.
# pyright: reportUnknownMemberType=false

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from iomete_mc_assets.defs.collected import collected_assets
from iomete_mc_assets.defs.keys import collected_key
from iomete_mc_assets.defs.partitions import accepting_beta, hourly
from iomete_mc_assets.defs.resources import HourlyDrafts, LakehouseResource, ManifestStoreResource
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets_tests.thrift_http import HttpScript, SparkScript

INTERPRETED = "set:hiveconf:spark.sql.codegen.wholeStage"


@pytest.mark.parametrize(
    ("flow", "interpreted"), [("query_logs", False), ("catalog_snapshot", True)]
)
def test_query_logs_are_scanned_with_generated_code_and_catalogs_are_interpreted(
    flow: Flow, interpreted: bool, tmp_path: Path
) -> None:
    with accepting_beta():
        assets = collected_assets(hourly(datetime(2026, 1, 1, tzinfo=UTC)))
    [asset] = [asset for asset in assets if asset.key == collected_key(flow)]
    spark, options = SparkScript(), {"IOMETE_QUERY_LOG_TABLE": "spark_catalog.ops.query_history"}
    with HttpScript(spark) as server, dg.DagsterInstance.ephemeral() as instance:
        resources: dict[str, object] = {
            "lakehouse": LakehouseResource(url=server.url, user="u", token="t", options=options),
            "manifests": ManifestStoreResource(options={"IOMETE_MC_MANIFESTS": str(tmp_path)}),
        }
        needed = {
            name: one for name, one in resources.items() if name in asset.required_resource_keys
        }
        with dg.build_asset_context(partition_key="2026-01-02-05:00", instance=instance) as context:
            drafts = asset(context, **needed)
        assert isinstance(drafts, HourlyDrafts)
        list(drafts)
    [configuration] = spark.configurations
    assert (INTERPRETED in configuration) == interpreted
