"""How often Python looks for reference cycles: seldom, for a batch's records make none, and looking is dear.

At Python's own limit (700 new objects) collecting took a fifth of curate's time: a batch of 5,000 makes some 200,000
objects that live for one batch, while the index holds millions. Nothing is switched off: cycles are still found.
"""

from __future__ import annotations

import gc
from typing import Final

_NEW_OBJECTS: Final = 100_000
_YOUNG: Final = 20  # collections of the youngest before the next generation is looked at


def collect_seldom() -> None:
    """Set the limits, and leave what is loaded by now out of every later look."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, _YOUNG, _YOUNG)
