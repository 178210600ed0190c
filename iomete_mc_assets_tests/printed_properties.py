"""Properties as Spark prints them in a session of ours; a boundary test compares it with Spark itself."""

import re
from collections.abc import Mapping

from iomete_mc_assets.warehouse.properties import HIDDEN, REDACTED


def hidden(properties: Mapping[str, str]) -> dict[str, str]:
    """As SHOW TBLPROPERTIES lists them."""
    hides = re.compile(HIDDEN)
    return {
        name: REDACTED if hides.search(name) or hides.search(value) else value
        for name, value in properties.items()
    }


def printed(properties: Mapping[str, str]) -> str:
    """As a block has them in one line, unescaped."""
    pairs = (f"{name}={value}" for name, value in sorted(hidden(properties).items()))
    return f"[{', '.join(pairs)}]"
