"""Where a query's text begins, and how much of it may be kept: all of it, all but its literals, or nothing.

Literals are told in ``masking``.
"""

import re

from iomete_mc_assets.collectors.masking import masked
from iomete_mc_assets.settings import QueryText

WITHHELD = "/* query text withheld */"
UNMASKABLE = "/* query text withheld: its literals could not be told apart */"

_LEADING = re.compile(r"(?:\s+|/\*.*?\*/|--[^\n]*(?:\n|$)|;)*", re.DOTALL)


def bare_text(text: str) -> str:
    """A statement without the white space, comments and semicolons before it."""
    found = _LEADING.match(text)
    return text[found.end() :] if found else text


def kept(text: str, how: QueryText) -> str:
    """What may be written down of a query's text.

    Args:
        text: as it was logged.
        how: ``whole``, ``masked`` or ``none``. A text whose literals cannot be told apart is not
            masked but withheld, as ``UNMASKABLE``.
    """
    if how == "whole":
        return text
    if how == "none":
        return WITHHELD
    said = masked(text)
    return UNMASKABLE if said is None else said
