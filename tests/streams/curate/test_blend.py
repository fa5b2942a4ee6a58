"""Blending: the share that is kept, what a weight must not touch, and that figures stay unbiased."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.sections.intake import Blend
from streams.curate.blend import propensity, stays

KEYS = [f"{number:032x}" for number in range(20_000)]
Weights = st.floats(0, 1)


@given(st.integers(0, 10**9), Weights, Weights)
def test_higher_weight__keeps_what_a_lower_one_kept(number: int, one: float, two: float) -> None:
    """A weight that is raised only adds; it decides alike each time."""
    key, low, high = str(number), *sorted((one, two))
    kept = [stays(key, "wire", Blend(default=weight), audit=False) for weight in (low, low, high)]

    assert kept[0] == kept[1]
    assert kept[0] <= kept[2]


def test_weight__is_the_share_that_is_kept() -> None:
    """A named source by its own weight, any other by the default; 1 keeps all, 0 none."""
    blend = Blend(default=0.5, sources={"wire-a": 0.25, "all": 1.0, "none": 0.0})
    shares = {
        source: sum(stays(key, source, blend, audit=False) for key in KEYS) / len(KEYS)
        for source in ("wire-a", "other", "all", "none")
    }

    assert abs(shares["wire-a"] - 0.25) < 0.0125  # four standard errors of 20,000 draws, seeded by the keys
    assert abs(shares["other"] - 0.5) < 0.0145
    assert (shares["all"], shares["none"]) == (1.0, 0.0)


def test_audited__are_never_blended_away_and_keep_their_propensity() -> None:
    """The audit is a uniform sample of the traffic, whatever the weights."""
    blend = Blend(default=0.0)

    assert all(stays(key, "wire", blend, audit=True) for key in KEYS[:100])
    assert propensity(0.05, "wire", blend, audit=True) == 0.05


def test_propensity__makes_up_for_what_was_blended_away() -> None:
    """Records weighted by the inverse of their propensity count as many as came, before they were blended."""
    blend = Blend(sources={"wire-a": 0.25})
    kept = [key for key in KEYS if stays(key, "wire-a", blend, audit=False)]
    found = [propensity(given, "wire-a", blend, audit=False) for given in (None, 0.8)]
    weights = sum(1 / 0.25 for _ in kept)

    assert found == [0.25, 0.2]
    assert abs(weights - len(KEYS)) < 1_000
    assert propensity(None, "wire-b", blend, audit=False) is None
