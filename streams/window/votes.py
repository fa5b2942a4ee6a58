"""What a near-duplicate cluster is labelled where its answers differ. Pure.

Each voice, the cluster's label or a vote, gives its soft label, or all to its label where it has none. The mean of them
is the cluster's soft label (the linear opinion pool of Stone 1961: without soft labels, the share of the votes). Of the
labels that a voice names the one with the largest share wins; among equals the one named first, so that one voice
against the label changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Voice(NamedTuple):
    """One answer in a cluster."""

    label: str
    class_probabilities: Mapping[str, float] | None


def resolve(labels: Sequence[str], voices: Sequence[Voice]) -> tuple[str, dict[str, float]]:
    """Return a cluster's label and soft label; the sums are exact, so that only who is named first depends on order.

    Args:
        labels: the workload's; each voice names one of them.
        voices: at least one, the label first. A soft label over another set is ignored.
    """
    shares = {label: math.fsum(_given(voice, labels).get(label, 0.0) for voice in voices) for label in labels}
    named = dict.fromkeys(voice.label for voice in voices)
    winner = max(named, key=shares.__getitem__)
    return winner, {label: share / len(voices) for label, share in shares.items()}


def _given(voice: Voice, labels: Sequence[str]) -> Mapping[str, float]:
    soft = voice.class_probabilities
    return soft if soft is not None and soft.keys() == set(labels) else {voice.label: 1.0}
