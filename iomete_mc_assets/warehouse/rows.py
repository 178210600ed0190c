"""The seam to the lakehouse: rows by column name, and who can be asked for them. No driver here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from iomete_mc_assets.errors import StatementFailed, StatementTimedOut

Row = Mapping[str, object]
"""One row, by column name as Spark spelled it."""
Answer = Sequence[Row] | StatementFailed | StatementTimedOut
"""What became of one statement of several."""


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

    def ask_while(self, statement: str, work: Callable[[], None]) -> Sequence[Row]:
        """``ask``, with work of ours done while the lakehouse is at it, once whatever becomes of the statement.

        Args:
            statement: as for ``ask``.
            work: asks nothing and raises nothing. This default does it before.

        Raises:
            LakehouseError: as ``ask``.
        """
        work()
        return self.ask(statement)

    def ask_each(self, statements: Sequence[str]) -> Sequence[Answer]:
        """Each statement's rows, or its own failure, in their order; they may run at the same time.

        For statements that do not depend on each other, and as many as memory holds the answers of. This
        default asks one after the other.

        Raises:
            LakehouseError: the lakehouse itself cannot be asked any more.
        """
        answers: list[Answer] = []
        for statement in statements:
            try:
                answers.append(self.ask(statement))
            except (StatementFailed, StatementTimedOut) as error:
                answers.append(error)
        return answers

    def stream(self, statement: str, *, rows_per_fetch: int = 1_000) -> Iterator[Row]:
        """The rows of one statement as they come, holding at most one fetch in memory.

        Raises:
            LakehouseError: also in the middle of the rows.
        """
        ...
