"""The ceiling: no student can agree more often, and a target above it is refused by name."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import BadInput
from schemas.records import Ceiling
from schemas.rules.statistics.ceiling import check_target, highest_agreement

FOUND = Ceiling(
    workload="news", time=datetime(2026, 1, 1, tzinfo=UTC), teacher_model="teacher-7b", prompt_sha256="p", rows=200,
    effective_n=200.0, self_agreement=0.82, low=0.76, high=0.87, ceiling=0.93,
)  # fmt: skip


@given(st.integers(2, 30), st.integers(1, 20), st.floats(0.01, 20.0), st.integers(0, 2**32 - 1))
def test_ceiling__is_above_the_best_student(labels, texts, sharpness, seed):
    """The student that knows each text's likeliest label never agrees more often than the ceiling allows."""
    said = np.random.default_rng(seed).dirichlet(np.full(labels, sharpness), size=texts)
    repeated = float((said**2).sum(axis=1).mean())

    assert said.max(axis=1).mean() <= highest_agreement(repeated, labels) + 1e-9


@given(st.integers(2, 30), st.floats(0.0, 1.0))
def test_ceiling__is_reached(labels, share):
    """Where the teacher's other labels are equally likely, the best student agrees as often as the ceiling says."""
    most = 1 / labels + share * (1 - 1 / labels)
    repeated = most**2 + (1 - most) ** 2 / (labels - 1)

    assert highest_agreement(repeated, labels) == pytest.approx(most, abs=1e-6)


def test_target__above_the_ceiling_is_refused():
    """The message names field, value, what was measured on how many rows, and what to do; at it all is well."""
    check_target("news: gate.agreement_floor", 0.93, FOUND)
    with pytest.raises(BadInput) as refused:
        check_target("news: gate.agreement_floor", 0.95, FOUND)

    assert str(refused.value) == (
        "news: gate.agreement_floor = 0.95: no student can agree with teacher-7b more often than 0.930, for it agrees "
        "with itself 0.820 (0.760 to 0.870, n = 200); lower it, or improve the question or the teacher and measure "
        "again with `millrace ceiling`"
    )
