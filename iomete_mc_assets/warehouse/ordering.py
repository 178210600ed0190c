"""Rows put in order with bounded memory: what is too much for it waits in temporary files. Knows no source."""

import heapq
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import IO, cast

from iomete_mc_assets.warehouse.rows import Row

MAX_HELD = 32 * 1024 * 1024
"""Characters of texts that are held at a time, with ROW_COST for each row besides."""
ROW_COST = 2_000
"""What a row takes beside its texts."""

Key = Callable[[Row], tuple[int | str, ...]]


def in_order(rows: Iterable[Row], key: Key, *, max_held: int = MAX_HELD) -> Iterator[Row]:
    """The rows by a key, equal ones as they came; none comes before all were read."""
    with ExitStack() as files:
        runs: list[Iterator[Row]] = []
        held: list[Row] = []
        size = 0
        for row in rows:
            held.append(row)
            size += ROW_COST + sum(len(one) for one in row.values() if isinstance(one, str))
            if size > max_held:
                # without a name from the start: nobody else reads the texts, and no crash leaves them
                run = files.enter_context(TemporaryFile())
                runs.append(_written(sorted(held, key=key), run))
                held, size = [], 0
        yield from heapq.merge(*runs, iter(sorted(held, key=key)), key=key)


def _written(rows: Iterable[Row], run: IO[bytes]) -> Iterator[Row]:
    """The rows once they are in a file; a generator function would write them only when asked."""
    count = 0
    for row in rows:
        pickle.dump(row, run)
        count += 1
    run.seek(0)
    return (cast("Row", pickle.load(run)) for _ in range(count))  # noqa: S301 - written just above
