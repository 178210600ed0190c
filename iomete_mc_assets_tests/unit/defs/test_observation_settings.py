"""What the settings make of observing, and what one hour's manifest hands to the next."""

from pathlib import Path

from iomete_mc_assets.collectors.observations import ObservationConfig
from iomete_mc_assets.defs.resources import LakehouseResource
from iomete_mc_assets.defs.stored_inputs import StoredInputs
from iomete_mc_assets.manifests.model import Draft, Source
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets_tests.unit.collectors.test_observations import (
    HOUR,
    Commit,
    HistoryWarehouse,
    at,
    catalog,
    listed,
    run,
)


def config(**options: str) -> ObservationConfig:
    lakehouse = LakehouseResource(url="http://lake.example", user="u", token="t", options=options)
    return lakehouse.observation_config()


def test_nothing_is_counted_and_everything_read_once_a_day_unless_set_otherwise() -> None:
    plain = config()
    assert (plain.count_deadline_s, plain.sweep_hours) == (None, 24)
    asked = config(IOMETE_COUNT_ROWS_S="7", IOMETE_FULL_SWEEP_HOURS="6")
    assert (asked.count_deadline_s, asked.sweep_hours) == (7, 6)


def test_the_hour_of_the_last_sweep_travels_in_the_manifest(tmp_path: Path) -> None:
    loaded = Commit(at=at("07:10"), rows=100)
    store = ManifestStore.open(str(tmp_path), source=Source(host="lake.example", catalogs=()))
    for window, swept in ((HOUR.previous, HOUR.previous), (HOUR, HOUR.previous)):
        stored = StoredInputs(store)
        before = stored.observations_before(window)
        answers = run(
            HistoryWarehouse({"t": [loaded]}),
            catalog(listed("t", loaded)),
            windows=[window],
            before=before,
        )
        draft = answers[window]
        assert isinstance(draft, Draft)
        store.write(draft, manifest_id=f"m{window.start.hour}")
        handed_on = StoredInputs(store).observations_before(window.next)
        assert handed_on is not None
        assert (handed_on.window, handed_on.swept) == (window, swept)
