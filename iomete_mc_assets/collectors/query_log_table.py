"""The query-history table as a source of query logs. Its columns and statements are told in ``query_log_source``."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from iomete_mc_assets.collectors.query_log_source import (
    QueryLogConfig,
    QueryLogSource,
    describe,
    source_of,
)
from iomete_mc_assets.collectors.query_sources import (
    Findings,
    Shortfall,
    SourceHour,
    nothing_seen,
)
from iomete_mc_assets.errors import HourFailed, IometeMcError, StatementFailed
from iomete_mc_assets.settings import IOMETE_QUERY_LOG_TABLE
from iomete_mc_assets.warehouse.rows import Row, Warehouse
from iomete_mc_assets.windows import HourWindow

ROWS_PER_FETCH = 1_000
"""SQL texts are long: 1,000 of 100 kB are 100 MB, the most one fetch should bring."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class QueryTable:
    """A query-history table, read hour by hour over a session whose time zone is UTC."""

    def __init__(self, warehouse: Warehouse, config: QueryLogConfig) -> None:
        """Nothing is asked yet."""
        self._warehouse = warehouse
        self._config = config
        self._described: QueryLogSource | IometeMcError | None = None
        self._bounds: tuple[datetime | None, datetime | None] | None = None

    @property
    def shown(self) -> str:
        """As ``QuerySource.shown``."""
        return self._config.table

    def hour(self, window: HourWindow) -> SourceHour:
        """As ``QuerySource.hour``. The statement has run when this returns."""
        self._described = self._described or self._describe()
        if isinstance(self._described, IometeMcError):
            raise self._described
        source = self._described
        rows = self._warehouse.stream(source.hour(window), rows_per_fetch=ROWS_PER_FETCH)
        try:
            first: Sequence[Row] = list(itertools.islice(rows, 1))
        except StatementFailed as error:
            msg = f"Hour {window.key} of query_logs could not be read: {error}"
            raise HourFailed(msg) from error
        return SourceHour(
            rows=itertools.chain(first, rows),
            findings=lambda seen: Findings(
                shortfall=None if seen else self._nothing_seen(source, window)
            ),
            estimated=source.estimated,
        )

    def _describe(self) -> QueryLogSource | IometeMcError:
        """The table, once its columns are known; else why it cannot be read, in any hour."""
        try:
            return source_of(self._config, self._warehouse.ask(describe(self._config)))
        except StatementFailed as error:
            return HourFailed(
                f"The query log table {self.shown} cannot be described, so the hour was not collected: {error} Correct "
                f"{IOMETE_QUERY_LOG_TABLE.name}, or grant SELECT on the table."
            )
        except IometeMcError as error:
            return error

    def _nothing_seen(self, source: QueryLogSource, window: HourWindow) -> Shortfall | None:
        """Its oldest and newest end are asked once a range."""
        if self._bounds is None:
            row = self._warehouse.ask(source.bounds())[0]
            self._bounds = _instant(row["oldest_us"]), _instant(row["newest_us"])
        oldest, newest = self._bounds
        return nothing_seen(self.shown, window, oldest=oldest, newest=newest)


def _instant(micros: object) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=micros) if isinstance(micros, int) else None
    except OverflowError:
        return None
