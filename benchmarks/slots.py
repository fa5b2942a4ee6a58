"""A teacher of known capacity, as a process of its own: `python -m benchmarks.slots SLOTS SECONDS`.

It answers so many calls at a time, each after so many seconds; the others wait in line. `GET /slots` says how much slot
time was in use since it started. The first line it prints is its port.
"""

from __future__ import annotations

import asyncio
import sys
import time

import orjson
from aiohttp import web


class Slots:
    """Places that are busy or free, and the time they were busy."""

    def __init__(self, slots: int, seconds: float) -> None:
        self._free, self._seconds = asyncio.Semaphore(slots), seconds
        self._busy = self._open = self._answered = 0
        self._used = 0.0  # slot seconds up to `_since`
        self._since = time.monotonic()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer with the first code that the question offers."""
        asked = orjson.loads(await request.read())
        choices = asked.get("structured_outputs", {}).get("choice") or ["A"]
        self._open += 1
        try:
            async with self._free:
                self._change(1)
                try:
                    await asyncio.sleep(self._seconds)
                finally:
                    self._change(-1)
        finally:
            self._open -= 1
        self._answered += 1
        message = {"role": "assistant", "content": choices[0]}
        usage = {"prompt_tokens": 100, "completion_tokens": 1}
        body = {
            "model": "slots",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage,
        }
        return web.Response(body=orjson.dumps(body), content_type="application/json")

    async def slots(self, _: web.Request) -> web.Response:
        """Say the slot seconds used so far, the answers, the calls that are open, and the time."""
        self._change(0)
        body = {"used": self._used, "answered": self._answered, "open": self._open, "now": self._since}
        return web.Response(body=orjson.dumps(body), content_type="application/json")

    def _change(self, by: int) -> None:
        now = time.monotonic()
        self._used += self._busy * (now - self._since)
        self._since, self._busy = now, self._busy + by


async def serve(slots: int, seconds: float) -> None:
    """Serve until killed."""
    teacher = Slots(slots, seconds)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", teacher.answer)
    app.router.add_get("/slots", teacher.slots)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
