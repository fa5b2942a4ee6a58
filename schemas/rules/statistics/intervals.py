"""Intervals by the cluster bootstrap: how far a figure could be off, when near duplicates are right or wrong together.

Whole clusters are drawn with replacement and every row counts by the inverse of its propensity. All figures of a
`ClusterBootstrap` use the same draws, so that the difference of two of them is paired. Percentile method: too
narrow below some 30 clusters, which is why every interval carries its n. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import t

from schemas.arrays import Floats
from schemas.rules.statistics.effective_n import effective_n

METHOD: Final = "cluster bootstrap, percentile"
_BLOCK: Final = 256  # draws at a time: bounds memory at 256 x clusters


@dataclass(frozen=True)
class Interval:
    """A figure between its bounds."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Totals:
    """Weighted column sums: over all rows, and over each draw."""

    point: Floats  # (columns,)
    draws: Floats  # (draws, columns)


class ClusterBootstrap:
    """Seeded draws of whole clusters, the same for every figure."""

    def __init__(
        self, clusters: Sequence[str], weights: Sequence[float] | Floats | None = None, *, draws: int = 2_000, seed: int
    ) -> None:
        """Prepare the draws.

        Args:
            clusters: the cluster of each row.
            weights: the inverse of each row's propensity; None: all rows count the same.
            draws: how many times the clusters are drawn.
            seed: equal seeds give equal draws.

        Raises:
            ValueError: there is no row, or a weight is not above 0.
        """
        if not clusters:
            raise ValueError("an interval needs at least one row")
        self._weights = np.ones(len(clusters)) if weights is None else np.asarray(weights, dtype=np.float64)
        if not (self._weights > 0).all():
            raise ValueError("weights must be above 0")
        names, self._cluster = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
        self._clusters = len(names)
        self._draws = draws
        self._seed = seed
        mass = np.bincount(self._cluster, weights=self._weights, minlength=len(names))
        self.n = len(clusters)
        self.effective_n = effective_n(mass)  # over clusters

    def totals(self, columns: Floats) -> Totals:
        """Return the weighted sums of columns (rows, columns), over all rows and over each draw."""
        summed = np.zeros((self._clusters, columns.shape[1]))
        np.add.at(summed, self._cluster, columns * self._weights[:, None])
        generator = np.random.default_rng(self._seed)
        blocks = []
        for start in range(0, self._draws, _BLOCK):
            size = min(_BLOCK, self._draws - start)
            counts = generator.multinomial(self._clusters, np.full(self._clusters, 1 / self._clusters), size=size)
            blocks.append(counts.astype(np.float64) @ summed)
        return Totals(summed.sum(axis=0), np.concatenate(blocks))

    def mean(self, values: Floats, level: float = 0.95) -> Interval:
        """Return the weighted mean of a value per row."""
        totals = self.totals(np.stack([values, np.ones_like(values)], axis=1))
        return interval(float(totals.point[0] / totals.point[1]), totals.draws[:, 0] / totals.draws[:, 1], level)


def interval(value: float, draws: Floats, level: float = 0.95) -> Interval:
    """Return a figure with the percentile bounds of its draws; draws in which it is not defined (NaN) are left out."""
    tail = (1 - level) / 2
    defined = draws[~np.isnan(draws)]
    if not len(defined):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def wilson(share: float, n: float, level: float = 0.95) -> Interval:
    """Return a share with Wilson's interval, by Student's t with n - 1 degrees of freedom, not the normal.

    Args:
        share: between 0 and 1.
        n: its rows; effective ones where they are weighted.
        level: of confidence.
    """
    z = float(t.ppf((1 + level) / 2, max(n - 1, 1)))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))
