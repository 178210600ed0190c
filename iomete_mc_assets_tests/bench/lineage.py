"""Lineage of texts: statements a second, an hour of few shapes, the huge ones, and bombs.

Seconds are of the processor, of this process and of the one that parses, so that a busy machine tells the same.
"""

import resource
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import sqlglot.parser

from iomete_mc_assets.collectors.lineage.collecting import LineageCollector
from iomete_mc_assets.collectors.lineage.edges import Spelling
from iomete_mc_assets.collectors.lineage.model import Place, Session
from iomete_mc_assets.collectors.lineage.requests import Request
from iomete_mc_assets.collectors.lineage.tables import Catalog
from iomete_mc_assets.collectors.lineage.workers import ParsingProcess
from iomete_mc_assets.records import QueryRecord
from iomete_mc_assets_tests import lineage_texts
from iomete_mc_assets_tests.bench.figures import Figure, at_least, at_most
from iomete_mc_assets_tests.bench.site import Site

STATEMENTS = 6_000
HOUR = 20_000
BOMB_DEPTHS = (100, 400, 20_000)
AT = datetime(2026, 11, 21, 5, tzinfo=UTC)
SESSION = Session(Place())


def lineage(site: Site) -> Iterator[Figure]:
    """Needs no server; says first whether sqlglot's C build is there."""
    del site
    compiled = not str(sqlglot.parser.__file__).endswith(".py")
    yield Figure(name="lineage_sqlglot_compiled", value=int(compiled), unit="builds")
    yield from _short()
    yield from _few_shapes()
    yield from _huge()
    yield from _bombs()


def _short() -> Iterator[Figure]:
    """Distinct texts, so that each is parsed."""
    catalog = lineage_texts.catalog_of_texts(STATEMENTS)
    texts = [lineage_texts.short(number) for number in range(STATEMENTS)]
    idle = _cpu_s(lambda: _collect(texts[:1], catalog))
    busy = _cpu_s(lambda: _collect(texts, catalog))
    rate = (STATEMENTS - 1) / (busy - idle)
    yield Figure(name="lineage_short", value=rate, unit="statements/s", bar=at_least(1_500))


def _few_shapes() -> Iterator[Figure]:
    catalog = lineage_texts.catalog_of_texts(lineage_texts.SHAPES)
    texts = list(lineage_texts.hour_of_few_shapes(HOUR))
    begun = time.perf_counter()
    busy = _cpu_s(lambda: _collect(texts, catalog))
    yield Figure(name="lineage_20k_of_200_shapes", value=busy, unit="s", bar=at_most(12))
    wall = time.perf_counter() - begun
    yield Figure(name="lineage_20k_of_200_shapes_wall", value=wall, unit="s")


def _huge() -> Iterator[Figure]:
    """Each in a fresh collector, in one process that is warm; a reason instead of edges is as good."""
    with ParsingProcess(lineage_texts.catalog_of_huge()) as process:
        process.read(Request(text="DROP TABLE IF EXISTS dw.z", session=SESSION))
        for name, text in lineage_texts.huge().items():
            begun = time.perf_counter()
            LineageCollector(process, Spelling(())).add(_query(text))
            took = time.perf_counter() - begun
            yield Figure(name=f"lineage_huge_{name}", value=took, unit="s", bar=at_most(2))


def _bombs() -> Iterator[Figure]:
    """Handed to the parser without the guard that would stop them: how often it had to be started again."""
    survived = 0
    with ParsingProcess(lineage_texts.catalog_of_huge(), deadline_s=2) as process:
        for depth in BOMB_DEPTHS:
            for text in lineage_texts.nested(depth).values():
                process.read(Request(text=text, session=SESSION))
                survived += 1
        yield Figure(name="lineage_bombs_survived", value=survived, unit="texts")
        yield Figure(name="lineage_parser_started", value=process.started, unit="times")


def _collect(texts: list[str], catalog: Catalog) -> None:
    with ParsingProcess(catalog) as process:
        collector = LineageCollector(process, Spelling(()))
        for text in texts:
            collector.add(_query(text))
        for _ in collector.records():
            pass


def _query(text: str) -> QueryRecord:
    return QueryRecord(query_id="q", text=text, started_at=AT, ended_at=AT, database="default")


def _cpu_s(act: Callable[[], None]) -> float:
    def used() -> float:
        both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(one.ru_utime + one.ru_stime for one in both)

    begun = used()
    act()
    return used() - begun
