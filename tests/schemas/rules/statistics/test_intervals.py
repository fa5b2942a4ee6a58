"""The cluster bootstrap's promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.rules.statistics.intervals import ClusterBootstrap


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1), st.floats(0.1, 10)), min_size=1, max_size=60))
def test_interval__holds_the_weighted_mean_and_repeats_by_seed(rows: list[tuple[int, float, float]]) -> None:
    """The point is the weighted mean, the bounds stay within the values, and a seed fixes them."""
    clusters, values, weights = ([row[at] for row in rows] for at in range(3))
    made = [ClusterBootstrap([str(one) for one in clusters], weights, draws=100, seed=3) for _ in range(2)]
    first, second = (one.mean(np.array(values)) for one in made)

    assert first == second
    assert first.value == pytest.approx(np.average(values, weights=weights))
    assert min(values) - 1e-9 <= first.low <= first.high <= max(values) + 1e-9
    assert 1 - 1e-9 <= made[0].effective_n <= len(set(clusters)) + 1e-9


def test_interval__covers_the_truth_about_as_often_as_it_says() -> None:
    """300 simulations of 200 clusters of two equal rows, p = .85: the 95 % interval covers it in 91 to 98 %."""
    generator, covered = np.random.default_rng(1), 0
    clusters = [str(number // 2) for number in range(400)]
    for seed in range(300):
        values = np.repeat((generator.random(200) < 0.85).astype(float), 2)
        found = ClusterBootstrap(clusters, draws=400, seed=seed).mean(values)
        covered += found.low <= 0.85 <= found.high

    assert 0.91 <= covered / 300 <= 0.98


def test_interval__rows_of_one_cluster_count_once() -> None:
    """A row copied ten times into its cluster leaves the interval as wide as it was."""
    values = (np.random.default_rng(2).random(100) < 0.7).astype(float)
    once = ClusterBootstrap([str(one) for one in range(100)], seed=1)
    ten = ClusterBootstrap([str(one // 10) for one in range(1_000)], seed=1)

    assert ten.effective_n == pytest.approx(once.effective_n)
    assert ten.mean(np.repeat(values, 10)).high == pytest.approx(once.mean(values).high)


def test_bootstrap__refuses_no_rows_and_zero_weights() -> None:
    """Nothing to draw from is an error, not an interval."""
    with pytest.raises(ValueError, match="one row"):
        ClusterBootstrap([], seed=1)
    with pytest.raises(ValueError, match="above 0"):
        ClusterBootstrap(["a"], [0.0], seed=1)
