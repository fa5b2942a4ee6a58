"""Which gold texts are anchors: a half of them, by a keyed hash of the text, for ever. Pure.

Nothing is ever fitted on anchors, and the teacher is asked the same texts again and again: their answers change only
where the teacher does.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

SHARE: Final = 0.5
_KEY: Final = b"millrace/anchor/1"  # for ever: another would fit the temperature on yesterday's anchors
_RANGE: Final = 2**64


def is_anchor(workload: str, text_key: str) -> bool:
    """Return whether a text is in the frozen anchor set, on which figures are based and nothing is ever fitted."""
    return point(workload, text_key) < SHARE


def point(workload: str, text_key: str) -> float:
    """Return the text's fixed number in [0, 1); where not all anchors are wanted, those with the least are taken."""
    return int.from_bytes(blake2b(f"{workload}\x00{text_key}".encode(), key=_KEY, digest_size=8).digest()) / _RANGE
