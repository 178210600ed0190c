"""The tables of rules in docs/monte-carlo.md: every rule has a row, and every test and module named there exists."""

import re
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
TO_COME = "comes with "
"""How the test of a rule is described whose subject does not exist yet."""
NOT_SEEN = "not broken yet"

ROW = re.compile(r"^\| (\d+) \| (.*?) \| (.*?) \| (.*) \|$", re.MULTILINE)
TEST = re.compile(r"`([a-z_/]+\.py)::(test_[a-z0-9_]+)`")
BREAK = re.compile(r"`([a-z_/]+\.py)`: .+")


@dataclass(frozen=True, slots=True)
class Row:
    """One test of one rule, or a rule whose subject is to come."""

    table: str
    number: int
    test: str
    broken: str


def rows() -> list[Row]:
    text = PAGE.read_text()
    found: list[Row] = []
    for table, heading in HEADINGS.items():
        _, _, behind = text.partition(f"{heading}\n")
        section = behind.partition("\n## ")[0]
        found += [Row(table, int(row[1]), row[3], row[4]) for row in ROW.finditer(section)]
    return found


@pytest.mark.parametrize("table", RULES)
def test_every_rule_has_a_row(table: str) -> None:
    numbers = {row.number for row in rows() if row.table == table}
    assert numbers == set(RULES[table])


def test_every_test_named_exists_and_says_its_own_number() -> None:
    named = [row for row in rows() if not row.test.startswith(TO_COME)]
    assert len(named) >= len(RULES["rule"])
    for row in named:
        match = TEST.fullmatch(row.test)
        assert match is not None, row
        file, name = match.groups()
        assert f"def {name}(" in (TESTS / file).read_text(), row
        if numbered := re.match(r"test_(rule|ledger)_(\d+)_", name):
            assert (numbered[1], int(numbered[2])) == (row.table, row.number), row


def test_every_break_names_a_module_or_says_that_it_was_not_seen() -> None:
    for row in rows():
        if row.test.startswith(TO_COME):
            assert not row.broken, row
            continue
        match = BREAK.fullmatch(row.broken)
        assert match is not None or row.broken == NOT_SEEN, row
        assert match is None or (PACKAGE / match[1]).is_file(), row
