"""Settings of today over catalogs that were stored under those of their day."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from iomete_mc_assets.collectors.observations import CatalogInput, EarlierInput, collect
from iomete_mc_assets.defs.resources import LakehouseResource
from iomete_mc_assets.defs.stored_inputs import StoredInputs
from iomete_mc_assets.manifests.model import Collector, Draft, Source, Verdict
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.records import Observation, Omission, SurveyedState, TableEntry, TableId
from iomete_mc_assets_tests.push_bench import HOUR
from iomete_mc_assets_tests.scripted import ScriptedWarehouse

EMPTY = SurveyedState(
    uuid="u",
    metadata_location="m/00000-a.metadata.json",
    snapshot_id=None,
    snapshot_count=0,
    created_at=HOUR.start,
)


def stored(root: Path, *catalogs: str, omissions: Sequence[Omission] = ()) -> StoredInputs:
    """A store whose catalog of the hour lists an empty table of each catalog."""
    store = ManifestStore.open(
        str(root), source=Source(host="lake.example:443/x", catalogs=catalogs)
    )
    entries: Sequence[TableEntry] = [
        TableEntry(
            table=TableId(catalog, ("db",), "t"),
            kind="table",
            format="iceberg",
            columns=(),
            state=replace(EMPTY, uuid=catalog),
        )
        for catalog in catalogs
    ]
    draft = Draft(
        flow="catalog_snapshot",
        window=HOUR,
        collected_at=HOUR.end,
        collector=Collector(name="catalog_snapshot", version="1"),
        records=entries,
        verdict=lambda: (
            Verdict(state="partial", reason="some", omissions=tuple(omissions))
            if omissions
            else Verdict(state="complete")
        ),
    )
    store.write(draft, manifest_id="m001")
    return StoredInputs(store)


def no_survey() -> CatalogInput:
    msg = "nobody expected a survey"
    raise AssertionError(msg)


def observed(
    inputs: StoredInputs,
    *,
    options: dict[str, str] | None = None,
    earlier: EarlierInput | None = None,
) -> Draft:
    lakehouse = LakehouseResource(url="", user="", token="", options=options or {})
    ((_, answer),) = collect(
        [HOUR],
        ScriptedWarehouse({}),
        config=lakehouse.observation_config(),
        catalog_for=inputs.catalog_for,
        earlier=earlier,
        own=lambda _: None,
        survey=no_survey,
        now=HOUR.end,
    )
    assert isinstance(answer, Draft), answer
    return answer


def test_a_stored_catalog_is_read_under_the_catalogs_and_patterns_of_today(tmp_path: Path) -> None:
    inputs = stored(tmp_path, "spark_catalog", "old", "staging")
    settings = {"IOMETE_CATALOGS": "spark_catalog,staging,new", "IOMETE_EXCLUDE": "staging.*"}
    draft = observed(inputs, options=settings)
    tables = [record.table.shown for record in draft.records if isinstance(record, Observation)]
    assert tables == ["spark_catalog.db.t"]
    verdict = draft.verdict()
    excluded = {name: n for name, n in verdict.counts.items() if name.startswith("excluded: ")}
    assert excluded == {"excluded: other catalog": 1, "excluded: pattern": 1}
    assert [omission.scope for omission in verdict.omissions] == ["new"]


def test_a_table_that_may_be_among_unlisted_omissions_is_carried_and_not_taken_for_dropped(
    tmp_path: Path,
) -> None:
    unread = [TableId("spark_catalog", ("db",), f"t{number:02}") for number in range(60)]
    omissions = [
        Omission(scope=one.shown, question="columns", kind="unreadable", reason="broken.")
        for one in unread
    ]
    inputs = stored(tmp_path, "spark_catalog", omissions=omissions)
    known = [Observation(table=one, uuid=one.table, snapshot_id=1, row_count=1) for one in unread]
    earlier = EarlierInput(manifest_id="e1", window=HOUR.previous, observations=tuple(known))
    draft = observed(inputs, earlier=earlier)
    carried = [o.table for o in draft.records if isinstance(o, Observation) and o.carried_from]
    assert carried == unread
    verdict = draft.verdict()
    assert "dropped" not in verdict.counts
    assert verdict.omissions[-1].reason.startswith("10 more omissions")
