"""What the demo shows of its runs; the whole journey needs a lakehouse and is the demo itself."""

import io
from collections.abc import Iterator
from pathlib import Path

import click
import dagster as dg
import pytest
from rich.console import Console

from iomete_mc_assets.cli.demo import Journey
from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.defs.keys import FLOWS, collected_key, pushed_key
from iomete_mc_assets.defs.metadata import INVOCATION_IDS, MANIFEST_ID, PUSH_STATUS, STATE
from iomete_mc_assets_tests.push_bench import HOUR

IDS = ("e28ad5b5-0e58-48bc-83fb-4ce5d3d762ff", "3f4c3b2b-3845-40db-8989-5c372398128f")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:  # pyright: ignore[reportUnknownMemberType] - its settings
        yield made


def test_a_run_that_fails_says_why_and_shows_no_line_of_its_log(
    instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Nobody listens at the lakehouse's address."""
    for name, value in {
        "IOMETE_URL": "http://127.0.0.1:1/cliservice",
        "IOMETE_USER": "sandbox",
        "IOMETE_TOKEN": "not-a-real-token",
        "IOMETE_STARTUP_WINDOW_S": "0",
        "IOMETE_MC_MANIFESTS": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    journey = Journey(instance, build_definitions(), [HOUR])
    with pytest.raises(
        click.ClickException, match=r"collect_metadata failed\.\s.*127\.0\.0\.1:1"
    ) as failed:
        journey.collect()
    assert "DEBUG" not in str(failed.value)
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.fixture
def pushed(instance: dg.DagsterInstance) -> Journey:
    metadata = {
        MANIFEST_ID: "m001",
        INVOCATION_IDS: dg.MetadataValue.json(list(IDS)),
        STATE: "complete",
        PUSH_STATUS: "nothing_to_send",
    }
    for key in (collected_key("query_logs"), pushed_key("query_logs")):
        instance.report_runless_asset_event(
            dg.AssetMaterialization(key, partition=HOUR.key, metadata={**metadata})
        )
    return Journey(instance, build_definitions(), [HOUR])


def test_invocation_ids_stand_whole_beside_their_hour(pushed: Journey) -> None:
    """In a pipe or a file, which has no width."""
    out = io.StringIO()
    pushed.show(Console(file=out, width=80))
    assert "…" not in out.getvalue()
    row, below = (line for line in out.getvalue().splitlines() if any(one in line for one in IDS))
    assert row.split()[0] == HOUR.key
    assert (row.split()[-1], below.split()) == (IDS[0], [IDS[1]])


def test_a_narrow_terminal_has_the_invocation_ids_whole_below_the_table(pushed: Journey) -> None:
    out = io.StringIO()
    pushed.show(Console(file=out, width=80, force_terminal=True, color_system=None))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert lines[-3:] == [
        "Invocation ids",
        *(f"  query_logs       {HOUR.key}  {invocation_id}" for invocation_id in IDS),
    ]


def test_a_flow_that_was_not_collected_says_so(instance: dg.DagsterInstance) -> None:
    out = io.StringIO()
    Journey(instance, build_definitions(), [HOUR]).show(Console(file=out, width=80))
    assert out.getvalue().count("not collected") == len(FLOWS)
