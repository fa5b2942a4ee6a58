"""A schema registry in memory, over real HTTP in a thread of its own: Confluent's routes and status codes."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer


class Double:
    """What the registry knows, what it was asked, and how it misbehaves."""

    def __init__(self) -> None:
        self.url = ""
        self.schemas: list[str] = []
        self.subjects: set[str] = set()
        self.asked: list[str] = []
        self.sent: list[str | None] = []  # Authorization of each question
        self.refuses = self.fails = False

    def app(self) -> web.Application:
        """Return the routes."""
        app = web.Application()
        app.add_routes([web.get("/schemas/ids/{id}", self.by_id), web.post("/subjects/{s}/versions", self.register)])
        return app

    async def by_id(self, request: web.Request) -> web.Response:
        """Answer with the schema of an id."""
        self._note(request)
        if self.fails:
            return web.json_response({"error_code": 50001, "message": "error in the backend"}, status=500)
        number = int(request.match_info["id"])
        if not 1 <= number <= len(self.schemas):
            return web.json_response({"error_code": 40403, "message": "Schema not found"}, status=404)
        return web.json_response({"schema": self.schemas[number - 1]})

    async def register(self, request: web.Request) -> web.Response:
        """Answer with the id of a schema."""
        self._note(request)
        if self.fails:
            return web.json_response({"error_code": 50001, "message": "error in the backend"}, status=500)
        if self.refuses:
            return web.json_response({"error_code": 409, "message": "incompatible"}, status=409)
        self.subjects.add(request.match_info["s"])
        return web.json_response({"id": self.add((await request.json())["schema"])})

    def add(self, schema: str) -> int:
        """Return the id of a schema."""
        json.loads(schema)
        if schema not in self.schemas:
            self.schemas.append(schema)
        return self.schemas.index(schema) + 1

    def _note(self, request: web.Request) -> None:
        self.asked.append(request.path)
        self.sent.append(request.headers.get("Authorization"))


@contextmanager
def serving() -> Iterator[Double]:
    """Serve a double while the block runs."""
    double, ready, loop = Double(), threading.Event(), asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        async with TestServer(double.app()) as server:
            double.url = str(server.make_url("")).rstrip("/")
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="registry double")
    thread.start()
    assert ready.wait(10)
    try:
        yield double
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()
