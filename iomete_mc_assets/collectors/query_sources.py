"""What every source of query logs gives for an hour: rows as they come, and afterwards what it found of the hour.

The sources are ``query_log_table``, ``event_logs`` and ``query_exports``; rows are judged in ``query_judging``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from iomete_mc_assets.manifests.model import JsonValue
from iomete_mc_assets.records import Omission
from iomete_mc_assets.warehouse.rows import Row
from iomete_mc_assets.windows import HourWindow


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why a settled hour is not complete."""

    state: Literal["partial", "unknown"]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a source knows of an hour once its last row is out.

    Attributes:
        shortfall: None where the hour is whole.
        counts: besides those of the rows.
        state: what the next hour's reading begins with.
    """

    shortfall: Shortfall | None = None
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    omissions: tuple[Omission, ...] = ()
    state: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceHour:
    """One hour of a source.

    Attributes:
        rows: consumed once, in the order of their ends. Columns are ``started_us`` and ``ended_us`` (microseconds since the epoch, or
            None) and roles as ``query_log_source`` names them; ``plan`` where the source logs plans, of what may write.
        findings: asked once, after the rows, with their number.
        estimated: the source knows no end.
    """

    rows: Iterator[Row]
    findings: Callable[[int], Findings]
    estimated: bool = False


class QuerySource(Protocol):
    """One place that query logs are read from."""

    @property
    def shown(self) -> str:
        """Its name, for people."""
        ...

    def hour(self, window: HourWindow) -> SourceHour:
        """What ended in an hour; hours are asked for one after the other, each after the one before was consumed.

        Raises:
            HourFailed: this hour could not be read.
            IometeMcError: nothing can be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Present:
    """What lies in a folder of query logs.

    Attributes:
        count: logs of servers, or exports.
        youngest: when one of them was last written to; None where nobody knows.
    """

    count: int
    youngest: datetime | None


class QueryFiles(QuerySource, Protocol):
    """A source that is a folder."""

    def present(self) -> Present:
        """What lies there, without reading it.

        Raises:
            IometeMcError: it cannot be listed.
        """
        ...


def nothing_seen(
    shown: str, window: HourWindow, *, oldest: datetime | None, newest: datetime | None
) -> Shortfall | None:
    """Why an hour without any row is not known to be quiet; None where the source reaches around it.

    Args:
        shown: the source's name.
        window: the hour.
        oldest: the earliest end in the source; None for an empty one.
        newest: the latest end.
    """
    if oldest is None or newest is None:
        return Shortfall("unknown", f"{shown} is empty")
    if oldest >= window.end:
        return Shortfall("unknown", f"{shown} keeps no queries this old")
    if newest < window.start:
        return Shortfall(
            "partial", f"{shown} has not come this far: its newest query ended before this hour"
        )
    return None
