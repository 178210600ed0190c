"""What a running Spark's event log says of statements, read as the collector reads it, as soon as Spark has written it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from iomete_mc_assets import clock
from iomete_mc_assets.collectors.event_logs import Earlier, EventLogs
from iomete_mc_assets.collectors.query_judging import QueryLogRules
from iomete_mc_assets.collectors.query_logs import collect
from iomete_mc_assets.manifests.model import Draft, Verdict
from iomete_mc_assets.records import QueryRecord
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.warehouse.log_folder import LogFolder
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.event_log_recording import ask, session

RULES = QueryLogRules()
LOGGED_WITHIN_S = 60


def read(
    folder: Path,
    window: HourWindow,
    earlier: Earlier = lambda _: None,
    rules: QueryLogRules = RULES,
) -> tuple[list[QueryRecord], Verdict]:
    source = EventLogs(LogFolder(str(folder)), earlier=earlier, catalogs=("spark_catalog", "lake"))
    ((_, draft),) = collect([window], source, rules=rules, now=window.end + timedelta(days=1))
    assert isinstance(draft, Draft), draft
    records = [record for record in draft.records if isinstance(record, QueryRecord)]
    return records, draft.verdict()


def hours_between(first: datetime, last: datetime) -> Iterator[HourWindow]:
    window = HourWindow.holding(first)
    while window.start <= last:
        yield window
        window = window.next


def run(
    sandbox: RunningLakehouse, user: str, texts: Sequence[str], *, since: datetime | None = None
) -> list[QueryRecord]:
    """What the log says of this user's statements, once it tells of the last; Spark writes it from a queue."""
    begun = since or clock.now()
    with closing(session(sandbox, user)) as connection:
        ask(connection, texts)
    until = time.monotonic() + LOGGED_WITHIN_S
    found: list[QueryRecord] = []
    while time.monotonic() < until and texts[-1] not in {one.text for one in found}:
        found = [
            one
            for window in hours_between(begun, clock.now())
            for one in read(sandbox.events, window)[0]
            if one.user == user
        ]
    return found
