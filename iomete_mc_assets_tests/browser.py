"""Debian's Chromium, driven as a person uses it. What is looked at lives with the tests and the screenshots."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, expect, sync_playwright

from iomete_mc_assets_tests.machine import program

Theme = Literal["light", "dark"]

PATIENCE_MS = 60_000
"""For what a page shows at once on an idle machine."""


def installed() -> Path:
    """Where Chromium lies; a test without one is skipped, or fails in CI."""
    return program("chromium", package="chromium")


@contextmanager
def chromium(
    url: str, *, width: int = 1440, height: int = 1000, theme: Theme = "light"
) -> Generator[Page]:
    """An empty tab; its pages' addresses may be said without ``url``."""
    executable = installed()
    with sync_playwright() as playwright:
        # CI runs as root, which Chromium's sandbox refuses; only our own pages are opened
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        with browser:
            page = browser.new_page(
                base_url=url,
                viewport={"width": width, "height": height},
                color_scheme=theme,
                timezone_id="UTC",
            )
            page.set_default_timeout(PATIENCE_MS)
            expect.set_options(timeout=PATIENCE_MS)
            yield page
