"""`dg check defs`, Dagster's own word on whether a code location can be loaded."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from iomete_mc_assets_tests import prepared_location
from iomete_mc_assets_tests.dagster_processes import ROOT


def test_dg_loads_the_project_as_it_is_after_an_installation(tmp_path: Path) -> None:
    scripts = Path(sys.executable).parent
    checked = subprocess.run(  # noqa: S603 - our own environment's dg
        [scripts / "dg", "check", "defs", "--use-active-venv"],
        cwd=ROOT,
        env={
            **os.environ,
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "IOMETE_MC_MANIFESTS": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert "All definitions loaded successfully." in checked.stdout


@pytest.mark.filterwarnings("ignore:.*varying BackfillPolicies")  # of hours that are made up
def test_the_code_location_with_made_up_hours_has_all_that_the_products_jobs_need() -> None:
    """Else each story under a real Dagster waits two minutes in vain."""
    dg.Definitions.validate_loadable(prepared_location.defs)
