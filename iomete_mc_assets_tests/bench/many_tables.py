"""Iceberg tables by the thousand, by their metadata files alone: no data file and no manifest lies behind them.

What is measured on them lives in ``scale``.
"""

import json
import uuid
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from iomete_mc_assets.records import TableId
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.warehouse.connection import Lakehouse
from iomete_mc_assets.warehouse.statements import literal, quoted

REGISTERING = 2
"""Sessions that register tables at the same time: one for each of the machine's cores."""
PRIMITIVES = ("long", "string", "timestamptz", "date", "double", "boolean", "decimal(38, 10)")
COLUMNS = 16
"""Besides the nested one; the sandbox of ``iomete.md`` 4.4 had 17 a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One table.

    Attributes:
        snapshots: how many it has; each is an append.
        newest: when the last of them was committed.
        every: time between two of them.
        staged: commit times of further snapshots that are not current yet, as a staged write leaves them:
            making one current changes the table's data by one metadata file.
    """

    table: TableId
    newest: datetime
    snapshots: int = 4
    every: timedelta = timedelta(hours=5)
    staged: tuple[datetime, ...] = ()

    def snapshot_id(self, number: int) -> int:
        """Of the snapshot ``number``, counted from 0."""
        return 10**17 + zlib.crc32(self.table.shown.encode()) * 10**5 + number


def make(lakehouse: RunningLakehouse, planned: Sequence[Planned]) -> None:
    """All of them; those of ``lake`` on disk alone, the others registered at the metastore too."""
    registered = [one for one in planned if one.table.catalog == "spark_catalog"]
    for one in planned:
        if one.table.catalog != "spark_catalog":
            folder = lakehouse.state.joinpath("lake", *one.table.namespace, one.table.table)
            _write(folder, "v1.metadata.json", one)
            (folder / "metadata" / "version-hint.text").write_text("1")
    with Lakehouse.connect(lakehouse.config) as session:
        for database in sorted({one.table.namespace[0] for one in registered}):
            session.ask(f"CREATE DATABASE IF NOT EXISTS {quoted(database)}")
    shares = [registered[start::REGISTERING] for start in range(REGISTERING)]
    with ThreadPoolExecutor(REGISTERING) as threads:
        for done in [threads.submit(_register, lakehouse, share) for share in shares]:
            done.result()


def _register(lakehouse: RunningLakehouse, planned: Iterable[Planned]) -> None:
    with Lakehouse.connect(lakehouse.config) as session:
        for one in planned:
            (database,) = one.table.namespace
            folder = lakehouse.state / "warehouse" / f"{database}.db" / one.table.table
            file = _write(folder, "00000-made.metadata.json", one)
            name = literal(f"{database}.{one.table.table}")
            session.ask(
                f"CALL spark_catalog.system.register_table(table => {name}, metadata_file => {literal(str(file))})"
            )


def _write(folder: Path, name: str, planned: Planned) -> Path:
    file = folder / "metadata" / name
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(metadata(folder, planned)))
    return file


def metadata(folder: Path, planned: Planned) -> dict[str, object]:
    """Iceberg's table metadata, format version 2, without partitions."""
    newest = _ms(planned.newest)
    step = planned.every // timedelta(milliseconds=1)
    times = [newest - step * age for age in range(planned.snapshots - 1, -1, -1)]
    commits = [*times, *map(_ms, planned.staged)]
    ids = [planned.snapshot_id(number) for number in range(len(commits))]
    current = ids[planned.snapshots - 1]
    return {
        "format-version": 2,
        "table-uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, planned.table.shown)),
        "location": str(folder),
        "last-sequence-number": len(commits),
        "last-updated-ms": newest,
        "last-column-id": COLUMNS + 4,
        "current-schema-id": 0,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": _fields()}],
        "default-spec-id": 0,
        "partition-specs": [{"spec-id": 0, "fields": []}],
        "last-partition-id": 999,
        "default-sort-order-id": 0,
        "sort-orders": [{"order-id": 0, "fields": []}],
        "properties": {"owner": "bench", "write.parquet.compression-codec": "zstd"},
        "current-snapshot-id": current,
        "refs": {"main": {"snapshot-id": current, "type": "branch"}},
        "snapshots": [_snapshot(folder, number, at, ids) for number, at in enumerate(commits)],
        "snapshot-log": [
            {"timestamp-ms": at, "snapshot-id": one} for at, one in zip(times, ids, strict=False)
        ],
        "metadata-log": [],
    }


def _fields() -> list[dict[str, object]]:
    fields: list[dict[str, object]] = [
        {
            "id": number,
            "name": f"Column_{number}",
            "required": number == 1,
            "type": PRIMITIVES[number % len(PRIMITIVES)],
            **({"doc": f"what the source calls column {number}"} if number % 3 == 0 else {}),
        }
        for number in range(1, COLUMNS + 1)
    ]
    first = COLUMNS + 1
    inner = [
        {"id": first + 1, "name": "City", "required": False, "type": "string", "doc": "x"},
        {
            "id": first + 2,
            "name": "geo",
            "required": False,
            "type": {
                "type": "list",
                "element-id": first + 3,
                "element": "double",
                "element-required": False,
            },
        },
    ]
    nested = {"type": "struct", "fields": inner}
    return [*fields, {"id": first, "name": "Place", "required": False, "type": nested}]


def _snapshot(folder: Path, number: int, at: int, ids: Sequence[int]) -> dict[str, object]:
    summary = {
        "operation": "append",
        "spark.app.id": "local-1795245000000",
        "added-data-files": "1",
        "added-records": "100",
        "added-files-size": "2001",
        "changed-partition-count": "1",
        "total-records": str(100 * (number + 1)),
        "total-files-size": str(2001 * (number + 1)),
        "total-data-files": str(number + 1),
        "total-delete-files": "0",
        "total-position-deletes": "0",
        "total-equality-deletes": "0",
        "engine-version": "3.5.8",
        "iceberg-version": "Apache Iceberg 1.9.2",
    }
    return {
        "sequence-number": number + 1,
        "snapshot-id": ids[number],
        **({"parent-snapshot-id": ids[number - 1]} if number else {}),
        "timestamp-ms": at,
        "summary": summary,
        "manifest-list": str(folder / "metadata" / f"snap-{ids[number]}.avro"),
        "schema-id": 0,
    }


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
