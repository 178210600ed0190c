"""Real Iceberg tables with a random life, and the log of what happened to them. Who is right, the tests judge.

A life is lived in seconds and then spread over hours: every time in the table's metadata file is rewritten to
the planned one, as the sandbox's seed does it.
"""

import json
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Literal

from iomete_mc_assets.records import TableId
from iomete_mc_assets.sandbox.seed import WORKSHOP
from iomete_mc_assets.warehouse.rows import Warehouse
from iomete_mc_assets.warehouse.statements import literal, quoted
from iomete_mc_assets.windows import HOUR, HourWindow

DATABASE = "lives"
Home = Literal["spark_catalog", "lake"]
Content = frozenset[tuple[int, int]]
"""A table's rows, each by its id and a number for each time it was written: what every snapshot holds is known
without asking anybody."""
EMPTY: Content = frozenset()
MILLISECOND = timedelta(milliseconds=1)
EDGES = (timedelta(0), HOUR - MILLISECOND)
"""The first and the last instant of an hour."""

MERGE_ON_READ = {
    f"write.{statement}.mode": "merge-on-read" for statement in ("delete", "update", "merge")
}
NO_ROW = frozenset(
    {"create", "alter", "upgrade", "tag", "branch", "staged", "expire", "emptied", "restored"}
)
"""They add nothing to main's history."""
NO_COMMIT = frozenset({"alter", "upgrade", "tag", "branch", "expire", "emptied"})
"""They may write a metadata file that no commit comes with."""
REWRITES = frozenset({"compaction", "manifests", "position deletes"})
"""They add a ``replace`` to it, or nothing where there is nothing to rewrite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One operation, as the log keeps it.

    Attributes:
        content: main's, after it.
        changed: whether main's data changed, as freshness means it.
        row: what it added to main's history: nothing, a commit onto the row before, or another row.
        commits: the snapshots that it made.
    """

    at: datetime
    kind: str
    content: Content
    changed: bool
    row: Literal["none", "onto", "other"]
    commits: frozenset[int]

    @property
    def rows(self) -> int:
        """On main, after it."""
        return len(self.content)


class LivingTable:
    """One table while it lives.

    Attributes:
        table: the name it is published under.
        deeds: since it was created (again), oldest first.
        merge_on_read: whether its deletes leave its files alone.
        random: what it decides by.
        is_plain: whether it knows writes, rollbacks, branches, compaction, expiry, and being created again alone.
    """

    def __init__(
        self, number: int, *, home: Home, state: Path, random: Random, is_plain: bool = False
    ) -> None:
        self.table = TableId(home, (DATABASE,), _called(number, home))
        self.deeds: list[Deed] = []
        self.random = random
        self.is_plain = is_plain
        self._home: Home = home
        self._working = self.table
        self._state = state
        self._folder = state / "lake" / DATABASE / self.table.table
        if home == "spark_catalog":
            self._working = TableId(WORKSHOP, (f"{DATABASE}.db",), self.table.table)
            self._folder = state / "warehouse" / f"{DATABASE}.db" / self.table.table
        self._format = self._born_format = random.choice((1, 2, 2, 2))
        self.merge_on_read = self._format > 1 and random.random() < 0.4
        self._partitioned = random.random() < 0.3
        self._planned: dict[int, datetime] = {}
        self._next = 0
        self._published = False
        self._born()

    def _born(self) -> None:
        self._main = EMPTY
        self._contents: dict[int, Content] = {}
        self._branch: tuple[int | None, Content] | None = None
        self._staged: tuple[int, Content] | None = None
        self._logged = 0
        self._current = -1
        self._known: set[int] = set()
        self._tags = 0
        self.expired = False

    # The truth

    @property
    def shows_no_metadata_file(self) -> bool:
        """Whether listings tell its current snapshot alone, as in v2 catalogs."""
        return self.table.catalog == "lake"

    def before(self, instant: datetime) -> Deed | None:
        """The last deed before an instant; None where the table was not there (or was another one)."""
        earlier = [deed for deed in self.deeds if deed.at < instant]
        return earlier[-1] if earlier else None

    def last_change(self, instant: datetime) -> datetime | None:
        """When its data last changed before an instant."""
        changes = [deed.at for deed in self.deeds if deed.at < instant and deed.changed]
        return changes[-1] if changes else None

    def why_unknown(
        self, instant: datetime, *, paths: bool
    ) -> Literal["expired", "no proof", "emptied"] | None:
        """Why nobody may be able to tell its state before an instant; None where everybody can.

        An expiry took its history. To whom may read no paths, also: nothing shows that none did; or a
        replacement without a query is among several files without a commit.
        """
        if paths:
            return "expired" if self.expired and not self._written(instant) else None
        if self._written(instant):
            if self.is_blurred(instant, files=self._files_without_commit()):
                return "emptied"
            lost = self._files_without_commit() + self._staged_and_expired()
            return "expired" if self.is_blurred(instant, files=lost) else None
        if self.expired:
            return "expired"
        rows = [place for place, deed in enumerate(self.deeds) if deed.row != "none"]
        first = rows[0] if rows else len(self.deeds)
        files = any(deed.kind in NO_COMMIT - {"branch"} for deed in self.deeds[:first])
        late = bool(rows) and self.deeds[first].kind != "append" and self._born_format == 1
        return "no proof" if files or late else None

    def _files_without_commit(self) -> list[Deed]:
        """Deeds that may have written a metadata file that no commit came with."""
        return [deed for deed in self.deeds if deed.kind in NO_COMMIT]

    def _staged_and_expired(self) -> list[Deed]:
        """Staged writes that an expiry took: of those the metadata file is left, and no snapshot beside it."""
        left = {one["snapshot-id"] for one in self._metadata()["snapshots"]}
        return [deed for deed in self.deeds if deed.kind == "staged" and not deed.commits & left]

    def is_blurred(self, instant: datetime, *, files: Sequence[Deed]) -> bool:
        """Whether files without a commit lie between two rows around an instant, where neither row tells which.

        A lone one does, if the table is empty now, if Spark appended to nothing, or if the same content became
        current once more.
        """
        rows = [place for place, deed in enumerate(self.deeds) if deed.row != "none"]
        before = [place for place in rows if self.deeds[place].at < instant]
        if not before:
            return False
        after = [place for place in rows if place > before[-1]]
        if after and self.deeds[after[0]].row == "onto":
            return False
        between = self.deeds[before[-1] + 1 : after[0] if after else None]
        files = [deed for deed in between if deed in files]
        told = not after or self.deeds[after[0]].kind in {"append", "cherry-pick"}
        if len(files) == 1 and files[0].kind == "emptied" and told:
            return False
        emptied_now = not after and any(deed.kind == "emptied" for deed in files)
        return any(deed.at < instant for deed in files) and bool(after or emptied_now)

    def change_may_be_unknown(self, instant: datetime, *, paths: bool) -> bool:
        """Whether a row before an instant may be one after the table had been empty: then it changed data."""
        if paths:
            return self.expired or self.is_emptied(instant)
        file_between = False
        for deed in (one for one in self.deeds if one.at < instant):
            if deed.row == "other" and file_between:
                return True
            file_between = deed.kind in NO_COMMIT or (file_between and deed.row == "none")
        return self.expired or self.is_blurred(instant, files=self._files_without_commit())

    def is_emptied(self, instant: datetime) -> bool:
        """Whether it was replaced by an empty table since its last row before an instant."""
        earlier = [deed for deed in self.deeds if deed.at < instant]
        while earlier and earlier[-1].row == "none":
            if earlier.pop().kind == "emptied":
                return True
        return False

    def told(self, instant: datetime) -> bool:
        """Whether Spark's time travel and we have the same to say of it just before an instant."""
        hazy = self.why_unknown(instant, paths=False) is not None or self.is_emptied(instant)
        return self._written(instant) and not hazy

    def _written(self, instant: datetime) -> bool:
        """Whether its history has a row before an instant."""
        log = self._metadata()["snapshot-log"]
        return any(_instant(entry["timestamp-ms"]) < instant for entry in log)

    def life(self) -> str:
        """For a message: everything that happened."""
        kind = f"v{self._format}{' merge-on-read' if self.merge_on_read else ''}"
        told = ", ".join(f"{deed.at:%d %H:%M:%S.%f} {deed.kind} {deed.rows}" for deed in self.deeds)
        return f"{self.table.shown} ({kind}): {told}"

    # Living

    def live(self, session: Warehouse, instants: Sequence[datetime]) -> None:
        """Be created at the first instant, and do something at each of the others."""
        self._create(session, instants[0])
        for at in instants[1:]:
            self._do_something(session, at)

    def write(self, session: Warehouse, instants: Sequence[datetime]) -> None:
        """Be created at the first instant, and get more rows at each of the others."""
        self._create(session, instants[0])
        for at in instants[1:]:
            self._append(session, at)

    def take_back(self, session: Warehouse, at: datetime) -> None:
        """Go back to an older state of main."""
        self._roll_back(session, at)

    def live_on(self, session: Warehouse, deeds: int) -> None:
        """A few more deeds, now and under the published name, and sometimes another name."""
        self._working = self.table
        if self._home == "spark_catalog" and self.random.random() < 0.3:
            self._rename(session)
        for _ in range(deeds):
            self._do_something(session, None)

    def _rename(self, session: Warehouse) -> None:
        """Only where a metastore keeps the names."""
        new = TableId(self._home, (DATABASE,), f"{self.table.table}_renamed")
        session.ask(f"ALTER TABLE {name(self.table)} RENAME TO {quoted(DATABASE, new.table)}")
        self.table = self._working = new

    def be_called(self, name: TableId, other: "LivingTable") -> None:
        """By the other's name, and it by ours."""
        other.table = other._working = self.table
        self.table = self._working = name

    def publish(self, session: Warehouse) -> None:
        """Under its own name, with its planned past."""
        self._published = True
        newest, number = self._newest()
        aged = json.dumps(self._aged(json.loads(newest.read_text())))
        if self._home == "lake":
            (newest.parent / f".{newest.name}.crc").unlink(missing_ok=True)
            newest.write_text(aged)
            return
        registered = newest.with_name(f"{number - 1:05}-{uuid.uuid4()}.metadata.json")
        registered.write_text(aged)
        (newest.parent / "version-hint.text").unlink()  # no longer a table of the workshop
        target = literal(quoted(DATABASE, self.table.table))
        session.ask(
            f"CALL spark_catalog.system.register_table({target}, {literal(str(registered))})"
        )

    def _do_something(self, session: Warehouse, at: datetime | None) -> None:
        deeds = self._deeds()
        [deed] = self.random.choices(list(deeds), weights=list(deeds.values()))
        deed(session, at)

    def _deeds(self) -> Mapping[Callable[[Warehouse, datetime | None], None], float]:
        """What there is to do, and how likely it is; 0 where it cannot be done now."""
        metadata = self._metadata()
        some, current = bool(self._main), metadata.get("current-snapshot-id", -1)
        named = self._published and self._home == "spark_catalog"
        plain = {
            self._append: 3,
            self._overwrite: 1,
            self._delete: some,
            self._merge: some,
            self._truncate: some / 2,
            self._compact: 2 * some,
            self._roll_back: bool(self._older(metadata)),
            self._write_branch: 1 if some else 0.4,
            self._expire: len(metadata["snapshot-log"]) > 1,
            self._create_again: 0.3,
        }
        if self.is_plain:
            return plain
        return plain | {
            self._update: some,
            self._maintain: some * (3 if self._published else 0.3),
            self._rewrite_manifests: some,
            self._rewrite_position_deletes: some and self.merge_on_read,
            self._set_current: bool(self._others(metadata)),
            self._tag: some,
            self._fast_forward: self._branch is not None and self._branch[0] == current,
            self._stage: 1 if some else 0.4,
            self._cherry_pick: self._staged is not None,
            self._replace_table: 1,
            self._empty: 0.7,
            self._restore: named,
            self._alter: some,
            self._upgrade: self._format == 1 and some,
        }

    def _create(self, session: Warehouse, at: datetime | None) -> None:
        self._make(session, "CREATE TABLE")
        self._note("create", at)

    def _empty(self, session: Warehouse, at: datetime | None) -> None:
        """Without a query, which leaves no row in the history."""
        self._make(session, "CREATE OR REPLACE TABLE")
        self._main = EMPTY
        self._note("emptied", at)

    def _make(self, session: Warehouse, how: str) -> None:
        properties = {"format-version": str(self._format), "write.wap.enabled": "true"}
        properties |= MERGE_ON_READ if self.merge_on_read else {}
        listed = ", ".join(f"'{key}'='{value}'" for key, value in properties.items())
        partitions = "PARTITIONED BY (part)" if self._partitioned else ""
        session.ask(
            f"{how} {self._sql} (id BIGINT, part BIGINT, v STRING) USING iceberg {partitions} "
            f"TBLPROPERTIES ({listed})"
        )

    def _create_again(self, session: Warehouse, at: datetime | None) -> None:
        session.ask(f"DROP TABLE {self._sql}")
        if self._published and self._home == "spark_catalog":
            shutil.rmtree(self._folder)
            self._folder = self._state / "warehouse" / f"{DATABASE}.db" / self.table.table
        self._born()
        self.deeds.clear()
        self._create(session, at)

    def _restore(self, session: Warehouse, at: datetime | None) -> None:
        """The metastore forgot it, and is told again where its metadata lies."""
        newest, _ = self._newest()
        session.ask(f"DROP TABLE {self._sql}")
        target = literal(quoted(DATABASE, self.table.table))
        session.ask(f"CALL spark_catalog.system.register_table({target}, {literal(str(newest))})")
        self._note("restored", at)

    def _append(self, session: Warehouse, at: datetime | None) -> None:
        fresh = self._fresh()
        session.ask(f"INSERT INTO {self._sql} {_rows(fresh)}")
        self._main |= fresh
        self._note("append", at)

    def _overwrite(self, session: Warehouse, at: datetime | None) -> None:
        fresh = self._fresh()
        session.ask(f"INSERT OVERWRITE {self._sql} {_rows(fresh)}")
        self._main = fresh
        self._note("overwrite", at)

    def _replace_table(self, session: Warehouse, at: datetime | None) -> None:
        fresh = self._fresh()
        session.ask(f"CREATE OR REPLACE TABLE {self._sql} USING iceberg AS {_rows(fresh)}")
        self._main = fresh
        self._note("replaced table", at)

    def _delete(self, session: Warehouse, at: datetime | None) -> None:
        step, rest = self._hitting()
        session.ask(f"DELETE FROM {self._sql} WHERE id % {step} = {rest}")
        self._main = frozenset(row for row in self._main if row[0] % step != rest)
        self._note("delete", at)

    def _update(self, session: Warehouse, at: datetime | None) -> None:
        step, rest = self._hitting()
        session.ask(f"UPDATE {self._sql} SET v = concat(v, '!') WHERE id % {step} = {rest}")
        self._main = self._rewritten(frozenset(row for row in self._main if row[0] % step == rest))
        self._note("update", at)

    def _merge(self, session: Warehouse, at: datetime | None) -> None:
        known = frozenset(self.random.sample(sorted(self._main), min(4, len(self._main))))
        fresh = self._fresh()
        deleted = frozenset(row for row in known if row[0] % 2)
        session.ask(
            f"MERGE INTO {self._sql} t USING ({_rows(known | fresh)}) s ON t.id = s.id "
            "WHEN MATCHED AND s.id % 2 = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 'merged' "
            "WHEN NOT MATCHED THEN INSERT *"
        )
        self._main = (self._rewritten(known - deleted) - deleted) | fresh
        self._note("merge", at)

    def _truncate(self, session: Warehouse, at: datetime | None) -> None:
        session.ask(f"TRUNCATE TABLE {self._sql}")
        self._main = EMPTY
        self._note("truncate", at)

    def _compact(self, session: Warehouse, at: datetime | None) -> None:
        self._call(
            session, "rewrite_data_files", "table => {}, options => map('rewrite-all', 'true')"
        )
        self._note("compaction", at)

    def _maintain(self, session: Warehouse, at: datetime | None) -> None:
        """As IOMETE's data compaction job does it: one snapshot is left, and its parent is gone."""
        self._rewrite_manifests(session, at)
        self._compact(session, at)
        self._expire(session, at, retained=1)

    def _rewrite_manifests(self, session: Warehouse, at: datetime | None) -> None:
        self._call(session, "rewrite_manifests", "table => {}")
        self._note("manifests", at)

    def _rewrite_position_deletes(self, session: Warehouse, at: datetime | None) -> None:
        options = "options => map('rewrite-all', 'true')"
        self._call(session, "rewrite_position_delete_files", f"table => {{}}, {options}")
        self._note("position deletes", at)

    def _roll_back(self, session: Warehouse, at: datetime | None) -> None:
        self._back_to("rollback_to_snapshot", self._older(self._metadata()), session, at)

    def _set_current(self, session: Warehouse, at: datetime | None) -> None:
        self._back_to("set_current_snapshot", self._others(self._metadata()), session, at)

    def _back_to(
        self, procedure: str, known: list[int], session: Warehouse, at: datetime | None
    ) -> None:
        snapshot = self.random.choice(known)
        self._call(session, procedure, f"table => {{}}, snapshot_id => {snapshot}")
        self._main = self._contents[snapshot]
        self._note("rollback", at)

    def _tag(self, session: Warehouse, at: datetime | None) -> None:
        session.ask(f"ALTER TABLE {self._sql} CREATE TAG tag{self._tags}")
        self._tags += 1
        self._note("tag", at)

    def _write_branch(self, session: Warehouse, at: datetime | None) -> None:
        fresh, current = self._fresh(), self._metadata().get("current-snapshot-id", -1)
        known = "b" in self._metadata()["refs"]
        if self._branch is None and known and current == -1:
            return  # what it holds is not kept any more, and it cannot be made anew
        if self._branch is None or (current != -1 and self.random.random() < 0.3):
            replacing = "OR REPLACE " if current != -1 else ""
            session.ask(f"ALTER TABLE {self._sql} CREATE {replacing}BRANCH b")
            base, content = current, self._main
            self._contents.setdefault(self._metadata()["refs"]["b"]["snapshot-id"], content)
        else:
            base, content = self._branch
        session.ask(f"INSERT INTO {self._sql}.branch_b {_rows(fresh)}")
        self._branch = base, content | fresh
        self._contents[self._metadata()["refs"]["b"]["snapshot-id"]] = content | fresh
        self._note("branch", at)

    def _fast_forward(self, session: Warehouse, at: datetime | None) -> None:
        self._call(session, "fast_forward", "table => {}, branch => 'main', to => 'b'")
        assert self._branch is not None
        self._main, self._branch = self._branch[1], None
        self._note("fast forward", at)

    def _stage(self, session: Warehouse, at: datetime | None) -> None:
        fresh = self._fresh()
        before = {one["snapshot-id"] for one in self._metadata()["snapshots"]}
        session.ask(f"SET spark.wap.id={uuid.uuid4()}")
        session.ask(f"INSERT INTO {self._sql} {_rows(fresh)}")
        session.ask("RESET spark.wap.id")
        [staged] = {one["snapshot-id"] for one in self._metadata()["snapshots"]} - before
        self._contents[staged] = self._main | fresh
        self._staged = staged, fresh
        self._note("staged", at)

    def _cherry_pick(self, session: Warehouse, at: datetime | None) -> None:
        assert self._staged is not None
        snapshot, fresh = self._staged
        self._staged = None
        if snapshot not in self._contents:
            return  # expired
        self._call(session, "cherrypick_snapshot", f"table => {{}}, snapshot_id => {snapshot}")
        self._main |= fresh
        self._note("cherry-pick", at)

    def _expire(
        self, session: Warehouse, at: datetime | None, *, retained: int | None = None
    ) -> None:
        retained = retained or self.random.choice((1, 1, 2, 3))
        self._call(
            session,
            "expire_snapshots",
            f"table => {{}}, older_than => TIMESTAMP '2999-01-01', retain_last => {retained}",
        )
        self.expired = True
        left = {one["snapshot-id"] for one in self._metadata()["snapshots"]}
        self._contents = {one: rows for one, rows in self._contents.items() if one in left}
        self._logged = len(self._metadata()["snapshot-log"])
        self._note("expire", at)

    def _alter(self, session: Warehouse, at: datetime | None) -> None:
        session.ask(f"ALTER TABLE {self._sql} SET TBLPROPERTIES ('note'='{self.random.random()}')")
        self._note("alter", at)

    def _upgrade(self, session: Warehouse, at: datetime | None) -> None:
        session.ask(f"ALTER TABLE {self._sql} SET TBLPROPERTIES ('format-version'='2')")
        self._format = 2
        self._note("upgrade", at)

    # What Iceberg wrote

    def _note(self, kind: str, at: datetime | None) -> None:
        """Keep the deed, and the instant for every time that Iceberg wrote for it."""
        metadata = self._metadata()
        current, logged = metadata.get("current-snapshot-id", -1), len(metadata["snapshot-log"])
        grown = logged > self._logged
        self._logged = logged
        came_from, self._current = self._current, current
        if kind not in REWRITES:
            assert grown is (kind not in NO_ROW), (kind, self.life())
        self._contents.setdefault(current, self._main)
        assert self._contents[current] == self._main or current == -1, (kind, self.life())
        at = at or _instant(metadata["last-updated-ms"])
        new = sorted(_times(metadata) - self._planned.keys(), reverse=True)
        self._planned |= {ms: at - place * MILLISECOND for place, ms in enumerate(new)}
        rewritten = kind in REWRITES or _rewrites(metadata, current, of=came_from)
        changed = (grown and not rewritten) or (kind == "emptied" and came_from != -1)
        parents = {
            one["snapshot-id"]: one.get("parent-snapshot-id", -1) for one in metadata["snapshots"]
        }
        row = "none"
        if grown:
            onto = current not in self._known and parents[current] == came_from != -1
            row = "onto" if onto else "other"
        commits = frozenset(parents.keys() - self._known)
        self._known |= commits
        self.deeds.append(
            Deed(at=at, kind=kind, content=self._main, changed=changed, row=row, commits=commits)
        )

    def _aged(self, metadata: dict[str, Any]) -> dict[str, Any]:
        for listed in ("snapshots", "snapshot-log", "metadata-log"):
            for entry in metadata[listed]:
                entry["timestamp-ms"] = _ms(self._planned[entry["timestamp-ms"]])
        metadata["last-updated-ms"] = _ms(self._planned[metadata["last-updated-ms"]])
        self._planned |= {_ms(at): at for at in self._planned.values()}
        return metadata

    def _metadata(self) -> dict[str, Any]:
        return json.loads(self._newest()[0].read_text())

    def _newest(self) -> tuple[Path, int]:
        """A hadoop catalog says which file is the newest; of a metastore's the number does."""
        metadata = self._folder / "metadata"
        hint = metadata / "version-hint.text"
        if hint.exists():
            number = int(hint.read_text())
            return metadata / f"v{number}.metadata.json", number
        number, path = max(
            (int(path.name.split("-")[0]), path) for path in metadata.glob("*-*.metadata.json")
        )
        return path, number

    def _older(self, metadata: Mapping[str, Any]) -> list[int]:
        """Ancestors of the current snapshot that are still there."""
        parents = {
            one["snapshot-id"]: one.get("parent-snapshot-id") for one in metadata["snapshots"]
        }
        here, found = parents.get(metadata.get("current-snapshot-id", -1)), list[int]()
        while here is not None and here in parents:
            found.append(here)
            here = parents[here]
        return found

    def _others(self, metadata: Mapping[str, Any]) -> list[int]:
        """Snapshots to set main to; a staged one that became current could not be cherry-picked any more."""
        out = {metadata.get("current-snapshot-id", -1), self._staged and self._staged[0]}
        known = {one["snapshot-id"] for one in metadata["snapshots"]}
        return sorted(known - out)

    # Words

    @property
    def _sql(self) -> str:
        return name(self._working)

    def _call(self, session: Warehouse, procedure: str, arguments: str) -> None:
        target = literal(quoted(*self._working.namespace, self._working.table))
        catalog = quoted(self._working.catalog)
        session.ask(f"CALL {catalog}.system.{procedure}({arguments.replace('{}', target)})")

    def _fresh(self) -> Content:
        first, self._next = self._next, self._next + self.random.randint(1, 9)
        return frozenset((one, 0) for one in range(first, self._next))

    def _rewritten(self, rows: Content) -> Content:
        """Main's content with these rows written once more."""
        self._next += 1  # also numbers the writing
        return (self._main - rows) | {(one, self._next) for one, _ in rows}

    def _hitting(self) -> tuple[int, int]:
        """A step and a rest that hit at least one row, and mostly not all."""
        step = self.random.choice((2, 3, 5))
        return step, self.random.choice(sorted(self._main))[0] % step


def swap(session: Warehouse, one: LivingTable, other: LivingTable) -> None:
    """Blue and green change their names; the files stay where they are."""
    spare = TableId(one.table.catalog, one.table.namespace, "spare")
    for old, new in ((one.table, spare), (other.table, one.table), (spare, other.table)):
        session.ask(f"ALTER TABLE {name(old)} RENAME TO {quoted(*new.namespace, new.table)}")
    one.be_called(other.table, other)


def _called(number: int, home: Home) -> str:
    """In a catalog of folders, where case tells names apart, each second table is another's sibling."""
    sibling = home == "lake" and number % 2 == 1
    return f"T{number - 3:03}" if sibling and number > 3 else f"t{number:03}"


def name(table: TableId) -> str:
    """For SQL."""
    return quoted(table.catalog, *table.namespace, table.table)


def planned_instants(hours: Sequence[HourWindow], deeds: int, random: Random) -> list[datetime]:
    """As many ascending instants in the hours, some on the edge of one, the first in one of the first sixth."""
    begins = random.randrange(len(hours) // 6)
    found = set[datetime]()
    while len(found) < deeds:
        window = random.choice(hours[begins:])
        within = random.choice(EDGES) if random.random() < 0.2 else random.random() * HOUR
        at = window.start + timedelta(milliseconds=within // MILLISECOND)
        if all(abs(at - other) > 20 * MILLISECOND for other in found):
            found.add(at)
    return sorted(found)


def _rows(content: Content) -> str:
    listed = ", ".join(f"({one}L)" for one, _ in sorted(content))
    return f"SELECT id, id % 3 AS part, CAST(id AS STRING) AS v FROM VALUES {listed} AS fresh(id)"


def _rewrites(metadata: dict[str, Any], snapshot: int, *, of: int) -> bool:
    """Whether a snapshot is nothing but rewrites of another: made current after it, it changes no data."""
    known = {one["snapshot-id"]: one for one in metadata["snapshots"]}
    while snapshot != of:
        one = known.get(snapshot)
        if one is None or one["summary"]["operation"] != "replace":
            return False
        snapshot = one.get("parent-snapshot-id", -1)
    return of != -1


def _times(metadata: Mapping[str, Any]) -> set[int]:
    entries = [*metadata["snapshots"], *metadata["snapshot-log"], *metadata["metadata-log"]]
    return {metadata["last-updated-ms"], *(entry["timestamp-ms"] for entry in entries)}


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
