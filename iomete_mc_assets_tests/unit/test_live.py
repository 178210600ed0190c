"""Live tests: left out unless asked for, and skipped with the names of the variables that are missing."""

import os
import subprocess
import sys
from pathlib import Path

LIVE = Path(__file__).parent.parent / "live"


def session(*words: str, **environment: str) -> str:
    """What pytest says of the live tests; none of them can run here."""
    ours = ("IOMETE_", "MCD_")
    clean = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *words, str(LIVE)],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def test_without_credentials_they_are_skipped_and_say_which_are_missing() -> None:
    said = session("-m", "live")
    assert "1 skipped" in said
    assert "live tests need MCD_ID, MCD_TOKEN, IOMETE_URL, IOMETE_USER, IOMETE_TOKEN" in said


def test_nobody_runs_them_by_having_credentials() -> None:
    needed = ("MCD_ID", "MCD_TOKEN", "IOMETE_URL", "IOMETE_USER", "IOMETE_TOKEN")
    said = session("--collect-only", **dict.fromkeys(needed, "x"))
    assert "1 deselected" in said
