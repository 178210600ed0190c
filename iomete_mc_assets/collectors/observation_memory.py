"""What was last known of each table, and how a table is found again under its name or its uuid. Asks nothing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from iomete_mc_assets.collectors.exclusions import Exclusions
from iomete_mc_assets.records import Observation, TableEntry, TableId
from iomete_mc_assets.windows import HourWindow

Identity = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """The names in a catalog: as they are shown, and in lower case."""

    tables: frozenset[TableId]
    folded: frozenset[Identity]

    @classmethod
    def of(cls, entries: Iterable[TableEntry]) -> "Listed":
        """Those of the entries."""
        tables = frozenset(entry.table for entry in entries)
        return cls(tables, frozenset(table.folded for table in tables))


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
    """

    observation: Observation
    manifest_id: str | None

    def carried(self) -> Observation | None:
        """The state as an hour keeps it, unsent, that could not observe the table itself; None without origin."""
        origin = self.observation.carried_from or self.manifest_id
        return None if origin is None else replace(self.observation, carried_from=origin)


class Memory:
    """The last known states, by name and by uuid. Not changed once made."""

    def __init__(self, states: Iterable[Remembered] = ()) -> None:
        """Keep the last of several states of one name."""
        self._by_name = {state.observation.table: state for state in states}
        self._by_folded: dict[Identity, list[Remembered]] = {}
        for state in self._by_name.values():
            self._by_folded.setdefault(state.observation.table.folded, []).append(state)
        self._by_uuid = {
            state.observation.uuid: state
            for state in self._by_name.values()
            if state.observation.uuid is not None
        }

    @classmethod
    def of(cls, earlier: EarlierInput | None) -> "Memory":
        """What a manifest said; nothing without one."""
        if earlier is None:
            return cls()
        return cls(
            Remembered(observation=observation, manifest_id=earlier.manifest_id)
            for observation in earlier.observations
        )

    def __iter__(self) -> Iterator[Remembered]:
        """All states."""
        return iter(self._by_name.values())

    def of_table(self, entry: TableEntry, *, listed: Listed) -> Remembered | None:
        """The same table's state: under its name, or its uuid where the old name is no longer ``listed``.

        A new uuid under an old name is a new table. Where one side shows no uuid, the name decides.
        """
        uuid = None if entry.state is None else entry.state.uuid
        named = self._by_name.get(entry.table) or self._respelled(entry.table, listed)
        if named is not None and (uuid is None or named.observation.uuid in {None, uuid}):
            return named
        renamed = self._by_uuid.get(uuid) if uuid is not None else None
        if renamed is None or renamed.observation.table.folded in listed.folded:
            return None
        return renamed

    def _respelled(self, table: TableId, listed: Listed) -> Remembered | None:
        """The state under the name in other case, which an upgrade can change; not that of a table which still has it."""
        found = [
            state
            for state in self._by_folded.get(table.folded, ())
            if state.observation.table not in listed.tables
        ]
        return found[0] if len(found) == 1 else None
