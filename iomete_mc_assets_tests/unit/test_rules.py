"""The tables in docs/monte-carlo.md: every rule has a row, every test named there exists, every break can be made.

Each night every break of a rule is made in a copy of the code, and has to turn its test red.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TESTS = ROOT / "iomete_mc_assets_tests"
PACKAGE = ROOT / "iomete_mc_assets"
PAGE = ROOT / "docs" / "monte-carlo.md"

HEADINGS = {
    "rule": "## The 42 rules of a correct pusher",
    "ledger": "## The 26 rules of the ledger",
}
RULES = {"rule": range(1, 43), "ledger": range(1, 27)}
UNDER_DAGSTER = "## Under a real Dagster"
MOSTLY_IN = "flow/test_daemon_trouble.py"
TO_COME = "comes with "
"""How the test of a rule is described whose subject does not exist yet."""

ROW = re.compile(r"^\| (\d+) \| (.*?) \| (.*?) \| (.*) \|$", re.MULTILINE)
STORY = re.compile(
    r"^\| (?P<story>[^|]+) \| `(?:(?P<file>[a-z_/]+\.py)::)?(?P<test>test_\w+)` \| (?:always|nightly) \| (?P<broken>.*) \|$",
    re.MULTILINE,
)
TEST = re.compile(r"`([a-z_/]+\.py)::(test_[a-z0-9_]+)`")
BREAK = re.compile(
    r"`(?P<module>[a-z_/]+\.(?:py|yaml))`: (?:in `(?P<scope>[\w.]+)`, )?"
    r"`(?P<before>[^`]+)` (?:→ `(?P<after>[^`]*)`|taken out)"
)


@dataclass(frozen=True, slots=True)
class Break:
    """A change of one line of the code.

    Attributes:
        module: of the package; ``dagster.yaml`` lies beside it.
        scope: the function or class in which ``before`` stands once; None for the whole module.
        after: what stands there instead; None where ``before`` is taken out.
    """

    module: str
    scope: str | None
    before: str
    after: str | None

    def of(self, text: str) -> str:
        """The module's text, broken."""
        first, last = (0, len(text)) if self.scope is None else span_of(self.scope, text)
        inside = text[first:last]
        assert inside.count(self.before) == 1, self
        after = self.after
        if after is None:
            is_statement = re.search(rf"^\s+{re.escape(self.before)}$", inside, re.MULTILINE)
            after = "pass" if is_statement and not self.before.startswith(("and ", "or ")) else ""
        return text[:first] + inside.replace(self.before, after) + text[last:]


@dataclass(frozen=True, slots=True)
class Row:
    """One test of one rule, or a rule whose subject is to come."""

    table: str
    number: int
    test: str
    broken: str

    @property
    def breaks(self) -> list[Break]:
        """All of those that were each seen to turn the test red."""
        return breaks_of(self.broken)


def breaks_of(cell: str) -> list[Break]:
    """The breaks of a table's last column."""
    said = cell.split("; `")
    found = [BREAK.fullmatch(part if n == 0 else f"`{part}") for n, part in enumerate(said)]
    assert all(found), cell
    return [
        Break(match["module"], match["scope"], match["before"], match["after"])
        for match in found
        if match is not None
    ]


def span_of(scope: str, text: str) -> tuple[int, int]:
    """From where to where a function or class goes; a dot leads from a class to what is in it."""
    nodes: list[ast.AST] = [ast.parse(text)]
    for name in scope.split("."):
        nodes = [
            inner
            for node in nodes
            for inner in ast.walk(node)
            if isinstance(inner, ast.FunctionDef | ast.ClassDef) and inner.name == name
        ]
    [found] = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    return starts[found.lineno - 1], starts[found.end_lineno or 0]


def section_of(heading: str) -> str:
    _, _, behind = PAGE.read_text().partition(f"{heading}\n")
    return behind.partition("\n## ")[0]


def rows() -> list[Row]:
    return [
        Row(table, int(row[1]), row[3], row[4])
        for table, heading in HEADINGS.items()
        for row in ROW.finditer(section_of(heading))
    ]


def with_tests() -> list[Row]:
    """Those whose subject exists."""
    return [row for row in rows() if not row.test.startswith(TO_COME)]


@pytest.mark.parametrize("table", RULES)
def test_every_rule_has_a_row(table: str) -> None:
    numbers = {row.number for row in rows() if row.table == table}
    assert numbers == set(RULES[table])


def test_every_test_named_exists_and_says_its_own_number() -> None:
    assert len(with_tests()) >= len(RULES["rule"])
    for row in with_tests():
        match = TEST.fullmatch(row.test)
        assert match is not None, row
        file, name = match.groups()
        assert f"def {name}(" in (TESTS / file).read_text(), row
        if numbered := re.match(r"test_(rule|ledger)_(\d+)_", name):
            assert (numbered[1], int(numbered[2])) == (row.table, row.number), row


@pytest.mark.parametrize("table", RULES)
def test_every_rule_has_a_test_that_bears_its_number(table: str) -> None:
    mine = [row for row in with_tests() if row.table == table]
    numbered = {row.number for row in mine if f"::test_{table}_{row.number}_" in row.test}
    assert numbered == {row.number for row in mine}


def test_every_break_can_still_be_made() -> None:
    for row in with_tests():
        for one in row.breaks:
            assert_can_be_made(one)
    assert not any(row.broken for row in rows() if row.test.startswith(TO_COME))


def assert_can_be_made(one: Break) -> None:
    file = PACKAGE / one.module
    text = (file if file.suffix == ".py" else ROOT / one.module).read_text()
    broken = one.of(text)
    assert broken != text, one
    if file.suffix == ".py":
        ast.parse(broken)


def test_every_story_under_dagster_has_a_test_and_what_breaks_it_can_still_be_done() -> None:
    section = section_of(UNDER_DAGSTER)
    stories = list(STORY.finditer(section))
    assert len(stories) == section.count("\n| ") - 1  # all rows but the head
    for story in stories:
        file = TESTS / (story["file"] or MOSTLY_IN)
        assert f"def {story['test']}(" in file.read_text(), story
        for one in breaks_of(story["broken"]) if story["broken"] else ():
            assert_can_be_made(one)


@pytest.mark.nightly
@pytest.mark.parametrize(
    "row", with_tests(), ids=lambda row: f"{row.table}-{row.number}-{row.test}"
)
def test_every_break_turns_its_test_red(row: Row, tmp_path: Path) -> None:
    for number, one in enumerate(row.breaks):
        copy = tmp_path / str(number)
        for folder in (PACKAGE, TESTS):
            shutil.copytree(
                folder, copy / folder.name, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(ROOT / "pyproject.toml", copy)
        module = copy / PACKAGE.name / one.module
        module.write_text(one.of(module.read_text()))
        test = f"{TESTS.name}/{row.test.strip('`')}"
        ran = subprocess.run(  # noqa: S603 - our own tests
            [sys.executable, *("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test)],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == pytest.ExitCode.TESTS_FAILED, (one, ran.stdout)
        assert re.search(r"\d failed", ran.stdout), (one, ran.stdout)
