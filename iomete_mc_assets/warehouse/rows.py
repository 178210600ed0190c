"""The seam to the lakehouse: rows by column name, and who can be asked for them. No driver here."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

Row = Mapping[str, object]
"""One row, by column name as Spark spelled it."""


class Warehouse(Protocol):
    """Something that answers Spark SQL statements: a live session, or a test's recording."""

    def use(self, catalog: str) -> None:
        """Make a catalog the session's current one, also after a reconnect.

        Raises:
            StatementFailed: there is no such catalog, or our user may not use it.
            LakehouseError: as ``ask``.
        """
        ...

    def ask(self, statement: str, *, deadline_s: float | None = None) -> Sequence[Row]:
        """All rows of one statement; none for a statement without a result.

        Args:
            statement: one statement, without a trailing semicolon.
            deadline_s: seconds until it is cancelled; None takes the configured deadline.

        Raises:
            LakehouseError: its subclass says what happened and who must act.
        """
        ...

    def stream(self, statement: str, *, rows_per_fetch: int = 1_000) -> Iterator[Row]:
        """The rows of one statement as they come, holding at most one fetch in memory.

        Raises:
            LakehouseError: also in the middle of the rows.
        """
        ...
