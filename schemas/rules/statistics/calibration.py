"""One temperature for a model's logits, fitted on rows it did not learn from, for honest probabilities. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from schemas.arrays import Floats


def fit_temperature(logits: Floats, labels: NDArray[np.int64], weights: Floats | None = None) -> float:
    """Return the T in [0.05, 20] with the least negative log-likelihood of labels under softmax(logits / T).

    Args:
        logits: (rows, classes); logarithms of probabilities serve as well.
        labels: index of each row's class (rows,).
        weights: the inverse of each row's propensity (rows,); None: all rows count the same.
    """

    def loss(log_temperature: float) -> float:
        scores = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(np.average(scores[np.arange(len(labels)), labels], weights=weights))

    best = minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded")
    return round(float(np.exp(best.x)), 6)


def to_probabilities(logits: Floats, temperature: float) -> Floats:
    """Return softmax(logits / temperature), row by row."""
    return np.asarray(softmax(logits / temperature, axis=1), dtype=np.float64)
