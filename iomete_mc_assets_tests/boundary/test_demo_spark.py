"""The demo's proof against Spark: the real lakehouse, and manifests that tell the truth or do not."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import pytest

from iomete_mc_assets.cli.demo_manifests import Json, Manifest
from iomete_mc_assets.cli.demo_spark import Spark, row_counts, unaccounted
from iomete_mc_assets.records import TableId
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.sandbox.seed_log import SeedLog
from iomete_mc_assets.windows import HourWindow

COUNTED = ("orders", "inbox", "web_events", "sessions", "customers", "payments")
"""Loaded hourly, never written, with row-level deletes, emptied, loaded at an hour's last and at its first instant."""


@pytest.fixture(scope="module")
def spark(sandbox: RunningLakehouse) -> Iterator[Spark]:
    with closing(Spark(sandbox)) as session:
        yield session


def manifest(
    records: Sequence[Json], window: HourWindow, *, omitted: Sequence[str] = ()
) -> Manifest:
    header: Json = {
        "omissions": {"sample": [{"scope": scope} for scope in omitted]},
        "counts": {"excluded: opted out": 1, "excluded: system database": 1},
    }
    return Manifest(
        flow="observations",
        window=window,
        manifest_id="m001",
        header=header,
        records=tuple(records),
        speaks=True,
        sendings=(),
    )


def record(database: str, table: str, **more: object) -> Json:
    named = {"catalog": "spark_catalog", "namespace": [database], "table": table}
    return {"table": named, "kind": "table", "format": "iceberg", "carried_from": None, **more}


@pytest.fixture
def honest(shop_log: SeedLog, shop_hour: HourWindow) -> Manifest:
    """Rows of the hour's end, as the seed's log has them."""
    ids = [TableId("spark_catalog", ("raw",), table) for table in COUNTED]
    rows = {table.table: shop_log.rows_as_of(table, shop_hour.end) for table in ids}
    assert sorted(rows.values(), key=str) != [0] * len(rows)
    return manifest(
        [record("raw", name, row_count=count) for name, count in rows.items()], shop_hour
    )


def test_true_row_counts_agree_with_sparks_own_as_of_the_hours_end(
    spark: Spark, honest: Manifest
) -> None:
    rows = sum(one["row_count"] for one in honest.records)
    assert row_counts(spark, honest, honest) == (len(COUNTED), rows, [])


def test_a_row_too_many_is_seen_and_a_count_of_another_hour(
    spark: Spark, honest: Manifest, shop_log: SeedLog, shop_hour: HourWindow
) -> None:
    first, *others = honest.records
    lying = replace(honest, records=({**first, "row_count": first["row_count"] + 1}, *others))
    _, _, (difference,) = row_counts(spark, honest, lying)
    assert difference.startswith(
        f"spark_catalog.raw.orders: the manifest says {first['row_count'] + 1}"
    )
    earlier = replace(honest, window=honest.window.previous)
    ids = [TableId("spark_catalog", ("raw",), table) for table in sorted(COUNTED)]
    changed = [
        table.shown
        for table in ids
        if shop_log.rows_as_of(table, shop_hour.start) != shop_log.rows_as_of(table, shop_hour.end)
    ]
    assert "spark_catalog.raw.orders" in changed
    _, _, differences = row_counts(spark, earlier, earlier)
    assert [difference.split(":")[0] for difference in sorted(differences)] == changed


def test_a_table_without_a_row_count_must_be_omitted(spark: Spark, honest: Manifest) -> None:
    first, second, *others = honest.records
    silent = replace(honest, records=({**first, "row_count": None}, *others))
    compared, _, differences = row_counts(spark, honest, silent)
    assert compared == len(others)
    assert differences == [
        f"spark_catalog.raw.{one['table']['table']}: neither a row count nor an omission"
        for one in sorted((first, second), key=lambda one: one["table"]["table"])
    ]
    names = [f"spark_catalog.raw.{one['table']['table']}" for one in (first, second)]
    omitting = manifest(silent.records, honest.window, omitted=names)
    assert row_counts(spark, honest, omitting)[2] == []


def test_every_table_that_spark_lists_is_in_the_catalog_or_left_out_for_a_reason(
    spark: Spark, shop_hour: HourWindow
) -> None:
    listed = sorted(spark.tables())
    assert ("staging", "hidden") in listed
    kept = [name for name in listed if name[0] != "iomete_system_db" and name[1] != "hidden"]
    catalog = manifest([record(*name) for name in kept], shop_hour)
    assert unaccounted(spark, catalog) == (len(listed), [])
    without = replace(catalog, records=catalog.records[1:])
    passed_over = ".".join(("spark_catalog", *kept[0]))
    assert unaccounted(spark, without)[1] == [
        f"{passed_over}: Spark lists it, the manifest neither has nor omits it"
    ]
    omitting = manifest(without.records, shop_hour, omitted=[passed_over])
    assert unaccounted(spark, omitting)[1] == []
    invented = replace(catalog, records=(*catalog.records, record("raw", "ghost")))
    assert unaccounted(spark, invented)[1] == [
        "spark_catalog.raw.ghost: in the manifest, and Spark does not list it"
    ]
    uncounted = replace(catalog, header={**catalog.header, "counts": {}})
    assert len(unaccounted(spark, uncounted)[1]) == 2
