"""What is asked of the process that parses, and the answer; the same without a process."""

from collections.abc import Mapping
from dataclasses import dataclass

from iomete_mc_assets.collectors.lineage.model import Reading, Session, TableKey
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
