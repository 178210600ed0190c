"""What it takes to collect an hour of queries: from Spark's event log and from a table, source to manifest.

Each measurement is a process of its own, so that its memory is its own; processor time is what one core would take.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from iomete_mc_assets import clock
from iomete_mc_assets.collectors.event_logs import EventLogs
from iomete_mc_assets.collectors.query_judging import QueryLogRules
from iomete_mc_assets.collectors.query_log_source import QueryLogConfig
from iomete_mc_assets.collectors.query_log_table import QueryTable
from iomete_mc_assets.collectors.query_logs import collect
from iomete_mc_assets.collectors.query_sources import QuerySource
from iomete_mc_assets.errors import IometeMcError
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.warehouse.connection import Lakehouse, LakehouseConfig
from iomete_mc_assets.warehouse.log_folder import LogFolder
from iomete_mc_assets.warehouse.statements import literal
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.bench.figures import Figure, at_least, at_most
from iomete_mc_assets_tests.bench.memory import peak_kib
from iomete_mc_assets_tests.bench.push import SOURCE
from iomete_mc_assets_tests.bench.site import Site
from iomete_mc_assets_tests.event_logs import moved, recorded, zstd

QUERIES = 1_000_000
"""Of the hour whose memory is measured."""
LOG_BYTES = 500_000_000
STATEMENT_BYTES = 10_000
"""Of log for each statement, as measured on a Thrift server's: a tenth of it are the events that are read."""
TEXT = (
    "SELECT "
    + ", ".join(
        f"sum(CASE WHEN o.status = 'paid' THEN o.amount_{n} ELSE 0 END) AS paid_{n}"
        for n in range(12)
    )
    + " FROM sales.orders o JOIN sales.customers c ON c.customer_id = o.customer_id WHERE o.id = <n>"
)
"""1 kB as people write it: what it costs to pack is part of the figure."""
TABLE_ROWS = 100_000
TABLE = "spark_catalog.bench.query_history"


def query_logs(site: Site) -> Iterator[Figure]:
    """500 MB of event log, plain and packed; 1,000,000 queries in an hour of event log; 100,000 rows of a table."""
    folder = site.folder("query_logs")
    hour = HourWindow.newest_closed(clock.now())
    for name, packed in (("event_log", False), ("event_log_zstd", True)):
        log = folder / name
        size = write_log(log, hour, statements=LOG_BYTES // STATEMENT_BYTES, packed=packed)
        measured = _measured("events", log, hour, into=folder)
        yield Figure(
            name=f"query_logs_{name}",
            value=size / 1e6 / measured.cpu_s,
            unit="mb/s",
            bar=at_least(150),
        )
        yield Figure(
            name=f"query_logs_{name}_queries",
            value=measured.queries / measured.cpu_s,
            unit="queries/s",
        )
    log = folder / "million"
    write_log(log, hour, statements=QUERIES, padded=False)
    measured = _measured("events", log, hour, into=folder)
    if measured.queries != QUERIES:
        msg = f"{measured.queries} queries were collected of {QUERIES}"
        raise RuntimeError(msg)
    yield Figure(
        name="query_logs_1m_events_memory", value=measured.peak_mib, unit="mib", bar=at_most(300)
    )
    yield Figure(name="query_logs_1m_events", value=measured.seconds, unit="s")
    yield from _table(site, hour)


def _table(site: Site, hour: HourWindow) -> Iterator[Figure]:
    lakehouse = site.lakehouse
    with Lakehouse.connect(lakehouse.config) as session:
        session.ask("CREATE DATABASE IF NOT EXISTS bench")
        session.ask(f"CREATE OR REPLACE TABLE {TABLE} USING iceberg AS {rows_of(hour, TABLE_ROWS)}")
    measured = _measured("table", lakehouse.state, hour, into=site.folder("query_logs"))
    if measured.queries != TABLE_ROWS:
        msg = f"{measured.queries} queries were collected of {TABLE_ROWS}"
        raise RuntimeError(msg)
    rate = TABLE_ROWS / measured.cpu_s
    yield Figure(name="query_logs_table", value=rate, unit="rows/s", bar=at_least(20_000))
    yield Figure(name="query_logs_table_elapsed", value=measured.seconds, unit="s")
    yield Figure(
        name="query_logs_table_memory", value=measured.peak_mib, unit="mib", bar=at_most(300)
    )


def rows_of(hour: HourWindow, rows: int) -> str:
    """A query for a history of texts of 1 kB."""
    text = f"replace({literal(TEXT)}, '<n>', id)"
    began = f"timestamp_millis({hour.start_ms} + id * 3600000 DIV {rows} - 500)"
    return (
        f"SELECT concat('query-', id) AS query_id, {text} AS sql_text, 'analyst@example.com' AS user_name, "
        f"{began} AS start_time, {began} + INTERVAL 500 MILLISECONDS AS end_time, 'COMPLETED' AS status, id AS "
        f"rows_returned FROM range({rows})"
    )


def write_log(
    folder: Path, hour: HourWindow, *, statements: int, packed: bool = False, padded: bool = True
) -> int:
    """An hour of a Thrift server's log, made of recorded events; its bytes, unpacked.

    Args:
        folder: where it is to lie.
        hour: the statements end in it, evenly.
        statements: how many.
        packed: with zstd, a frame for each statement.
        padded: with events that nobody reads, as a server writes them.
    """
    folder.mkdir(parents=True)
    template = Template.recorded(STATEMENT_BYTES if padded else 0)
    size = 0
    with (folder / ("app-1.zstd" if packed else "app-1")).open("wb") as file:
        first = moved(recorded()[:2], lambda _: hour.start_ms - 1000)
        file.write(zstd(b"".join(first)) if packed else b"".join(first))
        for number in range(statements):
            lines = template.statement(number, hour.start_ms + number * 3_600_000 // statements)
            size += len(lines)
            file.write(zstd(lines) if packed else lines)
    return size


@dataclass(frozen=True, slots=True)
class Template:
    """One statement's recorded lines, and where its id, its instants and its text go."""

    pieces: tuple[bytes, ...]

    @classmethod
    def recorded(cls, length: int) -> "Template":
        """The lines of a recorded SELECT, with other recorded lines up to a length."""
        lines = recorded()
        start = next(n for n, line in enumerate(lines) if b'"SELECT l.id, o.amount' in line)
        name = json.loads(lines[start])["id"].encode()
        mine = [line for line in lines if name in line[:200] and b"ThriftServerOperation" in line]
        mine[0] = mine[0].replace(json.loads(mine[0])["statement"].encode(), TEXT.encode())
        if not length:
            mine = [line for line in mine if b"OperationParsed" not in line[:110]]
        others = [line for line in lines if b"thriftserver" not in line[:80]]
        while (missing := length - sum(map(len, mine))) > 0:
            fitting = [line for line in others if len(line) <= missing]
            if not fitting:
                break
            mine.insert(-2, max(fitting, key=len))
        marked = b"".join(moved(mine, lambda _: 10**12)).replace(name, b"<id>")
        marked = marked.replace(b":1000000000000", b":<ms>")
        return cls(tuple(marked.split(b"<ms>")))

    def statement(self, number: int, instant_ms: int) -> bytes:
        """The lines of the n-th statement."""
        name = b"%036d" % number
        lines = (b"%d" % instant_ms).join(self.pieces)
        return lines.replace(b"<id>", name).replace(b"<n>", b"%d" % number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One collection in a process of its own."""

    queries: int
    cpu_s: float
    seconds: float
    peak_mib: float


def _measured(kind: str, where: Path, hour: HourWindow, *, into: Path) -> Measured:
    store = into / f"store-of-{where.name}"
    words = [sys.executable, "-m", __name__, kind, str(where), hour.key, str(store)]
    said = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    return Measured(**json.loads(said.stdout))


def main(kind: str, where: str, key: str, store: str) -> None:
    """Collect an hour, and say what it took."""
    hour = HourWindow.from_key(key)
    if kind == "events":
        _collect(EventLogs(LogFolder(where), earlier=lambda _: None), hour, store)
        return
    known = json.loads((Path(where) / "connection.json").read_text())
    token = Path(known["token_file"]).read_text()
    config = LakehouseConfig(url=known["url"], user=known["user"], token=token, scans=True)
    with Lakehouse.connect(config) as session:
        _collect(QueryTable(session, QueryLogConfig(table=TABLE)), hour, store)


def _collect(source: QuerySource, hour: HourWindow, root: str) -> None:
    store = ManifestStore.open(root, source=SOURCE)
    begun, begun_cpu = time.perf_counter(), time.process_time()
    now = hour.end + timedelta(hours=1)
    ((_, draft),) = collect([hour], source, rules=QueryLogRules(), now=now)
    if isinstance(draft, IometeMcError):
        raise draft
    written = store.write(draft, manifest_id="m1")
    told = {
        "queries": written.header.records,
        "cpu_s": time.process_time() - begun_cpu,
        "seconds": time.perf_counter() - begun,
        "peak_mib": peak_kib() / 1024,
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
