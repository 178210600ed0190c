"""Pushing an hour of lineage: its own edges, in any order of hours, and those of earlier hours that are due. Rule 13."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import chain

from iomete_mc_assets.manifests.model import Header
from iomete_mc_assets.manifests.receipts import (
    CARRIED_VERSION,
    NO_ORDINALS,
    Carried,
    Generation,
    Ordinals,
    Plan,
    SentFolder,
)
from iomete_mc_assets.montecarlo.events import lineage
from iomete_mc_assets.push.accounts import Unsent
from iomete_mc_assets.push.candidates import Candidate, Numbered, Sent
from iomete_mc_assets.push.desk import Desk
from iomete_mc_assets.push.ledger import State
from iomete_mc_assets.push.lineage import LineageRules, edge_of
from iomete_mc_assets.push.outcome import Named
from iomete_mc_assets.push.state_push import StatePush
from iomete_mc_assets.records import LineageEdge


class LineagePush(StatePush[LineageRules]):
    """One run's pushes of lineage; no hour takes another's place.

    What a manifest carries of earlier hours is chosen once, with its first plan, and lies beside that:
    their ordinals follow those of its own records in every generation.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, "lineage")
        self._chosen: dict[str, tuple[LineageEdge, ...]] = {}

    def _why_unsent(self, header: Header, named: Named) -> Unsent | None:
        del header, named

    def _replaced_by(self, header: Header, other: Header) -> Unsent | None:
        del header, other

    def _records(self, header: Header, sent: SentFolder) -> Numbered:
        carried = self._carried(sent)
        return chain(self._desk.records(header), enumerate(carried, start=header.records))

    def _carried(self, sent: SentFolder) -> tuple[LineageEdge, ...]:
        written = sent.carried()
        return self._chosen.get(sent.folder, ()) if written is None else written.edges

    def _write_plan(self, sent: SentFolder, generation: Generation, plan: Plan) -> None:
        chosen = self._chosen.get(sent.folder, ())
        if chosen and sent.carried() is None:
            sent.write_carried(Carried(schema_version=CARRIED_VERSION, edges=chosen))
        super()._write_plan(sent, generation, plan)

    def _judged(
        self, header: Header, sent: SentFolder, rules: LineageRules, done: Ordinals
    ) -> tuple[Iterable[Candidate], Callable[[], bool]]:
        if sent.carried() is None and not sent.generations():
            records = self._desk.records(header)
            keys = {lineage.key_of(edge_of(record), rules.naming) for _, record in records}
            self._chosen[sent.folder] = tuple(rules.kept_due(keys))

        def stays() -> bool:
            return rules.folded(self._records(header, sent), Sent.nothing()) == rules.state

        return self._candidates(header, sent, rules, done), stays

    def _candidates(
        self, header: Header, sent: SentFolder, rules: LineageRules, done: Ordinals
    ) -> Iterator[Candidate]:
        """All edges but those done before; of several that are one at Monte Carlo the first goes."""
        seen: set[str] = set()
        for ordinal, record in self._records(header, sent):
            edge = edge_of(record)
            key = lineage.key_of(edge, rules.naming)
            if ordinal in done:
                seen.add(key)
                continue
            candidate = rules.candidate(ordinal, record)
            if candidate.status is None and key in seen:
                reason = "a second record of the edge"
                candidate = candidate._replace(status="duplicate", reason=reason)
            elif candidate.status is None:
                seen.add(key)
            if candidate.status is None and ordinal >= header.records:
                candidate = candidate._replace(notes=("from_earlier_hours",))
            yield candidate

    def _rules_at(
        self,
        header: Header,
        state: State,
        at: datetime,
        *,
        max_body_bytes: int,
        resource_type: str,
        forced: Ordinals = NO_ORDINALS,
    ) -> LineageRules:
        del header
        config, catalog = self._desk.config, self._desk.log("catalog_snapshot")
        envelope = config.envelope("lineage", resource_type=resource_type, log_type="")
        return LineageRules(
            state=state,
            catalog=catalog.state(catalog.head()),
            naming=config.naming,
            at=at,
            delay=timedelta(minutes=config.edge_delay_minutes),
            max_age=timedelta(days=config.edge_max_age_days),
            max_event_bytes=max_body_bytes - envelope.size - envelope.column_bytes,
            force=self._desk.force,
            forced=forced,
        )
