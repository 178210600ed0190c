"""Hypothesis strategies for records and what stands around them: anything the annotations allow."""

from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

from hypothesis import strategies as st

from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.records import (
    Column,
    EdgeKind,
    Evidence,
    LineageEdge,
    Observation,
    Omission,
    PlannedEdges,
    QueryRecord,
    Record,
    SurveyedState,
    TableEntry,
    TableId,
)
from iomete_mc_assets.windows import HourWindow

HOSTILE_TEXTS = (
    "",
    "null",
    '"',
    "\\",
    "\\ud8",
    "\n",
    "\r\n",
    "\x00",
    "\u2028",
    "é",
    "😀",
    "%s",
    "{}",
)
FLOWS: tuple[Flow, ...] = get_args(Flow)

whole_numbers = st.integers(min_value=0, max_value=2**63 - 1)
"""Counts and bytes; Iceberg writes them as Java longs."""
snapshot_ids = st.integers(min_value=-(2**63), max_value=2**63 - 1)


def texts(max_size: int = 40) -> st.SearchStrategy[str]:
    """Any text that can be sent: lone surrogates are left out."""
    return st.sampled_from(HOSTILE_TEXTS) | st.text(max_size=max_size)


def maybe(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | strategy


def instants() -> st.SearchStrategy[datetime]:
    """Aware instants, mostly UTC; other offsets are the same instants spelled otherwise."""
    zones = st.just(UTC) | st.integers(-14 * 60, 14 * 60).map(
        lambda minutes: timezone(timedelta(minutes=minutes))
    )
    return st.datetimes(
        min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
        max_value=datetime(2200, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
        timezones=zones,
    )


def windows() -> st.SearchStrategy[HourWindow]:
    return instants().map(HourWindow.holding)


def table_ids() -> st.SearchStrategy[TableId]:
    namespaces = st.lists(texts(), min_size=1, max_size=3).map(tuple)
    return st.builds(TableId, catalog=texts(), namespace=namespaces, table=texts())


def surveyed_states() -> st.SearchStrategy[SurveyedState]:
    return st.builds(
        SurveyedState,
        uuid=maybe(texts()),
        metadata_location=maybe(texts()),
        snapshot_id=maybe(snapshot_ids),
        snapshot_count=maybe(whole_numbers),
        snapshot_at=maybe(instants()),
        total_records=maybe(whole_numbers),
        total_bytes=maybe(whole_numbers),
        position_deletes=maybe(whole_numbers),
        equality_deletes=maybe(whole_numbers),
        created_at=maybe(instants()),
    )


def table_entries() -> st.SearchStrategy[TableEntry]:
    columns = st.builds(
        Column,
        name=texts(),
        type=texts(),
        required=st.none() | st.booleans(),
        comment=maybe(texts()),
        field_comments=st.lists(st.tuples(texts(), texts()), max_size=2).map(tuple),
    )
    return st.builds(
        TableEntry,
        table=table_ids(),
        kind=st.sampled_from(("table", "view")),
        format=st.sampled_from(("iceberg", "other")),
        columns=st.lists(columns, max_size=4).map(tuple),
        comment=maybe(texts()),
        owner=maybe(texts()),
        view_text=maybe(texts()),
        state=maybe(surveyed_states()),
    )


def observations() -> st.SearchStrategy[Observation]:
    return st.builds(
        Observation,
        table=table_ids(),
        uuid=maybe(texts()),
        snapshot_id=maybe(snapshot_ids),
        state_at=maybe(instants()),
        row_count=maybe(whole_numbers),
        byte_count=maybe(whole_numbers),
        total_records=maybe(whole_numbers),
        position_deletes=maybe(whole_numbers),
        equality_deletes=maybe(whole_numbers),
        last_data_change=maybe(instants()),
        exact_deletes=st.none() | st.booleans(),
        surveyed_snapshot_id=maybe(snapshot_ids),
        metadata_location=maybe(texts()),
        carried_from=maybe(texts()),
    )


def query_records(
    *, query_ids: st.SearchStrategy[str] | None = None
) -> st.SearchStrategy[QueryRecord]:
    """``query_ids`` where ids have to be unique or known."""
    times = st.tuples(instants(), instants()).map(sorted)
    return times.flatmap(
        lambda pair: st.builds(
            QueryRecord,
            query_id=query_ids or st.text(min_size=1, max_size=40),
            text=texts(max_size=200),
            started_at=st.just(pair[0]),
            ended_at=st.just(pair[1]),
            end_estimated=st.booleans(),
            status=st.sampled_from((None, "succeeded", "failed", "cancelled")),
            user=maybe(texts()),
            error_code=maybe(texts()),
            error_text=maybe(texts()),
            returned_rows=maybe(whole_numbers),
            session_id=maybe(texts()),
            catalog=maybe(texts()),
            database=maybe(texts()),
            extra=st.just(dict[str, object]())
            | st.dictionaries(texts(), texts() | whole_numbers, max_size=3),
            plan=st.none() | planned_edges(),
        )
    )


def planned_edges() -> st.SearchStrategy[PlannedEdges]:
    names = st.lists(texts(), min_size=3, max_size=4).map(tuple)
    pairs = st.lists(st.tuples(names, names), max_size=2).map(tuple)
    return st.builds(
        PlannedEdges, tables=pairs, direct=pairs, indirect=pairs, columns_known=st.booleans()
    )


def lineage_edges() -> st.SearchStrategy[LineageEdge]:
    return st.builds(
        LineageEdge,
        source=table_ids(),
        target=table_ids(),
        kind=st.sampled_from(get_args(EdgeKind)),
        source_column=maybe(texts()),
        target_column=maybe(texts()),
        found_in=st.sampled_from(get_args(Evidence)),
        times_seen=whole_numbers,
        last_seen=instants(),
    )


def records_of(flow: Flow) -> st.SearchStrategy[Record]:
    """Records of the flow's type."""
    of: dict[Flow, st.SearchStrategy[Record]] = {
        "catalog_snapshot": table_entries(),
        "observations": observations(),
        "query_logs": query_records(),
        "lineage": lineage_edges(),
    }
    return of[flow]


def flows_with_records(max_size: int = 6) -> st.SearchStrategy[tuple[Flow, list[Record]]]:
    return st.sampled_from(FLOWS).flatmap(
        lambda flow: st.tuples(st.just(flow), st.lists(records_of(flow), max_size=max_size))
    )


def omissions() -> st.SearchStrategy[Omission]:
    return st.builds(
        Omission,
        scope=texts(),
        question=texts(),
        kind=st.sampled_from(("unreadable", "unknowable")),
        reason=texts(),
    )
