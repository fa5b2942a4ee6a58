"""The budget, with the time given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.rules.spend import Spend
from schemas.sections.label import Teacher
from streams.label.teacher.budget import TeacherBudget

NOW = datetime(2026, 1, 5, 10, 30, tzinfo=UTC)
PRICE = {"prompt_per_million": 2.0, "completion_per_million": 4.0}


def budget(**limits: dict[str, float]) -> TeacherBudget:
    return TeacherBudget(Teacher.model_validate({"price": PRICE, "budget": limits}))


@pytest.mark.parametrize(
    ("kind", "limit", "fits"),
    [("calls", 10, 10), ("tokens", 1_000, 6), ("money", 0.0015, 3)],  # 150 tokens, 0.0004 a call
)
def test_budget__is_never_passed(kind: str, limit: float, fits: int) -> None:
    """As many calls go out as fit, at the mean cost so far; the first one goes out on trust."""
    one, calls = budget(hour={kind: limit}), 0
    while one.passed(NOW, 0) is None:
        one.book(Spend(1, 100, 50), NOW)
        calls += 1

    assert calls == fits
    assert one.total().of(kind, Teacher.model_validate({"price": PRICE}).price) <= limit
    passed = one.passed(NOW, 0)
    assert passed is not None
    assert (passed.field, passed.until) == (f"budget.hour.{kind}", datetime(2026, 1, 5, 11, tzinfo=UTC))


def test_budget__counts_the_calls_under_way() -> None:
    """Calls that are out and not booked yet take their part of what is left."""
    one = budget(day={"calls": 3})
    one.book(Spend(1), NOW)

    assert one.passed(NOW, 1) is None
    assert one.passed(NOW, 2) is not None


def test_budget__goes_on_when_the_hour_or_day_turns() -> None:
    """A new hour has nothing spent, the day's spend stays until midnight UTC, the total for ever."""
    one = budget(hour={"calls": 1}, day={"calls": 2}, total={"calls": 3})
    one.book(Spend(1), NOW)
    assert one.passed(NOW, 0) is not None
    hour, day = NOW + timedelta(hours=1), NOW + timedelta(days=1)
    assert one.passed(hour, 0) is None
    one.book(Spend(1), hour)
    spent = one.passed(hour + timedelta(hours=1), 0)
    assert spent is not None
    assert spent.field == "budget.day.calls"
    assert one.passed(day, 0) is None
    one.book(Spend(1), day)
    spent = one.passed(day + timedelta(days=300), 0)

    assert spent is not None
    assert (spent.field, spent.until) == ("budget.total.calls", None)


@given(st.lists(st.integers(-100_000, 100_000), min_size=2, max_size=30))
def test_budget__clock_that_jumps_back_frees_nothing(jumps: list[int]) -> None:
    """Whatever the clock does, in the hour of the latest time it ever showed no more than the limit was booked."""
    one, latest, spent = budget(hour={"calls": 3}), datetime.min.replace(tzinfo=UTC), 0
    for jump in jumps:
        now = NOW + timedelta(seconds=jump)
        if now > latest:
            spent = spent if now.replace(minute=0, second=0) == latest.replace(minute=0, second=0) else 0
            latest = now
        if one.passed(now, 0) is None:
            one.book(Spend(1), now)
            spent += 1
        assert spent <= 3


@pytest.mark.parametrize("part", PRICE)
def test_budget__money_without_a_price(part: str) -> None:
    """A limit in money needs both prices; the message names both fields."""
    table: dict[str, Any] = {"price": {name: value for name, value in PRICE.items() if name != part}}

    with pytest.raises(ValidationError, match=rf"budget\.day\.money needs price\.{part}"):
        Teacher.model_validate(table | {"budget": {"day": {"money": 1.0}}})


@given(
    st.integers(0, 30), st.integers(0, 30), st.integers(0, 40), st.integers(1, 60), st.sampled_from(["calls", "tokens"])
)
def test_room__is_as_many_calls_as_pass_one_by_one(
    booked: int, at_once: int, wanted: int, limit: int, kind: str
) -> None:
    """A batch gets exactly the calls that would go out singly beside those under way, batched or live."""
    one = budget(hour={kind: limit * (1 if kind == "calls" else 150)})
    for _ in range(booked + 1):
        one.book(Spend(1, 100, 50), NOW)
    one.in_batches = at_once
    singly = 0
    while singly < wanted and one.passed(NOW, 2 + singly) is None:
        singly += 1

    assert one.room(NOW, 2, wanted) == singly


def test_room__before_it_is_known_what_a_call_costs() -> None:
    """The first requests go out on trust, a hundred at most where tokens or money are limited; then it is known."""
    tokens, calls, free = budget(day={"tokens": 10_000}), budget(day={"calls": 5_000}), budget()
    first = tokens.room(NOW, 0, 1_000)
    tokens.in_batches = first
    more = tokens.room(NOW, 0, 1_000)

    assert (first, more, calls.room(NOW, 0, 1_000), free.room(NOW, 0, 1_000)) == (100, 0, 1_000, 1_000)
