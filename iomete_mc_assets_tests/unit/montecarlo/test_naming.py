"""How tables are called at Monte Carlo."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    name = Naming(strategy=strategy, catalogs=("lake",)).of(ORDERS)
    assert (name.database, name.schema, name.name) == parts
    assert name.key == key


@pytest.mark.parametrize("strategy", ["guide", "hive"])
def test_several_catalogs_are_refused_where_the_catalog_is_dropped(strategy: Strategy) -> None:
    with pytest.raises(SettingsError, match="MCD_NAMING=databricks"):
        Naming(strategy=strategy, catalogs=("a", "b"))
    assert Naming(strategy="databricks", catalogs=("a", "b"))


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
