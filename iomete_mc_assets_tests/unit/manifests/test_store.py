"""What lies on disk after each write, each crash and each kind of damage, locally, in a bucket and in memory."""

import gzip
import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iomete_mc_assets.errors import (
    ManifestDamaged,
    ManifestError,
    ManifestMissing,
    UnknownSchemaVersion,
    WrongStore,
)
from iomete_mc_assets.manifests import codec
from iomete_mc_assets.manifests.model import (
    Collector,
    Draft,
    Flow,
    Header,
    Source,
    State,
    Verdict,
    Written,
)
from iomete_mc_assets.manifests.storage import Storage
from iomete_mc_assets.manifests.store import MAX_PART_BYTES, ManifestStore
from iomete_mc_assets.records import Observation, Omission, QueryRecord, Record, TableId
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.record_strategies import flows_with_records

SOURCE = Source(host="lake.example:443/data-plane/p/lakehouse/c", catalogs=("spark_catalog",))
ELSEWHERE = Source(host="other.example:443/x", catalogs=())
HOUR = HourWindow(datetime(2026, 11, 21, 5, tzinfo=UTC))
_roots = itertools.count()


def fresh_memory() -> Storage:
    return Storage.open(f"memory://store-{next(_roots)}")


@pytest.fixture(params=["local", "s3", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "local":
        opened = Storage.open(str(tmp_path / "m"))
    elif request.param == "s3":
        opened = Storage.open(request.getfixturevalue("s3_root"))
    else:
        opened = fresh_memory()
    yield opened
    for name in opened.names(""):
        opened.remove(name)


@pytest.fixture
def store(storage: Storage) -> ManifestStore:
    return ManifestStore.over(storage, source=SOURCE)


def observations(count: int, *, rows: int = 1) -> list[Record]:
    return [
        Observation(table=TableId("spark_catalog", ("raw",), f"t{number}"), row_count=rows)
        for number in range(count)
    ]


def queries(count: int) -> Iterator[Record]:
    for number in range(count):
        yield QueryRecord(
            query_id=f"q{number}", text=f"SELECT {number}", started_at=HOUR.start, ended_at=HOUR.end
        )


def draft(
    records: Iterable[Record] = (),
    *,
    flow: Flow = "observations",
    state: State = "complete",
    reason: str | None = None,
    window: HourWindow = HOUR,
    collected_at: datetime = HOUR.end,
    omissions: tuple[Omission, ...] = (),
) -> Draft:
    said = reason or (None if state == "complete" else f"{state} for a reason")
    return Draft(
        flow=flow,
        window=window,
        collected_at=collected_at,
        collector=Collector(name="test", version="1"),
        records=records,
        verdict=lambda: Verdict(state=state, reason=said, omissions=omissions),
    )


def all_files(storage: Storage, folder: str = "") -> list[str]:
    found: list[str] = []
    for name in storage.names(folder):
        path = f"{folder}/{name}" if folder else name
        below = all_files(storage, path)
        found += below or [path]
    return found


# Opening


def test_a_new_store_names_itself_its_source_and_its_format(storage: Storage) -> None:
    store = ManifestStore.over(storage, source=SOURCE)
    on_disk = json.loads(storage.read("store.json"))
    assert on_disk == {
        "format": 1,
        "store_id": store.store_id,
        "source": {"host": SOURCE.host, "catalogs": ["spark_catalog"]},
    }
    assert len(store.store_id) == 16


def test_opening_again_finds_the_same_store(storage: Storage) -> None:
    first = ManifestStore.over(storage, source=SOURCE)
    again = ManifestStore.open(storage.root, source=SOURCE)
    reader = ManifestStore.open(storage.root, source=None)
    assert first.store_id == again.store_id == reader.store_id
    assert reader.root == storage.root


def test_two_stores_have_different_ids(tmp_path: Path) -> None:
    ids = {ManifestStore.open(str(tmp_path / n), source=SOURCE).store_id for n in ("a", "b")}
    assert len(ids) == 2


def test_another_lakehouse_is_refused_with_both_addresses_and_both_ways_on(
    store: ManifestStore, storage: Storage
) -> None:
    store.write(draft(), manifest_id="m1")
    with pytest.raises(WrongStore) as refused:
        ManifestStore.over(storage, source=ELSEWHERE)
    said = str(refused.value)
    assert SOURCE.host in said
    assert ELSEWHERE.host in said
    assert said.index("Check IOMETE_URL first") < said.index("set IOMETE_MC_MANIFESTS")
    # and what it says of a moved lakehouse is true
    where = f"{storage.root}/store.json"
    assert f'"host" into {where}' in said
    known = storage.read("store.json").decode()
    storage.write("store.json", known.replace(SOURCE.host, ELSEWHERE.host).encode())
    again = ManifestStore.over(storage, source=ELSEWHERE)
    assert again.current("observations", HOUR) == store.current("observations", HOUR)


def test_a_store_without_hours_goes_to_the_lakehouse_that_asks_next(storage: Storage) -> None:
    """A mistyped address is written down before it turns out that nobody answers there."""
    first = ManifestStore.over(storage, source=SOURCE)
    second = ManifestStore.over(storage, source=ELSEWHERE)
    assert json.loads(storage.read("store.json"))["source"]["host"] == ELSEWHERE.host
    assert second.store_id == first.store_id
    second.write(draft(), manifest_id="m1")
    with pytest.raises(WrongStore):
        ManifestStore.over(storage, source=SOURCE)


def test_a_moved_lakehouse_keeps_its_store(store: ManifestStore, storage: Storage) -> None:
    store.write(draft(), manifest_id="m1")
    ManifestStore.moved(storage.root, host=ELSEWHERE.host)
    assert json.loads(storage.read("store.json"))["source"] == {
        "host": ELSEWHERE.host,
        "catalogs": ["spark_catalog"],
    }
    again = ManifestStore.over(storage, source=replace(SOURCE, host=ELSEWHERE.host))
    assert again.store_id == store.store_id
    assert again.manifest_ids("observations", HOUR) == ["m1"]


def test_where_no_store_is_a_moved_lakehouse_makes_none(tmp_path: Path) -> None:
    ManifestStore.moved(str(tmp_path / "none"), host=ELSEWHERE.host)
    assert list(tmp_path.iterdir()) == []


def test_another_list_of_catalogs_is_the_same_lakehouse_and_stands_in_the_header(
    storage: Storage,
) -> None:
    ManifestStore.over(storage, source=SOURCE)
    wider = replace(SOURCE, catalogs=("spark_catalog", "lake"))
    written = ManifestStore.over(storage, source=wider).write(draft(), manifest_id="m1")
    assert written.header.source == wider


def test_a_reader_makes_no_store(storage: Storage) -> None:
    with pytest.raises(ManifestMissing, match="IOMETE_MC_MANIFESTS"):
        ManifestStore.over(storage, source=None)
    assert storage.names("") == []


def test_a_reader_writes_nothing(store: ManifestStore) -> None:
    reader = ManifestStore.over(store.storage, source=None)
    with pytest.raises(ManifestError, match="opened for reading"):
        reader.write(draft(), manifest_id="m1")
    assert all_files(store.storage) == ["store.json"]


def test_a_store_of_a_newer_format_is_refused(storage: Storage) -> None:
    storage.write("store.json", b'{"format": 2, "layout": "unheard of"}')
    with pytest.raises(UnknownSchemaVersion, match="format 2"):
        ManifestStore.over(storage, source=SOURCE)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"format": 1, "store_id": "x"}'])
def test_a_damaged_store_file_is_refused_and_not_replaced(storage: Storage, data: bytes) -> None:
    storage.write("store.json", data)
    with pytest.raises(ManifestDamaged, match=r"store\.json"):
        ManifestStore.over(storage, source=SOURCE)
    assert storage.read("store.json") == data


def test_a_bucket_that_does_not_exist_is_named_with_the_setting(s3_root: str) -> None:
    del s3_root  # sets the address of the server
    with pytest.raises(ManifestMissing, match=r"s3://nobodys-bucket/m.*IOMETE_MC_MANIFESTS"):
        ManifestStore.open("s3://nobodys-bucket/m", source=SOURCE)


# Writing and reading back


@settings(max_examples=40, deadline=None)
@given(flows_with_records(), st.integers(1, 4))
def test_what_was_written_is_read_back_in_order(drawn: tuple[Flow, list[Record]], cut: int) -> None:
    flow, records = drawn
    store = ManifestStore.over(fresh_memory(), source=SOURCE)
    written = store.write(draft(iter(records), flow=flow), manifest_id="m1")
    assert list(store.records(written.header)) == records
    assert store.current(flow, HOUR) == written.header
    assert store.header(flow, HOUR, "m1") == written.header
    shuffled = [*records[cut:], *records[:cut]]
    again = store.write(draft(shuffled, flow=flow), manifest_id="m2")
    assert again.kept, "the digest does not depend on the order"


def test_the_layout_on_disk_is_the_documented_one(store: ManifestStore) -> None:
    store.write(draft(queries(3), flow="query_logs"), manifest_id="m1")
    assert all_files(store.storage) == [
        "query_logs/2026-11-21-05/current.json",
        "query_logs/2026-11-21-05/m1/manifest.json",
        "query_logs/2026-11-21-05/m1/part-00000.jsonl.gz",
        "store.json",
    ]
    pointer = json.loads(store.storage.read("query_logs/2026-11-21-05/current.json"))
    assert pointer == {"manifest_id": "m1"}
    assert store.folder("query_logs", HOUR, "m1") == "query_logs/2026-11-21-05/m1"
    assert store.path("query_logs", HOUR, "m1") == f"{store.root}/query_logs/2026-11-21-05/m1"


def test_a_part_holds_at_most_ten_thousand_records(store: ManifestStore) -> None:
    written = store.write(draft(queries(20_001), flow="query_logs"), manifest_id="m1")
    assert [part.records for part in written.header.parts] == [10_000, 10_000, 1]
    assert [part.file for part in written.header.parts] == [
        "part-00000.jsonl.gz",
        "part-00001.jsonl.gz",
        "part-00002.jsonl.gz",
    ]
    assert written.header.records == sum(1 for _ in store.records(written.header)) == 20_001


def test_a_part_is_closed_early_when_its_statements_are_huge(store: ManifestStore) -> None:
    huge = "x" * (MAX_PART_BYTES // 4)
    records = [
        QueryRecord(query_id=str(n), text=huge, started_at=HOUR.start, ended_at=HOUR.start)
        for n in range(6)
    ]
    written = store.write(draft(records, flow="query_logs"), manifest_id="m1")
    assert [part.records for part in written.header.parts] == [4, 2]
    assert list(store.records(written.header)) == records


def test_lines_can_begin_later_and_what_is_passed_is_not_read(store: ManifestStore) -> None:
    header = store.write(draft(queries(20_002), flow="query_logs"), manifest_id="m1").header
    everything = [line for line, _ in store.lines(header)]
    for first in (0, 1, 9_999, 10_000, 20_001, 20_002, 30_000):
        assert [line for line, _ in store.lines(header, first=first)] == everything[first:]
    store.storage.remove("query_logs/2026-11-21-05/m1/part-00000.jsonl.gz")
    assert [line for line, _ in store.lines(header, first=10_000)] == everything[10_000:]
    with pytest.raises(ManifestDamaged, match=r"part-00000.* is missing"):
        next(store.lines(header, first=9_999))


def test_a_statement_that_does_not_pack_comes_back_whole(store: ManifestStore) -> None:
    noise = "".join(hashlib.sha256(b"%d" % n).hexdigest() for n in range(10_000))
    records = [
        QueryRecord(query_id=str(n), text=text, started_at=HOUR.start, ended_at=HOUR.start)
        for n, text in enumerate(["short", noise, "", noise * 2, "short"])
    ]
    header = store.write(draft(records, flow="query_logs"), manifest_id="m1").header
    assert list(store.records(header)) == records


def test_a_part_lies_on_disk_before_the_source_is_exhausted(store: ManifestStore) -> None:
    seen: list[list[str]] = []

    def source() -> Iterator[Record]:
        yield from queries(10_001)
        seen.append(all_files(store.storage))

    store.write(draft(source(), flow="query_logs"), manifest_id="m1")
    assert seen == [["query_logs/2026-11-21-05/m1/part-00000.jsonl.gz", "store.json"]]


def test_the_verdict_is_asked_once_after_the_last_record(store: ManifestStore) -> None:
    asked: list[str] = []

    def source() -> Iterator[Record]:
        yield from observations(2)
        asked.append("exhausted")

    def verdict() -> Verdict:
        asked.append("verdict")
        return Verdict(state="complete", counts={"tables": 2})

    written = store.write(replace(draft(source()), verdict=verdict), manifest_id="m1")
    assert asked == ["exhausted", "verdict"]
    assert written.header.counts == {
        "tables": 2,
        "rows in all": 2,
        "bytes in all": 0,
        "row count unknown": 0,
        "tables changed in the hour": 0,
    }


def test_parts_are_plain_gzip_that_anyone_can_read_and_check(store: ManifestStore) -> None:
    records = list(queries(3))
    header = store.write(draft(records, flow="query_logs"), manifest_id="m1").header
    data = store.storage.read("query_logs/2026-11-21-05/m1/part-00000.jsonl.gz")
    lines = gzip.decompress(data).splitlines()
    assert lines == [codec.encode_record("query_logs", record) for record in records]
    assert header.parts[0].sha256 == hashlib.sha256(data).hexdigest()
    total = sum(int(hashlib.sha256(line).hexdigest(), 16) for line in lines) % 2**256
    assert int(header.content_digest, 16) == total
    assert len(header.content_digest) == 64


def test_the_same_records_make_the_same_bytes(store: ManifestStore) -> None:
    one = store.write(draft(observations(3)), manifest_id="m1").header
    other = store.write(draft(observations(3), window=HOUR.next), manifest_id="m1").header
    assert one.parts == other.parts


def test_an_empty_hour_has_no_parts_and_a_zero_digest(store: ManifestStore) -> None:
    header = store.write(draft(), manifest_id="m1").header
    assert (header.parts, header.records, header.content_digest) == ((), 0, "0" * 64)
    assert list(store.records(header)) == []


def test_all_omissions_are_counted_and_the_unreadable_are_listed_first(
    store: ManifestStore,
) -> None:
    omissions = tuple(
        Omission(
            scope=f"t{n}",
            question="history",
            kind="unreadable" if n >= 90 else "unknowable",
            reason="r",
        )
        for n in range(120)
    )
    header = store.write(draft(omissions=omissions), manifest_id="m1").header
    assert header.omissions.counts == {"unreadable": 30, "unknowable": 90}
    assert len(header.omissions.sample) == 50
    assert [omission.scope for omission in header.omissions.sample[:30]] == [
        f"t{n}" for n in range(90, 120)
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        Verdict(state="unknown", reason="history expired"),
        Verdict(state="partial"),
        Verdict(state="complete", reason="why?"),
    ],
)
def test_a_verdict_that_contradicts_itself_or_the_records_is_refused(
    store: ManifestStore, wrong: Verdict
) -> None:
    with pytest.raises(ManifestError, match="bug in the collector"):
        store.write(replace(draft(observations(1)), verdict=lambda: wrong), manifest_id="m1")
    assert store.current("observations", HOUR) is None
    assert store.manifest_ids("observations", HOUR) == []


def test_a_record_of_another_flow_is_refused(store: ManifestStore) -> None:
    with pytest.raises(TypeError, match="catalog_snapshot is made of TableEntry"):
        store.write(draft(observations(1), flow="catalog_snapshot"), manifest_id="m1")
    assert store.current("catalog_snapshot", HOUR) is None


@pytest.mark.parametrize("bad", ["", "a/b", "..", ".x", "current.json", "a b", "x" * 129, "é"])
def test_an_id_that_could_leave_its_folder_is_refused(store: ManifestStore, bad: str) -> None:
    for ask in (store.header, store.folder, store.path):
        with pytest.raises(ManifestError, match="no manifest id"):
            ask("observations", HOUR, bad)
    with pytest.raises(ManifestError, match="no manifest id"):
        store.write(draft(), manifest_id=bad)


# An hour never gets worse (ledger rule 1)


def written_twice(store: ManifestStore, first: Draft, second: Draft) -> tuple[Written, Written]:
    before = store.write(first, manifest_id="m1")
    files = all_files(store.storage)
    after = store.write(second, manifest_id="m2")
    if after.kept:
        assert all_files(store.storage) == files, "a kept hour leaves nothing new on disk"
        assert after.header == before.header
        assert after.why
    else:
        assert after.header.manifest_id == "m2"
        assert after.why is None
    assert store.current(first.flow, first.window) == after.header
    return before, after


def made_of(queries: str, made: Draft) -> Draft:
    """As lineage names the query logs that it was made of."""
    return replace(made, inputs={"query_logs": queries})


EQUAL = observations(3)
MORE = observations(4)
OTHER = observations(3, rows=2)


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (draft(EQUAL), draft(EQUAL), "says the same as manifest m1"),
        (draft(EQUAL), draft(EQUAL[::-1], collected_at=HOUR.next.end), "says the same"),
        (draft(EQUAL), draft(state="unknown", reason="history expired"), "history expired"),
        (
            draft(EQUAL, state="partial"),
            draft(state="unknown"),
            "nothing can be known any more .*; manifest m1 stays",
        ),
        (draft(EQUAL, state="partial"), draft(EQUAL, state="partial"), "says the same"),
        (draft(state="unknown"), draft(state="unknown"), "says the same"),
        (draft(EQUAL), draft(EQUAL[:2], state="partial"), "manifest m1 is complete"),
        (draft(EQUAL), draft(OTHER, state="partial"), "manifest m1 is complete"),
        (draft(), draft(), "says the same"),
        (draft(), draft(state="unknown"), "manifest m1 stays"),
    ],
)
def test_ledger_1_an_hour_keeps_its_manifest(
    store: ManifestStore, first: Draft, second: Draft, why: str
) -> None:
    before, after = written_twice(store, first, second)
    assert (before.kept, after.kept) == (False, True)
    assert re.search(why, str(after.why))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (draft(EQUAL), draft(OTHER)),
        (draft(MORE), draft(EQUAL)),
        (draft(EQUAL), draft()),
        (draft(EQUAL, state="partial"), draft(EQUAL)),
        (draft(EQUAL, state="partial"), draft(EQUAL, state="partial", reason="another")),
        (draft(MORE, state="partial"), draft(EQUAL, state="partial")),
        (draft(EQUAL), draft(MORE, state="partial")),
        (draft(state="unknown"), draft(state="unknown", reason="another")),
        (draft(state="unknown"), draft(EQUAL)),
        (draft(state="unknown"), draft(EQUAL, state="partial")),
        (made_of("q1", draft(EQUAL)), made_of("q2", draft(EQUAL))),
        (made_of("q1", draft(MORE)), made_of("q2", draft(EQUAL, state="partial"))),
    ],
)
def test_ledger_1_an_hour_that_has_news_gets_a_new_manifest(
    store: ManifestStore, first: Draft, second: Draft
) -> None:
    before, after = written_twice(store, first, second)
    assert (before.kept, after.kept) == (False, False)
    assert store.manifest_ids("observations", HOUR) == ["m1", "m2"]
    assert list(store.records(before.header)) == list(first.records), "manifests are immutable"


def test_a_retried_step_may_write_the_same_manifest_again(store: ManifestStore) -> None:
    first = store.write(draft(EQUAL), manifest_id="m1")
    files = {path: store.storage.read(path) for path in all_files(store.storage)}
    again = store.write(draft(EQUAL, collected_at=HOUR.next.end), manifest_id="m1")
    assert again == first
    assert not again.kept
    assert {path: store.storage.read(path) for path in all_files(store.storage)} == files


def test_other_content_under_an_existing_id_is_refused_and_changes_nothing(
    store: ManifestStore,
) -> None:
    header = store.write(draft(EQUAL), manifest_id="m1").header
    with pytest.raises(ManifestError, match=r"observations/2026-11-21-05/m1 exists"):
        store.write(draft(OTHER), manifest_id="m1")
    assert store.current("observations", HOUR) == header
    assert list(store.records(header)) == EQUAL


def test_a_retried_step_whose_hour_was_settled_by_another_run_touches_neither(
    store: ManifestStore,
) -> None:
    first = store.write(draft(EQUAL), manifest_id="m1").header
    newer = store.write(draft(OTHER), manifest_id="m2").header
    retried = store.write(draft(OTHER), manifest_id="m1")
    assert (retried.kept, retried.header) == (True, newer)
    assert list(store.records(first)) == EQUAL


def test_what_a_crashed_attempt_of_the_same_id_left_is_cleared(store: ManifestStore) -> None:
    for number in range(3):
        store.storage.write(f"observations/2026-11-21-05/m1/part-{number:05}.jsonl.gz", b"half")
    header = store.write(draft(EQUAL), manifest_id="m1").header
    assert store.storage.names("observations/2026-11-21-05/m1") == [
        "manifest.json",
        "part-00000.jsonl.gz",
    ]
    assert list(store.records(header)) == EQUAL


# Crashes


class _Crash(Exception):
    """The process dies here."""


class _Dying(Storage):
    """Delegates to another storage and dies at the n-th change, before or after doing it."""

    def __init__(self, alive: Storage, *, at: int, after: bool) -> None:
        super().__init__(alive._filesystem, base=alive._base, root=alive.root)
        self._alive = alive
        self._left = at
        self._after = after

    def read(self, path: str) -> bytes:
        return self._alive.read(path)

    def names(self, folder: str) -> list[str]:
        return self._alive.names(folder)

    def write(self, path: str, data: bytes) -> None:
        self._change(lambda: self._alive.write(path, data))

    def create(self, path: str, data: bytes) -> bool:
        return bool(self._change(lambda: self._alive.create(path, data)))

    def remove(self, path: str) -> None:
        self._change(lambda: self._alive.remove(path))

    def _change(self, act: Callable[[], object]) -> object:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise _Crash
        done = act()
        if self._left == 0:
            raise _Crash
        return done


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("second", ["news", "the same", "unknown"])
def test_a_crash_at_any_point_leaves_the_old_or_the_new_manifest_whole(
    storage: Storage, second: str, after: bool
) -> None:
    records = {"news": [*queries(4)], "the same": [*queries(3)], "unknown": []}[second]
    state: State = "unknown" if second == "unknown" else "complete"
    crashes = 0
    for at in itertools.count(1):
        for name in storage.names(""):
            storage.remove(name)
        store = ManifestStore.over(storage, source=SOURCE)
        old = store.write(draft(queries(3), flow="query_logs"), manifest_id="m1").header
        dying = ManifestStore.over(_Dying(storage, at=at, after=after), source=SOURCE)
        try:
            dying.write(draft(records, flow="query_logs", state=state), manifest_id="m2")
        except _Crash:
            crashes += 1
        else:
            break
        reopened = ManifestStore.open(storage.root, source=SOURCE)
        current = reopened.current("query_logs", HOUR)
        assert current is not None
        expected = 3 if current == old else 4
        assert sum(1 for _ in reopened.records(current)) == expected
        for manifest_id in reopened.manifest_ids("query_logs", HOUR):
            listed = reopened.header("query_logs", HOUR, manifest_id)
            assert sum(1 for _ in reopened.records(listed)) == listed.records
        retried = reopened.write(draft(records, flow="query_logs", state=state), manifest_id="m2")
        assert retried.kept == (second != "news")
        assert reopened.current("query_logs", HOUR) == retried.header
    assert crashes == {"news": 4, "the same": 3, "unknown": 2}[second]


def test_a_crash_in_the_source_leaves_no_manifest(store: ManifestStore) -> None:
    def source() -> Iterator[Record]:
        yield from queries(10_001)
        raise _Crash

    with pytest.raises(_Crash):
        store.write(draft(source(), flow="query_logs"), manifest_id="m1")
    assert store.current("query_logs", HOUR) is None
    assert store.manifest_ids("query_logs", HOUR) == []
    with pytest.raises(ManifestMissing, match="No manifest m1 of query_logs"):
        store.header("query_logs", HOUR, "m1")


# Damage


@pytest.fixture
def damaged(store: ManifestStore) -> tuple[ManifestStore, Header]:
    return store, store.write(draft(queries(2), flow="query_logs"), manifest_id="m1").header


PART = "query_logs/2026-11-21-05/m1/part-00000.jsonl.gz"


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[:-1],
    "empty": lambda data: data[:0],
    "longer": lambda data: data + b"x",
    "one bit": lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
    "packed again": lambda data: gzip.compress(gzip.decompress(data)[:-1]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_part_is_refused_by_name_before_its_first_record(
    damaged: tuple[ManifestStore, Header], change: Callable[[bytes], bytes]
) -> None:
    store, header = damaged
    store.storage.write(PART, change(store.storage.read(PART)))
    read: list[Record] = []
    with pytest.raises(ManifestDamaged, match=f"{PART} is damaged: its .* bytes"):
        read.extend(store.records(header))
    assert read == []


UNPACKABLE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[:-1],
    "more behind": lambda data: data + data,
    "no gzip": lambda _: b"{}",
    "no bytes": lambda _: b"",
}


@pytest.mark.parametrize("change", UNPACKABLE.values(), ids=UNPACKABLE)
def test_a_part_that_cannot_be_unpacked_is_damage_though_its_digest_is_right(
    damaged: tuple[ManifestStore, Header], change: Callable[[bytes], bytes]
) -> None:
    store, header = damaged
    data = change(store.storage.read(PART))
    store.storage.write(PART, data)
    part = replace(header.parts[0], sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(ManifestDamaged, match=f"{PART} is damaged: it cannot be unpacked"):
        list(store.records(replace(header, parts=(part,))))


def test_parts_before_a_damaged_one_can_still_be_read(store: ManifestStore) -> None:
    header = store.write(draft(queries(10_002), flow="query_logs"), manifest_id="m1").header
    store.storage.write("query_logs/2026-11-21-05/m1/part-00001.jsonl.gz", b"")
    records = store.records(header)
    assert len(list(itertools.islice(records, 10_000))) == 10_000
    with pytest.raises(ManifestDamaged, match="part-00001"):
        next(records)


def test_a_missing_part_is_refused_by_name(damaged: tuple[ManifestStore, Header]) -> None:
    store, header = damaged
    store.storage.remove(PART)
    with pytest.raises(ManifestDamaged, match=f"{PART} is damaged: it is missing"):
        list(store.records(header))


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        pytest.param(b"no gzip", "it cannot be unpacked", id="no gzip"),
        pytest.param(gzip.compress(b"x" * 99)[:-5], "it cannot be unpacked", id="cut"),
        pytest.param(gzip.compress(b"{}\n"), "QueryRecord without catalog", id="form"),
        pytest.param(gzip.compress(b""), "it holds 0 records, .* says 2", id="count"),
    ],
)
def test_a_part_that_agrees_with_its_digest_and_not_with_its_form_is_refused(
    damaged: tuple[ManifestStore, Header], data: bytes, verdict: str
) -> None:
    store, header = damaged
    store.storage.write(PART, data)
    part = replace(header.parts[0], sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(ManifestDamaged, match=f"{PART} is damaged: {verdict}"):
        list(store.records(replace(header, parts=(part,))))


HEADER_FILE = "query_logs/2026-11-21-05/m1/manifest.json"


def test_a_cut_header_is_refused_by_name_and_never_overwritten(
    damaged: tuple[ManifestStore, Header],
) -> None:
    store, _ = damaged
    cut = store.storage.read(HEADER_FILE)[:-10]
    store.storage.write(HEADER_FILE, cut)
    for ask in (
        lambda: store.header("query_logs", HOUR, "m1"),
        lambda: store.current("query_logs", HOUR),
        lambda: store.manifest_ids("query_logs", HOUR),
        lambda: store.newest("query_logs"),
        lambda: store.write(draft(queries(1), flow="query_logs"), manifest_id="m2"),
    ):
        with pytest.raises(ManifestDamaged, match=f"{HEADER_FILE} is damaged: no JSON"):
            ask()
    assert store.storage.read(HEADER_FILE) == cut
    assert "m2" not in store.manifest_ids("observations", HOUR)


def test_a_header_of_a_newer_version_is_refused(damaged: tuple[ManifestStore, Header]) -> None:
    store, _ = damaged
    data = store.storage.read(HEADER_FILE).replace(b'"schema_version": 4', b'"schema_version": 5')
    store.storage.write(HEADER_FILE, data)
    with pytest.raises(UnknownSchemaVersion, match=f"{HEADER_FILE} has schema_version 5"):
        store.current("query_logs", HOUR)


def test_a_header_in_the_folder_of_another_hour_is_refused(
    damaged: tuple[ManifestStore, Header],
) -> None:
    store, _ = damaged
    moved = "query_logs/2026-11-21-06/m1/manifest.json"
    store.storage.write(moved, store.storage.read(HEADER_FILE))
    with pytest.raises(ManifestDamaged, match="it is of query_logs, hour 2026-11-21-05:00, id m1"):
        store.header("query_logs", HOUR.next, "m1")


@pytest.mark.parametrize(
    ("pointer", "verdict"),
    [
        (b"{", "no JSON"),
        (b"{}", "without manifest_id"),
        (b'{"manifest_id": "../../x"}', "it names no manifest id"),
        (b'{"manifest_id": "gone"}', "it names gone, which has no header"),
    ],
)
def test_a_damaged_pointer_is_refused_by_name(
    damaged: tuple[ManifestStore, Header], pointer: bytes, verdict: str
) -> None:
    store, _ = damaged
    store.storage.write("query_logs/2026-11-21-05/current.json", pointer)
    with pytest.raises(ManifestDamaged, match=rf"current\.json is damaged: .*{verdict}"):
        store.current("query_logs", HOUR)


def test_a_manifest_of_another_store_is_missing_and_the_store_is_named(
    store: ManifestStore,
) -> None:
    with pytest.raises(ManifestMissing) as refused:
        store.header("observations", HOUR, "m9")
    for part in ("m9", "observations", HOUR.key, store.store_id, store.root):
        assert part in str(refused.value)


# Finding


def hour(offset: int) -> HourWindow:
    return HourWindow(HOUR.start + timedelta(hours=offset))


def test_hours_are_those_with_a_folder_ascending(store: ManifestStore) -> None:
    for offset in (5, -30, 0):
        store.write(draft(observations(1), window=hour(offset)), manifest_id="m1")
    store.storage.write("observations/ledger/abc/000001.json", b"{}")
    store.storage.write("observations/2026-1-1-5/x.json", b"{}")
    assert store.hours("observations") == [hour(-30), hour(0), hour(5)]
    assert store.hours("lineage") == []


def test_an_hour_without_a_pointer_has_no_current_manifest(store: ManifestStore) -> None:
    assert store.current("observations", HOUR) is None
    store.storage.write("observations/2026-11-21-05/m1/part-00000.jsonl.gz", b"garbage")
    assert store.hours("observations") == [HOUR]
    assert store.current("observations", HOUR) is None
    assert store.newest("observations") is None
    assert store.manifest_ids("observations", HOUR) == []


def test_manifest_ids_are_oldest_first_by_when_they_were_collected(store: ManifestStore) -> None:
    for number, (manifest_id, minute) in enumerate((("b", 2), ("c", 1), ("a", 3))):
        at = HOUR.end + timedelta(minutes=minute)
        store.write(draft(observations(number + 1), collected_at=at), manifest_id=manifest_id)
    assert store.manifest_ids("observations", HOUR) == ["c", "b", "a"]


STATES: tuple[State | None, ...] = ("complete", "partial", "unknown", None)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(STATES), min_size=1, max_size=7), st.integers(-1, 7))
def test_ledger_5_the_nearest_known_hour_is_at_or_before_else_the_oldest_after(
    states: list[State | None], asked: int
) -> None:
    store = ManifestStore.over(fresh_memory(), source=SOURCE)
    for offset, state in enumerate(states):
        if state is not None:
            records = [] if state == "unknown" else observations(1)
            store.write(draft(records, state=state, window=hour(offset)), manifest_id="m1")
    known = [hour(n) for n, state in enumerate(states) if state in {"complete", "partial"}]
    before = [window for window in known if window < hour(asked)]
    at_or_before = [window for window in known if window <= hour(asked)]

    def window_of(header: Header | None) -> HourWindow | None:
        return header and header.window

    assert window_of(store.newest("observations")) == (known[-1] if known else None)
    assert window_of(store.newest_before("observations", hour(asked))) == (
        before[-1] if before else None
    )
    nearest = at_or_before[-1] if at_or_before else known[0] if known else None
    assert window_of(store.nearest("observations", hour(asked))) == nearest


def test_the_header_on_disk_has_exactly_the_documented_keys(store: ManifestStore) -> None:
    header = store.write(draft(observations(1)), manifest_id="m1").header
    on_disk = json.loads(store.storage.read("observations/2026-11-21-05/m1/manifest.json"))
    assert set(on_disk) == {
        "schema_version", "flow", "window", "manifest_id", "state", "reason", "collected_at",
        "collector", "source", "counts", "omissions", "parts", "content_digest", "inputs",
        "collector_state", "changes",
    }  # fmt: skip
    assert on_disk["schema_version"] == header.schema_version == 4
