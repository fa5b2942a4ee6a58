"""Figures on the test rows: what a row counts, and how many rows that comes to."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.arrays import Floats
from schemas.promotion import Evaluation
from trainers.evaluate import Evaluator
from trainers.evidence import BY_REQUESTS, evaluation_digest, metrics_of
from trainers.snapshot import Rows

N = 40


def rows(weights: Floats) -> Rows:
    names = [f"c{number}" for number in range(N)]
    return Rows(names, names, [""] * N, np.arange(N) % 2, np.full((N, 2), np.nan), weights)


def answers(wrong: int) -> Floats:
    """Return probabilities of a student that is wrong on one row alone."""
    found = np.eye(2)[np.arange(N) % 2]
    found[wrong] = found[wrong][::-1]
    return found


def test_figures__weigh_a_row_by_its_propensity_and_a_cluster_by_its_requests() -> None:
    """A chance of 1 in 4 counts fourfold everywhere; further requests count in the request agreement alone."""
    weights = np.ones(N)
    weights[0] = 4.0
    evaluator = Evaluator(rows(weights), 2, seed=1, draws=200, duplicates={"c0": 9, "elsewhere": 5})
    scores = evaluator.scores(answers(0))

    assert scores.agreement.value == pytest.approx(1 - 4 / 43)
    assert scores.request_agreement is not None
    assert evaluator.by_requests is not None
    assert scores.request_agreement.value == pytest.approx(1 - 40 / 79)
    assert evaluator.bootstrap.effective_n == pytest.approx(43**2 / (16 + 39))
    assert evaluator.by_requests.effective_n == pytest.approx(79**2 / (1_600 + 39))
    assert evaluator.summary() == "40 test rows, effective n = 34; 49 requests, effective n = 4"


def test_evidence__tells_requests_only_where_they_were_counted() -> None:
    """Without counts there is no request agreement; with them it stands beside its own effective n."""
    for duplicates in (None, {}, {"c1": 3}):
        evaluator = Evaluator(rows(np.ones(N)), 2, seed=1, draws=200, duplicates=duplicates)
        metrics = {one.name: one for one in metrics_of("tuned", evaluator.scores(answers(1)), evaluator, ["a", "b"])}

        assert metrics["agreement"].effective_n == N
        assert (BY_REQUESTS in metrics) == (duplicates is not None)
        if evaluator.by_requests is not None:
            assert metrics[BY_REQUESTS].effective_n == pytest.approx(evaluator.by_requests.effective_n)


def test_evidence__keeps_its_name_when_more_duplicates_are_known() -> None:
    """Requests go on coming: a second attempt at a run counts others, and still gives the same event."""
    digests = set()
    for duplicates in (None, {"c1": 3}, {"c1": 4}):
        evaluator = Evaluator(rows(np.ones(N)), 2, seed=1, draws=200, duplicates=duplicates)
        metrics = metrics_of("tuned", evaluator.scores(answers(1)), evaluator, ["a", "b"])
        digests.add(evaluation_digest(Evaluation(eval_set_id="s", eval_sha256="", n=N, metrics=metrics)))

    assert len(digests) == 1
