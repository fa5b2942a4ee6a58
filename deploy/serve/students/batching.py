"""One thread that runs the students, and the queue before it.

While a batch runs, requests gather; the next batch takes all that wait for the oldest one's student, up to its size.
So a lone request waits for nobody, and a crowd is answered in full batches. One thread, because oversubscribed cores
compute slower than one pass after the other (measured with a busy neighbour: half as fast).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from prometheus_client import Gauge, Histogram

from schemas.errors import Unavailable
from trainers.students.protocol import Classified, LoadedStudent

_BATCH_TEXTS = Histogram(
    "millrace_student_batch_texts", "Texts in one batch.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
_BATCH_SECONDS = Histogram(
    "millrace_student_batch_seconds",
    "Time of one batch.",
    buckets=(0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56),
)
_WAITING = Gauge("millrace_student_waiting_texts", "Texts that wait for a batch.")


@dataclass(eq=False)
class QueuedTexts:
    """The texts of one request, and where their answer goes."""

    student: LoadedStudent
    texts: list[str]
    future: Future[Classified] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


def take_batch(waiting: deque[QueuedTexts], texts: int) -> list[QueuedTexts]:
    """Remove and return the oldest job and, in order, the others of its student that fit within `texts`."""
    first = waiting.popleft()
    batch, total, rest = [first], len(first.texts), []
    while waiting:
        job = waiting.popleft()
        if job.student is first.student and total + len(job.texts) <= texts:
            batch.append(job)
            total += len(job.texts)
        else:
            rest.append(job)
    waiting.extend(rest)
    return batch


class Batcher:
    """The queue and its thread."""

    def __init__(self, batch: int, waiting: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._batch, self._limit, self._clock = batch, waiting, clock
        self._jobs: deque[QueuedTexts] = deque()
        self._texts = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="students", daemon=True)
        self._thread.start()

    def submit(self, student: LoadedStudent, texts: list[str]) -> Future[Classified]:
        """Queue texts for a student.

        Raises:
            Unavailable: too much waits already, or the server is stopping.
        """
        job = QueuedTexts(student, texts, since=self._clock())
        with self._changed:
            if self._closing or self._texts + len(texts) > self._limit:
                raise Unavailable("stopping" if self._closing else f"{self._texts} texts wait already; try again later")
            self._jobs.append(job)
            self._texts += len(texts)
            _WAITING.set(self._texts)
            self._changed.notify()
        return job.future

    def wrong(self, seconds: float) -> str | None:
        """Say what is wrong: the thread is gone, or a job has waited for too long."""
        if not self._thread.is_alive():
            return "the inference thread is gone"
        with self._changed:
            oldest = self._jobs[0].since if self._jobs else None
        if oldest is not None and self._clock() - oldest > seconds:
            return f"a request has waited for more than {seconds:.0f} s"
        return None

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closing)
                if not self._jobs:
                    return
                batch = take_batch(self._jobs, self._batch)
                self._texts -= sum(len(job.texts) for job in batch)
                _WAITING.set(self._texts)
            _answer([job for job in batch if job.future.set_running_or_notify_cancel()])


def _answer(batch: list[QueuedTexts]) -> None:
    """Run one batch; an error reaches every waiting request and the thread lives on."""
    if not batch:
        return
    texts = [text for job in batch for text in job.texts]
    started = time.perf_counter()
    try:
        found = batch[0].student.classify(texts)
    except Exception as error:  # noqa: BLE001 - whatever torch raises belongs to the requests, not to the thread
        for job in batch:
            job.future.set_exception(error)
        return
    _BATCH_TEXTS.observe(len(texts))
    _BATCH_SECONDS.observe(time.perf_counter() - started)
    start = 0
    for job in batch:
        end = start + len(job.texts)
        job.future.set_result(Classified(found.probabilities[start:end], found.tokens[start:end]))
        start = end
