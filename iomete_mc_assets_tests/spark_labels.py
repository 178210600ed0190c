"""``python -m`` this: random statements over the sandbox's tables, labelled by Spark's analyzer, as JSON lines.

A process of its own, because Spark's Java lives in the process that starts it and does not leave it.
"""

# pyright: reportUnknownMemberType=false

import json
import os
import random
import sys
from pathlib import Path
from typing import cast

from pyspark.sql import SparkSession

from iomete_mc_assets.sandbox import spark as sandbox_spark
from iomete_mc_assets.sandbox.shop import written
from iomete_mc_assets.sandbox.shop_tables import build_shop
from iomete_mc_assets.sandbox.workload import build_workload
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.lineage_generator import PLAIN, Generator, Typed
from iomete_mc_assets_tests.spark_oracle import Oracle

HOUR = HourWindow.from_key("2026-11-21-05:00")
HOURS = 6


def main(seed: int, count: int, folder: Path) -> None:
    """Write ``tables.json`` and ``labels.jsonl``: the workload's statements first, then random ones."""
    spark = _session(folder)
    tables = _tables(spark)
    (folder / "tables.json").write_text(json.dumps(tables))
    targets = [
        name for name, columns in tables.items() if tuple(one for one, _ in columns) == PLAIN
    ]
    generator = Generator(tables, targets, random.Random(seed))  # noqa: S311 - content, not secrets
    workload = dict.fromkeys(one.text for one in build_workload(build_shop(HOUR, hours=HOURS)))
    oracle = Oracle(spark)
    with (folder / "labels.jsonl").open("w") as out:
        for origin, text in (
            *(("workload", text) for text in workload),
            *(("random", generator.statement()) for _ in range(count)),
        ):
            label = oracle.label(text)
            said = {
                "origin": origin,
                "sql": text,
                "tables": sorted(label.table_edges),
                "columns": sorted(label.column_edges),
                "indirect": sorted(label.indirect_column_edges),
                "reads": sorted(label.reads),
                "error": label.error,
            }
            out.write(json.dumps(said) + "\n")
    spark.stop()


def _session(folder: Path) -> SparkSession:
    """A Spark with the sandbox's catalogs, empty and in memory as far as it goes."""
    prepared = sandbox_spark.prepare(os.environ)
    os.environ["JAVA_HOME"] = str(prepared.java.home)
    iceberg = "org.apache.iceberg.spark"
    settings: dict[str, bool | float | int | str | None] = {
        "spark.ui.enabled": "false",
        "spark.log.level": "OFF",
        "spark.driver.extraClassPath": str(prepared.iceberg_jar),
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={folder}",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.catalogImplementation": "hive",
        "spark.sql.extensions": f"{iceberg}.extensions.IcebergSparkSessionExtensions",
        "spark.sql.catalog.spark_catalog": f"{iceberg}.SparkSessionCatalog",
        "spark.sql.catalog.spark_catalog.type": "hive",
        "spark.sql.catalog.lake": f"{iceberg}.SparkCatalog",
        "spark.sql.catalog.lake.type": "hadoop",
        "spark.sql.catalog.lake.warehouse": str(folder / "lake"),
        "spark.hadoop.iceberg.engine.hive.lock-enabled": "false",
        "spark.hadoop.javax.jdo.option.ConnectionURL": "jdbc:derby:memory:labels;create=true",
        "spark.hadoop.datanucleus.schema.autoCreateAll": "true",
        "spark.hadoop.hive.metastore.schema.verification": "false",
    }
    builder = cast("SparkSession.Builder", SparkSession.builder)
    return builder.master("local[1]").config(map=settings).getOrCreate()


def _tables(spark: SparkSession) -> dict[str, list[Typed]]:
    """Make the shop's tables and views, empty; their columns and types by quoted name."""
    shop = build_shop(HOUR, hours=HOURS)
    made: dict[str, list[Typed]] = {}
    for table in shop.tables:
        name = written(table.table)
        for depth in range(1, len(table.table.namespace) + 1):
            parts = (table.table.catalog, *table.table.namespace[:depth])
            spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {'.'.join(f'`{part}`' for part in parts)}")
        spark.sql(table.operations[0].statement.replace("<table>", name))
        made[name] = []
    spark.sql("CREATE DATABASE IF NOT EXISTS scratch")
    for statement in shop.statements:
        if statement.startswith("CREATE"):
            spark.sql(statement)
            made[statement.split()[2]] = []
    for name in made:
        schema = spark.table(name).schema
        made[name] = [(one.name, _spelled(one.dataType.simpleString())) for one in schema]
    return made


def _spelled(kind: str) -> str:
    """As the catalog snapshot spells types, nested names in their own case."""
    for word in ("array", "map", "struct"):
        kind = kind.replace(f"{word}<", f"{word.upper()}<")
    return kind if "<" in kind else kind.upper()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
