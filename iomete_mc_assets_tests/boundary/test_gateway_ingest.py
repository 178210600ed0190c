"""The gateway's honest side: real pycarlo is taken, every documented refusal is given, all of it is remembered."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (the dicts that pycarlo takes and gives have no item types)
import json
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from pycarlo.core import Client, Session
from pycarlo.features.ingestion import IngestionService
from pycarlo.features.ingestion.models import (
    AssetField,
    AssetFreshness,
    AssetMetadata,
    AssetVolume,
    ColumnLineageField,
    ColumnLineageSourceField,
    LineageAssetRef,
    LineageEvent,
    QueryLogEntry,
    RelationalAsset,
    Tag,
)

from iomete_mc_assets.errors import SandboxError
from iomete_mc_assets.redaction import MASK
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_connection import CONNECTION_FILE, Key
from iomete_mc_assets.sandbox.gateway_faults import accept_then_hang, answers
from iomete_mc_assets.sandbox.gateway_http import MAX_READ_BYTES, Certificate
from iomete_mc_assets.sandbox.gateway_ingest import GZIP_CAP_BYTES

LOG_TYPE = "databricks-metastore-sql-warehouse"
OTHER_WAREHOUSE = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as running:
        yield running


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def service(gateway: Gateway) -> IngestionService:
    session = Session(mcd_id=gateway.key_id, mcd_token=gateway.key_secret, scope="Ingestion")
    session.endpoint = gateway.url
    return IngestionService(Client(session))


def queries(gateway: Gateway, *texts: str) -> dict[str, Any]:
    return {
        "event_type": "QUERY_LOG",
        "resource": {"uuid": gateway.resource_uuid, "log_type": LOG_TYPE},
        "events": [
            {
                "start_time": "2026-01-01T08:00:00Z",
                "end_time": "2026-01-01T08:00:01Z",
                "query_text": text,
                "query_id": f"q{number}",
            }
            for number, text in enumerate(texts)
        ],
    }


def key(gateway: Gateway) -> dict[str, str]:
    return {"x-mcd-id": gateway.key_id, "x-mcd-token": gateway.key_secret}


def pushed(
    http: requests.Session, gateway: Gateway, body: object, headers: dict[str, str] | None = None
) -> requests.Response:
    return http.post(
        f"{gateway.url}/ingest/v1/querylogs",
        data=body if isinstance(body, bytes) else json.dumps(body).encode(),
        headers=key(gateway) if headers is None else headers,
        timeout=10,
    )


def test_metadata_from_pycarlos_models_is_accepted_and_kept_as_sent(gateway: Gateway) -> None:
    asset = RelationalAsset(
        type="VIEW",
        metadata=AssetMetadata(
            name="orders",
            database="sales",
            schema="default",
            description="d",
            view_query="SELECT 1",
            created_on="2026-01-01T00:00:00Z",
        ),
        tags=[Tag(key="env", value="prod"), Tag(key="pii")],
        fields=[AssetField(name="id", type="BIGINT", description="key")],
        volume=AssetVolume(row_count=0, byte_count=0),
        freshness=AssetFreshness(last_update_time="2026-03-12T14:30:00Z"),
    )
    sender = service(gateway)
    answer = sender.send_metadata(gateway.resource_uuid, "spark", [asset])
    (event,) = gateway.events("metadata")
    assert event.invocation_id == sender.extract_invocation_id(answer)
    assert event.content == {"relational_asset": asset.to_dict()}
    assert event.resource_uuid == gateway.resource_uuid


def test_lineage_from_pycarlos_models_is_accepted(gateway: Gateway) -> None:
    def table(name: str, asset_id: str) -> LineageAssetRef:
        return LineageAssetRef(
            type="TABLE", name=name, database="sales", schema="default", asset_id=asset_id
        )

    edge = LineageEvent(
        destination=table("dst", "d"),
        sources=[table("src", "s")],
        fields=[
            ColumnLineageField(
                name="c",
                source_fields=[ColumnLineageSourceField(asset_id="s", field_name="x")],
            )
        ],
    )
    service(gateway).send_lineage(gateway.resource_uuid, "spark", [edge])
    assert [event.content for event in gateway.events("lineage")] == [edge.to_dict()]


def test_query_logs_from_pycarlos_models_are_accepted(gateway: Gateway) -> None:
    started = datetime(2026, 1, 1, 8, 0, 0, 123456, tzinfo=UTC)
    entry = QueryLogEntry(
        start_time=started,
        end_time=started + timedelta(seconds=1),
        query_text="select 'ä\N{GRINNING FACE}'",
        query_id="q",
        user="u",
        error_code=0,
        error_text="",
        returned_rows=0,
        extra={"k": "v"},
    )
    service(gateway).send_query_logs(gateway.resource_uuid, LOG_TYPE, [entry])
    assert [event.content for event in gateway.events("querylogs")] == [entry.to_dict()]


def test_a_request_is_remembered_with_its_bytes_and_without_its_secret(gateway: Gateway) -> None:
    before = datetime.now(UTC)
    service(gateway).send_query_logs_raw(queries(gateway, "select 1"))
    (request,) = gateway.requests
    assert (request.number, request.method, request.path) == (1, "POST", "/ingest/v1/querylogs")
    assert before <= request.arrived_at <= datetime.now(UTC)
    assert request.headers["x-mcd-id"] == gateway.key_id
    assert request.headers["x-mcd-token"] == MASK
    assert gateway.bodies == (json.dumps(queries(gateway, "select 1")).encode(),)
    assert (request.body_bytes, request.events) == (len(gateway.bodies[0]), 1)


def test_an_invalid_body_is_a_400_with_details_even_without_a_key(
    gateway: Gateway, http: requests.Session
) -> None:
    answer = pushed(http, gateway, {}, headers={})
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {
        "error": "Invalid request body",
        "details": {
            "event_type": ["required field"],
            "events": ["required field"],
            "resource": ["required field"],
        },
    }
    assert gateway.events() == ()


@pytest.mark.parametrize(
    "change",
    [{"x-mcd-token": ""}, {"x-mcd-token": "wrong"}, {"x-mcd-id": "nobody"}, {"x-mcd-id": "é"}],
)
def test_an_unknown_key_is_a_401_before_the_resource_is_looked_at(
    gateway: Gateway, http: requests.Session, change: dict[str, str]
) -> None:
    body = queries(gateway, "select 1")
    body["resource"]["uuid"] = OTHER_WAREHOUSE
    assert pushed(http, gateway, body, {**key(gateway), **change}).status_code == 401


def test_a_resource_that_is_not_the_keys_is_a_403_before_the_size_is_looked_at(
    gateway: Gateway, http: requests.Session
) -> None:
    body = queries(gateway, incompressible(GZIP_CAP_BYTES * 2))
    body["resource"]["uuid"] = OTHER_WAREHOUSE
    answer = pushed(http, gateway, body)
    assert (answer.status_code, answer.json()) == (
        403,
        {"error": "the key is not authorized for the resource"},
    )


def test_an_api_key_cannot_push(gateway: Gateway, http: requests.Session) -> None:
    headers = {
        "x-mcd-id": gateway.connection.api_id,
        "x-mcd-token": gateway.connection.api_token,
    }
    answer = pushed(http, gateway, queries(gateway, "select 1"), headers)
    assert (answer.status_code, answer.json()) == (
        403,
        {"error": "the key's scope is not Ingestion"},
    )


def test_lineage_between_warehouses_needs_a_key_for_all_of_them(http: requests.Session) -> None:
    def edge(gateway: Gateway) -> dict[str, Any]:
        def table(warehouse: str) -> dict[str, str]:
            named = {"type": "TABLE", "name": "t", "database": "d", "schema": "s"}
            return {**named, "resource_uuid": warehouse, "resource_type": "spark"}

        event = {"destination": table(gateway.resource_uuid), "sources": [table(OTHER_WAREHOUSE)]}
        return {"event_type": "LINEAGE", "events": [event]}

    wide = "wide"
    with Gateway() as probe:
        own = probe.resource_uuid
    both = Key(id=wide, secret="s", scope="Ingestion", warehouse_uuids=(own, OTHER_WAREHOUSE))
    with Gateway(keys=[both]) as gateway:
        path = f"{gateway.url}/ingest/v1/lineage"
        narrow = http.post(path, json=edge(gateway), headers=key(gateway), timeout=10)
        body = edge(gateway)
        body["events"][0]["destination"]["resource_uuid"] = own
        owner = {"x-mcd-id": wide, "x-mcd-token": "s"}
        allowed = http.post(path, json=body, headers=owner, timeout=10)
    assert (narrow.status_code, allowed.status_code) == (403, 202)


def incompressible(length: int) -> str:
    """Text of base-64 letters, of which gzip saves a quarter."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"
    return "".join(random.Random(7).choices(letters, k=length))  # noqa: S311  # no secret


def test_a_body_is_measured_as_gzip_would_send_it(gateway: Gateway, http: requests.Session) -> None:
    compresses_well = queries(gateway, "x" * 3 * GZIP_CAP_BYTES)
    compresses_badly = queries(gateway, incompressible(int(1.5 * GZIP_CAP_BYTES)))
    assert pushed(http, gateway, compresses_well).status_code == 202
    assert pushed(http, gateway, compresses_badly).status_code == 413
    assert gateway.counts().events["querylogs"] == 1


def test_a_raw_cap_refuses_the_first_byte_above_it(http: requests.Session) -> None:
    with Gateway(raw_cap_bytes=1_000) as gateway:
        room = 1_000 - len(json.dumps(queries(gateway, "")))
        fits = pushed(http, gateway, queries(gateway, "x" * room))
        too_large = pushed(http, gateway, queries(gateway, "x" * (room + 1)))
    assert (fits.status_code, too_large.status_code) == (202, 413)


def test_another_path_is_a_404_and_another_method_a_405(
    gateway: Gateway, http: requests.Session
) -> None:
    assert http.post(f"{gateway.url}/ingest/v1/other", json={}, timeout=10).status_code == 404
    assert http.post(f"{gateway.url}/etl/metadata", json={}, timeout=10).status_code == 404
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
        answer = http.request(method, f"{gateway.url}/ingest/v1/metadata", timeout=10)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_one_connection_carries_many_requests(gateway: Gateway) -> None:
    connection = HTTPConnection("127.0.0.1", urlsplit(gateway.url).port, timeout=10)
    body = json.dumps(queries(gateway, "select 1"))
    try:
        connection.connect()
        first_socket = connection.sock
        for _ in range(3):
            connection.request("POST", "/ingest/v1/querylogs", body, key(gateway))
            with connection.getresponse() as answer:
                assert answer.status == 202
                answer.read()
        assert connection.sock is first_socket
    finally:
        connection.close()


def test_a_body_without_a_length_is_a_411_and_ends_the_connection(gateway: Gateway) -> None:
    head = b"POST /ingest/v1/metadata HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", urlsplit(gateway.url).port or 0), 10) as raw:
        raw.sendall(head)
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 411 ")
    assert gateway.requests == ()


def test_a_body_that_announces_far_too_much_is_a_413_unread(gateway: Gateway) -> None:
    head = f"POST /ingest/v1/metadata HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_READ_BYTES + 1}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", urlsplit(gateway.url).port or 0), 10) as raw:
        raw.sendall(head.encode())
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_request_cut_off_by_its_client_is_not_remembered(
    gateway: Gateway, http: requests.Session
) -> None:
    head = b"POST /ingest/v1/metadata HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", urlsplit(gateway.url).port or 0), 10) as raw:
        raw.sendall(head)
    assert pushed(http, gateway, queries(gateway, "select 1")).status_code == 202
    assert [request.status for request in gateway.requests] == [202]


def test_the_busiest_moment_is_known(gateway: Gateway) -> None:
    gateway.script(*[accept_then_hang] * 4)

    def push() -> None:
        with requests.Session() as own:
            own.trust_env = False
            with pytest.raises(requests.ConnectionError):
                pushed(own, gateway, queries(gateway, "select 1"))

    pushers = [threading.Thread(target=push) for _ in range(4)]
    for pusher in pushers:
        pusher.start()
    gateway.wait_for_requests(4)
    gateway.release()
    for pusher in pushers:
        pusher.join()
    assert gateway.counts().highest_in_flight == 4


def test_a_restart_keeps_address_keys_and_everything_accepted(
    tmp_path: Path, http: requests.Session
) -> None:
    with Gateway(tmp_path) as first:
        pushed(http, first, queries(first, "select 1", "select 2"))
        pushed(http, first, {})
        connection, remembered, events = first.connection, first.requests, first.events()
    with Gateway(tmp_path) as second:
        assert second.connection == connection
        assert (second.requests, second.events()) == (remembered, events)
        assert pushed(http, second, queries(second, "select 1")).status_code == 202
        assert second.duplicate_query_ids() == {"q0": 2}
        assert [request.number for request in second.requests] == [1, 2, 3]


def test_a_restart_whose_port_was_taken_moves_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Gateway(tmp_path) as first:
        port = urlsplit(first.url).port or 0
    with socket.create_server(("127.0.0.1", port)), Gateway(tmp_path) as second:
        assert second.url != first.url
        assert second.key_secret == first.key_secret
    assert f"port {port}" in caplog.text


def test_a_taken_port_and_a_used_folder_are_named(tmp_path: Path) -> None:
    with Gateway(tmp_path / "a") as first:
        port = urlsplit(first.url).port or 0
        with pytest.raises(SandboxError, match=f"port {port}"):
            Gateway(port=port)
        with pytest.raises(SandboxError, match="Another sandbox gateway uses"):
            Gateway(tmp_path / "a")
        with pytest.raises(SandboxError, match=f"port {port}"):
            Gateway(tmp_path / "b", port=port)
    with Gateway(tmp_path / "b", port=port) as moved:
        assert moved.url == first.url


def test_no_file_but_the_connection_holds_a_secret(tmp_path: Path, http: requests.Session) -> None:
    with Gateway(tmp_path) as gateway:
        pushed(http, gateway, queries(gateway, "select 1"))
        secret = gateway.key_secret.encode()
    holders = [path.name for path in tmp_path.iterdir() if secret in path.read_bytes()]
    assert holders == [CONNECTION_FILE]


def test_it_speaks_tls_with_a_given_certificate(tmp_path: Path, http: requests.Session) -> None:
    openssl = shutil.which("openssl")
    assert openssl is not None, "this test makes its certificate with openssl"
    certificate, private_key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(  # noqa: S603  # found by which; nothing from outside
        [
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=sandbox", "-addext",
            "subjectAltName=IP:127.0.0.1", "-keyout", private_key, "-out", certificate,
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    http.verify = str(certificate)
    with Gateway(tls=Certificate(certificate=certificate, key=private_key)) as gateway:
        assert gateway.url.startswith("https://")
        gateway.script(answers(503))
        statuses = [
            pushed(http, gateway, queries(gateway, "select 1")).status_code for _ in range(2)
        ]
        with gateway.client(ca_file=str(certificate)) as asking:
            assert asking.counts() == gateway.counts()
    assert statuses == [503, 202]
