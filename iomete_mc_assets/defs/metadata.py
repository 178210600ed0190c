"""What an event's metadata says: every key once, built from headers and outcomes. A public interface.

Numbers become plots in the UI, so figures are plain ints under stable names.
"""

# Dagster types a path as PathLike without its parameter.
# pyright: reportUnknownMemberType=false

import itertools
from collections.abc import Iterable, Mapping
from datetime import datetime

import dagster as dg

from iomete_mc_assets.errors import ManifestPruned
from iomete_mc_assets.manifests.model import Changes, Header, Written
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.push.outcome import HourOutcome, Preview
from iomete_mc_assets.records import Observation, QueryRecord, Record, TableEntry

MANIFEST_ID = "manifest_id"
STORE_ID = "store_id"
STATE = "state"
COLLECTED_AT = "collected_at"
OMISSIONS = "omissions"
PUSH_PREFIX = "monte_carlo/"
PUSH_STATUS = "monte_carlo/status"
INVOCATION_IDS = "monte_carlo/invocation_ids"

PREVIEW_ROWS = 10
SHOWN_IDS = 20
"""Invocation ids in an event: every event is JSON in Dagster's database; all stand in settled.json."""
SHOWN_TEXT = 80

Metadata = dict[str, dg.MetadataValue]


def of_manifest(
    written: Written, store: ManifestStore, *, settled: dg.AssetMaterialization | None = None
) -> Metadata:
    """Metadata of a collected partition, what matters most first.

    Args:
        written: what the hour now says.
        store: where.
        settled: the pushed asset's materialisation of this very manifest, when it was collected again
            and kept: its push then stays in sight. None for a manifest that is still to be pushed.
    """
    header = written.header
    metadata: Metadata = {STATE: dg.MetadataValue.text(header.state)}
    if header.reason:
        metadata["reason"] = dg.MetadataValue.text(header.reason)
    metadata |= {
        "records": dg.MetadataValue.int(header.records),
        "preview": dg.MetadataValue.md(_preview(store, header)),
        OMISSIONS: dg.MetadataValue.int(header.omissions.total),
    }
    if header.omissions.total:
        kinds = {str(kind): count for kind, count in header.omissions.counts.items()}
        metadata["omissions by kind"] = dg.MetadataValue.json(kinds)
        metadata["omissions shown"] = dg.MetadataValue.md(_omissions(header))
    if header.changes is not None:
        metadata |= _changes(header.changes)
    metadata |= {name: dg.MetadataValue.int(n) for name, n in sorted(header.counts.items())}
    metadata |= {
        COLLECTED_AT: dg.MetadataValue.timestamp(header.collected_at),
        "source": dg.MetadataValue.text(
            f"{header.source.host} ({', '.join(header.source.catalogs)})"
        ),
        "kept": dg.MetadataValue.bool(written.kept),
    }
    if written.why:
        metadata["kept because"] = dg.MetadataValue.text(written.why)
    if header.inputs:
        metadata["read beside"] = dg.MetadataValue.json(dict(header.inputs))
    if settled is not None:
        metadata |= {k: v for k, v in settled.metadata.items() if k.startswith(PUSH_PREFIX)}
    return {
        **metadata,
        "manifest": dg.MetadataValue.path(
            store.path(header.flow, header.window, header.manifest_id)
        ),
        MANIFEST_ID: dg.MetadataValue.text(header.manifest_id),
        STORE_ID: dg.MetadataValue.text(store.store_id),
    }


def of_push(outcome: HourOutcome, *, app_url: str) -> Metadata:
    """Metadata of a pushed partition; the same keys go onto the collected one."""
    shown = list(outcome.invocation_ids[:SHOWN_IDS])
    metadata: Metadata = {PUSH_STATUS: dg.MetadataValue.text(outcome.word)}
    if outcome.reason:
        metadata["monte_carlo/reason"] = dg.MetadataValue.text(outcome.reason)
    metadata |= {
        INVOCATION_IDS: dg.MetadataValue.json(shown),
        "monte_carlo/invocation_id_count": dg.MetadataValue.int(len(outcome.invocation_ids)),
        "monte_carlo/batches": dg.MetadataValue.int(outcome.batches),
        "monte_carlo/bytes": dg.MetadataValue.int(outcome.sent_bytes),
        "monte_carlo/attempts": dg.MetadataValue.int(outcome.attempts),
        "monte_carlo/settled_at": dg.MetadataValue.timestamp(outcome.settled_at),
        "monte_carlo/link": dg.MetadataValue.url(app_url),
    }
    for name, count in sorted({**outcome.counts, **outcome.notes}.items()):
        metadata[f"monte_carlo/{name}"] = dg.MetadataValue.int(count)
    if outcome.superseded_by is not None:
        newer = outcome.superseded_by
        metadata["monte_carlo/superseded_by"] = dg.MetadataValue.json(
            {
                "hour": newer.window.key,
                "manifest_id": newer.manifest_id,
                "invocation_ids": list(newer.invocation_ids[:SHOWN_IDS]),
            }
        )
    return metadata


def of_pushed_partition(outcome: HourOutcome, *, app_url: str) -> Metadata:
    """Metadata of the pushed asset's own materialisation: the manifest it settles, and the push."""
    return {
        MANIFEST_ID: dg.MetadataValue.text(outcome.manifest_id),
        **of_push(outcome, app_url=app_url),
    }


def of_preview(preview: Preview) -> Metadata:
    """Metadata of an hour that a dry run looked at; other keys than a push's, so that none is taken for one."""
    metadata: Metadata = {
        "dry_run/requests": dg.MetadataValue.int(len(preview.requests)),
        "dry_run/bytes": dg.MetadataValue.int(preview.sent_bytes),
    }
    if preview.reason:
        metadata["dry_run/reason"] = dg.MetadataValue.text(preview.reason)
    for name, count in sorted(preview.counts.items()):
        metadata[f"dry_run/{name}"] = dg.MetadataValue.int(count)
    return metadata


def _changes(changes: Changes) -> Metadata:
    """Counts under one name a kind, none where nothing was compared; and the first of them as a table."""
    since = "nothing: not compared" if changes.since is None else changes.since.key
    metadata: Metadata = {"changed since": dg.MetadataValue.text(since)}
    if changes.reason:
        metadata["not compared"] = dg.MetadataValue.text(changes.reason)
    metadata |= {
        f"changes: {kind}": dg.MetadataValue.int(count) for kind, count in changes.counts.items()
    }
    if changes.total:
        shown = changes.sample[:PREVIEW_ROWS]
        rows = [(one.kind, one.scope, one.before, one.after) for one in shown]
        table = markdown(("change", "of", "before", "after"), rows)
        metadata["changes shown"] = dg.MetadataValue.md(_with_rest(table, changes.total, len(rows)))
    return metadata


def _with_rest(table: str, total: int, shown: int) -> str:
    return f"{table}\n\nand {total - shown} more" if total > shown else table


def _omissions(header: Header) -> str:
    rows = [
        (omission.scope, omission.question, omission.kind, omission.reason)
        for omission in header.omissions.sample[:PREVIEW_ROWS]
    ]
    table = markdown(("scope", "question", "kind", "reason"), rows)
    return _with_rest(table, header.omissions.total, len(rows))


def _preview(store: ManifestStore, header: Header) -> str:
    try:
        first = list(itertools.islice(store.records(header), PREVIEW_ROWS))
    except ManifestPruned:
        return "its records were pruned"
    if not first:
        return header.reason or "no records"
    cells = [_cells(record) for record in first]
    return markdown(tuple(cells[0]), [tuple(row.values()) for row in cells])


def _cells(record: Record) -> Mapping[str, object]:
    match record:
        case TableEntry():
            return {
                "table": record.table.shown,
                "kind": record.kind,
                "columns": len(record.columns),
                "first columns": ", ".join(f"{c.name} {c.type}" for c in record.columns[:4]),
                "comment": record.comment,
            }
        case Observation():
            return {
                "table": record.table.shown,
                "rows": record.row_count,
                "bytes": record.byte_count,
                "last data change (UTC)": record.last_data_change,
                "carried from": record.carried_from,
            }
        case QueryRecord():
            return {
                "ended (UTC)": record.ended_at,
                "user": record.user,
                "status": record.status or "not told",
                "query": record.text,
                "query id": record.query_id,
            }


def markdown(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """A Markdown table; cells are cut at 80 characters, pipes and newlines made harmless."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines.extend("| " + " | ".join(_cell(value) for value in row) + " |" for row in rows)
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    shown = f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)
    text = " ".join(shown.split())
    cut = text if len(text) <= SHOWN_TEXT else text[: SHOWN_TEXT - 1] + "…"
    return cut.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
