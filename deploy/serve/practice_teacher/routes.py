"""The practice teacher's HTTP face: OpenAI's chat completions, and faults on request.

It is a stand-in, and says so in its model list, its banner and its answers' model. Any model name is accepted. What it
cannot judge it refuses with 422: a stand-in that guessed would spoil every figure behind it.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from aiohttp import web
from prometheus_client import Counter

from deploy.edge.process import probes
from deploy.serve.practice_teacher.completion import Reply, Spoken, count_prompt, streamed, whole
from deploy.serve.practice_teacher.question import AskedQuestion, questions_in
from deploy.serve.practice_teacher.truth import PlantedLabel, TruthFile
from schemas.errors import BadInput
from schemas.rules.practice import practice_probabilities
from schemas.workload import Workload

MODEL: Final = "practice-teacher"
STAND_IN: Final = "millrace (a practice stand-in, not a language model)"
NONSENSE: Final = "The river was seven on Thursday."
_MOST_CHOICES: Final = 128

Fault = Literal["none", "broken", "overloaded", "nonsense"]

_CALLS = Counter("millrace_practice_teacher_calls", "Calls to the practice teacher, by status.", ["status"])
_TOKENS = Counter("millrace_practice_teacher_tokens", "Tokens of answered calls.", ["kind"])


class Judge(Protocol):
    """Anything that gives class probabilities of a text."""

    def probabilities(self, text: str) -> list[float]:
        """Return the probability of each label of the workload."""


@dataclass(frozen=True)
class Manner:
    """How it behaves: how long an answer takes, and which share of calls goes wrong."""

    service_seconds: float
    fail_share: float
    nonsense_share: float
    seed: int
    exact: bool = False  # says the planted truth itself


class PracticeTeacher:
    """Answers questions from the planted truth, else from a fitted model, and counts."""

    def __init__(
        self, workloads: Sequence[Workload], truth: TruthFile | None, fitted: Judge | None, manner: Manner
    ) -> None:
        self._workloads, self._truth, self._fitted, self.manner = workloads, truth, fitted, manner
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fitted")
        self.stats = {"calls": 0, "failed": 0, "prompt_tokens": 0, "completion_tokens": 0}

    async def pieces(self, request: Mapping[str, Any]) -> list[Spoken]:
        """Return the answer's pieces.

        Raises:
            BadInput: the question is not understood, or the truth of this text is not known.
        """
        questions = questions_in(self._workloads, request)
        if not questions:
            raise BadInput(
                "messages", "…", "follow neither a known workload's request template nor the labelling prompt"
            )
        for question in questions:
            planted = self._truth.find(question.key) if self._truth else None
            if planted is not None and planted.label in question.workload.labels:
                return spoken(question, self._heard(question.workload.labels, planted))
        if self._fitted is None:
            raise BadInput("messages", "…", "hold a text whose truth was not planted; `--fitted FILE` answers any text")
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._thread, self._fitted.probabilities, questions[0].text)
        return spoken(questions[0], found)

    def _heard(self, labels: Sequence[str], planted: PlantedLabel) -> list[float]:
        """Return the probabilities with which a teacher that knows the truth says each label."""
        if self.manner.exact:
            return [float(label == planted.label) for label in labels]
        return practice_probabilities(labels, planted.label, planted.cluster_key, self.manner.seed)

    def fault(self) -> Fault:
        """Return what goes wrong with this call, decided by seed and call number."""
        number = self.stats["calls"]
        draw = random.Random(f"{self.manner.seed}:{number}").random()  # noqa: S311 - practice, not a secret
        if draw < self.manner.fail_share:
            return "overloaded" if number % 2 == 0 else "broken"
        return "nonsense" if draw < self.manner.fail_share + self.manner.nonsense_share else "none"


def spoken(question: AskedQuestion, probabilities: Sequence[float]) -> list[Spoken]:
    """Return the likeliest allowed answer, its alternatives beside it, and what the workload's answer has around it."""
    by_label = dict(zip(question.workload.labels, probabilities, strict=True))
    allowed = {answer: by_label[label] for answer, label in question.answers.items()}
    total = sum(allowed.values())
    shares = {answer: p / total if total > 0 else 1 / len(allowed) for answer, p in allowed.items()}
    answer = max(shares, key=shares.__getitem__)
    around = [Spoken(text, {text: 1.0}) if text else None for text in (question.before, question.after)]
    return [piece for piece in (around[0], Spoken(answer, shares), around[1]) if piece is not None]


def application(teacher: PracticeTeacher) -> web.Application:
    """Return the server's routes."""

    async def chat(request: web.Request) -> web.StreamResponse:
        teacher.stats["calls"] += 1
        fault = teacher.fault()
        await asyncio.sleep(teacher.manner.service_seconds)
        response = await _answer(teacher, request, fault)
        _CALLS.labels(str(response.status)).inc()
        if response.status != 200:
            teacher.stats["failed"] += 1
        return response

    async def models(_: web.Request) -> web.Response:
        model = {"id": MODEL, "object": "model", "created": 0, "owned_by": STAND_IN}
        return web.json_response({"object": "list", "data": [model]})

    async def health(_: web.Request) -> web.Response:
        return web.Response()

    async def stats(_: web.Request) -> web.Response:
        return web.json_response(teacher.stats)

    app = web.Application(client_max_size=4 << 20)
    app.add_routes([
        web.post("/v1/chat/completions", chat),
        web.get("/v1/models", models),
        web.get("/health", health),
        web.get("/stats", stats),
    ])  # fmt: skip
    probes.add_routes(app, lambda: None, lambda: None)
    return app


async def _answer(teacher: PracticeTeacher, request: web.Request, fault: Fault) -> web.StreamResponse:
    if fault == "overloaded":
        return _error(429, "a planted fault", {"Retry-After": "1"})
    if fault == "broken":
        return _error(500, "a planted fault", {})
    try:
        body = _checked(await request.read())
        pieces = [Spoken(NONSENSE, {NONSENSE: 1.0})] if fault == "nonsense" else await teacher.pieces(body)
    except _Malformed as error:
        return _error(400, str(error), {})
    except BadInput as error:
        return _error(422, str(error), {})
    reply = Reply(
        id=f"chatcmpl-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=MODEL,
        pieces=pieces,
        n=body.get("n") or 1,
        top_logprobs=(body.get("top_logprobs") or 0) if body.get("logprobs") else None,
        prompt_tokens=count_prompt(body["messages"]),
    )
    for kind in ("prompt_tokens", "completion_tokens"):
        teacher.stats[kind] += reply.usage[kind]
        _TOKENS.labels(kind.removesuffix("_tokens")).inc(reply.usage[kind])
    if body.get("stream"):
        return await _stream(
            request, reply, include_usage=bool((body.get("stream_options") or {}).get("include_usage"))
        )
    return web.json_response(whole(reply))


async def _stream(request: web.Request, reply: Reply, *, include_usage: bool) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    for event in streamed(reply, include_usage=include_usage):
        await response.write(event)
    await response.write_eof()
    return response


class _Malformed(Exception):
    """A body that is no chat-completion request."""


def _checked(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _Malformed(f"the body is no JSON: {error}") from error
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise _Malformed("messages must be a list of messages")
    _check_number(body, "n", 1, _MOST_CHOICES)
    _check_number(body, "top_logprobs", 0, 20)
    if body.get("top_logprobs") and not body.get("logprobs"):
        raise _Malformed("top_logprobs needs logprobs: true")
    if not isinstance(body.get("stream_options") or {}, dict):
        raise _Malformed("stream_options must be an object")
    return dict(body)


def _check_number(body: Mapping[str, Any], field: str, least: int, most: int) -> None:
    value = body.get(field)
    if value is not None and (type(value) is not int or not least <= value <= most):
        raise _Malformed(f"{field} must be a whole number from {least} to {most}")


def _error(status: int, message: str, headers: Mapping[str, str]) -> web.Response:
    kind = "rate_limit_error" if status == 429 else "invalid_request_error"
    if status >= 500:
        kind = "server_error"
    body = {"error": {"message": message, "type": kind, "param": None, "code": status}}
    return web.json_response(body, status=status, headers=headers)
