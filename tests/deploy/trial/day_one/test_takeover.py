"""What the chosen threshold promises, and what a takeover would spare."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binomtest

from deploy.trial.day_one.bounds import share, share_of
from deploy.trial.day_one.saving import Traffic, saving
from deploy.trial.day_one.student import Said
from deploy.trial.day_one.survey import NO_LABEL, Tokens
from deploy.trial.day_one.takeover import ALPHA, STARTS, choose, takeover
from schemas.sections.label import Price


def drawn(n: int, seed: int, copies: int = 1) -> Said:
    """Return what a student says that is as right as its confidence says."""
    random = np.random.default_rng(seed)
    confidence = np.repeat(random.beta(6, 1, size=n), copies)
    right = np.repeat(random.random(n), copies) < confidence
    return Said(
        clusters=[str(row // copies) for row in range(n * copies)], label=np.zeros(n * copies, dtype=np.int64),
        said=np.where(right, 0, 1), confidence=confidence, first=np.arange(n * copies) % copies == 0,
        tokens=[None] * (n * copies),
    )  # fmt: skip


def test_takeover__keeps_its_promise__as_often_as_it_says() -> None:
    """Over 200 draws of 600 rows, what the threshold lets through agrees less than wished in 5 % at most."""
    missed = made = 0
    for seed in range(200):
        said = drawn(600, seed)
        chosen = choose(said.confidence, said.agreed, said.clusters, 0.93)
        if chosen is not None:
            made += 1
            limit = chosen.confidence
            missed += 6 / 7 * (1 - limit**7) / (1 - limit**6) < 0.93  # mean of a Beta(6, 1) above the threshold

    assert made > 125
    assert missed / 200 <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / 200) ** 0.5


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.6, 0.99))
def test_choose__holds_its_bound_on_the_rows_it_chose_by(seed: int, wished: float) -> None:
    """The lower bound of the chosen threshold is at least what was wished, recomputed from the rows."""
    said = drawn(300, seed)
    chosen = choose(said.confidence, said.agreed, said.clusters, wished)
    if chosen is None:
        return
    through = said.confidence >= chosen.confidence
    hits, n = int(said.agreed[through].sum()), int(through.sum())

    assert chosen.n == n
    assert chosen.lower == pytest.approx(beta.ppf(ALPHA / STARTS, hits, n - hits + 1))
    assert chosen.lower >= wished


def test_choose__does_not_take_a_repeat_for_evidence() -> None:
    """Forty clusters of thirty copies each prove no agreement of 95 %, though all 1,200 rows agree; 1,200 rows do."""
    confidence, agreed = np.linspace(0.5, 1, 1_200), np.ones(1_200, dtype=bool)

    assert choose(confidence, agreed, [row // 30 for row in range(1_200)], 0.95) is None
    assert choose(confidence, agreed, list(range(1_200)), 0.95) is not None


def test_takeover__tells_the_test_rows_figures() -> None:
    """Coverage and agreement are those of the test rows, each with the exact interval, not of the rows chosen by."""
    choosing, test = drawn(800, 1), drawn(900, 2)
    found = takeover(choosing, test, 0.9)
    assert found.threshold is not None
    assert found.coverage is not None
    assert found.agreement is not None
    through = test.confidence >= found.threshold.confidence
    exact = binomtest(int(through.sum()), 900).proportion_ci(0.95, "exact")

    assert found.coverage.value == through.mean()
    assert (found.coverage.low, found.coverage.high) == pytest.approx((exact.low, exact.high))
    assert found.agreement.value == (test.said == test.label)[through].mean()
    assert found.curve[-1].coverage == 1.0


def test_takeover__an_answer_outside_the_set__is_no_agreement() -> None:
    """A row whose recorded answer is no label counts against the student, whatever it says."""
    said = drawn(400, 3)
    said.label[:] = NO_LABEL

    assert takeover(said, said, 0.6).threshold is None


def test_takeover__without_repeats__is_told_apart() -> None:
    """The coverage of each cluster once rests on the first members alone."""
    found = takeover(drawn(900, 4, copies=3), drawn(900, 5, copies=3), 0.8)

    assert found.coverage is not None
    assert found.coverage_first is not None
    assert (found.coverage.n, found.coverage_first.n) == (2_700, 900)
    assert found.coverage.effective_n == pytest.approx(900)


REPEATS = share_of(0.1, 900, 810)


def test_saving__by_hand() -> None:
    """Half of 800 answerable of 1,000 requests, a tenth audited, over 10 days, at 2 per 1,000 requests."""
    test = Said(
        clusters=["a", "b", "c", "d"], label=np.zeros(4, dtype=np.int64), said=np.zeros(4, dtype=np.int64),
        confidence=np.ones(4), first=np.ones(4, dtype=bool),
        tokens=[Tokens(90, 10), Tokens(190, 10), None, Tokens(290, 10)],
    )  # fmt: skip
    taken = np.array([True, True, False, False])
    found = saving(
        share(taken, test.clusters),
        Traffic(1_000, 800, timedelta(days=10), 0.1, REPEATS, 900),
        test,
        taken,
        Price(),
        2.0,
    )

    assert found.share.value == pytest.approx(0.4)
    assert found.calls.value == pytest.approx(360)
    assert found.cache_calls.value == pytest.approx(90)
    assert found.cache_n == 900
    assert found.money is not None
    assert found.money.value == pytest.approx(0.72)
    assert found.calls_30_days is not None
    assert found.calls_30_days.value == pytest.approx(1_080)
    assert found.tokens is not None
    assert found.tokens_n == 3
    assert found.tokens.value == pytest.approx((100 + 200) / 3 * 800 * 0.9)
    assert found.calls.low < found.calls.value < found.calls.high


def test_saving__at_the_workload_s_price__is_that_of_the_tokens() -> None:
    """Prompt and completion tokens of the answered test rows cost what teacher.price says, per requests spared."""
    test = replace(drawn(4, 7), tokens=[Tokens(90, 10), Tokens(190, 20), None, Tokens(290, 10)])
    taken = np.array([True, True, True, False])
    price = Price(currency="EUR", prompt_per_million=10, completion_per_million=100)
    found = saving(
        share(taken, test.clusters),
        Traffic(1_000, 800, timedelta(days=10), 0.1, REPEATS, 900),
        test,
        taken,
        price,
        None,
    )

    assert found.money is not None
    assert found.money.value == pytest.approx((90 * 10 + 10 * 100 + 190 * 10 + 20 * 100) / 1e6 / 3 * 800 * 0.9)
    assert found.money_n == 3
    assert found.currency == "EUR"


def test_saving__of_an_hour__says_nothing_of_a_month() -> None:
    """Without a price, without usage and over less than a day, no figure is made up."""
    test, taken = drawn(10, 6), np.ones(10, dtype=bool)
    found = saving(
        share(taken, test.clusters), Traffic(10, 10, timedelta(hours=1), 0.0, REPEATS, 10), test, taken, Price(), None
    )

    assert (found.money, found.tokens, found.calls_30_days, found.money_30_days) == (None, None, None, None)
