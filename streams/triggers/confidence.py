"""The confidence trigger: the teacher is less, or more, sure of its labels than it was. Pure.

The mean of the highest class probability is compared by Welch's statistic, squared, against chi-squared with 1 degree
of freedom. It needs no student and comes early, but it is a sign only: what it means is for the next student to show.
"""

from __future__ import annotations

from typing import Final

from scipy.special import chdtri

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
    error = sum(max(one.variance, _LEAST_VARIANCE) / one.effective_n for one in (before, now))
    test = Test(
        statistic=difference**2 / error,
        threshold=float(chdtri(1, spends(alpha, look))),
        effect=abs(difference),
        floor=floor, nominal=alpha, n=now.effective_n, reference_n=before.effective_n, look=look,
    )  # fmt: skip
    return test.verdict(NAME, f"Mean confidence went from {before.mean:.3f} to {now.mean:.3f}, which")
