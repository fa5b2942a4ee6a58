"""When Python collects reference cycles: by the clock, since a batch's records make none and collection is expensive.

By Python's own rule (700 new objects) collection took a fifth of curate's time; with a limit of 100,000 it still took
a quarter of a pass-through's, since one batch makes as many objects, all examined in vain. Once a second the few young
objects that are left are examined; the old ones, millions in an index, every ten minutes.
"""

from __future__ import annotations

import gc
import itertools
import threading
from typing import Final

_SECONDS: Final = 1.0
_OLDER: Final = 30  # collections of the youngest before the next generation has its turn
_OLDEST: Final = 600
_STARTED: Final = threading.Event()


def collect_by_the_clock() -> None:
    """Collect once a second from now on, and leave what is loaded by now out of every collection."""
    gc.collect()
    gc.freeze()
    gc.disable()
    if not _STARTED.is_set():
        _STARTED.set()
        threading.Thread(target=_collect, name="garbage", daemon=True).start()


def _collect() -> None:
    waiting = threading.Event()
    for number in itertools.count(1):
        waiting.wait(_SECONDS)
        gc.collect(generation_due(number))


def generation_due(number: int) -> int:
    """Return the generation of the n-th collection, counted from 1."""
    if number % _OLDEST == 0:
        return 2
    return 1 if number % _OLDER == 0 else 0
