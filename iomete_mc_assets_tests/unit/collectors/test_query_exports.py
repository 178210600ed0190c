"""Exports of a query history: JSON lines and CSV, packed or not, with fields found as a table's columns are."""

import csv
import gzip
import io
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.collectors.query_exports import QueryExports, instant
from iomete_mc_assets.collectors.query_judging import QueryLogRules
from iomete_mc_assets.collectors.query_log_source import ColumnMapping
from iomete_mc_assets.collectors.query_logs import collect
from iomete_mc_assets.errors import SettingsError
from iomete_mc_assets.manifests.model import Draft, Verdict
from iomete_mc_assets.records import QueryRecord
from iomete_mc_assets.warehouse.log_folder import LogFolder
from iomete_mc_assets.windows import HOUR as ONE_HOUR
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.event_logs import zstd

HOUR = HourWindow.from_key("2026-11-21-05:00")
LATER = datetime(2026, 11, 22, tzinfo=UTC)
Fields = Mapping[str, object]


def a_query(number: int = 1, **other: object) -> dict[str, object]:
    return {
        "query_id": f"q{number}",
        "sql_text": f"SELECT {number} AS x,\n 'größe, \"quoted\"' AS y",
        "user_name": "ann",
        "start_time": "2026-11-21T05:01:00Z",
        "end_time": "2026-11-21T05:02:00.5Z",
        "status": "COMPLETED",
        "error_message": None,
        "rows_returned": 7,
        **other,
    }


def json_lines(rows: Sequence[Fields]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def comma_separated(rows: Sequence[Fields]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def read(
    folder: Path, window: HourWindow = HOUR, *, mapping: ColumnMapping | None = None
) -> tuple[list[QueryRecord], Verdict]:
    source = QueryExports(LogFolder(str(folder)), mapping or ColumnMapping())
    ((_, draft),) = collect([window], source, rules=QueryLogRules(), now=LATER)
    assert isinstance(draft, Draft), draft
    records = [record for record in draft.records if isinstance(record, QueryRecord)]
    return records, draft.verdict()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("q.ndjson", json_lines([a_query()])),
        ("q.jsonl", json_lines([a_query()]).rstrip(b"\n")),
        ("q.json", b"\n" + json_lines([a_query()])),
        ("q.JSONL.gz", gzip.compress(json_lines([a_query()]))),
        ("q.jsonl.zst", zstd(json_lines([a_query()]))),
        ("q.csv", comma_separated([a_query()])),
        ("q.csv", b"\xef\xbb\xbf" + comma_separated([a_query()])),
        ("q.csv.gz", gzip.compress(comma_separated([a_query()]))),
    ],
)
def test_a_row_becomes_a_query_in_every_form(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    records, verdict = read(tmp_path)
    assert records == [
        QueryRecord(
            query_id="q1",
            text="SELECT 1 AS x,\n 'größe, \"quoted\"' AS y",
            started_at=HOUR.start + timedelta(minutes=1),
            ended_at=HOUR.start + timedelta(minutes=2, milliseconds=500),
            status="succeeded",
            user="ann",
            returned_rows=7,
        )
    ]
    assert verdict == Verdict(
        state="complete", counts={"rows read": 1, "queries": 1, "succeeded": 1, "files read": 1}
    )


def test_queries_come_in_the_order_of_their_ends_and_so_after_the_use_before_them(
    tmp_path: Path,
) -> None:
    """An export often has the newest first, and the second file the older ones."""

    def minute(number: int, **other: object) -> dict[str, object]:
        times = [f"2026-11-21T05:{number:02}:{second}Z" for second in ("00", "30")]
        return a_query(number, start_time=times[0], end_time=times[1], session_id="s", **other)

    (tmp_path / "a.ndjson").write_bytes(json_lines([minute(5), minute(4, sql_text="USE late")]))
    (tmp_path / "b.csv").write_bytes(
        comma_separated([minute(3), minute(2), minute(1, sql_text="USE early")])
    )
    records, _ = read(tmp_path)
    assert [(one.query_id, one.database) for one in records] == [
        ("q2", "early"),
        ("q3", "early"),
        ("q5", "late"),
    ]


def test_one_file_may_be_named_instead_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_bytes(comma_separated([a_query()]))
    (tmp_path / "other.csv").write_bytes(comma_separated([a_query(2)]))
    records, _ = read(tmp_path / "q.csv")
    assert [one.query_id for one in records] == ["q1"]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=60)


@given(st.lists(texts, min_size=1, max_size=6), st.sampled_from(["json", "csv"]))
def test_any_text_comes_back_as_it_was(said: list[str], form: str) -> None:
    rows = [a_query(n, sql_text=f"SELECT x{n} {text}") for n, text in enumerate(said)]
    with TemporaryDirectory() as folder:
        data = json_lines(rows) if form == "json" else comma_separated(rows)
        (Path(folder) / f"q.{form}").write_bytes(data)
        records, verdict = read(Path(folder))
    assert [one.text for one in records] == [row["sql_text"] for row in rows]
    assert verdict.omissions == ()


def test_an_hour_holds_what_ended_in_it_start_included_end_excluded(tmp_path: Path) -> None:
    ends = {
        "before": "2026-11-21 04:59:59.999999",
        "first": "2026-11-21 05:00:00",
        "last": "2026-11-21T05:59:59.999999+00:00",
        "after": "2026-11-21 06:00:00",
    }
    rows = [
        a_query(query_id=name, start_time="2026-11-21 04:00:00", end_time=end)
        for name, end in ends.items()
    ]
    (tmp_path / "q.csv").write_bytes(comma_separated(rows))
    assert [one.query_id for one in read(tmp_path)[0]] == ["first", "last"]
    assert [one.query_id for one in read(tmp_path, HOUR.next)[0]] == ["after"]


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-11-21 06:20:00", "Europe/Berlin", "05:20:00"),
        ("2026-11-21T05:20:00.5Z", "Europe/Berlin", "05:20:00.500"),
        ("2026-11-21 09:20:00 +04:00", "Europe/Berlin", "05:20:00"),
        ("2026-11-21 09:20:00+0400", "UTC", "05:20:00"),
        ("2026-11-21 00:20:00 America/New_York", "UTC", "05:20:00"),
        ("2026-11-21 05:20:00 UTC", "Europe/Berlin", "05:20:00"),
        ("2026-11-21T05:20", "UTC", "05:20:00"),
        ("2026-11-21T05:20:00.123456789Z", "UTC", "05:20:00.123456"),
    ],
)
def test_a_time_keeps_the_zone_it_carries_and_takes_the_declared_one_otherwise(
    text: str, zone: str, expected: str
) -> None:
    assert instant(text, zone) == datetime.fromisoformat(f"2026-11-21T{expected}+00:00")


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01", "05:20:00", "2026-11-21 05:20:00 Mars/Base"]
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert instant(text, "UTC") is None


def test_a_duration_tells_the_end(tmp_path: Path) -> None:
    rows = [
        {"statement": "SELECT 1 AS x", "started_at": "2026-11-21 05:59:59.5", "duration_ms": ms}
        for ms in (499, 500, None)
    ]
    (tmp_path / "q.jsonl").write_bytes(json_lines(rows))
    records, verdict = read(tmp_path)
    assert [one.ended_at for one in records] == [HOUR.end - timedelta(milliseconds=1)]
    assert verdict.counts["held back: not ended"] == 1


def test_a_completion_date_alone_is_refused_or_estimated_and_marked(tmp_path: Path) -> None:
    row = {
        "sql_text": "SELECT 1 AS x",
        "start_time": "2026-11-21 05:30:00",
        "completion_date": "2026-11-21",
    }
    (tmp_path / "q.csv").write_bytes(comma_separated([row]))
    with pytest.raises(SettingsError, match="IOMETE_QUERY_LOG_WITHOUT_END to estimate"):
        read(tmp_path)
    (record,), verdict = read(tmp_path, mapping=ColumnMapping(without_end="estimate"))
    assert record.end_estimated
    assert record.ended_at == HOUR.start + timedelta(minutes=30)
    assert verdict.counts["end estimated"] == 1


def test_json_may_leave_out_what_is_null(tmp_path: Path) -> None:
    running = {
        key: a_query(2, status="RUNNING")[key]
        for key in ("query_id", "sql_text", "start_time", "status")
    }
    failed = a_query(3, status="FAILED", error_message="[BOOM.BIG] no")
    whole = {key: value for key, value in a_query().items() if value is not None}
    (tmp_path / "q.jsonl").write_bytes(json_lines([running, whole, failed]))
    records, verdict = read(tmp_path)
    assert [(one.query_id, one.status, one.error_code) for one in records] == [
        ("q1", "succeeded", None),
        ("q3", "failed", "BOOM.BIG"),
    ]
    assert verdict.counts["held back: not ended"] == 1


def test_fields_are_mapped_as_columns_are(tmp_path: Path) -> None:
    row = {
        "Q": "SELECT 1 AS x",
        "b": "2026-11-21 05:01:00",
        "e": "2026-11-21 05:02:00",
        "who": {"name": "ann"},
    }
    (tmp_path / "q.jsonl").write_bytes(json_lines([row]))
    mapping = ColumnMapping(columns={"text": "q", "start": "B", "end": "e", "user": "who"})
    (record,), _ = read(tmp_path, mapping=mapping)
    assert (record.text, record.user, record.status) == ("SELECT 1 AS x", '{"name": "ann"}', None)
    assert len(record.query_id) == 32


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"sql": "SELECT 1", "when": "now"}, "no column that is known to hold start"),
        ({"sql": "SELECT 1", "start_time": "2026-11-21 05:00:00"}, r"hold end \(or duration_ms\)"),
        ({**a_query(), "end_time": 1795240000000}, "a number whose unit nobody tells"),
        ({**a_query(), "start_time": "1795240000"}, "a number whose unit nobody tells"),
    ],
)
def test_what_would_read_as_an_hour_without_queries_is_refused(
    tmp_path: Path, row: Fields, says: str
) -> None:
    (tmp_path / "q.jsonl").write_bytes(json_lines([row]))
    with pytest.raises(SettingsError, match=says):
        read(tmp_path)


def test_rows_that_cannot_be_read_are_counted_and_cost_no_other(tmp_path: Path) -> None:
    good = json_lines([a_query(1), a_query(2)]).splitlines(keepends=True)
    (tmp_path / "a.jsonl").write_bytes(
        good[0] + b'{"query_id": "q\n' + b"[1]\n" + good[1] + b'{"que'
    )
    table = comma_separated([a_query(3), a_query(4)])
    (tmp_path / "b.csv").write_bytes(
        table + b"too,few\r\n" + table.splitlines(keepends=True)[1].strip()
    )
    records, verdict = read(tmp_path)
    assert [one.query_id for one in records] == ["q1", "q2", "q3", "q4"]
    assert [one.reason.split(" rows of ")[0] for one in verdict.omissions] == ["2", "2"]
    assert {one.kind for one in verdict.omissions} == {"unreadable"}


def test_a_file_that_cannot_be_unpacked_or_decoded_is_an_omission(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(json_lines([a_query(n) for n in range(50)])))
    packed[200:260] = bytes(60)
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    (tmp_path / "b.csv").write_bytes(comma_separated([a_query()]) + b"\xff\xfe,\r\n")
    (tmp_path / "c.jsonl").write_bytes(json_lines([a_query(99)]))
    records, verdict = read(tmp_path)
    assert "q99" in {one.query_id for one in records}
    reasons = " ".join(one.reason for one in verdict.omissions)
    assert "a.jsonl.gz" in reasons
    assert "b.csv" in reasons
    assert "no CSV in UTF-8" in reasons


def test_other_files_are_left_alone_and_old_ones_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("x")
    old = tmp_path / "old.csv"
    old.write_bytes(b"rubbish")
    written = (HOUR.start - ONE_HOUR).timestamp()
    os.utime(old, (written, written))
    (tmp_path / "q.csv").write_bytes(comma_separated([a_query()]))
    _, verdict = read(tmp_path)
    assert verdict.counts["files read"] == 1
    assert verdict.counts["files that are no export"] == 1
    assert verdict.omissions == ()


@pytest.mark.parametrize(
    ("hours", "state", "reason"),
    [(-1, "unknown", "keeps no queries this old"), (1, "partial", "has not come this far")],
)
def test_an_hour_without_rows_is_quiet_only_when_the_exports_reach_around_it(
    tmp_path: Path, hours: int, state: str, reason: str
) -> None:
    (tmp_path / "q.csv").write_bytes(comma_separated([a_query()]))
    _, verdict = read(tmp_path, HourWindow(HOUR.start + hours * ONE_HOUR))
    assert verdict.state == state
    assert reason in (verdict.reason or "")
    later = a_query(start_time="2026-11-21 09:00:00", end_time="2026-11-21 09:00:00")
    (tmp_path / "r.csv").write_bytes(comma_separated([later]))
    assert read(tmp_path, HOUR.next)[1].state == "complete"
