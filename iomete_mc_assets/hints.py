"""How the shell at hand calls our own command, for messages that say what to type. Knows no command by itself."""

import shlex
import shutil
import sys
from pathlib import Path

SCRIPT = "iomete-mc"


def command(words: str) -> str:
    """`iomete-mc` with these words, spelled so that it can be typed where we were started.

    The script lies beside our Python, which need not be on the PATH: `make` uses `.venv` without
    activating it.
    """
    script = Path(sys.executable).with_name(SCRIPT)
    found = shutil.which(SCRIPT)
    if not script.exists() or (found is not None and script.samefile(found)):
        return f"{SCRIPT} {words}"
    here = Path.cwd()
    shown = script.relative_to(here) if script.is_relative_to(here) else script
    return f"{shlex.quote(str(shown))} {words}"
