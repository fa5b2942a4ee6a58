"""Near duplicates of evaluation texts: against all pairs, on paper."""

from __future__ import annotations

import random
from string import ascii_uppercase

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.curate.duplicates import similarity
from streams.window import leaks
from streams.window.leaks import near_evaluation

WORDS = st.lists(st.sampled_from("abcdefgh"), max_size=12).map(" ".join)


@settings(max_examples=60)
@given(st.lists(WORDS, max_size=12), st.lists(WORDS, max_size=12), st.sampled_from([0.3, 0.5, 0.7, 0.9, 1.0]))
@example(["a b c d"], ["a b c d"], 1.0)
@example([""], [""], 0.7)
def test_near__are_exactly_those_that_all_pairs_would_show(
    training: list[str], evaluation: list[str], least: float
) -> None:
    """No pair that is alike enough is missed, and no other is named."""
    expected = [any(similarity(one, other) >= least for other in evaluation) for one in training]

    assert near_evaluation(training, [evaluation[:5], evaluation[5:]], least).tolist() == expected


def test_near__of_many_that_share_frequent_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of one form, whose pairs are looked at in many goes, are decided as exactly as others."""
    monkeypatch.setattr(leaks, "_PAIRS", 50)
    draw = random.Random(4)

    def form() -> str:
        name, quarter, amount = draw.choice(ascii_uppercase), draw.randrange(1, 5), draw.randrange(900)
        return f"{name} says Q{quarter} net profit rose to {amount} mln"

    training, evaluation = [form() for _ in range(150)], [form() for _ in range(150)]
    found = near_evaluation(training, [evaluation], 0.7).tolist()

    assert found == [any(similarity(one, other) >= 0.7 for other in evaluation) for one in training]
    assert 0 < sum(found) < 150


def test_near__without_texts_is_nothing() -> None:
    """Neither side needs to hold any."""
    assert near_evaluation([], [["a"]], 0.7).tolist() == []
    assert near_evaluation(["a", "b"], [], 0.7).tolist() == [False, False]
    assert near_evaluation(["a", "b"], [[]], 0.7).tolist() == [False, False]
