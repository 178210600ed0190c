"""When an hour fails because too much of it could not be read, and what a collector asks through. Asks nothing itself."""

from collections.abc import Callable, Sequence

from iomete_mc_assets.records import Omission
from iomete_mc_assets.warehouse.rows import Answer, Row, Warehouse

ALWAYS_TOLERATED = 3
"""Tables that may be unreadable whatever the share: in a small catalog one table is more than 5 %."""


def unanswered(omissions: Sequence[Omission]) -> str:
    """At least one omission as a manifest's reason: how many, and the first as an example."""
    one = len(omissions) == 1
    first = omissions[0]
    return (
        f"{len(omissions)} {'question has' if one else 'questions have'} no answer, "
        f"{'' if one else 'e.g. '}{first.question} of {first.scope}: {first.reason}"
    )


def too_many(unreadable: int, *, asked: int, percent: float) -> bool:
    """Whether the unreadable are more than three *and* strictly more than ``percent`` of what was asked."""
    return unreadable > ALWAYS_TOLERATED and unreadable * 100 > percent * asked


class Asker:
    """Asks a warehouse and counts the statements.

    Attributes:
        statements: how many were asked, answered or not.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        """Count from zero."""
        self._warehouse = warehouse
        self.statements = 0

    def use(self, catalog: str) -> None:
        """Make a catalog the session's current one, also after a reconnect.

        Raises:
            LakehouseError: as the warehouse raises it.
        """
        self.statements += 1
        self._warehouse.use(catalog)

    def ask(self, statement: str, *, deadline_s: float | None = None) -> Sequence[Row]:
        """All rows of one statement; the deadline as the warehouse takes it.

        Raises:
            LakehouseError: as the warehouse raises it.
        """
        self.statements += 1
        return self._warehouse.ask(statement, deadline_s=deadline_s)

    def ask_while(self, statement: str, work: Callable[[], None]) -> Sequence[Row]:
        """All rows of one statement, with work of ours done meanwhile; see ``Warehouse.ask_while``.

        Raises:
            LakehouseError: as the warehouse raises it.
        """
        self.statements += 1
        return self._warehouse.ask_while(statement, work)

    def ask_each(self, statements: Sequence[str]) -> Sequence[Answer]:
        """Each statement's rows or failure, in their order, from several sessions where the warehouse has them.

        Raises:
            LakehouseError: the lakehouse itself cannot be asked any more.
        """
        self.statements += len(statements)
        return self._warehouse.ask_each(statements)
