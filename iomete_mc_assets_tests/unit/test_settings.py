"""Settings: what their texts mean, and that README and docs say the same."""

from pathlib import Path

import pytest

from iomete_mc_assets import settings
from iomete_mc_assets.errors import SettingsError
from iomete_mc_assets_tests.settings_tables import all_settings_page, with_table

ROOT = Path(__file__).parent.parent.parent


def test_names_are_unique_and_defaults_can_be_read() -> None:
    names = [setting.name for setting in settings.SETTINGS]
    assert len(names) == len(set(names))
    for setting in settings.SETTINGS:
        if setting.default is not None:
            setting.read({})


def test_readme_shows_the_newcomers_settings_as_they_are() -> None:
    readme = (ROOT / "README.md").read_text()
    assert with_table(readme) == readme, "run: python -m iomete_mc_assets_tests.settings_tables"


def test_the_settings_page_shows_all_of_them_as_they_are() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == all_settings_page()


def test_a_missing_setting_says_its_name_and_what_it_takes() -> None:
    with pytest.raises(SettingsError, match=r"^IOMETE_USER is not set: .* Set it to a user"):
        settings.IOMETE_USER.read({"IOMETE_USER": "  "})


def test_a_malformed_secret_is_not_repeated() -> None:
    shouting = settings.Setting(
        name="S",
        group="store",
        takes="a number",
        meaning="m.",
        parse=int,
        secret=True,
    )
    with pytest.raises(SettingsError) as caught:
        shouting.read({"S": "hunter2"})
    assert "hunter2" not in str(caught.value)
