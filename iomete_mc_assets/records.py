"""What a manifest's records are: frozen, without any clock of the collection. JSON lives in ``manifests.codec``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

TableKind = Literal["table", "view"]
TableFormat = Literal["iceberg", "other"]
OmissionKind = Literal["unreadable", "unknowable"]
"""``unreadable``: asked, and the answer failed. ``unknowable``: knowledge that nobody can have any more."""
QueryStatus = Literal["succeeded", "failed", "cancelled"]
EdgeKind = Literal["table", "direct", "indirect"]
"""``table``: rows of one fed the other. ``direct``: a column's value is made of another's. ``indirect``: that
other only decides which value it is (window order, CASE condition, aggregate FILTER, pivot column)."""
Evidence = Literal["plan", "sql", "view text"]
"""What an edge was found in, the surest first: Spark's own resolved plan, the text of a query, of a view."""
ChangeKind = Literal[
    "database dropped",
    "table added",
    "table dropped",
    "table renamed",
    "table re-created",
    "column added",
    "column dropped",
    "column retyped",
    "comment changed",
]
"""How two listings of a catalog differ. ``re-created``: another table (or a view) under the same name; a database
counts as dropped that is not listed any more, which a lost grant may have done."""


@dataclass(frozen=True, slots=True, order=True)
class TableId:
    """A table's or view's name as the lakehouse shows it (case kept).

    Attributes:
        catalog: e.g. ``spark_catalog``.
        namespace: one or more levels, outermost first.
        table: the last part.
    """

    catalog: str
    namespace: tuple[str, ...]
    table: str

    @property
    def shown(self) -> str:
        """Dotted, for people; not an identifier for SQL."""
        return ".".join((self.catalog, *self.namespace, self.table))

    @property
    def folded(self) -> tuple[str, ...]:
        """Identity: catalog, namespace and table in lower case (an upgrade can change the case shown)."""
        return tuple(part.casefold() for part in (self.catalog, *self.namespace, self.table))


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One top-level column.

    Attributes:
        type: Spark SQL's spelling in upper case, nested field names in their own case,
            e.g. ``STRUCT<City: STRING, geo: ARRAY<DOUBLE>>``.
        required: True for NOT NULL; None where the source cannot tell.
        comment: None without.
        field_comments: of the fields inside, by path below the column (``City``, ``geo.element.zip``), in order;
            empty also where the source shows none.
    """

    name: str
    type: str
    required: bool | None = None
    comment: str | None = None
    field_comments: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyedState:
    """What the survey alone said of an Iceberg table's present state (main branch).

    Attributes:
        uuid: the Iceberg table uuid; None in v2 catalogs, and where the metastore cannot list the table.
        metadata_location: the current metadata file; None in v2 catalogs.
        snapshot_id: None for a table that has no snapshot.
        snapshot_count: None where the survey does not show it.
        snapshot_at: commit time of that snapshot; None where unknown.
        total_records, total_bytes, position_deletes, equality_deletes: from the snapshot's
            summary, as Iceberg wrote them; None where not recorded.
        created_at: the metastore entry's creation; a re-registered table is younger than its history.
    """

    uuid: str | None = None
    metadata_location: str | None = None
    snapshot_id: int | None = None
    snapshot_count: int | None = None
    snapshot_at: datetime | None = None
    total_records: int | None = None
    total_bytes: int | None = None
    position_deletes: int | None = None
    equality_deletes: int | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableEntry:
    """One table or view of a catalog snapshot.

    Attributes:
        columns: complete and in order.
        view_text: views only; None where the catalog does not show it.
        state: Iceberg tables only.
    """

    table: TableId
    kind: TableKind
    format: TableFormat
    columns: tuple[Column, ...]
    comment: str | None = None
    owner: str | None = None
    view_text: str | None = None
    state: SurveyedState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Freshness and volume of one Iceberg table as of the end of the manifest's hour.

    Attributes:
        snapshot_id: current just before the hour's end; None for a table without snapshots.
        state_at: when that snapshot became current; None without one.
        row_count: rows; 0 is a measurement; None where it cannot be known (see an omission).
        byte_count: data file bytes of that snapshot; None where not recorded.
        total_records, position_deletes, equality_deletes: the summary's raw figures.
        last_data_change: when the data last changed before the hour's end (``replace`` never counts);
            None where unknown or never written.
        exact_deletes: whether ``total_records - position_deletes`` is the row count: no ``replace``
            since position deletes were last 0 and no equality delete; None where unknown.
        surveyed_snapshot_id, metadata_location: of the survey this was read beside; equality of the
            location and ``snapshot_id == surveyed_snapshot_id`` is what lets the next hour skip the read.
            The id is -1 where that showed no snapshot, and None where the next hour must not lean on it.
        carried_from: the manifest id this was carried from, unsent, because the table could not be
            read in this hour; None for an observation of the hour itself.
    """

    table: TableId
    uuid: str | None = None
    snapshot_id: int | None = None
    state_at: datetime | None = None
    row_count: int | None = None
    byte_count: int | None = None
    total_records: int | None = None
    position_deletes: int | None = None
    equality_deletes: int | None = None
    last_data_change: datetime | None = None
    exact_deletes: bool | None = None
    surveyed_snapshot_id: int | None = None
    metadata_location: str | None = None
    carried_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedEdges:
    """What Spark's own plan of a query that writes says of lineage; sorted, in lower case.

    Attributes:
        tables: source and target, each as catalog, namespace levels, table.
        direct, indirect: source and target columns, the column behind its table's parts.
        columns_known: False where only the text can tell the columns.
    """

    tables: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    direct: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()
    indirect: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()
    columns_known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRecord:
    """One ended query.

    Attributes:
        query_id: stable and never empty: the source's, else a hash of text, user and times.
        text: as it was logged (privacy settings apply before this record is made).
        started_at, ended_at: aware UTC, started_at <= ended_at.
        end_estimated: the source knows no end; ended_at is the best statement it allows.
        user: None where the source has none.
        status: None where the source tells neither a status nor errors.
        error_code, error_text: failed and cancelled queries only.
        returned_rows: None where unknown.
        session_id, catalog, database: context of the query; None where the source has none.
        extra: what other vendors tell of a query, by name, texts and numbers; imported queries only.
        plan: of succeeded queries that write, where the source logs plans; for lineage alone, never sent.
    """

    query_id: str
    text: str
    started_at: datetime
    ended_at: datetime
    end_estimated: bool = False
    status: QueryStatus | None = "succeeded"
    user: str | None = None
    error_code: str | None = None
    error_text: str | None = None
    returned_rows: int | None = None
    session_id: str | None = None
    catalog: str | None = None
    database: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict[str, object])
    plan: PlannedEdges | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageEdge:
    """One table, or one column, that fed another in the manifest's hour.

    Attributes:
        source, target: spelled as the catalog snapshot spells them, else in lower case; never equal.
        source_column, target_column: None for a ``table`` edge, else top-level columns.
        found_in: the surest evidence of the hour.
        times_seen: queries of the hour that show it; a view's text counts once.
        last_seen: end of the latest of them; for a view's text, of the catalog's hour.
    """

    source: TableId
    target: TableId
    kind: EdgeKind
    source_column: str | None = None
    target_column: str | None = None
    found_in: Evidence
    times_seen: int
    last_seen: datetime


Record = TableEntry | Observation | QueryRecord | LineageEdge


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Omission:
    """What was asked and not answered.

    Attributes:
        scope: a table, database, catalog or source as shown to people.
        question: in a few words, constant per kind of question (``columns``, ``history``, ``list tables``).
        reason: one sentence.
    """

    scope: str
    question: str
    kind: OmissionKind
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between two listings of a catalog.

    Attributes:
        scope: the table, or table and column, as shown to people; after a rename the new name.
        before, after: name, type or comment, cut where long; None where there was or is none.
    """

    kind: ChangeKind
    scope: str
    before: str | None = None
    after: str | None = None
