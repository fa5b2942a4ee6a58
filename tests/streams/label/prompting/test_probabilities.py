"""Top log-probabilities to class probabilities."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.label.prompting.probabilities import class_probabilities
from streams.label.prompting.prompt import label_codes

CHOICES = {"A": "earnings", "B": "mergers", "C": "other"}


def logs(**tokens: float) -> list[tuple[str, float]]:
    return [(token, math.log(p)) for token, p in tokens.items()]


@given(st.integers(2, 60), st.integers(1, 20), st.randoms(use_true_random=False))
def test_probabilities__sum_to_one_over_all_classes(classes: int, listed: int, random: Random) -> None:
    """Every class has a probability, none below 0, and they sum to 1; a listed code is never below an unlisted one."""
    codes = label_codes(classes)
    weights = sorted((random.random() + 1e-9 for _ in codes), reverse=True)
    full = {code: weight / sum(weights) for code, weight in zip(codes, weights, strict=True)}
    top = [(code, math.log(p)) for code, p in list(full.items())[:listed]]
    found = class_probabilities({code: f"label {code}" for code in codes}, top)

    if sum(math.exp(value) for _, value in top) < 0.5:
        assert found is None
        return
    assert found is not None
    assert set(found) == {f"label {code}" for code in codes}
    assert sum(found.values()) == pytest.approx(1)
    unlisted = [found[f"label {code}"] for code in codes[listed:]]
    assert not unlisted or 0 <= max(unlisted) <= min(found[f"label {code}"] for code in codes[:listed]) + 1e-12


def test_probabilities__missing_mass_is_spread_evenly() -> None:
    """What no listed code holds goes to the unlisted classes in equal parts."""
    found = class_probabilities({"A": "a", "B": "b", "C": "c", "D": "d"}, logs(A=0.7, B=0.2))

    assert found == pytest.approx({"a": 0.7, "b": 0.2, "c": 0.05, "d": 0.05})


def test_probabilities__mass_on_other_tokens() -> None:
    """Mass on tokens that are no codes lifts no unlisted class above the least likely listed token."""
    found = class_probabilities(CHOICES, logs(A=0.6, The=0.3, B=0.001))

    assert found is not None
    assert found["other"] == pytest.approx(found["mergers"])
    assert sum(found.values()) == pytest.approx(1)


def test_probabilities__two_spellings_of_a_code() -> None:
    """A code with and without a space before it is one code."""
    found = class_probabilities(CHOICES, [("A", math.log(0.5)), (" A", math.log(0.4)), ("B", math.log(0.1))])

    assert found is not None
    assert found["earnings"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    "top",
    [[], [("A", math.nan)], [("A", math.log(0.9)), ("B", math.nan)], [("A", 0.7)], logs(The=0.9, A=0.05)],
    ids=["none", "nan", "nan among others", "no logarithm", "hardly any code"],
)
def test_probabilities__unusable_list(top: list[tuple[str, float]]) -> None:
    """Without usable log-probabilities there is no soft label."""
    assert class_probabilities(CHOICES, top) is None
