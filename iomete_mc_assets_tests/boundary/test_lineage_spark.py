"""Lineage against Spark's own analyzer: the sandbox's workload, and random statements over its tables."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from iomete_mc_assets.collectors.lineage.model import SESSION_CATALOG, TableKey
from iomete_mc_assets.collectors.lineage.names import parts_of
from iomete_mc_assets.collectors.lineage.statements import read_text
from iomete_mc_assets.collectors.lineage.tables import Catalog, Columns
from iomete_mc_assets_tests.lineage_scoring import Case, Pairs, Score, session_of

SEED = 1
STATEMENTS = 320


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("labels")
    program = "iomete_mc_assets_tests.spark_labels"
    words = [sys.executable, "-m", program, str(SEED), str(STATEMENTS), str(folder)]
    said = subprocess.run(words, check=False, capture_output=True, text=True)  # noqa: S603 - our own
    assert said.returncode == 0, said.stderr[-3000:]
    lines = (folder / "labels.jsonl").read_text().splitlines()
    return catalog(folder / "tables.json"), [json.loads(line) for line in lines]


def catalog(file: Path) -> Catalog:
    tables: dict[TableKey, Columns] = {}
    for name, columns in json.loads(file.read_text()).items():
        parts = tuple(part.casefold() for part in parts_of(name))
        key = parts if parts[0] in {"lake", SESSION_CATALOG} else (SESSION_CATALOG, *parts)
        tables[key] = tuple((column.casefold(), kind) for column, kind in columns)
    return Catalog(tables, ["lake"])


def scored(known: Catalog, labels: list[dict[str, Any]]) -> Score:
    score = Score()
    for at, label in enumerate(labels):
        tables = edges(label, "tables")
        # what only the condition of an UPDATE reads may be told or not
        optional = frozenset((read, target) for read in label["reads"] for _, target in tables)
        case = Case(
            id=str(at),
            sql=label["sql"],
            database="default",
            tables=tables,
            optional_tables=optional if label["sql"].startswith("UPDATE") else frozenset(),
            columns=edges(label, "columns"),
            indirect=edges(label, "indirect"),
        )
        score.add(case, read_text(case.sql, session_of(case), known))
    return score


def edges(label: dict[str, Any], name: str) -> Pairs:
    return frozenset((source, target) for source, target in label[name])


@pytest.mark.nightly
def test_random_statements_are_read_as_spark_resolves_them(
    labels: tuple[Catalog, list[dict[str, Any]]],
) -> None:
    known, all_labels = labels
    random = [one for one in all_labels if one["origin"] == "random" and one["error"] is None]
    assert len(random) >= 300
    score = scored(known, random)
    told = "\n".join(score.faults)
    assert (score.tables.precision, score.tables.recall) == (1, 1), told
    assert score.columns.precision >= 0.99, told
    assert score.columns.recall >= 0.98, told
    assert score.indirect.missing == 0, told
    assert score.columns.right > 700


def test_every_statement_of_the_workload_agrees_with_spark(
    labels: tuple[Catalog, list[dict[str, Any]]],
) -> None:
    """Those that Spark refuses have no label: the shop's history shows failures and noise, too."""
    known, all_labels = labels
    workload = [one for one in all_labels if one["origin"] == "workload" and one["error"] is None]
    score = scored(known, workload)
    assert score.faults == []
    assert score.tables.right >= 1
