"""The command lines that messages tell people to run: such that they work where they are read, copied as they are."""

import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path

DEFAULT_HOME = Path(".demo")
"""Where the demo and the sandbox live unless ``--home`` says otherwise, below the current folder."""


def command(words: str, *, home: Path) -> str:
    """A command of ours for one home, e.g. ``iomete-mc sandbox stop --home /x``.

    Args:
        words: what stands behind the program.
        home: named unless it is the one that the command takes by itself.
    """
    line = f"{program()} {words}"
    return line if home == DEFAULT_HOME.absolute() else f"{line} --home {shlex.quote(str(home))}"


def of_state(words: str, *, state: Path) -> str:
    """The same for the home of a server's state folder."""
    return command(words, home=state.absolute().parent)


def program() -> str:
    """How a shell in this folder calls our program: a virtual environment need not be on its PATH."""
    script = Path(sysconfig.get_path("scripts")) / "iomete-mc"
    on_path = shutil.which("iomete-mc")
    if on_path is not None and Path(on_path).absolute() == script:
        return "iomete-mc"
    if script.exists():
        return shlex.quote(
            os.path.relpath(script) if script.is_relative_to(Path.cwd()) else str(script)
        )
    return f"{shlex.quote(sys.executable)} -m iomete_mc_assets.cli.main"
