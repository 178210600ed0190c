"""The query log a run reads is the one the settings name; only a table needs the lakehouse."""

# Dagster types its ephemeral instance in part only.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from iomete_mc_assets import clock
from iomete_mc_assets.defs.collected import collected_assets
from iomete_mc_assets.defs.keys import collected_key
from iomete_mc_assets.defs.partitions import accepting_beta, hourly
from iomete_mc_assets.defs.resources import HourlyDrafts, LakehouseResource, ManifestStoreResource
from iomete_mc_assets.errors import LakehouseUnavailable, SettingsError
from iomete_mc_assets.manifests.model import Draft, Header
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.event_logs import instant_of, moved, recorded, write_plain

AT_ONCE = {"IOMETE_STARTUP_WINDOW_S": "0", "IOMETE_QUERY_LOG_DELAY_MINUTES": "0"}
NOBODY = "http://127.0.0.1:9/cliservice"


def collected(root: Path, window: HourWindow, options: Mapping[str, str]) -> Iterator[Header]:
    """What one run of the asset writes, as its IO manager does; where nobody listens."""
    lakehouse = LakehouseResource(url=NOBODY, user="u", token="t", options={**AT_ONCE, **options})
    manifests = ManifestStoreResource(options={"IOMETE_MC_MANIFESTS": str(root)})
    with accepting_beta():
        assets = collected_assets(hourly(datetime(2026, 1, 1, tzinfo=UTC)))
    [asset] = [asset for asset in assets if asset.key == collected_key("query_logs")]
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_asset_context(partition_key=window.key, instance=instance) as context,
    ):
        drafts = asset(context, lakehouse=lakehouse, manifests=manifests)
    assert isinstance(drafts, HourlyDrafts)
    store = ManifestStore.open(str(root), source=lakehouse.source())
    for _, draft in drafts:
        assert isinstance(draft, Draft), draft
        yield store.write(draft, manifest_id=f"m-{window.folder}").header


def test_event_logs_are_read_without_a_session_and_on_from_the_hour_before(tmp_path: Path) -> None:
    newest = HourWindow.newest_closed(clock.now())
    instants = [instant for line in recorded() if (instant := instant_of(line))]
    middle = (min(instants) + max(instants)) // 2
    lines = moved(recorded(), lambda ms: newest.start_ms + ms - middle)
    file = write_plain(tmp_path / "logs", lines, running=True)
    options = {"IOMETE_QUERY_LOG_EVENTS": str(tmp_path / "logs")}
    (first,) = collected(tmp_path / "store", newest.previous, options)
    position = position_in(first.collector_state)
    needed = min(position["offset"], *(at for _, at, *_ in position["operations"].values()))
    assert needed > 0
    file.write_bytes(b" " * needed + b"".join(lines)[needed:])
    (second,) = collected(tmp_path / "store", newest, options)
    assert (first.state, second.state) == ("complete", "complete")
    assert first.records + second.records == 14
    assert first.records * second.records > 0


def position_in(state: Any) -> dict[str, Any]:
    """Where the only log stood."""
    (position,) = state["event_logs"]["logs"].values()
    return position


def test_exports_are_read_without_a_session(tmp_path: Path) -> None:
    window = HourWindow.newest_closed(clock.now()).previous
    ended = window.start + timedelta(minutes=5)
    (tmp_path / "q.csv").write_text(
        f"q,start_time,end_time\nSELECT 2 AS x,{window.start.isoformat()},{ended.isoformat()}\n"
    )
    options = {"IOMETE_QUERY_LOG_EXPORTS": str(tmp_path), "IOMETE_QUERY_LOG_COLUMNS": "text=q"}
    (header,) = collected(tmp_path / "store", window, options)
    assert (header.state, header.records) == ("complete", 1)


def test_without_a_source_the_hour_is_unknown_and_nobody_is_asked(tmp_path: Path) -> None:
    (header,) = collected(tmp_path / "store", HourWindow.from_key("2026-01-02-05:00"), {})
    assert header.state == "unknown"


def test_a_table_needs_the_lakehouse_and_two_sources_are_refused(tmp_path: Path) -> None:
    table = {"IOMETE_QUERY_LOG_TABLE": "spark_catalog.ops.query_history"}
    window = HourWindow.from_key("2026-01-02-05:00")
    with pytest.raises(LakehouseUnavailable):
        list(collected(tmp_path / "store", window, table))
    both = table | {"IOMETE_QUERY_LOG_EVENTS": str(tmp_path)}
    with pytest.raises(SettingsError, match="are both set"):
        list(collected(tmp_path / "store", window, both))
