"""Texts that differ in literals, comments and spaces only have one shape, and are parsed once. Parses nothing.

Both passes run inside ``re`` without a call back into Python, and never look at a character twice:
an open quote or comment goes to the end of the text.
"""

import hashlib
import re

_STRING = r"""'(?:[^'\\]|\\.?+|'')*+(?:'|\Z)|"(?:[^"\\]|\\.?+|"")*+(?:"|\Z)"""
_NAME = r"`(?:[^`]|``)*+(?:`|\Z)"
_BLANK = r"(?:--[^\n]*+|/\*(?!\+).*?(?:\*/|\Z)|\s)++"
_BLANKS = re.compile(rf"({_STRING}|{_NAME})|{_BLANK}", re.DOTALL)
_NUMBER = r"(?<![\w.`])\d++(?:\.\d*+)?(?:[eE][+-]?\d++)?(?:BD|[LSYDF])?\b"
_LITERALS = re.compile(rf"({_NAME})|[rR]?(?:{_STRING})|{_NUMBER}", re.DOTALL)
_LIST = re.compile(r"\( ?\?(?: ?, ?\?)++ ?\)")
_NAMING = re.compile(
    r"\b(?:identifier|stack|inline|inline_outer|pivot|unpivot)\b|execute\s+immediate|`[^`]*/",
    re.IGNORECASE,
)
"""Words beside which a literal is, or makes, a name. (An expression of CREATE .. AS that nobody named
gets no edge here, so its literals do not matter.)"""


def digest(text: str) -> bytes:
    """What texts are told apart by."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()


def shape_of(text: str) -> str:
    """The text without comments and literals."""
    without_comments = _BLANKS.sub(r"\1 ", text)
    without_literals = _LITERALS.sub(r"\1?", without_comments)
    return _LIST.sub("(?)", without_literals)


def key_of(text: str, shape: str, *, quoted_names: bool = False) -> bytes:
    """The digest of what decides a text's lineage: its shape, or all of it where literals may be names."""
    if (quoted_names and '"' in text) or _NAMING.search(shape) is not None:
        return digest(text)
    return digest(shape)
