from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.collectors.catalog_changes import (
    KINDS,
    SHOWN_CHARACTERS,
    EarlierCatalog,
    changes_since,
)
from iomete_mc_assets.collectors.exclusions import Exclusion
from iomete_mc_assets.collectors.surveying import Survey
from iomete_mc_assets.manifests.model import CHANGE_SAMPLE, Changes
from iomete_mc_assets.records import Change, Column, Omission, SurveyedState, TableEntry, TableId
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.record_strategies import table_entries

HOUR = HourWindow.from_key("2026-11-21-09:00")
ID = Column(name="id", type="BIGINT", required=True)
NAME = Column(name="name", type="STRING", required=False, comment="full name")


def table(
    name: str,
    *columns: Column,
    uuid: str | None = None,
    comment: str | None = None,
    catalog: str = "spark_catalog",
) -> TableEntry:
    return TableEntry(
        table=TableId(catalog, ("db",), name),
        kind="table",
        format="iceberg",
        columns=columns or (ID, NAME),
        comment=comment,
        state=SurveyedState(uuid=uuid or f"uuid-{name}"),
    )


def view(name: str) -> TableEntry:
    return replace(table(name), kind="view", format="other", state=None)


def earlier(
    *entries: TableEntry,
    silent: frozenset[str] | None = frozenset(),
    catalogs: tuple[str, ...] = ("spark_catalog",),
    databases: tuple[str, ...] = ("spark_catalog.db",),
) -> EarlierCatalog:
    return EarlierCatalog(
        manifest_id="m",
        window=HOUR,
        catalogs=catalogs,
        databases=frozenset(databases),
        entries=entries,
        silent=silent,
    )


def survey(
    *entries: TableEntry,
    unreadable: tuple[str, ...] = (),
    left_out: dict[str, Exclusion] | None = None,
    databases: tuple[str, ...] = ("spark_catalog.db",),
) -> Survey:
    return Survey(
        entries=entries,
        omissions=tuple(
            Omission(scope=scope, question="columns", kind="unreadable", reason="gone.")
            for scope in unreadable
        ),
        counts={},
        databases=frozenset(databases),
        left_out=left_out or {},
        asked=0,
        unreadable=0,
    )


def changes(
    before: EarlierCatalog | None,
    now: Survey,
    *,
    catalogs: tuple[str, ...] = ("spark_catalog",),
) -> Changes:
    return changes_since(before, now, catalogs=catalogs)


def found(before: TableEntry, after: TableEntry) -> list[Change]:
    return list(changes(earlier(before), survey(after)).sample)


def test_without_an_earlier_catalog_nothing_is_claimed() -> None:
    said = changes(None, survey(table("t")))
    assert (said.since, dict(said.counts), said.sample) == (None, {}, ())
    assert said.reason == "there is no earlier catalog to compare with"


def test_an_earlier_catalog_that_does_not_list_its_omissions_is_no_basis_for_any_claim() -> None:
    said = changes(earlier(table("t"), silent=None), survey())
    assert (said.since, dict(said.counts), said.sample) == (None, {}, ())
    assert said.reason is not None
    assert HOUR.key in said.reason


def test_an_unchanged_catalog_counts_every_kind_as_zero() -> None:
    said = changes(earlier(table("t"), view("v")), survey(table("t"), view("v")))
    assert said == Changes(since=HOUR, counts=dict.fromkeys(KINDS, 0))


def test_a_database_that_is_not_listed_any_more_is_named_before_its_tables() -> None:
    said = changes(earlier(table("a"), view("b")), survey(databases=("spark_catalog.other",)))
    assert said.sample == (
        Change(kind="database dropped", scope="spark_catalog.db", before="2 tables and views"),
        Change(kind="table dropped", scope="spark_catalog.db.a"),
        Change(kind="table dropped", scope="spark_catalog.db.b"),
    )


def test_a_database_that_was_denied_before_it_vanished_is_named_too() -> None:
    before = earlier(silent=frozenset({"spark_catalog.db"}))
    assert changes(before, survey(databases=())).sample == (
        Change(kind="database dropped", scope="spark_catalog.db"),
    )


@pytest.mark.parametrize(
    "now",
    [
        survey(),  # it lost its tables alone
        survey(databases=(), left_out={"spark_catalog.db": "pattern"}),
        survey(databases=(), unreadable=("spark_catalog.db",)),
        survey(databases=(), unreadable=("spark_catalog",)),
    ],
)
def test_a_database_that_is_listed_or_not_told_of_is_not_taken_for_dropped(now: Survey) -> None:
    assert changes(earlier(table("a")), now).counts["database dropped"] == 0


def test_a_database_that_an_upgrade_shows_in_another_case_is_the_same() -> None:
    shown = ("spark_catalog.Db",), ("spark_catalog.dB",)
    assert changes(earlier(databases=shown[0]), survey(databases=shown[1])).total == 0


def test_a_database_inside_one_that_is_left_out_or_of_another_catalog_is_not_dropped() -> None:
    before = earlier(databases=("lake.a.b", "lake.a"), catalogs=("lake",))
    now = survey(databases=(), left_out={"lake.a": "pattern"})
    assert changes(before, now, catalogs=("lake",)).total == 0
    assert changes(before, survey(databases=()), catalogs=("other",)).total == 0
    assert changes(before, survey(databases=("lake.a",)), catalogs=("lake",)).sample == (
        Change(kind="database dropped", scope="lake.a.b"),
    )


def test_tables_come_and_go() -> None:
    said = changes(earlier(table("old"), table("kept")), survey(table("kept"), table("new")))
    assert said.sample == (
        Change(kind="table added", scope="spark_catalog.db.new"),
        Change(kind="table dropped", scope="spark_catalog.db.old"),
    )
    assert (said.counts["table added"], said.counts["table dropped"], said.total) == (1, 1, 2)


def test_an_old_uuid_under_a_new_name_is_a_rename_and_its_columns_are_compared() -> None:
    assert found(table("old", ID, uuid="u"), table("new", ID, NAME, uuid="u")) == [
        Change(
            kind="table renamed",
            scope="spark_catalog.db.new",
            before="spark_catalog.db.old",
            after="spark_catalog.db.new",
        ),
        Change(kind="column added", scope="spark_catalog.db.new.name", after="STRING"),
    ]


def test_a_registered_copy_shares_the_uuid_and_renames_nothing() -> None:
    one, other = table("one", uuid="u"), table("other", uuid="u")
    said = changes(earlier(table("old", uuid="u")), survey(one, other))
    assert (said.counts["table renamed"], said.counts["table added"]) == (0, 2)
    said = changes(earlier(one), survey(one, other))
    assert (said.counts["table renamed"], said.counts["table added"], said.total) == (0, 1, 1)


def renamed(old: str, new: str) -> Change:
    scope = f"spark_catalog.db.{new}"
    before = f"spark_catalog.db.{old}"
    return Change(kind="table renamed", scope=scope, before=before, after=scope)


def test_blue_and_green_that_change_names_are_renames_and_nothing_else() -> None:
    blue, green = table("blue", ID, uuid="u"), table("green", ID, NAME, uuid="w")
    before = earlier(blue, green)
    after = survey(replace(green, table=blue.table), replace(blue, table=green.table))
    assert changes(before, after).sample == (renamed("green", "blue"), renamed("blue", "green"))


def test_a_name_that_a_renamed_table_left_or_took_is_no_table_created_again() -> None:
    old = table("t", uuid="u")
    left = changes(earlier(old), survey(table("archive", uuid="u"), table("t", uuid="w")))
    assert left.sample == (
        Change(kind="table added", scope="spark_catalog.db.t"),
        renamed("t", "archive"),
    )
    taken = changes(earlier(old, table("new", uuid="w")), survey(table("t", uuid="w")))
    assert taken.sample == (
        Change(kind="table dropped", scope="spark_catalog.db.t"),
        renamed("new", "t"),
    )


def test_without_uuids_a_new_name_is_a_drop_and_an_addition() -> None:
    said = changes(earlier(view("old")), survey(view("new")))
    assert [one.kind for one in said.sample] == ["table added", "table dropped"]


def test_another_table_or_a_view_under_the_same_name_is_re_created() -> None:
    again = Change(kind="table re-created", scope="spark_catalog.db.t")
    assert found(table("t", uuid="u"), table("t", uuid="w")) == [again]
    assert found(table("t"), view("t")) == [again]


def test_a_name_shown_in_another_case_is_the_same_table() -> None:
    assert found(view("Orders"), view("orders")) == []


def test_columns_come_go_and_change_their_type_or_not_null() -> None:
    before = table("t", ID, NAME, Column(name="at", type="DATE", required=False))
    after = table(
        "t",
        replace(ID, required=False),
        Column(name="at", type="TIMESTAMP", required=False),
        Column(name="tags", type="ARRAY<STRING>"),
    )
    assert found(before, after) == [
        Change(kind="column added", scope="spark_catalog.db.t.tags", after="ARRAY<STRING>"),
        Change(kind="column dropped", scope="spark_catalog.db.t.name", before="STRING"),
        Change(
            kind="column retyped", scope="spark_catalog.db.t.at", before="DATE", after="TIMESTAMP"
        ),
        Change(
            kind="column retyped",
            scope="spark_catalog.db.t.id",
            before="BIGINT NOT NULL",
            after="BIGINT",
        ),
    ]


def test_not_null_that_one_listing_cannot_show_is_no_change() -> None:
    assert found(table("t", ID), table("t", replace(ID, required=None))) == []


def test_comments_inside_a_nested_column_change() -> None:
    nested = Column(
        name="s", type="STRUCT<a: INT, b: INT>", field_comments=(("a", "x"), ("b", "y"))
    )
    after = replace(nested, field_comments=(("b", "z"), ("c.element.d", "new")))
    assert found(table("t", nested), table("t", after)) == [
        Change(kind="comment changed", scope="spark_catalog.db.t.s.a", before="x"),
        Change(kind="comment changed", scope="spark_catalog.db.t.s.b", before="y", after="z"),
        Change(kind="comment changed", scope="spark_catalog.db.t.s.c.element.d", after="new"),
    ]


def test_comments_of_tables_and_columns_change() -> None:
    after = table("t", ID, replace(NAME, comment=None), comment="orders")
    assert found(table("t"), after) == [
        Change(kind="comment changed", scope="spark_catalog.db.t", after="orders"),
        Change(kind="comment changed", scope="spark_catalog.db.t.name", before="full name"),
    ]


def test_new_data_is_no_change_of_the_catalog() -> None:
    loaded = replace(table("t"), state=SurveyedState(uuid="uuid-t", snapshot_id=7))
    assert found(table("t"), loaded) == []


def test_what_either_hour_could_not_read_or_leaves_out_is_not_compared() -> None:
    before = earlier(
        table("a"), table("b"), table("c"), table("d"), silent=frozenset({"spark_catalog.db.e"})
    )
    now = survey(
        table("a"),
        table("e"),
        unreadable=("spark_catalog.db.b",),
        left_out={"spark_catalog.db.c": "pattern", "d": "temporary view"},
    )
    said = changes(before, now)
    assert said.sample == (Change(kind="table dropped", scope="spark_catalog.db.d"),)
    assert said.reason is not None
    assert "spark_catalog.db.b and 1 more" in said.reason


def test_a_database_without_an_answer_hides_all_its_tables_and_no_other() -> None:
    other = replace(table("t"), table=TableId("spark_catalog", ("db2",), "t"))
    said = changes(earlier(table("t"), other), survey(unreadable=("spark_catalog.db",)))
    assert [one.scope for one in said.sample] == ["spark_catalog.db2.t"]


def test_a_catalog_that_only_one_hour_was_asked_for_is_not_compared() -> None:
    before = earlier(table("t"), table("t", catalog="lake"), catalogs=("spark_catalog", "lake"))
    said = changes(before, survey(table("t")))
    assert said.total == 0
    assert said.reason is not None
    assert "lake" in said.reason


def test_a_header_lists_a_bounded_sample_tables_first_and_counts_all() -> None:
    many = Column(name="wide", type=f"STRUCT<{'a: INT, ' * 100}>")
    before = [table(f"t{number:03}", ID) for number in range(60)]
    after = [table(f"t{number:03}", ID, many) for number in range(60)]
    said = changes(earlier(*before), survey(*after, table("z")))
    assert (said.total, len(said.sample)) == (61, CHANGE_SAMPLE)
    assert said.sample[0] == Change(kind="table added", scope="spark_catalog.db.z")
    shown = said.sample[1].after
    assert shown is not None
    assert len(shown) == SHOWN_CHARACTERS
    assert shown.endswith("…")


@given(st.lists(table_entries(), max_size=4, unique_by=lambda entry: entry.table))
def test_a_catalog_differs_from_nothing_by_itself(entries: list[TableEntry]) -> None:
    names = tuple({entry.table.catalog for entry in entries})
    before = earlier(*entries, catalogs=names)
    assert changes(before, survey(*entries), catalogs=names).total == 0


@given(st.lists(table_entries(), max_size=4, unique_by=lambda entry: entry.table.folded))
def test_dropping_everything_is_adding_everything_backwards(entries: list[TableEntry]) -> None:
    names = tuple({entry.table.catalog for entry in entries})
    gone = changes(earlier(*entries, catalogs=names), survey(), catalogs=names)
    come = changes(earlier(catalogs=names), survey(*entries), catalogs=names)
    assert gone.counts["table dropped"] == come.counts["table added"] == len(entries)
