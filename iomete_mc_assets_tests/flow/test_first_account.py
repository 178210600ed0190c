"""docs/first-account.md works as it stands: its commands are run in a shell, its snippets are loaded."""

import os
import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import yaml

from iomete_mc_assets.defs.keys import FLOWS, collected_key
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_graphql import GRAPHQL_PATH
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets_tests.dagster_processes import ROOT
from iomete_mc_assets_tests.push_bench import leading_to

PAGE = (ROOT / "docs" / "first-account.md").read_text()
TO_RUN = re.compile(r"^<!-- run -->\n```\n(.*?)^```", re.MULTILINE | re.DOTALL)
OURS = f'iomete-mc() {{ "{sys.executable}" -m iomete_mc_assets.cli.main "$@"; }}'
"""In a shell that has not installed the project."""
SWITCH_ON = "## Switch it on"


def ran(home: Path, commands: list[str], **environment: str) -> str:
    """What the page's commands said, in a shell in a Dagster home with the files that are shipped."""
    for name in ("dagster.yaml", "workspace.yaml"):
        (home / name).write_bytes((ROOT / name).read_bytes())
    done = subprocess.run(  # noqa: S603 - the page's own commands
        ["/bin/bash", "-e", "-c", "\n".join([OURS, *commands])],
        cwd=home,
        env={
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "DAGSTER_HOME": str(home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "IOMETE_MC_MANIFESTS": str(home / "manifests"),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_commands_send_one_table_first_and_then_all(
    sandbox: RunningLakehouse, gateway: Gateway, tmp_path: Path
) -> None:
    said = ran(
        tmp_path,
        TO_RUN.findall(PAGE),
        IOMETE_URL=sandbox.url,
        IOMETE_USER=sandbox.user,
        IOMETE_TOKEN=sandbox.token,
        MCD_ID=gateway.connection.api_id,
        MCD_TOKEN=gateway.connection.api_token,
        MCD_GRAPHQL_ENDPOINT=f"{gateway.url}{GRAPHQL_PATH}",
        **leading_to(gateway),
    )
    first, second, *rest = (one for one in gateway.requests if one.endpoint and one.accepted)
    assert [first.events, second.events] == [1, 1]
    assert sum(one.events for one in rest) > 20
    sent = gateway.events("metadata")
    names = [one.content["relational_asset"]["metadata"]["name"] for one in sent]
    assert names[:2] == ["orders", "orders"]
    assert [one.measures for one in sent] == [False, True, *[False] * (len(sent) - 2)]
    for one in (first, second):
        assert str(one.invocation_id) in said


def test_the_workspace_that_is_shown_names_the_location_as_ours_does() -> None:
    [shown] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    ours = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"][0]["python_module"]
    [theirs] = yaml.safe_load(shown)["load_from"]
    assert theirs["python_module"] == {**ours, "executable_path": ".venv/bin/python"}


def test_definitions_can_be_merged_with_others_as_is_shown(instance: dg.DagsterInstance) -> None:
    [shown] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    named: dict[str, object] = {}
    exec(shown, named)  # noqa: S102 - the page's own lines
    merged = named["defs"]
    assert isinstance(merged, dg.Definitions)
    assert {collected_key(flow) for flow in FLOWS} <= set(
        merged.get_repository_def().assets_defs_by_key
    )


def test_what_is_switched_on_from_a_shell_runs_in_the_location_that_the_workspace_loads(
    tmp_path: Path,
) -> None:
    _, _, switching = PAGE.partition(SWITCH_ON)
    ran(tmp_path, TO_RUN.findall(switching))
    ours = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"][0]["python_module"]
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        switched = {
            (one.instigator_name, one.origin.repository_origin.code_location_origin.location_name)
            for one in instance.all_instigator_state()
            if one.is_running
        }
    assert switched == {
        ("collect_metadata_hourly", ours["location_name"]),
        ("push_catalog_snapshot", ours["location_name"]),
    }


def test_the_page_switches_every_flow_on() -> None:
    _, _, switching = PAGE.partition(SWITCH_ON)
    assert [flow for flow in FLOWS if f"`push_{flow}`" not in switching] == []
