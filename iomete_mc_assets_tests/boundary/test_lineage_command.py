"""`iomete-mc lineage` against a gateway: said before it is done, done once, and nothing that was pushed is touched."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from iomete_mc_assets import clock
from iomete_mc_assets.cli.main import main
from iomete_mc_assets.manifests.lineage_by_hand import EDGE_CALLS
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo import documents
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_control import CustomEdge
from iomete_mc_assets.sandbox.gateway_faults import accept_then_cut, answers
from iomete_mc_assets.sandbox.gateway_graphql import GRAPHQL_PATH
from iomete_mc_assets_tests.gateway_questions import ask, asset, listed, posted, push
from iomete_mc_assets_tests.push_bench import SOURCE, Bench, table_edge

ORDERS, TOTALS, WEEKLY = "table:sales:default.orders", "table:sales:default.totals", "report:weekly"


@pytest.fixture
def root(tmp_path: Path) -> str:
    ManifestStore.open(str(tmp_path / "manifests"), source=SOURCE)
    return str(tmp_path / "manifests")


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, root: str) -> Iterator[Gateway]:
    """With two pushed tables and a pushed edge between them."""
    with Gateway() as running:
        for name, value in {
            "MCD_ID": running.connection.api_id,
            "MCD_TOKEN": running.connection.api_token,
            "MCD_GRAPHQL_ENDPOINT": f"{running.url}{GRAPHQL_PATH}",
            "MCD_INGEST_ENDPOINT": running.url,
            "MCD_RESOURCE_UUID": running.resource_uuid,
            "IOMETE_MC_MANIFESTS": root,
        }.items():
            monkeypatch.setenv(name, value)
        push(running, asset("orders"), asset("totals"))
        ends = [{"type": "TABLE", **asset(name)["metadata"]} for name in ("orders", "totals")]
        body = {
            "event_type": "LINEAGE",
            "resource": {"uuid": running.resource_uuid, "resource_type": "spark"},
            "events": [{"sources": ends[:1], "destination": ends[1]}],
        }
        assert posted(running, "lineage", body).status_code == 202
        yield running


def lineage(*words: str, says: str | None = None) -> Result:
    return CliRunner().invoke(main, ["lineage", *words], input=says)


def done(*words: str) -> str:
    result = lineage(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words: str) -> str:
    result = lineage(*words)
    assert result.exit_code == 1, result.output
    return " ".join(result.output.split())


def changes(gateway: Gateway) -> int:
    """Mutations that arrived."""
    return sum(body.startswith(b'{"query": "mutation') for body in gateway.bodies)


def test_a_node_and_its_edge_are_made_once_and_do_not_expire(gateway: Gateway, root: str) -> None:
    said = done("node", "add", WEEKLY, "--name", "Weekly revenue", "--yes")
    assert f"+ node {WEEKLY}: does not expire" in said
    assert f"+ edge {ORDERS} -> {WEEKLY}: does not expire" in done(
        "edge", "add", ORDERS, WEEKLY, "--yes"
    )
    (node,), (edge,) = gateway.control.nodes, gateway.control.edges
    assert (node.name, node.expire_at, edge.expire_at) == (
        "Weekly revenue",
        "9999-12-31",
        "9999-12-31",
    )
    assert edge.source == listed(gateway)["sales:default.orders"]
    before = changes(gateway)
    assert "Nothing to do" in done("node", "add", WEEKLY)
    assert "Nothing to do" in done("edge", "add", ORDERS, WEEKLY)
    assert changes(gateway) == before
    assert "'Weekly revenue': made by hand, does not expire; 1 upstream, 0 downstream" in done(
        "node", "show", WEEKLY
    )
    assert f"= edge {ORDERS} -> {WEEKLY}: shown; made by hand, does not expire" in done(
        "edge", "show"
    )
    (call,) = EDGE_CALLS.read_all(ManifestStore.open(root, source=None).storage)
    assert call.made is True


def test_an_expiry_is_said_out_loud_and_changed_with_the_old_one_beside(gateway: Gateway) -> None:
    done("node", "add", WEEKLY, "--yes")
    day = (clock.now() + timedelta(days=40)).date()
    said = f"does not expire, will be: expires {day} 00:00 UTC"
    assert f"~ node {WEEKLY}: {said}" in done("node", "add", WEEKLY, "--expires", str(day), "--yes")
    done("edge", "add", ORDERS, WEEKLY, "--yes")
    instant = f"{day}T18:00:00+00:00"
    assert "will be: expires" in done("edge", "add", ORDERS, WEEKLY, "--expires", instant, "--yes")
    (node,), (edge,) = gateway.control.nodes, gateway.control.edges
    assert (node.expire_at, edge.expire_at) == (f"{day}T00:00:00+00:00", instant)


def test_an_edge_of_ours_ends_now_and_a_pushed_one_is_refused_with_the_reason(
    gateway: Gateway,
) -> None:
    done("node", "add", WEEKLY, "--yes")
    done("edge", "add", ORDERS, WEEKLY, "--yes")
    assert "its expiry is set to now" in done("edge", "remove", ORDERS, WEEKLY, "--yes")
    (edge,) = gateway.control.edges
    assert (
        clock.now().isoformat() > edge.expire_at > (clock.now() - timedelta(minutes=5)).isoformat()
    )
    before = changes(gateway)
    assert "shows no such edge" in done("edge", "remove", ORDERS, WEEKLY)
    assert "was pushed, or comes from queries" in refused("edge", "remove", ORDERS, TOTALS, "--yes")
    assert changes(gateway) == before
    orders = listed(gateway)["sales:default.orders"]
    beside = ask(gateway, documents.NEIGHBOURS, m=orders, d="downstream")["connectedNodes"]
    assert [one["mcon"] for one in beside] == [listed(gateway)["sales:default.totals"]]
    assert "No edge was made from this store" in done("edge", "show")
    gateway.control.put_edge(replace(edge, expire_at="9999-12-31"))
    assert "was pushed, or comes from queries" in refused("edge", "remove", ORDERS, WEEKLY, "--yes")
    done("edge", "add", ORDERS, WEEKLY, "--yes")
    assert len(done("edge", "show").splitlines()) == 1


def test_an_edge_that_was_pushed_needs_no_hand(gateway: Gateway) -> None:
    before = changes(gateway)
    assert "from a push or from queries" in done("edge", "add", ORDERS, TOTALS, "--yes")
    assert "not made by hand from this store" in done("edge", "show", ORDERS, TOTALS)
    assert changes(gateway) == before


@pytest.mark.parametrize("first", ["by hand", "push"])
def test_an_edge_of_ours_that_was_pushed_too_is_refused_with_the_reason(
    gateway: Gateway, root: str, first: str
) -> None:
    bench = Bench(gateway, root)
    bench.know("totals", "orders")
    if first == "by hand":
        done("edge", "add", TOTALS, ORDERS, "--yes")
    bench.collect("lineage", [table_edge("totals", "orders")])
    assert bench.push_one("lineage").counts == {"accepted": 1}
    if first == "push":
        assert "Nothing to do" in done("edge", "add", TOTALS, ORDERS, "--yes")
    before = changes(gateway)
    reason = "this store has pushed it too" if first == "by hand" else "it was pushed, or comes"
    assert reason in refused("edge", "remove", TOTALS, ORDERS, "--yes")
    assert changes(gateway) == before


def test_an_edge_that_is_still_shown_after_its_removal_is_not_called_removed(
    gateway: Gateway,
) -> None:
    done("edge", "add", TOTALS, ORDERS, "--yes")
    ends = [{"type": "TABLE", **asset(name)["metadata"]} for name in ("totals", "orders")]
    body = {
        "event_type": "LINEAGE",
        "resource": {"uuid": gateway.resource_uuid, "resource_type": "spark"},
        "events": [{"sources": ends[:1], "destination": ends[1]}],
    }
    assert posted(gateway, "lineage", body).status_code == 202
    said = refused("edge", "remove", TOTALS, ORDERS, "--yes")
    assert "is still shown, late or because of a push from elsewhere" in said
    assert "✓" not in said


def test_an_id_is_printed_as_it_is(gateway: Gateway) -> None:
    said = done("node", "add", "report:a", "r:[b]:smile:", "--yes")
    assert "+ node report:a: does not expire" in said
    assert "✓ node report:a made" in said
    assert "✓ node r:[b]:smile: made" in said


def test_one_that_was_made_by_another_hand_is_not_ours(gateway: Gateway) -> None:
    mcons = listed(gateway)
    gateway.control.put_edge(
        CustomEdge(
            source=mcons["sales:default.totals"],
            destination=mcons["sales:default.orders"],
            expire_at="9999-12-31",
        )
    )
    assert "no record of having made it" in refused("edge", "remove", TOTALS, ORDERS, "--yes")


def test_a_node_goes_with_its_edges_and_a_table_never(gateway: Gateway) -> None:
    done("node", "add", WEEKLY, "--yes")
    done("edge", "add", ORDERS, WEEKLY, "--yes")
    done("edge", "add", TOTALS, WEEKLY, "--yes")
    assert f"- node {WEEKLY}: with its 2 edges" in done("node", "remove", WEEKLY, "--yes")
    assert gateway.control.nodes == gateway.control.edges == ()
    before = changes(gateway)
    assert "shows no such node" in done("node", "remove", WEEKLY)
    assert "tables delete" in refused("node", "remove", ORDERS, "--yes")
    assert "by pushes, never by hand" in refused("node", "add", "view:sales:default.v", "--yes")
    assert "add the node first" in refused("edge", "add", ORDERS, WEEKLY, "--yes")
    assert "from a node to itself" in refused("edge", "add", ORDERS, ORDERS, "--yes")
    assert "push it first" in refused("edge", "add", "table:sales:default.gone", TOTALS, "--yes")
    assert changes(gateway) == before


def test_a_file_holds_many_and_one_that_cannot_be_done_stops_all(
    gateway: Gateway, tmp_path: Path
) -> None:
    file = tmp_path / "lineage.yaml"
    day = (clock.now() + timedelta(days=40)).date()
    file.write_text(
        f"""
nodes:
  - node: report:weekly
    name: Weekly revenue
    expires: {day}
  - node: model:churn
edges:
  - {{from: "{ORDERS}", to: "report:weekly"}}
  - {{from: "report:weekly", to: "model:churn", expires: "{day}T12:00:00Z"}}
"""
    )
    done("node", "add", "--file", str(file), "--yes")
    done("edge", "add", "--file", str(file), "--yes")
    assert [(one.name, one.expire_at) for one in gateway.control.nodes] == [
        ("Weekly revenue", f"{day}T00:00:00+00:00"),
        ("churn", "9999-12-31"),
    ]
    assert [one.expire_at for one in gateway.control.edges] == [
        "9999-12-31",
        f"{day}T12:00:00+00:00",
    ]
    before = changes(gateway)
    for kind in ("node", "edge"):
        assert "Nothing to do" in done(kind, "add", "--file", str(file))
    more = file.read_text() + f'  - {{from: "{ORDERS}", to: "report:none"}}\n'
    file.write_text(more.replace(f"{day}T12:00:00Z", "never"))
    assert "1 of 3 cannot be done; nothing was changed" in refused(
        "edge", "add", "--file", str(file), "--yes"
    )
    assert changes(gateway) == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nodes: [weekly]", "entry 1 of nodes takes node and perhaps expires, name, not 'weekly'"),
        ("nodes: [{node: 'report:w', expiry: never}]", "entry 1 of nodes takes node"),
        ("nodes: [{node: 7}]", "node is a text, not 7"),
        ("nodes: [{node: 'report:w', name: 7}]", "name is a text, not 7"),
        ("nodes: [{node: 'weekly'}]", "'weekly' names no lineage node"),
        ("nodes: [{node: 'report:w', expires: 2020-01-01}]", "2020-01-01 is past"),
        ("nodes: [{node: 'report:w', expires: soon}]", "'soon' is no expiry"),
        ("nodes: [{node: 'report:w', expires: '2099-01-01T10:00:00'}]", "is no expiry"),
        (
            "nodes: [{node: 'report:w'}, {node: 'report:w', name: W}]",
            "more than once: node report:w. Leave one",
        ),
        ("tables: []", "takes the lists `nodes:` and `edges:`, and nothing else"),
        ("- 1", "takes the lists"),
        ("nodes: [", "is no YAML"),
    ],
)
def test_a_file_that_cannot_be_meant_is_named_before_any_question(
    gateway: Gateway, tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "lineage.yaml"
    file.write_text(text)
    asked = len(gateway.requests)
    assert says in refused("node", "add", "--file", str(file), "--yes")
    assert len(gateway.requests) == asked


def test_nothing_is_done_without_a_yes(gateway: Gateway) -> None:
    result = lineage("node", "add", WEEKLY, says="n\n")
    assert result.exit_code == 1
    assert f"+ node {WEEKLY}: does not expire" in result.stdout
    assert changes(gateway) == 0
    assert lineage("node", "add", WEEKLY, says="y\n").exit_code == 0
    assert len(gateway.control.nodes) == 1


@pytest.mark.parametrize(
    "words",
    [("node", "add"), ("edge", "add", ORDERS), ("node", "add", WEEKLY, "r:x", "--name", "n")],
)
def test_what_is_not_named_is_a_usage_error(gateway: Gateway, words: tuple[str, ...]) -> None:
    assert lineage(*words).exit_code == 2
    assert changes(gateway) == 0


def test_an_edge_whose_answer_was_lost_is_on_record_and_can_be_removed(gateway: Gateway) -> None:
    done("node", "add", WEEKLY, "--yes")
    questions = sum(body.startswith(b'{"query": "query') for body in gateway.bodies)
    gateway.rule(accept_then_cut, path=GRAPHQL_PATH, nth=4)
    assert "Nobody knows whether the change was made" in refused(
        "edge", "add", ORDERS, WEEKLY, "--yes"
    )
    assert questions
    assert len(gateway.control.edges) == 1
    assert "Nothing to do" in done("edge", "add", ORDERS, WEEKLY)
    assert "✓" in done("edge", "remove", ORDERS, WEEKLY, "--yes")


def test_an_edge_that_monte_carlo_refused_is_not_ours(gateway: Gateway, root: str) -> None:
    done("node", "add", WEEKLY, "--yes")
    no = answers(200, '{"data": null, "errors": [{"message": "no such right"}]}')
    gateway.rule(no, path=GRAPHQL_PATH, nth=4)
    assert "no such right" in refused("edge", "add", ORDERS, WEEKLY, "--yes")
    (call,) = EDGE_CALLS.read_all(ManifestStore.open(root, source=None).storage)
    assert call.made is False
    assert "No edge was made from this store" in done("edge", "show")


def test_another_expiry_than_the_one_asked_for_is_an_error(gateway: Gateway) -> None:
    node = f"MCON++{gateway.control.account}++{gateway.resource_uuid}++report++weekly"
    week = (clock.now() + timedelta(days=7)).isoformat()
    answer = f'{{"data": {{"createOrUpdateLineageNode": {{"node": {{"mcon": "{node}", "displayName": "w", "expireAt": "{week}"}}}}}}}}'
    gateway.rule(answers(200, answer), path=GRAPHQL_PATH, nth=3)
    assert "where it was told: does not expire" in refused("node", "add", WEEKLY, "--yes")
    gateway.clear()
    gateway.rule(answers(200, answer.replace("report++", "other++")), path=GRAPHQL_PATH, nth=3)
    assert "names nodes otherwise" in refused("node", "add", WEEKLY, "--yes")


def test_the_ingestion_key_changes_no_lineage(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCD_ID", gateway.key_id)
    monkeypatch.setenv("MCD_TOKEN", gateway.key_secret)
    assert "scope does not allow" in refused("node", "add", WEEKLY, "--yes")
    assert changes(gateway) == 0
