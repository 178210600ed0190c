"""Putting the shop into a running lakehouse: real commits, then real history rewritten to planned instants.

What the shop is stands in ``shop_tables`` and ``workload``; what was done is kept by ``seed_log``.
"""

import contextlib
import json
import logging
import re
import shutil
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.records import TableId
from iomete_mc_assets.sandbox import commands, lakehouse, seed_log
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.sandbox.seed_log import SeedLog
from iomete_mc_assets.sandbox.shop import Operation, ShopTable
from iomete_mc_assets.sandbox.shop_tables import build_shop
from iomete_mc_assets.sandbox.workload import archives, build_workload
from iomete_mc_assets.warehouse.connection import Lakehouse
from iomete_mc_assets.warehouse.rows import Warehouse
from iomete_mc_assets.warehouse.statements import literal, quoted
from iomete_mc_assets.windows import HourWindow

WORKSHOP = "seed_workshop"
"""Catalog in which tables are made before their past is rewritten and the metastore learns of them.

It is of type hadoop, lies over the metastore's warehouse, and is known to the seed's sessions only. A
commit through it took 0.25 s, through the embedded metastore 0.7 s.
"""
BEGUN = "seed.begun"
"""Marks a state folder before the first statement; a seed that came to its end has its log beside it."""
CONNECTIONS = 2
"""As many as Spark has cores here; a table is written by one of them only, there are no locks."""

_log = logging.getLogger(__name__)


def seed_is_current(state: Path, now: datetime) -> bool:
    """Whether the shop of a state folder ends with the newest hour that is closed at ``now``."""
    log = seed_log.read(state)
    return log is not None and log.window == HourWindow.newest_closed(now)


def sandbox_for_tests(state: Path, *, now: datetime) -> RunningLakehouse:
    """A running lakehouse whose shop ends with the newest closed hour; all else in ``state`` is removed.

    Stop it with ``lakehouse.stop(state)``.

    Raises:
        SandboxError: as ``lakehouse.start``.
        LakehouseError: a statement of the seed failed.
    """
    if not seed_is_current(state, now):
        lakehouse.stop(state)
        remove_data(state)
    running = lakehouse.start(state)
    if seed_log.read(state) is None:
        seed(running, now=now)
    return running


def cut_off(state: Path) -> bool:
    """Whether a seed began here and never came to its end: what it left is neither whole nor anybody's."""
    return (state / BEGUN).exists() and not (state / seed_log.FILE).exists()


def remove_data(state: Path) -> None:
    """Forget a stopped lakehouse's tables; its token and port stay, so clients need not change.

    Raises:
        SandboxError: it runs.
    """
    if lakehouse.status(state) is not None:
        msg = f"The lakehouse of {state} runs. Stop it before its data is removed."
        raise SandboxError(msg)
    (state / seed_log.FILE).unlink(missing_ok=True)
    for name in lakehouse.DATA_FOLDERS:
        shutil.rmtree(state / name, ignore_errors=True)
    (state / BEGUN).unlink(missing_ok=True)  # last, so that a removal cut off is seen as well


def seed(
    running: RunningLakehouse,
    *,
    now: datetime,
    hours: int = 24,
) -> SeedLog:
    """Put the shop and its query history into an empty lakehouse.

    Args:
        running: it holds no shop yet.
        now: aware; the newest seeded hour is the newest one closed at that instant.
        hours: how many hours, from 1 to 29: most of the shop's tables are 30 hours old.

    Raises:
        LakehouseError: a statement failed.
        SandboxError: the lakehouse holds tables already, or Iceberg wrote another history than was planned.
    """
    if any(any((running.state / name).glob("*")) for name in ("warehouse", "lake")):
        again = commands.of_state("sandbox start --fresh", state=running.state)
        msg = (
            f"The lakehouse of {running.state} already holds tables, and no seed of ours on record made "
            f"them, so it is not seeded. `{again}` removes them and seeds."
        )
        raise SandboxError(msg)
    (running.state / BEGUN).touch()
    window = HourWindow.newest_closed(now)
    shop = build_shop(window, hours=hours)
    workload = build_workload(shop)
    tables = (*shop.tables, *archives(shop, workload))
    _log.info("seeding %d tables, %d statements, %d hours", len(tables), len(workload), hours)
    with Lakehouse.connect(running.config) as session:
        _run(session, _databases(tables))
        _make_all(running, tables)
        _run(session, shop.statements)
    log = seed_log.log_of(window, hours, tables, workload)
    seed_log.write(log, running.state)
    return log


def _run(session: Warehouse, statements: Iterable[str]) -> None:
    for statement in statements:
        session.ask(statement)


def _databases(tables: Sequence[ShopTable]) -> list[str]:
    """Every namespace with its parents."""
    needed = set[tuple[str, ...]]()
    for made in tables:
        namespace = made.table.namespace
        for depth in range(1, len(namespace) + 1):
            needed.add((made.table.catalog, *namespace[:depth]))
    return [f"CREATE NAMESPACE {quoted(*name)}" for name in sorted(needed)]


def _make_all(running: RunningLakehouse, tables: Sequence[ShopTable]) -> None:
    """Share the tables among the connections, those with the most commits first."""
    waiting = sorted(tables, key=lambda made: len(made.operations))

    def work() -> None:
        try:
            with Lakehouse.connect(running.config) as session:
                _open_workshop(session, running.state)
                while (made := _next(waiting)) is not None:
                    _make(session, made, running.state)
        except BaseException:
            waiting.clear()
            raise

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        working = [pool.submit(work) for _ in range(CONNECTIONS)]
        try:
            for done in working:
                done.result()
        except BaseException:
            waiting.clear()  # Ctrl-C comes to this thread only; the pool waits for the others
            raise


def _open_workshop(session: Warehouse, state: Path) -> None:
    """Make the workshop known to a session, and spare it plans that adapt to a few rows."""
    catalog = f"spark.sql.catalog.{WORKSHOP}"
    settings = {
        catalog: "org.apache.iceberg.spark.SparkCatalog",
        f"{catalog}.type": "hadoop",
        f"{catalog}.warehouse": str(state / "warehouse"),
        "spark.sql.adaptive.enabled": "false",
    }
    _run(session, (f"SET {name}={value}" for name, value in settings.items()))


def _next(waiting: list[ShopTable]) -> ShopTable | None:
    with contextlib.suppress(IndexError):  # the other connection may have taken the last one
        return waiting.pop()
    return None


def _make(session: Warehouse, made: ShopTable, state: Path) -> None:
    """Run a table's operations under a working name, then give it its past under its own."""
    if made.table.catalog == "spark_catalog":
        _make_in_metastore(session, made, state)
    else:
        _make_in_folder(session, made, state)


def _make_in_metastore(session: Warehouse, made: ShopTable, state: Path) -> None:
    """Through the workshop, which writes where the metastore's table will lie."""
    (database,), table = made.table.namespace, made.table.table
    _operate(session, made, TableId(WORKSHOP, (f"{database}.db",), table))
    if made.dropped_at is not None:
        return
    metadata = state / "warehouse" / f"{database}.db" / table / "metadata"
    newest, number = _newest(metadata)
    aged = metadata / f"{number:05d}-{uuid.uuid4()}.metadata.json"
    aged.write_text(json.dumps(backdated(json.loads(newest.read_text()), made)))
    (metadata / "version-hint.text").unlink()  # no longer a table of the workshop
    name = f"{quoted(database)}.{quoted(table)}"
    session.ask(f"CALL spark_catalog.system.register_table({literal(name)}, {literal(str(aged))})")


def _make_in_folder(session: Warehouse, made: ShopTable, state: Path) -> None:
    """A hadoop catalog has no names to register: the newest metadata file itself is rewritten."""
    _operate(session, made, made.table)
    table = state.joinpath(made.table.catalog, *made.table.namespace, made.table.table)
    newest, _ = _newest(table / "metadata")
    aged = json.dumps(backdated(json.loads(newest.read_text()), made))
    (newest.parent / f".{newest.name}.crc").unlink(
        missing_ok=True
    )  # Hadoop's checksum of the old text
    newest.write_text(aged)
    session.ask(f"REFRESH TABLE {_quoted(made.table)}")


def _newest(metadata: Path) -> tuple[Path, int]:
    """The current metadata file of a hadoop catalog's table, and its number."""
    number = int((metadata / "version-hint.text").read_text())
    return metadata / f"v{number}.metadata.json", number


def _operate(session: Warehouse, made: ShopTable, working: TableId) -> None:
    for operation in made.operations:
        text = operation.statement
        for mark, meant in (
            ("<table>", _quoted(working)),
            ("<catalog>", quoted(working.catalog)),
            ("<name>", quoted(*working.namespace, working.table)),
        ):
            text = text.replace(mark, meant)
        if wanted := re.search(r"<snapshot (\d+)>", text):
            snapshot = _snapshots(session, working)[int(wanted[1])]
            text = text.replace(wanted[0], str(snapshot))
        session.ask(text)


def _snapshots(session: Warehouse, table: TableId) -> list[int]:
    rows = session.ask(f"SELECT snapshot_id FROM {_quoted(table)}.snapshots ORDER BY committed_at")
    return [int(str(row["snapshot_id"])) for row in rows]


def _quoted(table: TableId) -> str:
    return quoted(table.catalog, *table.namespace, table.table)


def backdated(metadata: dict[str, Any], made: ShopTable) -> dict[str, Any]:
    """Iceberg's table metadata with every time replaced by the planned one.

    Snapshots and history may have lost their oldest entries (expiry); the newest always match the plan.

    Raises:
        SandboxError: there are more or other entries than the plan accounts for.
    """
    commits = list(made.operations)
    snapshots = [one for one in commits if one.makes_snapshot]
    history = [one for one in commits if one.in_history]
    expired = any(one.kind == "expire" for one in commits)
    _date(metadata["snapshots"], snapshots, made, shortened=expired)
    _date(metadata["snapshot-log"], history, made, shortened=expired)
    _date(metadata["metadata-log"], commits[:-1], made, shortened=False)
    metadata["last-updated-ms"] = _ms(commits[-1].at)
    return metadata


def _date(
    entries: list[dict[str, Any]], planned: Sequence[Operation], made: ShopTable, *, shortened: bool
) -> None:
    if len(entries) > len(planned) or (len(entries) < len(planned) and not shortened):
        msg = (
            f"The seed planned {len(planned)} entries for {made.table.shown} and Iceberg wrote {len(entries)}: "
            f"{[one.kind for one in planned]}. This Iceberg behaves differently; the plan in shop.py has to follow."
        )
        raise SandboxError(msg)
    for entry, operation in zip(entries, planned[len(planned) - len(entries) :], strict=True):
        entry["timestamp-ms"] = _ms(operation.at)


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
