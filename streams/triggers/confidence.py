"""The confidence trigger: the teacher is less, or more, sure of its labels than it was. Pure.

The squared difference of the mean highest class probability, over its variance, against Student's t, squared, with the
degrees of freedom of the smaller sample. The variance is that of both samples together: confidence is skewed, and a
small sample whose mean is off by chance has too small a variance of its own (of 1,000 calm streams 2.4 % alarmed so,
where 1 % may; by chi-squared 1.1 %). It needs no student and comes early, but it is a sign only: the next student
shows what it means.
"""

from __future__ import annotations

from typing import Final

from scipy.special import stdtrit

from schemas.events import TriggerVerdict
from streams.triggers.looks import LEAST_EFFECTIVE, spends
from streams.triggers.sample import Sample
from streams.triggers.verdicts import Test, waiting

NAME: Final = "confidence"
_LEAST_VARIANCE: Final = 1e-4  # a teacher that is always equally sure would make every change infinitely significant


def verdict(reference: Sample, recent: Sample, *, alpha: float, look: int, floor: float) -> TriggerVerdict:
    """Return what a look finds; arguments as for label_mix, the floor being a change of the mean confidence."""
    before, now = reference.confidence, recent.confidence
    if min(before.effective_n, now.effective_n) < LEAST_EFFECTIVE:
        return waiting(NAME, "Too few labels carry class probabilities.")
    difference = now.mean - before.mean
    total = before.effective_n + now.effective_n
    middle = (before.mean * before.effective_n + now.mean * now.effective_n) / total
    pooled = sum(one.effective_n * (one.variance + (one.mean - middle) ** 2) for one in (before, now)) / total
    error = max(pooled, _LEAST_VARIANCE) * (1 / before.effective_n + 1 / now.effective_n)
    degrees = min(before.effective_n, now.effective_n) - 1
    test = Test(
        statistic=difference**2 / error,
        threshold=float(stdtrit(degrees, spends(alpha, look) / 2)) ** 2,
        effect=abs(difference),
        floor=floor,
        nominal=alpha,
        n=now.effective_n,
        reference_n=before.effective_n,
        look=look,
    )
    return test.verdict(NAME, f"Mean confidence went from {before.mean:.3f} to {now.mean:.3f}, which")
