"""The one part of the collectors that starts a process: the parser's, which can be killed, and is started again."""

import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self, cast

from iomete_mc_assets.collectors.lineage import shapes
from iomete_mc_assets.collectors.lineage.model import Reading, Skip
from iomete_mc_assets.collectors.lineage.requests import (
    Answered,
    Hello,
    Request,
    heard,
    told,
)
from iomete_mc_assets.collectors.lineage.tables import Catalog
from iomete_mc_assets.errors import HourFailed

DEADLINE_S = 5.0
"""For one text. The longest honest one measured takes two on a busy machine."""
START_S = 60.0
"""Until the process has loaded the parser and the catalog."""

_MODULE = "iomete_mc_assets.collectors.lineage.worker"


class ParsingProcess:
    """Reads texts in a process of its own.

    A text that killed one, or outlived the deadline, is quarantined by its digest: it is not tried again.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        deadline_s: float = DEADLINE_S,
        quarantined: frozenset[bytes] = frozenset(),
    ) -> None:
        """Nothing is started yet. ``quarantined``: digests from an earlier hour."""
        self._catalog = catalog
        self._deadline_s = deadline_s
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[object, object] | None = None
        self.quarantined = set(quarantined)
        self.started = 0

    def __enter__(self) -> Self:
        """For ``with``."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self.close()

    def read(self, request: Request) -> Reading | Skip:
        """What the text says, or why it was given up.

        Raises:
            HourFailed: the process does not even start.
        """
        digest = shapes.digest(request.text)
        if digest in self.quarantined:
            return "quarantined"
        connection = self._connection or self._start()
        try:
            connection.send(told(request))
            if connection.poll(self._deadline_s):
                return heard(cast("Answered", connection.recv()), request.session)
            verdict: Skip = "timed out"
        except (EOFError, OSError):
            verdict = "crashed the parser"
        self.close()
        self.quarantined.add(digest)
        return verdict

    def _start(self) -> "Connection[object, object]":
        ours, theirs = Pipe()
        words = [sys.executable, "-m", _MODULE, str(theirs.fileno())]
        nowhere = subprocess.DEVNULL
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            words, pass_fds=(theirs.fileno(),), stdin=nowhere, stdout=nowhere, stderr=nowhere
        )
        theirs.close()
        self._connection = ours
        self.started += 1
        try:
            ours.send(Hello(self._catalog.tables, self._catalog.catalogs))
            if ours.poll(START_S) and ours.recv() == "ready":
                return ours
        except (EOFError, OSError):
            pass
        self.close()
        msg = (
            "The process that parses queries for lineage did not start within "
            f"{START_S:.0f} s; nothing of this hour's lineage is known. Run `python -m {_MODULE} 0` "
            "where Dagster runs to see why, then collect the hour again."
        )
        raise HourFailed(msg)

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
