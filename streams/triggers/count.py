"""The count triggers: enough new labels since the last request, in all or of one class. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.events import TriggerVerdict

NAME: Final = "count"
CLASS_NAME: Final = "class-count"


def verdict(new_labels: int, threshold: int) -> TriggerVerdict:
    """Return whether the labels since the last request reach the threshold."""
    return _verdict(NAME, new_labels, threshold, f"{new_labels:,} new labels since the last request")


def class_verdict(new_labels: Mapping[str, int], thresholds: Mapping[str, int]) -> TriggerVerdict:
    """Return whether some class has its new labels; the verdict is of the class nearest to its threshold or beyond.

    Raises:
        ValueError: no class has a threshold.
    """
    label = max(thresholds, key=lambda one: (new_labels.get(one, 0) / thresholds[one], one))
    count = new_labels.get(label, 0)
    return _verdict(CLASS_NAME, count, thresholds[label], f"{count:,} new labels of {label!r}")


def _verdict(trigger: str, count: int, threshold: int, what: str) -> TriggerVerdict:
    fired = count >= threshold
    return TriggerVerdict(
        trigger=trigger,
        fired=fired,
        numbers={"labels": float(count), "threshold": float(threshold)},
        explanation=f"{what} {'reach' if fired else 'are below'} the threshold of {threshold:,}.",
    )


def due(new_labels: int, threshold: int) -> bool:
    """Return whether a count is looked at with this label: at the threshold, then at every tenth of it more.

    It depends on the count alone, never on batches or restarts, so that a replay asks at the same label.
    """
    return new_labels >= threshold and (new_labels - threshold) % max(1, threshold // 10) == 0
