"""What few human labels and many teacher labels say of an accuracy."""

from __future__ import annotations

import numpy as np
import pytest

from deploy.commands.gold.estimates import WeightedRows, accuracy, calibration, prediction_powered


def sample(count: int, weights: object = 1.0, clusters: object = None) -> WeightedRows:
    names = [str(number) for number in range(count)] if clusters is None else clusters
    return WeightedRows(np.broadcast_to(np.asarray(weights, dtype=np.float64), count), names)  # type: ignore[arg-type]


def draw(
    generator: np.random.Generator, count: int, chances: np.ndarray
) -> tuple[np.ndarray, np.ndarray, WeightedRows]:
    """Draw rows of an uneven population: (right, proxy, sample); some rows are chosen less often than others."""
    hard = generator.random(count) < 0.3
    proxy = (generator.random(count) < np.where(hard, 0.6, 0.95)).astype(np.float64)
    errs = generator.random(count) < np.where(hard, 0.3, 0.05)
    kept = generator.random(count) < chances[hard.astype(int)]
    right = np.where(errs, 1 - proxy, proxy)
    return right[kept], proxy[kept], sample(int(kept.sum()), 1 / chances[hard.astype(int)][kept])


# hard rows: .6 * .7 + .4 * .3 = .54 right; the others: .95 * .95 + .05 * .05 = .905
TRUTH = 0.3 * 0.54 + 0.7 * 0.905


def test_prediction_powered__covers_the_truth_and_is_narrower_than_gold_alone():
    """Over 1,000 draws the 95 % interval holds the truth in 93.5 to 96.5 %, and is narrower than gold's own."""
    generator, chances = np.random.default_rng(11), np.array([0.3, 0.9])
    covered, width, alone = 0, 0.0, 0.0
    for _ in range(1_000):
        right, proxy, gold = draw(generator, 300, chances)
        _, many_proxy, many = draw(generator, 4_000, chances)
        found = prediction_powered(right, proxy, gold, many_proxy, many)
        bare = accuracy(right, gold)
        covered += found.low <= TRUTH <= found.high
        width, alone = width + found.high - found.low, alone + bare.high - bare.low

    assert 0.935 <= covered / 1_000 <= 0.965
    assert width < 0.95 * alone


def test_prediction_powered__a_useless_proxy_does_no_harm():
    """With a proxy that says nothing, the estimate is that of the gold rows."""
    generator = np.random.default_rng(5)
    right = (generator.random(400) < 0.8).astype(np.float64)
    found = prediction_powered(right, np.ones(400), sample(400), np.ones(5_000), sample(5_000))

    assert found.value == pytest.approx(right.mean())


def test_prediction_powered__a_biased_teacher_is_corrected():
    """Where the teacher flatters the student by a known share, gold rows take it off again."""
    right, proxy = np.tile([1.0, 1.0, 0.0, 0.0], 50), np.tile([1.0, 1.0, 1.0, 0.0], 50)
    found = prediction_powered(right, proxy, sample(200), np.tile([1.0, 1.0, 1.0, 0.0], 1_000), sample(4_000))

    assert found.value == pytest.approx(0.5)


def test_accuracy__of_a_perfect_small_sample_is_not_certain():
    """Ten right of ten leave room for doubt; the interval stays inside 0 and 1."""
    found = accuracy(np.ones(10), sample(10))

    assert found.high == 1.0
    assert 0.6 < found.low < 0.8


def test_accuracy__is_weighted():
    """A row that represents nine counts nine times, and uneven weights cost effective rows."""
    rows = sample(2, [9.0, 1.0])

    assert accuracy(np.array([1.0, 0.0]), rows).value == pytest.approx(0.9)
    assert rows.effective_n == pytest.approx(100 / 82)


def test_variance__counts_clusters_not_rows():
    """Rows of one cluster are right or wrong together: four copies of each row add nothing to one."""
    values = np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    copies = sample(20, clusters=[str(number // 4) for number in range(20)])

    assert copies.variance(np.repeat(values, 4)) == pytest.approx(sample(5).variance(values))
    assert sample(5).variance(values) == pytest.approx(values.var(ddof=1) / 5)


def test_calibration__finds_how_much_too_sure_a_teacher_is():
    """Probabilities sharpened by T = 2 get the temperature 2 back, and their error shrinks on rows not fitted on."""
    generator = np.random.default_rng(3)
    true = generator.dirichlet([1.0, 1.0, 1.0], 6_000)
    labels = np.array([generator.choice(3, p=row) for row in true])
    said = true**2 / (true**2).sum(axis=1, keepdims=True)
    weights = np.ones(3_000)
    found = calibration((said[:3_000], labels[:3_000], weights), (said[3_000:], labels[3_000:], weights))

    assert found.temperature == pytest.approx(2.0, rel=0.1)
    assert found.after < 0.4 * found.before
