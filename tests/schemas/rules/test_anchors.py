"""Which gold texts are anchors."""

from __future__ import annotations

from schemas.rules.anchors import is_anchor, point
from schemas.rules.normalise import text_key


def test_anchors__are_half_and_stay() -> None:
    """About half of the texts are anchors, by the text alone, and those of today are those of ever."""
    drawn = [is_anchor("news", text_key("news", f"Company {number}")) for number in range(2_000)]

    assert 0.45 < sum(drawn) / len(drawn) < 0.55
    assert "".join("x" if is_anchor("news", f"frozen-{number}") else "." for number in range(12)) == "x.x..x.x.xx."


def test_point__is_of_the_workload() -> None:
    """Another workload draws other anchors from the same texts."""
    assert point("news", "key") != point("mail", "key")
