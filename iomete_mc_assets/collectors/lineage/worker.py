"""The process that parses, so that a text that hangs or crashes the parser costs no more than itself.

``python -m`` this, with the number of an inherited connection; ``workers`` is the other end. Keeps nothing
between texts but the catalog.
"""

import gc
import resource
import sys
import threading
from multiprocessing.connection import Connection
from typing import cast

from sqlglot.parser import logger

from iomete_mc_assets.collectors.lineage.requests import (
    Hello,
    Told,
    answer,
    answered,
    understood,
)
from iomete_mc_assets.collectors.lineage.tables import Catalog

MAX_MEMORY_BYTES = 3 * 1024**3
"""Address space, stack included; a parse of 256 kB takes a tenth of it."""
STACK_BYTES = 512 * 1024**2
"""The C build nests its calls on the stack."""
RECURSION_LIMIT = 100_000
"""The same nesting for the build without C."""

COLLECT_AFTER_OBJECTS = 20_000
"""About a hundred short statements."""


def main(number: int) -> None:
    """Answer until the other end is gone."""
    logger.disabled = True  # it quotes the statements that it does not understand
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.setrecursionlimit(RECURSION_LIMIT)
    threading.stack_size(STACK_BYTES)
    serving = threading.Thread(target=_serve, args=(Connection(number),))
    serving.start()
    serving.join()


def _serve(connection: "Connection[object, object]") -> None:
    with connection:
        try:
            hello = connection.recv()
            if not isinstance(hello, Hello):
                return
            catalog = Catalog(hello.tables, hello.catalogs)
            # trees are cycles: each collection would look at the whole catalog, and most of them for nothing
            gc.freeze()
            gc.set_threshold(COLLECT_AFTER_OBJECTS)
            connection.send("ready")
            while True:
                request = understood(cast("Told", connection.recv()))
                connection.send(answered(answer(request, catalog), request.session))
        except (EOFError, OSError):
            return


if __name__ == "__main__":
    main(int(sys.argv[1]))
