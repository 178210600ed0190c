"""The query-history table as SQL: which column plays which role, and the statements that read one hour of it.

Nothing here runs a statement or judges a row; ``query_log_table`` and ``query_judging`` do.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from iomete_mc_assets.errors import SettingsError
from iomete_mc_assets.settings import (
    IOMETE_QUERY_LOG_COLUMNS,
    IOMETE_QUERY_LOG_TABLE,
    IOMETE_QUERY_LOG_TIMEZONE,
    IOMETE_QUERY_LOG_WITHOUT_END,
)
from iomete_mc_assets.warehouse.rows import Row
from iomete_mc_assets.warehouse.statements import literal, quoted, tagged
from iomete_mc_assets.windows import HourWindow

Role = Literal[
    "text",
    "start",
    "end",
    "duration_ms",
    "date",
    "user",
    "status",
    "error_code",
    "error_text",
    "rows",
    "id",
    "session",
    "catalog",
    "database",
]
ROLES: tuple[Role, ...] = get_args(Role)

CANDIDATES: Mapping[Role, tuple[str, ...]] = {
    "text": ("sql_text", "query_text", "statement", "statement_text", "query", "sql"),
    "start": ("start_time", "started_at", "submitted_at", "submit_time", "start_ts"),
    "end": ("end_time", "ended_at", "finished_at", "completed_at", "finish_time", "end_ts"),
    "duration_ms": ("duration_ms", "duration_millis", "elapsed_ms"),
    "date": ("completion_date", "end_date"),
    "user": ("user_name", "username", "user", "submitted_by", "submitter"),
    "status": ("status", "query_status", "state"),
    "error_code": ("error_code",),
    "error_text": ("error_message", "error_text", "error", "failure_reason"),
    "rows": ("rows_returned", "returned_rows", "result_rows"),
    "id": ("query_id", "statement_id", "operation_id", "id"),
    "session": ("session_id", "session"),
    "catalog": ("catalog_name", "catalog"),
    "database": ("database_name", "database", "schema_name"),
}
"""Names by which a role is found without being told, the likeliest first. A plain ``duration`` is not among
them: it does not say its unit."""

Shape = Literal["start and end", "start and duration", "start and completion date"]

_ZONE_IN_TEXT = "[T ][0-9]{1,2}:[0-9:.]* ?[-+A-Za-z]"
"""After the time of day comes a sign or a letter: the text carries its own zone."""
_TIMESTAMPS = ("timestamp", "timestamp_ntz", "string")
_DATES = ("date", *_TIMESTAMPS)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnMapping:
    """How the columns of a query history are read, where names and types do not tell.

    Attributes:
        columns: role to column; wins over ``CANDIDATES``.
        timezone: zone of times that carry none (strings, TIMESTAMP_NTZ) and of completion dates.
        without_end: what to do with a history that has neither an end nor a duration.

    Raises:
        SettingsError: a role or zone that cannot be used.
    """

    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    timezone: str = "UTC"
    without_end: Literal["refuse", "estimate"] = "refuse"

    def __post_init__(self) -> None:
        """Refuse what can be refused without asking the source."""
        unknown = sorted(set(self.columns) - set(ROLES))
        if unknown:
            msg = f"{IOMETE_QUERY_LOG_COLUMNS.name}: no role is called {', '.join(unknown)}. Roles are {', '.join(ROLES)}."
            raise SettingsError(msg)
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            msg = f"{IOMETE_QUERY_LOG_TIMEZONE.name}: {self.timezone!r} is no known zone. It takes {IOMETE_QUERY_LOG_TIMEZONE.takes}."
            raise SettingsError(msg) from None

    def roles(self, names: Iterable[str]) -> dict[Role, str]:
        """Role to column, for the roles that are found; case does not matter."""
        by_folded = {name.casefold(): name for name in names}
        columns: dict[Role, str] = {}
        for role in ROLES:
            wanted = self.columns.get(role)
            candidates = CANDIDATES[role] if wanted is None else (wanted,)
            known = [name.casefold() for name in candidates if name.casefold() in by_folded]
            if known:
                columns[role] = by_folded[known[0]]
        return columns


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryLogConfig(ColumnMapping):
    """A query-history table, and how its columns are read.

    Attributes:
        table: ``catalog.database.table``; parts with dots in backticks.

    Raises:
        SettingsError: a name, role or zone that cannot be used.
    """

    table: str

    def __post_init__(self) -> None:
        """Refuse what can be refused without asking the lakehouse."""
        if len(self.parts) < 3:  # noqa: PLR2004 - catalog, database, table
            msg = f"{IOMETE_QUERY_LOG_TABLE.name}: {self.table!r} is not {IOMETE_QUERY_LOG_TABLE.takes}."
            raise SettingsError(msg)
        ColumnMapping.__post_init__(self)

    @property
    def parts(self) -> tuple[str, ...]:
        """The table's name, part by part; empty when it is none."""
        part = r"`(?:[^`]|``)+`|[^.`\s]+"
        if not re.fullmatch(rf"(?:{part})(?:\.(?:{part}))*", self.table):
            return ()
        return tuple(
            name[1:-1].replace("``", "`") if name.startswith("`") else name
            for name in re.findall(part, self.table)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryLogSource:
    """A query-history table whose columns have found their roles.

    Attributes:
        table: as configured, for people.
        name: quoted, for SQL.
        columns: role to column, as the table spells it.
        types: role to Spark type in lower case.
        zone: of times that carry none.
    """

    table: str
    name: str
    columns: Mapping[Role, str]
    types: Mapping[Role, str]
    zone: str

    @property
    def shape(self) -> Shape:
        """What tells when a query ended."""
        if "end" in self.columns:
            return "start and end"
        return (
            "start and duration" if "duration_ms" in self.columns else "start and completion date"
        )

    @property
    def estimated(self) -> bool:
        """Whether the end of a query is only estimated."""
        return self.shape == "start and completion date"

    def hour(self, window: HourWindow) -> str:
        """The statement for one hour: queries that ended in it, oldest first, and those without an end that started in it.

        Rows have ``started_us`` and ``ended_us`` (microseconds since the epoch; None where the source has no
        usable time) and one column for each other role found, by the role's name.
        """
        low, high = _micros(window.start), _micros(window.end)
        start, end = self._instant("start"), self._ended()
        texts = ", ".join(
            f"CAST({quoted(column)} AS {'BIGINT' if role == 'rows' else 'STRING'}) AS {quoted(role)}"
            for role, column in self.columns.items()
            if role not in _TIME_ROLES
        )
        return tagged(
            f"SELECT unix_micros({start}) AS started_us, unix_micros({end}) AS ended_us, {texts} FROM {self.name} "
            f"WHERE {self._pruning(window)}(({end} >= timestamp_micros({low}) AND {end} < timestamp_micros({high})) "
            f"OR ({end} IS NULL AND {start} >= timestamp_micros({low}) AND {start} < timestamp_micros({high}))) "
            "ORDER BY ended_us, started_us"
            + "".join(
                f", {quoted(role)}" for role in ("id", "user", "text") if role in self.columns
            )
        )

    def bounds(self) -> str:
        """The statement for the oldest and newest end in the table, ``oldest_us`` and ``newest_us``; None when it has none."""
        end = self._ended()
        return tagged(
            f"SELECT unix_micros(min({end})) AS oldest_us, unix_micros(max({end})) AS newest_us FROM {self.name}"
        )

    def _ended(self) -> str:
        """When a query ended, as a TIMESTAMP expression; the estimate is its start, clamped into its completion date."""
        if self.shape == "start and end":
            return self._instant("end")
        start = self._instant("start")
        if self.shape == "start and duration":
            duration = f"try_cast({quoted(self.columns['duration_ms'])} AS DOUBLE)"
            return (
                f"timestamp_micros(unix_micros({start}) + CAST(round({duration} * 1000) AS BIGINT))"
            )
        date = f"try_cast({quoted(self.columns['date'])} AS DATE)"
        begins = self._in_zone(f"CAST({date} AS TIMESTAMP)")
        next_begins = self._in_zone(f"CAST(date_add({date}, 1) AS TIMESTAMP)")
        return f"CASE WHEN {start} < {next_begins} THEN greatest({start}, {begins}) END"

    def _instant(self, role: Role) -> str:
        column, kind = quoted(self.columns[role]), self.types[role]
        if kind == "timestamp":
            return column
        if kind == "timestamp_ntz":
            return self._in_zone(f"CAST({column} AS TIMESTAMP)")
        read = f"try_cast({column} AS TIMESTAMP)"
        if self._in_zone(read) == read:
            return read
        return f"CASE WHEN {column} RLIKE {literal(_ZONE_IN_TEXT)} THEN {read} ELSE {self._in_zone(read)} END"

    def _in_zone(self, read_as_utc: str) -> str:
        """A wall clock that the session (whose zone is UTC) has read as UTC, read in the declared zone instead."""
        return (
            read_as_utc
            if self.zone == "UTC"
            else f"to_utc_timestamp({read_as_utc}, {literal(self.zone)})"
        )

    def _pruning(self, window: HourWindow) -> str:
        """A wider condition on bare columns, where the exact one would hide them from partition pruning."""
        zone = ZoneInfo(self.zone)
        if self.shape == "start and completion date" and self.types["date"] == "date":
            first = (window.start - _DAY).astimezone(zone).date().isoformat()
            last = (window.end + _DAY).astimezone(zone).date().isoformat()
            date = quoted(self.columns["date"])
            return f"{date} BETWEEN DATE'{first}' AND DATE'{last}' AND "
        if self.shape == "start and duration" and self.types["start"] == "timestamp":
            return f"{quoted(self.columns['start'])} < timestamp_micros({_micros(window.end)}) AND "
        return ""


_TIME_ROLES: tuple[Role, ...] = ("start", "end", "duration_ms", "date")


def describe(config: QueryLogConfig) -> str:
    """The statement for the table's columns."""
    return tagged(f"DESCRIBE TABLE {quoted(*config.parts)}")


def source_of(config: QueryLogConfig, described: Sequence[Row]) -> QueryLogSource:
    """The roles of a table's columns.

    Args:
        config: says what the names do not tell.
        described: the answer to ``describe``; what follows the columns is ignored.

    Raises:
        SettingsError: a mapped column does not exist, no column holds the text or the start, nothing tells
            the end, or a time's type cannot be read. The message lists the table's columns.
    """
    types = _column_types(described)
    shown, listed = f"The query log table {config.table}", _listed(types)
    columns = config.roles(types)
    for role, wanted in config.columns.items():
        if role not in columns:
            msg = (
                f"{IOMETE_QUERY_LOG_COLUMNS.name}: {config.table} has no column {wanted!r} for the role {role}. Its columns "
                f"are {listed}."
            )
            raise SettingsError(msg)
    require(columns, shown=shown, listed=listed)
    source = QueryLogSource(
        table=config.table,
        name=quoted(*config.parts),
        columns=columns,
        types={role: types[column] for role, column in columns.items()},
        zone=config.timezone,
    )
    if source.estimated and config.without_end == "refuse":
        raise without_end(shown)
    _check_types(source)
    return source


def _column_types(described: Sequence[Row]) -> dict[str, str]:
    types: dict[str, str] = {}
    for row in described:
        name = str(row["col_name"] or "")
        if not name or name.startswith("#"):
            break
        types[name] = str(row["data_type"]).lower()
    return types


def require(columns: Mapping[Role, str], *, shown: str, listed: str) -> None:
    """Refuse a history without a text, a start or anything that tells the end; the message lists its columns."""
    missing = [role for role in ("text", "start") if role not in columns]
    if not {"end", "duration_ms", "date"} & set(columns):
        missing.append("end (or duration_ms)")
    if missing:
        msg = (
            f"{shown} has no column that is known to hold {' and '.join(missing)}. Name it in "
            f"{IOMETE_QUERY_LOG_COLUMNS.name}, e.g. text=<column>,end=<column>. Its columns are {listed}."
        )
        raise SettingsError(msg)


def without_end(shown: str) -> SettingsError:
    """The error of a history whose ends could only be estimated, while that is refused."""
    return SettingsError(
        f"{shown} tells a query's start and the date of its completion, not when it ended, so no query can be put into "
        f"its hour. Map a column to end or duration_ms in {IOMETE_QUERY_LOG_COLUMNS.name}, or set "
        f"{IOMETE_QUERY_LOG_WITHOUT_END.name} to estimate: then the start, moved into the completion date, is taken for "
        "the end and marked as estimated."
    )


def _check_types(source: QueryLogSource) -> None:
    """Refuse what would read as no time at all, and so as an hour without queries."""
    takes: dict[Role, tuple[str, ...]] = {"start": _TIMESTAMPS, "end": _TIMESTAMPS, "date": _DATES}
    for role, kinds in takes.items():
        kind = source.types.get(role)
        if kind is not None and kind not in kinds and not kind.startswith(("varchar", "char")):
            msg = (
                f"The query log table {source.table} has its {role} in column {source.columns[role]!r} of type {kind}, "
                f"whose unit nobody tells. A {role} is of type {', '.join(kinds)}; a view over the table can convert it."
            )
            raise SettingsError(msg)


def _listed(types: Mapping[str, str]) -> str:
    return ", ".join(f"{column} ({kind})" for column, kind in types.items()) or "not readable"


def _micros(instant: datetime) -> int:
    return round(instant.timestamp()) * 1_000_000
