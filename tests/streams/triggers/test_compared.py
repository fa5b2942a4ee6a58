"""The triggers that compare two samples: label mix, input drift, confidence."""

from __future__ import annotations

from itertools import accumulate
from types import ModuleType

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from streams.triggers import confidence, input_drift, label_mix
from streams.triggers.looks import size, spends
from streams.triggers.sample import Moments, Sample
from streams.triggers.seen import BUCKETS, Seen, buckets
from tests.streams.triggers.samples import sample

COUNTS = st.lists(st.integers(0, 300), min_size=4, max_size=4).filter(lambda counts: sum(counts) >= 60)


def test_looks__grow_and_spend_no_more_than_alpha() -> None:
    """Looks fall on rising numbers of labels, and what endless looks spend stays within alpha."""
    sizes = [size(look) for look in range(1, 40)]

    assert sizes[0] == 50
    assert sizes == sorted(set(sizes))
    assert list(accumulate(spends(0.01, look) for look in range(1, 10_000)))[-1] < 0.01


def test_label_mix__statistic_is_the_g_test() -> None:
    """Against scipy's log-likelihood test, divided by Williams' correction as his paper gives it."""
    before, now = [400, 250, 100, 50], [180, 140, 60, 20]
    verdict = label_mix.verdict(sample(before), sample(now), alpha=0.01, look=1, floor=0.1)
    plain = chi2_contingency([before, now], lambda_="log-likelihood", correction=False).statistic
    rows, columns, n = [800, 400], [580, 390, 160, 70], 1200
    correction = 1 + (n * sum(1 / row for row in rows) - 1) * (n * sum(1 / each for each in columns) - 1) / (6 * n * 3)

    assert verdict.numbers["statistic"] == pytest.approx(plain / correction, rel=1e-9)


@given(COUNTS)
def test_label_mix__equal_shares_never_fire(counts: list[int]) -> None:
    """Two samples of the same shares measure no effect."""
    verdict = label_mix.verdict(sample(counts), sample(counts), alpha=0.5, look=1, floor=0.01)

    assert not verdict.fired
    assert verdict.numbers.get("effect", 0.0) == 0.0


@settings(max_examples=50)
@given(COUNTS, COUNTS, st.floats(0.1, 50))
@example(before=[2, 37, 1, 28], now=[37, 2, 0, 156], weight=0.1)  # two classes are equally rare
def test_label_mix__even_weights_change_nothing(before: list[int], now: list[int], weight: float) -> None:
    """An audit of one label in twenty is as much evidence as its labels, not twenty times as much."""
    plain = label_mix.verdict(sample(before), sample(now), alpha=0.01, look=3, floor=0.2)
    weighted = label_mix.verdict(sample(before), sample(now, weight), alpha=0.01, look=3, floor=0.2)

    assert weighted.numbers == pytest.approx(plain.numbers, rel=1e-6, abs=1e-6)


def test_label_mix__weights_undo_the_selection() -> None:
    """A class drawn at half the propensity, weighted by two, has the share it really has."""
    halved = Sample.empty(2)
    for part in (sample([500, 0]), sample([0, 250], 2.0)):
        halved = Sample(
            halved.n + part.n, halved.weight + part.weight, halved.squares + part.squares,
            halved.classes + part.classes, halved.counts + part.counts, halved.words, Moments(),
        )  # fmt: skip

    assert label_mix.verdict(sample([500, 500]), halved, alpha=0.01, look=1, floor=0.1).numbers["effect"] == 0.0


def test_label_mix__proven_but_too_small_to_matter() -> None:
    """A shift that many labels prove does not fire below its floor."""
    verdict = label_mix.verdict(sample([5000, 5000]), sample([4500, 5500]), alpha=0.01, look=1, floor=0.2)

    assert verdict.numbers["statistic"] > verdict.numbers["threshold"]
    assert not verdict.fired
    assert "below the floor of 0.2" in verdict.explanation


def test_label_mix__large_but_not_proven() -> None:
    """A shift that so few labels show may be chance: it does not fire."""
    verdict = label_mix.verdict(sample([30, 30]), sample([10, 24]), alpha=0.01, look=1, floor=0.1)

    assert verdict.numbers["effect"] > 0.1
    assert not verdict.fired


def test_label_mix__classes_too_rare_to_test() -> None:
    """Seventy classes of one label each are put together: no test is made of them alone."""
    rare = [400, 300] + [1] * 70
    verdict = label_mix.verdict(sample(rare), sample(rare), alpha=0.01, look=1, floor=0.1)
    one = label_mix.verdict(sample([100, 0, 0]), sample([60, 0, 0]), alpha=0.01, look=1, floor=0.1)

    assert verdict.numbers["threshold"] < 15  # of 2 degrees of freedom, not of 71
    assert (one.fired, one.numbers) == (False, {})
    assert one.explanation.endswith(".")


def texts(share: float, count: int = 400) -> Sample:
    """Texts of ten common words, a share of which hold a new word."""
    found = Sample.empty(1)
    rng = np.random.default_rng(7)
    for at in range(count):
        held = np.unique(np.append(rng.integers(0, 40, size=10), [99] if at < share * count else []).astype(np.int64))
        found = found.plus(Seen(0, words=held))
    return found


def test_input_drift__new_word() -> None:
    """A word that comes into one text in ten fires; one that comes into one in fifty is below the floor."""
    before = texts(0.0)

    assert input_drift.verdict(before, texts(0.1), alpha=0.01, look=1, floor=0.05).fired
    assert not input_drift.verdict(before, texts(0.02), alpha=0.01, look=1, floor=0.05).fired
    assert input_drift.verdict(texts(0.1), before, alpha=0.01, look=1, floor=0.05).fired


def test_input_drift__deviance_is_that_of_the_table() -> None:
    """Against scipy's log-likelihood test, with Yates' correction, of the 2 x 2 table of the word."""
    verdict = input_drift.verdict(texts(0.0), texts(0.1), alpha=0.01, look=1, floor=0.05)
    expected = chi2_contingency([[40, 360], [0, 400]], lambda_="log-likelihood")

    assert verdict.numbers["statistic"] == pytest.approx(expected.statistic)
    assert verdict.numbers["effect"] == pytest.approx(0.1)


def test_buckets__of_words_once_without_figures() -> None:
    """A text holds a word or not, whatever its case and the figures around it."""
    assert buckets("Shares RISE 3.5% as shares rise").tolist() == buckets("shares rise as 4%").tolist()
    assert buckets("42 7%").size == 0
    assert buckets("word " * 10_000).size == 1
    assert all(0 <= bucket < BUCKETS for bucket in buckets("many different words are hashed"))


def sure(values: list[float]) -> Sample:
    found = Sample.empty(1)
    for value in values:
        found = found.plus(Seen(0, confidence=value))
    return found


def test_confidence__drop_and_rise() -> None:
    """A change of the mean confidence fires in both directions; one below the floor does not."""
    high, low, near = sure([0.9, 0.8] * 100), sure([0.7, 0.6] * 100), sure([0.88, 0.78] * 100)

    assert confidence.verdict(high, low, alpha=0.01, look=1, floor=0.05).fired
    assert confidence.verdict(low, high, alpha=0.01, look=1, floor=0.05).fired
    assert not confidence.verdict(high, near, alpha=0.01, look=1, floor=0.05).fired


def test_confidence__without_class_probabilities() -> None:
    """Where the teacher gives none there is nothing to compare, and the verdict says so."""
    verdict = confidence.verdict(sample([50, 50]), sample([50, 50]), alpha=0.01, look=1, floor=0.05)

    assert (verdict.fired, verdict.numbers) == (False, {})
    assert "class probabilities" in verdict.explanation


@pytest.mark.parametrize("trigger", [label_mix, confidence], ids=lambda module: str(module.NAME))
def test_false_alarms__over_all_looks_stay_within_alpha(trigger: ModuleType) -> None:
    """With nothing changed, 300 epochs watched at every look alarm no more often than alpha allows, floors aside."""
    rng, alpha = np.random.default_rng(13), 0.05
    alarms = sum(_alarms(trigger, rng, alpha) for _ in range(300))

    assert alarms <= 23  # the 99.5th percentile of 300 draws at 0.05


def _alarms(trigger: ModuleType, rng: np.random.Generator, alpha: float) -> bool:
    shares = np.array([0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.02])
    reference, recent, seen = _drawn(rng, 800, shares), Sample.empty(7), 0
    for look in range(1, 16):
        fresh, seen = _drawn(rng, size(look) - seen, shares), size(look)
        recent = _joined(recent, fresh)
        if trigger.verdict(reference, recent, alpha=alpha, look=look, floor=1e-9).fired:
            return True
    return False


def _drawn(rng: np.random.Generator, count: int, shares: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Sample:
    counts, sureness = np.append(rng.multinomial(count, shares), 0), rng.beta(6, 2, size=count)
    moments = Moments(float(count), float(count), float(sureness.sum()), float((sureness**2).sum()))
    return Sample(count, count, count, counts.astype(float), counts, np.zeros(BUCKETS), moments)


def _joined(one: Sample, other: Sample) -> Sample:
    a, b = one.confidence, other.confidence
    moments = Moments(a.weight + b.weight, a.squares + b.squares, a.first + b.first, a.second + b.second)
    return Sample(
        one.n + other.n, one.weight + other.weight, one.squares + other.squares, one.classes + other.classes,
        one.counts + other.counts, one.words + other.words, moments,
    )  # fmt: skip
