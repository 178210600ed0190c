"""What the demo's world is made of: its variables, its Dagster instance, its lock, and what an interrupted seed leaves."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from iomete_mc_assets import settings
from iomete_mc_assets.cli import environment
from iomete_mc_assets.cli.environment import Servers, alone, decide, prepare_dagster_home
from iomete_mc_assets.cli.main import main
from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.sandbox import commands, seed_log
from iomete_mc_assets.sandbox.gateway_connection import Connection
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.windows import HourWindow

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture
def servers(tmp_path: Path) -> Servers:
    return Servers(
        lakehouse=RunningLakehouse(
            url="http://127.0.0.1:1/cliservice",
            user="sandbox",
            token="secret",
            token_file=tmp_path / "token",
            state=tmp_path,
            events=tmp_path / "events",
            pid=1,
            reused=True,
        ),
        gateway=Connection.fresh(),
    )


def test_no_setting_of_the_user_reaches_the_demo(tmp_path: Path, servers: Servers) -> None:
    mine = {setting.name: "the user's" for setting in settings.SETTINGS}
    shell = {**mine, "MCD_DEFAULT_API_ID": "read by pycarlo", "PATH": "/bin"}
    others = decide(shell, tmp_path, servers)
    assert shell == {"PATH": "/bin", **environment.demo_environment(tmp_path, servers)}
    assert others == sorted({*mine, "MCD_DEFAULT_API_ID"})
    assert decide(shell, tmp_path, servers) == []


def test_the_demo_goes_on_with_the_query_log_it_began_with(
    tmp_path: Path, servers: Servers
) -> None:
    def sources() -> dict[str, str]:
        told = environment.demo_environment(tmp_path, servers)
        names = {setting.name for setting in settings.QUERY_LOG_SOURCES}
        return {name: text for name, text in told.items() if name in names}

    assert sources() == {"IOMETE_QUERY_LOG_TABLE": "spark_catalog.ops.query_history"}
    (tmp_path / environment.QUERY_LOG_FILE).write_text("events")
    assert sources() == {"IOMETE_QUERY_LOG_EVENTS": str(tmp_path / "shop_events")}


def test_the_demos_first_partition_is_the_shops_first_hour(
    tmp_path: Path, servers: Servers
) -> None:
    assert "IOMETE_MC_START" not in environment.demo_environment(tmp_path, servers)
    state = environment.lakehouse_state(tmp_path)
    state.mkdir()
    newest = HourWindow(datetime(2026, 11, 21, 14, tzinfo=UTC))
    seed_log.write(seed_log.log_of(newest, 24, [], []), state)
    told = environment.demo_environment(tmp_path, servers)
    assert told["IOMETE_MC_START"] == "2026-11-20-15:00"


def test_the_demo_takes_the_projects_dagster_yaml_wherever_it_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text("storage: {postgres: {}}")
    monkeypatch.chdir(tmp_path)
    prepare_dagster_home(tmp_path / "home")
    taken = (tmp_path / "home" / "dagster" / "dagster.yaml").read_bytes()
    assert taken == (ROOT / "dagster.yaml").read_bytes()
    assert yaml.safe_load(taken)["telemetry"] == {"enabled": False}


def test_the_demos_dagster_loads_what_the_projects_does_under_the_same_name(tmp_path: Path) -> None:
    """The location's name is part of the identity of sensors and schedules."""
    folder = prepare_dagster_home(tmp_path)
    loaded = yaml.safe_load((folder / "workspace.yaml").read_text())
    assert loaded == yaml.safe_load((ROOT / "workspace.yaml").read_text())


def test_a_second_demo_on_one_home_is_told_who_is_there_and_where_to_go(tmp_path: Path) -> None:
    home = tmp_path / "shop"
    with alone(home), pytest.raises(SandboxError) as refused, alone(home):
        pass
    assert f"is at work below {home}." in str(refused.value)
    assert f"demo --home {tmp_path}/shop-2`" in str(refused.value)
    with alone(home):  # free again
        told = CliRunner().invoke(main, ["demo", "--home", str(home)])
        start = CliRunner().invoke(main, ["sandbox", "start", "--home", str(home)])
    assert (told.exit_code, start.exit_code) == (1, 1)
    assert told.output.startswith("Error: Another demo or sandbox start (process ")
    assert start.output == told.output


def test_a_command_in_a_message_names_the_home_that_is_not_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = commands.program()
    assert commands.command("dev", home=tmp_path / ".demo") == f"{program} dev"
    there = commands.of_state("sandbox stop", state=tmp_path / "my shop" / "lakehouse")
    assert there == f"{program} sandbox stop --home '{tmp_path}/my shop'"
