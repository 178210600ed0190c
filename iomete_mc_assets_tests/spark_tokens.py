"""``python -m`` this: texts as JSON on stdin, the tokens Spark's own lexer cuts them into on stdout.

A process of its own, because Spark's Java lives in the process that starts it and does not leave it.
"""

# pyright: reportUnknownVariableType=false

import json
import os
import sys
from itertools import pairwise
from typing import Any

from pyspark.java_gateway import launch_gateway

from iomete_mc_assets.sandbox import java


def main() -> None:
    """Each token as the name of its kind and its text."""
    os.environ["JAVA_HOME"] = str(java.find(os.environ).home)
    gateway: Any = launch_gateway()
    try:
        names = gateway.jvm.org.apache.spark.sql.catalyst.parser.SqlBaseLexer.VOCABULARY
        json.dump([_tokens(gateway.jvm, names, text) for text in json.load(sys.stdin)], sys.stdout)
    finally:
        gateway.shutdown()


def _tokens(jvm: Any, names: Any, text: str) -> list[tuple[str, str]]:
    stream = jvm.org.antlr.v4.runtime.CharStreams.fromString(text)
    parser = jvm.org.apache.spark.sql.catalyst.parser
    said = parser.SqlBaseLexer(parser.UpperCaseCharStream(stream)).getAllTokens()
    starts = [(names.getSymbolicName(one.getType()), one.getStartIndex()) for one in said]
    ends = pairwise([*(start for _, start in starts), len(text)])
    return [(name, text[start:end]) for (name, _), (start, end) in zip(starts, ends, strict=True)]


if __name__ == "__main__":
    main()
