"""Sums over a stretch of labels, from which every two-sample trigger is computed. Pure, of bounded size.

Each label weighs the inverse of its propensity. Uneven weights carry less evidence: counts are scaled to Kish's
effective n, (sum of weights)^2 / sum of squared weights ("Survey Sampling", 1965), which is n where weights are even.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from schemas.arrays import Floats
from streams.triggers.seen import BUCKETS, Seen


@dataclass(frozen=True, slots=True)
class Moments:
    """Weighted sums of a value."""

    weight: float = 0.0
    squares: float = 0.0  # of the weights
    first: float = 0.0
    second: float = 0.0

    def plus(self, value: float, weight: float) -> Moments:
        """Return the sums with one more value."""
        return Moments(
            self.weight + weight,
            self.squares + weight**2,
            self.first + weight * value,
            self.second + weight * value**2,
        )

    @property
    def effective_n(self) -> float:
        """Return Kish's effective number of values."""
        return self.weight**2 / self.squares if self.squares else 0.0

    @property
    def mean(self) -> float:
        """Return the weighted mean; 0 of nothing."""
        return self.first / self.weight if self.weight else 0.0

    @property
    def variance(self) -> float:
        """Return the weighted variance; 0 of nothing."""
        return max(0.0, self.second / self.weight - self.mean**2) if self.weight else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Sums over a stretch of labels."""

    n: int
    weight: float
    squares: float  # of the weights
    classes: Floats  # (labels + 1,) weight by class
    counts: NDArray[np.int64]  # (labels + 1,) labels by class
    words: Floats  # (BUCKETS,) weight of the texts that hold a word of the bucket
    confidence: Moments

    @classmethod
    def empty(cls, labels: int) -> Self:
        """Return the sums of nothing."""
        return cls(0, 0.0, 0.0, np.zeros(labels + 1), np.zeros(labels + 1, np.int64), np.zeros(BUCKETS), Moments())

    @property
    def effective_n(self) -> float:
        """Return Kish's effective number of labels."""
        return self.weight**2 / self.squares if self.squares else 0.0

    def plus(self, seen: Seen) -> Sample:
        """Return the sums with one more label."""
        classes = self.classes.copy()
        counts = self.counts.copy()
        words = self.words
        classes[seen.number] += seen.weight
        counts[seen.number] += 1
        if seen.words is not None:
            words = words.copy()
            words[seen.words] += seen.weight
        confidence = self.confidence
        if seen.confidence is not None:
            confidence = confidence.plus(seen.confidence, seen.weight)
        return replace(
            self,
            n=self.n + 1,
            weight=self.weight + seen.weight,
            squares=self.squares + seen.weight**2,
            classes=classes,
            counts=counts,
            words=words,
            confidence=confidence,
        )
