"""A new customer's way, command by command, over any lakehouse and any Monte Carlo; a second walk changes nothing.

Commands are those of the product. The catalog is surveyed in the lakehouse, once for each of three hours.
"""

import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from click.testing import CliRunner, Result

from iomete_mc_assets import clock
from iomete_mc_assets.cli.main import main
from iomete_mc_assets.collectors.catalog_snapshot import CatalogConfig, survey
from iomete_mc_assets.defs.resources import LakehouseResource
from iomete_mc_assets.manifests.model import Collector, Draft, Flow, Verdict
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.records import Observation, QueryRecord, Record, TableEntry, TableId
from iomete_mc_assets.warehouse import statements
from iomete_mc_assets.warehouse.connection import Lakehouse
from iomete_mc_assets.windows import HourWindow

CATALOG = "spark_catalog"
TABLES = ("customers", "orders", "returns")
DROPPED = "returns"
NOT_YET = 3
Patience = Callable[[], bool]
"""Waits a little; False when nobody is to wait any longer."""


@dataclass
class Customer:
    """One installation.

    Attributes:
        environment: its variables; what ``setup`` prints is added.
        patience: between questions for what Monte Carlo does not show yet.
        database: of the lakehouse, this customer's own.
    """

    environment: dict[str, str]
    patience: Patience
    database: str = field(default_factory=lambda: f"iomete_mc_walk_{secrets.token_hex(4)}")
    newest: HourWindow = field(default_factory=lambda: HourWindow.newest_closed(clock.now()))

    @property
    def lakehouse(self) -> LakehouseResource:
        return LakehouseResource(options=self.environment)

    def called(self, *words: str, says: str | None = None) -> Result:
        return CliRunner().invoke(main, words, env=self.environment, input=says)

    def done(self, *words: str, says: str | None = None) -> str:
        result = self.called(*words, says=says)
        assert result.exit_code == 0, result.output
        return result.stdout

    def until(self, seen: Callable[[Result], bool], *words: str) -> None:
        """Ask until it is seen, as long as patience lasts."""
        result = self.called(*words)
        while not seen(result) and self.patience():
            result = self.called(*words)
        assert seen(result), result.output

    # The steps.

    def doctor_is_red(self) -> None:
        """Before set-up: no warehouse, no ingestion key."""
        result = self.called("doctor")
        assert result.exit_code == 1, result.output
        assert "MCD_RESOURCE_UUID is not set" in result.output

    def doctor_is_green(self) -> None:
        said = self.done("doctor")
        assert "nothing to mend" in said
        assert "may write to it" in said

    def set_up(self) -> None:
        """With the ingestion key renewed where only Monte Carlo knows an earlier walk's."""
        result = self.called("setup", "--name", "iomete-mc walk", "--yes")
        assert result.exit_code == 0, result.output
        lost = re.search(r"ingestion keys for it exist \((\w+)", result.stderr)
        if lost:
            words = ("setup", "--name", "iomete-mc walk", "--renew-key", lost[1], "--yes")
            result = self.called(*words)
            assert result.exit_code == 0, result.output
        self.environment |= dict(re.findall(r"^export (\w+)=(\S+)$", result.stdout, re.MULTILINE))

    def make_tables(self, warehouse: Lakehouse) -> None:
        warehouse.ask(f"CREATE DATABASE {self.quoted()}")
        for number, name in enumerate(TABLES):
            warehouse.ask(
                f"CREATE TABLE {self.quoted(name)} (id BIGINT, note STRING) USING iceberg"
            )
            rows = ", ".join(f"({row}, 'n')" for row in range(number + 1))
            warehouse.ask(f"INSERT INTO {self.quoted(name)} VALUES {rows}")

    def quoted(self, *name: str) -> str:
        return statements.quoted(CATALOG, self.database, *name)

    def table(self, name: str) -> TableId:
        return TableId(CATALOG, (self.database,), name)

    def shown_as(self, name: str) -> str:
        """A table's full id at Monte Carlo."""
        return Naming.read(self.environment).of(self.table(name)).key

    def collect(self, flow: Flow, window: HourWindow, records: Iterable[Record]) -> None:
        """Write an hour as collected five minutes after its end."""
        draft = Draft(
            flow=flow,
            window=window,
            collected_at=window.end + timedelta(minutes=5),
            collector=Collector(name=flow, version="walk"),
            records=list(records),
            verdict=lambda: Verdict(state="complete"),
        )
        store = ManifestStore.open(
            self.environment["IOMETE_MC_MANIFESTS"], source=self.lakehouse.source()
        )
        store.write(draft, manifest_id=secrets.token_hex(8))

    def collect_catalog(self, warehouse: Lakehouse, window: HourWindow) -> None:
        """What the lakehouse lists of this customer's database, and of no other."""
        listed = warehouse.ask(statements.show_namespaces(CATALOG))
        others = [str(row["namespace"]) for row in listed if row["namespace"] != self.database]
        config = CatalogConfig(
            catalogs=(CATALOG,), exclude=tuple(f"{CATALOG}.{name}.*" for name in others)
        )
        entries = [one for one in survey(warehouse, config).entries if self._is_ours(one)]
        self.collect("catalog_snapshot", window, entries)

    def _is_ours(self, entry: TableEntry) -> bool:
        return entry.table.namespace == (self.database,)

    def collect_rest(self, warehouse: Lakehouse, window: HourWindow) -> None:
        """Rows as Spark counts them, and a query of the hour."""
        counted = {
            name: warehouse.ask(f"SELECT count(*) AS rows FROM {self.quoted(name)}")
            for name in TABLES
        }
        self.collect(
            "observations",
            window,
            [
                Observation(table=self.table(name), row_count=int(str(rows[0]["rows"])))
                for name, rows in counted.items()
            ],
        )
        query = QueryRecord(
            query_id=f"{self.database}-1",
            text=f"SELECT count(*) FROM {self.database}.orders",
            started_at=window.start,
            ended_at=window.start + timedelta(seconds=3),
        )
        self.collect("query_logs", window, [query])

    def push(self, *flows: Flow, window: HourWindow) -> None:
        for flow in flows:
            self.done("push", flow, window.key)

    def verify(self) -> None:
        self.until(lambda result: result.exit_code != NOT_YET, "verify")
        self.done("verify")


def walk(customer: Customer) -> None:
    """From nothing to a table that is gone at both ends."""
    customer.doctor_is_red()
    customer.set_up()
    customer.doctor_is_green()
    last = customer.newest
    second, first = last.previous, last.previous.previous
    with customer.lakehouse.open() as session:
        assert isinstance(session, Lakehouse)
        customer.make_tables(session)
        customer.collect_catalog(session, first)
        customer.push("catalog_snapshot", window=first)
        customer.collect_rest(session, first)
        customer.push("observations", "query_logs", window=first)
        customer.verify()
        session.ask(f"DROP TABLE {customer.quoted(DROPPED)}")
        for hour in (second, last):
            customer.collect_catalog(session, hour)
            customer.push("catalog_snapshot", window=hour)
    gone = customer.shown_as(DROPPED)
    assert gone in customer.done("tables", "dropped")
    assert "dry run" in customer.done("tables", "delete")
    assert gone in customer.done("tables", "delete", "--execute", says="y\n")
    customer.until(lambda result: "0 dropped tables" in result.stdout, "tables", "dropped")
    customer.verify()


def walk_again(customer: Customer) -> None:
    """The same commands from the start."""
    customer.doctor_is_green()
    customer.set_up()
    hours = [customer.newest.previous.previous, customer.newest.previous, customer.newest]
    for hour in hours:
        customer.push("catalog_snapshot", window=hour)
    customer.push("observations", "query_logs", window=hours[0])
    customer.done("tables", "delete", "--execute", "--yes")
    customer.verify()
