"""Our word on readiness beside Monte Carlo's own (``thresholds``), for a sample of tables. Changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from iomete_mc_assets.montecarlo import answered
from iomete_mc_assets.montecarlo.control_plane import Api
from iomete_mc_assets.operations.readiness import Detector, Readiness
from iomete_mc_assets.operations.sampling import spread

Agreement = Literal["same", "different", "not shown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One table.

    Attributes:
        difference: in words; None where both say the same.
    """

    key: str
    verdict: Agreement
    difference: str | None = None


def compared(
    api: Api, warehouse: str, tables: Sequence[Readiness], *, sample: int
) -> list[Compared]:
    """At most so many tables, evenly over all names: a call each, and one for 200 tables of the warehouse.

    Raises:
        ControlPlaneError: as ``Api.ask``; also when the budget of calls is spent.
    """
    if not sample or not tables:
        return []
    mcons = {table.key: table.mcon for table in answered.tables(api, warehouse)}
    return [_compared(api, mcons, one) for one in spread(tables, sample)]


def _compared(api: Api, mcons: Mapping[str, str], ours: Readiness) -> Compared:
    theirs = answered.detectors(api, mcons[ours.key]) if ours.key in mcons else None
    if theirs is None:
        why = "Monte Carlo shows no such table, or no detectors of it"
        return Compared(key=ours.key, verdict="not shown", difference=why)
    differences = [
        *_difference("freshness", ours.freshness, theirs.freshness, theirs.freshness_reason),
        *_difference("volume", ours.volume, theirs.volume, theirs.volume_reason),
    ]
    if not differences:
        return Compared(key=ours.key, verdict="same")
    return Compared(key=ours.key, verdict="different", difference="; ".join(differences))


def _difference(name: str, ours: Detector, status: str | None, reason: str | None) -> list[str]:
    """What differs is whether it works; how near the others are, both count in their own way."""
    if (ours.state == "ready") == (status == "ACTIVE"):
        return []
    why = f" ({reason})" if reason else ""
    return [f"{name} is {ours.state} by the receipts, {status or 'not told'}{why} at Monte Carlo"]
