"""A local Monte Carlo on a real socket: push ingest with its documented checks, scripted faults, and a memory.

    with Gateway() as gateway:
        gateway.script(accept, accept_then_hang, answers(429, retry_after=2))

Run as ``python -m iomete_mc_assets.sandbox.gateway --state FOLDER`` it serves until SIGTERM.
What is valid, what faults do and what is remembered live in the ``gateway_*`` modules beside.
"""

import argparse
import contextlib
import fcntl
import json
import logging
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any, Self
from urllib.parse import parse_qsl, urlsplit

from iomete_mc_assets import clock
from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.redaction import MASK
from iomete_mc_assets.sandbox import gateway_graphql
from iomete_mc_assets.sandbox.gateway_client import ADMIN_PREFIX, GatewayClient
from iomete_mc_assets.sandbox.gateway_connection import (
    Connection,
    Key,
    read_connection,
    write_connection,
)
from iomete_mc_assets.sandbox.gateway_control import Control
from iomete_mc_assets.sandbox.gateway_faults import SILENT, Answer, Fault, Script, fault_from
from iomete_mc_assets.sandbox.gateway_graphql import GRAPHQL_PATH
from iomete_mc_assets.sandbox.gateway_http import Certificate, Incoming, Listener, Outgoing
from iomete_mc_assets.sandbox.gateway_ingest import (
    Accepted,
    Ingest,
    error_answer,
    json_answer,
    not_allowed,
)
from iomete_mc_assets.sandbox.gateway_records import (
    ENDPOINTS,
    INGEST_PATHS,
    AcceptedEvent,
    Counts,
    Endpoint,
    Measured,
    Request,
    as_json,
)
from iomete_mc_assets.sandbox.gateway_store import Store
from iomete_mc_assets.sandbox.gateway_world import World

LOCK_FILE = "gateway.lock"
SECRET_HEADERS = ("x-mcd-token", "authorization")

logger = logging.getLogger(__name__)


class Gateway:
    """A running gateway; the constructor listens, ``close`` ends it even while requests hang.

    Attributes:
        url: the ingest endpoint, without a path; GraphQL is at ``/graphql`` behind it.
        connection: address and keys, as ``connection.json`` has them.
        control: keys, warehouses and deletions that were made over GraphQL.

    Raises:
        SandboxError: the port is taken, or another gateway uses the state folder.
    """

    def __init__(
        self,
        state: Path | None = None,
        *,
        port: int | None = None,
        keys: Sequence[Key] = (),
        others: Sequence[str] = (),
        raw_cap_bytes: int | None = None,
        tls: Certificate | None = None,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        """Listen.

        Args:
            state: a folder that keeps keys and everything accepted; None keeps nothing.
            port: None takes the one used before with this folder if it is free, else a free one,
                because a destination's ledger hangs on the address.
            keys: besides the random ingestion key and API key that are always there.
            others: names of warehouses that the random ingestion key may push to as well.
            raw_cap_bytes: 413 for bodies above it; None for no such cap.
            tls: None serves plain HTTP.
            now: the clock that stamps what arrives.
        """
        self._lock = threading.Condition()
        self._gauge = threading.Condition()
        self._script = Script()
        self._in_flight = 0
        self._now = now
        self._elsewhere: Listener | None = None
        self._redirect_hits = 0
        self._ready = threading.Event()
        with contextlib.ExitStack() as undo:
            earlier = None
            if state is not None:
                undo.enter_context(_locked(state))
                earlier = read_connection(state)
            self._store = Store.passing() if state is None else Store.in_folder(state)
            undo.callback(self._store.close)
            self._listener = undo.enter_context(self._listening(port, earlier, tls))
            known = (earlier or Connection.fresh()).with_others(others)
            self.connection = replace(known, url=self._listener.url)
            self.control = Control((*self.connection.keys, *keys), state)
            self._ingest = Ingest(self.control, raw_cap_bytes=raw_cap_bytes)
            self._ready.set()
            if state is not None:
                write_connection(state, self.connection)
            self._opened = undo.pop_all()

    def _listening(
        self, port: int | None, earlier: Connection | None, tls: Certificate | None
    ) -> Listener:
        """On the port asked for, or the one of last time, or any."""
        if port is not None or earlier is None:
            return Listener(self._serve, port=port or 0, tls=tls)
        try:
            return Listener(self._serve, port=urlsplit(earlier.url).port or 0, tls=tls)
        except SandboxError as error:
            logger.warning("%s Another free port is taken; pushes see a new destination.", error)
            return Listener(self._serve, tls=tls)

    def close(self) -> None:
        """End all connections, stop listening, close the files."""
        self._opened.close()
        if self._elsewhere is not None:
            self._elsewhere.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return self.connection.url

    @property
    def key_id(self) -> str:
        """The ingestion key's id."""
        return self.connection.key_id

    @property
    def key_secret(self) -> str:
        """The ingestion key's secret."""
        return self.connection.key_secret

    @property
    def resource_uuid(self) -> str:
        """The warehouse that the ingestion key may push to."""
        return self.connection.resource_uuid

    def client(self, *, ca_file: str | None = None) -> GatewayClient:
        """A client as another process would use it; close it. ``ca_file`` as in its class."""
        return GatewayClient(self.url, ca_file=ca_file)

    # What is to happen.

    def script(self, *faults: Fault) -> None:
        """One fault per ingest request to come, in order of arrival; afterwards honest again."""
        with self._lock:
            self._script.extend(*faults)

    def rule(self, fault: Fault, *, path: str | None = None, nth: int | None = None) -> None:
        """A standing order, which wins over the script.

        Args:
            fault: what matching requests get.
            path: exact, e.g. ``/graphql``; None matches every ingest path.
            nth: only the nth matching request from now on, counted from 1; None takes each.
        """
        with self._lock:
            self._script.rule(fault, path=path, nth=nth)

    def clear(self) -> None:
        """Forget script and rules."""
        with self._lock:
            self._script.clear()

    def release(self) -> None:
        """Close the connections that hang now."""
        self._listener.release()

    # What has happened.

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every request so far, in order of arrival; admin requests are not among them."""
        with self._lock:
            return self._store.requests()

    @property
    def bodies(self) -> tuple[bytes, ...]:
        """The bodies of ``requests``, byte for byte."""
        return tuple(self._store.body(request.number) for request in self.requests)

    @property
    def redirect_hits(self) -> int:
        """Requests that followed a redirect to the second listener."""
        return self._redirect_hits

    @property
    def unused_faults(self) -> int:
        """Steps of the script that no request has taken."""
        with self._lock:
            return self._script.left

    def events(
        self, endpoint: Endpoint | None = None, *, invocation_id: str | None = None
    ) -> tuple[AcceptedEvent, ...]:
        """Accepted events in order of arrival; None does not filter."""
        return tuple(self._store.events(endpoint, invocation_id=invocation_id))

    def counts(self) -> Counts:
        """The figures."""
        return self._store.counts(redirect_hits=self._redirect_hits)

    def measured(self) -> tuple[Measured, ...]:
        """Every table and clock hour with volume or freshness."""
        return self._store.measured()

    def duplicate_query_ids(self) -> Mapping[str, int]:
        """Query ids accepted more than once, with how often."""
        return self._store.duplicate_query_ids()

    def wait_for_requests(self, count: int, *, within_s: float = 10.0) -> None:
        """Wait until that many requests have been decided about, hanging ones too.

        Raises:
            SandboxError: fewer came in time.
        """
        with self._lock:
            if not self._lock.wait_for(lambda: self._store.next_number > count, within_s):
                came = self._store.next_number - 1
                msg = f"{came} of {count} requests reached the gateway within {within_s} s"
                raise SandboxError(msg)

    def wait_until_idle(self, *, within_s: float = 10.0) -> None:
        """Wait until every request has been answered, or its client has left.

        Raises:
            SandboxError: some were still being served.
        """
        with self._gauge:
            if not self._gauge.wait_for(lambda: self._in_flight == 0, within_s):
                msg = f"{self._in_flight} requests are still served after {within_s} s"
                raise SandboxError(msg)

    # How a request is served.

    def _serve(self, incoming: Incoming) -> Outgoing:
        self._ready.wait()
        if incoming.path.startswith(ADMIN_PREFIX):
            return Outgoing(answer=self._administered(incoming))
        with self._gauge:
            self._in_flight += 1
        try:
            return self._treated(incoming)
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        with self._gauge:
            self._in_flight -= 1
            self._gauge.notify_all()

    def _treated(self, incoming: Incoming) -> Outgoing:
        """Choose the fault, decide, and remember, in that order and before any answer goes out."""
        with self._lock:
            fault = self._script.next(incoming.path)
            if incoming.path != GRAPHQL_PATH:
                answer, accepted = self._ingest.answered(incoming) if fault.takes else (None, None)
                return self._remembered(incoming, fault, answer, accepted)
        answer = self._asked(incoming) if fault.takes else None  # slow, so outside the lock
        with self._lock:
            return self._remembered(incoming, fault, answer, None)

    def _remembered(
        self,
        incoming: Incoming,
        fault: Fault,
        honest: Answer | None,
        accepted: Accepted | None,
    ) -> Outgoing:
        """Keep the request and say how it is answered."""
        answer = fault.answer or honest or error_answer(503, "scripted silence")
        if answer.redirects:
            answer = replace(answer, headers={"Location": self._second().url + incoming.path})
        silent = fault.manner in SILENT
        request = Request(
            number=self._store.next_number,
            method=incoming.method,
            path=incoming.path,
            endpoint=INGEST_PATHS.get(incoming.path),
            headers={
                name: MASK if name in SECRET_HEADERS else value
                for name, value in incoming.headers.items()
            },
            arrived_at=self._now(),
            body_bytes=len(incoming.body),
            in_flight=self._in_flight,
            status=None if silent else answer.status,
            manner=fault.manner,
            invocation_id=accepted.invocation_id if accepted else None,
            events=accepted.events if accepted else 0,
            resource_uuids=accepted.resource_uuids if accepted else (),
        )
        self._store.add(request, _kept(incoming))
        self._lock.notify_all()
        return Outgoing(
            answer=answer, manner=fault.manner, delay_ms=fault.delay_ms, done=self._leave
        )

    def _second(self) -> Listener:
        """The second listener, started by the first redirect; it answers as if it were Monte Carlo."""
        if self._elsewhere is None:
            self._elsewhere = Listener(self._hit)
        return self._elsewhere

    def _hit(self, incoming: Incoming) -> Outgoing:
        del incoming
        with self._lock:
            self._redirect_hits += 1
        return Outgoing(answer=json_answer(202, {"invocation_id": str(uuid.uuid4())}))

    def _asked(self, incoming: Incoming) -> Answer:
        """The honest answer to a GraphQL request."""
        if incoming.method != "POST":
            return not_allowed(incoming)
        key = self._ingest.key_of(incoming)
        if key is None:
            return gateway_graphql.failure(401, "Invalid key id or token")
        if key.scope != "API":
            return gateway_graphql.failure(403, "The key's scope does not allow GraphQL")
        world = World(
            control=self.control,
            requests=self.requests,
            tables=self._store.tables,
            events=self.events,
            now=self._now(),
        )
        return gateway_graphql.answered(incoming.body, world)

    # The admin paths, for a gateway in another process.

    def _administered(self, incoming: Incoming) -> Answer:
        name = incoming.path.removeprefix(ADMIN_PREFIX)
        try:
            if incoming.method == "GET":
                return self._told(name, dict(parse_qsl(incoming.query)))
            if incoming.method == "POST":
                return self._obeyed(name, json.loads(incoming.body or b"{}"))
        except (ValueError, TypeError, KeyError) as error:
            return error_answer(400, f"{name}: {error}")
        return error_answer(405, "the admin paths take GET and POST")

    def _told(self, question: str, filters: dict[str, str]) -> Answer:
        """Facts as JSON."""
        match question:
            case "counts":
                content: object = as_json(self.counts())
            case "requests":
                content = [as_json(request) for request in self.requests]
            case "events":
                content = [as_json(event) for event in self._filtered_events(**filters)]
            case "measured":
                content = [as_json(measured) for measured in self.measured()]
            case "duplicate_query_ids":
                content = self.duplicate_query_ids()
            case _:
                return error_answer(404, f"no such question: {question}")
        return json_answer(200, content)

    def _filtered_events(
        self, endpoint: str | None = None, invocation_id: str | None = None
    ) -> tuple[AcceptedEvent, ...]:
        if endpoint is not None and endpoint not in ENDPOINTS:
            msg = f"endpoint is one of {', '.join(ENDPOINTS)}, not {endpoint}"
            raise ValueError(msg)
        return self.events(endpoint, invocation_id=invocation_id)

    def _obeyed(self, deed: str, content: Mapping[str, Any]) -> Answer:
        """Orders."""
        match deed:
            case "script":
                self.script(*(fault_from(values) for values in content["faults"]))
            case "rule":
                self.rule(fault_from(content["fault"]), path=content["path"], nth=content["nth"])
            case "clear":
                self.clear()
            case "release":
                self.release()
            case _:
                return error_answer(404, f"no such deed: {deed}")
        return json_answer(200, {})


def _kept(incoming: Incoming) -> bytes:
    """The body as it goes to disk: one that brings a lakehouse's password is masked whole."""
    if incoming.path == GRAPHQL_PATH and b"testSparkCredentials" in incoming.body:
        return b"*" * len(incoming.body)
    return incoming.body


def _locked(state: Path) -> IO[bytes]:
    """The folder, made if need be, held by this gateway alone until the file is closed."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = (state / LOCK_FILE).open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        msg = f"Another sandbox gateway uses {state}. Stop it, or choose another folder."
        raise SandboxError(msg) from error
    return file


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; 1 with a sentence on stderr when it cannot start."""
    parser = argparse.ArgumentParser(prog="gateway", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder that keeps everything")
    parser.add_argument("--port", type=int, help="default: the one used before, else a free one")
    parser.add_argument("--others", nargs="*", default=[], help="names of further warehouses")
    parser.add_argument("--certificate", type=Path, help="PEM file; with it the gateway speaks TLS")
    parser.add_argument("--certificate-key", type=Path, help="PEM file")
    options = parser.parse_args(arguments)
    stopped = threading.Event()

    def stop(signal_number: int, frame: FrameType | None) -> None:
        del signal_number, frame
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    tls = (
        Certificate(certificate=options.certificate, key=options.certificate_key)
        if options.certificate
        else None
    )
    try:
        with Gateway(options.state, port=options.port, others=options.others, tls=tls) as gateway:
            sys.stderr.write(f"sandbox gateway at {gateway.url}, state in {options.state}\n")
            stopped.wait()
    except SandboxError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
