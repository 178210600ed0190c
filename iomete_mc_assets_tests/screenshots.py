"""`make screenshots`: the README's pictures, taken from the Dagster UI on the demo's data in light and in dark."""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import requests
from playwright.sync_api import Page, expect

from iomete_mc_assets.sandbox.commands import DEFAULT_HOME
from iomete_mc_assets_tests.browser import Theme, chromium
from iomete_mc_assets_tests.dagster_processes import ROOT, end, free_port, wait_for

IMAGES = ROOT / "docs" / "images"
SIZES = {"graph": (1440, 720), "partition": (1440, 900)}


def graph(page: Page) -> None:
    """What is collected, what is pushed, and the lakehouse's own tables, a group each."""
    page.goto("/asset-groups")
    expect(page.locator("foreignObject").get_by_text("pushed", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile("^Loading|fetching"))).to_have_count(0)


def partition(page: Page) -> None:
    """The newest hour of observations: what became of it at Monte Carlo, and what it says."""
    page.goto("/assets/iomete/observations?view=partitions")
    keys = page.get_by_text(re.compile(r"^\d{4}-\d\d-\d\d-\d\d:00$"))
    keys.first.wait_for()
    page.goto(
        f"/assets/iomete/observations?view=partitions&partition={max(keys.all_inner_texts())}"
    )
    expect(page.get_by_text("monte_carlo/invocation_ids")).to_be_visible()


PICTURES: Mapping[str, Callable[[Page], None]] = {"graph": graph, "partition": partition}


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=DEFAULT_HOME, help="the demo's folder")
    parser.add_argument("--to", type=Path, default=IMAGES, help="where pictures go")
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    with dagster_ui(arguments.home.absolute()) as url:
        for name, show in PICTURES.items():
            for theme in get_args(Theme):
                width, height = SIZES[name]
                with chromium(url, width=width, height=height, theme=theme) as page:
                    show(page)
                    page.wait_for_load_state("networkidle")
                    picture = arguments.to / f"{name}-{theme}.png"
                    picture.write_bytes(page.screenshot(animations="disabled"))
                    sys.stdout.write(f"{picture}: {picture.stat().st_size:,} bytes\n")


@contextmanager
def dagster_ui(home: Path) -> Generator[str]:
    """`iomete-mc dev` on a demo that was run before, until it can be looked at."""
    port = free_port()
    command = [sys.executable, "-m", "iomete_mc_assets.cli.main", "dev"]
    with (home / "screenshots.log").open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 - our own program
            [*command, "--home", str(home), "--port", str(port)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: _serves(url), within_s=180, what=f"the UI; {log.name} says more")
        yield url
    finally:
        end(child)


def _serves(url: str) -> bool:
    try:
        return requests.get(f"{url}/server_info", timeout=5).ok
    except requests.ConnectionError:
        return False


if __name__ == "__main__":
    main()
