"""Which split a near-duplicate cluster belongs to: decided once, by a keyed hash, for ever.

Not by row: news is syndicated, and a copy of a test row in training would make every figure wrong. Raising an
evaluation share moves clusters from training to evaluation and between evaluation splits, never toward training.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from schemas.records import Split
from schemas.sections.window import Splits

_KEY: Final = b"millrace/split/1"  # for ever: another key would train on yesterday's test rows
_RANGE: Final = 2**64


def split_of(workload: str, cluster_id: str, splits: Splits) -> Split:
    """Return the split of a cluster of the workload under the workload's shares."""
    point = _point(workload, cluster_id)
    for split, share in (
        (Split.TEST, splits.test),
        (Split.CERTIFICATION, splits.certification),
        (Split.VALIDATION, splits.validation),
    ):
        if point < share:
            return split
        point -= share
    return Split.TRAIN


def _point(workload: str, cluster_id: str) -> float:
    """Return the cluster's fixed number in [0, 1); the workload's length separates the two parts."""
    data = f"{len(workload)}:{workload}{cluster_id}".encode()
    return int.from_bytes(blake2b(data, key=_KEY, digest_size=8).digest()) / _RANGE
