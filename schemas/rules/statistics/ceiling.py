"""The ceiling of a student: how often it can agree with a teacher that does not always agree with itself. Pure."""

from __future__ import annotations

import math
from typing import Final

from schemas.errors import BadInput
from schemas.records import Ceiling

REMEDY: Final = "lower it, or improve the question or the teacher and measure again with `millrace ceiling`"


def highest_agreement(self_agreement: float, labels: int) -> float:
    """Return the most that any student can agree with a teacher with this self-agreement.

    A teacher gives a text label k with a probability p_k. Two answers are the same with s = sum of p_k^2. The best
    student says the likeliest label, and is right with max p; of all distributions with that s the one whose other
    labels are equally likely has the largest: K m^2 - 2 m + 1 - (K - 1) s = 0, so

        m(s) = (1 + sqrt((K - 1) (K s - 1))) / K.

    m is concave, so by Jensen the mean of max p over texts is at most m(mean of s). It is above s: an answer that is
    right nine times in ten is repeated 0.82 of the time.

    Args:
        self_agreement: s, over many texts.
        labels: K, at least 2.
    """
    repeated = max(self_agreement, 1 / labels)  # no distribution is below it, only chance in the sample
    return min(1.0, (1 + math.sqrt(max(0.0, (labels - 1) * (labels * repeated - 1)))) / labels)


def check_target(field: str, target: float, found: Ceiling) -> None:
    """Refuse a target agreement that no student can reach.

    Raises:
        BadInput: it is above the ceiling.
    """
    if target > found.ceiling:
        measured = f"{found.self_agreement:.3f} ({found.low:.3f} to {found.high:.3f}, n = {found.rows})"
        raise BadInput(
            field,
            target,
            f"no student can agree with {found.teacher_model} more often than {found.ceiling:.3f}, for "
            f"it agrees with itself {measured}; {REMEDY}",
        )
