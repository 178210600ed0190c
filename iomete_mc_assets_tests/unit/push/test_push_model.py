"""Any history of collecting, pushing and breaking ends with everything settled and breaks no rule on the way.

No older schema after a newer one, no second volume point of a table in a clock hour, no
older observation after a newer one, nothing too old sent as now, no entry twice in a day without doubt,
every query sent, the newest catalog entry at the receiver at the end. No edge goes before both its tables
are known, a table edge goes once without doubt, a column edge again before day ten, and at the end all have gone.
"""

import random
from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.receipts import Force
from iomete_mc_assets.windows import HourWindow
from iomete_mc_assets_tests.push_world import FLOWS, TABLES, Luck, World

FORCEABLE: tuple[Flow, ...] = ("catalog_snapshot", "query_logs", "lineage")
"""Forced observations are a second volume point in their clock hour, which no other deed may make."""
flows = st.sampled_from(FLOWS)
chances = st.integers(0, 2**64 - 1).map(random.Random)


class PushHistory(RuleBasedStateMachine):
    """Deeds in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    def _time_passes(self, chance: random.Random) -> None:
        self.world.pass_time(chance.choice((1, 10, 25, 70)), chance)

    @rule(chance=chances)
    def nothing_special_happens(self, chance: random.Random) -> None:
        self.world.pass_time(90, chance)

    @rule(flow=flows, back=st.integers(0, 10), hours=st.sampled_from((1, 1, 3, 8)), chance=chances)
    def hours_are_materialised(
        self, flow: Flow, back: int, hours: int, chance: random.Random
    ) -> None:
        window = HourWindow(self.world.newest_closed.start - timedelta(hours=back))
        for _ in range(hours):
            missing = chance.choice((None, None, chance.randrange(TABLES)))
            writes = chance.choice((*[None] * 9, chance.randrange(4)))
            self.world.collect(flow, window, missing=missing, writes=writes)
            window = window.next
        self._time_passes(chance)

    @rule(flow=flows, back=st.integers(0, 10), hours=st.integers(1, 24), chance=chances)
    def somebody_pushes_a_range(
        self, flow: Flow, back: int, hours: int, chance: random.Random
    ) -> None:
        newest = HourWindow(self.world.newest_closed.start - timedelta(hours=back))
        oldest = HourWindow(newest.start - timedelta(hours=hours - 1))
        named = self.world.named(flow)
        asked = {window: named[window] for window in named if oldest <= window <= newest}
        self.world.push(flow, asked, Luck.of(chance), retry=chance.random() < 0.3)
        self._time_passes(chance)

    @rule(days=st.sampled_from((1, 4, 8, 12)))
    def days_pass(self, days: int) -> None:
        self.world.pass_days(days)

    @rule(
        flow=st.sampled_from(FORCEABLE),
        force=st.sampled_from(get_args(Force)),
        hours=st.integers(1, 4),
        retry=st.booleans(),
        chance=chances,
    )
    def somebody_forces_hours(
        self, flow: Flow, force: Force, hours: int, retry: bool, chance: random.Random
    ) -> None:
        named = self.world.named(flow)
        asked = {window: named[window] for window in sorted(named)[-hours:]}
        self.world.push(flow, asked, Luck.of(chance), force=force)
        if retry:
            self.world.push(flow, asked, Luck.of(chance), force=force, retry=True)
        self._time_passes(chance)

    @rule(flow=flows, chance=chances)
    def an_hour_is_materialised_again_while_it_is_pushed(
        self, flow: Flow, chance: random.Random
    ) -> None:
        window = self.world.newest_closed
        named = self.world.named(flow)
        if window not in named:
            return

        def meanwhile() -> None:
            self.world.lake.alter(chance.randrange(TABLES))
            self.world.lake.ask(seen_after=timedelta())
            self.world.collect(flow, window)

        luck = Luck(seed=chance.getrandbits(32), trouble=0.2, interlude=meanwhile)
        self.world.push(flow, {window: named[window]}, luck)
        self._time_passes(chance)

    @rule(on=st.booleans(), chance=chances)
    def sensors_are_switched(self, on: bool, chance: random.Random) -> None:
        self.world.sensors_on = on
        self._time_passes(chance)

    @rule(down=st.booleans(), chance=chances)
    def the_receiver_goes_down_or_comes_up(self, down: bool, chance: random.Random) -> None:
        self.world.receiver.down = down
        self._time_passes(chance)

    @rule(events=st.integers(1, 4))
    def batches_get_another_size(self, events: int) -> None:
        self.world.with_batches_of(events)

    @rule(chance=chances)
    def dagster_forgets_everything(self, chance: random.Random) -> None:
        if chance.random() < 0.3:
            self.world.forget()

    @invariant()
    def no_request_broke_a_rule(self) -> None:
        assert not self.world.wrong

    def teardown(self) -> None:
        if self.world.wrong:
            return
        self.world.settle()
        assert not self.world.wrong
        assert not list(self.world.unfinished())


TestPushHistory = PushHistory.TestCase
TestPushHistory.settings = settings(max_examples=300, stateful_step_count=5)


@pytest.mark.nightly
class TestPushHistoryNightly(PushHistory.TestCase):
    """The same, longer."""

    settings = settings(max_examples=5_000, stateful_step_count=25)
