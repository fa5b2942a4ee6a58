"""What the intervals of the day-one report promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from deploy.trial.day_one.bounds import cluster_effective_n, lower, share, share_of


@settings(max_examples=50)
@given(st.integers(1, 400), st.data())
def test_share__of_rows_that_are_no_duplicates__is_exact(n: int, data: st.DataObject) -> None:
    """Where every row is its own cluster, the interval is that of Clopper and Pearson, as scipy has it."""
    hits = data.draw(st.integers(0, n))
    found = share(np.arange(n) < hits, list(range(n)))
    exact = binomtest(hits, n).proportion_ci(0.95, "exact")

    assert (found.n, found.effective_n) == (n, n)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


@settings(max_examples=50)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=50))
def test_effective_n__lies_between_one_and_the_clusters(sizes: list[int]) -> None:
    """Rows are worth their clusters where these are of one size, and less the more one of them outweighs the others."""
    clusters = [number for number, size in enumerate(sizes) for _ in range(size)]
    found = cluster_effective_n(clusters)

    assert 1 <= found <= len(sizes) + 1e-9
    if len(set(sizes)) == 1:
        assert found == pytest.approx(len(sizes))


def test_share__of_repeats__is_no_surer_than_of_their_clusters() -> None:
    """Ten copies of each row make a figure no surer."""
    hits = np.array([True] * 18 + [False] * 2)
    once, ten_times = share(hits, list(range(20))), share(np.repeat(hits, 10), [n // 10 for n in range(200)])

    assert (once.low, once.high) == pytest.approx((ten_times.low, ten_times.high))
    assert ten_times.n == 200


@settings(max_examples=50)
@given(st.just(0.0) | st.floats(1e-6, 1), st.floats(1, 1_000), st.floats(0.01, 0.5))
def test_lower__never_lies_above_the_share(value: float, effective: float, alpha: float) -> None:
    """The bound is below the share, and nothing right gives the bound 0."""
    assert 0 <= lower(value, effective, alpha) <= value + 1e-9
    assert lower(0.0, effective, alpha) == 0


def test_lower__is_below_the_truth__as_often_as_it_says() -> None:
    """Of 2,000 samples of 200 rows that are right with 0.95, the bound is above 0.95 in 5 % at most."""
    hits = np.random.default_rng(1).binomial(200, 0.95, size=2_000)
    above = sum(lower(found / 200, 200, 0.05) > 0.95 for found in hits)

    assert above / 2_000 <= 0.05 + 3 * (0.05 * 0.95 / 2_000) ** 0.5


def test_share__of_no_row() -> None:
    """A share of nothing is an error, not a number."""
    with pytest.raises(ValueError, match="at least one row"):
        share(np.zeros(0, dtype=bool), [])
    assert share_of(1.0, 3, 3.0).high == 1.0
