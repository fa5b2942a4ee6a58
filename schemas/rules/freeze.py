"""Days on which no retrain is asked for: a date, a range of dates with both ends in it, or a weekday; in UTC. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Days:
    """One entry of a calendar."""

    first: date
    last: date
    weekday: int | None = None  # 0 is Monday; then the dates do not count

    def hold(self, day: date) -> bool:
        """Return whether the day is one of them."""
        if self.weekday is not None:
            return day.weekday() == self.weekday
        return self.first <= day <= self.last


def days(entry: str) -> Days:
    """Return the days of an entry such as `2026-12-24`, `2026-12-20..2027-01-02` or `sat`.

    Raises:
        ValueError: it is none of these, or the range ends before it begins.
    """
    if entry in WEEKDAYS:
        return Days(date.min, date.max, WEEKDAYS.index(entry))
    first, dots, last = entry.partition("..")
    try:
        found = Days(date.fromisoformat(first), date.fromisoformat(last if dots else first))
    except ValueError:
        raise ValueError(
            f"{entry!r} is no day; write a date (2026-12-24), a range (2026-12-20..2027-01-02) or one of {WEEKDAYS}"
        ) from None
    if found.last < found.first:
        raise ValueError(f"{entry!r} ends before it begins")
    return found


def frozen(calendar: Sequence[str], now: datetime) -> str | None:
    """Return the calendar's entry that holds the moment's day in UTC, or None."""
    day = now.astimezone(UTC).date()
    return next((entry for entry in calendar if days(entry).hold(day)), None)
