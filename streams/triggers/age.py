"""The age trigger: the last request is older than the workload allows. Pure; the time is given."""

from __future__ import annotations

from datetime import datetime

from schemas.events import TriggerVerdict
from streams.triggers.verdicts import waiting

NAME = "age"


def verdict(since: datetime | None, now: datetime, limit_hours: float | None, new_labels: int) -> TriggerVerdict:
    """Return whether the last request is too old.

    Args:
        since: the last request, or the first label where none was made; None: no label came yet.
        now: of the same clock.
        limit_hours: None: no limit.
        new_labels: labels since; without any, a student would learn the same rows again.
    """
    if limit_hours is None:
        return waiting(NAME, "No age limit is set.")
    if since is None:
        return waiting(NAME, "No label has come yet.")
    hours = (now - since).total_seconds() / 3600
    fired = hours >= limit_hours and new_labels > 0
    if hours < limit_hours:
        why = f"The last request is {hours:.1f} hours old, below the limit of {limit_hours:g}."
    elif fired:
        why = f"The last request is {hours:.1f} hours old, beyond the limit of {limit_hours:g}."
    else:
        why = f"The last request is {hours:.1f} hours old, but no label has come since."
    numbers = {"hours": hours, "threshold": limit_hours, "labels": float(new_labels)}
    return TriggerVerdict(trigger=NAME, fired=fired, numbers=numbers, explanation=why)
