"""JSON manifests of Monte Carlo's own collector scripts, read strictly into our records. Opens no file and pushes nothing.

The six kinds (Snowflake, BigQuery, BigQuery Iceberg, Databricks, Redshift, Hive) differ in the names of keys
only, so one reader takes every name. What it does not know is named in ``ignored``, never dropped in silence.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn, cast

from iomete_mc_assets.errors import NotImportable
from iomete_mc_assets.records import (
    Column,
    Observation,
    Omission,
    QueryRecord,
    SurveyedState,
    TableEntry,
    TableId,
    TableKind,
)
from iomete_mc_assets.settings import LOG_TYPES, LogType

HashedId = Callable[[str, str | None, datetime, datetime], str]
"""Makes the id of a query whose collector had none, of text, user, start and end."""

KINDS: Mapping[str, TableKind] = {
    "TABLE": "table",
    "BASE TABLE": "table",
    "MANAGED": "table",
    "EXTERNAL": "table",
    "EXTERNAL TABLE": "table",
    "MATERIALIZED VIEW": "table",
    "VIEW": "view",
}
"""Monte Carlo knows TABLE and VIEW only, and refuses any other word."""
_NAME, _KIND = ("name", "asset_name"), ("type", "asset_type")
_FRESH = ("last_update_time", "last_updated_time")
_FRESH_FLAT = ("last_modified", "last_updated")
_ASSET_KEYS = {
    *(*_NAME, *_KIND, *_FRESH_FLAT, "database", "schema", "description", "fields", "volume"),
    *("freshness", "row_count", "byte_count", "created_on", "view_query"),
}
_TEXT, _ROWS = ("query_text", "query"), ("returned_rows", "rows_produced")
EXTRAS: Mapping[str, str] = {
    "warehouse": "warehouse_name",
    "bytes_scanned": "bytes_scanned",
    "total_bytes_billed": "total_bytes_billed",
    "statement_type": "statement_type",
    "total_task_duration_ms": "total_task_duration_ms",
    "read_rows": "read_rows",
    "read_bytes": "read_bytes",
    "database_name": "database_name",
    "elapsed_time_us": "elapsed_time_us",
}
"""Vendors' own figures of a query, and their names in an event's ``extra``."""
_QUERY_KEYS = {
    *(*_TEXT, *_ROWS, *EXTRAS, "query_id", "start_time", "end_time", "user"),
    *("error_code", "error_text"),
}
_TOP_KEYS = {
    *("resource_type", "log_type", "collected_at", "assets", "queries", "entries", "events"),
    *("asset_count", "catalog", "entry_count", "query_log_count", "window_start", "window_end"),
    *("lookback_hours", "lookback_lag_hours", "resource_uuid", "invocation_id", "invocation_ids"),
}
"""The last three are what Hive's pusher writes into a manifest that it has pushed."""
_LINEAGE = ("edges", "events", "lineage_edges")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMetadata:
    """One metadata manifest.

    Attributes:
        resource_type: as its collector says, for Monte Carlo.
        observations: of the tables whose volume or freshness it tells.
        omissions: what it tells and cannot be taken in.
        ignored: keys that nobody knows, each once.
    """

    resource_type: str
    collected_at: datetime
    entries: tuple[TableEntry, ...]
    observations: tuple[Observation, ...]
    omissions: tuple[Omission, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadQueries:
    """One query log manifest; the attributes as in ``ReadMetadata``."""

    log_type: LogType
    collected_at: datetime
    queries: tuple[QueryRecord, ...]
    omissions: tuple[Omission, ...]
    ignored: tuple[str, ...]


def read(  # noqa: RET503 - refuse raises
    data: bytes, *, file: str, hashed_id: HashedId
) -> ReadMetadata | ReadQueries:
    """One manifest.

    Args:
        data: the file's bytes.
        file: its name, for messages.
        hashed_id: for queries without an id.

    Raises:
        NotImportable: it is none of the known shapes; the message names the file, the place in it and
            what to do.
    """
    top = _Place(_parsed(data, file), file=file, path="", ignored=set())
    if "assets" in top.keys:
        return _metadata(top)
    if "queries" in top.keys or "entries" in top.keys:
        return _queries(top, hashed_id)
    if any(key in top.keys for key in _LINEAGE):
        top.refuse("it holds lineage, which is not taken in yet", "Push it with its own script.")
    if "invocation_ids" in top.keys:
        top.refuse(
            "it is the result of a push, not a manifest",
            "Drop the file that the collector wrote instead.",
        )
    top.refuse(
        "it has none of assets, queries and entries",
        "Drop a manifest of a collect_metadata or collect_query_logs script.",
    )


def _parsed(data: bytes, file: str) -> object:
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        msg = (
            f"{file} is no JSON ({error}). It stays where it is. If it is still being written, it is looked at "
            "again when it has changed; else collect it anew. Write it under another name and rename it at the end."
        )
        raise NotImportable(msg) from None


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is no number"
    raise ValueError(msg)


class _Place:
    """A JSON object in the file, and where it stands."""

    def __init__(self, value: object, *, file: str, path: str, ignored: set[str]) -> None:
        self.file, self.path, self.ignored = file, path, ignored
        self.keys: dict[str, object] = {}
        if not isinstance(value, dict):
            self.refuse(f"{_shown(value)} is no object")
        self.keys = cast("dict[str, object]", value)

    def refuse(self, what: str, next_step: str = "Correct it, or collect it anew.") -> NoReturn:
        """Say that the file is not what it should be, and where."""
        place = self.path or "the whole file"
        msg = f"{self.file}, {place}: {what}. The file stays where it is. {next_step}"
        raise NotImportable(msg)

    def known(self, keys: set[str]) -> None:
        """Remember keys that nobody knows."""
        self.ignored.update(key for key in self.keys if key not in keys)

    def of(self, key: str, value: object) -> "_Place":
        """An object inside this one."""
        return _Place(value, file=self.file, path=self._inside(key), ignored=self.ignored)

    def items(self, key: str) -> Iterator["_Place"]:
        """The objects of a list."""
        values = self.keys.get(key)
        if not isinstance(values, list):
            self.refuse(f"{key} is {_shown(values)}, not a list")
        for number, value in enumerate(cast("list[object]", values)):
            yield self.of(f"{key}[{number}]", value)

    def one(self, names: Sequence[str]) -> object:
        """The value under whichever name it has; None without. Two names must not contradict."""
        found = {name: self.keys[name] for name in names if self.keys.get(name) is not None}
        values = list(found.values())
        if any(value != values[0] for value in values[1:]):
            self.refuse(f"{' and '.join(found)} contradict each other")
        return values[0] if values else None

    def text(self, *names: str) -> str:
        """A text that must be there."""
        value = self.maybe_text(*names)
        if not value:
            self.refuse(f"{' or '.join(names)} is missing or empty")
        return value

    def maybe_text(self, *names: str) -> str | None:
        """A text; None without."""
        value = self.one(names)
        if value is not None and not isinstance(value, str):
            self.refuse(f"{names[0]} is {_shown(value)}, not a text")
        return value

    def maybe_count(self, *names: str) -> int | None:
        """A number from 0 on; None without. Vendors write some as texts or as 3.0."""
        value = self.one(names)
        if isinstance(value, str) and value.isdecimal():
            return int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is not None and (type(value) is not int or value < 0):
            self.refuse(f"{names[0]} is {_shown(value)}, not a count")
        return value

    def maybe_instant(self, *names: str) -> datetime | None:
        """An instant; None without. One without a zone is UTC, as Hive's pusher has it."""
        value = self.maybe_text(*names)
        if value is None:
            return None
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.refuse(f"{names[0]} is {_shown(value)}, not an ISO 8601 time")
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)

    def instant(self, *names: str) -> datetime:
        """An instant that must be there."""
        value = self.maybe_instant(*names)
        if value is None:
            self.refuse(f"{' or '.join(names)} is missing")
        return value

    def _inside(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def _metadata(top: _Place) -> ReadMetadata:
    top.known(_TOP_KEYS)
    entries: list[TableEntry] = []
    observations: list[Observation] = []
    omissions: list[Omission] = []
    seen: set[tuple[str, ...]] = set()
    for asset in top.items("assets"):
        entry = _entry(asset)
        if entry.table.folded in seen:
            asset.refuse(f"{entry.table.shown} stands twice in the file")
        seen.add(entry.table.folded)
        entries.append(entry)
        observed = _observation(asset, entry.table)
        if observed is not None and entry.kind == "view":
            # an event with volume says TABLE, so Monte Carlo would make a second asset of it
            omissions.append(_omission(entry.table.shown, "volume", "views have no volume"))
        elif observed is not None:
            observations.append(observed)
    return ReadMetadata(
        resource_type=top.text("resource_type"),
        collected_at=top.instant("collected_at"),
        entries=tuple(entries),
        observations=tuple(observations),
        omissions=tuple(omissions),
        ignored=tuple(sorted(top.ignored)),
    )


def _entry(asset: _Place) -> TableEntry:
    asset.known(_ASSET_KEYS)
    word = asset.maybe_text(*_KIND) or "TABLE"
    kind = KINDS.get(word.upper())
    if kind is None:
        asset.refuse(f"type {_shown(word)} is none of {', '.join(KINDS)}")
    created_at = asset.maybe_instant("created_on")
    return TableEntry(
        table=TableId(asset.text("database"), (asset.text("schema"),), asset.text(*_NAME)),
        kind=kind,
        format="other",
        columns=tuple(_columns(asset)),
        comment=asset.maybe_text("description"),
        view_text=asset.maybe_text("view_query") if kind == "view" else None,
        state=SurveyedState(created_at=created_at) if created_at else None,
    )


def _columns(asset: _Place) -> Iterator[Column]:
    """Of the hourly mode, which leaves ``fields`` out, none: the schema at Monte Carlo stays as it is."""
    if asset.keys.get("fields") is None:
        return
    for field in asset.items("fields"):
        field.known({"name", "type", "description"})
        yield Column(
            name=field.text("name"),
            type=field.text("type"),
            comment=field.maybe_text("description"),
        )


def _observation(asset: _Place, table: TableId) -> Observation | None:
    volume, freshness = _part(asset, "volume"), _part(asset, "freshness")
    volume.known({"row_count", "byte_count"})
    freshness.known(set(_FRESH))
    changed = asset.maybe_instant(*_FRESH_FLAT)
    nested = freshness.maybe_instant(*_FRESH)
    if changed and nested and changed != nested:
        asset.refuse("freshness contradicts last_modified or last_updated")
    observation = Observation(
        table=table,
        row_count=_either(asset, volume, "row_count"),
        byte_count=_either(asset, volume, "byte_count"),
        last_data_change=changed or nested,
    )
    return None if observation == Observation(table=table) else observation


def _part(asset: _Place, key: str) -> _Place:
    value = asset.keys.get(key)
    return asset.of(key, {} if value is None else value)


def _either(asset: _Place, volume: _Place, key: str) -> int | None:
    flat, nested = asset.maybe_count(key), volume.maybe_count(key)
    if flat is not None and nested is not None and flat != nested:
        asset.refuse(f"{key} contradicts volume.{key}")
    return nested if flat is None else flat


def _queries(top: _Place, hashed_id: HashedId) -> ReadQueries:
    top.known(_TOP_KEYS)
    log_type = _log_type(top)
    queries: list[QueryRecord] = []
    omissions: list[Omission] = []
    key = "queries" if "queries" in top.keys else "entries"  # an export for all pushers has both
    for item in top.items(key):
        query = _query(item, hashed_id)
        if isinstance(query, Omission):
            omissions.append(query)
        else:
            queries.append(query)
    return ReadQueries(
        log_type=log_type,
        collected_at=top.instant("collected_at"),
        queries=tuple(queries),
        omissions=tuple(omissions),
        ignored=tuple(sorted(top.ignored)),
    )


def _log_type(top: _Place) -> LogType:  # noqa: RET503 - refuse raises
    word = top.text("log_type")
    for known in LOG_TYPES:
        if word == known:
            return known
    top.refuse(f"log_type {_shown(word)} is none of {', '.join(LOG_TYPES)}")


def _query(item: _Place, hashed_id: HashedId) -> QueryRecord | Omission:
    """The query; an omission for one that has not ended, or ended before it began."""
    item.known(_QUERY_KEYS)
    text, user = item.maybe_text(*_TEXT) or "", item.maybe_text("user") or None
    started_at, ended_at = item.instant("start_time"), item.maybe_instant("end_time")
    query_id = item.maybe_text("query_id")
    if ended_at is None:
        return _omission(item.path, "query end", "the query has no end yet")
    if started_at > ended_at:
        return _omission(item.path, "query times", "the query ends before it starts")
    return QueryRecord(
        query_id=query_id or hashed_id(text, user, started_at, ended_at),
        text=text,
        started_at=started_at,
        ended_at=ended_at,
        status=None,
        user=user,
        error_code=_code(item),
        error_text=item.maybe_text("error_text"),
        returned_rows=item.maybe_count(*_ROWS),
        extra={EXTRAS[key]: _extra(item, key) for key in EXTRAS if item.keys.get(key) is not None},
    )


def _code(item: _Place) -> str | None:
    code = item.keys.get("error_code")
    return str(code) if type(code) is int else item.maybe_text("error_code")


def _extra(item: _Place, key: str) -> object:
    value = item.keys[key]
    if not isinstance(value, str | int | float):
        item.refuse(f"{key} is {_shown(value)}, neither a text nor a number")
    return value


def _omission(scope: str, question: str, reason: str) -> Omission:
    return Omission(scope=scope, question=question, kind="unknowable", reason=reason)


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."  # noqa: PLR2004 - a glance
