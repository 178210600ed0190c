"""Files of other collectors in the demo: dropped once, and what must have arrived of them, event by event.

As in ``demo_events``, the events are put together here without the product's own code.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from iomete_mc_assets.cli.demo_events import with_instants
from iomete_mc_assets.cli.demo_manifests import Json, instant, manifests_of
from iomete_mc_assets.sandbox import other_collectors as others
from iomete_mc_assets.sandbox.gateway_records import AcceptedEvent

TABLES_FILE, QUERIES_FILE = "tables.json", "queries.json"
ROWS = 1_200
QUERIES_BEGAN_BEFORE = (timedelta(hours=3), timedelta(hours=1), timedelta(minutes=5))
"""How long before its file was collected each query began: three hours, so three manifests."""
FLOWS = ("catalog_snapshot", "observations", "query_logs")


def drop(folder: Path, *, now: datetime) -> int:
    """Write the files of all six kinds, where they are not there yet; how many lie there.

    Args:
        folder: one below it for each kind.
        now: when they were collected.
    """
    starts = tuple(now - before for before in QUERIES_BEGAN_BEFORE)
    for kind in others.KINDS:
        place = folder / kind
        if not place.exists():
            place.mkdir(parents=True)
            tables = others.metadata(kind, collected_at=now, rows=ROWS)
            (place / TABLES_FILE).write_text(json.dumps(tables))
            queries = others.query_logs(kind, collected_at=now, starts=starts)
            (place / QUERIES_FILE).write_text(json.dumps(queries))
    return len([*folder.glob("*/*.json")])


def compare(
    kind: str, folder: Path, manifests: Path, accepted: Sequence[AcceptedEvent]
) -> tuple[int, list[str]]:
    """Compare what one source's warehouse has with the files and the receipts.

    Args:
        kind: the source.
        folder: as for ``drop``.
        manifests: root of the manifest store.
        accepted: the events of its warehouse.

    Returns:
        The number of events, and the differences.
    """
    missing = [_plain(event) for event in _expected(kind, folder)]
    invented: list[str] = []
    for event in accepted:
        got = _plain(with_instants(event.content))
        if got in missing:
            missing.remove(got)
        else:
            invented.append(got)
    stored = [one for flow in FLOWS for one in manifests_of(manifests / "imported" / kind, flow)]
    receipts = {i for one in stored for sent in one.sendings for i, _ in sent.receipts}
    requests = {event.invocation_id for event in accepted}
    differences = [f"missing: {event}" for event in missing]
    differences += [f"not in the file: {event}" for event in invented]
    differences += [f"request {one}: no receipt" for one in sorted(requests - receipts)]
    differences += [f"receipt of {one}: no such request" for one in sorted(receipts - requests)]
    return len(accepted), differences


def _plain(event: Json) -> str:
    return json.dumps(event, sort_keys=True, default=str)


def _expected(kind: str, folder: Path) -> Iterator[Json]:
    """Every event of a source's two files."""
    tables = json.loads((folder / kind / TABLES_FILE).read_text())
    collected_at = instant(tables["collected_at"])
    fields = [
        {name: text for name, text in field.items() if text is not None} for field in others.FIELDS
    ]
    orders, empty = ({**others.PLACE, "name": name} for name in ("orders", "empty"))
    described = {**orders, "description": others.DESCRIPTION}
    yield _asset(metadata=described, fields=fields)
    yield _asset(metadata=empty, fields=fields)
    yield _asset(
        metadata=orders,
        volume={"row_count": ROWS, "byte_count": others.BYTES},
        freshness={"last_update_time": collected_at - others.CHANGED_BEFORE},
    )
    for number, before in enumerate(QUERIES_BEGAN_BEFORE):
        query: Json = {
            "query_id": f"{kind}-{number}",
            "query_text": others.query_text(number),
            "start_time": collected_at - before,
            "end_time": collected_at - before + others.TAKES,
            "user": others.USER,
        }
        if kind in others.ROWS:
            query["returned_rows"] = number
        if others.SENT_EXTRAS[kind]:
            query["extra"] = others.SENT_EXTRAS[kind]
        yield query


def _asset(**parts: object) -> Json:
    return {"relational_asset": {"type": "TABLE", **parts}}
