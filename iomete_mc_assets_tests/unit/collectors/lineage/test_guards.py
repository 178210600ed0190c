"""Guards and shapes: what is parsed, and what counts as the same."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.collectors.lineage import guards, shapes
from iomete_mc_assets_tests import lineage_texts


@pytest.mark.parametrize(
    ("text", "noise"),
    [
        ("SELECT 1", "reads only"),
        ("/* a */ -- b\n (select 1)", "reads only"),
        ("show tables", "without lineage"),
        ("Listing databases 'catalog : null'", "without lineage"),
        ("", "without lineage"),
        ("SELECT 1; INSERT INTO t SELECT 2", None),
        ("SELECT 1;  ", "reads only"),
        ("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", None),
        ("USE raw", None),
        ("CACHE TABLE x AS SELECT 1", None),
        ("SET spark.sql.ansi.doubleQuotedIdentifiers=true", None),
    ],
)
def test_the_first_word_decides_what_needs_no_parser(text: str, noise: str | None) -> None:
    assert guards.noise_of(text) == noise


@pytest.mark.parametrize("name", lineage_texts.nested(1))
def test_what_nests_too_deeply_is_stopped_before_the_parser(name: str) -> None:
    """What has no bracket (NOT, signs, columns, quotes) is left to the process that can be killed."""
    unbracketed = {"nots", "signs", "columns", "quotes", "comments"}
    shallow = shapes.shape_of(lineage_texts.nested(49)[name])
    deep = shapes.shape_of(lineage_texts.nested(201)[name])
    assert guards.too_deep(shallow) is None
    assert guards.too_deep(deep) == (None if name in unbracketed else "nested too deeply")


def test_comparisons_are_no_nested_types() -> None:
    assert guards.too_deep(f"SELECT {', '.join(['a < b'] * 300)} FROM t") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT 'a' FROM t", "SELECT 'b''c' FROM t"),
        ("SELECT 1 FROM t -- x", "SELECT  27.5e3 /* y */ FROM t "),
        ("a IN (1, 2, 3)", "a IN ( 4,5 )"),
        ("x = r'a\\'", 'x = "it\\"s"'),
    ],
)
def test_literals_comments_and_spaces_do_not_make_a_shape(one: str, other: str) -> None:
    def told(text: str) -> str:
        return shapes.shape_of(text).rstrip().replace("( ", "(")

    assert told(one) == told(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT * FROM IDENTIFIER('a')", "SELECT * FROM IDENTIFIER('b')"),
        (
            "SELECT * FROM t PIVOT (max(c) FOR b IN ('x'))",
            "SELECT * FROM t PIVOT (max(c) FOR b IN ('y'))",
        ),
        ("SELECT `a` FROM t", "SELECT `b` FROM t"),
        ("SELECT * FROM parquet.`/a`", "SELECT * FROM parquet.`/b`"),
        ("SELECT stack(1, a, b) FROM t", "SELECT stack(2, a, b) FROM t"),
        ("SELECT a1 FROM t", "SELECT a2 FROM t"),
        ("SELECT '--' , a FROM t", "SELECT '--' , b FROM t"),
    ],
)
def test_a_name_is_never_folded(one: str, other: str) -> None:
    keys = {shapes.key_of(text, shapes.shape_of(text)) for text in (one, other)}
    assert len(keys) == 2


inside = st.text("zq -/*;`(\n", max_size=9)
literals = st.one_of(
    inside.map(lambda text: f"'{text}'"),
    inside.map(lambda text: f'"{text}\\""'),
    inside.map(lambda text: f"r'{text}'"),
    st.integers(0, 10**9).map(str),
    st.floats(0, 10**6, allow_nan=False).map(lambda number: f"{number:.3f}"),
)
comments = inside.filter(lambda text: "*/" not in text and "/*" not in text).map("/* {} */".format)
words = st.sampled_from(["SELECT", "a1", "FROM", "`x'y`", "(", ",", "=", "b_2", "||", "->"])


@given(st.lists(st.tuples(words, literals, literals, comments, comments), min_size=1))
def test_a_shape_holds_every_word_and_no_literal(
    pieces: list[tuple[str, str, str, str, str]],
) -> None:
    """Two texts of the same words whose literals and comments are different throughout."""
    one = " ".join(f"{word} {first}{comment}" for word, first, _, comment, _ in pieces)
    other = "\n".join(f"{word}  {second}{comment} " for word, _, second, _, comment in pieces)
    shape = shapes.shape_of(one)
    assert shape.split() == shapes.shape_of(other).split()
    assert "".join(shape.replace("?", "").split()) == "".join(word for word, *_ in pieces)


@pytest.mark.parametrize("piece", ["'\\", "/*", '"\\"', "`", "( ?, ?", "''", "--", "'\n"])
def test_the_shape_of_hostile_text_takes_linear_time(piece: str) -> None:
    """Eight times the text takes a quadratic pass 64 times as long; a busy machine is not that uneven."""

    def seconds(times: int) -> float:
        text = piece * times
        begun = time.process_time()
        guards.noise_of(text)
        guards.too_deep(shapes.shape_of(text))
        return time.process_time() - begun

    short = max(min(seconds(8_000) for _ in range(3)), 0.001)
    assert min(seconds(64_000) for _ in range(3)) < 30 * short
