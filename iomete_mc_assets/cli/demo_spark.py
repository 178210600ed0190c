"""The newest hour's manifests against Spark itself: every table it lists, and its own row counts as of the hour's end.

On purpose it asks through PyHive's own transport, in SQL of its own.
"""

# PyHive ships no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, cast
from urllib.parse import urlsplit

from pyhive import hive
from pyhive.exc import OperationalError

from iomete_mc_assets.cli.demo_manifests import Json, Manifest, shown_name
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.windows import HourWindow

CATALOG = "spark_catalog"
OPTED_OUT = ("iomete.governance.index", "false")
"""The table property with which IOMETE leaves a table out of its catalog."""
SYSTEM_DATABASES = ("iomete_system_db", "information_schema", "global_temp")
"""Those of IOMETE's that the shop may have; they are no business of its users."""


class Spark:
    """A session of our own. Use as a context manager through ``closing``."""

    def __init__(self, lakehouse: RunningLakehouse) -> None:
        address = urlsplit(lakehouse.url)
        self._session = hive.connect(
            address.hostname,
            address.port,
            scheme="http",
            username=lakehouse.user,
            password=lakehouse.token,
        )

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows."""
        with closing(self._session.cursor()) as cursor:
            cursor.execute(statement)
            return cast("list[tuple[Any, ...]]", cursor.fetchall())

    def tables(self) -> Iterator[tuple[str, str]]:
        """Database and name of every table and view that Spark lists."""
        for (database,) in self.ask(f"SHOW NAMESPACES IN {CATALOG}"):
            for _, table, temporary in self.ask(f"SHOW TABLES IN {CATALOG}.{database}"):
                if not temporary:
                    yield str(database).strip("`"), str(table)

    def is_opted_out(self, database: str, table: str) -> bool:
        """Whether its owner wants it in no catalog."""
        return OPTED_OUT in self.ask(f"SHOW TBLPROPERTIES `{database}`.`{table}`")

    def rows(self, database: str, table: str, window: HourWindow) -> int | None:
        """Rows just before the hour's end: the hour is half-open, AS OF includes its instant.

        None where Spark cannot say.
        """
        name = f"`{database}`.`{table}`"
        as_of = f"TIMESTAMP AS OF timestamp_millis({window.end_ms - 1})"
        try:
            return int(self.ask(f"SELECT count(*) FROM {name} {as_of}")[0][0])
        except OperationalError as error:
            # Spark cannot travel through a table without any snapshot; such a table has no rows
            if "Cannot find a snapshot older than" not in str(error):
                raise
        return 0 if self.ask(f"SELECT count(*) FROM {name}.snapshots") == [(0,)] else None


def unaccounted(spark: Spark, catalog: Manifest) -> tuple[int, list[str]]:
    """How many tables Spark lists, and those that the catalog's manifest passes over in silence.

    What is missing must be an omission, of a system database, or opted out; the latter two are counted.
    """
    had = {shown_name(record) for record in catalog.records}
    listed = {".".join((CATALOG, *name)): name for name in spark.tables()}
    missing = {shown: listed[shown] for shown in sorted(listed.keys() - had - catalog.omitted)}
    system = {shown for shown, (database, _) in missing.items() if database in SYSTEM_DATABASES}
    opted_out = {
        shown
        for shown, name in missing.items()
        if shown not in system and spark.is_opted_out(*name)
    }
    excluded = {
        "excluded: system database": {missing[shown][0] for shown in system},
        "excluded: opted out": opted_out,
    }
    differences = [
        f"{shown}: Spark lists it, the manifest neither has nor omits it"
        for shown in missing
        if shown not in system | opted_out
    ]
    differences += [
        f"{shown}: in the manifest, and Spark does not list it"
        for shown in sorted(had - listed.keys())
    ]
    for what, names in excluded.items():
        counted = catalog.header["counts"].get(what, 0)
        if counted != len(names):
            differences.append(f"{what}: the manifest counts {counted}, Spark has {sorted(names)}")
    return len(listed), differences


def row_counts(
    spark: Spark, catalog: Manifest, observations: Manifest
) -> tuple[int, int, list[str]]:
    """How many Iceberg tables were counted, the rows in them, and where Spark counts otherwise.

    Every Iceberg table of the catalog must have a row count or an omission.
    """
    observed = {shown_name(record): record for record in observations.records}
    tables = {shown_name(record): record for record in _iceberg(catalog.records)} | observed
    compared, rows = 0, 0
    differences: list[str] = []
    for shown, record in sorted(tables.items()):
        told = _row_count(observed.get(shown))
        if told is None:
            if shown not in observations.omitted:
                differences.append(f"{shown}: neither a row count nor an omission")
            continue
        table = record["table"]
        counted = spark.rows(table["namespace"][0], table["table"], observations.window)
        compared += 1
        rows += told
        if counted != told:
            differences.append(f"{shown}: the manifest says {told}, Spark counts {counted}")
    return compared, rows, differences


def _iceberg(records: Sequence[Json]) -> Iterator[Json]:
    for record in records:
        if record["kind"] == "table" and record["format"] == "iceberg":
            yield record


def _row_count(record: Json | None) -> int | None:
    """Of the hour itself: a carried observation is of an earlier one."""
    if record is None or record["carried_from"] is not None:
        return None
    return record["row_count"]
