import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

import pytest

from iomete_mc_assets.collectors.catalog_changes import silent_scopes
from iomete_mc_assets.collectors.catalog_snapshot import CatalogConfig, collect
from iomete_mc_assets.collectors.limits import too_many
from iomete_mc_assets.collectors.surveying import LISTED_AT_ONCE
from iomete_mc_assets.errors import (
    HourFailed,
    LakehouseUnavailable,
    StatementFailed,
    StatementTimedOut,
)
from iomete_mc_assets.manifests.model import Draft, Verdict
from iomete_mc_assets.records import Column, Omission, SurveyedState, TableEntry, TableId
from iomete_mc_assets.warehouse import statements
from iomete_mc_assets.warehouse.properties import CANARY, REDACTED
from iomete_mc_assets.warehouse.rows import Row
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.scripted import Answer, ScriptedWarehouse

HOUR = HourWindow(datetime(2026, 11, 21, 9, tzinfo=UTC))
NOW = datetime(2026, 11, 21, 10, 5, tzinfo=UTC)
CATALOG = "spark_catalog"
NOT_FOUND = StatementFailed(
    "no such table.", sql_state="42P01", error_class="TABLE_OR_VIEW_NOT_FOUND"
)
NO_EXTENDED = StatementFailed("not for v2.", error_class="_LEGACY_ERROR_TEMP_1200")
BROKEN = StatementFailed("metadata file is gone.")
ODD = StatementFailed("cannot recognize a type.", error_class="CANNOT_RECOGNIZE_HIVE_TYPE")
HIDES: dict[str, Answer] = {
    statements.show_setting(CANARY[0]): [{"key": CANARY[0], "value": REDACTED}]
}
"""Every survey asks first whether the session hides what could be misread."""


def named(column: str, *names: str, temporary: Sequence[str] = ()) -> list[Row]:
    return [
        {"namespace": "db", column: name, "isTemporary": name in temporary}
        for name in (*names, *temporary)
    ]


def block(table: str, *, extra: str = "", schema: bool = True) -> Row:
    fields = {
        "type": "struct",
        "fields": [{"id": 1, "name": "Id", "required": True, "type": "long"}],
    }
    shown = f"current-schema={json.dumps(fields)}, " if schema else ""
    return {
        "namespace": "db",
        "tableName": table,
        "isTemporary": False,
        "information": (
            f"Catalog: {CATALOG}\nDatabase: db\nTable: {table}\nOwner: ana\n"
            f"Type: EXTERNAL\nProvider: hive\nTable Properties: [{shown}{extra}metadata_location=file:/{table}, "
            f"snapshot-count=0, table_type=ICEBERG, uuid=u-{table}]\nLocation: file:/w\nSchema: root\n"
            " |-- id: long (nullable = true)\n\n"
        ),
    }


def described(
    *, provider: str = "iceberg", properties: str = "[current-snapshot-id=none]"
) -> list[Row]:
    rows = [
        ("Id", "bigint"),
        ("", ""),
        ("# Detailed Table Information", ""),
        ("Provider", provider),
        ("Table Properties", properties),
    ]
    return [{"col_name": name, "data_type": kind, "comment": ""} for name, kind in rows]


def asked_itself(
    name: str, *, created: str = "Id BIGINT NOT NULL", present: Sequence[Row] = ()
) -> dict[str, Answer]:
    """What an Iceberg table answers that no block tells everything of."""
    statement = f"CREATE TABLE {CATALOG}.db.{name} (\n  {created})\nUSING iceberg\n"
    return {
        statements.describe_table(table(name)): described(),
        statements.present_state(table(name)): present,
        statements.show_create_table(table(name)): [{"createtab_stmt": statement}],
    }


def present(name: str) -> list[Row]:
    return [
        {"kind": "m", "snapshot_id": None, "at_ms": 1, "file": f"file:/{name}/1", "summary": None},
        {"kind": "c", "snapshot_id": 0, "at_ms": None, "file": None, "summary": None},
    ]


def session_catalog(*tables: str, blocks: Sequence[Row] | None = None) -> dict[str, Answer]:
    return {
        **HIDES,
        statements.use_catalog(CATALOG): [],
        statements.show_namespaces(CATALOG): [{"namespace": "db"}],
        statements.describe_namespace(CATALOG, ("db",)): [],
        statements.show_tables(CATALOG, ("db",)): named("tableName", *tables),
        statements.show_table_extended(CATALOG, ("db",)): (
            [block(table) for table in tables] if blocks is None else blocks
        ),
    }


def hour(
    answers: dict[str, Answer],
    *,
    exclude: tuple[str, ...] = (),
    catalogs: tuple[str, ...] = (CATALOG,),
) -> tuple[list[TableEntry], Verdict]:
    config = CatalogConfig(catalogs=catalogs, exclude=exclude)
    warehouse = ScriptedWarehouse(answers)
    [(_, draft)] = collect([HOUR], warehouse, config=config, newest_known=None, now=NOW)
    assert isinstance(draft, Draft), draft
    entries = [record for record in draft.records if isinstance(record, TableEntry)]
    verdict = draft.verdict()
    assert verdict.counts.get("statements") == len(warehouse.asked)
    return entries, verdict


def failure(answers: dict[str, Answer]) -> Exception:
    config = CatalogConfig(catalogs=(CATALOG,))
    [(_, error)] = collect(
        [HOUR], ScriptedWarehouse(answers), config=config, newest_known=None, now=NOW
    )
    assert isinstance(error, Exception)
    return error


def table(name: str) -> TableId:
    return TableId(CATALOG, ("db",), name)


def test_a_session_catalog_costs_one_survey_statement_a_database() -> None:
    entries, verdict = hour(session_catalog("a", "b"))
    assert [entry.table for entry in entries] == [table("a"), table("b")]
    assert verdict.state == "complete"
    assert verdict.counts == {
        "tables": 2,
        "views": 0,
        "iceberg tables": 2,
        "other tables": 0,
        "columns": 2,
        "databases": 1,
        "described one by one": 0,
        "statements": 6,
    }


def test_databases_one_after_the_other_keep_their_own_blocks_and_failures() -> None:
    """A database's blocks are read while the next one is listed."""
    answers = session_catalog("a", "lost")
    answers[statements.show_table_extended(CATALOG, ("db",))] = [block("a")]
    answers[statements.describe_table(table("lost"))] = BROKEN
    answers[statements.show_namespaces(CATALOG)] = [
        {"namespace": name} for name in ("db", "empty", "shut", "z")
    ]
    for name in ("empty", "shut", "z"):
        answers[statements.describe_namespace(CATALOG, (name,))] = []
    answers[statements.show_tables(CATALOG, ("empty",))] = []  # and is asked for nothing else
    answers[statements.show_tables(CATALOG, ("shut",))] = BROKEN
    answers[statements.show_tables(CATALOG, ("z",))] = named("tableName", "a", "b")
    answers[statements.show_table_extended(CATALOG, ("z",))] = [block("a"), block("b")]
    entries, verdict = hour(answers)
    assert [entry.table.shown for entry in entries] == [
        "spark_catalog.db.a",
        "spark_catalog.z.a",
        "spark_catalog.z.b",
    ]
    assert {one.scope for one in verdict.omissions} == {
        "spark_catalog.db.lost",
        "spark_catalog.shut",
    }
    assert (verdict.counts["databases"], verdict.counts["described one by one"]) == (4, 1)


def test_only_the_newest_hour_is_listed_and_the_others_are_unknown_without_records() -> None:
    warehouse = ScriptedWarehouse(session_catalog("a"))
    answers = dict(
        collect(
            [HOUR, HOUR.previous, HOUR.next],
            warehouse,
            config=CatalogConfig(catalogs=(CATALOG,)),
            newest_known=HOUR,
            now=NOW,
        )
    )
    older, newest, running = (answers[one] for one in (HOUR.previous, HOUR, HOUR.next))
    assert isinstance(older, Draft)
    assert (older.verdict().state, list(older.records)) == ("unknown", [])
    assert isinstance(newest, Draft)
    assert newest.verdict().state == "complete"
    assert isinstance(running, HourFailed)


@pytest.mark.parametrize(
    ("newest_known", "now", "state"),
    [
        (None, HOUR.end + timedelta(hours=2) - timedelta(seconds=1), "complete"),
        (None, HOUR.end + timedelta(hours=2), "unknown"),
        (HOUR.previous, NOW, "complete"),
        (HOUR.next, NOW, "unknown"),
    ],
)
def test_ledger_6_a_listing_stands_for_an_hour_two_hours_long_and_never_below_a_newer_one(
    newest_known: HourWindow | None, now: datetime, state: str
) -> None:
    config = CatalogConfig(catalogs=(CATALOG,))
    warehouse = ScriptedWarehouse(session_catalog("a"))
    [(_, draft)] = collect([HOUR], warehouse, config=config, newest_known=newest_known, now=now)
    assert isinstance(draft, Draft)
    assert draft.verdict().state == state
    assert bool(warehouse.asked) == (state == "complete")


def test_tables_the_survey_did_not_bring_are_described_and_named() -> None:
    answers = session_catalog("a", "b", blocks=[block("a")])
    answers |= asked_itself("b", present=present("b"))
    entries, verdict = hour(answers)
    assert [entry.table.table for entry in entries] == ["a", "b"]
    [omission] = verdict.omissions
    assert (omission.scope, omission.question) == ("spark_catalog.db.b", "uuid")
    assert "listing left it out" in omission.reason
    assert entries[1].columns[0].required is True
    assert entries[1].state == SurveyedState(metadata_location="file:/b/1", snapshot_count=0)


def test_an_empty_survey_of_a_full_database_is_never_an_empty_database() -> None:
    answers = session_catalog("a", blocks=[])
    answers[statements.describe_table(table("a"))] = BROKEN
    error = failure(answers)
    assert isinstance(error, HourFailed)
    assert "spark_catalog.db.a" in str(error)


def test_a_table_dropped_meanwhile_is_no_omission() -> None:
    answers = session_catalog("a", "b", blocks=[block("a")])
    answers[statements.describe_table(table("b"))] = NOT_FOUND
    warehouse = ScriptedWarehouse(answers)
    ask = warehouse.ask

    def drop_b(statement: str, *, deadline_s: float | None = None) -> Sequence[Row]:
        if statement == statements.describe_table(table("b")):
            warehouse.answers[statements.show_tables(CATALOG, ("db",))] = named("tableName", "a")
        return ask(statement, deadline_s=deadline_s)

    warehouse.ask = drop_b
    config = CatalogConfig(catalogs=(CATALOG,))
    [(_, draft)] = collect([HOUR], warehouse, config=config, newest_known=None, now=NOW)
    assert isinstance(draft, Draft)
    assert draft.verdict().state == "complete"
    assert len(list(draft.records)) == 1


def test_an_unreadable_table_is_an_omission_and_the_rest_stands() -> None:
    answers = session_catalog("a", "b", blocks=[block("a")])
    answers[statements.describe_table(table("b"))] = BROKEN
    entries, verdict = hour(answers)
    assert [entry.table.table for entry in entries] == ["a"]
    assert verdict.state == "partial"
    [omission] = verdict.omissions
    assert (omission.scope, omission.question, omission.kind, omission.reason) == (
        "spark_catalog.db.b",
        "columns",
        "unreadable",
        "metadata file is gone.",
    )


def test_a_missing_schema_is_described_and_the_survey_keeps_the_state() -> None:
    answers = session_catalog("a", blocks=[block("a", schema=False)])
    answers |= asked_itself("a")
    [entry], _ = hour(answers)
    assert entry.columns == (Column(name="Id", type="BIGINT", required=True),)
    assert entry.state is not None
    assert entry.state.uuid == "u-a"


def test_what_opted_out_or_matches_a_pattern_or_is_temporary_is_counted_and_left_out() -> None:
    opted = block("c", extra="iomete.governance.index=false, ")
    answers = session_catalog("a", "b", "c", blocks=[block("a"), block("b"), opted])
    answers[statements.show_tables(CATALOG, ("db",))] = named(
        "tableName", "a", "b", "c", temporary=["tv"]
    )
    answers[statements.show_namespaces(CATALOG)] = [
        {"namespace": name} for name in ("db", "iomete_system_db", "off", "sys")
    ]
    answers[statements.describe_namespace(CATALOG, ("off",))] = [
        {"info_name": "Properties", "info_value": "((iomete.governance.index,false))"}
    ]
    entries, verdict = hour(answers, exclude=("*.DB.b*",))
    assert [entry.table.table for entry in entries] == ["a"]
    assert verdict.state == "complete"
    assert {name: count for name, count in verdict.counts.items() if "excluded" in name} == {
        "excluded: opted out": 2,
        "excluded: pattern": 1,
        "excluded: system database": 2,
        "excluded: temporary view": 1,
    }


def test_a_database_left_out_by_a_pattern_is_counted_and_asked_for_nothing() -> None:
    answers = session_catalog("a")
    answers[statements.show_namespaces(CATALOG)] = [{"namespace": "db"}, {"namespace": "shut"}]
    entries, verdict = hour(answers, exclude=("*.shut.*",))
    assert [entry.table.table for entry in entries] == ["a"]
    assert (verdict.state, verdict.counts["excluded: database by pattern"]) == ("complete", 1)


def test_a_large_database_is_surveyed_by_patterns_and_what_they_miss_is_described() -> None:
    names = [f"{prefix}_{number:04}" for prefix in "abc" for number in range(800)]
    patterns = statements.name_patterns(names, at_most=LISTED_AT_ONCE)
    assert patterns == ["a*", "b*", "c*"]
    answers = session_catalog(*names)
    del answers[statements.show_table_extended(CATALOG, ("db",))]
    for pattern in patterns:
        matched = [name for name in names if fnmatchcase(name, pattern)]
        # an underscore may match any character at the metastore, so a block may come twice
        shown = [block(name) for name in [*matched, names[0]] if name != "b_0007"]
        asked = statements.show_table_extended(CATALOG, ("db",), pattern=pattern)
        answers[asked] = shown
    answers |= asked_itself("b_0007")
    entries, verdict = hour(answers)
    assert [entry.table.table for entry in entries] == names
    assert verdict.counts["described one by one"] == 1
    assert [one.scope for one in verdict.omissions] == ["spark_catalog.db.b_0007"]


def test_a_pattern_that_hangs_costs_its_own_tables_a_describe_each() -> None:
    names = [f"{prefix}_{number:04}" for prefix in "ab" for number in range(800)]
    answers = session_catalog(*names)
    del answers[statements.show_table_extended(CATALOG, ("db",))]
    answers[statements.show_table_extended(CATALOG, ("db",), pattern="a*")] = StatementTimedOut(
        "hung"
    )
    answers[statements.show_table_extended(CATALOG, ("db",), pattern="b*")] = [
        block(name) for name in names if name.startswith("b")
    ]
    for name in names[:800]:
        answers |= asked_itself(name)
    answers[statements.describe_table(table("a_0003"))] = BROKEN
    entries, verdict = hour(answers)
    assert [entry.table.table for entry in entries] == [name for name in names if name != "a_0003"]
    assert verdict.counts["described one by one"] == 800
    told = {one.scope.rpartition(".")[2]: one for one in verdict.omissions}
    assert sorted(told) == names[:800]
    assert [name for name, one in told.items() if one.question != "uuid"] == ["a_0003"]
    assert told["a_0000"].reason.endswith("without its uuid: hung")


def listing(pattern: str) -> str:
    return statements.show_table_extended(CATALOG, ("db",), pattern=pattern)


def unlistable(names: Sequence[str], *odd: str) -> tuple[dict[str, Answer], ScriptedWarehouse]:
    """A database of whose tables the metastore cannot convert some, so that any listing with one of them fails."""
    answers = session_catalog(*names)
    for name in odd:
        answers |= asked_itself(name, present=present(name))
    warehouse = ScriptedWarehouse(answers)
    ask = warehouse.ask

    def fail_with_any(statement: str, *, deadline_s: float | None = None) -> Sequence[Row]:
        if statement.startswith(listing("*")[:-4]):
            alternatives = statement.split("LIKE '")[1].removesuffix("'").split("|")
            matched = [
                name for name in names if any(fnmatchcase(name, one) for one in alternatives)
            ]
            warehouse.answers[statement] = (
                ODD if set(odd) & set(matched) else [block(name) for name in matched]
            )
        return ask(statement, deadline_s=deadline_s)

    warehouse.ask = fail_with_any
    return answers, warehouse


def surveyed(warehouse: ScriptedWarehouse) -> tuple[list[TableEntry], Verdict, list[str]]:
    [(_, draft)] = collect(
        [HOUR], warehouse, config=CatalogConfig(catalogs=(CATALOG,)), newest_known=None, now=NOW
    )
    assert isinstance(draft, Draft), draft
    entries = [record for record in draft.records if isinstance(record, TableEntry)]
    listings = [one for one in warehouse.asked if "SHOW TABLE EXTENDED" in one]
    return entries, draft.verdict(), listings


def test_a_table_that_fails_the_listing_is_found_and_read_from_itself_alone() -> None:
    """A nested field name such as user-agent is enough for Spark to give up the whole database."""
    names = [f"{prefix}_{number:03}" for prefix in "abcd" for number in range(100)]
    _, warehouse = unlistable(names, "b_042")
    entries, verdict, listings = surveyed(warehouse)
    assert [entry.table.table for entry in entries] == names
    states = {entry.table.table: entry.state for entry in entries}
    assert states["b_041"] == SurveyedState(
        uuid="u-b_041", metadata_location="file:/b_041", snapshot_count=0
    )
    assert states["b_042"] == SurveyedState(metadata_location="file:/b_042/1", snapshot_count=0)
    assert all(entry.columns[0].required for entry in entries)
    assert verdict.counts["described one by one"] == 1
    [omission] = verdict.omissions
    assert (omission.scope, omission.question, omission.kind) == (
        "spark_catalog.db.b_042",
        "uuid",
        "unknowable",
    )
    assert "cannot recognize a type." in omission.reason
    assert len(listings) <= 25


def test_several_tables_that_fail_the_listing_are_each_found() -> None:
    names = [f"t_{number:03}" for number in range(200)]
    _, warehouse = unlistable(names, "t_000", "t_077", "t_199")
    entries, verdict, listings = surveyed(warehouse)
    assert [entry.table.table for entry in entries] == names
    assert sorted(one.scope[-5:] for one in verdict.omissions) == ["t_000", "t_077", "t_199"]
    assert len(listings) <= 60


def test_a_database_that_cannot_be_listed_by_any_pattern_is_not_narrowed_for_ever() -> None:
    names = [f"t_{number:03}" for number in range(300)]
    _, warehouse = unlistable(names, *names)
    entries, verdict, listings = surveyed(warehouse)
    assert [entry.table.table for entry in entries] == names
    assert verdict.counts["described one by one"] == 300
    assert len(verdict.omissions) == 300
    assert len(listings) <= 60


def test_a_table_that_fails_the_listing_is_compared_with_the_hour_before_all_the_same() -> None:
    assert silent_scopes(
        [
            Omission(scope="c.d.t", question="uuid", kind="unknowable", reason="r"),
            Omission(scope="c.d.u", question="columns", kind="unreadable", reason="r"),
        ]
    ) == {"c.d.u"}


def test_a_block_that_can_be_misread_is_read_by_what_other_listings_tell() -> None:
    forged = (
        "current-snapshot-id=5, current-snapshot-summary={}, current-snapshot-timestamp-ms=7, zz"
    )
    answers = session_catalog("a", blocks=[block("a", extra=f"{forged}={REDACTED}, ")])
    answers |= {
        statements.describe_table(table("a")): described(),
        statements.show_table_properties(table("a")): [{"key": forged, "value": REDACTED}],
    }
    [entry], verdict = hour(answers)
    assert entry.state == SurveyedState(uuid="u-a", metadata_location="file:/a", snapshot_count=0)
    assert entry.columns[0].required is True
    assert verdict.state == "complete"


def test_no_block_is_believed_where_the_session_hides_nothing() -> None:
    answers = session_catalog("a")
    answers[statements.show_setting(CANARY[0])] = [{"key": CANARY[0], "value": CANARY[1]}]
    answers |= asked_itself("a", present=present("a"))
    [entry], verdict = hour(answers)
    assert entry.state == SurveyedState(metadata_location="file:/a/1", snapshot_count=0)
    [omission] = verdict.omissions
    assert (omission.scope, omission.question, omission.kind) == (CATALOG, "listing", "unreadable")
    assert "spark.sql.redaction.options.regex" in omission.reason


def test_a_database_that_may_only_look_opted_out_is_listed_and_named() -> None:
    answers = session_catalog("a")
    text = f"((a), (iomete.governance.index,false), (b,{REDACTED}))"
    answers[statements.describe_namespace(CATALOG, ("db",))] = [
        {"info_name": "Comment", "info_value": "((iomete.governance.index,false))"},
        {"info_name": "Properties", "info_value": text},
    ]
    entries, verdict = hour(answers)
    assert len(entries) == 1
    [omission] = verdict.omissions
    assert (omission.scope, omission.question) == ("spark_catalog.db", "opt-out")


def v2_catalog(*tables: str) -> dict[str, Answer]:
    return {
        **HIDES,
        statements.use_catalog("lake"): [],
        statements.show_namespaces("lake"): [{"namespace": "ns"}],
        statements.show_namespaces("lake", ("ns",)): [],
        statements.describe_namespace("lake", ("ns",)): [],
        statements.show_tables("lake", ("ns",)): named("tableName", *tables),
        statements.show_views("lake", ("ns",)): [],
        statements.show_table_extended("lake", ("ns",)): NO_EXTENDED,
        **{
            statements.describe_table(TableId("lake", ("ns",), name)): described()
            for name in tables
        },
    }


def test_tables_whose_names_differ_in_case_only_are_kept_and_named() -> None:
    entries, verdict = hour(v2_catalog("Orders", "other", "orders"), catalogs=("lake",))
    assert [entry.table.table for entry in entries] == ["Orders", "orders", "other"]
    [omission] = verdict.omissions
    assert (omission.scope, omission.question, omission.kind) == (
        "lake.ns.orders",
        "name",
        "unknowable",
    )
    assert "lake.ns.Orders" in omission.reason


def test_nested_fields_of_a_v2_catalog_are_told_by_the_create_statement() -> None:
    odd, plain = (TableId("lake", ("ns",), name) for name in ("odd", "plain"))
    answers = v2_catalog("odd", "plain")
    answers[statements.describe_table(odd)] = [
        {"col_name": "s", "data_type": "struct<a:int,b:string>", "comment": None},
        *described()[1:],
    ]
    answers[statements.show_create_table(odd)] = [
        {"createtab_stmt": "CREATE TABLE lake.ns.odd (\n  s STRUCT<`a:int,b`: STRING>)\nUSING x"}
    ]
    entries, verdict = hour(answers, catalogs=("lake",))
    assert [entry.table for entry in entries] == [odd, plain]
    assert [entry.columns[0].type for entry in entries] == ["STRUCT<`a:int,b`: STRING>", "BIGINT"]
    assert verdict.state == "complete"
    answers[statements.show_create_table(odd)] = BROKEN
    _, verdict = hour(answers, catalogs=("lake",))
    assert [one.scope for one in verdict.omissions] == ["lake.ns.odd"]


def test_nested_fields_that_can_be_read_in_two_ways_are_named_and_claimed_in_none() -> None:
    odd = TableId("lake", ("ns",), "odd")
    answers = v2_catalog("odd", "plain")
    answers[statements.describe_table(odd)] = [
        {"col_name": "s", "data_type": "struct<a:int,b:int>", "comment": None},
        *described()[1:],
    ]
    columns = "s STRUCT<a: INT COMMENT '\\', b: INT COMMENT ', b: INT>)\n'>)\nUSING x"
    answers[statements.show_create_table(odd)] = [
        {"createtab_stmt": f"CREATE TABLE lake.ns.odd (\n  {columns}"}
    ]
    entries, verdict = hour(answers, catalogs=("lake",))
    assert [entry.table.table for entry in entries] == ["odd", "plain"]
    assert entries[0].columns == (Column(name="s", type="struct<a:int,b:int>"),)
    [omission] = verdict.omissions
    assert (omission.scope, omission.question, omission.kind) == (
        "lake.ns.odd",
        "nested fields",
        "unknowable",
    )
    assert silent_scopes(verdict.omissions) == frozenset()


def test_nested_fields_of_a_table_that_opted_out_are_nobodys_business() -> None:
    odd = TableId("lake", ("ns",), "odd")
    answers = v2_catalog("odd")
    answers[statements.describe_table(odd)] = [
        {"col_name": "s", "data_type": "struct<a:int,b:int>", "comment": None},
        *described(properties="[iomete.governance.index=false]")[1:],
    ]
    answers[statements.show_create_table(odd)] = [{"createtab_stmt": "not understood"}]
    answers[statements.show_table_properties(odd)] = [
        {"key": "iomete.governance.index", "value": "false"}
    ]
    entries, verdict = hour(answers, catalogs=("lake",))
    assert (entries, verdict.state) == ([], "complete")
    assert verdict.counts["excluded: opted out"] == 1


def test_a_block_under_a_name_in_other_case_belongs_to_the_name_as_listed() -> None:
    """SHOW TABLES may keep a case that the metastore folds: that is one table, not two."""
    answers = session_catalog("Orders", blocks=[block("orders")])
    entries, verdict = hour(answers)
    assert [entry.table.table for entry in entries] == ["Orders"]
    assert verdict.counts["described one by one"] == 0


def test_a_v2_catalog_is_walked_by_namespace_and_described_table_by_table() -> None:
    odd, view = TableId("lake", ("ns", "In ner"), "Odd-1"), TableId("lake", ("ns",), "v")
    answers: dict[str, Answer] = {
        **HIDES,
        statements.use_catalog("lake"): [],
        statements.show_namespaces("lake"): [{"namespace": "ns"}],
        statements.show_namespaces("lake", ("ns",)): [{"namespace": "ns.`In ner`"}],
        statements.show_namespaces("lake", ("ns", "In ner")): [],
        statements.show_tables("lake", ("ns",)): [],
        statements.show_tables("lake", ("ns", "In ner")): named("tableName", "Odd-1"),
        statements.show_views("lake", ("ns",)): named("viewName", "v"),
        statements.show_views("lake", ("ns", "In ner")): StatementFailed(
            "no views here.", error_class="_LEGACY_ERROR_TEMP_1184"
        ),
        statements.show_table_extended("lake", ("ns",)): NO_EXTENDED,
        statements.describe_table(odd): described(properties="[current-snapshot-id=42]"),
        statements.describe_table(view): [
            {"col_name": name, "data_type": kind, "comment": ""}
            for name, kind in (
                ("a", "int"),
                ("", ""),
                ("# Detailed View Information", ""),
                ("View Text", "SELECT 1 AS a"),
            )
        ],
    }
    for namespace in (("ns",), ("ns", "In ner")):
        answers[statements.describe_namespace("lake", namespace)] = []
    entries, verdict = hour(answers, catalogs=("lake",))
    assert [(entry.table, entry.kind) for entry in entries] == [(view, "view"), (odd, "table")]
    assert entries[1].state is not None
    assert entries[1].state.snapshot_id == 42
    assert verdict.state == "complete"


@pytest.mark.parametrize(("denied", "red"), [(3, False), (4, True)])
def test_a_denied_database_counts_once_however_many_tables_it_may_hold(
    denied: int, *, red: bool
) -> None:
    answers = session_catalog("a", "b")
    shut = [f"shut_{n}" for n in range(denied)]
    answers[statements.show_namespaces(CATALOG)] = [{"namespace": one} for one in ("db", *shut)]
    for one in shut:
        answers[statements.describe_namespace(CATALOG, (one,))] = []
        answers[statements.show_tables(CATALOG, (one,))] = StatementFailed("no permission.")
    if red:
        assert f"{denied} of {denied + 2} tables and databases" in str(failure(answers))
    else:
        entries, verdict = hour(answers)
        assert [entry.table.table for entry in entries] == ["a", "b"]
        assert [one.scope for one in verdict.omissions] == [f"{CATALOG}.{one}" for one in shut]
        assert verdict.collector_state == {
            "databases": [f"{CATALOG}.db", *(f"{CATALOG}.{one}" for one in shut)]
        }


def test_a_database_that_cannot_be_listed_is_an_omission_of_its_own() -> None:
    answers = session_catalog("a")
    answers[statements.show_namespaces(CATALOG)] = [{"namespace": "db"}, {"namespace": "shut"}]
    answers[statements.describe_namespace(CATALOG, ("shut",))] = []
    answers[statements.show_tables(CATALOG, ("shut",))] = StatementFailed("no permission.")
    entries, verdict = hour(answers)
    assert len(entries) == 1
    assert verdict.state == "partial"
    assert [one.scope for one in verdict.omissions] == ["spark_catalog.shut"]


def test_a_catalog_that_cannot_be_listed_fails_the_hour_by_name() -> None:
    answers: dict[str, Answer] = {
        **HIDES,
        statements.use_catalog(CATALOG): StatementFailed("unknown."),
    }
    assert "The catalog spark_catalog cannot be listed: unknown." in str(failure(answers))


def test_a_lakehouse_that_goes_away_is_the_hours_answer() -> None:
    answers = session_catalog("a")
    answers[statements.show_table_extended(CATALOG, ("db",))] = LakehouseUnavailable("gone.")
    assert isinstance(failure(answers), LakehouseUnavailable)


def test_more_than_three_unreadable_above_the_share_fail_the_hour() -> None:
    answers = session_catalog(*"abcdefgh", blocks=[block(name) for name in "abcd"])
    for name in "efgh":
        answers[statements.describe_table(table(name))] = BROKEN
    assert "4 of 8 tables" in str(failure(answers))


@pytest.mark.parametrize(
    ("unreadable", "asked", "verdict"),
    [(3, 3, False), (4, 80, False), (4, 79, True), (5, 100, False), (6, 100, True), (0, 0, False)],
)
def test_ledger_2_three_are_always_tolerated_and_the_share_is_never_rounded(
    unreadable: int, asked: int, verdict: bool
) -> None:
    assert too_many(unreadable, asked=asked, percent=5) is verdict
