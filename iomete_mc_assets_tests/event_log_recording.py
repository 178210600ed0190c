"""Records Spark's own event logs for the unit tests; run as a module, it writes them anew below ``goldens/event_logs``.

What the statements are is fixed here; ids, times, plans and messages are Spark's. Left out of the files are events that
nobody reads, but for a few of each, and the machine's names.
"""

# PyHive ships no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import contextlib
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pyhive import hive
from pyhive.exc import Error

from iomete_mc_assets.sandbox import lakehouse
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse

GOLDENS = Path(__file__).parent / "goldens" / "event_logs"
OTHERS = 3
"""Events kept of each kind that is no Thrift server's."""
ENDLESS = "SELECT count(*) FROM range(0, 100000000000, 1, 2) WHERE id % 7 = hash(id) % 11"
SECRETIVE = ("SparkListenerEnvironmentUpdate", "SparkListenerResourceProfileAdded")
"""They list the machine's paths and variables."""

PREPARING = (
    "CREATE DATABASE IF NOT EXISTS raw",
    "CREATE TABLE raw.orders (id BIGINT, amount DECIMAL(10,2), note STRING) USING iceberg",
    "INSERT INTO raw.orders SELECT id, 1.50, concat('größe ', id) FROM range(10)",
    "USE raw",
    "-- how many?\nSELECT count(*) AS n\nFROM orders WHERE note <> 'it''s' /* all */",
)
FAILING = (
    "SELECT nme FROM raw.orders",
    "SELEC 1",
    "CREATE NAMESPACE IF NOT EXISTS lake.crm",
    "USE lake.crm",
    "CREATE TABLE leads USING iceberg AS SELECT id, note FROM spark_catalog.raw.orders",
    "SELECT l.id, o.amount FROM leads l JOIN spark_catalog.raw.orders o USING (id)",
    "USE nowhere",
    "SHOW TABLES",
    "SELECT raise_error('on purpose')",
    "/* iomete_mc_assets */ SELECT 5 AS ours",
)
CLOSING = (
    "MERGE INTO orders t USING (SELECT 3 AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET amount = 2",
    "SELECT * FROM orders ORDER BY id LIMIT 5",
)


def statements(running: RunningLakehouse) -> None:
    """Two people's sessions, one inside the other; failed and cancelled statements among them."""
    with closing(session(running, "ann")) as ann:
        ask(ann, PREPARING)
        with closing(session(running, "bob")) as bob:
            ask(bob, FAILING)
        ask(ann, CLOSING)
        _cancelled(ann)


def session(running: RunningLakehouse, user: str) -> Any:
    """Somebody else's session: our own would tag its statements."""
    address = urlsplit(running.url)
    return hive.connect(
        address.hostname, address.port, scheme="http", username=user, password=running.token
    )


def ask(connection: Any, texts: Iterable[str]) -> None:
    """Run statements one after the other, those that fail among them."""
    for text in texts:
        with closing(connection.cursor()) as cursor, contextlib.suppress(Error):
            cursor.execute(text)


def _cancelled(connection: Any) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute(ENDLESS, async_=True)
        threading.Event().wait(2)
        cursor.cancel()


def record(state: Path, goldens: Path) -> None:
    """The log as it is while a statement runs, and after the server's end."""
    running = lakehouse.start(state)
    try:
        statements(running)
        with contextlib.suppress(Error):
            hanging = session(running, "bob").cursor()
            hanging.execute(ENDLESS.replace("7", "9"), async_=True)
            threading.Event().wait(5)
        (log,) = running.events.iterdir()
        _keep(log, goldens / "local-1.inprogress", state)
    finally:
        lakehouse.stop(state)
    (log,) = (file for file in running.events.iterdir() if not file.name.startswith("."))
    _keep(log, goldens / "local-1", state)


def _keep(log: Path, target: Path, state: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"".join(_thinned(log.read_bytes(), state)))


def _thinned(data: bytes, state: Path) -> Iterator[bytes]:
    kept = Counter[bytes]()
    for line in data.splitlines(keepends=True):
        event = line.split(b'"', 4)[3].rpartition(b".")[2]
        kept[event] += 1
        wanted = b"ThriftServer" in event or kept[event] <= OTHERS
        if wanted and event.decode() not in SECRETIVE:
            yield line.replace(str(state).encode(), b"/sandbox").replace(
                b'"User":"root"', b'"User":"spark"'
            )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        shutil.rmtree(GOLDENS, ignore_errors=True)
        record(Path(folder) / "lakehouse", GOLDENS)
        sys.stdout.write(f"{GOLDENS}\n")
