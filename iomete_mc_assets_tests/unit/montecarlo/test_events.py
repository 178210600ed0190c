"""Events are the bytes that pycarlo's own models and builders give for the same facts."""

# pycarlo's signatures say ``dict`` without saying of what
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from pycarlo.features.ingestion.models import (
    AssetField,
    AssetFreshness,
    AssetMetadata,
    AssetVolume,
    ColumnLineageField,
    ColumnLineageSourceField,
    LineageAssetRef,
    LineageEvent,
    QueryLogEntry,
    RelationalAsset,
    build_lineage_payload,
    build_metadata_payload,
    build_query_log_payload,
)

from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.montecarlo.events import catalog_snapshot, lineage, observations, query_logs
from iomete_mc_assets.montecarlo.events.event import Envelope, iso
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.records import (
    Column,
    LineageEdge,
    Observation,
    QueryRecord,
    Record,
    SurveyedState,
    TableEntry,
    TableId,
)
from iomete_mc_assets_tests.record_strategies import flows_with_records

UUID = "0d1b2c3d-0000-4000-8000-00000000beef"
NAMING = Naming(strategy="guide", catalogs=("spark_catalog",))
AT = datetime.fromisoformat("2026-11-21T10:20:00+00:00")
ORDERS = TableId("spark_catalog", ("sales",), "Orders")


def body(flow: Flow, events: list[bytes]) -> bytes:
    envelope = Envelope.of(flow, resource_uuid=UUID, resource_type="spark", log_type="hive-s3")
    return envelope.around(events)


def dumped(payload: object) -> bytes:
    return json.dumps(payload, allow_nan=False).encode()


def positive(count: int | None) -> int | None:
    return count if count is not None and count >= 0 else None


def described(column: Column) -> str | None:
    lines = [column.comment] if column.comment else []
    lines += [f"{path}: {comment}" for path, comment in column.field_comments]
    return "\n".join(lines) or None


def ref_of(table: TableId) -> lineage.Ref:
    """Longer names are views'."""
    return lineage.Ref(name=NAMING.of(table), type="VIEW" if len(table.table) > 3 else "TABLE")


def asset_ref(table: TableId, *, with_id: bool) -> LineageAssetRef:
    name = NAMING.of(table)
    full_id = f"{name.database}:{name.schema}.{name.name}"
    return LineageAssetRef(
        type=ref_of(table).type,
        name=name.name,
        database=name.database,
        schema=name.schema,
        asset_id=full_id if with_id else None,
    )


def by_pycarlo(record: object) -> RelationalAsset | QueryLogEntry | LineageEvent:
    """The same facts through pycarlo's models."""
    match record:
        case TableEntry():
            name = NAMING.of(record.table)
            created_at = record.state.created_at if record.state else None
            view = record.kind == "view"
            return RelationalAsset(
                type="VIEW" if view else "TABLE",
                metadata=AssetMetadata(
                    name=name.name,
                    database=name.database,
                    schema=name.schema,
                    description=record.comment or None,
                    view_query=(record.view_text or None) if view else None,
                    created_on=iso(created_at) if created_at else None,
                ),
                fields=[
                    AssetField(name=c.name, type=c.type, description=described(c))
                    for c in record.columns
                ],
            )
        case Observation():
            name = NAMING.of(record.table)
            rows, size = positive(record.row_count), positive(record.byte_count)
            changed_at = record.last_data_change
            fresh = changed_at is not None and changed_at <= AT
            return RelationalAsset(
                type="TABLE",
                metadata=AssetMetadata(name=name.name, database=name.database, schema=name.schema),
                volume=None if rows is None and size is None else AssetVolume(rows, size),
                freshness=AssetFreshness(iso(changed_at)) if changed_at and fresh else None,
            )
        case QueryRecord():
            failed = None if record.status in (None, "succeeded") else record.status.upper()
            extra = dict(record.extra)
            if record.end_estimated:
                extra["end_time_estimated"] = True
            return QueryLogEntry(
                start_time=record.started_at,
                end_time=record.ended_at,
                query_text=record.text,
                query_id=record.query_id,
                user=record.user,
                error_code=failed if record.error_code is None else record.error_code,
                error_text=record.error_text,
                returned_rows=positive(record.returned_rows),
                extra=extra or None,
            )
        case LineageEdge():
            of, to = record.source_column, record.target_column
            fields: list[ColumnLineageField] = []
            source = asset_ref(record.source, with_id=of is not None and to is not None)
            if of is not None and to is not None:
                fed = ColumnLineageSourceField(asset_id=source.asset_id or "", field_name=of)
                fields = [ColumnLineageField(name=to, source_fields=[fed])]
            return LineageEvent(
                destination=asset_ref(record.target, with_id=bool(fields)),
                sources=[source],
                fields=fields,
            )
        case _:
            raise AssertionError(record)


@settings(max_examples=60, deadline=None)
@given(flows_with_records())
def test_rule_1_a_body_is_byte_for_byte_what_pycarlo_sends(
    drawn: tuple[Flow, list[Record]],
) -> None:
    flow, records = drawn
    pairs = [(ours(record), record) for record in records]
    events = [event for event, _ in pairs if event is not None]
    expected = [by_pycarlo(record) for event, record in pairs if event is not None]
    if flow == "query_logs":
        payload = build_query_log_payload(UUID, "hive-s3", expected)  # pyright: ignore[reportArgumentType] - by flow
    elif flow == "lineage":
        if not expected:  # pycarlo refuses a request without any
            return
        payload = build_lineage_payload(UUID, "spark", expected)  # pyright: ignore[reportArgumentType] - by flow
    else:
        payload = build_metadata_payload(UUID, "spark", expected)  # pyright: ignore[reportArgumentType] - by flow
    assert body(flow, events) == dumped(payload)


def ours(record: Record) -> bytes | None:
    match record:
        case TableEntry():
            return catalog_snapshot.event(record, NAMING).body
        case Observation():
            event = observations.event(record, NAMING, not_before=None, not_after=AT)
            return event.body if event else None
        case QueryRecord():
            return query_logs.event(record, max_bytes=10**9).body
        case LineageEdge():
            if record.kind == "indirect":
                return None
            source, target = ref_of(record.source), ref_of(record.target)
            return lineage.event(record, "", source=source, target=target).body


def entry(**facts: object) -> TableEntry:
    plain = TableEntry(table=ORDERS, kind="table", format="iceberg", columns=())
    return replace(plain, **facts)  # pyright: ignore[reportArgumentType] - by name


def test_rule_29_fields_are_complete_or_absent_and_nested_names_keep_their_case() -> None:
    nested = Column(name="Geo", type="STRUCT<City: STRING>")
    with_fields = json.loads(catalog_snapshot.event(entry(columns=(nested,)), NAMING).body)
    assert with_fields["relational_asset"]["fields"] == [
        {"name": "Geo", "type": "STRUCT<City: STRING>"}
    ]
    without = json.loads(catalog_snapshot.event(entry(), NAMING).body)
    assert "fields" not in without["relational_asset"]


def test_comments_inside_a_nested_column_follow_its_own_in_the_one_description_there_is() -> None:
    inside = (("City", "where"), ("geo.element.zip", "five digits"))
    nested = Column(name="Geo", type="STRUCT<City: STRING>", comment="own", field_comments=inside)
    event = catalog_snapshot.event(entry(columns=(nested, replace(nested, comment=None))), NAMING)
    assert [one["description"] for one in json.loads(event.body)["relational_asset"]["fields"]] == [
        "own\nCity: where\ngeo.element.zip: five digits",
        "City: where\ngeo.element.zip: five digits",
    ]


def test_rule_30_a_view_text_goes_on_views_only() -> None:
    for kind, shown in (("view", True), ("table", False)):
        event = catalog_snapshot.event(entry(kind=kind, view_text="SELECT 1"), NAMING)
        asset = json.loads(event.body)["relational_asset"]
        assert ("view_query" in asset["metadata"]) is shown
        assert asset["type"] == kind.upper()


def test_rule_30_a_lone_surrogate_is_replaced() -> None:
    event = catalog_snapshot.event(entry(comment="half \ud83d of it"), NAMING)
    assert (
        json.loads(event.body)["relational_asset"]["metadata"]["description"] == "half \ufffd of it"
    )


def test_a_catalog_entry_says_nothing_of_survey_state() -> None:
    surveyed = entry(state=SurveyedState(snapshot_id=1, total_records=5, snapshot_at=AT))
    assert catalog_snapshot.event(surveyed, NAMING) == catalog_snapshot.event(entry(), NAMING)


def observed(**facts: object) -> Observation:
    return replace(Observation(table=ORDERS), **facts)  # pyright: ignore[reportArgumentType] - by name


def test_rule_27_zero_rows_are_sent_and_unknown_ones_are_not() -> None:
    for facts, volume in (
        ({"row_count": 0}, {"row_count": 0}),
        ({"row_count": -1, "byte_count": 7}, {"byte_count": 7}),
        ({"row_count": 0, "byte_count": 0}, {"row_count": 0, "byte_count": 0}),
    ):
        event = observations.event(observed(**facts), NAMING, not_before=None, not_after=AT)
        assert event is not None
        assert json.loads(event.body)["relational_asset"]["volume"] == volume
    nothing = observations.event(observed(), NAMING, not_before=None, not_after=AT)
    assert nothing is None


def test_rule_28_freshness_in_the_future_or_before_the_last_one_is_left_out() -> None:
    second = timedelta(seconds=1)
    for changed_at, last, fresh in (
        (AT, None, True),
        (AT + second, None, False),
        (AT - second, AT, False),
        (AT - second, AT - second, True),
    ):
        event = observations.event(
            observed(row_count=1, last_data_change=changed_at),
            NAMING,
            not_before=last,
            not_after=AT,
        )
        assert event is not None
        assert ("freshness" in json.loads(event.body)["relational_asset"]) is fresh
        assert event.notes == (() if fresh else ("freshness_left_out",))


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=400, max_size=900), st.integers(min_value=350, max_value=2_000))
def test_rule_23_a_text_is_cut_only_when_it_alone_exceeds_the_cap_and_says_so(
    text: str, max_bytes: int
) -> None:
    query = QueryRecord(query_id="q", text=text, started_at=AT, ended_at=AT)
    whole = query_logs.event(query, max_bytes=10**9)
    event = query_logs.event(query, max_bytes=max_bytes)
    if len(whole.body) <= max_bytes:
        assert event == whole
        return
    assert len(event.body) <= max_bytes
    assert event.notes == ("truncated",)
    sent = json.loads(event.body)
    assert sent["extra"]["query_text_truncated_from"] == len(text)
    assert text.startswith(sent["query_text"])


def test_rule_22_a_failed_query_carries_a_code_even_where_its_source_has_none() -> None:
    query = QueryRecord(query_id="q", text="SELECT", started_at=AT, ended_at=AT, status="failed")
    sent = json.loads(query_logs.event(query, max_bytes=10_000).body)
    assert sent["error_code"] == "FAILED"


def test_rule_22_a_query_whose_end_nobody_tells_carries_no_code() -> None:
    query = QueryRecord(query_id="q", text="SELECT", started_at=AT, ended_at=AT, status=None)
    sent = json.loads(query_logs.event(query, max_bytes=10_000).body)
    assert sent.keys() == {"start_time", "end_time", "query_text", "query_id"}
