"""Asking and steering a local Monte Carlo gateway that runs in another process, over its admin paths."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import requests

from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.sandbox.gateway_faults import Fault, fault_as_json
from iomete_mc_assets.sandbox.gateway_records import (
    AcceptedEvent,
    Counts,
    Endpoint,
    Measured,
    Request,
    counts_from,
    event_from,
    measured_from,
    request_from,
)

ADMIN_PREFIX = "/sandbox/"
_TIMEOUT_S = 30


class GatewayClient:
    """The questions that ``Gateway`` answers in-process, asked over HTTP. Use as a context manager.

    Every method raises SandboxError when no gateway answers at the address.
    """

    def __init__(self, url: str, *, ca_file: str | None = None) -> None:
        """Ask the gateway at ``url``; ``ca_file`` is for one that speaks TLS."""
        self.url = url
        self._http = requests.Session()
        self._http.trust_env = False  # no proxy stands between this machine and itself
        if ca_file is not None:
            self._http.verify = ca_file

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def counts(self) -> Counts:
        """The figures."""
        return counts_from(self._get("counts"))

    def requests(self) -> tuple[Request, ...]:
        """Every request so far, in order of arrival; admin requests are not among them."""
        return tuple(request_from(values) for values in self._get("requests"))

    def events(
        self, endpoint: Endpoint | None = None, *, invocation_id: str | None = None
    ) -> tuple[AcceptedEvent, ...]:
        """Accepted events in order of arrival; None does not filter."""
        wanted = {"endpoint": endpoint, "invocation_id": invocation_id}
        filters = {name: value for name, value in wanted.items() if value is not None}
        return tuple(event_from(values) for values in self._get("events", filters))

    def measured(self) -> tuple[Measured, ...]:
        """Every table and clock hour with volume or freshness."""
        return tuple(measured_from(values) for values in self._get("measured"))

    def duplicate_query_ids(self) -> Mapping[str, int]:
        """Query ids accepted more than once, with how often."""
        return self._get("duplicate_query_ids")

    def redirect_hits(self) -> int:
        """Requests that followed a redirect to the gateway's second listener."""
        return self.counts().redirect_hits

    def script(self, *faults: Fault) -> None:
        """One fault per ingest request to come, in order; afterwards honest again."""
        self._post("script", {"faults": [fault_as_json(fault) for fault in faults]})

    def rule(self, fault: Fault, *, path: str | None = None, nth: int | None = None) -> None:
        """A standing order, see ``Gateway.rule``."""
        self._post("rule", {"fault": fault_as_json(fault), "path": path, "nth": nth})

    def clear(self) -> None:
        """Forget script and rules."""
        self._post("clear", {})

    def release(self) -> None:
        """Close the connections that hang now."""
        self._post("release", {})

    def _get(self, question: str, filters: Mapping[str, str] | None = None) -> Any:
        return self._ask("GET", question, params=filters)

    def _post(self, deed: str, content: Mapping[str, object]) -> None:
        self._ask("POST", deed, json=content)

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        address = f"{self.url}{ADMIN_PREFIX}{path}"
        try:
            with self._http.request(method, address, timeout=_TIMEOUT_S, **more) as answer:
                answer.raise_for_status()
                return answer.json()
        except requests.RequestException as error:
            msg = f"No sandbox gateway answers {method} {address}: {error}. It was stopped, or never ran there."
            raise SandboxError(msg) from error
