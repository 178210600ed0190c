"""How much of a query's text may be kept: all of it, all but its literals, or nothing. Literals are told in ``masking``."""

from iomete_mc_assets.collectors.masking import masked
from iomete_mc_assets.settings import QueryText

WITHHELD = "/* query text withheld */"
UNMASKABLE = "/* query text withheld: its literals could not be told apart */"


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
