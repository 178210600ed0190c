"""Random histories on real Iceberg: every answer is Spark's own time travel and the operations' own log, or unknown.

Each table lives through random operations (``living_tables``), is observed by the project's own collector for many
hours, lives on, loses some of its history, and is observed again: by the hour, and as a backfill. All of it by a
user who may read metadata files by path, and by one who may not.
"""

import os
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

import pytest

from iomete_mc_assets import clock
from iomete_mc_assets.collectors.catalog_snapshot import CatalogConfig
from iomete_mc_assets.collectors.observations import (
    CatalogInput,
    EarlierInput,
    ObservationConfig,
    collect,
    own_survey,
)
from iomete_mc_assets.manifests.model import Draft
from iomete_mc_assets.records import Observation, TableId
from iomete_mc_assets.sandbox import seed
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.warehouse import statements
from iomete_mc_assets.warehouse.connection import Lakehouse
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.living_tables import (
    DATABASE,
    Deed,
    Home,
    LivingTable,
    name,
    planned_instants,
    swap,
)

SEED = os.environ.get("IOMETE_MC_TEST_SEED") or secrets.token_hex(4)
"""Of this session's histories; a failure prints it, and the variable repeats them."""
HOURS = 30
DEEDS = 10
DEEDS_LATER = 2
CONNECTIONS = 2
CATALOGS = CatalogConfig(catalogs=("spark_catalog", "lake"))
SNAPSHOT_COLUMNS = (
    "committed_at, snapshot_id, parent_id, operation, manifest_list, to_json(summary) AS summary"
)
MINUTES_LATER = timedelta(minutes=5)

Observed = Mapping[tuple[HourWindow, TableId], Observation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lives:
    """Tables that live, and where."""

    running: RunningLakehouse
    tables: list[LivingTable]
    hours: Sequence[HourWindow]


@pytest.fixture
def databases(sandbox: RunningLakehouse) -> Iterator[RunningLakehouse]:
    """Room for the tables in both catalogs; nothing is left of it."""
    with Lakehouse.connect(sandbox.config) as session:
        session.ask(f"CREATE DATABASE {DATABASE}")
        session.ask(f"CREATE NAMESPACE lake.{DATABASE}")
        yield sandbox
        session.ask(f"DROP DATABASE spark_catalog.{DATABASE} CASCADE")
        for row in session.ask(f"SHOW TABLES IN lake.{DATABASE}"):
            session.ask(f"DROP TABLE lake.{DATABASE}.{row['tableName']}")
        session.ask(f"DROP NAMESPACE lake.{DATABASE}")
    shutil.rmtree(sandbox.state / "warehouse" / f"{DATABASE}.db", ignore_errors=True)


def test_every_hour_of_random_histories_is_the_truth_or_honestly_unknown(
    databases: RunningLakehouse,
) -> None:
    assert compared(databases, pairs=200) >= 200


@pytest.mark.nightly
def test_every_hour_of_very_many_random_histories_is_the_truth_or_honestly_unknown(
    databases: RunningLakehouse,
) -> None:
    assert compared(databases, pairs=2_000) >= 2_000


def test_a_replacement_by_an_empty_table_and_an_altered_property_differ_in_their_file_alone(
    databases: RunningLakehouse,
) -> None:
    properties = "TBLPROPERTIES ('format-version'='2', 'note'='new')"
    deeds = {
        "emptied": f"CREATE OR REPLACE TABLE {{}} (id BIGINT) USING iceberg {properties}",
        "altered": f"ALTER TABLE {{}} SET {properties}",
    }
    shown: dict[str, object] = {}
    had_data: dict[str, list[object]] = {}
    with Lakehouse.connect(databases.config) as session:
        for called, deed in deeds.items():
            table = f"lake.{DATABASE}.{called}"
            session.ask(f"CREATE TABLE {table} (id BIGINT) USING iceberg")
            session.ask(f"INSERT INTO {table} VALUES (1), (2)")
            session.ask(deed.format(table))
            session.ask(
                f"CREATE OR REPLACE TABLE {table} USING iceberg {properties} AS SELECT 3L AS id"
            )
            shown[called] = anonymous(
                {
                    listed: session.ask(f"SELECT {columns} FROM {table}.{listed}")
                    for listed, columns in (
                        ("history", "*"),
                        ("snapshots", SNAPSHOT_COLUMNS),
                        ("metadata_log_entries", "*"),
                        ("refs", "*"),
                    )
                }
            )
            log = session.ask(f"SELECT file FROM {table}.metadata_log_entries")
            read = session.ask(statements.current_snapshots([str(row["file"]) for row in log]))
            had_data[called] = [row["snapshot_id"] != "-1" for row in read]
    assert shown["emptied"] == shown["altered"]
    assert had_data == {
        "emptied": [False, True, False, True],
        "altered": [False, True, True, True],
    }


@pytest.mark.parametrize("home", ["spark_catalog", "lake"])
def test_a_write_taken_back_between_an_hours_end_and_its_listing_is_told_by_the_next_hour(
    databases: RunningLakehouse, home: Home
) -> None:
    """Both listings show what the rollback left: the same snapshot as before the write, and one metadata file."""
    lives = one_table(databases, home)
    [table], [first, then] = lives.tables, lives.hours
    instants = [first.end + timedelta(minutes=minutes) for minutes in (-40, -30, 2, 3)]
    with connected(lives) as session:
        table.write(session, instants[:3])
        table.take_back(session, instants[3])
        table.publish(session)
    said = observed(lives, listed(lives, at=first), [first])
    later = observed(lives, listed(lives, at=then), [then], earlier=remembered(said, first))
    assert judge(lives, {**said, **later}, lives.hours) == 2
    changes = [seen.last_data_change for seen in (*said.values(), *later.values())]
    assert changes == [instants[1], instants[3]]


@pytest.mark.parametrize("home", ["spark_catalog", "lake"])
def test_a_commit_stamped_before_the_row_that_an_hour_saw_is_told_by_the_next_hour(
    databases: RunningLakehouse, home: Home
) -> None:
    """By a writer whose clock is slow; the hour before was observed while it was not there yet."""
    lives = one_table(databases, home)
    [table], [first, then] = lives.tables, lives.hours
    seconds = (-2400, -1800, -10, -20)
    with connected(lives) as session:
        table.write(session, [first.end + timedelta(seconds=one) for one in seconds])
        table.publish(session)
        rows = session.ask(f"SELECT * FROM {name(table.table)}.history")
    [newest] = observed(lives, listed(lives, at=first), [first]).values()
    seen_id, seen_at = rows[1]["snapshot_id"], first.end - timedelta(seconds=10)
    assert isinstance(seen_id, int)
    before = replace(
        newest, snapshot_id=seen_id, surveyed_snapshot_id=seen_id, state_at=seen_at, metadata_location="older"
    )  # fmt: skip
    earlier = EarlierInput(manifest_id="earlier", window=first, observations=(before,))
    said = observed(lives, listed(lives, at=then), [then], earlier=earlier)
    assert judge(lives, said, [then]) == 1
    assert said[then, table.table].row_count == table.deeds[-1].rows


def one_table(running: RunningLakehouse, home: Home) -> Lives:
    """That has not been created yet, and two closed hours for its life."""
    newest = HourWindow.newest_closed(clock.now())
    table = LivingTable(
        0,
        home=home,
        state=running.state,
        random=Random(0),  # noqa: S311 - no secret
        is_plain=True,
    )
    return Lives(running=running, tables=[table], hours=[newest.previous, newest])


def anonymous(tables: Mapping[str, Sequence[Mapping[str, object]]]) -> object:
    """Rows with each instant, id and path by the number of its first occurrence."""
    known: dict[object, int] = {}

    def shown(value: object) -> object:
        own = isinstance(value, datetime) or (isinstance(value, int) and value > 1 << 32)
        own = own or (isinstance(value, str) and value.endswith((".json", ".avro")))
        return f"#{known.setdefault(value, len(known))}" if own else value

    return {
        name: [{column: shown(value) for column, value in row.items()} for row in rows]
        for name, rows in tables.items()
    }


def compared(running: RunningLakehouse, *, pairs: int) -> int:
    """Live, observe, live on, observe again; how many (table, instant) pairs Spark was asked about."""
    print(f"IOMETE_MC_TEST_SEED={SEED}")  # noqa: T201 - pytest shows it with a failure
    lives, half = lived(running, pairs=pairs), HOURS // 2
    listing = listed(lives)
    whole = observed(lives, listing, lives.hours)
    asked = judge(lives, whole, lives.hours)
    judge_by_the_log_alone(
        lives, observed(lives, listing, lives.hours, paths=False), lives.hours, paths=False
    )
    earlier, since = remembered(whole, lives.hours[half - 1]), lives.hours[half - 1].end
    again = observed(lives, listing, lives.hours[half:], earlier=earlier, paths=False)
    judge_by_the_log_alone(lives, again, lives.hours[half:], since=since, paths=False)

    in_parallel(lives, lives.tables, lambda table, session: table.live_on(session, DEEDS_LATER))
    swapped(lives)
    later = [lives.hours[-1].next]
    while later[-1].end <= clock.now():
        later.append(later[-1].next)
    listing = listed(lives, at=later[-1])
    hourly = observed(lives, listing, later, earlier=remembered(whole, lives.hours[-1]))
    asked += judge(lives, hourly, later, since=lives.hours[-1].end)
    for paths in (True, False):
        said = observed(lives, listing, lives.hours, paths=paths)
        judge_by_the_log_alone(lives, said, lives.hours, paths=paths)
    return asked


def lived(running: RunningLakehouse, *, pairs: int) -> Lives:
    """Tables with a planned past in both catalogs, as many as have something to say of so many hours."""
    hours = [HourWindow.newest_closed(clock.now())]
    while len(hours) < HOURS:
        hours.insert(0, hours[0].previous)
    lives = Lives(running=running, tables=[], hours=hours)

    def live(table: LivingTable, session: Lakehouse) -> None:
        table.live(session, planned_instants(hours, DEEDS, table.random))
        table.publish(session)

    while sum(table.told(window.end) for table in lives.tables for window in hours) < pairs:
        first = len(lives.tables)
        made = [new_table(number, running) for number in range(first, first + CONNECTIONS)]
        in_parallel(lives, made, live)
        lives.tables.extend(made)
    return lives


def new_table(number: int, running: RunningLakehouse) -> LivingTable:
    """Two of three in the session catalog, and every second one a plain life."""
    random = Random(f"{SEED}:{number}")  # noqa: S311 - no secret
    home = "lake" if number % 3 == 0 else "spark_catalog"
    plain = number % 2 == 0
    return LivingTable(number, home=home, state=running.state, random=random, is_plain=plain)


def in_parallel(
    lives: Lives, tables: Sequence[LivingTable], work: Callable[[LivingTable, Lakehouse], None]
) -> None:
    """Each table's work by one of few sessions: there are no locks, so a table has one writer."""

    def share(number: int) -> None:
        with connected(lives) as session:
            for table in tables[number::CONNECTIONS]:
                work(table, session)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for done in [pool.submit(share, number) for number in range(CONNECTIONS)]:
            done.result()


def swapped(lives: Lives) -> None:
    """Some tables that a metastore names change their names with each other."""
    named = [table for table in lives.tables if table.table.catalog == "spark_catalog"]
    with connected(lives) as session:
        for one, other in zip(named[::4], named[1::4], strict=False):
            swap(session, one, other)


@contextmanager
def connected(lives: Lives) -> Generator[Lakehouse]:
    """A session of its own, which compiles no code for a few rows."""
    with Lakehouse.connect(lives.running.config) as session:
        seed._open_workshop(session, lives.running.state)
        yield session


def listed(lives: Lives, *, at: HourWindow | None = None) -> CatalogInput:
    """Our tables as the project's own survey lists them, now or as if it were after an hour."""
    now = clock.now() if at is None else at.end + MINUTES_LATER
    with connected(lives) as session:
        whole = own_survey(session, config=CATALOGS, now=now)
    ours = tuple(entry for entry in whole.entries if entry.table.namespace == (DATABASE,))
    assert len(ours) == len(lives.tables)
    return replace(whole, entries=ours)


def observed(
    lives: Lives,
    listing: CatalogInput,
    windows: Sequence[HourWindow],
    *,
    earlier: EarlierInput | None = None,
    paths: bool = True,
) -> Observed:
    """What the project's own collector says, without what it only carries; ``paths``: whether Spark reads any."""
    seen: dict[tuple[HourWindow, TableId], Observation] = {}
    with connected(lives) as session:
        session.ask(f"SET spark.sql.runSQLOnFiles={str(paths).lower()}")
        for window, draft in collect(
            windows,
            session,
            config=ObservationConfig(),
            catalog_for=lambda _: listing,
            earlier=earlier,
            own=lambda _: None,
            survey=lambda: listing,
            now=max(windows[-1].end, clock.now()),
        ):
            assert isinstance(draft, Draft), draft
            for record in draft.records:
                if isinstance(record, Observation) and record.carried_from is None:
                    seen[window, record.table] = record
    return seen


def remembered(said: Observed, window: HourWindow) -> EarlierInput:
    """What an hour's manifest would hand on."""
    records = tuple(seen for (hour, _), seen in said.items() if hour == window)
    return EarlierInput(manifest_id="earlier", window=window, observations=records)


def judge(
    lives: Lives,
    said: Observed,
    windows: Sequence[HourWindow],
    *,
    since: datetime | None = None,
) -> int:
    """Compare every table and hour; how many of them Spark was asked about."""
    judge_by_the_log_alone(lives, said, windows, since=since)
    asked = 0
    with connected(lives) as session:
        for table in lives.tables:
            mine = {window: said.get((window, table.table)) for window in windows}
            answers = time_travel(session, table, {w: s for w, s in mine.items() if s})
            for window, rows in answers.items():
                seen = mine[window]
                assert seen is not None
                told = (SEED, window.key, rows, seen, table.life())
                assert seen.row_count in {None, rows}, told
            asked += len(answers)
    return asked


def judge_by_the_log_alone(
    lives: Lives,
    said: Observed,
    windows: Sequence[HourWindow],
    *,
    since: datetime | None = None,
    paths: bool = True,
) -> None:
    """Compare every table and hour with what was done to it; ``since`` is the earlier observation's instant."""
    answers = Counter[str]()
    for table in lives.tables:
        for window in windows:
            seen = said.get((window, table.table))
            judge_by_the_log(table, window, seen, since=since, paths=paths)
            if table.before(window.end) is not None:
                why = table.why_unknown(window.end, paths=paths)
                life = "plain" if table.is_plain else "any"
                answers[f"{life} life, {'told' if seen else f'unknown: {why}'}"] += 1
    by = "with paths" if paths else "without paths"
    print(len(windows), "hours", by, dict(sorted(answers.items())))  # noqa: T201


def judge_by_the_log(
    table: LivingTable,
    window: HourWindow,
    seen: Observation | None,
    *,
    since: datetime | None,
    paths: bool,
) -> None:
    told = (SEED, window.key, seen, table.life())
    deed = table.before(window.end)
    if seen is None:
        assert deed is None or table.why_unknown(window.end, paths=paths) is not None, told
        return
    assert deed is not None, told
    if seen.row_count is None:
        assert seen.position_deletes, told
    else:
        assert seen.row_count == deed.rows, told
    if seen.last_data_change is None and table.change_may_be_unknown(window.end, paths=paths):
        return
    unseen = table.expired or table.shows_no_metadata_file
    if unseen and back_again(table, deed, seen.last_data_change, since):
        return
    assert seen.last_data_change == table.last_change(window.end), told


def back_again(
    table: LivingTable, deed: Deed, said: datetime | None, since: datetime | None
) -> bool:
    """What is not seen: commits that led away from the observed data and back to it.

    Nobody can see them once they are expired, and a listing that shows no metadata file shows none of them.
    """
    before = None if since is None else table.before(since)
    if since is None or before is None:
        return False
    return before.content == deed.content and said == table.last_change(since)


def time_travel(
    session: Lakehouse, table: LivingTable, seen: Mapping[HourWindow, Observation]
) -> dict[HourWindow, object]:
    """Spark's own count just before each hour's end; an hour before the first snapshot has none."""
    written = [window for window, one in seen.items() if one.snapshot_id is not None]
    if not written:
        return {}
    counted = session.ask(
        "\nUNION ALL\n".join(
            f"SELECT {number} AS n, count(*) AS c FROM {name(table.table)} TIMESTAMP AS OF "
            f"timestamp_millis({round(window.end.timestamp() * 1000) - 1})"
            for number, window in enumerate(written)
        )
    )
    return {written[int(str(row["n"]))]: row["c"] for row in counted}
