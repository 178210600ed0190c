"""What the gateway's schema takes and refuses, one body and one flaw at a time."""

import copy
import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.sandbox.gateway_checks import (
    MAX_MESSAGES,
    InvalidBody,
    ValidBody,
    checked,
)
from iomete_mc_assets.sandbox.gateway_records import ENDPOINTS, Endpoint

WAREHOUSE = "0B6F1C9E-9d5c-4d9e-8a37-0f4f5f1a2b3c"
OTHER_WAREHOUSE = "11111111-2222-3333-4444-555555555555"
Body = dict[str, Any]


def metadata() -> Body:
    return {
        "event_type": "METADATA",
        "resource": {"uuid": WAREHOUSE, "resource_type": "spark"},
        "events": [
            {
                "relational_asset": {
                    "type": "VIEW",
                    "metadata": {
                        "name": "orders",
                        "database": "sales",
                        "schema": "default",
                        "description": "",
                        "view_query": "SELECT 1",
                        "created_on": "2026-01-01T00:00:00Z",
                    },
                    "tags": [{"key": "env", "value": "prod"}, {"key": "pii"}],
                    "fields": [{"name": "id", "type": "BIGINT", "description": "key"}],
                    "volume": {"row_count": 0, "byte_count": 0},
                    "freshness": {"last_update_time": "2026-03-12T14:30:00+01:00"},
                }
            }
        ],
    }


def ref(name: str, **more: str) -> Body:
    return {"type": "TABLE", "name": name, "database": "sales", "schema": "default", **more}


def lineage() -> Body:
    return {
        "event_type": "COLUMN_LINEAGE",
        "resource": {"uuid": WAREHOUSE, "resource_type": "spark"},
        "events": [
            {
                "destination": ref("dst", asset_id="d"),
                "sources": [ref("src", asset_id="s")],
                "fields": [{"name": "c", "source_fields": [{"asset_id": "s", "field_name": "x"}]}],
            },
            {"destination": ref("dst"), "sources": [ref("src")]},
        ],
    }


def querylogs() -> Body:
    return {
        "event_type": "QUERY_LOG",
        "resource": {"uuid": WAREHOUSE, "log_type": "databricks-metastore-sql-warehouse"},
        "events": [
            {
                "start_time": "2026-01-01T08:00:00.123456Z",
                "end_time": "2026-01-01T08:00:01Z",
                "query_text": "select 1",
                "query_id": "q",
                "user": "u",
                "error_code": 0,
                "error_text": "",
                "returned_rows": 0,
                "extra": {"anything": {"goes": [1, None]}},
            }
        ],
    }


def etl_metadata() -> Body:
    job = {"job_source_id": "loc/job", "name": "job", "group": {"source_id": "loc"}}
    tasks = [
        {"task_source_id": "a", "name": "a"},
        {"task_source_id": "b", "name": "b", "upstream_task_source_ids": ["a"]},
    ]
    return {
        "event_type": "ETL_METADATA",
        "resource": {"uuid": WAREHOUSE, "resource_type": "custom"},
        "events": [{"etl_asset": {**job, "tasks": tasks}}],
    }


def etl_runs() -> Body:
    times = {"start_time": "2026-01-01T08:00:00Z", "end_time": "2026-01-01T08:05:00Z"}
    run = {
        "job_source_id": "loc/job",
        "run_source_id": "r",
        "event_time": times["end_time"],
        **times,
    }
    task = {**run, "run_source_id": "r/a", "task_source_id": "a", "status": "success"}
    return {
        "event_type": "ETLRUN",
        "resource": {"uuid": WAREHOUSE, "resource_type": "custom"},
        "events": [
            {
                **run,
                "status": "failed",
                "trigger": "BACKFILL",
                "backfill_id": "x",
                "error": {"message": "no"},
                "task_runs": [task],
            }
        ],
    }


BODIES: dict[Endpoint, Callable[[], Body]] = {
    "metadata": metadata,
    "lineage": lineage,
    "querylogs": querylogs,
    "etl/metadata": etl_metadata,
    "etl/runs": etl_runs,
}


def judged(endpoint: Endpoint, body: object) -> ValidBody | InvalidBody:
    return checked(endpoint, json.dumps(body).encode())


def changed(body: Body, path: str, value: object) -> Body:
    """A copy with one value set; ``...`` as value removes it."""
    copied = copy.deepcopy(body)
    *outer, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    place: Any = copied
    for step in outer:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return copied


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_the_documented_body_passes_and_says_whose_it_is(endpoint: Endpoint) -> None:
    body = BODIES[endpoint]()
    assert judged(endpoint, body) == ValidBody(
        resource_uuids=frozenset({WAREHOUSE.lower()}), events=len(body["events"])
    )


ASSET = "events/0/relational_asset"
FLAWS: list[tuple[Endpoint, str, object, str, str]] = [
    # what every body has
    ("metadata", "event_type", ..., "event_type", "required field"),
    ("metadata", "event_type", "RELATIONAL_ASSET", "event_type", "unallowed value"),
    ("lineage", "event_type", "METADATA", "event_type", "unallowed value"),
    ("querylogs", "event_type", "QUERY_LOGS", "event_type", "unallowed value"),
    ("metadata", "events", ..., "events", "required field"),
    ("metadata", "events", [], "events", "min length is 1"),
    ("metadata", "events", {}, "events", "must be of list type"),
    ("metadata", "surprise", 1, "surprise", "unknown field"),
    ("metadata", "resource", ..., "resource", "required field"),
    ("querylogs", "resource", ..., "resource", "required field"),
    ("metadata", "resource/uuid", "warehouse-1", "resource", "must be a UUID"),
    ("metadata", "resource/uuid", ..., "resource", "required field"),
    ("metadata", "resource/resource_type", ..., "resource", "required field"),
    ("metadata", "resource/log_type", "s3", "resource", "unknown field"),
    ("lineage", "resource/log_type", "s3", "resource", "unknown field"),
    ("querylogs", "resource/resource_type", "spark", "resource", "unknown field"),
    ("querylogs", "resource/log_type", "iomete", "resource", "unallowed value"),
    # assets
    ("metadata", "events/0", {"type": "TABLE"}, "events", "unknown field"),
    ("metadata", f"{ASSET}/type", "MANAGED", "events", "unallowed value"),
    ("metadata", f"{ASSET}/type", "table", "events", "unallowed value"),
    ("metadata", f"{ASSET}/owner", "me", "events", "unknown field"),
    ("metadata", f"{ASSET}/metadata/name", "", "events", "empty values not allowed"),
    ("metadata", f"{ASSET}/metadata/schema", ..., "events", "required field"),
    ("metadata", f"{ASSET}/metadata/database", None, "events", "null value not allowed"),
    ("metadata", f"{ASSET}/metadata/created_on", "2026-01-01T00:00:00", "events", "with a zone"),
    ("metadata", f"{ASSET}/fields/0/type", ..., "events", "required field"),
    ("metadata", f"{ASSET}/fields/0/nullable", True, "events", "unknown field"),
    ("metadata", f"{ASSET}/tags/0/key", "", "events", "empty values not allowed"),
    ("metadata", f"{ASSET}/volume/row_count", 1.5, "events", "must be of integer type"),
    ("metadata", f"{ASSET}/volume/row_count", True, "events", "must be of integer type"),
    ("metadata", f"{ASSET}/volume/byte_count", -1, "events", "min value is 0"),
    ("metadata", f"{ASSET}/freshness/last_update_time", "2026-03-12", "events", "with a zone"),
    ("metadata", f"{ASSET}/freshness/last_update_time", "yesterdayT", "events", "with a zone"),
    ("metadata", f"{ASSET}/freshness/at", "x", "events", "unknown field"),
    # edges
    ("lineage", "events/0/source", ref("src"), "events", "unknown field"),
    ("lineage", "events/0/sources", ..., "events", "required field"),
    ("lineage", "events/0/destination/type", ..., "events", "required field"),
    ("lineage", "events/0/destination/type", "MANAGED", "events", "unallowed value"),
    ("lineage", "events/0/destination/resource_uuid", WAREHOUSE, "events", "given together"),
    ("lineage", "events/0/fields/0/source_fields/0/asset_id", "d", "events", "is in no source"),
    ("lineage", "events/0/col_mappings", [], "events", "unknown field"),
    ("lineage", "event_type", "LINEAGE", "events", "only allowed with event_type COLUMN_LINEAGE"),
    ("lineage", "resource", ..., "resource", "required field"),
    # queries
    ("querylogs", "events/0/query_text", ..., "events", "required field"),
    ("querylogs", "events/0/query_text", None, "events", "null value not allowed"),
    ("querylogs", "events/0/start_time", "2026-01-01T08:00:00", "events", "with a zone"),
    ("querylogs", "events/0/end_time", None, "events", "with a zone"),
    ("querylogs", "events/0/end_time", "2026-01-01T07:59:59Z", "events", "is before start_time"),
    ("querylogs", "events/0/error_code", 1.5, "events", "must be of string or integer type"),
    ("querylogs", "events/0/returned_rows", "7", "events", "must be of integer type"),
    ("querylogs", "events/0/extra", [], "events", "must be of dict type"),
    ("querylogs", "events/0/default_database", "x", "events", "unknown field"),
    # jobs and runs
    ("etl/metadata", "event_type", "ETLRUN", "event_type", "unallowed value"),
    ("etl/metadata", "events/0/etl_asset/name", ..., "events", "required field"),
    ("etl/metadata", "events/0/etl_asset/tasks/1/task_source_id", "", "events", "empty values"),
    ("etl/metadata", "events/0/etl_asset/schedule", {}, "events", "unknown field"),
    ("etl/runs", "events/0", {"etl_asset": {}}, "events", "unknown field"),
    ("etl/runs", "events/0/status", "SUCCESS", "events", "unallowed value"),
    ("etl/runs", "events/0/trigger", "schedule", "events", "unallowed value"),
    ("etl/runs", "events/0/end_time", ..., "events", "required with status failed"),
    ("etl/runs", "events/0/end_time", "2026-01-01T07:59:59Z", "events", "is before start_time"),
    ("etl/runs", "events/0/error", ..., "events", "required with status failed"),
    ("etl/runs", "events/0/backfill_id", ..., "events", "required with trigger BACKFILL"),
    ("etl/runs", "events/0/event_time", "2026-01-01T08:00:00", "events", "with a zone"),
    ("etl/runs", "events/0/task_runs/0/end_time", ..., "events", "required with status success"),
    ("etl/runs", "events", [etl_runs()["events"][0]] * 101, "events", "max length is 100"),
]


@pytest.mark.parametrize(("endpoint", "path", "value", "field", "message"), FLAWS)
def test_one_flaw_is_refused_under_its_top_level_field(
    endpoint: Endpoint, path: str, value: object, field: str, message: str
) -> None:
    verdict = judged(endpoint, changed(BODIES[endpoint](), path, value))
    assert isinstance(verdict, InvalidBody)
    assert message in " | ".join(verdict.details[field])


def test_a_nested_flaw_says_where_it_is() -> None:
    body = metadata()
    body["events"] += [*metadata()["events"], *metadata()["events"]]
    verdict = judged("metadata", changed(body, "events/2/relational_asset/type", "MANAGED"))
    assert verdict == InvalidBody(
        details={"events": ["[2].relational_asset.type: unallowed value 'MANAGED'"]}
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": NaN}', "NaN is no JSON value"),
        (b'"\xff"', "not JSON in UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "must be of dict type"),
        (b"null", "null value not allowed"),
    ],
)
def test_what_is_no_json_object_is_refused(body: bytes, message: str) -> None:
    verdict = checked("metadata", body)
    assert isinstance(verdict, InvalidBody)
    assert message in verdict.details["body"][0]


def test_a_lone_surrogate_is_refused_and_a_pair_is_not() -> None:
    alone = changed(querylogs(), "events/0/query_text", "\ud83d")
    assert isinstance(judged("querylogs", alone), InvalidBody)
    pair = changed(querylogs(), "events/0/query_text", "\N{GRINNING FACE}")
    assert isinstance(judged("querylogs", pair), ValidBody)


def test_lineage_between_warehouses_names_them_on_every_table() -> None:
    own = {"resource_uuid": WAREHOUSE, "resource_type": "spark"}
    other = {"resource_uuid": OTHER_WAREHOUSE, "resource_type": "snowflake"}
    edge = {"destination": ref("dst", **own), "sources": [ref("src", **other)]}
    body: Body = {"event_type": "LINEAGE", "events": [edge]}
    assert judged("lineage", body) == ValidBody(
        resource_uuids=frozenset({WAREHOUSE.lower(), OTHER_WAREHOUSE}), events=1
    )


def test_many_flaws_are_counted_and_some_are_listed() -> None:
    body = querylogs()
    body["events"] = [{} for _ in range(50)]
    verdict = judged("querylogs", body)
    assert isinstance(verdict, InvalidBody)
    assert len(verdict.details["events"]) == MAX_MESSAGES
    assert verdict.details["more"] == [f"{150 - MAX_MESSAGES} more problems"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(endpoint=st.sampled_from(ENDPOINTS), body=json_values)
def test_any_json_gets_a_verdict(endpoint: Endpoint, body: object) -> None:
    assert isinstance(checked(endpoint, json.dumps(body).encode("utf-8")), InvalidBody)


def paths(value: Any, above: str = "") -> list[str]:
    """Every place in a body, as ``changed`` takes it."""
    steps: dict[str, Any] = {}
    if isinstance(value, dict):
        steps = cast("dict[str, Any]", value)
    elif isinstance(value, list):
        steps = {str(index): item for index, item in enumerate(cast("list[Any]", value))}
    below = [f"{above}{step}" for step in steps]
    return below + [path for step, item in steps.items() for path in paths(item, f"{above}{step}/")]


PLACES = [(endpoint, path) for endpoint, body in BODIES.items() for path in paths(body())]


@given(place=st.sampled_from(PLACES), junk=json_values)
def test_junk_anywhere_in_a_good_body_gets_a_verdict(
    place: tuple[Endpoint, str], junk: object
) -> None:
    endpoint, path = place
    verdict = judged(endpoint, changed(BODIES[endpoint](), path, junk))
    assert isinstance(verdict, ValidBody | InvalidBody)
