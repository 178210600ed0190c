"""What assets are handed: the lakehouse, the manifest store, Monte Carlo. They hand out plain objects.

Every setting is read when a run needs it: from a field that was given, then from ``options``, then from
the environment. Secrets are marked so, and stay out of Dagster's config unless they are given as fields.
"""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime

import dagster as dg
from pydantic import Field
from pydantic.config import JsonDict

from iomete_mc_assets import clock, settings
from iomete_mc_assets.collectors import query_logs
from iomete_mc_assets.collectors.catalog_snapshot import CatalogConfig
from iomete_mc_assets.collectors.event_logs import Earlier, EventLogs
from iomete_mc_assets.collectors.exclusions import Exclusions
from iomete_mc_assets.collectors.observations import ObservationConfig
from iomete_mc_assets.collectors.query_exports import QueryExports
from iomete_mc_assets.collectors.query_judging import QueryLogRules
from iomete_mc_assets.collectors.query_log_source import ColumnMapping, QueryLogConfig
from iomete_mc_assets.collectors.query_log_table import QueryTable
from iomete_mc_assets.collectors.query_sources import QueryFiles, QuerySource
from iomete_mc_assets.errors import IometeMcError
from iomete_mc_assets.manifests.model import Draft, Source
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo.control_plane import ApiConfig, ControlPlane
from iomete_mc_assets.montecarlo.etl import EtlConfig
from iomete_mc_assets.push.config import PushConfig
from iomete_mc_assets.push.pusher import Pusher
from iomete_mc_assets.warehouse import address
from iomete_mc_assets.warehouse.connection import Lakehouse, LakehouseConfig
from iomete_mc_assets.warehouse.log_folder import LogFolder
from iomete_mc_assets.warehouse.rows import Warehouse
from iomete_mc_assets.windows import HourWindow

SECRET: JsonDict = {"dagster__is_secret": True}
"""Dagster then shows asterisks for literals too."""

HourAnswer = tuple[HourWindow, Draft | IometeMcError]
Collect = Callable[[Warehouse, datetime], Iterable[HourAnswer]]


def _described(setting: settings.Setting[str] | settings.Setting[str | None]) -> str:
    """A field's description. Not ``dg.EnvVar``: Dagster's own error for an unset one says no next step."""
    return f"{setting.meaning} {setting.name} when empty."


class Configured(dg.ConfigurableResource[None]):
    """A resource whose settings other than its fields come from options or the environment."""

    options: dict[str, str] = Field(
        default_factory=dict,
        description="Settings by variable name, before the environment's; no secrets here.",
    )

    def environment(self, **fields: str) -> Mapping[str, str]:
        """The variables as this resource sees them; its own fields win where they were given."""
        given = {name: text for name, text in fields.items() if text}
        return {**os.environ, **self.options, **given}


class ManifestStoreResource(Configured):
    """Where manifests and receipts live."""

    def open(self, *, source: Source | None = None) -> ManifestStore:
        """The store; with a source it is made or checked, without one only read.

        Raises:
            WrongStore: the store belongs to another lakehouse.
            ManifestMissing: nothing was ever written there and no source is given.
        """
        return ManifestStore.over(self.storage(), source=source)

    def storage(self) -> Storage:
        """The place itself, whether or not a store was ever made there."""
        return Storage.open(settings.IOMETE_MC_MANIFESTS.read(self.environment()))


class LakehouseResource(Configured):
    """The lakehouse over its Thrift server."""

    url: str = Field(default="", description=_described(settings.IOMETE_URL))
    user: str = Field(default="", description=_described(settings.IOMETE_USER))
    token: str = Field(
        default="", description=_described(settings.IOMETE_TOKEN), json_schema_extra=SECRET
    )

    def config(self) -> LakehouseConfig:
        """Everything a session needs; SettingsError names what is missing or cannot be used."""
        seen = self.environment(IOMETE_URL=self.url, IOMETE_USER=self.user, IOMETE_TOKEN=self.token)
        return LakehouseConfig(
            url=settings.IOMETE_URL.read(seen),
            user=settings.IOMETE_USER.read(seen),
            token=settings.IOMETE_TOKEN.read(seen),
            verify_tls=settings.IOMETE_TLS_VERIFY.read(seen),
            ca_file=settings.IOMETE_CA_FILE.read(seen),
            connect_timeout_s=settings.IOMETE_CONNECT_TIMEOUT_S.read(seen),
            read_timeout_s=settings.IOMETE_READ_TIMEOUT_S.read(seen),
            statement_deadline_s=settings.IOMETE_STATEMENT_DEADLINE_S.read(seen),
            startup_window_s=settings.IOMETE_STARTUP_WINDOW_S.read(seen),
        )

    def source(self) -> Source:
        """Which lakehouse a store belongs to."""
        seen = self.environment(IOMETE_URL=self.url)
        host = address.parse(settings.IOMETE_URL.read(seen)).shown
        return Source(host=host, catalogs=settings.IOMETE_CATALOGS.read(seen))

    def catalog_config(self) -> CatalogConfig:
        """What to survey."""
        seen = self.environment()
        return CatalogConfig(
            catalogs=settings.IOMETE_CATALOGS.read(seen),
            exclude=settings.IOMETE_EXCLUDE.read(seen),
            unreadable_percent=settings.IOMETE_UNREADABLE_PERCENT.read(seen),
        )

    def observation_config(self) -> ObservationConfig:
        """How to observe."""
        seen, catalog = self.environment(), self.catalog_config()
        return ObservationConfig(
            unreadable_percent=catalog.unreadable_percent,
            exclusions=Exclusions(catalog.exclude, catalogs=catalog.catalogs),
            sweep_hours=settings.IOMETE_FULL_SWEEP_HOURS.read(seen),
            count_deadline_s=settings.IOMETE_COUNT_ROWS_S.read(seen) or None,
        )

    def query_log_rules(self) -> QueryLogRules:
        """What holds whatever the query log's source."""
        seen = self.environment()
        return QueryLogRules(
            delay_minutes=settings.IOMETE_QUERY_LOG_DELAY_MINUTES.read(seen),
            exclude_users=settings.IOMETE_QUERY_LOG_EXCLUDE_USERS.read(seen),
            query_text=settings.IOMETE_QUERY_TEXT.read(seen),
            catalogs=settings.IOMETE_CATALOGS.read(seen),
        )

    @contextmanager
    def query_source(self, *, earlier: Earlier) -> Generator[QuerySource | None]:
        """The configured query log; None without one. Only a table needs a session.

        Args:
            earlier: where hours before left off.

        Raises:
            SettingsError: more than one is configured, or one cannot be used.
            LakehouseError: no session.
        """
        files, table = self.query_files(earlier=earlier), self.query_log_config()
        if table is not None:
            with self.open(scans=True) as warehouse:
                yield QueryTable(warehouse, table)
        else:
            yield files

    def query_files(self, *, earlier: Earlier) -> QueryFiles | None:
        """The configured query log where it is a folder; None where it is a table, or there is none.

        Raises:
            SettingsError: as ``query_source``.
        """
        seen = self.environment()
        source = settings.query_log_source(seen)
        if source is None or source[0] == settings.IOMETE_QUERY_LOG_TABLE:
            return None
        if source[0] == settings.IOMETE_QUERY_LOG_EVENTS:
            catalogs = settings.IOMETE_CATALOGS.read(seen)
            return EventLogs(LogFolder(source[1]), earlier=earlier, catalogs=catalogs)
        return QueryExports(LogFolder(source[1]), self._column_mapping())

    def query_log_config(self) -> QueryLogConfig | None:
        """The query-history table and how it is read; None without one."""
        table = settings.IOMETE_QUERY_LOG_TABLE.read(self.environment())
        if table is None:
            return None
        mapping = self._column_mapping()
        return QueryLogConfig(
            table=table,
            columns=mapping.columns,
            timezone=mapping.timezone,
            without_end=mapping.without_end,
        )

    def _column_mapping(self) -> ColumnMapping:
        seen = self.environment()
        return ColumnMapping(
            columns=settings.IOMETE_QUERY_LOG_COLUMNS.read(seen),
            timezone=settings.IOMETE_QUERY_LOG_TIMEZONE.read(seen),
            without_end=settings.IOMETE_QUERY_LOG_WITHOUT_END.read(seen),
        )

    def open(self, *, scans: bool = False) -> AbstractContextManager[Warehouse]:
        """A session, for statements that read many rows or few; connecting waits for a server that is just starting."""
        return Lakehouse.connect(replace(self.config(), scans=scans))

    def collecting(self, collect: Collect) -> "HourlyDrafts":
        """What an asset body returns: nothing is asked before the IO manager iterates."""

        def answers() -> Iterator[HourAnswer]:
            with self.open() as warehouse:
                yield from collect(warehouse, clock.now())

        return HourlyDrafts(answers)

    def collecting_queries(
        self, windows: Sequence[HourWindow], *, earlier: Earlier
    ) -> "HourlyDrafts":
        """The same for query logs, whose source need not be the lakehouse itself."""

        def answers() -> Iterator[HourAnswer]:
            rules = self.query_log_rules()
            with self.query_source(earlier=earlier) as source:
                yield from query_logs.collect(windows, source, rules=rules, now=clock.now())

        return HourlyDrafts(answers)


class HourlyDrafts:
    """The hours of one run, collected while they are iterated; what that needs is closed after.

    Dagster takes a returned generator for events; this is none, so it arrives at the IO manager.
    """

    def __init__(self, answers: Callable[[], Iterator[HourAnswer]]) -> None:
        self._answers = answers

    def __iter__(self) -> Iterator[HourAnswer]:
        return self._answers()


class MonteCarloResource(Configured):
    """Monte Carlo: its push side, and its API where a key for that is set."""

    key_id: str = Field(default="", description=_described(settings.MCD_INGEST_ID))
    key_secret: str = Field(
        default="", description=_described(settings.MCD_INGEST_TOKEN), json_schema_extra=SECRET
    )
    resource_uuid: str = Field(default="", description=_described(settings.MCD_RESOURCE_UUID))

    @property
    def app_url(self) -> str:
        """Where links in the UI lead."""
        return settings.MCD_APP_URL.read(self.environment())

    @property
    def has_api_key(self) -> bool:
        """Whether Monte Carlo can be asked; what else is missing for that is an error of ``api``."""
        return bool(self.environment().get(settings.MCD_ID.name))

    def api(self, *, max_calls: int) -> ControlPlane:
        """Who asks Monte Carlo, at most so often; SettingsError names what cannot be used."""
        return ControlPlane(ApiConfig.read(self.environment(), max_calls=max_calls))

    def config(self) -> PushConfig:
        """Where pushes go and how tables are called there; SettingsError names what cannot be used."""
        return PushConfig.read(self.environment(MCD_RESOURCE_UUID=self.resource_uuid))

    def pusher(self, store: ManifestStore, *, otherwise: Mapping[str, str] | None = None) -> Pusher:
        """Who pushes to the configured warehouse from this store.

        Args:
            store: whose manifests.
            otherwise: settings by variable name that win over all others.

        Raises:
            SettingsError: a key or the warehouse cannot be used; before any request.
        """
        seen = self.environment(
            MCD_INGEST_ID=self.key_id,
            MCD_INGEST_TOKEN=self.key_secret,
            MCD_RESOURCE_UUID=self.resource_uuid,
        )
        return Pusher.configured(store, {**seen, **(otherwise or {})})

    def etl_config(self) -> EtlConfig:
        """Where runs are told; SettingsError names what is missing or cannot be used."""
        seen = self.environment(MCD_INGEST_ID=self.key_id, MCD_INGEST_TOKEN=self.key_secret)
        return EtlConfig.read(seen)


class AlertsResource(Configured):
    """Who is told of failed runs."""

    webhook: str = Field(
        default="",
        description=_described(settings.IOMETE_MC_ALERT_WEBHOOK),
        json_schema_extra=SECRET,
    )

    @property
    def ui_url(self) -> str | None:
        """Where links in alerts lead; None without one."""
        return settings.IOMETE_MC_UI_URL.read(self.environment())

    def read_webhook(self) -> str | None:
        """The address to post to; None where nobody is told. SettingsError when it is none."""
        seen = self.environment(IOMETE_MC_ALERT_WEBHOOK=self.webhook)
        return settings.IOMETE_MC_ALERT_WEBHOOK.read(seen)
