"""What a survey costs beside the statements that it asks."""

# PyHive ships no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyhive import hive
from TCLIService.ttypes import TOperationState

from iomete_mc_assets.collectors.catalog_snapshot import CatalogConfig, survey
from iomete_mc_assets.warehouse import statements
from iomete_mc_assets.warehouse.connection import (
    ROWS_PER_FETCH,
    Lakehouse,
    LakehouseConfig,
)
from iomete_mc_assets.warehouse.rows import Row, Warehouse
from iomete_mc_assets.warehouse.transport import HttpTransport
from iomete_mc_assets_tests.bench.comparison import compare, seconds
from iomete_mc_assets_tests.bench.figures import Figure
from iomete_mc_assets_tests.bench.site import Site

ROUNDS = 9
FINISHED = TOperationState.FINISHED_STATE
CONFIG = CatalogConfig(catalogs=("spark_catalog",))


def survey_catalog(site: Site) -> Iterator[Figure]:
    """The sandbox's catalog, surveyed over a session that stands; sessions and imports do not count."""
    config = site.lakehouse.config
    with Lakehouse.connect(config) as warehouse:
        recorded = Recording(warehouse)
        entries = len(survey(recorded, CONFIG).entries)
        bare = BareSession(config)
        try:
            if (rows := bare.rows_of(recorded.statements)) != recorded.rows:
                msg = f"the bare statements answered {rows} rows, the survey read {recorded.rows}"
                raise RuntimeError(msg)
            comparison = compare(
                lambda: seconds(lambda: survey(warehouse, CONFIG)),
                lambda: seconds(lambda: bare.rows_of(recorded.statements)),
                rounds=ROUNDS,
            )
        finally:
            bare.close()
    yield from comparison.figures("survey", bare="statements", bar=2)
    yield Figure(name="survey_entries", value=entries, unit="entries")
    yield Figure(name="survey_statements", value=len(recorded.statements), unit="statements")


class Recording(Warehouse):
    """A ``Warehouse`` that remembers what was asked.

    Attributes:
        statements: in order.
        rows: how many all of them gave.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self.statements: list[str] = []
        self.rows = 0

    def use(self, catalog: str) -> None:
        self.statements.append(statements.use_catalog(catalog))
        self._warehouse.use(catalog)

    def ask(self, statement: str, *, deadline_s: float | None = None) -> Sequence[Row]:
        self.statements.append(statement)
        rows = self._warehouse.ask(statement, deadline_s=deadline_s)
        self.rows += len(rows)
        return rows

    def stream(self, statement: str, *, rows_per_fetch: int = 1_000) -> Iterator[Row]:
        self.statements.append(statement)
        for row in self._warehouse.stream(statement, rows_per_fetch=rows_per_fetch):
            self.rows += 1
            yield row


class BareSession:
    """PyHive as it comes, over the product's transport."""

    def __init__(
        self, config: LakehouseConfig, *, settings: Mapping[str, str] | None = None
    ) -> None:
        """Open a session, with the product's settings unless others are given."""
        chosen = config.settings if settings is None else settings
        transport = HttpTransport(
            config.address,
            user=config.user,
            token=config.token,
            verify_tls=True,
            ca_file=None,
            connect_timeout_s=config.connect_timeout_s,
            read_timeout_s=config.read_timeout_s,
        )
        self._session: Any = hive.connect(
            thrift_transport=transport,
            username=config.user,
            configuration={f"set:hiveconf:{name}": text for name, text in chosen.items()},
        )

    def close(self) -> None:
        self._session.close()

    def rows_of(self, statements: Sequence[str]) -> int:
        """Ask them one after the other, fetch everything, and count it."""
        rows = 0
        for statement in statements:
            cursor = self._session.cursor(arraysize=ROWS_PER_FETCH)
            # as the product asks: another of the server's threads would open the embedded metastore anew
            cursor.execute(statement, async_=True)
            while cursor.poll(get_progress_update=False).operationState != FINISHED:
                pass
            if cursor.description[0][0] != "Result":  # of USE: no rows, and PyHive trips over it
                rows += len(cursor.fetchall())
            cursor.close()
        return rows
