"""What Ctrl-C and SIGTERM do to a push by hand: it ends in order, and lets the ledger go. What is sent is no affair of this module."""

import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import click

GRACE_S = 3.0
"""For the answers of requests under way; an ordinary one takes tens of milliseconds."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
STDERR = 2
EXIT_CODE = 130
"""What shells give for Ctrl-C: 128 and the number of SIGINT."""
AT_ONCE = (
    "Ended at once: what was under way, at most four batches, counts as in doubt, and the ledger may stay "
    "held until 10 minutes after its deadline. Pushed again then, without --force, the hours go on; before "
    "that a push says from when. `iomete-mc receipts` tells what was sent.\n"
)


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
        for each in SIGNALS:
            signal.signal(each, _end_at_once)
        # in a thread: what the main thread was doing may hold the locks that this needs
        threading.Thread(target=end, name="interrupt", daemon=True).start()

    for number in SIGNALS:
        signal.signal(number, asked)
    try:
        yield interruption
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _end_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """Past every ``finally``, which would wait for the answers; and past the locks of ``sys.stderr``, as it may be in use."""
    del number, frame
    with suppress(OSError):  # nobody may be listening any more
        os.write(STDERR, AT_ONCE.encode())
    os._exit(EXIT_CODE)
