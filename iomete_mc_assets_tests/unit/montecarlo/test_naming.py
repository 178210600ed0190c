"""How tables are called at Monte Carlo."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.defs.build import build_definitions
from iomete_mc_assets.defs.resources import MonteCarloResource
from iomete_mc_assets.errors import SettingsError
from iomete_mc_assets.montecarlo.naming import Naming, Strategy
from iomete_mc_assets.records import TableId

ORDERS = TableId("lake", ("Sales", "EU"), "Orders")


@pytest.mark.parametrize(
    ("strategy", "parts", "key"),
    [
        ("guide", ("Sales.EU", "default", "Orders"), "sales.eu:default.orders"),
        ("hive", ("Sales.EU", "Sales.EU", "Orders"), "sales.eu:sales.eu.orders"),
        ("databricks", ("lake", "Sales.EU", "Orders"), "lake:sales.eu.orders"),
    ],
)
def test_rule_3_each_strategy_names_a_table_in_its_own_way(
    strategy: Strategy, parts: tuple[str, str, str], key: str
) -> None:
    naming = Naming(strategy=strategy, catalogs=("lake",))
    name = naming.of(ORDERS)
    assert (name.database, name.schema, name.name) == parts
    assert name.key == key
    assert [table.folded for table in naming.tables_of(key)] == [ORDERS.folded]


def test_a_name_leads_back_to_every_table_that_may_have_it() -> None:
    naming = Naming(strategy="guide", catalogs=("Lake", "b"), prefixes={"Lake": "L_"})
    assert [table.shown for table in naming.tables_of("l_eu:default.t")] == [
        "lake.eu.t",
        "b.l_eu.t",
    ]
    assert [table.shown for table in naming.tables_of("eu:default.t")] == ["b.eu.t"]


@pytest.mark.parametrize("strategy", ["guide", "hive"])
def test_several_catalogs_are_refused_where_the_catalog_is_dropped(strategy: Strategy) -> None:
    with pytest.raises(SettingsError, match="MCD_NAMING=databricks"):
        Naming(strategy=strategy, catalogs=("a", "b"))
    assert Naming(strategy="databricks", catalogs=("a", "b"))


@pytest.mark.parametrize("strategy", ["guide", "hive"])
def test_several_catalogs_are_told_apart_by_a_prefix_for_all_but_one(strategy: Strategy) -> None:
    naming = Naming(
        strategy=strategy, catalogs=("spark_catalog", "lake"), prefixes={"lake": "Lake_"}
    )
    lake, session = naming.of(ORDERS), naming.of(TableId("spark_catalog", ("Sales",), "Orders"))
    assert (lake.database, session.database) == ("Lake_Sales.EU", "Sales")
    assert lake.key.startswith("lake_sales.eu:")
    assert lake.schema == {"guide": "default", "hive": "Lake_Sales.EU"}[strategy]


def test_a_prefixed_database_that_meets_another_is_a_collision_and_not_one_table() -> None:
    naming = Naming(strategy="guide", catalogs=("s", "lake"), prefixes={"lake": "lake_"})
    one, other = TableId("lake", ("crm",), "t"), TableId("s", ("lake_crm",), "T")
    assert naming.holders([other, one]) == {naming.of(one).key: one}
    assert naming.of(other).key == naming.of(one).key


@pytest.mark.parametrize(
    ("strategy", "prefixes", "says"),
    [
        ("guide", {"b": "x_"}, "give all of them but one a prefix"),
        ("hive", {"b": "x_", "c": "X_"}, "give all of them but one a prefix"),
        ("guide", {"b": "x_", "d": "y_"}, "names d, which IOMETE_CATALOGS does not"),
        ("databricks", {"b": "x_"}, "keeps the catalog and takes no prefix"),
    ],
)
def test_prefixes_that_tell_nothing_apart_are_refused(
    strategy: Strategy, prefixes: dict[str, str], says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        Naming(strategy=strategy, catalogs=("a", "b", "c"), prefixes=prefixes)


@pytest.mark.parametrize("wired", [False, True])
def test_catalogs_that_would_share_names_are_refused_when_the_project_is_loaded(
    wired: bool,
) -> None:
    several = {"IOMETE_CATALOGS": "spark_catalog,lake"}
    monte_carlo = MonteCarloResource(
        key_id="k", key_secret="s", resource_uuid="u", options=several if wired else {}
    )
    seen = {} if wired else several
    with pytest.raises(SettingsError, match="MCD_CATALOG_PREFIXES"):
        build_definitions(environment=seen, resources={"monte_carlo": monte_carlo})
    build_definitions(environment={**several, "MCD_CATALOG_PREFIXES": "lake=lake_"})


names = st.sampled_from(["a", "A", "b", "a.b", "ß", "ss"])
tables = st.builds(
    TableId, st.just("lake"), st.lists(names, min_size=1, max_size=2).map(tuple), names
)


@given(st.lists(tables, max_size=12))
def test_of_tables_that_share_a_name_the_first_in_sorted_order_has_it(
    several: list[TableId],
) -> None:
    naming = Naming(strategy="guide", catalogs=("lake",))
    holders = naming.holders(several)
    assert set(holders) == {naming.of(table).key for table in several}
    for key, holder in holders.items():
        assert holder == min(table for table in several if naming.of(table).key == key)
    assert naming.holders(reversed(several)) == holders
