"""When the two-sample triggers look, and how much of alpha each look may spend. Pure.

A test that is made again and again alarms falsely in the end. So the labels since the last request are compared with
those before it at fixed numbers of labels only (50, then each a quarter more: 50, 63, 79, ... 5,169 is the 22nd), and
look k spends alpha / (k (k + 1)). These sum to alpha over endless looks (Bonferroni), so a false alarm between two
requests has probability at most alpha. Looks depend on the count of labels, so they fall on the same label
however the batches fall.
"""

from __future__ import annotations

from math import ceil
from typing import Final

FIRST: Final = 50
GROWTH: Final = 1.25
LEAST_EFFECTIVE: Final = 30.0  # effective n of either side, below which nothing is compared


def size(look: int) -> int:
    """Return the number of labels at which look 1, 2, ... is made."""
    return ceil(FIRST * GROWTH ** (look - 1))


def spends(alpha: float, look: int) -> float:
    """Return the share of alpha that a look may spend."""
    return alpha / (look * (look + 1))
