"""Anytime-valid evidence about a mean: look after every observation, stop whenever you like, and alpha still holds.

The tool is a capital process. For observations y in [0, 1] and the hypothesis `mean <= m`, a bet of share g multiplies
the capital by (1 - g) + g*y/m, whose expectation is at most 1 under the hypothesis for every 0 < g < 1. The average
over a fixed grid of shares is a non-negative supermartingale, so (Ville 1939) it ever reaches 1/alpha with probability
at most alpha. Each factor falls as m rises, so the means not rejected form a half-line: its end is a confidence
sequence. Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS-B 86 (2024).
With y in {0, 1} and g = (p - m)/(1 - m) the factor is the likelihood ratio of p against m: Robbins' mixture (1970).

Observations are counts of 0, 1/2 and 1, so evidence does not depend on order and is rebuilt by counting. A paired
difference d in {-1, 0, 1} (challenger right minus champion right) is y = (d + 1)/2; pairs that agree are halves and
need no reference. Assumes independent observations: count one per near-duplicate cluster.

Simulated (benchmarks/guardrail_simulation.py, 100 runs of 1,000, seed 13, alpha 0.05/3, watched at every observation):
exactly at the limits 0.80, 0.05 and 0.10 no run alarmed. Median observations until the alarm: agreement 0.70 against a
floor of 0.80: 196; 0.60: 47; errors 0.20 against 0.05: 39; 0.50: 5; slow 0.20 against 0.10: 110. Paired, 8 % differing,
5 points worse: 241 pairs and 21 calls of the teacher; 2 points worse: seen in 17 % of the runs only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, inf, log, log1p
from typing import Final

_SHARES: Final = tuple(1 / (1 + exp(-(-5.5 + 10.5 * i / 23))) for i in range(24))  # 0.004 to 0.993, even in log-odds
_PRECISION: Final = 1e-6


@dataclass(frozen=True)
class Counts:
    """How often an observation in [0, 1] was 0, one half and 1."""

    zeros: int = 0
    halves: int = 0
    ones: int = 0

    @property
    def n(self) -> int:
        """Return the number of observations."""
        return self.zeros + self.halves + self.ones

    @property
    def mean(self) -> float:
        """Return the plain mean, or 0.5 of nothing."""
        return (self.ones + self.halves / 2) / self.n if self.n else 0.5

    def mirrored(self) -> Counts:
        """Return the counts of 1 - y."""
        return Counts(self.ones, self.halves, self.zeros)

    def plus(self, value: float) -> Counts:
        """Return the counts with one more observation: 0, 0.5 or 1."""
        if value == 0:
            return Counts(self.zeros + 1, self.halves, self.ones)
        if value == 1:
            return Counts(self.zeros, self.halves, self.ones + 1)
        return Counts(self.zeros, self.halves + 1, self.ones)


def log_capital(counts: Counts, mean: float) -> float:
    """Return the logarithm of the capital against the hypothesis that the true mean is at most `mean`."""
    if mean <= 0:
        return inf if counts.ones or counts.halves else 0.0
    logs = [
        counts.zeros * log1p(-share)
        + counts.halves * log1p(share * (0.5 / mean - 1))
        + counts.ones * log1p(share * (1 / mean - 1))
        for share in _SHARES
    ]
    top = max(logs)
    return top + log(sum(exp(value - top) for value in logs) / len(logs))


def exceeds(counts: Counts, limit: float, alpha: float) -> bool:
    """Return whether the mean is above the limit, wrongly with probability at most alpha over all looks together."""
    return log_capital(counts, limit) >= -log(alpha)


def falls_below(counts: Counts, floor: float, alpha: float) -> bool:
    """Return whether the mean is below the floor, wrongly with probability at most alpha over all looks together."""
    return exceeds(counts.mirrored(), 1 - floor, alpha)


def lower_bound(counts: Counts, alpha: float) -> float:
    """Return the lower end of the one-sided confidence sequence for the mean."""
    low, high = 0.0, 1.0
    while high - low > _PRECISION:
        middle = (low + high) / 2
        if exceeds(counts, middle, alpha):
            low = middle
        else:
            high = middle
    return low


def upper_bound(counts: Counts, alpha: float) -> float:
    """Return the upper end of the one-sided confidence sequence for the mean."""
    return 1 - lower_bound(counts.mirrored(), alpha)


def split_alpha(alpha: float, weights: Mapping[str, float]) -> dict[str, float]:
    """Split the false alarms of a whole rollout over its metrics by weight (Bonferroni: the sum is alpha)."""
    total = sum(weights.values())
    return {name: alpha * weight / total for name, weight in weights.items()}
