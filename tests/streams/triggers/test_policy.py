"""The policy and the cost arbiter: properties on paper."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import TriggerVerdict
from schemas.records import LabelKind
from schemas.rules.statistics.sequences import Counts, lower_bound
from schemas.sections.triggers import Asking, Cost, Triggers
from schemas.workload import Workload
from streams.triggers import cost, policy
from streams.triggers.policy import ASKING, Standing, asking, held_back, looks_in_time, looks_now, waits_for
from tests.streams.doubles import label
from tests.streams.triggers.samples import watching

NOW = datetime(2026, 12, 26, 12, tzinfo=UTC)
NAMES = get_args(Asking)
UNUSUAL: dict[str, tuple[str, object]] = {"age": ("age_hours", 1.0), "class-count": ("class_counts", {"a": 1})}
ON: dict[str, object] = dict(UNUSUAL.get(name, (name.replace("-", "_"), 0.1)) for name in NAMES if name != "count")
FIRED = st.sets(st.sampled_from([*NAMES, "doubt", "enough"]))


def verdicts(fired: set[str]) -> list[TriggerVerdict]:
    return [TriggerVerdict(trigger=name, fired=name in fired) for name in [*NAMES, "doubt", "enough"]]


def test_verdicts__every_trigger_that_is_on_has_one():
    """A trigger that may ask and is turned on is looked at: none is a key that nobody reads."""
    workload = Workload(name="w", labels=["a", "b"], triggers=Triggers.model_validate(ON))

    assert {one.trigger for one in policy.verdicts(Standing(), workload, NOW)} == set(NAMES)


@given(FIRED)
def test_any__one_asking_trigger_is_enough_and_alarms_never_ask(fired: set[str]) -> None:
    """A request is asked for exactly if a trigger that may ask fired; it is named after the first of them."""
    found = asking(verdicts(fired), Triggers())

    assert (found is not None) == bool(fired & ASKING)
    assert found is None or found.trigger == next(name for name in NAMES if name in fired)


@given(FIRED, st.sets(st.sampled_from(sorted(ON))))
def test_all__every_trigger_that_is_on_must_fire(fired: set[str], on: set[str]) -> None:
    """A trigger that is off is not waited for."""
    triggers = Triggers.model_validate({"rule": "all"} | {key: ON[key] for key in on})
    must = {name for name in NAMES if triggers.is_on(name)}

    assert len(must) == len(on) + 1  # the count is always on
    assert (asking(verdicts(fired), triggers) is not None) == (must <= fired)


@given(FIRED, st.floats(0.1, 1), st.floats(0.1, 1), st.floats(0.8, 1))
def test_weighted__the_weights_of_those_that_fired_must_reach_1(
    fired: set[str], count: float, mix: float, drift: float
) -> None:
    """More triggers never ask for less; one without a weight adds nothing."""
    weights = {"count": count, "label-mix": mix, "input-drift": drift}
    triggers = Triggers.model_validate({"rule": "weighted", "weights": weights} | ON)
    reached = sum(weight for name, weight in weights.items() if name in fired) >= 1

    assert (asking(verdicts(fired), triggers) is not None) == reached


@pytest.mark.parametrize(
    ("triggers", "standing", "says"),
    [
        ({"freeze": ["2026-12-24..2026-12-26"]}, Standing(), "2026-12-24..2026-12-26"),
        ({"freeze": ["sat"]}, Standing(), "sat"),
        ({"freeze": ["sun"]}, Standing(new_labels=5), None),
        ({}, Standing(epoch=1, since=NOW - timedelta(hours=71), in_flight="r1"), "r1"),
        ({}, Standing(epoch=1, new_labels=5, since=NOW - timedelta(hours=72), in_flight="r1"), None),
        (
            {"max_run_age_hours": 1.0},
            Standing(epoch=1, new_labels=5, since=NOW - timedelta(hours=2), in_flight="r1"),
            None,
        ),
    ],
    ids=["frozen", "weekday", "other weekday", "in flight", "too old to wait for", "sooner where set"],
)
def test_held_back__by_the_calendar_and_a_run(
    triggers: dict[str, object], standing: Standing, says: str | None
) -> None:
    """A frozen day and a run in flight hold a request back; a run beyond its age no longer does."""
    why = held_back(standing, NOW, Triggers.model_validate(triggers), may_train=True)

    assert (why is None) if says is None else (why is not None and says in why)


@pytest.mark.parametrize("mode", ["observe", "suggest"])
def test_mode__asks_for_nothing_but_waits_for_nothing(mode: str) -> None:
    """The mode holds back last of all: a suggestion is due when nothing else holds it back."""
    triggers = Triggers.model_validate({"mode": mode})
    why = held_back(Standing(new_labels=5), NOW, triggers, may_train=True)

    assert why is not None
    assert mode in why
    assert waits_for(Standing(new_labels=5), NOW, triggers, may_train=True) is None


def test_looks__at_a_count_only_with_a_label() -> None:
    """An anchor's answer brings a count no nearer: it is not looked at once more."""
    now, of = Standing(new_labels=10), watching(count=10)

    assert looks_now(Standing(new_labels=9), now, of, label(1, "other"))
    assert not looks_now(now, now, of, label(1, "other", kind=LabelKind.ANCHOR))


def test_request__waits_for_something_to_learn() -> None:
    """Answers on anchors can fire a trigger before any label has come: the same rows would be learnt once more."""
    why = waits_for(Standing(epoch=1), NOW, Triggers(), may_train=True)

    assert why is not None
    assert "nothing new to learn" in why


def test_time__makes_nothing_due_by_itself() -> None:
    """Without age, cooldown, calendar or a run in flight a tick looks at nothing: counts fire at their label."""
    assert not looks_in_time(Standing(new_labels=5), Triggers())
    assert looks_in_time(Standing(new_labels=5, in_flight="r1"), Triggers())
    assert looks_in_time(Standing(new_labels=5), Triggers(freeze=["sat"]))
    assert not looks_in_time(Standing(new_labels=5, refused_at=5), Triggers(age_hours=1.0))


PRICES = Cost(run=10.0, answer=0.01, requests_per_day=1_000, days=30)


@pytest.mark.parametrize(("prices", "audits"), [(Cost(), Counts(5, 0, 5)), (PRICES, Counts())])
def test_cost__nothing_to_say(prices: Cost, audits: Counts) -> None:
    """Without prices, or without audits of a student in production, cost holds nothing back."""
    assert cost.verdict(prices, audits, limit=0.1, alpha=0.01, rows=1_000, new_labels=500) is None


@given(st.integers(0, 200), st.integers(1, 200), st.integers(1, 5_000), st.integers(1, 5_000))
def test_cost__more_to_mend_is_never_worth_less(missed: int, more: int, rows: int, new: int) -> None:
    """Worth grows with what the student misses and with new labels; the price does not."""

    def worth(ones: int, labels: int) -> float:
        verdict = cost.verdict(
            PRICES, Counts(400 - ones, 0, ones), limit=None, alpha=0.01, rows=rows, new_labels=labels
        )
        assert verdict is not None
        assert verdict.fired == (verdict.numbers["statistic"] >= verdict.numbers["threshold"] == 10.0)
        return verdict.numbers["statistic"]

    assert worth(min(400, missed + more), new) >= worth(missed, new)
    assert worth(missed, new + more) >= worth(missed, new)


def test_cost__proven_excess_over_the_limit_is_worth_mending() -> None:
    """A student that misses 30 % where 10 % are allowed: what is proven beyond the limit is expected back."""
    audits = Counts(700, 0, 300)
    verdict = cost.verdict(PRICES, audits, limit=0.1, alpha=0.01, rows=100_000, new_labels=10)

    assert verdict is not None
    assert verdict.numbers["mended"] == pytest.approx(lower_bound(audits, 0.01) - 0.1)
    assert 0.14 < verdict.numbers["mended"] < 0.2
    assert verdict.numbers["statistic"] == pytest.approx(verdict.numbers["mended"] * 1_000 * 30 * 0.01)
    assert verdict.fired


def test_cost__luck_is_not_worth_a_run() -> None:
    """Three misses in ten audits prove nothing beyond a limit of 20 %."""
    verdict = cost.verdict(PRICES, Counts(7, 0, 3), limit=0.2, alpha=0.01, rows=100_000, new_labels=10)

    assert verdict is not None
    assert not verdict.fired


def test_cost__labels_have_a_price() -> None:
    """The price holds the run and the new labels."""
    prices = PRICES.model_copy(update={"label": 0.5})
    verdict = cost.verdict(prices, Counts(90, 0, 10), limit=0.1, alpha=0.01, rows=1_000, new_labels=100)

    assert verdict is not None
    assert verdict.numbers["threshold"] == 60.0
    assert not verdict.fired
