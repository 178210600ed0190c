"""Whether what the gateway received is true: against the manifests' files, against Spark, against the seed's own log.

On purpose it shares no code with what it checks: manifests are read as gzip and JSON, Spark is asked
through PyHive's own transport, names are put together here.
"""

# PyHive ships no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from pyhive import hive
from pyhive.exc import OperationalError

from iomete_mc_assets.cli.environment import Servers
from iomete_mc_assets.sandbox.gateway_client import GatewayClient
from iomete_mc_assets.sandbox.gateway_records import AcceptedEvent
from iomete_mc_assets.sandbox.seed_log import SeedLog
from iomete_mc_assets.windows import HourWindow

Json = dict[str, Any]
SHOWN = 5
"""Differences printed for each comparison."""


@dataclass(slots=True)
class Proof:
    """Comparisons, each with what it compared and what differed."""

    lines: list[str] = field(default_factory=list[str])
    holds: bool = True

    def compared(
        self, what: str, number: int, differences: Sequence[str], *, at_least: int = 1
    ) -> None:
        """Note one comparison; comparing less than ``at_least`` things proves nothing and fails."""
        fine = not differences and number >= at_least
        self.holds = self.holds and fine
        self.lines.append(
            f"{'[green]✓[/green]' if fine else '[red]✗[/red]'} {what}: {number} compared, {len(differences)} differ"
        )
        self.lines += [f"    {difference}" for difference in differences[:SHOWN]]
        if number < at_least:
            self.lines.append(f"    expected at least {at_least} to compare")


def prove(
    manifests: Path,
    servers: Servers,
    windows: Sequence[HourWindow],
    log: SeedLog,
    gateway: GatewayClient,
) -> Proof:
    """Compare everything the gateway accepted with everything it should have been told.

    Args:
        manifests: root of the manifest store, on local disk.
        servers: the lakehouse is asked.
        windows: the demo's hours, oldest first.
        log: what the seed did.
        gateway: what arrived.
    """
    proof = Proof()
    newest = windows[-1]
    metadata = gateway.events("metadata")
    entries = _latest(_asset(event) for event in metadata if not event.measures)
    measured = _latest(_asset(event) for event in metadata if event.measures)
    queries = [_plain(event) for event in gateway.events("querylogs")]
    _catalog(proof, _records(manifests, "catalog_snapshot", newest), entries)
    _observations(proof, _records(manifests, "observations", newest), measured)
    _queries(proof, [q for w in windows for q in _records(manifests, "query_logs", w)], queries)
    _rows_by_spark(proof, servers, newest, measured)
    _changes_by_seed(proof, log, newest, measured)
    _queries_by_seed(proof, log, windows, queries)
    return proof


def _records(manifests: Path, flow: str, window: HourWindow) -> list[Json]:
    """The lines of an hour's current manifest, read without the store's code."""
    hour = manifests / flow / window.folder
    manifest = hour / json.loads((hour / "current.json").read_text())["manifest_id"]
    header = json.loads((manifest / "manifest.json").read_text())
    lines = [
        line
        for part in header["parts"]
        for line in gzip.decompress((manifest / part["file"]).read_bytes()).splitlines()
    ]
    return [json.loads(line) for line in lines]


def _plain(event: AcceptedEvent) -> Json:
    return dict(event.content)


def _asset(event: AcceptedEvent) -> Json:
    return cast("Json", event.content["relational_asset"])


def _latest(assets: Iterable[Json]) -> dict[str, Json]:
    """The last event of each table, by ``database.schema.name``."""
    return {".".join(asset["metadata"][part] for part in PARTS): asset for asset in assets}


PARTS = ("database", "schema", "name")


def _name(record: Json) -> str:
    """The guide's name for a record's table."""
    table = record["table"]
    return ".".join((*table["namespace"], "default", table["table"]))


def _catalog(proof: Proof, records: list[Json], sent: Mapping[str, Json]) -> None:
    expected = {
        _name(record): {
            "type": record["kind"].upper(),
            "fields": [(c["name"], c["type"], c["comment"]) for c in record["columns"]],
            "description": record["comment"],
            "view_query": record["view_text"],
        }
        for record in records
    }
    got = {
        name: {
            "type": asset["type"],
            "fields": [
                (f["name"], f["type"], f.get("description")) for f in asset.get("fields", [])
            ],
            "description": asset["metadata"].get("description"),
            "view_query": asset["metadata"].get("view_query"),
        }
        for name, asset in sent.items()
    }
    proof.compared("catalog entries, against the newest manifest", len(got), _apart(expected, got))


def _observations(proof: Proof, records: list[Json], sent: Mapping[str, Json]) -> None:
    expected = {
        _name(record): _known(
            rows=record["row_count"], size=record["byte_count"], changed=record["last_data_change"]
        )
        for record in records
        if record["carried_from"] is None
    }
    got = {name: _measures(asset) for name, asset in sent.items()}
    proof.compared(
        "observations, against the newest manifest", len(got), _apart(_without_empty(expected), got)
    )


def _measures(asset: Json) -> Json:
    volume, freshness = asset.get("volume", {}), asset.get("freshness", {})
    changed = freshness.get("last_update_time")
    return _known(rows=volume.get("row_count"), size=volume.get("byte_count"), changed=changed)


def _known(*, rows: int | None, size: int | None, changed: str | None) -> Json:
    instant = None if changed is None else datetime.fromisoformat(changed)
    figures = {"rows": rows, "bytes": size, "changed": instant}
    return {name: figure for name, figure in figures.items() if figure is not None}


def _without_empty(expected: dict[str, Json]) -> dict[str, Json]:
    """A table of which nothing is known has no event."""
    return {name: figures for name, figures in expected.items() if figures}


def _queries(proof: Proof, records: list[Json], sent: list[Json]) -> None:
    expected = {
        record["query_id"]: (
            record["text"],
            datetime.fromisoformat(record["started_at"]),
            datetime.fromisoformat(record["ended_at"]),
            record["user"],
        )
        for record in records
    }
    got = {
        event["query_id"]: (
            event["query_text"],
            datetime.fromisoformat(event["start_time"]),
            datetime.fromisoformat(event["end_time"]),
            event.get("user"),
        )
        for event in sent
    }
    hours = {query_id: query for query_id, query in got.items() if query_id in expected}
    twice = [f"{i}: accepted {n} times" for i, n in _counted(sent).items() if n > 1]
    differences = [*_apart(expected, hours), *twice]
    proof.compared("queries, against the manifests", len(hours), differences)


def _counted(events: list[Json]) -> Counter[str]:
    return Counter(event["query_id"] for event in events)


def _rows_by_spark(
    proof: Proof, servers: Servers, window: HourWindow, sent: Mapping[str, Json]
) -> None:
    """Ask Spark itself for every row count that was sent."""
    address = urlsplit(servers.lakehouse.url)
    session = hive.connect(
        address.hostname,
        address.port,
        scheme="http",
        username=servers.lakehouse.user,
        password=servers.lakehouse.token,
    )
    differences: list[str] = []
    asked = 0
    with closing(session):
        for name, asset in sorted(sent.items()):
            rows = asset.get("volume", {}).get("row_count")
            if rows is None:
                continue
            counted = _counted_by_spark(session, asset["metadata"], window)
            asked += 1
            if counted != rows:
                differences.append(f"{name}: {rows} sent, Spark counts {counted}")
    proof.compared("row counts, against Spark's count(*) AS OF the hour's end", asked, differences)


def _counted_by_spark(session: hive.Connection, table: Json, window: HourWindow) -> int:
    """Rows just before the hour's end: the hour is half-open, AS OF includes its instant."""
    quoted = f"`{table['database']}`.`{table['name']}`"
    as_of = f"TIMESTAMP AS OF timestamp_millis({window.end_ms - 1})"
    with closing(session.cursor()) as cursor:
        try:
            cursor.execute(f"SELECT count(*) FROM {quoted} {as_of}")
        except OperationalError as error:
            # Spark cannot travel through a table without any snapshot; such a table has no rows
            if "Cannot find a snapshot older than" not in str(error):
                raise
            cursor.execute(f"SELECT count(*) FROM {quoted}.snapshots")
            written = cursor.fetchone()
            return 0 if written == (0,) else -1
        row = cursor.fetchone()
        return -1 if row is None else row[0]


def _changes_by_seed(
    proof: Proof, log: SeedLog, window: HourWindow, sent: Mapping[str, Json]
) -> None:
    differences: list[str] = []
    compared = 0
    for table in log.tables:
        name = ".".join((*table.namespace, "default", table.table))
        asset = sent.get(name) if table.catalog == "spark_catalog" else None
        if asset is None or "freshness" not in asset:
            continue
        told = datetime.fromisoformat(asset["freshness"]["last_update_time"])
        happened = log.last_change_as_of(table, window.end)
        compared += 1
        if told != happened:
            differences.append(f"{name}: {told} sent, it happened {happened}")
    proof.compared("last data changes, against the seed's own log", compared, differences)


def _queries_by_seed(
    proof: Proof, log: SeedLog, windows: Sequence[HourWindow], sent: list[Json]
) -> None:
    happened: Counter[tuple[str, datetime | None]] = Counter(
        (statement.text, statement.ended_at)
        for window in windows
        for statement in log.statements_ended_in(window)
        if statement.role == "query"
    )
    told: Counter[tuple[str, datetime | None]] = Counter(
        (event["query_text"], ended)
        for event in sent
        if windows[0].start
        <= (ended := datetime.fromisoformat(event["end_time"]))
        < windows[-1].end
    )
    differences = [f"missing: {text[:60]}" for text, _ in (happened - told).elements()]
    differences += [f"invented: {text[:60]}" for text, _ in (told - happened).elements()]
    proof.compared("queries, against the seed's own log", told.total(), differences)


def _apart(expected: Mapping[str, object], got: Mapping[str, object]) -> list[str]:
    """Every key whose two values differ, with what is missing and what is too much."""
    return [
        f"{key}: expected {expected.get(key)}, gateway has {got.get(key)}"
        for key in sorted(expected.keys() | got.keys())
        if expected.get(key) != got.get(key)
    ]
