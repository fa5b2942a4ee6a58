"""What was spent, read back from the topics in any order."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.spend import Spend
from schemas.sections.label import Teacher
from streams.label.teacher.budget import TeacherBudget
from streams.label.teacher.costs import Costs
from tests.streams.doubles import NAME, label

NOW = datetime(2026, 1, 5, 10, 30, tzinfo=UTC)
LIMITED = [Teacher.model_validate({"budget": {period: {"calls": 1}}}) for period in ("hour", "day", "total")]


@pytest.mark.parametrize("teacher", LIMITED)
@given(st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, 5)), min_size=1, max_size=30), st.randoms())
def test_costs__are_booked_as_they_fell(teacher: Teacher, spent: list[tuple[int, int]], order: random.Random) -> None:
    """Whichever topic is read first, hour, day and total hold what booking call by call at its time would give."""
    one_by_one, read_back, costs = TeacherBudget(teacher), TeacherBudget(teacher), Costs()
    for minutes, calls in sorted(spent):
        one_by_one.book(Spend(calls), NOW + timedelta(minutes=minutes))
    order.shuffle(spent)
    for minutes, calls in spent:
        costs.add(label(1, "other", teacher_calls=calls), NOW + timedelta(minutes=minutes))
    costs.book({NAME: read_back})
    now = NOW + timedelta(minutes=max(minutes for minutes, _ in spent))

    assert read_back.passed(now, 0) == one_by_one.passed(now, 0)
    assert read_back.total() == one_by_one.total()
