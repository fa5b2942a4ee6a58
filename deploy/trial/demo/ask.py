"""Plays an application that calls the router with the official OpenAI client."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from openai import AsyncOpenAI, OpenAIError

from schemas.rules.chat import messages_for
from schemas.workload import Workload

_CONCURRENCY: Final = 12
_RETRIES: Final = 8  # an application that outlives a restart of its endpoint
# Requests: 50 of tweet length were more than a student on 2 cores answers, and its rollout rightly ended as too slow.
_A_SECOND: Final = 25.0


@dataclass
class ReplyTally:
    """What came back."""

    by_model: Counter[str] = field(default_factory=Counter)
    failed: int = 0


async def ask_until(
    base_url: str, workload: Workload, texts: Iterator[tuple[str, str]], done: Callable[[], bool]
) -> ReplyTally:
    """Ask about the texts (id, text), a dozen at a time, until `done` or no text is left."""
    answers = ReplyTally()
    turn = asyncio.get_running_loop().time()
    async with AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=_RETRIES, timeout=30) as client:

        async def application() -> None:
            nonlocal turn
            for request_id, text in texts:
                if done():
                    return
                now = asyncio.get_running_loop().time()
                turn = max(turn + 1 / _A_SECOND, now)
                await asyncio.sleep(turn - now)
                await _ask(client, workload, request_id, text, answers)

        await asyncio.gather(*(application() for _ in range(_CONCURRENCY)))
    return answers


async def ask_once(base_url: str, workload: Workload, request_id: str, text: str) -> tuple[str, str]:
    """Ask about one text and return the model that answered and what it said."""
    async with AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=_RETRIES, timeout=30) as client:
        completion = await _complete(client, workload, request_id, text)
        return completion.model, completion.choices[0].message.content or ""


async def _ask(client: AsyncOpenAI, workload: Workload, request_id: str, text: str, answers: ReplyTally) -> None:
    try:
        completion = await _complete(client, workload, request_id, text)
    except OpenAIError:
        answers.failed += 1
    else:
        answers.by_model[completion.model] += 1


async def _complete(client: AsyncOpenAI, workload: Workload, request_id: str, text: str) -> Any:
    messages: Any = messages_for(workload, text)
    return await client.chat.completions.create(
        model=workload.name, messages=messages, user=request_id, extra_headers={"x-request-id": request_id}
    )
