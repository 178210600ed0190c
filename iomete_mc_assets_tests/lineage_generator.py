"""Random statements that Spark accepts, over tables whose columns and types are given: for labels of Spark's analyzer."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Typed = tuple[str, str]
"""An expression, and its Spark type in upper case."""
PLAIN = ("id", "name", "value")
"""The columns, a BIGINT, a STRING and a DOUBLE, of every table that is written."""
WANTED = {"id": "BIGINT", "name": "STRING", "value": "DOUBLE"}


def quoted(name: str) -> str:
    """A dotted name with its parts in backticks where they need it."""
    parts = name.split(".")
    return ".".join(p if p.replace("_", "").isalnum() and p.islower() else f"`{p}`" for p in parts)


@dataclass(slots=True)
class Relation:
    """A FROM item: its text, and what a SELECT over it can name."""

    text: str
    columns: list[Typed]


@dataclass(slots=True)
class Generator:
    """Statements from one seed; the same seed gives the same statements.

    Attributes:
        tables: columns with types by quoted name.
        targets: quoted names of tables with the plain columns.
    """

    tables: Mapping[str, Sequence[Typed]]
    targets: Sequence[str]
    dice: random.Random
    number: int = 0
    ctes: list[tuple[str, list[Typed]]] = field(default_factory=list[tuple[str, list[Typed]]])

    def statement(self) -> str:
        """One text: one statement, or a session of several."""
        self.ctes = []
        kinds: list[Callable[[], str]] = [
            *(self._insert, self._insert, self._insert_listed, self._insert_by_name),
            *(self._create, self._create, self._create, self._merge, self._merge_all),
            *(self._multi_insert, self._session, self._view, self._update, self._star),
            *(self._pivot, self._unpivot, self._nested, self._overwrite),
            *(self._using, self._using, self._alias, self._rollup, self._named_window),
        ]
        return self.dice.choice(kinds)()

    # statements

    def _insert(self) -> str:
        return f"INSERT INTO {self._target()} {self._plain_query()}"

    def _overwrite(self) -> str:
        return f"INSERT OVERWRITE TABLE {self._target()} {self._plain_query()}"

    def _insert_listed(self) -> str:
        order = self.dice.sample(PLAIN, len(PLAIN))
        query = self._plain_query(order)
        return f"INSERT INTO {self._target()} ({', '.join(order)}) {query}"

    def _insert_by_name(self) -> str:
        query = self._plain_query(self.dice.sample(PLAIN, len(PLAIN)), named=True)
        return f"INSERT INTO {self._target()} BY NAME {query}"

    def _create(self) -> str:
        body = self._with(lambda: self._query(self.dice.randint(1, 5)))
        return f"CREATE TABLE scratch.{self._name('t')} USING iceberg AS {body}"

    def _star(self) -> str:
        relation = self._from(2)
        return f"CREATE TABLE scratch.{self._name('t')} USING iceberg AS SELECT 1 AS one FROM {relation.text}"

    def _view(self) -> str:
        body = self._with(lambda: self._plain_query(named=True))
        return f"CREATE OR REPLACE VIEW {self._name('v')} (a COMMENT 'x', b, c) AS {body}"

    def _merge(self) -> str:
        source = self._plain_query(named=True)
        update = f"name = {self._of('STRING', [('s.name', 'STRING'), ('t.name', 'STRING'), ('s.id', 'BIGINT')], 2)}"
        value = self._of("DOUBLE", [("s.value", "DOUBLE"), ("s.id", "BIGINT")], 2)
        return (
            f"MERGE INTO {self._target()} t USING ({source}) s ON t.id = s.id "
            f"WHEN MATCHED AND s.value IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET t.{update} "
            f"WHEN NOT MATCHED THEN INSERT (id, name, value) VALUES (s.id, s.name, {value})"
        )

    def _merge_all(self) -> str:
        self.ctes = []
        source = self._plain_query(named=True)
        return (
            f"MERGE INTO {self._target()} AS t USING ({source}) AS s ON t.id = s.id "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        )

    def _update(self) -> str:
        source = self.dice.choice(self.targets)
        other = self.dice.choice(self.targets)
        return (
            f"UPDATE {self._target()} AS t SET value = (SELECT max(u.value) FROM {source} u WHERE u.id = 1), "
            f"name = upper(t.name) WHERE t.id IN (SELECT o.id FROM {other} o)"
        )

    def _multi_insert(self) -> str:
        relation = self._from(2)
        branches = [
            f"INSERT {self.dice.choice(['INTO', 'OVERWRITE'])} TABLE {target} "
            f"SELECT {self._plain_list(relation.columns, PLAIN, named=False)} WHERE 1 = 1"
            for target in self.dice.sample(list(self.targets), 2)
        ]
        return f"FROM {self._alone(relation)} {' '.join(branches)}"

    def _alone(self, relation: Relation) -> str:
        return relation.text

    def _session(self) -> str:
        view = self._name("tmp")
        first = f"CREATE OR REPLACE TEMP VIEW {view} AS {self._plain_query(named=True)}"
        if self.dice.random() < 0.3:
            first = f"CACHE TABLE {view} AS {self._plain_query(named=True)}"
        self.ctes = []
        middle = self.dice.choice(
            ["", "USE raw; ", "USE SCHEMA marts; ", "USE lake; USE spark_catalog.raw; "]
        )
        relation = Relation(f"{view} x", [(f"x.{name}", WANTED[name]) for name in PLAIN])
        joined = self._joined(relation, 1) if self.dice.random() < 0.5 else relation
        body = f"SELECT {self._plain_list(joined.columns, PLAIN, named=True)} FROM {joined.text}"
        return f"{first}; {middle}INSERT INTO {self._target()} {body}"

    def _pivot(self) -> str:
        table = self.dice.choice(self.targets)
        first, second = self._name("p"), self._name("p")
        inner = f"(SELECT id, name, value FROM {table})"
        aggregates = self.dice.choice(["sum(value)", "sum(value) AS s, max(value) AS m"])
        return (
            f"CREATE TABLE scratch.{self._name('t')} USING iceberg AS SELECT * FROM {inner} "
            f"PIVOT ({aggregates} FOR name IN ('a' AS {first}, 'b' AS {second}))"
        )

    def _unpivot(self) -> str:
        table = self.dice.choice(self.targets)
        inner = (
            f"(SELECT name, id AS {self._name('u')}, CAST(value AS BIGINT) AS other FROM {table})"
        )
        column = f"u{self.number}"
        return (
            f"CREATE TABLE scratch.{self._name('t')} USING iceberg AS SELECT * FROM {inner} "
            f"UNPIVOT (amount FOR kind IN ({column}, other))"
        )

    def _nested(self) -> str:
        """Arrays, maps and structs of the shop's own tables."""
        holders = [
            (table, name, kind)
            for table, columns in self.tables.items()
            for name, kind in columns
            if kind.startswith(("ARRAY<", "MAP<", "STRUCT<"))
        ]
        table, name, kind = self.dice.choice(holders)
        column = quoted(name)
        made: list[str] = [f"size({column}) AS n" if not kind.startswith("STRUCT") else "1 AS n"]
        lateral = ""
        if kind.startswith("ARRAY<"):
            made += ["e.item AS item", f"{column}[0] AS first_one", "pos"]
            lateral = f"LATERAL VIEW posexplode({column}) e AS pos, item"
            made += [f"transform({column}, y -> y) AS same"]
        elif kind.startswith("MAP<"):
            made += ["k AS k", "v AS v", f"map_keys({column}) AS ks"]
            lateral = f"LATERAL VIEW OUTER explode({column}) e AS k, v"
        else:
            made += ["x.*", f"{column}.*"]
        where = self.dice.choice(["", f"WHERE {column} IS NOT NULL"])
        made = made if "x.*" not in made else made[2:]
        return (
            f"CREATE TABLE scratch.{self._name('t')} USING iceberg AS "
            f"SELECT {', '.join(made)} FROM {table} x {lateral} {where}"
        )

    def _using(self) -> str:
        """Joins by equal names, whose stars and bare columns have an order and an owner of their own."""
        one, two, three = (self.dice.choice(self.targets) for _ in range(3))
        side = self.dice.choice(["", "LEFT ", "RIGHT ", "FULL "])
        joins = self.dice.choice(
            [
                f"{one} x {side}JOIN {two} y USING (id)",
                f"{one} x {side}JOIN {two} y USING (id, name)",
                f"{one} x NATURAL {side}JOIN (SELECT id, name AS other FROM {two}) y",
                f"{one} x {side}JOIN {two} y USING (id) {side}JOIN {three} z USING (id)",
            ]
        )
        listed = self.dice.choice(["id", "id, x.name AS n", "x.id AS a, y.id AS b"])
        if " z " not in joins and ("NATURAL" in joins or "(id, name)" in joins):
            listed = self.dice.choice([listed, "x.*", "y.*"])
        return (
            f"CREATE TABLE scratch.{self._name('t')} USING iceberg AS SELECT {listed} FROM {joins}"
        )

    def _alias(self) -> str:
        """Aliases of the same SELECT, which lose against columns; three parts before a column."""
        table = self.dice.choice([one for one in self.targets if not one.startswith("lake")])
        return (
            f"CREATE TABLE scratch.{self._name('t')} USING iceberg AS SELECT id + 1 AS fresh, fresh * 2 AS twice, "
            f"upper(name) AS value, value AS again, spark_catalog.{table}.name AS called "
            f"FROM spark_catalog.{table}"
        )

    def _rollup(self) -> str:
        table = self.dice.choice(self.targets)
        how = self.dice.choice(
            ["name, id WITH ROLLUP", "CUBE (name, id)", "GROUPING SETS ((name), (id))"]
        )
        return (
            f"CREATE TABLE scratch.{self._name('t')} USING iceberg AS "
            f"SELECT name, id, sum(value) AS total FROM {table} GROUP BY {how}"
        )

    def _named_window(self) -> str:
        table = self.dice.choice(self.targets)
        return (
            f"CREATE TABLE scratch.{self._name('t')} USING iceberg AS SELECT first_value(value) OVER w AS f, "
            f"ntile(4) OVER (w) AS q FROM {table} WINDOW w AS (PARTITION BY name ORDER BY id)"
        )

    # queries

    def _with(self, body: Callable[[], str]) -> str:
        """A query behind some common table expressions."""
        if self.dice.random() < 0.5:
            return body()
        made: list[str] = []
        for _ in range(self.dice.randint(1, 3)):
            name = self._name("c")
            if self.dice.random() < 0.3:
                made.append(f"{name}(id, name, value) AS ({self._plain_query()})")
            else:
                made.append(f"{name} AS ({self._plain_query(named=True)})")
            self.ctes.append((name, [(one, WANTED[one]) for one in PLAIN]))
        text = f"WITH {', '.join(made)} {body()}"
        self.ctes = []
        return text

    def _plain_query(
        self, order: Sequence[str] = PLAIN, *, named: bool = False, depth: int = 2
    ) -> str:
        """A query of the plain columns in this order."""
        relation = self._from(depth)
        choice = self.dice.random()
        if choice < 0.2:
            other = self._from(min(depth, 1))
            operation = self.dice.choice(["UNION ALL", "UNION", "EXCEPT", "INTERSECT"])
            return (
                f"SELECT {self._plain_list(relation.columns, order, named=True)} FROM {relation.text} {operation} "
                f"SELECT {self._plain_list(other.columns, order, named=False)} FROM {other.text}"
            )
        if choice < 0.45:
            return self._aggregated(relation, order)
        where = self._where(relation.columns)
        return f"SELECT {self._plain_list(relation.columns, order, named=named)} FROM {relation.text}{where}"

    def _aggregated(self, relation: Relation, order: Sequence[str]) -> str:
        group = self._of("STRING", relation.columns, 1)
        number = self._of("DOUBLE", relation.columns, 2)
        condition = self._of("DOUBLE", relation.columns, 1)
        values = {
            "id": f"count({self.dice.choice(['*', 'DISTINCT ' + number, number])})",
            "name": f"max({group})" if self.dice.random() < 0.3 else group,
            "value": self.dice.choice(
                [
                    f"CAST(sum({number}) AS DOUBLE)",
                    f"CAST(sum({number}) FILTER (WHERE {condition} > 1) AS DOUBLE)",
                    f"CAST(max(CASE WHEN {condition} > 0 THEN {number} ELSE 0.0 END) AS DOUBLE)",
                ]
            ),
        }
        listed = ", ".join(f"{values[name]} AS {name}" for name in order)
        how = self.dice.choice([f"GROUP BY {group}", f"GROUP BY {group} HAVING count(*) > 1"])
        return f"SELECT {listed} FROM {relation.text} {how}"

    def _plain_list(self, columns: Sequence[Typed], order: Sequence[str], *, named: bool) -> str:
        made = [(self._of(WANTED[name], columns, 2), name) for name in order]
        return ", ".join(f"{text} AS {name}" if named else text for text, name in made)

    def _query(self, width: int) -> str:
        """A query of so many columns with names of their own."""
        relation = self._from(2)
        made: list[str] = []
        for _ in range(width):
            kind = self.dice.choice(["BIGINT", "STRING", "DOUBLE"])
            text = self._of(kind, relation.columns, 3)
            if self.dice.random() < 0.25:
                text = self._window(kind, relation.columns)
            elif self.dice.random() < 0.15:
                table = self.dice.choice(self.targets)
                text = f"(SELECT max(q.value) FROM {table} q)"
            made.append(f"{text} AS {self._name('c')}")
        return f"SELECT {', '.join(made)} FROM {relation.text}{self._where(relation.columns)}"

    def _window(self, kind: str, columns: Sequence[Typed]) -> str:
        partition, order = self._of("STRING", columns, 1), self._of("BIGINT", columns, 1)
        over = f"OVER (PARTITION BY {partition} ORDER BY {order} DESC)"
        value = self._of(kind, columns, 1)
        return self.dice.choice(
            [
                f"row_number() {over}",
                f"lag({value}, 1) {over}",
                f"max({value}) {over}",
                f"rank() {over}",
            ]
        )

    def _where(self, columns: Sequence[Typed]) -> str:
        choice = self.dice.random()
        number = self._of("BIGINT", columns, 1)
        table = self.dice.choice(list(self.targets))
        if choice < 0.3:
            return ""
        if choice < 0.55:
            return f" WHERE {number} > {self.dice.randint(1, 99)}"
        if choice < 0.8:
            return f" WHERE {number} IN (SELECT w.id FROM {table} w)"
        return f" WHERE EXISTS (SELECT 1 FROM {table} w WHERE w.id = 7)"

    # FROM

    def _from(self, depth: int) -> Relation:
        relation = self._one(depth)
        for _ in range(self.dice.choice([0, 0, 1, 1, 2])):
            relation = self._joined(relation, depth)
        return relation

    def _one(self, depth: int) -> Relation:
        alias = self._name("r")
        choice = self.dice.random()
        if self.ctes and choice < 0.4:
            name, columns = self.dice.choice(self.ctes)
            return Relation(f"{name} {alias}", [(f"{alias}.{one}", kind) for one, kind in columns])
        if depth and choice < 0.6:
            query = self._plain_query(named=self.dice.random() < 0.8, depth=depth - 1)
            called = [(f"{alias}.{name}", WANTED[name]) for name in PLAIN]
            return Relation(f"({query}) {alias}(id, name, value)", called)
        if choice < 0.65:
            return Relation(
                f"VALUES (1, 'a', 1.5D), (2, 'b', 2.5D) AS {alias}(id, name, value)",
                [(f"{alias}.{name}", WANTED[name]) for name in PLAIN],
            )
        table = self.dice.choice(list(self.tables))
        alias = alias if self.dice.random() < 0.8 else self._upper(alias)
        simple = [
            (f"{alias}.{quoted(name)}", kind)
            for name, kind in self.tables[table]
            if not kind.startswith(("ARRAY", "MAP", "STRUCT", "BINARY"))
        ]
        return Relation(f"{table} AS {alias}", simple)

    def _upper(self, alias: str) -> str:
        return alias.upper()

    def _joined(self, left: Relation, depth: int) -> Relation:
        right = self._one(max(depth - 1, 0))
        on = f"{self._of('STRING', left.columns, 0)} = {self._of('STRING', right.columns, 0)}"
        kind = self.dice.choice(
            [
                "JOIN",
                "LEFT JOIN",
                "RIGHT JOIN",
                "FULL JOIN",
                "LEFT SEMI JOIN",
                "LEFT ANTI JOIN",
                ",",
            ]
        )
        if kind == ",":
            return Relation(f"{left.text} CROSS JOIN {right.text}", [*left.columns, *right.columns])
        columns = (
            left.columns
            if kind in {"LEFT SEMI JOIN", "LEFT ANTI JOIN"}
            else [*left.columns, *right.columns]
        )
        if self.dice.random() < 0.2:
            table = self.dice.choice(self.targets)
            alias = self._name("l")
            text = f"{left.text} CROSS JOIN LATERAL (SELECT max(z.value) AS value FROM {table} z) {alias}"
            return Relation(text, [*left.columns, (f"{alias}.value", "DOUBLE")])
        return Relation(f"{left.text} {kind} {right.text} ON {on}", columns)

    # expressions

    def _of(self, kind: str, columns: Sequence[Typed], depth: int) -> str:
        """An expression of this type over the columns."""
        text, own = self.dice.choice(list(columns))
        base = text if own == kind else self._cast(text, own, kind)
        if depth == 0 or self.dice.random() < 0.4:
            return base
        inner = self._of(kind, columns, depth - 1)
        number = self._of("BIGINT", columns, depth - 1)
        either: dict[str, list[str]] = {
            "STRING": [
                *(
                    f"upper({base})",
                    f"concat({base}, '-', {inner})",
                    f"coalesce({base}, {inner}, 'x')",
                ),
                *(f"CASE WHEN {number} > 1 THEN {base} ELSE {inner} END", f"substr({base}, 1, 3)"),
                *(
                    f"if({number} = 2, {base}, {inner})",
                    f"nullif({base}, {inner})",
                    f"{base} || {inner}",
                ),
                f"CASE {base} WHEN 'a' THEN {inner} WHEN 'b' THEN 'c' END",
            ],
            "BIGINT": [
                *(f"coalesce({base}, 0)", f"({base} + {inner})", f"greatest({base}, {inner})"),
                *(
                    f"nvl2({number}, {base}, {inner})",
                    f"if({number} > 3, {base}, {inner})",
                    f"abs({base})",
                ),
            ],
            "DOUBLE": [
                *(f"({base} * 2.0D)", f"round({base}, 2)", f"CAST({base} + {inner} AS DOUBLE)"),
                *(
                    f"CASE WHEN {number} IS NULL THEN {base} END",
                    f"nvl({base}, {inner})",
                    f"-{base}",
                ),
            ],
        }
        return self.dice.choice(either[kind])

    def _cast(self, text: str, own: str, kind: str) -> str:
        if own in {"DATE", "BOOLEAN"} and kind != "STRING":
            return f"CAST(hash({text}) AS {kind})"
        if own.startswith("TIMESTAMP") and kind != "STRING":
            return f"CAST(year({text}) AS {kind})"
        return f"CAST({text} AS {kind})"

    def _target(self) -> str:
        return self.dice.choice(self.targets)

    def _name(self, prefix: str) -> str:
        self.number += 1
        return f"{prefix}{self.number}"
