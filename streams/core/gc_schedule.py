"""When Python looks for reference cycles: by the clock, for a batch's records make none, and looking is dear.

By Python's own rule (700 new objects) collecting took a fifth of curate's time; with a limit of 100,000 it still took
a quarter of a pass-through's, since one batch makes as many objects, all of which it looked at in vain. Once a second
the young ones that are left are looked at, which are few; the old ones, millions in an index, every ten minutes.
"""

from __future__ import annotations

import gc
import itertools
import threading
from typing import Final

_SECONDS: Final = 1.0
_OLDER: Final = 30  # looks at the youngest before the next generation is looked at
_OLDEST: Final = 600
_STARTED: Final = threading.Event()


def collect_by_the_clock() -> None:
    """Look once a second from now on, and leave what is loaded by now out of every look."""
    gc.collect()
    gc.freeze()
    gc.disable()
    if not _STARTED.is_set():
        _STARTED.set()
        threading.Thread(target=_look, name="garbage", daemon=True).start()


def _look() -> None:
    waiting = threading.Event()
    for number in itertools.count(1):
        waiting.wait(_SECONDS)
        gc.collect(generation_due(number))


def generation_due(number: int) -> int:
    """Return the generation that is collected at the so-manyeth look, counted from 1."""
    return 2 if number % _OLDEST == 0 else 1 if number % _OLDER == 0 else 0
