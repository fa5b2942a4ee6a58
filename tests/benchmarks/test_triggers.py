"""The programs behind the figures of docs/triggers.md."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import get_args

import numpy as np
import pytest

from benchmarks.trigger_replay import FIRST, Row, Students, by_triggers, every
from benchmarks.trigger_streams import NAMES, SHIFTS, alarms
from benchmarks.triggers import anchors, share
from schemas.sections.triggers import Asking
from schemas.workload import Workload

LABELS = ["grain", "metal"]
SHIFT = FIRST + 200  # from here the texts have other words
TEXTS = (("wheat", "copper"), ("tin", "oats"))


def test_streams__a_planted_shift_is_seen_after_it_began() -> None:
    """A new word in a fifth of the texts is seen by the trigger that looks at words, and by no other."""
    found = alarms(1, 600, SHIFTS["new word in 20 % of texts"])

    assert set(found) == {"input-drift"}
    assert 0 < found["input-drift"] <= 600


def test_streams__every_trigger_on_labels_is_measured() -> None:
    """The false alarms of each trigger that looks at what labels say are counted; anchors have streams of their own."""
    assert {*NAMES} == {*get_args(Asking), "doubt"} - {"count", "class-count", "age", "teacher-drift"}


def test_streams__nothing_changed_means_nothing_found() -> None:
    """Ten quiet streams of 600 labels alarm at most once, over all triggers: 0.5 % of 50 is less than one."""
    assert sum(len(alarms(seed, 600)) for seed in range(10)) <= 1
    assert set(alarms(1, 600)) <= set(NAMES)


@pytest.mark.parametrize(("hits", "low", "high"), [(0, 0.0, 0.0037), (10, 0.0048, 0.0183)])
def test_share__clopper_pearson(hits: int, low: float, high: float) -> None:
    """The intervals of 0 and 10 of 1,000, as tables of the exact binomial interval give them."""
    assert share(hits, 1_000) == pytest.approx((hits / 1_000, low, high), abs=1e-4)


def test_anchors__have_the_figures_of_the_other_triggers() -> None:
    """False alarms with n and interval, and for each swap how soon it is seen: in rounds."""
    with ThreadPoolExecutor(1) as pool:
        found = anchors(pool, streams=20, rounds=5, seed=1)

    assert (found["n"], found["nominal"], found["false_alarm_rate"]) == (20, 0.01, 0.0)
    assert found["delay_by_shift"]["teacher swap: 30% other labels"] == {"median": 1, "seen": 1.0, "n": 20}


def test_replay__a_student_answers_every_row_before_it_learns_it() -> None:
    """It is right on words it knows, wrong on half of the new ones until a trigger asks; each row is answered once."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        Row(start + timedelta(minutes=at), TEXTS[at >= SHIFT][at % 2], LABELS[(at + (at >= SHIFT)) % 2])
        for at in range(SHIFT + 300)
    ]
    triggers = {"count": 100_000, "disagreement": 0.1}
    workload = Workload.model_validate({"name": "swap", "labels": LABELS, "triggers": triggers})
    students = Students(rows, LABELS, seed=13)
    ours, fixed = by_triggers(rows, students, workload), every(200, rows, students)
    truth = np.array([LABELS.index(row.label) for row in rows[FIRST:]])

    assert len(ours.predicted) == len(fixed.predicted) == len(truth)
    assert set(ours.asked_by) == {"disagreement"}
    assert ours.retrains == 1
    assert (ours.predicted[:200] == truth[:200]).all()
    assert 0.4 < (ours.predicted[200:210] == truth[200:210]).mean() < 0.6
    assert (ours.predicted[-100:] == truth[-100:]).all()
    assert fixed.retrains == 2
