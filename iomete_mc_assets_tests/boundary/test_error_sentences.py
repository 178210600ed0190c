"""What goes wrong between us and Monte Carlo, each with a sentence of its own that says what to do, on both APIs."""

import json
from collections.abc import Callable

import pytest

from iomete_mc_assets import clock
from iomete_mc_assets.errors import IometeMcError
from iomete_mc_assets.montecarlo.control_plane import ApiConfig, ControlPlane
from iomete_mc_assets.montecarlo.documents import WAREHOUSES
from iomete_mc_assets.montecarlo.ingest import IngestConfig, Outgoing, PycarloIngest
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_graphql import GRAPHQL_PATH

OTHER = "11111111-2222-3333-4444-555555555555"
LOGIN = "<html>log in</html>"
Key = tuple[str, str]


def own(gateway: Gateway) -> Key:
    return gateway.key_id, gateway.key_secret


def api(gateway: Gateway) -> Key:
    return gateway.connection.api_id, gateway.connection.api_token


def of_another_warehouse(gateway: Gateway) -> Key:
    made = gateway.control.make_key("theirs", [OTHER], at=clock.now())
    return made.id, made.secret


def deleted(gateway: Gateway) -> Key:
    made = gateway.control.make_key("gone", [gateway.resource_uuid], at=clock.now())
    gateway.control.delete_key(made.id)
    return made.id, made.secret


def pushed(gateway: Gateway, key: Key) -> str:
    """What is said of a push of one table."""
    asset = {"type": "TABLE", "metadata": {"name": "t", "database": "d", "schema": "default"}}
    body = {
        "event_type": "METADATA",
        "resource": {"uuid": gateway.resource_uuid, "resource_type": "spark"},
        "events": [{"relational_asset": asset}],
    }
    config = IngestConfig(endpoint=gateway.url, key_id=key[0], key_secret=key[1])
    outgoing = Outgoing(
        flow="catalog_snapshot", events=1, body=json.dumps(body).encode(), shown="one table"
    )
    with pytest.raises(IometeMcError) as caught:
        PycarloIngest(config).send(outgoing)
    return str(caught.value)


def asked(gateway: Gateway, key: Key) -> str:
    """What is said of a question."""
    config = ApiConfig(endpoint=f"{gateway.url}{GRAPHQL_PATH}", key_id=key[0], key_secret=key[1])
    with pytest.raises(IometeMcError) as caught:
        ControlPlane(config).ask(WAREHOUSES)
    return str(caught.value)


Say = Callable[[Gateway, Key], str]
page = faults.answers(200, LOGIN, content_type="text/html")
graphql_error = faults.answers(200, '{"data": null, "errors": [{"message": "no such right"}]}')
SITUATIONS: dict[str, tuple[Say, Callable[[Gateway], Key], faults.Fault | None, str]] = {
    "pushing with an API key": (pushed, api, None, "the key's scope is not Ingestion"),
    "pushing to another warehouse": (pushed, of_another_warehouse, None, "not authorized for the"),
    "pushing with an expired key": (pushed, deleted, None, "this ingestion key is neither expired"),
    "pushing too much": (pushed, own, faults.answers(429), "not taken now; it may be sent again"),
    "pushing to a page": (pushed, own, page, "with a web page: "),
    "pushing to nothing": (
        pushed,
        own,
        faults.answers(202, ""),
        "without an invocation id (empty)",
    ),
    "asking with an ingestion key": (asked, own, None, "no ingestion key (those only push)"),
    "asking with an expired key": (asked, deleted, None, "this API key is neither expired"),
    "asking too much": (asked, api, faults.answers(429), "the quota of calls is spent for now"),
    "asking a page": (asked, api, page, "a web page (<html>log in</html>). That is not Monte"),
    "asking nothing": (asked, api, faults.answers(200, ""), "an empty body. That is not Monte"),
    "asking in vain": (
        asked,
        api,
        graphql_error,
        "HTTP 200: no such right. Monte Carlo understood what was asked and refused it. Check",
    ),
}


def sentence(gateway: Gateway, situation: str) -> tuple[str, str]:
    """What is said, and what should be in it."""
    say, key, fault, expected = SITUATIONS[situation]
    if fault is not None:
        gateway.rule(fault, path=GRAPHQL_PATH if say is asked else None)
    said = say(gateway, key(gateway))
    gateway.clear()
    return said, expected


def test_each_situation_has_a_sentence_that_fits_no_other(gateway: Gateway) -> None:
    said = {name: sentence(gateway, name) for name in SITUATIONS}
    for name, (_, expected) in said.items():
        fits = [other for other, (text, _) in said.items() if expected in text]
        assert fits == [name]


@pytest.mark.parametrize("situation", SITUATIONS)
def test_it_says_who_was_asked_and_shows_no_secret(gateway: Gateway, situation: str) -> None:
    said, _ = sentence(gateway, situation)
    assert gateway.url in said
    assert own(gateway)[1] not in said
    assert api(gateway)[1] not in said
