"""Ledger rule 25: only records go, and only where nothing will ever ask for them."""

from collections import Counter
from datetime import timedelta

import pytest
from click.testing import CliRunner

from iomete_mc_assets import clock
from iomete_mc_assets.cli.main import main
from iomete_mc_assets.defs.metadata import of_manifest
from iomete_mc_assets.defs.previews import Previews
from iomete_mc_assets.defs.stored_inputs import StoredInputs
from iomete_mc_assets.errors import ManifestPruned, Misconfigured
from iomete_mc_assets.manifests.model import Written
from iomete_mc_assets.operations.prune import Prunable, prunable, prune
from iomete_mc_assets.sandbox import gateway_faults as faults
from iomete_mc_assets.sandbox.gateway import Gateway
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.push_bench import HOUR, Bench, entries, observed, queries

AGE = timedelta(days=45)


@pytest.fixture
def bench(gateway: Gateway, store_root: str) -> Bench:
    return Bench(gateway, store_root)


def found(bench: Bench) -> Prunable:
    return prunable(bench.store, older_than=AGE, now=bench.clock.now())


def ids(bench: Bench) -> list[str]:
    return [header.manifest_id for header in found(bench).manifests]


def pruned_hour(bench: Bench) -> str:
    """An hour of queries pushed and pruned, and a newer one."""
    manifest_id = bench.collect("query_logs", queries(5), state="partial")
    bench.push_one("query_logs")
    bench.collect("query_logs", queries(1, first=900, window=HOUR.next), window=HOUR.next)
    bench.clock.advance(days=46)
    assert ids(bench) == [manifest_id]
    prune(bench.store, found(bench), now=bench.clock.now())
    return manifest_id


def test_ledger_25_records_alone_go_and_header_receipts_and_outcome_stay(
    bench: Bench,
) -> None:
    manifest_id = pruned_hour(bench)
    folder = bench.store.folder("query_logs", HOUR, manifest_id)
    assert bench.storage.names(folder) == ["manifest.json", "pruned.json", "sent"]
    assert bench.sent("query_logs", manifest_id).settled() is not None
    assert len(bench.sent("query_logs", manifest_id).generation(1).receipts()) == 1
    with pytest.raises(ManifestPruned):
        list(bench.store.records(bench.store.header("query_logs", HOUR, manifest_id)))
    assert found(bench) == Prunable(manifests=(), garbage=())
    again = bench.push_one("query_logs", run="later", force="all")
    assert (again.reused, again.word) == (True, "pushed")
    assert again.not_forced == f"the records of {manifest_id} were pruned"


def test_ledger_25_a_pruned_hour_of_queries_is_closed_unless_all_is_forced(bench: Bench) -> None:
    pruned_hour(bench)
    requests = len(bench.gateway.requests)
    bench.collect("query_logs", queries(7))
    preview = bench.dry_run("query_logs")[HOUR]
    assert (preview.requests, preview.reason is not None) == ((), True)
    outcome = bench.push_one("query_logs", run="late", force="refused")
    assert (outcome.word, outcome.counts) == ("nothing_to_send", {"pruned": 7})
    assert outcome.reason is not None
    assert "pruned" in outcome.reason
    assert len(bench.gateway.requests) == requests
    forced = bench.push_one("query_logs", run="forced", force="all")
    assert (forced.word, forced.counts) == ("pushed", {"accepted": 7})


def test_a_pruned_hour_that_is_collected_again_is_kept_and_says_so(bench: Bench) -> None:
    pruned_hour(bench)
    kept = Written(header=bench.store.header("query_logs", HOUR, "m001"), kept=True, why="the same")
    assert of_manifest(kept, Previews(bench.store))["preview"].value == "its records were pruned"


def test_collectors_read_past_pruned_hours(bench: Bench) -> None:
    for window in (HOUR, HOUR.next):
        bench.collect("observations", observed(2), window=window)
    inputs = StoredInputs(bench.store)
    assert inputs.observations_of(HOUR.next) is not None
    for window, header in ((HOUR.next, "m002"), (HOUR, "m001")):
        before = inputs.observations_before(HOUR.next.next)
        assert before is not None
        assert before.window == window
        bench.store.prune(bench.store.header("observations", window, header), at=HOUR.end)
    assert inputs.observations_before(HOUR.next.next) is None
    assert inputs.observations_of(HOUR.next) is None


def test_ledger_25_what_is_unsettled_is_never_touched(bench: Bench) -> None:
    bench.collect("query_logs", queries(5), state="partial")
    bench.push_one("query_logs")
    bench.collect("query_logs", queries(6))
    bench.collect("query_logs", queries(1, first=900, window=HOUR.next), window=HOUR.next)
    bench.clock.advance(days=46)
    assert ids(bench) == []
    bench.push_one("query_logs", run="run-2")
    assert ids(bench) == ["m001", "m002"]


def test_ledger_25_an_hour_whose_forced_push_broke_off_is_unsettled(bench: Bench) -> None:
    manifest_id = bench.collect("query_logs", queries(20))
    bench.push_one("query_logs")
    bench.collect("query_logs", queries(1, first=900, window=HOUR.next), window=HOUR.next)
    bench.gateway.script(faults.accept, faults.answers(401))
    answer = bench.push("query_logs", HOUR, run="forced", force="all")[HOUR]
    assert isinstance(answer, Misconfigured)
    bench.gateway.clear()
    bench.clock.advance(days=46)
    assert ids(bench) == []
    assert bench.push_one("query_logs", run="by-hand").counts == {"accepted": 20}
    assert Counter(Counter(bench.accepted_keys()).values()) == {2: 20}
    assert ids(bench) == [manifest_id]


def test_ledger_25_the_newest_known_hour_is_never_touched(bench: Bench) -> None:
    for window in (HOUR.previous, HOUR):
        bench.collect("query_logs", queries(2, window=window), window=window)
    bench.collect("query_logs", [], window=HOUR.next, state="unknown")
    bench.push("query_logs")
    bench.clock.advance(days=400)
    assert ids(bench) == ["m001"]


def test_ledger_25_what_a_ledgers_head_names_is_never_touched(bench: Bench) -> None:
    bench.collect("catalog_snapshot", entries(2))
    bench.push_one("catalog_snapshot")
    bench.collect("catalog_snapshot", entries(3), window=HOUR.next)
    bench.clock.advance(days=46)
    assert ids(bench) == []
    bench.push_one("catalog_snapshot", window=HOUR.next)
    assert ids(bench) == ["m001"]


def test_ledger_25_what_is_younger_than_45_days_is_never_touched(bench: Bench) -> None:
    old = HourWindow.holding(HOUR.start - timedelta(days=60))
    bench.collect("query_logs", queries(2, window=old), window=old)
    bench.collect("query_logs", queries(2))
    bench.push("query_logs")
    bench.clock.advance(days=44)
    assert ids(bench) == []
    bench.clock.advance(days=1, minutes=1)
    assert ids(bench) == ["m001"]
    with pytest.raises(ValueError, match="45"):
        prunable(bench.store, older_than=timedelta(days=44), now=bench.clock.now())


def test_ledger_25_a_folder_without_header_goes_after_two_days(bench: Bench) -> None:
    bench.collect("query_logs", queries(1))
    bench.storage.write(f"query_logs/{HOUR.folder}/crashed/part-00000.jsonl.gz", b"x")
    written_at = clock.now()  # what the disk or the bucket says, not the bench's clock
    bench.clock.instant = written_at + timedelta(days=1, hours=23, minutes=59)
    assert found(bench).garbage == ()
    bench.clock.advance(minutes=2)
    what = found(bench)
    assert [one.folder.rpartition("/")[2] for one in what.garbage] == ["crashed"]
    prune(bench.store, what, now=bench.clock.now())
    names = bench.storage.names(f"query_logs/{HOUR.folder}")
    assert names == ["current.json", "m001"]


def test_the_command_asks_first_and_a_dry_run_removes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.clock.instant = clock.now() - timedelta(days=91)
    old = HourWindow.newest_closed(bench.clock.now())
    bench.collect("query_logs", queries(5, window=old), window=old)
    bench.push_one("query_logs", window=old)
    bench.collect("query_logs", queries(1, first=900))
    monkeypatch.setenv("IOMETE_MC_MANIFESTS", bench.store.root)

    def told(*words: str, answer: str = "n\n") -> str:
        return CliRunner().invoke(main, ["prune", *words], input=answer).output

    header = bench.store.header("query_logs", old, "m001")
    assert "dry run" in told("--dry-run")
    assert "Aborted" in told()
    assert "45" in told("--older-than-days", "44")
    assert len(list(bench.store.records(header))) == 5
    assert "Removed" in told("--yes")
    assert bench.store.parts_left(header) == []
    assert "Nothing to prune" in told()
