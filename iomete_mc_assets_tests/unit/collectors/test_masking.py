"""Masking: no literal survives, everything else does."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.collectors.masking import masked
from iomete_mc_assets.collectors.query_text import UNMASKABLE, WITHHELD, kept

SECRETS = "zqQ0123456789"
"""Characters that stand in literals and in comments only."""

plain = st.sampled_from(
    [
        *(
            "SELECT",
            "from",
            "Where",
            "ORDER BY",
            "t",
            "db.orders",
            "_x",
            "`a b``c-'d`",
            "café_"[:3],
        ),
        *("(", ")", ",", "=", "<>", "||", "*", "-", "->", "::", "[", "]", ";", "INTERVAL", "DATE"),
        *("CALL", "OPTIMIZE", "SHOW", "EXPLAIN", "SET", "NULL", "TRUE", "?", ":name", "@v"),
    ]
)
inside = st.text(f"{SECRETS} -/*;ab\n`$éλ", max_size=12)


def quoted_by(quote: str) -> st.SearchStrategy[str]:
    other = "'" if quote == '"' else '"'
    escaped = st.sampled_from([f"\\{quote}", "\\\\", other, f"{quote}{quote}"])
    return st.lists(inside | escaped, max_size=4).map(lambda bits: f"{quote}{''.join(bits)}{quote}")


strings = quoted_by("'") | quoted_by('"')
digits = st.text("0123456789", min_size=1, max_size=9)
numbers = st.one_of(
    digits,
    st.tuples(digits, digits).map(".".join),
    st.tuples(digits, st.sampled_from(["L", "S", "Y", "D", "F", "BD"])).map("".join),
    st.tuples(digits, st.sampled_from("eE"), st.sampled_from(["", "-", "+"]), digits).map("".join),
    st.text("0123456789ABCDEF", min_size=2, max_size=8).map(lambda hexed: f"X'{hexed}'"),
)
lines = inside.filter(lambda text: "\n" not in text)
comments = st.one_of(
    st.lists(lines, min_size=1, max_size=3).map(lambda said: "--" + "\\\n".join(said) + "\n"),
    st.tuples(lines, st.sampled_from(["\r", "\r\n", "\\\r\n"])).map(
        lambda said: f"--{''.join(said)}"
    ),
    st.tuples(lines, lines)
    .filter(lambda said: not re.search(r"/\*|\*/|[*/]\Z", said[0] + " " + said[1]))
    .map(lambda said: f"/* {said[0]} /* {said[1]} */ {said[0]} */"),
    inside.filter(lambda text: "*/" not in text and "/*" not in text).map(
        lambda text: f"/* {text} */"
    ),
    # Spark cuts a hint into tokens, so quotes, dollars and marks of comments in it are what they are elsewhere
    inside.filter(lambda text: not re.search(r"\*/|/\*|--|`|\$", text)).map(
        lambda text: f"/*+ {text} */"
    ),
)


@given(st.lists(st.one_of(plain, strings, numbers)))
def test_literals_are_masked_and_everything_else_is_as_it_was(pieces: list[str]) -> None:
    said = kept(" ".join(pieces), "masked").split(" ")
    expected = [piece if piece[:1] not in f"'\"X{SECRETS}" else "?" for piece in pieces]
    shown = " ".join(said).replace("??", "?")  # 'a''b' is two strings, one beside the other
    while "??" in shown:
        shown = shown.replace("??", "?")
    assert shown == " ".join(expected)


@given(st.lists(st.one_of(plain, strings, numbers, comments)), st.sampled_from([" ", "\n", "\t  "]))
def test_nothing_of_a_literal_or_a_comment_survives(pieces: list[str], between: str) -> None:
    assert not set(kept(between.join(pieces), "masked")) & set(SECRETS)


@pytest.mark.parametrize("hint", ["/*+ $$ */", "/*+ $a$ */"])
def test_a_hint_that_opens_what_spark_knows_no_end_of_withholds_the_text(hint: str) -> None:
    assert masked(f"SELECT {hint} 'secret'") is None


@given(st.text(f"{SECRETS}'\"`\\-/*+$.ab (){{}}%#\n"))
def test_any_text_is_masked_or_withheld_and_a_second_masking_changes_nothing(text: str) -> None:
    once = masked(text)
    if once is not None:
        again = masked(once)
        assert again is not None
        assert again.split() == once.split()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SELECT 10L, 1.5BD, 0x1F, r'\\d', -5", "SELECT ?, ?, ?, ?, -?"),
        ("SELECT * FROM 2024_orders WHERE x = 1.5abc", "SELECT * FROM 2024_orders WHERE x = ?"),
        (
            "CALL s.system.expire(table => 'ann', n => 5)",
            "CALL s.system.expire(table => ?, n => ?)",
        ),
        ("OPTIMIZE db.t WHERE d > '2026'", "OPTIMIZE db.t WHERE d > ?"),
        ("SELECT /*+ REPARTITION(5) */ a -- 'ann'\nFROM t", "SELECT a FROM t"),
        ("SELECT 1 -/*+ x */- 2", "SELECT ? - - ?"),
        ("select 1 -- foo \\\n secret comment\n, 2", "select ? , ?"),
        (
            "select * from people -- the owner\\\n's rows\nwhere name = 'al' -- the owner\\\n's rows",
            "select * from people where name = ? ",
        ),
        ("SELECT a -- ann\\\r\n, b -- ann\r, c -- ann", "SELECT a , b , c "),
        ("SELECT /* /* ann */ it's */ a, r'\\', b", "SELECT a, ?, b"),
        ("SELECT /* /*+ ann */ a", "SELECT a"),
        ("SELECT /*+ f('ann', `b`) */ a", "SELECT a"),
        ("SELECT $$ann lee$$, $x$ann$x$, ${day}", "SELECT ?, ?, ${day}"),
        ("SELECT .5abc, 1e-5abc, db.2024_orders", "SELECT ?, ?, db.2024_orders"),
        ("SELECT $$it's$$", UNMASKABLE),
        ("SELECT */*ann*/ FROM t", UNMASKABLE),
        ("SELECT /*+ f('*/ ann') */ a", UNMASKABLE),
        ("SELECT /* /* ann */ a", UNMASKABLE),
        ("SELECT \\'ann\\'", UNMASKABLE),
        ("SELECT \u00e9r'\\' 'ann' '--'", UNMASKABLE),
        ("SELECT `it's 5` FROM t", "SELECT `it's 5` FROM t"),
        ("SELECT \u2018ann\u2019", "SELECT ?"),
        ("SELECT 'never closed", UNMASKABLE),
        ("SELECT 'a' /* 'never closed", UNMASKABLE),
        ("", ""),
    ],
)
def test_what_spark_writes(text: str, shown: str) -> None:
    assert kept(text, "masked") == shown


def test_whole_is_whole_and_none_is_nothing() -> None:
    assert kept("SELECT 'ann'", "whole") == "SELECT 'ann'"
    assert kept("SELECT 'ann'", "none") == WITHHELD
