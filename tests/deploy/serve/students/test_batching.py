"""Requests for one student share a batch, nobody waits for a fuller one, and a failing batch fails alone."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.serve.students.batching import Batcher, QueuedTexts, take_batch
from schemas.errors import Unavailable
from trainers.students.protocol import Classified


class Gated:
    """A student that answers each text with its length once its gate is open, and remembers its batches."""

    def __init__(self) -> None:
        self.gate, self.entered = threading.Event(), threading.Event()
        self.batches: list[list[str]] = []

    def classify(self, texts: Sequence[str]) -> Classified:
        self.entered.set()
        assert self.gate.wait(10)
        self.batches.append(list(texts))
        if "fail" in texts:
            raise RuntimeError("planted")
        return Classified(np.array([[float(len(text))] for text in texts]), [len(text) for text in texts])


@given(
    sizes=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5)), min_size=1, max_size=30), limit=st.integers(1, 12)
)
def test_take_batch__loses_nothing_and_keeps_order(sizes: list[tuple[int, int]], limit: int) -> None:
    """Batches hold one student's jobs, the oldest first, within the limit unless one job alone is larger."""
    students = [Gated() for _ in range(3)]
    jobs = [QueuedTexts(students[who], ["x"] * size) for who, size in sizes]
    waiting, taken = deque(jobs), []
    while waiting:
        oldest = waiting[0]
        batch = take_batch(waiting, limit)
        assert batch[0] is oldest
        assert {id(job.student) for job in batch} == {id(oldest.student)}
        assert len(batch) == 1 or sum(len(job.texts) for job in batch) <= limit
        taken += batch
    for student in students:
        assert sorted(map(id, taken)) == sorted(map(id, jobs))
        mine = [job for job in taken if job.student is student]
        if all(len(job.texts) == 1 for job in mine):
            assert mine == [job for job in jobs if job.student is student]


def test_batcher__what_gathers_during_a_batch_becomes_the_next() -> None:
    """While the first request runs alone, twenty gather; they are answered in batches, each with its own rows."""
    student, batcher = Gated(), Batcher(batch=32, waiting=100)
    first = batcher.submit(student, ["a"])
    assert student.entered.wait(10)
    rest = [batcher.submit(student, ["b" * n]) for n in range(1, 21)]
    student.gate.set()

    assert first.result(10).probabilities.tolist() == [[1.0]]
    assert [future.result(10).probabilities[0][0] for future in rest] == [float(n) for n in range(1, 21)]
    assert [len(batch) for batch in student.batches] == [1, 20]
    batcher.close()


def test_batcher__an_error_reaches_its_requests_and_the_thread_lives_on() -> None:
    """A batch that fails reports it to those who waited for it; the next one is answered."""
    student, batcher = Gated(), Batcher(batch=1, waiting=100)
    student.gate.set()
    with pytest.raises(RuntimeError, match="planted"):
        batcher.submit(student, ["fail"]).result(10)

    assert batcher.submit(student, ["ok"]).result(10).tokens == [2]
    batcher.close()


def test_batcher__a_full_queue_turns_away_and_a_stop_finishes_what_waits() -> None:
    """Beyond the bound a request is refused at once; closing answers everything that was accepted."""
    student, batcher = Gated(), Batcher(batch=4, waiting=3)
    running = batcher.submit(student, ["a"])
    assert student.entered.wait(10)
    waiting = batcher.submit(student, ["b", "c", "d"])
    with pytest.raises(Unavailable, match="3 texts wait"):
        batcher.submit(student, ["e"])
    student.gate.set()
    batcher.close()

    assert running.done()
    assert len(waiting.result(0).probabilities) == 3
    with pytest.raises(Unavailable, match="stopping"):
        batcher.submit(student, ["f"])


def test_batcher__a_request_that_waits_too_long_makes_it_unhealthy() -> None:
    """A stuck forward pass is seen by the probe, so that a supervisor can restart the server."""
    now = [0.0]
    student, batcher = Gated(), Batcher(batch=1, waiting=9, clock=lambda: now[0])
    batcher.submit(student, ["a"])
    assert student.entered.wait(10)
    batcher.submit(student, ["b"])
    assert batcher.wrong(60) is None
    now[0] = 61.0

    assert "waited" in str(batcher.wrong(60))
    student.gate.set()
    batcher.close()
