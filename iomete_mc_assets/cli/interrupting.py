"""What Ctrl-C and SIGTERM do to a push by hand: it ends in order, and lets the ledger go. What is sent is no affair of this module."""

import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

import click

GRACE_S = 3.0
"""For the answers of requests under way; an ordinary one takes tens of milliseconds."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
EXIT_CODE = 130
"""What shells give for Ctrl-C: 128 and the number of SIGINT."""


class Interruption:
    """Whether somebody asked for the end."""

    asked = False


@contextmanager
def in_order(stop: Callable[[], None], cut: Callable[[], None]) -> Generator[Interruption]:
    """Inside, the first signal ends the push in order, and a second one the process at once.

    Args:
        stop: lets no further request begin.
        cut: ends those that are under way, some seconds later.
    """
    interruption = Interruption()
    former = {number: signal.getsignal(number) for number in SIGNALS}

    def end() -> None:
        stop()
        click.echo(
            f"Interrupted: nothing more is sent; answers under way have {GRACE_S:.0f} seconds. Asked "
            "again, it ends at once and may hold the ledger until 10 minutes after its deadline.",
            err=True,
        )
        time.sleep(GRACE_S)
        cut()

    def asked(number: int, frame: FrameType | None) -> None:
        del number, frame
        interruption.asked = True
        _restore()
        # in a thread: what the main thread was doing may hold the locks that this needs
        threading.Thread(target=end, name="interrupt", daemon=True).start()

    def _restore() -> None:
        for number, handler in former.items():
            signal.signal(number, handler)

    for number in SIGNALS:
        signal.signal(number, asked)
    try:
        yield interruption
    finally:
        _restore()
