"""What it costs when nothing is new: a catalog push of an unchanged hour, and a sensor's two kinds of look."""

# Dagster's instance is typed in part only.
# pyright: reportUnknownMemberType=false

import statistics
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import dagster as dg

from iomete_mc_assets import clock
from iomete_mc_assets.defs import metadata
from iomete_mc_assets.defs.keys import collected_key, pushed_key
from iomete_mc_assets.defs.sensors import Cursor, tick
from iomete_mc_assets.errors import IometeMcError
from iomete_mc_assets.manifests.model import Collector, Draft, Flow, Verdict
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.push.config import Destination, PushConfig
from iomete_mc_assets.push.ledger import Owner
from iomete_mc_assets.push.outcome import HourOutcome
from iomete_mc_assets.push.pusher import Pusher
from iomete_mc_assets.records import Column, Record, TableEntry, TableId
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.bench.comparison import seconds
from iomete_mc_assets_tests.bench.figures import Figure, at_most
from iomete_mc_assets_tests.bench.push import SOURCE, Recording, ingest_of
from iomete_mc_assets_tests.bench.site import Site

TABLES = 3_000
COLUMNS = 20
HOURS = 720
INVOCATION_IDS = 20
"""Of each hour: as many as an event shows."""
ROUNDS = 3
LOOKS = 20
FLOW: Flow = "query_logs"


def push_unchanged(site: Site) -> Iterator[Figure]:
    """3,000 tables of 20 columns, pushed for one hour and pushed again, unchanged, for the next ones."""
    newest = HourWindow.newest_closed(clock.now())
    store = ManifestStore.open(str(site.folder("unchanged") / "store"), source=SOURCE)
    ingest = Recording(ingest_of(site.gateway))
    destination = Destination(
        endpoint=site.gateway.url, resource_uuid=site.gateway.resource_uuid, naming="guide"
    )
    naming = Naming(strategy="guide", catalogs=SOURCE.catalogs)
    pusher = Pusher(store, ingest, PushConfig(destination=destination, naming=naming))
    hours: dict[HourWindow, str] = {}
    taken: list[float] = []
    requests: list[int] = []
    for back in reversed(range(ROUNDS + 1)):
        window = HourWindow(newest.start - timedelta(hours=back))
        hours[window] = manifest_id = f"m{back}"
        store.write(catalog(window), manifest_id=manifest_id)
        owner = Owner(run_id=manifest_id, root_run_id=manifest_id, is_finished=lambda _: True)
        pushing = pusher.push(
            "catalog_snapshot", {window: manifest_id}, named=lambda _: hours, owner=owner
        )
        begun = time.perf_counter()
        ((_, outcome),) = pushing
        taken.append(time.perf_counter() - begun)
        requests.append(len(ingest.bodies) - sum(requests))
        if isinstance(outcome, IometeMcError):
            raise outcome
        # past midnight the entries go again once, and rightly so
        expected = "accepted_before" if len(taken) > 1 else "accepted"
        if outcome.counts != {expected: TABLES}:
            msg = f"all {TABLES} entries should be {expected}, and the push ended with {outcome.counts}"
            raise RuntimeError(msg)
    unchanged = statistics.median(taken[1:])
    yield Figure(name="push_3k_unchanged_tables", value=unchanged, unit="s", bar=at_most(2))
    yield Figure(
        name="push_3k_unchanged_tables_requests",
        value=sum(requests[1:]),
        unit="requests",
        bar=at_most(0),
    )
    yield Figure(name="push_3k_new_tables", value=taken[0], unit="s")


def catalog(window: HourWindow) -> Draft:
    """The same listing in every hour."""
    return Draft(
        flow="catalog_snapshot",
        window=window,
        collected_at=window.end,
        collector=Collector(name="catalog_snapshot", version="1"),
        records=(entry(number) for number in range(TABLES)),
        verdict=lambda: Verdict(state="complete"),
    )


def entry(number: int) -> Record:
    """A table as warehouses have them."""
    columns = tuple(
        Column(name=f"column_{n}", type="DECIMAL(18,2)", comment=f"measure {n} in euros")
        for n in range(COLUMNS)
    )
    return TableEntry(
        table=TableId("spark_catalog", (f"db_{number % 30}",), f"table_{number:05d}"),
        kind="table",
        format="iceberg",
        columns=columns,
        comment=f"table {number}, loaded every hour",
    )


def look_of_sensors(site: Site) -> Iterator[Figure]:
    """30 days of hours, collected and pushed, in Dagster's SQLite; a look with nothing new, and the slow pass."""
    home = site.folder("sensors")
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        now = clock.now()
        report_history(instance, now)
        last = instance.fetch_materializations(collected_key(FLOW), limit=1).records[0].storage_id
        idle = Cursor(after=last, reconciled_at=now.timestamp())
        due = Cursor(after=last, reconciled_at=0)
        later = now.timestamp() + 60

        def look(cursor: Cursor) -> float:
            return seconds(lambda: tick(instance, FLOW, cursor, now_s=later, again_s=600))

        result = tick(instance, FLOW, due, now_s=later, again_s=600)
        if not isinstance(result, dg.SensorResult) or f"{HOURS} settled" not in str(
            result.skip_reason
        ):
            msg = f"the slow pass should find {HOURS} settled hours, and said {result}"
            raise RuntimeError(msg)
        ticks = [look(idle) for _ in range(LOOKS)]
        passes = [look(due) for _ in range(3)]
    idle_ms = 1_000 * statistics.median(ticks)
    yield Figure(name="sensor_idle_tick", value=idle_ms, unit="ms", bar=at_most(50))
    yield Figure(
        name="sensor_reconcile_30_days", value=statistics.median(passes), unit="s", bar=at_most(2)
    )


def report_history(instance: dg.DagsterInstance, now: datetime) -> None:
    """Every hour of 30 days, materialised on both sides as their runs do."""
    newest = HourWindow.newest_closed(now)
    for back in reversed(range(HOURS)):
        window = HourWindow(newest.start - timedelta(hours=back))
        outcome = settled(window)
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                asset_key=collected_key(FLOW),
                partition=window.key,
                metadata={
                    metadata.STATE: "complete",
                    "records": 1_000,
                    metadata.COLLECTED_AT: dg.MetadataValue.timestamp(window.end),
                    metadata.MANIFEST_ID: outcome.manifest_id,
                },
            )
        )
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                asset_key=pushed_key(FLOW),
                partition=window.key,
                metadata=metadata.of_pushed_partition(outcome, app_url="https://mc.example"),
            )
        )


def settled(window: HourWindow) -> HourOutcome:
    """An hour of 2,000 queries."""
    return HourOutcome(
        window=window,
        manifest_id=f"m-{window.folder}",
        word="pushed",
        reason=None,
        counts={"accepted": 100 * INVOCATION_IDS},
        notes={},
        invocation_ids=tuple(f"{window.folder}-{n:023d}" for n in range(INVOCATION_IDS)),
        batches=INVOCATION_IDS,
        sent_bytes=2_000_000,
        attempts=INVOCATION_IDS,
        superseded_by=None,
        settled_at=window.end,
        reused=False,
    )
