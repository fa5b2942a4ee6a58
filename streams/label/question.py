"""One record's way to the teacher's verdict: the first prompt, votes where it shows no probabilities, a second prompt.

1 The first prompt offers codes. Its first token's log-probabilities become the soft label (probabilities.py).
2 Without usable ones, and where the workload wants votes, the same question is put again in other orders of the codes;
  the label is what most answers say, the soft label each label's share (answers.py).
3 An answer outside the label set, or one that was cut, is followed by the second prompt, in plain words.
4 A second such answer, or a refusal, and the record becomes a dead letter.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from schemas.errors import DeadLetterReason
from schemas.records import CuratedRecord, Provenance
from schemas.rules.spend import Spend
from schemas.workload import Workload
from streams.label.endings import LabelDecision
from streams.label.prompting.answers import label_of, resolve
from streams.label.prompting.completion import Answer
from streams.label.prompting.examples import Example
from streams.label.prompting.probabilities import class_probabilities
from streams.label.prompting.prompt import Prompt, coded_prompt, plain_prompt
from streams.label.teacher.client import Asks, Refused


class Question:
    """A record on its way, and what it has cost so far."""

    def __init__(
        self, teacher: Asks, workload: Workload, record: CuratedRecord, examples: Sequence[Example] = ()
    ) -> None:
        self._teacher, self._workload, self._record, self._examples = teacher, workload, record, examples
        self._calls: Counter[str] = Counter()
        self._spend = Spend()

    async def verdict(self) -> LabelDecision:
        """Ask until the teacher has said a label.

        Raises:
            Refused: there is none to be had for this record.
            SettingsError: no record can be labelled.
        """
        workload, record = self._workload, self._record
        first = coded_prompt(workload, record.text, record.record_id, self._examples)
        answer = await self._ask(first, "first")
        label = label_of(workload, first, answer.text)
        if label is not None:
            soft = _soft(first, answer, label)
            if soft is None and workload.teacher.votes > 1:
                label, soft = await self._vote(label)
            return self._verdict(label, answer, soft)
        second = plain_prompt(workload, record.text, self._examples)
        answer = await self._ask(second, "second_prompt")
        label = label_of(workload, second, answer.text)
        if label is None:
            cut = "; it was cut: raise teacher.reasoning_tokens" if answer.cut else ""
            detail = f"the teacher answered outside the label set, twice{cut}"
            raise Refused(DeadLetterReason.UNKNOWN_LABEL, detail, self._calls.total())
        return self._verdict(label, answer, None)

    async def _vote(self, label: str) -> tuple[str, dict[str, float]]:
        """Put the question again; what an answer outside the set says is no vote, nor is a refused call."""
        prompts = [
            coded_prompt(self._workload, self._record.text, f"{self._record.record_id}/{number}", self._examples)
            for number in range(1, self._workload.teacher.votes)
        ]
        answers = await asyncio.gather(*(self._vote_on(prompt) for prompt in prompts))
        return resolve(self._workload, [label, *(vote for vote in answers if vote is not None)])

    async def _vote_on(self, prompt: Prompt) -> str | None:
        try:
            return label_of(self._workload, prompt, (await self._ask(prompt, "vote")).text)
        except Refused:
            return None

    async def _ask(self, prompt: Prompt, purpose: str) -> Answer:
        try:
            answer = await self._teacher.ask(prompt, purpose)
        except Refused as refused:
            self._count(purpose, refused.calls)
            raise Refused(refused.reason, refused.detail, self._calls.total(), refused.quoted) from refused
        self._count(purpose, answer.calls)
        self._spend += Spend(answer.calls, answer.prompt_tokens, answer.completion_tokens)
        if answer.refused:
            reason = DeadLetterReason.TEACHER_REFUSED
            raise Refused(reason, "the teacher refused to answer (refusal or content filter)", self._calls.total())
        return answer

    def _count(self, purpose: str, calls: int) -> None:
        self._calls.update({purpose: 1, "retry": calls - 1})

    def _verdict(self, label: str, answer: Answer, soft: dict[str, float] | None) -> LabelDecision:
        return LabelDecision(
            label,
            Provenance.TEACHER,
            class_probabilities=soft,
            teacher_model=answer.model,
            calls={purpose: count for purpose, count in self._calls.items() if count},
            prompt_tokens=self._spend.prompt_tokens,
            completion_tokens=self._spend.completion_tokens,
            batched=self._teacher.batched,
        )


def _soft(prompt: Prompt, answer: Answer, label: str) -> dict[str, float] | None:
    """Return the soft label, if the answer's first token was the label's whole code."""
    if not answer.top or prompt.choices.get(answer.top[0][0].strip()) != label:
        return None
    return class_probabilities(prompt.choices, answer.top)
