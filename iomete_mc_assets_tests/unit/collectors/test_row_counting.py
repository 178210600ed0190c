"""Rows that metadata cannot tell, counted as of the hour's end: only when asked for, each within its deadline."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from iomete_mc_assets.collectors.observations import ObservationConfig, collect
from iomete_mc_assets.errors import LakehouseError, StatementFailed, StatementTimedOut
from iomete_mc_assets.manifests.model import Verdict
from iomete_mc_assets.records import Observation
from iomete_mc_assets.warehouse import statements
from iomete_mc_assets.warehouse.rows import Row
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.unit.collectors.test_observations import (
    HOUR,
    LOADED,
    NOW,
    CatalogInput,
    Commit,
    HistoryWarehouse,
    at,
    catalog,
    earlier,
    listed,
    never,
    no_survey,
    said,
    table,
)

DELETED = Commit(at=at("09:20"), operation="overwrite", rows=100, equality=2)
SLOW = StatementTimedOut("cancelled after 7 s.")


@dataclass(slots=True)
class CountingWarehouse(HistoryWarehouse):
    """Answers counts too, or fails them; remembers their deadlines."""

    rows: int | LakehouseError = 93
    counts: list[tuple[str, float | None]] = field(default_factory=list[tuple[str, float | None]])

    def ask(self, statement: str, *, deadline_s: float | None = None) -> Sequence[Row]:
        if "count(*)" not in statement:
            return HistoryWarehouse.ask(self, statement, deadline_s=deadline_s)
        self.counts.append((statement, deadline_s))
        if isinstance(self.rows, LakehouseError):
            raise self.rows
        return [{"rows": self.rows}]


def hours(
    warehouse: CountingWarehouse,
    source: CatalogInput,
    *,
    deadline_s: float | None = 7,
    windows: Sequence[HourWindow] = (HOUR,),
    before: Sequence[Observation] = (),
) -> list[tuple[dict[str, Observation], Verdict]]:
    answers = collect(
        windows,
        warehouse,
        config=ObservationConfig(count_deadline_s=deadline_s),
        catalog_for=lambda _: source,
        earlier=earlier(*before) if before else None,
        own=never,
        survey=no_survey,
        now=NOW,
    )
    return [said(answer) for _, answer in answers]


def test_rows_that_cannot_be_known_are_counted_in_the_snapshot_of_the_hours_end() -> None:
    late = Commit(at=at("10:02"), rows=200, equality=2)
    warehouse = CountingWarehouse({"t": [DELETED, late]})
    [(observed, verdict)] = hours(warehouse, catalog(listed("t", late, number=2)))
    assert warehouse.counts == [(statements.count_rows(table("t"), 1), 7)]
    seen = observed["t"]
    assert (seen.row_count, seen.total_records, seen.equality_deletes) == (93, 100, 2)
    assert (verdict.state, verdict.counts["rows counted"]) == ("complete", 1)


def test_nothing_is_counted_unless_asked_for_nor_where_the_metadata_tells() -> None:
    warehouse = CountingWarehouse({"t": [DELETED]})
    [(observed, _)] = hours(warehouse, catalog(listed("t", DELETED)), deadline_s=None)
    assert observed["t"].row_count is None
    plain = CountingWarehouse({"t": [LOADED]})
    [(observed, _)] = hours(plain, catalog(listed("t", LOADED)))
    assert observed["t"].row_count == 100
    assert warehouse.counts == plain.counts == []


def test_a_count_that_takes_too_long_leaves_the_rows_unknown_and_says_both_reasons() -> None:
    warehouse = CountingWarehouse({"t": [DELETED]}, rows=SLOW)
    [(observed, verdict)] = hours(warehouse, catalog(listed("t", DELETED)))
    assert (observed["t"].row_count, observed["t"].total_records) == (None, 100)
    [omission] = verdict.omissions
    assert (omission.question, omission.kind) == ("row count", "unknowable")
    assert "equality deletes" in omission.reason
    assert str(SLOW) in omission.reason


def test_a_count_that_fails_takes_no_other_table_along() -> None:
    warehouse = CountingWarehouse(
        {"t": [DELETED], "u": [LOADED]}, rows=StatementFailed("a data file is gone.")
    )
    [(observed, verdict)] = hours(warehouse, catalog(listed("t", DELETED), listed("u", LOADED)))
    assert (observed["t"].row_count, observed["u"].row_count) == (None, 100)
    assert "a data file is gone." in verdict.omissions[0].reason


def test_after_three_counts_that_took_too_long_none_is_asked_any_more() -> None:
    names = [f"t{number}" for number in range(5)]
    warehouse = CountingWarehouse({name: [DELETED] for name in names}, rows=SLOW)
    [(_, verdict)] = hours(warehouse, catalog(*(listed(name, DELETED) for name in names)))
    assert len(warehouse.counts) == 3
    assert "not asked after 3 counts" in verdict.omissions[-1].reason


def test_one_state_is_counted_once_for_all_hours_of_a_range() -> None:
    loaded = replace(DELETED, at=at("07:20"))
    warehouse = CountingWarehouse({"t": [loaded]})
    windows = [HOUR.previous, HOUR]
    answers = hours(warehouse, catalog(listed("t", loaded)), windows=windows)
    assert [observed["t"].row_count for observed, _ in answers] == [93, 93]
    assert len(warehouse.counts) == 1


def test_an_unchanged_table_keeps_the_rows_that_were_counted() -> None:
    counted = Observation(
        table=table("t"), uuid="uuid-t", snapshot_id=1, state_at=at("08:20"), row_count=93,
        total_records=100, equality_deletes=2, last_data_change=at("08:20"),
        surveyed_snapshot_id=1, metadata_location="file:/t/1.json",
    )  # fmt: skip
    warehouse = CountingWarehouse({"t": [DELETED]})
    [(observed, _)] = hours(warehouse, catalog(listed("t", DELETED)), before=[counted])
    assert observed["t"] == counted
    assert (warehouse.counts, warehouse.asked) == ([], [])
