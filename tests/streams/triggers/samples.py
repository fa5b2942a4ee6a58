"""Labels and samples for the tests of the triggers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from schemas.records import LabelRecord
from schemas.workload import Workload
from streams.triggers.sample import Sample
from streams.triggers.seen import Seen
from streams.triggers.watch import Watch, with_label
from tests.streams.doubles import label, workload

LABELS = ("earnings", "mergers", "other")


def watching(**triggers: Any) -> Workload:
    """Return a workload whose triggers are as given."""
    return workload(LABELS, triggers=triggers)


def sample(counts: Sequence[int], weight: float = 1.0, **seen: Any) -> Sample:
    """Return a sample of so many labels of each class, each with one weight."""
    found = Sample.empty(len(counts))
    for number, count in enumerate(counts):
        for _ in range(count):
            found = found.plus(Seen(number, weight, **seen))
    return found


def stream(
    seed: int, count: int, shares: Sequence[float] = (0.5, 0.3, 0.2), first: int = 0, **fields: Any
) -> list[LabelRecord]:
    """Return labels drawn with the given shares of the classes."""
    drawn = np.random.default_rng(seed).choice(len(shares), size=count, p=shares)
    return [label(first + at, LABELS[number], **fields) for at, number in enumerate(drawn)]


def folded(of: Workload, records: Sequence[LabelRecord], watch: Watch | None = None) -> Watch:
    """Return the state after the labels."""
    found = watch or Watch()
    for record in records:
        found = with_label(found, of, record)
    return found
