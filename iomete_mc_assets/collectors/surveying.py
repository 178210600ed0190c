"""Surveys whole catalogs: which statements are asked in which order, and what each unanswered one costs.

Pure of clock and store; what the answers' texts mean lives in ``warehouse.survey`` and ``warehouse.describe``.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from iomete_mc_assets.collectors.exclusions import Exclusion, Exclusions
from iomete_mc_assets.collectors.limits import Asker
from iomete_mc_assets.errors import HourFailed, StatementFailed, StatementTimedOut
from iomete_mc_assets.records import Omission, TableEntry, TableId
from iomete_mc_assets.warehouse import statements
from iomete_mc_assets.warehouse.describe import read_description, with_properties
from iomete_mc_assets.warehouse.properties import namespace_opted_out, opted_out
from iomete_mc_assets.warehouse.rows import Answer, Row, Warehouse
from iomete_mc_assets.warehouse.survey import NotReadable, Surveyed, read_block

NO_EXTENDED_LISTING = "_LEGACY_ERROR_TEMP_1200"
"""SHOW TABLE EXTENDED in a v2 catalog."""
NO_VIEWS = "_LEGACY_ERROR_TEMP_1184"
"""SHOW VIEWS in a catalog that has no views."""

LISTED_AT_ONCE = 1_000
"""Tables of one SHOW TABLE EXTENDED: 3 to 4 seconds of a metastore, and some 10 MB in driver and client."""
READ_AT_ONCE = 200
"""Tables whose descriptions are held at the same time."""

Namespace = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What the catalogs answered.

    Attributes:
        entries: sorted by name.
        omissions: tables and databases that were asked for and not answered.
        counts: figures by name, e.g. ``tables``, ``excluded: pattern``.
        left_out: tables and databases left out on purpose, by name as shown to people.
        asked: tables that should have been read, plus databases that could not be listed.
        unreadable: how many of those were not.
    """

    entries: tuple[TableEntry, ...]
    omissions: tuple[Omission, ...]
    counts: Mapping[str, int]
    left_out: Mapping[str, Exclusion]
    asked: int
    unreadable: int


def survey_catalogs(
    warehouse: Warehouse, *, catalogs: Iterable[str], exclusions: Exclusions
) -> Survey:
    """All tables and views of the catalogs as they are listed now, on one session.

    Raises:
        HourFailed: a catalog cannot be listed at all.
        LakehouseError: the lakehouse itself cannot be asked any more.
    """
    asker = Asker(warehouse)
    surveys = [_CatalogSurvey(asker, catalog, exclusions) for catalog in catalogs]
    for survey in surveys:
        survey.run()
    entries = sorted((entry for survey in surveys for entry in survey.entries), key=_name)
    unreadable = sum(survey.unreadable for survey in surveys)
    # a temporary view comes with every catalog's listing, under the same bare name
    left_out: dict[str, Exclusion] = {}
    for survey in surveys:
        left_out.update(survey.excluded)
    excluded = Counter(left_out.values())
    counts = {
        "tables": sum(entry.kind == "table" for entry in entries),
        "views": sum(entry.kind == "view" for entry in entries),
        "iceberg tables": sum(entry.format == "iceberg" for entry in entries),
        "other tables": sum(e.kind == "table" and e.format == "other" for e in entries),
        "columns": sum(len(entry.columns) for entry in entries),
        "databases": sum(survey.databases for survey in surveys),
        "described one by one": sum(survey.described for survey in surveys),
        "statements": asker.statements,
        **{f"excluded: {kind}": number for kind, number in sorted(excluded.items())},
    }
    return Survey(
        entries=tuple(entries),
        omissions=tuple(omission for survey in surveys for omission in survey.omissions),
        counts=counts,
        left_out=left_out,
        asked=len(entries) + unreadable,
        unreadable=unreadable,
    )


def _name(entry: TableEntry) -> TableId:
    return entry.table


@dataclass(slots=True)
class _Listing:
    """Tables of one namespace, and their blocks until they are read, which can wait for a good moment.

    Attributes:
        tables: those that are wanted.
        blocks: as the survey brought them, not read yet.
        surveyed: as read; a table without a block is not among them.
    """

    tables: Sequence[TableId] = ()
    blocks: dict[TableId, str] = field(default_factory=dict[TableId, str])
    surveyed: dict[TableId, Surveyed | NotReadable] = field(
        default_factory=dict[TableId, Surveyed | NotReadable]
    )

    def read(self) -> None:
        """All blocks that are left."""
        while self.blocks:
            table, block = self.blocks.popitem()
            self.surveyed[table] = read_block(table, block)


class _CatalogSurvey:
    """One catalog while it is being surveyed.

    A session catalog's blocks are read while the server is at the next namespace's.
    """

    def __init__(self, asker: Asker, catalog: str, exclusions: Exclusions) -> None:
        self._asker = asker
        self._catalog = catalog
        self._exclusions = exclusions
        self._lists_extended: bool | None = None  # not probed yet
        self._listing = _Listing()
        self.entries: list[TableEntry] = []
        self.omissions: list[Omission] = []
        self.excluded: dict[str, Exclusion] = {}
        self.databases = 0
        self.described = 0
        self.unreadable = 0

    def run(self) -> None:
        """Every namespace of the catalog, outermost first."""
        try:
            self._asker.use(self._catalog)
            waiting = self._namespaces(())
        except (StatementFailed, StatementTimedOut) as error:
            msg = (
                f"The catalog {self._catalog} cannot be listed: {error} Nothing is known of this hour; "
                "check IOMETE_CATALOGS and the account's rights on that catalog."
            )
            raise HourFailed(msg) from error
        while waiting:
            namespace = waiting.pop(0)
            if self._excludes(namespace):
                continue
            self.databases += 1
            self._survey_namespace(namespace)
            if self._lists_extended is False:
                waiting = [*self._namespaces_below(namespace), *waiting]
        self._survey_listing(_Listing())

    def _namespaces(self, above: Namespace) -> list[Namespace]:
        rows = self._asker.ask(statements.show_namespaces(self._catalog, above))
        return [statements.namespace_parts(str(row["namespace"])) for row in rows]

    def _namespaces_below(self, namespace: Namespace) -> list[Namespace]:
        try:
            return self._namespaces(namespace)
        except (StatementFailed, StatementTimedOut) as error:
            self._omit(self._shown(namespace), "list databases", str(error))
            return []

    def _excludes(self, namespace: Namespace) -> bool:
        kind = self._exclusions.of_namespace(self._catalog, namespace)
        if kind is None and self._opted_out(namespace):
            kind = "opted out"
        if kind is not None:
            self.excluded[self._shown(namespace)] = kind
        return kind is not None

    def _opted_out(self, namespace: Namespace) -> bool:
        try:
            rows = self._asker.ask(statements.describe_namespace(self._catalog, namespace))
        except (StatementFailed, StatementTimedOut) as error:
            # not believed to be opted out: its tables are still asked for their own properties
            self._omit(self._shown(namespace), "opt-out", str(error))
            return False
        return any(
            row["info_name"] == "Properties" and namespace_opted_out(str(row["info_value"]))
            for row in rows
        )

    def _survey_namespace(self, namespace: Namespace) -> None:
        try:
            names = self._listed(namespace)
        except (StatementFailed, StatementTimedOut) as error:
            if not self._is_gone(namespace):
                self._omit(self._shown(namespace), "list tables", str(error))
                self.unreadable += 1
            return
        blocks = self._blocks(namespace, names)
        if self._lists_extended is False:
            names = [*names, *self._views(namespace)]
        wanted: list[TableId] = []
        for table in sorted({*names, *blocks}):
            if kind := self._exclusions.of_table(table):
                self.excluded[table.shown] = kind
            else:
                wanted.append(table)
        if self._lists_extended is not False:
            kept = {table: blocks[table] for table in wanted if table in blocks}
            self._survey_listing(_Listing(wanted, kept))
            return
        for start in range(0, len(wanted), READ_AT_ONCE):
            self._describe_tables(wanted[start : start + READ_AT_ONCE])

    def _survey_listing(self, following: _Listing) -> None:
        """The tables listed before; ``following`` waits for its turn."""
        listing, self._listing = self._listing, following
        listing.read()
        for table in listing.tables:
            surveyed = listing.surveyed.get(table, NotReadable("not listed"))
            self._survey_table(table, partial(self._from_block, table, surveyed))

    def _describe_tables(self, tables: Sequence[TableId]) -> None:
        """In a v2 catalog each table is described anyway, and all of them may be at the same time."""
        self.described += len(tables)
        answers = self._asker.ask_each([statements.describe_table(table) for table in tables])
        for table, answer in zip(tables, answers, strict=True):
            self._survey_table(table, partial(self._from_description, table, answer))

    def _listed(self, namespace: Namespace) -> list[TableId]:
        rows = self._asker.ask(statements.show_tables(self._catalog, namespace))
        return self._permanent(rows, "tableName", namespace)

    def _views(self, namespace: Namespace) -> list[TableId]:
        try:
            rows = self._asker.ask(statements.show_views(self._catalog, namespace))
        except StatementFailed as error:
            if error.error_class != NO_VIEWS:
                self._omit(self._shown(namespace), "list views", str(error))
            return []
        except StatementTimedOut as error:
            self._omit(self._shown(namespace), "list views", str(error))
            return []
        return self._permanent(rows, "viewName", namespace)

    def _permanent(self, rows: Iterable[Row], column: str, namespace: Namespace) -> list[TableId]:
        """Temporary views come with every namespace's listing and belong to nobody's catalog."""
        found: list[TableId] = []
        for row in rows:
            if row["isTemporary"]:
                self.excluded[str(row[column])] = "temporary view"
            else:
                found.append(TableId(self._catalog, namespace, str(row[column])))
        return found

    def _blocks(self, namespace: Namespace, names: Iterable[TableId]) -> dict[TableId, str]:
        """The survey's blocks, by the names as listed; what they lack is described table by table."""
        listed = {table.folded: table for table in names}
        if self._lists_extended and not listed:
            return {}  # where it is not known yet whether the catalog lists like that, this tells
        blocks: dict[TableId, str] = {}
        for pattern in statements.name_patterns(
            [table.table for table in listed.values()], at_most=LISTED_AT_ONCE
        ):
            for table, block in self._blocks_like(namespace, pattern):
                blocks[listed.get(table.folded, table)] = block
        return blocks

    def _blocks_like(self, namespace: Namespace, pattern: str) -> list[tuple[TableId, str]]:
        """The blocks of one pattern; none where the catalog or this database does not give any."""
        if self._lists_extended is False:
            return []
        statement = statements.show_table_extended(self._catalog, namespace, pattern=pattern)
        try:
            rows = self._asker.ask_while(statement, self._listing.read)
        except StatementFailed as error:
            if error.error_class == NO_EXTENDED_LISTING:
                self._lists_extended = False
            return []
        except StatementTimedOut:
            return []
        self._lists_extended = True
        return [
            (TableId(self._catalog, namespace, str(row["tableName"])), str(row["information"]))
            for row in rows
            if not row["isTemporary"]
        ]

    def _survey_table(self, table: TableId, read: Callable[[], TableEntry]) -> None:
        try:
            entry = read()
        except (StatementFailed, StatementTimedOut, ValueError) as error:
            if not self._was_dropped(table):
                self._omit(table.shown, "columns", str(error))
                self.unreadable += 1
            return
        if opted_out(entry.properties):
            self.excluded[table.shown] = "opted out"
        else:
            self.entries.append(entry)

    def _from_block(self, table: TableId, surveyed: Surveyed | NotReadable) -> TableEntry:
        """The block where it tells everything, else the table itself is asked."""
        if isinstance(surveyed, NotReadable):
            return self._described(table)
        entry = surveyed.entry
        if surveyed.lacks_columns:
            entry = replace(entry, columns=self._described(table).columns)
        if surveyed.names_opt_out:
            entry = self._with_properties(entry)
        return entry

    def _described(self, table: TableId) -> TableEntry:
        self.described += 1
        return self._from_description(table, self._asker.ask(statements.describe_table(table)))

    def _from_description(self, table: TableId, answer: Answer) -> TableEntry:
        if isinstance(answer, (StatementFailed, StatementTimedOut)):
            raise answer
        described = read_description(table, answer)
        return described.entry if described.certain else self._with_properties(described.entry)

    def _with_properties(self, entry: TableEntry) -> TableEntry:
        return with_properties(
            entry, self._asker.ask(statements.show_table_properties(entry.table))
        )

    def _was_dropped(self, table: TableId) -> bool:
        """Whether a table that could not be read is no longer listed: then nothing was left out."""
        try:
            listed: Collection[TableId] = [
                *self._listed(table.namespace),
                *(self._views(table.namespace) if self._lists_extended is False else ()),
            ]
        except (StatementFailed, StatementTimedOut):
            return False
        return table not in listed

    def _is_gone(self, namespace: Namespace) -> bool:
        try:
            return namespace not in self._namespaces(namespace[:-1])
        except (StatementFailed, StatementTimedOut):
            return False

    def _omit(self, scope: str, question: str, reason: str) -> None:
        self.omissions.append(
            Omission(scope=scope, question=question, kind="unreadable", reason=reason)
        )

    def _shown(self, namespace: Sequence[str]) -> str:
        return ".".join((self._catalog, *namespace))
