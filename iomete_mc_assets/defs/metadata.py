"""What an event's metadata says: every key once, built from headers and outcomes. A public interface.

Numbers become plots in the UI, so figures are plain ints under stable names.
"""

# Dagster types a path as PathLike without its parameter.
# pyright: reportUnknownMemberType=false

from datetime import timedelta

import dagster as dg

from iomete_mc_assets.defs.previews import (
    PREVIEW_ROWS,
    Previews,
    markdown,
    omissions_by_reason,
    with_rest,
)
from iomete_mc_assets.manifests.figures import QUIET_SECONDS
from iomete_mc_assets.manifests.model import Changes, Header, Written
from iomete_mc_assets.manifests.receipts import Status, Word
from iomete_mc_assets.push.outcome import HourOutcome, Preview

MANIFEST_ID = "manifest_id"
STORE_ID = "store_id"
STATE = "state"
LAG = "collected after the hour's end (min)"
NEWEST_END = "newest query ended at"
COLLECTED_AT = "collected_at"
KEPT = "kept"
OMISSIONS = "omissions"
CHANGED = "changes: "
"""Before the kind of a change between two catalogs."""
READ_BESIDE = "read beside"
PUSH_PREFIX = "monte_carlo/"
PUSH_STATUS = "monte_carlo/status"
INVOCATION_IDS = "monte_carlo/invocation_ids"

IN_WORDS = "monte_carlo/in words"
IN_WORDS_OF: dict[Word, str] = {
    "pushed": "pushed",
    "nothing_to_send": "nothing new to send",
    "superseded": "superseded",
    "partly_refused": "partly refused",
    "refused": "refused",
    "in_doubt": "outcome unknown",
}
ALWAYS_COUNTED: tuple[Status, ...] = ("accepted", "refused", "in_doubt")
"""Shown also as 0, so that their plots have no holes; all others only where there are any."""
SHOWN_IDS = 20
"""Invocation ids in an event: every event is JSON in Dagster's database; all stand in settled.json."""

Metadata = dict[str, dg.MetadataValue]


def of_manifest(
    written: Written, previews: Previews, *, settled: dg.AssetMaterialization | None = None
) -> Metadata:
    """Metadata of a collected partition, what matters most first.

    Args:
        written: what the hour now says.
        previews: of the store that it lies in.
        settled: the pushed asset's materialisation of this very manifest, when it was collected again
            and kept: its push then stays in sight. None for a manifest that is still to be pushed.
    """
    header, store = written.header, previews.store
    metadata: Metadata = {STATE: dg.MetadataValue.text(header.state)}
    if header.reason:
        metadata["reason"] = dg.MetadataValue.text(header.reason)
    metadata |= {
        "records": dg.MetadataValue.int(header.records),
        **{name: dg.MetadataValue.md(table) for name, table in previews.of(header).items()},
        OMISSIONS: dg.MetadataValue.int(header.omissions.total),
    }
    if header.omissions.total:
        kinds = {str(kind): count for kind, count in header.omissions.counts.items()}
        metadata["omissions by kind"] = dg.MetadataValue.json(kinds)
        metadata["omissions by reason"] = dg.MetadataValue.md(omissions_by_reason(header))
    if header.changes is not None:
        metadata |= _changes(header.changes)
    metadata |= {name: dg.MetadataValue.int(n) for name, n in sorted(header.counts.items())}
    metadata |= {
        COLLECTED_AT: dg.MetadataValue.timestamp(header.collected_at),
        **_lag(header),
        "source": dg.MetadataValue.text(
            f"{header.source.host} ({', '.join(header.source.catalogs)})"
        ),
        KEPT: dg.MetadataValue.bool(written.kept),
    }
    if written.why:
        metadata["kept because"] = dg.MetadataValue.text(written.why)
    if header.inputs:
        metadata[READ_BESIDE] = dg.MetadataValue.json(dict(header.inputs))
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
    metadata: Metadata = {
        IN_WORDS: dg.MetadataValue.text(_in_words(outcome)),
        PUSH_STATUS: dg.MetadataValue.text(outcome.word),
    }
    if outcome.reason:
        metadata["monte_carlo/reason"] = dg.MetadataValue.text(outcome.reason)
    if outcome.not_forced:
        metadata["monte_carlo/not_forced"] = dg.MetadataValue.text(outcome.not_forced)
    if outcome.beside:
        metadata["monte_carlo/beside"] = dg.MetadataValue.json(
            {
                other.manifest_id: {
                    "status": other.word,
                    "counts": dict(other.counts),
                    "batches": other.batches,
                    "invocation_ids": list(other.invocation_ids[:SHOWN_IDS]),
                }
                for other in outcome.beside
            }
        )
    if outcome.superseded_by is not None:
        newer = outcome.superseded_by
        metadata["monte_carlo/superseded_by"] = dg.MetadataValue.json(
            {
                "hour": newer.window.key,
                "manifest_id": newer.manifest_id,
                "invocation_ids": list(newer.invocation_ids[:SHOWN_IDS]),
            }
        )
    metadata |= {
        INVOCATION_IDS: dg.MetadataValue.json(shown),
        "monte_carlo/invocation_id_count": dg.MetadataValue.int(len(outcome.invocation_ids)),
        "monte_carlo/batches": dg.MetadataValue.int(outcome.batches),
        "monte_carlo/bytes": dg.MetadataValue.int(outcome.sent_bytes),
        "monte_carlo/attempts": dg.MetadataValue.int(outcome.attempts),
        "monte_carlo/settled_at": dg.MetadataValue.timestamp(outcome.settled_at),
        "monte_carlo/link": dg.MetadataValue.url(app_url),
    }
    counts = dict.fromkeys(ALWAYS_COUNTED, 0) | {**outcome.counts, **outcome.notes}
    for name, count in sorted(counts.items()):
        metadata[f"monte_carlo/{name}"] = dg.MetadataValue.int(count)
    return metadata


def _in_words(outcome: HourOutcome) -> str:
    newer = outcome.superseded_by
    if newer is not None and outcome.word == "superseded":
        return f"superseded by {newer.window.key}"
    return IN_WORDS_OF[outcome.word]


def of_pushed_partition(outcome: HourOutcome, *, app_url: str) -> Metadata:
    """Metadata of the pushed asset's own materialisation: the push, and the manifest it settles."""
    return {
        **of_push(outcome, app_url=app_url),
        MANIFEST_ID: dg.MetadataValue.text(outcome.manifest_id),
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


def _lag(header: Header) -> Metadata:
    """How long after the hour's end it was read, and how far a query history had come in it."""
    after = header.collected_at - header.window.end
    lag: Metadata = {LAG: dg.MetadataValue.int(round(after.total_seconds() / 60))}
    quiet = header.counts.get(QUIET_SECONDS)
    if quiet is not None:
        newest = header.window.end - timedelta(seconds=quiet)
        lag[NEWEST_END] = dg.MetadataValue.timestamp(newest)
    return lag


def _changes(changes: Changes) -> Metadata:
    """Counts under one name a kind, none where nothing was compared; and the first of them as a table."""
    since = "nothing: not compared" if changes.since is None else changes.since.key
    metadata: Metadata = {"changed since": dg.MetadataValue.text(since)}
    if changes.reason:
        metadata["not compared"] = dg.MetadataValue.text(changes.reason)
    metadata |= {
        f"{CHANGED}{kind}": dg.MetadataValue.int(count) for kind, count in changes.counts.items()
    }
    if changes.total:
        shown = changes.sample[:PREVIEW_ROWS]
        rows = [(one.kind, one.scope, one.before, one.after) for one in shown]
        table = markdown(("change", "of", "before", "after"), rows)
        metadata["changes shown"] = dg.MetadataValue.md(with_rest(table, changes.total, len(rows)))
    return metadata
