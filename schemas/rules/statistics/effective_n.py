"""How many rows of equal weight carry as much evidence as unequal ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def effective_n(weights: Iterable[float]) -> float:
    """Return (sum of w)^2 / sum of w^2; 0 of none (Kish, "Survey Sampling", 1965)."""
    total = squares = 0.0
    for weight in weights:
        total += weight
        squares += weight**2
    return float(total**2 / squares) if squares else 0.0
