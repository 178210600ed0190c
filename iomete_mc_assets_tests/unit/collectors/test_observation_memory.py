from iomete_mc_assets.collectors.observation_memory import Memory, Remembered, shown
from iomete_mc_assets.records import Observation, SurveyedState, TableEntry, TableId


def entry(name: str, *, uuid: str | None = None) -> TableEntry:
    return TableEntry(
        table=TableId("lake", ("ns",), name),
        kind="table",
        format="iceberg",
        columns=(),
        state=SurveyedState(uuid=uuid),
    )


def memory(*names: str) -> Memory:
    return Memory(
        Remembered(
            observation=Observation(table=TableId("lake", ("ns",), name), snapshot_id=number),
            manifest_id="m",
        )
        for number, name in enumerate(names)
    )


def recalled(known: Memory, name: str, *listed: str) -> int | None:
    found = known.of_table(entry(name), listed=shown(entry(one) for one in listed))
    return None if found is None else found.observation.snapshot_id


def test_tables_whose_names_differ_in_case_only_keep_their_own_states() -> None:
    known = memory("Orders", "orders")
    assert recalled(known, "Orders", "Orders", "orders") == 0
    assert recalled(known, "orders", "Orders", "orders") == 1
    assert len(list(known)) == 2


def test_a_new_table_takes_no_state_from_one_whose_name_differs_in_case_only() -> None:
    known = memory("orders")
    assert recalled(known, "Orders", "Orders", "orders") is None
    assert recalled(known, "orders", "Orders", "orders") == 0


def test_a_name_shown_in_other_case_than_before_is_the_same_table() -> None:
    assert recalled(memory("orders"), "Orders", "Orders") == 0
    assert recalled(memory("Orders", "orders"), "ORDERS", "ORDERS") is None
