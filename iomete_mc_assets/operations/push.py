"""What a push by hand asks besides the store: which manifest speaks for an hour, who is at work, whom to tell.

What is sent is decided in ``push``; a Dagster instance answers these questions in ``defs.by_hand``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.push.outcome import HourOutcome
from iomete_mc_assets.windows import HourWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Who answers.

    Attributes:
        named: the manifest that speaks for each hour, as of now.
        is_finished: whether a run of that id is known and has ended.
        tell: takes each settled hour.
    """

    named: Callable[[], Mapping[HourWindow, str]]
    is_finished: Callable[[str], bool]
    tell: Callable[[HourOutcome], None]


def of_the_store(store: ManifestStore, flow: Flow, hours: Iterable[HourWindow]) -> Surroundings:
    """The store alone: its pointers speak, nobody knows of a run's end, and receipts are all there is to tell."""
    oldest = min(hours)

    def named() -> dict[HourWindow, str]:
        # an hour is superseded by newer ones only
        newest_first = (window for window in reversed(store.hours(flow)) if window >= oldest)
        headers = (store.current(flow, window) for window in newest_first)
        return {header.window: header.manifest_id for header in headers if header is not None}

    return Surroundings(named=named, is_finished=lambda _: False, tell=lambda _: None)
