"""Thresholds of Monte Carlo's detectors against made-up rows of samples: enough, when, and what stands in the way."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iomete_mc_assets.manifests.samples import Day, Told
from iomete_mc_assets.operations.readiness import Readiness, judged, told_pauses
from iomete_mc_assets.operations.readiness_samples import Sample, Samples

NOW = datetime(2026, 11, 21, 10, 20, tzinfo=UTC)
NEWEST = NOW.replace(minute=0)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def pushed(
    *, every: timedelta, changes: int, until: datetime = NEWEST, since: timedelta | None = None
) -> list[Sample]:
    """One sample an hour; data changes ``changes`` times in a rhythm, at last just before ``until``."""
    first_change = until - every * (changes - 1)
    start = until - since if since is not None else first_change
    samples: list[Sample] = []
    at = start
    while at <= NEWEST:
        passed = (min(at, until) - first_change) // every
        changed_at = first_change + every * max(passed, 0) - timedelta(minutes=5)
        samples.append(Sample(at, changed_at, 100 + max(passed, 0), volume=True))
        at += HOUR
    return samples


def looked(samples: Sequence[Sample], *again: datetime) -> Readiness:
    return judged("sales:default.t", Samples(every=tuple(samples), again=again), now=NOW)


@pytest.mark.parametrize(
    ("every", "changes", "needed"),
    [
        (HOUR, 80, 80),  # 0.15 of 22 days in hours
        (6 * HOUR, 14, 14),
        (DAY, 7, 7),
        (5 * DAY, 4, 4),  # 0.8 of 22 days, instead of seven
    ],
)
def test_freshness_is_ready_with_the_last_sample_and_not_one_before(
    every: timedelta, changes: int, needed: int
) -> None:
    enough = looked(pushed(every=every, changes=changes)).freshness
    assert (enough.state, enough.samples, enough.needed) == ("ready", needed, needed)
    short = looked(pushed(every=every, changes=changes - 1)).freshness
    assert (short.state, short.samples, short.needed) == ("learning", needed - 1, needed)
    assert short.missing == ("1 more changed values",)
    assert short.ready_at == NEWEST - timedelta(minutes=5) + every


@pytest.mark.parametrize(
    ("every", "needed"), [(HOUR, 303), (12 * HOUR, 48), (DAY, 13), (2 * DAY, 10), (7 * DAY, 5)]
)
def test_volume_is_ready_with_the_last_sample_and_not_one_before(
    every: timedelta, needed: int
) -> None:
    enough = looked(pushed(every=every, changes=needed)).volume
    assert (enough.state, enough.samples, enough.needed) == ("ready", needed, needed)
    short = looked(pushed(every=every, changes=needed - 1)).volume
    assert (short.state, short.needed) == ("learning", needed)
    assert short.ready_at == NEWEST + every


def test_a_repeated_value_is_no_sample_and_keeps_the_hours_covered() -> None:
    told = looked(pushed(every=DAY, changes=6))
    assert told.freshness.samples == told.volume.samples == 6
    assert told.pauses == ()


def test_volume_waits_until_the_table_is_five_days_old() -> None:
    samples = [Sample(NEWEST - n * HOUR, None, n, volume=True) for n in range(60)][::-1]
    young = looked(samples).volume
    assert young.state == "learning"
    assert young.missing[-1] == "known for 2.5 days of 5 days"


def test_what_never_changed_has_no_rhythm_and_nobody_says_when() -> None:
    told = looked(pushed(every=DAY, changes=1, since=3 * DAY))
    assert (told.freshness.state, told.freshness.samples) == ("learning", 1)
    assert told.freshness.missing == ("one last change of data so far, so no rhythm",)
    assert told.freshness.ready_at is None


def test_a_table_of_which_nothing_was_accepted_says_so() -> None:
    told = looked([])
    assert told.freshness.missing == ("no last change of data was accepted",)
    assert told.volume.missing == ("no volume was accepted",)
    assert told.since is None


def test_what_changes_more_seldom_than_the_detector_takes_is_never_ready() -> None:
    told = looked(pushed(every=8 * DAY, changes=5)).freshness
    assert told.state == "never"
    assert "changes every 8.0 days, and the detector takes 5 minutes to 7.7 days" in told.missing


def test_silence_of_14_days_stops_freshness() -> None:
    samples = pushed(every=DAY, changes=12, until=NEWEST - 15 * DAY)
    told = looked(samples).freshness
    assert (told.state, told.ready_at) == ("stopped", None)
    assert told.missing == ("no change for 15.0 days; 14 days turn it off",)


def test_a_pause_of_more_than_7_days_stops_the_freshness_of_a_daily_table() -> None:
    before = pushed(every=DAY, changes=12, until=NEWEST - 9 * DAY)
    changed = [*before[:-1], Sample(NEWEST, NEWEST, 999, volume=True)]
    told = looked(changed).freshness
    assert told.state == "stopped"
    assert told.missing == ("a pause of 9.0 days in the last 14 days; 7 days turn it off",)
    slower = [one for one in changed if one.rows is None or one.rows % 2 == 1]
    assert looked(slower).freshness.state != "stopped"


def test_irregular_volume_is_named() -> None:
    hours = [n * 30 * HOUR for n in range(15)] + [15 * 30 * HOUR + n * HOUR for n in range(12)]
    samples = [Sample(NEWEST - hours[-1] + at, None, n, volume=True) for n, at in enumerate(hours)]
    told = looked(samples).volume
    assert told.state == "never"
    assert told.missing[-1].startswith("irregular")


def test_a_freshness_that_goes_backwards_was_not_sent_and_is_no_sample() -> None:
    samples = pushed(every=DAY, changes=3)
    earlier = Sample(NEWEST - 30 * HOUR, NEWEST - 50 * DAY, 7, volume=True)
    assert looked(sorted([*samples, earlier], key=lambda one: one.at)).freshness.samples == 3


def test_pauses_and_hours_with_several_are_named_once_for_all_tables() -> None:
    samples = pushed(every=HOUR, changes=50)
    holed = [one for one in samples if not NEWEST - 9 * HOUR <= one.at < NEWEST - 4 * HOUR]
    stopped = samples[:-4]
    told = [looked(holed, NEWEST - HOUR), looked(holed), looked(stopped)]
    assert [pause.hours for pause in told[0].pauses] == [5]
    assert told_pauses(told) == [
        "2026-11-21 01:00 to 2026-11-21 06:00: nothing accepted of 2 tables",
        "2026-11-21 07:00 to 2026-11-21 09:00: nothing accepted of 1 tables",
        "2026-11-21 09:00: more than one observation of 1 tables in the clock hour; Monte Carlo wants one at most",
    ]


REQUESTS = st.lists(
    st.tuples(
        st.uuids().map(str),
        st.integers(0, 23),
        st.lists(
            st.builds(
                Told,
                key=st.sampled_from(["a", "b", "c"]),
                changed_at=st.sampled_from([None, NOW, NOW - HOUR]),
                rows=st.sampled_from([None, 0, 1]),
                volume=st.booleans(),
            ),
            max_size=4,
            unique_by=lambda told: told.key,
        ),
    ),
    max_size=8,
    unique_by=lambda request: request[0],
)


@given(st.data(), REQUESTS)
def test_a_day_is_the_same_in_any_order_and_however_often(
    data: st.DataObject, requests: list[tuple[str, int, list[Told]]]
) -> None:
    whole = Day().with_requests(requests)
    shuffled = data.draw(st.permutations(requests))
    cut = data.draw(st.integers(0, len(requests)))
    grown = Day().with_requests(shuffled[:cut]).with_requests(shuffled[:cut])
    assert grown.with_requests(shuffled) == whole
    told = {(key, hour) for _, hour, every in requests for key in {one.key for one in every}}
    kept = {(t.key, hour) for t in whole.tables for value in t.values for hour in value.hours}
    assert kept == told
