import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from iomete_mc_assets.errors import IometeMcError, SandboxError
from iomete_mc_assets.records import TableId
from iomete_mc_assets.sandbox import seed, seed_log
from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.sandbox.seed_log import SeedLog
from iomete_mc_assets.sandbox.shop import History, ShopTable
from iomete_mc_assets.sandbox.shop_tables import build_shop
from iomete_mc_assets.sandbox.workload import build_workload
from iomete_mc_assets.windows import HOUR, HourWindow

START = datetime(2026, 11, 20, tzinfo=UTC)
START_MS = round(START.timestamp() * 1000)
HOUR_MS = 3_600_000
TABLE = TableId("spark_catalog", ("raw",), "t")
WINDOW = HourWindow(START)


def table(*, expired: bool = False) -> ShopTable:
    history = History(TABLE, columns=[("id", "BIGINT", "id")], load="", user="u", created=START)
    history.append(START + 1 * HOUR, 10)
    history.append(START + 2 * HOUR, 10)
    history.branch(START + 3 * HOUR)
    history.write_to_branch(START + 4 * HOUR, 5)
    history.roll_back(START + 5 * HOUR, to=0)
    if expired:
        history.expire(START + 6 * HOUR)
    return history.done()


def metadata(*, snapshots: int, log: int, files: int) -> dict[str, Any]:
    return {
        "snapshots": [{"snapshot-id": n, "timestamp-ms": 1} for n in range(snapshots)],
        "snapshot-log": [{"snapshot-id": n, "timestamp-ms": 1} for n in range(log)],
        "metadata-log": [{"metadata-file": str(n), "timestamp-ms": 1} for n in range(files)],
        "last-updated-ms": 1,
    }


def hours(entries: list[dict[str, Any]]) -> list[int]:
    return [(entry["timestamp-ms"] - START_MS) // HOUR_MS for entry in entries]


def test_each_time_in_a_tables_metadata_becomes_the_planned_one() -> None:
    aged = seed.backdated(metadata(snapshots=3, log=3, files=5), table())
    assert hours(aged["snapshots"]) == [1, 2, 4]
    assert hours(aged["snapshot-log"]) == [1, 2, 5]
    assert hours(aged["metadata-log"]) == [0, 1, 2, 3, 4]
    assert aged["last-updated-ms"] == START_MS + 5 * HOUR_MS


def test_after_an_expiry_the_newest_entries_keep_their_times() -> None:
    aged = seed.backdated(metadata(snapshots=1, log=1, files=6), table(expired=True))
    assert hours(aged["snapshots"]) == [4]
    assert hours(aged["snapshot-log"]) == [5]


@pytest.mark.parametrize(("snapshots", "log", "files"), [(4, 3, 5), (3, 2, 5), (3, 3, 4)])
def test_a_history_that_was_not_planned_is_refused(snapshots: int, log: int, files: int) -> None:
    with pytest.raises(SandboxError, match="behaves differently"):
        seed.backdated(metadata(snapshots=snapshots, log=log, files=files), table())


def test_the_log_reads_back_as_it_was_written(tmp_path: Path) -> None:
    shop = build_shop(WINDOW, hours=3)
    log = seed_log.log_of(WINDOW, 3, shop.tables, build_workload(shop))
    seed_log.write(log, tmp_path)
    assert seed_log.read(tmp_path) == log


def test_a_shop_is_current_only_while_its_hour_is_the_newest_closed_one(tmp_path: Path) -> None:
    assert not seed.seed_is_current(tmp_path, START)
    seed_log.write(seed_log.log_of(WINDOW, 24, [], []), tmp_path)
    assert seed.seed_is_current(tmp_path, WINDOW.end)
    assert seed.seed_is_current(tmp_path, WINDOW.end + HOUR * 0.99)
    assert not seed.seed_is_current(tmp_path, WINDOW.end + HOUR)


@pytest.mark.parametrize("text", ["{", json.dumps({"window (format 9)": "x"}), "{}\n{"])
def test_a_damaged_log_or_one_of_another_version_is_refused_by_name(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "seed.jsonl").write_text(text)
    with pytest.raises(SandboxError, match=r"seed\.jsonl cannot be read"):
        seed_log.read(tmp_path)


def log() -> SeedLog:
    return seed_log.log_of(WINDOW, 1, [table(expired=True)], [])


def test_rows_and_last_change_are_those_just_before_an_instant() -> None:
    assert log().rows_as_of(TABLE, START) is None
    assert log().rows_as_of(TABLE, START + 1 * HOUR) == 0
    assert log().rows_as_of(TABLE, START + 2 * HOUR) == 10
    assert log().rows_as_of(TABLE, START + 5 * HOUR) == 20
    assert log().rows_as_of(TABLE, START + 9 * HOUR) == 10
    assert log().last_change_as_of(TABLE, START + 1 * HOUR) is None
    assert log().last_change_as_of(TABLE, START + 5 * HOUR) == START + 2 * HOUR
    assert log().last_change_as_of(TABLE, START + 9 * HOUR) == START + 5 * HOUR
    assert log().history_begins(TABLE) == START + 5 * HOUR


def test_a_dropped_table_has_neither_rows_nor_a_last_change() -> None:
    history = History(TABLE, columns=[("id", "BIGINT", "id")], load="", user="u", created=START)
    history.append(START + HOUR, 3)
    history.drop(START + 2 * HOUR)
    dropped = seed_log.log_of(WINDOW, 1, [history.done()], [])
    assert dropped.rows_as_of(TABLE, START + 2 * HOUR) == 3
    assert dropped.rows_as_of(TABLE, START + 3 * HOUR) is None
    assert dropped.last_change_as_of(TABLE, START + 3 * HOUR) is None


def nobody(state: Path) -> RunningLakehouse:
    """A lakehouse at whose address nobody listens."""
    return RunningLakehouse(
        url="http://127.0.0.1:1/cliservice",
        user="sandbox",
        token="secret",
        token_file=state / "token",
        state=state,
        events=state / "events",
        pid=1,
        reused=True,
    )


def test_a_lakehouse_that_holds_tables_already_is_not_seeded(tmp_path: Path) -> None:
    (tmp_path / "warehouse" / "raw.db").mkdir(parents=True)
    with pytest.raises(SandboxError, match=r"already holds tables.* --fresh"):
        seed.seed(nobody(tmp_path), now=START)
    assert seed_log.read(tmp_path) is None


def test_a_seed_that_was_cut_off_is_told_from_tables_of_somebody_else(tmp_path: Path) -> None:
    """Only what a seed of ours left may be removed without being asked."""
    (tmp_path / "warehouse" / "raw.db").mkdir(parents=True)
    assert not seed.cut_off(tmp_path)
    (tmp_path / "seed.begun").touch()
    assert seed.cut_off(tmp_path)
    seed_log.write(seed_log.log_of(WINDOW, 24, [], []), tmp_path)
    assert not seed.cut_off(tmp_path)


def test_a_seed_is_on_record_before_its_first_statement(tmp_path: Path) -> None:
    with pytest.raises(IometeMcError):
        seed.seed(nobody(tmp_path), now=START)
    assert seed.cut_off(tmp_path)
    seed.remove_data(tmp_path)
    assert not seed.cut_off(tmp_path)


def test_removing_the_data_keeps_token_and_address(tmp_path: Path) -> None:
    for name in ("warehouse", "metastore", "lake"):
        (tmp_path / name).mkdir()
    for name in ("token", "connection.json", "seed.jsonl"):
        (tmp_path / name).touch()
    seed.remove_data(tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["connection.json", "token"]
