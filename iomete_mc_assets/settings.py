"""Every setting once: name, default, unit, meaning, and how its text is read.

The Dagster resources, the command line and README's table use these; nothing else names a variable.
Nothing here reads the environment by itself: ``read`` takes a mapping.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Literal, TypeVar, cast, get_args

from iomete_mc_assets.errors import SettingsError

T = TypeVar("T")
S = TypeVar("S", bound=str)
WithoutEnd = Literal["refuse", "estimate"]
WITHOUT_END: tuple[WithoutEnd, ...] = ("refuse", "estimate")
QueryText = Literal["whole", "masked", "none"]
QUERY_TEXTS: tuple[QueryText, ...] = ("whole", "masked", "none")
Naming = Literal["guide", "hive", "databricks"]
NAMINGS: tuple[Naming, ...] = ("guide", "hive", "databricks")
LogType = Literal[
    "snowflake",
    "bigquery",
    "databricks",
    "redshift",
    "hive-s3",
    "athena",
    "teradata",
    "clickhouse",
    "databricks-metastore-sql-warehouse",
    "s3",
    "presto-s3",
]
LOG_TYPES: tuple[LogType, ...] = get_args(LogType)
"""Source: the push-ingestion skill's list; Monte Carlo refuses a query log of another type."""
Group = Literal["lakehouse", "query log", "monte carlo", "store", "dagster"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Generic[T]):
    """One environment variable.

    Attributes:
        default: its text when unset; None means it must be set.
        takes: what a valid text looks like, for people.
        meaning: one sentence, with the unit.
        parse: text to value; raises ValueError for a text that ``takes`` does not describe.
        secret: never shown anywhere.
        newcomer: stands in README's first table.
    """

    name: str
    group: Group
    takes: str
    meaning: str
    parse: Callable[[str], T]
    default: str | None = None
    secret: bool = False
    newcomer: bool = False

    def read(self, environment: Mapping[str, str]) -> T:
        """The value in ``environment``, or the default's.

        Raises:
            SettingsError: required and absent or empty, or not what ``takes`` says.
        """
        text = environment.get(self.name, "").strip() or self.default
        if text is None:
            msg = f"{self.name} is not set: {self.meaning} Set it to {self.takes}."
            raise SettingsError(msg)
        return self.of(text)

    def of(self, text: str) -> T:
        """The value of a text; SettingsError when it is not what ``takes`` says."""
        try:
            return self.parse(text)
        except ValueError as error:
            shown = "its value" if self.secret else f"{text!r}"
            why = "" if self.secret else f" ({error})"  # Python's own errors repeat the text
            msg = f"{self.name}: {shown} cannot be used{why}. It takes {self.takes}."
            raise SettingsError(msg) from None


def _text(text: str) -> str:
    return text


def _text_or_none(text: str) -> str | None:
    return text.strip() or None


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _pairs(text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in _names(text):
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or not value.strip():
            msg = f"{part!r} is not key=value"
            raise ValueError(msg)
        pairs[key.strip()] = value.strip()
    return pairs


def _flag(text: str) -> bool:
    known = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if text.lower() not in known:
        msg = "neither yes nor no"
        raise ValueError(msg)
    return known[text.lower()]


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            msg = f"not from {low} to {high}"
            raise ValueError(msg)
        return value

    return parse


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100:  # noqa: PLR2004 - percent
        msg = "not from 0 to 100"
        raise ValueError(msg)
    return value


def _one_of(choices: tuple[S, ...]) -> Callable[[str], S]:
    def parse(text: str) -> S:
        for choice in choices:
            if choice == text:
                return choice
        msg = "no such value"
        raise ValueError(msg)

    return parse


def _uuid(text: str) -> str:
    return str(uuid.UUID(text))


def _hour(text: str) -> datetime:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d-\d\d:00", text):
        msg = "not a whole UTC hour"
        raise ValueError(msg)
    return datetime.strptime(text, "%Y-%m-%d-%H:%M").replace(tzinfo=UTC)


def _sources(text: str) -> dict[str, str]:
    sources = {name: _uuid(warehouse) for name, warehouse in _pairs(text).items()}
    for name in sources:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            msg = f"{name!r} is no name of letters, digits, '-' and '_'"
            raise ValueError(msg)
    return sources


def _http_endpoint(text: str) -> str:
    if not re.fullmatch(r"https?://[^/\s?#@]+/?", text):
        msg = "not http(s)://host[:port] without a path"
        raise ValueError(msg)
    return text.rstrip("/")


def _graphql_endpoint(text: str) -> str:
    if not re.fullmatch(r"https?://[^/\s?#@]+/[^\s?#]+", text):
        msg = "not http(s)://host[:port]/path"
        raise ValueError(msg)
    return text


def _table_globs(text: str) -> tuple[str, ...]:
    word = text.strip().lower()
    return {"all": ("*",), "off": ()}.get(word, _names(text))


def _owners(text: str) -> tuple[str, ...]:
    owners = _names(text)
    for owner in owners:
        # Dagster's own rule, so that a wrong one is named before it refuses the whole project
        if not re.fullmatch(r"team:.+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}", owner):
            msg = f"{owner!r} is neither a mail address nor team:NAME"
            raise ValueError(msg)
    return owners


def _address_or_none(text: str) -> str | None:
    if text.strip() and not re.fullmatch(r"https?://[^/\s?#@]+(/\S*)?", text):
        msg = "no http(s) address"
        raise ValueError(msg)
    return _text_or_none(text)


IOMETE_URL = Setting(
    name="IOMETE_URL",
    group="lakehouse",
    newcomer=True,
    takes=(
        "https://host/data-plane/<namespace>/lakehouse/<compute>, http://host:10000/cliservice "
        "or thrift://host:10000 (binary mode), without user and password"
    ),
    meaning="Address of the lakehouse's Thrift server; http and thrift send the token in the clear.",
    parse=_text,
)
IOMETE_USER = Setting(
    name="IOMETE_USER",
    group="lakehouse",
    newcomer=True,
    takes="a user or service account name",
    meaning="Who we are at the lakehouse.",
    parse=_text,
)
IOMETE_TOKEN = Setting(
    name="IOMETE_TOKEN",
    group="lakehouse",
    newcomer=True,
    secret=True,
    takes="an access token (an account password does not work)",
    meaning="Access token of that user.",
    parse=_text,
)
IOMETE_CATALOGS = Setting(
    name="IOMETE_CATALOGS",
    group="lakehouse",
    newcomer=True,
    default="spark_catalog",
    takes="catalog names, separated by commas",
    meaning="Catalogs to survey.",
    parse=_names,
)
IOMETE_EXCLUDE = Setting(
    name="IOMETE_EXCLUDE",
    group="lakehouse",
    default=" ",
    takes="globs over catalog.database.table, separated by commas, e.g. *.tmp.*,*.*.stg_*",
    meaning="What to leave out besides system databases, temporary views and iomete.governance.index=false.",
    parse=_names,
)
IOMETE_TLS_VERIFY = Setting(
    name="IOMETE_TLS_VERIFY",
    group="lakehouse",
    default="yes",
    takes="yes or no",
    meaning="Whether the lakehouse's certificate is verified; no is named in the log.",
    parse=_flag,
)
IOMETE_CA_FILE = Setting(
    name="IOMETE_CA_FILE",
    group="lakehouse",
    default=" ",
    takes="the path of a PEM file",
    meaning="Certificate authorities for a private certificate; the system's when unset.",
    parse=_text_or_none,
)
IOMETE_CONNECT_TIMEOUT_S = Setting(
    name="IOMETE_CONNECT_TIMEOUT_S",
    group="lakehouse",
    default="10",
    takes="1 to 300",
    meaning="Seconds to wait for a connection.",
    parse=_whole(1, 300),
)
IOMETE_READ_TIMEOUT_S = Setting(
    name="IOMETE_READ_TIMEOUT_S",
    group="lakehouse",
    default="60",
    takes="30 to 3600",
    meaning="Seconds to wait for one answer; the server itself holds a poll for 5.",
    parse=_whole(30, 3600),
)
IOMETE_STATEMENT_DEADLINE_S = Setting(
    name="IOMETE_STATEMENT_DEADLINE_S",
    group="lakehouse",
    default="300",
    takes="1 to 7200",
    meaning="Seconds after which a statement is cancelled.",
    parse=_whole(1, 7200),
)
IOMETE_STARTUP_WINDOW_S = Setting(
    name="IOMETE_STARTUP_WINDOW_S",
    group="lakehouse",
    default="120",
    takes="0 to 1800",
    meaning="Seconds in which a refused connection, 429, 502, 503 or 504 before the first statement is tried again.",
    parse=_whole(0, 1800),
)
IOMETE_UNREADABLE_PERCENT = Setting(
    name="IOMETE_UNREADABLE_PERCENT",
    group="lakehouse",
    default="5",
    takes="0 to 100",
    meaning="Percent of tables that may be unreadable before an hour fails (three tables always may).",
    parse=_share,
)
IOMETE_FULL_SWEEP_HOURS = Setting(
    name="IOMETE_FULL_SWEEP_HOURS",
    group="lakehouse",
    default="24",
    takes="1 to 720",
    meaning="Hours after which every table's history is read again, also of tables that look unchanged.",
    parse=_whole(1, 720),
)
IOMETE_COUNT_ROWS_S = Setting(
    name="IOMETE_COUNT_ROWS_S",
    group="lakehouse",
    default="0",
    takes="0 to 3600",
    meaning=(
        "Seconds that count(*) as of the hour's end may take for each table whose row count its metadata "
        "cannot tell (compacted row-level deletes); 0 leaves it unknown."
    ),
    parse=_whole(0, 3600),
)
IOMETE_QUERY_LOG_TABLE = Setting(
    name="IOMETE_QUERY_LOG_TABLE",
    group="query log",
    newcomer=True,
    default=" ",
    takes="catalog.database.table",
    meaning="Table with the query history; with no source at all, query log partitions say so.",
    parse=_text_or_none,
)
IOMETE_QUERY_LOG_EVENTS = Setting(
    name="IOMETE_QUERY_LOG_EVENTS",
    group="query log",
    newcomer=True,
    default=" ",
    takes="a folder or an fsspec address such as s3://bucket/spark-history (spark.eventLog.dir)",
    meaning="Spark event logs of the computes' Thrift servers, instead of a table.",
    parse=_text_or_none,
)
IOMETE_QUERY_LOG_EXPORTS = Setting(
    name="IOMETE_QUERY_LOG_EXPORTS",
    group="query log",
    default=" ",
    takes="a folder, a file or an fsspec address, with files named *.ndjson, *.jsonl, *.json or *.csv, also .gz or .zst",
    meaning="Exports of a query history, instead of a table; their fields are found and mapped as a table's columns.",
    parse=_text_or_none,
)
IOMETE_QUERY_LOG_COLUMNS = Setting(
    name="IOMETE_QUERY_LOG_COLUMNS",
    group="query log",
    default=" ",
    takes=(
        "role=column pairs; roles: text, start, end, duration_ms, date, user, status, "
        "error_code, error_text, rows, id, session, catalog, database"
    ),
    meaning="Columns of that table, or fields of those exports, where their names do not tell. Without a status and an error column a query's status is unknown.",
    parse=_pairs,
)
IOMETE_QUERY_LOG_TIMEZONE = Setting(
    name="IOMETE_QUERY_LOG_TIMEZONE",
    group="query log",
    default="UTC",
    takes="a zone such as UTC or Europe/Berlin",
    meaning="Zone of times in that table or those exports that carry none (strings, TIMESTAMP_NTZ).",
    parse=_text,
)
IOMETE_QUERY_LOG_WITHOUT_END: Setting[WithoutEnd] = Setting(
    name="IOMETE_QUERY_LOG_WITHOUT_END",
    group="query log",
    default="refuse",
    takes="refuse or estimate",
    meaning="What to do with a table or an export that has only a start and a completion date; an estimated end is marked and counted.",
    parse=_one_of(WITHOUT_END),
)
IOMETE_QUERY_LOG_DELAY_MINUTES = Setting(
    name="IOMETE_QUERY_LOG_DELAY_MINUTES",
    group="query log",
    default="30",
    takes="0 to 1440",
    meaning="Minutes after an hour's end until its query log is believed to be whole.",
    parse=_whole(0, 1440),
)
IOMETE_QUERY_LOG_LOOKBACK_HOURS = Setting(
    name="IOMETE_QUERY_LOG_LOOKBACK_HOURS",
    group="query log",
    default="3",
    takes="1 to 24",
    meaning="Hours the hourly run collects again, so that late queries arrive; unchanged hours are kept.",
    parse=_whole(1, 24),
)
IOMETE_QUERY_LOG_EXCLUDE_USERS = Setting(
    name="IOMETE_QUERY_LOG_EXCLUDE_USERS",
    group="query log",
    default=" ",
    takes="user names, separated by commas",
    meaning="Users whose queries are left out, e.g. Monte Carlo's own service account.",
    parse=_names,
)
IOMETE_QUERY_TEXT: Setting[QueryText] = Setting(
    name="IOMETE_QUERY_TEXT",
    group="query log",
    default="whole",
    takes="whole, masked or none",
    meaning=(
        "What is kept and sent of a query's text: all, all but its literals and comments (tags of queries stay), or nothing; "
        "error messages, which repeat it, only with whole."
    ),
    parse=_one_of(QUERY_TEXTS),
)
MCD_INGEST_ID = Setting(
    name="MCD_INGEST_ID",
    group="monte carlo",
    newcomer=True,
    takes="the id of a key of scope Ingestion",
    meaning="Ingestion key that pushes.",
    parse=_text,
)
MCD_INGEST_TOKEN = Setting(
    name="MCD_INGEST_TOKEN",
    group="monte carlo",
    newcomer=True,
    secret=True,
    takes="the secret of that key",
    meaning="Secret of the ingestion key.",
    parse=_text,
)
MCD_RESOURCE_UUID = Setting(
    name="MCD_RESOURCE_UUID",
    group="monte carlo",
    newcomer=True,
    takes="the warehouse's UUID (not the data collector's)",
    meaning="Warehouse of the custom integration.",
    parse=_uuid,
)
MCD_INGEST_ENDPOINT = Setting(
    name="MCD_INGEST_ENDPOINT",
    group="monte carlo",
    default="https://integrations.getmontecarlo.com",
    takes="http(s)://host[:port] without a path",
    meaning="Where pushes go.",
    parse=_http_endpoint,
)
MCD_ID = Setting(
    name="MCD_ID",
    group="monte carlo",
    takes="the id of an API key (not an ingestion key)",
    meaning="API key that asks Monte Carlo and sets it up; only set-up and verification need it.",
    parse=_text,
)
MCD_TOKEN = Setting(
    name="MCD_TOKEN",
    group="monte carlo",
    takes="the secret of that key",
    meaning="Secret of the API key.",
    parse=_text,
    secret=True,
)
MCD_GRAPHQL_ENDPOINT = Setting(
    name="MCD_GRAPHQL_ENDPOINT",
    group="monte carlo",
    default="https://api.getmontecarlo.com/graphql",
    takes="http(s)://host[:port]/graphql",
    meaning="Where questions and set-up go.",
    parse=_graphql_endpoint,
)
MCD_RESOURCE_TYPE = Setting(
    name="MCD_RESOURCE_TYPE",
    group="monte carlo",
    default="spark",
    takes="a word",
    meaning="resource_type of metadata events.",
    parse=_text,
)
MCD_LOG_TYPE: Setting[LogType] = Setting(
    name="MCD_LOG_TYPE",
    group="monte carlo",
    default="databricks-metastore-sql-warehouse",
    takes="one of Monte Carlo's log types: " + ", ".join(LOG_TYPES),
    meaning="log_type of query log events.",
    parse=_one_of(LOG_TYPES),
)
MCD_NAMING: Setting[Naming] = Setting(
    name="MCD_NAMING",
    group="monte carlo",
    default="guide",
    takes="guide (db, default, table), hive (db, db, table) or databricks (catalog, db, table)",
    meaning="How a table is named at Monte Carlo; guide and hive take several catalogs only with MCD_CATALOG_PREFIXES.",
    parse=_one_of(NAMINGS),
)
MCD_CATALOG_PREFIXES = Setting(
    name="MCD_CATALOG_PREFIXES",
    group="monte carlo",
    default=" ",
    takes="catalog=prefix pairs, separated by commas, e.g. lake=lake_",
    meaning="What guide and hive put before the database names of a catalog; all catalogs but one need one.",
    parse=_pairs,
)
MCD_ETL_CONTAINER_UUID = Setting(
    name="MCD_ETL_CONTAINER_UUID",
    group="monte carlo",
    default=" ",
    takes="the UUID of an ETL container of Monte Carlo",
    meaning="ETL container that is told of these assets' runs in Dagster, with the ingestion key; nobody is told when unset.",
    parse=lambda text: _uuid(text) if text.strip() else None,
)
MCD_APP_URL = Setting(
    name="MCD_APP_URL",
    group="monte carlo",
    default="https://getmontecarlo.com",
    takes="http(s)://host[:port] without a path",
    meaning="Monte Carlo's web application, for links in the Dagster UI.",
    parse=_http_endpoint,
)
IOMETE_MC_MAX_ASSETS = Setting(
    name="IOMETE_MC_MAX_ASSETS",
    group="monte carlo",
    default="50",
    takes="1 to 500",
    meaning="Tables per request.",
    parse=_whole(1, 500),
)
IOMETE_MC_MAX_QUERIES = Setting(
    name="IOMETE_MC_MAX_QUERIES",
    group="monte carlo",
    default="100",
    takes="1 to 500",
    meaning="Queries per request.",
    parse=_whole(1, 500),
)
IOMETE_MC_MAX_EDGES = Setting(
    name="IOMETE_MC_MAX_EDGES",
    group="monte carlo",
    default="100",
    takes="1 to 500",
    meaning="Lineage edges per request.",
    parse=_whole(1, 500),
)
IOMETE_MC_MAX_BODY_BYTES = Setting(
    name="IOMETE_MC_MAX_BODY_BYTES",
    group="monte carlo",
    default="1000000",
    takes="10000 to 10000000",
    meaning="Bytes of one request's JSON body, as sent (Monte Carlo's limit is 1 MB compressed).",
    parse=_whole(10_000, 10_000_000),
)
IOMETE_MC_REQUEST_TIMEOUT_S = Setting(
    name="IOMETE_MC_REQUEST_TIMEOUT_S",
    group="monte carlo",
    default="60",
    takes="1 to 600",
    meaning="Seconds to wait for Monte Carlo's answer to one request; half as much again in total.",
    parse=_whole(1, 600),
)
IOMETE_MC_HOUR_BUDGET_S = Setting(
    name="IOMETE_MC_HOUR_BUDGET_S",
    group="monte carlo",
    default="300",
    takes="1 to 1500",
    meaning="Seconds one hour's push may take before the run goes on to the next.",
    parse=_whole(1, 1500),
)
IOMETE_MC_RUN_BUDGET_S = Setting(
    name="IOMETE_MC_RUN_BUDGET_S",
    group="monte carlo",
    default="1500",
    takes="1 to 1500",
    meaning="Seconds after which a push run starts no request (Dagster ends the run after 1800).",
    parse=_whole(1, 1500),
)
IOMETE_MC_SEND_SUPERSEDED = Setting(
    name="IOMETE_MC_SEND_SUPERSEDED",
    group="monte carlo",
    default="no",
    takes="yes or no",
    meaning="Send metadata and observations of older hours too, though Monte Carlo stamps them with now.",
    parse=_flag,
)
IOMETE_MC_OBSERVATION_MAX_AGE_HOURS = Setting(
    name="IOMETE_MC_OBSERVATION_MAX_AGE_HOURS",
    group="monte carlo",
    default="3",
    takes="1 to 24",
    meaning="Hours since an hour's end after which its observations are too old to be sent as now.",
    parse=_whole(1, 24),
)
IOMETE_MC_EDGE_MAX_AGE_DAYS = Setting(
    name="IOMETE_MC_EDGE_MAX_AGE_DAYS",
    group="monte carlo",
    default="30",
    takes="1 to 400",
    meaning="Days since a column edge was seen last, after which it is not pushed again; Monte Carlo forgets it ten days later.",
    parse=_whole(1, 400),
)
IOMETE_MC_EDGE_DELAY_MINUTES = Setting(
    name="IOMETE_MC_EDGE_DELAY_MINUTES",
    group="monte carlo",
    default="15",
    takes="0 to 120",
    meaning="Minutes that Monte Carlo is given to take in a new table before lineage of it is pushed.",
    parse=_whole(0, 120),
)
IOMETE_MC_MANIFESTS = Setting(
    name="IOMETE_MC_MANIFESTS",
    group="store",
    newcomer=True,
    default="./manifests",
    takes="a folder or an fsspec address such as s3://bucket/prefix",
    meaning="Where manifests and receipts live; one store belongs to one lakehouse.",
    parse=_text,
)
IOMETE_MC_IMPORTS = Setting(
    name="IOMETE_MC_IMPORTS",
    group="store",
    default=" ",
    takes="a folder or an fsspec address such as s3://bucket/prefix, with a folder for each source",
    meaning="Where other collectors drop their JSON manifests, which become imported/manifests; nothing is imported when unset.",
    parse=_text_or_none,
)
IOMETE_MC_IMPORT_SOURCES = Setting(
    name="IOMETE_MC_IMPORT_SOURCES",
    group="store",
    default=" ",
    takes="source=warehouse UUID pairs, separated by commas; a source is a folder below IOMETE_MC_IMPORTS",
    meaning="Which warehouse at Monte Carlo each source's manifests go to.",
    parse=_sources,
)
IOMETE_MC_START = Setting(
    name="IOMETE_MC_START",
    group="dagster",
    default="2026-01-01-00:00",
    takes="a whole UTC hour such as 2026-01-01-00:00",
    meaning="First partition; do not move it past hours that were collected.",
    parse=_hour,
)
IOMETE_MC_GAP_LOOKBACK_HOURS = Setting(
    name="IOMETE_MC_GAP_LOOKBACK_HOURS",
    group="dagster",
    default="48",
    takes="1 to 720",
    meaning="How far back fill_gaps looks for hours that were not collected.",
    parse=_whole(1, 720),
)
IOMETE_MC_ASK_AGAIN_S = Setting(
    name="IOMETE_MC_ASK_AGAIN_S",
    group="dagster",
    default="600",
    takes="30 to 3600",
    meaning="Seconds between two looks for hours that were not settled; younger hours are left to the fast path.",
    parse=_whole(30, 3600),
)
IOMETE_MC_AUTOMATION = Setting(
    name="IOMETE_MC_AUTOMATION",
    group="dagster",
    default="stopped",
    takes="stopped or running",
    meaning="Whether sensors and schedules start switched on; their switches in Dagster win.",
    parse=_one_of(("stopped", "running")),
)
IOMETE_MC_TABLE_ASSETS = Setting(
    name="IOMETE_MC_TABLE_ASSETS",
    group="dagster",
    default="all",
    takes="all, off, or globs over catalog.database.table, separated by commas",
    meaning="Which tables of the lakehouse are shown in Dagster as external assets, with columns, rows and freshness; chosen anew with the next collected catalog, off as soon as Dagster loads.",
    parse=_table_globs,
)
IOMETE_MC_TABLE_ASSETS_LIMIT = Setting(
    name="IOMETE_MC_TABLE_ASSETS_LIMIT",
    group="dagster",
    default="200",
    takes="1 to 2000",
    meaning="At most so many of them, the first by name; as of the next collected catalog.",
    parse=_whole(1, 2000),
)
IOMETE_MC_OWNERS = Setting(
    name="IOMETE_MC_OWNERS",
    group="dagster",
    default=" ",
    takes="mail addresses and team:NAME, separated by commas",
    meaning="Who owns the collected and pushed assets, as Dagster shows it.",
    parse=_owners,
)
IOMETE_MC_DOCS_URL = Setting(
    name="IOMETE_MC_DOCS_URL",
    group="dagster",
    default=" ",
    takes="http(s)://host/path",
    meaning="Where this project's folder docs can be read, for links in descriptions of assets; file names when unset.",
    parse=lambda text: (_address_or_none(text) or "").rstrip("/") or None,
)
IOMETE_MC_OMISSIONS_PERCENT = Setting(
    name="IOMETE_MC_OMISSIONS_PERCENT",
    group="dagster",
    default="10",
    takes="0 to 100",
    meaning="Omissions of an hour in percent of its records above which a check warns (three omissions never do).",
    parse=_share,
)
IOMETE_MC_ALERT_WEBHOOK = Setting(
    name="IOMETE_MC_ALERT_WEBHOOK",
    group="dagster",
    default=" ",
    takes="http(s)://... as Slack gives it",
    meaning="Incoming webhook that is told of runs that failed for good, as Slack's JSON; nobody is told when unset.",
    parse=_address_or_none,
    secret=True,
)
IOMETE_MC_UI_URL = Setting(
    name="IOMETE_MC_UI_URL",
    group="dagster",
    default=" ",
    takes="http(s)://host[:port] without a path",
    meaning="Where people open the Dagster UI, for links in alerts; none when unset.",
    parse=lambda text: _http_endpoint(text) if text.strip() else None,
)

QUERY_LOG_SOURCES = (IOMETE_QUERY_LOG_TABLE, IOMETE_QUERY_LOG_EVENTS, IOMETE_QUERY_LOG_EXPORTS)
"""At most one of them is set."""


def query_log_source(
    environment: Mapping[str, str],
) -> tuple["Setting[str | None]", str] | None:
    """Which of the sources is set, and to what; None for none.

    Raises:
        SettingsError: more than one is set, or one cannot be used.
    """
    found = [(one, text) for one in QUERY_LOG_SOURCES if (text := one.read(environment))]
    if len(found) > 1:
        names = " and ".join(one.name for one, _ in found)
        msg = f"{names} are both set, and query logs have one source: the same queries would be sent twice. Unset all but one."
        raise SettingsError(msg)
    return found[0] if found else None


SETTINGS = tuple(
    cast("Setting[object]", value)
    for value in tuple(globals().values())
    if isinstance(value, Setting)
)
"""All of them, in the order of README's table."""
