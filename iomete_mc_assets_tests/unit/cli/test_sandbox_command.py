import json
from pathlib import Path

from click.testing import CliRunner

from iomete_mc_assets.cli.sandbox import sandbox
from iomete_mc_assets.cli.sandbox_start import Found, FoundGateway, FoundLakehouse, shown


def test_status_of_an_empty_home_says_that_nothing_runs_and_exits_with_1(tmp_path: Path) -> None:
    told = CliRunner().invoke(sandbox, ["status", "--home", str(tmp_path), "--json"])
    assert told.exit_code == 1
    assert json.loads(told.output) == {
        "lakehouse": {
            "running": False,
            "url": None,
            "user": None,
            "token_file": None,
            "pid": None,
            "seeded_for": None,
        },
        "gateway": {"running": False, "url": None},
    }
    words = CliRunner().invoke(sandbox, ["status", "--home", str(tmp_path)]).output
    assert "lakehouse  not running  (not seeded)" in words


def test_stop_says_what_it_found_and_quiet_says_nothing(tmp_path: Path) -> None:
    told = CliRunner().invoke(sandbox, ["stop", "--home", str(tmp_path)])
    assert (told.exit_code, told.output) == (0, f"Nothing of {tmp_path} runs.\n")
    quiet = CliRunner().invoke(sandbox, ["stop", "--home", str(tmp_path), "--quiet"])
    assert (quiet.exit_code, quiet.output) == (0, "")


def test_how_to_connect_names_the_tokens_file_and_not_the_token() -> None:
    running = Found(
        lakehouse=FoundLakehouse(
            running=True,
            url="http://127.0.0.1:1/cliservice",
            user="sandbox",
            token_file="/x/token",
            pid=7,
            seeded_for="2026-11-21-09:00",
        ),
        gateway=FoundGateway(running=True, url="http://127.0.0.1:2"),
    )
    assert shown(running).splitlines()[-3:] == [
        "export IOMETE_URL=http://127.0.0.1:1/cliservice",
        "export IOMETE_USER=sandbox",
        'export IOMETE_TOKEN="$(cat /x/token)"',
    ]
