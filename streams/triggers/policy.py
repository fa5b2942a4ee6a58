"""From verdicts to at most one retrain request: what holds it back, and if there is enough to learn from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.events import TriggerVerdict

ENOUGH = "enough"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a workload's requests stand; a view of `retrain-requests`, `training-runs` and `labels`."""

    epoch: int = 0  # of the last request
    new_labels: int = 0  # since the last request
    since: datetime | None = None  # the last request, or the first label where none was made
    in_flight: str | None = None  # the request whose run has not ended
    refused_at: int = 0  # new labels when there was last too little to learn from
    requested_at: tuple[int, ...] = ()  # the `labels` offset of each request

    def cooling_until(self, cooldown_hours: float) -> datetime | None:
        """Return the earliest time of the next request; None: no request was made, or no cooldown is set."""
        if not self.epoch or self.since is None or not cooldown_hours:
            return None
        return self.since + timedelta(hours=cooldown_hours)


def first_fired(verdicts: Sequence[TriggerVerdict]) -> TriggerVerdict | None:
    """Return the verdict a request would name: several that fire together are one request."""
    return next((verdict for verdict in verdicts if verdict.fired), None)


def held_back(standing: Standing, now: datetime, *, may_train: bool, cooldown_hours: float) -> str | None:
    """Return in one sentence why no request may be made now, or None."""
    if not may_train:
        return "The teacher's terms are not said to allow training on its answers (teacher.may_train)."
    if standing.in_flight is not None:
        return f"The run of request {standing.in_flight} has not ended."
    until = standing.cooling_until(cooldown_hours)
    if until is not None and now < until:
        return f"The last request is younger than the cooldown of {cooldown_hours:g} hours."
    return None


def enough(training: Mapping[str, int], least_rows: int) -> TriggerVerdict:
    """Return whether the window's training rows (label -> rows) suffice: two classes, and so many rows."""
    rows = sum(training.values())
    classes = sum(1 for count in training.values() if count)
    fired = rows >= least_rows and classes >= 2
    if fired:
        why = f"{rows:,} training rows in {classes} classes are enough."
    elif classes < 2:
        why = f"The window's training rows are of {classes} class(es); two are needed."
    else:
        why = f"{rows:,} training rows are below the least of {least_rows:,}."
    numbers = {"rows": float(rows), "threshold": float(least_rows), "classes": float(classes)}
    return TriggerVerdict(trigger=ENOUGH, fired=fired, numbers=numbers, explanation=why)


def due(new_labels: int, threshold: int) -> bool:
    """Tell whether the count trigger is looked at with this label: at the threshold, then at every tenth of it more.

    It depends on the count alone, never on batches or restarts, so that a replay asks at the same label.
    """
    return new_labels >= threshold and (new_labels - threshold) % max(1, threshold // 10) == 0
