"""The teacher: any OpenAI-compatible chat endpoint, asked with bounded concurrency, a deadline and patience.

What is tried again: no connection, a timeout, 408, 425, 429, 5xx, an answer that cannot be read; with jitter, never
before the endpoint's own Retry-After, which holds back every call. When patience ends the endpoint counts as down
(`Unavailable`).
What is not: a wrong key, model or address stops the stage; any other 4xx refuses the one record.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from deploy.edge import guarded_http
from schemas.errors import DeadLetterReason, RecordRejected, SettingsError, Unavailable
from schemas.rules.chat import answer_in
from schemas.workload import Workload
from streams.label.metrics import REQUESTS, SECONDS, TOKENS
from streams.label.probabilities import TopToken
from streams.label.prompt import Prompt

LOG: Final = logging.getLogger("millrace.label.teacher")
LONGEST_WAIT_SECONDS: Final = 60.0  # a Retry-After beyond it is cut: the source's pause takes over
_AGAIN: Final = frozenset({408, 425, 429, *range(500, 600)})
_WRONG_SET_UP: Final = frozenset({401, 403, 404})
_OPTIONAL: Final = ("structured_outputs", "logprobs")  # parameters that an endpoint may not know


@dataclass(frozen=True, slots=True)
class Answer:
    """What the teacher said, and what it cost."""

    text: str
    model: str
    top: tuple[TopToken, ...]  # the first token, then its alternatives; empty where the endpoint gave none
    calls: int
    prompt_tokens: int
    completion_tokens: int


class _Again(Exception):
    """A signal, not a failure: one attempt went wrong in a way that another may not."""


class TeacherClient:
    """One workload's teacher."""

    def __init__(self, workload: Workload, allowed_hosts: list[str]) -> None:
        """Check what can be checked without a call.

        Raises:
            SettingsError: the URL is not allowed, or the key's environment variable is not set.
        """
        self._teacher = teacher = workload.teacher
        self._field = f"{workload.name}: teacher"
        self._url = guarded_http.check_url(f"{self._field}.url", teacher.url, allowed_hosts) + "/chat/completions"
        self._allowed = allowed_hosts
        self._headers = self._authorisation()
        self._slots = asyncio.Semaphore(teacher.concurrency)
        self._session: aiohttp.ClientSession | None = None
        self._not_before = 0.0  # monotonic
        self._left_out: set[str] = set()
        self._requests = {result: REQUESTS.labels(workload.name, result) for result in ("ok", "again", "refused")}
        self._seconds = SECONDS.labels(workload.name)
        self._tokens = {kind: TOKENS.labels(workload.name, kind) for kind in ("prompt", "completion")}

    async def ask(self, prompt: Prompt) -> Answer:
        """Ask until there is an answer.

        Raises:
            Unavailable: the endpoint did not answer in any attempt.
            RecordRejected: the endpoint refuses this question.
            SettingsError: key, model or address are wrong: no record can be labelled.
        """
        calls = 0
        attempts = AsyncRetrying(
            stop=stop_after_attempt(self._teacher.attempts),
            wait=wait_random_exponential(multiplier=0.2, max=10),
            retry=retry_if_exception_type(_Again),
            reraise=True,
        )
        try:
            async for attempt in attempts:
                with attempt:
                    async with self._slots:
                        await self._hold_back()
                        calls += 1
                        body = await self._call(prompt)
                        return self._read(body, calls)
        except _Again as error:
            LOG.warning("%s at %s does not answer: %s (%d calls)", self._field, self._url, error, calls)
            raise Unavailable(f"{self._field} at {self._url}: {error} ({calls} calls)") from error
        raise AssertionError("tenacity ends with an answer or an error")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _call(self, prompt: Prompt) -> Mapping[str, Any]:
        if self._session is None:
            self._session = guarded_http.session(
                self._allowed,
                connections=self._teacher.concurrency,
                timeout_seconds=self._teacher.timeout_seconds,
                headers=self._headers,
            )
        started = time.monotonic()
        try:
            async with self._session.post(self._url, json=self._body(prompt), allow_redirects=False) as response:
                data = await response.read()
        except guarded_http.HostNotAllowed as error:
            raise SettingsError(f"{self._field}.url", self._url, str(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._requests["again"].inc()
            raise _Again(f"{type(error).__name__}: {error}") from error
        finally:
            self._seconds.observe(time.monotonic() - started)
        if response.status == 200:
            return self._parse(data)
        raise self._failure(response.status, response.headers, data[:2_000].decode(errors="replace"))

    def _body(self, prompt: Prompt) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._teacher.model,
            "messages": list(prompt.messages),
            "temperature": 0,
            "max_tokens": 4 if prompt.coded else 32,
            "structured_outputs": {"choice": list(prompt.choices)},
        }
        if prompt.coded and self._teacher.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": self._teacher.top_logprobs}
        if "logprobs" in self._left_out:
            body.pop("top_logprobs", None)
        return {name: value for name, value in body.items() if name not in self._left_out}

    def _parse(self, data: bytes) -> Mapping[str, Any]:
        try:
            body = json.loads(data)  # orjson refuses NaN, which some endpoints send as a log-probability
        except ValueError as error:
            self._requests["again"].inc()
            raise _Again(f"an answer of {len(data)} bytes is no JSON") from error
        if not isinstance(body, dict) or answer_in(body) is None:
            self._requests["again"].inc()
            raise _Again("an answer without a message")
        return body

    def _failure(self, status: int, headers: Mapping[str, str], body: str) -> Exception:
        """Return what a status other than 200 means."""
        if status in _AGAIN:
            self._requests["again"].inc()
            self._not_before = max(self._not_before, time.monotonic() + _retry_after(headers.get("Retry-After")))
            return _Again(f"status {status}")
        if status in _WRONG_SET_UP:
            field, value, remedy = self._remedy(status)
            return SettingsError(f"{self._field}.{field}", value, f"the endpoint says {status}: {remedy}")
        unknown = [name for name in _OPTIONAL if name in body and name not in self._left_out]
        if status in (400, 422) and unknown:
            self._left_out.add(unknown[0])
            LOG.warning("%s: the endpoint does not take %r; asking without it", self._field, unknown[0])
            return _Again(f"status {status} for {unknown[0]}")
        self._requests["refused"].inc()
        return RecordRejected(DeadLetterReason.TEACHER_REFUSED, f"the teacher's endpoint says {status}")

    def _remedy(self, status: int) -> tuple[str, object, str]:
        if status == 404:
            return "model", self._teacher.model, f"check the model's name and that {self._url} is the right address"
        variable = self._teacher.api_key_env
        if variable is None:
            return "api_key_env", None, "it wants a key; name the environment variable that holds it"
        return "api_key_env", variable, "the key in this environment variable is wrong or may not use the model"

    def _read(self, body: Mapping[str, Any], calls: int) -> Answer:
        usage = body.get("usage") if isinstance(body.get("usage"), dict) else {}
        tokens = {kind: _count(usage, f"{kind}_tokens") for kind in ("prompt", "completion")}
        for kind, number in tokens.items():
            self._tokens[kind].inc(number)
        self._requests["ok"].inc()
        model = body.get("model")
        return Answer(
            text=answer_in(body) or "",
            model=model if isinstance(model, str) and model else self._teacher.model,
            top=_top(body),
            calls=calls,
            prompt_tokens=tokens["prompt"],
            completion_tokens=tokens["completion"],
        )

    async def _hold_back(self) -> None:
        while (left := self._not_before - time.monotonic()) > 0:  # noqa: ASYNC110 - it may move on meanwhile
            await asyncio.sleep(left)

    def _authorisation(self) -> dict[str, str]:
        variable = self._teacher.api_key_env
        if variable is None:
            return {}
        key = os.environ.get(variable)
        if not key:
            raise SettingsError(f"{self._field}.api_key_env", variable, "is not set; put the teacher's key in it")
        return {"Authorization": f"Bearer {key}"}


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


def _top(body: Mapping[str, Any]) -> tuple[TopToken, ...]:
    """Return the first token and then its alternatives; empty where they are missing or malformed."""
    try:
        first = body["choices"][0]["logprobs"]["content"][0]
        found = {str(first["token"]): float(first["logprob"])}
        found |= {str(item["token"]): float(item["logprob"]) for item in first["top_logprobs"]}
    except (KeyError, IndexError, TypeError, ValueError):
        return ()
    return tuple(found.items())


def _count(usage: Mapping[str, Any] | None, name: str) -> int:
    value = (usage or {}).get(name)
    return value if isinstance(value, int) and value >= 0 else 0
