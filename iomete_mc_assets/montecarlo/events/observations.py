"""An observation as Monte Carlo's volume and freshness of a table. Never columns or descriptions.

Leaving ``fields`` out leaves the schema at Monte Carlo as it is; the wire has no measurement time.
"""

from datetime import datetime

from iomete_mc_assets.montecarlo.events.event import Event, Json, Note, clean, encoded, iso
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.records import Observation


def event(
    observation: Observation,
    naming: Naming,
    *,
    not_before: datetime | None,
    not_after: datetime,
) -> Event | None:
    """The metadata event with volume and freshness; None where neither is known.

    Args:
        observation: of a table of the hour itself, not a carried one.
        naming: how tables are called.
        not_before: the last accepted ``last_update_time`` of the table; None without one. Freshness
            that goes backwards is undefined at Monte Carlo, so an earlier one is left out.
        not_after: the present; a later one is left out.
    """
    name = naming.of(observation.table)
    asset: dict[str, Json] = {
        "type": "TABLE",
        "metadata": {
            "name": clean(name.name),
            "database": clean(name.database),
            "schema": clean(name.schema),
        },
    }
    volume: dict[str, Json] = {
        field: count
        for field, count in (
            ("row_count", observation.row_count),
            ("byte_count", observation.byte_count),
        )
        if count is not None and count >= 0
    }
    if volume:
        asset["volume"] = volume
    notes: tuple[Note, ...] = ()
    changed_at = observation.last_data_change
    if changed_at is not None:
        if changed_at > not_after or (not_before is not None and changed_at < not_before):
            notes = ("freshness_left_out",)
        else:
            asset["freshness"] = {"last_update_time": iso(changed_at)}
    if "volume" not in asset and "freshness" not in asset:
        return None
    return Event.of(name.key, encoded({"relational_asset": asset}), *notes)
