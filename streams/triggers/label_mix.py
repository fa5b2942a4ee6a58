"""The label-mix trigger: the classes since the last request are not those before it. Pure.

A G-test of two samples on effective counts (propensity-weighted, scaled to Kish's n), with Williams' correction (1976)
and classes that expect fewer than 10 in the smaller sample put together: so far out in its tail chi-squared fits small
counts badly (with 5, of 1,000 calm streams 1.4 % alarmed, where 1 % may). The effect is Cohen's w, the root of the
summed (p - q)^2 / mean share, freed of what chance alone adds: w^2 = (G - df) / harmonic n. About the root of the
population stability index; unlike that index it needs no limit that fits one n only.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

import numpy as np
from scipy.special import chdtri, xlogy

from schemas.arrays import Floats
from schemas.events import TriggerVerdict
from streams.triggers.looks import spends
from streams.triggers.sample import Sample
from streams.triggers.verdicts import Test, waiting

NAME: Final = "label-mix"
_LEAST_EXPECTED: Final = 10.0
_DIGITS: Final = 9  # equal classes stay equal, however their weights add up


def verdict(reference: Sample, recent: Sample, *, alpha: float, look: int, floor: float) -> TriggerVerdict:
    """Return what a look finds.

    Args:
        reference: the labels of the epoch before.
        recent: those since the last request.
        alpha: for all looks together.
        look: its number, from 1.
        floor: least Cohen's w that fires.
    """
    sizes = np.array([reference.effective_n, recent.effective_n])
    table = np.stack([reference.classes / reference.weight, recent.classes / recent.weight]) * sizes[:, None]
    table = _pooled(table)
    degrees = table.shape[1] - 1
    if degrees == 0:
        return waiting(NAME, "No second class is frequent enough to compare shares.")
    statistic = _g(table)
    harmonic = float(sizes.prod() / sizes.sum())
    test = Test(
        statistic=statistic,
        threshold=float(chdtri(degrees, spends(alpha, look))),
        effect=sqrt(max(0.0, statistic - degrees) / harmonic),
        floor=floor,
        nominal=alpha,
        n=recent.effective_n,
        reference_n=reference.effective_n,
        look=look,
    )
    return test.verdict(NAME, f"Cohen's w of {test.effect:.2f} between the class shares")


def _pooled(table: Floats) -> Floats:
    """Put classes too rare to test together; where even they are too few, the rarest of the others absorbs them."""
    sizes = table.sum(axis=1)
    expected = (table.sum(axis=0) / sizes.sum() * sizes.min()).round(_DIGITS)
    kept = table[:, expected >= _LEAST_EXPECTED]
    rest = table[:, expected < _LEAST_EXPECTED].sum(axis=1)
    if rest.sum() == 0:
        return kept
    if rest.sum() / sizes.sum() * sizes.min() >= _LEAST_EXPECTED or kept.shape[1] == 0:
        return np.column_stack([kept, rest])
    kept[:, kept.sum(axis=0).round(_DIGITS).argmin()] += rest
    return kept


def _g(table: Floats) -> float:
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    total = float(table.sum())
    raw = 2 * float(xlogy(table, table * total / np.outer(rows, columns)).sum())
    spread = (total * (1 / rows).sum() - 1) * (total * (1 / columns).sum() - 1)
    return raw / (1 + float(spread) / (6 * total * (len(columns) - 1)))
