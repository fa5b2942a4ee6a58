"""The state the triggers keep: folded label by label, turned by a request."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from schemas.records import LabelKind, LabelRecord
from schemas.sections.triggers import Asking, Triggers
from schemas.workload import Workload
from streams.triggers import watch
from streams.triggers.sample import Sample
from streams.triggers.seen import seen_in
from streams.triggers.watch import Watch, with_label, with_past_label
from tests.streams.doubles import label
from tests.streams.triggers.samples import LABELS, folded, stream, watching

SOFT = {"earnings": 0.9, "mergers": 0.06, "other": 0.04}
DOUBTED = {"earnings": 0.4, "mergers": 0.3, "other": 0.3}


@pytest.mark.parametrize("name", [*sorted({*get_args(Asking)} - {"count", "age", "teacher-drift"}), "doubt"])
def test_is_watching__each_trigger_alone_is_enough(name: str) -> None:
    """A trigger that needs more of the labels than their number is fed where it is the only one."""
    alone = {"class_counts": {"earnings": 1}} if name == "class-count" else {name.replace("-", "_"): 0.1}

    assert watch.is_watching(Triggers.model_validate(alone))
    assert not watch.is_watching(Triggers())


def verdict_of(found: Watch, of: Workload, trigger: str):
    return next(one for one in watch.verdicts(found, of) if one.trigger == trigger)


def audited(number: int, said: str, version: str = "v1") -> LabelRecord:
    return label(number, "other", audit=True, student_label=said, student_version=version, propensity=0.05)


def test_seen__what_must_not_count() -> None:
    """Votes, erasures, second answers, and labels asked for because two students differed are not seen."""
    assert seen_in(label(1, "other", kind=LabelKind.VOTE), LABELS, words=True) is None
    assert seen_in(label(1, "", kind=LabelKind.ERASURE), LABELS, words=True) is None
    assert seen_in(label(1, "other", kind=LabelKind.CORRECTION), LABELS, words=True) is None
    assert seen_in(label(1, "other", selection_reason="disagreement"), LABELS, words=True) is None
    assert seen_in(label(1, "other", propensity=0.0), LABELS, words=True) is None


def test_seen__of_an_audited_label() -> None:
    """Its weight is the inverse of its propensity; the student's answer counts only where an audit drew it."""
    found = seen_in(audited(1, "mergers"), LABELS, words=False)
    not_drawn = seen_in(label(1, "other", student_label="mergers", student_version="v1"), LABELS, words=False)

    assert found is not None
    assert (found.weight, found.student, found.agrees, found.words) == (20.0, "v1", False, None)
    assert not_drawn is not None
    assert not_drawn.student is None


def test_seen__label_that_left_the_label_set() -> None:
    """It has a place of its own beside the classes."""
    found = seen_in(label(1, "gone"), LABELS, words=False)

    assert found is not None
    assert found.number == len(LABELS)


def test_watch__nothing_on() -> None:
    """A workload without these triggers keeps no sums."""
    of = watching(count=40)

    assert folded(of, stream(1, 100)).recent is None
    assert watch.verdicts(Watch(), of) == []


def test_shift__fires_at_a_look_and_stands_until_the_request() -> None:
    """The epoch before is the reference; a trigger that fired stays fired until a request turns the epoch."""
    of = watching(label_mix=0.2)
    before = folded(of, stream(1, 400)).turned()
    shifted = folded(of, stream(2, 200, (0.1, 0.3, 0.6), first=400), before)
    back = folded(of, stream(3, 2_000, first=600), shifted)

    assert shifted.fired == {"label-mix"}
    assert back.fired == {"label-mix"}
    assert verdict_of(back, of, "label-mix") == verdict_of(shifted, of, "label-mix")
    assert back.turned().fired == frozenset()


def test_first_epoch__has_nothing_to_compare_with() -> None:
    """Before the first request nothing fires, and the verdict says why."""
    of = watching(label_mix=0.2)
    found = folded(of, stream(1, 200) + stream(2, 300, (0.0, 0.0, 1.0), first=200))

    assert found.fired == frozenset()
    assert "no epoch before" in verdict_of(found, of, "label-mix").explanation


def test_looks__fall_on_the_same_labels_whatever_came_before() -> None:
    """Looks depend on the number of labels since the request: 50, 63, 79."""
    of, found, at = watching(label_mix=0.2), folded(watching(label_mix=0.2), stream(1, 400)).turned(), []
    for number, record in enumerate(stream(2, 80, first=400), start=1):
        after = with_label(found, of, record)
        if after.looks > found.looks:
            at.append(number)
        found = after

    assert at == [50, 63, 79]


def test_new_words__fire_input_drift() -> None:
    """Texts about something new are seen."""
    of = watching(input_drift=0.05)
    before = folded(of, stream(1, 300)).turned()
    new = [label(n, "other", text=f"Company {n} reports tariffs") for n in range(300, 400)]

    assert folded(of, new, before).fired == {"input-drift"}
    assert folded(of, stream(2, 400, first=300), before).fired == frozenset()


def test_teacher__that_is_less_sure() -> None:
    """The confidence trigger and the doubt alarm both see it; without probabilities neither says anything."""
    of = watching(confidence=0.05, doubt=0.1)
    before = folded(of, stream(1, 200, class_probabilities=SOFT)).turned()
    found = folded(of, stream(2, 100, first=200, class_probabilities=DOUBTED), before)

    assert found.fired == {"confidence", "doubt"}
    assert folded(of, stream(2, 100, first=200), before).fired == frozenset()


def test_disagreement__beyond_its_limit() -> None:
    """Missed audits fire it at the label that proves it; the numbers are those of that moment."""
    of = watching(disagreement=0.1)
    found = folded(of, [audited(n, "other" if n % 2 else "mergers") for n in range(100)])
    verdict = verdict_of(found, of, "disagreement")

    assert verdict.fired
    assert verdict.numbers["n"] < 60
    assert verdict.numbers["low"] > 0.1
    assert not folded(of, [audited(n, "mergers" if n % 20 == 0 else "other") for n in range(400)]).fired


def test_disagreement__of_another_student() -> None:
    """A new student in production starts without its forerunner's misses."""
    of = watching(disagreement=0.1)
    found = folded(of, [audited(n, "mergers") for n in range(50)])
    assert found.fired == {"disagreement"}

    after = with_label(found, of, audited(50, "other", "v2"))
    assert after.fired == frozenset()
    assert (after.audits.n, after.audits.ones) == (1, 0)


def test_class_count__names_the_class() -> None:
    """The verdict is of the class nearest to its threshold; votes bring it no nearer."""
    of = watching(class_counts={"mergers": 3, "other": 100})
    votes = [label(n, "mergers", kind=LabelKind.VOTE) for n in range(9)]
    found = folded(of, [*votes, label(10, "mergers"), label(11, "mergers"), label(12, "other")])
    assert not verdict_of(found, of, "class-count").fired

    verdict = verdict_of(with_label(found, of, label(13, "mergers")), of, "class-count")
    assert verdict.fired
    assert verdict.numbers == {"labels": 3, "threshold": 3}
    assert "'mergers'" in verdict.explanation


def equal(one: Sample | None, other: Sample | None) -> bool:
    if one is None or other is None:
        return one is other
    arrays = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("classes", "counts", "words"))
    return arrays and (one.n, one.weight, one.squares, one.confidence) == (
        other.n, other.weight, other.squares, other.confidence,
    )  # fmt: skip


@pytest.mark.parametrize("cut", [0, 1, 250, 299])
def test_rebuilt__from_the_labels_of_two_epochs(cut: int) -> None:
    """Read back from the request before the last one on, the state is the one that was lost."""
    of = watching(
        label_mix=0.2, input_drift=0.05, confidence=0.05, disagreement=0.1, doubt=0.1, class_counts={"other": 9}
    )
    rows = [replace(row, class_probabilities=SOFT) for row in stream(1, 300)] + [audited(n, "other") for n in range(90)]
    lived = folded(of, rows[cut:], folded(of, rows[:cut]).turned())
    rebuilt = Watch()
    for row in rows[:cut]:
        rebuilt = with_past_label(rebuilt, of, row)
    rebuilt = folded(of, rows[cut:], rebuilt)

    assert equal(rebuilt.reference, lived.reference)
    assert equal(rebuilt.recent, lived.recent)
    assert (rebuilt.looks, rebuilt.verdicts, rebuilt.audits, rebuilt.student, rebuilt.doubts) == (
        lived.looks, lived.verdicts, lived.audits, lived.student, lived.doubts,
    )  # fmt: skip
