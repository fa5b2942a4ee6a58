"""The practice teacher's mistakes: how many, how honest, and shared by whom."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.practice import DOUBTS, practice_label, practice_probabilities

LABELS = ["other", "earnings", "dividends", "analyst rating", "credit ratings", "product approval"]
DRAWS = 30_000


@given(
    labels=st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=20, unique=True),
    key=st.text(max_size=40),
    seed=st.integers(0, 2**40),
    data=st.data(),
)
def test_practice_probabilities__of_any_label_set(labels: list[str], key: str, seed: int, data: st.DataObject) -> None:
    """They are a distribution over the labels whose highest entry is the answer."""
    truth = data.draw(st.sampled_from(labels))
    probabilities = practice_probabilities(labels, truth, key, seed)

    assert abs(sum(probabilities) - 1.0) < 1e-9
    assert min(probabilities) >= 0.0
    assert max(probabilities) > 0.5
    assert labels[probabilities.index(max(probabilities))] == practice_label(labels, truth, key, seed)


@pytest.mark.parametrize("seed", [1, 7, 99])
def test_practice_label__over_all_classes(seed: int) -> None:
    """95 % of all answers are right, within half a point."""
    right = [practice_label(LABELS, LABELS[n % 6], f"c{n}", seed) == LABELS[n % 6] for n in range(DRAWS)]

    assert abs(sum(right) / DRAWS - 0.95) < 0.005


@pytest.mark.parametrize("seed", [1, 7])
def test_practice_probabilities__of_the_answered_label(seed: int) -> None:
    """The probability given to the answer is the chance that it is right: within 0.03 at each stated level."""
    outcomes: dict[float, list[bool]] = defaultdict(list)
    for n in range(DRAWS):
        probabilities = practice_probabilities(LABELS, LABELS[n % 6], f"c{n}", seed)
        answered = max(range(6), key=probabilities.__getitem__)
        outcomes[round(probabilities[answered], 6)].append(answered == n % 6)

    assert sorted(outcomes) == sorted(round(1 - doubt, 6) for doubt in DOUBTS)
    assert all(abs(sum(right) / len(right) - stated) < 0.03 for stated, right in outcomes.items())


def test_practice_label__of_two_seeds() -> None:
    """Another seed is another teacher: it errs elsewhere."""

    def wrong(seed: int) -> set[int]:
        return {n for n in range(3000) if practice_label(LABELS, LABELS[n % 6], f"c{n}", seed) != LABELS[n % 6]}

    assert len(wrong(1) & wrong(2)) < 0.3 * len(wrong(1))
