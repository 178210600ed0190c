import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.collectors.exclusions import Exclusion, Exclusions
from iomete_mc_assets.records import TableId


@pytest.mark.parametrize(
    ("namespace", "kind"),
    [
        (("iomete_system_db",), "system database"),
        (("IOMETE_SYSTEM_DB", "inner"), "system database"),
        (("global_temp",), "system database"),
        (("information_schema",), "system database"),
        (("sys",), "system database"),
        (("system",), "system database"),
        (("sales", "sys"), None),
        (("sales_iomete_system_db",), None),
        (("TMP",), "database by pattern"),
        (("sales", "tmp"), "database by pattern"),
        (("tmp2",), None),
    ],
)
def test_a_database_is_left_out_by_its_outermost_name_or_by_a_pattern_over_all_its_tables(
    namespace: tuple[str, ...], kind: Exclusion | None
) -> None:
    assert Exclusions(("*.Tmp.*", "*.*.stg_*")).of_namespace("lake", namespace) == kind


def test_a_table_is_left_out_by_its_whole_name_in_any_case() -> None:
    exclusions = Exclusions(("*.*.STG_*", "lake.sales.orders"))
    assert exclusions.of_table(TableId("lake", ("Sales",), "Stg_a")) == "pattern"
    assert exclusions.of_table(TableId("Lake", ("sales",), "Orders")) == "pattern"
    assert exclusions.of_table(TableId("lake", ("sales",), "orders2")) is None
    assert exclusions.of_table(TableId("lake", ("stg_x",), "a")) is None


words = st.lists(st.sampled_from(["a", "B", "tmp", "*", "?", ".", ".*"]), min_size=1, max_size=6)
names = st.sampled_from(["a", "b", "B", "tmp", "x.a"])


@given(
    patterns=st.lists(words.map("".join), max_size=3).map(tuple),
    namespace=st.lists(names, min_size=1, max_size=3),
    below=st.lists(names, max_size=2),
    table=names,
)
def test_a_database_that_a_pattern_leaves_out_has_no_table_that_it_would_have_kept(
    patterns: tuple[str, ...], namespace: list[str], below: list[str], table: str
) -> None:
    exclusions = Exclusions(patterns)
    if exclusions.of_namespace("lake", namespace) is not None:
        kept = TableId("lake", (*namespace, *below), table)
        assert exclusions.of_table(kept) == "pattern"
