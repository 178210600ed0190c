"""What the gateway received and accepted, kept over restarts, and the questions about it.

``requests.jsonl`` has a line per request, ``bodies.jsonl`` every body verbatim behind it.
"""

import json
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Self

from iomete_mc_assets.sandbox.gateway_records import (
    ENDPOINTS,
    AcceptedEvent,
    Counts,
    Endpoint,
    Measured,
    Request,
    as_json,
    request_from,
)

REQUESTS_FILE = "requests.jsonl"
BODIES_FILE = "bodies.jsonl"


@dataclass(frozen=True, slots=True)
class _Kept:
    request: Request
    body_at: int


class Store:
    """An append-only log of requests and bodies.

    Its writer holds the gateway's lock; readers may come from any thread.
    """

    def __init__(self, requests: IO[bytes], bodies: IO[bytes], kept: list[_Kept]) -> None:
        """Use ``in_memory`` or ``in_folder``."""
        self._requests_file = requests
        self._bodies_file = bodies
        self._bodies_end = os.fstat(bodies.fileno()).st_size
        self._kept = kept
        self._tables = _Tables()

    @classmethod
    def passing(cls) -> Self:
        """A store that ends with this process."""
        return cls(tempfile.TemporaryFile(buffering=0), tempfile.TemporaryFile(buffering=0), [])

    @classmethod
    def in_folder(cls, folder: Path) -> Self:
        """The store in this folder, with all it knew before."""
        path = folder / REQUESTS_FILE
        kept = list(_read_lines(path))
        return cls(
            path.open("ab", buffering=0),
            (folder / BODIES_FILE).open("a+b", buffering=0),
            kept,
        )

    def close(self) -> None:
        """Close the files; requests can still be read, bodies and events no more."""
        self._requests_file.close()
        self._bodies_file.close()

    @property
    def next_number(self) -> int:
        """The number of the next request."""
        return len(self._kept) + 1

    def add(self, request: Request, body: bytes) -> None:
        """Keep a request; its body is on disk before its line is."""
        self._bodies_file.write(body + b"\n")
        line = {**as_json(request), "body_at": self._bodies_end}
        self._requests_file.write(json.dumps(line).encode() + b"\n")
        self._kept.append(_Kept(request, self._bodies_end))
        self._bodies_end += len(body) + 1

    def requests(self) -> tuple[Request, ...]:
        """All requests in order of arrival."""
        return tuple(kept.request for kept in self._kept)

    def body(self, number: int) -> bytes:
        """The body of a request, byte for byte."""
        kept = self._kept[number - 1]
        return os.pread(self._bodies_file.fileno(), kept.request.body_bytes, kept.body_at)

    def events(
        self,
        endpoint: Endpoint | None = None,
        *,
        invocation_id: str | None = None,
        after_request: int = 0,
    ) -> Iterator[AcceptedEvent]:
        """Accepted events in order of arrival; None does not filter."""
        for kept in self._kept[after_request:]:
            request = kept.request
            if request.endpoint is None or request.invocation_id is None:
                continue
            if endpoint not in (None, request.endpoint):
                continue
            if invocation_id in (None, request.invocation_id):
                yield from _events_of(request, request.endpoint, self.body(request.number))

    def counts(self, *, redirect_hits: int) -> Counts:
        """The figures; the number of redirect hits is known elsewhere."""
        accepted: Counter[Endpoint] = Counter()
        events: Counter[Endpoint] = Counter()
        statuses: Counter[str] = Counter()
        requests = self.requests()
        for request in requests:
            statuses[str(request.status or "none")] += 1
            if request.endpoint is not None and request.accepted:
                accepted[request.endpoint] += 1
                events[request.endpoint] += request.events
        return Counts(
            requests=len(requests),
            accepted={endpoint: accepted[endpoint] for endpoint in ENDPOINTS},
            events={endpoint: events[endpoint] for endpoint in ENDPOINTS},
            statuses=dict(statuses),
            highest_in_flight=max((request.in_flight for request in requests), default=0),
            redirect_hits=redirect_hits,
        )

    def measured(self) -> tuple[Measured, ...]:
        """Every table and clock hour in which volume or freshness was accepted, sorted."""
        volumes: Counter[tuple[str, str, datetime]] = Counter()
        freshnesses: Counter[tuple[str, str, datetime]] = Counter()
        for event in self.events("metadata"):
            asset = event.content["relational_asset"]
            hour = event.received_at.replace(minute=0, second=0, microsecond=0)
            key = (event.resource_uuid or "", full_table_id(asset["metadata"]), hour)
            volumes[key] += "volume" in asset
            freshnesses[key] += "freshness" in asset
        return tuple(
            Measured(
                resource_uuid=key[0],
                full_table_id=key[1],
                clock_hour=key[2],
                volume=volumes[key],
                freshness=freshnesses[key],
            )
            for key in sorted(volumes)
            if volumes[key] or freshnesses[key]
        )

    def duplicate_query_ids(self) -> Mapping[str, int]:
        """How often each query id was accepted, of those that were more than once."""
        seen = Counter(
            str(event.content["query_id"])
            for event in self.events("querylogs")
            if "query_id" in event.content
        )
        return {query_id: times for query_id, times in sorted(seen.items()) if times > 1}

    def tables(self) -> tuple["PushedTable", ...]:
        """The tables that accepted metadata describes, sorted by warehouse and name."""
        return self._tables.as_of(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedTable:
    """One table as all accepted metadata together describes it.

    What a later event leaves out keeps its old value, as we assume of Monte Carlo.

    Attributes:
        invocation_id: of the newest push that spoke of it.
        last_request: number of that push.
        last_update_time: ISO 8601 as sent; None if freshness was never sent.
        fields: as sent last; empty if they never were.
    """

    resource_uuid: str
    full_table_id: str
    type: str
    metadata: Mapping[str, Any]
    invocation_id: str
    first_received: datetime
    last_received: datetime
    last_request: int
    last_update_time: str | None
    fields: Sequence[Mapping[str, Any]] = ()


def full_table_id(named: Mapping[str, Any]) -> str:
    """Monte Carlo's ``database:schema.name``, in the case in which it was sent."""
    return f"{named['database']}:{named['schema']}.{named['name']}"


class _Tables:
    """Folds accepted metadata into tables, reading each body once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str, str], PushedTable] = {}
        self._read = 0

    def as_of(self, store: Store) -> tuple[PushedTable, ...]:
        """All tables, after what arrived since the last time has been read."""
        with self._lock:
            up_to = store.next_number - 1
            for event in store.events("metadata", after_request=self._read):
                self._fold(event)
                up_to = max(up_to, event.request)
            self._read = up_to
            return tuple(self._known[key] for key in sorted(self._known))

    def _fold(self, event: AcceptedEvent) -> None:
        """Metadata's identity includes the type: the same name as TABLE and VIEW is two assets."""
        asset = event.content["relational_asset"]
        resource = event.resource_uuid or ""
        key = (resource, full_table_id(asset["metadata"]), asset["type"])
        before = self._known.get(key)
        updated_at = asset.get("freshness", {}).get("last_update_time")
        self._known[key] = PushedTable(
            resource_uuid=resource,
            full_table_id=key[1],
            type=asset["type"],
            metadata={**(before.metadata if before else {}), **asset["metadata"]},
            invocation_id=event.invocation_id,
            first_received=before.first_received if before else event.received_at,
            last_received=event.received_at,
            last_request=event.request,
            last_update_time=updated_at or (before.last_update_time if before else None),
            fields=asset.get("fields") or (before.fields if before else ()),
        )


def _events_of(request: Request, endpoint: Endpoint, body: bytes) -> Iterator[AcceptedEvent]:
    payload = json.loads(body)
    for content in payload["events"]:
        yield AcceptedEvent(
            request=request.number,
            endpoint=endpoint,
            invocation_id=request.invocation_id or "",
            resource_uuid=payload.get("resource", {}).get("uuid"),
            received_at=request.arrived_at,
            content=content,
        )


def _read_lines(path: Path) -> Iterator[_Kept]:
    """The requests in the file; a last line that a killed gateway did not finish is cut off.

    Such a request was never answered, so nobody was promised anything.
    """
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
    for line in data[:whole].splitlines():
        values = json.loads(line)
        body_at: int = values.pop("body_at")
        yield _Kept(request_from(values), body_at)
