"""Simulated rounds of anchors for benchmarks/triggers.py: a teacher that is unsure of some, and one that is exchanged.

100 anchors. Of half the teacher is sure; of the others it says a second label so often that two answers differ on
exactly the share of all anchors that is allowed: the worst case that is still no alarm. References are answers too, so
all rounds of a stream share what was by chance the rarer answer. Judged by the worker's own rule at each round's end;
within a round changes only add up, so it has fired by then if it ever does.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.triggers.teacher_drift import AnchorAnswers, verdict

ANCHORS: Final = 100
LIMIT: Final = 0.10
ALPHA: Final = 0.01
SWAPS: Final = (0.10, 0.15, 0.20, 0.30)  # shares of the anchors to which another teacher gives another label
_BEGUN: Final = datetime(2026, 1, 1, tzinfo=UTC)


def answers(seed: int, rounds: int, swapped: float = 0.0) -> Iterator[NDArray[np.int64]]:
    """Yield the labels of all anchors (anchors,) in a round before the request, then in so many after it.

    Args:
        seed: of the stream.
        rounds: after the request.
        swapped: share of the anchors that get another label from the first round after the request on.
    """
    rng = np.random.default_rng(seed)
    unsure = np.arange(ANCHORS) % 2 == 1
    second = np.where(unsure, (1 - sqrt(1 - 2 * LIMIT / float(unsure.mean()))) / 2, 0.0)  # 2 q (1 - q) is their share
    moved = rng.random(ANCHORS) < swapped
    for at in range(rounds + 1):
        said = (rng.random(ANCHORS) < second).astype(np.int64)
        yield np.where(moved & (at > 0), 2, said)


def alarm(seed: int, rounds: int, swapped: float = 0.0) -> int | None:
    """Return the round after the request in which the trigger fires; None: in none. Arguments as for `answers`."""
    reference, *later = answers(seed, rounds, swapped)
    for look, said in enumerate(later, start=1):
        changed = int((said != reference).sum())
        state = AnchorAnswers(round=_BEGUN, look=look, anchors=ANCHORS, changed=changed)
        if verdict(state, alpha=ALPHA, limit=LIMIT).fired:
            return look
    return None
