"""What a push by hand asks besides the store: which manifest speaks for an hour, who is at work, whom to tell.

What is sent is decided in ``push``; a Dagster instance answers these questions in ``defs.by_hand``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.push.outcome import HourOutcome, Named
from iomete_mc_assets.windows import HourWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Who answers.

    Attributes:
        named: the manifest that speaks for each hour, as of now.
        is_finished: whether a run of that id is known and has ended.
        tell: takes each settled hour.
    """

    named: Callable[[], Named]
    is_finished: Callable[[str], bool]
    tell: Callable[[HourOutcome], None]


@dataclass(frozen=True, slots=True)
class Pointers:
    """A flow's manifests by the store's pointers, each read when it is asked for."""

    store: ManifestStore
    flow: Flow

    def __iter__(self) -> Iterator[HourWindow]:
        """As ``Named.__iter__``; one listing."""
        return iter(self.store.hours(self.flow))

    def get(self, window: HourWindow, /) -> str | None:
        """As ``Named.get``."""
        header = self.store.current(self.flow, window)
        return None if header is None else header.manifest_id


def of_the_store(store: ManifestStore, flow: Flow) -> Surroundings:
    """The store alone: its pointers speak, nobody knows of a run's end, and receipts are all there is to tell."""
    named = Pointers(store, flow)
    return Surroundings(named=lambda: named, is_finished=lambda _: False, tell=lambda _: None)
