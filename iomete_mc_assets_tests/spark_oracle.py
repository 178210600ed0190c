"""Reference lineage from Spark's own analyzer: what a statement reads and writes, without executing it.

Each statement is parsed and analyzed over py4j. Only what later statements of the same text need is applied:
USE and temporary views; all of it is taken back afterwards. Column edges are followed by expression id.
"""
# ruff: noqa: C901, PLR0911, PLR0912 - one walk over the kinds of Spark's plan nodes
# pyright: reportUnknownMemberType=false, reportUnknownParameterType=false, reportMissingParameterType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportMissingTypeArgument=false

import re
from dataclasses import dataclass, field

Edge = tuple[str, str]
BLANK = re.compile(r"(?:\s|--[^\n]*|/\*.*?\*/)*", re.DOTALL)
NO_LINEAGE = re.compile(
    r"(UNCACHE|CLEAR|REFRESH|SET(?!\s+CATALOG\b)|RESET|DROP|ADD|ANALYZE|EXPLAIN|SHOW|DESCRIBE|DESC|CALL|ALTER\s+(?!VIEW\b))\b",
    re.IGNORECASE,
)
CACHE = re.compile(r"CACHE\s+(?:LAZY\s+)?TABLE\b", re.IGNORECASE)
SESSION_STATE = {  # parsed plans that later statements need: USE, temp views
    "SetCatalogAndNamespace",
    "SetNamespaceCommand",
    "SetCatalogCommand",
    "CreateViewCommand",
    "CreateTempViewUsing",
    "CacheTableAsSelect",
}
ICEBERG_METADATA = re.compile(
    r"(.+\..+)\.(snapshots|files|history|manifests|partitions|entries|refs|metadata_log_entries|position_deletes|"
    r"(?:all_)?(?:data_|delete_)?files|all_manifests|all_entries|(?:branch|tag)_[^.]+)",
    re.IGNORECASE,
)
CONDITION_FIRST = {"If", "PivotFirst"}  # child 0 decides, the others are values
CONDITION_LAST = {"ArrayFilter", "MapFilter"}  # child 1, the lambda, decides
ORDER_ONLY = {
    "Rank",
    "DenseRank",
    "PercentRank",
}  # Spark puts the window's order columns into their children
BY_POSITION = {
    "InsertIntoStatement",
    "AppendData",
    "OverwriteByExpression",
    "OverwritePartitionsDynamic",
}
BY_NAME = {
    "ReplaceData",
    "WriteDelta",
}  # UPDATE, DELETE, MERGE of a v2 table; technical columns beside


@dataclass(slots=True)
class Label:
    table_edges: set[Edge] = field(default_factory=set)
    column_edges: set[Edge] = field(default_factory=set)
    indirect_column_edges: set[Edge] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)
    error: str | None = None  # the first statement's that could not be analyzed

    def add(
        self,
        target: str,
        sources: set[str],
        columns: dict[str, tuple[set, set]],
        values_only: bool = False,
    ) -> None:
        """columns: target column -> (direct, indirect) base columns; values_only: a table is a source only through a column."""
        self.reads |= sources
        for column, (direct, indirect) in columns.items():
            self.column_edges |= {
                (f"{t}.{c}", f"{target}.{column.lower()}") for t, c in direct if t != target
            }
            self.indirect_column_edges |= {
                (f"{t}.{c}", f"{target}.{column.lower()}")
                for t, c in indirect - direct
                if t != target
            }
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
    return dotted(
        identifier.database().get() if identifier.database().isDefined() else None,
        identifier.table(),
    )


def v2_name(catalog, identifier) -> str:
    return dotted(catalog.name(), *identifier.namespace(), identifier.name())


class Lineage:
    """Walks an analyzed plan bottom-up and remembers, per expression id, the base columns behind it."""

    def __init__(self):
        self.direct: dict[int, set] = {}
        self.indirect: dict[int, set] = {}
        self.reads: set[str] = set()
        self.ctes: dict[int, tuple[list, set]] = {}  # id -> (output attributes, tables read)

    def behind(self, attribute) -> tuple[set, set]:
        return set(self.direct.get(expr_id(attribute), ())), set(
            self.indirect.get(expr_id(attribute), ())
        )

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
        elif name == "CaseWhen":  # condition, value, condition, value, .. [, else]
            last = len(children) - len(children) % 2
            children, deciding = children[1:last:2] + children[last:], children[:last:2]
        elif name == "AggregateExpression":
            children, deciding = (
                [e.aggregateFunction()],
                [e.filter().get()] if e.filter().isDefined() else [],
            )
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
        if name == "Union":  # its output is the first child's
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
            for group in (
                p.matchedInstructions(),
                p.notMatchedInstructions(),
                p.notMatchedBySourceInstructions(),
            ):
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
        elif name == "Union" and any(
            self.written(c) for c in items(plan.children())
        ):  # FROM .. INSERT .. INSERT ..
            for child in items(plan.children()):
                self.label(child, label, verb)
        elif name == "MergeIntoTable":
            target, tables = self.target(plan.targetTable()), self.tables_of(plan.sourceTable())
            actions = [
                a
                for group in (
                    plan.matchedActions(),
                    plan.notMatchedActions(),
                    plan.notMatchedBySourceActions(),
                )
                for a in items(group)
            ]
            assignments = [
                s
                for a in actions
                if kind(a) in ("UpdateAction", "InsertAction")
                for s in items(a.assignments())
            ]
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
            found = {
                c: self.behind(a)
                for c, a in zip(
                    columns or [a.name() for a in items(query.output())],
                    items(query.output()),
                    strict=False,
                )
            }
            label.add(target, tables, found, values_only=verb in ("UPDATE", "DELETE"))
        else:
            label.reads |= self.tables_of(plan)

    def target(self, relation) -> str:
        """The name of the table that a MERGE or UPDATE changes; its columns count as known."""
        return next(iter(self.tables_of(relation)))

    def assigned(self, assignments) -> dict[str, tuple[set, set]]:
        found: dict[str, tuple[set, set]] = {}
        for a in assignments:
            column = next(items(a.key().references())).name()  # s.field: the top-level column
            direct, indirect = self.expression(a.value())
            known = found.setdefault(column, (set(), set()))
            known[0].update(direct)
            known[1].update(indirect)
        return found

    def written(self, plan):
        """(target, its columns or None for the query's own names, the query) of a plan that writes; else None."""
        name = kind(plan)
        if name == "CreateDataSourceTableAsSelectCommand":
            return (
                v1_name(plan.table().identifier()),
                list(items(plan.outputColumnNames())),
                plan.query(),
            )
        if name in ("CreateHiveTableAsSelectCommand", "OptimizedCreateHiveTableAsSelectCommand"):
            return (
                v1_name(plan.tableDesc().identifier()),
                list(items(plan.outputColumnNames())),
                plan.query(),
            )
        if (
            plan.getClass().getName() == "org.apache.spark.sql.execution.datasources.CreateTable"
            and plan.query().isDefined()
        ):
            return v1_name(plan.tableDesc().identifier()), None, plan.query().get()
        if name in ("CreateTableAsSelect", "ReplaceTableAsSelect"):
            return v2_name(plan.name().catalog(), plan.name().identifier()), None, plan.query()
        if name == "InsertIntoHadoopFsRelationCommand" and plan.catalogTable().isDefined():
            return (
                v1_name(plan.catalogTable().get().identifier()),
                list(items(plan.outputColumnNames())),
                plan.query(),
            )
        if name == "InsertIntoHiveTable":
            return (
                v1_name(plan.table().identifier()),
                list(items(plan.outputColumnNames())),
                plan.query(),
            )
        if name in BY_NAME:
            return Lineage().target(plan.table()), None, plan.query()
        if name in BY_POSITION:
            return (
                Lineage().target(plan.table()),
                [a.name() for a in items(plan.table().output())],
                plan.query(),
            )
        if name == "CreateViewCommand":
            return (
                v1_name(plan.name()),
                [c._1() for c in items(plan.userSpecifiedColumns())] or None,
                plan.plan(),
            )
        if name == "CreateIcebergView":
            return (
                v2_name(plan.child().catalog(), plan.child().identifier()),
                list(items(plan.columnAliases())) or None,
                plan.query(),
            )
        if name == "AlterViewAsCommand":
            return v1_name(plan.name()), None, plan.query()
        if name == "AlterViewAs":  # the view is not there, or is a v2 one
            child = plan.child()
            if kind(child) == "UnresolvedView":
                return dotted(*items(child.multipartIdentifier())), None, plan.query()
            return v2_name(child.catalog(), child.identifier()), None, plan.query()
        return None


def split(sql: str) -> list[str]:
    """Statements between semicolons outside quotes and comments, leading comments cut off."""
    pieces = re.findall(
        r"""--[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\])*'?|"(?:\\.|[^"\\])*"?|`[^`]*`?|;|[^;'"`/-]+|.""",
        sql,
        re.DOTALL,
    )
    statements = [""]
    for piece in pieces:
        if piece == ";":
            statements.append("")
        else:
            statements[-1] += piece
    bare = (BLANK.sub("", s, count=1) if BLANK.match(s) else s for s in statements)
    return [s for s in bare if s]


class Oracle:
    """Labels statements in a Spark session that knows the tables."""

    def __init__(self, spark) -> None:
        self.spark = spark
        self.state = spark._jsparkSession.sessionState()

    def label(self, sql: str, database: str = "default") -> Label:
        """The lineage of the statements of one Spark session, in order."""
        label, views = Label(), list[str]()
        self.use(database)
        for statement in split(sql):
            try:
                self.statement(statement, label, views)
            except Exception as e:  # noqa: BLE001 - pyspark's or py4j's: the statement has no label
                message = getattr(e, "desc", None) or str(e)
                label.error = (
                    label.error or f"{type(e).__name__}: {message.strip()}".split("\n")[0][:200]
                )
        self.use(database)
        for view in views:
            self.spark.catalog.dropTempView(view)
            self.spark.catalog.dropGlobalTempView(view)
        return label

    def use(self, database: str) -> None:
        self.spark.catalog.setCurrentCatalog("spark_catalog")
        self.spark.sql(f"USE {database}")

    def statement(self, statement: str, label: Label, views: list[str]) -> None:
        """Label one statement, or apply it: the temporary views that this makes are added to the list."""
        if NO_LINEAGE.match(statement):
            return
        if cached := CACHE.match(statement):
            if not re.search(r"\b(AS|SELECT|WITH)\b", statement, re.IGNORECASE):
                return
            statement = "CACHE LAZY TABLE" + statement[cached.end() :]
        parsed = self.state.sqlParser().parsePlan(statement)
        if kind(parsed) in SESSION_STATE:
            self.spark.sql(statement)
            if kind(parsed) == "CacheTableAsSelect":
                views.append(parsed.tempViewName())
            elif kind(parsed) in ("CreateViewCommand", "CreateTempViewUsing"):
                views.append(
                    (
                        parsed.name()
                        if kind(parsed) == "CreateViewCommand"
                        else parsed.tableIdent()
                    ).table()
                )
        else:
            plan = self.state.analyzer().execute(parsed)
            query = (
                plan.query() if kind(plan) == "AlterViewAs" else plan
            )  # its view need not be there
            if not query.resolved():
                self.state.analyzer().checkAnalysis(query)  # raises the analyzer's own error
            Lineage().label(plan, label, statement.split(None, 1)[0].upper())
