"""The teacher: any OpenAI-compatible chat endpoint, asked as fast as it can answer and until it answers.

What is tried again: no connection, a timeout, 408, 425, 429, 5xx, an answer that cannot be read; with full jitter,
never before the endpoint's own Retry-After, which holds back every call. While the endpoint answers nobody it counts as
down (circuit.py) and calls wait; a record on which it fails while it answers others is at fault itself, and refused.
What is not: a wrong key, model or address stops the stage; any other 4xx refuses the one record.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

import aiohttp

from deploy.edge.process import guarded_http
from schemas.errors import DeadLetterReason, RecordRejected
from schemas.rules.spend import Spend
from schemas.workload import Workload
from streams.label.metrics import CALLS, CONCURRENCY, PAUSED, REQUESTS, SECONDS, TOKENS
from streams.label.prompting import completion
from streams.label.prompting.completion import Answer
from streams.label.prompting.prompt import Prompt
from streams.label.teacher.admission import Turn, Turns
from streams.label.teacher.budget import Spent, TeacherBudget
from streams.label.teacher.circuit import at_fault
from streams.label.teacher.endpoint import WRONG_SET_UP, TeacherAccess

LOG: Final = logging.getLogger("millrace.label.teacher")
LONGEST_WAIT_SECONDS: Final = 60.0  # a Retry-After beyond it is cut: the endpoint is asked again, once
_FIRST_JITTER_SECONDS: Final = 0.2
_LONGEST_JITTER_SECONDS: Final = 10.0
AGAIN: Final = frozenset({408, 425, 429, *range(500, 600)})
_CONGESTED: Final = frozenset({429, 503})  # the endpoint has too much to do: no record's fault


class Refused(RecordRejected):
    """A record that the teacher gives no label, and the calls spent on it."""

    def __init__(self, reason: DeadLetterReason, detail: str, calls: int, quoted: str = "") -> None:
        self.calls = calls
        super().__init__(reason, detail, quoted)


class Again(Exception):
    """A signal, not a failure: one call went wrong in a way that another may not."""

    def __init__(self, why: str, *, counts: bool = True, congested: bool = False, hold_seconds: float = 0.0) -> None:
        self.why = why
        self.counts = counts
        self.congested = congested
        self.hold_seconds = hold_seconds
        super().__init__(why)


class Asks(Protocol):
    """A way to the teacher for the questions of one record, call by call or through batches."""

    @property
    def batched(self) -> bool:
        """Return whether its calls have the price of a batch."""
        ...

    async def ask(self, prompt: Prompt, purpose: str = "first") -> Answer:
        """Ask until there is an answer.

        Args:
            prompt: what is asked.
            purpose: `first`, `vote`, `second_prompt` or `paraphrase`, for the count of calls; repeats are `retry`.

        Raises:
            Refused: there is none for this question.
            SettingsError: no question can be answered.
        """
        ...


class TeacherClient:
    """One workload's teacher, asked call by call."""

    batched: Final = False

    def __init__(
        self,
        workload: Workload,
        allowed_hosts: Sequence[str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Check what can be checked without a call.

        Raises:
            SettingsError: the URL is not allowed, or the key's environment variable is not set.
        """
        self._teacher = teacher = workload.teacher
        self.access = TeacherAccess(workload, allowed_hosts)
        self.budget = TeacherBudget(teacher)
        self._clock = clock
        self._turns = Turns(teacher.concurrency, teacher.attempts, self.budget, clock)
        self.left_out: set[str] = set()  # parameters that the endpoint does not know
        self._version: str | None = None  # the name under which it answered last
        self._paused: str | None = None
        self._name = workload.name
        self._requests = {result: REQUESTS.labels(workload.name, result) for result in ("ok", "again", "refused")}
        self._seconds = SECONDS.labels(workload.name)
        self._limit = CONCURRENCY.labels(workload.name)
        self._tokens = {kind: TOKENS.labels(workload.name, kind) for kind in ("prompt", "completion")}

    def paused(self) -> str | None:
        """Say why nothing can be asked for a while, or None; a change is reported once, in the log and on a metric."""
        why = self._turns.paused
        if (why is None) != (self._paused is None):
            PAUSED.labels(self._name).set(why is not None)
            LOG.warning("%s: %s", self._name, why or "labelling goes on")
        self._paused = why
        return why

    def spent(self) -> Spent | None:
        """Return the limit that lets no call out, once none is under way any more; None: calls may go out."""
        return None if self._turns.under_way else self.budget.passed(self._clock(), 0)

    def is_now(self, model: str | None) -> bool:
        """Return whether a label's model is the current teacher.

        It is the one that answered last; before the first answer, any whose name begins with the workload's, for
        endpoints add dates and sizes to a model's name.
        """
        if self._version is None:
            return model is not None and model.startswith(self._teacher.model)
        return model == self._version

    async def ask(self, prompt: Prompt, purpose: str = "first") -> Answer:
        """Ask until there is an answer, however long the endpoint is away; see `Asks`.

        Raises:
            Refused: the endpoint refuses this question, or fails on it while it answers others.
            SettingsError: key, model or address are wrong: no record can be labelled.
        """
        calls = failures = own = 0
        answered, failed = self._turns.answers, self._turns.failures
        seconds = 0.0
        while True:
            async with self._turns.turn() as turn:
                calls += 1
                CALLS.labels(self._name, purpose if calls == 1 else "retry").inc()
                try:
                    answer = await self._call(prompt, turn, vote=purpose == "vote")
                except Again as error:
                    again = error
                except RecordRejected as error:
                    raise Refused(error.reason, error.detail, calls, error.quoted) from error
                else:
                    return replace(answer, calls=calls)
                seconds += turn.seconds
            own += 1
            failures += again.counts
            judged = self._teacher.attempts if seconds >= self._teacher.deadline_seconds else failures
            others = (self._turns.answers - answered, self._turns.failures - failed - own)
            if failures and at_fault(max(failures, judged), self._teacher.attempts, *others):
                detail = f"the teacher failed {failures} times on this record and answered {others[0]} others"
                raise Refused(DeadLetterReason.TEACHER_REFUSED, detail, calls, again.why)
            most = min(_LONGEST_JITTER_SECONDS, _FIRST_JITTER_SECONDS * 2 ** min(own, 10))
            await asyncio.sleep(random.uniform(0, most))  # noqa: S311 - full jitter, no secret

    def book(self, answer: Answer | None, *, batched: bool = False) -> None:
        """Book one call and remember which model answered it; None: nobody answered."""
        counts = (answer.prompt_tokens, answer.completion_tokens) if answer else (0, 0)
        self.budget.book(Spend.of_calls(1, *counts, batched=batched), self._clock())
        if answer is not None:
            self._version = answer.model
            for kind, tokens in zip(self._tokens, counts, strict=True):
                self._tokens[kind].inc(tokens)

    def leave_out(self, unknown: str) -> None:
        """Leave out a parameter from now on that the endpoint does not know."""
        if unknown not in self.left_out:
            LOG.warning("%s: the endpoint says something of %r; asking otherwise", self.access.field, unknown)
        self.left_out.add(unknown)

    def room(self, wanted: int) -> int:
        """Return for how many of the wanted calls there is budget, beside those under way."""
        return self.budget.room(self._clock(), self._turns.under_way, wanted)

    async def close(self) -> None:
        """Close the connections."""
        await self.access.close()

    async def _call(self, prompt: Prompt, turn: Turn, *, vote: bool) -> Answer:
        """Make one call, and report its outcome to the turn, the budget and the metrics."""
        answer: Answer | None = None
        try:
            answer = await self._answer(prompt, vote=vote)
        except Again as again:
            self._requests["again"].inc()
            turn.failed(again.why, congested=again.congested, hold_seconds=again.hold_seconds)
            raise
        except RecordRejected:
            self._requests["refused"].inc()
            turn.answered()
            raise
        else:
            turn.answered()
            self._requests["ok"].inc()
            return answer
        finally:
            self.book(answer)
            self._seconds.observe(turn.seconds)
            self._limit.set(self._turns.concurrency.limit)

    async def _answer(self, prompt: Prompt, *, vote: bool) -> Answer:
        body = completion.request(self._teacher, prompt, vote=vote, left_out=self.left_out)
        url = self.access.url("/chat/completions")
        try:
            async with self.access.session().post(url, json=body, allow_redirects=False) as response:
                data = await response.read()
        except guarded_http.HostNotAllowed as error:
            raise self.access.not_allowed(error) from error
        except TimeoutError as error:
            raise Again(f"no answer in {self._teacher.timeout_seconds:g} s", congested=True) from error
        except aiohttp.ClientConnectorError as error:
            raise Again(guarded_http.cause(error), counts=False) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Again(guarded_http.cause(error)) from error
        if response.status != 200:
            said = data[:2_000].decode(errors="replace")
            raise self.failure(response.status, response.headers, said, body)
        try:
            read = json.loads(data)  # orjson refuses NaN, which some endpoints send as a log-probability
        except ValueError as error:
            raise Again(f"an answer of {len(data)} bytes is no JSON") from error
        answer = completion.answer(self._teacher, read) if isinstance(read, dict) else None
        if answer is None:
            raise Again("an answer without a message")
        return answer

    def failure(self, status: int, headers: Mapping[str, str], said: str, sent: Mapping[str, Any]) -> Exception:
        """Return what a status other than 200 means for one question."""
        if status in AGAIN:
            hold = _retry_after(headers.get("Retry-After"))
            full = status in _CONGESTED
            return Again(f"status {status}", counts=not full, congested=full, hold_seconds=hold)
        if status in WRONG_SET_UP:
            return self.access.wrong_set_up(status)
        unknown = completion.unknown_parameter(said, sent)
        if status in (400, 422) and unknown:
            self.leave_out(unknown)
            return Again(f"status {status} for {unknown}", counts=False)
        return RecordRejected(DeadLetterReason.TEACHER_REFUSED, f"the teacher's endpoint says {status}")


def _retry_after(value: str | None) -> float:
    """Return the seconds a Retry-After header asks for: a number or an HTTP date; 0 for anything else."""
    if value is None:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return min(max(0.0, seconds), LONGEST_WAIT_SECONDS) if math.isfinite(seconds) else 0.0
