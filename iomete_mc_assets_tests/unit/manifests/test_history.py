"""What checks compare with: learned from manifests as hours come, bounded, and never worse by an older hour."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from iomete_mc_assets.manifests.history import (
    KEPT_DAYS,
    MAX_TABLES,
    History,
    TableHistory,
    read_history,
    remember,
)
from iomete_mc_assets.manifests.model import Collector, Draft, Header, Source, Verdict
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.records import Observation, Omission, TableId
from iomete_mc_assets.windows import HourWindow

HOUR = HourWindow.from_key("2026-11-01-09:00")
TABLE = TableId("lake", ("shop",), "orders")


def at(hours: int) -> HourWindow:
    return HourWindow(HOUR.start + timedelta(hours=hours))


def seen(rows: int | None, changed_at: datetime | None, name: str = "orders") -> Observation:
    table = replace(TABLE, table=name)
    return Observation(table=table, row_count=rows, last_data_change=changed_at)


def the_table(history: History) -> TableHistory:
    [table] = history.tables
    return table


def test_a_day_keeps_extremes_changes_and_the_longest_gap() -> None:
    history = History()
    for hours, rows, changed in ((0, 10, 0), (1, 4, 1), (4, 30, 4), (5, 20, 5), (6, 20, 5)):
        instant = at(changed).start
        history = history.with_observations(at(hours), [seen(rows, instant)])
    [day] = the_table(history).days
    assert (day.least, day.most, day.changes) == (4, 30, 3)
    assert day.longest_gap_s == 3 * 3600
    assert (the_table(history).row_count, the_table(history).since) == (20, HOUR)


def test_days_without_a_change_take_no_room_and_old_ones_go() -> None:
    history = History()
    for day in range(40):
        changed = HOUR.start + timedelta(days=day - day % 2)
        history = history.with_observations(at(24 * day), [seen(day - day % 2, changed)])
    days = the_table(history).days
    assert len(days) == KEPT_DAYS
    assert [day.least for day in days] == list(range(12, 40, 2))


def test_what_was_carried_or_is_unknown_teaches_nothing() -> None:
    known = History().with_observations(HOUR, [seen(10, HOUR.start)])
    carried = replace(seen(1, at(3).start), carried_from="m0")
    assert known.with_observations(at(1), [carried]).tables == known.tables
    assert known.with_observations(at(1), [seen(None, None)]).tables == known.tables


def test_a_table_that_is_gone_is_forgotten_and_names_fold_case() -> None:
    known = History().with_observations(HOUR, [seen(10, HOUR.start), seen(1, None, "other")])
    after = known.with_observations(at(30), [seen(12, at(30).start, "ORDERS")])
    assert the_table(after).since == HOUR
    assert len(the_table(after).days) == 2


def test_so_many_tables_are_kept_and_no_more() -> None:
    tables = [seen(1, None, f"t{number:05}") for number in range(MAX_TABLES + 5)]
    history = History().with_observations(HOUR, reversed(tables))
    assert [one.table for one in history.tables] == [one.table for one in tables[:MAX_TABLES]]


def test_hours_of_fifteen_days_are_kept_and_a_newer_reading_counts() -> None:
    history = History()
    for hours in range(24 * 20):
        history = history.with_hour(at(hours), hours)
    history = history.with_hour(at(24 * 20 - 3), 7)
    assert len(history.hours) == 15 * 24 + 1
    assert history.hours[-3].records == 7
    assert [one.hour for one in history.hours] == sorted(one.hour for one in history.hours)


def written(store: ManifestStore, hours: int, rows: int, verdict: Verdict) -> Header:
    records = [seen(rows, at(hours).start)] if verdict.state != "unknown" else []
    draft = Draft(
        flow="observations",
        window=at(hours),
        collected_at=at(hours).end,
        collector=Collector(name="observations", version="1"),
        records=records,
        verdict=lambda: verdict,
    )
    return store.write(draft, manifest_id=f"m{hours}").header


def test_hours_that_came_to_rest_are_remembered_and_older_ones_change_no_table(
    tmp_path: Path,
) -> None:
    source = Source(host="lake.example", catalogs=("lake",))
    store = ManifestStore.open(str(tmp_path), source=source)
    omission = Omission(scope="x", question="columns", kind="unreadable", reason="gone")
    complete = Verdict(state="complete")
    verdicts = {
        4: complete,
        3: complete,
        5: Verdict(state="partial", reason="some", omissions=(omission,)),
        6: Verdict(state="partial", reason="too early"),
        7: Verdict(state="unknown", reason="expired"),
    }
    headers = [written(store, hours, hours, verdict) for hours, verdict in verdicts.items()]
    remember(store.storage, "observations", headers[:1], store.records)
    remember(store.storage, "observations", headers[1:], store.records)
    history = read_history(store.storage, "observations")
    assert [one.hour for one in history.hours] == [at(3), at(4), at(5)]
    assert the_table(history).days[0].least == 4
    assert (history.through, the_table(history).row_count) == (at(5), 5)
    assert the_table(history).since == at(4)
    assert read_history(store.storage, "query_logs") == History()
