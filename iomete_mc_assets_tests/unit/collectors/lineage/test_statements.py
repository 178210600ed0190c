"""Texts beyond the corpus: sessions, names, types, and what is not known."""

from collections.abc import Iterable

import pytest

from iomete_mc_assets.collectors.lineage.model import Place, Reading, Session, TableKey, View
from iomete_mc_assets.collectors.lineage.statements import read_text, read_view
from iomete_mc_assets.collectors.lineage.tables import Catalog
from iomete_mc_assets.records import Column, TableEntry, TableId
from iomete_mc_assets_tests.lineage_scoring import dotted, pairs

TABLES = {
    "a.src": "id BIGINT, name STRING, dt DATE",
    "a.part": "id BIGINT, day STRING, name STRING",
    "a.dst": "id BIGINT, name STRING, dt DATE",
    "a.nest": "id BIGINT, s STRUCT<City: STRING, geo: STRUCT<x: INT, y: INT>>, l ARRAY<STRUCT<k: INT, v: INT>>, m MAP<STRING, INT>",
}


def catalog(*catalogs: str) -> Catalog:
    entries: list[TableEntry] = []
    for name, columns in TABLES.items():
        database, _, table = name.partition(".")
        listed = [column.partition(" ") for column in _split(columns)]
        entries.append(
            TableEntry(
                table=TableId("spark_catalog", (database,), table),
                kind="table",
                format="iceberg",
                columns=tuple(Column(name=one, type=kind) for one, _, kind in listed),
            )
        )
    return Catalog.of(entries, catalogs=catalogs)


def _split(columns: str) -> Iterable[str]:
    depth, word = 0, ""
    for letter in columns:
        depth += (letter == "<") - (letter == ">")
        if letter == "," and depth == 0:
            yield word.strip()
            word = ""
        else:
            word += letter
    yield word.strip()


def read(text: str, session: Session | None = None, *catalogs: str) -> Reading:
    return read_text(text, session or Session(Place(namespace=("a",))), catalog(*catalogs))


def columns(reading: Reading) -> set[str]:
    return {f"{source} > {target}" for source, target in pairs(reading.edges.direct)}


def tables(reading: Reading) -> set[str]:
    return {f"{dotted(source)} > {dotted(target)}" for source, target in reading.edges.tables}


@pytest.mark.parametrize(
    ("before", "target"),
    [
        ("USE lake; ", "lake.t"),
        ("USE lake; USE b; ", "lake.b.t"),
        ("USE lake.b.c; ", "lake.b.c.t"),
        ("USE SCHEMA lake; ", "lake.t"),
        ("USE lake; USE spark_catalog; ", "default.t"),
        ("SET CATALOG lake; ", "lake.t"),
        ("USE `a b`; ", "a b.t"),
    ],
)
def test_use_leads_where_spark_goes(before: str, target: str) -> None:
    """``lake`` is a catalog, except behind SCHEMA."""
    reading = read(f"{before}CREATE TABLE t AS SELECT id FROM spark_catalog.a.src", None, "lake")
    assert tables(reading) == {f"a.src > {target}"}
    key = next(iter(reading.edges.tables))[1]
    assert key[0] == (
        "spark_catalog" if "SCHEMA" in before or target[:2] in {"de", "a "} else "lake"
    )


def test_a_one_part_name_means_nothing_where_nobody_saw_the_session_begin() -> None:
    reading = read("INSERT INTO a.dst SELECT id, name, dt FROM src", Session())
    assert (tables(reading), columns(reading)) == (set(), set())
    assert "current database unknown" in reading.doubts


def test_a_temporary_view_keeps_the_names_of_its_own_moment() -> None:
    text = "CREATE TEMP VIEW v AS SELECT id FROM src; USE b; CREATE TABLE t AS SELECT id FROM v"
    assert columns(read(text)) == {"a.src.id > b.t.id"}


def test_a_dropped_temporary_view_gives_its_name_back_to_the_table() -> None:
    text = "CREATE TEMP VIEW src AS SELECT 1 AS id; DROP VIEW src; CREATE TABLE t AS SELECT id FROM src"
    assert columns(read(text)) == {"a.src.id > a.t.id"}


def test_a_global_temporary_view_is_gone_through_and_another_sessions_is_no_asset() -> None:
    made = "CREATE GLOBAL TEMP VIEW g AS SELECT id FROM src; "
    use = "CREATE TABLE t AS SELECT id FROM global_temp.g"
    assert columns(read(made + use)) == {"a.src.id > a.t.id"}
    assert read(use).edges.tables == frozenset()


def test_an_unspecified_partition_column_keeps_its_place_in_the_schema() -> None:
    reading = read("INSERT OVERWRITE part PARTITION (day) SELECT id, dt, name FROM src")
    assert columns(reading) == {
        "a.src.id > a.part.id",
        "a.src.dt > a.part.day",
        "a.src.name > a.part.name",
    }


def test_a_query_that_does_not_fit_its_target_gives_no_column() -> None:
    reading = read("INSERT INTO dst SELECT id, name FROM src")
    assert tables(reading) == {"a.src > a.dst"}
    assert columns(reading) == set()
    assert reading.doubts == {"columns do not fit the target": 1}


def test_columns_of_unknown_tables_are_told_only_where_one_table_can_have_them() -> None:
    one = read("INSERT INTO dst SELECT x, y.z, 1 FROM other.y")
    assert columns(one) == {"other.y.x > a.dst.id", "other.y.z > a.dst.name"}
    two = read("INSERT INTO dst SELECT x, y.z, 1 FROM other.y, other.w")
    assert columns(two) == {"other.y.z > a.dst.name"}
    assert two.doubts == {"columns of the source unknown": 1}


def test_an_alias_of_the_same_select_is_not_taken_for_a_column_nor_the_other_way_round() -> None:
    """Spark takes the table's column first, and nobody knows whether it has one."""
    known = read("CREATE TABLE t AS SELECT upper(name) AS x, x || 'y' AS y FROM src")
    assert columns(known) == {"a.src.name > a.t.x", "a.src.name > a.t.y"}
    unknown = read("CREATE TABLE t AS SELECT upper(n) AS x, x || 'y' AS y FROM other.y")
    assert columns(unknown) == {"other.y.n > a.t.x"}


def test_nested_types_are_taken_apart() -> None:
    """The catalog's types list what stars of structs, inline and explode give."""
    reading = read(
        "CREATE TABLE t AS SELECT s.*, e.k AS ek, q.value AS mv, s.geo.x FROM nest "
        "LATERAL VIEW inline(l) e LATERAL VIEW explode(m) q"
    )
    assert columns(reading) == {
        "a.nest.s > a.t.city",
        "a.nest.s > a.t.geo",
        "a.nest.l > a.t.ek",
        "a.nest.m > a.t.mv",
        "a.nest.s > a.t.x",
    }


def test_words_that_sqlglot_does_not_know_are_only_rewritten_outside_strings() -> None:
    reading = read(
        "CREATE TABLE t AS SELECT id, 'FOR SYSTEM_VERSION AS OF 1; TABLE x' AS s FROM src "
        "FOR SYSTEM_VERSION AS OF 3 -- IDENTIFIER('b.c')\nWHERE name = 'a:b'"
    )
    assert columns(reading) == {"a.src.id > a.t.id"}


def test_a_computed_name_gives_nothing() -> None:
    reading = read("CREATE TABLE t AS SELECT id FROM IDENTIFIER('a.' || 'src')")
    assert (reading.edges.tables, reading.doubts) == (
        frozenset(),
        {"name is computed": 1, "columns of the source unknown": 1},
    )
    assert read("INSERT INTO IDENTIFIER('a.' || 'dst') SELECT id FROM src").skipped == {
        "not understood": 1
    }


def test_a_table_made_in_the_log_is_known_and_an_altered_one_is_not() -> None:
    made = "CREATE TABLE n (x BIGINT, y STRING); INSERT INTO n SELECT id, name FROM src; "
    assert columns(read(made)) == {"a.src.id > a.n.x", "a.src.name > a.n.y"}
    altered = f"{made[: made.index(';')]}; ALTER TABLE n DROP COLUMN x; INSERT INTO n SELECT id, name FROM src"
    reading = read(altered)
    assert (columns(reading), tables(reading)) == (set(), {"a.src > a.n"})
    renamed = f"{made[: made.index(';')]}; ALTER TABLE n RENAME TO a.m; INSERT INTO m SELECT id, name FROM src"
    assert columns(read(renamed)) == {"a.src.id > a.m.x", "a.src.name > a.m.y"}


def test_double_quotes_are_names_once_the_session_says_so() -> None:
    text = 'CREATE TABLE t AS SELECT "id" AS x FROM src'
    assert columns(read(text)) == set()
    setting = "SET spark.sql.ansi.doubleQuotedIdentifiers=true; "
    assert columns(read(setting + text)) == {"a.src.id > a.t.x"}


def test_an_update_does_not_take_what_only_its_condition_reads() -> None:
    reading = read(
        "UPDATE dst AS d SET name = (SELECT max(p.name) FROM part p WHERE p.id = d.id) "
        "WHERE id IN (SELECT id FROM src)"
    )
    assert tables(reading) == {"a.part > a.dst"}
    assert columns(reading) == {"a.part.name > a.dst.name"}


def test_a_view_is_read_under_the_names_that_the_catalog_lists() -> None:
    known = catalog()
    key: TableKey = ("spark_catalog", "a", "dst")
    reading = read_view(
        "SELECT id AS x, count(*), dt AS y FROM a.src GROUP BY 1, 3", key, Session(), known
    )
    assert columns(reading) == {"a.src.id > a.dst.id", "a.src.dt > a.dst.dt"}


def test_a_star_of_itself_does_not_grow_without_end() -> None:
    doubling = "".join(f", q{at + 1} AS (SELECT *, * FROM q{at})" for at in range(60))
    reading = read(f"CREATE TABLE t AS WITH q0 AS (SELECT * FROM src){doubling} SELECT * FROM q60")
    assert tables(reading) == {"a.src > a.t"}
    assert "too many columns" in reading.doubts


def test_the_session_goes_from_text_to_text() -> None:
    first = read("CREATE TEMP VIEW v AS SELECT id FROM src")
    assert isinstance(first.session.views["v"], View)
    second = read("CREATE TABLE t AS SELECT id FROM v", first.session)
    assert columns(second) == {"a.src.id > a.t.id"}


def test_a_type_that_the_catalog_could_not_take_apart_has_no_fields() -> None:
    """Lower case, as DESCRIBE prints it: a colon in it may be part of a name."""
    odd = Catalog({("spark_catalog", "a", "odd"): (("s", "struct<a:int,b:string>"),)})
    reading = read_text("CREATE TABLE a.t AS SELECT s.* FROM a.odd", Session(), odd)
    assert (tables(reading), columns(reading)) == ({"a.odd > a.t"}, set())


@pytest.mark.parametrize("operation", ["EXCEPT", "MINUS", "INTERSECT"])
def test_what_is_only_subtracted_or_compared_gives_no_column(operation: str) -> None:
    reading = read(f"CREATE TABLE t AS SELECT id FROM src {operation} SELECT id FROM part")
    assert tables(reading) == {"a.src > a.t", "a.part > a.t"}
    assert columns(reading) == {"a.src.id > a.t.id"}
