"""The flow ``query_logs``: the queries that ended in an hour, as the configured source shows them.

Sources are described in ``query_sources``, rows are judged in ``query_judging``; what is sent, and to whom, is decided
elsewhere.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from iomete_mc_assets.collectors.query_judging import Judged, QueryLogRules
from iomete_mc_assets.collectors.query_sources import QuerySource, SourceHour
from iomete_mc_assets.errors import HourFailed, IometeMcError
from iomete_mc_assets.manifests.model import Collector, Draft, Verdict
from iomete_mc_assets.settings import QUERY_LOG_SOURCES
from iomete_mc_assets.windows import HourWindow

VERSION = "1"
NO_SOURCE = f"no query log source is configured ({', '.join(setting.name for setting in QUERY_LOG_SOURCES)})"
"""Reason of every hour where none is wanted."""
COLLECTOR = Collector(name="query_logs", version=VERSION)


def collect(
    windows: Iterable[HourWindow],
    source: QuerySource | None,
    *,
    rules: QueryLogRules,
    now: datetime,
) -> Iterator[tuple[HourWindow, Draft | IometeMcError]]:
    """One draft or one error per hour, oldest first.

    A draft's records stream out of the source as they are consumed, so each draft is to be consumed before
    the next one is asked for. Errors in the middle of an hour come out of its records.

    Args:
        windows: the hours, in any order.
        source: None when none is configured; then every hour is ``unknown``.
        rules: when a source is whole, and what is kept of it.
        now: the run's instant.

    Yields:
        HourFailed for an hour that has not ended or whose source could not be read; SettingsError where the
        source is not what the settings say; LakehouseError when nobody could be asked.
    """
    for window in sorted(set(windows)):
        if now < window.end:
            yield (
                window,
                HourFailed(
                    f"Hour {window.key} of query_logs ends at {window.end:%H:%M} UTC, which is not over at {now:%H:%M}; it "
                    "was not collected. Ask again when it has ended."
                ),
            )
        elif source is None:
            yield window, _without_source(window, now)
        else:
            yield window, _draft(window, source, rules=rules, now=now)


def _without_source(window: HourWindow, now: datetime) -> Draft:
    return Draft(
        flow="query_logs",
        window=window,
        collected_at=now,
        collector=COLLECTOR,
        records=(),
        verdict=lambda: Verdict(state="unknown", reason=NO_SOURCE),
    )


def _draft(
    window: HourWindow,
    source: QuerySource,
    *,
    rules: QueryLogRules,
    now: datetime,
) -> Draft | IometeMcError:
    try:
        hour = source.hour(window)
    except IometeMcError as error:
        return error
    judged = Judged(estimated=hour.estimated, rules=rules)
    early = now < window.end + timedelta(minutes=rules.delay_minutes)
    return Draft(
        flow="query_logs",
        window=window,
        collected_at=now,
        collector=COLLECTOR,
        records=judged.records(hour.rows),
        verdict=lambda: _verdict(
            hour, judged, source.shown, early=_not_settled(window, rules) if early else None
        ),
    )


def _not_settled(window: HourWindow, rules: QueryLogRules) -> str:
    """Without the clock: the same finding must read the same a minute later."""
    settled_at = window.end + timedelta(minutes=rules.delay_minutes)
    return (
        f"not settled: the source is believed to be whole {rules.delay_minutes} minutes after the hour's end, at "
        f"{settled_at:%H:%M} UTC"
    )


def _verdict(hour: SourceHour, judged: Judged, source: str, *, early: str | None) -> Verdict:
    found = hour.findings(judged.seen)
    shortfall = found.shortfall
    counts = {**judged.counts(), **found.counts}
    omissions = (*judged.omissions(source), *found.omissions)
    if early is None and shortfall is not None and shortfall.state == "unknown":
        return Verdict(state="unknown", reason=shortfall.reason, omissions=omissions)
    reason = early or (shortfall.reason if shortfall else None)
    return Verdict(
        state="partial" if reason else "complete",
        reason=reason,
        counts=counts,
        omissions=omissions,
        collector_state=found.state,
    )
