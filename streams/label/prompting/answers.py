"""Which label a teacher's answer says, by one rule, and which label several answers to one question give. Pure.

An answer is read in this order, and the first reading that is a code or label of the set counts: the whole of it; the
one text in it, where it is JSON; its last line; what follows the last colon of that line. Quotes, brackets, stars and
full stops around a reading are ignored. A label within a sentence does not count: nobody can know what the sentence
says of it. An answer in another language counts where the workload's aliases name it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from schemas.rules.chat import label_in
from schemas.workload import Workload
from streams.label.prompting.prompt import Prompt

_DRESS: Final = " \t\n\"'`.*()[]{}“”„«»"


def label_of(workload: Workload, prompt: Prompt, answer: str) -> str | None:
    """Return the label that an answer to the prompt says; a label in place of its code counts too."""
    for reading in _readings(answer):
        label = _label(workload, prompt, reading.strip(_DRESS))
        if label is not None:
            return label
    return None


def resolve(workload: Workload, votes: Sequence[str]) -> tuple[str, dict[str, float]]:
    """Return the label that most votes name, and each label's share of the votes.

    Of labels with equally many votes the one named first counts.

    Args:
        workload: whose label set the shares are over.
        votes: labels in the order they were given, at least one.
    """
    counts = Counter(votes)
    most = max(counts.values())
    winner = next(label for label in votes if counts[label] == most)
    return winner, {label: counts[label] / len(votes) for label in workload.labels}


def _readings(answer: str) -> Iterator[str]:
    yield answer
    said = answer.strip().removeprefix("```json").strip("`").strip()
    if said.startswith(("{", '"')):
        yield _json_text(said) or ""
        return
    lines = [line for line in said.splitlines() if line.strip()]
    if lines:
        yield lines[-1]
        _, colon, after = lines[-1].rpartition(":")
        if colon:
            yield after


def _json_text(said: str) -> str | None:
    """Return a JSON string, or the only text among the values of a JSON object."""
    try:
        value = json.loads(said)
    except ValueError:
        return None
    texts = [one for one in (value.values() if isinstance(value, dict) else [value]) if isinstance(one, str)]
    return texts[0] if len(texts) == 1 else None


def _label(workload: Workload, prompt: Prompt, said: str) -> str | None:
    if said in prompt.choices:
        return prompt.choices[said]
    code, equals, _ = said.partition(" = ")
    if equals and code in prompt.choices:
        return prompt.choices[code]
    return label_in(workload, said)
