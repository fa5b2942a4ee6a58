"""How the practice teacher errs: the planted truth through a seeded confusion matrix, with honest probabilities.

One rule for the practice teacher and for the answers recorded in simulated traffic, so that both say the same.
Every draw comes from a keyed hash: no state, no order, the same answer for every member of a cluster.

Calibration: each cluster draws a doubt from a few levels. With probability `doubt` the answer is wrong, and whatever
the answer, it is given `1 - doubt`. So among the answers of one stated probability exactly that share is right; classes
differ only in which levels they draw how often. The labels that were not answered are not claimed to be calibrated.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from typing import Final

# Doubt and how often it is drawn: mean 0.050, so 95 % of all answers are right. All below 0.5: the answer stays on top.
DOUBTS: Final = (0.005, 0.02, 0.06, 0.16, 0.32)
SHARES: Final = (0.440, 0.250, 0.155, 0.100, 0.055)
EASIEST: Final = 0.7  # a class's share of the two highest doubts, times this ...
HARDEST: Final = 1.3  # ... to this, evenly spread over the classes
CONFUSIONS: Final = 4  # labels that one label is mistaken for


def practice_probabilities(labels: Sequence[str], true_label: str, cluster_key: str, seed: int) -> list[float]:
    """Return the practice teacher's probability of each label, in the order of `labels`.

    Args:
        labels: the workload's label set; an early label is a likelier mistake.
        true_label: the planted truth, one of `labels`.
        cluster_key: what near duplicates share, so that they share the answer.
        seed: another seed is another teacher.
    """
    known = tuple(labels)
    truth = known.index(true_label)
    doubt = _doubt(known, truth, cluster_key, seed)
    wrong = _uniform(seed, "wrong", cluster_key) < doubt
    answer = _draw(_confusions(known, truth, seed), _uniform(seed, "which", cluster_key)) if wrong else truth
    probabilities = [0.0] * len(known)
    for label, weight in _confusions(known, answer, seed).items():
        probabilities[label] += doubt * weight * (0.5 if wrong else 1.0)
    if wrong:
        probabilities[truth] += doubt * 0.5
    probabilities[answer] = 1.0 - doubt
    return probabilities


def practice_label(labels: Sequence[str], true_label: str, cluster_key: str, seed: int) -> str:
    """Return the label that the practice teacher answers: the one with the highest probability."""
    probabilities = practice_probabilities(labels, true_label, cluster_key, seed)
    return labels[max(range(len(labels)), key=probabilities.__getitem__)]


def _doubt(labels: tuple[str, ...], truth: int, cluster_key: str, seed: int) -> float:
    tilt = _tilts(labels, seed)[truth]
    shares = [share * (tilt if level >= len(DOUBTS) - 2 else 1.0) for level, share in enumerate(SHARES)]
    shares[0] += 1.0 - sum(shares)
    return DOUBTS[_draw(dict(enumerate(shares)), _uniform(seed, "doubt", cluster_key))]


@cache
def _tilts(labels: tuple[str, ...], seed: int) -> tuple[float, ...]:
    """How hard each class is, evenly spread: the order is the seed's."""
    ranked = sorted(range(len(labels)), key=lambda i: _uniform(seed, "tilt", labels[i]))
    step = (HARDEST - EASIEST) / max(len(labels) - 1, 1)
    return tuple(EASIEST + step * ranked.index(i) for i in range(len(labels)))


@cache
def _confusions(labels: tuple[str, ...], label: int, seed: int) -> dict[int, float]:
    """Return what a label is mistaken for, with weights that sum to 1: labels that look alike, and familiar ones."""
    own = _trigrams(labels[label])

    def weight(other: int) -> float:
        theirs = _trigrams(labels[other])
        likeness = len(own & theirs) / len(own | theirs)
        familiar = 1.0 / (1.0 + other)  # in doubt a model falls back on the first options
        return (0.1 + likeness + familiar) * (0.5 + _uniform(seed, "pair", f"{labels[label]}\x00{labels[other]}"))

    weights = {other: weight(other) for other in range(len(labels)) if other != label}
    chosen = sorted(weights, key=weights.__getitem__, reverse=True)[:CONFUSIONS]
    total = sum(weights[other] for other in chosen)
    return {other: weights[other] / total for other in chosen}


def _trigrams(label: str) -> set[str]:
    padded = f"  {label.casefold()} "
    return {padded[i : i + 3] for i in range(len(padded) - 2)}


def _draw(weights: dict[int, float], uniform: float) -> int:
    left = uniform * sum(weights.values())
    for item, weight in weights.items():
        left -= weight
        if left < 0:
            return item
    return next(reversed(weights))


def _uniform(seed: int, purpose: str, key: str) -> float:
    """Return a number in [0, 1) that only the three decide."""
    number = blake2b(f"{seed}\x00{purpose}\x00{key}".encode(), digest_size=8).digest()
    return int.from_bytes(number, "big") / 2**64
