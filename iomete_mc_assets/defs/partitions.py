"""Hours as Dagster partitions. Everything else about an hour lives in ``iomete_mc_assets.windows``."""

import warnings
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import datetime

import dagster as dg

from iomete_mc_assets.windows import KEY_FORMAT, HourWindow

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
SINGLE = "dagster/partition"
MAX_HOURS_PER_RUN = 24
"""A failed range loses at most a day of work, and 720 hours are 30 runs."""


@contextmanager
def accepting_beta() -> Generator[None]:
    """Build assets with ``backfill_policy``, which Dagster 1.13 warns is beta at every load."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Parameter `backfill_policy`", category=dg.BetaWarning
        )
        yield


def hourly(start: datetime) -> dg.HourlyPartitionsDefinition:
    """Hourly UTC partitions from a whole hour on; the newest key is the newest closed hour."""
    return dg.HourlyPartitionsDefinition(start_date=start, timezone="UTC", fmt=KEY_FORMAT)


def windows_of(partition_keys: Iterable[str]) -> list[HourWindow]:
    """The hours behind partition keys, oldest first."""
    return sorted(HourWindow.from_key(key) for key in partition_keys)


def range_request(
    windows: list[HourWindow],
    *,
    run_key: str,
    tags: dict[str, str],
    only: Sequence[dg.AssetKey] | None = None,
) -> dg.RunRequest:
    """One run over neighbouring hours (oldest first, at least one); of ``only`` these assets of the job.

    ``RunRequest`` has no range argument in Dagster 1.13; the two tags are what its own backfill
    daemon sets. Should a public argument come, this is the one place to change.
    """
    if len(windows) == 1:
        return dg.RunRequest(
            run_key=run_key, partition_key=windows[0].key, tags=tags, asset_selection=only
        )
    range_tags = {RANGE_START: windows[0].key, RANGE_END: windows[-1].key}
    return dg.RunRequest(run_key=run_key, tags={**tags, **range_tags}, asset_selection=only)


def windows_of_run(tags: dict[str, str]) -> list[HourWindow]:
    """The hours a run covers, by its tags; none for a run without partitions."""
    if SINGLE in tags:
        return [HourWindow.from_key(tags[SINGLE])]
    if RANGE_START not in tags or RANGE_END not in tags:
        return []
    window, last = HourWindow.from_key(tags[RANGE_START]), HourWindow.from_key(tags[RANGE_END])
    covered = [window]
    while covered[-1] < last:
        covered.append(covered[-1].next)
    return covered
