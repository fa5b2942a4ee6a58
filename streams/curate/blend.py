"""How much of each source is kept: a keyed hash of the text decides, so that a replay decides alike. Pure.

By text and not by record id: a text that a source repeats gets one draw. One draw per copy would keep a text of k
copies with probability 1 - (1 - w)^k, so a sender could pass the weight by repeating a text.

Records drawn for audit are never blended away: they are a uniform sample of the traffic. Any other that stays
represents 1 / w records, so its propensity is multiplied by w, and figures weighted by the inverse propensity still
describe the traffic as it came. What a weight of 0 takes out, no weighting brings back: such a source appears in
figures with its audited records only.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from schemas.sections.intake import Blend

RULE: Final = "blend"
_KEY: Final = b"millrace/blend/1"  # of its own: a draw shared with the splits would thin one split and not another
_RANGE: Final = 2**64


def weight_of(source: str, blend: Blend) -> float:
    """Return the probability with which a record of a source is kept."""
    return blend.sources.get(source, blend.default)


def stays(text_key: str, source: str, blend: Blend, *, audit: bool) -> bool:
    """Return whether a record is kept.

    A higher weight keeps what a lower one kept, and more; two sources of one weight keep the same texts.

    Args:
        text_key: hash of its normalised text, with the workload's name in it.
        source: where its text came from.
        blend: the workload's weights.
        audit: whether it was drawn for audit.
    """
    weight = weight_of(source, blend)
    if audit or weight >= 1:
        return True
    return int.from_bytes(blake2b(text_key.encode(), key=_KEY, digest_size=8).digest()) / _RANGE < weight


def propensity(given: float | None, source: str, blend: Blend, *, audit: bool) -> float | None:
    """Return the propensity of a record that stays: what it came with, times its source's weight."""
    weight = weight_of(source, blend)
    if audit or weight >= 1:
        return given
    return weight if given is None else weight * given
