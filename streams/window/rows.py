"""The rows of a snapshot, and how many of each class it holds. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from schemas.records import Split
from schemas.workload import Workload


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a snapshot."""

    record_id: str
    cluster_id: str
    text: str
    label: str
    class_probabilities: list[float] | None  # in the order of the workload's labels
    split: str
    propensity: float
    provenance: str
    event_time: datetime  # UTC, naive
    teacher_model: str | None
    prompt_sha256: str | None
    label_offset: int
    paraphrases: Sequence[str] = ()  # of its text, that the snapshot may take


def class_limits(counts: Mapping[str, int], quota: int, rows: int) -> dict[str, int]:
    """Return how many training rows each class may keep.

    A class keeps min(what it has, quota, level), the level being the highest under which all classes together stay
    within `rows`; what a level in whole rows leaves over goes to the rarest of the classes cut by it.
    """
    kept = {label: min(count, quota) for label, count in counts.items()}
    left, limits = rows, {}
    for done, label in enumerate(sorted(kept, key=lambda label: (kept[label], label))):
        limits[label] = min(kept[label], -(-left // (len(kept) - done)))
        left -= limits[label]
    return limits


def class_counts(workload: Workload, rows: list[Row]) -> dict[str, dict[str, int]]:
    """Return split -> label -> rows, with every split and label named."""
    counts = {split.value: dict.fromkeys(workload.labels, 0) for split in Split}
    for row in rows:
        counts[row.split][row.label] += 1
    return counts
