"""A statement without its literals, told token by token by sqlglot; loaded only where something is masked."""

from typing import ClassVar

from sqlglot.dialects.spark import Spark
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from iomete_mc_assets.query_tags import COMMENT

MASK = "?"

_LITERALS = frozenset(
    {
        TokenType.STRING,
        TokenType.NUMBER,
        TokenType.BIT_STRING,
        TokenType.HEX_STRING,
        TokenType.BYTE_STRING,
        TokenType.NATIONAL_STRING,
        TokenType.NATIONAL_RAW_STRING,
        TokenType.RAW_STRING,
        TokenType.HEREDOC_STRING,
        TokenType.UNICODE_STRING,
    }
)


class _Spark(Spark):
    """Spark's own tokens, to the end of every statement."""

    class Tokenizer(Spark.Tokenizer):
        """sqlglot takes what follows CALL or OPTIMIZE for one string."""

        COMMANDS: ClassVar[set[TokenType]] = set()


def masked(text: str) -> str | None:
    """The text with ``?`` for every literal, and without hints and comments (but ``query_tags``), which may hold anything.

    None where it cannot be cut into tokens, as a string that is never closed.
    """
    try:
        tokens = _Spark().tokenize(text)
    except TokenError:
        return None
    pieces: list[str] = []
    behind = 0
    for token in tokens:
        if token.start < behind:
            continue  # 10L is a number, and a cast that nobody wrote
        pieces += (_blank(text[behind : token.start]), _shown(token, text))
        behind = token.end + 1
    pieces.append(_blank(text[behind:]))
    return "".join(pieces)


def _shown(token: Token, text: str) -> str:
    said = text[token.start : token.end + 1]
    if token.token_type == TokenType.HINT:
        return ""
    if token.token_type in _LITERALS or not _nameable(token, said):
        return MASK
    return said


def _nameable(token: Token, said: str) -> bool:
    """False for a bare word that Spark takes for no name, e.g. 1.5abc: it may be anything."""
    if token.token_type not in {TokenType.VAR, TokenType.IDENTIFIER} or said.startswith("`"):
        return True
    bare = said.replace("_", "")
    return bare.isascii() and (bare.isalnum() or not bare)


def _blank(between: str) -> str:
    """What stands between two tokens: space, or comments, of which one space is left, and tags, which name jobs alone."""
    if not between or between.isspace():
        return between
    return "".join(f"{tag}\n" for tag in COMMENT.findall(between)) or " "
