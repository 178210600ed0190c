"""Real definitions on an ephemeral instance, between the sandbox lakehouse, a store of the test's own and a gateway."""

# Dagster types its ephemeral instance in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.defs.collected import MANIFESTS_IO
from iomete_mc_assets.defs.io_manager import ManifestIOManager
from iomete_mc_assets.defs.keys import collected_key, push_job_name, pushed_key
from iomete_mc_assets.defs.materializations import newest_by_hour
from iomete_mc_assets.defs.partitions import range_request
from iomete_mc_assets.defs.resources import (
    LakehouseResource,
    ManifestStoreResource,
    MonteCarloResource,
)
from iomete_mc_assets.defs.sensors import Cursor, tick
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.windows import HourWindow

AGAIN_S = 600
"""Seconds between two slow passes, for sensors evaluated at an instant of the test's choice."""
QUERY_LOG = {
    "IOMETE_QUERY_LOG_TABLE": "spark_catalog.ops.query_history",
    "IOMETE_QUERY_LOG_DELAY_MINUTES": "0",
}


@dataclass
class World:
    """Everything one flow test needs."""

    instance: dg.DagsterInstance
    definitions: dg.Definitions
    root: Path

    @property
    def store(self) -> ManifestStore:
        """The manifests that were written."""
        return ManifestStore.open(str(self.root), source=None)

    def run(
        self, job: str, windows: Sequence[HourWindow], *, tags: Mapping[str, str] | None = None
    ) -> dg.ExecuteInProcessResult:
        """One run over neighbouring hours, as schedules and sensors launch it."""
        request = range_request(list(windows), run_key="test", tags=dict(tags or {}))
        return self._execute(job, request)

    def push_what_sensors_ask(self, cursor: Cursor, flow: Flow, *, now_s: float) -> list[bool]:
        """Evaluate one sensor and run what it asks for; whether each run succeeded."""
        asked = tick(self.instance, flow, cursor, now_s=now_s, again_s=AGAIN_S)
        requests = asked.run_requests or [] if isinstance(asked, dg.SensorResult) else []
        return [self._execute(push_job_name(flow), request).success for request in requests]

    def collected(self, flow: Flow) -> dict[HourWindow, dg.EventLogRecord]:
        """Newest materialisation of each collected hour."""
        return newest_by_hour(self.instance, collected_key(flow))

    def pushed(self, flow: Flow) -> dict[HourWindow, dg.EventLogRecord]:
        """Newest materialisation of each pushed hour."""
        return newest_by_hour(self.instance, pushed_key(flow))

    def _execute(self, job: str, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        definition = self.definitions.get_repository_def().get_job(job)
        return definition.execute_in_process(
            instance=self.instance,
            tags=dict(request.tags),
            partition_key=request.partition_key,
            raise_on_error=False,
        )


def definitions_between(
    lakehouse: RunningLakehouse, gateway: Gateway, root: Path, **options: str
) -> dg.Definitions:
    """The product's own definitions, its resources pointed at the test's servers and store."""
    seen = {
        **QUERY_LOG,
        "IOMETE_MC_MANIFESTS": str(root),
        "MCD_INGEST_ENDPOINT": gateway.url,
        "IOMETE_STARTUP_WINDOW_S": "0",
        **options,
    }
    manifests = ManifestStoreResource(options=seen)
    source = LakehouseResource(
        url=lakehouse.url, user=lakehouse.user, token=lakehouse.token, options=seen
    )
    return build_definitions(
        environment={},
        resources={
            "lakehouse": source,
            "manifests": manifests,
            "monte_carlo": MonteCarloResource(
                key_id=gateway.key_id,
                key_secret=gateway.key_secret,
                resource_uuid=gateway.resource_uuid,
                options=seen,
            ),
            MANIFESTS_IO: ManifestIOManager(store=manifests, lakehouse=source),
        },
    )


@pytest.fixture
def world(
    sandbox: RunningLakehouse, gateway: Gateway, tmp_path: Path, instance: dg.DagsterInstance
) -> World:
    """An empty store and an empty Dagster between the two servers."""
    root = tmp_path / "manifests"
    return World(
        instance=instance, definitions=definitions_between(sandbox, gateway, root), root=root
    )


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An empty Dagster."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def other_instance() -> Iterator[dg.DagsterInstance]:
    """Another empty Dagster, as after its database was emptied."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def last_hours(shop_hour: HourWindow) -> list[HourWindow]:
    """The three newest seeded hours, oldest first."""
    return [shop_hour.previous.previous, shop_hour.previous, shop_hour]


@pytest.fixture
def day(shop_hour: HourWindow) -> list[HourWindow]:
    """The 24 seeded hours, oldest first."""
    hours = [shop_hour]
    while len(hours) < 24:
        hours.append(hours[-1].previous)
    return hours[::-1]
