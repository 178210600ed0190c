"""The words of the fault script and the order in which they are followed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.sandbox.gateway_faults import (
    Fault,
    Script,
    accept,
    accept_then_cut,
    accept_then_hang,
    accept_then_no_id,
    accept_then_nothing,
    accept_then_reset,
    after,
    answers,
    drips_body,
    drips_headers,
    fault_as_json,
    fault_from,
    hang,
    html_page,
    redirects,
    reset,
)

PATH = "/ingest/v1/metadata"
WORDS = [
    accept,
    accept_then_cut,
    accept_then_hang,
    accept_then_no_id,
    accept_then_nothing,
    accept_then_reset,
    hang,
    html_page,
    reset,
    after(50),
    after(50, answers(503)),
    answers(429, retry_after=2),
    answers(500, "boom", content_type="text/plain"),
    drips_body(5),
    drips_headers(5, answers(400)),
    redirects(302),
    redirects(307, to="http://127.0.0.1:1/"),
]


@pytest.mark.parametrize("fault", WORDS)
def test_a_fault_survives_the_way_through_json(fault: Fault) -> None:
    assert fault_from(json.loads(json.dumps(fault_as_json(fault)))) == fault


def test_a_fault_that_leaves_nothing_to_say_is_refused() -> None:
    with pytest.raises(ValueError, match="needs an answer"):
        Fault(takes=False)


def test_a_429_carries_retry_after_only_when_told() -> None:
    with_header, without = answers(429, retry_after=2).answer, answers(429).answer
    assert with_header is not None
    assert without is not None
    assert (with_header.headers, without.headers) == ({"Retry-After": "2"}, {})
    assert without.body == '{"error": "Too Many Requests"}'


@given(faults=st.lists(st.sampled_from(WORDS), max_size=6), extra=st.integers(0, 3))
def test_steps_are_taken_in_order_and_then_requests_are_accepted(
    faults: list[Fault], extra: int
) -> None:
    script = Script()
    script.extend(*faults)
    taken = [script.next(PATH) for _ in range(len(faults) + extra)]
    assert taken == faults + [accept] * extra
    assert script.left == 0


def test_other_paths_take_no_step() -> None:
    script = Script()
    script.extend(hang)
    assert script.next("/graphql") == accept
    assert script.next(PATH) == hang


def test_a_rule_wins_over_the_script_and_counts_its_own_matches() -> None:
    script = Script()
    script.extend(reset, hang)
    script.rule(answers(503), path=PATH, nth=2)
    taken = [script.next(path) for path in (PATH, "/ingest/v1/lineage", PATH, PATH)]
    assert taken == [reset, hang, answers(503), accept]


def test_a_rule_without_path_and_number_holds_for_every_ingest_request() -> None:
    script = Script()
    script.rule(after(50), path=None, nth=None)
    assert [script.next(path) for path in (PATH, "/graphql", PATH)] == [
        after(50),
        accept,
        after(50),
    ]
    script.clear()
    assert script.next(PATH) == accept
