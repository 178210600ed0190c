"""A warehouse that answers exactly the statements a test wrote down, and remembers what it was asked."""

from collections.abc import Iterator, Mapping, Sequence

from iomete_mc_assets.errors import LakehouseError
from iomete_mc_assets.warehouse import statements
from iomete_mc_assets.warehouse.rows import Row, Warehouse

Answer = Sequence[Row] | LakehouseError


class ScriptedWarehouse(Warehouse):
    """Implements ``Warehouse``. A statement without an answer is an AssertionError."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.answers = dict(answers)
        self.asked: list[str] = []

    def use(self, catalog: str) -> None:
        self.ask(statements.use_catalog(catalog))

    def ask(self, statement: str, *, deadline_s: float | None = None) -> Sequence[Row]:  # noqa: ARG002 - the protocol's
        self.asked.append(statement)
        assert statement in self.answers, f"nobody expected: {statement}"
        answer = self.answers[statement]
        if isinstance(answer, LakehouseError):
            raise answer
        return answer

    def stream(self, statement: str, *, rows_per_fetch: int = 1_000) -> Iterator[Row]:  # noqa: ARG002 - the protocol's
        yield from self.ask(statement)
