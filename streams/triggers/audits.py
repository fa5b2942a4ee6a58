"""Two triggers that may look after every label: disagreement of the student with the teacher, and doubt. Pure.

Both ask whether a share is above its limit, by the betting capital of schemas/rules/statistics/sequences.py: whenever
one looks, a share that is not above its limit alarms with probability at most alpha. One observation per cluster:
votes do not count.
"""

from __future__ import annotations

from math import log
from typing import Final

from schemas.events import TriggerVerdict
from schemas.rules.statistics.sequences import Counts, log_capital, lower_bound
from streams.triggers.verdicts import waiting

DISAGREEMENT: Final = "disagreement"
DOUBT: Final = "doubt"  # an alarm: it never asks for a retrain
IN_DOUBT: Final = 0.5  # the teacher's confidence below which it is in doubt


def disagreement(counts: Counts, *, alpha: float, limit: float) -> TriggerVerdict:
    """Return whether the student misses more audited labels than allowed; `counts.ones` are those it missed."""
    if not counts.n:
        return waiting(DISAGREEMENT, "No audited answer of the student in production has come since the last request.")
    return _verdict(DISAGREEMENT, counts, alpha, limit, "of {n:,} audited answers the student missed {share:.1%}")


def doubt(counts: Counts, *, alpha: float, limit: float) -> TriggerVerdict:
    """Return whether the teacher doubts more labels than is usual: a class may be missing from the label set."""
    if not counts.n:
        return waiting(DOUBT, "No label with class probabilities has come since the last request.")
    return _verdict(DOUBT, counts, alpha, limit, "of {n:,} labels the teacher doubted {share:.1%}")


def _verdict(name: str, counts: Counts, alpha: float, limit: float, measured: str) -> TriggerVerdict:
    statistic, threshold = log_capital(counts, limit), -log(alpha)
    fired = statistic >= threshold
    low = lower_bound(counts, alpha)
    numbers = {
        "statistic": statistic,
        "threshold": threshold,
        "effect": counts.mean,
        "floor": limit,
        "low": low,
        "nominal": alpha,
        "n": float(counts.n),
    }
    why = measured.format(n=counts.n, share=counts.mean)
    proof = f"more than {low:.1%} is proven, {'beyond' if fired else 'which is not beyond'} the limit of {limit:.1%}"
    return TriggerVerdict(
        trigger=name, fired=fired, numbers=numbers, explanation=f"{why[0].upper()}{why[1:]}; {proof}."
    )
