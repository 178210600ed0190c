"""A manifest as a DataFrame: what stands in it, and that its shape depends on the flow alone."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings

from iomete_mc_assets.manifests import frames
from iomete_mc_assets.manifests.model import Collector, Draft, Flow, Source, Verdict
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.records import (
    Column,
    LineageEdge,
    Observation,
    PlannedEdges,
    QueryRecord,
    Record,
    SurveyedState,
    TableEntry,
    TableId,
)
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.record_strategies import FLOWS, flows_with_records

HOUR = HourWindow(datetime(2026, 11, 21, 5, tzinfo=UTC))
TABLE = TableId("spark_catalog", ("raw", "in"), "Orders")


def loaded(root: object, flow: Flow, records: Sequence[Record]) -> Any:
    """A DataFrame; Any, because pandas' own types are partial."""
    store = ManifestStore.open(str(root), source=Source(host="h", catalogs=()))
    draft = Draft(
        flow=flow,
        window=HOUR,
        collected_at=HOUR.end,
        collector=Collector(name="test", version="1"),
        records=records,
        verdict=lambda: Verdict(state="complete"),
    )
    manifest_id = f"m{len(store.manifest_ids(flow, HOUR))}"
    return frames.load(store, store.write(draft, manifest_id=manifest_id).header)


def test_zero_none_and_false_stay_apart(tmp_path: Path) -> None:
    frame = loaded(
        tmp_path,
        "observations",
        [
            Observation(table=TABLE, row_count=0, exact_deletes=False, snapshot_id=2**63 - 1),
            Observation(table=TABLE),
        ],
    )
    assert frame["row_count"].tolist() == [0, pd.NA]
    assert frame["exact_deletes"].tolist() == [False, pd.NA]
    assert frame["snapshot_id"].tolist() == [2**63 - 1, pd.NA]


def test_a_table_is_four_columns_and_its_state_is_flat(tmp_path: Path) -> None:
    at = datetime(2026, 11, 21, 5, 0, 0, 123456, tzinfo=UTC)
    entry = TableEntry(
        table=TABLE,
        kind="table",
        format="iceberg",
        columns=(Column(name="id", type="BIGINT", required=True),),
        state=SurveyedState(snapshot_id=7, snapshot_at=at),
    )
    view = TableEntry(table=TABLE, kind="view", format="other", columns=(), view_text="SELECT 1")
    frame = loaded(tmp_path, "catalog_snapshot", [entry, view])
    first, second = frame.to_dict("records")
    assert [first[name] for name in ("table", "catalog", "namespace", "name")] == [
        "spark_catalog.raw.in.Orders", "spark_catalog", "raw.in", "Orders",
    ]  # fmt: skip
    assert first["columns"] == [
        {"name": "id", "type": "BIGINT", "required": True, "comment": None, "field_comments": ()}
    ]
    assert (first["state_snapshot_id"], first["state_snapshot_at"]) == (7, pd.Timestamp(at))
    assert second["columns"] == []
    assert second["view_text"] == "SELECT 1"
    assert frame["state_snapshot_at"].isna().tolist() == [False, True]


def test_instants_are_utc_to_the_microsecond(tmp_path: Path) -> None:
    at = datetime(2026, 11, 21, 5, 0, 0, 123456, tzinfo=UTC)
    query = QueryRecord(query_id="q", text="SELECT 1", started_at=at, ended_at=at)
    frame = loaded(tmp_path, "query_logs", [query])
    assert str(frame["ended_at"].dtype) == "datetime64[us, UTC]"
    assert frame["ended_at"].tolist() == [pd.Timestamp(at)]
    assert frame["end_estimated"].tolist() == [False]


@pytest.mark.parametrize("flow", FLOWS)
def test_an_empty_manifest_gives_an_empty_frame_with_the_flows_columns(
    tmp_path: Path, flow: Flow
) -> None:
    frame = loaded(tmp_path, flow, [])
    assert len(frame) == 0
    assert {"table", "query_id", "source_column"} & set(frame.columns)
    assert len(set(frame.columns)) == len(frame.columns)
    dtypes = {str(dtype) for dtype in frame.dtypes}
    assert dtypes <= {"string", "Int64", "boolean", "datetime64[us, UTC]", "object"}


@settings(max_examples=25, deadline=None)
@given(flows_with_records())
def test_any_records_keep_number_shape_and_order(drawn: tuple[Flow, list[Record]]) -> None:
    flow, records = drawn
    root = f"memory://frames-{id(drawn)}"
    frame, empty = loaded(root, flow, records), loaded(f"{root}-empty", flow, [])
    assert len(frame) == len(records)
    assert frame.dtypes.equals(empty.dtypes)
    named: dict[str, str] = {"query_logs": "query_id", "lineage": "source"}
    assert frame[named.get(flow, "table")].tolist() == [name_of(record) for record in records]


def name_of(record: Record) -> str:
    match record:
        case QueryRecord():
            return record.query_id
        case LineageEdge():
            return record.source.shown
        case _:
            return record.table.shown


def test_a_query_has_its_plan_as_a_dict_and_an_edge_its_ends_side_by_side(tmp_path: Path) -> None:
    at = datetime(2026, 11, 21, 5, 0, 0, 123456, tzinfo=UTC)
    pair = (("c", "d", "a"), ("c", "d", "b"))
    query = QueryRecord(
        query_id="q", text="..", started_at=at, ended_at=at, plan=PlannedEdges(tables=(pair,))
    )
    [plan, none] = loaded(tmp_path, "query_logs", [query, replace(query, plan=None)])["plan"]
    assert (plan["tables"], plan["columns_known"], none) == ((pair,), True, None)
    edge = LineageEdge(
        source=TABLE,
        target=TableId("c", ("d",), "b"),
        kind="table",
        found_in="plan",
        times_seen=2,
        last_seen=at,
    )
    [row] = loaded(tmp_path, "lineage", [edge]).to_dict("records")
    assert (row["source"], row["source_name"]) == ("spark_catalog.raw.in.Orders", "Orders")
    assert (row["target"], row["target_namespace"]) == ("c.d.b", "d")
