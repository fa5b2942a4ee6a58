"""How far a share could be off, when near duplicates are right or wrong together. Pure.

A share p of n rows gets the exact binomial interval of Clopper and Pearson (1934) on an effective n, as Korn and
Graubard (1998) do for surveys: bounds are quantiles of Beta(x, n' - x + 1) and Beta(x + 1, n' - x), with x = p n'.
Here n' = n^2 / sum of the squared cluster sizes (Kish 1965): as if the rows of a cluster were equal, which is the
worst case. Where every row is its own cluster, n' = n and the interval is exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import beta

from schemas.arrays import Flags
from schemas.rules.statistics.effective_n import effective_n

METHOD: Final = "Clopper-Pearson on the effective n"


@dataclass(frozen=True)
class ShareFigure:
    """A share with its 95 % interval, its rows and how the interval was made."""

    value: float
    low: float
    high: float
    n: int  # rows
    effective_n: float
    method: str = METHOD


def cluster_effective_n(clusters: Sequence[Hashable]) -> float:
    """Return how many independent rows the rows of these clusters are worth; 0 without rows."""
    return effective_n(Counter(clusters).values())


def share(hits: Flags, clusters: Sequence[Hashable], level: float = 0.95) -> ShareFigure:
    """Return the share of rows that hit, with its interval.

    Raises:
        ValueError: there is no row.
    """
    if not len(hits):
        raise ValueError("a share needs at least one row")
    return share_of(float(np.mean(hits)), len(hits), cluster_effective_n(clusters), level)


def share_of(value: float, n: int, effective: float, level: float = 0.95) -> ShareFigure:
    """Return a share of `n` rows that are worth `effective` independent ones, with its interval."""
    tail = (1 - level) / 2
    return ShareFigure(value, lower(value, effective, tail), 1 - lower(1 - value, effective, tail), n, effective)


def lower(value: float, effective: float, alpha: float) -> float:
    """Return the bound that the true share is below with probability alpha at most."""
    hits = value * effective
    return 0.0 if hits <= 0 else float(beta.ppf(alpha, hits, effective - hits + 1))
