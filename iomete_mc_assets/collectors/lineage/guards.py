"""What may be parsed at all, and how far: by first word, by size, by depth. Looks at text only, in linear time."""

import re
from typing import Literal

from iomete_mc_assets.collectors.lineage.model import Skip

MAX_TEXT = 256 * 1024
"""Characters. Beyond it a text is not parsed."""
MAX_TEXT_FOR_COLUMNS = 64 * 1024
"""Characters. Beyond it only tables are told."""
MAX_BRACKETS = 200
"""Nested ``(``, ``[`` or CASE; sqlglot's C build ends the whole process at some thousands."""
MAX_TYPES = 50
"""Nested ``array<`` and their like: 500 take four seconds, 3,000 more than a minute."""

READS_ONLY = frozenset({"SELECT", "VALUES", "TABLE", "(", "MAP", "REDUCE"})
"""First words of statements that write nothing."""
WITHOUT_LINEAGE = frozenset(
    {
        *("SHOW", "DESCRIBE", "DESC", "EXPLAIN", "RESET", "REFRESH", "ANALYZE", "CALL", "MSCK"),
        *("GRANT", "REVOKE", "ADD", "LIST", "UNCACHE", "CLEAR", "TRUNCATE", "COMMENT", "BEGIN"),
        *("COMMIT", "ROLLBACK", "OPTIMIZE", "VACUUM", "LISTING", "LOAD", "REPAIR", "LOCK"),
        *("UNLOCK", "START", "END", "DFS", "EXPORT", "IMPORT", "DECLARE"),
    }
)
"""First words of statements that say nothing of lineage and leave the session as it is."""

Noise = Literal["reads only", "without lineage"]

_BLANK = r"(?:\s+|--[^\n]*+|/\*(?!\+).*?(?:\*/|\Z))*+"
_FIRST_WORD = re.compile(rf"{_BLANK}(\w+|\(|)", re.DOTALL)
_MORE = re.compile(r";\s*+[^\s;]")
_DEPTH = re.compile(
    r"`(?:[^`]|``)*+(?:`|\Z)|(?P<open>[(\[]|\bcase\b)|(?P<close>[)\]]|\bend\b)"
    r"|(?P<type>\b(?:array|map|struct)\s*<)|(?P<end>>)",
    re.IGNORECASE,
)


def noise_of(text: str) -> Noise | None:
    """Why a text needs no parser; None for one that may write, change the session, or hold several statements."""
    if _MORE.search(text) is not None:
        return None
    found = _FIRST_WORD.match(text)
    word = "" if found is None else found[1].upper()
    if word in READS_ONLY:
        return "reads only"
    if word in WITHOUT_LINEAGE or not word:
        return "without lineage"
    return None


def too_large(text: str) -> Skip | None:
    """Whether the text is too long to be parsed."""
    return "too large" if len(text) > MAX_TEXT else None


def too_deep(shape: str) -> Skip | None:
    """Whether brackets are nested too deeply in a text without its literals and comments."""
    depth = types = 0
    for found in _DEPTH.finditer(shape):
        kind = found.lastgroup
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth = max(depth - 1, 0)
        elif kind == "type":
            types += 1
        elif kind == "end":
            types = max(types - 1, 0)
        if depth > MAX_BRACKETS or types > MAX_TYPES:
            return "nested too deeply"
    return None
