"""The chance of a record to be chosen for a label."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Split
from schemas.sections.label import Select
from streams.label.selection.chance import Choice, choose, cutoff_of, unsure_share

SHARES = st.floats(0.01, 0.99)
ACTIVE = Select(policy="active", train_share=0.2, evaluation_share=0.5)


def chosen(select: Select, split: Split, *margin: float, records: int = 4_000) -> list[Choice]:
    return [choose(select, split, f"record-{number}", *margin) for number in range(records)]


@given(SHARES, SHARES, st.floats(0, 2), st.floats(0, 2), st.sampled_from(Split), st.text())
def test_chance__is_never_zero(train, evaluation, margin, cutoff, split, record_id):
    """Every record has a chance above 0 and at most 1, so that estimates can be weighted by its inverse."""
    select = Select(policy="active", train_share=train, evaluation_share=evaluation)
    choice = choose(select, split, record_id, margin, cutoff)

    assert 0 < choice.propensity <= 1
    assert choice.chosen == (choice.draw < choice.propensity)


@given(st.text(), st.sampled_from(Split))
def test_choice__is_the_same_in_a_replay(record_id, split):
    """The same record under the same model is always decided the same."""
    assert choose(ACTIVE, split, record_id, 0.1, 0.2) == choose(ACTIVE, split, record_id, 0.1, 0.2)


def test_evaluation_records__are_drawn_uniformly_under_every_policy():
    """What the model thinks of a record changes nothing where figures are measured."""
    for split in (Split.VALIDATION, Split.CERTIFICATION, Split.TEST):
        sure, unsure = (chosen(ACTIVE, split, margin, 0.2) for margin in (0.9, 0.0))

        assert sure == unsure
        assert {choice.propensity for choice in sure} == {0.5}
        assert np.mean([choice.chosen for choice in sure]) == pytest.approx(0.5, abs=0.03)


def test_training_records__without_a_model_are_drawn_uniformly():
    """Before there is a model, a training record has the chance train_share."""
    drawn = chosen(ACTIVE, Split.TRAIN)

    assert {(choice.propensity, choice.reason) for choice in drawn} == {(0.2, "uniform")}
    assert np.mean([choice.chosen for choice in drawn]) == pytest.approx(0.2, abs=0.03)


@given(SHARES, st.integers(0, 2**32 - 1))
def test_cutoff__spends_the_share_and_no_more(share, seed):
    """With the cutoff of a uniform sample, the expected share of chosen records is train_share, up to one row."""
    margins = np.random.default_rng(seed).gamma(2.0, size=500)
    cutoff = cutoff_of(margins, [0.5] * len(margins), share)
    select = Select(policy="active", train_share=share)
    chances = [choose(select, Split.TRAIN, "any", float(margin), cutoff).propensity for margin in margins]

    assert np.mean(chances) == pytest.approx(share, abs=1.5 / len(margins))


def test_cutoff__weighs_records_by_their_propensity():
    """A record that was chosen with one chance in nine counts for nine."""
    share = next(value / 1_000 for value in range(1, 1_000) if unsure_share(value / 1_000) > 0.5)

    assert cutoff_of(np.array([3.0, 1.0]), [1.0, 1 / 9], share) == 1.0
    assert cutoff_of(np.array([3.0, 1.0]), [1 / 9, 1.0], share) == 3.0


def test_choice__tells_its_numbers():
    """What goes to `discarded` names the rule, the draw and the chance."""
    summary = Choice(chosen=False, propensity=0.04, reason="explored", draw=0.3121).summary()

    assert summary == "explored: drew 0.3121, chosen below 0.0400"
