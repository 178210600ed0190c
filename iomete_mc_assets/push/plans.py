"""From candidates to a plan: which records go in which request, and why the others do not. Sends nothing."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from iomete_mc_assets.manifests.model import Flow, Header
from iomete_mc_assets.manifests.receipts import (
    LEFT_OUT_SAMPLE,
    SENT_VERSION,
    LeftOut,
    Ordinals,
    Plan,
)
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.push.batches import batches
from iomete_mc_assets.push.candidates import (
    Candidate,
    Numbered,
    StateRules,
    is_called,
    table_of,
)
from iomete_mc_assets.push.config import PushConfig
from iomete_mc_assets.records import TableId

UNREMARKABLE = ("accepted_before", "carried", "not_chosen")
"""Left out as a matter of course: counted, not listed."""


KEPT_BYTES = 48 * 1024 * 1024
"""Of events held from planning to sending; the records of those beyond are read a second time."""
BODY_OVERHEAD_BYTES = 200
"""What a kept body takes beside its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan just made.

    Attributes:
        kept: bodies of the first events of its batches by ordinal, as many as are held.
        fresh: made just now, of what the store holds; not read from the disk.
    """

    plan: Plan
    kept: dict[int, bytes]
    fresh: bool


@dataclass(slots=True)
class _Tally:
    left_out: Counter[str]
    sample: list[LeftOut]
    notes: Counter[str]
    kept: dict[int, bytes]
    bytes_left: int = KEPT_BYTES

    def going(self, candidates: Iterable[Candidate]) -> Iterator[Candidate]:
        """Those that go; the others are counted."""
        for candidate in candidates:
            if candidate.status is None:
                if candidate.notes:
                    self.notes.update(candidate.notes)
                if self.bytes_left > 0:
                    self._keep(candidate)
                yield candidate
                continue
            self.left_out[candidate.status] += 1
            if candidate.status not in UNREMARKABLE and len(self.sample) < LEFT_OUT_SAMPLE:
                self.sample.append(
                    LeftOut(about=candidate.about, status=candidate.status, reason=candidate.reason)
                )

    def _keep(self, candidate: Candidate) -> None:
        """Hold its body while there is room; never one after another that was not held."""
        self.bytes_left -= candidate.size + BODY_OVERHEAD_BYTES
        if candidate.body is None:
            self.bytes_left = 0
        elif self.bytes_left > 0:
            self.kept[candidate.ordinal] = candidate.body


def planned(
    candidates: Iterable[Candidate],
    *,
    header: Header,
    generation: int,
    config: PushConfig,
    run_id: str,
    at: datetime,
) -> Planned:
    """The plan of a manifest; candidates are consumed as they come."""
    flow: Flow = header.flow
    envelope = config.envelope(flow, resource_type=config.resource_type, log_type=config.log_type)
    tally = _Tally(Counter(), [], Counter(), {})
    cut = tuple(
        batches(
            tally.going(candidates),
            max_events=config.max_events(flow),
            max_bytes=config.max_body_bytes,
            envelope_bytes=envelope.size,
            column_bytes=envelope.column_bytes,
        )
    )
    plan = Plan(
        schema_version=SENT_VERSION,
        manifest_id=header.manifest_id,
        generation=generation,
        run_id=run_id,
        planned_at=at,
        max_events=config.max_events(flow),
        max_body_bytes=config.max_body_bytes,
        resource_type=config.resource_type,
        log_type=config.log_type,
        batches=cut,
        left_out=dict(sorted(tally.left_out.items())),
        left_out_sample=tuple(tally.sample),
        notes=dict(sorted(tally.notes.items())),
    )
    return Planned(plan=plan, kept=tally.kept, fresh=True)


def state_candidates(
    records: Numbered,
    rules: StateRules,
    naming: Naming,
    *,
    done: Ordinals,
    only: str | None = None,
) -> tuple[list[Candidate], dict[str, TableId]]:
    """All records of a state flow but those done before, names given to one table each.

    Of tables that share a name at Monte Carlo the first in sorted order has it; of a table's records
    the first goes.

    Args:
        records: of the manifest.
        rules: of its flow.
        naming: what tables are called at Monte Carlo.
        done: ordinals that are left alone.
        only: the one table whose records may go, as database.table or with its catalog; None for all.

    Returns:
        The candidates, and who has each name.
    """
    tables: list[TableId] = []
    candidates: list[Candidate] = []
    for ordinal, record in records:
        tables.append(table_of(record))
        if ordinal not in done:
            candidates.append(rules.candidate(ordinal, record))
    holders = naming.holders(tables)
    seen: set[TableId] = {tables[ordinal] for ordinal in done}
    fates = [
        _with_its_name(candidate, tables[candidate.ordinal], holders, naming, seen)
        for candidate in candidates
    ]
    if only is not None:
        fates = [_chosen(fate, tables[fate.ordinal], only) for fate in fates]
    return fates, holders


def _chosen(candidate: Candidate, table: TableId, only: str) -> Candidate:
    if is_called(table, only):
        return candidate
    return candidate._replace(status="not_chosen", reason="", body=None)


def _with_its_name(
    candidate: Candidate,
    table: TableId,
    holders: dict[str, TableId],
    naming: Naming,
    seen: set[TableId],
) -> Candidate:
    holder = holders[naming.of(table).key]
    if holder != table:
        reason = f"{holder.shown} has the same name at Monte Carlo"
        return candidate._replace(status="name_taken", reason=reason)
    if table in seen:
        return candidate._replace(status="duplicate", reason="a second record of the table")
    seen.add(table)
    return candidate
