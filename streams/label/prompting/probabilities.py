"""The teacher's top log-probabilities over label codes, turned into probabilities over the classes.

The rule for what the top list does not show: the mass that no listed code holds is spread evenly over the codes that
are not listed, none of them above the least likely listed token (an unlisted token cannot be likelier). Then the sum is
made 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

LEAST_MASS: Final = 0.5  # below it the first token was mostly no code: its probabilities say nothing of the classes

TopToken = tuple[str, float]  # token, natural logarithm of its probability


def class_probabilities(choices: Mapping[str, str], top: Sequence[TopToken]) -> dict[str, float] | None:
    """Return label -> probability over all labels, summing to 1; or None where the list does not show them.

    Args:
        choices: code -> label.
        top: the likeliest first tokens, their logarithms as sent: a value that is no logarithm makes the result None.
    """
    if not top or any(math.isnan(value) or value > 1e-6 for _, value in top):
        return None
    seen: dict[str, float] = {}
    for token, value in top:
        code = token.strip()
        if code in choices:  # "A" and " A" are one code
            seen[choices[code]] = seen.get(choices[code], 0.0) + math.exp(value)
    mass = sum(seen.values())
    if mass < LEAST_MASS:
        return None
    unseen = [label for label in choices.values() if label not in seen]
    floor = min(math.exp(value) for _, value in top)
    share = min(max(0.0, 1.0 - mass) / len(unseen), floor) if unseen else 0.0
    total = mass + share * len(unseen)
    return {label: seen.get(label, share) / total for label in choices.values()}
