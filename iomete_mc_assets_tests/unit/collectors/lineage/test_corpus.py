"""The labelled corpus: the bars of the design, with and without sqlglot's C build."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sqlglot
import sqlglot.parser

from iomete_mc_assets.collectors.lineage.statements import read_text
from iomete_mc_assets_tests.lineage_scoring import Score, corpus, corpus_catalog, pairs, session_of

IS_COMPILED = not str(sqlglot.parser.__file__).endswith(".py")


def test_the_corpus_is_read_as_it_is_labelled() -> None:
    catalog = corpus_catalog()
    score = Score()
    for case in corpus():
        score.add(case, read_text(case.sql, session_of(case), catalog))
    told = "\n".join(score.faults)
    assert score.tables.precision >= 0.995, told
    assert score.tables.recall >= 0.995, told
    assert score.columns.precision >= 0.985, told
    assert score.columns.recall >= 0.975, told
    assert (score.indirect.right, score.indirect.wrong, score.indirect.missing) == (15, 0, 0), told
    assert score.invented == []


def test_nothing_but_the_fields_of_a_struct_is_missing() -> None:
    """The corpus's catalog has no types, so ``address.*`` cannot be listed."""
    catalog = corpus_catalog()
    score = Score()
    for case in corpus():
        score.add(case, read_text(case.sql, session_of(case), catalog))
    assert [fault.partition(":")[0] for fault in score.faults] == ["star-06"]


def everything() -> str:
    """All edges of the corpus as one text, for comparing two interpreters."""
    catalog = corpus_catalog()
    found: list[object] = []
    for case in corpus():
        reading = read_text(case.sql, session_of(case), catalog)
        tables = pairs(((key, None) for key in edge) for edge in reading.edges.tables)
        columns = [sorted(pairs(edges)) for edges in (reading.edges.direct, reading.edges.indirect)]
        found.append(
            [case.id, sorted(tables), *columns, sorted(reading.skipped), sorted(reading.doubts)]
        )
    return json.dumps(found)


@pytest.mark.skipif(not IS_COMPILED, reason="sqlglot's C build (extra fast) is not installed")
def test_the_edges_are_the_same_without_the_c_build(tmp_path: Path) -> None:
    """A copy of sqlglot without its compiled modules, in a process of its own."""
    compiled = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(Path(sqlglot.__file__).parent, tmp_path / "sqlglot", ignore=compiled)
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
        "import sqlglot.parser; assert sqlglot.parser.__file__.endswith('.py'); "
        f"from {__name__} import everything; print(everything())"
    )
    words = [sys.executable, "-c", program]
    said = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: S603 - our own
    assert said.stdout.strip() == everything()
