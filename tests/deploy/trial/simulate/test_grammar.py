"""Headlines: long enough, complete, and in words that phase 1 does not know."""

from __future__ import annotations

import random
import re

import pytest

from deploy.trial.simulate.grammar import LEAST_WORDS, MOST_WORDS, Writer
from deploy.trial.simulate.inflection import inflect
from deploy.trial.simulate.lexicon import lexicon
from deploy.trial.simulate.newswire import FREQUENCIES


@pytest.mark.parametrize("label", FREQUENCIES)
@pytest.mark.parametrize("phase", [1, 2])
def test_headline__of_each_class(label: str, phase: int) -> None:
    """A headline has 8 to 25 words and no slot or mark left unfilled."""
    writer = Writer(random.Random(3), phase)
    for _ in range(150):
        text = writer.headline(label)
        assert LEAST_WORDS <= len(text.split()) <= MOST_WORDS
        assert not re.search(r"[{}<>]|  ", text)


def test_lexicon__held_out_phrases() -> None:
    """Later phases know every phrase of phase 1 and at least a tenth more."""
    first, later = lexicon(1), lexicon(2)
    known = {
        (label, slot, word)
        for label, event in first.events.items()
        for slot in event.slots
        for word in event.slots[slot]
    }
    every = {
        (label, slot, word)
        for label, event in later.events.items()
        for slot in event.slots
        for word in event.slots[slot]
    }

    assert known < every
    assert len(every) > 1.1 * len(known)


@pytest.mark.parametrize(
    ("verb", "plural", "expected"),
    [
        ("cut", False, "cuts"),
        ("carry on", False, "carries on"),
        ("buy", False, "buys"),
        ("push up", False, "pushes up"),
        ("go on sale", False, "goes on sale"),
        ("be paid", False, "is paid"),
        ("be paid", True, "are paid"),
        ("walk out", True, "walk out"),
    ],
)
def test_inflect__plain(verb: str, plural: bool, expected: str) -> None:
    """The first word of a verb phrase takes the ending."""
    assert expected == inflect(verb, "plain", plural, random.Random(0))
