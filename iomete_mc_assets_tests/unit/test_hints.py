"""What we tell people to type runs where they are told it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SAY = "from iomete_mc_assets.hints import command; print(command('sandbox stop'))"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a Python of its own in ``.venv``, and our script beside it."""
    scripts = tmp_path / "my project" / ".venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "python").symlink_to(sys.executable)
    make_script(scripts / "iomete-mc")
    return tmp_path / "my project"


def make_script(path: Path) -> None:
    path.write_text('#!/bin/sh\necho ran "$@"\n')
    path.chmod(0o700)


def typed_at(project: Path, folder: Path, *on_path: Path) -> tuple[str, str]:
    """What is told in a folder with this PATH, and what a shell there prints for it."""
    path = os.pathsep.join(map(str, (*on_path, "/usr/bin", "/bin")))
    environment = {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    python = [str(project / ".venv" / "bin" / "python"), "-c", SAY]
    told = _printed(python, folder, environment)
    return told, _printed(["/bin/sh", "-c", told], folder, environment)


def _printed(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    ran = subprocess.run(  # noqa: S603 - our own scripts
        command, cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return ran.stdout.strip()


def test_on_the_path_the_name_is_enough(project: Path) -> None:
    told = typed_at(project, project, project / ".venv" / "bin")
    assert told == ("iomete-mc sandbox stop", "ran sandbox stop")


def test_below_the_folder_it_is_the_way_from_there(project: Path) -> None:
    assert typed_at(project, project) == (".venv/bin/iomete-mc sandbox stop", "ran sandbox stop")


def test_from_elsewhere_it_is_the_whole_way_quoted_for_the_shell(
    project: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    told, printed = typed_at(project, elsewhere)
    script = project / ".venv" / "bin" / "iomete-mc"
    assert told == f"'{script}' sandbox stop"
    assert printed == "ran sandbox stop"


def test_another_installation_first_on_the_path_is_not_meant(project: Path, tmp_path: Path) -> None:
    make_script(tmp_path / "iomete-mc")
    told, _ = typed_at(project, project, tmp_path)
    assert told == ".venv/bin/iomete-mc sandbox stop"
