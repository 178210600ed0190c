"""Tables that the lakehouse dropped: believed after two complete catalogs, deleted at a gateway that really forgets them."""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result

from iomete_mc_assets import clock
from iomete_mc_assets.cli.main import main
from iomete_mc_assets.manifests.deletions import DELETIONS, Deletion
from iomete_mc_assets.manifests.model import State
from iomete_mc_assets.montecarlo import documents
from iomete_mc_assets.montecarlo.control_plane import ApiConfig, ControlPlane
from iomete_mc_assets.records import Column, Record, TableEntry, TableId
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.sandbox.gateway_faults import accept_then_cut, answers, reset
from iomete_mc_assets.sandbox.gateway_graphql import GRAPHQL_PATH
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.push_bench import Bench, Clock, entries

GONE = ["sales:default.t004", "sales:default.t005"]
CRM = ["crm:default.c0", "crm:default.c1"]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bench]:
    """In the present, as the command is; its environment leads here."""
    now = Clock(clock.now())
    with Gateway(now=now.now) as gateway:
        for name, value in {
            "MCD_ID": gateway.connection.api_id,
            "MCD_TOKEN": gateway.connection.api_token,
            "MCD_GRAPHQL_ENDPOINT": f"{gateway.url}{GRAPHQL_PATH}",
            "MCD_INGEST_ENDPOINT": gateway.url,
            "MCD_RESOURCE_UUID": gateway.resource_uuid,
            "IOMETE_MC_MANIFESTS": str(tmp_path),
        }.items():
            monkeypatch.setenv(name, value)
        made = Bench(gateway, str(tmp_path))
        made.clock = now
        yield made


def hour(bench: Bench, ago: int) -> HourWindow:
    """Closed hours, 0 the newest."""
    return HourWindow(HourWindow.newest_closed(bench.clock.now()).start - timedelta(hours=ago))


def crm(count: int) -> list[Record]:
    return [
        TableEntry(
            table=TableId("spark_catalog", ("crm",), f"c{number}"),
            kind="table",
            format="iceberg",
            columns=(Column(name="id", type="BIGINT"),),
        )
        for number in range(count)
    ]


def surveyed(bench: Bench, *catalogs: Sequence[Record], states: Sequence[State] = ()) -> None:
    """The first catalog is pushed, the others follow hour by hour up to now."""
    for place, records in enumerate(catalogs):
        window = hour(bench, len(catalogs) - 1 - place)
        state = states[place] if states else "complete"
        bench.collect("catalog_snapshot", records, window=window, state=state)
        if place == 0:
            bench.push_one("catalog_snapshot", window=window)


def run(*words: str, says: str | None = None) -> Result:
    return CliRunner().invoke(main, ["tables", *words], input=says)


def told() -> dict[str, Any]:
    result = run("dropped", "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def shown(bench: Bench) -> set[str]:
    config = ApiConfig(
        endpoint=f"{bench.gateway.url}{GRAPHQL_PATH}",
        key_id=bench.gateway.connection.api_id,
        key_secret=bench.gateway.connection.api_token,
    )
    found: Any = ControlPlane(config).ask(documents.TABLES, dw=bench.gateway.resource_uuid)
    return {edge["node"]["fullTableId"] for edge in found["getTables"]["edges"]}


def deletions(bench: Bench) -> list[list[str]]:
    """MCONs of each deleting call that arrived."""
    bodies = [json.loads(body) for body in bench.gateway.bodies if b"DropTables" in body]
    return [body["variables"]["m"] for body in bodies]


def on_record(bench: Bench) -> Deletion:
    (deletion,) = DELETIONS.read_all(bench.storage)
    return deletion


def test_rule_34_a_dropped_table_is_listed_after_two_complete_catalogs(bench: Bench) -> None:
    surveyed(bench, entries(6), entries(4), entries(4))
    found = told()
    assert found["catalogs"] == [hour(bench, 0).key, hour(bench, 1).key]
    assert found["dropped"] == GONE
    assert (found["vanished_databases"], found["not_pushed_from_here"]) == ({}, [])
    assert deletions(bench) == []
    words = run("dropped").output
    assert all(one in words for one in GONE)


@pytest.mark.parametrize(
    ("counts", "states"),
    [
        ((6, 6, 4), ("complete", "complete", "complete")),
        ((6, 6, 4, 4), ("complete", "complete", "partial", "complete")),
        ((6, 4, 4, 6), ("complete", "complete", "complete", "partial")),
    ],
    ids=["one lacks it", "the other that lacks it is partial", "a newer partial one has it"],
)
def test_a_table_is_not_dropped(
    bench: Bench, counts: tuple[int, ...], states: tuple[State, ...]
) -> None:
    surveyed(bench, *(entries(count) for count in counts), states=states)
    assert told()["dropped"] == []


@pytest.mark.parametrize("days", [0, 2])
def test_without_two_complete_catalogs_of_late_nothing_is_believed(bench: Bench, days: int) -> None:
    if days:
        bench.clock.advance(days=-days)
        surveyed(bench, entries(6), entries(4), entries(4))
    else:
        surveyed(bench, entries(6))
    result = run("dropped")
    assert result.exit_code == 1
    assert "Nothing is believed to be dropped" in result.output


def test_rule_34_nothing_is_deleted_unless_it_is_asked_for_and_confirmed(bench: Bench) -> None:
    surveyed(bench, entries(6), entries(4), entries(4))
    assert "this was a dry run" in run("delete").output
    assert run("delete", "--yes").exit_code == 0
    refused = run("delete", "--execute", says="n\n")
    assert refused.exit_code == 1
    assert deletions(bench) == []
    done = run("delete", "--execute", says="y\n")
    assert done.exit_code == 0, done.output
    assert shown(bench) == {f"sales:default.t{number:03d}" for number in range(4)}
    deletion = on_record(bench)
    assert [table.full_table_id for table in deletion.tables] == GONE
    assert (deletion.deleted, deletion.problem, deletion.still_shown) == (2, None, ())
    again = run("delete", "--execute", "--yes")
    assert "nothing is dropped" in again.output
    assert len(deletions(bench)) == 1


def test_a_vanished_database_is_listed_apart_and_deleted_only_by_name(bench: Bench) -> None:
    surveyed(bench, [*entries(6), *crm(2)], entries(5), entries(5))
    found = told()
    assert found["dropped"] == GONE[1:]
    assert found["vanished_databases"] == {"crm:default": CRM}
    assert "is a grant lost" in run("dropped").output
    run("delete", "--execute", "--yes")
    assert shown(bench) >= set(CRM)
    wrong = run("delete", "--execute", "--yes", "--database", "sales:default")
    assert (wrong.exit_code, "is no vanished database" in wrong.output) == (1, True)
    assert run("delete", "--execute", "--yes", "--database", "crm:default").exit_code == 0
    assert not shown(bench) & set(CRM)


def test_a_table_that_a_pattern_leaves_out_is_not_called_dropped_nor_deleted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    surveyed(bench, entries(6), entries(4), entries(4))
    monkeypatch.setenv("IOMETE_EXCLUDE", "*.Sales.T004,*.crm.*")
    found = told()
    assert (found["dropped"], found["left_out"]) == (GONE[1:], GONE[:1])
    assert (
        f"left out of the catalogs by IOMETE_EXCLUDE, so nobody knows whether they are there ({GONE[0]})"
        in run("dropped").output
    )
    assert run("delete", "--execute", "--yes", "--table", GONE[0]).exit_code == 1
    assert run("delete", "--execute", "--yes").exit_code == 0
    assert GONE[0] in shown(bench)
    assert GONE[1] not in shown(bench)


def test_one_table_may_be_named(bench: Bench) -> None:
    surveyed(bench, entries(6), entries(4), entries(4))
    wrong = run("delete", "--execute", "--yes", "--table", "sales:default.t000")
    assert (wrong.exit_code, "is no dropped table" in wrong.output) == (1, True)
    assert run("delete", "--execute", "--yes", "--table", GONE[0]).exit_code == 0
    assert GONE[0] not in shown(bench)
    assert GONE[1] in shown(bench)


def test_what_others_pushed_is_told_and_never_deleted(bench: Bench) -> None:
    surveyed(bench, entries(6), entries(6), entries(6))
    metadata = {"name": "theirs", "database": "sales", "schema": "default"}
    answer = requests.post(
        f"{bench.gateway.url}/ingest/v1/metadata",
        json={
            "event_type": "METADATA",
            "resource": {"uuid": bench.gateway.resource_uuid, "resource_type": "spark"},
            "events": [{"relational_asset": {"type": "TABLE", "metadata": metadata}}],
        },
        headers={"x-mcd-id": bench.gateway.key_id, "x-mcd-token": bench.gateway.key_secret},
        timeout=10,
    )
    assert answer.status_code == 202
    found = told()
    assert found["dropped"] == []
    assert found["not_pushed_from_here"] == ["sales:default.theirs"]
    assert run("delete", "--execute", "--yes", "--table", "sales:default.theirs").exit_code == 1
    assert deletions(bench) == []


def test_what_monte_carlo_collects_itself_is_not_ours_to_delete(bench: Bench) -> None:
    surveyed(bench, entries(6), entries(4), entries(4))
    config = ApiConfig(
        endpoint=f"{bench.gateway.url}{GRAPHQL_PATH}",
        key_id=bench.gateway.connection.api_id,
        key_secret=bench.gateway.connection.api_token,
    )
    data: Any = dict(ControlPlane(config).ask(documents.TABLES, dw=bench.gateway.resource_uuid))
    for edge in data["getTables"]["edges"]:
        edge["node"]["ingestType"] = None
    bench.gateway.rule(answers(200, json.dumps({"data": data})), path=GRAPHQL_PATH)
    found = told()
    assert (found["dropped"], found["not_pushed_from_here"]) == ([], [])


def test_rule_34_at_most_a_thousand_go_in_a_call(bench: Bench) -> None:
    bench.configure(max_assets=500)
    surveyed(bench, entries(1_002), entries(1), entries(1))
    done = run("delete", "--execute", "--yes")
    assert done.exit_code == 0, done.output
    assert [len(call) for call in deletions(bench)] == [1_000, 1]
    assert shown(bench) == {"sales:default.t000"}
    assert [deletion.deleted for deletion in DELETIONS.read_all(bench.storage)] == [1_000, 1]


def test_a_deletion_whose_answer_is_lost_is_looked_up_and_on_record(bench: Bench) -> None:
    surveyed(bench, entries(6), entries(4), entries(4))
    bench.gateway.rule(accept_then_cut, path=GRAPHQL_PATH, nth=2)
    done = run("delete", "--execute", "--yes")
    assert done.exit_code == 0, done.output
    assert "2 tables are gone" in done.output
    deletion = on_record(bench)
    assert (deletion.deleted, deletion.still_shown) == (None, ())
    assert "Nobody knows" in (deletion.problem or "")


def test_a_confirmed_deletion_is_on_record_also_when_nobody_can_look_afterwards(
    bench: Bench,
) -> None:
    surveyed(bench, entries(6), entries(4), entries(4))
    bench.gateway.rule(reset, path=GRAPHQL_PATH, nth=3)
    done = run("delete", "--execute", "--yes")
    assert done.exit_code == 1
    assert "asked to delete 2 of 2 tables and confirmed 2" in done.output
    deletion = on_record(bench)
    assert (deletion.deleted, deletion.problem, deletion.still_shown) == (2, None, None)


def test_calls_before_one_that_is_refused_are_on_record_and_told(bench: Bench) -> None:
    bench.configure(max_assets=500)
    surveyed(bench, entries(1_002), entries(1), entries(1))
    quota = answers(429, '{"errors": [{"message": "slow down"}]}')
    bench.gateway.rule(quota, path=GRAPHQL_PATH, nth=8)
    done = run("delete", "--execute", "--yes")
    assert done.exit_code == 1
    assert "asked to delete 1000 of 1001 tables and confirmed 1000" in done.output
    first, second = DELETIONS.read_all(bench.storage)
    assert (first.deleted, second.deleted) == (1_000, None)
    assert "quota of calls is spent" in (second.problem or "")


def test_tables_that_are_still_shown_are_told_and_on_record(bench: Bench) -> None:
    surveyed(bench, entries(6), entries(4), entries(4))
    bench.gateway.rule(reset, path=GRAPHQL_PATH, nth=2)
    done = run("delete", "--execute", "--yes")
    assert done.exit_code == 1
    assert "2 tables are still shown" in done.output
    assert on_record(bench).still_shown == tuple(GONE)


def test_a_refused_deletion_is_an_error_and_on_record(bench: Bench) -> None:
    surveyed(bench, entries(6), entries(4), entries(4))
    refusal = '{"data": null, "errors": [{"message": "not yours"}]}'
    bench.gateway.rule(answers(200, refusal), path=GRAPHQL_PATH, nth=2)
    done = run("delete", "--execute", "--yes")
    assert done.exit_code == 1
    assert "not yours" in done.output
    deletion = on_record(bench)
    assert (deletion.deleted, deletion.still_shown) == (None, None)
    assert "not yours" in (deletion.problem or "")


def test_a_deleted_table_that_comes_back_is_pushed_and_shown_again(bench: Bench) -> None:
    surveyed(bench, entries(6), entries(4), entries(4))
    run("delete", "--execute", "--yes")
    bench.push_one("catalog_snapshot", window=hour(bench, 0))
    bench.clock.advance(hours=1)
    bench.collect("catalog_snapshot", entries(6), window=hour(bench, 0))
    bench.push_one("catalog_snapshot", window=hour(bench, 0))
    assert shown(bench) >= set(GONE)
