"""Days without a retrain."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.freeze import WEEKDAYS, days, frozen

CALENDAR = ["2026-12-20..2027-01-02", "2026-07-04", "sun"]


@pytest.mark.parametrize(
    ("moment", "entry"),
    [
        (datetime(2026, 12, 19, 23, 59, tzinfo=UTC), None),
        (datetime(2026, 12, 20, tzinfo=UTC), "2026-12-20..2027-01-02"),
        (datetime(2027, 1, 2, 23, 59, tzinfo=UTC), "2026-12-20..2027-01-02"),
        (datetime(2027, 1, 3, 12, tzinfo=UTC), "sun"),
        (datetime(2026, 7, 4, 12, tzinfo=UTC), "2026-07-04"),
        (datetime(2026, 7, 5, 1, tzinfo=timezone(timedelta(hours=2))), "2026-07-04"),
    ],
    ids=["before", "first day", "last day", "weekday", "one day", "the day is UTC's"],
)
def test_calendar__holds_both_ends_and_weekdays(moment: datetime, entry: str | None) -> None:
    """A range holds its first and last day, a weekday every week's, and days are those of UTC."""
    assert frozen(CALENDAR, moment) == entry


@given(st.dates(), st.dates())
def test_range__is_what_lies_between(one: date, other: date) -> None:
    """Exactly the days from first to last are held."""
    first, last = sorted((one, other))
    held = days(f"{first}..{last}")

    assert held.hold(first)
    assert held.hold(last)
    assert not (first > date.min and held.hold(first - timedelta(days=1)))
    assert not (last < date.max and held.hold(last + timedelta(days=1)))


@given(st.dates())
def test_weekdays__share_every_day(day: date) -> None:
    """Each day is held by exactly one weekday."""
    assert sum(days(name).hold(day) for name in WEEKDAYS) == 1


@pytest.mark.parametrize(
    "entry", ["", "Saturday", "2026-13-01", "2026-02-02..2026-02-01", "2026-01-01..", "..2026-01-01"]
)
def test_entry__that_is_no_day(entry: str) -> None:
    """What is no day is refused with the three forms, or with what is wrong about the range."""
    with pytest.raises(ValueError, match=r"write a date|ends before"):
        days(entry)
