"""How many calls an endpoint takes at a time, found by additive increase and multiplicative decrease. Pure.

A round is as many answers as calls may be open (at least 10). Until the first sign of congestion every round in which
the limit was reached doubles it (slow start); later such a round adds a sixteenth of the ceiling. A refusal (429, 503)
or a timeout halves it, once for all calls of one flight. So does a round whose median latency is more than 3 times the
baseline; above twice the baseline the limit stays.

The baseline is the least median of a round; it moves 1 % per round towards the newest, so that a teacher that became
slower for good is not taken for a full one. Why twice: an endpoint of C places, asked by n > C callers, answers after
n/C times its service time (Little's law); at twice the baseline it is full and one call waits for each place.

After Chiu and Jain 1989 (additive increase, multiplicative decrease), RFC 5681 (slow start, one decrease per flight),
RFC 7661 (no growth where the limit was not reached), TCP Vegas and Netflix's concurrency-limits (latency against its
baseline). An endpoint whose latency doubles long before it is full, by batching, is held below its capacity.
"""

from __future__ import annotations

from statistics import median
from typing import Final

START: Final = 4
ROUND_ANSWERS: Final = 10  # at least: one slow answer is no median
NEAR: Final = 2.0  # times the baseline, above which the limit does not grow
FAR: Final = 3.0  # times the baseline, above which it is halved
FORGET: Final = 0.01  # of the way from the baseline to the newest median, each round
STEP_SHARE: Final = 16  # of the ceiling, added in a round


class Concurrency:
    """The limit on the calls that are open at a time."""

    def __init__(self, ceiling: int) -> None:
        """Start small; `ceiling` is never passed."""
        self.limit = min(START, ceiling)
        self._ceiling = ceiling
        self._slow_start = True
        self._reached = False  # in this round
        self._seconds: list[float] = []  # of this round's answers
        self._baseline: float | None = None
        self._cut = float("-inf")  # when the limit was last halved

    def open(self, calls: int) -> None:
        """Note the number of calls that are open now."""
        self._reached = self._reached or calls >= self.limit

    def answered(self, seconds: float, now: float) -> None:
        """Take an answer's latency; `now` in monotonic seconds."""
        if now - seconds < self._cut:
            return  # sent before the limit was halved: it shows the time before
        self._seconds.append(seconds)
        if len(self._seconds) >= max(ROUND_ANSWERS, self.limit):
            self._end_round(median(self._seconds), now)

    def refused(self, seconds: float, now: float) -> None:
        """Take a 429, a 503 or a timeout that came `seconds` after the call began."""
        if now - seconds >= self._cut:
            self._halve(now)

    def _end_round(self, latency: float, now: float) -> None:
        baseline = latency if self._baseline is None else min(self._baseline, latency)
        if latency > FAR * baseline:
            self._halve(now)
        elif latency <= NEAR * baseline and self._reached:
            step = self.limit if self._slow_start else max(1, self._ceiling // STEP_SHARE)
            self.limit = min(self._ceiling, self.limit + step)
        self._baseline = baseline + FORGET * (latency - baseline)
        self._begin_round()

    def _halve(self, now: float) -> None:
        self.limit = max(1, self.limit // 2)
        self._slow_start = False
        self._cut = now
        self._begin_round()

    def _begin_round(self) -> None:
        self._seconds = []
        self._reached = False
