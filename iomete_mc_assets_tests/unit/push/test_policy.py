"""The one retry owner."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.errors import BudgetSpent, Misconfigured, NotAccepted, Rejected
from iomete_mc_assets.push.policy import MAX_BISECTING_POSTS, WAIT_MAX_S, RunPolicy, backoff_s
from iomete_mc_assets_tests.push_bench import Clock

LATER = NotAccepted("later")
REFUSED = Rejected("refused", status=400)


def a_policy(clock: Clock) -> RunPolicy:
    return RunPolicy(
        now=clock.now, wait=clock.wait, random=lambda: 1.0, run_budget_s=100, hour_budget_s=30
    )


@given(st.integers(1, 1000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_half_to_all_of_a_doubling_second_up_to_thirty(
    attempt: int, random: float
) -> None:
    wait = backoff_s(attempt, random=lambda: random)
    longest = min(WAIT_MAX_S, 2.0 ** min(attempt - 1, 10))
    assert longest / 2 <= wait <= longest


def test_requests_that_were_in_flight_together_fail_as_one() -> None:
    policy = a_policy(Clock())
    started = [policy.start() for _ in range(4)]
    for one in started:
        policy.failed(one, LATER)
    policy.failed(policy.start(), LATER)
    with pytest.raises(NotAccepted):
        policy.failed(policy.start(), LATER)
    with pytest.raises(NotAccepted):
        policy.start()


def test_an_acceptance_breaks_the_row() -> None:
    policy = a_policy(Clock())
    for _ in range(5):
        policy.failed(policy.start(), LATER)
        policy.accepted()
    assert policy.stopped_by is None


def test_no_request_starts_after_the_hours_or_the_runs_time() -> None:
    clock = Clock()
    policy = a_policy(clock)
    policy.begin_hour()
    clock.advance(seconds=30)
    with pytest.raises(BudgetSpent, match="This hour"):
        policy.start()
    policy.begin_hour()
    policy.start()
    clock.advance(seconds=70)
    policy.begin_hour()
    with pytest.raises(BudgetSpent, match="run's time"):
        policy.start()


def test_a_wait_that_would_outlast_the_budget_is_not_begun() -> None:
    clock = Clock()
    policy = a_policy(clock)
    policy.begin_hour()
    with pytest.raises(BudgetSpent, match="later"):
        policy.pause(1, NotAccepted("later", retry_after_s=31))
    policy.pause(1, NotAccepted("later", retry_after_s=0))
    assert clock.waits == [0]


def test_refusals_alone_look_like_configuration_and_refusals_among_acceptances_do_not() -> None:
    policy = a_policy(Clock())
    policy.refused(REFUSED, whole_batch=True)
    policy.refused(REFUSED, whole_batch=True)
    with pytest.raises(Misconfigured, match="configuration"):
        policy.refused(REFUSED, whole_batch=True)
    policy = a_policy(Clock())
    policy.accepted()
    for _ in range(20):
        policy.refused(REFUSED, whole_batch=True)


def test_ledger_15_isolating_refused_events_has_a_budget() -> None:
    policy = a_policy(Clock())
    taken = [policy.may_bisect() for _ in range(MAX_BISECTING_POSTS + 5)]
    assert sum(taken) == MAX_BISECTING_POSTS


def test_the_run_deadline_is_the_budget_after_its_begin() -> None:
    clock = Clock(instant=datetime.fromisoformat("2026-11-21T10:00:00+00:00"))
    assert a_policy(clock).run_deadline == clock.instant + timedelta(seconds=100)
