"""Whether what the gateway received is true: against the manifests' files, against Spark, against the seed's own log.

On purpose it shares no code with what it checks. Here are the comparisons with the seed's log and the
verdict; the gateway's events are compared in ``demo_events``, Spark is asked in ``demo_spark``.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from iomete_mc_assets.cli import demo_imported
from iomete_mc_assets.cli.demo_events import EventProof, compare
from iomete_mc_assets.cli.demo_lineage import table_edges
from iomete_mc_assets.cli.demo_manifests import Manifest, instant, manifests_of, shown_name
from iomete_mc_assets.cli.demo_spark import Spark, row_counts, unaccounted
from iomete_mc_assets.cli.environment import Servers, dropped_files
from iomete_mc_assets.records import TableId
from iomete_mc_assets.sandbox.gateway_client import GatewayClient
from iomete_mc_assets.sandbox.gateway_records import AcceptedEvent
from iomete_mc_assets.sandbox.seed_log import SeedLog
from iomete_mc_assets.windows import HourWindow

SHOWN = 5
"""Differences printed for each comparison."""
SHOWN_CHARACTERS = 400
"""Of one difference."""
FLOWS: Mapping[str, str] = {
    "catalog_snapshot": "catalog entries",
    "observations": "observations",
    "query_logs": "queries",
    "lineage": "lineage edges",
}


@dataclass(slots=True)
class Proof:
    """Comparisons, each with what it compared and what differed."""

    lines: list[str] = field(default_factory=list[str])
    holds: bool = True

    def compared(
        self, what: str, number: int, differences: Sequence[str], *, detail: str = ""
    ) -> None:
        """Note one comparison; comparing nothing proves nothing and fails."""
        fine = not differences and number > 0
        self.holds = self.holds and fine
        more = f" ({detail})" if detail else ""
        self.lines.append(
            f"{'✓' if fine else '✗'} {what}: {number} compared{more}, {len(differences)} differ"
        )
        self.lines += [f"    {difference[:SHOWN_CHARACTERS]}" for difference in differences[:SHOWN]]
        if len(differences) > SHOWN:
            self.lines.append(f"    and {len(differences) - SHOWN} more")
        if number == 0:
            self.lines.append("    nothing was compared, so nothing is proved")


def prove(
    home: Path,
    servers: Servers,
    windows: Sequence[HourWindow],
    log: SeedLog,
    gateway: GatewayClient,
) -> Proof:
    """Compare everything the gateway accepted with everything it should have been told.

    Args:
        home: the demo's folder.
        servers: the lakehouse is asked.
        windows: the demo's hours, oldest first.
        log: what the seed did.
        gateway: what arrived.
    """
    proof, manifests = Proof(), home / "manifests"
    stored = {flow: manifests_of(manifests, flow) for flow in FLOWS}
    everything = gateway.events()
    ours = [e for e in everything if e.resource_uuid == servers.gateway.resource_uuid]
    metadata = [e for e in ours if e.endpoint == "metadata"]
    accepted = {
        "catalog_snapshot": [e for e in metadata if not e.measures],
        "observations": [e for e in metadata if e.measures],
        "query_logs": [e for e in ours if e.endpoint == "querylogs"],
        "lineage": [e for e in ours if e.endpoint == "lineage"],
    }
    catalogs = [m for m in stored["catalog_snapshot"] if any(s.receipts for s in m.sendings)]
    kinds = {shown_name(entry): str(entry["kind"]) for one in catalogs for entry in one.records}
    for flow, what in FLOWS.items():
        events = compare(stored[flow], windows, accepted[flow], kinds=kinds)
        proof.compared(
            f"{what} at the gateway, event by event against manifests and receipts",
            events.compared,
            events.differences,
            detail=_unsent(events),
        )
    proof.compared(
        "queries, each accepted once",
        len(accepted["query_logs"]),
        _twice(accepted["query_logs"]),
    )
    speaking = {
        (manifest.flow, manifest.window): manifest
        for flow in FLOWS
        for manifest in stored[flow]
        if manifest.speaks
    }
    _by_spark(proof, servers, windows[-1], speaking)
    _lineage_by_spark(proof, servers, windows, speaking)
    hours = [m for window in windows if (m := speaking.get(("observations", window)))]
    _by_seed(proof, log, speaking.get(("catalog_snapshot", windows[-1])), hours)
    _queries_by_seed(proof, log, windows, accepted["query_logs"])
    _imported(proof, manifests, dropped_files(home), servers.gateway.others, everything)
    return proof


def _imported(
    proof: Proof,
    manifests: Path,
    dropped: Path,
    warehouses: Mapping[str, str],
    everything: Sequence[AcceptedEvent],
) -> None:
    """What other collectors' files say, at the warehouse of each."""
    numbers: dict[str, int] = {}
    differences: list[str] = []
    for kind, warehouse in warehouses.items():
        theirs = [event for event in everything if event.resource_uuid == warehouse]
        numbers[kind], found = demo_imported.compare(kind, dropped, manifests, theirs)
        differences += [f"{kind}: {one}" for one in found]
    proof.compared(
        "events of other collectors' files at the gateway, event by event against files and receipts",
        sum(numbers.values()),
        differences,
        detail=", ".join(f"{kind} {number}" for kind, number in numbers.items()),
    )


def _unsent(events: EventProof) -> str:
    shown = ", ".join(f"{count} {status}" for status, count in sorted(events.unsent.items()))
    return f"not sent: {shown}" if shown else ""


def _twice(accepted: Sequence[AcceptedEvent]) -> list[str]:
    times = Counter(str(event.content["query_id"]) for event in accepted)
    return [f"{query_id}: accepted {count} times" for query_id, count in times.items() if count > 1]


def _by_spark(
    proof: Proof,
    servers: Servers,
    window: HourWindow,
    speaking: Mapping[tuple[str, HourWindow], Manifest],
) -> None:
    catalog = speaking.get(("catalog_snapshot", window))
    observations = speaking.get(("observations", window))
    if catalog is None or observations is None:
        proof.compared(f"hour {window.key}, against Spark", 0, ["it has no manifest"])
        return
    with closing(Spark(servers.lakehouse)) as spark:
        listed, passed_over = unaccounted(spark, catalog)
        counted, rows, differences = row_counts(spark, catalog, observations)
    proof.compared(
        "tables in the newest manifest, against Spark's SHOW TABLES", listed, passed_over
    )
    proof.compared(
        "row counts in the newest manifest, against Spark's count(*) AS OF the hour's end",
        counted,
        differences,
        detail=f"{rows:,} rows",
    )


def _lineage_by_spark(
    proof: Proof,
    servers: Servers,
    windows: Sequence[HourWindow],
    speaking: Mapping[tuple[str, HourWindow], Manifest],
) -> None:
    lineage, queries = (
        [m for window in windows if (m := speaking.get((flow, window)))]
        for flow in ("lineage", "query_logs")
    )
    catalog = speaking.get(("catalog_snapshot", windows[-1]))
    compared, differences = 0, ["the newest hour has no catalog"]
    if catalog is not None:
        with closing(Spark(servers.lakehouse)) as spark:
            compared, differences = table_edges(spark, lineage, queries, catalog)
    proof.compared(
        f"edges of tables in the manifests of {len(lineage)} hours, against Spark's own parser and analyzer",
        compared,
        differences,
    )


def _by_seed(
    proof: Proof, log: SeedLog, catalog: Manifest | None, hours: Sequence[Manifest]
) -> None:
    """Rows and last data change of every table that is in the newest catalog, in every hour."""
    listed = {shown_name(record) for record in catalog.records} if catalog else set[str]()
    tables = [table for table in log.tables if table.shown in listed]
    rows, changes = _Compared(), _Compared()
    for manifest in hours:
        observed = {shown_name(r): r for r in manifest.records if r["carried_from"] is None}
        for table in tables:
            record, end = observed.get(table.shown, {}), manifest.window.end
            changed = record.get("last_data_change")
            rows.hold(manifest, table, record.get("row_count"), log.rows_as_of(table, end))
            changes.hold(
                manifest, table, changed and instant(changed), log.last_change_as_of(table, end)
            )
    for what, compared in (("row counts", rows), ("last data changes", changes)):
        proof.compared(
            f"{what} in the manifests of {len(hours)} hours, against the seed's own log",
            compared.number,
            compared.differences,
        )


@dataclass(slots=True)
class _Compared:
    """What manifests say of tables, against what happened."""

    number: int = 0
    differences: list[str] = field(default_factory=list[str])

    def hold(
        self, manifest: Manifest, table: TableId, told: object | None, happened: object | None
    ) -> None:
        """Hold one figure against the truth; only an omission may leave a known one out."""
        if told is None and (happened is None or table.shown in manifest.omitted):
            return
        self.number += 1
        if told != happened:
            self.differences.append(
                f"{manifest.shown} {table.shown}: it says {told}, it was {happened}"
            )


def _queries_by_seed(
    proof: Proof, log: SeedLog, windows: Sequence[HourWindow], accepted: Sequence[AcceptedEvent]
) -> None:
    happened: Counter[tuple[str, datetime | None]] = Counter(
        (statement.text, statement.ended_at)
        for window in windows
        for statement in log.statements_ended_in(window)
        if statement.role == "query"
    )
    told: Counter[tuple[str, datetime | None]] = Counter(
        (event.content["query_text"], ended)
        for event in accepted
        if windows[0].start <= (ended := instant(event.content["end_time"])) < windows[-1].end
    )
    differences = [f"missing: {text[:60]}" for text, _ in (happened - told).elements()]
    differences += [f"invented: {text[:60]}" for text, _ in (told - happened).elements()]
    proof.compared("queries, against the seed's own log", told.total(), differences)
