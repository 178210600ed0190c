"""Masking against Spark's own lexer: what it takes for a literal, a comment or a hint stands in no masked text."""

import json
import random
import re
import subprocess
import sys

from iomete_mc_assets.collectors.masking import masked

SEED = 5
TEXTS = 1_500
PIECES = (
    *("'", '"', "`", "''", "``", "r'", 'R"', "x'", "\\", "\\'", "$$", "$w$", "${"),
    *("--", "/*", "/*+", "*/", "/*/", "\n", "\\\n", "\r", "\r\n", "\\\r\n", "-", "/", "*"),
    *("5", "1.5", "e-3", ".", "0x", "BD", "_", "://", "a://", "\u00e9", "\u2019", "\u00a0", ";"),
)
CLOSED = (
    *(
        "'{}'",
        '"{}"',
        "r'{}\\'",
        "x'{}'",
        "'\\'{}'",
        "'''{}'",
        "-- {}\n",
        "-- \\\n{}\n",
        "--\\\\\n{}\r",
    ),
    *("/* {} */", "/* /* */ {} */", "/*+ f({}) */", "/*+ '{}' */", "1.5{}", "\u2018{}\u2019", " "),
)
SILENT = re.compile(r"STRING|COMMENT|_LITERAL|_VALUE")
"""Spark's kinds of tokens of which nothing may be seen."""


def written(dice: random.Random) -> str:
    """A text in which every word, wherever it may stand, is another one."""
    said: list[str] = []
    for at in range(dice.randrange(2, 14)):
        kind = dice.random()
        word = f"w{at}x"
        said.append(
            word
            if kind < 0.35
            else dice.choice(CLOSED).format(word)
            if kind < 0.75
            else dice.choice(PIECES)
        )
        said.append(dice.choice(("", " ")))
    return "".join(said)


def words(text: str) -> set[str]:
    return set(re.findall(r"w\d+x", text))


def names(tokens: list[tuple[str, str]]) -> set[str]:
    """The words that Spark takes for no literal, outside of comments and hints."""
    said: set[str] = set()
    in_hint = False
    for kind, text in tokens:
        in_hint = kind == "HENT_START" or (in_hint and kind != "HENT_END")
        if not in_hint and not SILENT.search(kind):
            said |= words(text)
    return said


def test_what_spark_takes_for_a_literal_or_a_comment_is_in_no_masked_text() -> None:
    dice = random.Random(SEED)  # noqa: S311 - content, not secrets
    texts = [written(dice) for _ in range(TEXTS)]
    program = [sys.executable, "-m", "iomete_mc_assets_tests.spark_tokens"]
    spark = subprocess.run(  # noqa: S603 - our own
        program, check=False, capture_output=True, text=True, input=json.dumps(texts)
    )
    assert spark.returncode == 0, spark.stderr[-3000:]
    told = [
        (text, said, names(tokens))
        for (text, said), tokens in zip(
            ((text, masked(text)) for text in texts), json.loads(spark.stdout), strict=True
        )
    ]
    assert [one for one in told if words(one[1] or "") - one[2]] == []
    shown = [one for one in told if one[1] is not None and one[2] and one[2] != words(one[0])]
    assert len(shown) > TEXTS / 5
