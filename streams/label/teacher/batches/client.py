"""One workload's teacher, asked through batches: the same questions and answers as call by call, hours later.

What is asked again, in a later batch: a line that is missing (its batch expired or was cancelled), a 408, 425, 429 or
5xx, an answer that cannot be read. A record on which batches fail while they answer others is refused, as is any other
4xx.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, Final

from schemas.errors import DeadLetterReason, RecordRejected
from schemas.workload import Workload
from streams.label.metrics import CALLS, REQUESTS
from streams.label.prompting import completion
from streams.label.prompting.completion import Answer
from streams.label.prompting.prompt import Prompt
from streams.label.teacher.batches import form
from streams.label.teacher.batches.batches import TeacherBatches
from streams.label.teacher.batches.form import AnswerLine
from streams.label.teacher.circuit import at_fault
from streams.label.teacher.client import Again, Refused, TeacherClient


class BatchTeacher:
    """The way through batches for the questions of one workload."""

    def __init__(self, workload: Workload, live: TeacherClient) -> None:
        """Share the budget, and what is known of the endpoint, with the client that asks call by call."""
        self._name = workload.name
        self._teacher = workload.teacher
        self._live = live
        self._question = form.question(workload)
        self.batches = TeacherBatches(workload, live)

    def of(self, record_id: str) -> RecordTeacher:
        """Return the way to the teacher for one record's questions."""
        return RecordTeacher(self, record_id)

    async def ask(self, record_id: str, prompt: Prompt, purpose: str, number: int) -> Answer:
        """Ask in one batch after another until there is an answer; `number`: of the record's questions for a purpose.

        Raises:
            Refused: the endpoint refuses the question, or fails on it while it answers others.
            SettingsError: the endpoint takes no batches, or not with this key or model.
        """
        calls = failures = 0
        answered, failed = self.batches.answered, self.batches.failed
        while True:
            body = completion.request(self._teacher, prompt, vote=purpose == "vote", left_out=self._live.left_out)
            own = form.custom_id(self._question, record_id, purpose, number, calls)
            line = await self.batches.line(own, form.request_line(own, body))
            calls += 1
            CALLS.labels(self._name, purpose if calls == 1 else "retry").inc()
            try:
                answer = self._said(line, body)
            except Again as again:
                self._book("again")
                failures += again.counts
                others = (self.batches.answered - answered, self.batches.failed - failed - calls)
                if failures and at_fault(failures, self._teacher.attempts, *others):
                    detail = f"{failures} batches failed on this record and answered {others[0]} others"
                    raise Refused(DeadLetterReason.TEACHER_REFUSED, detail, calls, again.why) from again
            except RecordRejected as error:
                self._book("refused")
                raise Refused(error.reason, error.detail, calls, error.quoted) from error
            else:
                self._book("ok", answer)
                return replace(answer, calls=calls)

    def _said(self, line: AnswerLine | None, sent: dict[str, Any]) -> Answer:
        """Return what a line answers; one that is missing or empty is worth another try."""
        if line is None or line.status == 0:
            raise Again("ended without an answer")
        body = line.body()
        if line.status != 200:
            raise self._live.failure(line.status, {}, str(body)[:2_000], sent)
        answer = completion.answer(self._teacher, body)
        if answer is None:
            raise Again("an answer without a message")
        return answer

    def _book(self, outcome: str, answer: Answer | None = None) -> None:
        REQUESTS.labels(self._name, outcome).inc()
        self._live.book(answer, batched=True)


class RecordTeacher:
    """The questions of one record, each by its purpose and number."""

    batched: Final = True

    def __init__(self, teacher: BatchTeacher, record_id: str) -> None:
        self._teacher = teacher
        self._record_id = record_id
        self._asked: Counter[str] = Counter()

    async def ask(self, prompt: Prompt, purpose: str = "first") -> Answer:
        """Ask in batches until there is an answer; see `Asks`."""
        number = self._asked[purpose]
        self._asked[purpose] += 1
        return await self._teacher.ask(self._record_id, prompt, purpose, number)
