"""The settings tables of README and docs, made from ``settings.py``. Run as a module it writes them; a test compares."""

from pathlib import Path

from iomete_mc_assets.settings import SETTINGS, Setting

ROOT = Path(__file__).parent.parent
README_MARK = ("<!-- settings: newcomer -->\n", "<!-- /settings -->")
TITLES: dict[str, str] = {
    "lakehouse": "Lakehouse",
    "query log": "Query log",
    "monte carlo": "Monte Carlo",
    "store": "Store",
    "dagster": "Dagster",
}
HEAD = "| variable | default | meaning |\n|---|---|---|\n"


def row(setting: Setting[object]) -> str:
    """One line of a table."""
    default = "**required**" if setting.default is None else f"`{setting.default.strip()}`"
    if default == "``":
        default = ""
    text = f"{setting.meaning} Takes {setting.takes}."
    for character, escaped in (("<", "&lt;"), ("|", "\\|"), ("*", "\\*")):
        text = text.replace(character, escaped)
    return f"| `{setting.name}` | {default} | {text} |\n"


def readme_table() -> str:
    """What a newcomer sets."""
    return HEAD + "".join(row(setting) for setting in SETTINGS if setting.newcomer)


def all_settings_page() -> str:
    """``docs/settings.md``."""
    page = "# Settings\nEvery setting is an environment variable; a Dagster resource's `options` win over it. Made from `iomete_mc_assets/settings.py`.\n"
    for group in dict.fromkeys(setting.group for setting in SETTINGS):
        rows = "".join(row(setting) for setting in SETTINGS if setting.group == group)
        page += f"\n## {TITLES[group]}\n{HEAD}{rows}"
    return page


def with_table(readme: str) -> str:
    """The README with its table made anew."""
    before, _, rest = readme.partition(README_MARK[0])
    _, _, after = rest.partition(README_MARK[1])
    return f"{before}{README_MARK[0]}{readme_table()}{README_MARK[1]}{after}"


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(with_table(readme.read_text()))
    (ROOT / "docs" / "settings.md").write_text(all_settings_page())
