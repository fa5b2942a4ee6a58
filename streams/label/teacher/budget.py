"""What may still be spent on a teacher, by hour, day (UTC) and in total, in calls, tokens and money. Pure.

Spend is booked when a call ends, at the latest time seen so far: a clock that jumps back frees nothing, and one that
jumps ahead starts the next period once. A call may go out if what is spent, the calls under way at the mean cost of all
calls so far, and the call itself fit; requests that wait in batches are under way too. Money is tokens times the
workload's price.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.rules.spend import Spend
from schemas.sections.label import Teacher

_PERIODS: Final = ("hour", "day", "total")
_KINDS: Final = ("calls", "tokens", "money")
TRUST: Final = 100  # requests in a first batch, before the cost of a call is known


@dataclass(frozen=True, slots=True)
class Spent:
    """A limit that the next call would pass."""

    field: str  # as in the workload file, such as `budget.day.money`
    limit: float
    amount: float
    until: datetime | None  # None: until the limit is raised


class TeacherBudget:
    """The spend of one workload against its limits."""

    def __init__(self, teacher: Teacher) -> None:
        """Start with nothing spent."""
        self.in_batches = 0  # requests that wait for their answers there
        self._price = teacher.price
        self._limits = [
            (period, kind, limit)
            for period in _PERIODS
            for kind in _KINDS
            if (limit := getattr(getattr(teacher.budget, period), kind)) is not None
        ]
        self.clear()

    @property
    def limited(self) -> bool:
        """Return whether there is any limit."""
        return bool(self._limits)

    def clear(self) -> None:
        """Forget what was spent: it is about to be read back."""
        self._latest = datetime.min.replace(tzinfo=UTC)
        self._spent: defaultdict[str, Spend] = defaultdict(Spend)

    def book(self, spend: Spend, at: datetime) -> None:
        """Add what was spent."""
        self._advance(at)
        for period in _PERIODS:
            self._spent[period] += spend

    def total(self) -> Spend:
        """Return all that was spent."""
        return self._spent["total"]

    def room(self, now: datetime, under_way: int, wanted: int) -> int:
        """Return how many of the wanted calls may all be made at once, beside those under way."""
        if not self.total().calls and any(kind != "calls" for _, kind, _ in self._limits):
            wanted = min(wanted, TRUST - self.in_batches)
        return bisect_left(range(wanted), 1, key=lambda more: self.passed(now, under_way + more) is not None)

    def passed(self, now: datetime, under_way: int) -> Spent | None:
        """Return the limit that one more call would pass beside those under way; of several the one that lasts."""
        self._advance(now)
        under_way += self.in_batches
        total = self._spent["total"]
        found: Spent | None = None
        for period, kind, limit in self._limits:
            mean = 1.0 if kind == "calls" else total.of(kind, self._price) / max(1, total.calls)
            amount = self._spent[period].of(kind, self._price)
            if amount + (under_way + 1) * mean > limit or amount >= limit:
                found = Spent(f"budget.{period}.{kind}", limit, amount, self._end(period))
        return found

    def _advance(self, now: datetime) -> None:
        """Move on, never back; a new hour or day has nothing spent."""
        if now <= self._latest:
            return
        for period in ("hour", "day"):
            if _start(period, now) != _start(period, self._latest):
                self._spent[period] = Spend()
        self._latest = now

    def _end(self, period: str) -> datetime | None:
        if period == "total":
            return None
        return _start(period, self._latest) + timedelta(**{f"{period}s": 1})


def _start(period: str, at: datetime) -> datetime:
    if at.year > 1:  # datetime.min cannot change its zone
        at = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return at if period == "hour" else at.replace(hour=0)
