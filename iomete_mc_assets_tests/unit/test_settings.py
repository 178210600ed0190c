"""Settings: what their texts mean, and that README and docs say the same."""

from pathlib import Path
from uuid import UUID

import pytest

from iomete_mc_assets import settings
from iomete_mc_assets.errors import SettingsError
from iomete_mc_assets.push.config import PushConfig
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


def test_an_unknown_log_type_is_refused_with_the_list_of_those_there_are() -> None:
    with pytest.raises(SettingsError, match="MCD_LOG_TYPE: 'spark' cannot be used") as caught:
        PushConfig.read({"MCD_RESOURCE_UUID": str(UUID(int=1)), "MCD_LOG_TYPE": "spark"})
    listed = str(caught.value).partition("It takes one of Monte Carlo's log types: ")[2]
    assert listed.rstrip(".").split(", ") == list(settings.LOG_TYPES)
    for known in settings.LOG_TYPES:
        assert settings.MCD_LOG_TYPE.read({"MCD_LOG_TYPE": known}) == known


def test_two_query_log_sources_are_refused_by_their_names_and_none_is_none() -> None:
    both = {"IOMETE_QUERY_LOG_TABLE": "a.b.c", "IOMETE_QUERY_LOG_EVENTS": "s3://bucket/history"}
    with pytest.raises(
        SettingsError, match="IOMETE_QUERY_LOG_TABLE and IOMETE_QUERY_LOG_EVENTS are both set"
    ):
        settings.query_log_source(both)
    del both["IOMETE_QUERY_LOG_TABLE"]
    assert settings.query_log_source(both) == (
        settings.IOMETE_QUERY_LOG_EVENTS,
        "s3://bucket/history",
    )
    assert settings.query_log_source({"IOMETE_QUERY_LOG_EXPORTS": " "}) is None
