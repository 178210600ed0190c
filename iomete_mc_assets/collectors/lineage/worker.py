"""The process that parses, so that a text that hangs or crashes the parser costs no more than itself.

``python -m`` this, with the number of an inherited connection; ``workers`` is the other end. Keeps nothing
between texts but the catalog.
"""

import resource
import sys
import threading
from multiprocessing.connection import Connection

from sqlglot.parser import logger

from iomete_mc_assets.collectors.lineage.requests import Hello, Request, answer
from iomete_mc_assets.collectors.lineage.tables import Catalog

MAX_MEMORY_BYTES = 3 * 1024**3
"""Address space, stack included; a parse of 256 kB takes a tenth of it."""
STACK_BYTES = 512 * 1024**2
"""The C build nests its calls on the stack."""
RECURSION_LIMIT = 100_000
"""The same nesting for the build without C."""


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
            connection.send("ready")
            while True:
                request = connection.recv()
                if isinstance(request, Request):
                    connection.send(answer(request, catalog))
        except (EOFError, OSError):
            return


if __name__ == "__main__":
    main(int(sys.argv[1]))
