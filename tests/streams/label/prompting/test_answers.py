"""What an answer says, and what several come to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.label.prompting.answers import label_of, resolve
from streams.label.prompting.prompt import coded_prompt, plain_prompt
from tests.streams.doubles import workload

LABELS = ("earnings", "mergers", "other")
WORKLOAD = workload(LABELS, aliases={"fusiones": "mergers"})
PROMPT = coded_prompt(WORKLOAD, "", "record-1")
CODE = next(code for code, label in PROMPT.choices.items() if label == "mergers")


@pytest.mark.parametrize(
    "said",
    [
        CODE, f" {CODE}.", f"({CODE})", f"{CODE} = mergers", "Mergers", '"mergers"', "Label: mergers.", "**Mergers**",
        f"Answer: {CODE}", '{"label": "mergers"}', '```json\n{"label": "mergers"}\n```',
        "It speaks of a takeover.\nLabel: Mergers", "fusiones", "Etiqueta: Fusiones.", "«mergers»",
    ],
)  # fmt: skip
def test_answer__in_a_form_that_is_understood(said: str) -> None:
    """A code, a label or an alias counts, dressed, as JSON, as the last line or after its colon."""
    assert label_of(WORKLOAD, PROMPT, said) == "mergers"


@pytest.mark.parametrize(
    "said",
    [
        "Z",
        "",
        "mergers or other",
        "The answer is earnings, I think",
        "übernahme",
        '{"a": "mergers", "b": "other"}',
        ":",
    ],
)
def test_answer__that_says_no_label(said: str) -> None:
    """Anything else is no label, and so is one amid a sentence."""
    assert label_of(WORKLOAD, PROMPT, said) is None


def test_answer__code_without_codes() -> None:
    """A code means nothing under a prompt that offers none."""
    assert label_of(WORKLOAD, plain_prompt(WORKLOAD, ""), "A") is None


@given(st.lists(st.sampled_from(LABELS), min_size=1, max_size=15))
def test_votes__majority_and_shares(votes: list[str]) -> None:
    """No label has more votes than the winner, of equals the first named wins, and the shares sum to 1."""
    winner, shares = resolve(WORKLOAD, votes)
    best = max(votes.count(label) for label in LABELS)

    assert winner == next(label for label in votes if votes.count(label) == best)
    assert list(shares) == list(LABELS)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares == {label: votes.count(label) / len(votes) for label in LABELS}
