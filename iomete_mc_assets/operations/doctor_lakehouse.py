"""The lakehouse, asked one statement of each kind that the collectors ask. Reads only; collects nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from iomete_mc_assets.collectors import query_log_source
from iomete_mc_assets.collectors.query_log_source import QueryLogConfig
from iomete_mc_assets.collectors.query_sources import QueryFiles
from iomete_mc_assets.errors import IometeMcError, StatementFailed, StatementTimedOut
from iomete_mc_assets.operations.doctor import Check, Verdict
from iomete_mc_assets.records import TableId
from iomete_mc_assets.settings import QUERY_LOG_SOURCES
from iomete_mc_assets.warehouse import statements
from iomete_mc_assets.warehouse.connection import Lakehouse, LakehouseConfig
from iomete_mc_assets.warehouse.rows import Warehouse

DATABASES_TRIED = 20
TABLES_TRIED = 5
"""Of each of those databases: one readable table proves the rights, and a lake may have thousands."""

_REFUSED = (StatementFailed, StatementTimedOut)


def lakehouse_checks(
    config: LakehouseConfig,
    *,
    catalogs: Sequence[str],
    query_log: QueryLogConfig | QueryFiles | None,
) -> Iterator[Check]:
    """Connect once, without waiting for a server that is just starting, and ask.

    Args:
        config: where and who.
        catalogs: those surveyed.
        query_log: where the query history is, a table or a folder; None without a source.
    """
    yield from _in_the_clear(config)
    if not isinstance(query_log, QueryLogConfig):
        yield _query_files(query_log)
    try:
        connected = Lakehouse.connect(replace(config, startup_window_s=0))
    except IometeMcError as error:
        yield _check("connection", "red", str(error))
        return
    with connected as warehouse:
        try:
            yield from _answers(warehouse, config)
            for catalog in catalogs:
                yield from _catalog(warehouse, catalog)
            yield from _query_table(warehouse, query_log)
        except IometeMcError as error:
            yield _check("session", "red", str(error))


def _in_the_clear(config: LakehouseConfig) -> Iterator[Check]:
    where = config.address
    if where.scheme != "https" and not where.loopback:
        text = (
            f"{where.scheme}:// sends the token in the clear. Take the https:// address of the gateway, "
            "or make sure that nobody listens on the way."
        )
        yield _check("encryption", "amber", text)
    elif not config.verify_tls:
        text = "IOMETE_TLS_VERIFY=no takes any certificate. Name the authority in IOMETE_CA_FILE instead."
        yield _check("encryption", "amber", text)


def _answers(warehouse: Warehouse, config: LakehouseConfig) -> Iterator[Check]:
    (row,) = warehouse.ask("SELECT current_user() AS who, version() AS version")
    version = str(row["version"]).split(" ")[0]
    yield _check(
        "connection",
        "green",
        f"{config.address.url} answers as user {row['who']}, Spark {version}",
    )


def _catalog(warehouse: Warehouse, catalog: str) -> Iterator[Check]:
    """Whether a catalog can be listed, a table described, and a history read."""
    try:
        warehouse.use(catalog)
        rows = warehouse.ask(statements.show_namespaces(catalog))
    except _REFUSED as error:
        yield _check(f"{catalog}: databases", "red", str(error))
        return
    namespaces = [statements.namespace_parts(str(row["namespace"])) for row in rows]
    if not namespaces:
        text = (
            f"{catalog} shows no database, so nothing of it would be collected. Grant Select on its "
            "databases, or correct IOMETE_CATALOGS."
        )
        yield _check(f"{catalog}: databases", "amber", text)
        return
    yield _check(f"{catalog}: databases", "green", f"{len(namespaces)} databases are listed")
    yield from _tables(warehouse, catalog, namespaces[:DATABASES_TRIED])


def _tables(
    warehouse: Warehouse, catalog: str, namespaces: Sequence[tuple[str, ...]]
) -> Iterator[Check]:
    """Databases one after the other, until a table's history could be read."""
    refusals: list[str] = []
    closed = 0
    described: Check | None = None
    tried = 0
    for namespace in namespaces:
        try:
            tables = _listed(warehouse, catalog, namespace)
        except _REFUSED as error:
            yield _check(f"{catalog}: tables of {'.'.join(namespace)}", "amber", str(error))
            closed += 1
            continue
        if tables and (described is None or described.verdict == "red"):
            described = _described(warehouse, tables)
        for table in tables[:TABLES_TRIED]:
            tried += 1
            try:
                found = _snapshots(warehouse, table)
            except _REFUSED as error:
                refusals.append(str(error))
                continue
            if described is not None:
                yield described
            yield _check(
                f"{catalog}: history", "green", f"{found} snapshots of {table.shown} can be read"
            )
            return
    if described is not None:
        yield described
    if not tried:
        text = (
            f"None of the {len(namespaces)} databases tried shows a table, so nothing else could be asked. Grant Select "
            "on them if there are tables."
        )
        yield _check(f"{catalog}: history", "red" if closed else "amber", text)
        return
    text = (
        f"Of {tried} tables tried none has a history that can be read, so observations would be unknown: "
        f"{refusals[-1]} Iceberg tables need the Select right."
    )
    yield _check(f"{catalog}: history", "red", text)


def _listed(warehouse: Warehouse, catalog: str, namespace: tuple[str, ...]) -> list[TableId]:
    """Tables that are no views; where a catalog has no views, it refuses that question."""
    rows = warehouse.ask(statements.show_tables(catalog, namespace))
    names = [str(row["tableName"]) for row in rows if not row["isTemporary"]]
    if not names:
        return []
    try:
        views = {
            str(row["viewName"]) for row in warehouse.ask(statements.show_views(catalog, namespace))
        }
    except _REFUSED:
        views = set[str]()
    return [TableId(catalog, namespace, name) for name in names if name not in views]


def _described(warehouse: Warehouse, tables: Sequence[TableId]) -> Check:
    """The survey's own statement; where a catalog has it not, tables are described one by one."""
    first = tables[0]
    name = f"{first.catalog}: columns"
    survey = statements.show_table_extended(first.catalog, first.namespace, pattern=first.table)
    try:
        rows = warehouse.ask(survey)
    except _REFUSED:
        rows = []
    if rows:
        text = f"SHOW TABLE EXTENDED tells the columns of {first.shown}"
        return _check(name, "green", text)
    try:
        warehouse.ask(statements.describe_table(first))
    except _REFUSED as error:
        return _check(name, "red", str(error))
    return _check(
        name, "green", f"DESCRIBE tells the columns of {first.shown}, one table at a time"
    )


def _snapshots(warehouse: Warehouse, table: TableId) -> int:
    name = statements.quoted(table.catalog, *table.namespace, table.table, "snapshots")
    (row,) = warehouse.ask(f"SELECT count(*) AS snapshots FROM {name}")
    return int(str(row["snapshots"]))


def _query_files(files: QueryFiles | None) -> Check:
    """A folder, which is listed and not read; no session is needed for that."""
    if files is None:
        names = ", ".join(setting.name for setting in QUERY_LOG_SOURCES)
        text = (
            "No source: partitions of iomete/query_logs will say so, and lineage is that of views only. Set one "
            f"of {names} to collect queries."
        )
        return _check("query log", "amber", text)
    try:
        present = files.present()
    except IometeMcError as error:
        return _check("query log", "red", str(error))
    if not present.count:
        text = f"{files.shown} can be listed and holds nothing to read. Look whether it is the right folder."
        return _check("query log", "amber", text)
    written = (
        f", the youngest written {present.youngest:%Y-%m-%d %H:%M} UTC" if present.youngest else ""
    )
    return _check("query log", "green", f"{files.shown} holds {present.count} to read{written}")


def _query_table(
    warehouse: Warehouse, query_log: QueryLogConfig | QueryFiles | None
) -> Iterator[Check]:
    if isinstance(query_log, QueryLogConfig):
        yield _query_log(warehouse, query_log)


def _query_log(warehouse: Warehouse, config: QueryLogConfig) -> Check:
    try:
        source = query_log_source.source_of(
            config, warehouse.ask(query_log_source.describe(config))
        )
        rows = warehouse.ask(f"SELECT 1 AS one FROM {source.name} LIMIT 1")
    except IometeMcError as error:
        return _check("query log", "red", str(error))
    roles = ", ".join(f"{role}={column}" for role, column in source.columns.items())
    if not rows:
        text = f"{source.table} can be read and is empty ({roles}). Look whether it is the right table."
        return _check("query log", "amber", text)
    return _check("query log", "green", f"{source.table} can be read: {roles}")


def _check(name: str, verdict: Verdict, text: str) -> Check:
    return Check(group="lakehouse", name=name, verdict=verdict, text=text)
