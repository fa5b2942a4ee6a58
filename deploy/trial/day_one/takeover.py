"""How many requests a student could take over at a wished agreement: chosen on some rows, measured on others. Pure.

The student answers where its confidence reaches a threshold. Thresholds are tried from strict to loose on the rows to
choose by, from each of STARTS places on, and each is kept while the agreement of what it lets through is above the
wished one by a lower bound (bounds.py) at ALPHA / STARTS; the first that fails ends the walk. The loosest that was kept
is too loose with probability ALPHA at most, however many were tried (fixed-sequence testing with several starts, as in
Learn then Test, Angelopoulos et al. 2021). A single start at the strictest place has so few rows that two chance
errors end it. The lowest threshold that only seems to reach the target on those rows, without a bound, misses it about
every second time. Its figures come from test rows alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import log
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploy.trial.day_one.bounds import ShareFigure, cluster_effective_n, lower, share
from deploy.trial.day_one.student import Said
from schemas.arrays import Flags, Floats

ALPHA: Final = 0.05
STEPS: Final = 40  # thresholds that are tried: each lets through 2.5 % of the rows more than the one before
STARTS: Final = 4  # places where a walk begins, spread over the thresholds that let enough rows through


@dataclass(frozen=True)
class Threshold:
    """What was chosen, and the evidence for it."""

    confidence: float
    agreement: float  # of what it lets through, on the rows to choose by
    lower: float  # bound of that agreement, at ALPHA / STARTS
    n: int  # rows let through
    effective_n: float


@dataclass(frozen=True)
class Point:
    """What one threshold would do on the test rows."""

    coverage: float
    agreement: ShareFigure


@dataclass(frozen=True)
class Takeover:
    """What the student could take over."""

    wished: float
    threshold: Threshold | None  # None: no share of the rows can be shown to agree that well
    coverage: ShareFigure | None  # share of the test rows it answers
    coverage_first: ShareFigure | None  # the same of the first member of each cluster: as if nothing came twice
    agreement: ShareFigure | None  # on the test rows it answers
    curve: list[Point]  # strictest first


def choose(confidence: Floats, agreed: Flags, clusters: Sequence[Hashable], wished: float) -> Threshold | None:
    """Return the lowest threshold that keeps the promise on these rows with confidence 1 - ALPHA; None: there is none.

    Args:
        confidence: of each row, calibrated.
        agreed: whether the student says what was recorded.
        clusters: of each row.
        wished: least agreement of what is answered, above 0 and below 1.
    """
    least = log(ALPHA / STARTS) / log(wished)  # rows: with fewer, the bound is too low even where all of them agree
    thresholds = [_let(limit, confidence, agreed, clusters) for limit in _limits(confidence)]
    tried = [one for one in thresholds if one.effective_n >= least]
    kept = [one.lower >= wished for one in tried]
    reached = [_last(kept, start * len(tried) // STARTS) for start in range(STARTS)]
    return next((tried[place] for place in sorted(reached, reverse=True) if place >= 0), None)


def _let(limit: float, confidence: Floats, agreed: Flags, clusters: Sequence[Hashable]) -> Threshold:
    through = np.flatnonzero(confidence >= limit).tolist()
    effective = cluster_effective_n([clusters[row] for row in through])
    agreement = float(agreed[through].mean())
    return Threshold(limit, agreement, lower(agreement, effective, ALPHA / STARTS), len(through), effective)


def _last(kept: Sequence[bool], start: int) -> int:
    """Return the last place of the run of kept ones that begins at a place; -1: that one is not kept."""
    place = start
    while place < len(kept) and kept[place]:
        place += 1
    return place - 1 if place > start else -1


def takeover(choosing: Said, test: Said, wished: float) -> Takeover:
    """Choose a threshold on some rows, and measure on the test rows what it does."""
    chosen = choose(choosing.confidence, choosing.agreed, choosing.clusters, wished)
    if chosen is None:
        return Takeover(wished, None, None, None, None, _curve(test))
    through = test.confidence >= chosen.confidence
    first = np.flatnonzero(test.first)
    return Takeover(
        wished=wished,
        threshold=chosen,
        coverage=share(through, test.clusters),
        coverage_first=share(through[first], [test.clusters[row] for row in first]) if len(first) else None,
        agreement=_agreement(test, through),
        curve=_curve(test),
    )


def _curve(test: Said) -> list[Point]:
    points = []
    for limit in _limits(test.confidence):
        through = test.confidence >= limit
        agreement = _agreement(test, through)
        if agreement is not None:
            points.append(Point(float(through.mean()), agreement))
    return points


def _agreement(said: Said, through: Flags) -> ShareFigure | None:
    rows = np.flatnonzero(through)
    return share(said.agreed[rows], [said.clusters[row] for row in rows]) if len(rows) else None


def _limits(confidence: Floats) -> list[float]:
    """Return thresholds from the strictest to the loosest; they look at no label."""
    shares: NDArray[np.float64] = np.arange(STEPS - 1, -1, -1) / STEPS
    return list(dict.fromkeys(float(limit) for limit in np.quantile(confidence, shares, method="lower")))
