"""What all flows' events share: bytes, key, digest, and the envelope of a request. No flow's own shape.

Events are built as the dictionaries that pycarlo's models would give, without pycarlo: its
``to_dict`` takes 0.1 ms for a query and 0.8 ms for a table of 20 columns, and its import 0.4 s and
61 MiB in every process that loads definitions. Tests hold both byte-equal.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii
from typing import Literal, NamedTuple

from iomete_mc_assets.manifests.model import Flow

Note = Literal["truncated", "freshness_left_out", "from_earlier_hours"]
"""What is to be said of an event: query text cut to fit; an impossible ``last_update_time`` left out; an edge
that only earlier hours have seen."""

_FIELDS = b', "fields": ['
"""Stands in a lineage event with columns and in no other: inside a JSON string a quote follows a backslash."""
SEPARATOR = b", "
"""Between events, as ``json.dumps`` writes it in pycarlo."""

_JSON = json.JSONEncoder(allow_nan=False)

Json = str | int | bool | None | Sequence["Json"] | Mapping[str, "Json"]


class Event(NamedTuple):
    """One event exactly as sent. A tuple: an hour may have a million, and a dataclass is made slower.

    Attributes:
        key: what it is about: a table's folded id at Monte Carlo, or a query id.
        body: its JSON as it stands in the request; ASCII.
        digest: hex SHA-256 of the body, taken once: planning, sending and folding all ask for it.
        notes: what was left out of it.
    """

    key: str
    body: bytes
    digest: str
    notes: tuple[Note, ...]

    @classmethod
    def of(cls, key: str, body: bytes, *notes: Note) -> "Event":
        """An event with its digest."""
        return cls(key, body, hashlib.sha256(body).hexdigest(), notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What stands around the events of a request.

    Attributes:
        column_prefix: of a lineage request in which any event has columns; else the same as ``prefix``.
    """

    prefix: bytes
    suffix: bytes
    column_prefix: bytes

    @classmethod
    def of(cls, flow: Flow, *, resource_uuid: str, resource_type: str, log_type: str) -> "Envelope":
        """The envelope of a flow's requests: ``log_type`` for query logs, ``resource_type`` else."""
        resource: dict[str, Json] = {"uuid": resource_uuid}
        if flow == "query_logs":
            resource["log_type"] = log_type
        else:
            resource["resource_type"] = resource_type
        kind = "QUERY_LOG" if flow == "query_logs" else "METADATA"
        kinds = ("LINEAGE", "COLUMN_LINEAGE") if flow == "lineage" else (kind, kind)
        prefix, column_prefix = (
            encoded({"event_type": one, "resource": resource, "events": []})[: -len(b"]}")]
            for one in kinds
        )
        return cls(prefix=prefix, suffix=b"]}", column_prefix=column_prefix)

    @property
    def size(self) -> int:
        """Bytes of a request without events."""
        return len(self.prefix) + len(self.suffix)

    @property
    def column_bytes(self) -> int:
        """How many more where an event has columns."""
        return len(self.column_prefix) - len(self.prefix)

    def around(self, bodies: Iterable[bytes]) -> bytes:
        """The request's body."""
        pieces = [*bodies] or [b""]
        columns = self.column_bytes and any(_FIELDS in piece for piece in pieces)
        prefix = self.column_prefix if columns else self.prefix
        pieces[0] = prefix + pieces[0]  # so that a body of 1 MB is copied once
        pieces[-1] += self.suffix
        return SEPARATOR.join(pieces)


def encoded(value: Json) -> bytes:
    """JSON as pycarlo sends it: ASCII-escaped, ``, `` and ``: `` between; NaN is refused."""
    return _JSON.encode(value).encode("ascii")


def quoted(text: str) -> str:
    """A JSON string as ``encoded`` would write it."""
    return encode_basestring_ascii(text)


def iso(instant: datetime) -> str:
    """An aware instant as pycarlo writes it: UTC, trailing Z, microseconds only when there are any."""
    utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return f"{utc.isoformat()[:-6]}Z"


def clean(text: str) -> str:
    """``text`` as valid Unicode: a lone surrogate becomes U+FFFD (strict JSON readers refuse it)."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
