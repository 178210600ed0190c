"""Which queries go: each once, whatever manifests of its hour hold it. Rules 14 and 15 of ledger.md."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b, sha256

from iomete_mc_assets.manifests import codec
from iomete_mc_assets.manifests.store import Line
from iomete_mc_assets.montecarlo.events import query_logs
from iomete_mc_assets.montecarlo.events.event import Event
from iomete_mc_assets.push.candidates import Candidate, reason_too_large
from iomete_mc_assets.push.key_set import KeySet
from iomete_mc_assets.push.query_lines import key_and_body
from iomete_mc_assets.records import QueryRecord

KEY_BYTES = 12
"""Of a query id's hash, as remembered while a push decides; how often two are taken for one: ``KeySet``."""


@dataclass(slots=True, kw_only=True)
class HourKeys:
    """What manifests of one hour and destination have had accepted or refused."""

    accepted: KeySet = field(default_factory=KeySet)
    refused: KeySet = field(default_factory=KeySet)

    def accept(self, event: Event) -> None:
        """Remember a query id."""
        self.accepted.add(_short(event.key.encode("utf-8", "surrogatepass")))

    def refuse(self, event: Event) -> None:
        """Remember these very bytes of a query."""
        self.refused.add(_short(event.body))


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRules:
    """One manifest's queries.

    Attributes:
        max_event_bytes: what one event may take; longer texts are cut.
    """

    max_event_bytes: int

    def event(self, line: Line) -> Event:
        """The event exactly as sent, of a manifest's line. The same at every call.

        Raises:
            ManifestDamaged: the line is no query.
        """
        found = key_and_body(line[0], max_bytes=self.max_event_bytes)
        if found is not None:
            key, body = found
            return Event(key.decode("ascii"), body, sha256(body).hexdigest(), ())
        return self._event_of_record(line)

    def body(self, line: Line) -> bytes:
        """The same event's body: its digest costs as much as all else of reading a line again.

        Raises:
            ManifestDamaged: as ``event``.
        """
        found = key_and_body(line[0], max_bytes=self.max_event_bytes)
        return self._event_of_record(line).body if found is None else found[1]

    def _event_of_record(self, line: Line) -> Event:
        text, where = line
        record = codec.decode_record("query_logs", text, where=where)
        if not isinstance(record, QueryRecord):
            msg = f"query logs hold queries, not {type(record).__name__}"
            raise TypeError(msg)
        return query_logs.event(record, max_bytes=self.max_event_bytes)

    def candidates(
        self, lines: Iterable[tuple[int, Line]], earlier: HourKeys
    ) -> Iterator[Candidate]:
        """What becomes of each record; of several with one id the first goes."""
        seen, accepted = KeySet(), earlier.accepted or ()
        refused, largest = earlier.refused or (), self.max_event_bytes
        for ordinal, line in lines:
            about, body, digest, notes = self.event(line)
            key = _short(about.encode("utf-8", "surrogatepass"))
            if key in accepted:
                yield Candidate(ordinal=ordinal, about=about, status="accepted_before")
            elif not seen.add(key):
                yield Candidate(ordinal=ordinal, about=about, status="duplicate")
            elif len(body) > largest:
                reason = reason_too_large(largest)
                yield Candidate(ordinal=ordinal, about=about, status="refused", reason=reason)
            elif refused and _short(body) in refused:
                reason = "refused before with the same content"
                yield Candidate(ordinal=ordinal, about=about, status="refused", reason=reason)
            else:
                yield Candidate(ordinal, about, None, "", len(body), digest, notes, body)


def _short(value: bytes) -> bytes:
    return blake2b(value, digest_size=KEY_BYTES).digest()
