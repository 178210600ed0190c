"""What a check of the installation says, and the checks of the settings alone. Connections are checked in ``doctor_*`` beside.

Nothing of the doctor sends data to Monte Carlo or writes into the lakehouse; in the manifest store it writes one small file and removes it.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from iomete_mc_assets import settings
from iomete_mc_assets.errors import SettingsError
from iomete_mc_assets.manifests.model import JsonValue
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.redaction import redacted
from iomete_mc_assets.warehouse import address

Verdict = Literal["green", "amber", "red"]
"""``amber``: it works as far as can be told, and someone should know this; the exit code stays 0."""
Group = Literal["settings", "lakehouse", "manifest store", "monte carlo", "dagster"]

HIDDEN = tuple(
    setting.name
    for setting in settings.SETTINGS
    if setting.secret or setting.name in ("MCD_INGEST_ID", "MCD_ID")
)
"""Secrets, and the ids that belong to them."""
API_KEY = (settings.MCD_ID.name, settings.MCD_TOKEN.name)
"""Needed by set-up and verification only, and then both."""
OTHER_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""Not ours, and never shown either, should a server's message repeat one."""
_OURS = re.compile(r"(?:IOMETE|MCD)_")
_CREDENTIALS = re.compile(r"(?<=//)[^/@\s]+@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: of the setting, or of what was asked; unique in its group.
        text: what was found; of anything but green with the next step.
        routine: a green one that nobody needs to read, e.g. a setting at its default.
    """

    group: Group
    name: str
    verdict: Verdict
    text: str
    routine: bool = False


def settings_checks(environment: Mapping[str, str]) -> Iterator[Check]:
    """Each setting, what does not go together, and variables whose names are nearly ours."""
    without_api = not any(environment.get(name, "").strip() for name in API_KEY)
    for setting in settings.SETTINGS:
        try:
            if not (without_api and setting.name in API_KEY):
                setting.read(environment)
            shown = _shown(setting, environment)
        except SettingsError as error:
            yield Check(group="settings", name=setting.name, verdict="red", text=str(error))
        else:
            unset = not environment.get(setting.name, "").strip()
            yield Check(
                group="settings", name=setting.name, verdict="green", text=shown, routine=unset
            )
    try:
        Naming.read(environment)
    except SettingsError as error:
        yield Check(group="settings", name="catalogs and naming", verdict="red", text=str(error))
    yield from _misspelt(environment)


def _shown(setting: settings.Setting[object], environment: Mapping[str, str]) -> str:
    """The value as it may be seen."""
    text = environment.get(setting.name, "").strip()
    if not text:
        default = (setting.default or "").strip()
        return f"{default} (default)" if default else "not set"
    if setting.name in HIDDEN:
        return "set, not shown"
    return address.parse(text).url if setting.name == settings.IOMETE_URL.name else text


def _misspelt(environment: Mapping[str, str]) -> Iterator[Check]:
    known = [setting.name for setting in settings.SETTINGS]
    for name in sorted(environment):
        if not _OURS.match(name) or name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
        if near and not environment.get(near[0]):
            text = f"{name} is no setting, so it has no effect. Is {near[0]} meant?"
            yield Check(group="settings", name=name, verdict="amber", text=text)


def masked(check: Check, environment: Mapping[str, str]) -> Check:
    """The check without any secret of the environment, and without credentials inside an address."""
    secrets = [environment.get(name, "").strip() for name in (*HIDDEN, *OTHER_SECRETS)]
    text = redacted(_CREDENTIALS.sub("********@", check.text), secrets)
    return replace(check, text=text)


def any_red(checks: Sequence[Check]) -> bool:
    """Whether something must be mended."""
    return any(check.verdict == "red" for check in checks)


def as_json(checks: Sequence[Check]) -> JsonValue:
    """For programs."""
    counts = {
        verdict: sum(1 for check in checks if check.verdict == verdict)
        for verdict in ("green", "amber", "red")
    }
    return {
        "checks": [
            {"group": one.group, "name": one.name, "verdict": one.verdict, "text": one.text}
            for one in checks
        ],
        "counts": dict(counts),
        "exit_code": 1 if any_red(checks) else 0,
    }
