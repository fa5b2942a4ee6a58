"""Figures from human labels: accuracy with interval, and the estimate that many teacher labels narrow. Pure.

Rows are weighted: a row chosen with propensity p, whose cluster has m traffic records, counts m / p. Every
variance is of a weighted mean over near-duplicate clusters: sum over clusters of (sum of w (x - mean))^2, over the
squared sum of weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import t

from schemas.arrays import Floats, Ints
from schemas.rules.statistics.calibration import fit_temperature, to_probabilities
from schemas.rules.statistics.effective_n import effective_n
from schemas.rules.statistics.intervals import Interval, wilson

BINS: Final = 10  # of the calibration error


@dataclass(frozen=True)
class WeightedRows:
    """Weighted rows in clusters."""

    weights: Floats  # (rows,)
    clusters: Sequence[str]

    def __len__(self) -> int:
        return len(self.clusters)

    @property
    def effective_n(self) -> float:
        """Kish's effective n, over clusters."""
        return effective_n(self._by_cluster(self.weights))

    def mean(self, values: Floats) -> float:
        """Return the weighted mean of a value per row."""
        return float(np.average(values, weights=self.weights))

    def variance(self, values: Floats) -> float:
        """Return the variance of that mean, with clusters - 1 instead of clusters in its denominator."""
        spread = self._by_cluster(self.weights * (values - self.mean(values)))
        count = len(spread)
        return float((spread**2).sum() / self.weights.sum() ** 2 * count / max(count - 1, 1))

    def covariance(self, one: Floats, other: Floats) -> float:
        """Return the covariance of two weighted means."""
        return (self.variance(one + other) - self.variance(one - other)) / 4

    def _by_cluster(self, values: Floats) -> Floats:
        _, number = np.unique(np.asarray(self.clusters, dtype=object).astype(str), return_inverse=True)
        return np.asarray(np.bincount(number, weights=values), dtype=np.float64)


def accuracy(right: Floats, sample: WeightedRows, level: float = 0.95) -> Interval:
    """Return the weighted share of right answers with Wilson's interval at the effective n.

    Args:
        right: 1 or 0 per row (rows,).
        sample: the rows.
        level: of confidence.
    """
    return wilson(sample.mean(right), sample.effective_n, level)


def prediction_powered(
    right: Floats, proxy: Floats, gold: WeightedRows, many_proxy: Floats, many: WeightedRows, level: float = 0.95
) -> Interval:
    """Return the mean of `right` over traffic, from few gold rows and many rows of which only a proxy is known.

    Prediction-powered inference (Angelopoulos, Bates, Fannjiang, Jordan and Zrnic 2023, Science 382:669), with the
    power tuning of PPI++ (Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453):

        estimate = l * mean(many_proxy) + mean(right - l * proxy)
        variance = l^2 * var(mean(many_proxy)) + var(mean(right - l * proxy))
        l        = cov(mean(right), mean(proxy)) / (var(mean(proxy)) + var(mean(many_proxy))), inside [0, 1]

    Unbiased however wrong the proxy is; a useless proxy gets l = 0, so that only the gold rows count. The interval is
    normal, by t with clusters - 1 degrees of freedom of the gold rows: below some 30 of them it is rough.

    Args:
        right: of each gold row (rows,).
        proxy: what the proxy says of the same rows (rows,).
        gold: the gold rows.
        many_proxy: what the proxy says of the other rows (others,).
        many: the other rows; none of them is a gold row.
        level: of confidence.
    """
    spread = gold.variance(proxy) + many.variance(many_proxy)
    power = min(max(gold.covariance(right, proxy) / spread, 0.0), 1.0) if spread > 0 else 0.0
    rest = right - power * proxy
    value = power * many.mean(many_proxy) + gold.mean(rest)
    deviation = float(np.sqrt(power**2 * many.variance(many_proxy) + gold.variance(rest)))
    half = float(t.ppf((1 + level) / 2, max(len(set(gold.clusters)) - 1, 1))) * deviation
    return Interval(value, max(0.0, value - half), min(1.0, value + half))


@dataclass(frozen=True)
class Calibration:
    """How honest a teacher's probabilities are, on rows the temperature was not fitted on."""

    temperature: float  # above 1: the teacher is too sure
    before: float  # calibration error of the given probabilities
    after: float  # with the temperature
    fitted: int  # rows the temperature comes from
    n: int  # rows the errors are measured on


def calibration(fit: tuple[Floats, Ints, Floats], check: tuple[Floats, Ints, Floats]) -> Calibration:
    """Fit one temperature on some rows and measure the calibration error on others.

    Args:
        fit: class probabilities (rows, classes), gold classes (rows,), weights (rows,).
        check: the same of the anchors.
    """
    probabilities, classes, weights = fit
    temperature = fit_temperature(_logits(probabilities), classes, weights)
    tempered = to_probabilities(_logits(check[0]), temperature)
    return Calibration(
        temperature=temperature,
        before=_error(*check),
        after=_error(tempered, *check[1:]),
        fitted=len(classes),
        n=len(check[1]),
    )


def _logits(probabilities: Floats) -> Floats:
    return np.log(np.clip(probabilities, 1e-9, 1.0))


def _error(probabilities: Floats, labels: Ints, weights: Floats) -> float:
    """Return the expected calibration error: the gap of confidence and accuracy in BINS bins, by their weight."""
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    number = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(number, weights=weights * (right - confidence), minlength=BINS)
    return float(np.abs(gaps).sum() / weights.sum())
