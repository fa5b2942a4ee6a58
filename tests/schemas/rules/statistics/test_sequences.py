"""Anytime-valid evidence: false alarms however often one looks, power at stated alternatives, and exact properties."""

from __future__ import annotations

import random
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.statistics.sequences import (
    Counts,
    exceeds,
    falls_below,
    log_capital,
    lower_bound,
    split_alpha,
    upper_bound,
)

COUNTS = st.builds(Counts, st.integers(0, 400), st.integers(0, 400), st.integers(0, 400))
LIMITS = st.floats(0.01, 0.99)


known = cache(exceeds)  # the runs of a simulation come through the same counts again and again


def first_alarm(rng: random.Random, rate: float, limit: float, alpha: float, most: int) -> int | None:
    """Return after how many observations the limit counts as exceeded, watched after every one."""
    counts = Counts()
    for n in range(1, most + 1):
        counts = counts.plus(float(rng.random() < rate))
        if known(counts, limit, alpha):
            return n
    return None


@pytest.mark.parametrize("limit", [0.05, 0.2, 0.5])
def test_false_alarms__watched_after_every_observation(limit: float) -> None:
    """Exactly at the limit, watched after each of 1,000 observations, at most alpha of the runs ever alarm."""
    rng = random.Random(13)
    alarms = sum(first_alarm(rng, limit, limit, 0.05, 1_000) is not None for _ in range(200))

    assert alarms / 200 <= 0.05


@pytest.mark.parametrize(
    ("rate", "limit", "median_at_most"), [(0.15, 0.05, 140), (0.5, 0.05, 12), (0.3, 0.2, 240), (0.5, 0.2, 40)]
)
def test_power__stated_alternatives(rate: float, limit: float, median_at_most: int) -> None:
    """Real harm is seen after the stated number of observations at the median (alpha 0.05 / 3)."""
    rng = random.Random(13)
    found = sorted(first_alarm(rng, rate, limit, 0.05 / 3, 2_000) or 9_999 for _ in range(101))

    assert found[50] <= median_at_most


def test_paired__concordant_pairs_need_no_reference() -> None:
    """Against a student champion a 5-point loss at 8 % discordance is seen though 92 % of pairs are just 'the same'."""
    rng, seen = random.Random(13), []
    for _ in range(31):
        counts = Counts()
        for n in range(1, 4_000):
            draw = rng.random()
            counts = counts.plus(0.0 if draw < 0.065 else 1.0 if draw < 0.08 else 0.5)
            if n % 10 == 0 and falls_below(counts, 0.5, 0.05 / 3):
                seen.append(n)
                break
    assert len(seen) == 31
    assert sorted(seen)[15] <= 700


@given(COUNTS, LIMITS, LIMITS)
def test_capital__falls_with_the_mean(counts: Counts, one: float, other: float) -> None:
    """Evidence against 'at most m' never grows with m: the means not rejected are a half-line, so bounds are exact."""
    assert log_capital(counts, max(one, other)) <= log_capital(counts, min(one, other)) + 1e-9


@given(COUNTS)
def test_bounds__enclose_the_mean(counts: Counts) -> None:
    """The bounds enclose the plain mean, and mirror when the observations do."""
    low, high = lower_bound(counts, 0.05), upper_bound(counts, 0.05)

    assert 0.0 <= low <= counts.mean + 1e-6
    assert counts.mean - 1e-6 <= high <= 1.0
    assert abs(lower_bound(counts.mirrored(), 0.05) - (1 - high)) < 1e-5


@given(COUNTS, LIMITS)
def test_decision__agrees_with_the_bound(counts: Counts, limit: float) -> None:
    """'Exceeds' is the same statement as 'the lower bound is above the limit'."""
    low = lower_bound(counts, 0.05)
    if abs(low - limit) > 1e-5:
        assert exceeds(counts, limit, 0.05) == (low > limit)


def test_nothing__proves_nothing() -> None:
    """Without observations nothing is exceeded, nothing falls below, and the bounds are 0 and 1."""
    assert not exceeds(Counts(), 0.01, 0.05)
    assert not falls_below(Counts(), 0.99, 0.05)
    assert (lower_bound(Counts(), 0.05), upper_bound(Counts(), 0.05)) == pytest.approx((0.0, 1.0), abs=1e-5)


def test_bound__narrows() -> None:
    """At one and the same mean, more observations give a higher lower bound."""
    lows = [lower_bound(Counts(n, 0, 9 * n), 0.05) for n in (2, 10, 50, 250)]

    assert all(one < other for one, other in pairwise(lows))
    assert lows[-1] > 0.87


def test_alpha__split() -> None:
    """The shares of alpha add up to alpha."""
    shares = split_alpha(0.05, {"a": 1.0, "b": 1.0, "c": 2.0})

    assert shares == pytest.approx({"a": 0.0125, "b": 0.0125, "c": 0.025})
