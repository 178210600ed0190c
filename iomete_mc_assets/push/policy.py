"""When a request may start, how long to wait before the next, and when a run gives up: the one retry owner.

Knows no batch and no file. One ``RunPolicy`` serves one run; its methods are called from several threads.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from iomete_mc_assets.errors import BudgetSpent, Misconfigured, NotAccepted, PushError, Rejected

IN_FLIGHT = 4
"""Requests at once. What a crash leaves in doubt is at most that many."""
MAX_SENDS_IN_DOUBT = 3
"""Sends of a piece that nobody answered, over all runs. Source: ledger rule 17."""
TRANSIENT_IN_A_ROW = 3
"""Failures with no acceptance between that end a run. Source: ledger rule 23."""
REFUSED_FIRST = 3
"""Batches refused before any was accepted: then it looks like configuration. Source: ledger rule 16."""
REFUSED_PIECES_FIRST = 7
"""The same while halving the batches of a small push: a batch, both halves and all quarters."""
MAX_BISECTING_POSTS = 200
"""Extra posts a run to isolate refused events. Source: ledger rule 15."""
WAIT_INITIAL_S = 1.0
WAIT_MAX_S = 30.0


def backoff_s(attempt: int, *, random: Callable[[], float]) -> float:
    """Seconds before the next try: ``min(30, 1 * 2**(attempt - 1))`` times a half to one.

    Args:
        attempt: tries made, at least 1.
        random: uniform in [0, 1).
    """
    longest = min(WAIT_MAX_S, WAIT_INITIAL_S * 2.0 ** (attempt - 1))
    return longest * (0.5 + random() / 2)


class RunPolicy:
    """Budgets and failures of one run at one destination.

    Attributes:
        run_deadline: no request of the run starts from then on.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        wait: Callable[[float], object] | None,
        random: Callable[[], float],
        run_budget_s: float,
        hour_budget_s: float,
    ) -> None:
        """Begin the run's time.

        Args:
            now: aware UTC.
            wait: sleeps that many seconds; None for real ones, which ``stop`` ends.
            random: uniform in [0, 1), for jitter.
            run_budget_s: seconds for the run.
            hour_budget_s: seconds for one hour of it.
        """
        self._ended = threading.Event()
        self._now, self._wait, self._random = now, wait or self._ended.wait, random
        self._hour_budget = timedelta(seconds=hour_budget_s)
        self.run_deadline = now() + timedelta(seconds=run_budget_s)
        self._hour_deadline = self.run_deadline
        self._lock = threading.Lock()
        self._epoch = 0
        self._failures_in_a_row = 0
        self._accepted = 0
        self._refused = {"batch": 0, "piece": 0}
        self._bisecting_posts_left = MAX_BISECTING_POSTS
        self.stopped_by: PushError | None = None

    def begin_hour(self) -> None:
        """Start an hour's own budget."""
        self._hour_deadline = min(self.run_deadline, self._now() + self._hour_budget)

    def start(self) -> int:
        """Ask to start a request; what it returns is given back to ``failed``.

        Raises:
            BudgetSpent: the hour's or the run's time is over.
            PushError: the run was stopped.
        """
        self._spend(until=self._now())
        with self._lock:
            return self._epoch

    def accepted(self) -> None:
        """A request was accepted: whatever failed before was no row."""
        with self._lock:
            self._accepted += 1
            self._failures_in_a_row = 0

    @property
    def any_accepted(self) -> bool:
        """Whether the run had a request accepted."""
        return self._accepted > 0

    @property
    def misconfigured(self) -> bool:
        """Whether the run was stopped because of what looks like configuration."""
        return isinstance(self.stopped_by, Misconfigured)

    def failed(self, started: int, error: PushError) -> None:
        """A request failed transiently.

        Requests in flight together fail together: only those that began after the last counted
        failure make a row longer.

        Raises:
            PushError: ``error`` itself, when it was the third in a row; the run is stopped.
        """
        with self._lock:
            if started < self._epoch:
                return
            self._epoch += 1
            self._failures_in_a_row += 1
            if self._failures_in_a_row < TRANSIENT_IN_A_ROW:
                return
            self.stopped_by = error
        raise error

    def refused(self, error: Rejected, *, whole_batch: bool) -> None:
        """Content was refused.

        Raises:
            Misconfigured: so far nothing but refusals; the run is stopped.
        """
        with self._lock:
            self._refused["batch" if whole_batch else "piece"] += 1
            batches, pieces = self._refused["batch"], self._refused["piece"]
            enough = batches >= REFUSED_FIRST or batches + pieces >= REFUSED_PIECES_FIRST
            if self._accepted or not enough:
                return
            msg = (
                f"All of the first {batches + pieces} requests were refused and none accepted, which "
                "looks like configuration. Nothing more is sent. Check MCD_RESOURCE_TYPE, MCD_LOG_TYPE "
                f"and MCD_NAMING. The last answer: {error}"
            )
            stopped = self.stopped_by = Misconfigured(msg)
        raise stopped

    def stop(self, error: PushError) -> None:
        """End the run: nothing more is sent at this destination."""
        with self._lock:
            self.stopped_by = self.stopped_by or error
        self._ended.set()

    def may_bisect(self) -> bool:
        """Take one of the extra posts for isolating a refused event; False when they are used up."""
        with self._lock:
            self._bisecting_posts_left -= 1
            return self._bisecting_posts_left >= 0

    def pause(self, attempt: int, error: PushError) -> None:
        """Wait before the next try, as told or with jitter.

        Raises:
            BudgetSpent: the time is over before the wait is.
        """
        told = error.retry_after_s if isinstance(error, NotAccepted) else None
        seconds = backoff_s(attempt, random=self._random) if told is None else told
        self._spend(until=self._now() + timedelta(seconds=seconds), after=error)
        self._wait(seconds)

    def _spend(self, *, until: datetime, after: PushError | None = None) -> None:
        if self.stopped_by is not None:
            raise self.stopped_by
        last = f" The last answer: {after}" if after else ""
        if until >= self.run_deadline:
            msg = f"The push run's time is over; the next run goes on where this one stopped.{last}"
            raise BudgetSpent(msg)
        if until >= self._hour_deadline:
            msg = f"This hour's time in the push run is over; the next run goes on with it.{last}"
            raise BudgetSpent(msg)
