"""Accepted edges against the lineage that Monte Carlo shows, table by table and column by column. When that is late is judged in ``verify``."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo import answered
from iomete_mc_assets.montecarlo.control_plane import Api
from iomete_mc_assets.montecarlo.naming import Naming
from iomete_mc_assets.operations.accepted import Batch, records
from iomete_mc_assets.operations.sampling import spread
from iomete_mc_assets.records import LineageEdge

LineageSubject = Literal["lineage", "column lineage"]
T = TypeVar("T")
Column = tuple[str, str]
"""A table's key and a column, both lower-cased."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """What was accepted, each with the first instant of it.

    Attributes:
        tables: sources by the table that they feed; keys of tables.
        columns: what is made of it, by source column.
    """

    tables: Mapping[str, Mapping[str, datetime]]
    columns: Mapping[Column, Mapping[Column, datetime]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One table's sources, or what is made of one column.

    Attributes:
        lacking: what is not shown, by name; empty when all is.
        at: since when the first of those is accepted; None without.
        shown: whether a part of what was accepted is.
    """

    subject: LineageSubject
    about: str
    lacking: Sequence[str]
    at: datetime | None
    shown: bool


def edges_of(store: ManifestStore, batches: Sequence[Batch], naming: Naming) -> Edges:
    """Of accepted requests.

    Raises:
        ManifestError: a file is damaged, or a newer version wrote it.
    """
    tables: defaultdict[str, dict[str, datetime]] = defaultdict(dict)
    columns: defaultdict[Column, dict[Column, datetime]] = defaultdict(dict)
    for batch in batches:
        for accepted, edge in records(store, batch):
            if not isinstance(edge, LineageEdge):
                msg = f"lineage holds edges, not {type(edge).__name__}"
                raise TypeError(msg)
            source, target = naming.of(edge.source).key, naming.of(edge.target).key
            _note(tables[target], source, accepted.accepted_at)
            if edge.source_column is not None and edge.target_column is not None:
                fed = (target, edge.target_column.casefold())
                _note(columns[source, edge.source_column.casefold()], fed, accepted.accepted_at)
    return Edges(tables=tables, columns=columns)


def _note(known: dict[T, datetime], one: T, at: datetime) -> None:
    known[one] = min(at, known.get(one, at))


def compared(
    api: Api, edges: Edges, mcons: Mapping[str, str], *, sample: int
) -> Iterator[Compared]:
    """A sample of tables, a call each, and of source columns, a call each.

    Args:
        api: who answers.
        edges: what is expected.
        mcons: of the tables that Monte Carlo shows, by key; others are told by ``verify`` already.
        sample: of either at most so many, evenly over all.

    Raises:
        ControlPlaneError: as ``Api.ask``.
    """
    names = {mcon: key for key, mcon in mcons.items()}
    for target in spread([key for key in sorted(edges.tables) if key in mcons], sample):
        found = answered.upstream(api, mcons[target])
        shown = {names.get(mcon, "") for mcon in found.mcons}
        expected = {key: at for key, at in edges.tables[target].items() if key in mcons}
        if not found.whole:
            expected = {key: at for key, at in expected.items() if key in shown}
        yield _compared("lineage", target, expected, shown)
    for source in spread([one for one in sorted(edges.columns) if one[0] in mcons], sample):
        derived = answered.derived_columns(api, mcons[source[0]], source[1])
        shown_columns = {f"{names.get(mcon, '')}.{column.casefold()}" for mcon, column in derived}
        wanted = {
            f"{key}.{column}": at
            for (key, column), at in edges.columns[source].items()
            if key in mcons
        }
        yield _compared("column lineage", ".".join(source), wanted, shown_columns)


def _compared(
    subject: LineageSubject, about: str, expected: Mapping[str, datetime], shown: set[str]
) -> Compared:
    lacking = sorted(expected.keys() - shown)
    return Compared(
        subject=subject,
        about=about,
        lacking=lacking,
        at=min((expected[one] for one in lacking), default=None),
        shown=bool(expected.keys() & shown),
    )
