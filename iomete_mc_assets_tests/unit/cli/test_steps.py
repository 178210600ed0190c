import io
import re

import pytest
from rich.console import Console

from iomete_mc_assets.cli.steps import Steps


def test_without_a_terminal_a_step_is_a_line_when_it_begins_and_one_when_it_ends() -> None:
    """A log that is followed shows what is being waited for."""
    out = io.StringIO()
    with Steps(Console(file=out)).step("seed", "the shop"):
        assert out.getvalue() == "  the shop ...\n"
    (_, end) = out.getvalue().splitlines()
    assert re.fullmatch(r"✓ the shop \(\d+\.\d s\)", end)


def test_a_step_that_fails_says_so_and_a_quiet_console_says_nothing() -> None:
    out = io.StringIO()
    for quiet in (False, True):
        with (
            pytest.raises(ValueError, match="no"),
            Steps(Console(file=out, quiet=quiet)).step("seed", "the shop"),
        ):
            raise ValueError("no")  # noqa: EM101
    assert out.getvalue().splitlines() == ["  the shop ...", "✗ the shop (0 s)"]


def test_settings_that_are_not_used_are_named_in_one_line() -> None:
    out = io.StringIO()
    steps = Steps(Console(file=out))
    steps.not_used([])
    steps.not_used(["IOMETE_EXCLUDE", "MCD_NAMING"])
    assert out.getvalue() == (
        "  Not used: your IOMETE_EXCLUDE, MCD_NAMING; the demo decides every setting itself.\n"
    )
