"""A real HTTP teacher whose behaviour a test scripts: each call takes the next act, the last act stays."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.streams.label.teacher.batches.routes import BatchRoutes

Act = Callable[["Call"], "web.StreamResponse | asyncio.Future[web.StreamResponse] | Any"]


@dataclass
class Call:
    """One question as it came in."""

    body: dict[str, Any]
    authorization: str | None

    @property
    def prompt(self) -> str:
        """The last message."""
        return str(self.body["messages"][-1]["content"])

    @property
    def text(self) -> str:
        """What is between the delimiters; behind the examples, where there are any."""
        return str(re.findall(r"^<text>\n(.*?)\n</text>$", self.prompt, re.DOTALL | re.MULTILINE)[-1])

    @property
    def codes(self) -> dict[str, str]:
        """label -> code, as the prompt offers them."""
        return {label: code for code, label in re.findall(r"^([A-Z]+) = (.+)$", self.prompt, re.MULTILINE)}


def completion(content: str, top: dict[str, float] | None = None) -> dict[str, Any]:
    """Return a chat completion; `top`: probabilities of the first token's alternatives."""
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": content}}
    if top is not None:
        tokens = [{"token": token, "logprob": math.log(p) if p > 0 else math.nan} for token, p in top.items()]
        first = next((one for one in tokens if one["token"] == content), tokens[0])
        choice["logprobs"] = {"content": [{**first, "top_logprobs": tokens}]}
    return {
        "model": "teacher-7b",
        "choices": [choice],
        "usage": {"prompt_tokens": 40, "completion_tokens": 1, "total_tokens": 41},
    }


def says(label: str, confidence: float = 0.9) -> Act:
    """Answer with a label in whatever form the prompt asks for."""

    def act(call: Call) -> web.Response:
        codes = call.codes
        if not codes:
            return web.json_response(completion(label))
        rest = (1 - confidence) / (len(codes) - 1)
        top = {code: confidence if named == label else rest for named, code in codes.items()}
        return web.json_response(completion(codes[label], top))

    return act


def status(code: int, text: str = "", **headers: str) -> Act:
    """Answer with a status."""
    return lambda _: web.Response(status=code, text=text, headers=headers)


def raw(text: str) -> Act:
    """Answer 200 with these bytes."""
    return lambda _: web.Response(text=text, content_type="application/json")


def body(value: dict[str, Any]) -> Act:
    """Answer 200 with this JSON (NaN as Python writes it)."""
    return raw(json.dumps(value))


def never() -> Act:
    """Answer nothing at all: in a batch, one that expires."""
    return lambda _: None


@dataclass
class Server:
    """The running server."""

    url: str = ""
    acts: list[Act] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    most_at_once: int = 0
    _now: int = 0

    def __post_init__(self) -> None:
        self.batch = BatchRoutes(self.play)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one call."""
        answer = await self.play(await request.json(), request.headers.get("Authorization"))
        assert answer is not None
        return answer

    async def play(self, body: dict[str, Any], authorization: str | None) -> web.StreamResponse | None:
        """Play the next act."""
        call = Call(body, authorization)
        self.calls.append(call)
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            answer = act(call)
            if asyncio.iscoroutine(answer):
                answer = await answer
        finally:
            self._now -= 1
        assert answer is None or isinstance(answer, web.StreamResponse)
        return answer


@asynccontextmanager
async def teacher_server(*acts: Act) -> AsyncIterator[Server]:
    """Serve on a free port of loopback."""
    server = Server(acts=list(acts))
    app = web.Application(client_max_size=100_000_000, middlewares=[server.batch.misbehave])
    server.batch.add_to(app.router)
    app.router.add_post("/v1/chat/completions", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"http://127.0.0.1:{port}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()
