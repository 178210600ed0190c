"""A statement without its literals and comments, cut into tokens by the rules of Spark 3.5's lexer (SqlBaseLexer.g4)."""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from iomete_mc_assets.query_tags import COMMENT

MASK = "?"

# `refused` is what Spark never runs and reads otherwise than a person or a later Spark: a hint that cannot be followed to
# its end, the end of a comment without its begin, a bare backslash, r'...' behind a letter such as é. What is like a
# number and none, as 1.5abc or 0x1F, goes with the numbers. $$...$$ is a string for other engines only. `plain` is for speed alone: what the rules below would cut into words and signs.
_TOKEN: Final = re.compile(
    r"""
      (?P<plain> (?! [ ] ) (?: [ ]?+ (?: (?! [rRxX]['"] ) [A-Za-z_][A-Za-z0-9_]*+ (?! [^\x00-\x7f\s] )
                                     | [,()=<>|] | \.(?![0-9]) ) )++ )
    | (?P<space> \s+ )
    | (?P<comment> -- (?: \\\n | [^\r\n] )*+ \r?\n? )
    | (?P<hint> /\*\+ (?: [^*/'"`\\$-] | \*(?!/) | /(?!\*) | -(?!-) | \$(?!\w*\$)
                        | '[^'*\\]*+' | "[^"*\\]*+" | `[^`*\\]*+` )*+ \*/ )
    | (?P<refused> /\*\+ | \*/ | \\
        | (?= [A-Za-z0-9_]*+ [^\x00-\x7f\s] ) [^\s\x00-/:-@\[-^`{-\x7f]++ (?<= [rR] ) (?= ['"] ) )
    | (?P<bracketed> /\* )
    | (?P<literal>
          [rR] (?: '[^']*+' | "[^"]*+" )
        | [xX]? (?: ' [^'\\]*+ (?: \\. [^'\\]*+ )*+ ' | " [^"\\]*+ (?: \\. [^"\\]*+ )*+ " )
        | \$ (?P<tag>\w*) \$ (?: [^'"`\\$/-] | /(?!\*) | -(?!-) )*+ \$ (?P=tag) \$
        | (?: 0[xX][0-9a-fA-F]+ (?!\w)
            | [0-9]+ [eE][+-][0-9]\w*
            | [0-9]+ (?: [eE][0-9]+ )? (?: [lLsSyYfFdD] | [bB][dD] )? (?!\w)
            | (?<! [A-Za-z0-9_`] ) \.[0-9]\w* (?: (?<= [eE] ) [+-][0-9]\w* )?
            | \.[0-9]+ (?: [eE][+-]?[0-9]+ )? (?: [fFdD] | [bB][dD] )? (?!\w)
          ) (?: \.[\w.]* (?: (?<= [eE] ) [+-][0-9][\w.]* )? )? )
    | (?P<quoted> ` [^`]*+ (?: `` [^`]*+ )*+ ` )
    | (?P<word> [^\s\x00-/:-@\[-^`{-\x7f]+ )
    | (?P<unclosed> ['"`] | \$\w*\$ )
    | (?P<sign> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_BRACKET: Final = re.compile(r"/\*(?!\+)|\*/")
_BLANK: Final = frozenset({"space", "comment", "hint", "bracketed"})
_UNTOLD: Final = frozenset({"refused", "unclosed"})


def masked(text: str) -> str | None:
    """The text with ``?`` for every literal, and without hints and comments (but ``query_tags``), which may hold anything.

    None where it cannot be told what is a literal, as behind a string that is never closed.
    """
    said: list[str] = []
    for blank, run in groupby(_tokens(text), key=lambda token: token[0] in _BLANK):
        tokens = list(run)
        if tokens[-1][0] == "unclosed":
            return None
        said += [_blank(tokens)] if blank else (_shown(kind, one) for kind, one in tokens)
    return "".join(said)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """What kind each token is of, and the token: all of the text, or to where it cannot be told any more."""
    at = 0
    while found := _TOKEN.match(text, at):
        kind = found.lastgroup or ""
        end: int | None = found.end()
        if kind == "bracketed":
            end = _end_of_comment(text, at)
        if kind in _UNTOLD or end is None:
            yield "unclosed", text[at:]
            return
        yield kind, text[at:end]
        at = end


def _end_of_comment(text: str, start: int) -> int | None:
    """Behind the bracket that closes the one at the start; they nest, and hints do not."""
    open_ones = 0
    for bracket in _BRACKET.finditer(text, start):
        open_ones += -1 if bracket[0] == "*/" else 1
        if not open_ones:
            return bracket.end()
    return None


def _shown(kind: str, token: str) -> str:
    if kind == "literal" or (kind == "word" and not token.isascii()):
        return MASK  # a bare word with typographic quotes in it is no name and may be anything
    return token


def _blank(tokens: Iterable[tuple[str, str]]) -> str:
    """Space as it is; of comments and hints one space is left, and tags, which name jobs alone."""
    said = list(tokens)
    if all(kind == "space" for kind, _ in said):
        return "".join(token for _, token in said)
    tags = (COMMENT.match(token) for kind, token in said if kind == "comment")
    return "".join(f"{tag[0]}\n" for tag in tags if tag) or " "
