"""With which probability a record is chosen for a label, and whether it is. Pure: a replay decides the same.

Uniform: a record of a training cluster has the chance `train_share`, one of an evaluation cluster `evaluation_share`.
Active: of the training records, those whose margin lies in the lowest share h of traffic are taken, the others with
the chance e = EXPLORED * train_share, where h = (train_share - e) / (1 - e): in all, train_share of them, as before.
No chance is 0: every estimate can be weighted by the inverse. Evaluation records are always drawn uniformly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.records import Split
from schemas.sections.label import Select

EXPLORED: Final = 0.2  # of train_share, for texts the model is sure of: it may be sure and wrong
_KEY: Final = b"millrace/select/1"  # for ever; not the key of splits and buckets: the draws must be independent
_RANGE: Final = 2**64


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether a record is chosen, with which probability it would be, and by which rule."""

    chosen: bool
    propensity: float
    reason: str  # evaluation, uniform, unsure (active: below the cutoff) or explored (active: above it)
    draw: float

    def summary(self) -> str:
        """Return the decision with its numbers, as text."""
        return f"{self.reason}: drew {self.draw:.4f}, chosen below {self.propensity:.4f}"


def choose(
    select: Select, split: Split, record_id: str, margin: float | None = None, cutoff: float | None = None
) -> Choice:
    """Decide on one record.

    Args:
        select: the workload's section, of a policy other than "everything".
        split: of the record's cluster.
        record_id: what the draw is a hash of.
        margin: of the record's text under the tier-0 model; None without a model.
        cutoff: margins up to here count as unsure; None without a model.
    """
    if split is not Split.TRAIN:
        chance, reason = select.evaluation_share, "evaluation"
    elif margin is None or cutoff is None:
        chance, reason = select.train_share, "uniform"
    elif margin <= cutoff:
        chance, reason = 1.0, "unsure"
    else:
        chance, reason = EXPLORED * select.train_share, "explored"
    draw = _draw(record_id)
    return Choice(draw < chance, chance, reason, draw)


def unsure_share(train_share: float) -> float:
    """Return the share of traffic that counts as unsure, so that `train_share` of it is taken in all."""
    explored = EXPLORED * train_share
    return (train_share - explored) / (1 - explored)


def cutoff_of(margins: NDArray[np.float64], propensities: Sequence[float], train_share: float) -> float:
    """Return the margin below which `unsure_share` of traffic lies.

    Args:
        margins: of uniformly chosen records that the model did not learn from (records,); at least one.
        propensities: with which each was chosen.
        train_share: the workload's.
    """
    order = np.argsort(margins, kind="stable")
    mass = np.cumsum(1 / np.asarray(propensities, dtype=np.float64)[order])
    return float(margins[order][np.searchsorted(mass, unsure_share(train_share) * mass[-1])])


def _draw(record_id: str) -> float:
    """Return a number in [0, 1) that never changes for the record."""
    return int.from_bytes(blake2b(record_id.encode(), key=_KEY, digest_size=8).digest()) / _RANGE
