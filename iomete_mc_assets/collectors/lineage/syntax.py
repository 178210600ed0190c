"""From text to trees: tokens, statements, and the words that sqlglot's Spark dialect does not know said otherwise.

Everything is done on tokens, which know comments and strings. Means nothing by itself.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from sqlglot import exp
from sqlglot.dialects.spark import Spark
from sqlglot.errors import SqlglotError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from iomete_mc_assets.collectors.lineage.names import parts_of

Tokens = list[Token]

_QUERY_BEGINS = frozenset({"AS", "(", "UNION", "ALL", "EXCEPT", "MINUS", "INTERSECT", "DISTINCT"})
_TARGET_BEGINS = frozenset({"INTO", "OVERWRITE"})
_NAMES = frozenset({TokenType.VAR, TokenType.IDENTIFIER})


class NotUnderstood(Exception):
    """sqlglot gave no tree of the statement."""


class _Spark(Spark):
    """Spark's own tokens, to the end of every statement."""

    class Tokenizer(Spark.Tokenizer):
        """sqlglot takes what follows CALL or OPTIMIZE for one string."""

        COMMANDS: ClassVar[set[TokenType]] = set()


_SPARK = _Spark()
_DIALECT = Spark()


def tokens_of(text: str) -> Tokens | None:
    """The tokens of a text; None where it cannot be cut, as with a string that is never closed."""
    try:
        return _SPARK.tokenize(text)
    except TokenError:
        return None


def statements(tokens: Sequence[Token]) -> Iterator[Tokens]:
    """The statements of a text: a broken one does not spoil the others."""
    current: Tokens = []
    for token in tokens:
        if token.token_type != TokenType.SEMICOLON:
            current.append(token)
        elif current:
            yield current
            current = []
    if current:
        yield current


def words(tokens: Sequence[Token], count: int) -> list[str]:
    """The first words in upper case; empty strings where there are fewer."""
    said = [token.text.upper() for token in tokens[:count]]
    return said + [""] * (count - len(said))


def tree(tokens: Tokens, text: str) -> exp.Expr:
    """The tree of one statement.

    Raises:
        NotUnderstood: no tree, or one that says nothing.
    """
    try:
        trees = _DIALECT.parser().parse(tokens, text)
    except (
        SqlglotError,
        RecursionError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
    ) as error:
        raise NotUnderstood from error
    if len(trees) != 1 or trees[0] is None or isinstance(trees[0], exp.Command):
        raise NotUnderstood
    return trees[0]


def rewritten(tokens: Tokens, text: str, *, quoted_names: bool = False) -> Tokens:
    """The statement in words that sqlglot's Spark dialect parses."""
    first, second = words(tokens, 2)
    if (first, second) == ("REPLACE", "TABLE"):
        tokens = [_word(TokenType.CREATE, "CREATE"), _word(TokenType.OR, "OR"), *tokens]
    elif (first, second) == ("ALTER", "VIEW"):
        replacing = (
            (TokenType.CREATE, "CREATE"),
            (TokenType.OR, "OR"),
            (TokenType.REPLACE, "REPLACE"),
        )
        tokens = [*(_word(kind, said) for kind, said in replacing), *tokens[1:]]
    upper = text.upper()
    if "SYSTEM_" in upper:
        tokens = _versions(tokens)
    if "IDENTIFIER" in upper:
        tokens = _identifiers(tokens)
    if ":" in text:
        tokens = _without_paths(tokens)
    if quoted_names:
        tokens = [_as_name(token, text) for token in tokens]
    inserts = any(token.token_type == TokenType.INSERT for token in tokens)
    if "TABLE" in upper:
        tokens = _tables_as_queries(tokens, inserts=inserts)
    if inserts and "EXISTS" in upper:
        tokens = _without_if_not_exists(tokens)
    return tokens


def _word(kind: TokenType, said: str) -> Token:
    return Token(kind, said)


def _versions(tokens: Tokens) -> Tokens:
    """``FOR SYSTEM_VERSION AS OF`` as ``VERSION AS OF``; likewise SYSTEM_TIME."""
    made: Tokens = []
    for token in tokens:
        instead = _VERSIONS.get(token.text.upper())
        if instead is not None and made and made[-1].text.upper() == "FOR":
            made[-1] = instead
        else:
            made.append(token)
    return made


_VERSIONS = {
    "SYSTEM_VERSION": _SPARK.tokenize("VERSION")[0],
    "SYSTEM_TIME": _SPARK.tokenize("TIMESTAMP")[0],
}


def _identifiers(tokens: Tokens) -> Tokens:
    """``IDENTIFIER('db.t')`` as the name in it; anything computed stays."""
    made: Tokens = []
    at = 0
    while at < len(tokens):
        name = _named(tokens[at : at + 4])
        made += name or tokens[at : at + 1]
        at += 4 if name else 1
    return made


def _named(tokens: Tokens) -> Tokens:
    """The tokens of the name in ``IDENTIFIER ( 'db.t' )``; none for anything else."""
    if [*words(tokens, 2), *words(tokens[3:], 1)] != ["IDENTIFIER", "(", ")"]:
        return []
    parts = parts_of(tokens[2].text) if tokens[2].token_type == TokenType.STRING else []
    made: Tokens = []
    for part in parts:
        made += [_word(TokenType.DOT, ".")] if made else []
        made.append(_word(TokenType.IDENTIFIER, part))
    return made


def _without_paths(tokens: Tokens) -> Tokens:
    """``column:path.to[0].field`` as the column: what hangs on a colon is a path into its text."""
    made: Tokens = []
    at = 0
    types = 0
    while at < len(tokens):
        token = tokens[at]
        if token.token_type == TokenType.LT and made and made[-1].text.upper() in _NESTED:
            types += 1
        elif types and token.token_type == TokenType.GT:
            types -= 1
        if token.token_type == TokenType.COLON and not types and _hangs(tokens, at):
            at = _path_end(tokens, at + 1)
            continue
        made.append(token)
        at += 1
    return made


_NESTED = frozenset({"STRUCT", "ARRAY", "MAP"})


def _hangs(tokens: Tokens, at: int) -> bool:
    """Whether a colon touches a name before it and a name after it."""
    if at == 0 or at + 1 >= len(tokens):
        return False
    before, colon, after = tokens[at - 1 : at + 2]
    touches = before.end + 1 == colon.start and colon.end + 1 == after.start
    ends = before.token_type in _NAMES or before.text in (")", "]")
    return (
        touches and ends and (after.token_type == TokenType.IDENTIFIER or after.text[:1].isalpha())
    )


def _path_end(tokens: Tokens, at: int) -> int:
    """Behind ``a.b['c'][0]``."""
    at += 1
    while at < len(tokens):
        if tokens[at].token_type == TokenType.DOT:
            at += 2
        elif tokens[at].token_type == TokenType.L_BRACKET:
            while at < len(tokens) and tokens[at].token_type != TokenType.R_BRACKET:
                at += 1
            at += 1
        else:
            break
    return at


def _as_name(token: Token, text: str) -> Token:
    if token.token_type == TokenType.STRING and text[token.start : token.start + 1] == '"':
        return Token(
            TokenType.IDENTIFIER, token.text, token.line, token.col, token.start, token.end
        )
    return token


def _tables_as_queries(tokens: Tokens, *, inserts: bool) -> Tokens:
    """``TABLE t`` in a query's place as ``SELECT * FROM t``."""
    made: Tokens = []
    for at, token in enumerate(tokens):
        if token.token_type == TokenType.TABLE and _is_query(tokens, at, inserts=inserts):
            kinds = (TokenType.SELECT, "SELECT"), (TokenType.STAR, "*"), (TokenType.FROM, "FROM")
            made += [_word(kind, said) for kind, said in kinds]
        else:
            made.append(token)
    return made


def _is_query(tokens: Tokens, at: int, *, inserts: bool) -> bool:
    if at == 0 or at + 1 >= len(tokens) or tokens[at + 1].text == "(":
        return False
    before = tokens[at - 1]
    if before.text.upper() in _QUERY_BEGINS:
        return True
    ends = before.token_type in _NAMES or before.text == ")"
    return inserts and ends and before.text.upper() not in _TARGET_BEGINS


def _without_if_not_exists(tokens: Tokens) -> Tokens:
    """``PARTITION (..) IF NOT EXISTS`` without its condition."""
    made: Tokens = []
    at = 0
    while at < len(tokens):
        if (
            made
            and made[-1].text == ")"
            and words(tokens[at : at + 3], 3) == ["IF", "NOT", "EXISTS"]
        ):
            at += 3
            continue
        made.append(tokens[at])
        at += 1
    return made
