"""The honest answer to a push: path, schema, key, resource, size, in that order. Keeps nothing."""

import gzip
import json
import uuid
from dataclasses import dataclass, replace

from iomete_mc_assets.sandbox.gateway_checks import InvalidBody, ValidBody, checked
from iomete_mc_assets.sandbox.gateway_connection import Key
from iomete_mc_assets.sandbox.gateway_control import Control
from iomete_mc_assets.sandbox.gateway_faults import Answer
from iomete_mc_assets.sandbox.gateway_http import Incoming
from iomete_mc_assets.sandbox.gateway_records import INGEST_PATHS

GZIP_CAP_BYTES = 1_000_000
"""Compressed body. Source: Monte Carlo's documents; that the codec is gzip is our choice."""
_CERTAINLY_BELOW_CAP = GZIP_CAP_BYTES - 1_000
"""Gzip adds at most 5 bytes per 32 kB and 18 more, so these need not be compressed to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What an accepted body was given and brought."""

    invocation_id: str
    events: int
    resource_uuids: tuple[str, ...]


class Ingest:
    """Judges pushes by keys, and by the cap it was given."""

    def __init__(self, control: Control, *, raw_cap_bytes: int | None) -> None:
        """With the keys of ``control``; ``raw_cap_bytes`` None for no cap on the plain body."""
        self._control = control
        self._raw_cap_bytes = raw_cap_bytes

    def key_of(self, incoming: Incoming) -> Key | None:
        """The key whose id and secret the headers carry; None if there is none."""
        key_id = incoming.headers.get("x-mcd-id", "")
        return self._control.key_of(key_id, incoming.headers.get("x-mcd-token", ""))

    def answered(self, incoming: Incoming) -> tuple[Answer, Accepted | None]:
        """The answer, and what was accepted; None when nothing was."""
        endpoint = INGEST_PATHS.get(incoming.path)
        if endpoint is None:
            return error_answer(404, f"no such path: {incoming.path}"), None
        if incoming.method != "POST":
            return not_allowed(incoming), None
        body = checked(endpoint, incoming.body)
        if isinstance(body, InvalidBody):
            content = {"error": "Invalid request body", "details": body.details}
            return json_answer(400, content), None
        if (refusal := self._refusal(incoming, body)) is not None:
            return refusal, None
        accepted = Accepted(
            invocation_id=str(uuid.uuid4()),
            events=body.events,
            resource_uuids=tuple(sorted(body.resource_uuids)),
        )
        return json_answer(202, {"invocation_id": accepted.invocation_id}), accepted

    def _refusal(self, incoming: Incoming, body: ValidBody) -> Answer | None:
        """Why a valid body is not taken from this sender; None when it is."""
        key = self.key_of(incoming)
        if key is None:
            return error_answer(401, "invalid key id or token")
        if key.scope != "Ingestion":
            return error_answer(403, "the key's scope is not Ingestion")
        if not key.may_push(body.resource_uuids):
            return error_answer(403, "the key is not authorized for the resource")
        if self._too_large(incoming.body):
            return error_answer(413, "request body too large")
        return None

    def _too_large(self, body: bytes) -> bool:
        if self._raw_cap_bytes is not None and len(body) > self._raw_cap_bytes:
            return True
        return len(body) > _CERTAINLY_BELOW_CAP and len(gzip.compress(body)) > GZIP_CAP_BYTES


def json_answer(status: int, content: object) -> Answer:
    """An answer with this JSON."""
    return Answer(status=status, body=json.dumps(content))


def error_answer(status: int, message: str) -> Answer:
    """An answer in the shape of Monte Carlo's errors."""
    return json_answer(status, {"error": message})


def not_allowed(incoming: Incoming) -> Answer:
    """405 for a path that takes POST."""
    answer = error_answer(405, f"{incoming.method} is not allowed")
    return replace(answer, headers={"Allow": "POST"})
