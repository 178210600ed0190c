"""Hypothesis strategies shared by the tests: names, columns, and Iceberg histories with a model that knows the truth."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from hypothesis import strategies as st

from iomete_mc_assets.collectors.history import History, HistoryRow, Snapshot
from iomete_mc_assets.records import Column, TableId

START = datetime(2026, 11, 21, tzinfo=UTC)

identifiers = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12
) | st.sampled_from(
    ["a`b", "`", "``", "a.b", "my-db", "Ünï 1", "# Partitioning", "${x}", "'", "\\"]
)
table_ids = st.builds(
    TableId,
    st.sampled_from(["spark_catalog", "lake"]),
    st.lists(identifiers, min_size=1, max_size=3).map(tuple),
    identifiers,
)
columns = st.builds(
    Column,
    name=identifiers,
    type=st.sampled_from(["INT", "STRING", "STRUCT<City: STRING, geo: ARRAY<DOUBLE>>"]),
    required=st.none() | st.booleans(),
    comment=st.none() | st.text(max_size=20),
)

Step = Literal[
    "append",
    "overwrite",
    "delete",
    "replace",
    "rollback",
    "branch",
    "fast forward",
    "staged",
    "expire",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What really held from an instant on; ``data`` names the content."""

    at: datetime
    snapshot_id: int
    data: int
    changed_at: datetime


@dataclass(slots=True)
class ModelTable:
    """An Iceberg table's main branch as the operations make it, and the truth that no expiry takes away."""

    log: list[HistoryRow] = field(default_factory=list[HistoryRow])
    snapshots: dict[int, Snapshot] = field(default_factory=dict[int, Snapshot])
    truths: list[Truth] = field(default_factory=list[Truth])
    expired: bool = False
    _data: dict[int, int] = field(default_factory=dict[int, int])
    _made: dict[int, Snapshot] = field(default_factory=dict[int, Snapshot])
    _branch: int | None = None
    _now: datetime = START
    _next: int = 1

    def apply(self, step: Step, minutes: int, pick: int) -> None:
        """One operation, some minutes after the one before; ``pick`` chooses among candidates."""
        self._now += timedelta(minutes=minutes)
        current = self.log[-1].snapshot_id if self.log else None
        match step:
            case "append" | "overwrite" | "delete":
                self._become(self._commit(step, current))
            case "replace" if current is not None:
                self._become(self._commit(step, current))
            case "rollback" if current is not None:
                self._become(self.log[pick % len(self.log)].snapshot_id, rolled_back=True)
            case "branch" | "staged":
                above = self._branch if self._branch in self.snapshots else current
                operation = "replace" if above is not None and pick % 2 else "append"
                head = self._commit(operation, above)
                self._branch = head if step == "branch" else self._branch
            case "fast forward" if self._branch in self.snapshots and self._descends(current):
                self._become(self._branch)
                self._branch = None
            case "expire" if len(self.log) > 1:
                self._expire(pick % len(self.log))
            case _:
                pass  # what Iceberg would refuse here

    def history(self) -> History:
        """The rows as they can still be read."""
        return History(rows=tuple(self.log), snapshots=dict(self.snapshots))

    def truth(self, instant: datetime) -> Truth | None:
        """What held just before the instant; None before the first commit."""
        before = [truth for truth in self.truths if truth.at < instant]
        return before[-1] if before else None

    def _commit(self, operation: str, parent: int | None) -> int:
        snapshot_id = self._next
        self._next += 1
        kept = operation == "replace" and parent is not None
        self._data[snapshot_id] = self._data[parent] if kept and parent is not None else snapshot_id
        before = 0 if parent is None else self._data[parent]
        self.snapshots[snapshot_id] = Snapshot(
            snapshot_id=snapshot_id,
            parent_id=parent,
            operation=operation,
            total_records=self._data[snapshot_id],
            figures_before=(before, before, 0, 0),
            position_deletes=0,
            equality_deletes=0,
        )
        self._made[snapshot_id] = self.snapshots[snapshot_id]
        return snapshot_id

    def _become(self, snapshot_id: int | None, *, rolled_back: bool = False) -> None:
        assert snapshot_id is not None
        snapshot = self.snapshots[snapshot_id]
        before = self.truths[-1] if self.truths else None
        same = before is not None and before.data == self._data[snapshot_id]
        if rolled_back:  # a rollback counts as a change, unless it only redoes rewrites
            same = before is not None and self._rewrites(snapshot_id, before.snapshot_id)
        self.log.append(
            HistoryRow(snapshot_id=snapshot_id, parent_id=snapshot.parent_id, at=self._now)
        )
        changed_at = before.changed_at if same and before is not None else self._now
        self.truths.append(
            Truth(
                at=self._now,
                snapshot_id=snapshot_id,
                data=self._data[snapshot_id],
                changed_at=changed_at,
            )
        )

    def _rewrites(self, snapshot_id: int, origin: int) -> bool:
        here: int | None = snapshot_id
        while here != origin and here in self._made and self._made[here].operation == "replace":
            here = self._made[here].parent_id
        return here == origin and snapshot_id != origin

    def _descends(self, current: int | None) -> bool:
        here = self._branch
        while here is not None and here != current:
            here = self.snapshots[here].parent_id if here in self.snapshots else None
        return here == current and current is not None

    def _expire(self, keep_from: int) -> None:
        """Iceberg keeps the tail of the log and the snapshots it names (and a branch's head)."""
        self.expired = self.expired or keep_from > 0
        self.log = self.log[keep_from:]
        kept = {row.snapshot_id for row in self.log} | {self._branch}
        self.snapshots = {one: snapshot for one, snapshot in self.snapshots.items() if one in kept}


@st.composite
def histories(draw: st.DrawFn, *, expiring: bool) -> ModelTable:
    """A table after up to 25 operations, which begin with an append."""
    kinds: list[Step] = [kind for kind in get_args(Step) if expiring or kind != "expire"]
    kinds.append("replace")
    steps = draw(
        st.lists(
            st.tuples(st.sampled_from(kinds), st.integers(1, 90), st.integers(0, 30)),
            max_size=25,
        )
    )
    table = ModelTable()
    table.apply("append", 1, 0)
    for step, minutes, pick in steps:
        table.apply(step, minutes, pick)
    return table
