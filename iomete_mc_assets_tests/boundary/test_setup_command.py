"""`iomete-mc setup` against a gateway whose keys really push: nothing twice, nothing silently, no secret but one, once."""

import re
from collections.abc import Iterator, Mapping

import pytest
import requests
from click.testing import CliRunner, Result

from iomete_mc_assets import clock
from iomete_mc_assets.cli.main import main
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_control import Warehouse
from iomete_mc_assets.sandbox.gateway_faults import Fault, accept_then_cut, answers, reset
from iomete_mc_assets.sandbox.gateway_graphql import GRAPHQL_PATH

URL = "https://lake.example:443/data-plane/p/lakehouse/c"
TOKEN = "lakehouse-t0ken"
OTHER = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    with Gateway() as running:
        for name, value in {
            "MCD_ID": running.connection.api_id,
            "MCD_TOKEN": running.connection.api_token,
            "MCD_GRAPHQL_ENDPOINT": f"{running.url}{GRAPHQL_PATH}",
            "IOMETE_URL": "https://lake.example/data-plane/p/lakehouse/c",
            "IOMETE_USER": "monte_carlo",
            "IOMETE_TOKEN": TOKEN,
        }.items():
            monkeypatch.setenv(name, value)
        yield running


def set_up(
    *words: str, environment: Mapping[str, str] | None = None, says: str | None = None
) -> Result:
    """Run it; whatever becomes of it, it does not show the lakehouse's token."""
    result = CliRunner().invoke(main, ["setup", *words], env=environment, input=says)
    assert TOKEN not in result.output
    return result


def exported(result: Result) -> dict[str, str]:
    return dict(re.findall(r"^export (\w+)=(\S+)$", result.stdout, re.MULTILINE))


def pushes(gateway: Gateway, environment: Mapping[str, str]) -> int:
    """The status of a push with what was exported."""
    metadata = {"name": "orders", "database": "sales", "schema": "default"}
    answer = requests.post(
        f"{gateway.url}/ingest/v1/metadata",
        json={
            "event_type": "METADATA",
            "resource": {"uuid": environment["MCD_RESOURCE_UUID"], "resource_type": "spark"},
            "events": [{"relational_asset": {"type": "TABLE", "metadata": metadata}}],
        },
        headers={
            "x-mcd-id": environment["MCD_INGEST_ID"],
            "x-mcd-token": environment["MCD_INGEST_TOKEN"],
        },
        timeout=10,
    )
    return answer.status_code


def changes(gateway: Gateway) -> int:
    """Mutations that arrived; bodies with the lakehouse's token are kept masked."""
    return sum(not body.startswith(b'{"query": "query') for body in gateway.bodies)


def made(gateway: Gateway) -> list[Warehouse]:
    return [one for one in gateway.control.warehouses if one.uuid != gateway.resource_uuid]


def keys(gateway: Gateway) -> set[str]:
    """Ids of ingestion keys that were made."""
    return {
        key.id
        for key in gateway.control.keys
        if key.scope == "Ingestion" and key.id != gateway.key_id
    }


def test_a_new_customer_gets_an_integration_and_a_key_that_pushes(gateway: Gateway) -> None:
    result = set_up("--name", "lake", says="y\n")
    assert result.exit_code == 0, result.output
    (warehouse,) = made(gateway)
    assert (warehouse.name, warehouse.pushed) == ("lake", ())
    assert set(warehouse.connections) == {"monitors"}
    (credentials,) = gateway.control.credentials
    assert (credentials.url, credentials.username, credentials.password) == (
        URL,
        "monte_carlo",
        TOKEN,
    )
    environment = exported(result)
    assert environment["MCD_RESOURCE_UUID"] == warehouse.uuid
    assert environment["MCD_INGEST_TOKEN"] not in result.stderr
    assert pushes(gateway, environment) == 202
    assert pushes(gateway, {**environment, "MCD_RESOURCE_UUID": gateway.resource_uuid}) == 403


def test_the_plan_comes_first_and_a_no_changes_nothing(gateway: Gateway) -> None:
    result = set_up(says="n\n")
    assert result.exit_code == 1
    assert "make the custom integration 'IOMETE'" in result.stderr
    assert "make an ingestion key for this warehouse alone" in result.stderr
    assert changes(gateway) == 0


def test_a_second_run_changes_nothing_and_shows_no_secret(gateway: Gateway) -> None:
    first = exported(set_up("--yes"))
    before = changes(gateway)
    again = set_up("--yes", environment=first)
    assert again.exit_code == 0, again.output
    assert exported(again) == {name: first[name] for name in ("MCD_RESOURCE_UUID", "MCD_INGEST_ID")}
    unaware = set_up("--yes")
    assert unaware.exit_code == 0, unaware.output
    assert exported(unaware) == {"MCD_RESOURCE_UUID": first["MCD_RESOURCE_UUID"]}
    assert f"ingestion keys for it exist ({first['MCD_INGEST_ID']})" in unaware.stderr
    assert changes(gateway) == before
    assert first["MCD_INGEST_TOKEN"] not in again.output + unaware.output


CREATE_KEY_IS = 7
"""The set-up's seventh question: warehouses, collectors, test, integration, warehouses, keys, key."""
FAULTS = {
    "made, the answer cut": accept_then_cut,
    "not made, reset": reset,
    "not made, 503": answers(503),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("nth", range(1, CREATE_KEY_IS + 1))
def test_a_run_that_breaks_off_anywhere_goes_on_and_makes_nothing_twice(
    gateway: Gateway, fault: Fault, nth: int
) -> None:
    gateway.rule(fault, path=GRAPHQL_PATH, nth=nth)
    result = set_up("--yes")
    arrived = len(gateway.requests)
    if result.exit_code != 0:
        result = set_up("--yes")
    assert result.exit_code == 0, result.output
    assert arrived >= nth, "the fault was never met"
    environment = exported(result)
    if "MCD_INGEST_TOKEN" not in environment:
        (lost,) = keys(gateway)
        environment = exported(set_up("--yes", "--renew-key", lost))
        assert lost not in keys(gateway)
    assert len(made(gateway)) == 1
    assert keys(gateway) == {environment["MCD_INGEST_ID"]}
    assert pushes(gateway, environment) == 202


def test_a_key_whose_secret_never_arrived_is_renewed_only_when_somebody_says_so(
    gateway: Gateway,
) -> None:
    gateway.rule(accept_then_cut, path=GRAPHQL_PATH, nth=CREATE_KEY_IS)
    result = set_up("--yes")
    assert result.exit_code == 1
    (lost,) = keys(gateway)
    assert f"run again with --renew-key {lost}" in result.stderr
    answered = set_up(says="y\ny\n")
    assert answered.exit_code == 0, answered.output
    assert lost not in keys(gateway)
    assert pushes(gateway, exported(answered)) == 202


PUT_INTEGRATION_IS = 4


def test_an_integration_whose_answer_is_lost_is_looked_up_before_anything_else(
    gateway: Gateway,
) -> None:
    gateway.rule(accept_then_cut, path=GRAPHQL_PATH, nth=PUT_INTEGRATION_IS)
    result = set_up("--yes")
    assert result.exit_code == 0, result.output
    (warehouse,) = made(gateway)
    assert exported(result)["MCD_RESOURCE_UUID"] == warehouse.uuid


def test_an_integration_that_is_not_seen_after_a_lost_answer_is_not_made_again_at_once(
    gateway: Gateway,
) -> None:
    gateway.rule(reset, path=GRAPHQL_PATH, nth=PUT_INTEGRATION_IS)
    result = set_up("--yes")
    assert result.exit_code == 1
    assert "shows no such change so far" in result.stderr
    assert len(gateway.requests) == PUT_INTEGRATION_IS + 1


def test_it_may_be_renewed_at_once(gateway: Gateway) -> None:
    gateway.rule(accept_then_cut, path=GRAPHQL_PATH, nth=CREATE_KEY_IS)
    result = set_up(says="y\ny\n")
    assert result.exit_code == 0, result.output
    assert keys(gateway) == {exported(result)["MCD_INGEST_ID"]}


def test_a_lost_secret_is_offered_and_kept_unless_somebody_says_yes(gateway: Gateway) -> None:
    first = exported(set_up("--yes"))
    before = changes(gateway)
    kept = set_up(says="n\n")
    assert kept.exit_code == 0, kept.output
    assert "Is its secret lost?" in kept.output
    assert changes(gateway) == before
    assert pushes(gateway, first) == 202


def test_a_deletion_whose_answer_is_lost_is_looked_up(gateway: Gateway) -> None:
    first = exported(set_up("--yes"))
    gateway.rule(accept_then_cut, path=GRAPHQL_PATH, nth=5)
    result = set_up("--yes", "--renew-key", first["MCD_INGEST_ID"])
    assert b"deleteIntegrationKey" in gateway.bodies[-2]
    assert result.exit_code == 0, result.output
    assert pushes(gateway, first) == 401
    assert pushes(gateway, exported(result)) == 202


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("nth", range(1, 7))
def test_a_renewal_that_breaks_off_anywhere_goes_on_also_beside_a_second_key(
    gateway: Gateway, fault: Fault, nth: int
) -> None:
    first = exported(set_up("--yes"))
    lost = first["MCD_INGEST_ID"]
    second = gateway.control.make_key("second", [first["MCD_RESOURCE_UUID"]], at=clock.now()).id
    gateway.rule(fault, path=GRAPHQL_PATH, nth=nth)
    words = ("--yes", "--renew-key", lost)
    result = set_up(*words)
    got = exported(result)
    if result.exit_code != 0:
        mine = {"MCD_INGEST_ID": got["MCD_INGEST_ID"]} if "MCD_INGEST_ID" in got else {}
        result = set_up(*words, environment=mine)
    assert result.exit_code == 0, result.output
    got |= exported(result)
    assert keys(gateway) == {second, got["MCD_INGEST_ID"]}
    assert pushes(gateway, first) == 401
    assert pushes(gateway, got) == 202
    before = changes(gateway)
    for environment in (None, got):
        assert set_up(*words, environment=environment).exit_code == 0
    assert changes(gateway) == before


def test_a_key_that_is_not_there_is_not_renewed_and_said_so(gateway: Gateway) -> None:
    first = exported(set_up("--yes"))
    before = changes(gateway)
    for environment in (None, first):
        result = set_up("--yes", "--renew-key", "typo", environment=environment)
        assert result.exit_code == 1
        assert "Monte Carlo shows no ingestion key typo, so nothing was changed" in result.stderr
        assert first["MCD_INGEST_ID"] in result.stderr
    assert changes(gateway) == before


def test_a_key_of_another_warehouse_too_is_never_deleted(gateway: Gateway) -> None:
    environment = exported(set_up("--yes"))
    foreign = set_up("--yes", "--renew-key", gateway.key_id)
    assert foreign.exit_code == 1
    assert "may push to other warehouses too" in foreign.stderr
    assert gateway.key_id in {key.id for key in gateway.control.keys}
    assert keys(gateway) == {environment["MCD_INGEST_ID"]}


def test_a_warehouse_named_by_its_uuid_is_updated_and_its_key_kept(gateway: Gateway) -> None:
    mine = {"MCD_RESOURCE_UUID": gateway.resource_uuid, "MCD_INGEST_ID": gateway.key_id}
    result = set_up("--yes", environment=mine)
    assert result.exit_code == 0, result.output
    assert exported(result) == mine
    assert made(gateway) == []
    (warehouse,) = gateway.control.warehouses
    assert (warehouse.name, set(warehouse.connections)) == ("sandbox", {"monitors"})
    assert keys(gateway) == set()


def test_credentials_are_given_anew_and_pushes_declared_only_when_asked_for(
    gateway: Gateway,
) -> None:
    environment = exported(set_up("--yes", "--declare-push"))
    (warehouse,) = made(gateway)
    assert set(warehouse.pushed) == {"metadata", "query_logs"}
    set_up("--yes", "--new-credentials", environment={**environment, "IOMETE_USER": "other"})
    assert [one.username for one in gateway.control.credentials] == ["monte_carlo", "other"]
    before = changes(gateway)
    set_up("--yes", "--declare-push", environment=environment)
    assert changes(gateway) == before


@pytest.mark.parametrize(
    ("environment", "words", "says"),
    [
        ({"IOMETE_URL": "thrift://lake.example:10000"}, [], "binary mode"),
        ({"MCD_ID": ""}, [], "MCD_ID is not set"),
        ({"MCD_RESOURCE_UUID": OTHER}, [], f"shows no warehouse {OTHER}"),
        ({}, ["--collector", OTHER], "Which data collector"),
    ],
)
def test_what_cannot_be_meant_is_said_and_changes_nothing(
    gateway: Gateway, environment: dict[str, str], words: list[str], says: str
) -> None:
    result = set_up("--yes", *words, environment=environment)
    assert result.exit_code == 1
    assert says in result.stderr
    assert changes(gateway) == 0


def test_two_integrations_of_one_name_are_told_apart_by_their_uuid(gateway: Gateway) -> None:
    for uuid in (OTHER, OTHER.replace("5", "6")):
        gateway.control.put(Warehouse(uuid=uuid, name="IOMETE"))
    result = set_up("--yes")
    assert result.exit_code == 1
    assert "Set MCD_RESOURCE_UUID to the one that is meant" in result.stderr
    assert set_up("--yes", environment={"MCD_RESOURCE_UUID": OTHER}).exit_code == 0


def test_refused_credentials_change_nothing(gateway: Gateway) -> None:
    gateway.rule(
        answers(200, '{"data": {"testSparkCredentials": {"key": null, "success": false}}}'),
        path=GRAPHQL_PATH,
        nth=3,
    )
    result = set_up("--yes")
    assert result.exit_code == 1
    assert "could not log in" in result.stderr
    assert made(gateway) == []
