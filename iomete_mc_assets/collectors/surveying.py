"""Surveys whole catalogs: which statements are asked in which order, and what each unanswered one costs.

Pure of clock and store; what the answers' texts mean lives in ``warehouse.survey`` and ``warehouse.describe``.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby

from iomete_mc_assets.collectors.exclusions import Exclusion, Exclusions
from iomete_mc_assets.collectors.limits import Asker
from iomete_mc_assets.errors import HourFailed, StatementFailed, StatementTimedOut
from iomete_mc_assets.records import Omission, OmissionKind, TableEntry, TableId
from iomete_mc_assets.warehouse import statements
from iomete_mc_assets.warehouse.describe import (
    Described,
    read_description,
    with_fields,
    with_snapshot,
    without_fields,
)
from iomete_mc_assets.warehouse.properties import (
    CANARY,
    GOVERNANCE,
    REDACTED,
    namespace_opted_out,
    opted_out,
    told_properties,
)
from iomete_mc_assets.warehouse.rows import Answer, Row, Warehouse
from iomete_mc_assets.warehouse.survey import (
    Surveyed,
    Told,
    read_block,
    with_present_state,
)

NO_EXTENDED_LISTING = "_LEGACY_ERROR_TEMP_1200"
"""SHOW TABLE EXTENDED in a v2 catalog."""
NO_VIEWS = "_LEGACY_ERROR_TEMP_1184"
"""SHOW VIEWS in a catalog that has no views."""

LISTED_AT_ONCE = 1_000
"""Tables of one SHOW TABLE EXTENDED: 3 to 4 seconds of a metastore, and some 10 MB in driver and client."""
READ_AT_ONCE = 200
"""Tables whose descriptions are held at the same time."""

NARROWED_IN_A_ROW = 20
"""Listings that may fail one after the other while the tables they fail at are looked for: one among a thousand takes
ten, and where none succeeds at all every table is better described at once."""
LEFT_OUT = "its database's listing left it out, which should have it."
WITHOUT_UUID = "uuid"
WITHOUT_FIELDS = "nested fields"
SAME_NAME = "name"
HIDES_NOTHING = "listing"
NOTED = frozenset({WITHOUT_UUID, WITHOUT_FIELDS, SAME_NAME, HIDES_NOTHING})
"""Questions of omissions about tables that are told of all the same."""

Namespace = tuple[str, ...]
Failure = StatementFailed | StatementTimedOut | ValueError
"""Why a table was not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What the catalogs answered.

    Attributes:
        entries: sorted by name.
        omissions: tables and databases that were asked for and not answered.
        counts: figures by name, e.g. ``tables``, ``excluded: pattern``.
        databases: those the catalogs list and nobody left out, answered or not, as shown to people.
        left_out: tables and databases left out on purpose, by name as shown to people.
        asked: tables that should have been read, plus databases that could not be listed.
        unreadable: how many of those were not.
    """

    entries: tuple[TableEntry, ...]
    omissions: tuple[Omission, ...]
    counts: Mapping[str, int]
    databases: frozenset[str]
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
    hides = _hides(asker)
    surveys = [_CatalogSurvey(asker, catalog, exclusions, hides=hides) for catalog in catalogs]
    for survey in surveys:
        survey.run()
    entries = sorted((entry for survey in surveys for entry in survey.entries), key=_name)
    unreadable = sum(survey.unreadable for survey in surveys)
    # a temporary view comes with every catalog's listing, under the same bare name
    left_out: dict[str, Exclusion] = {}
    for survey in surveys:
        left_out.update(survey.excluded)
    excluded = Counter(left_out.values())
    databases = frozenset(name for survey in surveys for name in survey.databases)
    counts = {
        "tables": sum(entry.kind == "table" for entry in entries),
        "views": sum(entry.kind == "view" for entry in entries),
        "iceberg tables": sum(entry.format == "iceberg" for entry in entries),
        "other tables": sum(e.kind == "table" and e.format == "other" for e in entries),
        "columns": sum(len(entry.columns) for entry in entries),
        "databases": len(databases),
        "described one by one": sum(survey.described for survey in surveys),
        "statements": asker.statements,
        **{f"excluded: {kind}": number for kind, number in sorted(excluded.items())},
    }
    return Survey(
        entries=tuple(entries),
        omissions=(
            *(omission for survey in surveys for omission in survey.omissions),
            *_same_names(entries),
        ),
        counts=counts,
        databases=databases,
        left_out=left_out,
        asked=len(entries) + unreadable,
        unreadable=unreadable,
    )


def _hides(asker: Asker) -> bool:
    """Whether the session hides properties that could pass for several; else no block is believed."""
    try:
        rows = asker.ask(statements.show_setting(CANARY[0]))
    except (StatementFailed, StatementTimedOut):
        return False
    return any(row["value"] == REDACTED for row in rows)


def _same_names(entries: Iterable[TableEntry]) -> Iterator[Omission]:
    """Tables whose names differ in case only, which Monte Carlo cannot keep apart; all but the first are named."""
    ordered = sorted(entries, key=lambda entry: (entry.table.folded, entry.table))
    for _, same in groupby(ordered, key=lambda entry: entry.table.folded):
        first, *others = same
        for other in others:
            reason = (
                f"it differs from {first.table.shown} in case only, which alone is sent to Monte Carlo; "
                "rename one of them"
            )
            yield Omission(
                scope=other.table.shown, question=SAME_NAME, kind="unknowable", reason=reason
            )


def _name(entry: TableEntry) -> TableId:
    return entry.table


@dataclass(slots=True)
class _Listing:
    """Tables of one namespace, and their blocks until they are read, which can wait for a good moment.

    Attributes:
        tables: those that are wanted.
        blocks: as the survey brought them, not read yet.
        surveyed: as read, or the block itself where it can be read in more than one way; tables without a
            block, or with none of Iceberg's, are not among them.
    """

    tables: Sequence[TableId] = ()
    blocks: dict[TableId, str] = field(default_factory=dict[TableId, str])
    surveyed: dict[TableId, Surveyed | str] = field(default_factory=dict[TableId, Surveyed | str])

    def read(self) -> None:
        """All blocks that are left."""
        while self.blocks:
            table, block = self.blocks.popitem()
            surveyed = read_block(table, block)
            if isinstance(surveyed, Surveyed):
                self.surveyed[table] = surveyed
            elif "table_type=ICEBERG" in block:
                self.surveyed[table] = block


class _CatalogSurvey:
    """One catalog while it is being surveyed.

    A session catalog's blocks are read while the server is at the next namespace's.
    """

    def __init__(self, asker: Asker, catalog: str, exclusions: Exclusions, *, hides: bool) -> None:
        self._asker = asker
        self._hides = hides
        self._catalog = catalog
        self._exclusions = exclusions
        self._lists_extended: bool | None = None  # not probed yet
        self._listing = _Listing()
        self._not_listable: dict[TableId, str] = {}
        self.entries: list[TableEntry] = []
        self.omissions: list[Omission] = []
        self.excluded: dict[str, Exclusion] = {}
        self.databases: set[str] = set()
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
            self.databases.add(self._shown(namespace))
            self._survey_namespace(namespace)
            if self._lists_extended is False:
                waiting = [*self._namespaces_below(namespace), *waiting]
        self._survey_listing(_Listing())
        if self._lists_extended and not self._hides:
            reason = (
                "the lakehouse does not take spark.sql.redaction.options.regex from our session, so its listing "
                "could be misread: each table was read from itself, without its uuid"
            )
            self._omit(self._catalog, HIDES_NOTHING, reason)

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
        text = "".join(str(row["info_value"]) for row in rows if row["info_name"] == "Properties")
        says = namespace_opted_out(text, hidden=self._hides)
        if says is None:
            reason = (
                f"{GOVERNANCE} may be part of another property of it, so it is listed; "
                "no other property of a database that opts out may hold a comma or a secret's name"
            )
            self._omit(self._shown(namespace), "opt-out", reason)
        return says is True

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
            surveyed = listing.surveyed.get(table)
            self._survey_table(table, partial(self._from_block, table, surveyed))

    def _describe_tables(self, tables: Sequence[TableId]) -> None:
        """In a v2 catalog each table is described anyway, and all of them may be at the same time."""
        self.described += len(tables)
        answers = self._asker.ask_each([statements.describe_table(table) for table in tables])
        described = {
            table: _read(table, answer) for table, answer in zip(tables, answers, strict=True)
        }
        nested = [
            table for table, one in described.items() if isinstance(one, Described) and one.nested
        ]
        created = self._asker.ask_each([statements.show_create_table(table) for table in nested])
        fields = dict(zip(nested, created, strict=True))
        for table, one in described.items():
            self._survey_table(table, partial(self._from_description, one, fields.get(table)))

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
        for table, block in self._narrowed(namespace, [table.table for table in listed.values()]):
            blocks[listed.get(table.folded, table)] = block
        if self._lists_extended:
            for table in listed.values() - blocks.keys():
                self._not_listable.setdefault(table, LEFT_OUT)
        return blocks

    def _narrowed(
        self, namespace: Namespace, names: Sequence[str]
    ) -> Iterator[tuple[TableId, str]]:
        """Every block that can be had: what fails is asked for in smaller parts until a table stands alone.

        What hangs is not asked for again: each part could take as long.
        """
        waiting = _parted(names, at_most=LISTED_AT_ONCE)
        failed = 0
        while waiting:
            pattern, matched = waiting.pop(0)
            answer = self._blocks_like(namespace, pattern)
            if isinstance(answer, list):
                failed = 0
                yield from answer
                continue
            failed += 1
            hung = isinstance(answer, StatementTimedOut)
            if len(matched) > 1 and failed < NARROWED_IN_A_ROW and not hung:
                waiting = [*_parted(matched, at_most=(len(matched) + 1) // 2), *waiting]
                continue
            for name in matched:
                self._not_listable[TableId(self._catalog, namespace, name)] = str(answer)

    def _blocks_like(
        self, namespace: Namespace, pattern: str
    ) -> list[tuple[TableId, str]] | StatementFailed | StatementTimedOut:
        """The blocks of one pattern; none where the catalog does not give any."""
        if self._lists_extended is False:
            return []
        statement = statements.show_table_extended(self._catalog, namespace, pattern=pattern)
        try:
            rows = self._asker.ask_while(statement, self._listing.read)
        except StatementFailed as error:
            if error.error_class != NO_EXTENDED_LISTING:
                return error
            self._lists_extended = False
            return []
        except StatementTimedOut as error:
            return error
        self._lists_extended = True
        return [
            (TableId(self._catalog, namespace, str(row["tableName"])), str(row["information"]))
            for row in rows
            if not row["isTemporary"]
        ]

    def _survey_table(self, table: TableId, read: Callable[[], TableEntry | None]) -> None:
        try:
            entry = read()
        except (StatementFailed, StatementTimedOut, ValueError) as error:
            if not self._was_dropped(table):
                self._omit(table.shown, "columns", str(error))
                self.unreadable += 1
            return
        if entry is None:
            self.excluded[table.shown] = "opted out"
            return
        self.entries.append(entry)
        why = self._not_listable.get(table)
        if why is not None and entry.state is not None and entry.state.uuid is None:
            reason = (
                f"the metastore cannot list it, so it was read from itself, without its uuid: {why}"
            )
            self._omit(table.shown, WITHOUT_UUID, reason, kind="unknowable")

    def _from_block(self, table: TableId, surveyed: Surveyed | str | None) -> TableEntry | None:
        """The block where it tells everything, else the table itself is asked; None for one that opted out."""
        if surveyed is None or not self._hides:
            return self._asked(table)
        if isinstance(surveyed, str):
            return self._asked(table, block=surveyed)
        return None if surveyed.opted_out else self._with_columns(surveyed)

    def _with_columns(self, surveyed: Surveyed) -> TableEntry:
        if not surveyed.lacks_columns:
            return surveyed.entry
        self.described += 1
        described = self._describe(surveyed.entry.table)
        return replace(surveyed.entry, columns=self._with_fields(described).columns)

    def _asked(self, table: TableId, *, block: str | None = None) -> TableEntry | None:
        """A table of a catalog that lists by blocks, without one that is enough."""
        self.described += 1
        described = self._describe(table)
        entry = described.entry
        told = None
        if block is not None or not described.certain:
            told = self._told(table)
            if opted_out(told.get(GOVERNANCE)):
                return None
            entry = with_snapshot(entry, told)
        if block is not None and told is not None:
            surveyed = read_block(table, block, told=Told(comment=entry.comment, properties=told))
            if isinstance(surveyed, Surveyed):
                columns = self._with_fields(described).columns if surveyed.lacks_columns else None
                return replace(surveyed.entry, columns=columns or surveyed.entry.columns)
        if entry.state is None:
            return entry
        rows = self._asker.ask(statements.present_state(table))
        return replace(
            entry,
            columns=self._with_fields(described).columns,
            state=with_present_state(entry.state, rows),
        )

    def _describe(self, table: TableId) -> Described:
        return read_description(table, self._asker.ask(statements.describe_table(table)))

    def _with_fields(self, described: Described) -> TableEntry:
        if described.entry.format != "iceberg":
            return described.entry
        statement = statements.show_create_table(described.entry.table)
        return self._fields_told(described, self._asker.ask(statement))

    def _fields_told(self, described: Described, created: Sequence[Row]) -> TableEntry:
        entry = with_fields(described, created)
        if entry is not None:
            return entry
        reason = (
            "SHOW CREATE TABLE fits what DESCRIBE tells of it in no way or in more than one, as comments with a "
            "backslash before a quote may; types are told as DESCRIBE prints them, comments inside them and NOT NULL not"
        )
        shown = described.entry.table.shown
        self._omit(shown, WITHOUT_FIELDS, reason, kind="unknowable")
        return without_fields(described)

    def _from_description(
        self, described: Described | Failure, created: Answer | None
    ) -> TableEntry | None:
        """A table of a v2 catalog; ``created`` is SHOW CREATE TABLE's answer where its fields need it."""
        if not isinstance(described, Described):
            raise described
        if isinstance(created, (StatementFailed, StatementTimedOut)):
            raise created
        told = None if described.certain else self._told(described.entry.table)
        if told is not None and opted_out(told.get(GOVERNANCE)):
            return None
        entry = described.entry if created is None else self._fields_told(described, created)
        return entry if told is None else with_snapshot(entry, told)

    def _told(self, table: TableId) -> Mapping[str, str]:
        return told_properties(self._asker.ask(statements.show_table_properties(table)))

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

    def _omit(
        self, scope: str, question: str, reason: str, *, kind: OmissionKind = "unreadable"
    ) -> None:
        self.omissions.append(Omission(scope=scope, question=question, kind=kind, reason=reason))

    def _shown(self, namespace: Sequence[str]) -> str:
        return ".".join((self._catalog, *namespace))


def _read(table: TableId, answer: Answer) -> Described | Failure:
    if isinstance(answer, (StatementFailed, StatementTimedOut)):
        return answer
    try:
        return read_description(table, answer)
    except ValueError as error:
        return error


def _parted(names: Sequence[str], *, at_most: int) -> list[tuple[str, list[str]]]:
    """Patterns of about ``at_most`` names each, with the names; a single name is its own pattern."""
    if len(names) == 1 == at_most:
        return [(names[0], [*names])]
    return [
        (pattern, [name for name in names if _matches(name, pattern)])
        for pattern in statements.name_patterns(names, at_most=at_most)
    ]


def _matches(name: str, pattern: str) -> bool:
    return any(
        name.startswith(one[:-1]) if one.endswith("*") else name == one
        for one in pattern.split("|")
    )
