"""What is asked of the process that parses, and the answer, in forms that travel fast; the same without a process.

Plain tuples are pickled in a tenth of the time that slotted dataclasses take, and a session that a text
left as it was does not travel back.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from iomete_mc_assets.collectors.lineage.model import (
    Doubt,
    Edges,
    Origin,
    Place,
    Reading,
    Session,
    Skip,
    TableKey,
    View,
)
from iomete_mc_assets.collectors.lineage.statements import read_text, read_view
from iomete_mc_assets.collectors.lineage.tables import Catalog, Columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One text to read.

    Attributes:
        session: as far as the text can touch it.
        view: the persistent view whose text this is; None for a query of a log.
    """

    text: str
    session: Session
    tables_only: bool = False
    view: TableKey | None = None


@dataclass(frozen=True, slots=True)
class Hello:
    """The catalog snapshot, told once."""

    tables: Mapping[TableKey, Columns]
    catalogs: frozenset[str]


def answer(request: Request, catalog: Catalog) -> Reading:
    """Read the text here and now."""
    if request.view is None:
        return read_text(request.text, request.session, catalog, tables_only=request.tables_only)
    return read_view(
        request.text, request.view, request.session, catalog, tables_only=request.tables_only
    )


Told = tuple[
    str,
    tuple[str, tuple[str, ...] | None],
    Mapping[str, View],
    Mapping[TableKey, tuple[str, ...] | None],
    bool,
    bool,
    TableKey | None,
]
Answered = tuple[
    frozenset[tuple[TableKey, TableKey]],
    frozenset[tuple[Origin, Origin]],
    frozenset[tuple[Origin, Origin]],
    Session | None,
    int,
    Mapping[Skip, int],
    Mapping[Doubt, int],
]


def told(request: Request) -> Told:
    """A request as it travels."""
    session = request.session
    return (
        request.text,
        (session.place.catalog, session.place.namespace),
        session.views,
        session.columns,
        session.quoted_names,
        request.tables_only,
        request.view,
    )


def understood(said: Told) -> Request:
    """A request that has travelled."""
    text, place, views, columns, quoted_names, tables_only, view = said
    session = Session(Place(*place), views, columns, quoted_names)
    return Request(text=text, session=session, tables_only=tables_only, view=view)


def answered(reading: Reading, session: Session) -> Answered:
    """A reading as it travels; ``session`` is the one that was asked with."""
    edges = reading.edges
    return (
        edges.tables,
        edges.direct,
        edges.indirect,
        None if reading.session == session else reading.session,
        reading.statements,
        reading.skipped,
        reading.doubts,
    )


def heard(said: Answered, session: Session) -> Reading:
    """A reading that has travelled."""
    tables, direct, indirect, changed, statements, skipped, doubts = said
    return Reading(
        edges=Edges(tables, direct, indirect),
        session=session if changed is None else changed,
        statements=statements,
        skipped=skipped,
        doubts=doubts,
    )
