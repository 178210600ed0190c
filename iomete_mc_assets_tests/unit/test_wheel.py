"""What users install: the wheel holds every module and the data that lies beside them."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "iomete_mc_assets"


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    """An ignore rule once kept a whole package out of git, and so out of the wheel."""
    subprocess.run(  # noqa: S603 - fixed arguments
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("iomete_mc_assets/")}
    written = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == written


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a clone")
def test_every_file_of_the_package_is_under_version_control() -> None:
    listed = subprocess.run(
        ["git", "status", "--porcelain", "--ignored", "--", "iomete_mc_assets"],  # noqa: S607 - where git lies differs
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    hidden = [line for line in listed if line.startswith("!!") and "__pycache__" not in line]
    assert hidden == []
