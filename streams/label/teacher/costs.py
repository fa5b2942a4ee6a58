"""What teachers have cost so far, by our topics: read back when a partition is assigned or a command begins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime

from schemas.records import Record
from schemas.rules.spend import Spend, cost_of
from streams.label.teacher.budget import TeacherBudget


class Costs:
    """Spend by workload and hour, which no budget divides further: few numbers for millions of labels."""

    def __init__(self) -> None:
        self._hours: defaultdict[tuple[datetime, str], Spend] = defaultdict(Spend)

    def add(self, record: Record, at: datetime) -> None:
        """Add what a record of `labels`, `dead-letters` or `ceilings` cost; topics may come in any order."""
        cost = cost_of(record)
        if cost is not None and cost.calls:
            hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
            self._hours[hour, getattr(record, "workload", None) or ""] += cost

    def book(self, budgets: Mapping[str, TeacherBudget]) -> None:
        """Book it, oldest first: an old dead letter is no spend of this hour."""
        for (hour, workload), spend in sorted(self._hours.items(), key=lambda one: one[0]):
            if workload in budgets:
                budgets[workload].book(spend, hour)
