"""Questions to Monte Carlo's API over a real socket: every document fits the schema, every answer has its sentence."""

from collections.abc import Iterator
from typing import cast

import pytest
from graphql import parse, validate

from iomete_mc_assets.errors import (
    ApiKeyRefused,
    ApiUnavailable,
    ControlPlaneError,
    OperationRefused,
    SettingsError,
)
from iomete_mc_assets.montecarlo.control_plane import ApiConfig, ControlPlane
from iomete_mc_assets.montecarlo.documents import CREATE_KEY, DOCUMENTS, KEYS, WAREHOUSES, Document
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_faults import Fault, after, answers, redirects
from iomete_mc_assets.sandbox.gateway_graphql import GRAPHQL_PATH, monte_carlo_schema


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as running:
        yield running


def control_plane(gateway: Gateway, **changes: object) -> ControlPlane:
    given: dict[str, object] = {
        "endpoint": f"{gateway.url}{GRAPHQL_PATH}",
        "key_id": gateway.connection.api_id,
        "key_secret": gateway.connection.api_token,
        **changes,
    }
    return ControlPlane(ApiConfig(**given))  # pyright: ignore[reportArgumentType] - by name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_rule_42_every_document_fits_the_schema_that_pycarlo_ships(document: Document) -> None:
    assert validate(monte_carlo_schema(), parse(document.text)) == []


def test_every_document_has_a_name_of_its_own() -> None:
    assert len({document.name for document in DOCUMENTS}) == len(DOCUMENTS)
    assert {document.name for document in DOCUMENTS if document.changes} == {
        "TestSpark",
        "Integration",
        "Key",
        "DeleteKey",
        "Node",
        "Edge",
        "DropNode",
        "DropTables",
    }


def test_an_answer_comes_with_monte_carlos_own_names(gateway: Gateway) -> None:
    data = control_plane(gateway).ask(WAREHOUSES)
    (warehouse,) = cast("list[dict[str, object]]", data["getWarehouses"])
    assert warehouse["uuid"] == gateway.resource_uuid
    assert warehouse["connectionType"] == "CUSTOM_INTEGRATION"


def test_rule_38_the_ingestion_key_asks_nothing(gateway: Gateway) -> None:
    asking = control_plane(gateway, key_id=gateway.key_id, key_secret=gateway.key_secret)
    with pytest.raises(ApiKeyRefused, match=r"scope does not allow.*no ingestion key"):
        asking.ask(WAREHOUSES)


def test_an_unknown_key_is_named_without_its_secret(gateway: Gateway) -> None:
    with pytest.raises(ApiKeyRefused, match=r"HTTP 401.*MCD_ID and MCD_TOKEN") as caught:
        control_plane(gateway, key_secret="hunter2").ask(WAREHOUSES)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("name", "field"), [("MCD_ID", "key_id"), ("MCD_TOKEN", "key_secret")])
def test_rule_38_a_missing_key_is_named(gateway: Gateway, name: str, field: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is empty"):
        control_plane(gateway, **{field: " "})


PAGE = answers(200, "<html>log in</html>", content_type="text/html")


@pytest.mark.parametrize(
    ("fault", "error", "sentence"),
    [
        (answers(429, retry_after="7"), ApiUnavailable, "quota of calls is spent"),
        (answers(503, '{"message": "down"}'), ApiUnavailable, "Ask again later"),
        (PAGE, ControlPlaneError, "not Monte Carlo's API"),
        (answers(200, ""), ControlPlaneError, "an empty body. That is not Monte Carlo's API"),
        (answers(200, '{"data": null}'), ControlPlaneError, "an answer without data"),
        (answers(200, '{"message": "hello"}'), ControlPlaneError, "not Monte Carlo's API"),
        (answers(404, "nothing"), ControlPlaneError, "not Monte Carlo's API"),
        (
            answers(403, "<html>log in</html>", content_type="text/html"),
            ControlPlaneError,
            "Check MCD_GRAPHQL_ENDPOINT",
        ),
        (redirects(302), ControlPlaneError, "not followed"),
        (
            answers(200, '{"data": null, "errors": [{"message": "no such warehouse"}]}'),
            OperationRefused,
            "no such warehouse",
        ),
    ],
)
def test_each_answer_that_is_none_has_its_own_sentence(
    gateway: Gateway, fault: Fault, error: type[ControlPlaneError], sentence: str
) -> None:
    gateway.rule(fault, path=GRAPHQL_PATH)
    with pytest.raises(error, match=f"Warehouses: HTTP .*{sentence}") as caught:
        control_plane(gateway).ask(WAREHOUSES)
    assert type(caught.value) is error
    assert len(gateway.requests) == 1
    assert gateway.redirect_hits == 0


def test_a_key_that_is_echoed_is_masked(gateway: Gateway) -> None:
    secret = gateway.connection.api_token
    echo = f'{{"errors": [{{"message": "no user of {secret}"}}]}}'
    gateway.rule(answers(200, echo), path=GRAPHQL_PATH)
    with pytest.raises(OperationRefused, match="no user of") as caught:
        control_plane(gateway).ask(WAREHOUSES)
    assert secret not in str(caught.value)


def test_how_long_to_wait_is_told(gateway: Gateway) -> None:
    gateway.rule(answers(429, retry_after="7"), path=GRAPHQL_PATH)
    with pytest.raises(ApiUnavailable) as caught:
        control_plane(gateway).ask(WAREHOUSES)
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize(("document", "unknown"), [(KEYS, False), (CREATE_KEY, True)])
def test_a_change_without_an_answer_may_have_been_made(
    gateway: Gateway, document: Document, unknown: bool
) -> None:
    gateway.rule(after(60_000), path=GRAPHQL_PATH)
    asking = control_plane(gateway, total_timeout_s=0.3)
    with pytest.raises(ApiUnavailable, match="took too long") as caught:
        asking.ask(document, d="key")
    assert caught.value.unknown is unknown
    assert ("Nobody knows" in str(caught.value)) is unknown


def test_nobody_there_is_an_error_that_names_the_address(gateway: Gateway) -> None:
    gone = gateway.url
    gateway.close()
    with pytest.raises(ApiUnavailable, match=f"{gone}/graphql, Key: cannot be reached") as caught:
        control_plane(gateway).ask(CREATE_KEY, d="key")
    assert not caught.value.unknown


def test_the_budget_of_calls_is_kept(gateway: Gateway) -> None:
    asking = control_plane(gateway, max_calls=2)
    for _ in range(2):
        asking.ask(WAREHOUSES)
    with pytest.raises(ControlPlaneError, match="2 calls are the budget"):
        asking.ask(WAREHOUSES)
    assert len(gateway.requests) == 2
    assert asking.calls == 2


def test_the_key_does_not_show() -> None:
    config = ApiConfig(endpoint="http://localhost/graphql", key_id="id1", key_secret="hunter2")
    assert "hunter2" not in repr(config)
    assert "id1" not in repr(config)
