"""A router with real HTTP on every side: a scripted teacher, a student server with vLLM's routes, adapters on disk.

Only Kafka is a list here (test_kafka.py has the broker).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from deploy.edge.process import guarded_http
from deploy.infra.ports import TRIES, propose
from deploy.serve.router.capture import Delivered
from deploy.serve.router.process import Router
from deploy.serve.router.settings import RouterSettings
from schemas.events import ModelState, RolloutState, ServedModel
from schemas.manifest import AdapterManifest, FileDigest
from schemas.records import Outcome, Record, TrafficRecord
from schemas.topics import Topic
from schemas.workload import Workload

LABELS = ["up", "down", "flat"]
TIME = datetime(2026, 1, 1, tzinfo=UTC)
PRIVACY_KEY = "a key of the deployment"
ROLLOUT = "0123456789abcdef0123456789abcdef"


async def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        await asyncio.sleep(0.01)


@dataclass
class Kept:
    """Where records go instead of to Kafka."""

    records: list[Record] = field(default_factory=list)

    def offer(self, topic: Topic, workload: str, record: Record, delivered: Delivered | None = None) -> bool:
        """Keep a record."""
        self.records.append(record)
        if delivered is not None:
            delivered()
        return True

    @property
    def traffic(self) -> list[TrafficRecord]:
        """Return what was captured."""
        return [record for record in self.records if isinstance(record, TrafficRecord)]

    @property
    def outcomes(self) -> list[Outcome]:
        """Return every outcome."""
        return [record for record in self.records if isinstance(record, Outcome)]


@dataclass
class ScriptedTeacher:
    """Answers as configured, and remembers what it was asked."""

    label: str = "up"
    statuses: list[int] = field(default_factory=list)  # to answer with first, one call each
    refuses_logprobs: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)
    chunks: int = 3
    chunk_bytes: int = 0
    sent: int = 0
    gone: bool = False  # the caller left in mid-stream

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer a chat completion."""
        body = await request.json()
        self.asked.append(body)
        if self.statuses:
            return web.json_response({"error": {"message": "scripted"}}, status=self.statuses.pop(0))
        if self.refuses_logprobs and body.get("logprobs"):
            return web.json_response({"error": {"message": "logprobs are not supported"}}, status=400)
        if body.get("stream"):
            return await self._stream(request)
        choice = {
            "index": 0, "message": {"role": "assistant", "content": self.label}, "finish_reason": "stop",
            "logprobs": {"content": []} if body.get("logprobs") else None,
        }  # fmt: skip
        usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
        return web.json_response(
            {"id": "t", "object": "chat.completion", "created": 1, "model": "big", "choices": [choice], "usage": usage}
        )

    async def embeddings(self, request: web.Request) -> web.Response:
        """Answer another route."""
        return web.json_response({"path": request.path_qs, "body": await request.json()})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        pieces = [self.label[0], self.label[1:], *("" for _ in range(self.chunks - 2))]
        try:
            for piece in pieces:
                choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
                padding = "x" * self.chunk_bytes
                chunk = {"id": "t", "object": "chat.completion.chunk", "created": 1, "model": "big",
                         "choices": [choice], "padding": padding}  # fmt: skip
                await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
                self.sent += 1
            await response.write(b"data: [DONE]\n\n")
        except (ConnectionResetError, asyncio.CancelledError):
            self.gone = True
            raise
        return response


@dataclass
class StudentServer:
    """vLLM's routes for adapters, answering as configured."""

    label: str = "down"
    labels: dict[str, str] = field(default_factory=dict)  # by model
    loaded: dict[str, str] = field(default_factory=dict)
    loads: list[str] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    status: int = 200
    delay_seconds: float = 0.0
    probe: list[float] = field(default_factory=lambda: [0.1, 0.2, 0.7])

    async def models(self, _: web.Request) -> web.Response:
        """List base and adapters."""
        data = [{"id": name, "object": "model", "root": root} for name, root in self.loaded.items()]
        return web.json_response({"object": "list", "data": [{"id": "base", "root": "base"}, *data]})

    async def load(self, request: web.Request) -> web.Response:
        """Load an adapter."""
        body = await request.json()
        self.loads.append(body["lora_name"])
        if body["lora_name"] in self.loaded:
            return web.json_response({"error": "already loaded"}, status=400)
        self.loaded[body["lora_name"]] = body["lora_path"]
        return web.Response(text=f"Success: LoRA adapter '{body['lora_name']}' added successfully.")

    async def classify(self, request: web.Request) -> web.Response:
        """Classify texts."""
        body = await request.json()
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        if body["model"] not in self.loaded:
            return web.json_response({"error": "no such model"}, status=404)
        if texts[0].startswith("probe"):
            return web.json_response({"data": [self._row(self.probe) for _ in texts]})
        self.asked += [(body["model"], text) for text in texts]
        await asyncio.sleep(self.delay_seconds)
        if self.status != 200:
            return web.json_response({"error": "scripted"}, status=self.status)
        label = self.labels.get(body["model"], self.label)
        return web.json_response({"data": [self._row([0.8 if x == label else 0.1 for x in LABELS]) for _ in texts]})

    def _row(self, shares: list[float]) -> dict[str, Any]:
        return {"label": "LABEL_0", "probs": shares, "num_classes": len(shares)}


@dataclass
class House:
    """Everything around a router, and the router."""

    router: Router
    teacher: ScriptedTeacher
    students: StudentServer
    kept: Kept
    url: str
    admin: str
    http: aiohttp.ClientSession
    settings: RouterSettings
    restart_students: Callable[[], Any]
    stop_students: Callable[[], Any]

    async def chat(self, text: str = "ACME rises", headers: dict[str, str] | None = None, **more: Any) -> Any:
        """Ask for a chat completion; return status, headers and body."""
        body = {"model": "news", "messages": [{"role": "user", "content": text}]} | more
        async with self.http.post(f"{self.url}/v1/chat/completions", json=body, headers=headers) as response:
            return response.status, response.headers, await response.json()

    async def serve(self, **fields: Any) -> None:
        """Let the controller say what is served, and wait until its students are ready."""
        values: dict[str, Any] = {"workload": "news", "epoch": 1, "sequence": 1, "time": TIME, "rollout_id": ROLLOUT}
        state = ModelState(**values | fields)
        self.router.apply([state])
        self.router.confirm()
        models = [model for model in (state.champion, state.challenger) if model is not None]
        await until(lambda: all(self.router.students.ready(model) for model in models))

    async def outcomes(self, count: int) -> list[Outcome]:
        """Wait for that many outcomes, and return them."""
        await until(lambda: len(self.kept.outcomes) >= count)
        assert len(self.kept.outcomes) == count
        return self.kept.outcomes


def adapter(artefacts: Path, version: str = "news-1") -> ServedModel:
    """Write an adapter's folder, and return what the controller would say of it."""
    folder = artefacts / "adapters" / "news" / version
    folder.mkdir(parents=True)
    probes = {"probes": [{"text": f"probe {i}", "probabilities": [0.1, 0.2, 0.7]} for i in range(4)]}
    contents = {"probes.json": json.dumps(probes).encode(), "adapter_model.safetensors": b"weights"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    manifest = AdapterManifest(
        model_version=version, workload="news", labels=LABELS, form="sequence-classification", base_model="base",
        base_sha256="b", pooling="mean", max_tokens=64, temperature=1.0, rank=16, alpha=16, target_modules=["query"],
        modules_to_save=["classifier"], snapshot_sha256="s", seed=1,
        files=[FileDigest(path=name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
               for name, data in contents.items()],
    )  # fmt: skip
    (folder / "manifest.json").write_bytes(manifest.to_bytes())
    return ServedModel(
        version=version, uri=str(folder), manifest_sha256=manifest.digest(), base_model="base", labels=LABELS
    )


async def listen(app: web.Application, port: int = 0) -> web.AppRunner:
    """Serve an application on loopback; port 0 is one that the system gives."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    return runner


def port_of(runner: web.AppRunner) -> int:
    """Return where an application is served."""
    port: int = runner.addresses[0][1]
    return port


async def listen_where_nobody_comes(app: web.Application) -> web.AppRunner:
    """Serve on a port that the system gives to nobody, so that a server that was away finds it free again."""
    for port in propose(TRIES):
        with contextlib.suppress(OSError):
            return await listen(app, port)
    raise OSError(f"{TRIES} ports are in use")


def student_app(server: StudentServer) -> web.Application:
    """Return the student server's application."""
    app = web.Application()
    app.add_routes(
        [
            web.get("/v1/models", server.models),
            web.post("/v1/load_lora_adapter", server.load),
            web.post("/classify", server.classify),
        ]
    )
    return app


def workload(port: int, **tables: Any) -> Workload:
    """Return the workload whose teacher listens on a port."""
    teacher = {"url": f"http://127.0.0.1:{port}/v1", "model": "big", "may_train": True}
    return Workload.model_validate({"name": "news", "labels": LABELS, "teacher": teacher} | tables)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A running router, its teacher and its student server."""
    teacher, students, kept = ScriptedTeacher(), StudentServer(), Kept()
    async with contextlib.AsyncExitStack() as stack:
        app = web.Application()
        app.add_routes([web.post("/v1/chat/completions", teacher.chat), web.post("/v1/embeddings", teacher.embeddings)])
        taught = await listen(app)
        stack.push_async_callback(taught.cleanup)
        running = [await listen_where_nobody_comes(student_app(students))]
        student_port = port_of(running[0])

        async def stop_students() -> None:
            await running.pop().cleanup()

        async def restart_students() -> None:
            students.loaded.clear()
            running.append(await listen(student_app(students), student_port))

        async def end() -> None:
            for runner in running:
                await runner.cleanup()

        stack.push_async_callback(end)
        settings = RouterSettings(
            student_urls=[f"http://127.0.0.1:{student_port}"], state_dir=tmp_path / "state",
            artefacts_dir=tmp_path / "artefacts", side_calls=8,
        )  # fmt: skip
        rollout = {"paired_share": 1.0, "student_timeout_seconds": 2.0}
        privacy = {"token_key_env": "MILLRACE_TEST_PRIVACY_KEY"}
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("MILLRACE_TEST_PRIVACY_KEY", PRIVACY_KEY)
        workloads = {"news": workload(port_of(taught), rollout=rollout, audit={"share": 0.5}, privacy=privacy)}
        session = await stack.enter_async_context(
            guarded_http.session(settings.allowed_hosts, connections=0, timeout_seconds=10)
        )
        router = Router(settings, workloads, session, kept)
        stack.callback(router.lines.close)
        for task in (asyncio.create_task(router.students.keep_loaded()), asyncio.create_task(router.upkeep())):
            stack.callback(task.cancel)
        public = await listen(router.public.application(settings.body_bytes))
        stack.push_async_callback(public.cleanup)
        admin = await listen(router.admin.application(lambda: None))
        stack.push_async_callback(admin.cleanup)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield House(
            router, teacher, students, kept, f"http://127.0.0.1:{port_of(public)}",
            f"http://127.0.0.1:{port_of(admin)}", http, settings, restart_students, stop_students,
        )  # fmt: skip


@pytest.fixture
def student(house: House) -> ServedModel:
    """An adapter on disk."""
    return adapter(house.settings.artefacts_dir)


def canary(student: ServedModel, weight: float = 1.0, **more: Any) -> dict[str, Any]:
    """Return the fields of a state in which a challenger answers."""
    return {"state": RolloutState.CANARY, "challenger": student, "weight": weight, "step": 0} | more


def newer(state: ModelState, **changes: Any) -> ModelState:
    """Return the state that follows."""
    return replace(state, sequence=state.sequence + 1, **changes)
