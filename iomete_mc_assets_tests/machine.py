"""Programs that are no Python packages: where they are, and what becomes of a test where they are not."""

import os
import shutil
from pathlib import Path

import pytest

DEBIAN_POSTGRESQL = Path("/usr/lib/postgresql")


def program(name: str, *, package: str) -> Path:
    """Where a program of a Debian package lies; without it the test is skipped, with CI=true it fails.

    Args:
        name: the program, on PATH or where Debian keeps servers that it leaves off PATH.
        package: what ``.ci/run`` installs.
    """
    servers = sorted(DEBIAN_POSTGRESQL.glob("*/bin"), reverse=True)
    places = os.pathsep.join([os.environ.get("PATH", ""), *map(str, servers)])
    if found := shutil.which(name, path=places):
        return Path(found)
    missing = f"no {name} on this machine: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)
