"""The labelled corpus of lineage cases, and precision and recall against labels; extracts nothing."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from iomete_mc_assets.collectors.lineage.model import (
    SESSION_CATALOG,
    Place,
    Reading,
    Session,
    TableKey,
)
from iomete_mc_assets.collectors.lineage.tables import Catalog

FOLDER = Path(__file__).parent / "goldens" / "lineage"
Pairs = frozenset[tuple[str, str]]
NO_PAIRS: Pairs = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The statements of one session, and the edges that they have; optional ones may be found or not."""

    id: str
    sql: str
    database: str
    tables: Pairs
    optional_tables: Pairs = NO_PAIRS
    columns: Pairs
    indirect: Pairs
    optional_columns: Pairs = NO_PAIRS


@dataclass(slots=True)
class Count:
    right: int = 0
    wrong: int = 0
    missing: int = 0

    def add(self, found: Pairs, expected: Pairs, neutral: Pairs = NO_PAIRS) -> None:
        """Edges of one case."""
        self.right += len(found & expected)
        self.wrong += len(found - expected - neutral)
        self.missing += len(expected - found)

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong)

    @property
    def recall(self) -> float:
        return self.right / (self.right + self.missing)


@dataclass(slots=True)
class Score:
    """All cases together; ``invented`` are edges on cases that have none."""

    tables: Count = field(default_factory=Count)
    columns: Count = field(default_factory=Count)
    indirect: Count = field(default_factory=Count)
    invented: list[str] = field(default_factory=list[str])
    faults: list[str] = field(default_factory=list[str])

    def add(self, case: Case, reading: Reading) -> None:
        """One case; an indirect edge told as a direct one is neither right nor wrong, as in the corpus."""
        tables = pairs(((key, None) for key in edge) for edge in reading.edges.tables)
        direct, indirect = pairs(reading.edges.direct), pairs(reading.edges.indirect)
        self.tables.add(tables, case.tables, case.optional_tables)
        self.columns.add(direct, case.columns, case.indirect | case.optional_columns)
        self.indirect.add(indirect, case.indirect, case.optional_columns)
        wrong = (tables - case.tables - case.optional_tables) | (
            direct - case.columns - case.indirect - case.optional_columns
        )
        missing = (case.tables - tables) | (case.columns - direct) | (case.indirect - indirect)
        if wrong or missing:
            said = f"wrong {sorted(wrong)}, missing {sorted(missing)}"
            self.faults.append(f"{case.id}: {said}\n    {case.sql}")
        if not case.tables and not case.columns:
            self.invented += [f"{case.id}: {edge}" for edge in sorted(wrong)]


def pairs(edges: Iterable[Iterable[tuple[TableKey, str | None]]]) -> Pairs:
    """Edges as the corpus spells them: dotted, the session catalog left out."""
    spelled: set[tuple[str, str]] = set()
    for edge in edges:
        source, target = (dotted(key, column) for key, column in edge)
        spelled.add((source, target))
    return frozenset(spelled)


def dotted(key: TableKey, column: str | None = None) -> str:
    parts = key[1:] if key[0] == SESSION_CATALOG else key
    return ".".join((*parts, column) if column else parts)


def corpus() -> list[Case]:
    """All cases of ``goldens/lineage/corpus.jsonl``."""
    return [_case(json.loads(line)) for line in (FOLDER / "corpus.jsonl").read_text().splitlines()]


def _case(raw: Mapping[str, str | list[list[str]]]) -> Case:
    def edges(name: str) -> Pairs:
        return frozenset((source.lower(), target.lower()) for source, target in raw[name])

    return Case(
        id=str(raw["id"]),
        sql=str(raw["sql"]),
        database=str(raw["current_database"]),
        tables=edges("table_edges"),
        optional_tables=edges("optional_table_edges"),
        columns=edges("column_edges"),
        indirect=edges("indirect_column_edges"),
        optional_columns=edges("optional_column_edges"),
    )


def corpus_catalog() -> Catalog:
    """The sixteen tables that the corpus speaks of."""
    listed: dict[str, list[str]] = json.loads((FOLDER / "catalog.json").read_text())
    return Catalog(
        {
            (SESSION_CATALOG, *name.split(".", 1)): tuple((column, None) for column in columns)
            for name, columns in listed.items()
        }
    )


def session_of(case: Case) -> Session:
    """The session before a case's first statement."""
    return Session(Place(SESSION_CATALOG, tuple(case.database.split("."))))
