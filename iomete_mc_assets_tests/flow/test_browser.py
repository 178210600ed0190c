"""What an analytics engineer does in the Dagster UI, in a real browser: from the graph to what Monte Carlo was told."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from iomete_mc_assets.sandbox.lakehouse import RunningLakehouse
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.browser import chromium, installed
from iomete_mc_assets_tests.flow.daemon import PATIENCE_S, QUERIES, Daemon, daemon_between

SETTLED_MS = PATIENCE_S * 1000


@pytest.fixture
def daemon(sandbox: RunningLakehouse, day: list[HourWindow], tmp_path: Path) -> Iterator[Daemon]:
    """Nothing was collected yet, all sensors are off; the partitions are the shop's day."""
    installed()  # without a browser nothing is started
    with daemon_between(sandbox, tmp_path, IOMETE_MC_START=day[0].key) as running:
        yield running


@pytest.fixture
def tab(daemon: Daemon) -> Iterator[Page]:
    """A browser's tab on it."""
    with chromium(daemon.dagster.url) as page:
        yield page


def test_a_person_finds_a_backfill_s_invocation_ids_from_the_graph_on(
    daemon: Daemon, tab: Page, day: list[HourWindow]
) -> None:
    hours = day[-6:-3]
    open_asset_from_the_graph(tab, "query_logs")
    tab.get_by_role("tab", name="Partitions").click()
    launch_backfill(tab, f"[{hours[0].key}...{hours[-1].key}]", of=len(hours))
    tab.goto("/runs?tab=backfills")
    tab.locator("a[href^='/runs/b/']").first.click()
    expect(tab.get_by_text("100% completed")).to_be_visible(timeout=SETTLED_MS)

    switch_on(tab, "push_query_logs")
    tab.goto("/assets/monte_carlo/query_logs?view=partitions")
    expect(tab.get_by_text("Materialized (3)")).to_be_visible(timeout=SETTLED_MS)

    shown = [invocation_ids(tab, window) for window in hours]
    given = [
        {
            event.invocation_id
            for event in daemon.gateway.events("querylogs")
            if event.content["query_id"] in daemon.queries_collected([window])
        }
        for window in hours
    ]
    assert shown == given
    assert all(given)
    tab.goto(f"/assets/iomete/{QUERIES}?view=partitions&partition={hours[0].key}")
    assert cell(tab, "state") == "complete"
    assert set(json.loads(cell(tab, "monte_carlo/invocation_ids"))) == given[0]


def open_asset_from_the_graph(tab: Page, name: str) -> None:
    """The graph's node, its panel at the side, its own page."""
    tab.goto("/asset-groups")
    nodes = tab.locator("foreignObject")
    nodes.filter(has_text="collected").first.click()
    nodes.get_by_text(name, exact=True).first.click()
    tab.get_by_role("link", name="View in Asset Catalog").click()


def launch_backfill(tab: Page, partitions: str, *, of: int) -> None:
    """By the button of an asset's page."""
    tab.get_by_role("button", name="Materialize").first.click()
    dialog = tab.get_by_role("dialog")
    selection = dialog.get_by_placeholder("No matching partitions")
    selection.fill(partitions)
    selection.press("Enter")
    expect(dialog.get_by_text(f"{of} partitions", exact=True)).to_be_visible()
    dialog.get_by_role("button", name="Launch backfill").click()
    expect(dialog).not_to_be_visible()


def switch_on(tab: Page, sensor: str) -> None:
    """On the sensor's own page, reached from the list of all automations."""
    tab.goto("/automation")
    tab.get_by_role("link", name=sensor).click()
    running = tab.get_by_role("checkbox")
    expect(running).not_to_be_checked()
    tab.locator("label").filter(has=running).click()
    expect(running).to_be_checked()


def invocation_ids(tab: Page, window: HourWindow) -> set[str]:
    """What the page of a pushed partition says, once it says that the hour is settled."""
    tab.get_by_text(window.key, exact=True).first.click()
    expect(tab.get_by_text(f"{window.key}Materialized")).to_be_visible()
    assert cell(tab, "monte_carlo/in words") == "pushed"
    return set(json.loads(cell(tab, "monte_carlo/invocation_ids")))


def cell(tab: Page, key: str) -> str:
    """The value of a metadata row."""
    row = tab.get_by_role("row").filter(has=tab.get_by_role("cell", name=key, exact=True))
    return row.first.get_by_role("cell").nth(1).inner_text().strip()
