"""One hour's catalog beside the one before: from the store into the next header, and into what Dagster shows."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from iomete_mc_assets.collectors.catalog_snapshot import CatalogConfig, collect
from iomete_mc_assets.defs import metadata
from iomete_mc_assets.defs.previews import Previews
from iomete_mc_assets.defs.stored_inputs import StoredInputs
from iomete_mc_assets.errors import StatementFailed
from iomete_mc_assets.manifests.codec import HEADER
from iomete_mc_assets.manifests.model import Draft, Source, Written
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.warehouse import statements
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.scripted import ScriptedWarehouse
from iomete_mc_assets_tests.unit.collectors.test_catalog_snapshot import (
    CATALOG,
    block,
    session_catalog,
    table,
)

HOUR = HourWindow.from_key("2026-11-21-09:00")


@pytest.fixture
def store(tmp_path: Path) -> ManifestStore:
    source = Source(host="lake.example", catalogs=(CATALOG,))
    return ManifestStore.open(str(tmp_path), source=source)


def collected(
    store: ManifestStore,
    window: HourWindow,
    *tables: str,
    unreadable: str | None = None,
    manifest_id: str | None = None,
    gone: bool = False,
) -> Written:
    """One hour whose listing shows these tables, or not even their database, written."""
    answers = session_catalog(*tables)
    if gone:
        answers[statements.show_namespaces(CATALOG)] = []
    if unreadable:
        listed = statements.show_tables(CATALOG, ("db",))
        answers[listed] = session_catalog(*tables, unreadable)[listed]
        answers[statements.describe_table(table(unreadable))] = StatementFailed("gone.")
    stored = StoredInputs(store)
    [(_, draft)] = collect(
        [window],
        ScriptedWarehouse(answers),
        config=CatalogConfig(catalogs=(CATALOG,)),
        newest_known=stored.newest_catalog_window(),
        before=stored.catalog_before,
        now=window.end + timedelta(minutes=5),
    )
    assert isinstance(draft, Draft), draft
    return store.write(draft, manifest_id=manifest_id or f"m{window.start.hour}")


def test_a_database_that_is_not_listed_any_more_is_shown_with_what_it_held(
    store: ManifestStore,
) -> None:
    first = collected(store, HOUR, "a", "b")
    assert first.header.collector_state == {"databases": [f"{CATALOG}.db"]}
    second = collected(store, HOUR.next, gone=True)
    said = shown(store, second)
    assert (said["changes: database dropped"], said["changes: table dropped"]) == (1, 2)
    assert f"| database dropped | {CATALOG}.db | 2 tables and views |" in str(said["changes shown"])
    third = shown(store, collected(store, HOUR.next.next, "a", "b"))
    assert (third["changes: database dropped"], third["changes: table added"]) == (0, 2)


def test_a_catalog_of_before_databases_were_kept_has_those_of_its_tables(
    store: ManifestStore,
) -> None:
    collected(store, HOUR, "a")
    [path] = Path(store.root).glob("catalog_snapshot/2026-11-21-09/m9/manifest.json")
    said = json.loads(path.read_bytes())
    said["collector_state"] = {}
    path.write_text(json.dumps(said))
    second = collected(store, HOUR.next, gone=True)
    assert second.header.changes is not None
    assert second.header.changes.counts["database dropped"] == 1


def shown(store: ManifestStore, written: Written) -> Mapping[str, object]:
    said = metadata.of_manifest(written, Previews(store))
    return {name: value.value for name, value in said.items()}


def test_the_first_catalog_says_that_it_compares_with_nothing(store: ManifestStore) -> None:
    first = collected(store, HOUR, "a", "b")
    said = shown(store, first)
    assert said["changed since"] == "nothing: not compared"
    assert said["not compared"] == "there is no earlier catalog to compare with"
    assert [name for name in said if name.startswith("changes")] == []


def test_a_catalog_manifest_states_what_changed_since_the_one_before(store: ManifestStore) -> None:
    collected(store, HOUR, "a", "b")
    second = collected(store, HOUR.next, "b", "c")
    [path] = Path(store.root).glob("catalog_snapshot/2026-11-21-10/m10/manifest.json")
    on_disk = json.loads(path.read_text())
    assert on_disk["inputs"] == {"compared_with": "m9"}
    assert on_disk["changes"]["counts"]["table added"] == 1
    assert [(one["kind"], one["scope"]) for one in on_disk["changes"]["sample"]] == [
        ("table added", "spark_catalog.db.c"),
        ("table dropped", "spark_catalog.db.a"),
    ]
    said = shown(store, second)
    assert said["changed since"] == HOUR.key
    assert (said["changes: table dropped"], said["changes: column added"]) == (1, 0)
    assert "| table added | spark_catalog.db.c |" in str(said["changes shown"])


def test_an_hour_collected_again_is_compared_with_the_one_before_and_not_with_itself(
    store: ManifestStore,
) -> None:
    collected(store, HOUR, "a")
    collected(store, HOUR.next, "a", "b")
    again = collected(store, HOUR.next, "a", "b", "c", manifest_id="again")
    changes = again.header.changes
    assert changes is not None
    assert (changes.since, changes.counts["table added"]) == (HOUR, 2)


def test_an_unknown_hour_in_between_is_passed_over_and_claims_nothing(store: ManifestStore) -> None:
    collected(store, HOUR.next.next, "a")
    unknown = collected(store, HOUR.next, "a", "b")
    assert (unknown.header.state, unknown.header.changes) == ("unknown", None)
    later = collected(store, HOUR.next.next.next, "a")
    assert later.header.changes is not None
    assert (later.header.changes.since, later.header.changes.total) == (HOUR.next.next, 0)


def test_a_table_that_one_hour_could_not_read_is_neither_dropped_nor_added(
    store: ManifestStore,
) -> None:
    hours = [HOUR, HOUR.next, HOUR.next.next]
    collected(store, hours[0], "a", "b")
    partial = collected(store, hours[1], "a", unreadable="b")
    healed = collected(store, hours[2], "a", "b")
    for written in (partial, healed):
        changes = written.header.changes
        assert changes is not None
        assert (changes.since is None, changes.total) == (False, 0)
        assert "spark_catalog.db.b" in str(changes.reason)


def test_an_earlier_catalog_with_more_omissions_than_it_lists_is_not_compared(
    store: ManifestStore,
) -> None:
    first = collected(store, HOUR, *"abcd", unreadable="e")
    omissions = first.header.omissions
    counts = {**omissions.counts, "unreadable": 51}
    more = replace(first.header, omissions=replace(omissions, counts=counts))
    path = store.path(more.flow, more.window, more.manifest_id)
    Path(path, "manifest.json").write_bytes(HEADER.encode(more))
    second = collected(store, HOUR.next, "a")
    changes = second.header.changes
    assert changes is not None
    assert (changes.since, dict(changes.counts)) == (None, {})
    assert HOUR.key in str(changes.reason)


def test_a_damaged_earlier_catalog_costs_the_comparison_and_not_the_hour(
    store: ManifestStore,
) -> None:
    collected(store, HOUR, "a")
    [part] = Path(store.root).glob("catalog_snapshot/2026-11-21-09/m9/part-*")
    part.write_bytes(b"")
    second = collected(store, HOUR.next, "a", "b")
    changes = second.header.changes
    assert (second.header.state, second.header.records) == ("complete", 2)
    assert changes is not None
    assert changes.since is None
    assert "is damaged" in str(changes.reason)


def test_columns_that_change_are_shown_with_their_types(store: ManifestStore) -> None:
    collected(store, HOUR, "a")
    answers = session_catalog("a")
    wide = str(block("a")["information"]).replace('"long"', '"string"')
    answers[statements.show_table_extended(CATALOG, ("db",))] = [
        {**block("a"), "information": wide}
    ]
    stored = StoredInputs(store)
    [(_, draft)] = collect(
        [HOUR.next],
        ScriptedWarehouse(answers),
        config=CatalogConfig(catalogs=(CATALOG,)),
        newest_known=HOUR,
        before=stored.catalog_before,
        now=HOUR.next.end + timedelta(minutes=5),
    )
    assert isinstance(draft, Draft)
    said = shown(store, store.write(draft, manifest_id="second"))
    assert "| column retyped | spark_catalog.db.a.Id | BIGINT NOT NULL | STRING NOT NULL |" in str(
        said["changes shown"]
    )
