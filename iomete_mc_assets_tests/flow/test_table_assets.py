"""The lakehouse's tables in Dagster's graph: what the index holds, what loading shows, what runs report."""

# Dagster types what it runs in part only.
# pyright: reportUnknownMemberType=false

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from s3fs import S3FileSystem  # pyright: ignore[reportMissingTypeStubs] - has none

from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.manifests.table_index import PATH, TableIndex, read_index
from iomete_mc_assets.records import Column, EdgeKind, LineageEdge, Observation, TableEntry, TableId
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.collecting import HOUR, Collecting
from iomete_mc_assets_tests.object_store import ObjectStore

AT = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
ORDERS = TableEntry(
    table=TableId("spark_catalog", ("shop",), "Orders"),
    kind="table",
    format="iceberg",
    comment="What was sold.",
    owner="ann",
    columns=(
        Column(name="id", type="BIGINT", required=True, comment="Of the order."),
        Column(name="Total", type="DECIMAL(10,2)"),
    ),
)
RECENT = TableEntry(
    table=TableId("spark_catalog", ("shop",), "recent"),
    kind="view",
    format="other",
    columns=(Column(name="id", type="BIGINT"),),
)
ODD = replace(RECENT, table=TableId("lake", ("a", "b-c"), "x/y z"))
SEEN = Observation(table=ORDERS.table, row_count=17, byte_count=900, last_data_change=AT)


def shown_by(collecting: Collecting) -> dict[dg.AssetKey, dg.AssetSpec]:
    """The external assets that a fresh load of the definitions has."""
    loaded = build_definitions(environment=collecting.environment)
    return {one.key: one for one in loaded.assets or () if isinstance(one, dg.AssetSpec)}


def observed(collecting: Collecting, entry: TableEntry) -> list[dict[str, object]]:
    """What runs reported of a table, oldest first."""
    records = collecting.instance.fetch_observations(key(entry), limit=10, ascending=True).records
    return [
        {name: value.value for name, value in one.asset_observation.metadata.items()}
        for one in records
        if one.asset_observation is not None
    ]


def key(entry: TableEntry) -> dg.AssetKey:
    return dg.AssetKey([*entry.table.shown.split(".")])


@pytest.fixture
def collecting(tmp_path: Path, instance: dg.DagsterInstance) -> Collecting:
    return Collecting(tmp_path, instance)


def test_the_newest_catalogs_tables_are_assets_with_their_columns(collecting: Collecting) -> None:
    assert not shown_by(collecting)
    collecting.collect("catalog_snapshot", [ORDERS, RECENT])
    shown = shown_by(collecting)
    assert set(shown) == {key(ORDERS), key(RECENT)}
    spec = shown[key(ORDERS)]
    assert spec.description == "What was sold."
    assert spec.group_name == "spark_catalog_shop"
    assert spec.kinds == {"iceberg", "table"}
    assert shown[key(RECENT)].kinds == {"view"}
    assert spec.metadata["owner at the lakehouse"] == "ann"
    schema = spec.metadata["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    assert [(c.name, c.type, c.description, c.constraints.nullable) for c in schema.columns] == [
        ("id", "BIGINT", "Of the order.", False),
        ("Total", "DECIMAL(10,2)", None, True),
    ]


def test_a_table_that_is_gone_is_an_asset_no_longer(collecting: Collecting) -> None:
    collecting.collect("catalog_snapshot", [ORDERS, RECENT])
    collecting.collect("catalog_snapshot", [RECENT], HOUR.next)
    assert set(shown_by(collecting)) == {key(RECENT)}


def test_an_older_hour_changes_nothing(collecting: Collecting) -> None:
    collecting.collect("catalog_snapshot", [ORDERS])
    collecting.collect("observations", [SEEN])
    before = collecting.storage.read(PATH)
    collecting.collect("catalog_snapshot", [RECENT], HOUR.previous)
    collecting.collect("observations", [replace(SEEN, row_count=1)], HOUR.previous)
    assert collecting.storage.read(PATH) == before
    assert len(observed(collecting, ORDERS)) == 1


def test_figures_are_observed_when_they_change_and_only_then(collecting: Collecting) -> None:
    collecting.collect("catalog_snapshot", [ORDERS])
    for hours, rows in enumerate((17, 17, None, 18)):
        window = HOUR if not hours else HourWindow.from_key(f"2026-11-21-{9 + hours:02}:00")
        collecting.collect("observations", [replace(SEEN, row_count=rows)], window)
    said = observed(collecting, ORDERS)
    assert [(one["dagster/row_count"], one["as of the hour"]) for one in said] == [
        (17, "2026-11-21-09:00"),
        (18, "2026-11-21-12:00"),
    ]
    assert {one["dagster/last_updated_timestamp"] for one in said} == {AT.timestamp()}


def test_what_was_carried_from_an_earlier_hour_is_not_news(collecting: Collecting) -> None:
    collecting.collect("catalog_snapshot", [ORDERS])
    collecting.collect("observations", [replace(SEEN, carried_from="m")])
    assert not observed(collecting, ORDERS)


def test_figures_stay_with_a_table_when_the_catalog_is_listed_again(collecting: Collecting) -> None:
    collecting.collect("catalog_snapshot", [ORDERS])
    collecting.collect("observations", [SEEN])
    collecting.collect("catalog_snapshot", [ORDERS, RECENT], HOUR.next)
    collecting.collect("observations", [SEEN], HOUR.next)
    assert len(observed(collecting, ORDERS)) == 1


def test_an_hours_observations_are_read_once_for_all_who_show_them(
    object_store: ObjectStore, s3_root: str, instance: dg.DagsterInstance
) -> None:
    collecting = Collecting(s3_root, instance)
    collecting.collect("catalog_snapshot", [ORDERS])
    del object_store.read[:]
    collecting.collect("observations", [SEEN])
    read = [path for path in object_store.read if re.search(r"/observations/.*/part-", path)]
    assert len(read) == 1
    assert len(observed(collecting, ORDERS)) == 1


def test_names_of_any_kind_become_keys(collecting: Collecting) -> None:
    collecting.collect("catalog_snapshot", [ODD])
    ((odd, spec),) = shown_by(collecting).items()
    assert odd.path == ["lake", "a", "b-c", "x_y z"]
    assert spec.group_name == "lake_a_b_c"
    assert spec.metadata["dagster/table_name"] == "lake.a.b-c.x/y z"


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"IOMETE_MC_TABLE_ASSETS": "off"}, set[TableId]()),
        ({"IOMETE_MC_TABLE_ASSETS": "*.SHOP.o*,lake.*"}, {ORDERS.table, ODD.table}),
        ({"IOMETE_MC_TABLE_ASSETS_LIMIT": "2"}, {ODD.table, ORDERS.table}),
    ],
    ids=["off", "globs", "limit"],
)
def test_a_setting_says_which_tables_are_assets(
    tmp_path: Path,
    instance: dg.DagsterInstance,
    setting: dict[str, str],
    expected: set[TableId],
) -> None:
    collecting = Collecting(tmp_path, instance, **setting)
    collecting.collect("catalog_snapshot", [RECENT, ORDERS, ODD])
    index = read_index(collecting.storage)
    assert {one.table for one in index.tables} == expected if index else not expected
    assert len(shown_by(collecting)) == len(expected)


def test_another_choice_takes_effect_with_the_next_catalog_and_off_with_the_next_load(
    collecting: Collecting,
) -> None:
    collecting.collect("catalog_snapshot", [ORDERS, RECENT])
    collecting.environment["IOMETE_MC_TABLE_ASSETS"] = "*.orders"
    assert set(shown_by(collecting)) == {key(ORDERS), key(RECENT)}
    collecting.collect("catalog_snapshot", [ORDERS, RECENT], HOUR.next)
    assert set(shown_by(collecting)) == {key(ORDERS)}
    collecting.environment["IOMETE_MC_TABLE_ASSETS"] = "off"
    assert not shown_by(collecting)


def test_a_damaged_index_costs_neither_the_load_nor_the_hour(
    collecting: Collecting, caplog: pytest.LogCaptureFixture
) -> None:
    collecting.collect("catalog_snapshot", [ORDERS])
    collecting.storage.write(PATH, b"{")
    with caplog.at_level("INFO"):
        assert not shown_by(collecting)
        collecting.collect("observations", [SEEN])
    assert "No tables are shown as assets" in caplog.text
    assert "tables shown in Dagster stay as they were" in caplog.text


def fed(
    source: TableEntry, target: TableEntry, columns: str = "", at: datetime = AT, **parts: EdgeKind
) -> LineageEdge:
    """An edge of two tables, or ``from>to`` of two columns."""
    first, _, second = columns.partition(">")
    return LineageEdge(
        source=source.table,
        target=target.table,
        kind=parts.get("kind", "direct" if columns else "table"),
        source_column=first or None,
        target_column=second or None,
        found_in="sql",
        times_seen=1,
        last_seen=at,
    )


def index_of(collecting: Collecting) -> TableIndex:
    index = read_index(collecting.storage)
    assert index is not None
    return index


def upstream(specs: dict[dg.AssetKey, dg.AssetSpec], entry: TableEntry) -> set[dg.AssetKey]:
    return {dep.asset_key for dep in specs[key(entry)].deps}


def columns_of(specs: dict[dg.AssetKey, dg.AssetSpec], entry: TableEntry) -> dict[str, list[str]]:
    lineage = specs[key(entry)].metadata.get("dagster/column_lineage")
    if lineage is None:
        return {}
    assert isinstance(lineage, dg.TableColumnLineage)
    return {
        column: [f"{one.asset_key.to_user_string()}.{one.column_name}" for one in deps]
        for column, deps in lineage.deps_by_column.items()
    }


def test_lineage_of_all_hours_joins_the_tables_and_their_columns(collecting: Collecting) -> None:
    collecting.collect("catalog_snapshot", [ORDERS, RECENT, ODD])
    gone = replace(RECENT, table=TableId("spark_catalog", ("shop",), "gone"))
    lower = replace(ORDERS, table=TableId("spark_catalog", ("shop",), "orders"))
    collecting.collect_range(
        "lineage",
        {
            HOUR: [fed(lower, RECENT), fed(lower, RECENT, "id>id")],
            HOUR.next: [
                fed(ORDERS, RECENT, "Total>id"),
                fed(ORDERS, RECENT, "Total>other", kind="indirect"),
                fed(gone, RECENT),
                fed(RECENT, gone, "id>id"),
            ],
        },
    )
    collecting.collect("lineage", [fed(ODD, ORDERS)], HOUR.previous)
    shown = shown_by(collecting)
    assert upstream(shown, RECENT) == {key(ORDERS)}
    assert columns_of(shown, RECENT) == {
        "id": ["spark_catalog/shop/Orders.Total", "spark_catalog/shop/Orders.id"]
    }
    odd_key = dg.AssetKey(["lake", "a", "b-c", "x_y z"])
    assert upstream(shown, ORDERS) == {odd_key}
    assert columns_of(shown, ORDERS) == {}
    loaded = build_definitions(environment=collecting.environment).get_repository_def().asset_graph
    assert loaded.get(key(RECENT)).parent_keys == {key(ORDERS)}


def test_edges_stay_with_tables_that_are_listed_again_and_go_with_those_that_are_not(
    collecting: Collecting,
) -> None:
    collecting.collect("catalog_snapshot", [ORDERS, RECENT])
    collecting.collect("lineage", [fed(ORDERS, RECENT, "id>id")])
    collecting.collect("catalog_snapshot", [ORDERS, RECENT, ODD], HOUR.next)
    assert upstream(shown_by(collecting), RECENT) == {key(ORDERS)}
    collecting.collect("catalog_snapshot", [RECENT, ODD], HOUR.next.next)
    shown = shown_by(collecting)
    assert (upstream(shown, RECENT), columns_of(shown, RECENT)) == (set(), {})


def test_a_lost_index_learns_the_edges_of_the_newest_48_hours_again(collecting: Collecting) -> None:
    collecting.collect("catalog_snapshot", [ORDERS, RECENT, ODD])
    hours = [HourWindow.holding(HOUR.start - timedelta(hours=n)) for n in range(49)]
    said = {hours[-1]: [fed(RECENT, ODD)], hours[-2]: [fed(ORDERS, ODD)], HOUR: [fed(ODD, RECENT)]}
    collecting.collect_range("lineage", {hour: said.get(hour, []) for hour in hours})
    assert len(index_of(collecting).feeds) == 3
    collecting.storage.remove(PATH)
    collecting.collect("observations", [SEEN])
    collecting.collect("catalog_snapshot", [ORDERS, RECENT, ODD], HOUR.next)
    feeds = index_of(collecting).feeds
    assert {(one.source, one.target) for one in feeds} == {
        (ORDERS.table, ODD.table),
        (ODD.table, RECENT.table),
    }


def test_a_damaged_hour_of_lineage_costs_a_new_index_the_edges_of_that_hour(
    collecting: Collecting, caplog: pytest.LogCaptureFixture
) -> None:
    said = {HOUR: [fed(ORDERS, RECENT)], HOUR.next: [fed(RECENT, ODD)]}
    collecting.collect_range("lineage", said)
    header = collecting.store.current("lineage", HOUR.next)
    assert header is not None
    folder = collecting.store.folder("lineage", HOUR.next, header.manifest_id)
    collecting.storage.write(f"{folder}/{header.parts[0].file}", b"{")
    with caplog.at_level("WARNING"):
        collecting.collect("catalog_snapshot", [ORDERS, RECENT, ODD], HOUR.next)
    assert [one.target for one in index_of(collecting).feeds] == [RECENT.table]
    assert f"lack the edges of {HOUR.next.key}: " in caplog.text


def test_edges_that_were_not_seen_for_a_month_are_shown_no_more(collecting: Collecting) -> None:
    collecting.collect("catalog_snapshot", [ORDERS, RECENT, ODD])
    old, edge = AT - timedelta(days=31), timedelta(days=30)
    first = [fed(ORDERS, RECENT, "Total>id", old), fed(RECENT, ODD, at=old)]
    collecting.collect("lineage", first, HOUR.previous)
    assert len(index_of(collecting).feeds) == 2
    collecting.collect("lineage", [fed(ORDERS, RECENT, "id>id", AT - edge)])
    collecting.collect("lineage", [fed(ORDERS, RECENT, at=AT)], HOUR.next)
    assert columns_of(shown_by(collecting), RECENT) == {"id": ["spark_catalog/shop/Orders.id"]}
    assert [one.target for one in index_of(collecting).feeds] == [RECENT.table]


def test_tables_that_feed_each_other_are_no_circle_in_the_graph(collecting: Collecting) -> None:
    collecting.collect("catalog_snapshot", [ORDERS, RECENT, ODD])
    circle = [fed(ORDERS, RECENT), fed(RECENT, ODD, "id>id"), fed(ODD, ORDERS, "id>id")]
    collecting.collect("lineage", circle)
    shown = shown_by(collecting)
    assert sum(len([*one.deps]) for one in shown.values()) == 2
    assert columns_of(shown, ORDERS) == {"id": ["lake/a/b-c/x_y z.id"]}
    assert build_definitions(environment=collecting.environment).get_repository_def()


def test_an_index_of_the_version_before_lineage_is_read(collecting: Collecting) -> None:
    collecting.collect("catalog_snapshot", [ORDERS, RECENT])
    former = json.loads(collecting.storage.read(PATH))
    del former["feeds"]
    collecting.storage.write(PATH, json.dumps({**former, "format": 1}).encode())
    assert set(shown_by(collecting)) == {key(ORDERS), key(RECENT)}
    collecting.collect("lineage", [fed(ORDERS, RECENT)])
    assert json.loads(collecting.storage.read(PATH))["format"] == 2
    assert upstream(shown_by(collecting), RECENT) == {key(ORDERS)}


@pytest.fixture
def silent_endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An object store that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        for name, text in {
            "AWS_ENDPOINT_URL_S3": endpoint,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
        }.items():
            monkeypatch.setenv(name, text)
        S3FileSystem.clear_instance_cache()  # pyright: ignore[reportUnknownMemberType] - no types
        yield endpoint
        S3FileSystem.clear_instance_cache()  # pyright: ignore[reportUnknownMemberType] - no types


def test_a_store_that_does_not_answer_costs_two_seconds_and_no_load(
    silent_endpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        loaded = build_definitions(environment={"IOMETE_MC_MANIFESTS": "s3://manifests/lake"})
    assert loaded.get_repository_def().asset_graph.external_asset_keys == set()
    assert "the index of s3://manifests/lake: no answer in 2 s" in caplog.text
