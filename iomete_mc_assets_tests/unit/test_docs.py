"""What README and docs show exists: files, commands, verbs, settings, and every name that Dagster shows."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args
from uuid import UUID

import click
import dagster as dg
import pytest

from iomete_mc_assets import settings
from iomete_mc_assets.cli.main import main
from iomete_mc_assets.defs import keys
from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.manifests.receipts import Settled, Status, Word
from iomete_mc_assets.montecarlo.events.event import Note

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
OPERATING = ROOT / "docs" / "operating.md"

LINK = re.compile(r"\]\(([^)\s#]+)[^)]*\)")
FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(`+)(.+?)\1")
COMMAND = re.compile(r"(?:^|[/\s])iomete-mc((?: +[^\s#]+)*)")
VERB = re.compile(r"^make +([a-z]+)")
SETTING = re.compile(r"\b(?:IOMETE|MCD)_[A-Z0-9_]*[A-Z0-9]\b")
MACHINE_PATH = re.compile(r"(?<![\w.<>}/-])/(?:work|root|home|tmp|Users|mnt|var|opt)/")
NAME = re.compile(r"[a-z]+(?:_[a-z]+)+")
ASSET = re.compile(r"(?:iomete|monte_carlo)/[a-z_]+")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def code(text: str) -> Iterator[str]:
    """Every line of the fenced blocks, then every code span outside of them."""
    for block in FENCED.findall(text):
        yield from block.splitlines()
    for _, span in SPAN.findall(FENCED.sub("", text)):
        yield span.strip()


def complaint(words: list[str]) -> str | None:
    """Why words behind ``iomete-mc`` are no command of it; None when they are one."""
    command: click.Command = main
    for word in words:
        if word.startswith("-"):
            options = {option for parameter in command.params for option in parameter.opts}
            if word.partition("=")[0] not in options | {"-h", "--help", "--version"}:
                return f"{command.name} has no option {word}"
        elif isinstance(command, click.Group):
            if word not in command.commands:
                return f"{command.name} has no command {word}"
            command = command.commands[word]
    return None


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    """All definitions, also those that a setting switches on."""
    switched_on = {
        "IOMETE_MC_IMPORTS": "dropped",
        "MCD_ID": "key",
        "MCD_ETL_CONTAINER_UUID": str(UUID(int=1)),
    }
    return build_definitions(environment=switched_on).get_repository_def()


def shown_by_dagster(repository: dg.RepositoryDefinition) -> set[str]:
    """Asset keys, and names of jobs, sensors, schedules and checks."""
    jobs = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    return {
        *(key.to_user_string() for key in repository.assets_defs_by_key),
        *jobs,
        *(sensor.name for sensor in repository.sensor_defs),
        *(schedule.name for schedule in repository.schedule_defs),
        *(check.name for check in repository.asset_checks_defs_by_key),
    }


@each_page
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if not re.match(r"[a-z]+:", link)]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_picture_of_the_readme_is_there_and_all_of_them_are_small() -> None:
    shown = set(re.findall(r'(?:src|srcset)="([^"]+)"', (ROOT / "README.md").read_text()))
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs/images").glob("*")}
    assert shown == there != set()
    assert sum((ROOT / path).stat().st_size for path in there) < 600_000


@each_page
def test_every_command_shown_exists_with_its_options(page: Path) -> None:
    shown = [words.split() for line in code(page.read_text()) for words in COMMAND.findall(line)]
    assert [said for words in shown if (said := complaint(words))] == []


@each_page
def test_every_verb_of_make_shown_exists(page: Path) -> None:
    verbs = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {verb for line in code(page.read_text()) for verb in VERB.findall(line)}
    assert shown - verbs == set()


def test_make_clean_removes_every_cache_that_git_ignores() -> None:
    ignored = re.findall(r"^(\.\w+_cache)/$", (ROOT / ".gitignore").read_text(), re.MULTILINE)
    removed = (ROOT / "Makefile").read_text().partition("\nclean:")[2].split()
    assert ignored
    assert set(ignored) - set(removed) == set()


def test_a_test_session_says_why_tests_are_deselected_and_how_to_run_them() -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--collect-only",
            "-p",
            "no:cacheprovider",
            "test_windows.py",
        ],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "left out (deselected); run them with -m nightly" in said


@each_page
def test_every_setting_mentioned_exists(page: Path) -> None:
    known = {setting.name for setting in settings.SETTINGS}
    assert set(SETTING.findall(page.read_text())) - known == set()


@each_page
def test_no_page_names_a_path_of_a_machine(page: Path) -> None:
    assert MACHINE_PATH.findall(page.read_text()) == []


def test_operating_names_what_dagster_shows_and_nothing_else(
    repository: dg.RepositoryDefinition,
) -> None:
    names = shown_by_dagster(repository)
    text = OPERATING.read_text()
    spans = {span for _, span in SPAN.findall(FENCED.sub("", text))}
    statuses = {*get_args(Word), *get_args(Status), *get_args(Note)}
    vocabulary = {
        *statuses,
        *(f"monte_carlo/{word}" for word in ("status", *statuses)),
        *Settled.__dataclass_fields__,
        keys.LAKEHOUSE_POOL,
        keys.MONTE_CARLO_POOL,
        "iomete_mc_assets",
        "fill_gaps",  # the two schedules whose names begin so
        *re.findall(r"\b[a-z_]+(?=:)", (ROOT / "dagster.yaml").read_text()),
    }
    named = {span for span in spans if NAME.fullmatch(span) or ASSET.fullmatch(span)}
    assert named - names - vocabulary == set()
    assert names - spans == set(), "operating.md says nothing of these"
