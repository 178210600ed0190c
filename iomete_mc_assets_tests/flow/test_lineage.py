"""Lineage in real Dagster runs: from an export of a query history and a stored catalog to edges and what a partition shows."""

# Dagster types its ephemeral instance in part only.
# pyright: reportUnknownMemberType=false

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import cast
from xml.etree import ElementTree as ET

import dagster as dg
import pytest

from iomete_mc_assets import clock
from iomete_mc_assets.defs import metadata, previews
from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.defs.collected import MANIFESTS_IO
from iomete_mc_assets.defs.io_manager import ManifestIOManager
from iomete_mc_assets.defs.keys import COLLECT_QUERIES, FLOW_TAG, collected_key
from iomete_mc_assets.defs.partitions import range_request
from iomete_mc_assets.defs.resources import LakehouseResource, ManifestStoreResource
from iomete_mc_assets.defs.schedules import lineage_gaps
from iomete_mc_assets.manifests.model import Collector, Draft, Header, Verdict
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.records import Column, LineageEdge, TableEntry, TableId
from iomete_mc_assets.windows import HourWindow

COLUMNS = (Column(name="Id", type="BIGINT"), Column(name="name", type="STRING"))


def entry(namespace: str, name: str, *, view_text: str | None = None) -> TableEntry:
    return TableEntry(
        table=TableId("spark_catalog", (namespace,), name),
        kind="table" if view_text is None else "view",
        format="iceberg" if view_text is None else "other",
        columns=COLUMNS,
        view_text=view_text,
    )


CATALOG = [
    *(entry("raw", "Src"), entry("raw", "two"), entry("dw", "dst")),
    entry("dw", "v", view_text="SELECT Id, name FROM spark_catalog.raw.two"),
]
VIEW_EDGES = {
    "spark_catalog.raw.two > spark_catalog.dw.v",
    "direct spark_catalog.raw.two.Id > spark_catalog.dw.v.Id",
    "direct spark_catalog.raw.two.name > spark_catalog.dw.v.name",
}
SRC_EDGES = {
    "spark_catalog.raw.Src > spark_catalog.dw.dst",
    "direct spark_catalog.raw.Src.Id > spark_catalog.dw.dst.Id",
    "direct spark_catalog.raw.Src.name > spark_catalog.dw.dst.name",
}
INSERT = "INSERT INTO dw.dst SELECT id, name FROM raw.src"


def shown(edge: LineageEdge) -> str:
    source, target = edge.source.shown, edge.target.shown
    if edge.kind == "table":
        return f"{source} > {target}"
    return f"{edge.kind} {source}.{edge.source_column} > {target}.{edge.target_column}"


@dataclass
class Site:
    """A folder that exports of a query history come into, a store, and Dagster between them."""

    folder: Path
    instance: dg.DagsterInstance
    source: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def options(self) -> dict[str, str]:
        """Where everything lies."""
        return {
            "IOMETE_MC_MANIFESTS": str(self.folder / "manifests"),
            "IOMETE_QUERY_LOG_DELAY_MINUTES": "0",
            **self.source,
        }

    @property
    def lakehouse(self) -> LakehouseResource:
        """Its address is only a name here: nothing asks it."""
        url = "http://lake.example:10000/cliservice"
        return LakehouseResource(url=url, user="u", token="t", options=self.options)

    @property
    def definitions(self) -> dg.Definitions:
        """The product's own."""
        manifests = ManifestStoreResource(options=self.options)
        return build_definitions(
            environment={},
            resources={
                "lakehouse": self.lakehouse,
                "manifests": manifests,
                MANIFESTS_IO: ManifestIOManager(store=manifests, lakehouse=self.lakehouse),
            },
        )

    @property
    def store(self) -> ManifestStore:
        """Opened as a run opens it."""
        return ManifestStore.open(
            self.options["IOMETE_MC_MANIFESTS"], source=self.lakehouse.source()
        )

    def list_catalog(self, window: HourWindow) -> str:
        """A catalog snapshot of an hour; its manifest id."""
        draft = Draft(
            flow="catalog_snapshot",
            window=window,
            collected_at=window.end,
            collector=Collector(name="catalog_snapshot", version="1"),
            records=CATALOG,
            verdict=lambda: Verdict(state="complete"),
        )
        return self.store.write(draft, manifest_id=f"catalog-{window.folder}").header.manifest_id

    def export(self, window: HourWindow, *texts: str, name: str = "first") -> None:
        """Queries that ended in an hour."""
        at = window.start + timedelta(minutes=5)
        lines = [
            json.dumps(
                {
                    "query_id": f"{name}-{number}",
                    "sql_text": text,
                    "user_name": "ann",
                    "start_time": at.isoformat(),
                    "end_time": (at + timedelta(seconds=number + 1)).isoformat(),
                    "status": "COMPLETED",
                }
            )
            for number, text in enumerate(texts)
        ]
        folder = self.folder / "exports"
        folder.mkdir(exist_ok=True)
        (folder / f"{window.folder}-{name}.ndjson").write_text("\n".join(lines) + "\n")

    def run(
        self, *windows: HourWindow, only: Sequence[dg.AssetKey] | None = None
    ) -> dg.ExecuteInProcessResult:
        """One run of the job over neighbouring hours, as schedules launch it."""
        request = range_request(list(windows), run_key="test", tags={})
        job = self.definitions.get_repository_def().get_job(COLLECT_QUERIES)
        if only is not None:
            job = job.get_subset(asset_selection=set(only))
        return job.execute_in_process(
            instance=self.instance,
            tags=dict(request.tags),
            partition_key=request.partition_key,
            raise_on_error=False,
        )

    def header(self, window: HourWindow, flow: str = "lineage") -> Header:
        """What speaks for an hour."""
        header = self.store.current("lineage" if flow == "lineage" else "query_logs", window)
        assert header is not None
        return header

    def edges(self, window: HourWindow) -> set[str]:
        """As the hour's manifest has them."""
        records = list(self.store.records(self.header(window)))
        return {shown(one) for one in records if isinstance(one, LineageEdge)}

    def told(self, window: HourWindow) -> dict[str, object]:
        """Metadata of the hour's newest materialisation."""
        event = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(collected_key("lineage"), asset_partitions=[window.key]), limit=1
        ).records[0]
        assert event.asset_materialization is not None
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}


@pytest.fixture
def site(tmp_path: Path, instance: dg.DagsterInstance) -> Site:
    exports = tmp_path / "exports"
    exports.mkdir()
    return Site(tmp_path, instance, {"IOMETE_QUERY_LOG_EXPORTS": str(exports)})


@pytest.fixture
def hour() -> HourWindow:
    """Over for long enough that everything is settled."""
    return HourWindow.newest_closed(clock.now()).previous


def image_of(markdown: object) -> ET.Element:
    """The picture in a partition's Markdown."""
    address = str(markdown).partition("](")[2].partition(")")[0]
    kind, _, data = address.partition(",")
    assert kind == "data:image/svg+xml;base64"
    return ET.fromstring(base64.b64decode(data))  # noqa: S314 - our own


def test_ledger_5_an_hour_has_the_edges_of_its_queries_and_of_the_views_and_names_what_was_read(
    site: Site, hour: HourWindow
) -> None:
    catalog = site.list_catalog(hour)
    site.export(hour, INSERT, INSERT, "SELECT * FROM raw.src")
    assert site.run(hour).success
    header = site.header(hour)
    assert (header.state, header.reason) == ("complete", None)
    assert site.edges(hour) == SRC_EDGES | VIEW_EDGES
    queries = site.header(hour, "query_logs").manifest_id
    assert header.inputs == {"query_logs": queries, "catalog_from": catalog}
    counts = header.counts
    assert (counts["queries"], counts["parsed"], counts["of a known shape"]) == (3, 2, 1)
    assert (counts["table edges"], counts["column edges"], counts["reads only"]) == (2, 4, 1)


def test_a_partition_shows_what_is_new_what_gave_no_edge_and_a_picture(
    site: Site, hour: HourWindow
) -> None:
    site.list_catalog(hour.previous)
    broken, unknown = "INSERT INTO dw.dst SELECT FROM WHERE", "INSERT INTO dw.dst SELECT * FROM x"
    site.export(hour.previous, "INSERT INTO dw.dst SELECT id, name FROM raw.two")
    site.export(hour, INSERT, broken, unknown)
    assert site.run(hour.previous, hour).success

    before, told = site.told(hour.previous), site.told(hour)
    assert before[previews.NEW_EDGES] == "of no earlier hour is lineage known"
    new = str(told[previews.NEW_EDGES])
    assert new.startswith(f"1 of tables and 2 of columns since {hour.previous.key}\n")
    assert "| spark_catalog.raw.Src | spark_catalog.dw.dst | table | sql |" in new
    assert "spark_catalog.dw.v" not in new
    assert previews.UNRESOLVED not in before
    unresolved = str(told[previews.UNRESOLVED])
    assert "| 1 | skipped: not understood | first-1 |" in unresolved
    assert "| 1 | unresolved: current database unknown | first-2 |" in unresolved

    image = image_of(told[previews.GRAPH])
    texts = {one.text for one in image.iter("{http://www.w3.org/2000/svg}text")}
    assert texts == {"raw.Src", "raw.two", "dw.dst", "dw.v"}
    arrows = image.findall("{http://www.w3.org/2000/svg}path")
    assert [one.get("class") for one in arrows] == ["n", None]
    names = (metadata.STATE, "table edges", "queries", "skipped: not understood")
    assert [told[name] for name in names] == ["complete", 2, 3, 1]


def test_ledger_8_an_hour_whose_query_logs_are_no_longer_the_named_ones_is_a_gap(
    site: Site, hour: HourWindow
) -> None:
    """Also where the late query says nothing of lineage: else the hour would be a gap for ever."""
    hours = [hour.previous, hour]
    site.list_catalog(hour.previous)
    for window in hours:
        site.export(window, INSERT)
    assert site.run(*hours).success
    assert lineage_gaps(site.instance, hours) == []
    first = site.header(hour)

    site.export(hour, "SELECT count(*) FROM raw.src", name="late")
    queries_alone = [collected_key("query_logs")]
    assert site.run(hour, only=queries_alone).success
    assert lineage_gaps(site.instance, hours) == [hour]

    assert site.run(hour, only=[collected_key("lineage")]).success
    assert lineage_gaps(site.instance, hours) == []
    again = site.header(hour)
    assert again.content_digest == first.content_digest
    assert again.manifest_id != first.manifest_id
    assert again.inputs["query_logs"] == site.header(hour, "query_logs").manifest_id


def test_ledger_1_lineage_collected_again_from_the_same_is_kept(
    site: Site, hour: HourWindow
) -> None:
    site.list_catalog(hour)
    site.export(hour, INSERT)
    assert site.run(hour).success
    first = site.header(hour)
    assert site.run(hour).success
    assert site.header(hour).manifest_id == first.manifest_id
    assert site.told(hour)["kept"] is True


def test_fill_gaps_collects_lineage_alone_where_only_that_is_missing(
    site: Site, hour: HourWindow
) -> None:
    site.list_catalog(hour)
    site.export(hour, INSERT)
    repository = site.definitions.get_repository_def()
    start = hour.previous.previous
    with dg.instance_for_test() as on_disk:
        alone = Site(site.folder, on_disk, site.source)
        windows = [HourWindow(start.start + timedelta(hours=n)) for n in range(3)]
        assert alone.run(*windows, only=[collected_key("query_logs")]).success
        asked = repository.get_schedule_def("fill_gaps_of_collect_queries").evaluate_tick(
            dg.build_schedule_context(
                instance=on_disk,
                scheduled_execution_time=hour.end + timedelta(minutes=50),
                repository_def=repository,
            )
        )
    by_flow = {one.tags[FLOW_TAG]: one for one in asked.run_requests or []}
    lineage = by_flow["lineage"]
    assert lineage.asset_selection == [collected_key("lineage")]
    whole = [one.asset_selection for one in asked.run_requests or [] if one is not lineage]
    assert whole == [None] * len(whole)


def test_an_hour_without_query_logs_has_the_views_and_says_so(site: Site, hour: HourWindow) -> None:
    """No source is wanted: nothing is a gap, and no check alarms."""
    site.source = {}
    site.list_catalog(hour)
    run = site.run(hour)
    assert run.success
    checks = {
        one.check_name: one.passed
        for one in run.get_asset_check_evaluations()
        if one.asset_key == collected_key("lineage")
    }
    assert checks["newest_manifest_complete"]
    header = site.header(hour)
    assert header.state == "partial"
    assert str(header.reason).startswith("views only: the query logs of the hour are unknown: no ")
    assert site.edges(hour) == VIEW_EDGES
    assert {
        one.found_in for one in cast("list[LineageEdge]", list(site.store.records(header)))
    } == {"view text"}
    assert lineage_gaps(site.instance, [hour]) == []


def test_an_hour_without_any_catalog_has_what_queries_name(site: Site, hour: HourWindow) -> None:
    site.export(hour, INSERT)
    assert site.run(hour).success
    header = site.header(hour)
    assert (header.state, site.edges(hour)) == (
        "partial",
        {"spark_catalog.raw.src > spark_catalog.dw.dst"},
    )
    assert "no catalog snapshot is known" in str(header.reason)
    assert "catalog_from" not in header.inputs
    assert header.counts["unresolved: columns of the target unknown"] == 1


def test_an_hour_of_which_nothing_is_known_is_unknown(site: Site, hour: HourWindow) -> None:
    site.source = {}
    assert site.run(hour).success
    header = site.header(hour)
    assert (header.state, header.records) == ("unknown", 0)


def test_lineage_of_the_same_query_logs_and_catalog_is_not_worked_out_again(
    site: Site, hour: HourWindow
) -> None:
    """Nor are they read: their records are gone."""
    site.list_catalog(hour)
    site.export(hour, INSERT)
    assert site.run(hour).success
    first, queries = site.header(hour), site.header(hour, "query_logs")
    folder = Path(site.store.path("query_logs", hour, queries.manifest_id))
    for part in queries.parts:
        (folder / part.file).unlink()
    assert site.run(hour, only=[collected_key("lineage")]).success
    assert site.header(hour) == first


def test_query_logs_that_were_pruned_leave_the_views(site: Site, hour: HourWindow) -> None:
    site.list_catalog(hour)
    site.export(hour, INSERT)
    assert site.run(hour, only=[collected_key("query_logs")]).success
    site.store.prune(site.header(hour, "query_logs"), at=clock.now())
    assert site.run(hour, only=[collected_key("lineage")]).success
    assert site.edges(hour) == VIEW_EDGES
    assert str(site.header(hour).reason).endswith("unknown: their records were pruned")
