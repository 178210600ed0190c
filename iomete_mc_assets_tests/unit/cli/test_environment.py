"""What the demo's processes are told."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from iomete_mc_assets.cli.environment import Servers, demo_environment, lakehouse_state
from iomete_mc_assets.sandbox import seed_log
from iomete_mc_assets.sandbox.gateway_connection import Connection
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.windows import HourWindow


@pytest.fixture
def servers(tmp_path: Path) -> Servers:
    state = lakehouse_state(tmp_path)
    state.mkdir()
    running = RunningLakehouse(
        url="http://127.0.0.1:1/cliservice",
        user="sandbox",
        token="secret",
        token_file=state / "token",
        state=state,
        events=state / "events",
        pid=1,
        reused=True,
    )
    return Servers(lakehouse=running, gateway=Connection.fresh())


def test_the_demos_first_partition_is_the_shops_first_hour(
    tmp_path: Path, servers: Servers
) -> None:
    newest = HourWindow(datetime(2026, 11, 21, 14, tzinfo=UTC))
    seed_log.write(seed_log.log_of(newest, 24, [], []), servers.lakehouse.state)
    assert demo_environment(tmp_path, servers)["IOMETE_MC_START"] == "2026-11-20-15:00"


def test_without_a_shop_the_first_partition_is_the_settings_own(
    tmp_path: Path, servers: Servers
) -> None:
    assert "IOMETE_MC_START" not in demo_environment(tmp_path, servers)
