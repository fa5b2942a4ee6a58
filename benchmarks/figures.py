"""Figures of repeated rounds: medians with their spread, and ratios paired by round. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, with the least and the most."""

    median: float
    low: float
    high: float
    n: int

    def text(self, form: str = ",.0f") -> str:
        """Return the figure as text: median, and the least and the most in brackets."""
        return f"{self.median:{form}} ({self.low:{form}}-{self.high:{form}})"


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the range."""
    return Spread(statistics.median(values), min(values), max(values), len(values))


def paired(one: Sequence[float], other: Sequence[float]) -> Spread:
    """Return the spread of one's ratio to the other, round by round: what slows a whole round down cancels out."""
    return spread([mine / theirs for mine, theirs in zip(one, other, strict=True)])
