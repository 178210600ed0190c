"""Fixtures every test may ask for: the two real servers of the sandbox, and an environment without surprises."""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import hypothesis
import pytest

from iomete_mc_assets import clock
from iomete_mc_assets.sandbox import lakehouse, seed, seed_log
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.sandbox.seed_log import SeedLog
from iomete_mc_assets.warehouse.connection import LakehouseConfig
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.object_store import ObjectStore

# A busy machine is no failure: what is asserted does not depend on time.
hypothesis.settings.register_profile(
    "ours", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("ours")

OURS = ("IOMETE_", "MCD_", "DAGSTER_HOME")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Why tests are deselected."""
    if "nightly" in config.option.markexpr:
        return None
    return "nightly: tests of that size are left out (deselected); run them with -m nightly"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Nightly and live tests run only when asked for by ``-m nightly`` or ``-m live``."""
    unasked = [name for name in ("nightly", "live") if name not in config.option.markexpr]
    left_out = [item for item in items if any(map(item.get_closest_marker, unasked))]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Stores lie on this disk, and where a test is about the ledger or files, in a bucket as well."""
    said = {mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")}
    if "store_root" in metafunc.fixturenames and "store_root" not in said:
        ledger = metafunc.function.__name__.startswith("test_ledger_")
        of_files = ledger or "gateway" not in metafunc.fixturenames
        places = ["local", "s3"] if of_files else ["local"]
        metafunc.parametrize("store_root", places, indirect=True)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting, proxy or key of the machine reaches a test."""
    for name in list(os.environ):
        if name.startswith(OURS) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLakehouse]:
    """One seeded Spark Thrift server for the whole session.

    IOMETE_MC_TEST_SANDBOX names a state folder to keep between sessions while developing.
    """
    kept = os.environ.get("IOMETE_MC_TEST_SANDBOX")
    state = Path(kept) if kept else tmp_path_factory.mktemp("lakehouse")
    running = seed.sandbox_for_tests(state, now=clock.now())
    yield running
    if not kept:
        lakehouse.stop(state)


@pytest.fixture(scope="session")
def shop_log(sandbox: RunningLakehouse) -> SeedLog:
    """What the seed really did, written from its plan."""
    log = seed_log.read(sandbox.state)
    assert log is not None
    return log


@pytest.fixture(scope="session")
def shop_hour(shop_log: SeedLog) -> HourWindow:
    """The newest seeded hour."""
    return shop_log.window


@pytest.fixture(scope="session")
def lakehouse_config(sandbox: RunningLakehouse) -> LakehouseConfig:
    """How to reach the sandbox."""
    return sandbox.config


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A Monte Carlo of this test's own."""
    with Gateway() as running:
        yield running


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """One S3 server for the whole session."""
    with ObjectStore() as running:
        yield running


@pytest.fixture
def s3_root(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place in a bucket, and the variables that lead there."""
    for name, text in object_store.environment.items():
        monkeypatch.setenv(name, text)
    return object_store.fresh_root()


@pytest.fixture
def store_root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place where a manifest store may lie; see ``pytest_generate_tests`` for where."""
    if request.param == "local":
        return str(tmp_path / "manifests")
    return request.getfixturevalue("s3_root")


@pytest.fixture
def now() -> datetime:
    """A fixed instant for what needs one."""
    return datetime.fromisoformat("2026-11-21T10:20:00+00:00")
