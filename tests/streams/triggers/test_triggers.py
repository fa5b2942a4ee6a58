"""The triggers and the policy, on paper."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.sections.triggers import Triggers
from streams.triggers import age, count
from streams.triggers.count import due
from streams.triggers.policy import Standing, asking, enough, held_back

NOW = datetime(2026, 1, 10, tzinfo=UTC)


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_count__at_the_threshold(labels: int, threshold: int) -> None:
    """It fires from the threshold on, and shows both numbers."""
    verdict = count.verdict(labels, threshold)

    assert verdict.fired is (labels >= threshold)
    assert verdict.numbers == {"labels": labels, "threshold": threshold}
    assert f"{labels:,}" in verdict.explanation
    assert f"{threshold:,}" in verdict.explanation


@pytest.mark.parametrize(
    ("since", "limit", "labels", "fired"),
    [
        (NOW - timedelta(hours=5), 4.0, 1, True),
        (NOW - timedelta(hours=4), 4.0, 1, True),
        (NOW - timedelta(hours=3), 4.0, 1, False),
        (NOW - timedelta(hours=5), 4.0, 0, False),
        (NOW - timedelta(hours=5), None, 1, False),
        (None, 4.0, 0, False),
        (NOW + timedelta(hours=5), 4.0, 1, False),
    ],
    ids=["older", "just as old", "younger", "nothing new", "no limit", "no label yet", "clock jumped back"],
)
def test_age__of_the_last_request(since: datetime | None, limit: float | None, labels: int, *, fired: bool) -> None:
    """It fires at the limit, if anything came since; and always says why."""
    verdict = age.verdict(since, NOW, limit, labels)

    assert verdict.fired is fired
    assert verdict.explanation.endswith(".")


def test_policy__several_fire() -> None:
    """Triggers that fire together are one request, named after the first."""
    verdicts = [count.verdict(9, 10), age.verdict(NOW - timedelta(hours=9), NOW, 1.0, 9), count.verdict(10, 10)]

    assert asking(verdicts, Triggers()) is verdicts[1]
    assert asking(verdicts[:1], Triggers()) is None


@pytest.mark.parametrize(
    ("standing", "may_train", "cooldown", "says"),
    [
        (Standing(new_labels=5), True, 0.0, None),
        (Standing(new_labels=5), True, 9.0, None),
        (Standing(), False, 0.0, "may_train"),
        (Standing(epoch=1, since=NOW, in_flight="r1"), True, 0.0, "r1"),
        (Standing(epoch=1, new_labels=5, since=NOW), True, 0.0, None),
        (Standing(epoch=1, since=NOW - timedelta(hours=1)), True, 2.0, "cooldown"),
        (Standing(epoch=1, new_labels=5, since=NOW - timedelta(hours=2)), True, 2.0, None),
        (Standing(new_labels=5, since=NOW), True, 2.0, None),
    ],
)
def test_policy__holds_back(standing: Standing, cooldown: float, says: str | None, *, may_train: bool) -> None:
    """Terms, a run in flight and the cooldown hold a request back, and the reason says which."""
    why = held_back(standing, NOW, Triggers(cooldown_hours=cooldown), may_train=may_train)

    assert (why is None) if says is None else (why is not None and says in why)


@pytest.mark.parametrize(
    ("training", "fired", "says"),
    [
        ({}, False, "0 class"),
        ({"a": 500, "b": 0}, False, "1 class"),
        ({"a": 150, "b": 40}, False, "below the least of 200"),
        ({"a": 150, "b": 50}, True, "enough"),
    ],
)
def test_policy__enough_to_learn_from(training: dict[str, int], says: str, *, fired: bool) -> None:
    """Two classes and the least number of training rows are needed."""
    verdict = enough(training, 200)

    assert verdict.fired is fired
    assert says in verdict.explanation


@given(st.integers(1, 5_000))
def test_policy__due_at_the_threshold_and_not_before(threshold: int) -> None:
    """A label is looked at when it reaches the threshold, then at every tenth of it more."""
    looked = [labels for labels in range(3 * threshold) if due(labels, threshold)]

    assert looked[0] == threshold
    assert {after - before for before, after in pairwise(looked)} <= {max(1, threshold // 10)}
