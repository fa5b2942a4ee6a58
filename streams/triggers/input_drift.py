"""The input-drift trigger: some word is in far more, or far fewer, of the texts than before. Pure.

Words are hashed into buckets; a text holds a bucket or not, so the text (the first of its cluster) is the unit. Each
bucket's share is compared by the deviance of its 2 x 2 table, with Yates' correction (without it, of 1,000 calm streams
1.4 % alarmed, where 1 % may), against chi-squared with 1 degree of freedom, at alpha over the number of buckets tested
(Bonferroni: words of one text depend on each other, which this bound allows). The effect is the change of the share. It
sees new words and names, but neither words in a new order nor a change spread thinly over all of them. Why not
a classifier or a kernel test: they need more than a state of bounded size that is folded label by label, and they
dilute a new word in one text of ten.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import chdtri, xlogy

from schemas.arrays import Floats
from schemas.events import TriggerVerdict
from streams.triggers.looks import spends
from streams.triggers.sample import Sample
from streams.triggers.verdicts import Test, waiting

NAME: Final = "input-drift"
_LEAST_EXPECTED: Final = 5.0


def verdict(reference: Sample, recent: Sample, *, alpha: float, look: int, floor: float) -> TriggerVerdict:
    """Return what a look finds; arguments as for label_mix, the floor being a change of a word's share of the texts."""
    sizes = np.array([reference.effective_n, recent.effective_n])
    shares = np.stack([reference.words / reference.weight, recent.words / recent.weight])
    pooled = (shares * sizes[:, None]).sum(axis=0) / sizes.sum()
    shares = shares[:, np.minimum(pooled, 1 - pooled) * sizes.min() >= _LEAST_EXPECTED]
    tested = shares.shape[1]
    if tested == 0:
        return waiting(NAME, "No word is frequent enough to compare its share.")
    statistics, effects = _deviances(shares, sizes), np.abs(shares[1] - shares[0])
    large = effects >= floor
    place = int(np.where(large, statistics, -1.0).argmax()) if large.any() else int(statistics.argmax())
    test = Test(
        statistic=float(statistics[place]),
        threshold=float(chdtri(1, spends(alpha, look) / tested)),
        effect=float(effects[place]),
        floor=floor,
        nominal=alpha,
        n=float(sizes[1]),
        reference_n=float(sizes[0]),
        look=look,
    )
    return test.verdict(
        NAME, f"One word's share of the texts went from {shares[0, place]:.1%} to {shares[1, place]:.1%}, which"
    )


def _deviances(shares: Floats, sizes: Floats) -> Floats:
    """Return the deviance of each bucket's table (holds it or not, reference or recent) from one common share."""
    held = shares * sizes[:, None]
    common = held.sum(axis=0) / sizes.sum()
    off = held[1] - common * sizes[1]
    nearer = np.sign(off) * np.minimum(0.5, np.abs(off))  # Yates (1934): half a text nearer to the expected count
    held += np.stack([nearer, -nearer])
    shares = held / sizes[:, None]
    own = xlogy(held, shares).sum(axis=0) + xlogy(sizes[:, None] - held, 1 - shares).sum(axis=0)
    joint = xlogy(held.sum(axis=0), common) + xlogy(sizes.sum() - held.sum(axis=0), 1 - common)
    found: Floats = 2 * (own - joint)
    return found
