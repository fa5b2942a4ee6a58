"""The count trigger: so many new labels since the last request. Pure."""

from __future__ import annotations

from schemas.events import TriggerVerdict

NAME = "count"


def verdict(new_labels: int, threshold: int) -> TriggerVerdict:
    """Return whether the labels since the last request reach the threshold."""
    fired = new_labels >= threshold
    return TriggerVerdict(
        trigger=NAME,
        fired=fired,
        numbers={"labels": float(new_labels), "threshold": float(threshold)},
        explanation=f"{new_labels:,} new labels since the last request {'reach' if fired else 'are below'} "
        f"the threshold of {threshold:,}.",
    )
