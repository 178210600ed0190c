"""What was last known of each table, and how a table is found again under its name or its uuid. Asks nothing."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from iomete_mc_assets.collectors.exclusions import Exclusions
from iomete_mc_assets.records import Observation, TableEntry, TableId
from iomete_mc_assets.windows import HourWindow

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierInput:
    """What a known observations manifest said.

    Attributes:
        manifest_id: its id.
        observations: all of its records, those carried through it too.
        swept: the newest hour up to it that trusted no earlier one; None where it does not say: then itself.
    """

    manifest_id: str
    window: HourWindow
    observations: tuple[Observation, ...]
    swept: HourWindow | None = None


def within(scope: Exclusions, earlier: EarlierInput | None) -> EarlierInput | None:
    """The same without tables that are left out now: they were not dropped, and nobody asks for them."""
    if earlier is None:
        return None
    kept = (one for one in earlier.observations if scope.of_table(one.table) is None)
    return replace(earlier, observations=tuple(kept))


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """The last known state of one table.

    Attributes:
        manifest_id: the manifest that said so; None for an hour of the same run, which has none yet.
        until: the end of the hour that observed it; None where that hour only carried it.
    """

    observation: Observation
    manifest_id: str | None
    until: datetime | None = None

    def carried(self) -> Observation | None:
        """The state as an hour keeps it, unsent, that could not observe the table itself; None without origin."""
        origin = self.observation.carried_from or self.manifest_id
        return None if origin is None else replace(self.observation, carried_from=origin)


class Memory:
    """The last known states, by name and by uuid. Not changed once made."""

    def __init__(self, states: Iterable[Remembered] = ()) -> None:
        """Keep the last of several states of one name."""
        self._by_table = {state.observation.table: state for state in states}
        self._by_folded = _unique((s.observation.table.folded, s) for s in self)
        self._by_uuid = _unique((s.observation.uuid, s) for s in self)

    @classmethod
    def of(cls, earlier: EarlierInput | None) -> "Memory":
        """What a manifest said; nothing without one."""
        if earlier is None:
            return cls()
        return cls(
            Remembered(
                observation=observation,
                manifest_id=earlier.manifest_id,
                until=earlier.window.end if observation.carried_from is None else None,
            )
            for observation in earlier.observations
        )

    def __iter__(self) -> Iterator[Remembered]:
        """All states."""
        return iter(self._by_table.values())

    def of_table(
        self, entry: TableEntry, *, listed: Mapping[TableId, str | None]
    ) -> Remembered | None:
        """The same table's state: under its name, or its uuid where the old name is no longer ``listed`` with it.

        A new uuid under an old name is a new table. Where one side shows no uuid, the name decides; its case
        does not, unless a table of that very name is listed too.

        Args:
            entry: of the table.
            listed: every name, with the uuid that is shown for it.
        """
        uuid = None if entry.state is None else entry.state.uuid
        named = self._by_table.get(entry.table)
        respelled = self._by_folded.get(entry.table.folded)
        if named is None and respelled is not None and respelled.observation.table not in listed:
            named = respelled
        if named is not None and (uuid is None or named.observation.uuid in {None, uuid}):
            return named
        renamed = None if uuid is None else self._by_uuid.get(uuid)
        if renamed is None:
            return None
        old = renamed.observation.table
        return None if old in listed and listed[old] in {None, uuid} else renamed


def shown(entries: Iterable[TableEntry]) -> dict[TableId, str | None]:
    """Every name of a listing, with the uuid it shows."""
    return {entry.table: None if entry.state is None else entry.state.uuid for entry in entries}


def _unique(states: Iterable[tuple[Key | None, Remembered]]) -> dict[Key, Remembered]:
    """By a key; one that several share (a copy's uuid) tells nothing."""
    found: dict[Key, list[Remembered]] = {}
    for key, state in states:
        if key is not None:
            found.setdefault(key, []).append(state)
    return {key: same[0] for key, same in found.items() if len(same) == 1}
