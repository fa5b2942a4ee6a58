"""The teacher as the router sees it: any OpenAI-compatible endpoint, answers passed through.

Retries only what cannot have been answered (connect failure, 429, 502, 503, 504), within a tenth of the traffic.
Asks for log-probabilities where the workload allows it; a teacher that refuses them is asked without from then on.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson

from deploy.serve.router import metrics
from schemas.errors import MillraceError
from schemas.workload import Workload

ATTEMPTS: Final = 3
_AGAIN: Final = frozenset({429, 502, 503, 504})
_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 2.0  # a person waits
_KEPT_HEADERS: Final = ("content-type", "retry-after", "openai-processing-ms")


class TeacherUnreachable(MillraceError):
    """The teacher gave no answer at all."""


class RetryBudget:
    """Retries as a share of the traffic, so that a struggling teacher is not buried."""

    def __init__(self, share: float = 0.1, most: float = 10.0) -> None:
        self._share, self._most, self._left = share, most, most

    def request(self) -> None:
        """Count a request: it earns a share of a retry."""
        self._left = min(self._most, self._left + self._share)

    def take(self) -> bool:
        """Take one retry out of the budget, if there is one."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(frozen=True)
class TeacherAnswer:
    """A complete response of the teacher."""

    status: int
    headers: dict[str, str]
    body: bytes
    with_logprobs: bool = False  # they were asked for by us, not by the client

    def json(self) -> dict[str, Any] | None:
        """Return the response as JSON where it is a successful object."""
        if self.status != 200:
            return None
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None
        return value if isinstance(value, dict) else None


class TeacherProxy:
    """Client of one workload's teacher."""

    def __init__(self, session: aiohttp.ClientSession, workload: Workload) -> None:
        self._session, self._workload, self._terms = session, workload, workload.teacher
        self._budget = RetryBudget()
        self._logprobs = workload.teacher.top_logprobs > 0

    async def chat(self, request: Mapping[str, Any]) -> TeacherAnswer:
        """Ask for a plain chat completion.

        Raises:
            TeacherUnreachable: no answer came.
        """
        body = dict(request) | {"model": self._terms.model}
        ask = self._logprobs and not body.get("logprobs")
        more = {"logprobs": True, "top_logprobs": self._terms.top_logprobs} if ask else {}
        answer = await self._complete(orjson.dumps(body | more))
        if ask and answer.status == 400:
            without = await self._complete(orjson.dumps(body))
            self._logprobs = without.status == 400  # the parameters were to blame if it works without them
            return without
        return TeacherAnswer(answer.status, answer.headers, answer.body, with_logprobs=ask)

    @asynccontextmanager
    async def stream(self, request: Mapping[str, Any]) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for a streamed completion; the response's body is not read yet.

        Raises:
            TeacherUnreachable: no answer came.
        """
        body = orjson.dumps(dict(request) | {"model": self._terms.model})
        limit = aiohttp.ClientTimeout(total=None, connect=5, sock_read=self._terms.timeout_seconds)
        response = await self._send("POST", "/chat/completions", body, limit)
        try:
            yield response
        finally:
            response.close()

    async def other(self, method: str, path: str, body: bytes | None, content_type: str | None) -> TeacherAnswer:
        """Pass any other request on as it is.

        Raises:
            TeacherUnreachable: no answer came.
        """
        response = await self._send(method, path, body, self._limit(), content_type or "application/json")
        return await _read(response)

    async def _complete(self, body: bytes) -> TeacherAnswer:
        return await _read(await self._send("POST", "/chat/completions", body, self._limit()))

    def _limit(self) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=self._terms.timeout_seconds, connect=5)

    async def _send(
        self, method: str, path: str, body: bytes | None, limit: aiohttp.ClientTimeout, kind: str = "application/json"
    ) -> aiohttp.ClientResponse:
        self._budget.request()
        headers = {"Content-Type": kind} | self._key()
        url = self._terms.url.rstrip("/") + path
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = await self._session.request(
                    method, url, data=body, headers=headers, timeout=limit, allow_redirects=False
                )
            except aiohttp.ClientConnectorError as error:
                if attempt == ATTEMPTS or not self._budget.take():
                    raise TeacherUnreachable(type(error).__name__) from error
                reason, pause = "connect", _PAUSE_SECONDS * 2**attempt
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise TeacherUnreachable(type(error).__name__) from error
            else:
                if response.status not in _AGAIN or attempt == ATTEMPTS or not self._budget.take():
                    return response
                reason, pause = str(response.status), _asked_pause(response, attempt)
                response.release()
            metrics.RETRIES.labels(self._workload.name, reason).inc()
            await asyncio.sleep(min(pause, _LONGEST_PAUSE_SECONDS) * random.uniform(0.7, 1.0))  # noqa: S311 - jitter
        raise TeacherUnreachable("attempts")

    def _key(self) -> dict[str, str]:
        key = os.environ.get(self._terms.api_key_env) if self._terms.api_key_env else None
        return {"Authorization": f"Bearer {key}"} if key else {}


def kept_headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Return the headers of a teacher's response that the client gets too."""
    return {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}


async def _read(response: aiohttp.ClientResponse) -> TeacherAnswer:
    try:
        return TeacherAnswer(response.status, kept_headers(response), await response.read())
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise TeacherUnreachable(type(error).__name__) from error
    finally:
        response.release()


def _asked_pause(response: aiohttp.ClientResponse, attempt: int) -> float:
    try:
        return float(response.headers.get("retry-after", ""))
    except ValueError:
        return _PAUSE_SECONDS * 2.0**attempt
