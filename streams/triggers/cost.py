"""The cost arbiter: is a retrain worth its price? Pure; asked last, before a request.

The share of audited answers that the student in production misses, d, is expected to fall as a power of the rows it
learns from (Hestness et al., "Deep Learning Scaling is Predictable, Empirically", 2017: exponents of 0.07 to 0.35 over
their tasks): a window that had `rows` and gains `new` is expected to mend d (1 - (rows / (rows + new))^0.2). What is
proven of d beyond its limit (the lower end of its confidence sequence, so that a few unlucky audits ask for nothing)
is expected to be mended, if that is more. Worth: mended share x requests x answer.
It is a forecast, not a promise: the gate measures what the new student is really worth.
"""

from __future__ import annotations

from typing import Final

from schemas.events import TriggerVerdict
from schemas.rules.statistics.sequences import Counts, lower_bound
from schemas.sections.triggers import Cost

NAME: Final = "cost"
_EXPONENT: Final = 0.2  # the middle of the published range


def verdict(
    cost: Cost, audits: Counts, *, limit: float | None, alpha: float, rows: int, new_labels: int
) -> TriggerVerdict | None:
    """Return whether a retrain pays, or None where that is unknown: nothing is then held back.

    Args:
        cost: the workload's prices; without them the answer is None.
        audits: audited answers, `ones` being those the student missed; without any the answer is None.
        limit: the share it may miss, where that is limited.
        alpha: the chance at which an excess over the limit counts as proven.
        rows: training rows the snapshot would hold.
        new_labels: labels since the last request.
    """
    if cost.run is None or cost.answer is None or cost.requests_per_day is None or not audits.n:
        return None
    missed = audits.mean
    old = max(rows - new_labels, 1)
    by_rows = missed * (1 - (old / (old + new_labels)) ** _EXPONENT)
    proven = 0.0 if limit is None else lower_bound(audits, alpha) - limit
    mended = max(by_rows, proven)
    worth = mended * cost.requests_per_day * cost.days * cost.answer
    price = cost.run + cost.label * new_labels
    pays = worth >= price
    numbers = {
        "statistic": worth,
        "threshold": price,
        "mended": mended,
        "missed": missed,
        "n": float(audits.n),
        "labels": float(new_labels),
    }
    why = (
        f"A new student is expected to mend {mended:.2%} of answers, worth {worth:,.2f} in {cost.days} days: "
        f"{'no less than' if pays else 'less than'} its price of {price:,.2f}."
    )
    return TriggerVerdict(trigger=NAME, fired=pays, numbers=numbers, explanation=why)
