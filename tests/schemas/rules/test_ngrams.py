"""Hashed n-grams of a batch, held against the definition, one character at a time."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.ngrams import NgramForm, mean_weights, ngrams

TEXTS = st.lists(st.text(alphabet=st.characters(exclude_characters="\x00"), max_size=20), max_size=5)
FORMS = st.builds(NgramForm, st.just(1) | st.just(2), st.integers(2, 5), st.integers(8, 20))


def by_definition(text: str, form: NgramForm) -> list[int]:
    padded = f" {text.lower()} "
    found = []
    for length in range(form.shortest, form.longest + 1):
        for start in range(len(padded) - length + 1):
            number = 0
            for character in padded[start : start + length]:
                number = (number * 1_000_003 + ord(character) + 1) % 2**64
            found.append(number * 0x9E3779B97F4A7C15 % 2**64 >> (64 - form.bits))
    return found


@given(TEXTS, FORMS)
def test_ngrams__of_a_batch(texts: list[str], form: NgramForm) -> None:
    """Each text's buckets are those of its definition, whatever is beside it."""
    numbers, buckets = ngrams(texts, form)
    found = Counter(zip(numbers.tolist(), buckets.tolist(), strict=True))

    assert found == Counter((number, b) for number, text in enumerate(texts) for b in by_definition(text, form))


@given(TEXTS, FORMS)
def test_mean_weights__one_for_each_text(texts: list[str], form: NgramForm) -> None:
    """A text's score is the mean weight of its n-grams; an empty batch has none."""
    weights = np.linspace(-1, 1, 2**form.bits, dtype=np.float32)
    expected = [np.mean(weights[by_definition(text, form)], dtype=np.float64) for text in texts]

    np.testing.assert_allclose(mean_weights(texts, form, weights), expected, atol=1e-6)


def test_ngrams__a_published_number() -> None:
    """The hash is for life: a model file holds weights by bucket."""
    numbers, buckets = ngrams(["up"], NgramForm(4, 4, 16))

    assert (numbers.tolist(), buckets.tolist()) == ([0], [5231])
