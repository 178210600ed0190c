"""SQL texts by the thousand for lineage: short and medium ones, an hour of few shapes, huge ones, and bombs. Reads none."""

import random
from collections.abc import Callable, Iterator, Mapping

from iomete_mc_assets.collectors.lineage.model import SESSION_CATALOG, TableKey
from iomete_mc_assets.collectors.lineage.tables import Catalog, Columns

SHAPES = 200
SHORT_SHAPES = 160
HUGE_CHARACTERS = 100_000
WIDE = 5_000
"""Columns of the table that the huge texts read."""


def short(number: int, day: int = 1) -> str:
    """100 characters: one table, four columns."""
    return (
        f"INSERT INTO dw.t_{number} SELECT a, b, c, max(d) AS d FROM raw.src_{number} "
        f"WHERE dt = '2024-01-{day:02d}' GROUP BY a, b, c"
    )


def medium(number: int, day: int = 1) -> str:
    """2.3 kB: two CTEs, a window, joins, 22 aggregates and 22 conditions."""
    sums = ", ".join(f"sum(o.m{at}) AS s{at}" for at in range(22))
    cases = ", ".join(
        f"max(CASE WHEN o.k{at} = 'v{at}' THEN o.m{at} END) AS c{at}" for at in range(22)
    )
    return (
        f"INSERT OVERWRITE dw.m_{number} PARTITION (dt = '2024-01-{day:02d}') "
        "WITH latest AS (SELECT id, name, ROW_NUMBER() OVER (PARTITION BY id ORDER BY ts DESC) AS rn "
        f"FROM raw.names_{number}), regions AS (SELECT id, upper(region) AS region FROM raw.regions) "
        f"SELECT l.name, r.region, {sums}, {cases} FROM raw.wide_{number} o "
        "JOIN latest l ON l.id = o.id AND l.rn = 1 LEFT JOIN regions r ON r.id = o.region_id "
        f"WHERE o.dt = '2024-01-{day:02d}' AND o.id NOT IN (SELECT id FROM raw.blocked) "
        "GROUP BY l.name, r.region"
    )


def catalog_of_texts(count: int) -> Catalog:
    """The tables of so many short and medium texts."""
    tables: dict[TableKey, Columns] = {}

    def add(database: str, name: str, columns: list[str]) -> None:
        tables[SESSION_CATALOG, database, name] = tuple((column, None) for column in columns)

    wide = ["id", "region_id", "dt", *(f"{one}{at}" for one in "mk" for at in range(22))]
    filled = ["name", "region", *(f"{one}{at}" for one in "sc" for at in range(22)), "dt"]
    for number in range(count):
        add("dw", f"t_{number}", list("abcd"))
        add("raw", f"src_{number}", [*"abcd", "dt"])
        add("dw", f"m_{number}", filled)
        add("raw", f"wide_{number}", wide)
        add("raw", f"names_{number}", ["id", "name", "ts"])
    add("raw", "regions", ["id", "region"])
    add("raw", "blocked", ["id"])
    return Catalog(tables)


def hour_of_few_shapes(count: int) -> Iterator[str]:
    """Texts of 200 shapes, 40 of them medium, some far more frequent; every third as dbt sends it."""
    dice = random.Random(7)  # noqa: S311 - content, not secrets
    for number in range(count):
        shape = min(int(dice.expovariate(1 / 25)), SHAPES - 1)
        shape = dice.randrange(SHAPES) if dice.random() < 0.5 else shape
        day = dice.randint(1, 28)
        text = short(shape, day) if shape < SHORT_SHAPES else medium(shape - SHORT_SHAPES, day)
        if number % 3 == 0:
            text = f'/* {{"app": "dbt", "run": "{dice.getrandbits(64):x}"}} */ {text}'
        yield text


def _filled(piece: Callable[[int], str], head: str, tail: str = "", by: str = ", ") -> str:
    pieces: list[str] = []
    size = len(head) + len(tail)
    while size < HUGE_CHARACTERS:
        pieces.append(piece(len(pieces)))
        size += len(pieces[-1]) + len(by)
    return f"{head}{by.join(pieces)}{tail}"


def huge() -> Mapping[str, str]:
    """The twelve shapes of 100 kB that real logs hold."""
    make, add, x = "CREATE TABLE dw.n AS ", "INSERT INTO dw.t ", "FROM raw.x x"

    def column(at: int) -> str:
        return f"c{at % WIDE}"

    return {
        "in_list": _filled("'k{:06d}'".format, f"{add}SELECT c0 {x} WHERE c1 IN (", ")"),
        "values": _filled(lambda at: f"({at}, 'name{at}', {at}.5)", f"{add}VALUES "),
        "columns": _filled(lambda at: f"x.{column(at)} AS o{at}", f"{make}SELECT ", f" {x}"),
        "expressions": _filled(
            lambda at: f"coalesce(x.{column(at)}, y.{column(at)}, 0) + {at} AS o{at}",
            f"{make}SELECT ",
            f" {x} JOIN raw.x y ON x.c0 = y.c0",
        ),
        "union": _filled(
            lambda at: f"SELECT {column(at)} AS a {x} WHERE c1 = {at}", make, by=" UNION ALL "
        ),
        "ctes": _filled(
            lambda at: f"q{at} AS (SELECT c1, c2 FROM {f'q{at - 1}' if at else 'raw.x'})",
            f"{make}WITH ",
            " SELECT c1 FROM q0",
        ),
        "case": _filled(
            lambda at: f"WHEN x.c1 = {at} THEN x.{column(at)}",
            f"{make}SELECT CASE ",
            f" END AS o {x}",
            by=" ",
        ),
        "or": _filled(
            lambda at: f"x.{column(at)} = {at}", f"{make}SELECT c1 {x} WHERE ", by=" OR "
        ),
        "concat": _filled(lambda at: f"x.{column(at)}", f"{make}SELECT ", f" AS o {x}", by=" || "),
        "joins": _filled(
            lambda at: f"LEFT JOIN raw.x j{at} ON j{at}.c1 = x.{column(at)}",
            f"{make}SELECT x.c1 {x} ",
            by=" ",
        ),
        "comment": f"{add}SELECT c0 {x} /* {'z' * HUGE_CHARACTERS} */",
        "string": f"{add}SELECT c0 {x} WHERE c2 = '{'z' * HUGE_CHARACTERS}'",
    }


def catalog_of_huge() -> Catalog:
    """The two tables of the huge texts."""
    return Catalog(
        {
            (SESSION_CATALOG, "dw", "t"): (("a", None),),
            (SESSION_CATALOG, "raw", "x"): tuple((f"c{at}", None) for at in range(WIDE)),
        }
    )


def nested(depth: int) -> Mapping[str, str]:
    """Every way to nest, so many levels deep."""
    head = "INSERT INTO dw.t SELECT"
    return {
        "subqueries": f"{head} c0 FROM {'(SELECT c0 FROM ' * depth}raw.x{') q' * depth}",
        "parentheses": f"{head} {'(' * depth}c0{')' * depth} FROM raw.x",
        "calls": f"{head} {'abs(' * depth}c0{')' * depth} FROM raw.x",
        "brackets": f"{head} {'c0[' * depth}1{']' * depth} FROM raw.x",
        "cases": f"{head} {'CASE WHEN c1 THEN ' * depth}c0{' END' * depth} FROM raw.x",
        "types": f"{head} CAST(c0 AS {'array<' * depth}int{'>' * depth}) FROM raw.x",
        "nots": f"{head} {'NOT ' * depth}c0 FROM raw.x",
        "signs": f"{head} {'- ' * depth}c0 FROM raw.x",
        "columns": "CREATE TABLE dw.n AS WITH q0 AS (SELECT * FROM raw.x)"
        + "".join(f", q{at + 1} AS (SELECT *, * FROM q{at})" for at in range(depth // 10))
        + " SELECT * FROM q0",
        "quotes": f"{head} c0 FROM raw.x WHERE c1 = {chr(39) + chr(92) * 1}" * depth,
        "comments": f"{head} c0 FROM raw.x {'/* ' * depth}",
    }
