"""The batch routes of the test teacher: files, batches, and answers by the acts that play for single calls."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Play = Callable[[dict[str, Any], str | None], Awaitable[web.StreamResponse | None]]
Trouble = Callable[[web.Request], web.Response | None]


@dataclass
class BatchRoutes:
    """An endpoint of batches in the OpenAI form."""

    play: Play  # a request's body and key to its response; None: it is never answered
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    open: bool = True  # batches end as soon as somebody looks; else they are in progress
    fails: list[list[dict[str, str]]] = field(default_factory=list)  # of the next batches: the errors each fails with
    trouble: list[Trouble] = field(default_factory=list)  # each says what happens to a request instead; None: nothing
    after: list[Trouble] = field(default_factory=list)  # the same once the request was carried out

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Serve the routes."""
        router.add_post("/v1/files", self._upload)
        router.add_get("/v1/files/{id}/content", self._content)
        router.add_post("/v1/batches", self._create)
        router.add_get("/v1/batches", self._list)
        router.add_get("/v1/batches/{id}", self._look)

    @web.middleware
    async def misbehave(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Let each trouble have its say."""
        for trouble in self.trouble:
            if (instead := trouble(request)) is not None:
                return instead
        answer = await handler(request)
        for trouble in self.after:
            if (instead := trouble(request)) is not None:
                return instead
        assert isinstance(answer, web.StreamResponse)
        return answer

    def sizes(self) -> list[int]:
        """Return how many requests each batch holds."""
        return [self.files[batch["input_file_id"]].count(b"\n") for batch in self.batches.values()]

    def ids(self) -> list[str]:
        """Return the custom ids of all batches."""
        files = (self.files[batch["input_file_id"]] for batch in self.batches.values())
        return [json.loads(line)["custom_id"] for file in files for line in file.splitlines()]

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["purpose"] == "batch"
        uploaded = form["file"]
        assert isinstance(uploaded, web.FileField)
        return web.json_response({"id": self._store(uploaded.file.read())})

    async def _content(self, request: web.Request) -> web.Response:
        return web.Response(body=self.files[request.match_info["id"]])

    async def _create(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        assert (wanted["endpoint"], wanted["completion_window"]) == ("/v1/chat/completions", "24h")
        own = f"batch-{len(self.batches)}"
        key = request.headers.get("Authorization")
        batch = {"id": own, "status": "validating", "created_at": int(time.time()), "key": key} | wanted
        self.batches[own] = batch
        return web.json_response(batch)

    async def _list(self, request: web.Request) -> web.Response:
        newest_first = list(reversed(self.batches.values()))
        names = [batch["id"] for batch in newest_first]
        start = names.index(request.query["after"]) + 1 if "after" in request.query else 0
        page = newest_first[start : start + 2]  # two a page, whatever is asked for: lists are read to their end
        return web.json_response({"data": page, "has_more": start + 2 < len(names)})

    async def _look(self, request: web.Request) -> web.Response:
        batch = self.batches[request.match_info["id"]]
        if batch["status"] in ("validating", "in_progress"):
            if self.fails and batch["status"] == "validating":
                batch |= {"status": "failed", "errors": {"object": "list", "data": self.fails.pop(0)}}
            else:
                batch["status"] = "in_progress"
            if self.open and batch["status"] == "in_progress":
                await self._run(batch)
        return web.json_response(batch)

    async def _run(self, batch: dict[str, Any]) -> None:
        """Answer every line of a batch; one that is never answered makes it expire."""
        said: list[bytes] = []
        wrong: list[bytes] = []
        status = "completed"
        for raw in self.files[batch["input_file_id"]].splitlines():
            line = json.loads(raw)
            answer = await self.play(line["body"], batch["key"])
            if answer is None:
                status = "expired"
                error = {"code": "batch_expired", "message": "This request could not be executed."}
                wrong.append(json.dumps({"custom_id": line["custom_id"], "response": None, "error": error}).encode())
                continue
            assert isinstance(answer, web.Response)
            body = (answer.text or "null") if _is_json(answer.text) else json.dumps({"error": {"message": answer.text}})
            line_text = '{"custom_id": "%s", "response": {"status_code": %d, "body": %s}, "error": null}'
            line_text %= (line["custom_id"], answer.status, body)
            (said if answer.status == 200 else wrong).append(line_text.encode())
        batch |= {"status": status, "output_file_id": self._store(b"\n".join(reversed(said)))}
        if wrong:
            batch["error_file_id"] = self._store(b"\n".join(wrong))

    def _store(self, content: bytes) -> str:
        own = f"file-{len(self.files)}"
        self.files[own] = content
        return own


def _is_json(text: str | None) -> bool:
    try:
        json.loads(text or "")
    except ValueError:
        return False
    return True
