"""Medians, spreads and paired ratios."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import paired, spread

RATES = st.floats(1.0, 1e6)


@given(st.lists(st.tuples(RATES, RATES, st.floats(0.01, 1.0)), min_size=1))
def test_paired__with_whole_rounds_slowed_down__gives_the_same_ratios(rounds: list[tuple[float, float, float]]) -> None:
    """What slows a round for both contenders says nothing about either."""
    quiet = paired([one for one, _, _ in rounds], [other for _, other, _ in rounds])
    noisy = paired([one * slow for one, _, slow in rounds], [other * slow for _, other, slow in rounds])

    assert (noisy.median, noisy.low, noisy.high) == pytest.approx((quiet.median, quiet.low, quiet.high))


def test_spread__tells_the_median_between_the_least_and_the_most() -> None:
    """A reader sees how far the rounds were apart."""
    assert spread([3.0, 1.0, 2_000.0]).text() == "3 (1-2,000)"
