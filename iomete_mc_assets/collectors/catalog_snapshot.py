"""Every table and view as the catalogs list them: which hour may say so, and what it says. Surveying is ``surveying``."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from iomete_mc_assets.collectors.catalog_changes import DATABASES, EarlierCatalog, changes_since
from iomete_mc_assets.collectors.exclusions import Exclusions
from iomete_mc_assets.collectors.limits import too_many, unanswered
from iomete_mc_assets.collectors.surveying import Survey, survey_catalogs
from iomete_mc_assets.errors import HourFailed, IometeMcError, ManifestError
from iomete_mc_assets.manifests.model import Changes, Collector, Draft, JsonValue, Verdict
from iomete_mc_assets.records import TableEntry
from iomete_mc_assets.warehouse.rows import Warehouse
from iomete_mc_assets.windows import HourWindow

COLLECTOR = Collector(name="catalog_snapshot", version="1")
LISTABLE = timedelta(hours=2)
"""How long after an hour's end today's listing still stands for it. Source: rule 6 of the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogConfig:
    """What to survey.

    Attributes:
        catalogs: at least one, in the order they are asked.
        exclude: globs over ``catalog.database.table``.
        unreadable_percent: 0 to 100; the hour fails above it (three tables are always tolerated).
    """

    catalogs: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    unreadable_percent: float = 5


def collect(
    windows: Iterable[HourWindow],
    warehouse: Warehouse,
    *,
    config: CatalogConfig,
    newest_known: HourWindow | None,
    before: Callable[[HourWindow], EarlierCatalog | None] = lambda _: None,
    now: datetime,
) -> Iterator[tuple[HourWindow, Draft | IometeMcError]]:
    """Each hour's catalog, oldest first; only the newest of them can still be listed.

    Args:
        windows: any order.
        warehouse: asked when an hour may be listed, not before.
        config: what to survey.
        newest_known: the newest hour that has a known catalog; None without one.
        before: the newest known catalog of an hour before another; None without one.
        now: the run's instant.
    """
    ordered = sorted(set(windows))
    closed = [window for window in ordered if window.end <= now]
    for window in ordered:
        yield (
            window,
            _hour(
                window,
                warehouse,
                config=config,
                newest_known=newest_known,
                before=before,
                newest_asked=window == max(closed, default=None),
                now=now,
            ),
        )


def survey(warehouse: Warehouse, config: CatalogConfig) -> Survey:
    """The catalogs as they are now, or why they cannot be told.

    Raises:
        HourFailed: a catalog cannot be listed, or too many tables are unreadable.
        LakehouseError: the lakehouse cannot be asked any more.
    """
    found = survey_catalogs(
        warehouse, catalogs=config.catalogs, exclusions=Exclusions(config.exclude)
    )
    nothing_read = bool(found.unreadable) and not found.entries
    if nothing_read or too_many(
        found.unreadable, asked=found.asked, percent=config.unreadable_percent
    ):
        first = next(omission for omission in found.omissions)
        msg = (
            f"{found.unreadable} of {found.asked} tables and databases could not be read, which is more than "
            f"{config.unreadable_percent:g} % (IOMETE_UNREADABLE_PERCENT); the first is {first.scope}: "
            f"{first.reason} Collect the hour again once they can be read."
        )
        raise HourFailed(msg)
    return found


def _hour(
    window: HourWindow,
    warehouse: Warehouse,
    *,
    config: CatalogConfig,
    newest_known: HourWindow | None,
    before: Callable[[HourWindow], EarlierCatalog | None],
    newest_asked: bool,
    now: datetime,
) -> Draft | IometeMcError:
    if window.end > now:
        return HourFailed(
            f"The hour {window.key} has not ended; a catalog stands for an hour that has. Ask again after "
            f"{window.end:%Y-%m-%d %H:%M} UTC."
        )
    reason = _why_unknown(window, newest_known=newest_known, newest_asked=newest_asked, now=now)
    if reason is not None:
        return _draft(window, Verdict(state="unknown", reason=reason), now)
    try:
        found = survey(warehouse, config)
    except IometeMcError as error:
        return error
    try:
        earlier = before(window)
    except ManifestError as error:  # the hour itself is told; only the comparison is not
        verdict = _verdict(found, Changes(since=None, reason=str(error)))
        return _draft(window, verdict, now, entries=found.entries)
    verdict = _verdict(found, changes_since(earlier, found, catalogs=config.catalogs))
    inputs = {} if earlier is None else {"compared_with": earlier.manifest_id}
    return _draft(window, verdict, now, entries=found.entries, inputs=inputs)


def _why_unknown(
    window: HourWindow, *, newest_known: HourWindow | None, newest_asked: bool, now: datetime
) -> str | None:
    past = "a catalog cannot be read back"
    if not newest_asked:
        return f"{past}, and a newer hour of this run is the one that today's listing stands for"
    if now >= window.end + LISTABLE:
        return f"{past}, and the hour ended more than {LISTABLE // timedelta(hours=1)} hours ago"
    if newest_known is not None and newest_known > window:
        return f"{past}, and the newer hour {newest_known.key} has a catalog already"
    return None


def _verdict(found: Survey, changes: Changes) -> Verdict:
    listed: Mapping[str, JsonValue] = {DATABASES: [*sorted(found.databases)]}
    if not found.omissions:
        return Verdict(
            state="complete", counts=found.counts, collector_state=listed, changes=changes
        )
    return Verdict(
        state="partial",
        reason=unanswered(found.omissions),
        counts=found.counts,
        omissions=found.omissions,
        collector_state=listed,
        changes=changes,
    )


def _draft(
    window: HourWindow,
    verdict: Verdict,
    now: datetime,
    *,
    entries: tuple[TableEntry, ...] = (),
    inputs: Mapping[str, str] | None = None,
) -> Draft:
    return Draft(
        flow="catalog_snapshot",
        window=window,
        collected_at=now,
        collector=COLLECTOR,
        records=entries,
        verdict=lambda: verdict,
        inputs=inputs or {},
    )
