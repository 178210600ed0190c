"""A test that lacks a program of the machine is skipped by a person, and never by CI."""

from pathlib import Path

import pytest

from iomete_mc_assets_tests import machine

MISSING = "no no-such-program on this machine: apt-get install no-such-package"


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)]
)
def test_a_missing_program_skips_a_test_by_name_and_fails_it_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception), match=MISSING) as ended:
        machine.program("no-such-program", package="no-such-package")
    assert ended.type is outcome


def test_a_program_on_the_path_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.program("tool", package="tool") == tool
