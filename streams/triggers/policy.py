"""From verdicts to at most one retrain request: what asks, what holds it back, what there is to learn from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, get_args

from schemas.events import TriggerVerdict
from schemas.records import LabelKind, LabelRecord
from schemas.rules.freeze import frozen
from schemas.sections.triggers import Asking, Triggers
from schemas.workload import Workload
from streams.triggers import age, count, watch
from streams.triggers.count import due
from streams.triggers.watch import Watch

ENOUGH: Final = "enough"
ASKING: Final = frozenset(get_args(Asking))  # the triggers that can ask for a retrain; all others are alarms or checks


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a workload's retrain requests; a view of `retrain-requests`, `training-runs` and `labels`."""

    epoch: int = 0  # of the last request
    new_labels: int = 0  # since the last request
    since: datetime | None = None  # the last request, or the first label where none was made
    in_flight: str | None = None  # the request whose run has not ended
    requested_at: tuple[int, ...] = ()  # the `labels` offset of each request
    refused_at: int = 0  # new labels when a request was last refused: too little to learn from, or it would not pay
    watch: Watch = field(default_factory=Watch)

    def cooling_until(self, cooldown_hours: float) -> datetime | None:
        """Return the earliest time of the next request; None: no request was made, or no cooldown is set."""
        if not self.epoch or self.since is None or not cooldown_hours:
            return None
        return self.since + timedelta(hours=cooldown_hours)

    def runs(self, now: datetime, max_run_age_hours: float) -> bool:
        """Return whether a run is in flight and not too old to wait for."""
        age_limit = timedelta(hours=max_run_age_hours)
        return self.in_flight is not None and (self.since is None or now - self.since < age_limit)


def verdicts(standing: Standing, workload: Workload, now: datetime) -> list[TriggerVerdict]:
    """Return what every trigger that is on says now."""
    triggers = workload.triggers
    return [
        count.verdict(standing.new_labels, triggers.count),
        age.verdict(standing.since, now, triggers.age_hours, standing.new_labels),
        *watch.verdicts(standing.watch, workload),
    ]


def asking(found: Sequence[TriggerVerdict], triggers: Triggers) -> TriggerVerdict | None:
    """Return the verdict a request would name, if those that fired ask for one under the workload's rule.

    Several that fire together are one request: it is named after the first and carries the verdicts of all.
    """
    fired = [verdict for verdict in found if verdict.fired and verdict.trigger in ASKING]
    names = {verdict.trigger for verdict in fired}
    if triggers.rule == "all" and any(triggers.is_on(name) and name not in names for name in get_args(Asking)):
        return None
    if triggers.rule == "weighted" and sum(weight for name, weight in triggers.weights.items() if name in names) < 1:
        return None
    return fired[0] if fired else None


def held_back(standing: Standing, now: datetime, triggers: Triggers, *, may_train: bool) -> str | None:
    """Return in one sentence why no request may be made now, or None."""
    why = waits_for(standing, now, triggers, may_train=may_train)
    if why is None and triggers.mode != "auto":
        why = f'The mode is "{triggers.mode}": nothing is asked for.'
    return why


def waits_for(standing: Standing, now: datetime, triggers: Triggers, *, may_train: bool) -> str | None:
    """Return in one sentence what a request would have to wait for in any mode, or None."""
    if not may_train:
        return "The teacher's terms are not said to allow training on its answers (teacher.may_train)."
    if standing.runs(now, triggers.max_run_age_hours):
        return f"The run of request {standing.in_flight} has not ended."
    until = standing.cooling_until(triggers.cooldown_hours)
    if until is not None and now < until:
        return f"The last request is younger than the cooldown of {triggers.cooldown_hours:g} hours."
    entry = frozen(triggers.freeze, now)
    if entry is not None:
        return f"The calendar is frozen today ({entry})."
    if not standing.new_labels:  # answers on anchors alone may fire a trigger
        return "No label has come since the last request: there is nothing new to learn from."
    return None


def enough(training: Mapping[str, int], least_rows: int) -> TriggerVerdict:
    """Return whether the window's training rows (label -> rows) suffice: two classes and the least number of rows."""
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


def looks_now(before: Standing, after: Standing, workload: Workload, record: LabelRecord) -> bool:
    """Return whether the policy is asked with this label: a count is due, or a trigger has news.

    It depends on the labels alone, never on batches or restarts, so that a replay asks at the same label.
    """
    if after.watch.news_since(before.watch):
        return True
    if record.kind is LabelKind.ANCHOR:  # no new label
        return False
    if due(after.new_labels, workload.triggers.count):
        return True
    threshold = workload.triggers.class_counts.get(record.label)
    recent, earlier = after.watch.recent, before.watch.recent
    if threshold is None or recent is None or recent is earlier:
        return False
    return due(int(recent.counts[workload.labels.index(record.label)]), threshold)


def looks_in_time(standing: Standing, triggers: Triggers) -> bool:
    """Return whether time alone can make a request due; a count alone is looked at when its label comes."""
    timed = triggers.age_hours or triggers.cooldown_hours or triggers.freeze
    return bool(timed or standing.in_flight is not None) and standing.new_labels != standing.refused_at
