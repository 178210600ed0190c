"""Spark event logs, recorded from the sandbox's Spark, in every layout, read hour by hour in any order."""

import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iomete_mc_assets.collectors.event_logs import EventLogs, logs
from iomete_mc_assets.collectors.query_judging import QueryLogRules
from iomete_mc_assets.collectors.query_logs import collect
from iomete_mc_assets.collectors.session_places import Place, switched
from iomete_mc_assets.collectors.spark_events import Lines, error_text
from iomete_mc_assets.errors import HourFailed, IometeMcError, LakehouseUnavailable
from iomete_mc_assets.manifests.model import Draft, JsonValue, Verdict
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.records import PlannedEdges, QueryRecord
from iomete_mc_assets.settings import QueryText
from iomete_mc_assets.warehouse.files import LogFile
from iomete_mc_assets.warehouse.log_folder import LogFolder
from iomete_mc_assets.windows import HOUR, HourWindow
from iomete_mc_assets_tests.event_log_recording import ENDLESS
from iomete_mc_assets_tests.event_logs import (
    PACKERS,
    instant_of,
    moved,
    recorded,
    write_plain,
    write_rolling,
    zstd,
)

FIRST = HourWindow.from_key("2026-11-21-05:00")
LATER = datetime(2026, 11, 22, tzinfo=UTC)
RULES = QueryLogRules()
BEGUN_MS = min(instant for line in recorded() if (instant := instant_of(line)))
STRETCH = 600
"""Half a minute becomes four and a half hours."""
PLAIN = moved(recorded(), lambda ms: FIRST.start_ms + (ms - BEGUN_MS))
"""All in one hour."""
LONG = moved(recorded(), lambda ms: FIRST.start_ms + (ms - BEGUN_MS) * STRETCH)
LONG_ENDS = max(instant for line in LONG if (instant := instant_of(line)))
HOURS = [
    HourWindow(FIRST.start + HOUR * n) for n in range((LONG_ENDS - FIRST.start_ms) // 3_600_000 + 1)
]

State = Mapping[str, JsonValue]


@dataclass(slots=True)
class Reader:
    """Hours of one folder, each begun with what the newest hour before it left in its header."""

    folder: str
    states: dict[HourWindow, State] = field(default_factory=dict[HourWindow, State])

    def read(
        self, window: HourWindow, *, rules: QueryLogRules = RULES
    ) -> tuple[list[QueryRecord], Verdict]:
        source = EventLogs(LogFolder(self.folder), earlier=self.earlier, catalogs=("lake",))
        ((_, draft),) = collect([window], source, rules=rules, now=LATER)
        assert isinstance(draft, Draft), draft
        records = [record for record in draft.records if isinstance(record, QueryRecord)]
        verdict = draft.verdict()
        # through JSON, as in a header
        self.states[window] = json.loads(json.dumps(dict(verdict.collector_state)))
        return records, verdict

    def earlier(self, window: HourWindow) -> State | None:
        before = [hour for hour in self.states if hour < window]
        return self.states[max(before)] if before else None


def failure(folder: str) -> IometeMcError:
    source = EventLogs(LogFolder(folder), earlier=lambda _: None)
    ((_, error),) = collect([FIRST], source, rules=RULES, now=LATER)
    assert isinstance(error, IometeMcError)
    return error


def touch(folder: Path, at: datetime) -> None:
    """The files were last written then."""
    for file in folder.rglob("*"):
        if file.is_file():
            os.utime(file, (at.timestamp(), at.timestamp()))


def whole(lines: Sequence[bytes]) -> dict[HourWindow, list[QueryRecord]]:
    """What each hour holds, each read alone out of one finished file."""
    with TemporaryDirectory() as folder:
        write_plain(Path(folder), lines, running=False)
        return {window: Reader(folder).read(window)[0] for window in HOURS}


TRUTH = whole(LONG)
OPEN = next(
    window.previous
    for window, records in TRUTH.items()
    if any(one.started_at < window.start for one in records)
)
"""An hour at whose end a query was running."""


def test_every_statement_is_a_query_or_is_counted_by_kind(tmp_path: Path) -> None:
    write_plain(tmp_path, PLAIN, running=False)
    records, verdict = Reader(str(tmp_path)).read(FIRST)
    told = [
        (
            one.user,
            one.text.split("\n")[0][:36],
            one.status,
            one.error_code,
            one.catalog,
            one.database,
        )
        for one in records
    ]
    spark, lake = ("spark_catalog", "default"), ("lake", "crm")
    assert told == [
        ("ann", "CREATE DATABASE IF NOT EXISTS raw", "succeeded", None, *spark),
        ("ann", "CREATE TABLE raw.orders (id BIGINT, ", "succeeded", None, *spark),
        ("ann", "INSERT INTO raw.orders SELECT id, 1.", "succeeded", None, *spark),
        ("ann", "-- how many?", "succeeded", None, "spark_catalog", "raw"),
        (
            "bob",
            "SELECT nme FROM raw.orders",
            "failed",
            "UNRESOLVED_COLUMN.WITH_SUGGESTION",
            *spark,
        ),
        ("bob", "SELEC 1", "failed", "PARSE_SYNTAX_ERROR", *spark),
        ("bob", "CREATE NAMESPACE IF NOT EXISTS lake.", "succeeded", None, *spark),
        ("bob", "CREATE TABLE leads USING iceberg AS ", "succeeded", None, *lake),
        ("bob", "SELECT l.id, o.amount FROM leads l J", "succeeded", None, *lake),
        ("bob", "SELECT raise_error('on purpose')", "failed", "SparkException", *lake),
        ("ann", "MERGE INTO orders t USING (SELECT 3 ", "succeeded", None, "spark_catalog", "raw"),
        ("ann", "SELECT * FROM orders ORDER BY id LIM", "succeeded", None, "spark_catalog", "raw"),
        ("ann", ENDLESS[:36], "cancelled", None, "spark_catalog", "raw"),
        ("bob", ENDLESS[:36], "succeeded", None, *spark),  # so says Spark of what it stops with
    ]
    assert verdict.state == "complete"
    assert verdict.counts == {
        "rows read": 24,
        "queries": 14,
        "left out: USE": 7,
        "left out: SHOW": 1,
        "left out: own statement": 2,
        "succeeded": 10,
        "failed": 3,
        "cancelled": 1,
        "logs read": 1,
    }


def test_a_query_has_its_full_text_its_milliseconds_and_its_session(tmp_path: Path) -> None:
    write_plain(tmp_path, PLAIN, running=False)
    records, _ = Reader(str(tmp_path)).read(FIRST)
    counting = next(one for one in records if one.text.startswith("-- how"))
    assert counting.text == (
        "-- how many?\nSELECT count(*) AS n\nFROM orders WHERE note <> 'it''s' /* all */"
    )
    (start,) = (line for line in PLAIN if b"-- how many?" in line and b"OperationStart" in line)
    begun = json.loads(start)
    assert counting.query_id == begun["id"]
    assert counting.session_id == begun["sessionId"]
    assert counting.started_at == datetime.fromtimestamp(begun["startTime"] / 1000, UTC)
    assert counting.started_at < counting.ended_at
    assert {one.session_id for one in records if one.user == "ann"} == {counting.session_id}


def test_an_error_keeps_its_sentence_and_neither_plan_nor_stack(tmp_path: Path) -> None:
    write_plain(tmp_path, PLAIN, running=False)
    records, _ = Reader(str(tmp_path)).read(FIRST)
    texts = {one.text: one.error_text for one in records if one.status == "failed"}
    assert texts["SELECT nme FROM raw.orders"] == (
        "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column or function parameter with name `nme` cannot be resolved. "
        "Did you mean one of the following? [`id`, `note`, `amount`].; line 1 pos 7"
    )
    assert (texts["SELECT raise_error('on purpose')"] or "").endswith(
        "RuntimeException: on purpose"
    )
    assert error_text("a;\nb") == "a;\nb"


@pytest.mark.parametrize("packed", PACKERS)
@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("rolled", [0, 1, 5])
@pytest.mark.parametrize("compacted", [0, 3])
def test_every_layout_says_the_same(
    tmp_path: Path, packed: str, *, running: bool, rolled: int, compacted: int
) -> None:
    if rolled:
        step = len(LONG) // rolled + 1
        files = [LONG[at : at + step] for at in range(0, len(LONG), step)]
        write_rolling(
            tmp_path, files, packed=packed, running=running, compacted=min(compacted, rolled)
        )
    else:
        write_plain(tmp_path, LONG, packed=packed, running=running)
    reader = Reader(str(tmp_path))
    assert {window: reader.read(window)[0] for window in HOURS} == TRUTH


def test_the_hours_share_every_query_among_them() -> None:
    assert OPEN.next in HOURS
    ids = [one.query_id for records in TRUTH.values() for one in records]
    assert len(ids) == len(set(ids)) == 14
    assert all(window.holds(one.ended_at) for window, records in TRUTH.items() for one in records)


@st.composite
def growing(draw: st.DrawFn) -> tuple[str, list[int], int, int | None]:
    """Layout, where rolled files begin, how many are compacted at the last, and the cut of the last line."""
    packed = draw(st.sampled_from(list(PACKERS)))
    cuts = sorted(draw(st.sets(st.integers(1, len(LONG) - 1), max_size=4)))
    return packed, cuts, draw(st.integers(0, 3)), draw(st.none() | st.integers(1, 40))


def visible_at(window: HourWindow, beyond: int) -> int:
    """How many lines a log had when an hour was read: all up to its end, and some that came after."""
    instants = [(n, instant) for n, line in enumerate(LONG) if (instant := instant_of(line))]
    last = max(n for n, instant in instants if instant < window.end_ms)
    return min(len(LONG), last + 1 + beyond)


@given(growing(), st.lists(st.integers(0, 60), min_size=len(HOURS), max_size=len(HOURS)))
@example(("", [], 0, 7), [3] * len(HOURS))
@example(("", [], 0, 7), [0] * len(HOURS))
def test_ledger_7_a_growing_log_read_hour_by_hour_says_what_the_finished_one_says(
    layout: tuple[str, list[int], int, int | None], beyond: list[int]
) -> None:
    packed, cuts, compacted, cut = layout
    with TemporaryDirectory() as name:
        folder, reader = Path(name), Reader(name)
        for window, more in zip(HOURS, beyond, strict=True):
            lines = LONG[: visible_at(window, more)]
            if cut and len(lines) < len(LONG):
                lines = [*lines, LONG[len(lines)][:-cut]]
            running = len(lines) < len(LONG)
            if cuts:
                edges = [0, *(at for at in cuts if at < len(lines)), len(lines)]
                files = [lines[a:b] for a, b in itertools.pairwise(edges)]
                last = compacted if window == HOURS[-1] else 0
                write_rolling(
                    folder, files, packed=packed, running=running, compacted=min(last, len(files))
                )
            else:
                write_plain(folder, lines, packed=packed, running=running)
            records, verdict = reader.read(window)
            assert records == TRUTH[window]
            assert verdict.omissions == ()
            assert verdict.state == "complete"


@given(st.permutations(HOURS), st.booleans())
def test_hours_may_come_in_any_order_and_again(order: list[HourWindow], again: bool) -> None:
    with TemporaryDirectory() as name:
        write_plain(Path(name), LONG, running=True)
        reader = Reader(name)
        for window in [*order, *(order if again else ())]:
            assert reader.read(window)[0] == TRUTH[window]


def finish_of(lines: Sequence[bytes], text: bytes) -> int:
    """Which line says that a statement finished."""
    (start,) = (line for line in lines if b"OperationStart" in line[:110] and text in line)
    name = json.loads(start)["id"].encode()
    (at,) = (n for n, line in enumerate(lines) if b"OperationFinish" in line[:110] and name in line)
    return at


def with_an_end(early_ms: int) -> tuple[list[bytes], int]:
    """The log moved so that the CREATE TABLE ends that long before the end of ``FIRST``; and which line says so."""
    at = finish_of(recorded(), b"CREATE TABLE raw.orders")
    begun_ms = (instant_of(recorded()[at]) or 0) - 3_600_000
    return moved(recorded(), lambda ms: FIRST.start_ms + ms - begun_ms - early_ms), at


@pytest.mark.parametrize(("early_ms", "window"), [(0, FIRST.next), (1, FIRST)])
def test_an_hour_is_half_open_by_the_milliseconds_of_the_ends(
    tmp_path: Path, early_ms: int, window: HourWindow
) -> None:
    """Others end within the minute that is read beyond the hour."""
    lines, _ = with_an_end(early_ms)
    write_plain(tmp_path, lines, running=False)
    found = {
        hour: {one.ended_at: one for one in Reader(str(tmp_path)).read(hour)[0]}
        for hour in (FIRST, FIRST.next)
    }
    edge = FIRST.end - timedelta(milliseconds=early_ms)
    assert found[window][edge].text.startswith("CREATE TABLE raw.orders")
    assert all(hour.holds(at) for hour, ends in found.items() for at in ends)
    assert [len(ends) for ends in found.values()] == [2 - (early_ms == 0), 12 + (early_ms == 0)]


@pytest.mark.parametrize("chained", [True, False])
def test_an_end_that_stands_behind_an_event_of_the_next_hour_is_the_hours(
    tmp_path: Path, *, chained: bool
) -> None:
    """Threads log slightly out of order."""
    lines, at = with_an_end(1)
    (created, *_) = (line for line in lines if b"SessionCreated" in line[:110])
    other = moved([created], lambda _: FIRST.end_ms + 10)
    write_plain(tmp_path, [*lines[:at], *other, *lines[at:]], running=False)
    reader = Reader(str(tmp_path))
    first = reader.read(FIRST)[0]
    assert FIRST.end - timedelta(milliseconds=1) in {one.ended_at for one in first}
    if not chained:
        reader.states.clear()
    second = reader.read(FIRST.next)[0]
    ids = [one.query_id for one in (*first, *second)]
    assert len(ids) == len(set(ids)) == 14


def test_ledger_7_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    """All before the hour is overwritten, but for the beginnings and the plans of what was open."""
    data = b"".join(LONG)
    (tmp_path / "app-1.inprogress").write_bytes(data)
    reader = Reader(str(tmp_path))
    reader.read(OPEN)
    position = position_of(reader.states[OPEN])
    told = [at for one in position["operations"].values() for at in (one[1], *one[5:])]
    begun = {at: data.index(b"\n", at) + 1 for at in told}
    kept = {byte for at, end in begun.items() for byte in range(at - 1, end)}
    blanked = bytes(
        byte if n >= position["offset"] or n in kept else 32 for n, byte in enumerate(data)
    )
    assert blanked != data
    (tmp_path / "app-1.inprogress").write_bytes(blanked)
    assert reader.read(OPEN.next)[0] == TRUTH[OPEN.next]


def test_what_is_open_keeps_the_place_where_it_began(tmp_path: Path) -> None:
    """A client may move its session while a statement runs."""
    at = finish_of(recorded(), b"MERGE INTO orders")
    use = next(line for line in recorded() if b'"USE lake.crm"' in line)
    (start,) = (line for line in recorded() if b"OperationStart" in line and b"MERGE INTO" in line)
    begun_ms = (instant_of(recorded()[at]) or 0) - 3_600_000
    moves = [
        use.replace(json.loads(use)["sessionId"].encode(), json.loads(start)["sessionId"].encode()),
        recorded()[finish_of(recorded(), b'"USE lake.crm"')],
    ]
    moves = [line.replace(json.loads(use)["id"].encode(), b"moving") for line in moves]
    moves = moved(moves, lambda _: begun_ms + 3_600_000 - 1)
    lines = moved(
        [*recorded()[:at], *moves, *recorded()[at:]], lambda ms: FIRST.start_ms + ms - begun_ms
    )
    write_plain(tmp_path, lines, running=False)
    reader = Reader(str(tmp_path))
    reader.read(FIRST)
    places = {one.text[:13]: (one.catalog, one.database) for one in reader.read(FIRST.next)[0]}
    assert places["MERGE INTO or"] == ("spark_catalog", "raw")
    assert places["SELECT * FROM"] == ("lake", "crm")


def position_of(state: Any) -> dict[str, Any]:
    """Where the only log stood."""
    (position,) = state["event_logs"]["logs"].values()
    return position


def test_the_header_holds_names_and_numbers_and_no_statement(tmp_path: Path) -> None:
    write_plain(tmp_path, LONG, running=True)
    reader = Reader(str(tmp_path))
    for window in HOURS:
        reader.read(window, rules=QueryLogRules(query_text="masked"))
    said = json.dumps(list(reader.states.values()))
    assert any(position_of(state)["operations"] for state in reader.states.values())
    for word in ("SELECT", "INSERT", "MERGE", "größe", "sandbox"):
        assert word not in said.partition("logs")[2]


def test_a_compacted_log_is_read_whole_again(tmp_path: Path) -> None:
    half = len(LONG) // 2
    write_rolling(tmp_path, [LONG[:30], LONG[30:half]], running=True)
    reader = Reader(str(tmp_path))
    assert reader.read(HOURS[0])[0] == TRUTH[HOURS[0]]
    write_rolling(tmp_path, [LONG[:30], LONG[30:half], LONG[half:]], running=True, compacted=2)
    for window in HOURS[1:]:
        assert reader.read(window)[0] == TRUTH[window]


def test_a_log_that_was_replaced_by_another_is_read_whole_again(tmp_path: Path) -> None:
    write_plain(tmp_path, LONG, running=True)
    reader = Reader(str(tmp_path))
    reader.read(OPEN)
    assert position_of(reader.states[OPEN])["operations"]
    write_plain(
        tmp_path,
        [b'{"Event":"SparkListenerLogStart","Spark Version":"3.5.8"}\n', *LONG],
        running=True,
    )
    assert reader.read(OPEN.next)[0] == TRUTH[OPEN.next]


def test_another_folder_is_read_from_its_beginning(tmp_path: Path) -> None:
    begins = visible_at(HOURS[1], 0)
    write_plain(tmp_path / "a", LONG, running=True)
    write_plain(tmp_path / "b", LONG[begins:], running=True)
    reader = Reader(str(tmp_path / "a"))
    reader.read(HOURS[1])
    reader.folder = str(tmp_path / "b")
    found = reader.read(HOURS[2])[0]
    assert len(found) > 5
    assert found == Reader(reader.folder).read(HOURS[2])[0]


@given(st.lists(st.integers(1, 400), min_size=1), st.integers(0, 30))
def test_lines_are_found_however_a_file_is_cut_into_blocks(sizes: list[int], lost: int) -> None:
    wanted = [line for line in recorded()[:40] if len(line) < 2_000]
    data = b"".join(wanted)[: -lost or None]
    blocks: list[bytes] = []
    for size in itertools.cycle(sizes):
        if not data[sum(map(len, blocks)) :]:
            break
        at = sum(map(len, blocks))
        blocks.append(data[at : at + size])
    lines = Lines(blocks, end=7)
    found = list(lines)
    assert lines.end == 7 + data.rfind(b"\n") + 1
    assert [line.text for line in found] == [
        line.rstrip(b"\n")
        for line in wanted[: data.count(b"\n")]
        if b"ThriftServer" in line[:90] or b"ListenerApplication" in line[:40]
    ]
    assert all(data[line.at - 7 :].startswith(line.text) for line in found)


def test_a_log_that_lost_its_suffix_after_it_was_listed_is_read(tmp_path: Path) -> None:
    file = write_plain(tmp_path, PLAIN, running=True)
    source = EventLogs(LogFolder(str(tmp_path)), earlier=lambda _: None)
    hour = source.hour(FIRST)
    file.rename(tmp_path / "app-1")
    assert len(list(hour.rows)) == 24


def test_a_file_that_goes_away_while_it_is_read_fails_the_hour(tmp_path: Path) -> None:
    write_rolling(tmp_path, [PLAIN[:50], PLAIN[50:]], running=True)
    hour = EventLogs(LogFolder(str(tmp_path)), earlier=lambda _: None).hour(FIRST)
    (tmp_path / "eventlog_v2_app-1" / "events_2_app-1").unlink()
    with pytest.raises(HourFailed, match="went away while it was read"):
        list(hour.rows)


def test_both_servers_of_a_folder_are_read_and_other_files_are_not(tmp_path: Path) -> None:
    write_plain(tmp_path, PLAIN, running=False)
    other = [line.replace(b'"id":"', b'"id":"other-') for line in PLAIN]
    write_rolling(tmp_path, [other], name="app-2", packed=".zstd", running=True)
    (tmp_path / "notes.txt").write_bytes(b"no log\n" + b"".join(PLAIN))
    (tmp_path / ".hidden.crc").write_text("x")
    (tmp_path / "somebody").mkdir()
    (tmp_path / "somebody" / "else").write_bytes(b"".join(PLAIN))
    records, verdict = Reader(str(tmp_path)).read(FIRST)
    assert len(records) == 28
    assert (verdict.counts["logs read"], verdict.counts["files that are no event log"]) == (3, 1)


def test_a_log_that_nobody_wrote_to_since_is_not_opened(tmp_path: Path) -> None:
    write_plain(tmp_path, PLAIN, running=False)
    write_plain(tmp_path, [b"rubbish"], name="app-2", running=False)
    touch(tmp_path, FIRST.end)
    records, verdict = Reader(str(tmp_path)).read(FIRST.next)
    assert records == []
    assert "files that are no event log" in verdict.counts
    records, verdict = Reader(str(tmp_path)).read(FIRST.next.next)
    assert records == []
    assert "logs read" not in verdict.counts


def test_a_damaged_log_is_an_omission_and_the_others_are_read(tmp_path: Path) -> None:
    data = bytearray(zstd(b"".join(PLAIN)))
    half = data.index(b"\x28\xb5\x2f\xfd", len(data) // 2)
    data[half + 6 : half + 30] = bytes(24)
    (tmp_path / "app-1.zstd").write_bytes(data)
    write_plain(
        tmp_path,
        [line.replace(b'"id":"', b'"id":"other-') for line in PLAIN],
        name="app-2",
        running=False,
    )
    records, verdict = Reader(str(tmp_path)).read(FIRST)
    assert len(records) >= 14
    (omission,) = verdict.omissions
    assert omission.kind == "unreadable"
    assert "app-1.zstd" in omission.reason
    assert "cannot be unpacked to its end" in omission.reason


def test_another_codec_is_named_with_the_one_to_use(tmp_path: Path) -> None:
    (tmp_path / "app-1.lz4").write_bytes(b"LZ4Block" + bytes(100))
    _, verdict = Reader(str(tmp_path)).read(FIRST)
    assert "packed with lz4, which is not read here" in verdict.omissions[0].reason


def test_a_line_that_is_no_json_is_counted_and_costs_no_other(tmp_path: Path) -> None:
    (at,) = (n for n, line in enumerate(PLAIN) if b"OperationStart" in line and b"MERGE" in line)
    broken = [*PLAIN[:at], PLAIN[at][:-30] + b"\n", *PLAIN[at + 1 :]]
    write_plain(tmp_path, broken, running=False)
    records, verdict = Reader(str(tmp_path)).read(FIRST)
    assert len(records) == 13
    assert verdict.counts["lines not understood"] == 1
    assert verdict.counts["held back: began in no file that is there"] == 1
    assert [one.question for one in verdict.omissions] == ["query start"]


def test_half_a_character_in_a_statement_does_not_cost_it(tmp_path: Path) -> None:
    lines = [
        line.replace(b"SELECT * FROM orders", b"SELECT '\\ud83d' FROM orders") for line in PLAIN
    ]
    write_plain(tmp_path, lines, running=False)
    records, _ = Reader(str(tmp_path)).read(FIRST)
    assert "SELECT '\ud83d' FROM orders ORDER BY id LIMIT 5" in {one.text for one in records}


@pytest.mark.parametrize("late", [False, True])
def test_ledger_7_a_statement_its_client_let_go_of_is_cancelled_when_it_was_closed(
    tmp_path: Path, *, late: bool
) -> None:
    (at,) = (n for n, line in enumerate(PLAIN) if b"OperationCanceled" in line)
    lines = [*PLAIN[:at], PLAIN[at + 1], *([PLAIN[at]] if late else []), *PLAIN[at + 2 :]]
    assert b"OperationClosed" in PLAIN[at + 1]
    write_plain(tmp_path, lines, running=False)
    records, verdict = Reader(str(tmp_path)).read(FIRST)
    (endless,) = (one for one in records if one.text == ENDLESS and one.user == "ann")
    assert (endless.status, endless.end_estimated) == ("cancelled", True)
    assert endless.ended_at == datetime.fromtimestamp((instant_of(PLAIN[at + 1]) or 0) / 1000, UTC)
    assert verdict.omissions == ()


def test_ledger_7_names_of_a_session_whose_beginning_is_not_there_are_left_open(
    tmp_path: Path,
) -> None:
    """A ``USE`` may have come before; ``default`` would be a guess."""
    at = next(n for n, line in enumerate(PLAIN) if b"SessionCreated" in line and b'"bob"' in line)
    write_plain(tmp_path, PLAIN[at:], running=False)
    records, _ = Reader(str(tmp_path)).read(FIRST)
    places = {one.text[:13]: (one.catalog, one.database) for one in records if one.user == "ann"}
    assert places["SELECT * FROM"] == (None, None)
    assert {one.catalog for one in records if one.user == "bob"} == {"spark_catalog", "lake"}


def test_a_statement_that_ran_out_of_time_failed(tmp_path: Path) -> None:
    lines = [line.replace(b"OperationCanceled", b"OperationTimeout") for line in PLAIN]
    write_plain(tmp_path, lines, running=False)
    records, _ = Reader(str(tmp_path)).read(FIRST)
    (endless,) = (one for one in records if one.text == ENDLESS and one.user == "ann")
    assert (endless.status, endless.error_code) == ("failed", "TIMED_OUT")


@pytest.mark.parametrize("query_text", ["whole", "masked", "none"])
def test_a_query_that_writes_keeps_the_edges_of_its_plan_whatever_is_kept_of_its_text(
    tmp_path: Path, query_text: QueryText
) -> None:
    write_plain(tmp_path, PLAIN, running=False)
    records, _ = Reader(str(tmp_path)).read(FIRST, rules=QueryLogRules(query_text=query_text))
    orders, leads = ("spark_catalog", "raw", "orders"), ("lake", "crm", "leads")
    [planned] = [one for one in records if one.plan is not None]
    assert planned.plan == PlannedEdges(
        tables=((orders, leads),),
        direct=tuple(((*orders, column), (*leads, column)) for column in ("id", "note")),
    )
    assert planned.text.startswith("CREATE TABLE leads") == (query_text != "none")


def test_a_plan_is_read_beside_the_text_as_it_was_not_beside_a_masked_one(tmp_path: Path) -> None:
    """Its literal could be taken for a piece of the plan; masked, nobody would see that."""
    lines = [line.replace(b"SELECT id, note FROM", b"SELECT id, 'x#43' FROM") for line in PLAIN]
    assert lines != PLAIN
    write_plain(tmp_path, lines, running=False)
    records, _ = Reader(str(tmp_path)).read(FIRST, rules=QueryLogRules(query_text="masked"))
    assert [one.plan for one in records if one.text.startswith("CREATE TABLE leads")] == [None]


def test_a_plan_logged_in_the_hour_before_is_found_again(tmp_path: Path) -> None:
    """The statement ends in the next hour, whose reading begins behind its plan."""
    name = next(
        line for line in PLAIN if b"CREATE TABLE leads" in line and b"OperationStart" in line
    )
    operation = json.loads(name)["id"].encode()
    cut = 1 + next(
        n for n, line in enumerate(PLAIN) if b"OperationParsed" in line[:110] and operation in line
    )
    later = moved(PLAIN[cut:], lambda ms: ms + 3_600_000)
    write_plain(tmp_path, [*PLAIN[:cut], *later], running=True)
    reader = Reader(str(tmp_path))
    reader.read(FIRST)
    records, _ = reader.read(FIRST.next)
    assert [one.text[:18] for one in records if one.plan is not None] == ["CREATE TABLE leads"]
    assert records == Reader(str(tmp_path)).read(FIRST.next)[0]


def test_an_empty_folder_is_unknown_and_a_missing_one_an_error(tmp_path: Path) -> None:
    _, verdict = Reader(str(tmp_path)).read(FIRST)
    assert verdict.state == "unknown"
    assert (verdict.reason or "").endswith("is empty")
    assert isinstance(failure(str(tmp_path / "nowhere")), LakehouseUnavailable)
    assert "is not there" in str(failure(str(tmp_path / "nowhere")))


@pytest.mark.parametrize(
    ("hours", "running", "state", "reason"),
    [
        (-1, False, "unknown", "keeps no queries this old"),
        (1, True, "complete", ""),
        (1, False, "partial", "has not come this far: its newest query ended before this hour"),
    ],
)
def test_an_hour_without_queries_is_quiet_only_where_the_logs_reach_around_it(
    tmp_path: Path, hours: int, state: str, reason: str, *, running: bool
) -> None:
    write_plain(tmp_path, PLAIN, running=running)
    records, verdict = Reader(str(tmp_path)).read(HourWindow(FIRST.start + HOUR * hours))
    assert (records, verdict.state) == ([], state)
    assert reason in (verdict.reason or "")


def test_an_hour_between_two_servers_is_quiet(tmp_path: Path) -> None:
    write_plain(tmp_path, PLAIN, running=False)
    later = moved(PLAIN, lambda ms: ms + 7_200_000)
    write_plain(tmp_path, later, name="app-2", running=False)
    records, verdict = Reader(str(tmp_path)).read(FIRST.next)
    assert (records, verdict.state) == ([], "complete")


def test_in_a_bucket_a_running_log_is_believed_as_far_as_it_is_shown(
    s3_root: str, tmp_path: Path
) -> None:
    half = len(LONG) // 2
    log = write_rolling(tmp_path, [LONG[:half], LONG[half:]], packed=".zstd", running=True)
    names = ["appstatus_app-1.inprogress", "events_1_app-1.zstd"]
    bucket = Storage.open(s3_root)
    for name in names:
        bucket.write(f"{log.name}/{name}", (log / name).read_bytes())
    reader = Reader(s3_root)
    records, verdict = reader.read(HOURS[0])
    assert (records, verdict.state) == (TRUTH[HOURS[0]], "complete")
    _, verdict = reader.read(HOURS[-1])
    assert verdict.state == "partial"
    assert "has not come this far: eventlog_v2_app-1 is still being written" in (
        verdict.reason or ""
    )

    bucket.write(f"{log.name}/events_2_app-1.zstd", (log / "events_2_app-1.zstd").read_bytes())
    bucket.write(f"{log.name}/appstatus_app-1", b"")
    bucket.remove(f"{log.name}/appstatus_app-1.inprogress")
    for window in HOURS[1:]:
        records, verdict = reader.read(window)
        assert (records, verdict.state) == (TRUTH[window], "complete")


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("USE raw", Place("c", "raw")),
        ("use DATABASE `my-db` ;", Place("c", "my-db")),
        ("/* x */ USE SCHEMA a.b", Place("c", "a.b")),
        ("USE lake", Place("lake")),
        ("USE NAMESPACE Lake.crm.eu", Place("Lake", "crm.eu")),
        ("SET CATALOG lake", Place("lake")),
        ("SET CATALOG 'lake'", Place("lake")),
        ("SET spark.sql.x=1", Place("c", "d")),
        ("SELECT 1 AS use", Place("c", "d")),
        ("USE IDENTIFIER('raw')", Place()),
        ("USE raw -- not lake", Place()),
    ],
)
def test_a_session_is_followed_by_its_statements_where_no_plan_tells(
    statement: str, place: Place
) -> None:
    before = Place("c", "d")
    assert switched(statement, None, before=before, catalogs=frozenset({"lake"})) == place


def test_compaction_orders_files_as_sparks_own_reader_does() -> None:
    names = [
        "events_10_a.zstd",
        "events_2_a.zstd",
        "events_2_a.zstd.compact",
        "events_1_a.zstd",
        "events_3_a.zstd.compact.inprogress",
        "events_3_a.zstd",
        "appstatus_a.inprogress",
    ]
    listed = [
        LogFile(name=f"eventlog_v2_a/{name}", size=1, modified_at=LATER + timedelta(seconds=n))
        for n, name in enumerate(sorted(names))
    ]
    (log,) = logs(listed)
    assert [file.name.partition("/")[2] for file in log.files.values()] == [
        "events_2_a.zstd.compact",
        "events_3_a.zstd",
        "events_10_a.zstd",
    ]
    assert log.running
